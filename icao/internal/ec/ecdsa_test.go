package ec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"hash"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

func newKey(t testing.TB, c *Curve) *PrivateKey {
	t.Helper()
	k, err := c.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignAndVerify(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			k, other := newKey(t, c), newKey(t, c)
			for _, size := range []int{0, 1, 20, 28, 32, 48, 64, 65, 66, 67, 100} {
				digest := bytes.Repeat([]byte{0xa5}, size)
				r, s, err := k.Sign(nil, digest)
				if err != nil {
					t.Fatal(err)
				}
				if len(r) != c.OrderSize() || len(s) != c.OrderSize() {
					t.Errorf("widths of %d and %d bytes, want %d", len(r), len(s), c.OrderSize())
				}
				if !Verify(k.Public(), digest, r, s) {
					t.Errorf("digest of %d bytes: own signature refused", size)
				}
				pad := make([]byte, 5)
				if !Verify(k.Public(), digest, trim(r), append(pad, s...)) {
					t.Errorf("digest of %d bytes: other padding refused", size)
				}
				if Verify(other.Public(), digest, r, s) {
					t.Errorf("digest of %d bytes: another key accepted", size)
				}
				if Verify(k.Public(), digest, s, r) {
					t.Errorf("digest of %d bytes: r and s exchanged", size)
				}
				if size > 0 {
					d := slices.Clone(digest)
					d[0] ^= 1
					if Verify(k.Public(), d, r, s) {
						t.Errorf("another digest of %d bytes accepted", size)
					}
				}
				for i, b := range [][]byte{r, s} {
					b = slices.Clone(b)
					b[len(b)-1] ^= 1
					if i == 0 && Verify(k.Public(), digest, b, s) || i == 1 && Verify(k.Public(), digest, r, b) {
						t.Errorf("digest of %d bytes: changed signature accepted", size)
					}
				}
			}
		})
	}
}

func TestDigestIsTruncatedToTheOrder(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			k := newKey(t, c)
			digest := bytes.Repeat([]byte{0x5a}, c.OrderSize()+10)
			r, s, err := k.Sign(nil, digest)
			if err != nil {
				t.Fatal(err)
			}
			bits := c.BitSize() // that of the order too
			flip := func(bit int) []byte {
				d := slices.Clone(digest)
				d[bit/8] ^= 0x80 >> (bit % 8)
				return d
			}
			if !Verify(k.Public(), flip(bits), r, s) {
				t.Error("the first bit beyond the order's length counts")
			}
			if Verify(k.Public(), flip(bits-1), r, s) {
				t.Error("the last bit of the order's length does not count")
			}
		})
	}
}

func TestVerifyRefusesOutOfRange(t *testing.T) {
	digest := sha256.Sum256([]byte("message"))
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			k := newKey(t, c)
			r, s, err := k.Sign(nil, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			n := new(big.Int).SetBytes(c.n)
			plusN := func(b []byte) []byte { return new(big.Int).Add(new(big.Int).SetBytes(b), n).Bytes() }
			zero := make([]byte, c.OrderSize())
			for _, tt := range []struct {
				name string
				r, s []byte
			}{
				{"r is nil", nil, s},
				{"s is nil", r, nil},
				{"r is 0", zero, s},
				{"s is 0", r, zero},
				{"both are 0", zero, zero},
				{"r is n", c.n, s},
				{"s is n", r, c.n},
				{"r + n", plusN(r), s},
				{"s + n", r, plusN(s)},
				{"r too long", append([]byte{1}, r...), s},
				{"s too long", r, append([]byte{1}, s...)},
				{"r all ones", bytes.Repeat([]byte{0xff}, c.OrderSize()), s},
			} {
				if Verify(k.Public(), digest[:], tt.r, tt.s) {
					t.Errorf("%s: accepted", tt.name)
				}
			}
			if Verify(nil, digest[:], r, s) || Verify(new(Point), digest[:], r, s) {
				t.Error("no public key: accepted")
			}
		})
	}
}

