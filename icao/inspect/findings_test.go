package inspect_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
)

// Tests of what a forger tries: each is a way in which a document that is not
// genuine, or not the one in hand, once looked better than it is.

// must returns a security info.
func must(t *testing.T) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// wantCheck compares one check of a report.
func wantCheck(t *testing.T, r *inspect.Report, id inspect.ID, value result.Value, reason result.Reason) {
	t.Helper()
	if c := r.Check(id); c.Value != value || c.Reason != reason {
		t.Errorf("%s: got %v %q, want %v %q", id, c.Value, c.Reason, value, reason)
	}
}

const (
	caAES128 = "0.4.0.127.0.7.2.2.3.2.2"
	caNobody = "0.4.0.127.0.7.2.2.3.2.99" // no cipher has this number
	paceCAM  = "0.4.0.127.0.7.2.2.4.6.2"  // chip authentication mapping, AES-128
	paceAES  = "0.4.0.127.0.7.2.2.4.2.2"  // generic mapping, AES-128
	paceDES  = "0.4.0.127.0.7.2.2.4.2.1"  // generic mapping, 3DES
	pace256  = "0.4.0.127.0.7.2.2.4.2.4"  // generic mapping, AES-256
	p256r1   = 13                         // brainpoolP256r1
)

// A document that announces chip authentication in the signed DG14 has to
// perform it: whatever its chip does instead, it is not proven to be no copy.
func TestAnnouncedChipAuthenticationIsOwed(t *testing.T) {
	other, err := issuer.NewECKey(nil, "brainpoolP256r1", true)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(t *testing.T, d *inspecttest.Draft) // before the issuer signs
		chip   func(d *inspecttest.Draft)               // after
		err    error
		value  result.Value // of the chip authentication
		reason result.Reason
		// authenticity is the value as a whole, with the same reason unless it is
		// not supported.
		authenticity result.Value
	}{
		{name: "performed", value: ok, authenticity: ok},
		{
			name:  "a copy that refuses",
			chip:  func(d *inspecttest.Draft) { d.Personalisation.ChipAuthentication = nil },
			value: bad, reason: chipauth.ReasonRefused, authenticity: bad,
		},
		{
			name: "a copy that refuses in clear",
			chip: func(d *inspecttest.Draft) {
				d.Personalisation.ChipAuthentication = nil
				d.Personalisation.Quirks.Naked = chip.NakedEnds
			},
			err: inspect.ErrCopy, value: bad, reason: chipauth.ReasonRefused, authenticity: bad,
		},
		{
			name: "a copy with a key of its own",
			chip: func(d *inspecttest.Draft) {
				d.Personalisation.ChipAuthentication = &chip.ChipAuthentication{Protocol: caAES128, Key: other}
			},
			err: inspect.ErrCopy, value: bad, reason: chipauth.ReasonNotProved, authenticity: bad,
		},
		{
			name: "a variant that nobody knows",
			change: func(t *testing.T, d *inspecttest.Draft) {
				d.DG14(t, must(t)(issuer.ChipAuthenticationInfo(caNobody, 1, 0)),
					must(t)(issuer.ChipAuthenticationPublicKeyInfo(d.Personalisation.ChipAuthentication.Key, 0)))
			},
			value: unk, reason: chipauth.ReasonUnsupported, authenticity: unk,
		},
		{
			name: "a protocol without a key",
			change: func(t *testing.T, d *inspecttest.Draft) {
				d.DG14(t, must(t)(issuer.ChipAuthenticationInfo(caAES128, 1, 0)))
			},
			value: bad, reason: chipauth.ReasonKey, authenticity: bad,
		},
		{
			name: "a key without a protocol, and a copy",
			change: func(t *testing.T, d *inspecttest.Draft) {
				d.DG14(t, must(t)(issuer.ChipAuthenticationPublicKeyInfo(d.Personalisation.ChipAuthentication.Key, 0)))
			},
			chip:  func(d *inspecttest.Draft) { d.Personalisation.ChipAuthentication = nil },
			value: bad, reason: chipauth.ReasonRefused, authenticity: bad,
		},
		{
			name: "DG14 that nobody understands",
			change: func(_ *testing.T, d *inspecttest.Draft) {
				d.Put(14, []byte{0x6E, 0x02, 0x04, 0x00})
			},
			value: unk, reason: inspect.ReasonMalformed, authenticity: unk,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDPACE)
			d.Omit(15) // chip authentication is all that it has
			if tt.change != nil {
				tt.change(t, d)
			}
			d.Sign(t)
			if tt.chip != nil {
				tt.chip(d)
			}
			r, err := d.Inspect(t)
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			wantCheck(t, r, inspect.DG14Integrity, ok, "")
			wantCheck(t, r, inspect.ChipAuthentication, tt.value, tt.reason)
			wantCheck(t, r, inspect.ChipAuthenticity, tt.authenticity, tt.reason)
			if (r.Err() == nil) != (tt.authenticity == ok) {
				t.Errorf("the required checks: %v", r.Err())
			}
			if tt.err != nil && (r.MRZ != nil || r.DG13 != nil || r.Photo != nil) {
				t.Error("personal data of a copy was read")
			}
		})
	}
}

