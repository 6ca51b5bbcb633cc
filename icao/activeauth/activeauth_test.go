package activeauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// An example is one object of aa-examples.json.
type example struct {
	ID, Algorithm, DG15, Command, Signature, Response, Expected, Fault string

	RndIFD       string `json:"rnd_ifd"`
	SignatureDER string `json:"signature_der"`
	Info         string `json:"dg14_active_authentication_info"`

	Representative, M1, Digest string

	SM *struct {
		Cipher            string
		KSEnc             string `json:"ks_enc"`
		KSMac             string `json:"ks_mac"`
		SSC               string
		ProtectedCommand  string `json:"protected_command"`
		ProtectedResponse string `json:"protected_response"`
	} `json:"secure_messaging"`
}

func examples(t testing.TB) []example {
	t.Helper()
	var all []example
	vectortest.JSON(t, vectortest.Path(t, "aa-examples.json"), &all)
	if len(all) == 0 {
		t.Fatal("no examples")
	}
	return all
}

func (e example) challenge(t testing.TB) [8]byte {
	t.Helper()
	var c [8]byte
	if copy(c[:], vectortest.Hex(t, e.RndIFD)) != 8 {
		t.Fatalf("challenge %s", e.RndIFD)
	}
	return c
}

func (e example) key(t testing.TB) []byte {
	t.Helper()
	spki, err := lds.ParseDG15(vectortest.Hex(t, e.DG15))
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// oid returns the signature algorithm of the example's ActiveAuthenticationInfo:
// the second object identifier, in dotted form.
func (e example) oid(t testing.TB) string {
	t.Helper()
	s := tlv.String(vectortest.Hex(t, e.Info))
	var seq, der tlv.String
	if !s.ReadTag(&seq, 0x30) || !seq.ReadTag(nil, 0x06) || !seq.ReadTag(nil, 0x02) || !seq.ReadTag(&der, 0x06) {
		t.Fatal("malformed ActiveAuthenticationInfo")
	}
	arcs := []string{strconv.Itoa(int(der[0]) / 40), strconv.Itoa(int(der[0]) % 40)}
	n := 0
	for _, b := range der[1:] {
		n = n<<7 | int(b&0x7F)
		if b < 0x80 {
			arcs = append(arcs, strconv.Itoa(n))
			n = 0
		}
	}
	return strings.Join(arcs, ".")
}

// name of the algorithm as the package gives it, from the example's words
// ("RSA 1024, ISO/IEC 9796-2 scheme 1, SHA1, trailer BC"; "ECDSA secp256r1, SHA256, ...").
func (e example) name(t testing.TB) string {
	t.Helper()
	var hash string
	for _, h := range []string{"1", "224", "256", "384", "512"} {
		if strings.Contains(e.Algorithm, "SHA"+h) {
			hash = "SHA-" + h
		}
	}
	if bits, ok := strings.CutPrefix(e.Algorithm, "RSA "); ok {
		bits, _, _ = strings.Cut(bits, ",")
		return "RSA-" + bits + " ISO/IEC 9796-2 " + hash
	}
	curve, _, _ := strings.Cut(strings.TrimPrefix(e.Algorithm, "ECDSA "), ",")
	if bits, ok := strings.CutPrefix(curve, "secp"); ok {
		curve = "P-" + strings.TrimSuffix(bits, "r1")
	}
	return "ECDSA " + hash + " " + curve
}

// Every example with a key, through both entry points, with and without the
// algorithm of DG14, and in both encodings.
func TestExamples(t *testing.T) {
	t.Parallel()
	n := 0
	for _, e := range examples(t) {
		if e.DG15 == "" {
			continue // TestRepresentatives
		}
		n++
		t.Run(e.ID, func(t *testing.T) {
			t.Parallel()
			key, challenge := e.key(t), e.challenge(t)
			check := func(how, alg string, err error) {
				t.Helper()
				switch e.Expected {
				case "valid":
					if want := e.name(t); err != nil || alg != want {
						t.Errorf("%s: %q, %v; want %q", how, alg, err, want)
					}
				case "invalid":
					if !errors.Is(err, activeauth.ErrSignature) || alg != "" {
						t.Errorf("%s: %q, %v; want %v (%s)", how, alg, err, activeauth.ErrSignature, e.Fault)
					}
				default:
					t.Fatalf("example expects %q", e.Expected)
				}
			}
			options := map[string]*activeauth.Options{"": nil}
			if e.Info != "" {
				options[", algorithm of DG14"] = &activeauth.Options{SignatureAlgorithm: e.oid(t)}
			}
			signatures := map[string][]byte{"plain": vectortest.Hex(t, e.Signature)}
			if e.SignatureDER != "" {
				signatures["DER"] = vectortest.Hex(t, e.SignatureDER)
			}
			for optName, opt := range options {
				for sigName, sig := range signatures {
					alg, err := activeauth.VerifySignature(key, challenge, sig, opt)
					check("verify "+sigName+optName, alg, err)

					d := &chip{answer: func(int) apdu.Response { return apdu.Response{Data: sig, SW: apdu.OK} }}
					res, err := activeauth.Authenticate(t.Context(), d, key, challenge, opt)
					check("authenticate "+sigName+optName, res.Algorithm, err)
					if !bytes.Equal(res.Signature, sig) {
						t.Errorf("evidence of %d bytes, want %d", len(res.Signature), len(sig))
					}
				}
			}
			if e.Command != "" && e.Expected == "valid" && len(e.Signature) <= 2*256 {
				s := apdutest.NewScript(t, e.Command+" -> "+e.Signature+"9000")
				res, err := activeauth.Authenticate(t.Context(), apdu.NewSession(s), key, challenge, nil)
				check("on the wire", res.Algorithm, err)
			}
			if e.SM != nil {
				s := apdutest.NewScript(t, e.SM.ProtectedCommand+" -> "+e.SM.ProtectedResponse)
				ch, err := sm.New(apdu.NewSession(s), sm.TripleDES, vectortest.Hex(t, e.SM.KSEnc), vectortest.Hex(t, e.SM.KSMac), vectortest.Hex(t, e.SM.SSC))
				if err != nil {
					t.Fatal(err)
				}
				res, err := activeauth.Authenticate(t.Context(), ch, key, challenge, nil)
				check("protected", res.Algorithm, err)
			}
		})
	}
	if n == 0 {
		t.Fatal("no example with a key")
	}
}

// The keys of the sample files are understood, and sign nothing that is not theirs.
func TestSampleKeys(t *testing.T) {
	t.Parallel()
	var all []struct{ ID, File, Hex string }
	vectortest.JSON(t, "../lds/testdata/dg-samples.json", &all)
	n := 0
	for _, s := range all {
		if s.File != "DG15" || s.ID == "dg15-empty" {
			continue
		}
		n++
		t.Run(s.ID, func(t *testing.T) {
			spki, err := lds.ParseDG15(vectortest.Hex(t, s.Hex))
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{0, 1, 56, 64, 96, 128, 132, 256} {
				sig := bytes.Repeat([]byte{0x41}, size)
				if _, err := activeauth.VerifySignature(spki, [8]byte{}, sig, nil); !errors.Is(err, activeauth.ErrSignature) {
					t.Errorf("signature of %d bytes: %v", size, err)
				}
				d := &chip{answer: func(int) apdu.Response { return apdu.Response{Data: sig, SW: apdu.OK} }}
				if _, err := activeauth.Authenticate(t.Context(), d, spki, [8]byte{}, nil); !errors.Is(err, activeauth.ErrSignature) {
					t.Errorf("answer of %d bytes: %v", size, err)
				}
			}
		})
	}
	if n != 8 {
		t.Errorf("%d keys", n)
	}
}

// The message representatives, those of Appendix F and others that were
// published without a modulus among them.
func TestRepresentatives(t *testing.T) {
	t.Parallel()
	n := 0
	for _, e := range examples(t) {
		if e.Representative == "" || e.M1 == "" || e.Expected == "invalid" {
			continue
		}
		n++
		t.Run(e.ID, func(t *testing.T) {
			t.Parallel()
			f, challenge := vectortest.Hex(t, e.Representative), e.challenge(t)
			hash, ok := activeauth.OpenRepresentative(f, challenge)
			if !ok || hash.Size()*2 != len(e.Digest) {
				t.Fatalf("got %v, %v", hash, ok)
			}
			throughEntryPoints(t, f, challenge, hash)
			for i := range f {
				for _, bit := range []byte{0x01, 0x80} {
					g := bytes.Clone(f)
					g[i] ^= bit
					if _, ok := activeauth.OpenRepresentative(g, challenge); ok {
						t.Errorf("byte %d changed, and still accepted", i)
					}
				}
			}
			for n := range f {
				if _, ok := activeauth.OpenRepresentative(f[:n], challenge); ok {
					t.Errorf("cut to %d bytes, and still accepted", n)
				}
			}
			challenge[7] ^= 1
			if _, ok := activeauth.OpenRepresentative(f, challenge); ok {
				t.Error("accepted for another challenge")
			}
		})
	}
	if n < 6 {
		t.Fatalf("%d representatives", n)
	}
}

// throughEntryPoints signs a representative that was published without a key with one
// of its length, and has both entry points verify the signature. Keys as short as some
// of these representatives are refused there; what comes behind takes them.
func throughEntryPoints(t *testing.T, f []byte, challenge [8]byte, hash crypto.Hash) {
	t.Helper()
	key, n, sign := newRSA(t, 8*len(f))
	sig := sign(f)
	want, wantErr := fmt.Sprintf("RSA-%d ISO/IEC 9796-2 %v", 8*len(f), hash), error(nil)
	if alg, err := activeauth.VerifyRSA(&rsa.PublicKey{N: n, E: 65537}, challenge, sig); err != nil || alg != want {
		t.Errorf("with the key: %q, %v; want %q", alg, err, want)
	}
	if len(f) < 128 {
		want, wantErr = "", activeauth.ErrUnsupported
	}
	if alg, err := activeauth.VerifySignature(key, challenge, sig, nil); !errors.Is(err, wantErr) || alg != want {
		t.Errorf("verify: %q, %v; want %q", alg, err, want)
	}
	d := &chip{answer: func(int) apdu.Response { return apdu.Response{Data: sig, SW: apdu.OK} }}
	if res, err := activeauth.Authenticate(t.Context(), d, key, challenge, nil); !errors.Is(err, wantErr) || res.Algorithm != want {
		t.Errorf("authenticate: %q, %v; want %q", res.Algorithm, err, want)
	}
}

// ISO/IEC 9796-2, B.4: the signature may be that of N - F. N minus a signature
// of F is one, because the exponent is odd.
func TestSignatureOfTheComplement(t *testing.T) {
	t.Parallel()
	n := 0
	for _, e := range examples(t) {
		if !strings.HasPrefix(e.Algorithm, "RSA") || e.Expected != "valid" {
			continue
		}
		n++
		key, challenge := e.key(t), e.challenge(t)
		sig := vectortest.Hex(t, e.Signature)
		modulus := modulusOf(t, key)
		other := new(big.Int).Sub(modulus, new(big.Int).SetBytes(sig)).FillBytes(make([]byte, len(sig)))
		if alg, err := activeauth.VerifySignature(key, challenge, other, nil); err != nil || alg != e.name(t) {
			t.Errorf("%s: %q, %v", e.ID, alg, err)
		}
		// The signature plus the modulus is the same number to RSA, and no signature.
		if sum := new(big.Int).Add(modulus, new(big.Int).SetBytes(sig)); sum.BitLen() <= 8*len(sig) {
			b := sum.FillBytes(make([]byte, len(sig)))
			if _, err := activeauth.VerifySignature(key, challenge, b, nil); !errors.Is(err, activeauth.ErrSignature) {
				t.Errorf("%s: signature above the modulus: %v", e.ID, err)
			}
		}
		long := append([]byte{0}, sig...)
		if _, err := activeauth.VerifySignature(key, challenge, long, nil); !errors.Is(err, activeauth.ErrSignature) {
			t.Errorf("%s: signature with a leading zero: %v", e.ID, err)
		}
	}
	if n == 0 {
		t.Fatal("no RSA example")
	}
}

func modulusOf(t testing.TB, spki []byte) *big.Int {
	t.Helper()
	s := tlv.String(spki)
	var seq, bits, key, n tlv.String
	if !s.ReadTag(&seq, 0x30) || !seq.ReadTag(nil, 0x30) || !seq.ReadTag(&bits, 0x03) || !bits.Skip(1) ||
		!bits.ReadTag(&key, 0x30) || !key.ReadTag(&n, 0x02) {
		t.Fatal("malformed key")
	}
	return new(big.Int).SetBytes(n)
}

// A chip answers INTERNAL AUTHENTICATE by the length that it is asked for.
type chip struct {
	answer func(ne int) apdu.Response
	err    error
	asked  []int
}

func (c *chip) Do(_ context.Context, cmd apdu.Command) (apdu.Response, error) {
	c.asked = append(c.asked, cmd.Ne)
	if c.err != nil {
		return apdu.Response{}, c.err
	}
	return c.answer(cmd.Ne), nil
}

type protectedChip struct{ *chip }

func (c protectedChip) MaxNe(limit int) int { return limit - 25 }

// Chips and readers that cut answers off (requirement R6): one that stops at
// 231 bytes, one that sends nothing for an extended length, one that wants the
// exact length.
func TestAuthenticateLengths(t *testing.T) {
	t.Parallel()
	var e example
	for _, x := range examples(t) {
		if x.ID == "real-rsa1792-sha256" {
			e = x
		}
	}
	if e.ID == "" {
		t.Fatal("no example real-rsa1792-sha256")
	}
	key, challenge, sig := e.key(t), e.challenge(t), vectortest.Hex(t, e.Signature) // 224 bytes
	whole := apdu.Response{Data: sig, SW: apdu.OK}
	cut := apdu.Response{Data: sig[:199:199], SW: apdu.OK}
	status := func(sw apdu.Status) apdu.Response { return apdu.Response{SW: sw} }
	tests := []struct {
		name      string
		protected bool
		maxNe     int
		answer    func(ne int) apdu.Response
		asked     []int
		err       error
		signature int
	}{
		{name: "short", answer: func(int) apdu.Response { return whole }, asked: []int{256}, signature: 224},
		{name: "cut off at a short length", answer: func(ne int) apdu.Response {
			if ne == 256 {
				return cut
			}
			return whole
		}, asked: []int{256, 65536}, signature: 224},
		{name: "cut off, nothing for an extended length", answer: func(ne int) apdu.Response {
			switch ne {
			case 256:
				return cut
			case 65536:
				return status(apdu.OK)
			}
			return whole
		}, asked: []int{256, 65536, 224}, signature: 224},
		{name: "6700 for everything but the exact length", answer: func(ne int) apdu.Response {
			if ne != 224 {
				return status(apdu.WrongLength)
			}
			return whole
		}, asked: []int{256, 65536, 224}, signature: 224},
		{name: "6cxx", answer: func(ne int) apdu.Response {
			if ne != 224 {
				return status(0x6C00 | 224)
			}
			return whole
		}, asked: []int{256, 224}, signature: 224},
		{name: "always cut off", answer: func(int) apdu.Response { return cut }, asked: []int{256, 65536, 224}, err: activeauth.ErrSignature, signature: 199},
		{name: "cut off and then refused", answer: func(ne int) apdu.Response {
			if ne == 256 {
				return cut
			}
			return status(apdu.WrongLength)
		}, asked: []int{256, 65536, 224}, err: activeauth.ErrSignature, signature: 199},
		{name: "refused", answer: func(int) apdu.Response { return status(apdu.ConditionsNotSatisfied) }, asked: []int{256}, err: activeauth.ErrRefused},
		{name: "refused for its length", answer: func(int) apdu.Response { return status(apdu.WrongLength) }, asked: []int{256, 65536, 224}, err: activeauth.ErrRefused},
		{name: "never a word", answer: func(int) apdu.Response { return status(apdu.OK) }, asked: []int{256, 65536, 224}, err: activeauth.ErrSignature},
		{name: "6cxx for ever", answer: func(ne int) apdu.Response { return status(0x6C00 | apdu.Status(ne-1)&0xFF) }, asked: nil, err: activeauth.ErrRefused},
		{name: "wrong and complete: no second try", answer: func(int) apdu.Response {
			return apdu.Response{Data: make([]byte, 224), SW: apdu.OK}
		}, asked: []int{256}, err: activeauth.ErrSignature, signature: 224},
		{name: "protected, fits", protected: true, answer: func(int) apdu.Response { return whole }, asked: []int{256}, signature: 224},
		{name: "reader without extended length", maxNe: 256, answer: func(ne int) apdu.Response {
			if ne == 256 {
				return cut
			}
			return whole
		}, asked: []int{256, 224}, signature: 224},
		{name: "reader with a limit", maxNe: 1000, answer: func(ne int) apdu.Response {
			if ne == 256 {
				return cut
			}
			return whole
		}, asked: []int{256, 1000}, signature: 224},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &chip{answer: tt.answer}
			var d apdu.Doer = c
			if tt.protected {
				d = protectedChip{c}
			}
			res, err := activeauth.Authenticate(t.Context(), d, key, challenge, &activeauth.Options{MaxNe: tt.maxNe})
			if !errors.Is(err, tt.err) || (res.Algorithm == "") != (err != nil) {
				t.Errorf("%q, %v; want %v", res.Algorithm, err, tt.err)
			}
			if len(res.Signature) != tt.signature {
				t.Errorf("evidence of %d bytes, want %d", len(res.Signature), tt.signature)
			}
			if tt.asked == nil {
				if len(c.asked) > 300 {
					t.Errorf("%d tries", len(c.asked))
				}
				return
			}
			if len(c.asked) != len(tt.asked) {
				t.Fatalf("asked for %v, want %v", c.asked, tt.asked)
			}
			for i := range c.asked {
				if c.asked[i] != tt.asked[i] {
					t.Errorf("asked for %v, want %v", c.asked, tt.asked)
				}
			}
		})
	}
}

