package issuer_test

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/tlv"
)

// thu is the content of the published synthetic DG13.
func thu() issuer.Domestic {
	return issuer.Domestic{
		Number: "001099000001", Name: "Nguyễn Văn Thử", DateOfBirth: "31/01/1999", Sex: "Nam", Nationality: "Việt Nam",
		Ethnicity: "Kinh", Religion: "Không",
		Hometown: "Phường X, Quận Y, Hà Nội", Residence: "Số 1, Phường X, Quận Y, Hà Nội",
		Marks: "Nốt ruồi C:1cm", DateOfIssue: "15/04/2021", DateOfExpiry: "31/01/2039",
		Father: "Nguyễn Văn Cha", Mother: "Trần Thị Mẹ",
		OldNumber: "012345678", ChipID: "0123456789ABCDEF",
	}
}

// TestVectorsDataGroups: our encoders make exactly the sample files.
func TestVectorsDataGroups(t *testing.T) {
	var all []struct {
		ID, Hex  string
		Expected struct {
			Lines []string `json:"mrz_lines"`
		}
	}
	vectortest.JSON(t, "../testdata/dg-samples.json", &all)
	builders := map[string]func() ([]byte, error){
		"com-vn":              func() ([]byte, error) { return issuer.COM("0107", []int{1, 2, 3, 13, 15, 14}) },
		"com-bsi":             func() ([]byte, error) { return issuer.COM("0107", []int{1, 2, 3, 4, 14}) },
		"com-many":            func() ([]byte, error) { return issuer.COM("0107", []int{1, 2, 3, 7, 11, 12, 14, 15}) },
		"com-9303-10-a1":      func() ([]byte, error) { return issuer.COM("0107", []int{1, 2, 4, 12}) },
		"dg13-vn-synthetic":   func() ([]byte, error) { return issuer.DG13(thu()) },
		"cardaccess-gm-13":    cardAccess,
		"atr-info-ext-length": func() ([]byte, error) { return issuer.ATRInfo(0x0780, 0x0780), nil },
		"dg11-9303-10-a5-corrected": func() ([]byte, error) {
			return issuer.DG11(issuer.PersonalDetails{
				Name: "SMITH<<JOHN<J", PlaceOfBirth: "ANYTOWN<MN", Address: "123 MAPLE RD<ANYTOWN<MN",
				Telephone: "16125551212", Profession: "TRAVEL<AGENT",
			})
		},
		"dg11-other-names": func() ([]byte, error) {
			return issuer.DG11(issuer.PersonalDetails{
				Name: "ERIKSSON<<ANNA<MARIA", OtherNames: []string{"ERIKSSON<<ANN", "SVENSSON<<ANNA<MARIA"},
				PersonalNumber: "ZE184226B", DateOfBirth: "19740812", PlaceOfBirth: "ZENITH<UTO",
			})
		},
		"dg11-bcd-birth-date": func() ([]byte, error) {
			return issuer.DG11(issuer.PersonalDetails{Name: "ERIKSSON<<ANNA<MARIA", DateOfBirth: "19740812", BCD: true})
		},
		"dg11-utf8": func() ([]byte, error) {
			return issuer.DG11(issuer.PersonalDetails{Name: "NGUYỄN<<VĂN<THỬ", PlaceOfBirth: "Hà Nội"})
		},
		"dg12-full": func() ([]byte, error) {
			return issuer.DG12(issuer.DocumentDetails{
				Authority: "PASSPORT OFFICE<ZENITH", DateOfIssue: "20070416", OtherPersons: []string{"ERIKSSON<<BRENDA<P"},
				Endorsements: "SEE PAGE 51", TaxOrExit: "NOT APPLICABLE", Personalised: "20070416101112", PersonalisedBy: "N-0001",
			})
		},
		"dg12-bcd-dates": func() ([]byte, error) {
			return issuer.DG12(issuer.DocumentDetails{DateOfIssue: "20070416", Personalised: "20070416101112", BCD: true})
		},
		"dg16-9303-10-a6": func() ([]byte, error) {
			return issuer.DG16(
				issuer.Contact{Recorded: "20020101", Name: "SMITH<<CHARLES<R", Telephone: "19525551212", Address: "123 MAPLE RD<ANYTOWN<MN<55100"},
				issuer.Contact{Recorded: "20020315", Name: "BROWN<<MARY<J", Telephone: "14155551212", Address: "49 REDWOOD LN<OCEAN BREEZE<CA<94000"},
			)
		},
		"cardaccess-gm-cam": func() ([]byte, error) {
			return cardAccessOf(2, 13, "0.4.0.127.0.7.2.2.4.2.2", "0.4.0.127.0.7.2.2.4.6.2")
		},
		"cardaccess-no-parameter-id": func() ([]byte, error) { return cardAccessOf(2, -1, "0.4.0.127.0.7.2.2.4.2.2") },
	}
	seen := 0
	for _, e := range all {
		build := builders[e.ID]
		if strings.HasPrefix(e.ID, "dg1-vn-td1") || e.ID == "dg1-td3-eriksson-classic" {
			build = func() ([]byte, error) { return issuer.DG1(e.Expected.Lines), nil }
		}
		if build == nil {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			got, err := build()
			if err != nil {
				t.Fatal(err)
			}
			if want := vectortest.Hex(t, e.Hex); !bytes.Equal(got, want) {
				t.Errorf("%x\nwant %x", got, want)
			}
		})
	}
	if want := len(builders) + 3; seen != want {
		t.Errorf("%d of %d examples found", seen, want)
	}
}

