package conformitytest

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
)

// A body builds the documents of one case and has them inspected.
type body func(b *bench)

// bodies are the cases that can be run, by their identifier in the table.
var bodies = map[string]body{}

// add adds the bodies of a unit.
func add(unit map[string]body) struct{} {
	maps.Copy(bodies, unit)
	return struct{}{}
}

// A row is one case of the table.
type row struct {
	id     string
	accept bool   // whether the strict policy has to accept the document
	basis  string // where the outcome is from, see testdata/README.md
	title  string
}

func readTable(t *testing.T) []row {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "cases.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		field := strings.Split(s.Text(), "\t")
		if len(field) != 4 || field[1] != "accept" && field[1] != "refuse" || field[3] == "" {
			t.Fatalf("malformed line %q", s.Text())
		}
		if !slices.Contains([]string{"text", "standard", "open"}, field[2]) {
			t.Fatalf("%s: unknown basis %q", field[0], field[2])
		}
		rows = append(rows, row{field[0], field[1] == "accept", field[2], field[3]})
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// applicable is the number of cases that apply: the 338 of the guideline without
// terminal authentication, DG3, DG4 and EF.CVCA.
const applicable = 268

// TestConformity runs every case of the table, and prints one line that says how
// many passed, failed, and cannot be run, with the identifiers of the latter two.
func TestConformity(t *testing.T) {
	rows := readTable(t)
	var mu sync.Mutex
	outcome := make(map[string]string)
	t.Run("cases", func(t *testing.T) {
		for _, r := range rows {
			run := bodies[r.id]
			if run == nil {
				outcome[r.id] = "not implemented"
				continue
			}
			t.Run(r.id, func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					mu.Lock()
					defer mu.Unlock()
					outcome[r.id] = "passed"
					if t.Failed() {
						outcome[r.id] = "failed"
					}
				})
				b := &bench{T: t, row: r}
				run(b)
				if b.inspections == 0 || b.exchanges == 0 {
					t.Error("nothing was inspected")
				}
			})
		}
	})
	ids := make(map[string][]string)
	for _, r := range rows {
		if what := outcome[r.id]; what != "" { // a filter may leave cases out
			ids[what] = append(ids[what], r.id)
		}
	}
	line := fmt.Sprintf("%d passed, %d failed, %d not implemented", len(ids["passed"]), len(ids["failed"]), len(ids["not implemented"]))
	if more := slices.Concat(ids["failed"], ids["not implemented"]); len(more) > 0 {
		line += ": " + strings.Join(more, " ")
	}
	fmt.Println(line)
	if n := len(ids["not implemented"]); n > 0 {
		t.Errorf("%d cases are not implemented", n)
	}
}

// TestConformityTable: every case is there once, and every body has one.
func TestConformityTable(t *testing.T) {
	known := make(map[string]bool)
	for _, r := range readTable(t) {
		if known[r.id] {
			t.Errorf("%s is there twice", r.id)
		}
		known[r.id] = true
	}
	for id := range bodies {
		if !known[id] {
			t.Errorf("%s is not in the table", id)
		}
	}
	if len(known) != applicable {
		t.Errorf("%d cases, want %d", len(known), applicable)
	}
}

// notApplicable begin the cases of what is not here: terminal authentication, DG3,
// DG4 and EF.CVCA.
var notApplicable = []string{"ISO7816_E_", "LDS_D_", "LDS_E_", "LDS_G_"}

