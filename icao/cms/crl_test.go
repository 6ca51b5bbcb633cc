package cms_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
)

type opensslLists struct {
	Issuers []struct {
		Name        string
		Certificate []byte
	}
	CRLs []struct {
		Name, Issuer, Algorithm, Error string
		Revoked                        int
		CRL                            []byte
	}
	Bundle    []byte
	BundlePEM string
}

func opensslCRLs(t testing.TB) opensslLists {
	t.Helper()
	b, err := os.ReadFile("testdata/openssl-crl.json")
	if err != nil {
		t.Fatal(err)
	}
	var o opensslLists
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Issuers) == 0 || len(o.CRLs) == 0 || len(o.Bundle) == 0 {
		t.Fatal("testdata/openssl-crl.json is empty")
	}
	return o
}

func TestOpenSSLRevocationLists(t *testing.T) {
	o := opensslCRLs(t)
	issuers := map[string]*cms.Certificate{}
	for _, v := range o.Issuers {
		c, err := cms.ParseCertificate(v.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		issuers[v.Name] = c
	}
	refusals := map[string]error{"indirect": cms.ErrIndirectCRL, "partial": cms.ErrPartialCRL, "delta": cms.ErrDeltaCRL, "unsupported": cms.ErrUnsupported}
	for _, v := range o.CRLs {
		t.Run(v.Name, func(t *testing.T) {
			if got := cms.Sniff(v.CRL); got != cms.KindCRL {
				t.Errorf("looks like kind %d", got)
			}
			l, err := cms.ParseCRL(v.CRL)
			if v.Error != "" {
				if !errors.Is(err, refusals[v.Error]) || l != nil {
					t.Errorf("list %v, error %v, want %v", l, err, refusals[v.Error])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			issuer := issuers[v.Issuer]
			if got := l.SignatureAlgorithm.String(); got != v.Algorithm {
				t.Errorf("algorithm %q, want %q", got, v.Algorithm)
			}
			if err := l.CheckSignatureBy(issuer.PublicKey); err != nil {
				t.Errorf("signature: %v", err)
			}
			for name, other := range issuers {
				if err := l.CheckSignatureBy(other.PublicKey); name != v.Issuer && err == nil {
					t.Errorf("verifies under the key of %s", name)
				}
			}
			bad := *l
			bad.RawTBS = slices.Clone(l.RawTBS)
			bad.RawTBS[len(bad.RawTBS)-1] ^= 1
			if err := bad.CheckSignatureBy(issuer.PublicKey); !errors.Is(err, cms.ErrSignature) {
				t.Errorf("changed: error %v", err)
			}
			if !l.Issuer.Equal(issuer.Subject) || !bytes.Equal(l.AuthorityKeyID, issuer.SubjectKeyID) || !bytes.Equal(l.Number, []byte{0x2a}) {
				t.Errorf("issuer %v, key %x, number %x", l.Issuer, l.AuthorityKeyID, l.Number)
			}
			if want := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC); !l.ThisUpdate.Equal(want) {
				t.Errorf("this update %v", l.ThisUpdate)
			}
			if want := time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC); !l.NextUpdate.Equal(want) {
				t.Errorf("next update %v", l.NextUpdate)
			}
			if l.Len() != v.Revoked {
				t.Fatalf("%d revoked, want %d", l.Len(), v.Revoked)
			}
			if got := slices.Contains(l.Deviations, cms.DevCRLDistributionPoint); got != (v.Name == "user") {
				t.Errorf("deviations %v", l.Deviations)
			}
			if (len(l.AltNames) == 1) != (v.Name == "alt") {
				t.Errorf("%d further names", len(l.AltNames))
			}
			for _, e := range []struct {
				serial []byte
				day    int
				reason cms.RevocationReason
			}{{[]byte{0x10, 0}, 1, cms.ReasonKeyCompromise}, {[]byte{0, 0xff, 0xee}, 2, cms.ReasonCertificateHold}, {[]byte{0x10, 2}, 3, cms.ReasonUnspecified}} {
				r, listed := l.Revoked(e.serial)
				if listed != (v.Revoked > 0) || listed && (r.Reason != e.reason || !r.Time.Equal(time.Date(2026, 10, e.day, 0, 0, 0, 0, time.UTC))) {
					t.Errorf("%x: %+v, %v", e.serial, r, listed)
				}
			}
			for _, serial := range [][]byte{{0x10, 3}, {0xff, 0xee}, {0x10}, {}, nil} {
				if _, listed := l.Revoked(serial); listed {
					t.Errorf("%x is listed", serial)
				}
			}
		})
	}
}

var listTime = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func crl(t testing.TB) (cmstest.CRL, *cmstest.Key) {
	key := cmstest.EC(t, "P-256", true)
	return cmstest.CRL{
		Issuer: cmstest.Name(t, "UT", "CSCA"), ThisUpdate: listTime, NextUpdate: listTime.AddDate(0, 3, 0),
		Revoked:        []cmstest.Revoked{{Serial: []byte{7}, At: listTime}},
		AuthorityKeyID: key.ID(), Number: 1, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}, key
}

func TestParseCRL(t *testing.T) {
	ext := func(oid string, critical bool, value ...byte) cmstest.Extension {
		return cmstest.Extension{OID: oid, Critical: critical, Value: value}
	}
	entry := func(e ...cmstest.Extension) func(*cmstest.CRL) {
		return func(c *cmstest.CRL) { c.Revoked[0].Extensions = e }
	}
	list := func(e ...cmstest.Extension) func(*cmstest.CRL) {
		return func(c *cmstest.CRL) { c.Extensions = e }
	}
	malformed := errors.New("malformed")
	tests := []struct {
		name   string
		change func(*cmstest.CRL)
		want   error // nil: the list is read and has serial number 7
		dev    string
	}{
		{"sound", func(*cmstest.CRL) {}, nil, ""},
		{"version 1", func(c *cmstest.CRL) { c.Version1 = true }, nil, cms.DevCRLVersionNot2},
		{"no next update", func(c *cmstest.CRL) { c.NextUpdate = time.Time{} }, nil, cms.DevCRLNextUpdateMissing},
		{"next update before this", func(c *cmstest.CRL) { c.NextUpdate = listTime.AddDate(0, 0, -1) }, nil, cms.DevValidityReversed},
		{"entry twice", func(c *cmstest.CRL) { c.Revoked = append(c.Revoked, c.Revoked[0]) }, nil, cms.DevCRLEntryTwice},
		{"reason", entry(ext("2.5.29.21", false, 10, 1, 1)), nil, cms.DevCRLReasonCode},
		{"reason that undoes a revocation", entry(ext("2.5.29.21", false, 10, 1, 8)), nil, cms.DevCRLReasonCode},
		{"reason that does not exist", entry(ext("2.5.29.21", false, 10, 1, 99)), nil, cms.DevCRLReasonCode},
		{"reason malformed", entry(ext("2.5.29.21", false, 2, 1, 1)), malformed, ""},
		{"unknown entry extension", entry(ext("1.2.3", false, 5, 0)), nil, ""},
		{"unknown critical entry extension", entry(ext("1.2.3", true, 5, 0)), nil, ""},
		{"entry of another issuer", entry(ext("2.5.29.29", true, 0x30, 0)), cms.ErrIndirectCRL, ""},
		{"entry of another issuer after an unknown extension", entry(ext("1.2.3", true, 5, 0), ext("2.5.29.29", false, 0x30, 0)), cms.ErrIndirectCRL, ""},
		{"delta", list(ext("2.5.29.27", true, 2, 1, 1)), cms.ErrDeltaCRL, ""},
		{"delta, not critical", list(ext("2.5.29.27", false, 2, 1, 1)), cms.ErrDeltaCRL, ""},
		{"delta after an unknown extension", list(ext("1.2.3", true, 5, 0), ext("2.5.29.27", true, 2, 1, 1)), cms.ErrDeltaCRL, ""},
		{"where deltas are", list(ext("2.5.29.46", false, 0x30, 0)), nil, ""},
		{"users only", list(ext("2.5.29.28", true, 0x30, 3, 0x81, 1, 0xff)), nil, cms.DevCRLDistributionPoint},
		{"not indirect, written out", list(ext("2.5.29.28", true, 0x30, 3, 0x84, 1, 0)), nil, cms.DevCRLDistributionPoint},
		{"indirect", list(ext("2.5.29.28", true, 0x30, 3, 0x84, 1, 0xff)), cms.ErrIndirectCRL, ""},
		{"indirect as BER", list(ext("2.5.29.28", true, 0x30, 3, 0x84, 1, 1)), cms.ErrIndirectCRL, ""},
		{"CA only", list(ext("2.5.29.28", true, 0x30, 3, 0x82, 1, 0xff)), cms.ErrPartialCRL, ""},
		{"attributes only", list(ext("2.5.29.28", true, 0x30, 3, 0x85, 1, 0xff)), cms.ErrPartialCRL, ""},
		{"some reasons", list(ext("2.5.29.28", true, 0x30, 4, 0x83, 2, 6, 0x40)), cms.ErrPartialCRL, ""},
		{"a distribution point", list(ext("2.5.29.28", true, 0x30, 2, 0xa0, 0)), cms.ErrPartialCRL, ""},
		{"an unknown restriction", list(ext("2.5.29.28", true, 0x30, 3, 0x86, 1, 0xff)), cms.ErrPartialCRL, ""},
		{"distribution point malformed", list(ext("2.5.29.28", true, 5, 0)), malformed, ""},
		{"unknown critical extension", list(ext("1.2.3", true, 5, 0)), cms.ErrUnsupported, ""},
		{"unknown extension", list(ext("1.2.3", false, 5, 0)), nil, ""},
		{"extension twice", list(ext("1.2.3", false, 5, 0), ext("1.2.3", false, 5, 0)), malformed, ""},
		{"further names malformed", list(ext("2.5.29.18", false, 0x30, 2, 0xa4, 0)), malformed, ""},
		{"empty list", func(c *cmstest.CRL) { c.Revoked = []cmstest.Revoked{} }, nil, cms.DevCRLEmptyList},
		{"entry without serial number", func(c *cmstest.CRL) { c.Revoked[0].Serial = []byte{} }, malformed, ""},
		{"algorithm differs outside", func(c *cmstest.CRL) { c.OuterID = cmstest.ECDSA(t, crypto.SHA384).ID }, malformed, ""},
		{"issuer malformed", func(c *cmstest.CRL) { c.Issuer = []byte{4, 0} }, malformed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, key := crl(t)
			tt.change(&c)
			l, err := cms.ParseCRL(c.Sign(t, key))
			if tt.want != nil {
				if err == nil || l != nil || tt.want != malformed && !errors.Is(err, tt.want) {
					t.Errorf("list %v, error %v, want %v", l, err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, listed := l.Revoked([]byte{7}); listed != (len(c.Revoked) > 0) {
				t.Errorf("serial number 7 listed: %v", listed)
			}
			if tt.dev == "" && len(l.Deviations) != 0 || tt.dev != "" && !slices.Equal(l.Deviations, []string{tt.dev}) {
				t.Errorf("deviations %v, want %q", l.Deviations, tt.dev)
			}
			if err := l.CheckSignatureBy(nil); !errors.Is(err, cms.ErrUnsupported) {
				t.Errorf("no key: error %v", err)
			}
		})
	}
	c, key := crl(t)
	der := c.Sign(t, key)
	for name, b := range map[string][]byte{
		"empty": nil, "trailing data": append(slices.Clone(der), 0), "cut": der[:len(der)-1],
		"too large":     make([]byte, cms.MaxCRL+1),
		"a certificate": opensslCRLs(t).Issuers[0].Certificate,
	} {
		if l, err := cms.ParseCRL(b); err == nil || l != nil {
			t.Errorf("%s: list %v, error %v", name, l, err)
		}
	}
	var none *cms.CRL
	if _, listed := none.Revoked([]byte{7}); listed {
		t.Error("no list names a serial number")
	}
}

func TestParseBundle(t *testing.T) {
	o := opensslCRLs(t)
	block, _ := pem.Decode([]byte(o.BundlePEM))
	if block == nil || !bytes.Equal(block.Bytes, o.Bundle) {
		t.Fatal("the PEM bundle is another")
	}
	certificate, list := o.Issuers[0].Certificate, o.CRLs[0].CRL
	for _, tt := range []struct {
		name              string
		der               []byte
		certificates, crl int
		unreadable        int
	}{
		{"OpenSSL", o.Bundle, 2, 1, 0},
		{"own", cmstest.Bundle(t, [][]byte{certificate}, [][]byte{list, list}), 1, 2, 0},
		{"empty", cmstest.Bundle(t, nil, nil), 0, 0, 0},
		{"other kinds", cmstest.Bundle(t, [][]byte{{0xa1, 0}, certificate}, [][]byte{{0xa1, 0}}), 1, 0, 2},
	} {
		b, err := cms.ParseBundle(tt.der)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(b.Certificates) != tt.certificates || len(b.CRLs) != tt.crl || b.Unreadable != tt.unreadable {
			t.Errorf("%s: %d certificates, %d lists, %d unreadable", tt.name, len(b.Certificates), len(b.CRLs), b.Unreadable)
		}
		for _, der := range b.Certificates {
			if _, err := cms.ParseCertificate(der); err != nil || cms.Sniff(der) != cms.KindCertificate {
				t.Errorf("%s: certificate: %v", tt.name, err)
			}
		}
		if cms.Sniff(tt.der) != cms.KindSignedData {
			t.Errorf("%s looks like something else", tt.name)
		}
	}
	s, _ := signed(t)
	withContent := s
	withContent.ContentType = "1.2.840.113549.1.7.1"
	for name, der := range map[string][]byte{"signed data": s.Build(t), "signed text": withContent.Build(t)} {
		if b, err := cms.ParseBundle(der); !errors.Is(err, cms.ErrNotBundle) || b != nil {
			t.Errorf("%s: bundle %v, error %v", name, b, err)
		}
	}
	for name, der := range map[string][]byte{"nothing": nil, "a certificate": certificate, "cut": o.Bundle[:len(o.Bundle)-1]} {
		if b, err := cms.ParseBundle(der); err == nil || errors.Is(err, cms.ErrNotBundle) || b != nil {
			t.Errorf("%s: bundle %v, error %v", name, b, err)
		}
	}
}

func TestSniff(t *testing.T) {
	v1, key := template(t)
	v1.NoExtensions = true
	list, listKey := crl(t)
	list.Version1 = true
	seq := func(inner ...byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(inner) })
		})
	}
	for _, tt := range []struct {
		name string
		der  []byte
		want cms.Kind
	}{
		{"certificate of version 1", v1.Sign(t, key), cms.KindCertificate},
		{"revocation list of version 1", list.Sign(t, listKey), cms.KindCRL},
		{"indefinite length", []byte{0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2}, cms.KindSignedData},
		{"other content info", seq(6, 3, 0x2a, 3, 4), cms.KindUnknown},
		{"nothing", nil, cms.KindUnknown},
		{"empty sequence", seq(), cms.KindUnknown},
		{"a key", key.SPKI, cms.KindUnknown},
		{"text", []byte("0123456789"), cms.KindUnknown},
	} {
		if got := cms.Sniff(tt.der); got != tt.want {
			t.Errorf("%s: kind %d, want %d", tt.name, got, tt.want)
		}
	}
}

