// Package cmstest makes certificates and SignedData for tests: the ones that
// issuing states make, and the ones that they should not. It is for tests only;
// its keys are fresh and worth nothing.
//
// It builds DER with cryptobyte and signs with the standard library and with
// icao/internal/ec, so a pass against package cms proves that both agree, not
// that both are right. The tests of package cms therefore also hold objects
// made by OpenSSL and the published ones.
package cmstest

import (
	"bytes"
	"crypto"
	//lint:ignore SA1019 old documents are signed with it
	"crypto/dsa" //nolint:staticcheck // an oracle for tests
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	encoding_asn1 "encoding/asn1"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/internal/ec"
)

// Key is a key pair.
type Key struct {
	RSA *rsa.PrivateKey
	EC  *ec.PrivateKey
	DSA *dsa.PrivateKey
	// SPKI is the SubjectPublicKeyInfo.
	SPKI []byte
}

// ID returns the key identifier of RFC 5280, 4.2.1.2, made over the whole SPKI.
func (k *Key) ID() []byte {
	sum := sha1.Sum(k.SPKI)
	return sum[:]
}

var rsaKeys sync.Map // name -> func() *rsa.PrivateKey

// RSA returns the RSA key of this name, made once in a test binary because
// making one takes long.
func RSA(t testing.TB, name string, bits int) *Key {
	t.Helper()
	once, _ := rsaKeys.LoadOrStore(name+strconv.Itoa(bits), sync.OnceValues(func() (*rsa.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, bits)
	}))
	private, err := once.(func() (*rsa.PrivateKey, error))()
	if err != nil {
		t.Fatal(err)
	}
	return &Key{RSA: private, SPKI: RSASPKI(t, private.N, private.E)}
}

// RSASPKI returns the SubjectPublicKeyInfo of an RSA key with NULL parameters.
func RSASPKI(t testing.TB, n *big.Int, e int) []byte {
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			AddAlgorithm(b, "1.2.840.113549.1.1.1", []byte{5, 0})
			addBitString(b, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1BigInt(n)
					b.AddASN1Int64(int64(e))
				})
			})
		})
	})
}

// EC returns a fresh key on a curve, with named or explicit parameters.
func EC(t testing.TB, curve string, explicit bool) *Key {
	t.Helper()
	c := ec.ByName(curve)
	if c == nil {
		t.Fatalf("no curve %s", curve)
	}
	private, err := c.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	params := Build(t, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OID(c.OID())) })
	if explicit {
		g := slices.Concat([]byte{4}, c.Gx(), c.Gy())
		params = ExplicitCurve(t, c.P(), c.A(), c.B(), g, c.N())
	}
	return &Key{EC: private, SPKI: ECSPKI(t, params, private.Public().Bytes())}
}

// ExplicitCurve returns SpecifiedECDomain with cofactor 1.
func ExplicitCurve(t testing.TB, p, a, b, g, n []byte) []byte {
	return Build(t, func(w *cryptobyte.Builder) {
		w.AddASN1(asn1.SEQUENCE, func(w *cryptobyte.Builder) {
			w.AddASN1Int64(1)
			w.AddASN1(asn1.SEQUENCE, func(w *cryptobyte.Builder) {
				w.AddASN1ObjectIdentifier(OID("1.2.840.10045.1.1"))
				w.AddASN1BigInt(new(big.Int).SetBytes(p))
			})
			w.AddASN1(asn1.SEQUENCE, func(w *cryptobyte.Builder) {
				w.AddASN1OctetString(a)
				w.AddASN1OctetString(b)
			})
			w.AddASN1OctetString(g)
			w.AddASN1BigInt(new(big.Int).SetBytes(n))
			w.AddASN1Int64(1)
		})
	})
}

// ECSPKI returns the SubjectPublicKeyInfo of a point with curve parameters.
func ECSPKI(t testing.TB, params, point []byte) []byte {
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			AddAlgorithm(b, "1.2.840.10045.2.1", params)
			b.AddASN1BitString(point)
		})
	})
}

// Algorithm is a signature algorithm.
type Algorithm struct {
	Hash crypto.Hash
	ID   []byte // AlgorithmIdentifier
	sign func(t testing.TB, k *Key, digest []byte) []byte
}

// Sign signs the message.
func (a Algorithm) Sign(t testing.TB, k *Key, message []byte) []byte {
	t.Helper()
	h := a.Hash.New()
	h.Write(message)
	return a.sign(t, k, h.Sum(nil))
}

