package inspect

import (
	"crypto"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/passiveauth"
)

// Below these sizes a key has less than 112 bits of security, and so has a signature
// with SHA-1 (NIST SP 800-57 part 1 revision 5, tables 2 and 3). Doc 9303-12, 4.4,
// asks no less of new certificates; documents live for ten years and longer.
const (
	strongModulus = 2048 // RSA, and the prime of DSA
	strongCurve   = 224
)

// weak lists a weakness, once.
func (in *inspection) weak(what string) {
	if !slices.Contains(in.r.Weak, what) {
		in.r.Weak = append(in.r.Weak, what)
	}
}

// weakKey reports whether a key is below what is strong today.
func weakKey(k *cms.PublicKey) bool {
	switch {
	case k == nil:
		return false
	case k.RSA != nil:
		return k.RSA.N.BitLen() < strongModulus
	case k.DSA != nil:
		return k.DSA.P.BitLen() < strongModulus
	case k.EC != nil:
		return k.EC.Curve().BitSize() < strongCurve
	}
	return false
}

// weakSigner looks at what the document's signature rests on.
func (in *inspection) weakSigner(res passiveauth.Result) {
	if res.Signature.Algorithm != "" && slices.Contains(in.sod.Deviations, cms.DevSHA1) {
		in.weak("security object signature, SHA-1")
	}
	if in.sod.Object.Hash == crypto.SHA1 {
		in.weak("data group hashes, SHA-1")
	}
	if c := res.Signer; c != nil {
		if weakKey(c.PublicKey) {
			in.weak("document signer key, " + c.PublicKey.String())
		}
		if c.SignatureAlgorithm.Hash == crypto.SHA1 {
			in.weak("document signer certificate, SHA-1")
		}
	}
	// How an anchor is signed does not matter: it is trusted as it is.
	if a := res.Anchor; a != nil && weakKey(a.Certificate.PublicKey) {
		in.weak("CSCA key, " + a.Certificate.PublicKey.String())
	}
}

// weakActiveAuthentication looks at the key in a DG15, and at the algorithm that
// its signature was verified with, if it was.
func (in *inspection) weakActiveAuthentication(spki []byte, algorithm string) {
	if k, err := cms.ParsePublicKey(spki); err == nil && weakKey(k) {
		in.weak("active authentication key, " + k.String())
	}
	if strings.HasSuffix(algorithm, " "+crypto.SHA1.String()) {
		in.weak("active authentication signature, SHA-1")
	}
}