// TestVerifySpecialPoints makes the verification's sum meet its exceptions.
func TestVerifySpecialPoints(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			n := c.fn
			store := func(x int64) []byte {
				e := element(n, big.NewInt(x))
				return n.store(&e)
			}
			for _, d := range []int64{1, -1, 2, -2} {
				k, err := c.NewPrivateKey(store(d))
				if err != nil {
					t.Fatal(err)
				}
				for _, digest := range [][]byte{nil, {1}, make([]byte, 64), c.n, append([]byte{0}, c.n...)} {
					r, s, err := k.Sign(nil, digest)
					if err != nil || !Verify(k.Public(), digest, r, s) {
						t.Errorf("key %d, digest of %d bytes: %v", d, len(digest), err)
					}
				}
				// e = -r·d makes u1·G + u2·Q infinite, whatever r and s are.
				r, s := store(12345), store(678)
				e := store(-12345 * d)
				if shift := 8*c.OrderSize() - c.BitSize(); shift > 0 { // digests are shifted down
					e = new(big.Int).Lsh(new(big.Int).SetBytes(e), uint(shift)).FillBytes(make([]byte, c.OrderSize()))
				}
				if Verify(k.Public(), e, r, s) {
					t.Errorf("key %d: infinite sum accepted", d)
				}
			}
		})
	}
}

// TestVerifyWhenXIsNotBelowTheOrder makes signatures whose point has an x
// between n and p, so that r is x - n: a chance of about 1 in 2^(bits/2).
func TestVerifyWhenXIsNotBelowTheOrder(t *testing.T) {
	digest := sha256.Sum256([]byte("message"))
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			ref, _ := newReference(c)
			n := ref.n
			x := new(big.Int).Add(n, big.NewInt(1))
			y := ref.solve(x)
			for ; y == nil; y = ref.solve(x) {
				x.Add(x, big.NewInt(1))
			}
			if x.Cmp(ref.p) >= 0 {
				t.Fatal("no such x")
			}
			point, err := c.ParsePoint(ref.encode(refPoint{x, y}))
			if err != nil {
				t.Fatal(err)
			}
			// For any s, Q = (s·R - e·G)/r is the key that verifies (r, s).
			r := new(big.Int).Sub(x, n)
			s := big.NewInt(987654321)
			var em fe
			c.digestScalar(&em, digest[:])
			minusE := new(big.Int).Sub(n, new(big.Int).SetBytes(c.fn.bytes(&em)))
			sR, err1 := c.ScalarMult(point, s.Bytes())
			eG, err2 := c.ScalarBaseMult(minusE.Bytes())
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			q, err1 := c.Add(sR, eG)
			if err1 != nil {
				t.Fatal(err1)
			}
			q, err = c.ScalarMult(q, new(big.Int).ModInverse(r, n).Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if !Verify(q, digest[:], r.Bytes(), s.Bytes()) {
				t.Error("r = x - n refused")
			}
			if Verify(q, digest[:], x.Bytes(), s.Bytes()) {
				t.Error("r = x accepted, though it is not below n")
			}
			if r.Add(r, big.NewInt(1)); Verify(q, digest[:], r.Bytes(), s.Bytes()) {
				t.Error("another r accepted")
			}
		})
	}
}