var hashOIDs = map[crypto.Hash]string{
	crypto.MD5: "1.2.840.113549.2.5", crypto.SHA1: "1.3.14.3.2.26", crypto.SHA224: "2.16.840.1.101.3.4.2.4",
	crypto.SHA256: "2.16.840.1.101.3.4.2.1", crypto.SHA384: "2.16.840.1.101.3.4.2.2", crypto.SHA512: "2.16.840.1.101.3.4.2.3",
}

func algorithmID(t testing.TB, oid string, params []byte) []byte {
	return Build(t, func(b *cryptobyte.Builder) { AddAlgorithm(b, oid, params) })
}

// Digest returns the AlgorithmIdentifier of a hash.
func Digest(t testing.TB, h crypto.Hash) []byte { return algorithmID(t, hashOIDs[h], []byte{5, 0}) }

// PKCS1 is RSASSA-PKCS1-v1_5 with a hash.
func PKCS1(t testing.TB, h crypto.Hash) Algorithm {
	oid := map[crypto.Hash]string{crypto.SHA1: "5", crypto.SHA224: "14", crypto.SHA256: "11", crypto.SHA384: "12", crypto.SHA512: "13"}[h]
	return Algorithm{h, algorithmID(t, "1.2.840.113549.1.1."+oid, []byte{5, 0}), signPKCS1(h)}
}

// RSAEncryption is RSASSA-PKCS1-v1_5 under the name of the key type.
func RSAEncryption(t testing.TB, h crypto.Hash) Algorithm {
	return Algorithm{h, algorithmID(t, "1.2.840.113549.1.1.1", []byte{5, 0}), signPKCS1(h)}
}

func signPKCS1(h crypto.Hash) func(testing.TB, *Key, []byte) []byte {
	return func(t testing.TB, k *Key, digest []byte) []byte {
		signature, err := rsa.SignPKCS1v15(nil, k.RSA, h, digest)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// PSS is RSASSA-PSS with the same hash for message and mask.
func PSS(t testing.TB, h crypto.Hash, salt int) Algorithm {
	sign := func(t testing.TB, k *Key, digest []byte) []byte {
		signature, err := rsa.SignPSS(rand.Reader, k.RSA, h, digest, &rsa.PSSOptions{SaltLength: salt, Hash: h})
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	return Algorithm{h, algorithmID(t, "1.2.840.113549.1.1.10", PSSParameters(t, h, h, salt, 1)), sign}
}

// PSSParameters returns RSASSA-PSS-params with every field written out.
func PSSParameters(t testing.TB, h, mgf crypto.Hash, salt, trailer int) []byte {
	explicit := func(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(Digest(t, h)) })
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { AddAlgorithm(b, "1.2.840.113549.1.1.8", Digest(t, mgf)) })
			b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(salt)) })
			b.AddASN1(explicit(3), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(trailer)) })
		})
	})
}

// ECDSA is ECDSA with the DER form of the signature.
func ECDSA(t testing.TB, h crypto.Hash) Algorithm {
	oid := map[crypto.Hash]string{crypto.SHA1: "1", crypto.SHA224: "3.1", crypto.SHA256: "3.2", crypto.SHA384: "3.3", crypto.SHA512: "3.4"}[h]
	return Algorithm{h, algorithmID(t, "1.2.840.10045.4."+oid, nil), func(t testing.TB, k *Key, digest []byte) []byte {
		r, s := signEC(t, k, digest)
		return Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(new(big.Int).SetBytes(r))
				b.AddASN1BigInt(new(big.Int).SetBytes(s))
			})
		})
	}}
}

// ECDSAPlain is ECDSA with the plain form of BSI TR-03111.
func ECDSAPlain(t testing.TB, h crypto.Hash) Algorithm {
	oid := map[crypto.Hash]string{crypto.SHA1: "1", crypto.SHA224: "2", crypto.SHA256: "3", crypto.SHA384: "4", crypto.SHA512: "5"}[h]
	return Algorithm{h, algorithmID(t, "0.4.0.127.0.7.1.1.4.1."+oid, nil), func(t testing.TB, k *Key, digest []byte) []byte {
		r, s := signEC(t, k, digest)
		return slices.Concat(r, s)
	}}
}

func signEC(t testing.TB, k *Key, digest []byte) (r, s []byte) {
	r, s, err := k.EC.Sign(rand.Reader, digest)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// Name returns a distinguished name of a country and a common name.
func Name(t testing.TB, country, common string) []byte {
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addRDN := func(oid string, tag asn1.Tag, value string) {
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(OID(oid))
						b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
					})
				})
			}
			if country != "" {
				addRDN("2.5.4.6", asn1.PrintableString, country)
			}
			addRDN("2.5.4.3", asn1.UTF8String, common)
		})
	})
}

