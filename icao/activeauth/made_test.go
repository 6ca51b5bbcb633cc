package activeauth_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/tlv"
)

// The tests of this file need no published examples, so that a clone alone
// proves that verification works. They prove nothing about the standard: the
// signer here and the verifier were written by the same hands.

// Factors of an RSA key of 1024 bits that was made for this test.
const (
	madeP = "f3dce770f4fcc18b190dc88b0b5cbe68e0c4a73d278cb800d988c939f764808c5dfd984be1cc4d0acef711a896114d18e931c22241c91f3011b0ccd8e2fc1dc5"
	madeQ = "e64be71515a1711ac11c88a15a529285acc81879c4a41d47bba864146cfbaf47ed777e612d2fa2291de82cb9d4489888b62c68ab14b8b10fc48571fdd019b4dd"
)

var madeChallenge = [8]byte{1, 2, 3, 4, 5, 6, 7, 8}

// madeRSA returns a public key and the private operation on a representative.
func madeRSA(t testing.TB) (spki []byte, n *big.Int, sign func(f []byte) []byte) {
	t.Helper()
	p, ok1 := new(big.Int).SetString(madeP, 16)
	q, ok2 := new(big.Int).SetString(madeQ, 16)
	if !ok1 || !ok2 {
		t.Fatal("malformed key")
	}
	return keyOf(p, q)
}

// newRSA makes a key of so many bits, which may be fewer than any document has: for
// representatives of that length.
func newRSA(t testing.TB, bits int) (spki []byte, n *big.Int, sign func(f []byte) []byte) {
	t.Helper()
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		if p.Cmp(q) == 0 || new(big.Int).Mod(p, big.NewInt(65537)).Cmp(big.NewInt(1)) == 0 || new(big.Int).Mod(q, big.NewInt(65537)).Cmp(big.NewInt(1)) == 0 {
			continue // no private key
		}
		return keyOf(p, q)
	}
}

// keyOf returns the key of two primes, and the private operation on a representative.
func keyOf(p, q *big.Int) (spki []byte, n *big.Int, sign func(f []byte) []byte) {
	one := big.NewInt(1)
	n = new(big.Int).Mul(p, q)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(65537), phi)
	key := tlv.Append(nil, 0x02, append([]byte{0}, n.Bytes()...))
	key = tlv.Append(nil, 0x30, append(key, 2, 3, 1, 0, 1))
	alg := []byte{0x30, 13, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 5, 0}
	spki = tlv.Append(nil, 0x30, append(alg, tlv.Append(nil, 0x03, append([]byte{0}, key...))...))
	return spki, n, func(f []byte) []byte {
		return new(big.Int).Exp(new(big.Int).SetBytes(f), d, n).FillBytes(make([]byte, (n.BitLen()+7)/8))
	}
}

// representative builds F for a challenge, with M1 of one repeated byte.
func representative(header, fill byte, hash crypto.Hash, challenge [8]byte, trailer ...byte) []byte {
	m1 := bytes.Repeat([]byte{fill}, 128-1-hash.Size()-len(trailer))
	h := hash.New()
	h.Write(m1)
	h.Write(challenge[:])
	f := append([]byte{header}, m1...)
	return append(h.Sum(f), trailer...)
}

// madeEC returns a public key on a curve and a signer of digests.
func madeEC(t testing.TB, name string) (spki []byte, sign func(digest []byte) (r, s []byte)) {
	t.Helper()
	curve := ec.ByName(name)
	d := make([]byte, curve.OrderSize())
	d[len(d)-1], d[len(d)/2] = 7, 9
	k, err := curve.NewPrivateKey(d)
	if err != nil {
		t.Fatal(err)
	}
	oids := map[string][]byte{
		"P-256":           {6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7},
		"P-384":           {6, 5, 0x2B, 0x81, 4, 0, 0x22},
		"brainpoolP320r1": {6, 9, 0x2B, 0x24, 3, 3, 2, 8, 1, 1, 9},
	}
	alg := tlv.Append(nil, 0x30, append([]byte{6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1}, oids[name]...))
	spki = tlv.Append(nil, 0x30, append(alg, tlv.Append(nil, 0x03, append([]byte{0}, k.Public().Bytes()...))...))
	return spki, func(digest []byte) (r, s []byte) {
		r, s, err := k.Sign(nil, digest)
		if err != nil {
			t.Fatal(err)
		}
		return r, s
	}
}

