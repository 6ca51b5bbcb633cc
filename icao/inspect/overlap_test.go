package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
)

// goroutines is what a program gives to [inspect.Config.Overlap], counted.
type goroutines struct {
	begun   int          // calls of overlap, on the goroutine of Run
	waited  int          // and of what it returned
	running atomic.Int32 // work that has not come to its end
}

func (g *goroutines) overlap(work func()) func() {
	g.begun++
	g.running.Add(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
		g.running.Add(-1)
	}()
	return func() {
		g.waited++
		<-done
	}
}

// wantJoined fails if work has outlived an inspection.
func (g *goroutines) wantJoined(t *testing.T) {
	t.Helper()
	if n := g.running.Load(); n != 0 || g.begun != g.waited {
		t.Errorf("%d pieces of work are not at their end; %d begun, %d waited for", n, g.begun, g.waited)
	}
}

// atTheLast has work done when it is waited for, and not a moment earlier.
func atTheLast(work func()) func() { return work }

// hooks are all ways to have work done, the one to compare with first.
func hooks() map[string]func() (func(work func()) func(), func(*testing.T)) {
	none := func(*testing.T) {}
	return map[string]func() (func(work func()) func(), func(*testing.T)){
		"at the last moment": func() (func(work func()) func(), func(*testing.T)) { return atTheLast, none },
		"in a goroutine": func() (func(work func()) func(), func(*testing.T)) {
			g := new(goroutines)
			return g.overlap, g.wantJoined
		},
	}
}

// outcome is everything that an inspection came to, in a form that can be compared.
type outcome struct {
	Err                       string
	Checks                    []inspect.Check
	Access                    string
	Key                       int
	Groups                    map[int]inspect.GroupState
	MRZ, DG13, Photo, Signer  string
	PhotoNote                 string
	COM, DG7, DG11, DG12      bool
	Deviations, Weak          []string
	Evidence                  [][]byte
	Exchanges, Sent, Received int
}

func outcomeOf(r *inspect.Report, err error) outcome {
	o := outcome{
		Err: fmt.Sprint(err), Checks: r.Checks(), Access: r.Access, Key: r.Key, Groups: r.Groups, PhotoNote: string(r.PhotoNote),
		COM: r.COM != nil, DG7: r.DG7 != nil, DG11: r.DG11 != nil, DG12: r.DG12 != nil,
		Deviations: r.Deviations, Weak: r.Weak, Exchanges: r.Exchanges, Sent: r.Sent, Received: r.Received,
		Evidence: [][]byte{r.Evidence.SOD, r.Evidence.DG1, r.Evidence.DG14, r.Evidence.DG15, r.Evidence.Challenge, r.Evidence.Signature},
	}
	if r.MRZ != nil {
		o.MRZ = r.MRZ.PrimaryIdentifier
	}
	if r.DG13 != nil {
		o.DG13 = r.DG13.Name
	}
	if r.Photo != nil {
		o.Photo = string(r.Photo.Data)
	}
	if r.Signer != nil {
		o.Signer = string(r.Signer.Raw)
	}
	return o
}

// document of a profile, which is the same in every run, tampered with in one way.
func fixed(t testing.TB, profile string, tamper chip.Tamper) *chip.Document {
	t.Helper()
	d, err := chip.Build(profile, chip.Options{At: at, Tamper: tamper, Keys: matrixKeys, Rand: stream("document")})
	if errors.Is(err, chip.ErrTamperNotApplicable) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// take inspects a document: the same exchanges every time, up to the one with the
// number lose, if that is not negative.
func take(t testing.TB, d *chip.Document, lose int, change func(*inspect.Config)) (*inspect.Report, error) {
	t.Helper()
	pers := *d.Personalisation
	pers.Rand = stream("chip")
	c, err := chip.New(&pers)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &inspect.Config{At: at, Trust: pool(t, d.CSCA), Rand: stream("terminal"), Photo: true, All: true, Strict: true, ProbeUncovered: true}
	if change != nil {
		change(cfg)
	}
	if lose >= 0 {
		return inspect.Run(t.Context(), &gone{c, lose, errLost}, access(t, d), cfg)
	}
	return inspect.Run(t.Context(), resettable{&terminal{chip: c}}, access(t, d), cfg)
}

// With work beside the exchanges, before them or at the last moment: every report
// is the same, of every profile in every condition.
func TestOverlapChangesNoReport(t *testing.T) {
	tampers := []chip.Tamper{chip.TamperNone}
	for _, k := range chip.Tampers() {
		tampers = append(tampers, k.Kind)
	}
	turn, seen := 0, map[chip.Tamper]int{}
	for _, p := range chip.Profiles() {
		for _, tamper := range tampers {
			if !long() && tamper != chip.TamperNone && seen[tamper]%3 != 0 {
				seen[tamper]++ // each with the first profile that has it, then with one of three
				continue
			}
			d := fixed(t, p.Name, tamper)
			if d == nil {
				continue
			}
			seen[tamper]++
			t.Run(p.Name+" "+string(tamper), func(t *testing.T) {
				want := outcomeOf(take(t, d, -1, nil))
				all := hooks()
				names := slices.Sorted(maps.Keys(all))
				if !long() {
					names = names[turn%len(names):][:1]
				}
				turn++
				for _, name := range names {
					overlap, joined := all[name]()
					got := outcomeOf(take(t, d, -1, func(c *inspect.Config) { c.Overlap = overlap }))
					joined(t)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s:\n%s", name, diff)
					}
				}
			})
		}
	}
}

