package issuer

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	_ "crypto/sha256" // hashes named by crypto.Hash
	_ "crypto/sha512"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is a signature algorithm together with the kind of key it takes.
type Algorithm uint8

// The algorithms of authorities and document signers.
const (
	// ECDSABrainpoolP384 is ECDSA with SHA-384 on brainpoolP384r1, with the
	// curve spelled out: what the security objects of Vietnamese cards use.
	ECDSABrainpoolP384 Algorithm = iota + 1
	// ECDSAP256 is ECDSA with SHA-256 on the named curve P-256.
	ECDSAP256
	// RSAPKCS1 is RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits.
	RSAPKCS1
	// RSAPSS is RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32
	// bytes, and 2048 bits.
	RSAPSS
)

// NewKey makes a key for a.
func (a Algorithm) NewKey(random io.Reader) (*Key, error) {
	switch a {
	case ECDSABrainpoolP384:
		return NewECKey(random, "brainpoolP384r1", true)
	case ECDSAP256:
		return NewECKey(random, "P-256", false)
	case RSAPKCS1, RSAPSS:
		return NewRSAKey(random, 2048)
	default:
		return nil, fmt.Errorf("%w: unknown algorithm", ErrKey)
	}
}

// hash is the hash of the signature, and of the signed content.
func (a Algorithm) hash() crypto.Hash {
	if a == ECDSABrainpoolP384 {
		return crypto.SHA384
	}
	return crypto.SHA256
}

var (
	oidSHA256          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSAWithSHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	oidSHA256WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidPSS             = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
)

// addIdentifier adds the AlgorithmIdentifier of the signature.
func (a Algorithm) addIdentifier(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		switch a {
		case ECDSABrainpoolP384:
			b.AddASN1ObjectIdentifier(oidECDSAWithSHA384)
		case ECDSAP256:
			b.AddASN1ObjectIdentifier(oidECDSAWithSHA256)
		case RSAPKCS1:
			b.AddASN1ObjectIdentifier(oidSHA256WithRSA)
			b.AddASN1NULL()
		case RSAPSS: // RFC 4055, 3.1
			b.AddASN1ObjectIdentifier(oidPSS)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
					addDigestIdentifier(b, crypto.SHA256)
				})
				b.AddASN1(cbasn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidMGF1)
						addDigestIdentifier(b, crypto.SHA256)
					})
				})
				b.AddASN1(cbasn1.Tag(2).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
					b.AddASN1Int64(int64(crypto.SHA256.Size()))
				})
			})
		}
	})
}

// addDigestIdentifier adds the AlgorithmIdentifier of SHA-256 or SHA-384. Its
// parameters are absent (Doc 9303-10, 4.6.2.3, note 2).
func addDigestIdentifier(b *cryptobyte.Builder, h crypto.Hash) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if h == crypto.SHA384 {
			b.AddASN1ObjectIdentifier(oidSHA384)
		} else {
			b.AddASN1ObjectIdentifier(oidSHA256)
		}
	})
}

// sign signs message with k.
func (a Algorithm) sign(random io.Reader, k *Key, message []byte) ([]byte, error) {
	h := a.hash().New()
	h.Write(message)
	digest := h.Sum(nil)
	switch a {
	case ECDSABrainpoolP384, ECDSAP256:
		r, s, err := k.EC.Sign(random, digest)
		if err != nil {
			return nil, err
		}
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(new(big.Int).SetBytes(r))
			b.AddASN1BigInt(new(big.Int).SetBytes(s))
		})
		return b.Bytes()
	case RSAPKCS1:
		return rsa.SignPKCS1v15(nil, k.RSA, a.hash(), digest)
	case RSAPSS:
		return rsa.SignPSS(random, k.RSA, a.hash(), digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	default:
		return nil, fmt.Errorf("%w: unknown algorithm", ErrKey)
	}
}

// Subject describes the holder of a certificate.
type Subject struct {
	Country      string // two letters, upper case: VN
	State        string // as in the MRZ: VNM
	Organization string
	CommonName   string
}