// A DG14 that the signature covers cannot be dropped or exchanged to make chip
// authentication go away.
func TestSignedDG14CannotBeDropped(t *testing.T) {
	tests := []struct {
		name   string
		change func(*testing.T, *inspecttest.Draft)
		reason result.Reason
	}{
		{"withheld", func(_ *testing.T, d *inspecttest.Draft) { d.Withhold(14) }, inspect.ReasonAbsent},
		{"exchanged", func(t *testing.T, d *inspecttest.Draft) {
			d.DG14(t, must(t)(issuer.PACEInfo(paceAES, 2, p256r1)))
		}, "hash_mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDPACE)
			d.Omit(15)
			d.Sign(t)
			d.Personalisation.ChipAuthentication = nil
			tt.change(t, d)
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.DG14Integrity, bad, tt.reason)
			wantCheck(t, r, inspect.ChipAuthentication, nos, inspect.ReasonKeyAltered)
			if c := r.Check(inspect.PassiveAuthentication); c.Value != bad || r.Err() == nil {
				t.Errorf("passive authentication %v", c)
			}
		})
	}
}

// A chip with one proof that holds and one that does not is not the chip that
// was issued.
func TestOneFailedProofIsTooMuch(t *testing.T) {
	for _, which := range []inspect.ID{inspect.ChipAuthentication, inspect.ActiveAuthentication} {
		t.Run(string(which), func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDPACE)
			other := inspect.ActiveAuthentication
			if which == inspect.ChipAuthentication {
				d.Personalisation.ChipAuthentication = nil
			} else {
				d.Personalisation.ActiveAuthentication = nil
				other = inspect.ChipAuthentication
			}
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			if a, b, both := r.Check(which), r.Check(other), r.Check(inspect.ChipAuthenticity); a.Value != bad || b.Value != ok || both.Value != bad {
				t.Errorf("%s %v, the other %v, together %v", which, a.Value, b.Value, both.Value)
			}
		})
	}
}

// The key of PACE with chip authentication mapping is no offer of chip
// authentication: a document that has only this key is read to the end, and has
// not proven itself.
func TestKeyOfTheMappingAnnouncesNothing(t *testing.T) {
	d := inspecttest.New(t, chip.ProfileCCCDPACE)
	d.Omit(15)
	d.DG14(t, must(t)(issuer.PACEInfo(paceCAM, 2, p256r1)),
		must(t)(issuer.ChipAuthenticationPublicKeyInfo(d.Personalisation.ChipAuthentication.Key, p256r1)))
	d.Sign(t)
	d.CardAccess(t)
	d.Personalisation.ChipAuthentication = nil
	r, err := d.Inspect(t)
	if err != nil {
		t.Fatal(err)
	}
	wantCheck(t, r, inspect.ChipAuthentication, nos, chipauth.ReasonNotOffered)
	wantCheck(t, r, inspect.ChipAuthenticity, unk, inspect.ReasonNotTried)
}

