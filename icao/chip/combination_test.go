package chip

import (
	"bytes"
	"crypto"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/cms"
)

// TestAnyCombination: whatever is drawn for the fields of a Variant that do not
// exclude each other, there is such a document, its chip opens and hands out what
// was signed, and its signer says that it may sign such documents.
func TestAnyCombination(t *testing.T) {
	var pace []PACE
	paceVariants(func(_ string, v PACE) { pace = append(pace, v) })
	var (
		curves   = []string{"P-224", "P-256", "P-384", "P-521", "brainpoolP224r1", "brainpoolP256r1", "brainpoolP320r1", "brainpoolP384r1", "brainpoolP512r1"}
		hashes   = []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
		limits   = []Limits{{}, {Extended: true}, {Plain: 128, Protected: 128}, {Protected: 200, OverLimit: apdu.WrongLength}, {Protected: 240, OverLimit: 0x6C00, GetResponse: true}}
		naked    = []Naked{NakedNo, NakedEnds, NakedCounted, NakedIgnored}
		optional = []int{7, 11, 12, 16}
	)
	kinds := []KeyKind{{Bits: 1024}, {Bits: 2048}}
	for _, c := range curves {
		kinds = append(kinds, KeyKind{Curve: c})
	}
	algorithm := func(rt *rapid.T, who string) issuer.Algorithm {
		a := issuer.Algorithm{
			Scheme: rapid.SampledFrom([]issuer.Scheme{issuer.ECDSA, issuer.PKCS1, issuer.PSS}).Draw(rt, who),
			Hash:   rapid.SampledFrom(hashes).Draw(rt, who+" hash"),
		}
		switch a.Scheme {
		case issuer.ECDSA:
			a.Curve = rapid.SampledFrom(curves).Draw(rt, who+" curve")
			a.Explicit = rapid.Bool().Draw(rt, who+" explicit")
			a.Plain = rapid.Bool().Draw(rt, who+" plain")
		case issuer.PSS:
			a.MGF = rapid.SampledFrom(hashes).Draw(rt, who+" mask")
			a.Salt = rapid.SampledFrom([]int{-1, 0, 8, 20, 32}).Draw(rt, who+" salt")
		}
		return a
	}
	rapid.Check(t, func(rt *rapid.T) {
		flag := func(name string) bool { return rapid.Bool().Draw(rt, name) }
		v := Variant{
			Kind:   rapid.SampledFrom([]specimen.Kind{specimen.CitizenCard, specimen.Passport}).Draw(rt, "kind"),
			Signer: algorithm(rt, "signer"), Authority: algorithm(rt, "authority"),
			Limits:           rapid.SampledFrom(limits).Draw(rt, "limits"),
			LDSVersion:       rapid.SampledFrom([]string{"", "0107", "0108"}).Draw(rt, "LDS"),
			BCD:              flag("BCD"),
			DIR:              flag("EF.DIR"),
			ATRInfo:          flag("EF.ATR/INFO"),
			NoKeyIdentifiers: flag("no key identifiers"),
			Portrait:         Portrait{Image: tinyPicture, Width: 2, Height: 2, ISO39794: flag("39794"), Size: rapid.SampledFrom([]int{0, 300, 40_000}).Draw(rt, "size")},
			SOD: issuer.SODOptions{
				CMSOptions: issuer.CMSOptions{BySKI: flag("by SKI"), NoCertificate: flag("signer outside"), Indefinite: flag("BER")},
				Hash:       rapid.SampledFrom(hashes).Draw(rt, "hash of groups"),
			},
			Quirks: Quirks{
				RefuseLe: flag("refuse Le"), PadPastEnd: flag("pad"), FixedLengthDH: flag("fixed DH"),
				Naked: rapid.SampledFrom(naked).Draw(rt, "naked"),
			},
		}
		if flag("LDS 1") {
			v.SOD.LDSVersion, v.SOD.UnicodeVersion = "0108", "040000"
		}
		for _, dg := range optional {
			if flag(fmt.Sprintf("DG%d", dg)) {
				v.Optional = append(v.Optional, dg)
			}
		}
		if flag("DG3") {
			v.Hidden = []int{3}
		}
		if flag("AA") {
			kind := rapid.SampledFrom(kinds).Draw(rt, "AA key")
			v.AA = &AAKey{Kind: kind, Form: AAForm{DER: kind.Curve != "" && flag("DER"), PSS: kind.Bits == 2048 && flag("PSS")}}
		}
		if flag("CA") {
			p := CAKey{Protocol: "0.4.0.127.0.7.2.2.3.2." + rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(rt, "CA cipher"), KeyID: rapid.SampledFrom([]int{0, 99}).Draw(rt, "CA id")}
			p.Kind = KeyKind{Curve: rapid.SampledFrom(curves).Draw(rt, "CA curve"), Explicit: flag("CA explicit")}
			if flag("CA modulo a prime") {
				p.Protocol = "0.4.0.127.0.7.2.2.3.1." + p.Protocol[len(p.Protocol)-1:]
				p.Kind, p.PKCS3 = KeyKind{Group: rapid.SampledFrom([]int{0, 1, 2}).Draw(rt, "CA group")}, flag("PKCS 3")
			}
			v.CA = []CAKey{p}
		}
		byPACE := flag("PACE")
		if byPACE {
			v.PACE = []PACE{rapid.SampledFrom(pace).Draw(rt, "variant of PACE")}
			v.NoBAC, v.CAN = flag("no BAC"), "314159"
			if v.PACE[0].ParameterID < 3 { // keys of 256 bytes do not fit into short responses
				v.Limits.Extended, v.Limits.GetResponse = true, true
			}
		}

		d := variant(t, v, Options{})
		c, err := d.Chip()
		if err != nil {
			rt.Fatal(err)
		}
		m := &terminal{t: t, chip: c, ne: 100}
		var sw apdu.Status
		if byPACE {
			var static []byte
			if isCAM(v.PACE[0]) {
				for _, x := range d.Personalisation.allCA() {
					if x.KeyID == v.PACE[0].ParameterID {
						static = x.Key.EC.Public().Bytes()
					}
				}
			}
			sw = m.pace(v.PACE[0], passwordCAN, []byte(d.CAN), static, paceOptions{})
			m.do("00a4040c", []byte(applicationID), 0)
		} else {
			m.raw(selectApplication)
			sw = m.bac(information(d.MRZ))
		}
		if sw != apdu.OK {
			rt.Fatalf("access: %04X", uint16(sw))
		}
		for dg, want := range d.Groups {
			if got := m.read(byte(dg)); !bytes.Equal(got, want) {
				rt.Errorf("DG%d differs", dg)
			}
		}
		if got := m.read(0x1D); !bytes.Equal(got, d.SOD) {
			rt.Error("EF.SOD differs")
		}
		ds, err := cms.ParseCertificate(d.DS)
		if err != nil || len(ds.DocumentTypes) != 1 {
			rt.Errorf("signer: %v, types %q", err, ds.DocumentTypes)
		}
	})
}

// tinyPicture begins like a JPEG; nobody looks at the rest.
var tinyPicture = []byte{0xFF, 0xD8, 0xFF, 0xDB, 0, 4, 1, 2, 0xFF, 0xD9}
