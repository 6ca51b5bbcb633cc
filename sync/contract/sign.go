package contract

import (
	"crypto/ed25519"
	"encoding/base64"
)

// Headers of a signed message.
const (
	HeaderSignature = "Chamthe-Signature" // base64 of the 64 bytes of the Ed25519 signature
	HeaderAgent     = "Chamthe-Agent"     // the agent's public nkey
)

// Domain says what a signed message is, so that a signature made for one kind
// of message is worth nothing for another.
type Domain string

// The domains.
const (
	DomainVisit  Domain = "visit"
	DomainLookup Domain = "lookup"
	DomainStatus Domain = "status"

	DomainEnrol         Domain = "enrol"
	DomainBundleRequest Domain = "bundle-request"
	DomainBundle        Domain = "bundle" // signed by the insurer
)

// Signer holds an agent's private key. A NATS nkeys.KeyPair is one. Sign
// returns the Ed25519 signature (64 bytes) over exactly the given bytes;
// PublicKey returns the agent's public nkey.
type Signer interface {
	Sign(message []byte) ([]byte, error)
	PublicKey() (string, error)
}

// signedBytes prefixes a payload with its domain: FF, "chamthe signed v1", 00,
// domain, 00, payload. No domain holds a zero byte, so the parts are
// unambiguous.
//
// The leading FF is not for looks. The same key answers the challenge of a NATS
// server at connect time, and that server chooses the text to be signed. It
// arrives as a JSON string, which is UTF-8 and so can never begin with FF: a
// hostile server cannot have a visit signed by presenting it as a challenge.
func signedBytes(d Domain, payload []byte) []byte {
	const tag = "\xffchamthe signed v1\x00"
	b := make([]byte, 0, len(tag)+len(d)+1+len(payload))
	b = append(b, tag...)
	b = append(b, d...)
	b = append(b, 0)
	return append(b, payload...)
}

// Sign returns the headers for a message with this payload: [HeaderAgent] and
// [HeaderSignature]. It returns the signer's errors, and [BadSignature] when
// the signer's signature does not verify under the signer's own public key.
func Sign(s Signer, d Domain, payload []byte) (map[string][]string, error) {
	agent, err := s.PublicKey()
	if err != nil {
		return nil, err
	}
	sig, err := s.Sign(signedBytes(d, payload))
	if err != nil {
		return nil, err
	}
	h := map[string][]string{
		HeaderAgent:     {agent},
		HeaderSignature: {base64.StdEncoding.EncodeToString(sig)},
	}
	// A visit whose signature does not hold must be found out here, not by the
	// insurer a month later.
	if _, err := Verify(d, h, payload); err != nil {
		return nil, err
	}
	return h, nil
}

