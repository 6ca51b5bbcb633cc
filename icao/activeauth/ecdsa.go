package activeauth

import (
	"crypto"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ecdsaHashes are the hash functions of ECDSA signatures by object identifier:
// ecdsa-plain of BSI TR-03111, which Doc 9303-11, 9.2.4 asks for, and
// ecdsa-with of ANSI X9.62 (RFC 5758, 3.2), which some documents have instead.
// SHA-1 and RIPEMD-160 are left out because 6.1.2.3 forbids them.
var ecdsaHashes = map[string]crypto.Hash{
	"0.4.0.127.0.7.1.1.4.1.2": crypto.SHA224,
	"0.4.0.127.0.7.1.1.4.1.3": crypto.SHA256,
	"0.4.0.127.0.7.1.1.4.1.4": crypto.SHA384,
	"0.4.0.127.0.7.1.1.4.1.5": crypto.SHA512,
	"1.2.840.10045.4.3.1":     crypto.SHA224,
	"1.2.840.10045.4.3.2":     crypto.SHA256,
	"1.2.840.10045.4.3.3":     crypto.SHA384,
	"1.2.840.10045.4.3.4":     crypto.SHA512,
}

// hashesFor returns the hash functions to try when no document says which one:
// those not longer than the key, which the standard wants, the longest first;
// then the others, whose digest ECDSA cuts to the length of the key.
//
// Trying four functions instead of one gives a forger at most four chances
// where each is hopeless: the message is the verifier's own challenge, so
// there is no message for the forger to choose, and a collision helps nobody.
func hashesFor(curve *ec.Curve) []crypto.Hash {
	all := []crypto.Hash{crypto.SHA512, crypto.SHA384, crypto.SHA256, crypto.SHA224}
	var fit, rest []crypto.Hash
	for _, h := range all {
		if h.Size() <= curve.OrderSize() {
			fit = append(fit, h)
		} else {
			rest = append([]crypto.Hash{h}, rest...)
		}
	}
	return append(fit, rest...)
}

// verifyECDSA verifies a signature of the message rndIFD (Doc 9303-11,
// 6.1.2.3). oid names the algorithm, or is empty.
func verifyECDSA(key *ec.Point, rndIFD [8]byte, signature []byte, oid string) (string, error) {
	hashes := hashesFor(key.Curve())
	if oid != "" {
		hash, ok := ecdsaHashes[oid]
		if !ok {
			return "", fmt.Errorf("%w: ECDSA algorithm identifier", ErrUnsupported)
		}
		hashes = []crypto.Hash{hash}
	}
	for _, read := range []func([]byte, int) (r, s []byte, ok bool){readPlain, readDER} {
		r, s, ok := read(signature, key.Curve().OrderSize())
		if !ok {
			continue
		}
		for _, hash := range hashes {
			h := hash.New()
			h.Write(rndIFD[:])
			if ec.Verify(key, h.Sum(nil), r, s) {
				return fmt.Sprintf("ECDSA %v %s", hash, key.Curve().Name()), nil
			}
		}
	}
	return "", ErrSignature
}

// readPlain splits r || s, each of the length of the order (TR-03111, plain format).
func readPlain(signature []byte, size int) (r, s []byte, ok bool) {
	in := tlv.String(signature)
	ok = in.ReadBytes(&r, size) && in.ReadBytes(&s, size) && in.Empty()
	return r, s, ok
}

// readDER reads an ECDSA-Sig-Value (RFC 3279, 2.2.3), as some chips answer
// although the standard asks for the plain format.
func readDER(signature []byte, _ int) (r, s []byte, ok bool) {
	in := cryptobyte.String(signature)
	var seq cryptobyte.String
	// ReadASN1Integer into a byte slice refuses negative numbers.
	ok = in.ReadASN1(&seq, asn1.SEQUENCE) && in.Empty() &&
		seq.ReadASN1Integer(&r) && seq.ReadASN1Integer(&s) && seq.Empty()
	return r, s, ok
}
