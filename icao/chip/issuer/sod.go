package issuer

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/tlv"
)

const tagSOD = 0x77

var (
	oidSignedData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidLDSSecurityObject = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 1}
)

// CMSOptions are the ways in which signed data may be built. The zero value is
// what most documents have.
type CMSOptions struct {
	// Digest is the hash of the content; 0: the one of the signer's algorithm.
	// Where the two differ, a verifier must not take one for the other: OpenSSL
	// does, and refuses.
	Digest crypto.Hash
	// BySKI names the signer by the identifier of its key, in place of its issuer
	// and serial number.
	BySKI bool
	// NoCertificate leaves the signer's certificate out.
	NoCertificate bool
	// RSAEncryption names the signature of an RSASSA-PKCS1-v1_5 signer by
	// rsaEncryption, so that its hash is the one of the content.
	RSAEncryption bool
	// NullParameters gives the identifiers of hashes the parameters NULL, where
	// Doc 9303-10, 4.6.2.3, wants none.
	NullParameters bool
	// SigningTime, if not zero, is a signed attribute.
	SigningTime time.Time
	// NoAttributes signs the content itself, without signed attributes, which
	// Doc 9303-10 requires.
	NoAttributes bool
	// Indefinite encodes the outer elements with indefinite lengths and the
	// content in pieces, in BER, as some documents do.
	Indefinite bool
	// Tamper flips a bit of the signature value.
	Tamper bool
	// Rand is what the signature takes; nil is crypto/rand.Reader.
	Rand io.Reader
}

// SODOptions are what a security object says beside the hashes.
type SODOptions struct {
	CMSOptions
	// LDSVersion and UnicodeVersion, such as "0108" and "040000", make a version
	// 1 object; both empty, a version 0 object.
	LDSVersion, UnicodeVersion string
	// Hash is the hash of the data groups; 0: SHA-256.
	Hash crypto.Hash
}

// SignSOD makes EF.SOD over the complete contents of data groups, by number
// (Doc 9303-10, 4.6.2).
func (s *Signer) SignSOD(groups map[int][]byte, opt SODOptions) ([]byte, error) {
	object, err := securityObject(groups, opt)
	if err != nil {
		return nil, err
	}
	der, err := s.signData(oidLDSSecurityObject, object, nil, opt.CMSOptions)
	if err != nil {
		return nil, err
	}
	return tlv.Append(nil, tagSOD, der), nil
}

// signData makes a ContentInfo with SignedData (RFC 5652, 5.1). The certificates
// beside the signer's are in more.
func (s *Signer) signData(contentType asn1.ObjectIdentifier, content []byte, more [][]byte, opt CMSOptions) ([]byte, error) {
	algorithm := s.algorithm
	digest := opt.Digest
	if digest == 0 {
		digest = algorithm.Hash
	}
	if digestOIDs[digest] == nil {
		return nil, fmt.Errorf("%w: hash of the content", ErrContent)
	}
	if opt.RSAEncryption {
		if algorithm.Scheme != PKCS1 {
			return nil, fmt.Errorf("%w: rsaEncryption for another scheme", ErrContent)
		}
		algorithm.Hash = digest // the identifier names none
	}

	attributes, signed, err := s.attributes(contentType, content, digest, opt)
	if err != nil {
		return nil, err
	}
	signature, err := algorithm.Sign(opt.Rand, s.key, signed)
	if err != nil {
		return nil, err
	}
	if opt.Tamper {
		signature[len(signature)-1] ^= 1
	}

	certificates := append([][]byte(nil), more...)
	if !opt.NoCertificate {
		certificates = append(certificates, s.Certificate)
	}
	e := encoder{indefinite: opt.Indefinite}
	context0 := cbasn1.Tag(0).Constructed().ContextSpecific()
	digestIdentifier := e.build(func(b *cryptobyte.Builder) { addDigestIdentifier(b, digest, opt.NullParameters) })

	signerInfo := e.build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if opt.BySKI {
				b.AddASN1Int64(3)
				b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(s.identifier) })
			} else {
				b.AddASN1Int64(1)
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(s.issuer)
					b.AddASN1BigInt(s.serial)
				})
			}
			b.AddBytes(digestIdentifier)
			if attributes != nil {
				addSetOf(b, context0, attributes)
			}
			if opt.RSAEncryption {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidRSA)
					b.AddASN1NULL()
				})
			} else {
				algorithm.addIdentifier(b)
			}
			b.AddASN1OctetString(signature)
		})
	})
	oid := func(id asn1.ObjectIdentifier) []byte {
		return e.build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(id) })
	}
	parts := [][]byte{
		e.build(func(b *cryptobyte.Builder) { b.AddASN1Int64(3) }),
		e.build(func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(digestIdentifier) })
		}),
		e.wrap(0x30, oid(contentType), e.wrap(0xA0, e.octets(content))),
	}
	if len(certificates) > 0 {
		parts = append(parts, e.build(func(b *cryptobyte.Builder) { addSetOf(b, context0, certificates) }))
	}
	parts = append(parts, e.build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(signerInfo) })
	}))
	out := e.wrap(0x30, oid(oidSignedData), e.wrap(0xA0, e.wrap(0x30, parts...)))
	return out, e.err
}