// TestNonceVector is RFC 6979, A.2.3 (P-192, SHA-256, "sample").
func TestNonceVector(t *testing.T) {
	c := ByName("P-192")
	k, err := c.NewPrivateKey(vectortest.Hex(t, "6fab034934e4c0fc9ae67f5b5659a9d7d1fefd187ee09fd4"))
	if err != nil {
		t.Fatal(err)
	}
	public := "04" + "ac2c77f529f91689fea0ea5efec7f210d8eea0b9e047ed56" + "3bc723e57670bd4887ebc732c523063d0a7c957bc97c1c43"
	if got := k.Public().Bytes(); !bytes.Equal(got, vectortest.Hex(t, public)) {
		t.Errorf("public key: got %x, want %s", got, public)
	}
	digest := sha256.Sum256([]byte("sample"))
	r, s, err := k.sign(sha256.New, nil, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if want := vectortest.Hex(t, "4b0b8ce98a92866a2820e20aa6b75b56382e0f9bfd5ecb55"); !bytes.Equal(r, want) {
		t.Errorf("r: got %x, want %x", r, want)
	}
	if want := vectortest.Hex(t, "ccdb006926ea9565cbadc840829d8c384e06de1f1e381b85"); !bytes.Equal(s, want) {
		t.Errorf("s: got %x, want %x", s, want)
	}
}

var standardCurves = map[string]elliptic.Curve{
	"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
}

// TestAgainstStandardECDSA compares deterministic signatures, which are equal to
// the byte, and verifies each other's hedged ones.
func TestAgainstStandardECDSA(t *testing.T) {
	for name, curve := range standardCurves {
		t.Run(name, func(t *testing.T) {
			c := ByName(name)
			for i := range 10 {
				k := newKey(t, c)
				std, err := ecdsa.ParseRawPrivateKey(curve, k.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range []struct {
					id  crypto.Hash
					new func() hash.Hash
				}{{crypto.SHA256, sha256.New}, {crypto.SHA384, sha512.New384}, {crypto.SHA512, sha512.New}} {
					w := h.new()
					w.Write([]byte{byte(i)})
					digest := w.Sum(nil)
					der, err := std.Sign(nil, digest, h.id)
					if err != nil {
						t.Fatal(err)
					}
					r, s, err := k.sign(h.new, nil, digest)
					if err != nil {
						t.Fatal(err)
					}
					if got := encodeSignature(t, r, s); !bytes.Equal(got, der) {
						t.Errorf("%v: got %x, want %x", h.id, got, der)
					}

					if r, s, err = k.Sign(nil, digest); err != nil {
						t.Fatal(err)
					}
					if !ecdsa.VerifyASN1(&std.PublicKey, digest, encodeSignature(t, r, s)) {
						t.Errorf("%v: the standard library refuses our signature", h.id)
					}
				}
				for _, size := range []int{0, 1, c.OrderSize() - 1, c.OrderSize(), c.OrderSize() + 1, 100} {
					digest := bytes.Repeat([]byte{0xc3}, size)
					r, s, err := k.Sign(nil, digest)
					if err != nil {
						t.Fatal(err)
					}
					if !ecdsa.VerifyASN1(&std.PublicKey, digest, encodeSignature(t, r, s)) {
						t.Errorf("digest of %d bytes: the standard library refuses our signature", size)
					}
				}
			}
		})
	}
}

func encodeSignature(t testing.TB, r, s []byte) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestBrainpoolOracleVerifies(t *testing.T) {
	digest := sha512.Sum512([]byte("message"))
	for name, curve := range oracles {
		if !strings.HasPrefix(name, "brainpool") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := ByName(name)
			k := newKey(t, c)
			r, s, err := k.Sign(nil, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			//lint:ignore SA1019 the brainpool oracle has no other way to be given a key
			pub := &ecdsa.PublicKey{Curve: curve, X: new(big.Int).SetBytes(k.Public().X()), Y: new(big.Int).SetBytes(k.Public().Y())}
			if !ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)) {
				t.Error("the oracle refuses our signature")
			}
		})
	}
}

