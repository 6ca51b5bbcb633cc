package issuer

import (
	"encoding/asn1"
	"io"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// CRLOptions are the parameters of a revocation list.
type CRLOptions struct {
	Number     int64 // CRLNumber
	ThisUpdate time.Time
	NextUpdate time.Time
	// Revoked are the serial numbers of revoked certificates, as of ThisUpdate.
	Revoked []*big.Int
	Rand    io.Reader // nil: crypto/rand.Reader
}

// CRL makes the certificate revocation list of the authority (Doc 9303-12, 7.2;
// RFC 5280, 5).
func (a *Authority) CRL(opt CRLOptions) ([]byte, error) {
	name, err := a.subject.name()
	if err != nil {
		return nil, err
	}
	var tbs cryptobyte.Builder
	tbs.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1) // v2
		a.algorithm.addIdentifier(b)
		b.AddBytes(name)
		addTime(b, opt.ThisUpdate)
		addTime(b, opt.NextUpdate)
		if len(opt.Revoked) > 0 {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, serial := range opt.Revoked {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1BigInt(serial)
						addTime(b, opt.ThisUpdate)
					})
				}
			})
		}
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				a.addKeyIdentifier(b)
				addExtension(b, oidCRLNumber, false, func(b *cryptobyte.Builder) { b.AddASN1Int64(opt.Number) })
			})
		})
	})
	return a.seal(&tbs, opt.Rand)
}

// seal signs what tbs holds and returns it with the signature around it, as
// certificates and revocation lists have it.
func (a *Authority) seal(tbs *cryptobyte.Builder, random io.Reader) ([]byte, error) {
	raw, err := tbs.Bytes()
	if err != nil {
		return nil, err
	}
	signature, err := a.algorithm.Sign(random, a.key, raw)
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

var (
	oidMasterList     = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 2}
	oidSecurityObject = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 3, 2, 1}
)

// SignMasterList makes a master list of the given certificates (Doc 9303-12, 9).
// The signed data also holds the signer's certificate and, if issuer is not nil,
// the authority's above it.
func (s *Signer) SignMasterList(certificates [][]byte, issuer *Authority, opt CMSOptions) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // CscaMasterList
		b.AddASN1Int64(0)
		addSetOf(b, cbasn1.SET, append([][]byte(nil), certificates...))
	})
	list, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	var more [][]byte
	if issuer != nil {
		more = append(more, issuer.Certificate)
	}
	return s.signData(oidMasterList, list, more, opt)
}

// SignSecurityInfos makes EF.CardSecurity with the given SecurityInfos
// (Doc 9303-10, 3.11.4).
func (s *Signer) SignSecurityInfos(infos [][]byte, opt CMSOptions) ([]byte, error) {
	set, err := SecurityInfos(infos)
	if err != nil {
		return nil, err
	}
	return s.signData(oidSecurityObject, set, nil, opt)
}
