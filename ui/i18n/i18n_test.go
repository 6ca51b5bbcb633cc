package i18n_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/ui/i18n"
)

// TestFaults wants words in both languages for every code of the agent.
func TestFaults(t *testing.T) {
	for _, l := range i18n.Langs() {
		for _, f := range fault.All() {
			cause, remedy, ok := l.Fault(string(f.Code))
			if !ok || cause == "" || remedy == "" {
				t.Errorf("%v: no words for fault %q: %q, what to do %q", l, f.Code, f.Cause, f.Remedy)
			}
		}
	}
	if _, _, ok := i18n.English.Fault("of_tomorrow"); ok {
		t.Error("an unknown code has words")
	}
}

// TestChecks wants words for every check, and for every reason that any package of the
// core gives.
func TestChecks(t *testing.T) {
	for _, l := range i18n.Langs() {
		for _, id := range append(inspect.IDs(), inspect.OptionalIDs()...) {
			if l.Check(string(id)) == string(id) {
				t.Errorf("%v: no words for check %s", l, id)
			}
		}
		for _, r := range constants(t, "../../icao", regexp.MustCompile(`^result\.Reason$`)) {
			if why, _, ok := l.Reason(r); !ok || why == "" {
				t.Errorf("%v: no words for reason %s", l, r)
			}
		}
		for _, r := range constants(t, "../../sync/contract", regexp.MustCompile(`^Reason$`)) {
			if l.Rejection(r) == r {
				t.Errorf("%v: no words for the rejection %s", l, r)
			}
		}
		for _, s := range append(constants(t, "../../icao/inspect", regexp.MustCompile(`^Step$`)), "entitlement", "record") {
			if l.Step(s) == s {
				t.Errorf("%v: no words for step %s", l, s)
			}
		}
	}
}

// TestFindings wants a title for everything that the doctor looks at.
func TestFindings(t *testing.T) {
	ids := 0
	files, err := filepath.Glob("../../agent/doctor/*.go")
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`ID: "([a-z.]+)"`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range id.FindAllSubmatch(src, -1) {
			ids++
			if got := i18n.Vietnamese.Diagnosed(string(m[1]), "Reader x"); got == "Reader x" || got == "" {
				t.Errorf("no title for finding %s", m[1])
			}
		}
	}
	if ids < 10 {
		t.Errorf("only %d findings: were they renamed?", ids)
	}
}

// constants returns the values of all string constants of a type, by its name as
// written, under a folder: they are in no list that a program could ask for.
func constants(t *testing.T, dir string, typ *regexp.Regexp) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Type == nil || len(v.Values) != 1 || !typ.MatchString(source(v.Type)) {
				return true
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Error(err)
				}
				out = append(out, s)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 3 {
		t.Fatalf("%s: only %d constants: were they renamed?", dir, len(out))
	}
	return out
}

func source(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return source(e.X) + "." + e.Sel.Name
	}
	return ""
}

var verbs = regexp.MustCompile(`%[^%]`)

// TestWords compares the languages, and the list with what the desk's packages ask for.
func TestWords(t *testing.T) {
	used := literals(t, "..")
	for name, p := range i18n.Words() {
		vi, en := p[0], p[1]
		if vi == "" || en == "" {
			t.Errorf("%s: empty in one language", name)
		}
		if a, b := verbs.FindAllString(vi, -1), verbs.FindAllString(en, -1); strings.Join(a, "") != strings.Join(b, "") {
			t.Errorf("%s: verbs %v in Vietnamese, %v in English", name, a, b)
		}
		if !used[name] {
			t.Errorf("%s: nobody uses it", name)
		}
	}
	for name := range used {
		head, _, _ := strings.Cut(name, ".")
		if _, ok := i18n.Words()[name]; !ok && families[head] && strings.Contains(name, ".") {
			t.Errorf("%s: used, and not in the list", name)
		}
	}
}