// TestConformityList compares the table with the guideline's list, which lies beside
// the test vectors: no case that applies may be missing, nor have another outcome.
func TestConformityList(t *testing.T) {
	f, err := os.Open(vectortest.Path(t, "../conformity/tr-03105-5-1.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known := make(map[string]row)
	for _, r := range readTable(t) {
		known[r.id] = r
	}
	s := bufio.NewScanner(f)
	s.Scan() // the names of the columns
	n := 0
	for s.Scan() {
		field := strings.Split(s.Text(), "\t")
		if len(field) < 5 {
			t.Fatalf("malformed line %q", s.Text())
		}
		id, verdict := field[0], field[4]
		if slices.ContainsFunc(notApplicable, func(p string) bool { return strings.HasPrefix(id, p) }) {
			continue
		}
		n++
		if r, ok := known[id]; !ok {
			t.Errorf("%s is missing", id)
		} else if verdict == "pass" && !r.accept || verdict == "fail" && r.accept {
			t.Errorf("%s: the guideline says %s", id, verdict)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if n != applicable {
		t.Errorf("the list has %d cases that apply, want %d", n, applicable)
	}
}

// A bench runs one case.
type bench struct {
	*testing.T
	row         row
	inspections int
	exchanges   int
}

// build makes a document of a variant.
func (b *bench) build(v chip.Variant) *document { b.Helper(); return build(b.T, v) }

// A finding is what has to be in a report.
type finding struct {
	id     inspect.ID
	value  result.Value
	reason result.Reason
	// algorithm has to be part of the check's, if it is not empty.
	algorithm string
}

// passed is a check that was successful, with an algorithm.
func passed(id inspect.ID, algorithm string) finding {
	return finding{id: id, value: result.Successful, algorithm: algorithm}
}

// failed is a check that failed for a reason.
func failed(id inspect.ID, why result.Reason) finding {
	return finding{id: id, value: result.Failed, reason: why}
}

// undetermined is a check that could not tell, for a reason.
func undetermined(id inspect.ID, why result.Reason) finding {
	return finding{id: id, value: result.Undetermined, reason: why}
}

// A why says for what reason a document is refused.
type why struct {
	// step and err are where the inspection ended early, and how.
	step inspect.Step
	err  error
	// check is what was found. Unless the inspection ended early or the document
	// only deviates, it is required.
	check finding
	// deviation is part of one of the report's. Without check, the document is
	// genuine and does not conform.
	deviation string
	// desk says that a desk accepts the document all the same.
	desk bool
}

// deviates is the reason of a document that a desk tolerates.
func deviates(deviation string) why { return why{deviation: deviation, desk: true} }

// accepts has a document inspected, which has to be accepted by both policies, with
// these findings in the report.
func (b *bench) accepts(d *document, want ...finding) {
	b.Helper()
	if !b.row.accept {
		b.Fatalf("the table has this case refused")
	}
	r, err := b.inspect(d, true)
	if err != nil {
		b.Errorf("strict: ended early: %v", err)
	}
	if err := r.StrictErr(); err != nil {
		b.Errorf("strict: %v; deviations %q", err, r.Deviations)
	}
	for _, f := range want {
		b.want(r, f)
	}
	r, err = b.inspect(d, false)
	if got := deskAccepts(r, err); got == d.foreign {
		b.Errorf("desk: accepted is %v, want %v (%v, %v)", got, !d.foreign, err, deskErr(r))
	}
}

// refuses has a document inspected, which the strict policy has to refuse for the
// given reason.
func (b *bench) refuses(d *document, w why) {
	b.Helper()
	if b.row.accept {
		b.Fatalf("the table has this case accepted")
	}
	r, err := b.inspect(d, true)
	if err == nil && r.StrictErr() == nil {
		b.Errorf("strict: accepted; deviations %q", r.Deviations)
	}
	if !errors.Is(err, w.err) || err != nil && w.err == nil {
		b.Errorf("strict: ended early with %v, want %v", err, w.err)
	}
	var e *inspect.StepError
	if errors.As(err, &e) && e.Step != w.step {
		b.Errorf("strict: ended in %s, want %s", e.Step, w.step)
	}
	if w.check.id != "" {
		b.want(r, w.check)
	}
	if w.deviation != "" && !slices.ContainsFunc(r.Deviations, func(d string) bool { return strings.Contains(d, w.deviation) }) {
		b.Errorf("strict: no deviation %q in %q", w.deviation, r.Deviations)
	}
	if w.check.id == "" && w.err == nil {
		b.want(r, failed(inspect.Conformity, inspect.ReasonNonconforming))
	}
	if w.desk { // it is for the deviation, and for nothing else, that it was refused
		for _, c := range r.Checks() {
			if c.Value == result.Failed && c.ID != inspect.Conformity && c.ID != inspect.COMConsistency {
				b.Errorf("strict: %s failed: %s", c.ID, c.Reason)
			}
		}
	}
	r, err = b.inspect(d, false)
	if got := deskAccepts(r, err); got != w.desk {
		b.Errorf("desk: accepted is %v, want %v (%v, %v)", got, w.desk, err, deskErr(r))
	}
}

func (b *bench) want(r *inspect.Report, f finding) {
	b.Helper()
	c := r.Check(f.id)
	if c.Value != f.value || c.Reason != f.reason || !strings.Contains(c.Algorithm, f.algorithm) {
		b.Errorf("%s: got %v %q %q, want %v %q %q", f.id, c.Value, c.Reason, c.Algorithm, f.value, f.reason, f.algorithm)
	}
}

// inspect inspects a document with a new chip, under the strict policy or as a
// desk does.
func (b *bench) inspect(d *document, strict bool) (*inspect.Report, error) {
	b.Helper()
	zone, err := mrz.Parse(strings.Join(d.printed, "\n"))
	if err != nil {
		b.Fatal(err)
	}
	access := inspect.Access{Zone: &zone}
	if d.can {
		access.CAN = d.CAN
	} else {
		key, err := zone.Key()
		if err != nil {
			b.Fatal(err)
		}
		access.Keys = []mrz.Key{key}
	}
	card, err := d.Chip()
	if err != nil {
		b.Fatal(err)
	}
	cfg := &inspect.Config{At: at, Trust: d.pool, Photo: true, All: strict, Strict: strict, MaxNe: d.maxNe}
	// The chip is no [inspect.Resetter]: a channel that is lost is lost.
	r, err := inspect.Run(b.Context(), card, access, cfg)
	b.inspections++
	b.exchanges += card.Exchanges()
	if r.Exchanges == 0 || card.Exchanges() == 0 {
		b.Error("no command was sent")
	}
	return r, err
}

// deskErr is what keeps a desk from accepting a document: what it has to prove, and
// any proof that failed. It is the default of the agent's policy, which this package
// may not know.
func deskErr(r *inspect.Report) error {
	if err := r.Err(append(inspect.GenuineIDs(), inspect.PassiveAuthentication, inspect.DG2Integrity, inspect.DocumentValidity)...); err != nil {
		return err
	}
	for _, id := range inspect.IDs() {
		if c := r.Check(id); c.Value == result.Failed || c.Value == result.Aborted {
			return &inspect.CheckError{ID: id, Check: c}
		}
	}
	if c := r.Check(inspect.ChipAuthenticity); c.Value == result.Undetermined {
		return &inspect.CheckError{ID: inspect.ChipAuthenticity, Check: c}
	}
	return nil
}

func deskAccepts(r *inspect.Report, err error) bool { return err == nil && deskErr(r) == nil }
