package cms_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
)

const contentType = "2.23.136.1.1.1"

// signed returns a sound SignedData of one signer, to be spoilt.
func signed(t testing.TB) (cmstest.SignedData, *cms.Certificate) {
	c, key := template(t)
	c.CA, c.KeyUsage = false, 0x80
	der := c.Sign(t, key)
	certificate, err := cms.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cmstest.SignedData{
		ContentType: contentType, Content: []byte("content"), Certificates: [][]byte{der},
		Signers: []cmstest.Signer{{Key: key, Algorithm: cmstest.ECDSA(t, crypto.SHA256), Issuer: c.Issuer, Serial: []byte{1}}},
	}, certificate
}

func TestSignedDataVerify(t *testing.T) {
	attribute := func(oid string, value cryptobyte.BuilderContinuation) []byte { return cmstest.Attribute(t, oid, value) }
	octets := func(b []byte) cryptobyte.BuilderContinuation {
		return func(w *cryptobyte.Builder) { w.AddASN1OctetString(b) }
	}
	oid := func(s string) cryptobyte.BuilderContinuation {
		return func(w *cryptobyte.Builder) { w.AddASN1ObjectIdentifier(cmstest.OID(s)) }
	}
	const oidContentType, oidMessageDigest = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
	type list = [][]byte
	same := func(l ...[]byte) (sent, signed list) { return l, l }
	desc := func(a, b []byte) list { // in the order that DER does not have
		l := list{a, b}
		slices.SortFunc(l, func(a, b []byte) int { return bytes.Compare(b, a) })
		return l
	}
	reversed := func(l list) list {
		l = slices.Clone(l)
		slices.Reverse(l)
		return l
	}
	tests := []struct {
		name string
		// attributes for sending and for signing, of the proper content type and digest
		attributes func(c, d []byte) (sent, signed list)
		want       error
		dev        []string
	}{
		{"proper", nil, nil, nil},
		{"unsorted, signed sorted", func(c, d []byte) (list, list) { return desc(c, d), reversed(desc(c, d)) }, nil, []string{cms.DevSignedAttrsNotDER}},
		{"unsorted, signed as sent", func(c, d []byte) (list, list) { return same(desc(c, d)...) }, nil, []string{cms.DevSignedAttrsNotDER}},
		{"unsorted, signed otherwise", func(c, d []byte) (list, list) { return desc(c, d), list{c} }, cms.ErrSignature, []string{cms.DevSignedAttrsNotDER}},
		{"sorted, signed unsorted", func(c, d []byte) (list, list) { return reversed(desc(c, d)), desc(c, d) }, cms.ErrSignature, nil},
		{"no message digest", func(c, d []byte) (list, list) { return same(c) }, cms.ErrSignedAttributes, nil},
		{"no content type", func(c, d []byte) (list, list) { return same(d) }, cms.ErrSignedAttributes, nil},
		{"no attribute", func(c, d []byte) (list, list) { return same() }, cms.ErrSignedAttributes, nil},
		{"other content type", func(c, d []byte) (list, list) {
			return same(attribute(oidContentType, oid("2.23.136.1.1.2")), d)
		}, cms.ErrSignedAttributes, nil},
		{"digest of something else", func(c, d []byte) (list, list) {
			sum := sha256.Sum256([]byte("Content"))
			return same(c, attribute(oidMessageDigest, octets(sum[:])))
		}, cms.ErrDigest, nil},
		{"digest cut short", func(c, d []byte) (list, list) {
			sum := sha256.Sum256([]byte("content"))
			return same(c, attribute(oidMessageDigest, octets(sum[:31])))
		}, cms.ErrDigest, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, certificate := signed(t)
			s.Signers[0].Attributes = tt.attributes
			sd, err := cms.ParseSignedData(s.Build(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := sd.Verify(&sd.Signers[0], certificate); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if !slices.Equal(sd.Deviations, tt.dev) {
				t.Errorf("deviations %v, want %v", sd.Deviations, tt.dev)
			}
		})
	}
}

// TestBareSignature: without signed attributes nothing verifies. Otherwise the
// octets of the attributes of a sound document would be a signed content.
func TestBareSignature(t *testing.T) {
	s, certificate := signed(t)
	s.Signers[0].Bare = true
	sd, err := cms.ParseSignedData(s.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := sd.Verify(&sd.Signers[0], certificate); !errors.Is(err, cms.ErrSignedAttributes) {
		t.Errorf("error %v, want %v", err, cms.ErrSignedAttributes)
	}
}

func TestSignerInfo(t *testing.T) {
	rsaKey := cmstest.RSA(t, "a", 2048)
	rsaCert := func(t *testing.T, s *cmstest.SignedData) *cms.Certificate {
		c, _ := template(t)
		c.Key, c.Algorithm = rsaKey, cmstest.PKCS1(t, crypto.SHA256)
		der := c.Sign(t, rsaKey)
		s.Certificates = [][]byte{der}
		s.Signers[0].Key = rsaKey
		got, err := cms.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	tests := []struct {
		name   string
		change func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate)
		found  int // certificates that the signer names
		want   error
		dev    []string
		text   string
	}{
		{"issuer and serial number", func(*testing.T, *cmstest.SignedData, **cms.Certificate) {}, 1, nil, nil, "ECDSA SHA-256"},
		{"key identifier", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].KeyID = (*c).SubjectKeyID
		}, 1, nil, nil, "ECDSA SHA-256"},
		{"version 3 with issuer", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Version = 3
		}, 1, nil, []string{cms.DevSignerInfoVersion}, "ECDSA SHA-256"},
		{"version 1 with key identifier", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].KeyID, s.Signers[0].Version = (*c).SubjectKeyID, 1
		}, 1, nil, []string{cms.DevSignerInfoVersion}, "ECDSA SHA-256"},
		{"SignedData version 1", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Version = 1
		}, 1, nil, []string{cms.DevSignedDataVersion}, "ECDSA SHA-256"},
		{"other serial number", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Serial = []byte{2}
		}, 0, nil, nil, "ECDSA SHA-256"},
		{"other issuer", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Issuer = cmstest.Name(t, "UT", "other")
		}, 0, nil, nil, "ECDSA SHA-256"},
		{"issuer in other case", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Issuer = cmstest.Name(t, "ut", "csca")
		}, 1, nil, nil, "ECDSA SHA-256"},
		{"other key identifier", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].KeyID = []byte{1}
		}, 0, nil, nil, "ECDSA SHA-256"},
		{"certificate twice", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Certificates = append(s.Certificates, s.Certificates[0])
		}, 2, nil, nil, "ECDSA SHA-256"},
		{"no certificate", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Certificates = nil
		}, 0, nil, nil, "ECDSA SHA-256"},
		{"certificate unreadable", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Certificates = [][]byte{{0x30, 0}}
		}, 0, nil, []string{cms.DevCertificateUnreadable}, "ECDSA SHA-256"},
		{"attribute certificate", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Certificates = append(s.Certificates, []byte{0xa1, 0})
		}, 1, nil, []string{cms.DevCertificateFormatOther}, "ECDSA SHA-256"},
		{"plain ECDSA", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Algorithm = cmstest.ECDSAPlain(t, crypto.SHA384)
		}, 1, nil, nil, "ECDSA SHA-384"},
		{"digests differ", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Digest = crypto.SHA512
		}, 1, nil, []string{cms.DevDigestsDiffer}, "ECDSA SHA-256"},
		{"SHA-1 digest", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Digest = crypto.SHA1
		}, 1, nil, []string{cms.DevSHA1, cms.DevDigestsDiffer}, "ECDSA SHA-256"},
		{"rsaEncryption", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			*c = rsaCert(t, s)
			s.Signers[0].Algorithm = cmstest.RSAEncryption(t, crypto.SHA224)
		}, 1, nil, nil, "RSASSA-PKCS1-v1_5 SHA-224"},
		{"PSS over PKCS1 certificate", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			*c = rsaCert(t, s)
			s.Signers[0].Algorithm = cmstest.PSS(t, crypto.SHA512, 64)
		}, 1, nil, nil, "RSASSA-PSS SHA-512 salt 64"},
		{"PSS with another trailer", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			*c = rsaCert(t, s)
			a := cmstest.PSS(t, crypto.SHA256, 32)
			a.ID = cmstest.Build(t, func(b *cryptobyte.Builder) {
				cmstest.AddAlgorithm(b, "1.2.840.113549.1.1.10", cmstest.PSSParameters(t, crypto.SHA256, crypto.SHA256, 32, 2))
			})
			s.Signers[0].Algorithm = a
		}, 1, cms.ErrUnsupported, nil, "1.2.840.113549.1.1.10"},
		{"PSS without parameters", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			*c = rsaCert(t, s)
			a := cmstest.PSS(t, crypto.SHA1, 20)
			a.ID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, "1.2.840.113549.1.1.10", nil) })
			s.Signers[0].Algorithm = a
		}, 1, nil, []string{cms.DevPSSParametersMissing, cms.DevSHA1}, "RSASSA-PSS SHA-1 salt 20"},
		{"unknown algorithm", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Algorithm.ID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, "1.2.3", nil) })
		}, 1, cms.ErrUnsupported, nil, "1.2.3"},
		{"RSA signature with an EC key", func(t *testing.T, s *cmstest.SignedData, c **cms.Certificate) {
			s.Signers[0].Algorithm.ID = cmstest.PKCS1(t, crypto.SHA256).ID
		}, 1, cms.ErrUnsupported, nil, "RSASSA-PKCS1-v1_5 SHA-256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, certificate := signed(t)
			tt.change(t, &s, &certificate)
			sd, err := cms.ParseSignedData(s.Build(t))
			if err != nil {
				t.Fatal(err)
			}
			si := &sd.Signers[0]
			if got := len(sd.SignerCertificates(si)); got != tt.found {
				t.Errorf("%d certificates named, want %d", got, tt.found)
			}
			if err := sd.Verify(si, certificate); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if !slices.Equal(sd.Deviations, tt.dev) {
				t.Errorf("deviations %v, want %v", sd.Deviations, tt.dev)
			}
			if got := si.SignatureAlgorithm.String(); got != tt.text {
				t.Errorf("algorithm %q, want %q", got, tt.text)
			}
			if err := sd.Verify(si, nil); !errors.Is(err, cms.ErrUnsupported) {
				t.Errorf("no certificate: error %v", err)
			}
		})
	}
}

