package arch

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree is the module as its sources say.
type tree struct {
	module string
	// imports maps each folder with Go files that are not tests to what they
	// import. Folders of this module begin with "./"; other packages are import
	// paths.
	imports map[string][]string
	// folders are those and what lies above them.
	folders map[string]bool
	// impure lists what is against the rules for icao inside its functions.
	impure []string
}

// load reads the sources under root.
func load(root string) (*tree, error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	module, ok := strings.CutPrefix(strings.TrimSpace(first), "module ")
	if !ok {
		return nil, errors.New("arch: go.mod does not begin with the module's name")
	}
	tr := &tree{module: module, imports: map[string][]string{}, folders: map[string]bool{}}
	err = filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if e.IsDir() {
			name := e.Name()
			if rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || rel == "bin" || rel == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		return tr.add(file, rel)
	})
	return tr, err
}

// add reads one file.
func (tr *tree) add(file, rel string) error {
	folder := inModule(path.Dir(rel))
	mode := parser.ImportsOnly | parser.ParseComments
	pure := match("./icao/...", folder) && !match(testHelpers, folder)
	if pure {
		mode = parser.SkipObjectResolution | parser.ParseComments
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, mode)
	if err != nil {
		return err
	}
	if neverBuilt(f) {
		return nil
	}
	if _, ok := tr.imports[folder]; !ok {
		tr.imports[folder] = nil
		for above := path.Dir(rel); ; above = path.Dir(above) {
			tr.folders[inModule(above)] = true
			if above == "." {
				break
			}
		}
	}
	clock := ""
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		if p == "time" {
			clock = "time"
			if spec.Name != nil {
				clock = spec.Name.Name
			}
		}
		if own, ok := strings.CutPrefix(p+"/", tr.module+"/"); ok {
			p = inModule(strings.TrimSuffix(own, "/"))
		}
		if !slices.Contains(tr.imports[folder], p) {
			tr.imports[folder] = append(tr.imports[folder], p)
		}
	}
	if pure {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				tr.impure = append(tr.impure, fmt.Sprintf("%s:%d starts a goroutine", rel, fset.Position(n.Pos()).Line))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains(clocks, n.Sel.Name) {
					tr.impure = append(tr.impure, fmt.Sprintf("%s:%d uses the clock: time.%s", rel, fset.Position(n.Pos()).Line, n.Sel.Name))
				}
			}
			return true
		})
	}
	return nil
}

// inModule marks a folder of this module, as the go command does: "./sync" is
// ours and "sync" is not.
func inModule(folder string) string {
	if folder == "" || folder == "." {
		return "."
	}
	return "./" + folder
}

// neverBuilt reports whether the file is a tool for go run: //go:build ignore.
// Every other constraint is ignored, so each file counts.
func neverBuilt(f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			if x, err := constraint.Parse(c.Text); err == nil {
				tag, ok := x.(*constraint.TagExpr)
				return ok && tag.Tag == "ignore"
			}
		}
	}
	return false
}

// match reports whether the folder or import path p fits the pattern.
func match(pattern, p string) bool {
	if pattern == testHelpers {
		return strings.HasSuffix(path.Base(p), "test")
	}
	below, deep := strings.CutSuffix(pattern, "...")
	if !deep {
		return p == pattern
	}
	below = strings.TrimSuffix(below, "/")
	return p == below || strings.HasPrefix(p, below+"/")
}

func matchAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, p) })
}

// violations checks the rules and returns a line for each breach, with the
// way from the package to what it may not reach.
func (tr *tree) violations(rules []rule) []string {
	var found []string
	for _, folder := range sorted(tr.imports) {
		for _, r := range rules {
			if !matchAny(r.packages, folder) || matchAny(r.except, folder) {
				continue
			}
			ways := tr.reach(folder, r.never)
			if r.direct {
				ways = slices.DeleteFunc(ways, func(way []string) bool { return len(way) > 2 })
			}
			for _, way := range ways {
				found = append(found, fmt.Sprintf("%s (%s)", strings.Join(way, " -> "), r.why))
			}
		}
	}
	return found
}

// reach returns the shortest way from folder to each import that fits one of
// the patterns.
func (tr *tree) reach(folder string, never []string) (ways [][]string) {
	from := map[string]string{folder: ""}
	for queue := []string{folder}; len(queue) > 0; queue = queue[1:] {
		for _, next := range tr.imports[queue[0]] {
			if _, seen := from[next]; seen {
				continue
			}
			from[next] = queue[0]
			if matchAny(never, next) {
				var way []string
				for p := next; p != ""; p = from[p] {
					way = append(way, p)
				}
				slices.Reverse(way)
				ways = append(ways, way)
				continue // what lies behind is its own matter
			}
			if _, own := tr.imports[next]; own {
				queue = append(queue, next)
			}
		}
	}
	return ways
}

