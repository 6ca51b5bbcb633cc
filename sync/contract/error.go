package contract

// Code says what is wrong with a message. It is an error itself, so that
// errors.Is(err, contract.TooLarge) holds for an [*Error] with that code.
type Code string

// The codes. The set is closed.
const (
	TooLarge           Code = "too_large"           // more bytes than the message may have
	TooDeep            Code = "too_deep"            // nested beyond the limit
	NotUTF8            Code = "not_utf8"            // bytes that are not UTF-8
	Malformed          Code = "malformed"           // not the JSON, or not the encoding, that is expected
	TrailingData       Code = "trailing_data"       // bytes after the message
	DuplicateMember    Code = "duplicate_member"    // a member twice in one object
	UnknownMember      Code = "unknown_member"      // a member that the message does not have, or in another case
	Missing            Code = "missing"             // a required member is absent
	Invalid            Code = "invalid"             // a value outside its format or set
	Inconsistent       Code = "inconsistent"        // members that contradict each other
	UnsupportedVersion Code = "unsupported_version" // not version 1
	BadSignature       Code = "bad_signature"       // no, or no valid, agent signature
	WrongSubject       Code = "wrong_subject"       // subject, header and message name different senders
)

// Error implements error.
func (c Code) Error() string { return "contract: " + string(c) }

// Error is what every function of this package returns when it refuses
// something. It never holds data from the message.
type Error struct {
	Code  Code
	Field string // path of the member as the contract names it, "person.birthDate"; "" for the message as a whole
}

// Error implements error.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Code.Error()
	}
	return e.Code.Error() + ": " + e.Field
}

// Unwrap returns the [Code].
func (e *Error) Unwrap() error { return e.Code }

func fail(c Code, field string) error { return &Error{Code: c, Field: field} }
