package contract

import "time"

// Status is what an agent tells about itself every few minutes while it is
// connected, for whoever watches hundreds of them. It holds nothing about any
// person. What is not known is left out.
//
// Nonce, Trust and Population are readings of the central service's own clock,
// which it gave out with these things: their age does not depend on what the
// agent takes for the present.
type Status struct {
	Version    int            `json:"version" is:"version"`
	Agent      string         `json:"agent" is:"agent"`
	Facility   string         `json:"facility" is:"facility"`
	At         time.Time      `json:"at"`                           // by the agent's clock
	Clock      ClockQuality   `json:"clock"`                        // how far At and Oldest can be believed
	Software   string         `json:"software" is:"release"`        // version of the program
	Build      string         `json:"build,omitempty" is:"release"` // what it was made from: a revision
	Reader     ReaderPresence `json:"reader,omitempty"`             // "" when nobody could tell
	Queued     int64          `json:"queued" is:"count"`            // visits not yet stored at the central service
	Stored     int64          `json:"stored" is:"count"`            // visits stored there, without a verdict
	Rejected   int64          `json:"rejected" is:"count"`          // visits that wait for a person
	Oldest     time.Time      `json:"oldest,omitzero"`              // when the oldest queued visit was recorded
	Nonce      time.Time      `json:"nonce,omitzero"`               // when the nonce in use was issued
	Trust      time.Time      `json:"trust,omitzero"`               // when the trust bundle in use was issued
	Population time.Time      `json:"population,omitzero"`          // when the population bundle in use was issued
	Malformed  int64          `json:"malformed" is:"count"`         // messages of the central service that were refused, since the start
}

// ReaderPresence says whether a desk could read a card.
type ReaderPresence string

// The states of a desk's readers.
const (
	ReaderPresent ReaderPresence = "present" // at least one can be used
	ReaderAbsent  ReaderPresence = "absent"  // none is connected, or none works
)

func (ReaderPresence) values() []string {
	return []string{string(ReaderPresent), string(ReaderAbsent)}
}

// A queued visit has a time of recording, and where none is queued none is the
// oldest.
func (s *Status) consistent() error {
	if s.Queued == 0 && !s.Oldest.IsZero() {
		return fail(Inconsistent, "oldest")
	}
	return nil
}

// EncodeStatus returns s as JSON: the bytes to sign and to send.
func EncodeStatus(s *Status) ([]byte, error) { return encode(s, MaxMessage, s.consistent) }

// DecodeStatus reads a status. It does not check the signature; see [OpenStatus].
func DecodeStatus(b []byte) (Status, error) {
	return decode[Status](b, MaxMessage, closed, (*Status).consistent)
}
