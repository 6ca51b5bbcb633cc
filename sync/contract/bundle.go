package contract

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// A bundle is a list that the insurer signs and an agent keeps for the time
// without a link: the people who are registered at its facility, or the
// certificates that documents are verified with. It has a serial number that
// only grows, and travels in parts, whole or as a difference to an older one.
//
// The agent asks for the manifest ([Bundle], signed by the insurer's bundle key,
// which was pinned at enrolment), then for the parts one by one; each part has to
// have the hash that the signed manifest says. Nothing of a bundle counts before
// all of it is there.

// BundleKind is what a bundle lists.
type BundleKind string

// The kinds.
const (
	BundlePopulation BundleKind = "population" // [PopulationPart]
	BundleTrust      BundleKind = "trust"      // [TrustPart]
)

func (BundleKind) values() []string { return []string{string(BundlePopulation), string(BundleTrust)} }

// BundleRequest asks for the newest bundle, or for a part of one.
type BundleRequest struct {
	Version  int        `json:"version" is:"version"`
	ID       string     `json:"id" is:"uuid7"`
	Facility string     `json:"facility" is:"facility"`
	Agent    string     `json:"agent" is:"agent"`
	At       time.Time  `json:"at"`
	Kind     BundleKind `json:"kind"`
	Have     int64      `json:"have,omitempty" is:"serial"`   // what the agent has; absent when it has none
	Serial   int64      `json:"serial,omitempty" is:"serial"` // absent: the manifest is asked for; else part Part of this
	Base     int64      `json:"base,omitempty" is:"serial"`   // with Serial: as in its manifest
	Part     int        `json:"part,omitempty" is:"part"`     // from 0
}

// Bundle is the manifest of a bundle. Its signature has the domain
// [DomainBundle].
type Bundle struct {
	Version  int          `json:"version" is:"version"`
	Kind     BundleKind   `json:"kind"`
	Facility string       `json:"facility,omitempty" is:"facility"` // whose people; absent for other kinds
	Serial   int64        `json:"serial" is:"serial"`               // greater than that of every older one of its kind and facility
	Base     int64        `json:"base,omitempty" is:"serial"`       // the serial that this is the difference to; absent: it is whole
	IssuedAt time.Time    `json:"issuedAt"`                         // when the insurer made the list: the age of what it says
	Entries  int          `json:"entries" is:"count"`               // in the whole list, after a difference was applied
	Parts    []BundlePart `json:"parts,omitempty" is:"parts"`
}

// BundlePart is one part of a bundle.
type BundlePart struct {
	SHA256 []byte `json:"sha256" is:"sha256"` // of the part's bytes
	Size   int    `json:"size" is:"partSize"` // in bytes
}

// Matches reports whether b are the bytes of the part.
func (p BundlePart) Matches(b []byte) bool {
	sum := sha256.Sum256(b)
	return len(b) == p.Size && subtle.ConstantTimeCompare(sum[:], p.SHA256) == 1
}

// PopulationPart is a part of a bundle of people.
type PopulationPart struct {
	Version int          `json:"version" is:"version"`
	People  []Registered `json:"people" is:"people"`
}

// Registered is a person who is registered at a facility, by the personal number
// or by that of the insurance card, or both. In a difference it replaces what was
// known under the same numbers.
type Registered struct {
	Number          string       `json:"number,omitempty" is:"number"`
	InsuranceNumber string       `json:"insuranceNumber,omitempty" is:"insuranceNumber"`
	Person          *Insured     `json:"person,omitempty"`      // absent when removed
	Entitlement     *Entitlement `json:"entitlement,omitempty"` // absent when removed; Source is SourcePopulation
	Removed         bool         `json:"removed,omitempty"`     // no longer registered here; in a difference only
}

// TrustPart is a part of a bundle of certificates and revocation lists.
type TrustPart struct {
	Version int          `json:"version" is:"version"`
	Pieces  []TrustPiece `json:"pieces" is:"pieces"`
}

// TrustPiece is a certificate of a country signing CA, a link certificate or a
// revocation list. In a difference Removed takes away the one with these bytes.
type TrustPiece struct {
	DER     []byte `json:"der" is:"der"`
	Removed bool   `json:"removed,omitempty"`
}

func (r *BundleRequest) consistent() error {
	if r.Serial == 0 && (r.Base != 0 || r.Part != 0) {
		return fail(Inconsistent, "serial")
	}
	return nil
}

func (b *Bundle) consistent() error {
	switch {
	case b.Serial < 1, b.Base < 0, b.Base >= b.Serial:
		return fail(Inconsistent, "serial")
	case (b.Kind == BundlePopulation) != (b.Facility != ""):
		return fail(Inconsistent, "facility")
	}
	total := 0
	for _, p := range b.Parts {
		if total += p.Size; total > MaxBundle {
			return fail(TooLarge, "parts")
		}
	}
	return nil
}