// attributes are the signed attributes, and the bytes that are signed.
func (s *Signer) attributes(contentType asn1.ObjectIdentifier, content []byte, digest crypto.Hash, opt CMSOptions) (attributes [][]byte, signed []byte, err error) {
	if opt.NoAttributes {
		return nil, content, nil
	}
	h := digest.New()
	h.Write(content)
	add := func(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // RFC 5652, 5.3
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(cbasn1.SET, value)
		})
		a, e := b.Bytes()
		attributes = append(attributes, a)
		if err == nil {
			err = e
		}
	}
	add(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(contentType) })
	add(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(h.Sum(nil)) })
	if !opt.SigningTime.IsZero() {
		add(oidSigningTime, func(b *cryptobyte.Builder) { addTime(b, opt.SigningTime) })
	}
	if err != nil {
		return nil, nil, err
	}
	// RFC 5652, 5.4: the attributes are signed as a SET OF, but sent with
	// an implicit tag.
	var set cryptobyte.Builder
	addSetOf(&set, cbasn1.SET, attributes)
	signed, err = set.Bytes()
	return attributes, signed, err
}

// encoder writes the outer elements of signed data, in DER or with indefinite
// lengths. It keeps the first error.
type encoder struct {
	indefinite bool
	err        error
}

func (e *encoder) build(f func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	f(&b)
	out, err := b.Bytes()
	if e.err == nil {
		e.err = err
	}
	return out
}

// wrap puts a tag with a short number around constructed content.
func (e *encoder) wrap(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	if e.indefinite {
		return slices.Concat([]byte{tag, 0x80}, body, []byte{0, 0})
	}
	return tlv.Append(nil, tlv.Tag(tag), body)
}

// octets is an OCTET STRING, in pieces if lengths are indefinite.
func (e *encoder) octets(b []byte) []byte {
	const piece = 1000
	if !e.indefinite {
		return tlv.Append(nil, 0x04, b)
	}
	var pieces []byte
	for chunk := range slices.Chunk(b, piece) {
		pieces = tlv.Append(pieces, 0x04, chunk)
	}
	return e.wrap(0x24, pieces)
}

// securityObject is the LDSSecurityObject (Doc 9303-10, 4.6.2.3).
func securityObject(groups map[int][]byte, opt SODOptions) ([]byte, error) {
	hash := opt.Hash
	if hash == 0 {
		hash = crypto.SHA256
	}
	if digestOIDs[hash] == nil {
		return nil, fmt.Errorf("%w: hash of the data groups", ErrContent)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		versioned := opt.LDSVersion != "" || opt.UnicodeVersion != ""
		if versioned {
			b.AddASN1Int64(1)
		} else {
			b.AddASN1Int64(0)
		}
		addDigestIdentifier(b, hash, opt.NullParameters)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, n := range slices.Sorted(maps.Keys(groups)) {
				h := hash.New()
				h.Write(groups[n])
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(int64(n))
					b.AddASN1OctetString(h.Sum(nil))
				})
			}
		})
		if versioned {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, v := range []string{opt.LDSVersion, opt.UnicodeVersion} {
					b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(v)) })
				}
			})
		}
	})
	return b.Bytes()
}