func TestMadeRSA(t *testing.T) {
	t.Parallel()
	spki, n, sign := madeRSA(t)
	for _, tt := range []struct {
		hash    crypto.Hash
		trailer []byte
	}{
		{crypto.SHA1, []byte{0xBC}},
		{crypto.SHA1, []byte{0x33, 0xCC}},
		{crypto.SHA224, []byte{0x38, 0xCC}},
		{crypto.SHA256, []byte{0x34, 0xCC}},
		{crypto.SHA384, []byte{0x36, 0xCC}},
		{crypto.SHA512, []byte{0x35, 0xCC}},
	} {
		want := fmt.Sprintf("RSA-1024 ISO/IEC 9796-2 %v", tt.hash)
		good := representative(0x6A, 0x5C, tt.hash, madeChallenge, tt.trailer...)
		sig := sign(good)
		if alg, err := activeauth.VerifySignature(spki, madeChallenge, sig, nil); err != nil || alg != want {
			t.Errorf("%v %x: %q, %v", tt.hash, tt.trailer, alg, err)
		}
		complement := new(big.Int).Sub(n, new(big.Int).SetBytes(sig)).FillBytes(make([]byte, 128))
		if alg, err := activeauth.VerifySignature(spki, madeChallenge, complement, nil); err != nil || alg != want {
			t.Errorf("%v %x, complement: %q, %v", tt.hash, tt.trailer, alg, err)
		}
		for name, f := range map[string][]byte{
			"total recovery":      representative(0x4A, 0x5C, tt.hash, madeChallenge, tt.trailer...),
			"padded M1":           representative(0x6B, 0xBB, tt.hash, madeChallenge, tt.trailer...),
			"other trailer":       representative(0x6A, 0x5C, tt.hash, madeChallenge, append(bytes.Clone(tt.trailer[1:]), 0xBD)...),
			"unknown hash":        representative(0x6A, 0x5C, tt.hash, madeChallenge, 0x31, 0xCC),
			"challenge not in it": representative(0x6A, 0x5C, tt.hash, [8]byte{}, tt.trailer...),
		} {
			if alg, err := activeauth.VerifySignature(spki, madeChallenge, sign(f), nil); !errors.Is(err, activeauth.ErrSignature) {
				t.Errorf("%v %x, %s: %q, %v", tt.hash, tt.trailer, name, alg, err)
			}
		}
	}
	for name, sig := range map[string][]byte{
		"nothing": nil,
		"zero":    make([]byte, 128),
		"one":     append(make([]byte, 127), 1),
		"modulus": n.Bytes(),
	} {
		if alg, err := activeauth.VerifySignature(spki, madeChallenge, sig, nil); !errors.Is(err, activeauth.ErrSignature) {
			t.Errorf("%s: %q, %v", name, alg, err)
		}
	}
}

