package wire

import (
	"encoding/json"
	"time"
)

// ExportedVisit is one line of a file that "chamthe queue export" writes: a visit
// exactly as it was signed and sent, and how it stands. It is personal data.
type ExportedVisit struct {
	ID         string              `json:"id"`
	State      string              `json:"state"` // queued, stored, accepted, rejected, lost
	RecordedAt time.Time           `json:"recorded_at"`
	StoredAt   time.Time           `json:"stored_at,omitzero"`
	Subject    string              `json:"subject"`
	Header     map[string][]string `json:"header"`            // with the agent's key and signature
	Payload    []byte              `json:"payload"`           // the signed bytes, base64
	Verdict    json.RawMessage     `json:"verdict,omitempty"` // the central service's last word
}