// missing returns what the rules name and the tree lacks, and what toCome
// names although it has come.
func (tr *tree) missing(rules []rule, toCome []string) []string {
	var found []string
	named := map[string]bool{}
	for _, r := range rules {
		for _, pattern := range slices.Concat(r.packages, r.except, r.never) {
			if strings.HasPrefix(pattern, "./") {
				named[strings.TrimSuffix(strings.TrimSuffix(pattern, "..."), "/")] = true
			}
		}
	}
	for _, p := range sorted(named) {
		if !tr.folders[p] && !slices.Contains(toCome, p) {
			found = append(found, fmt.Sprintf("%s is named by a rule and does not exist: was it renamed?", p))
		}
	}
	for _, p := range toCome {
		switch {
		case tr.folders[p]:
			found = append(found, fmt.Sprintf("%s exists now: delete its line from toCome in rules_test.go", p))
		case !named[p]:
			found = append(found, fmt.Sprintf("%s is in toCome, but no rule names it", p))
		}
	}
	return found
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// root finds the module from this package's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhoMayKnowWhom(t *testing.T) {
	tr, err := load(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range tr.violations(rules) {
		t.Error(v)
	}
	for _, v := range tr.missing(rules, toCome) {
		t.Error(v)
	}
}

func TestCoreIsPure(t *testing.T) {
	tr, err := load(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range tr.impure {
		t.Error(v)
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") && name != "bin" && name != "dist" && !slices.Contains(topLevel, name) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
	tr, err := load(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range noGoFiles {
		if _, ok := tr.imports[folder]; ok {
			t.Errorf("%s holds Go files: it groups packages only", folder)
		}
	}
}

// TestCatchesViolations plants breaches in a tree of its own and sees each of
// them, and nothing else, caught.
func TestCatchesViolations(t *testing.T) {
	clean := map[string]string{
		"go.mod":                  "module example.org/m\n\ngo 1.26\n",
		"icao/tlv/tlv.go":         "package tlv\n\nimport (\n\t\"errors\"\n\t_ \"sync/atomic\"\n)\n\nvar Err = errors.New(\"x\")\n",
		"icao/sm/sm.go":           "package sm\n\nimport _ \"example.org/m/icao/tlv\"\n",
		"icao/lds/lds.go":         "package lds\n\nimport _ \"example.org/m/icao/tlv\"\n",
		"icao/chip/chip.go":       "package chip\n\nimport _ \"example.org/m/icao/tlv\"\n",
		"icao/tlv/tlv_test.go":    "package tlv\n\nimport (\n\t_ \"os\"\n\t_ \"testing\"\n)\n",
		"icao/tlvtest/t.go":       "package tlvtest\n\nimport _ \"testing\"\n",
		"reader/reader.go":        "package reader\n\nimport _ \"example.org/m/firmware-notes\"\n",
		"firmware-notes/notes.go": "package firmwarenotes\n",
		"sync/outbox/outbox.go":   "package outbox\n\nimport _ \"go.etcd.io/bbolt\"\n",
		"sync/central/central.go": "package central\n\nimport _ \"example.org/m/icao/tlv\"\n",
		"agent/wire/wire.go":      "package wire\n\nimport _ \"encoding/json\"\n",
		"agent/cli/cli.go":        "package cli\n\nimport (\n\t_ \"example.org/m/agent/wire\"\n\t_ \"example.org/m/icao/sm\"\n)\n",
		"ui/model/model.go":       "package model\n\nimport _ \"example.org/m/agent/wire\"\n",
	}
	for _, tt := range []struct {
		name string
		file string
		text string
		want string // the way in the violation; empty: none
	}{
		{"nothing", "icao/tlv/more.go", "package tlv\n\nimport _ \"math/big\"\n", ""},
		{"direct", "icao/tlv/more.go", "package tlv\n\nimport _ \"os\"\n", "./icao/tlv -> os"},
		{"below a forbidden package", "icao/tlv/more.go", "package tlv\n\nimport _ \"net/netip\"\n", "./icao/tlv -> net/netip"},
		{"name alone is no path", "icao/tlv/more.go", "package tlv\n\nimport _ \"osx/thing\"\n", ""},
		{"other system", "icao/tlv/more_windows.go", "package tlv\n\nimport _ \"unsafe\"\n", "./icao/tlv -> unsafe"},
		{"build tag", "icao/tlv/more.go", "//go:build plan9 && !cgo\n\npackage tlv\n\nimport _ \"log/slog\"\n", "./icao/tlv -> log/slog"},
		{"cgo", "icao/tlv/more.go", "package tlv\n\nimport \"C\"\n", "./icao/tlv -> C"},
		{"tool that is never built in", "icao/tlv/gen.go", "//go:build ignore\n\npackage main\n\nimport _ \"os\"\n", ""},
		{"renamed import", "icao/tlv/more.go", "package tlv\n\nimport l \"log\"\n\nvar _ = l.Println\n", "./icao/tlv -> log"},
		{"through ours", "icao/tlv/more.go", "package tlv\n\nimport _ \"example.org/m/icao/lds\"\n", "./icao/sm -> ./icao/tlv -> ./icao/lds"},
		{"card side", "icao/chip/more.go", "package chip\n\nimport _ \"example.org/m/icao/sm\"\n", "./icao/chip -> ./icao/sm"},
		{"reader knows a protocol", "reader/more.go", "package reader\n\nimport _ \"example.org/m/icao/tlv\"\n", "./reader -> ./icao/tlv"},
		{"sync knows a card", "sync/outbox/more.go", "package outbox\n\nimport _ \"example.org/m/sync/central\"\n", "./sync/outbox -> ./sync/central -> ./icao/tlv"},
		{"central knows a reader", "sync/central/more.go", "package central\n\nimport _ \"example.org/m/reader\"\n", "./sync/central -> ./reader"},
		{"desk knows the store", "ui/model/more.go", "package model\n\nimport _ \"go.etcd.io/bbolt\"\n", "./ui/model -> go.etcd.io/bbolt"},
		{"model knows the screen", "ui/model/more.go", "package model\n\nimport _ \"fyne.io/fyne/v2/widget\"\n", "./ui/model -> fyne.io/fyne/v2/widget"},
		{"client library grows", "agent/wire/more.go", "package wire\n\nimport _ \"example.org/m/reader\"\n", "./agent/wire -> ./reader"},
		{"notes past the reader", "agent/cli/more.go", "package cli\n\nimport _ \"example.org/m/firmware-notes\"\n", "./agent/cli -> ./firmware-notes"},
		{"notes through the reader", "agent/cli/more.go", "package cli\n\nimport _ \"example.org/m/reader\"\n", ""},
		{"reader that knows the agent", "reader/virtual/more.go", "package virtual\n\nimport _ \"example.org/m/agent/wire\"\n", "./reader/virtual -> ./agent/wire"},
		{"testing in production", "agent/cli/more.go", "package cli\n\nimport _ \"example.org/m/icao/tlvtest\"\n", "./agent/cli -> ./icao/tlvtest -> testing"},
		{"x509", "icao/lds/more.go", "package lds\n\nimport _ \"crypto/x509/pkix\"\n", "./icao/lds -> crypto/x509/pkix"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, clean)
			write(t, dir, map[string]string{tt.file: tt.text})
			tr, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := tr.violations(rules)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("violations where there is none: %q", got)
			}
			if tt.want != "" && !slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, tt.want+" (") }) {
				t.Errorf("violations %q, want one with %q", got, tt.want)
			}
			if len(tr.impure) > 0 {
				t.Errorf("impure: %q", tr.impure)
			}
		})
	}
}

