// Package vectortest finds and reads published test vectors. It is for tests
// only.
package vectortest

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Path returns the path of a vector file (or folder) that may not be copied
// into this repository, such as "aa-examples.json". It looks in the folder
// that CHAMTHE_VECTORS names, else in ../shared/vectors beside the project's
// root. When the file is absent the test is skipped and says which file it
// missed; when CI is "true" the test fails instead.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("CHAMTHE_VECTORS")
	if dir == "" {
		dir = filepath.Join(Root(t), "..", "shared", "vectors")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("test vectors %s not found, and CI=true; set CHAMTHE_VECTORS to their folder", name)
		}
		t.Skipf("test vectors %s not found; set CHAMTHE_VECTORS to their folder", name)
	}
	return path
}

// Root returns the project's root: the nearest folder above the test's that
// holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}

// JSON reads the file at path, relative to the test's folder or absolute, into
// v. A file that is missing, malformed or empty of content fails the test.
func JSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); s == "" || s == "[]" || s == "{}" {
		t.Fatalf("%s holds no vectors", path)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Hex decodes a string of hexadecimal digits, or fails the test.
func Hex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("not hexadecimal (%d characters): %v", len(s), err)
	}
	return b
}