// The offer of PACE travels in clear: it is compared with the signed one.
func TestOfferIsComparedWithTheSignedOne(t *testing.T) {
	info := func(t *testing.T, protocol string, parameter int) []byte {
		t.Helper()
		return must(t)(issuer.PACEInfo(protocol, 2, parameter))
	}
	explicit := func(t *testing.T, curve string) []byte {
		t.Helper()
		return must(t)(issuer.PACEDomainParameterInfo("0.4.0.127.0.7.2.2.4.2", curve, 32))
	}
	tests := []struct {
		name   string
		change func(t *testing.T, d *inspecttest.Draft)
		access string
		value  result.Value
		reason result.Reason
	}{
		{"as signed", nil, paceGM, ok, ""},
		{"hidden", func(t *testing.T, d *inspecttest.Draft) { d.CardAccess(t) }, "BAC 3DES", unk, inspect.ReasonOfferHidden},
		{"a weaker cipher", func(t *testing.T, d *inspecttest.Draft) {
			d.CardAccess(t, info(t, paceDES, p256r1))
			weak := *d.Personalisation.PACE
			weak.Protocol = paceDES
			d.Personalisation.PACE = &weak
		}, "PACE ECDH-GM 3DES brainpoolP256r1", bad, inspect.ReasonOfferAltered},
		{"another curve", func(t *testing.T, d *inspecttest.Draft) {
			d.CardAccess(t, info(t, paceAES, 12))
			other := *d.Personalisation.PACE
			other.ParameterID = 12
			d.Personalisation.PACE = &other
		}, "PACE ECDH-GM AES-128 P-256", bad, inspect.ReasonOfferAltered},
		{"one entry more", func(t *testing.T, d *inspecttest.Draft) {
			d.CardAccess(t, info(t, paceAES, p256r1), info(t, pace256, p256r1))
		}, paceGM, bad, inspect.ReasonOfferAltered},
		{"one entry less", func(t *testing.T, d *inspecttest.Draft) {
			d.DG14(t, info(t, paceAES, p256r1), info(t, pace256, p256r1))
			d.Sign(t)
		}, paceGM, bad, inspect.ReasonOfferAltered},
		{"another curve under the same number", func(t *testing.T, d *inspecttest.Draft) {
			d.DG14(t, info(t, paceAES, 32), explicit(t, "brainpoolP256r1"))
			d.Sign(t)
			d.CardAccess(t, info(t, paceAES, 32), explicit(t, "P-256"))
			d.Personalisation.PACE = &chip.PACE{Protocol: paceAES, ParameterID: 32, Version: 2, Curve: "P-256"}
		}, "PACE ECDH-GM AES-128 P-256", bad, inspect.ReasonOfferAltered},
		{"the same curve under the same number", func(t *testing.T, d *inspecttest.Draft) {
			d.DG14(t, info(t, paceAES, 32), explicit(t, "brainpoolP256r1"))
			d.Sign(t)
			d.CardAccess(t, info(t, paceAES, 32), explicit(t, "brainpoolP256r1"))
			d.Personalisation.PACE = &chip.PACE{Protocol: paceAES, ParameterID: 32, Version: 2, Curve: "brainpoolP256r1"}
		}, paceGM, ok, ""},
		{"in another order", func(t *testing.T, d *inspecttest.Draft) {
			// A SET that its issuer did not sort.
			a, b := info(t, paceDES, p256r1), info(t, paceAES, p256r1)
			d.DG14(t, a, b)
			d.Sign(t)
			d.CardAccess(t, b, a)
			for i, f := range d.Personalisation.MasterFiles {
				if f.ID == 0x011C {
					d.Personalisation.MasterFiles[i].Content = slices.Concat(f.Content[:2], b, a)
				}
			}
		}, paceGM, ok, ""},
		{"signed by nobody", func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(14)
			d.Sign(t)
		}, paceGM, unk, inspect.ReasonOfferUnsigned},
		{"no PACE in DG14", func(t *testing.T, d *inspecttest.Draft) {
			d.DG14(t, must(t)(issuer.TerminalAuthenticationInfo()))
			d.Sign(t)
		}, paceGM, unk, inspect.ReasonOfferUnsigned},
		{"nothing offered, nothing signed", func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(14)
			d.Sign(t)
			d.CardAccess(t)
		}, "BAC 3DES", nos, inspect.ReasonAbsent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDPACE)
			if tt.change != nil {
				tt.change(t, d)
			}
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			if r.Access != tt.access {
				t.Errorf("opened by %q, want %q", r.Access, tt.access)
			}
			wantCheck(t, r, inspect.CardAccess, tt.value, tt.reason)
		})
	}
}

