package kdf_test

import (
	"encoding/hex"
	"math/bits"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// derive derives a key with the cipher that a vector names.
func derive(t *testing.T, cipher string, secret []byte, counter uint32) string {
	t.Helper()
	switch cipher {
	case "3des":
		k := kdf.TripleDES(secret, counter)
		return hex.EncodeToString(k[:])
	case "aes128":
		return hex.EncodeToString(kdf.AES(secret, counter, 128))
	case "aes192":
		return hex.EncodeToString(kdf.AES(secret, counter, 192))
	case "aes256":
		return hex.EncodeToString(kdf.AES(secret, counter, 256))
	}
	t.Fatalf("unknown cipher %q", cipher)
	return ""
}

func TestVectors(t *testing.T) {
	var examples []struct {
		ID, Cipher   string
		SharedSecret string `json:"shared_secret"`
		KsEnc        string `json:"ks_enc"`
		KsMac        string `json:"ks_mac"`
		Entries      []struct{ Input, K, Cipher, C1, C2, C3 string }
	}
	vectortest.JSON(t, "../../sm/testdata/sm-and-kdf-examples.json", &examples)
	checked := 0
	for _, e := range examples {
		if e.SharedSecret != "" {
			t.Run(e.ID, func(t *testing.T) {
				secret := vectortest.Hex(t, e.SharedSecret)
				if got := derive(t, e.Cipher, secret, kdf.Enc); got != e.KsEnc {
					t.Errorf("KS.Enc = %s, want %s", got, e.KsEnc)
				}
				if got := derive(t, e.Cipher, secret, kdf.Mac); got != e.KsMac {
					t.Errorf("KS.MAC = %s, want %s", got, e.KsMac)
				}
			})
			checked++
		}
		for _, entry := range e.Entries {
			t.Run(e.ID+" "+entry.Input+" "+entry.Cipher, func(t *testing.T) {
				for counter, want := range map[uint32]string{kdf.Enc: entry.C1, kdf.Mac: entry.C2, kdf.Password: entry.C3} {
					if got := derive(t, entry.Cipher, vectortest.Hex(t, entry.K), counter); got != want {
						t.Errorf("counter %d: %s, want %s", counter, got, want)
					}
				}
			})
			checked++
		}
	}
	if checked < 9 {
		t.Fatalf("only %d derivations in the vectors", checked)
	}
}

// Doc 9303-11, D.1 and D.2: the keys of basic access control from their seeds.
func TestAppendixD(t *testing.T) {
	type example struct {
		Format         string
		DocumentNumber string `json:"document_number"`
		KSeed          string `json:"k_seed"`
		KEnc           string `json:"k_enc"`
		KMac           string `json:"k_mac"`
	}
	var all []struct {
		ID       string
		KSeed    string `json:"k_seed"`
		Enc      struct{ Key string }
		Mac      struct{ Key string }
		Examples []example
	}
	vectortest.JSON(t, "../../bac/testdata/9303-11-D-bac.json", &all)
	checked := 0
	for _, a := range all {
		examples := a.Examples
		if a.KSeed != "" && a.Enc.Key != "" {
			examples = append(examples, example{KSeed: a.KSeed, KEnc: a.Enc.Key, KMac: a.Mac.Key})
		}
		for _, e := range examples {
			checked++
			t.Run(strings.TrimSpace(a.ID+" "+e.Format+" "+e.DocumentNumber), func(t *testing.T) {
				seed := vectortest.Hex(t, e.KSeed)
				if got := derive(t, "3des", seed, kdf.Enc); got != e.KEnc {
					t.Errorf("K.Enc = %s, want %s", got, e.KEnc)
				}
				if got := derive(t, "3des", seed, kdf.Mac); got != e.KMac {
					t.Errorf("K.MAC = %s, want %s", got, e.KMac)
				}
			})
		}
	}
	if checked != 5 {
		t.Fatalf("%d derivations, want one of D.1 and four of D.2", checked)
	}
}

func TestTripleDESParity(t *testing.T) {
	for counter := range uint32(2000) {
		for i, b := range kdf.TripleDES([]byte("secret"), counter) {
			if bits.OnesCount8(b)%2 != 1 {
				t.Fatalf("counter %d: byte %d is %02x, with even parity", counter, i, b)
			}
		}
	}
}

func TestAESUnknownLength(t *testing.T) {
	if got := kdf.AES([]byte("secret"), 1, 64); got != nil {
		t.Errorf("AES(64 bits) = %x, want nil", got)
	}
}
