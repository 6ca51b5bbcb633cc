package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/internal/ec"
)

func TestParsePublicKey(t *testing.T) {
	n := cmstest.RSA(t, "a", 2048).RSA.N
	odd := func(bits uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1) }
	c := ec.ByName("brainpoolP256r1")
	g := slices.Concat([]byte{4}, c.Gx(), c.Gy())
	one := func(b []byte) []byte { // the same with its last bit turned
		b = slices.Clone(b)
		b[len(b)-1] ^= 1
		return b
	}
	double, err := c.ScalarBaseMult([]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	rsaSPKI := func(oid string, params []byte, n *big.Int, e int64) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				cmstest.AddAlgorithm(b, oid, params)
				b.AddASN1BitString(cmstest.Build(t, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1BigInt(n)
						b.AddASN1Int64(e)
					})
				}))
			})
		})
	}
	const rsaOID = "1.2.840.113549.1.1.1"
	null := []byte{5, 0}

	const malformed = "malformed"
	tests := []struct {
		name string
		spki []byte
		want string // name of the key, "malformed", or "" for unsupported
		dev  []string
	}{
		{"RSA", rsaSPKI(rsaOID, null, n, 65537), "RSA-2048", nil},
		{"RSA without parameters", rsaSPKI(rsaOID, nil, n, 65537), "RSA-2048", []string{cms.DevRSAParametersMissing}},
		{"RSA exponent 3", rsaSPKI(rsaOID, null, n, 3), "RSA-2048", []string{cms.DevRSAExponentSmall}},
		{"RSA exponent 38129", rsaSPKI(rsaOID, null, n, 38129), "RSA-2048", []string{cms.DevRSAExponentSmall}},
		{"RSA exponent 1", rsaSPKI(rsaOID, null, n, 1), malformed, nil},
		{"RSA exponent even", rsaSPKI(rsaOID, null, n, 65536), malformed, nil},
		{"RSA exponent 0", rsaSPKI(rsaOID, null, n, 0), malformed, nil},
		{"RSA exponent negative", rsaSPKI(rsaOID, null, n, -3), malformed, nil},
		{"RSA exponent of 33 bits", rsaSPKI(rsaOID, null, n, 1<<32+1), "", nil},
		{"RSA modulus even", rsaSPKI(rsaOID, null, new(big.Int).Sub(n, big.NewInt(1)), 65537), malformed, nil},
		{"RSA modulus negative", rsaSPKI(rsaOID, null, new(big.Int).Neg(n), 65537), malformed, nil},
		{"RSA 1023", rsaSPKI(rsaOID, null, odd(1023), 65537), "", nil},
		{"RSA 1024", rsaSPKI(rsaOID, null, odd(1024), 65537), "RSA-1024", nil},
		{"RSA 8192", rsaSPKI(rsaOID, null, odd(8192), 65537), "RSA-8192", nil},
		{"RSA 8193", rsaSPKI(rsaOID, null, odd(8193), 65537), "", nil},
		{"RSA with other parameters", rsaSPKI(rsaOID, []byte{2, 1, 0}, n, 65537), malformed, nil},
		{"RSA key of PSS", rsaSPKI("1.2.840.113549.1.1.10", nil, n, 65537), "RSA-2048", nil},
		{"DSA", rsaSPKI("1.2.840.10040.4.1", nil, n, 65537), "", nil},

		{"explicit", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), c.B(), g, c.N()), g), "brainpoolP256r1", nil},
		{"explicit, other generator", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), c.B(), double.Bytes(), c.N()), g), "", nil},
		{"explicit, public key as generator", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), c.B(), double.Bytes(), c.N()), double.Bytes()), "", nil},
		{"explicit, other p", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, one(c.P()), c.A(), c.B(), g, c.N()), g), "", nil},
		{"explicit, other a", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), one(c.A()), c.B(), g, c.N()), g), "", nil},
		{"explicit, other b", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), one(c.B()), g, c.N()), g), "", nil},
		{"explicit, other order", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), c.B(), g, one(c.N())), g), "", nil},
		{"named", cmstest.EC(t, "P-256", false).SPKI, "P-256", []string{cms.DevCurveNamed}},
		{"curve unknown", cmstest.ECSPKI(t, []byte{6, 3, 0x2a, 3, 4}, g), "", nil},
		{"curve inherited", cmstest.ECSPKI(t, null, g), "", nil},
		{"curve absent", cmstest.ECSPKI(t, nil, g), "", nil},
		{"point off the curve", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), c.B(), g, c.N()), one(g)), malformed, nil},
		{"point at infinity", cmstest.ECSPKI(t, cmstest.ExplicitCurve(t, c.P(), c.A(), c.B(), g, c.N()), []byte{0}), malformed, nil},
		{"empty", nil, malformed, nil},
		{"trailing octet", append(rsaSPKI(rsaOID, null, n, 65537), 0), malformed, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := cms.ParsePublicKey(tt.spki)
			if (k == nil) != (err != nil) {
				t.Fatalf("key %v with error %v", k, err)
			}
			switch tt.want {
			case malformed:
				if err == nil || errors.Is(err, cms.ErrUnsupported) {
					t.Errorf("key %v, error %v, want a malformed key", k, err)
				}
			case "":
				if !errors.Is(err, cms.ErrUnsupported) {
					t.Errorf("key %v, error %v, want %v", k, err, cms.ErrUnsupported)
				}
			default:
				if err != nil || k.String() != tt.want || !slices.Equal(k.Deviations, tt.dev) {
					t.Errorf("key %v %v, error %v, want %s %v", k, k.Deviations, err, tt.want, tt.dev)
				}
			}
		})
	}
}

