package inspect_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

const paceGM = "PACE ECDH-GM AES-128 brainpoolP256r1"

// Instructions that tell the access protocols apart.
const (
	insMSE                  = 0x22
	insExternalAuthenticate = 0x82
	insGeneralAuthenticate  = 0x86
)

// A terminal is the way to a chip: it counts commands and may change answers.
type terminal struct {
	chip   *chip.Chip
	sent   []byte // instructions
	resets int

	answer   func(cmd, resp []byte) []byte // nil: as the chip says
	resetErr error
}

func (c *terminal) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	c.sent = append(c.sent, cmd[1])
	resp, err := c.chip.Transmit(ctx, cmd)
	if err == nil && c.answer != nil {
		resp = c.answer(cmd, resp)
	}
	return resp, err
}

func (c *terminal) count(ins byte) (n int) {
	for _, i := range c.sent {
		if i == ins {
			n++
		}
	}
	return n
}

// resettable is a terminal that can reset the chip.
type resettable struct{ *terminal }

func (c resettable) Reset(context.Context) error {
	c.resets++
	if c.resetErr == nil {
		c.chip.Reset()
	}
	return c.resetErr
}

// paceDocument builds a document that offers PACE and BAC; change may alter
// its chip before it is made.
func paceDocument(t *testing.T, change func(*chip.Personalisation)) (term *terminal, a inspect.Access, can string, p *trust.Pool) {
	t.Helper()
	d, err := chip.Build(chip.ProfileCCCDPACE, chip.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(d.Personalisation)
	}
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	if d.CAN == "" {
		t.Fatal("the document has no card access number")
	}
	return &terminal{chip: c}, access(t, d), d.CAN, pool(t, d.CSCA)
}

func wrongKeyFor(t *testing.T) mrz.Key {
	t.Helper()
	key, err := mrz.NewKey("000000000", "000101", "991231")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func otherCAN(can string) string {
	if can == "123456" {
		return "654321"
	}
	return "123456"
}

func TestPACE(t *testing.T) {
	tests := []struct {
		name   string
		access func(a inspect.Access, can string) inspect.Access
		key    int
	}{
		{"with the MRZ", func(a inspect.Access, _ string) inspect.Access { return a }, 0},
		{"with the CAN", func(_ inspect.Access, can string) inspect.Access { return inspect.Access{CAN: can} }, -1},
		{"with the CAN rather than the MRZ", func(a inspect.Access, can string) inspect.Access {
			a.CAN = can
			return a
		}, -1},
		{"with the second key", func(a inspect.Access, _ string) inspect.Access {
			a.Keys = slices.Insert(slices.Clone(a.Keys), 0, wrongKeyFor(t))
			return a
		}, 1},
		{"with the MRZ after a wrong CAN", func(a inspect.Access, can string) inspect.Access {
			a.CAN = otherCAN(can)
			return a
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, only := range []bool{false, true} {
				term, a, can, p := paceDocument(t, func(pers *chip.Personalisation) { pers.NoBAC = only })
				r, err := inspect.Run(t.Context(), term, tt.access(a, can), &inspect.Config{At: at, Trust: p, Photo: true})
				if err != nil {
					t.Fatal(err)
				}
				if r.Access != paceGM || r.Key != tt.key || r.Check(inspect.AccessControl) != result.Pass(paceGM) {
					t.Errorf("access %q with key %d, want %q with %d: %+v", r.Access, r.Key, paceGM, tt.key, r.Check(inspect.AccessControl))
				}
				if r.Err() != nil || !r.TextVerified() || r.Photo == nil {
					t.Errorf("not verified: %v", r.Err())
				}
				if len(r.Deviations) != 0 || term.count(insExternalAuthenticate) != 0 {
					t.Errorf("deviations %q, %d EXTERNAL AUTHENTICATE", r.Deviations, term.count(insExternalAuthenticate))
				}
			}
		})
	}
}

// wantRefused checks the outcome of an inspection that did not open the chip.
func wantRefused(t *testing.T, r *inspect.Report, err, want error, reason result.Reason) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	if c := r.Check(inspect.AccessControl); c.Value == result.Successful || c.Reason != reason {
		t.Errorf("access control %+v, want reason %s", c, reason)
	}
	if r.Access != "" || r.Key != -1 || r.Err() == nil {
		t.Errorf("access %q, key %d, %v", r.Access, r.Key, r.Err())
	}
}

