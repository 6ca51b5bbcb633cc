package inspect_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
)

var errNotTransacted = errors.New("not transacted")

// isExtended reports a command with extended length fields, isChained one that is
// not the last of its chain, under secure messaging.
func isExtended(cmd []byte) bool { return len(cmd) > 5 && cmd[4] == 0 }
func isChained(cmd []byte) bool  { return cmd[0]&0x1C == 0x1C }

// A picky way to a chip does not carry some commands: it answers them with a status,
// in clear, or not at all.
type picky struct {
	resettable
	refuses func(cmd []byte) bool
	status  []byte
	refused int
}

func (p *picky) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if p.refuses(cmd) {
		p.refused++
		if p.status == nil {
			return nil, errNotTransacted
		}
		return slices.Clone(p.status), nil
	}
	return p.resettable.Transmit(ctx, cmd)
}

// The key of 2048 bits that chip authentication sends to this chip does not fit into a
// short command. However that command is refused, the other way to send it is tried
// before anything is said against the chip.
func TestLongCommandOfChipAuthentication(t *testing.T) {
	tests := []struct {
		name    string
		maxNe   int
		refuses func(cmd []byte) bool
		status  []byte
		refused int // commands
		value   result.Value
		err     error
	}{
		{"everything is carried", 65536, func([]byte) bool { return false }, nil, 0, ok, nil},
		{"short reader", 256, isExtended, nil, 0, ok, nil},
		{"reader that says nothing", 0, isExtended, nil, 0, ok, nil},
		{"reader that claims too much", 65536, isExtended, nil, 1, ok, nil},
		{"6700 to extended length", 65536, isExtended, []byte{0x67, 0x00}, 1, ok, nil},
		{"6E00 to extended length", 65536, isExtended, []byte{0x6E, 0x00}, 1, ok, nil},
		{"6D00 to extended length", 65536, isExtended, []byte{0x6D, 0x00}, 1, ok, nil},
		{"6884 to a chain", 256, isChained, []byte{0x68, 0x84}, 1, ok, nil},
		{"6E00 to a chain", 256, isChained, []byte{0x6E, 0x00}, 1, ok, nil},
		// A copy can do no better than to refuse both.
		{"6700 to both", 65536, func(cmd []byte) bool { return isExtended(cmd) || isChained(cmd) }, []byte{0x67, 0x00}, 2, bad, inspect.ErrCopy},
		{"neither is carried", 65536, func(cmd []byte) bool { return isExtended(cmd) || isChained(cmd) }, nil, 2, result.Aborted, inspect.ErrInterrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := chip.Build(chip.ProfilePassportEAC, chip.Options{At: at, Keys: matrixKeys})
			if err != nil {
				t.Fatal(err)
			}
			way := &picky{resettable: resettable{&terminal{chip: newChip(t, d)}}, status: tt.status}
			way.refuses = func(cmd []byte) bool { return cmd[1] == insMSE && tt.refuses(cmd) }
			r, err := inspect.Run(t.Context(), way, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), MaxNe: tt.maxNe})
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if c := r.Check(inspect.ChipAuthentication); c.Value != tt.value {
				t.Errorf("chip authentication %v, want %v", c, tt.value)
			}
			if way.refused != tt.refused || way.resets != tt.refused && err == nil {
				t.Errorf("%d commands refused, want %d; %d resets", way.refused, tt.refused, way.resets)
			}
			chained := slices.Contains(r.Deviations, chipauth.DevChained)
			if want := tt.maxNe > 256 && tt.refused > 0; err == nil && chained != want {
				t.Errorf("deviations %q", r.Deviations)
			}
		})
	}
}

// Without a way to reset the chip there is no second try, and so no verdict.
func TestLongCommandWithoutReset(t *testing.T) {
	d, err := chip.Build(chip.ProfilePassportEAC, chip.Options{At: at, Keys: matrixKeys})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{chip: newChip(t, d)}
	term.answer = func(cmd, resp []byte) []byte {
		if cmd[1] == insMSE {
			return []byte{0x67, 0x00}
		}
		return resp
	}
	r, err := inspect.Run(t.Context(), term, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA)})
	if !errors.Is(err, inspect.ErrInterrupted) || errors.Is(err, inspect.ErrCopy) {
		t.Errorf("error %v", err)
	}
	wantCheck(t, r, inspect.ChipAuthentication, result.Aborted, inspect.ReasonInterrupted)
}