func FuzzParseCRL(f *testing.F) {
	var keys []*cms.PublicKey
	o := opensslCRLs(f)
	for _, v := range o.CRLs {
		f.Add(v.CRL)
	}
	for _, v := range o.Issuers {
		c, err := cms.ParseCertificate(v.Certificate)
		if err != nil {
			f.Fatal(err)
		}
		keys = append(keys, c.PublicKey)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := cms.ParseCRL(der)
		if (l == nil) != (err != nil) {
			t.Fatalf("list %v with error %v", l, err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(l.Raw, der) {
			t.Error("Raw is not what was read")
		}
		for _, k := range keys {
			if l.CheckSignatureBy(k) == nil && l.Len() != 3 && l.Len() != 0 {
				t.Error("another list verifies")
			}
		}
		if again, err := cms.ParseCRL(l.Raw); err != nil || again.Len() != l.Len() || !again.ThisUpdate.Equal(l.ThisUpdate) {
			t.Error("a second reading differs")
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	o := opensslCRLs(f)
	f.Add(o.Bundle)
	f.Add(cmstest.Bundle(f, [][]byte{{0xa1, 0}}, nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		b, err := cms.ParseBundle(der)
		if (b == nil) != (err != nil) {
			t.Fatalf("bundle %v with error %v", b, err)
		}
		if err == nil && cms.Sniff(der) != cms.KindSignedData {
			t.Error("a bundle is not recognised")
		}
	})
}