// Extension is one certificate extension.
type Extension struct {
	OID      string
	Critical bool
	Value    []byte
}

// DocumentTypes is the extension that says what a document signer may sign.
func DocumentTypes(t testing.TB, codes ...string) Extension {
	return Extension{OID: "2.23.136.1.1.6.2", Value: Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				for _, code := range codes {
					b.AddASN1(asn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(code)) })
				}
			})
		})
	})}
}

// Certificate is a certificate to be made. Nil fields are left out.
type Certificate struct {
	Serial              []byte // content octets; default 01
	Issuer, Subject     []byte // names
	NotBefore, NotAfter time.Time
	GeneralizedTime     bool // also before 2050, where it does not belong
	Key                 *Key // the certified one
	KeyID               []byte
	AuthorityKeyID      []byte
	KeyUsage            byte // first octet of the bit string: 80 digitalSignature, 06 certSign and cRLSign; 0 leaves it out
	CA                  bool // adds basic constraints with cA
	ExtendedKeyUsage    []string
	Extensions          []Extension // further ones
	NoExtensions        bool
	Algorithm           Algorithm
	OuterID             []byte // AlgorithmIdentifier outside, when it is to differ
}

// Sign returns the certificate, signed by the issuer.
func (c Certificate) Sign(t testing.TB, issuer *Key) []byte {
	t.Helper()
	tbs := Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if !c.NoExtensions {
				b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
			}
			serial := c.Serial
			if serial == nil {
				serial = []byte{1}
			}
			b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
			b.AddBytes(c.Algorithm.ID)
			b.AddBytes(c.Issuer)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, t := range []time.Time{c.NotBefore, c.NotAfter} {
					if c.GeneralizedTime || t.Year() >= 2050 {
						b.AddASN1GeneralizedTime(t)
					} else {
						b.AddASN1UTCTime(t)
					}
				}
			})
			b.AddBytes(c.Subject)
			b.AddBytes(c.Key.SPKI)
			if c.NoExtensions {
				return
			}
			b.AddASN1(asn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, e := range c.extensions(t) {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(OID(e.OID))
							if e.Critical {
								b.AddASN1Boolean(true)
							}
							b.AddASN1OctetString(e.Value)
						})
					}
				})
			})
		})
	})
	outer := c.OuterID
	if outer == nil {
		outer = c.Algorithm.ID
	}
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddBytes(outer)
			b.AddASN1BitString(c.Algorithm.Sign(t, issuer, tbs))
		})
	})
}

func (c Certificate) extensions(t testing.TB) []Extension {
	var list []Extension
	add := func(oid string, critical bool, f cryptobyte.BuilderContinuation) {
		list = append(list, Extension{oid, critical, Build(t, f)})
	}
	if c.KeyID != nil {
		add("2.5.29.14", false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(c.KeyID) })
	}
	if c.AuthorityKeyID != nil {
		add("2.5.29.35", false, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(c.AuthorityKeyID) })
			})
		})
	}
	if c.KeyUsage != 0 {
		add("2.5.29.15", true, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes([]byte{0, c.KeyUsage}) })
		})
	}
	if c.CA {
		add("2.5.29.19", true, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Boolean(true)
				b.AddASN1Int64(0)
			})
		})
	}
	if c.ExtendedKeyUsage != nil {
		add("2.5.29.37", false, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, oid := range c.ExtendedKeyUsage {
					b.AddASN1ObjectIdentifier(OID(oid))
				}
			})
		})
	}
	return append(list, c.Extensions...)
}

// Signer is one SignerInfo to be made.
type Signer struct {
	Key       *Key
	Algorithm Algorithm
	Digest    crypto.Hash // of the content; zero means that of Algorithm

	// The name: Issuer and Serial, or KeyID.
	Issuer, Serial, KeyID []byte
	Version               int // zero means the one that goes with the name

	// Attributes returns the signed attributes in the order to be sent and to be
	// signed; nil means contentType and messageDigest, sorted.
	Attributes func(contentType, messageDigest []byte) (sent, signed [][]byte)
	// Bare leaves the attributes out and signs the content itself.
	Bare bool
}

// SignedData is a SignedData to be made.
type SignedData struct {
	Version      int // zero means 3
	ContentType  string
	Content      []byte
	Certificates [][]byte
	Signers      []Signer
}