// A photo that the issuer signed cannot be kept back by somebody with another
// face.
func TestSignedPhotoCannotBeWithheld(t *testing.T) {
	tests := []struct {
		name   string
		change func(*testing.T, *inspecttest.Draft)
		value  result.Value
		reason result.Reason
	}{
		{"absent", func(_ *testing.T, d *inspecttest.Draft) { d.Withhold(2) }, bad, inspect.ReasonWithheld},
		{"refused", func(_ *testing.T, d *inspecttest.Draft) { deny(d, 2) }, bad, inspect.ReasonWithheld},
		{"exchanged", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, flipLast(d.Groups[2])) }, bad, "hash_mismatch"},
		{"other tag", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, flipFirst(d.Groups[2])) }, bad, inspect.ReasonWithheld},
		{"other object", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, []byte{0x30, 0x03, 1, 2, 3}) }, bad, inspect.ReasonWithheld},
		{"no object", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, []byte{0x75, 0x85, 1, 2, 3, 4, 5, 6}) }, bad, inspect.ReasonWithheld},
		{"too large", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, []byte{0x75, 0x83, 0xFF, 0xFF, 0xFF, 1, 2, 3}) }, bad, inspect.ReasonWithheld},
		{"cut off", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, d.Groups[2][:len(d.Groups[2])/2]) }, bad, inspect.ReasonWithheld},
		{"empty", func(_ *testing.T, d *inspecttest.Draft) { d.Put(2, nil) }, bad, inspect.ReasonWithheld},
		{"not covered and not understood", func(t *testing.T, d *inspecttest.Draft) {
			b := flipFirst(d.Groups[2])
			d.Omit(2)
			d.Sign(t)
			d.Put(2, b)
		}, nos, inspect.ReasonUnreadable},
		{"never there", func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(2)
			d.Sign(t)
		}, nos, inspect.ReasonAbsent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDNoAA)
			tt.change(t, d)
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.DG2Integrity, tt.value, tt.reason)
			if c := r.Check(inspect.PassiveAuthentication); (c.Value == bad) != (tt.value == bad) {
				t.Errorf("passive authentication %v", c)
			}
			if r.Photo != nil || r.PhotoNote == "" {
				t.Errorf("photo %v, note %q", r.Photo, r.PhotoNote)
			}
		})
	}
}

// deny has the chip refuse a data group.
func deny(d *inspecttest.Draft, dg int) {
	for i, f := range d.Personalisation.Files {
		if f.ID == 0x0100+uint16(dg) {
			d.Personalisation.Files[i].Access = chip.Never
		}
	}
}

func flipFirst(b []byte) []byte {
	c := slices.Clone(b)
	c[0] ^= 1
	return c
}

func flipLast(b []byte) []byte {
	c := slices.Clone(b)
	c[len(c)-1] ^= 1
	return c
}

// Something else in the place of a signed DG13 is no DG13 that is kept back.
func TestSignedDG13CannotBeReplaced(t *testing.T) {
	for name, content := range map[string]func([]byte) []byte{
		"other tag": flipFirst,
		"exchanged": flipLast,
		"too large": func([]byte) []byte { return []byte{0x6D, 0x83, 0xFF, 0xFF, 0xFF, 1, 2} },
		"cut off":   func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCD)
			d.Put(13, content(d.Groups[13]))
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			if c := r.Check(inspect.DG13Integrity); c.Value != bad {
				t.Errorf("DG13 %v", c)
			}
			if c := r.Check(inspect.PassiveAuthentication); c.Value != bad {
				t.Errorf("passive authentication %v", c)
			}
			if r.DG13 != nil && r.TextVerified() {
				t.Error("DG13 counts as verified")
			}
		})
	}
}

// A signed DG13 that the chip keeps back is seen, and is no failure.
func TestWithheldDG13IsSeen(t *testing.T) {
	d := inspecttest.New(t, chip.ProfileCCCD)
	d.Withhold(13)
	r, err := d.Inspect(t)
	if err != nil {
		t.Fatal(err)
	}
	wantCheck(t, r, inspect.DG13Integrity, nos, inspect.ReasonAbsent)
	wantCheck(t, r, inspect.DataConsistency, nop, "")
	if !r.TextVerified() || r.DG13 != nil {
		t.Error("DG1 is not what the text is taken from")
	}
}

