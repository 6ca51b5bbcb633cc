package contract

// SignedBytes is exported to tests that forge signatures.
func SignedBytes(d Domain, payload []byte) []byte { return signedBytes(d, payload) }

// CodeOfStatus is the table of result codes.
var CodeOfStatus = statusOf