// Verify checks the signature of a message and returns the agent who made it.
// That the agent may speak for a facility is for the caller to decide. The
// headers are those of a NATS message.
func Verify(d Domain, headers map[string][]string, payload []byte) (agent string, err error) {
	agent, ok := only(headers, HeaderAgent)
	if !ok {
		return "", fail(BadSignature, HeaderAgent)
	}
	key, err := DecodeAgent(agent)
	if err != nil {
		return "", fail(BadSignature, HeaderAgent)
	}
	text, ok := only(headers, HeaderSignature)
	if !ok || len(text) != base64.StdEncoding.EncodedLen(ed25519.SignatureSize) {
		return "", fail(BadSignature, HeaderSignature)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(sig) != ed25519.SignatureSize || !ed25519.Verify(key, signedBytes(d, payload), sig) {
		return "", fail(BadSignature, HeaderSignature)
	}
	return agent, nil
}

// only returns the one value of a header; two are as bad as none.
func only(headers map[string][]string, name string) (string, bool) {
	if v := headers[name]; len(v) == 1 {
		return v[0], true
	}
	return "", false
}

// Message is a signed message, ready to be kept and sent.
type Message struct {
	ID      string // of the visit or request: also Nats-Msg-Id
	Subject string
	Header  map[string][]string
	Payload []byte
}

// NewVisitMessage encodes and signs a visit. The signer must be the visit's
// agent.
func NewVisitMessage(s Signer, v *Visit) (Message, error) {
	subject, err := VisitSubject(v.Facility, v.Agent)
	if err != nil {
		return Message{}, err
	}
	payload, err := EncodeVisit(v)
	if err != nil {
		return Message{}, err
	}
	return newMessage(s, DomainVisit, v.ID, v.Agent, subject, payload)
}

// NewLookupMessage encodes and signs a lookup request. The signer must be the
// request's agent.
func NewLookupMessage(s Signer, r *LookupRequest) (Message, error) {
	subject, err := LookupSubject(r.Facility)
	if err != nil {
		return Message{}, err
	}
	payload, err := EncodeLookupRequest(r)
	if err != nil {
		return Message{}, err
	}
	return newMessage(s, DomainLookup, r.ID, r.Agent, subject, payload)
}

// NewStatusMessage encodes and signs a status. The signer must be the status's
// agent.
func NewStatusMessage(s Signer, st *Status) (Message, error) {
	subject, err := StatusSubject(st.Agent)
	if err != nil {
		return Message{}, err
	}
	payload, err := EncodeStatus(st)
	if err != nil {
		return Message{}, err
	}
	return newMessage(s, DomainStatus, "", st.Agent, subject, payload)
}

func newMessage(s Signer, d Domain, id, agent, subject string, payload []byte) (Message, error) {
	h, err := Sign(s, d, payload)
	if err != nil {
		return Message{}, err
	}
	if h[HeaderAgent][0] != agent {
		return Message{}, fail(WrongSubject, "agent")
	}
	return Message{ID: id, Subject: subject, Header: h, Payload: payload}, nil
}

// OpenVisit verifies the signature of a message that arrived on subject,
// decodes the visit and makes sure that subject, header and visit name the same
// agent and facility. It judges neither the agent's enrolment nor the evidence.
func OpenVisit(subject string, headers map[string][]string, payload []byte) (Visit, error) {
	facility, agent, err := ParseVisitSubject(subject)
	if err != nil {
		return Visit{}, err
	}
	if len(payload) > MaxVisit {
		return Visit{}, fail(TooLarge, "")
	}
	signer, err := Verify(DomainVisit, headers, payload)
	if err != nil {
		return Visit{}, err
	}
	v, err := DecodeVisit(payload)
	if err != nil {
		return Visit{}, err
	}
	switch {
	case v.Facility != facility:
		return Visit{}, fail(WrongSubject, "facility")
	case v.Agent != agent || signer != agent:
		return Visit{}, fail(WrongSubject, "agent")
	}
	return v, nil
}

// OpenLookup does for a lookup request what [OpenVisit] does for a visit.
func OpenLookup(subject string, headers map[string][]string, payload []byte) (LookupRequest, error) {
	facility, err := ParseLookupSubject(subject)
	if err != nil {
		return LookupRequest{}, err
	}
	if len(payload) > MaxMessage {
		return LookupRequest{}, fail(TooLarge, "")
	}
	signer, err := Verify(DomainLookup, headers, payload)
	if err != nil {
		return LookupRequest{}, err
	}
	r, err := DecodeLookupRequest(payload)
	if err != nil {
		return LookupRequest{}, err
	}
	switch {
	case r.Facility != facility:
		return LookupRequest{}, fail(WrongSubject, "facility")
	case r.Agent != signer:
		return LookupRequest{}, fail(WrongSubject, "agent")
	}
	return r, nil
}

// OpenStatus does for a status what [OpenVisit] does for a visit.
func OpenStatus(subject string, headers map[string][]string, payload []byte) (Status, error) {
	agent, err := ParseStatusSubject(subject)
	if err != nil {
		return Status{}, err
	}
	if len(payload) > MaxMessage {
		return Status{}, fail(TooLarge, "")
	}
	signer, err := Verify(DomainStatus, headers, payload)
	if err != nil {
		return Status{}, err
	}
	st, err := DecodeStatus(payload)
	if err != nil {
		return Status{}, err
	}
	if st.Agent != agent || signer != agent {
		return Status{}, fail(WrongSubject, "agent")
	}
	return st, nil
}
