package outbox

// EncodeEntry and DecodeEntry are exported to the fuzz target.
var (
	EncodeEntry = encodeEntry
	DecodeEntry = decodeEntry
)
