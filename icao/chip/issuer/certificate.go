package issuer

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"io"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Subject describes the holder of a certificate.
type Subject struct {
	Country      string // two letters, upper case: VN
	State        string // as in the MRZ: VNM
	Organization string
	CommonName   string
}

// Params are the parameters of a certificate.
type Params struct {
	Subject Subject
	// Algorithm is the one that the holder signs with.
	Algorithm           Algorithm
	NotBefore, NotAfter time.Time
	// Key is the holder's key, of the algorithm's kind; nil: a new one.
	Key *Key
	// NoKeyIdentifiers leaves the identifiers of the issuer's and the holder's key
	// out, as certificates of some states do, so that only the names lead from
	// one to the other.
	NoKeyIdentifiers bool
	// DocumentTypes that a document signer may sign: "ID", "P", or a letter for all
	// that begin with it (Doc 9303-12, 7.1.1.6). None: the certificate does not say.
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

	issuer     []byte // issuer's name, DER
	serial     *big.Int
	identifier []byte // subject key identifier
	algorithm  Algorithm
	key        *Key
}

// key is the holder's key.
func (p Params) key() (*Key, error) {
	if p.Key == nil {
		return p.Algorithm.NewKey(p.Rand)
	}
	if err := p.Algorithm.Fits(p.Key); err != nil {
		return nil, err
	}
	return p.Key, nil
}

// NewCSCA makes an authority and its self-signed certificate, after the profile
// of Doc 9303-12, 7.1.
func NewCSCA(p Params) (*Authority, error) {
	p.Rand = reader(p.Rand)
	key, err := p.key()
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
	a.Certificate, err = a.issue(p, key, serial, roleCSCA)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Link makes a link certificate: the key and name of next, signed by a, which
// next replaces (Doc 9303-12, 7.1). Of p, the subject, the algorithm and the key
// do not matter.
func (a *Authority) Link(next *Authority, p Params) ([]byte, error) {
	p.Rand = reader(p.Rand)
	serial, err := newSerial(p.Rand)
	if err != nil {
		return nil, err
	}
	p.Subject = next.subject
	return a.issue(p, next.key, serial, roleLink)
}

// NewDS makes a document signer and its certificate.
func (a *Authority) NewDS(p Params) (*Signer, error) { return a.newSigner(p, roleDS) }

// NewMasterListSigner makes a signer of master lists (Doc 9303-12, 7.1, table 7).
func (a *Authority) NewMasterListSigner(p Params) (*Signer, error) {
	return a.newSigner(p, roleMasterListSigner)
}

func (a *Authority) newSigner(p Params, r role) (*Signer, error) {
	p.Rand = reader(p.Rand)
	key, err := p.key()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(p.Rand)
	if err != nil {
		return nil, err
	}
	der, err := a.issue(p, key, serial, r)
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
		identifier:  keyIdentifier(key),
		algorithm:   p.Algorithm,
		key:         key,
	}, nil
}

// SerialNumber is the serial number of the certificate, as a revocation list
// names it.
func (s *Signer) SerialNumber() *big.Int { return new(big.Int).Set(s.serial) }

// role is what a certificate is for.
type role uint8

const (
	roleCSCA role = iota
	roleLink
	roleDS
	roleMasterListSigner
)

// authority reports whether the holder issues certificates.
func (r role) authority() bool { return r == roleCSCA || r == roleLink }

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

// issue builds and signs a certificate for key.
func (a *Authority) issue(p Params, key *Key, serial *big.Int, r role) ([]byte, error) {
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
	extensions, err := a.extensions(p, key, r)
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
	return a.seal(&tbs, p.Rand)
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
	oidExtendedKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidCRLNumber              = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidMasterListSigningKey   = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 3}
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
func (a *Authority) extensions(p Params, key *Key, r role) ([]byte, error) {
	contextual := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if !p.NoKeyIdentifiers {
			a.addKeyIdentifier(b)
			addExtension(b, oidSubjectKeyIdentifier, false, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(keyIdentifier(key))
			})
		}
		addExtension(b, oidKeyUsage, true, func(b *cryptobyte.Builder) {
			if r.authority() {
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
		if r.authority() {
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
		if r == roleMasterListSigner {
			addExtension(b, oidExtendedKeyUsage, true, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidMasterListSigningKey) })
			})
		}
		if r == roleDS && len(p.DocumentTypes) > 0 {
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

// addKeyIdentifier adds the identifier of the authority's key.
func (a *Authority) addKeyIdentifier(b *cryptobyte.Builder) {
	addExtension(b, oidAuthorityKeyIdentifier, false, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(a.identifier) })
		})
	})
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
