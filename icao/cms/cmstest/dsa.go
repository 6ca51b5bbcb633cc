package cmstest

import (
	"crypto"
	//lint:ignore SA1019 old documents are signed with it
	"crypto/dsa" //nolint:staticcheck // an oracle for tests
	"crypto/rand"
	"math/big"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Making parameters takes long.
var dsaParameters = sync.OnceValues(func() (p dsa.Parameters, err error) {
	err = dsa.GenerateParameters(&p, rand.Reader, dsa.L1024N160)
	return p, err
})

// DSA returns a fresh DSA key of 1024 bits.
func DSA(t testing.TB) *Key {
	t.Helper()
	parameters, err := dsaParameters()
	if err != nil {
		t.Fatal(err)
	}
	k := &dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: parameters}}
	if err := dsa.GenerateKey(k, rand.Reader); err != nil {
		t.Fatal(err)
	}
	return &Key{DSA: k, SPKI: DSASPKI(t, k.P, k.Q, k.G, k.Y)}
}

// DSASPKI returns the SubjectPublicKeyInfo of a DSA key.
func DSASPKI(t testing.TB, p, q, g, y *big.Int) []byte {
	return Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			AddAlgorithm(b, "1.2.840.10040.4.1", Build(t, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1BigInt(p)
					b.AddASN1BigInt(q)
					b.AddASN1BigInt(g)
				})
			}))
			addBitString(b, func(b *cryptobyte.Builder) { b.AddASN1BigInt(y) })
		})
	})
}

// DSASignature is DSA with a hash.
func DSASignature(t testing.TB, h crypto.Hash) Algorithm {
	oid := map[crypto.Hash]string{
		crypto.SHA1: "1.2.840.10040.4.3", crypto.SHA224: "2.16.840.1.101.3.4.3.1", crypto.SHA256: "2.16.840.1.101.3.4.3.2",
		crypto.SHA384: "2.16.840.1.101.3.4.3.3", crypto.SHA512: "2.16.840.1.101.3.4.3.4",
	}[h]
	return Algorithm{h, algorithmID(t, oid, nil), func(t testing.TB, k *Key, digest []byte) []byte {
		// crypto/dsa leaves it to the caller to cut the digest to the size of q.
		r, s, err := dsa.Sign(rand.Reader, k.DSA, digest[:min(len(digest), k.DSA.Q.BitLen()/8)])
		if err != nil {
			t.Fatal(err)
		}
		return Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(r)
				b.AddASN1BigInt(s)
			})
		})
	}}
}