func TestMadeECDSA(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		curve string
		hash  crypto.Hash
		oid   string
	}{
		{"P-256", crypto.SHA256, "0.4.0.127.0.7.1.1.4.1.3"},
		{"P-256", crypto.SHA224, "1.2.840.10045.4.3.1"},
		{"P-256", crypto.SHA512, "0.4.0.127.0.7.1.1.4.1.5"}, // longer than the key: cut
		{"P-384", crypto.SHA384, "1.2.840.10045.4.3.3"},
		{"brainpoolP320r1", crypto.SHA256, "1.2.840.10045.4.3.2"},
	} {
		spki, sign := madeEC(t, tt.curve)
		h := tt.hash.New()
		h.Write(madeChallenge[:])
		r, s := sign(h.Sum(nil))
		plain := append(bytes.Clone(r), s...)
		integer := func(b []byte) []byte {
			b = bytes.TrimLeft(b, "\x00")
			if b[0] >= 0x80 {
				b = append([]byte{0}, b...)
			}
			return tlv.Append(nil, 0x02, b)
		}
		der := tlv.Append(nil, 0x30, append(integer(r), integer(s)...))
		want := fmt.Sprintf("ECDSA %v %s", tt.hash, tt.curve)
		for _, oid := range []string{"", tt.oid} {
			for _, sig := range [][]byte{plain, der} {
				alg, err := activeauth.VerifySignature(spki, madeChallenge, sig, &activeauth.Options{SignatureAlgorithm: oid})
				if err != nil || alg != want {
					t.Errorf("%s, %q: %q, %v", want, oid, alg, err)
				}
				bad := bytes.Clone(sig)
				bad[len(bad)-1] ^= 1
				for name, b := range map[string][]byte{"changed": bad, "cut": sig[:len(sig)-1], "longer": append(bytes.Clone(sig), 0)} {
					if _, err := activeauth.VerifySignature(spki, madeChallenge, b, nil); !errors.Is(err, activeauth.ErrSignature) {
						t.Errorf("%s, %s: %v", want, name, err)
					}
				}
			}
		}
	}
}

// A hash function that the standard forbids is not tried.
func TestECDSAWithSHA1IsRefused(t *testing.T) {
	t.Parallel()
	spki, sign := madeEC(t, "P-256")
	h := crypto.SHA1.New()
	h.Write(madeChallenge[:])
	r, s := sign(h.Sum(nil))
	if alg, err := activeauth.VerifySignature(spki, madeChallenge, append(r, s...), nil); !errors.Is(err, activeauth.ErrSignature) {
		t.Errorf("%q, %v", alg, err)
	}
}

// Object identifiers as encoded.
var (
	derRSAEncryption = []byte{6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1}
	derRSAPSS        = []byte{6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 10}
	derMGF1          = []byte{6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 8}
	derSHA256        = []byte{6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}
)

const oidRSAPSS = "1.2.840.113549.1.1.10"

// pssParameters are RSASSA-PSS-params with SHA-256 twice and a salt of 32 bytes.
func pssParameters() []byte {
	hash := tlv.Append(nil, 0x30, derSHA256)
	out := tlv.Append(nil, 0xA0, hash)
	out = append(out, tlv.Append(nil, 0xA1, tlv.Append(nil, 0x30, slices.Concat(derMGF1, hash)))...)
	return tlv.Append(nil, 0x30, append(out, 0xA2, 3, 2, 1, 32))
}

