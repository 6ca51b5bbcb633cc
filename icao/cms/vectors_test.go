package cms_test

import (
	"crypto"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/tlv"
)

// curveNames are the names of the vectors' curves here.
var curveNames = strings.NewReplacer("secp192r1", "P-192", "secp224r1", "P-224", "secp256r1", "P-256", "secp384r1", "P-384", "secp521r1", "P-521")

// dg15Key takes the SubjectPublicKeyInfo out of DG15.
func dg15Key(t testing.TB, dg15 []byte) []byte {
	t.Helper()
	file := tlv.String(dg15)
	var content tlv.String
	if !file.ReadTag(&content, 0x6f) || !file.Empty() {
		t.Fatal("not DG15")
	}
	return content
}

// TestVectorsActiveAuthentication: the key of every published or constructed
// example of active authentication is read, and every ECDSA signature judged.
func TestVectorsActiveAuthentication(t *testing.T) {
	var all []struct {
		ID, Algorithm, DG15, Expected string
		RndIFD                        string `json:"rnd_ifd"`
		Signature                     string
		SignatureDER                  string `json:"signature_der"`
	}
	vectortest.JSON(t, vectortest.Path(t, "aa-examples.json"), &all)
	hashes := map[string]crypto.Hash{"SHA224": crypto.SHA224, "SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512}
	ran := 0
	for _, v := range all {
		if v.DG15 == "" { // the worked example of appendix F prints no modulus
			continue
		}
		ran++
		t.Run(v.ID, func(t *testing.T) {
			key, err := cms.ParsePublicKey(dg15Key(t, vectortest.Hex(t, v.DG15)))
			if err != nil {
				t.Fatal(err)
			}
			words := strings.FieldsFunc(v.Algorithm, func(r rune) bool { return r == ' ' || r == ',' })
			want := curveNames.Replace(words[1])
			if words[0] == "RSA" {
				want = "RSA-" + words[1]
			}
			if key.String() != want {
				t.Errorf("key %s, want %s", key, want)
			}
			if words[0] == "RSA" { // ISO/IEC 9796-2 is for package activeauth
				return
			}
			alg := cms.SignatureAlgorithm{Scheme: cms.ECDSA, Hash: hashes[words[2]]}
			forms := []string{v.Signature}
			if v.Expected == "valid" {
				forms = append(forms, v.SignatureDER)
			}
			for _, s := range forms {
				if err := key.Verify(alg, vectortest.Hex(t, v.RndIFD), vectortest.Hex(t, s)); (err == nil) != (v.Expected == "valid") {
					t.Errorf("verified with %v, want %s", err, v.Expected)
				}
			}
		})
	}
	if ran < 26 {
		t.Errorf("%d examples ran", ran)
	}
}

// TestVectorsDG15 reads the samples of DG15.
func TestVectorsDG15(t *testing.T) {
	var all []struct {
		ID, File, Hex string
		Valid         bool
		Expected      struct {
			Curve       string
			ModulusBits int `json:"modulus_bits"`
		}
	}
	vectortest.JSON(t, "../lds/testdata/dg-samples.json", &all)
	ran := 0
	for _, v := range all {
		if v.File != "DG15" {
			continue
		}
		ran++
		t.Run(v.ID, func(t *testing.T) {
			key, err := cms.ParsePublicKey(dg15Key(t, vectortest.Hex(t, v.Hex)))
			if (err == nil) != v.Valid || (key != nil) != v.Valid {
				t.Fatalf("key %v, %v", key, err)
			}
			switch {
			case !v.Valid:
			case v.Expected.Curve != "" && key.String() != curveNames.Replace(v.Expected.Curve),
				v.Expected.ModulusBits != 0 && key.RSA.N.BitLen() != v.Expected.ModulusBits:
				t.Errorf("key %s", key)
			}
		})
	}
	if ran != 9 {
		t.Errorf("%d samples ran", ran)
	}
}

// TestReferenceDataSet reads the signed object and the keys of the document of BSI
// TR-03105-5.
func TestReferenceDataSet(t *testing.T) {
	read := func(t *testing.T, name string) []byte {
		b, err := os.ReadFile(vectortest.Path(t, "bsi-reference-dataset/"+name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Run("EF_SOD.bin", func(t *testing.T) {
		file := tlv.String(read(t, "EF_SOD.bin"))
		var content tlv.String
		if !file.ReadTag(&content, 0x77) {
			t.Fatal("not EF.SOD")
		}
		sd, err := cms.ParseSignedData(content)
		if err != nil {
			t.Fatal(err)
		}
		signers := sd.SignerCertificates(&sd.Signers[0])
		if len(signers) != 1 || len(sd.Signers) != 1 {
			t.Fatalf("%d signers, %d certificates", len(sd.Signers), len(signers))
		}
		if err := sd.Verify(&sd.Signers[0], signers[0]); err != nil {
			t.Error(err)
		}
		if got := sd.Signers[0].SignatureAlgorithm.Describe(signers[0].PublicKey); got != "RSASSA-PSS SHA-256 salt 32 RSA-2048" {
			t.Errorf("algorithm %s", got)
		}
		t.Run("certificate", func(t *testing.T) {
			c, err := cms.ParseCertificate(signers[0].Raw)
			if err != nil {
				t.Fatal(err)
			}
			if c.SubjectCountry() != "DE" || c.IsCA || c.PublicKey.String() != "RSA-2048" || c.SelfSigned() {
				t.Errorf("certificate of %s with %s", c.Subject, c.PublicKey)
			}
		})
	})
	for name, want := range map[string]string{"DG14_pk.bin": "brainpoolP224r1", "DG15_pk.bin": "RSA-1024"} {
		t.Run(name, func(t *testing.T) {
			der := cryptobyte.String(read(t, name))
			var spki cryptobyte.String
			if !der.ReadASN1Element(&spki, asn1.SEQUENCE) || !der.Empty() {
				t.Fatal("not one sequence")
			}
			key, err := cms.ParsePublicKey(spki)
			if err != nil || key.String() != want {
				t.Errorf("key %v, %v, want %s", key, err, want)
			}
		})
	}
}

// TestPinnedRoot reads the certificate under which the German master list is
// believed.
func TestPinnedRoot(t *testing.T) {
	t.Run("de-csca-root.cer", func(t *testing.T) {
		der, err := os.ReadFile(vectortest.Path(t, "trust/de-csca-root.cer"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := cms.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if !c.SelfSigned() || !c.IsCA || c.SubjectCountry() != "DE" || cms.Sniff(der) != cms.KindCertificate {
			t.Errorf("%s: self-signed %v, CA %v", c.Subject, c.SelfSigned(), c.IsCA)
		}
	})
}
