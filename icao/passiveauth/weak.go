package passiveauth

import (
	"crypto"

	"github.com/chamthe/chamthe/icao/cms"
)

// The kinds of [Result.Weak]: a closed set.
const (
	WeakGroupHash       = "data group hashes"         // the hash that binds the data groups to EF.SOD
	WeakSignatureHash   = "security object signature" // the hash over which EF.SOD, or EF.CardSecurity, is signed
	WeakSignerKey       = "document signer key"
	WeakCertificateHash = "document signer certificate" // the hash over which it is signed
	WeakAnchorKey       = "CSCA key"
)

// The measure: the smallest that is not weak.
const (
	minRSABits          = 2048      // of the modulus
	minDSABits, minDSAQ = 2048, 224 // of p and of q
	minCurveBits        = 224       // of the order
)

// What counts as weak, and by whom:
//
//	hash of signatures and of data groups  SHA-1                    Doc 9303-12, 4.1.6.4 permits SHA-224 to SHA-512 only;
//	                                                                BSI TR-03116-2 (2023), table 4: in documents until 2010
//	RSA key                                below 2048 bits          NIST SP 800-57 part 1: less than 112 bits of security,
//	                                                                which SP 800-131A (revision 2) leaves for legacy use
//	DSA key                                p below 2048 bits, or    the same
//	                                       q below 224 bits
//	elliptic curve                         below 224 bits           the same; BSI TR-03116-2, table 4, begins with 224
//
// Doc 9303-12, 4.1.6 names no key sizes itself and refers to such catalogues.
// Left out on purpose: SHA-1 in the mask generation of RSASSA-PSS, where nobody
// gains from a collision, and the anchor's own signature, on which nothing rests.

// noteWeak lists what the signature si and the chain above it have.
func (r *signerResult) noteWeak(si *cms.SignerInfo) {
	// The content goes through DigestAlgorithm, the signed attributes through the
	// hash of the signature; the weaker one counts.
	r.weak = appendWeakHash(r.weak, WeakSignatureHash, si.DigestAlgorithm, si.SignatureAlgorithm.Hash)
	r.weak = appendWeakKey(r.weak, WeakSignerKey, r.certificate.PublicKey)
	r.weak = appendWeakHash(r.weak, WeakCertificateHash, r.certificate.SignatureAlgorithm.Hash)
	if r.anchor != nil {
		r.weak = appendWeakKey(r.weak, WeakAnchorKey, r.anchor.Certificate.PublicKey)
	}
}

func appendWeakHash(list []string, kind string, hashes ...crypto.Hash) []string {
	for _, h := range hashes {
		if h == crypto.SHA1 {
			return append(list, kind+", "+h.String())
		}
	}
	return list
}

func appendWeakKey(list []string, kind string, k *cms.PublicKey) []string {
	if weakKey(k) {
		return append(list, kind+", "+k.String())
	}
	return list
}

func weakKey(k *cms.PublicKey) bool {
	switch {
	case k == nil: // nothing can rest on it
		return false
	case k.RSA != nil:
		return k.RSA.N.BitLen() < minRSABits
	case k.EC != nil:
		return 8*k.EC.Curve().OrderSize() < minCurveBits
	case k.DSA != nil:
		return k.DSA.P.BitLen() < minDSABits || k.DSA.Q.BitLen() < minDSAQ
	}
	return false
}