func TestSignedDataRefused(t *testing.T) {
	repeat := func(n int, s cmstest.Signer) (l []cmstest.Signer) {
		for range n {
			l = append(l, s)
		}
		return l
	}
	tests := []struct {
		name   string
		change func(*cmstest.SignedData)
	}{
		{"many certificates", func(s *cmstest.SignedData) {
			for range 16 {
				s.Certificates = append(s.Certificates, s.Certificates[0])
			}
		}},
		{"many signers", func(s *cmstest.SignedData) { s.Signers = repeat(5, s.Signers[0]) }},
		{"attribute twice", func(s *cmstest.SignedData) {
			s.Signers[0].Attributes = func(c, d []byte) (sent, signed [][]byte) { l := [][]byte{c, d, d}; return l, l }
		}},
		{"attribute with two values", func(s *cmstest.SignedData) {
			s.Signers[0].Attributes = func(c, d []byte) (sent, signed [][]byte) {
				l := [][]byte{c, cmstest.Attribute(t, "1.2.840.113549.1.9.4", func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(make([]byte, 32))
					b.AddASN1OctetString(make([]byte, 32))
				})}
				return l, l
			}
		}},
		{"serial number empty", func(s *cmstest.SignedData) { s.Signers[0].Serial = nil }},
		{"key identifier empty", func(s *cmstest.SignedData) { s.Signers[0].KeyID = []byte{} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := signed(t)
			tt.change(&s)
			if sd, err := cms.ParseSignedData(s.Build(t)); err == nil || sd != nil {
				t.Errorf("got %v, %v, want an error", sd, err)
			}
		})
	}
	s, _ := signed(t)
	der := s.Build(t)
	for _, bad := range [][]byte{nil, {0x30, 0}, append(slices.Clone(der), 0), der[:len(der)-1], make([]byte, 9<<20)} {
		if sd, err := cms.ParseSignedData(bad); err == nil || sd != nil {
			t.Errorf("%d octets: got %v, %v, want an error", len(bad), sd, err)
		}
	}
}

// TestSignedDataMutation turns a bit of every octet of a SignedData: what still
// verifies has the same content.
func TestSignedDataMutation(t *testing.T) {
	s, certificate := signed(t)
	der := s.Build(t)
	for i := range der {
		for bit := range 8 {
			mutated := slices.Clone(der)
			mutated[i] ^= 1 << bit
			sd, err := cms.ParseSignedData(mutated)
			if err != nil || len(sd.Signers) == 0 {
				continue
			}
			if sd.Verify(&sd.Signers[0], certificate) == nil && !bytes.Equal(sd.Content, s.Content) {
				t.Errorf("octet %d, bit %d: another content verifies", i, bit)
			}
		}
	}
}
