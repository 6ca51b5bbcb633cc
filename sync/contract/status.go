package contract

import "time"

// Status is what an agent tells about itself, for whoever watches hundreds of
// them. It holds nothing about any person.
type Status struct {
	Version  int          `json:"version" is:"version"`
	Agent    string       `json:"agent" is:"agent"`
	Facility string       `json:"facility" is:"facility"`
	At       time.Time    `json:"at"`
	Software string       `json:"software" is:"text64"` // version of the program
	Clock    ClockQuality `json:"clock"`
	Queued   int64        `json:"queued" is:"count"`   // visits not yet stored at the central service
	Stored   int64        `json:"stored" is:"count"`   // visits without a verdict
	Rejected int64        `json:"rejected" is:"count"` // visits that wait for a person
	Oldest   time.Time    `json:"oldest,omitzero"`     // when the oldest queued visit was recorded
	NonceAge int64        `json:"nonceAge" is:"count"` // seconds since the nonce in use was issued; 0 without one
}

// EncodeStatus returns s as JSON: the bytes to sign and to send.
func EncodeStatus(s *Status) ([]byte, error) { return encode(s, MaxMessage, nil) }

// DecodeStatus reads a status. It does not check the signature; see [OpenStatus].
func DecodeStatus(b []byte) (Status, error) { return decode[Status](b, MaxMessage, closed, nil) }