// Params are the parameters of a certificate.
type Params struct {
	Subject             Subject
	Algorithm           Algorithm // of the holder's own key
	NotBefore, NotAfter time.Time
	// DocumentTypes that a document signer may sign: "ID", "P".
	DocumentTypes []string
	// Rand makes the key, the serial number and the issuer's signature; nil is
	// crypto/rand.Reader.
	Rand io.Reader
}

// Authority is a country signing certification authority (CSCA). It may be used
// concurrently.
type Authority struct {
	Certificate []byte // DER, self-signed

	subject    Subject
	algorithm  Algorithm
	key        *Key
	identifier []byte // subject key identifier
}

// Signer is a document signer (DS). It may be used concurrently.
type Signer struct {
	Certificate []byte // DER

	issuer    []byte // issuer's name, DER
	serial    *big.Int
	algorithm Algorithm
	key       *Key
}

// NewCSCA makes an authority and its self-signed certificate, after the profile
// of Doc 9303-12, 7.1.
func NewCSCA(p Params) (*Authority, error) {
	p.Rand = reader(p.Rand)
	key, err := p.Algorithm.NewKey(p.Rand)
	if err != nil {
		return nil, err
	}
	a := &Authority{
		subject:    p.Subject,
		algorithm:  p.Algorithm,
		key:        key,
		identifier: keyIdentifier(key),
	}
	serial, err := newSerial(p.Rand)
	if err != nil {
		return nil, err
	}
	a.Certificate, err = a.issue(p, key, serial, true)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// NewDS makes a document signer and its certificate.
func (a *Authority) NewDS(p Params) (*Signer, error) {
	p.Rand = reader(p.Rand)
	key, err := p.Algorithm.NewKey(p.Rand)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(p.Rand)
	if err != nil {
		return nil, err
	}
	der, err := a.issue(p, key, serial, false)
	if err != nil {
		return nil, err
	}
	name, err := a.subject.name()
	if err != nil {
		return nil, err
	}
	return &Signer{
		Certificate: der,
		issuer:      name,
		serial:      serial,
		algorithm:   p.Algorithm,
		key:         key,
	}, nil
}

// newSerial draws a positive serial number of at most 16 bytes.
func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7F | 0x40
	return new(big.Int).SetBytes(b), nil
}

// keyIdentifier is method 1 of RFC 5280, 4.2.1.2.
func keyIdentifier(k *Key) []byte {
	id := sha1.Sum(k.publicBits())
	return id[:]
}

var (
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidLocality     = asn1.ObjectIdentifier{2, 5, 4, 7}
)

// name is the distinguished name of s, in DER.
func (s Subject) name() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAttribute(b, oidCountry, cbasn1.PrintableString, s.Country)
		if s.Organization != "" {
			addAttribute(b, oidOrganization, cbasn1.UTF8String, s.Organization)
		}
		addAttribute(b, oidCommonName, cbasn1.UTF8String, s.CommonName)
	})
	return b.Bytes()
}

// addAttribute adds a relative distinguished name of one attribute.
func addAttribute(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, tag cbasn1.Tag, value string) {
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
		})
	})
}

// issue builds and signs a certificate for key: of the authority itself, or of
// a document signer.
func (a *Authority) issue(p Params, key *Key, serial *big.Int, self bool) ([]byte, error) {
	issuerName, err := a.subject.name()
	if err != nil {
		return nil, err
	}
	subjectName, err := p.Subject.name()
	if err != nil {
		return nil, err
	}
	info, err := key.PublicKeyInfo()
	if err != nil {
		return nil, err
	}
	extensions, err := a.extensions(p, key, self)
	if err != nil {
		return nil, err
	}

	var tbs cryptobyte.Builder
	tbs.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2) // v3
		})
		b.AddASN1BigInt(serial)
		a.algorithm.addIdentifier(b)
		b.AddBytes(issuerName)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, p.NotBefore)
			addTime(b, p.NotAfter)
		})
		b.AddBytes(subjectName)
		b.AddBytes(info)
		b.AddASN1(cbasn1.Tag(3).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddBytes(extensions)
		})
	})
	raw, err := tbs.Bytes()
	if err != nil {
		return nil, err
	}
	signature, err := a.algorithm.sign(p.Rand, a.key, raw)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(raw)
		a.algorithm.addIdentifier(b)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// addTime adds a Time: UTCTime through 2049, else GeneralizedTime (RFC 5280,
