// Package result is the vocabulary in which every check of an inspection
// answers: the five values of BSI TR-03135-1 (version 2.5, section 5.2), and a
// sixth, NotPerformed, for a check that nobody has made.
//
// NotPerformed is the zero value, so that a forgotten, skipped or half-built
// result can never read as a success. The package is a leaf: it decides
// nothing, and it knows no protocol.
package result

import (
	"errors"
	"fmt"
)

// Value is the outcome of one check. The zero value is [NotPerformed].
type Value uint8

// The outcomes, with the traffic light that BSI TR-03135-1 gives them.
const (
	NotPerformed Value = iota // nobody looked: never good news
	Successful                // green
	Failed                    // red: the check was made and the answer is no
	Undetermined              // yellow: the check was made and cannot tell (no trust anchor, say)
	NotSupported              // grey: the document does not offer what the check needs
	Aborted                   // grey: the check began and could not be finished
)

var names = [...]string{"not_performed", "successful", "failed", "undetermined", "not_supported", "aborted"}

// ErrValue reports a text that names no [Value].
var ErrValue = errors.New("result: unknown value")

// String returns the value's name in lower case, with underscores.
func (v Value) String() string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("result.Value(%d)", uint8(v))
}

// MarshalText implements [encoding.TextMarshaler].
func (v Value) MarshalText() ([]byte, error) {
	if int(v) >= len(names) {
		return nil, ErrValue
	}
	return []byte(names[v]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It leaves v alone when
// the text is not one of the six names.
func (v *Value) UnmarshalText(text []byte) error {
	for i, n := range names {
		if n == string(text) {
			*v = Value(i)
			return nil
		}
	}
	return ErrValue
}

// Reason says why a check has the value it has, in snake_case
// ("signature_invalid", "no_trust_anchor"). Each package that makes checks
// declares its own closed set; a Reason never holds data from a document.
type Reason string

// Check is one check's outcome. The zero value says that it was not performed.
type Check struct {
	Value     Value  `json:"result"`
	Reason    Reason `json:"reason,omitempty"`
	Algorithm string `json:"algorithm,omitempty"` // as a person would write it: "RSASSA-PSS SHA-256"
}

// Pass returns a successful check.
func Pass(algorithm string) Check { return Check{Value: Successful, Algorithm: algorithm} }

// Fail returns a failed check.
func Fail(why Reason) Check { return Check{Value: Failed, Reason: why} }

// Unknown returns an undetermined check.
func Unknown(why Reason) Check { return Check{Value: Undetermined, Reason: why} }

// Worst aggregates: Failed before Aborted before Undetermined before
// NotPerformed before NotSupported before Successful. The reason and algorithm
// of the first check with the worst value are kept. No check at all is
// NotPerformed.
//
// NotSupported ranks just above Successful because it is a property of the
// document; whether a check that must exist may be missing is policy and is
// not decided here.
func Worst(checks ...Check) Check {
	var worst Check
	rank := -1
	for _, c := range checks {
		if r := severity(c.Value); r > rank {
			worst, rank = c, r
		}
	}
	return worst
}

func severity(v Value) int {
	switch v {
	case Successful:
		return 0
	case NotSupported:
		return 1
	case NotPerformed:
		return 2
	case Undetermined:
		return 3
	case Aborted:
		return 4
	default: // Failed, and any value that does not exist
		return 5
	}
}
