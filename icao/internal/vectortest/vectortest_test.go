package vectortest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// spy is a testing.TB that notes how a test would have ended.
type spy struct {
	testing.TB
	end string
}

func (s *spy) Helper() {}
func (s *spy) Skipf(format string, a ...any) {
	s.end = "skipped: " + fmt.Sprintf(format, a...)
	runtime.Goexit()
}

func (s *spy) Fatalf(format string, a ...any) {
	s.end = "failed: " + fmt.Sprintf(format, a...)
	runtime.Goexit()
}

// ending runs f as a test of its own and returns how it ended.
func ending(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	s := &spy{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(s)
	}()
	<-done
	return s.end
}

func TestPath(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "some.json")
	if err := os.WriteFile(want, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CHAMTHE_VECTORS", dir)
	if got := vectortest.Path(t, "some.json"); got != want {
		t.Errorf("Path = %s, want %s", got, want)
	}
	for ci, want := range map[string]string{
		"":     "skipped: test vectors other.json not found; set CHAMTHE_VECTORS to their folder",
		"true": "failed: test vectors other.json not found, and CI=true; set CHAMTHE_VECTORS to their folder",
	} {
		t.Setenv("CI", ci)
		if got := ending(t, func(tb testing.TB) { vectortest.Path(tb, "other.json") }); got != want {
			t.Errorf("CI=%q: %q, want %q", ci, got, want)
		}
	}
}

func TestJSONFailsOnNothing(t *testing.T) {
	for _, content := range []string{"", "[]", "{}", "not json"} {
		path := filepath.Join(t.TempDir(), "v.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var v any
		if got := ending(t, func(tb testing.TB) { vectortest.JSON(tb, path, &v) }); got == "" {
			t.Errorf("%q: the test goes on", content)
		}
	}
}

func TestHexFailsOnOtherText(t *testing.T) {
	if got := ending(t, func(tb testing.TB) { vectortest.Hex(tb, "0g") }); got == "" {
		t.Error("the test goes on")
	}
	if got := vectortest.Hex(t, "0aFF"); got[0] != 0x0A || got[1] != 0xFF {
		t.Errorf("Hex = %x", got)
	}
}
