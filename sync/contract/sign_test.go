package contract_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
)

// A NATS key pair is a signer, by shape.
var _ contract.Signer = nkeys.KeyPair(nil)

func TestAgentNamesAreNKeys(t *testing.T) {
	for range 50 {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		name, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		key, err := contract.DecodeAgent(name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := contract.EncodeAgent(key)
		if err != nil || again != name {
			t.Errorf("EncodeAgent = %q, %v; want %q", again, err, name)
		}
		sig, err := pair.Sign([]byte("message"))
		if err != nil || !ed25519.Verify(key, []byte("message"), sig) {
			t.Errorf("the decoded key does not verify: %v", err)
		}
		if !nkeys.IsValidPublicUserKey(again) {
			t.Error("nkeys does not know the name")
		}
	}
}

func TestDecodeAgentRefuses(t *testing.T) {
	good := newSigner(1).name(t)
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountName, err := account.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	other := byte('A')
	if good[20] == other {
		other = 'B'
	}
	tests := []struct{ name, agent string }{
		{"empty", ""},
		{"short", good[:55]},
		{"long", good + "A"},
		{"lower case", strings.ToLower(good)},
		{"one character changed", good[:20] + string(other) + good[21:]},
		{"account", accountName},
		{"not base32", good[:20] + "1" + good[21:]},
		{"line break", good[:20] + "\n" + good[20:55]},
		{"wildcard", "*"},
		{"NUL", good[:55] + "\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := contract.DecodeAgent(tt.agent)
			if !errors.Is(err, contract.Invalid) || key != nil {
				t.Errorf("DecodeAgent = %v, %v", key, err)
			}
			if contract.CheckAgent(tt.agent) == nil {
				t.Error("CheckAgent accepts it")
			}
		})
	}
	if _, err := contract.EncodeAgent(make([]byte, 31)); err == nil {
		t.Error("EncodeAgent accepts 31 bytes")
	}
}

