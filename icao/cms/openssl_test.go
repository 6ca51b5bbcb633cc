package cms_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/cms"
)

// opensslObjects are made by OpenSSL 3.0: an implementation that shares nothing
// with this one.
type opensslObjects struct {
	Certificates []struct {
		Name, Algorithm, Key string
		Certificate          []byte
	}
	SignedData []struct {
		Name, Signer, Error string
		Deviations          []string
		Content, CMS        []byte
	}
}

func openssl(t testing.TB) opensslObjects {
	t.Helper()
	b, err := os.ReadFile("testdata/openssl.json")
	if err != nil {
		t.Fatal(err)
	}
	var o opensslObjects
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Certificates) == 0 || len(o.SignedData) == 0 {
		t.Fatal("testdata/openssl.json is empty")
	}
	return o
}

func TestOpenSSLCertificates(t *testing.T) {
	for _, v := range openssl(t).Certificates {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c, err := cms.ParseCertificate(v.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.SignatureAlgorithm.String(); got != v.Algorithm {
				t.Errorf("algorithm %q, want %q", got, v.Algorithm)
			}
			if got := c.PublicKey.String(); got != v.Key {
				t.Errorf("key %q, want %q", got, v.Key)
			}
			if got, want := c.SignatureAlgorithm.Describe(c.PublicKey), v.Algorithm+" "+v.Key; got != want {
				t.Errorf("description %q, want %q", got, want)
			}
			if got, want := c.Subject.String(), "C=UT, O=test, CN="+v.Name; got != want {
				t.Errorf("subject %q, want %q", got, want)
			}
			if !c.SelfIssued() || !c.IsCA || c.SubjectCountry() != "UT" {
				t.Errorf("self-issued %v, CA %v, country %q", c.SelfIssued(), c.IsCA, c.SubjectCountry())
			}
			if err := c.CheckSignatureBy(c.PublicKey); err != nil {
				t.Fatalf("signature: %v", err)
			}

			// Every octet of the signature counts (a third are tried), and the message.
			for i := 0; i < len(c.Signature); i += 3 {
				bad := *c
				bad.Signature = slices.Clone(c.Signature)
				bad.Signature[i] ^= 1
				if err := bad.CheckSignatureBy(c.PublicKey); !errors.Is(err, cms.ErrSignature) {
					t.Fatalf("octet %d of the signature changed: error %v", i, err)
				}
			}
			for _, signature := range [][]byte{nil, {}, {0}, append([]byte{0}, c.Signature...), append(slices.Clone(c.Signature), 0), c.Signature[1:]} {
				bad := *c
				bad.Signature = signature
				if err := bad.CheckSignatureBy(c.PublicKey); !errors.Is(err, cms.ErrSignature) {
					t.Fatalf("signature of %d octets: error %v", len(signature), err)
				}
			}
			bad := *c
			bad.RawTBS = slices.Clone(c.RawTBS)
			bad.RawTBS[len(bad.RawTBS)-1] ^= 1
			if bad.SelfSigned() {
				t.Error("a changed certificate verifies")
			}
		})
	}
}

// TestOtherKeys checks every certificate against every other's key.
func TestOtherKeys(t *testing.T) {
	var certificates []*cms.Certificate
	for _, v := range openssl(t).Certificates {
		c, err := cms.ParseCertificate(v.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, c)
	}
	pairs := 0
	for _, c := range certificates {
		for _, other := range certificates {
			if c.PublicKey.Equal(other.PublicKey) {
				continue
			}
			pairs++
			err := c.CheckSignatureBy(other.PublicKey)
			if !errors.Is(err, cms.ErrSignature) && !errors.Is(err, cms.ErrUnsupported) {
				t.Errorf("%v under the key of %v: error %v", c.Subject, other.Subject, err)
			}
		}
		if err := c.CheckSignatureBy(nil); !errors.Is(err, cms.ErrUnsupported) {
			t.Errorf("%v under no key: error %v", c.Subject, err)
		}
	}
	if pairs == 0 {
		t.Fatal("no pairs compared")
	}
}

func TestOpenSSLSignedData(t *testing.T) {
	o := openssl(t)
	signers := make(map[string]*cms.Certificate)
	for _, v := range o.Certificates {
		c, err := cms.ParseCertificate(v.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		signers[v.Name] = c
	}
	for _, v := range o.SignedData {
		t.Run(v.Name, func(t *testing.T) {
			sd, err := cms.ParseSignedData(v.CMS)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v.Content, sd.Content); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(v.Deviations, sd.Deviations, cmp.Transformer("sorted", sorted)); diff != "" {
				t.Errorf("deviations (-want +got):\n%s", diff)
			}
			if len(sd.Signers) != 1 {
				t.Fatalf("%d signers", len(sd.Signers))
			}
			si := &sd.Signers[0]
			signer := signers[v.Signer]
			if !si.Names(signer) {
				t.Error("the signer is not named")
			}
			if found := sd.SignerCertificates(si); len(found) != len(sd.Certificates) {
				t.Errorf("%d of %d certificates named", len(found), len(sd.Certificates))
			}
			if si.SigningTime.IsZero() != (v.Error != "") {
				t.Errorf("signing time %v", si.SigningTime)
			}
			var want error
			if v.Error == "attributes" {
				want = cms.ErrSignedAttributes
			}
			if err := sd.Verify(si, signer); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
			if want != nil {
				return
			}
			sd.Content = append(slices.Clone(sd.Content), 0)
			if err := sd.Verify(si, signer); !errors.Is(err, cms.ErrDigest) {
				t.Errorf("longer content: error %v, want %v", err, cms.ErrDigest)
			}
		})
	}
}

func sorted(s []string) []string {
	s = append([]string{}, s...)
	slices.Sort(s)
	return s
}
