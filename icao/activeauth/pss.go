package activeauth

import (
	"crypto"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
)

// RSASSA-PSS (RFC 8017, 8.1) is no algorithm of the standard for this protocol: with
// an RSA key, scheme 1 of ISO/IEC 9796-2 is the only one (Doc 9303-11, 6.1.2.2), and
// ActiveAuthenticationInfo is for ECDSA (9.2.4). BSI TR-03105-5.1 had a test case for
// it, ISO7816_F_03, which version 1.5 deleted. So nothing says how a chip announces it
// or what it signs. It is accepted where the issuer signed that it is used: as the
// algorithm of the key in DG15, or as the signature algorithm in DG14. The message is
// taken to be RND.IFD, as with ECDSA, since a signature with appendix has no room for
// a nonce of the chip (unconfirmed: no such chip is known to us).
//
// id-RSASSA-PSS is RFC 4055, 3.1.
const (
	oidRSAPSS = "1.2.840.113549.1.1.10"
	derRSAPSS = "\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0A"
)

// verifyAnyRSA verifies what an RSA key signed. A key for RSASSA-PSS makes no other
// signatures (RFC 4055, 1.2). If only DG14 says so, a signature of the standard is
// one all the same: it is by the same key over the same challenge.
func verifyAnyRSA(key *cms.PublicKey, rndIFD [8]byte, signature []byte, announced string) (string, error) {
	only := pssKey(key.Raw)
	if !only && announced != oidRSAPSS {
		return verifyRSA(key.RSA, rndIFD, signature)
	}
	algorithm, err := verifyPSS(key, rndIFD, signature)
	if err != nil && !only {
		return verifyRSA(key.RSA, rndIFD, signature)
	}
	return algorithm, err
}

// verifyPSS tries what RSASSA-PSS leaves open and no document says: the hash
// functions of the standard, mask generation with the same one or with SHA-1 (the
// default of RFC 4055), and a salt as long as the hash, of 20 bytes, of none, or as
// long as fits. A key with parameters of its own allows fewer. As with ECDSA,
// several chances where each is hopeless are no chance: the message is ours.
func verifyPSS(key *cms.PublicKey, rndIFD [8]byte, signature []byte) (string, error) {
	emLen := (key.RSA.N.BitLen() + 6) / 8 // of one bit less than the modulus (RFC 8017, 8.1.1)
	err := fmt.Errorf("%w: RSASSA-PSS with these parameters", ErrUnsupported)
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA512, crypto.SHA384, crypto.SHA224, crypto.SHA1} {
		for _, mgf := range []crypto.Hash{hash, crypto.SHA1} {
			for _, salt := range []int{hash.Size(), 20, 0, emLen - hash.Size() - 2} {
				alg := cms.SignatureAlgorithm{OID: oidRSAPSS, Scheme: cms.RSAPSS, Hash: hash, MGFHash: mgf, SaltLength: salt}
				switch e := key.Verify(alg, rndIFD[:], signature); {
				case e == nil:
					return fmt.Sprintf("RSA-%d RSASSA-PSS %v", key.RSA.N.BitLen(), hash), nil
				case errors.Is(e, cms.ErrSignature):
					err = ErrSignature
				}
			}
		}
	}
	return "", err
}

// pssKey reports whether a SubjectPublicKeyInfo is of a key for RSASSA-PSS only.
func pssKey(spki []byte) bool {
	s := cryptobyte.String(spki)
	var body, alg, oid cryptobyte.String
	return s.ReadASN1(&body, asn1.SEQUENCE) && body.ReadASN1(&alg, asn1.SEQUENCE) &&
		alg.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) && string(oid) == derRSAPSS
}