func TestCatchesImpurity(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
	}{
		{"clock", "package tlv\n\nimport \"time\"\n\nvar T = time.Now()\n", "uses the clock: time.Now"},
		{"renamed clock", "package tlv\n\nimport c \"time\"\n\nvar T = c.Now\n", "uses the clock: time.Now"},
		{"goroutine", "package tlv\n\nfunc F() { go F() }\n", "starts a goroutine"},
		{"time as a value", "package tlv\n\nimport \"time\"\n\nfunc F(at time.Time) time.Duration { return at.Sub(at) + time.Second }\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{"go.mod": "module example.org/m\n", "icao/tlv/tlv.go": tt.text})
			tr, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.want == "" && len(tr.impure) > 0:
				t.Errorf("found %q in pure code", tr.impure)
			case tt.want != "" && (len(tr.impure) != 1 || !strings.HasSuffix(tr.impure[0], tt.want)):
				t.Errorf("found %q, want %q", tr.impure, tt.want)
			}
		})
	}
}

func TestCatchesMissingFolders(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"go.mod": "module example.org/m\n", "icao/sm/sm.go": "package sm\n"})
	tr, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	some := []rule{{packages: []string{"./icao/sm", "./icao/bac", "./ui/..."}, never: []string{"./icao/lds", "os/..."}}}
	for _, tt := range []struct {
		name   string
		toCome []string
		want   []string
	}{
		{"all announced", []string{"./icao/bac", "./icao/lds", "./ui"}, nil},
		{"renamed", []string{"./icao/bac", "./ui"}, []string{"./icao/lds is named by a rule and does not exist"}},
		{"arrived", []string{"./icao/bac", "./icao/lds", "./icao/sm", "./ui"}, []string{"./icao/sm exists now"}},
		{"forgotten", []string{"./icao/bac", "./icao/lds", "./icao/vn", "./ui"}, []string{"./icao/vn is in toCome, but no rule names it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tr.missing(some, tt.toCome)
			ok := slices.EqualFunc(got, tt.want, strings.HasPrefix)
			if !ok {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