// A signature of 256 bytes does not fit into a short protected response, so
// the extended length comes first (Doc 9303-11, 6.1.4, note).
func TestAuthenticateAsksForExtendedLength(t *testing.T) {
	t.Parallel()
	key := rsaKey(2048)
	for _, tt := range []struct {
		maxNe int
		want  []int
	}{
		{0, []int{65536, 257, 256}},
		{1000, []int{1000, 257, 256}},
		{256, []int{256}},
	} {
		c := &chip{answer: func(int) apdu.Response { return apdu.Response{SW: apdu.WrongLength} }}
		_, err := activeauth.Authenticate(t.Context(), protectedChip{c}, key, [8]byte{}, &activeauth.Options{MaxNe: tt.maxNe})
		if !errors.Is(err, activeauth.ErrRefused) || !errors.Is(err, apdu.WrongLength) {
			t.Errorf("error %v", err)
		}
		if len(c.asked) != len(tt.want) {
			t.Fatalf("asked for %v, want %v", c.asked, tt.want)
		}
		for i := range c.asked {
			if c.asked[i] != tt.want[i] {
				t.Errorf("asked for %v, want %v", c.asked, tt.want)
			}
		}
	}
}

// rsaKey returns the SubjectPublicKeyInfo of an odd modulus of that many bits
// that is good for nothing.
func rsaKey(bits int) []byte {
	n := make([]byte, (bits+7)/8)
	for i := range n {
		n[i] = 0xA5
	}
	n[0] = byte(0xFF >> ((8 - bits%8) % 8))
	integer := n
	if n[0] >= 0x80 {
		integer = append([]byte{0}, n...)
	}
	inner := tlv.Append(nil, 0x02, integer)
	inner = append(inner, 2, 3, 1, 0, 1)
	inner = tlv.Append(nil, 0x30, inner)
	alg := []byte{0x30, 13, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 5, 0}
	return tlv.Append(nil, 0x30, append(alg, tlv.Append(nil, 0x03, append([]byte{0}, inner...))...))
}

