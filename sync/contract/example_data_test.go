package contract_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
)

// signer is an agent's key made from one byte: tests need names that stay.
type signer struct{ key ed25519.PrivateKey }

func newSigner(b byte) signer {
	return signer{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))}
}

func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

func (s signer) PublicKey() (string, error) {
	return contract.EncodeAgent(s.key.Public().(ed25519.PublicKey))
}

func (s signer) name(t testing.TB) string {
	t.Helper()
	name, err := s.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

const exampleID = "01890a5d-ac96-774b-bcce-b302099a8057"

var exampleTime = time.Date(2026, 3, 2, 1, 30, 0, 250e6, time.UTC)

// exampleVisit is a synthetic person's visit with everything that a visit can
// hold. The card data are not a card's: this package does not look into them.
func exampleVisit(t testing.TB) *contract.Visit {
	t.Helper()
	v := &contract.Visit{
		Version: contract.Version, ID: exampleID, Facility: "01013", Agent: newSigner(1).name(t), Operator: "Quầy 2",
		StartedAt: exampleTime, RecordedAt: exampleTime.Add(900 * time.Millisecond),
		Clock: contract.ClockSynchronised, Means: contract.MeansChip, Verified: true,
		Person: contract.Person{
			Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale, Nationality: "VNM",
			DocumentNumber: "099000001", Expiry: "2039-01-31", InsuranceNumber: "GD4010100000001",
		},
		Checks: []contract.Check{
			{ID: contract.CheckPassiveAuthentication, Result: contract.Successful, Algorithm: "ECDSA SHA-256 P-256", Millis: 4},
			{ID: contract.CheckActiveAuthentication, Result: contract.Successful, Algorithm: "RSA SHA-256", Millis: 180},
			{ID: contract.CheckChipAuthentication, Result: contract.NotSupported, Reason: "no_dg14"},
		},
		Entitlement: contract.Entitlement{
			Source: contract.SourceCache, AsOf: exampleTime.Add(-time.Hour), Status: contract.StatusValid, Code: "004",
			CardNumber: "GD4010100000001", From: "2026-01-01", To: "2026-12-31", Facility: "01013", BenefitLevel: "4",
			Area: "K1", FiveYears: "2028-01-01",
			Next:     &contract.NextCard{CardNumber: "0100000001", From: "2027-01-01", To: "2027-12-31", Facility: "01013"},
			Findings: []contract.Finding{contract.NameDiffers},
		},
		Evidence: &contract.Evidence{
			SOD: []byte{0x77, 0x01, 0x02}, DG1: []byte{0x61, 0x01, 0x03}, DG14: []byte{0x6E, 0x01, 0x04}, DG15: []byte{0x6F, 0x01, 0x05},
			Time: exampleTime, Nonce: exampleNonce(), Signature: bytes.Repeat([]byte{7}, 64),
		},
	}
	v.Evidence.Challenge = v.ExpectedChallenge()
	return v
}

func exampleNonce() *contract.Nonce {
	return &contract.Nonce{Version: contract.Version, ID: "n-000001", Value: bytes.Repeat([]byte{9}, 32), IssuedAt: exampleTime.Add(-3 * time.Minute)}
}

// manualVisit is the least that a visit can hold.
func manualVisit(t testing.TB) *contract.Visit {
	t.Helper()
	return &contract.Visit{
		Version: contract.Version, ID: exampleID, Facility: "01013", Agent: newSigner(1).name(t),
		StartedAt: exampleTime, RecordedAt: exampleTime, Clock: contract.ClockUnknown, Means: contract.MeansManual,
		Person:      contract.Person{Name: "Trần Thị Mẫu", BirthDate: "1950"},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
	}
}

func exampleRequest(t testing.TB) *contract.LookupRequest {
	t.Helper()
	return &contract.LookupRequest{
		Version: contract.Version, ID: exampleID, Facility: "01013", Agent: newSigner(1).name(t), At: exampleTime,
		Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31",
	}
}

func exampleResponse(t testing.TB) *contract.LookupResponse {
	t.Helper()
	e := exampleVisit(t).Entitlement
	e.Source, e.Findings = contract.SourceCentral, nil
	return &contract.LookupResponse{
		Version: contract.Version, ID: exampleID, At: exampleTime, Entitlement: e,
		Person: &contract.Insured{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999", Sex: contract.SexMale},
	}
}

func exampleVerdict(t testing.TB) *contract.Verdict {
	t.Helper()
	return &contract.Verdict{
		Version: contract.Version, Visit: exampleID, Agent: newSigner(1).name(t), State: contract.VerdictAccepted,
		Assurance: contract.AssuranceChip, At: exampleTime.Add(2 * time.Second),
		Presence: &contract.Presence{From: exampleTime.Add(-3 * time.Minute), To: exampleTime.Add(time.Second)},
	}
}

func exampleStatus(t testing.TB) *contract.Status {
	t.Helper()
	return &contract.Status{
		Version: contract.Version, Agent: newSigner(1).name(t), Facility: "01013", At: exampleTime, Clock: contract.ClockSynchronised,
		Software: "0.1.0", Build: "58dd7f0c1a2b", Reader: contract.ReaderPresent,
		Queued: 3, Stored: 1, Rejected: 0, Oldest: exampleTime.Add(-time.Hour), Nonce: exampleTime.Add(-3 * time.Minute),
		Trust: exampleTime.Add(-30 * time.Hour), Population: exampleTime.Add(-5 * time.Hour), Malformed: 2,
	}
}

func exampleBundle() *contract.Bundle {
	return &contract.Bundle{
		Version: contract.Version, Kind: contract.BundlePopulation, Facility: "01013", Serial: 1772415000250, Base: 1772328600000,
		IssuedAt: exampleTime, Entries: 2, Parts: []contract.BundlePart{{SHA256: bytes.Repeat([]byte{1}, 32), Size: 900}},
	}
}

func exampleBundleRequest(t testing.TB) *contract.BundleRequest {
	t.Helper()
	return &contract.BundleRequest{
		Version: contract.Version, ID: exampleID, Facility: "01013", Agent: newSigner(1).name(t), At: exampleTime,
		Kind: contract.BundlePopulation, Have: 1772328600000, Serial: 1772415000250, Base: 1772328600000, Part: 1,
	}
}

func examplePopulation(t testing.TB) *contract.PopulationPart {
	t.Helper()
	e := exampleVisit(t).Entitlement
	e.Source, e.Findings = contract.SourcePopulation, nil
	return &contract.PopulationPart{Version: contract.Version, People: []contract.Registered{
		{
			Number: "001099000001", InsuranceNumber: "GD4010100000001", Entitlement: &e,
			Person: &contract.Insured{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale},
		},
		{Number: "001050000002", Removed: true},
	}}
}

func exampleTrust() *contract.TrustPart {
	return &contract.TrustPart{Version: contract.Version, Pieces: []contract.TrustPiece{{DER: []byte{0x30, 0x00}}, {DER: []byte{0x30, 0x01, 0x00}, Removed: true}}}
}

func exampleEnrolRequest(t testing.TB) *contract.EnrolRequest {
	t.Helper()
	code, err := contract.NewEnrolCode(bytes.NewReader(bytes.Repeat([]byte{11, 40}, 9)))
	if err != nil {
		t.Fatal(err)
	}
	return &contract.EnrolRequest{
		Version: contract.Version, Agent: newSigner(1).name(t), Code: code.Text(), Seal: "X" + strings.Repeat("A", 55),
	}
}

func exampleEnrolAnswer(t testing.TB) *contract.EnrolAnswer {
	t.Helper()
	return &contract.EnrolAnswer{
		Version: contract.Version, Agent: newSigner(1).name(t), Facility: "01013", JWT: "e30.e30.c2ln", CA: []byte{0x30, 0x00},
		BundleKey: newSigner(2).name(t), Servers: []contract.EnrolServer{{URL: "tls://central.example:4222"}, {URL: "tls://[2001:db8::1]:4222"}},
	}
}

// codec drives one message type through its functions.
type codec struct {
	name   string // of the schema
	value  any
	decode func([]byte) (any, error)
	encode func(any) ([]byte, error)
	zero   any
}

func codecOf[T any](name string, value *T, encode func(*T) ([]byte, error), decode func([]byte) (T, error)) codec {
	var zero T
	return codec{
		name: name, value: *value, zero: zero,
		decode: func(b []byte) (any, error) { return decode(b) },
		encode: func(v any) ([]byte, error) {
			m := v.(T)
			return encode(&m)
		},
	}
}

func codecs(t testing.TB) []codec {
	t.Helper()
	return []codec{
		codecOf("visit", exampleVisit(t), contract.EncodeVisit, contract.DecodeVisit),
		codecOf("lookup-request", exampleRequest(t), contract.EncodeLookupRequest, contract.DecodeLookupRequest),
		codecOf("lookup-response", exampleResponse(t), contract.EncodeLookupResponse, contract.DecodeLookupResponse),
		codecOf("verdict", exampleVerdict(t), contract.EncodeVerdict, contract.DecodeVerdict),
		codecOf("nonce", exampleNonce(), contract.EncodeNonce, contract.DecodeNonce),
		codecOf("status", exampleStatus(t), contract.EncodeStatus, contract.DecodeStatus),
		codecOf("bundle", exampleBundle(), contract.EncodeBundle, contract.DecodeBundle),
		codecOf("bundle-request", exampleBundleRequest(t), contract.EncodeBundleRequest, contract.DecodeBundleRequest),
		codecOf("population-part", examplePopulation(t), contract.EncodePopulationPart, contract.DecodePopulationPart),
		codecOf("trust-part", exampleTrust(), contract.EncodeTrustPart, contract.DecodeTrustPart),
		codecOf("enrol-request", exampleEnrolRequest(t), contract.EncodeEnrolRequest, contract.DecodeEnrolRequest),
		codecOf("enrol-answer", exampleEnrolAnswer(t), contract.EncodeEnrolAnswer, contract.DecodeEnrolAnswer),
	}
}
