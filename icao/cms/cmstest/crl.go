package cmstest

import (
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Revoked is one entry of a revocation list.
type Revoked struct {
	Serial     []byte // content octets
	At         time.Time
	Extensions []Extension
}

// CRL is a revocation list to be made. Nil and zero fields are left out.
type CRL struct {
	Issuer                 []byte // name
	ThisUpdate, NextUpdate time.Time
	Revoked                []Revoked
	AuthorityKeyID         []byte
	Number                 int64
	Extensions             []Extension // further ones
	Version1               bool        // without version and extensions
	Algorithm              Algorithm
	OuterID                []byte // AlgorithmIdentifier outside, when it is to differ
}

// Sign returns the list, signed by the issuer.
func (c CRL) Sign(t testing.TB, issuer *Key) []byte {
	t.Helper()
	tbs := Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if !c.Version1 {
				b.AddASN1Int64(1)
			}
			b.AddBytes(c.Algorithm.ID)
			b.AddBytes(c.Issuer)
			b.AddASN1UTCTime(c.ThisUpdate)
			if !c.NextUpdate.IsZero() {
				b.AddASN1UTCTime(c.NextUpdate)
			}
			if c.Revoked != nil {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, r := range c.Revoked {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(r.Serial) })
							b.AddASN1UTCTime(r.At)
							if r.Extensions != nil {
								addExtensions(b, r.Extensions)
							}
						})
					}
				})
			}
			if c.Version1 {
				return
			}
			b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				list := Certificate{AuthorityKeyID: c.AuthorityKeyID}.extensions(t)
				list = append(list, Extension{OID: "2.5.29.20", Value: Build(t, func(b *cryptobyte.Builder) { b.AddASN1Int64(c.Number) })})
				addExtensions(b, append(list, c.Extensions...))
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

func addExtensions(b *cryptobyte.Builder, list []Extension) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, e := range list {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(OID(e.OID))
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(e.Value)
			})
		}
	})
}

// Bundle returns a SignedData without content and signers.
func Bundle(t testing.TB, certificates, crls [][]byte) []byte {
	t.Helper()
	explicit := func(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }
	add := func(list [][]byte) cryptobyte.BuilderContinuation {
		return func(b *cryptobyte.Builder) {
			for _, e := range list {
				b.AddBytes(e)
			}
		}
	}
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(OID("1.2.840.113549.1.7.2"))
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(1)
					b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OID("1.2.840.113549.1.7.1")) })
					b.AddASN1(explicit(0), add(certificates))
					b.AddASN1(explicit(1), add(crls))
					b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
				})
			})
		})
	})
}