// Build returns the ContentInfo.
func (sd SignedData) Build(t testing.TB) []byte {
	t.Helper()
	explicit0 := asn1.Tag(0).ContextSpecific().Constructed()
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(OID("1.2.840.113549.1.7.2"))
			b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					version := sd.Version
					if version == 0 {
						version = 3
					}
					b.AddASN1Int64(int64(version))
					b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
						for _, s := range sd.Signers {
							b.AddBytes(Digest(t, s.digest()))
						}
					})
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(OID(sd.ContentType))
						b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sd.Content) })
					})
					if sd.Certificates != nil {
						b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
							for _, c := range sd.Certificates {
								b.AddBytes(c)
							}
						})
					}
					b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
						for _, s := range sd.Signers {
							b.AddBytes(s.build(t, sd))
						}
					})
				})
			})
		})
	})
}

func (s Signer) digest() crypto.Hash {
	if s.Digest != 0 {
		return s.Digest
	}
	return s.Algorithm.Hash
}

func (s Signer) build(t testing.TB, sd SignedData) []byte {
	h := s.digest().New()
	h.Write(sd.Content)
	contentType := Attribute(t, "1.2.840.113549.1.9.3", func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OID(sd.ContentType)) })
	messageDigest := Attribute(t, "1.2.840.113549.1.9.4", func(b *cryptobyte.Builder) { b.AddASN1OctetString(h.Sum(nil)) })
	sent := [][]byte{contentType, messageDigest}
	slices.SortFunc(sent, bytes.Compare)
	signed := sent
	if s.Attributes != nil {
		sent, signed = s.Attributes(contentType, messageDigest)
	}
	message := Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(signed...)) })
	})
	if s.Bare {
		message = sd.Content
	}
	version := s.Version
	if version == 0 {
		version = 1
		if s.KeyID != nil {
			version = 3
		}
	}
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(version))
			if s.KeyID != nil {
				b.AddASN1(asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(s.KeyID) })
			} else {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(s.Issuer)
					b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(s.Serial) })
				})
			}
			b.AddBytes(Digest(t, s.digest()))
			if !s.Bare {
				b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(sent...)) })
			}
			b.AddBytes(s.Algorithm.ID)
			b.AddASN1OctetString(s.Algorithm.Sign(t, s.Key, message))
		})
	})
}

// Attribute returns a CMS attribute with one value.
func Attribute(t testing.TB, oid string, value cryptobyte.BuilderContinuation) []byte {
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(OID(oid))
			b.AddASN1(asn1.SET, value)
		})
	})
}

// SecurityObject returns an LDSSecurityObject, version 0, with the hashes of the
// data groups in the order given.
func SecurityObject(t testing.TB, h crypto.Hash, order []int, groups map[int][]byte) []byte {
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddBytes(Digest(t, h))
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, n := range order {
					sum := []byte("not computed here")
					if h.Available() {
						w := h.New()
						w.Write(groups[n])
						sum = w.Sum(nil)
					}
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(int64(n))
						b.AddASN1OctetString(sum)
					})
				}
			})
		})
	})
}

// SOD wraps a ContentInfo into EF.SOD.
func SOD(t testing.TB, contentInfo []byte) []byte {
	const tag77 = asn1.Tag(0x77)
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(tag77, func(b *cryptobyte.Builder) { b.AddBytes(contentInfo) })
	})
}

// DG1 returns an EF.DG1 of size TD1 of a synthetic person, for the given issuing
// state (three characters).
func DG1(t testing.TB, state string) []byte {
	mrz := "I<" + state + "0012345678<<<<<<<<<<<<<<<9001011M3001012" + state + "<<<<<<<<<<<0MAU<<VAN<MAU<<<<<<<<<<<<<<<<<<"
	if len(mrz) != 90 {
		t.Fatalf("zone of %d characters", len(mrz))
	}
	return slices.Concat([]byte{0x61, 0x5d, 0x5f, 0x1f, 0x5a}, []byte(mrz))
}

// AddAlgorithm adds an AlgorithmIdentifier; params may be nil.
func AddAlgorithm(b *cryptobyte.Builder, oid string, params []byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(OID(oid))
		b.AddBytes(params)
	})
}

func addBitString(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) {
	b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(0)
		f(b)
	})
}

// OID returns the object identifier of a dotted decimal text.
func OID(dotted string) encoding_asn1.ObjectIdentifier {
	var oid encoding_asn1.ObjectIdentifier
	for part := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		oid = append(oid, n)
	}
	return oid
}

// Build returns what f adds.
func Build(t testing.TB, f cryptobyte.BuilderContinuation) []byte {
	t.Helper()
	var b cryptobyte.Builder
	f(&b)
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
