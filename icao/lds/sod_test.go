package lds_test

import (
	"bytes"
	"crypto"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
)

// bsiSOD reads EF.SOD of the BSI reference data set, which may not be copied.
func bsiSOD(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectortest.Path(t, "bsi-reference-dataset"), "EF_SOD.bin"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseSODReference(t *testing.T) {
	sod, err := lds.ParseSOD(bsiSOD(t))
	if err != nil {
		t.Fatal(err)
	}
	if o := sod.Object; o.Version != 0 || o.Hash != crypto.SHA256 || o.LDSVersion != "" || o.UnicodeVersion != "" {
		t.Errorf("version %d, hash %v, LDS %q", o.Version, o.Hash, o.LDSVersion)
	}
	if got, want := slices.Sorted(maps.Keys(sod.Object.Hashes)), []int{1, 2, 3, 4, 14}; !slices.Equal(got, want) {
		t.Errorf("data groups %v, want %v", got, want)
	}
	if len(sod.Deviations) != 0 {
		t.Errorf("deviations %v", sod.Deviations)
	}
	if got, want := sod.SignedData.Signers[0].SignatureAlgorithm.String(), "RSASSA-PSS SHA-256 salt 32"; got != want {
		t.Errorf("algorithm %q, want %q", got, want)
	}
	// A length of one octet too many or too few, trailing octets, another tag:
	// TR-03105-5.1 LDS_H_17 to 19.
	b := bsiSOD(t)
	for name, spoil := range map[string]func([]byte) []byte{
		"tag 78":           func(b []byte) []byte { b[0] = 0x78; return b },
		"length too short": func(b []byte) []byte { b[3]--; return b },
		"length too long":  func(b []byte) []byte { b[3]++; return b },
		"trailing octet":   func(b []byte) []byte { return append(b, 0) },
		"cut short":        func(b []byte) []byte { return b[:len(b)-1] },
		"empty":            func([]byte) []byte { return nil },
		"empty content":    func([]byte) []byte { return []byte{0x77, 0} },
		"too large":        func([]byte) []byte { return make([]byte, lds.MaxSOD+1) },
	} {
		if sod, err := lds.ParseSOD(spoil(slices.Clone(b))); err == nil || sod != nil {
			t.Errorf("%s: got %v, %v, want an error", name, sod, err)
		}
	}
}

// sodOf wraps a security object into an EF.SOD, signed by nobody in particular.
func sodOf(t testing.TB, contentType string, object []byte) []byte {
	key := cmstest.EC(t, "P-256", true)
	return cmstest.SOD(t, cmstest.SignedData{
		ContentType: contentType, Content: object,
		Signers: []cmstest.Signer{{Key: key, Algorithm: cmstest.ECDSA(t, crypto.SHA256), KeyID: key.ID()}},
	}.Build(t))
}

func TestSecurityObject(t *testing.T) {
	type entry struct {
		n    int64
		hash []byte
	}
	hash := bytes.Repeat([]byte{0xaa}, 32)
	two := []entry{{2, hash}, {1, hash}}
	object := func(version int64, h crypto.Hash, entries []entry, tail ...byte) []byte {
		return cmstest.Build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(version)
				b.AddBytes(cmstest.Digest(t, h))
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, e := range entries {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1Int64(e.n)
							b.AddASN1OctetString(e.hash)
						})
					}
				})
				b.AddBytes(tail)
			})
		})
	}
	info := slices.Concat([]byte{0x30, 14, 0x13, 4}, []byte("0108"), []byte{0x13, 6}, []byte("040000"))
	tests := []struct {
		name   string
		object []byte
		ok     bool
		dev    []string
	}{
		{"version 0", object(0, crypto.SHA256, two), true, nil},
		{"version 1 with LDS version", object(1, crypto.SHA256, two, info...), true, nil},
		{"version 1 without LDS version", object(1, crypto.SHA256, two), true, []string{lds.DevSODVersionInfo}},
		{"version 0 with LDS version", object(0, crypto.SHA256, two, info...), true, []string{lds.DevSODVersionInfo}},
		{"version 2", object(2, crypto.SHA256, two), true, []string{lds.DevSODVersion}},
		{"SHA-1", object(0, crypto.SHA1, []entry{{1, hash[:20]}, {2, hash[:20]}}), true, []string{lds.DevSODHashSHA1}},
		{"MD5", object(0, crypto.MD5, two), true, []string{lds.DevSODHashUnsupported}},
		{"hashes of another length", object(0, crypto.SHA512, two), true, []string{lds.DevSODHashLength}},
		{"hash empty", object(0, crypto.SHA256, []entry{{1, nil}, {2, hash}}), true, []string{lds.DevSODHashLength}},
		{"one group", object(0, crypto.SHA256, two[:1]), true, []string{lds.DevSODHashListShort}},
		{"no group", object(0, crypto.SHA256, nil), false, nil},
		{"group 0", object(0, crypto.SHA256, []entry{{0, hash}, {1, hash}}), false, nil},
		{"group 16", object(0, crypto.SHA256, []entry{{16, hash}, {1, hash}}), true, nil},
		{"group 17", object(0, crypto.SHA256, []entry{{17, hash}, {1, hash}}), false, nil},
		{"group -1", object(0, crypto.SHA256, []entry{{-1, hash}, {1, hash}}), false, nil},
		{"group of 2^32+1", object(0, crypto.SHA256, []entry{{1<<32 + 1, hash}, {2, hash}}), false, nil},
		{"group twice", object(0, crypto.SHA256, []entry{{1, hash}, {2, hash}, {1, hash}}), false, nil},
		{"trailing field", object(0, crypto.SHA256, two, 5, 0), false, nil},
		{"LDS version malformed", object(1, crypto.SHA256, two, 0x30, 0), false, nil},
		{"trailing octet", append(object(0, crypto.SHA256, two), 0), false, nil},
		{"empty", nil, false, nil},
		// The signed attributes of a document are a SET: they are no security object.
		{"a set", []byte{0x31, 0}, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sod, err := lds.ParseSOD(sodOf(t, lds.OIDSecurityObject, tt.object))
			if (err == nil) != tt.ok || (sod != nil) != tt.ok {
				t.Fatalf("got %v, %v, want success %v", sod, err, tt.ok)
			}
			if !tt.ok {
				return
			}
			if !slices.Equal(sod.Deviations, tt.dev) {
				t.Errorf("deviations %v, want %v", sod.Deviations, tt.dev)
			}
			if bytes.HasSuffix(tt.object, info) && (sod.Object.LDSVersion != "0108" || sod.Object.UnicodeVersion != "040000") {
				t.Errorf("LDS %q, Unicode %q", sod.Object.LDSVersion, sod.Object.UnicodeVersion)
			}
		})
	}
	t.Run("other content type", func(t *testing.T) {
		if sod, err := lds.ParseSOD(sodOf(t, "2.23.136.1.1.2", object(0, crypto.SHA256, two))); err == nil || sod != nil {
			t.Errorf("got %v, %v, want an error", sod, err)
		}
	})
	t.Run("length not minimal", func(t *testing.T) {
		b := sodOf(t, lds.OIDSecurityObject, object(0, crypto.SHA256, two))
		b = slices.Concat([]byte{0x77, 0x83, 0, b[2], b[3]}, b[4:])
		sod, err := lds.ParseSOD(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{lds.DevSODNonMinimalLength}; !slices.Equal(sod.Deviations, want) {
			t.Errorf("deviations %v, want %v", sod.Deviations, want)
		}
	})
	t.Run("indefinite length", func(t *testing.T) {
		b := sodOf(t, lds.OIDSecurityObject, object(0, crypto.SHA256, two))
		body := b[8:] // content of the outer SEQUENCE, whose length has two octets
		inner := slices.Concat([]byte{0x30, 0x80}, body, []byte{0, 0})
		b = cmstest.SOD(t, inner)
		sod, err := lds.ParseSOD(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{cms.DevIndefiniteLength}; !slices.Equal(sod.Deviations, want) {
			t.Errorf("deviations %v, want %v", sod.Deviations, want)
		}
	})
}

func FuzzParseSOD(f *testing.F) {
	groups := map[int][]byte{1: []byte("one"), 2: []byte("two")}
	f.Add(sodOf(f, lds.OIDSecurityObject, cmstest.SecurityObject(f, crypto.SHA256, []int{2, 1}, groups)))
	f.Add(sodOf(f, lds.OIDSecurityObject, cmstest.SecurityObject(f, crypto.SHA1, []int{1, 14}, groups)))
	f.Fuzz(func(t *testing.T, b []byte) {
		sod, err := lds.ParseSOD(b)
		if (sod == nil) != (err != nil) {
			t.Fatalf("EF.SOD %v with error %v", sod, err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(sod.Raw, b) || len(sod.Object.Hashes) == 0 {
			t.Error("fields disagree")
		}
		for n := range sod.Object.Hashes {
			if n < 1 || n > 16 {
				t.Errorf("data group %d", n)
			}
		}
	})
}
