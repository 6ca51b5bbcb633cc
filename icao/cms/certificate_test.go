package cms_test

import (
	"bytes"
	"crypto"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
)

var (
	notBefore = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC)
)

// template is a sound self-signed certificate on a fresh explicit curve.
func template(t testing.TB) (cmstest.Certificate, *cmstest.Key) {
	key := cmstest.EC(t, "brainpoolP256r1", true)
	name := cmstest.Name(t, "UT", "CSCA")
	return cmstest.Certificate{
		Issuer: name, Subject: name, NotBefore: notBefore, NotAfter: notAfter,
		Key: key, KeyID: key.ID(), AuthorityKeyID: key.ID(), KeyUsage: 0x06, CA: true,
		Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}, key
}

func TestParseCertificate(t *testing.T) {
	c, key := template(t)
	c.Serial = []byte{0x01, 0x02}
	c.ExtendedKeyUsage = []string{"2.23.136.1.1.3"}
	// An arc of 128 bits, as OIDs made of a UUID have; and one that is critical.
	c.Extensions = []cmstest.Extension{{OID: "1.2.3", Critical: true, Value: []byte{5, 0}}}
	der := c.Sign(t, key)
	got, err := cms.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case !bytes.Equal(got.Raw, der),
		!bytes.Equal(got.RawIssuer, c.Issuer), !bytes.Equal(got.RawSubject, c.Subject),
		!bytes.Equal(got.SerialNumber, c.Serial),
		!got.NotBefore.Equal(notBefore), !got.NotAfter.Equal(notAfter),
		!bytes.Equal(got.SubjectKeyID, key.ID()), !bytes.Equal(got.AuthorityKeyID, key.ID()),
		!got.HasBasicConstraints, !got.IsCA, got.MaxPathLen != 0,
		!got.HasKeyUsage, got.KeyUsage != cms.KeyUsageCertSign|cms.KeyUsageCRLSign,
		!slices.Equal(got.ExtendedKeyUsage, c.ExtendedKeyUsage),
		!slices.Equal(got.UnknownCritical, []string{"1.2.3"}),
		!bytes.Equal(got.PublicKey.Raw, key.SPKI),
		len(got.Deviations) != 0:
		t.Errorf("got %+v", got)
	}
	if !got.SelfSigned() {
		t.Error("signature does not verify")
	}
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{
		{notBefore.Add(-time.Second), false}, {notBefore, true}, {notAfter, true}, {notAfter.Add(time.Second), false},
	} {
		if got := got.ValidAt(tt.at); got != tt.want {
			t.Errorf("valid at %v: %v, want %v", tt.at, got, tt.want)
		}
	}
}

