package inspect_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/icao/vn"
)

var at = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

// document builds a document and what a desk would have: the access keys from
// the QR code or the MRZ, and a pool that trusts its CSCA.
func document(t *testing.T, profile string, tamper chip.Tamper) (*chip.Chip, inspect.Access, *trust.Pool) {
	t.Helper()
	d, err := chip.Build(profile, chip.Options{At: at, Tamper: tamper})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	return c, access(t, d), pool(t, d.CSCA)
}

func access(t testing.TB, d *chip.Document) inspect.Access {
	t.Helper()
	if d.QR != "" {
		q, err := vn.ParseCCCDQR(d.QR)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := q.Keys()
		if err != nil {
			t.Fatal(err)
		}
		return inspect.Access{Keys: keys}
	}
	m, err := mrz.Parse(strings.Join(d.MRZ, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := m.Key()
	if err != nil {
		t.Fatal(err)
	}
	return inspect.Access{Keys: []mrz.Key{key}}
}

func pool(t testing.TB, csca []byte) *trust.Pool {
	t.Helper()
	c, err := cms.ParseCertificate(csca)
	if err != nil {
		t.Fatal(err)
	}
	p := trust.NewPool()
	if err := p.Add(c, "test"); err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	ok  = result.Successful
	bad = result.Failed
	unk = result.Undetermined
	nos = result.NotSupported
	nop = result.NotPerformed
)

// TestProfiles reads every genuine document and asserts every check of its report.
func TestProfiles(t *testing.T) {
	// What a genuine document of the profile does not offer: its values differ
	// from Successful. No revocation list is known for any.
	common := map[inspect.ID]result.Value{inspect.Revocation: unk, inspect.PACECAM: nos}
	bac := map[inspect.ID]result.Value{inspect.CardAccess: nos}
	noDG13 := map[inspect.ID]result.Value{inspect.DG13Integrity: nos, inspect.DataConsistency: nop}
	noDG14 := map[inspect.ID]result.Value{inspect.DG14Integrity: nos, inspect.ChipAuthentication: nos}
	noCA := map[inspect.ID]result.Value{inspect.ChipAuthentication: nos}
	noAA := map[inspect.ID]result.Value{inspect.DG15Integrity: nop, inspect.ActiveAuthentication: nos}
	tests := map[string][]map[inspect.ID]result.Value{
		"cccd":              {common, bac, noDG14},
		"cccd-no-aa":        {common, bac, noDG14, noAA, {inspect.ChipAuthenticity: nos}},
		"cccd-pace":         {common},
		"passport-bac":      {common, bac, noDG13, noCA},
		"passport-pace-cam": {common, noDG13, noCA, noAA, {inspect.PACECAM: ok}},
		"passport-pace-im":  {common, noDG13, noCA},
		"passport-pace-dh":  {common, noDG13, noCA},
		"passport-ca-aes":   {common, bac, noDG13, noAA},
		"passport-eac":      {common, bac, noDG13, noAA},
		"passport-old":      {common, bac, noDG13, noDG14},
		"passport-full":     {common, noDG13},
		"passport-stubborn": {common, bac, noDG13, noCA},
	}
	for _, p := range chip.Profiles() {
		name := p.Name
		t.Run(name, func(t *testing.T) {
			list, known := tests[name]
			if !known {
				t.Fatal("the profile is not in the table")
			}
			exceptions := make(map[inspect.ID]result.Value)
			for _, m := range list {
				maps.Copy(exceptions, m)
			}
			d := inspecttest.New(t, name)
			term := resettable{&terminal{chip: d.Card(t)}} // some chips must be opened anew
			r, err := inspect.Run(t.Context(), term, d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), Photo: true, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			for _, ch := range r.Checks() {
				want := ok
				if v, is := exceptions[ch.ID]; is {
					want = v
				}
				if ch.Value != want {
					t.Errorf("%s: got %v (%s), want %v", ch.ID, ch.Value, ch.Reason, want)
				}
			}
			if !r.TextVerified() {
				t.Error("text is not verified")
			}
			if r.Photo == nil {
				t.Errorf("no photo: %s", r.PhotoNote)
			}
			if strings.HasPrefix(name, "cccd") && (r.DG13 == nil || r.DG13.Name != "Nguyễn Văn Thử") {
				t.Error("the name with tone marks is missing")
			}
			if r.Exchanges == 0 || r.Sent == 0 || r.Received == 0 {
				t.Error("nothing was counted")
			}
		})
	}
}

// TestTampered reads every kind of tampered document: each must be caught by
// the check that is there for it, and none may pass as verified.
func TestTampered(t *testing.T) {
	tests := []struct {
		tamper  chip.Tamper
		id      inspect.ID
		want    result.Value
		err     error
		profile string // empty: a citizen card
	}{
		{tamper: chip.TamperDG1, id: inspect.DG1Integrity, want: bad},
		{tamper: chip.TamperDG13, id: inspect.DG13Integrity, want: bad},
		{tamper: chip.TamperSODSignature, id: inspect.SODSignature, want: bad},
		{tamper: chip.TamperExpiredDS, id: inspect.SignerValidity, want: bad},
		{tamper: chip.TamperUnknownCSCA, id: inspect.TrustChain, want: unk},
		{tamper: chip.TamperClone, id: inspect.ChipAuthenticity, want: bad},
		{tamper: chip.TamperClone, profile: chip.ProfileCCCDPACE, id: inspect.ChipAuthenticity, want: bad, err: inspect.ErrCopy},
		{tamper: chip.TamperClone, profile: "passport-pace-cam", id: inspect.PACECAM, want: bad},
		{tamper: chip.TamperCardSecurity, profile: "passport-pace-cam", id: inspect.PACECAM, want: bad},
		{tamper: chip.TamperWrongKey, id: inspect.AccessControl, want: bad, err: inspect.ErrWrongKey},
		{tamper: chip.TamperTorn, id: inspect.ChipAuthenticity, want: nop, err: inspect.ErrInterrupted},
		{tamper: chip.TamperCardSecurity, id: inspect.ChipAuthenticity, want: nop, profile: chip.ProfilePassportPACECAM},
	}
	seen := make(map[chip.Tamper]bool)
	for _, tt := range tests {
		seen[tt.tamper] = true
		t.Run(string(tt.tamper), func(t *testing.T) {
			c, a, p := document(t, cmp.Or(tt.profile, chip.ProfileCCCD), tt.tamper)
			r, err := inspect.Run(t.Context(), c, a, &inspect.Config{At: at, Trust: p, Photo: true})
			if !errors.Is(err, tt.err) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if got := r.Check(tt.id); tt.want != nop && got.Value != tt.want {
				t.Errorf("%s: got %v (%s), want %v", tt.id, got.Value, got.Reason, tt.want)
			}
			if r.Err() == nil {
				t.Error("a tampered document satisfies the required checks")
			}
			// The text of a copy is genuine; so is that of a chip with a bad EF.CardSecurity.
			if tt.tamper != chip.TamperClone && tt.tamper != chip.TamperTorn && tt.tamper != chip.TamperCardSecurity && r.TextVerified() {
				t.Error("the text of a tampered document counts as verified")
			}
		})
	}
	for _, k := range chip.Tampers() {
		if !seen[k.Kind] {
			t.Errorf("tampering %q is not tested", k.Kind)
		}
	}
}

// gone takes the card away at one exchange.
type gone struct {
	t     *chip.Chip
	after int
	err   error
}

func (g *gone) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if g.after == 0 {
		return nil, g.err
	}
	g.after--
	return g.t.Transmit(ctx, cmd)
}

// TestCardGoneAtAnyExchange takes the card away after 0, 1, 2, ... exchanges:
// every time the cause is visible, nothing counts as verified that was not read,
// and the same chip can be read to the end afterwards.
func TestCardGoneAtAnyExchange(t *testing.T) {
	c, a, p := document(t, chip.ProfileCCCD, chip.TamperNone)
	cfg := &inspect.Config{At: at, Trust: p, Photo: true}
	whole, err := inspect.Run(t.Context(), c, a, cfg)
	if err != nil {
		t.Fatal(err)
	}
	removed := errors.New("card removed")
	for n := range whole.Exchanges {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c.Reset()
			r, err := inspect.Run(t.Context(), &gone{c, n, removed}, a, cfg)
			if !errors.Is(err, removed) || !errors.Is(err, inspect.ErrInterrupted) {
				t.Fatalf("got %v", err)
			}
			if _, ok := errors.AsType[*inspect.StepError](err); !ok {
				t.Error("the step is not named")
			}
			if r.TextVerified() && r.Check(inspect.PassiveAuthentication).Value != ok {
				t.Error("text counts as verified without passive authentication")
			}
			if r.Photo != nil {
				t.Error("a photo that was not read completely")
			}
		})
	}
	c.Reset()
	if r, err := inspect.Run(t.Context(), c, a, cfg); err != nil || r.Err() != nil {
		t.Fatalf("the next tap does not work: %v, %v", err, r.Err())
	}
}