func TestOpenVisit(t *testing.T) {
	s := newSigner(1)
	v := exampleVisit(t)
	m, err := contract.NewVisitMessage(s, v)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != v.ID || m.Subject != "ins.v1.visit.01013."+v.Agent {
		t.Errorf("message %q to %q", m.ID, m.Subject)
	}
	got, err := contract.OpenVisit(m.Subject, m.Header, m.Payload)
	if err != nil || got.ID != v.ID {
		t.Fatalf("OpenVisit = %q, %v", got.ID, err)
	}
	other := newSigner(2)
	resigned, err := contract.Sign(other, contract.DomainVisit, m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	forLookup, err := contract.Sign(s, contract.DomainLookup, m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	header := func(agent, signature []string) map[string][]string {
		return map[string][]string{contract.HeaderAgent: agent, contract.HeaderSignature: signature}
	}
	agent, signature := m.Header[contract.HeaderAgent], m.Header[contract.HeaderSignature]
	flipped, err := base64.StdEncoding.DecodeString(signature[0])
	if err != nil {
		t.Fatal(err)
	}
	flipped[10] ^= 1
	tests := []struct {
		name    string
		subject string
		header  map[string][]string
		payload []byte
		code    contract.Code
	}{
		{"payload changed", m.Subject, m.Header, bytes.Replace(m.Payload, []byte("Thử"), []byte("Thu"), 1), contract.BadSignature},
		{"white space added", m.Subject, m.Header, append(m.Payload[:len(m.Payload):len(m.Payload)], ' '), contract.BadSignature},
		{"signature flipped", m.Subject, header(agent, []string{base64.StdEncoding.EncodeToString(flipped)}), m.Payload, contract.BadSignature},
		{"signature short", m.Subject, header(agent, []string{signature[0][4:]}), m.Payload, contract.BadSignature},
		{"signature with line break", m.Subject, header(agent, []string{signature[0][:87] + "\n"}), m.Payload, contract.BadSignature},
		{"no headers", m.Subject, nil, m.Payload, contract.BadSignature},
		{"two signatures", m.Subject, header(agent, []string{signature[0], signature[0]}), m.Payload, contract.BadSignature},
		{"two agents", m.Subject, header([]string{agent[0], agent[0]}, signature), m.Payload, contract.BadSignature},
		{"another agent's name", m.Subject, header([]string{other.name(t)}, signature), m.Payload, contract.BadSignature},
		{"another agent's signature", m.Subject, resigned, m.Payload, contract.WrongSubject},
		{"signed as a lookup", m.Subject, forLookup, m.Payload, contract.BadSignature},
		{"another facility's subject", strings.Replace(m.Subject, "01013", "01014", 1), m.Header, m.Payload, contract.WrongSubject},
		{"another agent's subject", "ins.v1.visit.01013." + other.name(t), m.Header, m.Payload, contract.WrongSubject},
		{"not a visit's subject", "ins.v1.lookup.01013", m.Header, m.Payload, contract.WrongSubject},
		{"too large", m.Subject, m.Header, make([]byte, contract.MaxVisit+1), contract.TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := contract.OpenVisit(tt.subject, tt.header, tt.payload)
			if !errors.Is(err, tt.code) {
				t.Errorf("error = %v, want %v", err, tt.code)
			}
			if got.ID != "" {
				t.Error("a visit and an error")
			}
		})
	}
	if _, err := contract.NewVisitMessage(other, v); !errors.Is(err, contract.WrongSubject) {
		t.Errorf("signing another agent's visit: %v", err)
	}
}

func TestOpenLookupAndStatus(t *testing.T) {
	s := newSigner(1)
	m, err := contract.NewLookupMessage(s, exampleRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.OpenLookup(m.Subject, m.Header, m.Payload); err != nil {
		t.Error(err)
	}
	if _, err := contract.OpenLookup("ins.v1.lookup.01014", m.Header, m.Payload); !errors.Is(err, contract.WrongSubject) {
		t.Errorf("another facility: %v", err)
	}
	// A lookup, with its signature, sent as a visit.
	if _, err := contract.OpenVisit("ins.v1.visit.01013."+s.name(t), m.Header, m.Payload); !errors.Is(err, contract.BadSignature) {
		t.Errorf("as a visit: %v", err)
	}
	st, err := contract.NewStatusMessage(s, exampleStatus(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.OpenStatus(st.Subject, st.Header, st.Payload); err != nil {
		t.Error(err)
	}
	if _, err := contract.OpenStatus("ins.v1.agent."+newSigner(2).name(t)+".status", st.Header, st.Payload); !errors.Is(err, contract.WrongSubject) {
		t.Errorf("another agent's status: %v", err)
	}
}

// badSigner signs with one key and names another.
type badSigner struct{ signer }

func (b badSigner) PublicKey() (string, error) { return newSigner(9).PublicKey() }

func TestSignFindsAWrongKey(t *testing.T) {
	if h, err := contract.Sign(badSigner{newSigner(1)}, contract.DomainVisit, []byte("{}")); !errors.Is(err, contract.BadSignature) || h != nil {
		t.Errorf("Sign = %v, %v", h, err)
	}
}

// TestSignedBytesAreNoText: a NATS server chooses the text that an agent signs
// at connect time; it must not be able to choose a visit.
func TestSignedBytesAreNoText(t *testing.T) {
	for _, d := range []contract.Domain{contract.DomainVisit, contract.DomainLookup, contract.DomainStatus} {
		if utf8.Valid(contract.SignedBytes(d, []byte("{}"))) {
			t.Errorf("%s: the signed bytes could be a JSON string", d)
		}
	}
	a := contract.SignedBytes("visit", []byte("x"))
	b := contract.SignedBytes("visitx", nil)
	if bytes.Equal(a, b) {
		t.Error("domain and payload run into each other")
	}
}

func TestChallengeDefinition(t *testing.T) {
	// Written out by hand from the definition in the comment.
	at := time.UnixMilli(0x0102030405)
	var b []byte
	for _, part := range []string{
		"\x00\x00\x00\x2achamthe active authentication challenge v1",
		"\x00\x00\x00\x0501013",
		"\x00\x00\x00\x02UA",
		"\x00\x00\x00\x02id",
		"\x00\x00\x00\x08\x00\x00\x00\x01\x02\x03\x04\x05",
		"\x00\x00\x00\x03abc",
	} {
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	got := contract.Challenge("01013", "UA", "id", at, []byte("abc"))
	if !bytes.Equal(got[:], sum[:8]) {
		t.Errorf("Challenge = %x, want %x", got, sum[:8])
	}
	// Pinned: chips have signed it.
	if h := hex.EncodeToString(got[:]); h != pinnedChallenge {
		t.Errorf("Challenge = %s, want %s", h, pinnedChallenge)
	}
}

func TestChallengeDependsOnEverything(t *testing.T) {
	base := exampleVisit(t)
	seen := map[contract.RNDIFD]string{base.ExpectedChallenge(): "unchanged"}
	if base.Evidence.Challenge != base.ExpectedChallenge() {
		t.Error("the example's challenge is not its own")
	}
	for name, change := range map[string]func(*contract.Visit){
		"facility":    func(v *contract.Visit) { v.Facility = "01014" },
		"agent":       func(v *contract.Visit) { v.Agent = newSigner(2).name(t) },
		"id":          func(v *contract.Visit) { v.ID = strings.Replace(v.ID, "0", "1", 1) },
		"time":        func(v *contract.Visit) { v.Evidence.Time = v.Evidence.Time.Add(time.Millisecond) },
		"nonce":       func(v *contract.Visit) { v.Evidence.Nonce.Value[0]++ },
		"no nonce":    func(v *contract.Visit) { v.Evidence.Nonce = nil },
		"shifted":     func(v *contract.Visit) { v.Facility, v.Agent = v.Facility+v.Agent[:1], v.Agent[1:] },
		"shifted far": func(v *contract.Visit) { v.Agent, v.ID = v.Agent+v.ID[:1], v.ID[1:] },
	} {
		v := exampleVisit(t)
		change(v)
		c := v.ExpectedChallenge()
		if other, has := seen[c]; has {
			t.Errorf("%s and %s share a challenge", name, other)
		}
		seen[c] = name
	}
	if (&contract.Visit{}).ExpectedChallenge() != (contract.RNDIFD{}) {
		t.Error("a visit without evidence has a challenge")
	}
}

func TestSubjects(t *testing.T) {
	agent := newSigner(1).name(t)
	tests := []struct {
		name string
		make func() (string, error)
		want string
	}{
		{"visit", func() (string, error) { return contract.VisitSubject("01013", agent) }, "ins.v1.visit.01013." + agent},
		{"lookup", func() (string, error) { return contract.LookupSubject("01013") }, "ins.v1.lookup.01013"},
		{"nonce", func() (string, error) { return contract.NonceSubject("01013") }, "ins.v1.nonce.01013"},
		{"verdict", func() (string, error) { return contract.VerdictSubject(agent) }, "ins.v1.verdict." + agent},
		{"status", func() (string, error) { return contract.StatusSubject(agent) }, "ins.v1.agent." + agent + ".status"},
		{"bundle", func() (string, error) { return contract.BundleSubject(contract.BundlePopulation, "01013") }, "ins.v1.bundle.population.01013"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.make()
			if err != nil || got != tt.want {
				t.Errorf("= %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "*", ">", "a.b", "a b", "a\tb", "a\r\n", "$JS", "é", "a\x00", strings.Repeat("a", 33)} {
		if s, err := contract.VisitSubject(bad, agent); err == nil {
			t.Errorf("VisitSubject(%q) = %q", bad, s)
		}
		if s, err := contract.VisitSubject("01013", bad); err == nil {
			t.Errorf("VisitSubject with agent %q = %q", bad, s)
		}
		if s, err := contract.LookupSubject(bad); err == nil {
			t.Errorf("LookupSubject(%q) = %q", bad, s)
		}
		if s, err := contract.NonceSubject(bad); err == nil {
			t.Errorf("NonceSubject(%q) = %q", bad, s)
		}
		if s, err := contract.VerdictSubject(bad); err == nil {
			t.Errorf("VerdictSubject(%q) = %q", bad, s)
		}
		if s, err := contract.StatusSubject(bad); err == nil {
			t.Errorf("StatusSubject(%q) = %q", bad, s)
		}
		if s, err := contract.BundleSubject(contract.BundlePopulation, bad); err == nil {
			t.Errorf("BundleSubject(%q) = %q", bad, s)
		}
	}
	if _, err := contract.BundleSubject("people", "01013"); err == nil {
		t.Error("BundleSubject of an unknown kind")
	}
	if k, f, err := contract.ParseBundleSubject("ins.v1.bundle.trust.01013"); k != contract.BundleTrust || f != "01013" || err != nil {
		t.Errorf("ParseBundleSubject = %q, %q, %v", k, f, err)
	}
	for _, bad := range []string{"", "ins.v1.bundle.trust", "ins.v1.bundle.trust.", "ins.v1.bundle.people.01013", "ins.v1.bundle.trust.01013.x", "ins.v1.lookup.01013"} {
		if _, _, err := contract.ParseBundleSubject(bad); !errors.Is(err, contract.WrongSubject) {
			t.Errorf("ParseBundleSubject(%q): %v", bad, err)
		}
	}
}

func TestParseSubjects(t *testing.T) {
	agent := newSigner(1).name(t)
	if f, a, err := contract.ParseVisitSubject("ins.v1.visit.01013." + agent); f != "01013" || a != agent || err != nil {
		t.Errorf("ParseVisitSubject = %q, %q, %v", f, a, err)
	}
	if f, err := contract.ParseLookupSubject("ins.v1.lookup.01013"); f != "01013" || err != nil {
		t.Errorf("ParseLookupSubject = %q, %v", f, err)
	}
	if f, err := contract.ParseNonceSubject("ins.v1.nonce.01013"); f != "01013" || err != nil {
		t.Errorf("ParseNonceSubject = %q, %v", f, err)
	}
	if a, err := contract.ParseVerdictSubject("ins.v1.verdict." + agent); a != agent || err != nil {
		t.Errorf("ParseVerdictSubject = %q, %v", a, err)
	}
	if a, err := contract.ParseStatusSubject("ins.v1.agent." + agent + ".status"); a != agent || err != nil {
		t.Errorf("ParseStatusSubject = %q, %v", a, err)
	}
	for _, bad := range []string{
		"", "ins.v1.visit.", "ins.v1.visit.01013", "ins.v1.visit.01013.", "ins.v1.visit.*." + agent,
		"ins.v1.visit.01013." + agent + ".x", "ins.v2.visit.01013." + agent, "x.ins.v1.visit.01013." + agent,
		"ins.v1.lookup.a.b", "ins.v1.nonce.>", "ins.v1.verdict.*", "ins.v1.agent.*.status", "ins.v1.agent." + agent,
	} {
		if _, _, err := contract.ParseVisitSubject(bad); err == nil {
			t.Errorf("ParseVisitSubject(%q)", bad)
		}
		if _, err := contract.ParseLookupSubject(bad); err == nil {
			t.Errorf("ParseLookupSubject(%q)", bad)
		}
		if _, err := contract.ParseNonceSubject(bad); err == nil {
			t.Errorf("ParseNonceSubject(%q)", bad)
		}
		if _, err := contract.ParseVerdictSubject(bad); err == nil {
			t.Errorf("ParseVerdictSubject(%q)", bad)
		}
		if _, err := contract.ParseStatusSubject(bad); err == nil {
			t.Errorf("ParseStatusSubject(%q)", bad)
		}
	}
}

func TestNewID(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	id, err := contract.NewID(at, bytes.NewReader(bytes.Repeat([]byte{0xFF}, 10)))
	if err != nil || id != "018bcfe5-6800-7fff-bfff-ffffffffffff" {
		t.Errorf("NewID = %q, %v", id, err)
	}
	if err := contract.CheckID(id); err != nil {
		t.Error(err)
	}
	if _, err := contract.NewID(at, bytes.NewReader(nil)); err == nil {
		t.Error("no randomness, no error")
	}
	last := ""
	for i := range 100 {
		id, err := contract.NewID(at.Add(time.Duration(i)*time.Millisecond), nil)
		if err != nil || contract.CheckID(id) != nil || id <= last {
			t.Fatalf("%q after %q: %v", id, last, err)
		}
		last = id
	}
}

func TestDates(t *testing.T) {
	tests := []struct {
		y, m, d int
		want    contract.Date // "" for none
	}{
		{1999, 1, 31, "1999-01-31"},
		{1999, 1, 0, "1999-01"},
		{1999, 0, 0, "1999"},
		{2024, 2, 29, "2024-02-29"},
		{2023, 2, 29, ""},
		{1999, 0, 31, ""},
		{1999, 13, 1, ""},
		{0, 0, 0, ""},
		{-1, 1, 1, ""},
		{10000, 1, 1, ""},
		{1999, 1, 100, ""},
	}
	for _, tt := range tests {
		got, err := contract.DateOf(tt.y, tt.m, tt.d)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("DateOf(%d, %d, %d) = %q, %v; want %q", tt.y, tt.m, tt.d, got, err, tt.want)
		}
		if err != nil {
			continue
		}
		if y, m, d, ok := got.Parts(); y != tt.y || m != tt.m || d != tt.d || !ok {
			t.Errorf("%q.Parts() = %d, %d, %d, %v", got, y, m, d, ok)
		}
	}
	for _, bad := range []contract.Date{"", "99", "1999-1-31", "1999/01/31", "31-01-1999", "0000-01-01", "1999-01-31T"} {
		if bad.Valid() {
			t.Errorf("%q is valid", bad)
		}
	}
}

func TestStatusOf(t *testing.T) {
	tests := []struct {
		code string
		want contract.EntitlementStatus
	}{
		{"000", contract.StatusValid},
		{"004", contract.StatusValid},
		{"010", contract.StatusNotEntitled},
		{"060", contract.StatusMismatch},
		{"101", contract.StatusRetry},
		{"401", contract.StatusLogin},
		{"205", contract.StatusConfiguration},
		{"999", contract.StatusUnknown},
		{"", contract.StatusUnknown},
	}
	for _, tt := range tests {
		if got := contract.StatusOf(tt.code); got != tt.want {
			t.Errorf("StatusOf(%q) = %v, want %v", tt.code, got, tt.want)
		}
	}
	if n := len(contract.CodeOfStatus); n != 27 {
		t.Errorf("%d codes in the table", n)
	}
}

func TestMayBeVerified(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*contract.Visit)
		want  bool
	}{
		{"all there", func(*contract.Visit) {}, true},
		{"zero", func(v *contract.Visit) { *v = contract.Visit{} }, false},
		{"QR code", func(v *contract.Visit) { v.Means = contract.MeansCCCDQR }, false},
		{"no evidence", func(v *contract.Visit) { v.Evidence = nil }, false},
		{"no DG1", func(v *contract.Visit) { v.Evidence.DG1 = nil }, false},
		{"no checks", func(v *contract.Visit) { v.Checks = nil }, false},
		{"undetermined", func(v *contract.Visit) { v.Checks[0].Result = contract.Undetermined }, false},
		{"not performed", func(v *contract.Visit) { v.Checks[0].Result = "" }, false},
		{"a clone", func(v *contract.Visit) { v.Checks[1].Result = contract.Failed }, false},
		{"no active authentication", func(v *contract.Visit) { v.Checks[1].Result = contract.NotSupported }, true},
		{"twice, once not", func(v *contract.Visit) {
			v.Checks = append(v.Checks, contract.Check{ID: contract.CheckPassiveAuthentication, Result: contract.Aborted})
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := exampleVisit(t)
			tt.spoil(v)
			if got := v.MayBeVerified(); got != tt.want {
				t.Errorf("MayBeVerified = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCloneSharesNothing(t *testing.T) {
	e := exampleVisit(t).Entitlement
	c := e.Clone()
	c.Next.CardNumber, c.Findings[0] = "x", "x"
	if e.Next.CardNumber == "x" || e.Findings[0] == "x" {
		t.Error("the clone is not one")
	}
}

const pinnedChallenge = "0cf66e78725df268"