// TestPSSAgainstStandardLibrary compares our PSS, which takes a second hash, with
// crypto/rsa where both can: all hashes, salts short and long, and moduli whose
// size is not a multiple of eight bits.
func TestPSSAgainstStandardLibrary(t *testing.T) {
	message := []byte("message")
	for _, bits := range []int{1025, 1026, 1031, 1032, 2048} {
		key := cmstest.RSA(t, "pss", bits)
		public, err := cms.ParsePublicKey(key.SPKI)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			for _, salt := range []int{1, 8, h.Size()} { // crypto/rsa takes 0 for "any"
				if 8*(h.Size()+salt+2) > bits-1 {
					continue
				}
				d := h.New()
				d.Write(message)
				digest := d.Sum(nil)
				signature, err := rsa.SignPSS(rand.Reader, key.RSA, h, digest, &rsa.PSSOptions{SaltLength: salt, Hash: h})
				if err != nil {
					t.Fatal(err)
				}
				alg := cms.SignatureAlgorithm{Scheme: cms.RSAPSS, Hash: h, MGFHash: h, SaltLength: salt}
				for i := -1; i < len(signature); i += 31 {
					s := slices.Clone(signature)
					if i >= 0 {
						s[i] ^= 0x10
					}
					want := rsa.VerifyPSS(&key.RSA.PublicKey, h, digest, s, &rsa.PSSOptions{SaltLength: salt, Hash: h}) == nil
					if got := public.Verify(alg, message, s) == nil; got != want {
						t.Errorf("%d bits, %v, salt %d, octet %d changed: %v, want %v", bits, h, salt, i, got, want)
					}
				}
				for _, wrong := range []cms.SignatureAlgorithm{
					{Scheme: cms.RSAPSS, Hash: h, MGFHash: h, SaltLength: salt + 1},
					{Scheme: cms.RSAPSS, Hash: h, MGFHash: otherHash(h), SaltLength: salt},
					{Scheme: cms.RSAPSS, Hash: otherHash(h), MGFHash: h, SaltLength: salt},
					{Scheme: cms.RSAPSS, Hash: h, MGFHash: h, SaltLength: -1},
					{Scheme: cms.RSAPSS, Hash: h, MGFHash: h, SaltLength: 100000},
					{Scheme: cms.RSAPSS, Hash: h, SaltLength: salt},
					{Scheme: cms.RSAPKCS1v15, Hash: h},
				} {
					if public.Verify(wrong, message, signature) == nil {
						t.Errorf("%d bits, %v, salt %d: verifies as %v", bits, h, salt, wrong)
					}
				}
			}
		}
	}
}