// families are the first parts of names that are put together from two.
var families = map[string]bool{
	"act": true, "about": true, "agent": true, "ago": true, "caption": true, "client": true, "delivery": true, "field": true,
	"group": true, "hint": true, "insured": true, "link": true, "mismatch": true, "offline": true, "other": true, "pairing": true,
	"panel": true, "placeholder": true, "queue": true, "reader": true, "ready": true, "recorded": true, "rejected": true,
	"scan": true, "settings": true, "signin": true, "source": true, "strip": true, "today": true, "trust": true, "veil": true,
	"verdict": true, "warn": true,
}

// literals returns all string literals of the desk's sources that look like names, and
// what is made of those that end in a point.
func literals(t *testing.T, dir string) map[string]bool {
	t.Helper()
	name := regexp.MustCompile(`^[a-z][a-z-]*(\.[a-z0-9_-]+)*\.?$`)
	out := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Base(path) == "words.go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && name.MatchString(s) {
					out[s] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for word := range i18n.Words() {
		if i := strings.LastIndexByte(word, '.'); i > 0 && (out[word[:i+1]] || strings.HasPrefix(word, "mismatch.") && word[i+1] <= '9') {
			out[word] = true // made of a prefix and a value of the agent
		}
	}
	return out
}

func TestForms(t *testing.T) {
	vi, en := i18n.Vietnamese, i18n.English
	for _, tt := range []struct{ name, got, want string }{
		{"date", i18n.Date("1999-01-31"), "31/01/1999"},
		{"month", i18n.Date("1999-01"), "01/1999"},
		{"year", i18n.Date("1999"), "1999"},
		{"no date", i18n.Date("không thời hạn"), "không thời hạn"},
		{"empty date", i18n.Date(""), ""},
		{"number", i18n.Number("001099000001"), "001 099 000 001"},
		{"insurance card", i18n.Number("GD4010100000001"), "GD 4 01 0100000001"},
		{"insurance number", i18n.Number("0100000001"), "0100 000 001"},
		{"passport", i18n.Number("B1234567"), "B1234567"},
		{"marks are no digits", i18n.Number("ăăăăăă"), "ăăăăăă"},
		{"count", vi.Count(1234567), "1.234.567"},
		{"count in English", en.Count(1234567), "1,234,567"},
		{"small", vi.Count(999), "999"},
		{"negative", en.Count(-1000), "-1,000"},
		{"short name", i18n.ShortName("Nguyễn Văn Thử"), "NGUYỄN V. T."},
		{"short name with D", i18n.ShortName("ĐẶNG THỊ ÁNH"), "ĐẶNG T. Á."},
		{"short decomposed name", i18n.ShortName("Le\u0302 A\u0301nh"), "LE\u0302 A\u0301."},
		{"one word", i18n.ShortName("Testa"), "TESTA"},
		{"no name", i18n.ShortName(" "), ""},
		{"now", vi.Ago(3 * time.Second), "vừa xong"},
		{"before now", vi.Ago(-time.Hour), "vừa xong"},
		{"hours", en.Ago(3 * time.Hour), "3 h ago"},
		{"days", vi.Ago(72 * time.Hour), "3 ngày trước"},
		{"language", i18n.Parse("en-GB").String(), "en"},
		{"other language", i18n.Parse("fr").String(), "vi"},
		{"unknown word", vi.T("of.tomorrow"), "of.tomorrow"},
		{"unknown check", vi.Check("of_tomorrow"), "of_tomorrow"},
		{"sex", en.Sex("female"), "Female"},
		{"finding about a reader", vi.Diagnosed("readers.reader", "Reader ACR1252"), "Đầu đọc ACR1252"},
		{"unknown finding", vi.Diagnosed("of.tomorrow", "Title"), "Title"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	if got := i18n.Moment(now.Add(-time.Hour), now); got != "14:00" {
		t.Errorf("today: %q", got)
	}
	if got := i18n.Moment(now.AddDate(0, 0, -1), now); got != "15:00 01/03/2026" {
		t.Errorf("yesterday: %q", got)
	}
}