// TestDeviations: what states have been seen to do is read, recorded, and still
// verified.
func TestDeviations(t *testing.T) {
	raw := func(b ...byte) []byte { return b }
	basic := func(critical bool, value ...byte) func(*cmstest.Certificate) {
		return func(c *cmstest.Certificate) {
			c.CA = false
			c.Extensions = append(c.Extensions, cmstest.Extension{OID: "2.5.29.19", Critical: critical, Value: value})
		}
	}
	tests := []struct {
		name   string
		change func(*cmstest.Certificate)
		want   []string
	}{
		{"none", func(c *cmstest.Certificate) {}, nil},
		{"serial negative", func(c *cmstest.Certificate) { c.Serial = raw(0x80) }, []string{cms.DevSerialNegative}},
		{"serial zero", func(c *cmstest.Certificate) { c.Serial = raw(0) }, []string{cms.DevSerialZero}},
		{"serial of 20 octets", func(c *cmstest.Certificate) { c.Serial = bytes.Repeat(raw(1), 20) }, nil},
		{"serial of 21 octets", func(c *cmstest.Certificate) { c.Serial = bytes.Repeat(raw(1), 21) }, []string{cms.DevSerialTooLong}},
		{"serial padded", func(c *cmstest.Certificate) { c.Serial = raw(0, 1) }, []string{cms.DevSerialNotMinimal}},
		{"version 1", func(c *cmstest.Certificate) { c.NoExtensions = true }, []string{cms.DevVersionNot3}},
		{"validity reversed", func(c *cmstest.Certificate) { c.NotBefore, c.NotAfter = c.NotAfter, c.NotBefore }, []string{cms.DevValidityReversed}},
		{"no country", func(c *cmstest.Certificate) { c.Subject = cmstest.Name(t, "", "x") }, []string{cms.DevCountryMissing}},
		{"country in small letters", func(c *cmstest.Certificate) { c.Subject = cmstest.Name(t, "vn", "x") }, []string{cms.DevCountryEncoding}},
		{"country in UTF-8", func(c *cmstest.Certificate) {
			c.Issuer = bytes.Replace(c.Issuer, raw(0x55, 4, 6, 0x13), raw(0x55, 4, 6, 0x0C), 1)
		}, []string{cms.DevCountryEncoding}},
		{"valid beyond 2049", func(c *cmstest.Certificate) { c.NotAfter = time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC) }, nil},
		{"GeneralizedTime before 2050", func(c *cmstest.Certificate) { c.GeneralizedTime = true }, []string{cms.DevTimeEncoding}},
		{"SHA-1", func(c *cmstest.Certificate) { c.Algorithm = cmstest.ECDSA(t, crypto.SHA1) }, []string{cms.DevSHA1}},
		{"NULL outside", func(c *cmstest.Certificate) {
			c.OuterID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, "1.2.840.10045.4.3.2", raw(5, 0)) })
		}, []string{cms.DevAlgorithmEncodingsDiffer}},
		{"basic constraints empty", basic(true, 0x30, 0), nil},
		{"basic constraints with 01", basic(true, 0x30, 3, 1, 1, 1), []string{cms.DevBasicConstraintsEncoding}},
		{"basic constraints with FALSE", basic(true, 0x30, 3, 1, 1, 0), []string{cms.DevBasicConstraintsEncoding}},
		{"basic constraints with path length only", basic(true, 0x30, 3, 2, 1, 0), []string{cms.DevPathLenWithoutCA}},
		{"basic constraints not critical", basic(false, 0x30, 3, 1, 1, 0xff), []string{cms.DevBasicConstraintsNotCrit}},
		{"key usage empty", func(c *cmstest.Certificate) {
			c.KeyUsage = 0
			c.Extensions = []cmstest.Extension{{OID: "2.5.29.15", Critical: true, Value: raw(3, 1, 0)}}
		}, []string{cms.DevKeyUsageEmpty}},
		{"key usage not critical", func(c *cmstest.Certificate) {
			c.KeyUsage = 0
			c.Extensions = []cmstest.Extension{{OID: "2.5.29.15", Value: raw(3, 2, 2, 4)}}
		}, []string{cms.DevKeyUsageNotCrit}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, key := template(t)
			tt.change(&c)
			got, err := cms.ParseCertificate(c.Sign(t, key))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Deviations, tt.want) {
				t.Errorf("deviations %v, want %v", got.Deviations, tt.want)
			}
			if !got.SelfSigned() {
				t.Error("signature does not verify")
			}
		})
	}
}

// TestDocumentTypes: what a document signer may sign, in the encodings that are
// met. An unreadable list costs the list, not the certificate.
func TestDocumentTypes(t *testing.T) {
	list := func(sets ...[]byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(0)
				b.AddBytes(slices.Concat(sets...))
			})
		})
	}
	set := func(tag asn1.Tag, codes ...string) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				for _, c := range codes {
					b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(c)) })
				}
			})
		})
	}
	const printable = asn1.PrintableString
	many := slices.Repeat([]string{"P"}, 65)
	unreadable, encoding := []string{cms.DevDocumentTypesUnreadable}, []string{cms.DevDocumentTypesEncoding}
	for _, tt := range []struct {
		name     string
		value    []byte
		critical bool
		want     []string
		dev      []string
	}{
		{name: "one", value: list(set(printable, "P")), want: []string{"P"}},
		{name: "several", value: list(set(printable, "P", "AC", "ID")), want: []string{"P", "AC", "ID"}},
		{name: "as many as are read", value: list(set(printable, many[:64]...)), want: many[:64]},
		{name: "critical", value: list(set(printable, "P")), critical: true, want: []string{"P"}, dev: []string{cms.DevDocumentTypesCritical}},
		{name: "a set for each", value: list(set(printable, "P"), set(printable, "ID")), want: []string{"P", "ID"}, dev: encoding},
		{name: "UTF-8", value: list(set(asn1.UTF8String, "ID")), want: []string{"ID"}, dev: encoding},
		{name: "a filler", value: list(set(printable, "P<")), want: []string{"P"}, dev: encoding},
		{name: "empty", value: list(set(printable)), dev: unreadable},
		{name: "no set", value: list(), dev: unreadable},
		{name: "fillers only", value: list(set(printable, "<<")), dev: unreadable},
		{name: "no characters", value: list(set(printable, "P", "")), dev: unreadable},
		{name: "three characters", value: list(set(printable, "IDV")), dev: unreadable},
		{name: "lower case", value: list(set(printable, "id")), dev: unreadable},
		{name: "a number", value: list(set(asn1.INTEGER, "P")), dev: unreadable},
		{name: "too many", value: list(set(printable, many...)), dev: unreadable},
		{name: "trailing data", value: append(list(set(printable, "P")), 5, 0), dev: unreadable},
		{name: "another version", value: []byte{0x30, 8, 2, 1, 1, 0x31, 3, 0x13, 1, 'P'}, dev: unreadable},
		{name: "not a sequence", value: []byte{5, 0}, dev: unreadable},
		{name: "critical and unreadable", value: []byte{5, 0}, critical: true, dev: []string{cms.DevDocumentTypesUnreadable, cms.DevDocumentTypesCritical}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, key := template(t)
			c.Extensions = append(c.Extensions, cmstest.Extension{OID: "2.23.136.1.1.6.2", Critical: tt.critical, Value: tt.value})
			got, err := cms.ParseCertificate(c.Sign(t, key))
			if err != nil {
				t.Fatal(err)
			}
			if !got.HasDocumentTypes || !slices.Equal(got.DocumentTypes, tt.want) || !slices.Equal(got.Deviations, tt.dev) {
				t.Errorf("types %q, deviations %v, want %q, %v", got.DocumentTypes, got.Deviations, tt.want, tt.dev)
			}
			if unknown := len(got.UnknownCritical) > 0; unknown != (tt.critical && tt.want == nil) {
				t.Errorf("unknown critical extensions %v", got.UnknownCritical)
			}
		})
	}
	c, key := template(t)
	if got, err := cms.ParseCertificate(c.Sign(t, key)); err != nil || got.HasDocumentTypes || got.DocumentTypes != nil {
		t.Errorf("without the extension: %q, %v", got.DocumentTypes, err)
	}
}

