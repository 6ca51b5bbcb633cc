package cms_test

import (
	"crypto"
	"errors"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
)

func TestDSAKey(t *testing.T) {
	key := cmstest.DSA(t)
	p, q, g, y := key.DSA.P, key.DSA.Q, key.DSA.G, key.DSA.Y
	one := big.NewInt(1)
	minus := func(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }
	plus := func(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
	without := cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			cmstest.AddAlgorithm(b, "1.2.840.10040.4.1", nil)
			b.AddASN1BitString([]byte{2, 1, 5})
		})
	})
	const malformed = "malformed"
	for _, tt := range []struct {
		name string
		spki []byte
		want string // name of the key, "malformed", or "" for unsupported
	}{
		{"sound", key.SPKI, "DSA-1024"},
		{"parameters absent", without, ""},
		{"p too short", cmstest.DSASPKI(t, new(big.Int).Rsh(p, 1), q, g, y), ""},
		{"p too long", cmstest.DSASPKI(t, new(big.Int).Lsh(p, 2049), q, g, y), ""},
		{"q of another size", cmstest.DSASPKI(t, p, new(big.Int).Rsh(q, 1), g, y), ""},
		{"q does not divide", cmstest.DSASPKI(t, p, minus(q, big.NewInt(2)), g, y), malformed},
		{"p even", cmstest.DSASPKI(t, plus(p, one), q, g, y), malformed},
		{"g is one", cmstest.DSASPKI(t, p, q, one, y), malformed},
		{"g is minus one", cmstest.DSASPKI(t, p, q, minus(p, one), y), malformed},
		{"y is zero", cmstest.DSASPKI(t, p, q, g, new(big.Int)), malformed},
		{"y is one", cmstest.DSASPKI(t, p, q, g, one), malformed},
		{"y is minus one", cmstest.DSASPKI(t, p, q, g, minus(p, one)), malformed},
		{"y is p", cmstest.DSASPKI(t, p, q, g, p), malformed},
		{"y beyond p", cmstest.DSASPKI(t, p, q, g, plus(p, y)), malformed},
		{"y of another order", cmstest.DSASPKI(t, p, q, g, plus(y, one)), malformed},
		{"y negative", cmstest.DSASPKI(t, p, q, g, new(big.Int).Neg(y)), malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := cms.ParsePublicKey(tt.spki)
			switch {
			case tt.want == "" && !errors.Is(err, cms.ErrUnsupported),
				tt.want == malformed && (err == nil || errors.Is(err, cms.ErrUnsupported)):
				t.Errorf("key %v, error %v", k, err)
			case tt.want != "" && tt.want != malformed && (err != nil || k.String() != tt.want):
				t.Errorf("key %v, error %v, want %s", k, err, tt.want)
			}
		})
	}
}

func TestDSASignature(t *testing.T) {
	key := cmstest.DSA(t)
	k, err := cms.ParsePublicKey(key.SPKI)
	if err != nil {
		t.Fatal(err)
	}
	other, err := cms.ParsePublicKey(cmstest.DSA(t).SPKI)
	if err != nil {
		t.Fatal(err)
	}
	if !k.Equal(k) || k.Equal(other) || k.ID() == other.ID() {
		t.Error("keys and their identifiers disagree")
	}
	sig := func(r, s *big.Int) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(r)
				b.AddASN1BigInt(s)
			})
		})
	}
	message := []byte("message")
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		alg := cms.SignatureAlgorithm{Scheme: cms.DSA, Hash: h}
		good := cmstest.DSASignature(t, h).Sign(t, key, message)
		if err := k.Verify(alg, message, good); err != nil {
			t.Errorf("%v: %v", h, err)
		}
		if err := other.Verify(alg, message, good); !errors.Is(err, cms.ErrSignature) {
			t.Errorf("%v under another key: %v", h, err)
		}
		if err := k.Verify(alg, []byte("another"), good); !errors.Is(err, cms.ErrSignature) {
			t.Errorf("%v of another message: %v", h, err)
		}
	}
	alg := cms.SignatureAlgorithm{Scheme: cms.DSA, Hash: crypto.SHA256}
	der := cryptobyte.String(cmstest.DSASignature(t, crypto.SHA256).Sign(t, key, message))
	r, s := new(big.Int), new(big.Int)
	var body cryptobyte.String
	if !der.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Integer(r) || !body.ReadASN1Integer(s) {
		t.Fatal("malformed signature")
	}
	q := key.DSA.Q
	zero, one := new(big.Int), big.NewInt(1)
	for _, tt := range []struct {
		name      string
		signature []byte
	}{
		{"r zero", sig(zero, s)},
		{"s zero", sig(r, zero)},
		{"both zero", sig(zero, zero)},
		{"one and one", sig(one, one)},
		{"r plus q", sig(new(big.Int).Add(r, q), s)},
		{"s plus q", sig(r, new(big.Int).Add(s, q))},
		{"s is q", sig(r, q)},
		{"r minus q", sig(new(big.Int).Sub(r, q), s)},
		{"s negated", sig(r, new(big.Int).Sub(q, s))},
		{"swapped", sig(s, r)},
		{"empty", nil},
		{"trailing", append(sig(r, s), 0)},
		{"plain", slices.Concat(r.FillBytes(make([]byte, 20)), s.FillBytes(make([]byte, 20)))},
	} {
		if err := k.Verify(alg, message, tt.signature); !errors.Is(err, cms.ErrSignature) {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
	for _, wrong := range []cms.SignatureAlgorithm{{Scheme: cms.ECDSA, Hash: crypto.SHA256}, {Scheme: cms.RSAPKCS1v15, Hash: crypto.SHA256}, {Scheme: cms.DSA}, {}} {
		if err := k.Verify(wrong, message, sig(r, s)); !errors.Is(err, cms.ErrUnsupported) {
			t.Errorf("%v: error %v", wrong, err)
		}
	}
}