// pssSigner returns the standard library's key with these factors, and its
// SubjectPublicKeyInfo with the algorithm given.
func pssSigner(t testing.TB, algorithm ...[]byte) (*rsa.PrivateKey, []byte) {
	t.Helper()
	p, _ := new(big.Int).SetString(madeP, 16)
	q, _ := new(big.Int).SetString(madeQ, 16)
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(big.NewInt(65537), phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	pkcs1 := tlv.Append(nil, 0x02, append([]byte{0}, key.N.Bytes()...))
	pkcs1 = tlv.Append(nil, 0x30, append(pkcs1, 2, 3, 1, 0, 1))
	spki := tlv.Append(nil, 0x30, slices.Concat(algorithm...))
	return key, tlv.Append(nil, 0x30, append(spki, tlv.Append(nil, 0x03, append([]byte{0}, pkcs1...))...))
}

func signPSS(t testing.TB, key *rsa.PrivateKey, hash crypto.Hash, salt int) []byte {
	t.Helper()
	h := hash.New()
	h.Write(madeChallenge[:])
	sig, err := rsa.SignPSS(rand.Reader, key, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// RSASSA-PSS, where DG14 or the key in DG15 announces it and nowhere else, through
// both entry points. The signer is the standard library's.
func TestPSSWhereAnnounced(t *testing.T) {
	t.Parallel()
	plain, null := derRSAEncryption, []byte{5, 0}
	tests := []struct {
		name      string
		algorithm [][]byte // of the key
		announced string   // in DG14
		good      bool
		only      bool // and nothing else is
	}{
		{"DG14", [][]byte{plain, null}, oidRSAPSS, true, false},
		{"DG15", [][]byte{derRSAPSS}, "", true, true},
		{"DG15 with NULL", [][]byte{derRSAPSS, null}, "", true, true},
		{"both", [][]byte{derRSAPSS}, oidRSAPSS, true, true},
		{"nowhere", [][]byte{plain, null}, "", false, false},
		{"something else", [][]byte{plain, null}, "1.2.840.113549.1.1.11", false, false},
	}
	_, _, sign := madeRSA(t)
	scheme1 := sign(representative(0x6A, 0x5C, crypto.SHA256, madeChallenge, 0x34, 0xCC))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, spki := pssSigner(t, tt.algorithm...)
			opt := &activeauth.Options{SignatureAlgorithm: tt.announced}
			for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				for _, salt := range []int{hash.Size(), 20, rsa.PSSSaltLengthAuto} { // as much as fits
					if salt+hash.Size() > 126 {
						continue // does not fit into 1024 bits
					}
					sig := signPSS(t, key, hash, salt)
					alg, err := activeauth.VerifySignature(spki, madeChallenge, sig, opt)
					d := &chip{answer: func(int) apdu.Response { return apdu.Response{Data: sig, SW: apdu.OK} }}
					res, err2 := activeauth.Authenticate(t.Context(), d, spki, madeChallenge, opt)
					if res.Algorithm != alg || !errors.Is(err2, err) {
						t.Errorf("verified: %q, %v; authenticated: %q, %v", alg, err, res.Algorithm, err2)
					}
					want := fmt.Sprintf("RSA-1024 RSASSA-PSS %v", hash)
					if tt.good && (err != nil || alg != want) || !tt.good && !errors.Is(err, activeauth.ErrSignature) {
						t.Errorf("%v, salt of %d: %q, %v", hash, salt, alg, err)
					}
					sig[20] ^= 1
					if _, err := activeauth.VerifySignature(spki, madeChallenge, sig, opt); !errors.Is(err, activeauth.ErrSignature) {
						t.Errorf("%v, altered: %v", hash, err)
					}
					sig[20] ^= 1
					if _, err := activeauth.VerifySignature(spki, [8]byte{1}, sig, opt); !errors.Is(err, activeauth.ErrSignature) {
						t.Errorf("%v, another challenge: %v", hash, err)
					}
				}
			}
			alg, err := activeauth.VerifySignature(spki, madeChallenge, scheme1, opt)
			if tt.only != errors.Is(err, activeauth.ErrSignature) || !tt.only && alg != "RSA-1024 ISO/IEC 9796-2 SHA-256" {
				t.Errorf("scheme 1 of ISO/IEC 9796-2: %q, %v", alg, err)
			}
		})
	}
}

// A key with parameters of its own makes signatures with these.
func TestPSSKeyWithParameters(t *testing.T) {
	t.Parallel()
	key, spki := pssSigner(t, derRSAPSS, pssParameters())
	for hash, want := range map[crypto.Hash]error{crypto.SHA256: nil, crypto.SHA384: activeauth.ErrSignature} {
		alg, err := activeauth.VerifySignature(spki, madeChallenge, signPSS(t, key, hash, hash.Size()), nil)
		if !errors.Is(err, want) || (alg == "RSA-1024 RSASSA-PSS SHA-256") != (want == nil) {
			t.Errorf("%v: %q, %v", hash, alg, err)
		}
	}
	// Parameters that no one can verify: a salt longer than the modulus has room for.
	params := pssParameters()
	params[len(params)-1] = 0x7F
	_, spki = pssSigner(t, derRSAPSS, params)
	alg, err := activeauth.VerifySignature(spki, madeChallenge, signPSS(t, key, crypto.SHA256, 32), nil)
	if !errors.Is(err, activeauth.ErrUnsupported) || alg != "" {
		t.Errorf("%q, %v", alg, err)
	}
}