// 4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if t.Year() >= 1950 && t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

var (
	oidSubjectKeyIdentifier   = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage               = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidPrivateKeyUsagePeriod  = asn1.ObjectIdentifier{2, 5, 29, 16}
	oidSubjectAltName         = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidIssuerAltName          = asn1.ObjectIdentifier{2, 5, 29, 18}
	oidBasicConstraints       = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidCRLDistributionPoints  = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityKeyIdentifier = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidDocumentTypeList       = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 6, 2}
)

// The addresses lead nowhere: the documents are synthetic (RFC 2606).
const (
	contactAddress = "specimen@chamthe.example"
	crlAddress     = "http://crl.chamthe.example/csca.crl"
)

// extensions builds the Extensions field after the profile of Doc 9303-12,
// 7.1.1.
func (a *Authority) extensions(p Params, key *Key, self bool) ([]byte, error) {
	contextual := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addExtension(b, oidAuthorityKeyIdentifier, false, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(contextual(0), func(b *cryptobyte.Builder) { b.AddBytes(a.identifier) })
			})
		})
		addExtension(b, oidSubjectKeyIdentifier, false, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(keyIdentifier(key))
		})
		addExtension(b, oidKeyUsage, true, func(b *cryptobyte.Builder) {
			if self {
				b.AddBytes([]byte{byte(cbasn1.BIT_STRING), 2, 1, 0x06}) // keyCertSign, cRLSign
			} else {
				b.AddBytes([]byte{byte(cbasn1.BIT_STRING), 2, 7, 0x80}) // digitalSignature
			}
		})
		addExtension(b, oidPrivateKeyUsagePeriod, false, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for i, t := range []time.Time{p.NotBefore, p.NotAfter} {
					b.AddASN1(contextual(uint8(i)), func(b *cryptobyte.Builder) {
						b.AddBytes([]byte(t.UTC().Format("20060102150405Z")))
					})
				}
			})
		})
		addExtension(b, oidSubjectAltName, false, func(b *cryptobyte.Builder) { addAltName(b, p.Subject) })
		addExtension(b, oidIssuerAltName, false, func(b *cryptobyte.Builder) { addAltName(b, a.subject) })
		if self {
			addExtension(b, oidBasicConstraints, true, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Boolean(true)
					b.AddASN1Int64(0)
				})
			})
		}
		addExtension(b, oidCRLDistributionPoints, false, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(contextual(0).Constructed(), func(b *cryptobyte.Builder) { // distributionPoint
						b.AddASN1(contextual(0).Constructed(), func(b *cryptobyte.Builder) { // fullName
							b.AddASN1(contextual(6), func(b *cryptobyte.Builder) { b.AddBytes([]byte(crlAddress)) })
						})
					})
				})
			})
		})
		if !self {
			addExtension(b, oidDocumentTypeList, false, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(0)
					var types [][]byte
					for _, t := range p.DocumentTypes {
						types = append(types, append([]byte{byte(cbasn1.PrintableString), byte(len(t))}, t...))
					}
					addSetOf(b, cbasn1.SET, types)
				})
			})
		}
	})
	return b.Bytes()
}

func addExtension(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, critical bool, value func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(cbasn1.OCTET_STRING, value)
	})
}

// addAltName adds the contact address and the state's code of the MRZ
// (Doc 9303-12, 7.1.1.2).
func addAltName(b *cryptobyte.Builder, s Subject) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(1).ContextSpecific(), func(b *cryptobyte.Builder) { // rfc822Name
			b.AddBytes([]byte(contactAddress))
		})
		b.AddASN1(cbasn1.Tag(4).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { // directoryName
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addAttribute(b, oidLocality, cbasn1.PrintableString, s.State)
			})
		})
	})
}

// addSetOf adds a SET OF in DER: the elements ordered by their encodings
// (X.690, 11.6).
func addSetOf(b *cryptobyte.Builder, tag cbasn1.Tag, elements [][]byte) {
	slices.SortFunc(elements, bytes.Compare)
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, e := range elements {
			b.AddBytes(e)
		}
	})
}
