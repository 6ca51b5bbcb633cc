package inspect_test

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
)

// The reference data set of the BSI from its files to the report: an expired signer
// of an issuer that nobody knows, DG15 that is not signed, DG3 and DG4 that are.
func TestBSIReferenceDataSet(t *testing.T) {
	d, err := chip.LoadBSI(os.DirFS(vectortest.Path(t, "bsi-reference-dataset")))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		at     time.Time
		signer inspect.ID
		want   bool
	}{
		"2014": {time.Date(2014, 6, 1, 0, 0, 0, 0, time.UTC), inspect.SignerValidity, true},
		"2026": {at, inspect.SignerValidity, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			var g goroutines
			r, err := inspect.Run(t.Context(), resettable{&terminal{chip: c}}, inspect.Access{Keys: []mrz.Key{d.Personalisation.AccessKey}},
				&inspect.Config{At: tt.at, Photo: true, All: true, ProbeUncovered: true, MaxNe: 4096, Overlap: g.overlap})
			if err != nil {
				t.Fatal(err)
			}
			g.wantJoined(t)
			wantCheck(t, r, inspect.SODSignature, ok, "")
			wantCheck(t, r, inspect.TrustChain, unk, passiveauth.NoTrustAnchor)
			wantCheck(t, r, inspect.ChipAuthentication, ok, "")
			wantCheck(t, r, inspect.ActiveAuthentication, unk, inspect.ReasonKeyNotCovered)
			wantCheck(t, r, inspect.KeyBinding, ok, "")
			for _, id := range []inspect.ID{inspect.DG1Integrity, inspect.DG2Integrity, inspect.DG14Integrity} {
				wantCheck(t, r, id, ok, "")
			}
			if got := r.Check(tt.signer).Value; (got == ok) != tt.want || (got == bad) == tt.want {
				t.Errorf("%s is %v", tt.signer, got)
			}
			if r.TextVerified() || r.Err() == nil || r.MRZ.PrimaryIdentifier != "MUSTERMANN" || r.Photo == nil {
				t.Errorf("verified %t, photo %t", r.TextVerified(), r.Photo != nil)
			}
			for dg, want := range map[int]inspect.GroupState{1: inspect.Read, 2: inspect.Read, 3: inspect.Denied, 4: inspect.Denied, 14: inspect.Read, 15: inspect.Read} {
				if r.Groups[dg] != want {
					t.Errorf("DG%d is %v, want %v", dg, r.Groups[dg], want)
				}
			}
			if !slices.Contains(r.Weak, "active authentication key, RSA-1024") {
				t.Errorf("weak: %q", r.Weak)
			}
		})
	}
}

// Every sample of a file, in a chip that is in order otherwise and with a good
// signature: it has its state, it is in the report exactly if its parser takes it,
// and it spoils nothing but itself.
func TestSamplesInAChip(t *testing.T) {
	var all []struct{ ID, File, Hex string }
	vectortest.JSON(t, "../lds/testdata/dg-samples.json", &all)
	unreadable := []string{"dg1-truncated", "dg11-9303-10-a5-as-printed", "dg1-wrong-tag", "com-wrong-tag"}
	for _, s := range all {
		t.Run(s.ID, func(t *testing.T) {
			content := vectortest.Hex(t, s.Hex)
			profile := chip.ProfilePassportFull
			if s.File == "DG13" || s.File == "EF.CardAccess" || s.File == "EF.ATR/INFO" {
				profile = chip.ProfileCCCDPACE
			}
			d := inspecttest.New(t, profile)
			a := d.Access(t)
			state, dg := inspect.Read, 0
			if slices.Contains(unreadable, s.ID) {
				state = inspect.Unreadable
			}
			for n := range 17 {
				if f, known := lds.DataGroup(n); known && f.Name == s.File {
					dg = n
				}
			}
			switch s.File {
			case "EF.COM":
				replace(d.Personalisation.Files, 0x011E, content)
			case "EF.CardAccess":
				replace(d.Personalisation.MasterFiles, 0x011C, content)
			case "EF.ATR/INFO":
				replace(d.Personalisation.MasterFiles, 0x2F01, content)
			default:
				d.Put(dg, content)
				if s.ID == "dg1-trailing-octets" {
					d.Groups[1] = content[:93] // what a reader makes of it
				}
				d.Sign(t)
			}
			r, err := inspect.Run(t.Context(), resettable{&terminal{chip: d.Card(t)}}, a,
				&inspect.Config{At: at, Trust: d.Pool(t), Photo: true, All: true, Strict: true, MaxNe: 4096, FallBackToBAC: true})
			if dg > 0 && r.Groups[dg] != state {
				t.Errorf("%s is %v, want %v", s.File, r.Groups[dg], state)
			}
			in := func(what string, is bool, parse error) {
				t.Helper()
				if want := parse == nil && state == inspect.Read; is != want {
					t.Errorf("%s in the report: %t; parser: %v", what, is, parse)
				}
			}
			switch s.File {
			case "DG1":
				_, parse := lds.ParseDG1(d.Groups[1])
				in("DG1", r.MRZ != nil, parse)
				if r.MRZ == nil != errors.Is(err, inspect.ErrNoData) {
					t.Errorf("error %v", err)
				}
				// Another person's text in a chip that this key opened.
				if r.MRZ != nil && r.Check(inspect.KeyBinding).Value != bad {
					t.Error("the key is bound to it")
				}
				return
			case "EF.COM":
				_, parse := lds.ParseCOM(content)
				in("EF.COM", r.COM != nil, parse)
			case "DG11":
				_, parse := lds.ParseDG11(content)
				in("DG11", r.DG11 != nil, parse)
			case "DG12":
				_, parse := lds.ParseDG12(content)
				in("DG12", r.DG12 != nil, parse)
			case "DG16":
				_, parse := lds.ParseDG16(content)
				in("DG16", r.DG16 != nil, parse)
			case "DG14": // whose key this chip does not have
				// One sample has a key on a curve of its own, which says nothing.
				if got := r.Check(inspect.ChipAuthentication).Value; got != bad && (got != unk || s.ID != "dg14-named-curve") {
					t.Error("the chip has proved a key that it does not have")
				}
				wantCheck(t, r, inspect.DG14Integrity, ok, "")
				if errors.Is(err, inspect.ErrCopy) {
					return
				}
			case "DG15":
				if r.Check(inspect.ActiveAuthentication).Value == ok || r.Err() == nil {
					t.Error("the chip has proved a key that it does not have")
				}
				wantCheck(t, r, inspect.DG15Integrity, ok, "")
			}
			if err != nil || !r.TextVerified() || r.Photo == nil {
				t.Errorf("the rest is spoiled: %v, %v", err, r.Err(inspect.GenuineIDs()...))
			}
		})
	}
}

func replace(files []chip.File, id uint16, content []byte) {
	for i, f := range files {
		if f.ID == id {
			files[i].Content = content
		}
	}
}