func TestPACEWrongPassword(t *testing.T) {
	tests := []struct {
		name   string
		access func(t *testing.T, can string) inspect.Access
		tries  int
	}{
		{"CAN", func(_ *testing.T, can string) inspect.Access { return inspect.Access{CAN: otherCAN(can)} }, 1},
		{"malformed CAN", func(*testing.T, string) inspect.Access { return inspect.Access{CAN: "12345O"} }, 0},
		{"MRZ", func(t *testing.T, _ string) inspect.Access {
			return inspect.Access{Keys: []mrz.Key{wrongKeyFor(t), wrongKeyFor(t)}}
		}, 2},
		{"more keys than are tried", func(t *testing.T, _ string) inspect.Access {
			return inspect.Access{Keys: slices.Repeat([]mrz.Key{wrongKeyFor(t)}, 50)}
		}, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			term, _, can, p := paceDocument(t, nil)
			r, err := inspect.Run(t.Context(), resettable{term}, tt.access(t, can), &inspect.Config{At: at, Trust: p, FallBackToBAC: true})
			wantRefused(t, r, err, inspect.ErrWrongKey, inspect.ReasonWrongKey)
			if n := term.count(insMSE); n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
			if term.resets != 0 || term.count(insExternalAuthenticate) != 0 {
				t.Error("BAC was tried with a key that PACE refused")
			}
		})
	}
}

// isToken reports the last command of PACE.
func isToken(cmd []byte) bool { return cmd[0] == 0 && cmd[1] == insGeneralAuthenticate }

// A chip that counts tries is asked once only.
func TestPACECountsTries(t *testing.T) {
	term, a, _, p := paceDocument(t, nil)
	term.answer = func(cmd, resp []byte) []byte {
		if isToken(cmd) {
			return []byte{0x63, 0xC2}
		}
		return resp
	}
	a.Keys = slices.Repeat(a.Keys[:1], 3)
	r, err := inspect.Run(t.Context(), term, a, &inspect.Config{At: at, Trust: p})
	wantRefused(t, r, err, inspect.ErrWrongKey, inspect.ReasonWrongKey)
	sw, _ := errors.AsType[apdu.Status](err)
	if n, ok := sw.Retries(); n != 2 || !ok || term.count(insMSE) != 1 {
		t.Errorf("%d tries left (%v) after %d tries", n, ok, term.count(insMSE))
	}
}

// A chip that takes no card access number is opened with the MRZ.
func TestPACEWithoutCAN(t *testing.T) {
	for _, sw := range []string{"6a88", "6a80"} {
		t.Run(sw, func(t *testing.T) {
			term, a, can, p := paceDocument(t, nil)
			a.CAN = can
			term.answer = func(cmd, resp []byte) []byte {
				if cmd[1] == insMSE && strings.Contains(hex.EncodeToString(cmd), "830102") {
					b, _ := hex.DecodeString(sw)
					return b
				}
				return resp
			}
			r, err := inspect.Run(t.Context(), term, a, &inspect.Config{At: at, Trust: p})
			if sw == "6a80" { // says nothing about the password
				wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
				return
			}
			if err != nil || r.Access != paceGM || r.Key != 0 {
				t.Errorf("access %q with key %d, %v", r.Access, r.Key, err)
			}
		})
	}
}

func TestCANWithoutPACE(t *testing.T) {
	c, a, p := document(t, chip.ProfileCCCD, chip.TamperNone)
	r, err := inspect.Run(t.Context(), c, inspect.Access{CAN: "123456"}, &inspect.Config{At: at, Trust: p})
	wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
	if err == nil || !strings.Contains(err.Error(), "no usable PACE") {
		t.Errorf("the text does not say why: %v", err)
	}
	// With a key beside it BAC goes on.
	c.Reset()
	a.CAN = "123456"
	r, err = inspect.Run(t.Context(), c, a, &inspect.Config{At: at, Trust: p})
	if err != nil || r.Access != "BAC 3DES" || r.Key != 0 {
		t.Errorf("access %q with key %d, %v", r.Access, r.Key, err)
	}
}

