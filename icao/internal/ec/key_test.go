package ec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNewPrivateKey(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			one := make([]byte, c.OrderSize())
			one[len(one)-1] = 1
			last := new(big.Int).Sub(new(big.Int).SetBytes(c.n), big.NewInt(1)).FillBytes(make([]byte, c.OrderSize()))
			for name, d := range map[string][]byte{"1": one, "n-1": last} {
				k, err := c.NewPrivateKey(d)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !bytes.Equal(k.Bytes(), d) || k.Curve() != c || !bytes.Equal(k.Public().X(), c.gx) {
					t.Errorf("%s: wrong scalar, curve or public point", name)
				}
			}
			for name, d := range map[string][]byte{
				"nil": nil, "0": make([]byte, c.OrderSize()), "n": c.n,
				"all ones": bytes.Repeat([]byte{0xff}, c.OrderSize()), "short": one[1:], "long": append([]byte{0}, one...),
			} {
				if k, err := c.NewPrivateKey(d); !errors.Is(err, ErrInvalidScalar) || k != nil {
					t.Errorf("%s: got %v, %v", name, k, err)
				}
			}
		})
	}
}

func TestGenerateKey(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			a, b := newKey(t, c), newKey(t, c)
			if bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Error("two keys are equal")
			}
			// The candidates that do not fit are skipped: 0, then n.
			d := newKey(t, c).Bytes()
			source := append(append(make([]byte, c.OrderSize()), c.n...), d...)
			k, err := c.GenerateKey(bytes.NewReader(source))
			if err != nil || !bytes.Equal(k.Bytes(), d) {
				t.Errorf("the third candidate was not taken: %v", err)
			}
		})
	}
	c := ByName("P-521")
	d := newKey(t, c).Bytes()
	wide := bytes.Clone(d)
	wide[0] |= 0xfe // 528 bits: the upper seven do not count
	if k, err := c.GenerateKey(bytes.NewReader(wide)); err != nil || !bytes.Equal(k.Bytes(), d) {
		t.Errorf("bits above the order's length: %v", err)
	}
}

type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

func TestGenerateKeyWithBrokenSource(t *testing.T) {
	c := ByName("brainpoolP320r1")
	broken := errors.New("broken")
	if k, err := c.GenerateKey(iotest.ErrReader(broken)); !errors.Is(err, broken) || k != nil {
		t.Errorf("got %v, %v", k, err)
	}
	if k, err := c.GenerateKey(bytes.NewReader(make([]byte, 3))); err == nil || k != nil {
		t.Errorf("short source: got %v, %v", k, err)
	}
	for _, b := range []byte{0, 0xff} { // never a valid scalar: must end
		if k, err := c.GenerateKey(constant(b)); err == nil || k != nil {
			t.Errorf("source of %#x: got %v, %v", b, k, err)
		}
	}
}

func TestPrivateKeyIsRedacted(t *testing.T) {
	k, err := ByName("P-192").NewPrivateKey(bytes.Repeat([]byte{0x5c}, 24))
	if err != nil {
		t.Fatal(err)
	}
	holder := struct {
		Key   *PrivateKey
		Value PrivateKey
	}{k, *k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%o", "%b"} {
		if got := fmt.Sprintf(verb, k); got != "[redacted]" {
			t.Errorf("%s: got %s", verb, got)
		}
		if got := fmt.Sprintf(verb, *k); got != "[redacted]" {
			t.Errorf("%s of the value: got %s", verb, got)
		}
		if got := fmt.Sprintf(verb, holder); strings.Count(got, "[redacted]") != 2 {
			t.Errorf("%s of a struct: got %s", verb, got)
		}
	}
	if k.String() != "[redacted]" || k.GoString() != "[redacted]" {
		t.Error("String or GoString is not redacted")
	}
	if got, err := json.Marshal(holder); err != nil || string(got) != `{"Key":"[redacted]","Value":"[redacted]"}` {
		t.Errorf("JSON: got %s, %v", got, err)
	}
}

func TestZeroPrivateKeyIsUnusable(t *testing.T) {
	var k PrivateKey
	if k.Public() != nil || k.Curve() != nil || k.Bytes() != nil {
		t.Error("it has a public point, a curve or bytes")
	}
	if _, _, err := k.Sign(nil, []byte{1}); !errors.Is(err, ErrInvalidScalar) {
		t.Errorf("Sign: %v", err)
	}
	if _, err := k.ECDH(ByName("P-256").Generator()); !errors.Is(err, ErrCurveMismatch) {
		t.Errorf("ECDH: %v", err)
	}
}