// The same where the card goes away in the middle, at every exchange; and all work
// is at its end when the inspection is.
func TestOverlapIsJoinedWhereverTheReadEnds(t *testing.T) {
	for _, profile := range []string{chip.ProfileCCCD, chip.ProfilePassportPACECAM, chip.ProfilePassportFull} {
		t.Run(profile, func(t *testing.T) {
			d := fixed(t, profile, chip.TamperNone)
			small := thumbnailOnly(t, d)
			whole, err := take(t, small, -1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for n := range whole.Exchanges {
				want := outcomeOf(take(t, small, n, nil))
				for name, hook := range hooks() {
					overlap, joined := hook()
					got := outcomeOf(take(t, small, n, func(c *inspect.Config) { c.Overlap = overlap }))
					joined(t)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s, card gone at exchange %d:\n%s", name, n, diff)
					}
				}
			}
		})
	}
}

// thumbnailOnly cuts DG2 short, which spares exchanges; its hash is then wrong.
func thumbnailOnly(t *testing.T, d *chip.Document) *chip.Document {
	t.Helper()
	out, pers := *d, *d.Personalisation
	pers.Files = slices.Clone(pers.Files)
	for i, f := range pers.Files {
		if f.ID == 0x0102 {
			pers.Files[i].Content = append([]byte{0x75, 0x82, 0x02, 0x00}, make([]byte, 0x200)...)
		}
	}
	out.Personalisation = &pers
	return &out
}

// Exchanges go on while the signature is verified, and the text is shown when that
// is done and not earlier.
func TestOverlapIsBesideTheExchanges(t *testing.T) {
	for profile, want := range map[string]int{
		chip.ProfileCCCD:            1, // DG13 is read meanwhile
		chip.ProfilePassportPACECAM: 1, // DG14 is, while the mapping's proof is judged
	} {
		t.Run(profile, func(t *testing.T) {
			d := inspecttest.New(t, profile)
			term := &terminal{chip: d.Card(t)}
			var g goroutines
			beside := 0 // exchanges while work was not yet waited for
			term.answer = func(_, resp []byte) []byte {
				if g.begun > g.waited {
					beside++
				}
				return resp
			}
			shown := false
			r, err := inspect.Run(t.Context(), resettable{term}, d.Access(t), &inspect.Config{
				At: at, Trust: d.Pool(t), Photo: true, Overlap: g.overlap,
				Progress: func(e inspect.Event) {
					if e.Report != nil {
						shown = true
						if g.begun != g.waited || g.running.Load() != 0 || !e.Report.TextVerified() {
							t.Errorf("text shown, verified %t, with %d of %d pieces of work waited for", e.Report.TextVerified(), g.waited, g.begun)
						}
					}
				},
			})
			if err != nil || !r.TextVerified() || !shown {
				t.Fatalf("%v, %v", err, r.Err())
			}
			if beside < want {
				t.Errorf("%d exchanges beside work, want %d or more", beside, want)
			}
			g.wantJoined(t)
		})
	}
}

// A hook that forgets the work verifies nothing.
func TestOverlapWithoutWorkVerifiesNothing(t *testing.T) {
	for _, p := range chip.Profiles() {
		d := inspecttest.New(t, p.Name)
		r, err := inspect.Run(t.Context(), resettable{&terminal{chip: d.Card(t)}}, d.Access(t), &inspect.Config{
			At: at, Trust: d.Pool(t), Photo: true, All: true, Overlap: func(func()) func() { return func() {} },
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.TextVerified() || r.Err() == nil || r.Photo != nil || r.Check(inspect.SODSignature).Value == ok || r.Check(inspect.PassiveAuthentication).Value == ok {
			t.Errorf("%s: something is verified", p.Name)
		}
	}
}

// slow is a chip behind a reader: an exchange takes a while, and a byte too.
type slow struct {
	resettable
	exchange, perByte time.Duration
}

func (s slow) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	resp, err := s.resettable.Transmit(ctx, cmd)
	time.Sleep(s.exchange + time.Duration(len(cmd)+len(resp))*s.perByte)
	return resp, err
}

// BenchmarkOverlap reads documents from a chip with 14 ms for each exchange and 424
// kbit/s (21 µs a byte): the time to the verified text, and to the end.
func BenchmarkOverlap(b *testing.B) {
	for _, profile := range []string{chip.ProfileCCCD, chip.ProfilePassportPACECAM, chip.ProfilePassportBAC} {
		d := fixed(b, profile, chip.TamperNone)
		for _, overlapped := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/overlap=%t", profile, overlapped), func(b *testing.B) {
				var text time.Duration
				for b.Loop() {
					c, err := d.Chip()
					if err != nil {
						b.Fatal(err)
					}
					began := time.Now()
					cfg := &inspect.Config{At: at, Trust: pool(b, d.CSCA), Photo: true, MaxNe: 4096, Progress: func(e inspect.Event) {
						if e.Report != nil {
							text += time.Since(began)
						}
					}}
					if overlapped {
						cfg.Overlap = new(goroutines).overlap
					}
					r, err := inspect.Run(b.Context(), slow{resettable{&terminal{chip: c}}, 14 * time.Millisecond, 21 * time.Microsecond}, access(b, d), cfg)
					if err != nil || !r.TextVerified() {
						b.Fatal(err, r.Err())
					}
				}
				b.ReportMetric(float64(text.Microseconds())/1000/float64(b.N), "ms/text")
			})
		}
	}
}
