package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// An exchangedChip is a way to a chip that somebody else controls: it goes to the
// first one until an exchange fails, and after the reset that follows to another.
type exchangedChip struct {
	first, other *chip.Chip
	after        int    // exchanges with the first
	status       []byte // what the terminal gets then; nil: no answer
	exchanged    bool
}

func (e *exchangedChip) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	switch {
	case e.exchanged:
		return e.other.Transmit(ctx, cmd)
	case e.after > 0:
		e.after--
		return e.first.Transmit(ctx, cmd)
	case e.status != nil:
		return bytes.Clone(e.status), nil
	}
	return nil, errLost
}

func (e *exchangedChip) Reset(context.Context) error {
	e.exchanged = true
	e.other.Reset()
	return nil
}

func newChip(t *testing.T, d *chip.Document) *chip.Chip {
	t.Helper()
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// anchors is a pool of the authorities that signed the documents.
func anchors(t *testing.T, documents ...*chip.Document) *trust.Pool {
	t.Helper()
	p := trust.NewPool()
	for _, d := range documents {
		c, err := cms.ParseCertificate(d.CSCA)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Add(c, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// camDocuments are a genuine document with chip authentication mapping, and two
// others that a chip without its private key shows behind the same card access
// number: the copy of one of the same kind, and that of an old one that has no means
// against copying.
func camDocuments(t *testing.T) (genuine *chip.Document, others map[string]*chip.Document, p *trust.Pool) {
	t.Helper()
	pki, err := chip.NewPKI(chip.ProfilePassportPACECAM, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	build := func(tamper chip.Tamper) *chip.Document {
		d, err := chip.Build(chip.ProfilePassportPACECAM, chip.Options{At: at, PKI: pki, Tamper: tamper})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	genuine = build(chip.TamperNone)
	old := variant(t, chip.Variant{Signer: issuer.Algorithm{}})
	behind := build(chip.TamperClone)
	behind.Personalisation.Files = old.Personalisation.Files
	others = map[string]*chip.Document{"of the same kind": build(chip.TamperClone), "of an old document": behind}
	return genuine, others, anchors(t, genuine, old)
}

// Whenever the chip that proved its key in PACE is exchanged for another after a lost
// exchange, the other one's data does not count as a genuine chip's.
func TestAnotherChipAfterChipAuthenticationMapping(t *testing.T) {
	genuine, others, p := camDocuments(t)
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			copies, most := 0, 200
			for after := range most {
				way := &exchangedChip{first: newChip(t, genuine), other: newChip(t, other), after: after}
				if after%2 == 1 {
					way.status = []byte{0x69, 0x82} // in clear, as some chips refuse
				}
				r, err := inspect.Run(t.Context(), way, inspect.Access{CAN: genuine.CAN}, &inspect.Config{At: at, Trust: p, Photo: true})
				if !way.exchanged {
					if after < 20 {
						continue // within PACE there is no second try
					}
					if way.after > 0 {
						break // it was read before anything was lost
					}
				}
				if err == nil && way.exchanged && r.Check(inspect.ChipAuthenticity).Value != bad {
					t.Errorf("after %d exchanges: no error, chip authenticity %v", after, r.Check(inspect.ChipAuthenticity))
				}
				if errors.Is(err, inspect.ErrCopy) {
					copies++
					wantCheck(t, r, inspect.PACECAM, bad, chipauth.ReasonNotProved)
					wantCheck(t, r, inspect.ChipAuthenticity, bad, chipauth.ReasonNotProved)
				}
			}
			if copies < 10 {
				t.Errorf("%d times called a copy", copies)
			}
		})
	}
}

// The same chip proves its key again in every channel, and is read to its end.
func TestSameChipAfterChipAuthenticationMapping(t *testing.T) {
	genuine, _, p := camDocuments(t)
	reopened := 0
	for after := range 60 {
		c := newChip(t, genuine)
		way := &exchangedChip{first: c, other: c, after: after}
		r, err := inspect.Run(t.Context(), way, inspect.Access{CAN: genuine.CAN}, &inspect.Config{At: at, Trust: p, Photo: true})
		if !way.exchanged {
			continue
		}
		reopened++
		if err != nil || r.Err() != nil {
			t.Errorf("after %d exchanges: %v, %v", after, err, r.Err())
		}
	}
	if reopened < 20 {
		t.Errorf("reopened %d times", reopened)
	}
}

// A proof of PACE is none for a chip that BAC opens afterwards.
func TestFallBackToBACForgetsChipAuthenticationMapping(t *testing.T) {
	genuine, _, _ := camDocuments(t)
	old := variant(t, chip.Variant{})
	p := anchors(t, genuine, old)
	a := inspect.Access{CAN: genuine.CAN, Keys: access(t, old).Keys}
	fellBack := 0
	for after := range 40 {
		way := &exchangedChip{first: newChip(t, genuine), other: newChip(t, old), after: after, status: []byte{0x69, 0x82}}
		r, _ := inspect.Run(t.Context(), way, a, &inspect.Config{At: at, Trust: p, Photo: true, FallBackToBAC: true})
		if r.Access != "BAC 3DES" {
			continue
		}
		fellBack++
		wantCheck(t, r, inspect.PACECAM, nos, inspect.ReasonAbsent)
		if r.Check(inspect.ChipAuthenticity).Value != nos || r.Err() == nil {
			t.Errorf("after %d exchanges: chip authenticity %v", after, r.Check(inspect.ChipAuthenticity))
		}
	}
	if fellBack < 3 {
		t.Errorf("fell back %d times", fellBack)
	}
}

// A chip with chip authentication mapping that carries little in one response, and
// refuses without protection to send more, is read at the first tap.
func TestCardSecurityThroughNakedRefusals(t *testing.T) {
	v, ok := chip.ProfileVariant(chip.ProfilePassportPACECAM)
	if !ok {
		t.Fatal("no such profile")
	}
	v.ATRInfo = false
	v.Limits = chip.Limits{Plain: 192, Protected: 192, GetResponse: true, OverLimit: apdu.WrongLength}
	v.Quirks.Naked = chip.NakedEnds
	for _, all := range []bool{false, true} {
		d, err := chip.BuildVariant(v, chip.Options{At: at, Keys: matrixKeys})
		if err != nil {
			t.Fatal(err)
		}
		term := &terminal{chip: newChip(t, d)}
		r, err := inspect.Run(t.Context(), resettable{term}, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true, All: all})
		if err != nil || r.Err() != nil {
			t.Errorf("all files %v: %v, %v", all, err, r.Err())
		}
		if term.resets == 0 || r.Check(inspect.PACECAM).Value != result.Successful {
			t.Errorf("all files %v: %d resets, mapping %v", all, term.resets, r.Check(inspect.PACECAM))
		}
	}
}