// A chip that opens with what is printed on a forged card and holds the signed
// data of another person is found out.
func TestKeyBelongsToTheDocument(t *testing.T) {
	forged, err := mrz.NewKey("000000001", "700101", "300101")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("own key", func(t *testing.T) {
		r, err := inspecttest.New(t, chip.ProfileCCCDPACE).Inspect(t)
		if err != nil {
			t.Fatal(err)
		}
		wantCheck(t, r, inspect.KeyBinding, ok, "")
	})
	for _, profile := range []string{chip.ProfileCCCDNoAA, chip.ProfileCCCDPACE} {
		t.Run("key of another card, "+profile, func(t *testing.T) {
			d := inspecttest.New(t, profile)
			a := d.Access(t)
			d.Personalisation.AccessKey = forged
			// The document's own key is among the candidates, and did not open it.
			a.Keys = append(a.Keys, forged)
			r, err := inspect.Run(t.Context(), d.Card(t), a, &inspect.Config{At: at, Trust: d.Pool(t)})
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.AccessControl, ok, "")
			wantCheck(t, r, inspect.DG1Integrity, ok, "")
			wantCheck(t, r, inspect.KeyBinding, bad, inspect.ReasonOtherDocument)
			if r.Key != 1 {
				t.Errorf("opened by candidate %d", r.Key)
			}
		})
	}
	t.Run("card access number", func(t *testing.T) {
		d := inspecttest.New(t, chip.ProfileCCCDPACE)
		r, err := inspect.Run(t.Context(), d.Card(t), inspect.Access{CAN: d.CAN}, &inspect.Config{At: at, Trust: d.Pool(t)})
		if err != nil {
			t.Fatal(err)
		}
		wantCheck(t, r, inspect.KeyBinding, nos, inspect.ReasonByCAN)
	})
}

// DG1 and DG13 are both signed: they have to speak of one person.
func TestDG13IsOfThePersonInDG1(t *testing.T) {
	whole := issuer.Domestic{Number: "001099000001", Name: "Nguyễn Văn Thử", DateOfBirth: "31/01/1999", DateOfIssue: "15/08/2022"}
	tests := []struct {
		name   string
		change func(*issuer.Domestic)
		value  result.Value
		reason result.Reason
	}{
		{"the same", func(*issuer.Domestic) {}, ok, ""},
		{"other name", func(d *issuer.Domestic) { d.Name = "Trần Thị Khác" }, bad, inspect.ReasonPersonMismatch},
		{"part of the name", func(d *issuer.Domestic) { d.Name = "Nguyễn Thử" }, bad, inspect.ReasonPersonMismatch},
		{"other year of birth", func(d *issuer.Domestic) { d.DateOfBirth = "31/01/1950" }, bad, inspect.ReasonPersonMismatch},
		{"other day of birth", func(d *issuer.Domestic) { d.DateOfBirth = "30/01/1999" }, bad, inspect.ReasonPersonMismatch},
		{"only a year of birth", func(d *issuer.Domestic) { d.DateOfBirth = "1999" }, ok, ""},
		{"other number", func(d *issuer.Domestic) { d.Number = "001099000002" }, bad, inspect.ReasonNumberMismatch},
		{"number that ends the same", func(d *issuer.Domestic) { d.Number = "079099000001" }, bad, inspect.ReasonNumberMismatch},
		{"no number", func(d *issuer.Domestic) { d.Number = "" }, unk, inspect.ReasonAbsent},
		{"no name", func(d *issuer.Domestic) { d.Name = "" }, unk, inspect.ReasonAbsent},
		{"no birth date", func(d *issuer.Domestic) { d.DateOfBirth = "" }, unk, inspect.ReasonAbsent},
		{"a name that hides its direction", func(d *issuer.Domestic) { d.Name = "Nguyễn Văn \u202eThử" }, unk, inspect.ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDNoAA)
			data := whole
			tt.change(&data)
			d.DG13(t, data)
			d.Sign(t)
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.DG13Integrity, ok, "")
			wantCheck(t, r, inspect.DataConsistency, tt.value, tt.reason)
			if (r.DG13 != nil) != (tt.value == ok) {
				t.Errorf("DG13 is taken: %v", r.DG13 != nil)
			}
		})
	}
}

