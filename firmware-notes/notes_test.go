package firmwarenotes_test

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	firmwarenotes "github.com/chamthe/chamthe/firmware-notes"
	"github.com/chamthe/chamthe/reader"
)

// pages returns the text of all pages by name, without README.md.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	if err := fs.WalkDir(firmwarenotes.Pages(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "README.md" {
			return err
		}
		text, err := fs.ReadFile(firmwarenotes.Pages(), name)
		all[name] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(all) < 19 {
		t.Fatalf("%d pages: some are missing in the program", len(all))
	}
	return all
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := fs.ReadFile(firmwarenotes.Pages(), "README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryFileIsInTheProgram: what lies in the folder is what is embedded.
func TestEveryFileIsInTheProgram(t *testing.T) {
	if err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		_, err = fs.Stat(firmwarenotes.Pages(), name)
		return err
	}); err != nil {
		t.Error(err)
	}
	a, b := firmwarenotes.YAML(), firmwarenotes.YAML()
	a[0]++
	if onDisk, err := os.ReadFile("quirks.yaml"); err != nil || string(b) != string(onDisk) {
		t.Errorf("YAML is not the file (%v), or a caller can change it", err)
	}
}

// statement is the first line of a statement: its mark, its date and its text.
var statement = regexp.MustCompile(`^- \*\*(measured|sourced|unconfirmed)\*\* \((\d{4}-\d{2}-\d{2})\): (.+)$`)

// link is a link in Markdown; where is its second group.
var link = regexp.MustCompile(`\[([^\]]+)\]\(([^()\s]*)\)`)

// problems returns what is wrong with the form of a page.
func problems(name, text string) (wrong []string) {
	bad := func(line int, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s:%d: ", name, line)+fmt.Sprintf(format, args...))
	}
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[0], "# ") {
		bad(1, "no title")
	}
	if len(lines) < 3 || !strings.HasPrefix(lines[2], "Looked at: ") {
		bad(3, "what was looked at?")
	}
	grounded := false
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(strings.TrimLeft(lines[i], " "), "- ") && !strings.HasPrefix(lines[i], "* ") {
			continue
		}
		at := i + 1
		m := statement.FindStringSubmatch(lines[i])
		if m == nil {
			bad(at, "a statement without mark and date: %q", lines[i])
			continue
		}
		if day, err := time.Parse(time.DateOnly, m[2]); err != nil || day.Year() < 2025 {
			bad(at, "no date: %s", m[2])
		}
		body := m[3]
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") && !strings.HasPrefix(strings.TrimLeft(lines[i+1], " "), "- ") {
			i++
			body += " " + strings.TrimSpace(lines[i])
		}
		external := slices.ContainsFunc(link.FindAllStringSubmatch(body, -1), func(l []string) bool { return strings.HasPrefix(l[2], "http") })
		if m[1] == "sourced" && !external {
			bad(at, "a source without a link")
		}
		grounded = grounded || m[1] != "unconfirmed"
	}
	if !grounded {
		bad(1, "neither a source nor a measurement")
	}
	return wrong
}

func TestEveryStatementSaysHowItIsKnown(t *testing.T) {
	for name, text := range pages(t) {
		for _, p := range problems(name, text) {
			t.Error(p)
		}
	}
}

// TestBadPagesAreFound: the check above finds what it is there for.
func TestBadPagesAreFound(t *testing.T) {
	const head = "# Title\n\nLooked at: nothing.\n\n"
	const good = "- **sourced** (2026-11-22): it is so\n  ([there](https://example.org/x)).\n"
	for _, tt := range []struct{ name, text, want string }{
		{"good", head + good, ""},
		{"no title", "Title\n\nLooked at: nothing.\n\n" + good, "no title"},
		{"not looked at", "# Title\n\n" + good, "what was looked at"},
		{"no mark", head + good + "- it is so\n", "without mark"},
		{"no mark, deeper", head + good + "  - it is so\n", "without mark"},
		{"other mark", head + good + "- **guessed** (2026-11-22): it is so\n", "without mark"},
		{"no date", head + good + "- **sourced**: it is so ([x](https://example.org/))\n", "without mark"},
		{"impossible date", head + "- **sourced** (2026-02-30): it is so ([x](https://example.org/))\n", "no date"},
		{"no link", head + "- **sourced** (2026-11-22): it is so\n", "without a link"},
		{"a page is no source", head + "- **sourced** (2026-11-22): it is so ([x](../os/pcscd.md))\n", "without a link"},
		{"all unconfirmed", head + "- **unconfirmed** (2026-11-22): it is so\n", "neither a source"},
	} {
		got := strings.Join(problems("p", tt.text), "; ")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	all["README.md"] = readme(t)
	for name, text := range all {
		if n, m := strings.Count(text, "]("), len(link.FindAllString(text, -1)); n != m {
			t.Errorf("%s: %d links, of which %d can be read", name, n, m)
		}
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(l[2])
			switch {
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case u.Scheme == "https" || u.Scheme == "http":
				if !strings.Contains(u.Host, ".") {
					t.Errorf("%s: %s has no host", name, l[2])
				}
			case u.Scheme != "":
				t.Errorf("%s: %s is no address", name, l[2])
			default:
				if _, err := fs.Stat(firmwarenotes.Pages(), path.Join(path.Dir(name), u.Path)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestReadmeListsEveryPage(t *testing.T) {
	text := readme(t)
	for name := range pages(t) {
		if !strings.Contains(text, "]("+name+")") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

// TestQuirksStandInTheirPages: a quirk says nothing that its page does not.
func TestQuirksStandInTheirPages(t *testing.T) {
	all := pages(t)
	for _, q := range reader.Quirks() {
		text, ok := all[q.Page]
		if !ok {
			t.Errorf("%s: no page %s", q.ID, q.Page)
			continue
		}
		says := func(what, value string) {
			if !strings.Contains(text, value) {
				t.Errorf("%s: %s %s is not in %s", q.ID, what, value, q.Page)
			}
		}
		for _, id := range q.USB {
			says("USB id", fmt.Sprintf("%04X:%04X", id.Vendor, id.Product))
		}
		if q.Kind != reader.KindUnknown {
			says("kind", q.Kind.String())
		}
		if q.MaxExtended != 0 {
			says("max_extended", strconv.Itoa(q.MaxExtended))
		}
		switch q.Extended {
		case reader.ExtendedSafe:
			says("a measurement for extended: safe,", "- **measured**")
		case reader.ExtendedUnsafe:
			says("extended", "unsafe")
		}
		for _, d := range []time.Duration{q.DelayAfterReset, q.DelayBetween} {
			if d != 0 {
				says("pause", d.String())
			}
		}
		for _, e := range q.Escape {
			says("escape command", strings.ToUpper(hex.EncodeToString(e.Command)))
		}
		if q.Driver != "" {
			says("driver", q.Driver)
		}
	}
}

// TestCodeCitesPagesThatExist: a comment that names a note names one that is
// there.
func TestCodeCitesPagesThatExist(t *testing.T) {
	cited := regexp.MustCompile(`firmware-notes/([a-z0-9-]+/[a-z0-9-]+\.md)`)
	files, found := 0, 0
	if err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != ".." || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			if os.IsNotExist(err) { // an editor's
				return nil
			}
			return err
		}
		files++
		for _, m := range cited.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := fs.Stat(firmwarenotes.Pages(), m[1]); err != nil {
				t.Errorf("%s cites firmware-notes/%s, which is not there", name, m[1])
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if files < 100 || found == 0 {
		t.Fatalf("looked at %d files with %d citations: not at the repository", files, found)
	}
}
