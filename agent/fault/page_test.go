package fault_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/fault"
)

// TestPages: every code has its page, as the table says now, and no page is left of
// a code that is gone.
func TestPages(t *testing.T) {
	want := map[string]string{"README.md": fault.Index()}
	for _, i := range fault.All() {
		page := i.Page()
		want[filepath.Base(fault.PagePath(i.Code))] = page
		for _, part := range []string{i.Cause, i.Remedy, "## At the desk\n\n", "## The visit\n\n"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page of %s lacks %q", i.Code, part)
			}
		}
		if strings.Contains(page, "\n\n\n") || strings.HasSuffix(page, "\n\n") {
			t.Errorf("the page of %s has an empty part", i.Code)
		}
	}
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := want[filepath.Base(file)]; !ok {
			t.Errorf("%s is of no code: go generate ./agent/fault", file)
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join("docs", name))
		if err != nil || string(got) != text {
			t.Errorf("%s is not as the table says (%v): go generate ./agent/fault", name, err)
		}
	}
}
