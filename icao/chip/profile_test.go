package chip

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
)

func seeded(seed string) *rand.ChaCha8 {
	var s [32]byte
	copy(s[:], seed)
	return rand.NewChaCha8(s)
}

// build makes a document that is the same in every run.
func build(t testing.TB, profile string, opt Options) *Document {
	t.Helper()
	if opt.Rand == nil {
		opt.Rand = seeded(profile)
	}
	d, err := Build(profile, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// insert puts a document's chip before the reference terminal.
func insert(t testing.TB, d *Document) *terminal {
	t.Helper()
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, chip: c}
}

// information is the MRZ information out of printed lines.
func information(lines []string) string {
	if len(lines) == 3 {
		return lines[0][5:15] + lines[1][0:7] + lines[1][8:15]
	}
	return lines[1][0:10] + lines[1][13:20] + lines[1][21:28]
}

// TestProfiles reads every profile with the reference terminal.
func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			d := build(t, p.Name, Options{})
			m := insert(t, d)
			if sw := m.bac(information(d.MRZ)); sw != apdu.OK {
				t.Fatalf("BAC: %04X", uint16(sw))
			}
			if got := m.read(0x1D); !bytes.Equal(got, d.SOD) {
				t.Error("EF.SOD differs")
			}
			for dg, want := range d.Groups {
				if got := m.read(byte(dg)); !bytes.Equal(got, want) {
					t.Errorf("DG%d differs", dg)
				}
			}
		})
	}
}