func TestCertificatesRefused(t *testing.T) {
	extension := func(oid string, value ...byte) func(*cmstest.Certificate) {
		return func(c *cmstest.Certificate) {
			c.KeyID, c.AuthorityKeyID, c.KeyUsage, c.CA = nil, nil, 0, false
			c.Extensions = []cmstest.Extension{{OID: oid, Value: value}}
		}
	}
	tests := []struct {
		name   string
		change func(*cmstest.Certificate)
	}{
		{"serial empty", func(c *cmstest.Certificate) { c.Serial = []byte{} }},
		{"other algorithm outside", func(c *cmstest.Certificate) { c.OuterID = cmstest.ECDSA(t, crypto.SHA512).ID }},
		{"extension twice", func(c *cmstest.Certificate) {
			c.Extensions = []cmstest.Extension{{OID: "2.5.29.19", Critical: true, Value: []byte{0x30, 0}}}
		}},
		{"many extensions", func(c *cmstest.Certificate) {
			for i := range 70 {
				c.Extensions = append(c.Extensions, cmstest.Extension{OID: "1.2.3." + string(rune('0'+i/10)) + string(rune('0'+i%10)), Value: []byte{5, 0}})
			}
		}},
		{"too large", func(c *cmstest.Certificate) {
			c.Extensions = []cmstest.Extension{{OID: "1.2.3", Value: make([]byte, cms.MaxCertificate)}}
		}},
		{"name not a sequence", func(c *cmstest.Certificate) { c.Issuer = []byte{0x31, 0} }},
		{"key off the curve", func(c *cmstest.Certificate) {
			key := *c.Key
			key.SPKI = slices.Clone(key.SPKI)
			key.SPKI[len(key.SPKI)-1] ^= 1
			c.Key = &key
		}},
		{"subject key identifier empty", extension("2.5.29.14", 4, 0)},
		{"subject key identifier with trailing data", extension("2.5.29.14", 4, 1, 1, 5, 0)},
		{"authority key identifier not a sequence", extension("2.5.29.35", 4, 1, 1)},
		{"authority key identifier empty", extension("2.5.29.35", 0x30, 2, 0x80, 0)},
		{"key usage not a bit string", extension("2.5.29.15", 4, 1, 0x80)},
		{"basic constraints not a sequence", extension("2.5.29.19", 1, 1, 0xff)},
		{"path length negative", extension("2.5.29.19", 0x30, 6, 1, 1, 0xff, 2, 1, 0xff)},
		{"extended key usage empty", extension("2.5.29.37", 0x30, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, key := template(t)
			tt.change(&c)
			if got, err := cms.ParseCertificate(c.Sign(t, key)); err == nil || got != nil {
				t.Errorf("got %v, %v, want an error", got, err)
			}
		})
	}
}