func otherHash(h crypto.Hash) crypto.Hash {
	if h == crypto.SHA256 {
		return crypto.SHA1
	}
	return crypto.SHA256
}

// TestPSSKeyRestriction: an id-RSASSA-PSS key is for its own parameters only.
func TestPSSKeyRestriction(t *testing.T) {
	key := cmstest.RSA(t, "a", 2048)
	spki := func(params []byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				cmstest.AddAlgorithm(b, "1.2.840.113549.1.1.10", params)
				b.AddASN1BitString(cmstest.Build(t, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1BigInt(key.RSA.N)
						b.AddASN1Int64(int64(key.RSA.E))
					})
				}))
			})
		})
	}
	restricted, err := cms.ParsePublicKey(spki(cmstest.PSSParameters(t, crypto.SHA256, crypto.SHA256, 32, 1)))
	if err != nil {
		t.Fatal(err)
	}
	free, err := cms.ParsePublicKey(spki(nil))
	if err != nil {
		t.Fatal(err)
	}
	pss := func(h crypto.Hash, salt int) cms.SignatureAlgorithm {
		return cms.SignatureAlgorithm{Scheme: cms.RSAPSS, Hash: h, MGFHash: h, SaltLength: salt}
	}
	message := []byte("message")
	tests := []struct {
		name string
		key  *cms.PublicKey
		sign cmstest.Algorithm
		alg  cms.SignatureAlgorithm
		want error
	}{
		{"same", restricted, cmstest.PSS(t, crypto.SHA256, 32), pss(crypto.SHA256, 32), nil},
		{"longer salt", restricted, cmstest.PSS(t, crypto.SHA256, 40), pss(crypto.SHA256, 40), nil},
		{"shorter salt", restricted, cmstest.PSS(t, crypto.SHA256, 20), pss(crypto.SHA256, 20), cms.ErrUnsupported},
		{"other hash", restricted, cmstest.PSS(t, crypto.SHA512, 32), pss(crypto.SHA512, 32), cms.ErrUnsupported},
		{"PKCS1", restricted, cmstest.PKCS1(t, crypto.SHA256), cms.SignatureAlgorithm{Scheme: cms.RSAPKCS1v15, Hash: crypto.SHA256}, cms.ErrUnsupported},
		{"unrestricted", free, cmstest.PSS(t, crypto.SHA512, 20), pss(crypto.SHA512, 20), nil},
		{"unrestricted, PKCS1", free, cmstest.PKCS1(t, crypto.SHA256), cms.SignatureAlgorithm{Scheme: cms.RSAPKCS1v15, Hash: crypto.SHA256}, cms.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.key.Verify(tt.alg, message, tt.sign.Sign(t, key, message)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestECDSAForms(t *testing.T) {
	message := []byte("message")
	for _, curve := range []string{"P-256", "P-521", "brainpoolP224r1", "brainpoolP384r1", "brainpoolP512r1"} {
		key := cmstest.EC(t, curve, true)
		public, err := cms.ParsePublicKey(key.SPKI)
		if err != nil {
			t.Fatal(err)
		}
		alg := cms.SignatureAlgorithm{Scheme: cms.ECDSA, Hash: crypto.SHA256}
		size := key.EC.Curve().OrderSize()
		zero := make([]byte, 2*size)
		plain := cmstest.ECDSAPlain(t, crypto.SHA256).Sign(t, key, message)
		der := cmstest.ECDSA(t, crypto.SHA256).Sign(t, key, message)
		tests := []struct {
			name      string
			signature []byte
			want      error
		}{
			{"DER", der, nil},
			{"plain", plain, nil},
			{"plain zero", zero, cms.ErrSignature},
			{"DER zero", []byte{0x30, 6, 2, 1, 0, 2, 1, 0}, cms.ErrSignature},
			{"DER negative", []byte{0x30, 6, 2, 1, 0xff, 2, 1, 0xff}, cms.ErrSignature},
			{"DER trailing", append(slices.Clone(der), 0), cms.ErrSignature},
			{"plain odd", plain[1:], cms.ErrSignature},
			{"plain long", append([]byte{0, 0}, plain...), cms.ErrSignature},
			{"empty", nil, cms.ErrSignature},
		}
		for _, tt := range tests {
			t.Run(curve+" "+tt.name, func(t *testing.T) {
				if err := public.Verify(alg, message, tt.signature); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
			})
		}
		if err := public.Verify(cms.SignatureAlgorithm{Scheme: cms.RSAPKCS1v15, Hash: crypto.SHA256}, message, der); !errors.Is(err, cms.ErrUnsupported) {
			t.Errorf("%s as RSA: error %v", curve, err)
		}
	}
	if err := new(cms.PublicKey).Verify(cms.SignatureAlgorithm{Scheme: cms.ECDSA, Hash: crypto.SHA256}, message, nil); !errors.Is(err, cms.ErrUnsupported) {
		t.Errorf("zero key: error %v", err)
	}
	key, err := cms.ParsePublicKey(cmstest.EC(t, "P-256", false).SPKI)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(cms.SignatureAlgorithm{}, message, nil); !errors.Is(err, cms.ErrUnsupported) {
		t.Errorf("zero algorithm: error %v", err)
	}
}

// TestPSSParameters: identifiers that are not what RFC 4055 defines name no
// algorithm, and so verify nothing.
func TestPSSParameters(t *testing.T) {
	c, key := template(t)
	digest := cmstest.Digest(t, crypto.SHA256)
	field := func(n uint8, content []byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.Tag(n).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(content) })
		})
	}
	seq := func(fields ...[]byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(fields...)) })
		})
	}
	mgf := func(oid string, params []byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, oid, params) })
	}
	const mgf1 = "1.2.840.113549.1.1.8"
	tests := []struct {
		name   string
		params []byte
		want   string
	}{
		{"defaults", seq(), "RSASSA-PSS SHA-1 salt 20"},
		{"hash alone", seq(field(0, digest)), "RSASSA-PSS SHA-256 MGF1 SHA-1 salt 20"},
		{"salt alone", seq(field(2, []byte{2, 1, 32})), "RSASSA-PSS SHA-1 salt 32"},
		{"trailer of RFC 4055", seq(field(3, []byte{2, 1, 1})), "RSASSA-PSS SHA-1 salt 20"},
		{"other trailer", seq(field(3, []byte{2, 1, 2})), ""},
		{"MD5", seq(field(0, cmstest.Digest(t, crypto.MD5))), ""},
		{"mask of MD5", seq(field(1, mgf(mgf1, cmstest.Digest(t, crypto.MD5)))), ""},
		{"other mask function", seq(field(1, mgf("1.2.3", digest))), ""},
		{"mask function without a hash", seq(field(1, mgf(mgf1, nil))), ""},
		{"salt negative", seq(field(2, []byte{2, 1, 0xff})), ""},
		{"salt huge", seq(field(2, []byte{2, 4, 0x7f, 0, 0, 0})), ""},
		{"two hashes", seq(field(0, slices.Concat(digest, digest))), ""},
		{"fields exchanged", seq(field(2, []byte{2, 1, 32}), field(0, digest)), ""},
		{"not a sequence", []byte{5, 0}, ""},
		{"trailing field", seq(field(4, []byte{2, 1, 1})), ""},
	}
	const oid = "1.2.840.113549.1.1.10"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := c
			c.Algorithm.ID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, oid, tt.params) })
			got, err := cms.ParseCertificate(c.Sign(t, key))
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = oid
				if got.SignatureAlgorithm.Scheme != cms.SchemeUnknown {
					t.Errorf("scheme %v", got.SignatureAlgorithm.Scheme)
				}
			}
			if s := got.SignatureAlgorithm.String(); s != want {
				t.Errorf("algorithm %q, want %q", s, want)
			}
		})
	}
}

