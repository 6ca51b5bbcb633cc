package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/chamthe/chamthe/sync/seal"
)

func newSealer(t testing.TB, b byte) *seal.Sealer {
	t.Helper()
	m, err := seal.NewMaster(bytes.Repeat([]byte{b}, seal.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealRoundTrip(t *testing.T) {
	s := newSealer(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		bucket := rapid.String().Draw(t, "bucket")
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed := s.Seal(bucket, key, plain)
		if len(sealed) != len(plain)+seal.Overhead {
			t.Errorf("%d bytes sealed in %d", len(plain), len(sealed))
		}
		before := bytes.Clone(sealed)
		got, err := s.Open(bucket, key, sealed)
		if err != nil || !bytes.Equal(got, plain) || got == nil {
			t.Errorf("Open = %x, %v", got, err)
		}
		if !bytes.Equal(before, sealed) {
			t.Error("Open changed its input")
		}
		// One bit anywhere, and it does not open.
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		if got, err := s.Open(bucket, key, sealed); err == nil || got != nil {
			t.Errorf("bit %d flipped: %x, %v", bit, got, err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	s, other := newSealer(t, 1), newSealer(t, 2)
	sealed := s.Seal("visits", []byte("key"), []byte("value"))
	changed := func(i int) []byte {
		b := bytes.Clone(sealed)
		b[i] ^= 0x80
		return b
	}
	tests := []struct {
		name   string
		s      *seal.Sealer
		bucket string
		key    string
		sealed []byte
		want   error
	}{
		{"another bucket", s, "visit", "key", sealed, seal.ErrForged},
		{"another key", s, "visits", "kez", sealed, seal.ErrForged},
		{"bucket and key shifted", s, "visitsk", "ey", sealed, seal.ErrForged},
		{"another master", other, "visits", "key", sealed, seal.ErrUnknownKey},
		{"empty", s, "visits", "key", nil, seal.ErrMalformed},
		{"short", s, "visits", "key", sealed[:seal.Overhead-1], seal.ErrMalformed},
		{"cut", s, "visits", "key", sealed[:len(sealed)-1], seal.ErrForged},
		{"version", s, "visits", "key", changed(0), seal.ErrMalformed},
		{"nonce", s, "visits", "key", changed(10), seal.ErrForged},
		{"tag", s, "visits", "key", changed(len(sealed) - 1), seal.ErrForged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.s.Open(tt.bucket, []byte(tt.key), tt.sealed)
			if !errors.Is(err, tt.want) || got != nil {
				t.Errorf("Open = %q, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestSealIsRandomised(t *testing.T) {
	s := newSealer(t, 1)
	if bytes.Equal(s.Seal("b", nil, []byte("x")), s.Seal("b", nil, []byte("x"))) {
		t.Error("the same value seals to the same bytes")
	}
}

func TestIndex(t *testing.T) {
	s := newSealer(t, 1)
	part := func(p ...string) [][]byte {
		var b [][]byte
		for _, x := range p {
			b = append(b, []byte(x))
		}
		return b
	}
	base := s.Index("people", part("001099000001", "A")...)
	if len(base) != 32 || !bytes.Equal(base, s.Index("people", part("001099000001", "A")...)) {
		t.Errorf("Index = %x, not stable", base)
	}
	for name, other := range map[string][]byte{
		"bucket":  s.Index("persons", part("001099000001", "A")...),
		"shifted": s.Index("people", part("001099000001A", "")...),
		"fewer":   s.Index("people", part("001099000001A")...),
		"master":  newSealer(t, 2).Index("people", part("001099000001", "A")...),
	} {
		if bytes.Equal(base, other) {
			t.Errorf("%s: same index", name)
		}
	}
}

// TestFormat pins what is on disks already: a file written by an earlier build
// must go on to open.
func TestFormat(t *testing.T) {
	s := newSealer(t, 1)
	const (
		keyID = "b9f799dea26f4077"
		index = "068d2ec41b5dd0a4b78dd83fdc7d778d43bb704d949accd4d2988a6c75364bf0"
		value = "01b9f799dea26f4077124a78856f180e9f2be99eee26158118e3294c8933b40b78f666ed39b7eb7129b9f49bbbd449f396f1d0f61a32"
	)
	id := s.KeyID()
	if got := hex.EncodeToString(id[:]); got != keyID {
		t.Errorf("key id = %s, want %s", got, keyID)
	}
	if got := hex.EncodeToString(s.Index("b", []byte("k"))); got != index {
		t.Errorf("index = %s, want %s", got, index)
	}
	sealed, err := hex.DecodeString(value)
	if err != nil {
		t.Fatalf("%v: %x", err, s.Seal("b", []byte("k"), []byte("hello")))
	}
	if got, err := s.Open("b", []byte("k"), sealed); string(got) != "hello" {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	key := bytes.Repeat([]byte{0x5A}, seal.MasterSize)
	m, err := seal.NewMaster(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("keys", "master", m, "sealer", s)
	// Inside another struct, where fmt asks no method.
	type holder struct {
		m seal.Master
		s *seal.Sealer
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		for _, secret := range []any{m, &m, s, holder{m, s}, &holder{m, s}, []seal.Master{m}, *s} {
			fmt.Fprintf(&out, verb+"\n", secret)
		}
	}
	text := out.String()
	for _, leak := range []string{"5a5a5a5a", "5A5A5A5A", "90 90 90", "ZZZZ", "0x5a, 0x5a"} {
		if strings.Contains(text, leak) {
			t.Errorf("found %q in:\n%s", leak, text)
		}
	}
	if b, err := json.Marshal(m); err == nil {
		t.Errorf("json.Marshal = %s", b)
	}
}

func TestMaster(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := seal.NewMaster(make([]byte, n)); err == nil {
			t.Errorf("a master key of %d bytes", n)
		}
	}
	if _, err := seal.New(seal.Master{}); err == nil {
		t.Error("a sealer without a key")
	}
	key := bytes.Repeat([]byte{1}, seal.MasterSize)
	a, err := seal.NewMaster(key)
	if err != nil {
		t.Fatal(err)
	}
	key[0] = 2 // the caller's slice is not kept
	b, err := seal.NewMaster(bytes.Repeat([]byte{1}, seal.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	if !a.Equal(b) || a.Equal(seal.Master{}) {
		t.Error("Equal is wrong")
	}
	if _, err := (&seal.MemoryKey{}).MasterKey(); err == nil {
		t.Error("an empty memory key is a key")
	}
	c, err := seal.NewMemoryKey().MasterKey()
	if err != nil || c.Equal(a) {
		t.Errorf("memory key: %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	file := seal.KeyFile(filepath.Join(dir, "master.key"))
	first, err := file.MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	second, err := file.MasterKey()
	if err != nil || !first.Equal(second) {
		t.Errorf("second read: %v", err)
	}
	info, err := os.Stat(string(file))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
}

func TestKeyFileConcurrentStart(t *testing.T) {
	file := seal.KeyFile(filepath.Join(t.TempDir(), "master.key"))
	var wg sync.WaitGroup
	keys := make([]seal.Master, 8)
	for i := range keys {
		wg.Go(func() {
			m, err := file.MasterKey()
			if err != nil {
				t.Error(err)
			}
			keys[i] = m
		})
	}
	wg.Wait()
	for i := range keys {
		if !keys[i].Equal(keys[0]) {
			t.Error("two keys")
		}
	}
}

func TestKeyFileRefuses(t *testing.T) {
	good := make([]byte, seal.MasterSize)
	write := func(t *testing.T, path string, b []byte, mode fs.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, b, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		unix  bool
		setUp func(t *testing.T, path string)
		want  error
	}{
		{"readable by group", true, func(t *testing.T, p string) { write(t, p, good, 0o640) }, seal.ErrKeyFileOpen},
		{"readable by all", true, func(t *testing.T, p string) { write(t, p, good, 0o644) }, seal.ErrKeyFileOpen},
		{"writable by all", true, func(t *testing.T, p string) { write(t, p, good, 0o602) }, seal.ErrKeyFileOpen},
		{"empty", false, func(t *testing.T, p string) { write(t, p, nil, 0o600) }, seal.ErrKeyFileInvalid},
		{"short", false, func(t *testing.T, p string) { write(t, p, good[1:], 0o600) }, seal.ErrKeyFileInvalid},
		{"long", false, func(t *testing.T, p string) { write(t, p, append(good, 0), 0o600) }, seal.ErrKeyFileInvalid},
		{"directory", false, func(t *testing.T, p string) {
			if err := os.Mkdir(p, 0o700); err != nil {
				t.Fatal(err)
			}
		}, seal.ErrKeyFileInvalid},
		{"link", true, func(t *testing.T, p string) {
			write(t, p+".target", good, 0o600)
			if err := os.Symlink(p+".target", p); err != nil {
				t.Fatal(err)
			}
		}, seal.ErrKeyFileInvalid},
		{"dangling link", true, func(t *testing.T, p string) {
			if err := os.Symlink(p+".target", p); err != nil {
				t.Fatal(err)
			}
		}, seal.ErrKeyFileInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.unix && runtime.GOOS == "windows" {
				t.Skip("permission bits and links of Unix")
			}
			path := filepath.Join(t.TempDir(), "master.key")
			tt.setUp(t, path)
			m, err := seal.KeyFile(path).MasterKey()
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if !m.Equal(seal.Master{}) {
				t.Error("a key and an error")
			}
		})
	}
	if _, err := seal.KeyFile(filepath.Join(t.TempDir(), "no", "master.key")).MasterKey(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, 1)
	f.Add(s.Seal("b", []byte("k"), []byte("value")))
	f.Add(s.Seal("b", []byte("k"), nil))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := s.Open("b", []byte("k"), sealed); err != nil && got != nil {
			t.Error("bytes and an error")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s, value := newSealer(b, 1), make([]byte, 5000)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		s.Seal("visits", []byte("12345678"), value)
	}
}