// Lengths and pieces are as with the other signatures (requirement R6).
func TestPSSLengths(t *testing.T) {
	t.Parallel()
	key, spki := pssSigner(t, derRSAPSS)
	sig := signPSS(t, key, crypto.SHA256, 32)
	t.Run("exact length only", func(t *testing.T) {
		d := &chip{answer: func(ne int) apdu.Response {
			if ne != len(sig) {
				return apdu.Response{SW: apdu.WrongLength}
			}
			return apdu.Response{Data: sig, SW: apdu.OK}
		}}
		if res, err := activeauth.Authenticate(t.Context(), d, spki, madeChallenge, nil); err != nil || !slices.Equal(d.asked, []int{256, 65536, 128}) {
			t.Errorf("%q, %v; asked for %v", res.Algorithm, err, d.asked)
		}
	})
	t.Run("in pieces", func(t *testing.T) {
		s := apdutest.NewScript(t, fmt.Sprintf("0088000008%x00 -> %x6140\n00C0000040 -> %x9000", madeChallenge, sig[:64], sig[64:]))
		res, err := activeauth.Authenticate(t.Context(), apdu.NewSession(s), spki, madeChallenge, nil)
		if err != nil || !bytes.Equal(res.Signature, sig) {
			t.Errorf("%q with %d bytes, %v", res.Algorithm, len(res.Signature), err)
		}
	})
}

// Nothing panics, and nobody signs for a seed's key but the seed itself.
func FuzzVerifySignature(f *testing.F) {
	rsaKey, _, signRSA := madeRSA(f)
	f.Add(rsaKey, madeChallenge[:], signRSA(representative(0x6A, 1, crypto.SHA256, madeChallenge, 0x34, 0xCC)), "")
	f.Add(rsaKey, madeChallenge[:], signRSA(representative(0x6A, 1, crypto.SHA1, madeChallenge, 0xBC)), "")
	keys := [][]byte{rsaKey}
	for _, algorithm := range [][]byte{derRSAPSS, slices.Concat(derRSAPSS, pssParameters())} {
		key, spki := pssSigner(f, algorithm)
		f.Add(spki, madeChallenge[:], signPSS(f, key, crypto.SHA256, 32), oidRSAPSS)
		keys = append(keys, spki)
	}
	for _, name := range []string{"P-256", "brainpoolP320r1"} {
		key, sign := madeEC(f, name)
		h := crypto.SHA256.New()
		h.Write(madeChallenge[:])
		r, s := sign(h.Sum(nil))
		f.Add(key, madeChallenge[:], append(r, s...), "0.4.0.127.0.7.1.1.4.1.3")
		f.Add(key, madeChallenge[:], []byte{0x30, 6, 2, 1, 1, 2, 1, 1}, "")
		keys = append(keys, key)
	}
	f.Fuzz(func(t *testing.T, key, challenge, sig []byte, oid string) {
		var c [8]byte
		copy(c[:], challenge)
		alg, err := activeauth.VerifySignature(key, c, sig, &activeauth.Options{SignatureAlgorithm: oid})
		if (err == nil) == (alg == "") {
			t.Fatalf("%q, %v", alg, err)
		}
		if activeauth.ReasonOf(err) == activeauth.ReasonInterrupted {
			t.Errorf("error of no known kind: %v", err)
		}
		d := &chip{answer: func(int) apdu.Response { return apdu.Response{Data: sig, SW: apdu.OK} }}
		if res, err2 := activeauth.Authenticate(t.Context(), d, key, c, &activeauth.Options{SignatureAlgorithm: oid}); res.Algorithm != alg || (err == nil) != (err2 == nil) {
			t.Errorf("verified: %q, %v; authenticated: %q, %v", alg, err, res.Algorithm, err2)
		}
		for _, k := range keys {
			if err == nil && bytes.Equal(k, key) && c != madeChallenge {
				t.Error("a forgery: the key is a seed's, the challenge is not")
			}
		}
	})
}