// What another state, or a Vietnamese passport, writes into its DG13 is not
// the domestic data of a citizen card, however it looks.
func TestDG13BelongsToVietnamsCards(t *testing.T) {
	tests := []struct {
		name string
		zone []string
		want bool
	}{
		{"citizen card", inspecttest.TD1("VNM", "NGUYEN<<VAN<THU", "099000001", "VNM", "990131", "390131", "001099000001<<6"), true},
		{"card of another state", inspecttest.TD1("UTO", "NGUYEN<<VAN<THU", "099000001", "VNM", "990131", "390131", "001099000001<<6"), false},
		{"passport of Vietnam", inspecttest.TD3("VNM", "NGUYEN<<VAN<THU", "099000001", "VNM", "990131", "390131", "001099000001"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDNoAA)
			d.Zone(t, tt.zone...)
			d.Sign(t)
			r, err := d.Inspect(t)
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.DG13Integrity, ok, "")
			if (r.DG13 != nil) != tt.want || (r.Check(inspect.DataConsistency).Value == ok) != tt.want {
				t.Errorf("taken as Vietnamese data: %v, data consistency %v", r.DG13 != nil, r.Check(inspect.DataConsistency))
			}
		})
	}
}

// A key that nobody signed proves nothing, but a chip that does not even have
// that one has failed.
func TestUncoveredActiveAuthentication(t *testing.T) {
	for _, genuine := range []bool{true, false} {
		t.Run(fmt.Sprintf("key of the chip %v", genuine), func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCD)
			dg15 := d.Groups[15]
			d.Omit(15)
			d.Sign(t)
			d.Put(15, dg15)
			if !genuine {
				d.Personalisation.ActiveAuthentication = nil
			}
			r, err := inspect.Run(t.Context(), d.Card(t), d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), ProbeUncovered: true})
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.DG15Integrity, nos, inspect.ReasonNotCovered)
			if genuine {
				wantCheck(t, r, inspect.ActiveAuthentication, unk, inspect.ReasonKeyNotCovered)
				wantCheck(t, r, inspect.ChipAuthenticity, nos, inspect.ReasonKeyNotCovered)
				return
			}
			wantCheck(t, r, inspect.ActiveAuthentication, bad, activeauth.ReasonRefused)
			wantCheck(t, r, inspect.ChipAuthenticity, bad, activeauth.ReasonRefused)
		})
	}
}

// A chip that never comes to an end is left.
func TestEndlessChipIsLeft(t *testing.T) {
	d := inspecttest.New(t, chip.ProfileCCCDNoAA)
	// A large photo in small pieces, which a chip is free to hand out.
	const size = 0x3F000
	d.Put(2, append([]byte{0x75, 0x83, size >> 16, size >> 8 & 0xFF, size & 0xFF}, make([]byte, size)...))
	d.Personalisation.Limits.Protected = 48
	card := d.Card(t)
	for name, term := range map[string]apdu.Transceiver{"once": card, "and opened anew": resettable{&terminal{chip: card}}} {
		t.Run(name, func(t *testing.T) {
			card.Reset()
			r, err := inspect.Run(t.Context(), term, d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), Photo: true})
			if !errors.Is(err, inspect.ErrInterrupted) {
				t.Fatalf("got %v", err)
			}
			const bound = 5000
			if r.Exchanges > bound {
				t.Errorf("%d exchanges, want at most %d", r.Exchanges, bound)
			}
			wantCheck(t, r, inspect.DG2Integrity, result.Aborted, inspect.ReasonInterrupted)
			if e, is := errors.AsType[*inspect.StepError](err); !is || e.Step != inspect.StepPhoto {
				t.Errorf("broken off elsewhere: %v", err)
			}
		})
	}
}

type doer func(context.Context, apdu.Command) (apdu.Response, error)

func (f doer) Do(ctx context.Context, c apdu.Command) (apdu.Response, error) { return f(ctx, c) }

// A chip that answers every length with another one is corrected once.
func TestActiveAuthenticationCorrectsOneLength(t *testing.T) {
	spki, err := lds.ParseDG15(inspecttest.New(t, chip.ProfileCCCD).Groups[15])
	if err != nil {
		t.Fatal(err)
	}
	var asked []int
	_, err = activeauth.Authenticate(t.Context(), doer(func(_ context.Context, c apdu.Command) (apdu.Response, error) {
		asked = append(asked, c.Ne)
		return apdu.Response{SW: apdu.Status(0x6C00 + len(asked))}, nil
	}), spki, [8]byte{}, nil)
	if !errors.Is(err, activeauth.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if want := []int{256, 1, 65536}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v bytes, want %v", asked, want)
	}
}