// TestUnsupportedKey: a certificate with a key of another kind is read, so that
// it can be named, and verifies nothing.
func TestUnsupportedKey(t *testing.T) {
	c, key := template(t)
	other := *key
	other.SPKI = cmstest.Build(t, func(b *cryptobyte.Builder) { // Ed25519
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			cmstest.AddAlgorithm(b, "1.3.101.112", nil)
			b.AddASN1BitString(make([]byte, 32))
		})
	})
	c.Key = &other
	got, err := cms.ParseCertificate(c.Sign(t, key))
	if err != nil {
		t.Fatal(err)
	}
	if got.PublicKey != nil || !errors.Is(got.PublicKeyError, cms.ErrUnsupported) || !slices.Contains(got.Deviations, cms.DevPublicKeyUnsupported) {
		t.Errorf("key %v, error %v, deviations %v", got.PublicKey, got.PublicKeyError, got.Deviations)
	}
	if got.SelfSigned() {
		t.Error("self-signed without a key")
	}
	if err := got.CheckSignatureBy(got.PublicKey); !errors.Is(err, cms.ErrUnsupported) {
		t.Errorf("error %v, want %v", err, cms.ErrUnsupported)
	}
}

func TestNames(t *testing.T) {
	name := func(rdns ...[]byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, rdn := range rdns {
					b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(rdn) })
				}
			})
		})
	}
	attr := func(oid string, tag asn1.Tag, value string) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(cmstest.OID(oid))
				b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
			})
		})
	}
	const c, cn, bmp = "2.5.4.6", "2.5.4.3", asn1.Tag(30)
	parse := func(subject []byte) cms.Name {
		t.Helper()
		template, key := template(t)
		template.Subject = subject
		got, err := cms.ParseCertificate(template.Sign(t, key))
		if err != nil {
			t.Fatal(err)
		}
		return got.Subject
	}
	base := parse(name(attr(c, asn1.PrintableString, "VN"), attr(cn, asn1.UTF8String, "CSCA  Việt Nam")))
	tests := []struct {
		name    string
		subject []byte
		text    string
		country string
		equal   bool
	}{
		{"the same", base.Raw, "C=VN, CN=CSCA  Việt Nam", "VN", true},
		{"other type and case", name(attr(c, asn1.UTF8String, "vn"), attr(cn, asn1.UTF8String, " csca việt NAM ")), "C=vn, CN= csca việt NAM ", "VN", true},
		{"BMPString", name(attr(c, asn1.PrintableString, "VN"), attr(cn, bmp, "\x00C\x00S\x00C\x00A\x00 \x00V\x00i\x1e\xc7\x00t\x00 \x00N\x00a\x00m")), "C=VN, CN=CSCA Việt Nam", "VN", true},
		{"TeletexString", name(attr(cn, asn1.Tag(20), "Espa\xf1a")), "CN=España", "", false},
		{"other order", name(attr(cn, asn1.UTF8String, "CSCA Việt Nam"), attr(c, asn1.PrintableString, "VN")), "CN=CSCA Việt Nam, C=VN", "VN", false},
		{"one RDN", name(slices.Concat(attr(c, asn1.PrintableString, "VN"), attr(cn, asn1.UTF8String, "CSCA Việt Nam"))), "C=VN+CN=CSCA Việt Nam", "VN", false},
		{"prefix", name(attr(c, asn1.PrintableString, "VN")), "C=VN", "VN", false},
		{"other attribute", name(attr(c, asn1.PrintableString, "VN"), attr("2.5.4.10", asn1.UTF8String, "CSCA Việt Nam")), "C=VN, O=CSCA Việt Nam", "VN", false},
		{"control characters", name(attr("1.2.3", asn1.UTF8String, "a\x1b[2J\u202eb")), "1.2.3=a\ufffd[2J\ufffdb", "", false},
		{"empty", name(), "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(tt.subject)
			if got.String() != tt.text || got.Country() != tt.country {
				t.Errorf("%q of %q, want %q of %q", got, got.Country(), tt.text, tt.country)
			}
			if got.Equal(base) != tt.equal || base.Equal(got) != tt.equal || (got.Key() == base.Key()) != tt.equal {
				t.Errorf("equal %v, keys %q and %q, want %v", got.Equal(base), got.Key(), base.Key(), tt.equal)
			}
		})
	}
	if !(cms.Name{}).Equal(cms.Name{}) {
		t.Error("the empty name is not itself")
	}
}
