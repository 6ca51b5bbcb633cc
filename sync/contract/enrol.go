package contract

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"io"
	"log/slog"
	"strings"
)

// EnrolSubject is where a computer that nobody knows yet asks to be an agent. It
// is the only subject that it may use.
const EnrolSubject = "ins.v1.enrol"

// EnrolRequest asks to be enrolled. It is signed by the key that the computer
// made for itself (domain [DomainEnrol]), which proves that it has it.
type EnrolRequest struct {
	Version int    `json:"version" is:"version"`
	Agent   string `json:"agent" is:"agent"`
	Code    string `json:"code" is:"enrolCode"` // see [EnrolCode]
	// Seal is a public curve nkey that was made for this request: the answer is
	// sealed for it, because those who are not enrolled share one account.
	Seal string `json:"seal" is:"curve"`
}

// String returns "[redacted]": the code is a secret until it is used.
func (EnrolRequest) String() string { return redacted }

// GoString returns "[redacted]".
func (EnrolRequest) GoString() string { return redacted }

// EnrolAnswer is what a new agent gets. Nothing in it is of use to anybody who
// does not have the agent's key.
type EnrolAnswer struct {
	Version   int           `json:"version" is:"version"`
	Agent     string        `json:"agent" is:"agent"`
	Facility  string        `json:"facility" is:"facility"`
	JWT       string        `json:"jwt" is:"jwt"`         // of the NATS user
	CA        []byte        `json:"ca" is:"der"`          // that the servers' certificates lead to
	BundleKey string        `json:"bundleKey" is:"agent"` // the insurer's, to be pinned
	Servers   []EnrolServer `json:"servers" is:"servers"` //
}

// EnrolServer is a NATS server.
type EnrolServer struct {
	URL string `json:"url" is:"serverURL"`
}

// EnrolRefusal is why an enrolment was refused: the text of the error that
// answers the request. The first three are told only to who knows a code.
type EnrolRefusal string

// The refusals.
const (
	EnrolCodeExpired EnrolRefusal = "code_expired"
	EnrolCodeUsed    EnrolRefusal = "code_used"     // by another key
	EnrolRevoked     EnrolRefusal = "agent_revoked" // after the code was made
	EnrolCodeUnknown EnrolRefusal = "code_unknown"
	EnrolBusy        EnrolRefusal = "busy" // too many tries; later
)

func (a *EnrolAnswer) consistent() error {
	if len(a.Servers) == 0 {
		return fail(Missing, "servers")
	}
	return nil
}

// EncodeEnrolRequest returns r as JSON: the bytes to sign and to send.
func EncodeEnrolRequest(r *EnrolRequest) ([]byte, error) { return encode(r, MaxMessage, nil) }

// DecodeEnrolRequest reads a request. It does not check the signature; see
// [OpenEnrol].
func DecodeEnrolRequest(b []byte) (EnrolRequest, error) {
	return decode[EnrolRequest](b, MaxMessage, closed, nil)
}

// EncodeEnrolAnswer returns a as JSON.
func EncodeEnrolAnswer(a *EnrolAnswer) ([]byte, error) { return encode(a, MaxMessage, a.consistent) }

// DecodeEnrolAnswer reads an answer.
func DecodeEnrolAnswer(b []byte) (EnrolAnswer, error) {
	return decode[EnrolAnswer](b, MaxMessage, open, (*EnrolAnswer).consistent)
}

// NewEnrolMessage encodes and signs a request. The signer must be the request's
// agent.
func NewEnrolMessage(s Signer, r *EnrolRequest) (Message, error) {
	payload, err := EncodeEnrolRequest(r)
	if err != nil {
		return Message{}, err
	}
	return newMessage(s, DomainEnrol, "", r.Agent, EnrolSubject, payload)
}

// OpenEnrol verifies that the agent that a request names has made it.
func OpenEnrol(headers map[string][]string, payload []byte) (EnrolRequest, error) {
	if len(payload) > MaxMessage {
		return EnrolRequest{}, fail(TooLarge, "")
	}
	signer, err := Verify(DomainEnrol, headers, payload)
	if err != nil {
		return EnrolRequest{}, err
	}
	r, err := DecodeEnrolRequest(payload)
	if err != nil {
		return EnrolRequest{}, err
	}
	if r.Agent != signer {
		return EnrolRequest{}, fail(WrongSubject, "agent")
	}
	return r, nil
}

// An enrolment code is 17 random characters and 3 that are a check, which tells
// a typing error from a code that is not known without asking anybody. The
// alphabet is Crockford's: no I, L, O, U.
//
// 17 characters of 5 bits are 85 bits. Who may try a thousand codes a second,
// which is fifty times what one central worker answers, has tried 2^25 after ten
// hours and 2^35 after a year; with ten thousand codes (2^14) open at once the
// chance to have met one in that year is 2^(35+14-85) = 2^-36, one in seventy
// thousand million.
const (
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeRandom   = 17
	codeCheck    = 3
	codeChars    = codeRandom + codeCheck
	codeGroup    = 4
)

const redacted = "[redacted]"

// EnrolCode is a one-time code that lets one computer become an agent. It prints
// as "[redacted]"; [EnrolCode.Text] is for the person who passes it on. The zero
// value is no code.
type EnrolCode struct {
	chars string    // without separators
	_     [0]func() // not comparable
}

var codeEncoding = base32.NewEncoding(codeAlphabet).WithPadding(base32.NoPadding)

// NewEnrolCode makes a code from a source of randomness, whose error it returns.
func NewEnrolCode(random io.Reader) (EnrolCode, error) {
	b := make([]byte, codeRandom) // 5 bits of each are used
	if _, err := io.ReadFull(random, b); err != nil {
		return EnrolCode{}, err
	}
	for i := range b {
		b[i] = codeAlphabet[b[i]%32] // 256 is a multiple of 32: no value is likelier
	}
	chars := string(b)
	return EnrolCode{chars: chars + codeSum(chars)}, nil
}

func codeSum(chars string) string {
	sum := sha256.Sum256([]byte("chamthe enrol check v1\x00" + chars))
	return codeEncoding.EncodeToString(sum[:])[:codeCheck]
}

// ParseEnrolCode reads a code as a person types it: in any case, with or without
// hyphens and spaces, with O for 0 and I or L for 1. It returns [Invalid] for
// what cannot be a code; the text is in no error.
func ParseEnrolCode(s string) (EnrolCode, error) {
	var b strings.Builder
	for _, r := range strings.ToUpper(s) {
		switch r {
		case ' ', '-', '\t', '\n', '\r':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if b.Len() == codeChars || !strings.ContainsRune(codeAlphabet, r) {
			return EnrolCode{}, fail(Invalid, "code")
		}
		b.WriteRune(r)
	}
	chars := b.String()
	if len(chars) != codeChars || subtle.ConstantTimeCompare([]byte(codeSum(chars[:codeRandom])), []byte(chars[codeRandom:])) != 1 {
		return EnrolCode{}, fail(Invalid, "code")
	}
	return EnrolCode{chars: chars}, nil
}

// Text returns the code in groups of four. It is a secret.
func (c EnrolCode) Text() string {
	var groups []string
	for i := 0; i+codeGroup <= len(c.chars); i += codeGroup {
		groups = append(groups, c.chars[i:i+codeGroup])
	}
	return strings.Join(groups, "-")
}

// String returns "[redacted]".
func (EnrolCode) String() string { return redacted }

// GoString returns "[redacted]".
func (EnrolCode) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (EnrolCode) LogValue() slog.Value { return slog.StringValue(redacted) }