// Characters that cannot be seen make one name read as another.
func TestInvisibleCharactersAreRefused(t *testing.T) {
	for _, c := range []string{
		"\u200b", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\u00ad", "\u061c", "\u0085", "\x1b", "\n", "\xff",
	} {
		name := "Nguyễn " + c + "Văn Thử"
		q, err := vn.ParseCCCDQR("001099000001||" + name + "|31011999|Nam|Hà Nội|15082022")
		if f, is := errors.AsType[*vn.FieldError](err); !is || f.Field != vn.FieldName || !errors.Is(err, vn.ErrText) || q.Name != "" || q.Number != "" {
			t.Errorf("QR code with %+q: %v", c, err)
		}
		b, err := issuer.DG13(issuer.Domestic{Number: "001099000001", Name: name, DateOfBirth: "31/01/1999"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := vn.ParseDG13(b)
		if f, is := errors.AsType[*vn.FieldError](err); !is || f.Field != vn.FieldName || !errors.Is(err, vn.ErrText) || d.Name != "" || d.Number != "" {
			t.Errorf("DG13 with %+q: %v", c, err)
		}
	}
}

// secrets are what nobody may see of a person by mistake, in every way that
// fmt and encoding/json write strings and bytes.
func secrets(t *testing.T, r *inspect.Report) []string {
	t.Helper()
	var out []string
	for _, s := range []string{r.MRZ.PrimaryIdentifier, r.MRZ.DocumentNumber, r.MRZ.DateOfBirth, r.DG13.Name, r.DG13.Residence, string(r.DG13.Number)} {
		out = append(out, s, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), base64.StdEncoding.EncodeToString([]byte(s)))
	}
	for _, b := range [][]byte{r.Photo.Data[64:80], r.Evidence.Signature[:16], r.Evidence.DG1[8:24], r.Evidence.SOD[100:116]} {
		list := strings.Trim(fmt.Sprint(b), "[]")
		out = append(out, string(b), fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), fmt.Sprintf("% x", b), list,
			strings.ReplaceAll(list, " ", ", "), base64.StdEncoding.EncodeToString(b[:15]), base64.StdEncoding.EncodeToString(b[1:16]), base64.StdEncoding.EncodeToString(b[2:14]),
			strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"))
	}
	return out
}

// Nothing of a person is printed or encoded by accident.
func TestNothingOfAPersonIsPrinted(t *testing.T) {
	d := inspecttest.New(t, chip.ProfileCCCD)
	r, err := d.Inspect(t)
	if err != nil {
		t.Fatal(err)
	}
	q, err := vn.ParseCCCDQR(d.QR)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ V any }
	values := map[string][]any{
		"Report":   {r, *r},
		"Evidence": {r.Evidence, &r.Evidence},
		"MRZ":      {*r.MRZ, r.MRZ},
		"DG13":     {*r.DG13, r.DG13},
		"CCCDQR":   {q, &q},
		"Image":    {*r.Photo, r.Photo},
	}
	for _, v := range []any{r, *r, r.Evidence} {
		if b, err := json.Marshal(v); err != nil || string(b) != `"[redacted]"` {
			t.Errorf("%T is encoded in %d bytes, %v", v, len(b), err)
		}
	}
	hidden := secrets(t, r)
	for name, vs := range values {
		t.Run(name, func(t *testing.T) {
			for _, v := range vs {
				for _, v := range []any{v, holder{v}, []any{v}, map[string]any{"v": v}} {
					for _, verb := range verbs[name] {
						for _, flags := range []string{"", "+", "#", " ", "0", "-", "# ", "+#"} {
							format := "%" + flags + string(verb)
							wantNone(t, format, fmt.Sprintf(format, v), hidden)
						}
					}
					b, err := json.Marshal(v)
					if err != nil {
						t.Errorf("json: %v", err)
					}
					wantNone(t, "json", string(b), hidden)
				}
			}
		})
	}
}

// allVerbs are those of fmt but %p, which no method of a type can take over;
// stringVerbs are those for which fmt asks a type for its String.
const (
	allVerbs    = "vTtbcdoOqxXUeEfFgGs"
	stringVerbs = "vTqxXs"
)

// verbs are those that nobody's data may be printed with.
var verbs = map[string]string{
	"Report": allVerbs, "Evidence": allVerbs, "DG13": allVerbs, "CCCDQR": allVerbs, "MRZ": stringVerbs, "Image": stringVerbs,
}

func wantNone(t *testing.T, how, got string, hidden []string) {
	t.Helper()
	for i, s := range hidden {
		if strings.Contains(got, s) {
			t.Errorf("%q shows secret %d in %d characters", how, i, len(got))
			return
		}
	}
}