func cardAccess() ([]byte, error) { return cardAccessOf(2, 13, "0.4.0.127.0.7.2.2.4.2.2") }

func cardAccessOf(version, parameterID int, protocols ...string) ([]byte, error) {
	var infos [][]byte
	for _, p := range protocols {
		info, err := issuer.PACEInfo(p, version, parameterID)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return issuer.SecurityInfos(infos)
}

// TestDG13OID: the object identifier is a parameter, and a spouse is nested.
func TestDG13OID(t *testing.T) {
	d := thu()
	d.OID, d.Spouse = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1}, "Lê Thị Vợ"
	got, err := issuer.DG13(d)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got, []byte("\x06\x05\x2b\x06\x01\x04\x01\x31")) {
		t.Error("object identifier is not there")
	}
	if !bytes.Contains(got, []byte("\x02\x01\x0e\x30\x10\x0c\x0e"+"Lê Thị Vợ")) {
		t.Errorf("spouse is not nested in field 14: %x", got)
	}
}

// TestDG2 walks the facial record by the offsets of ISO/IEC 19794-5.
func TestDG2(t *testing.T) {
	image := bytes.Repeat([]byte{0xFF, 0xD8}, 500)
	dg2, err := issuer.DG2(issuer.Face{Image: image, Width: 480, Height: 640, Sex: 'F'})
	if err != nil {
		t.Fatal(err)
	}
	var group, infos, count, bit, header, record tlv.String
	s := tlv.String(dg2)
	if !s.ReadTag(&group, 0x75) || !s.Empty() || !group.ReadTag(&infos, 0x7F61) || !group.Empty() ||
		!infos.ReadTag(&count, 0x02) || !infos.ReadTag(&bit, 0x7F60) || !infos.Empty() ||
		!bit.ReadTag(&header, 0xA1) || !bit.ReadTag(&record, 0x5F2E) || !bit.Empty() {
		t.Fatal("malformed")
	}
	want := []byte("FAC\x00010\x00")
	want = append(want, 0, 0, 0x04, 0x16, 0, 1) // 14 + 20 + 12 + 1000 bytes, one face
	want = append(want, 0, 0, 0x04, 0x08, 0, 0, 2, 0, 0)
	want = append(want, make([]byte, 3+2+6)...)
	want = append(want, 1, 0, 0x01, 0xE0, 0x02, 0x80, 1, 0, 0, 0, 0, 0)
	want = append(want, image...)
	if !bytes.Equal(record, want) {
		t.Errorf("record %x, want %x", record[:46], want[:46])
	}
	for _, f := range []issuer.Face{{Width: 1, Height: 1}, {Image: image, Height: 1}, {Image: image, Width: 1 << 16, Height: 1}} {
		if b, err := issuer.DG2(f); !errors.Is(err, issuer.ErrContent) || b != nil {
			t.Errorf("%dx%d: error %v", f.Width, f.Height, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	_, errVersion := issuer.COM("107", nil)
	_, errGroup := issuer.COM("0107", []int{17})
	_, errAA := issuer.ActiveAuthenticationInfo(crypto.MD5)
	for name, err := range map[string]error{"LDS version": errVersion, "group": errGroup, "hash in DG14": errAA} {
		if !errors.Is(err, issuer.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, errCurve := issuer.NewECKey(nil, "P-1", false)
	_, errBits := issuer.NewRSAKey(nil, 1000)
	_, errSmall := issuer.NewRSAKey(nil, 512)
	_, errAlgorithm := issuer.NewCSCA(issuer.Params{})
	for name, err := range map[string]error{"curve": errCurve, "bits": errBits, "small": errSmall, "algorithm": errAlgorithm} {
		if !errors.Is(err, issuer.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if issuer.GroupTag(0) != 0 || issuer.GroupTag(17) != 0 || issuer.GroupTag(16) != 0x70 {
		t.Error("GroupTag")
	}
	for _, k := range []*issuer.Key{nil, {}} {
		if k.Usable() {
			t.Error("an empty key is usable")
		}
	}
}

// FuzzParsePKCS8: no panic, a key or an error, and a key signs.
func FuzzParsePKCS8(f *testing.F) {
	for _, name := range []string{"testdata/p256.pkcs8", "testdata/brainpool384-explicit.pkcs8", "testdata/rsa1024.pkcs8"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := issuer.ParsePKCS8(b); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		k, err := issuer.ParsePKCS8(der)
		if (k == nil) == (err == nil) {
			t.Fatalf("key %v, error %v", k, err)
		}
		if err != nil {
			return
		}
		if !k.Usable() {
			t.Fatal("unusable key without an error")
		}
		if _, err := k.PublicKeyInfo(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestParsePKCS8Factors: an RSA key whose factors are wrong is refused.
func TestParsePKCS8Factors(t *testing.T) {
	k, err := issuer.NewRSAKey(seeded("factors"), 1024)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(p, q *big.Int) []byte {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})
				b.AddASN1NULL()
			})
			b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(0)
					b.AddASN1BigInt(new(big.Int).Mul(p, q))
					b.AddASN1Int64(65537)
					b.AddASN1BigInt(k.RSA.D)
					b.AddASN1BigInt(p)
					b.AddASN1BigInt(q)
				})
			})
		})
		der, err := b.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	p, q := k.RSA.Primes[0], k.RSA.Primes[1]
	two := big.NewInt(2)
	for name, der := range map[string][]byte{
		"equal factors": encode(p, p),
		"even factor":   encode(new(big.Int).Add(p, big.NewInt(1)), q),
		"no prime":      encode(new(big.Int).Mul(big.NewInt(3), new(big.Int).Rsh(p, 2)), q),
		"factor two":    encode(two, new(big.Int).Mul(p, q)),
		"negative":      encode(new(big.Int).Neg(p), new(big.Int).Neg(q)),
		"zero":          encode(new(big.Int), q),
	} {
		if k, err := issuer.ParsePKCS8(der); !errors.Is(err, issuer.ErrKey) || k != nil {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := issuer.ParsePKCS8(encode(p, q)); err != nil {
		t.Errorf("good factors: %v", err)
	}
}

// TestVectorsStaticKeys: the infos of chip authentication come out as in the
// examples, with every form of public key.
func TestVectorsStaticKeys(t *testing.T) {
	var all []struct {
		ID, DG14 string
		Private  string `json:"chip_private"`
	}
	vectortest.JSON(t, vectortest.Path(t, "ca-traces.json"), &all)
	forms := map[string]struct {
		protocol string
		curve    string // none: a group
		id       int
	}{
		"synthetic-ecdh-aes192": {"0.4.0.127.0.7.2.2.3.2.3", "brainpoolP384r1", 7},
		"synthetic-ecdh-aes256": {"0.4.0.127.0.7.2.2.3.2.4", "brainpoolP384r1", 8},
		"synthetic-dh-3des":     {"0.4.0.127.0.7.2.2.3.1.1", "", 0},
		"synthetic-dh-aes128":   {"0.4.0.127.0.7.2.2.3.1.2", "", 0},
	}
	seen := 0
	for _, e := range all {
		f, ok := forms[e.ID]
		if !ok {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			var (
				key *issuer.Key
				err error
			)
			private := vectortest.Hex(t, e.Private)
			if f.curve == "" {
				key, err = issuer.NewDHKeyFrom(issuer.GroupByID(0), private, true)
			} else {
				var k *ec.PrivateKey
				k, err = ec.ByName(f.curve).NewPrivateKey(private)
				key = &issuer.Key{EC: k, StandardizedParameters: true}
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := issuer.ChipAuthenticationInfo(f.protocol, 1, f.id)
			if err != nil {
				t.Fatal(err)
			}
			public, err := issuer.ChipAuthenticationPublicKeyInfo(key, f.id)
			if err != nil {
				t.Fatal(err)
			}
			got, err := issuer.DG14([][]byte{public, info})
			if want := vectortest.Hex(t, e.DG14); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x, %v\nwant %x", got, err, want)
			}
		})
	}
	if seen != len(forms) {
		t.Errorf("%d of %d examples found", seen, len(forms))
	}
}

// TestVectorStaticKeyCAM: the key of appendix I.1.
func TestVectorStaticKeyCAM(t *testing.T) {
	var all []struct {
		CA struct {
			Info    string `json:"chip_authentication_public_key_info"`
			Private string `json:"static_private_recomputed"`
		} `json:"chip_authentication"`
	}
	vectortest.JSON(t, "../testdata/9303-11-I1-pace-ecdh-cam.json", &all)
	k, err := ec.ByName("brainpoolP256r1").NewPrivateKey(vectortest.Hex(t, all[0].CA.Private))
	if err != nil {
		t.Fatal(err)
	}
	got, err := issuer.ChipAuthenticationPublicKeyInfo(&issuer.Key{EC: k, StandardizedParameters: true}, 13)
	if want := vectortest.Hex(t, all[0].CA.Info); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v\nwant %x", got, err, want)
	}
}

// TestDG2Records walks the record of ISO/IEC 39794-5 along its tags, and tells the
// two picture formats apart.
func TestDG2Records(t *testing.T) {
	image := bytes.Repeat([]byte{1, 2}, 300)
	for _, jpeg2000 := range []bool{false, true} {
		dg2, err := issuer.DG2(issuer.Face{Image: image, JPEG2000: jpeg2000, Width: 480, Height: 128, ISO39794: true})
		if err != nil {
			t.Fatal(err)
		}
		find := func(tags ...tlv.Tag) tlv.String {
			s := tlv.String(dg2)
			for _, want := range tags {
				for {
					var value tlv.String
					var tag tlv.Tag
					if !s.Read(&value, &tag) {
						t.Fatalf("no tag %X", want)
					}
					if tag == want {
						s = value
						break
					}
				}
			}
			return s
		}
		block := []tlv.Tag{0x75, 0x7F61, 0x7F60, 0x7F2E, 0xA1, 0x65}
		picture := append(block, 0xA1, 0x30, 0xA1, 0xA0, 0xA0)
		format := byte(2)
		if jpeg2000 {
			format = 3
		}
		for name, tt := range map[string]struct {
			tags []tlv.Tag
			want []byte
		}{
			"generation": {append(slices.Clone(block), 0xA0, 0x80), []byte{3}},
			"year":       {append(slices.Clone(block), 0xA0, 0x81), []byte{0x07, 0xE3}},
			"picture":    {append(slices.Clone(picture), 0x80), image},
			"format":     {append(slices.Clone(picture), 0xA1, 0xA0, 0x80), []byte{format}},
			"width":      {append(slices.Clone(picture), 0xA1, 0xA7, 0x80), []byte{0x01, 0xE0}},
			"height":     {append(slices.Clone(picture), 0xA1, 0xA7, 0x81), []byte{0x00, 0x80}},
		} {
			if got := find(tt.tags...); !bytes.Equal(got, tt.want) {
				t.Errorf("%s: %d bytes, want %d", name, len(got), len(tt.want))
			}
		}
		old, err := issuer.DG2(issuer.Face{Image: image, JPEG2000: jpeg2000, Width: 480, Height: 128})
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(old, []byte("FAC\x00")); old[at+14+21] != format-2 {
			t.Errorf("19794-5: format %d", old[at+14+21])
		}
	}
}

// TestOtherFiles: the small files, byte by byte, and what has no encoding.
func TestOtherFiles(t *testing.T) {
	if got, want := issuer.DIR([]byte{0xA0, 1}, []byte{0xA0, 2}), []byte{0x61, 4, 0x4F, 2, 0xA0, 1, 0x61, 4, 0x4F, 2, 0xA0, 2}; !bytes.Equal(got, want) {
		t.Errorf("EF.DIR %x", got)
	}
	dg7, err := issuer.DG7([]byte("mark"))
	if want := append([]byte{0x67, 10, 2, 1, 1, 0x5F, 0x43, 4}, "mark"...); err != nil || !bytes.Equal(dg7, want) {
		t.Errorf("DG7 %x, %v", dg7, err)
	}
	_, errNone := issuer.DG7()
	_, errNobody := issuer.DG16()
	_, errLetters := issuer.DG11(issuer.PersonalDetails{DateOfBirth: "1974081X", BCD: true})
	_, errOdd := issuer.DG12(issuer.DocumentDetails{DateOfIssue: "2007041", BCD: true})
	_, errTime := issuer.DG12(issuer.DocumentDetails{Personalised: "x0", BCD: true})
	_, errCurve := issuer.PACEDomainParameterInfo("0.4.0.127.0.7.2.2.4.2", "P-1", 32)
	for name, err := range map[string]error{
		"no mark": errNone, "nobody": errNobody, "letters": errLetters, "odd digits": errOdd, "time": errTime, "curve": errCurve,
	} {
		if !errors.Is(err, issuer.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