func (p *PopulationPart) consistent() error {
	for i := range p.People {
		r := &p.People[i]
		if r.Number == "" && r.InsuranceNumber == "" {
			return fail(Missing, "people.number")
		}
		if r.Removed {
			if r.Person != nil || r.Entitlement != nil {
				return fail(Inconsistent, "people.removed")
			}
			continue
		}
		if r.Person == nil || r.Entitlement == nil {
			return fail(Missing, "people.entitlement")
		}
		if r.Person.Name == "" || r.Person.BirthDate == "" {
			return fail(Missing, "people.person")
		}
		if r.Entitlement.Source != SourcePopulation {
			return fail(Inconsistent, "people.entitlement.source")
		}
		if err := r.Entitlement.consistent("people.entitlement"); err != nil {
			return err
		}
	}
	return nil
}

// EncodeBundleRequest returns r as JSON: the bytes to sign and to send.
func EncodeBundleRequest(r *BundleRequest) ([]byte, error) {
	return encode(r, MaxMessage, r.consistent)
}

// DecodeBundleRequest reads a request. It does not check the signature; see
// [OpenBundleRequest].
func DecodeBundleRequest(b []byte) (BundleRequest, error) {
	return decode[BundleRequest](b, MaxMessage, closed, (*BundleRequest).consistent)
}

// EncodeBundle returns a manifest as JSON: the bytes to sign and to send.
func EncodeBundle(b *Bundle) ([]byte, error) { return encode(b, MaxManifest, b.consistent) }

// DecodeBundle reads a manifest. It does not check the signature; see
// [OpenBundle].
func DecodeBundle(b []byte) (Bundle, error) {
	return decode[Bundle](b, MaxManifest, open, (*Bundle).consistent)
}

// EncodePopulationPart returns a part as JSON, [TooLarge] beyond [MaxPart].
func EncodePopulationPart(p *PopulationPart) ([]byte, error) { return encode(p, MaxPart, p.consistent) }

// DecodePopulationPart reads a part.
func DecodePopulationPart(b []byte) (PopulationPart, error) {
	return decode[PopulationPart](b, MaxPart, open, (*PopulationPart).consistent)
}

// EncodeTrustPart returns a part as JSON, [TooLarge] beyond [MaxPart].
func EncodeTrustPart(p *TrustPart) ([]byte, error) { return encode(p, MaxPart, nil) }

// DecodeTrustPart reads a part.
func DecodeTrustPart(b []byte) (TrustPart, error) { return decode[TrustPart](b, MaxPart, open, nil) }

// NewBundleRequestMessage encodes and signs a request. The signer must be the
// request's agent.
func NewBundleRequestMessage(s Signer, r *BundleRequest) (Message, error) {
	subject, err := BundleSubject(r.Kind, r.Facility)
	if err != nil {
		return Message{}, err
	}
	payload, err := EncodeBundleRequest(r)
	if err != nil {
		return Message{}, err
	}
	return newMessage(s, DomainBundleRequest, r.ID, r.Agent, subject, payload)
}

// OpenBundleRequest does for a request what [OpenVisit] does for a visit.
func OpenBundleRequest(subject string, headers map[string][]string, payload []byte) (BundleRequest, error) {
	kind, facility, err := ParseBundleSubject(subject)
	if err != nil {
		return BundleRequest{}, err
	}
	if len(payload) > MaxMessage {
		return BundleRequest{}, fail(TooLarge, "")
	}
	signer, err := Verify(DomainBundleRequest, headers, payload)
	if err != nil {
		return BundleRequest{}, err
	}
	r, err := DecodeBundleRequest(payload)
	if err != nil {
		return BundleRequest{}, err
	}
	switch {
	case r.Facility != facility || r.Kind != kind:
		return BundleRequest{}, fail(WrongSubject, "facility")
	case r.Agent != signer:
		return BundleRequest{}, fail(WrongSubject, "agent")
	}
	return r, nil
}

// SignBundle encodes a manifest and signs it with the insurer's bundle key, which
// has the form of an agent's.
func SignBundle(s Signer, b *Bundle) (headers map[string][]string, payload []byte, err error) {
	if payload, err = EncodeBundle(b); err != nil {
		return nil, nil, err
	}
	if headers, err = Sign(s, DomainBundle, payload); err != nil {
		return nil, nil, err
	}
	return headers, payload, nil
}

// OpenBundle verifies that the pinned key signed a manifest, and reads it. That it
// is of the right kind and facility, and newer than what is there, is for the
// caller to decide.
func OpenBundle(pinned string, headers map[string][]string, payload []byte) (Bundle, error) {
	if len(payload) > MaxManifest {
		return Bundle{}, fail(TooLarge, "")
	}
	key, err := Verify(DomainBundle, headers, payload)
	if err != nil {
		return Bundle{}, err
	}
	if subtle.ConstantTimeCompare([]byte(key), []byte(pinned)) != 1 {
		return Bundle{}, fail(BadSignature, HeaderAgent)
	}
	return DecodeBundle(payload)
}
