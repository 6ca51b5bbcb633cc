package chipauth_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// These tests run against the software chip, whose side of the protocol was
// written without this package. That both agree proves less than the recorded
// exchanges do.

// application is SELECT of the eMRTD application.
func application() apdu.Command {
	return apdu.Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: []byte{0xA0, 0, 0, 0x02, 0x47, 0x10, 0x01}}
}

// openBAC opens a chip with basic access control.
func openBAC(t *testing.T, c *chip.Chip, key mrz.Key) (apdu.Doer, *sm.Channel) {
	t.Helper()
	d := apdu.NewSession(c)
	if resp, err := d.Do(t.Context(), application()); err != nil || resp.SW != apdu.OK {
		t.Fatalf("select: %v, %v", resp.SW, err)
	}
	ch, err := bac.Establish(t.Context(), d, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, ch
}

func infosOf(t *testing.T, dg14 []byte) secinfo.SecurityInfos {
	t.Helper()
	return example{DG14: fmt.Sprintf("%x", dg14)}.infos(t)
}

// readDG1 reads the whole of DG1 by its short identifier.
func readDG1() *apdu.Command { return &apdu.Command{INS: 0xB0, P1: 0x81, Ne: 223} }

func TestChipProfiles(t *testing.T) {
	for _, tamper := range []chip.Tamper{"", chip.TamperClone} {
		t.Run("cccd-pace "+string(tamper), func(t *testing.T) {
			d, err := chip.Build(chip.ProfileCCCDPACE, chip.Options{Tamper: tamper})
			if err != nil {
				t.Fatal(err)
			}
			c, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			plain, ch := openBAC(t, c, d.Personalisation.AccessKey)
			next, r, err := chipauth.Authenticate(t.Context(), plain, ch, infosOf(t, d.Groups[14]), &chipauth.Config{Confirm: readDG1()})
			if tamper == chip.TamperClone {
				if !errors.Is(err, chipauth.ErrCardAuthentication) || next != nil {
					t.Fatalf("a clone: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Algorithm != "CA ECDH AES-128 brainpoolP256r1" || r.Deviations != nil || !bytes.Equal(r.Response.Data, d.Groups[1]) {
				t.Errorf("%s, %v, %d bytes", r.Algorithm, r.Deviations, len(r.Response.Data))
			}
		})
	}
}

// The reference data set of the BSI: a published key, 3DES.
func TestChipBSI(t *testing.T) {
	d, err := chip.LoadBSI(os.DirFS(vectortest.Path(t, "bsi-reference-dataset")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	plain, ch := openBAC(t, c, d.Personalisation.AccessKey)
	_, r, err := chipauth.Authenticate(t.Context(), plain, ch, infosOf(t, d.Groups[14]), &chipauth.Config{Confirm: readDG1()})
	if err != nil || r.Algorithm != "CA ECDH 3DES brainpoolP224r1" || r.Deviations != nil || !bytes.Equal(r.Response.Data, d.Groups[1]) {
		t.Errorf("%s, %v, %v", r.Algorithm, r.Deviations, err)
	}
}

// made is a chip with keys for chip authentication.
func made(t *testing.T, change func(*chip.Personalisation), all ...chip.ChipAuthentication) (apdu.Doer, *sm.Channel) {
	t.Helper()
	key, err := mrz.NewKey("L898902C<", "690806", "940623")
	if err != nil {
		t.Fatal(err)
	}
	p := &chip.Personalisation{
		AccessKey:              key,
		Files:                  []chip.File{{ID: 0x0101, SFI: 1, Content: []byte{0x61, 0}, Access: chip.AfterAuthentication}},
		ChipAuthentication:     &all[0],
		MoreChipAuthentication: all[1:],
		Limits:                 chip.Limits{Extended: true},
	}
	if change != nil {
		change(p)
	}
	c, err := chip.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return openBAC(t, c, key)
}

// announced is what DG14 of such a chip says.
func announced(t *testing.T, all ...chip.ChipAuthentication) secinfo.SecurityInfos {
	t.Helper()
	var infos secinfo.SecurityInfos
	for _, ca := range all {
		public, err := ca.Key.PublicKeyInfo()
		if err != nil {
			t.Fatal(err)
		}
		id := ca.KeyID
		if id == 0 {
			id = secinfo.NoID
		}
		info := static{info: public, curve: ca.Key.EC != nil}.keyInfo(id)
		infos.ChipAuthentication = append(infos.ChipAuthentication, secinfo.ChipAuthenticationInfo{Protocol: ca.Protocol, Version: 1, KeyID: id})
		if !slices.ContainsFunc(infos.ChipAuthenticationKeys, func(o secinfo.ChipAuthenticationPublicKeyInfo) bool { return bytes.Equal(o.PublicKey, public) }) {
			infos.ChipAuthenticationKeys = append(infos.ChipAuthenticationKeys, info)
		}
	}
	return infos
}

// Every standardized group (9.5.1), in every form of the key, with every cipher.
func TestChipGroups(t *testing.T) {
	for _, id := range []int{0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18} {
		for _, form := range []string{"standardized", "explicit", "other"} {
			var key *issuer.Key
			var err error
			var want string
			var deviations []string
			if id < 8 {
				key, err = issuer.NewDHKey(nil, id, form != "other")
				want = "DH %v " + []string{"MODP-1024-160", "MODP-2048-224", "MODP-2048-256"}[id]
				if form == "other" {
					deviations = []string{chipauth.DevX942}
				}
			} else {
				name := secinfo.StandardizedCurve(id).Name()
				key, err = issuer.NewECKey(nil, name, form == "explicit")
				want = "ECDH %v " + name
			}
			if err != nil {
				t.Fatal(err)
			}
			key.StandardizedParameters = form == "standardized"
			for _, c := range allCiphers {
				t.Run(strconv.Itoa(id)+" "+form+" "+c.String(), func(t *testing.T) {
					ca := chip.ChipAuthentication{Protocol: protocol(id >= 8, c), Key: key}
					d, ch := made(t, nil, ca)
					next, r, err := chipauth.Authenticate(t.Context(), d, ch, announced(t, ca), &chipauth.Config{Confirm: readDG1()})
					if err != nil {
						t.Fatal(err)
					}
					if got := fmt.Sprintf("CA "+want, c); r.Algorithm != got || !slices.Equal(r.Deviations, deviations) {
						t.Errorf("%s %v, want %s %v", r.Algorithm, r.Deviations, got, deviations)
					}
					// Once more, from the new channel.
					if _, _, err := chipauth.Authenticate(t.Context(), d, next, announced(t, ca), nil); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// The groups of this package are those of the chip, which were written apart.
func TestStandardizedGroups(t *testing.T) {
	for id := range 3 {
		g := issuer.GroupByID(id)
		p, q, gen := new(big.Int).SetBytes(g.P()), new(big.Int).SetBytes(g.Q()), new(big.Int).SetBytes(g.Generator())
		y := new(big.Int).Exp(gen, big.NewInt(77), p)
		standardized := element(0x30, element(0x06, oid(t, "0.4.0.127.0.7.1.2")), integer(big.NewInt(int64(id))))
		for name, info := range map[string][]byte{
			"number":  element(0x30, standardized, element(0x03, []byte{0}, integer(y))),
			"PKCS #3": dhKeyInfo(t, pkcs3, p, gen, y),
			"X9.42":   dhKeyInfo(t, x942, p, gen, y, integer(q)),
		} {
			if _, err := chipauth.Variants(static{info: info}.offers(sm.AES128)); err != nil {
				t.Errorf("%d, %s: %v", id, name, err)
			}
		}
		minus := new(big.Int).Sub(p, y)
		for name, info := range map[string][]byte{
			"not in the subgroup": dhKeyInfo(t, pkcs3, p, gen, minus),
			"another order":       dhKeyInfo(t, x942, p, gen, y, integer(new(big.Int).Lsh(q, 1))),
			"by number":           element(0x30, standardized, element(0x03, []byte{0}, integer(minus))),
		} {
			if _, err := chipauth.Variants(static{info: info}.offers(sm.AES128)); !errors.Is(err, chipauth.ErrKey) {
				t.Errorf("%d, %s: %v", id, name, err)
			}
		}
	}
	for name, tt := range map[string]struct {
		id   []byte
		want error
	}{
		"3":       {integer(big.NewInt(3)), chipauth.ErrUnsupported},
		"a curve": {integer(big.NewInt(13)), chipauth.ErrUnsupported},
		"absent":  {nil, chipauth.ErrKey},
		"twice":   {slices.Concat(integer(big.NewInt(0)), integer(big.NewInt(0))), chipauth.ErrKey},
	} {
		info := element(0x30, element(0x30, element(0x06, oid(t, "0.4.0.127.0.7.1.2")), tt.id), element(0x03, []byte{0}, integer(big.NewInt(77))))
		if _, err := chipauth.Variants(static{info: info}.offers(sm.AES128)); !errors.Is(err, tt.want) {
			t.Errorf("number %s: %v", name, err)
		}
	}
}

func TestChipQuirks(t *testing.T) {
	key := func(curve string) *issuer.Key {
		k, err := issuer.NewECKey(nil, curve, true)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	dh, err := issuer.NewDHKey(nil, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := key("brainpoolP256r1"), key("P-256"), key("P-384")
	type ca = chip.ChipAuthentication
	aes := ca{Protocol: protocol(true, sm.AES128), Key: a, KeyID: 1}
	des := ca{Protocol: protocol(true, sm.TripleDES), Key: a, KeyID: 1}
	second := ca{Protocol: protocol(true, sm.AES256), Key: b, KeyID: 2}
	third := ca{Protocol: protocol(true, sm.AES192), Key: c, KeyID: 3}
	long := ca{Protocol: protocol(false, sm.AES128), Key: dh}
	stray := ca{Protocol: protocol(true, sm.AES256), Key: key("P-521"), KeyID: 9} // announced only
	tests := []struct {
		name       string
		has        []ca
		announces  []ca
		change     func(*chip.Personalisation)
		want       string
		deviations []string
	}{
		{"two protocols with one key", []ca{aes, des}, []ca{des, aes}, nil, "CA ECDH AES-128 brainpoolP256r1", nil},
		{"two keys", []ca{aes, second}, []ca{aes, second}, nil, "CA ECDH AES-256 P-256", nil},
		{"three keys", []ca{aes, third, second}, []ca{third, aes, second}, nil, "CA ECDH AES-256 P-256", nil},
		{"a key that is not there", []ca{aes, third}, []ca{stray, aes, third}, nil, "CA ECDH AES-192 P-384", []string{chipauth.DevVariantRefused}},
		{"no Set KAT", []ca{des}, []ca{des}, func(p *chip.Personalisation) { p.Quirks.NoSetKAT = true }, "CA ECDH 3DES brainpoolP256r1", []string{chipauth.DevNoKAT}},
		{"no Set AT", []ca{des}, []ca{des}, func(p *chip.Personalisation) { p.Quirks.NoSetAT = true }, "CA ECDH 3DES brainpoolP256r1", nil},
		{
			"long key and no extended length",
			[]ca{long},
			[]ca{long},
			func(p *chip.Personalisation) { p.Limits.Extended, p.Limits.NoChaining = false, false },
			"CA DH AES-128 MODP-2048-224",
			[]string{chipauth.DevChained},
		},
		{
			"long key and neither extended length nor chaining",
			[]ca{long},
			[]ca{long},
			func(p *chip.Personalisation) { p.Limits.Extended, p.Limits.NoChaining = false, true },
			"", nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, ch := made(t, tt.change, tt.has...)
			_, r, err := chipauth.Authenticate(t.Context(), d, ch, announced(t, tt.announces...), nil)
			if tt.want == "" {
				if !errors.Is(err, chipauth.ErrRefused) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Algorithm != tt.want || !slices.Equal(r.Deviations, tt.deviations) {
				t.Errorf("%s %v, want %s %v", r.Algorithm, r.Deviations, tt.want, tt.deviations)
			}
		})
	}
	t.Run("no info", func(t *testing.T) {
		d, ch := made(t, nil, des)
		infos := announced(t, des)
		infos.ChipAuthentication = nil
		_, r, err := chipauth.Authenticate(t.Context(), d, ch, infos, nil)
		if err != nil || r.Algorithm != "CA ECDH 3DES brainpoolP256r1" || !slices.Equal(r.Deviations, []string{chipauth.DevNoInfo}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// PACE with chip authentication mapping, with the right key and another.
func TestChipCAM(t *testing.T) {
	key, err := issuer.NewECKey(nil, "brainpoolP256r1", false)
	if err != nil {
		t.Fatal(err)
	}
	key.StandardizedParameters = true
	mapping := chip.PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.2", ParameterID: 13, Version: 2}
	access, err := mrz.NewKey("L898902C<", "690806", "940623")
	if err != nil {
		t.Fatal(err)
	}
	c, err := chip.New(&chip.Personalisation{
		AccessKey: access, PACE: &mapping,
		ChipAuthentication: &chip.ChipAuthentication{Key: key, KeyID: 13},
		Files:              []chip.File{{ID: 0x0101, SFI: 1, Content: []byte{0x61, 0}, Access: chip.AfterAuthentication}},
	})
	if err != nil {
		t.Fatal(err)
	}
	info := secinfo.PACEInfo{Protocol: mapping.Protocol, Version: 2, ParameterID: 13}
	_, cam, err := pace.Establish(t.Context(), apdu.NewSession(c), info, pace.FromMRZ(access), nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKeyInfo()
	if err != nil {
		t.Fatal(err)
	}
	// As EF.CardSecurity has it.
	set := tlv.Append(nil, 0x31, element(0x30, element(0x06, oid(t, "0.4.0.127.0.7.2.2.1.2")), public, integer(big.NewInt(13))))
	security, err := secinfo.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := chipauth.VerifyCAM(cam, security); err != nil || r.Algorithm != "PACE-CAM brainpoolP256r1" || r.KeyID != 13 {
		t.Errorf("%+v, %v", r, err)
	}
	security.ChipAuthenticationKeys[0].PublicKey = curveStatic(t, "brainpoolP256r1").info
	if _, err := chipauth.VerifyCAM(cam, security); !errors.Is(err, chipauth.ErrCardAuthentication) {
		t.Errorf("error %v", err)
	}
}

// A number that is not below the order is no private key: the next one is.
func TestPrivateKeyBelowOrder(t *testing.T) {
	key, err := issuer.NewDHKey(nil, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	ca := chip.ChipAuthentication{Protocol: protocol(false, sm.AES128), Key: key}
	d, ch := made(t, nil, ca)
	q := issuer.GroupByID(1).Q()
	random := bytes.NewReader(slices.Concat(q, bytes.Repeat([]byte{0xFF}, len(q)), bytes.Repeat([]byte{0x11}, len(q))))
	if _, _, err := chipauth.Authenticate(t.Context(), d, ch, announced(t, ca), &chipauth.Config{Rand: random}); err != nil || random.Len() != 0 {
		t.Errorf("%d bytes left, %v", random.Len(), err)
	}
}