// What becomes of a PACE that fails, at every one of its steps.
func TestPACEFails(t *testing.T) {
	faults := map[string]func(cmd, resp []byte) []byte{
		"protocol refused": func(cmd, resp []byte) []byte {
			if cmd[1] == insMSE && cmd[2] == 0xC1 { // of PACE, not of chip authentication
				return []byte{0x6A, 0x80}
			}
			return resp
		},
		"nonce refused": func(cmd, resp []byte) []byte {
			if cmd[1] == insGeneralAuthenticate && len(cmd) == 8 {
				return []byte{0x69, 0x85}
			}
			return resp
		},
		"ephemeral key altered": func(cmd, resp []byte) []byte {
			if cmd[1] == insGeneralAuthenticate && len(resp) > 60 {
				resp[20] ^= 1
			}
			return resp
		},
		"token altered": func(cmd, resp []byte) []byte {
			if isToken(cmd) {
				resp[5] ^= 1
			}
			return resp
		},
		"channel broken": func(cmd, resp []byte) []byte {
			if cmd[0] == 0x0C && cmd[1] == 0xA4 {
				return []byte{0x69, 0x88}
			}
			return resp
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			// Without permission, or without a way to reset, it is final.
			for _, fallBack := range []bool{false, true} {
				term, a, _, p := paceDocument(t, nil)
				term.answer = fault
				var through apdu.Transceiver = term
				if !fallBack {
					through = resettable{term}
				}
				r, err := inspect.Run(t.Context(), through, a, &inspect.Config{At: at, Trust: p, FallBackToBAC: fallBack})
				want, reason := inspect.ErrAccess, inspect.ReasonRefused
				if name == "channel broken" {
					want, reason = inspect.ErrInterrupted, inspect.ReasonInterrupted
				}
				wantRefused(t, r, err, want, reason)
				if term.count(insExternalAuthenticate) != 0 || term.resets != 0 {
					t.Errorf("BAC was tried, after %d resets", term.resets)
				}
			}

			term, a, can, p := paceDocument(t, nil)
			term.answer = fault
			cfg := &inspect.Config{At: at, Trust: p, FallBackToBAC: true}
			r, err := inspect.Run(t.Context(), resettable{term}, a, cfg)
			if name == "channel broken" {
				// The fault is in BAC's channel as well; here it only matters
				// that BAC was tried after a reset.
				if term.resets != 1 || term.count(insExternalAuthenticate) != 1 {
					t.Errorf("%d resets, %d EXTERNAL AUTHENTICATE", term.resets, term.count(insExternalAuthenticate))
				}
				return
			}
			if err != nil || r.Err() != nil {
				t.Fatalf("BAC: %v, %v", err, r.Err())
			}
			if r.Access != "BAC 3DES" || r.Key != 0 || term.resets != 1 || !slices.Equal(r.Deviations, []string{"PACE failed, BAC used"}) {
				t.Errorf("access %q with key %d after %d resets, deviations %q", r.Access, r.Key, term.resets, r.Deviations)
			}

			// A card access number does not open BAC.
			term, _, _, _ = paceDocument(t, nil)
			term.answer = fault
			r, err = inspect.Run(t.Context(), resettable{term}, inspect.Access{CAN: can}, cfg)
			wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
			if term.resets != 0 {
				t.Error("reset for nothing")
			}

			// The reader loses the card in the reset.
			term, a, _, _ = paceDocument(t, nil)
			term.answer, term.resetErr = fault, errors.New("no card")
			r, err = inspect.Run(t.Context(), resettable{term}, a, cfg)
			wantRefused(t, r, err, inspect.ErrInterrupted, inspect.ReasonInterrupted)
			if !errors.Is(err, term.resetErr) {
				t.Errorf("the cause is hidden: %v", err)
			}
		})
	}
}

