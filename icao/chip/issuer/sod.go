package issuer

import (
	"crypto"
	"encoding/asn1"
	"io"
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/tlv"
)

const tagSOD = 0x77

var (
	oidSignedData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidLDSSecurityObject = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 1}
)

// SODOptions are what a security object says beside the hashes.
type SODOptions struct {
	// LDSVersion and UnicodeVersion, such as "0108" and "040000", make a version
	// 1 object; both empty, a version 0 object.
	LDSVersion, UnicodeVersion string
	// Tamper flips a bit of the signature value.
	Tamper bool
	// Rand is what the signature takes; nil is crypto/rand.Reader.
	Rand io.Reader
}

// SignSOD makes EF.SOD over the complete contents of data groups, by number
// (Doc 9303-10, 4.6.2). Their hashes are SHA-256, as Vietnam's are; the signature
// uses the hash of the signer's algorithm.
func (s *Signer) SignSOD(groups map[int][]byte, opt SODOptions) ([]byte, error) {
	object, err := securityObject(groups, opt)
	if err != nil {
		return nil, err
	}

	digest := s.algorithm.hash().New()
	digest.Write(object)
	contentType, err := attribute(oidContentType, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidLDSSecurityObject)
	})
	if err != nil {
		return nil, err
	}
	messageDigest, err := attribute(oidMessageDigest, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(digest.Sum(nil))
	})
	if err != nil {
		return nil, err
	}
	attributes := [][]byte{contentType, messageDigest}

	// RFC 5652, 5.4: the attributes are signed as a SET OF, but sent with
	// an implicit tag.
	var set cryptobyte.Builder
	addSetOf(&set, cbasn1.SET, attributes)
	signed, err := set.Bytes()
	if err != nil {
		return nil, err
	}
	signature, err := s.algorithm.sign(reader(opt.Rand), s.key, signed)
	if err != nil {
		return nil, err
	}
	if opt.Tamper {
		signature[len(signature)-1] ^= 1
	}

	context0 := cbasn1.Tag(0).Constructed().ContextSpecific()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // ContentInfo
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignedData
				b.AddASN1Int64(3)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					addDigestIdentifier(b, s.algorithm.hash())
				})
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidLDSSecurityObject)
					b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(object) })
				})
				b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(s.Certificate) })
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignerInfo
						b.AddASN1Int64(1)
						b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddBytes(s.issuer)
							b.AddASN1BigInt(s.serial)
						})
						addDigestIdentifier(b, s.algorithm.hash())
						addSetOf(b, context0, attributes)
						s.algorithm.addIdentifier(b)
						b.AddASN1OctetString(signature)
					})
				})
			})
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return tlv.Append(nil, tagSOD, der), nil
}

// securityObject is the LDSSecurityObject (Doc 9303-10, 4.6.2.3).
func securityObject(groups map[int][]byte, opt SODOptions) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		versioned := opt.LDSVersion != "" || opt.UnicodeVersion != ""
		if versioned {
			b.AddASN1Int64(1)
		} else {
			b.AddASN1Int64(0)
		}
		addDigestIdentifier(b, crypto.SHA256)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, n := range slices.Sorted(maps.Keys(groups)) {
				h := crypto.SHA256.New()
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

// attribute is an Attribute of RFC 5652, 5.3, with one value.
func attribute(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, value)
	})
	return b.Bytes()
}