func TestErrors(t *testing.T) {
	t.Parallel()
	var ecdsa example
	for _, e := range examples(t) {
		if e.ID == "synthetic-ecdsa-secp256r1-sha256" {
			ecdsa = e
		}
	}
	key, challenge, sig := ecdsa.key(t), ecdsa.challenge(t), vectortest.Hex(t, ecdsa.Signature)
	verify := func(key []byte, opt *activeauth.Options) error {
		alg, err := activeauth.VerifySignature(key, challenge, sig, opt)
		if err != nil && alg != "" {
			t.Errorf("algorithm %q with error %v", alg, err)
		}
		return err
	}
	gone := errors.New("card gone")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		err  error
		want error
		outcome
	}{
		{"good", verify(key, nil), nil, outcome{result.Successful, ""}},
		{"TR-03105-5.1 ISO7816_F_09 unknown algorithm in DG14", verify(key, &activeauth.Options{SignatureAlgorithm: "1.2.3"}), activeauth.ErrUnsupported, outcome{result.Undetermined, activeauth.ReasonUnsupported}},
		{"SHA-1 in DG14", verify(key, &activeauth.Options{SignatureAlgorithm: "0.4.0.127.0.7.1.1.4.1.1"}), activeauth.ErrUnsupported, outcome{result.Undetermined, activeauth.ReasonUnsupported}},
		{"another hash in DG14", verify(key, &activeauth.Options{SignatureAlgorithm: "0.4.0.127.0.7.1.1.4.1.5"}), activeauth.ErrSignature, outcome{result.Failed, activeauth.ReasonSignature}},
		{"no key", verify(nil, nil), activeauth.ErrKey, outcome{result.Failed, activeauth.ReasonKey}},
		{"key cut off", verify(key[:len(key)-1], nil), activeauth.ErrKey, outcome{result.Failed, activeauth.ReasonKey}},
		{"modulus of odd size", verify(rsaKey(1025), nil), activeauth.ErrUnsupported, outcome{result.Undetermined, activeauth.ReasonUnsupported}},
		{"card gone", second(activeauth.Authenticate(t.Context(), &chip{err: gone}, key, challenge, nil)), gone, outcome{result.Aborted, activeauth.ReasonInterrupted}},
		{"cancelled", second(activeauth.Authenticate(cancelled, &chip{}, key, challenge, nil)), context.Canceled, outcome{result.Aborted, activeauth.ReasonInterrupted}},
		{
			"refused", second(activeauth.Authenticate(t.Context(), &chip{answer: func(int) apdu.Response { return apdu.Response{SW: 0x6985} }}, key, challenge, nil)),
			apdu.ConditionsNotSatisfied,
			outcome{result.Failed, activeauth.ReasonRefused},
		},
	}
	for _, tt := range tests {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, tt.err, tt.want)
		}
		c := activeauth.Check("some algorithm", tt.err)
		if (outcome{c.Value, c.Reason}) != tt.outcome || (c.Algorithm != "") != (tt.err == nil) {
			t.Errorf("%s: check %+v, want %+v", tt.name, c, tt.outcome)
		}
	}
}

type outcome struct {
	value  result.Value
	reason result.Reason
}

func second(_ activeauth.Result, err error) error { return err }