// TestNothingGiven: without a time, a key or a pool nothing may be verified.
func TestNothingGiven(t *testing.T) {
	c, a, p := document(t, chip.ProfileCCCD, chip.TamperNone)
	if r, err := inspect.Run(t.Context(), c, a, &inspect.Config{Trust: p}); err == nil || r.Err() == nil {
		t.Error("ran without a time")
	}
	if r, err := inspect.Run(t.Context(), c, inspect.Access{}, &inspect.Config{At: at, Trust: p}); !errors.Is(err, inspect.ErrNoAccess) || r.Err() == nil {
		t.Errorf("ran without a key: %v", err)
	}
	c.Reset()
	r, err := inspect.Run(t.Context(), c, a, &inspect.Config{At: at})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Check(inspect.TrustChain); got.Value != unk || r.TextVerified() {
		t.Errorf("without a pool: %v, text verified %v", got, r.TextVerified())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := inspect.Run(ctx, c, a, &inspect.Config{At: at, Trust: p}); !errors.Is(err, context.Canceled) || r.Err() == nil {
		t.Errorf("ran with a cancelled context: %v", err)
	}
}

// TestZeroReport: a report that nobody filled in verifies nothing.
func TestZeroReport(t *testing.T) {
	for _, r := range []*inspect.Report{nil, {}} {
		if r.TextVerified() || r.Err() == nil || r.Err(inspect.Revocation) == nil {
			t.Error("an empty report verifies")
		}
	}
	for _, c := range (&inspect.Report{}).Checks() {
		if c.Value != nop {
			t.Errorf("%s is %v", c.ID, c.Value)
		}
	}
}

// Events come in order, and the text is verified before the large photo begins.
func TestR14TextIsShownBeforeThePhoto(t *testing.T) {
	c, a, p := document(t, chip.ProfileCCCD, chip.TamperNone)
	var steps []inspect.Step
	verifiedAt := -1
	_, err := inspect.Run(t.Context(), c, a, &inspect.Config{At: at, Trust: p, Photo: true, Progress: func(e inspect.Event) {
		if !e.Done {
			steps = append(steps, e.Step)
			return
		}
		if e.Step == inspect.StepVerify {
			if e.Report == nil || !e.Report.TextVerified() {
				t.Error("no verified text at the end of passive authentication")
			}
			verifiedAt = len(steps)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if verifiedAt != len(steps)-1 || steps[len(steps)-1] != inspect.StepPhoto {
		t.Errorf("steps %v, text verified after %d", steps, verifiedAt)
	}
}

// TestEndlessChip: a chip that never comes to an end is left before the queue at
// the desk notices.
func TestEndlessChip(t *testing.T) {
	key, err := mrz.NewKey("099000001", "990131", "390131")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"more, and nothing in it": "\x61\x10",
		"more, a byte each":       "\x01\x61\x10",
		"one byte of a long file": "\x6a\x90\x00",
	} {
		r, err := inspect.Run(t.Context(), &hostile{[]byte(script)}, inspect.Access{Keys: []mrz.Key{key}}, &inspect.Config{At: at})
		if err == nil || r.Exchanges > inspect.MaxAccessExchanges {
			t.Errorf("%s: %v after %d exchanges", name, err, r.Exchanges)
		}
	}
}

func FuzzHostileChip(f *testing.F) {
	f.Add([]byte{0x90, 0x00, 0x6A, 0x82})
	f.Add([]byte("\x61\x10\x6c\x00\x90\x00"))
	f.Add([]byte("\x00\x61\x10")) // there is always more, and it is nothing
	f.Add([]byte("0000\x61\x10"))
	key, err := mrz.NewKey("099000001", "990131", "390131")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answers []byte) {
		r, err := inspect.Run(t.Context(), &hostile{answers}, inspect.Access{Keys: []mrz.Key{key}}, &inspect.Config{At: at, Photo: true})
		if err == nil || r.TextVerified() || r.Err() == nil {
			t.Fatal("noise was read to the end")
		}
		if r.Exchanges > inspect.MaxAccessExchanges {
			t.Fatalf("%d exchanges", r.Exchanges)
		}
	})
}

// hostile answers each command with the next bytes of a script, and for ever
// with its last two.
type hostile struct{ script []byte }

func (h *hostile) Transmit(context.Context, []byte) ([]byte, error) {
	if len(h.script) < 2 {
		return []byte{0x6F, 0x00}, nil
	}
	n := 2 + int(h.script[0])%64
	if n > len(h.script) {
		n = len(h.script)
	}
	out := h.script[:n]
	if len(h.script) > n+2 {
		h.script = h.script[n:]
	}
	return append([]byte(nil), out...), nil
}