// An offer that cannot be used is no more than none.
func TestUnusableCardAccess(t *testing.T) {
	tests := []struct {
		name, content string
		deviations    []string
	}{
		{"malformed", "3103300506", []string{"EF.CardAccess is malformed, BAC used"}},
		{"empty", "3100", nil},
		{"no parameters", "3111300f060a04007f00070202040202020102", []string{"pace_info_without_parameter_id", "PACE is offered in no supported variant, BAC used"}},
		{"unknown mapping", "31143012060a04007f0007020204070202010202010d", []string{"PACE is offered in no supported variant, BAC used"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			content, err := hex.DecodeString(tt.content)
			if err != nil {
				t.Fatal(err)
			}
			term, a, can, p := paceDocument(t, func(pers *chip.Personalisation) {
				i := slices.IndexFunc(pers.MasterFiles, func(f chip.File) bool { return f.ID == 0x011C })
				pers.MasterFiles[i].Content = content
			})
			r, err := inspect.Run(t.Context(), term, a, &inspect.Config{At: at, Trust: p})
			if err != nil || r.Err() != nil || r.Access != "BAC 3DES" || !slices.Equal(r.Deviations, tt.deviations) {
				t.Errorf("access %q, deviations %q, %v, %v", r.Access, r.Deviations, err, r.Err())
			}
			term.chip.Reset()
			r, err = inspect.Run(t.Context(), term, inspect.Access{CAN: can}, &inspect.Config{At: at, Trust: p})
			wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
			if !errors.Is(err, inspect.ErrNoCAN) {
				t.Errorf("not said that the number opens nothing: %v", err)
			}
		})
	}
}

// A card access number alone, for a chip whose PACE takes only the MRZ.
func TestCANForPACEByMRZ(t *testing.T) {
	term, _, can, p := paceDocument(t, func(pers *chip.Personalisation) { pers.CAN = "" })
	r, err := inspect.Run(t.Context(), term, inspect.Access{CAN: can}, &inspect.Config{At: at, Trust: p})
	wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
	if !errors.Is(err, inspect.ErrNoCAN) || !errors.Is(err, apdu.ReferencedDataNotFound) {
		t.Errorf("got %v", err)
	}
}

// The card goes away at any exchange of the access protocol.
func TestCardGoneDuringPACE(t *testing.T) {
	term, a, _, p := paceDocument(t, nil)
	cfg := &inspect.Config{At: at, Trust: p, FallBackToBAC: true}
	if _, err := inspect.Run(t.Context(), term, a, cfg); err != nil {
		t.Fatal(err)
	}
	last := slices.Index(term.sent, insMSE) + 5 // four GENERAL AUTHENTICATE and SELECT
	removed := errors.New("card removed")
	for n := range last + 1 {
		term.chip.Reset()
		g := &goneResettable{gone: gone{term.chip, n, removed}}
		r, err := inspect.Run(t.Context(), g, a, cfg)
		wantRefused(t, r, err, inspect.ErrInterrupted, inspect.ReasonInterrupted)
		if !errors.Is(err, removed) || errors.Is(err, pace.ErrWrongPassword) {
			t.Errorf("after %d: %v", n, err)
		}
		if g.resets != 0 || len(r.Deviations) != 0 {
			t.Errorf("after %d: %d resets, deviations %q", n, g.resets, r.Deviations)
		}
	}
}

// goneResettable is a reader that could reset a card, if it were there.
type goneResettable struct {
	gone
	resets int
}

func (g *goneResettable) Reset(context.Context) error {
	g.resets++
	return nil
}

// The keys of PACE modulo a prime need extended length: its chaining bit links the
// steps (Doc 9303-11, 4.4.4.3), so that a step cannot come in pieces.
func TestPACETooLong(t *testing.T) {
	d, err := chip.Build(chip.ProfilePassportPACEDH, chip.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	other := func(cmd []byte) bool { return cmd[1] == insMSE }
	for _, tt := range []struct {
		name    string
		refuses func([]byte) bool
		status  []byte
		too     bool
		want    error
	}{
		{"not carried", isExtended, nil, true, inspect.ErrInterrupted},
		{"refused", isExtended, []byte{0x67, 0x00}, true, inspect.ErrAccess},
		{"refused for another reason", isExtended, []byte{0x6A, 0x80}, false, inspect.ErrAccess},
		{"short command not carried", other, nil, false, inspect.ErrInterrupted},
		{"short command refused", other, []byte{0x67, 0x00}, false, inspect.ErrAccess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			card := &picky{resettable: resettable{&terminal{chip: c}}, refuses: tt.refuses, status: tt.status}
			_, err = inspect.Run(t.Context(), card, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA)})
			if !errors.Is(err, tt.want) || errors.Is(err, inspect.ErrTooLong) != tt.too {
				t.Errorf("got %v, want %v, too long %t", err, tt.want, tt.too)
			}
		})
	}
}