// TestPSSPadding signs encoded messages that differ from a proper one in a single
// place. The hash inside does not cover the padding, so each of its rules has to
// be checked (RFC 8017, 9.1.2).
func TestPSSPadding(t *testing.T) {
	const hLen, saltLen = sha256.Size, 8
	alg := cms.SignatureAlgorithm{Scheme: cms.RSAPSS, Hash: crypto.SHA256, MGFHash: crypto.SHA256, SaltLength: saltLen}
	message := []byte("message")
	mHash := sha256.Sum256(message)
	// Moduli of these sizes leave one octet, one bit and seven bits unused.
	for _, bits := range []int{1025, 1026, 1032} {
		key := cmstest.RSA(t, "pss", bits)
		public, err := cms.ParsePublicKey(key.SPKI)
		if err != nil {
			t.Fatal(err)
		}
		emLen := (bits - 1 + 7) / 8
		// encode builds EM; spoilDB changes the data block before it is masked,
		// spoilEM the whole afterwards.
		salt := bytes.Repeat([]byte{0x5a}, saltLen)
		encode := func(spoilDB, spoilEM func([]byte)) *big.Int {
			h := sha256.Sum256(slices.Concat(make([]byte, 8), mHash[:], salt))
			db := slices.Concat(make([]byte, emLen-hLen-saltLen-2), []byte{1}, salt)
			spoilDB(db)
			for i := range db {
				counter := sha256.Sum256(slices.Concat(h[:], []byte{0, 0, 0, byte(i / hLen)}))
				db[i] ^= counter[i%hLen]
			}
			db[0] &= 0xff >> (8*emLen - (bits - 1))
			em := slices.Concat(db, h[:], []byte{0xbc})
			spoilEM(em)
			return new(big.Int).SetBytes(em)
		}
		sign := func(em *big.Int) []byte {
			if em.Cmp(key.RSA.N) >= 0 {
				t.Fatal("encoded message is not below the modulus")
			}
			return new(big.Int).Exp(em, key.RSA.D, key.RSA.N).FillBytes(make([]byte, key.RSA.Size()))
		}
		keep := func([]byte) {}
		sound := sign(encode(keep, keep))
		type test struct {
			name      string
			signature []byte
			want      error
		}
		tests := []test{
			{"sound", sound, nil},
			{"padding not zero", sign(encode(func(db []byte) { db[1] = 1 }, keep)), cms.ErrSignature},
			{"last octet of the padding", sign(encode(func(db []byte) { db[len(db)-saltLen-2] = 1 }, keep)), cms.ErrSignature},
			{"separator", sign(encode(func(db []byte) { db[len(db)-saltLen-1] = 2 }, keep)), cms.ErrSignature},
			{"salt", sign(encode(func(db []byte) { db[len(db)-1] ^= 1 }, keep)), cms.ErrSignature},
			{"trailer", sign(encode(keep, func(em []byte) { em[len(em)-1] = 0xcc })), cms.ErrSignature},
			{"hash", sign(encode(keep, func(em []byte) { em[len(em)-2] ^= 1 })), cms.ErrSignature},
		}
		if sum := new(big.Int).Add(new(big.Int).SetBytes(sound), key.RSA.N); sum.BitLen() <= 8*key.RSA.Size() {
			tests = append(tests, test{"the modulus added", sum.FillBytes(make([]byte, key.RSA.Size())), cms.ErrSignature})
		}
		if unused := 8*emLen - (bits - 1); unused > 0 {
			// The lowest of the unused bits is the highest of the modulus: some salts
			// give a number below it.
			for try := range byte(255) {
				salt[0] = try
				em := encode(keep, func(em []byte) { em[0] |= 0x80 >> (unused - 1) })
				if em.Cmp(key.RSA.N) < 0 {
					tests = append(tests, test{"unused bit set", sign(em), cms.ErrSignature})
					break
				}
			}
			if tests[len(tests)-1].name != "unused bit set" {
				t.Error("no salt found to set an unused bit with")
			}
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%d bits, %s", bits, tt.name), func(t *testing.T) {
				if err := public.Verify(alg, message, tt.signature); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
			})
		}
	}
}