// TestActiveAuthenticationVectors takes the ECDSA examples of active
// authentication, whose chips sign the terminal's challenge.
func TestActiveAuthenticationVectors(t *testing.T) {
	var vs []struct {
		ID         string `json:"id"`
		Algorithm  string `json:"algorithm"`
		PrivateKey string `json:"private_key"`
		DG15       string `json:"dg15"`
		RndIFD     string `json:"rnd_ifd"`
		Signature  string `json:"signature"`
		Expected   string `json:"expected"`
	}
	vectortest.JSON(t, vectortest.Path(t, "aa-examples.json"), &vs)
	names := map[string]string{"secp224r1": "P-224", "secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
	hashes := map[string]crypto.Hash{"SHA224": crypto.SHA224, "SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512}
	run := make(map[string]bool)
	for _, v := range vs {
		words := strings.FieldsFunc(v.Algorithm, func(r rune) bool { return r == ' ' || r == ',' })
		if len(words) < 3 || words[0] != "ECDSA" {
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			name := words[1]
			if n, ok := names[name]; ok {
				name = n
			}
			c, h := ByName(name), hashes[words[2]]
			if c == nil || !h.Available() {
				t.Fatalf("no curve or hash for %q", v.Algorithm)
			}
			run[name] = true
			dg15 := vectortest.Hex(t, v.DG15)
			pub, err := c.ParsePoint(dg15[len(dg15)-1-2*c.Size():])
			if err != nil {
				t.Fatal(err)
			}
			if v.PrivateKey != "" {
				k, err := c.NewPrivateKey(vectortest.Hex(t, v.PrivateKey))
				if err != nil || !k.Public().Equal(pub) {
					t.Errorf("the private key does not belong to the public key: %v", err)
				}
			}
			w := h.New()
			w.Write(vectortest.Hex(t, v.RndIFD))
			sig := vectortest.Hex(t, v.Signature)
			got := len(sig)%2 == 0 && Verify(pub, w.Sum(nil), sig[:len(sig)/2], sig[len(sig)/2:])
			if want := v.Expected == "valid"; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if len(run) != 7 {
		t.Errorf("curves with examples: got %v, want 7", run)
	}
}

func TestSignIsHedged(t *testing.T) {
	c := ByName("brainpoolP256r1")
	k := newKey(t, c)
	digest := sha256.Sum256([]byte("message"))
	zeros := func() io.Reader { return bytes.NewReader(make([]byte, 32)) }
	sign := func(random io.Reader, digest []byte) string {
		t.Helper()
		r, _, err := k.Sign(random, digest)
		if err != nil {
			t.Fatal(err)
		}
		return string(r)
	}
	if first, second := sign(nil, digest[:]), sign(nil, digest[:]); first == second {
		t.Error("two signatures have the same nonce")
	}
	// With a source that repeats itself, only the same signature repeats.
	other := sha256.Sum256([]byte("another message"))
	if sign(zeros(), digest[:]) == sign(zeros(), other[:]) {
		t.Error("two messages have the same nonce under a broken source")
	}
	if first, second := sign(zeros(), digest[:]), sign(zeros(), digest[:]); first != second {
		t.Error("the nonce is not a function of key, digest and randomness")
	}
	broken := errors.New("broken")
	if r, s, err := k.Sign(iotest.ErrReader(broken), digest[:]); !errors.Is(err, broken) || r != nil || s != nil {
		t.Errorf("broken source: got %x, %x, %v", r, s, err)
	}
	if r, s, err := k.Sign(bytes.NewReader(make([]byte, 31)), digest[:]); err == nil || r != nil || s != nil {
		t.Errorf("short source: got %x, %x, %v", r, s, err)
	}
}

// FuzzVerify compares with the standard library on P-256.
func FuzzVerify(f *testing.F) {
	c := ByName("P-256")
	k, err := c.NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public().Bytes())
	if err != nil {
		f.Fatal(err)
	}
	for _, digest := range [][]byte{nil, {1}, bytes.Repeat([]byte{0xff}, 32), make([]byte, 64)} {
		r, s, err := k.sign(sha256.New, nil, digest)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(digest, r, s)
	}
	f.Fuzz(func(t *testing.T, digest, r, s []byte) {
		got := Verify(k.Public(), digest, r, s)
		if want := ecdsa.VerifyASN1(pub, digest, encodeSignature(t, r, s)); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
