package reader_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openHub(t testing.TB, cfg reader.HubConfig) *reader.Hub {
	t.Helper()
	h, err := reader.OpenHub(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return h
}

func sources(drivers ...reader.Driver) (list []reader.Source) {
	for i, d := range drivers {
		list = append(list, reader.Source{Name: fmt.Sprintf("source%d", i), Driver: d})
	}
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func namesOf(infos []reader.Info) []string {
	names := make([]string, 0, len(infos))
	for _, in := range infos {
		names = append(names, in.Name)
	}
	return names
}

// A hub over one driver is a driver like any other.
func TestHubConformance(t *testing.T) {
	const name = "Virtual 00"
	readertest.Run(t, func(t testing.TB) *readertest.Rig {
		d := virtual.New("Other reader", name)
		h := openHub(t, reader.HubConfig{Sources: sources(d, virtual.New("Third reader"))})
		return &readertest.Rig{
			Driver:       h,
			Name:         name,
			Insert:       func(t testing.TB, c *readertest.Chip) { must(t, d.Insert(name, c)) },
			Remove:       func(t testing.TB) { must(t, d.Remove(name)) },
			ResetByOther: func(t testing.TB) { must(t, d.ResetCard(name)) },
			Unplug: func(t testing.TB) {
				d.Unplug(name)
				infos, err := h.Readers(t.Context()) // the hub knows a moment later than the driver
				for err == nil && slices.Contains(namesOf(infos), name) {
					infos, err = h.Wait(t.Context(), infos)
				}
				must(t, err)
			},
		}
	})
}

// driver is a driver that does what a test says.
type driver struct {
	readers func(context.Context) ([]reader.Info, error)
	wait    func(context.Context, []reader.Info) ([]reader.Info, error)
	open    func(context.Context, string) (reader.Card, error)
}

func (d *driver) Readers(ctx context.Context) ([]reader.Info, error) { return d.readers(ctx) }

func (d *driver) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	return d.wait(ctx, known)
}

func (d *driver) Open(ctx context.Context, name string) (reader.Card, error) {
	return d.open(ctx, name)
}

// broken is a driver over a virtual one whose service can be stopped.
func broken(d reader.Driver) (*driver, func(err error)) {
	var mu sync.Mutex
	var now error
	stopped := make(chan struct{})
	state := func() (chan struct{}, error) {
		mu.Lock()
		defer mu.Unlock()
		return stopped, now
	}
	b := &driver{
		readers: func(ctx context.Context) ([]reader.Info, error) {
			if _, err := state(); err != nil {
				return nil, err
			}
			return d.Readers(ctx)
		},
		wait: func(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
			stopped, err := state()
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			go func() {
				select {
				case <-stopped:
					cancel(reader.ErrNoService)
				case <-ctx.Done():
				}
			}()
			infos, err := d.Wait(ctx, known)
			if cause := context.Cause(ctx); errors.Is(cause, reader.ErrNoService) {
				err = cause
			}
			return infos, err
		},
		open: d.Open,
	}
	set := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		now = err
		if err != nil {
			close(stopped)
			stopped = make(chan struct{})
		}
	}
	return b, set
}

func TestHubListsTheBestFirst(t *testing.T) {
	first := virtual.New("Windows Hello for Business 1", "ACS ACR1281 1S Dual Reader ICC 0", "FT ePass2003Auto 0",
		"ACS ACR1281 1S Dual Reader SAM 0", "Generic EMV Smartcard Reader 0", "ACS ACR1281 1S Dual Reader PICC 0")
	second := virtual.New("Identiv uTrust 3700 F CL Reader 0", "Generic EMV Smartcard Reader 0")
	picc, icc, sam := "ACS ACR1281 1S Dual Reader PICC 0", "ACS ACR1281 1S Dual Reader ICC 0", "ACS ACR1281 1S Dual Reader SAM 0"
	emv, emv2, cl := "Generic EMV Smartcard Reader 0", "Generic EMV Smartcard Reader 0 (source1)", "Identiv uTrust 3700 F CL Reader 0"
	hello, token := "Windows Hello for Business 1", "FT ePass2003Auto 0"
	for _, tt := range []struct {
		name          string
		cfg           reader.HubConfig
		want, ignored []string
	}{
		{"by kind", reader.HubConfig{}, []string{picc, cl, emv, emv2, icc}, []string{sam, token, hello}},
		{"one is preferred", reader.HubConfig{Prefer: "utrust 3700"}, []string{cl, picc, emv, emv2, icc}, []string{sam, token, hello}},
		{"an ignored one is preferred", reader.HubConfig{Prefer: "Windows Hello for Business 1"}, []string{hello, picc, cl, emv, emv2, icc}, []string{sam, token}},
		{"the whole name before a part", reader.HubConfig{Prefer: "Generic EMV Smartcard Reader 0 (source1)"}, []string{emv2, picc, cl, emv, icc}, []string{sam, token, hello}},
		{"none is ignored", reader.HubConfig{All: true}, []string{picc, cl, emv, emv2, icc, sam, token, hello}, nil},
		{"preferred and absent", reader.HubConfig{Prefer: "Omnikey"}, []string{picc, cl, emv, emv2, icc}, []string{sam, token, hello}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Sources = sources(first, second)
			h := openHub(t, tt.cfg)
			infos, err := h.Readers(t.Context())
			must(t, err)
			if diff := cmp.Diff(tt.want, namesOf(infos)); diff != "" {
				t.Errorf("Readers (-want +got):\n%s", diff)
			}
			devices, err := h.Devices(t.Context())
			must(t, err)
			var ignored []string
			for i, d := range devices {
				if d.Rank == 0 {
					ignored = append(ignored, d.Name)
				} else if d.Rank != i+1 {
					t.Errorf("%s has rank %d at place %d", d.Name, d.Rank, i+1)
				}
			}
			if diff := cmp.Diff(tt.ignored, ignored); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
		})
	}
}

// A card on a reader that is ignored is not "the card".
func TestHubIgnoresCardsThatNeverLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := virtual.New("ACS ACR1252 Dual Reader SAM 0", "ACS ACR1252 Dual Reader PICC 0")
		must(t, d.Insert("ACS ACR1252 Dual Reader SAM 0", readertest.NewChip()))
		h := openHub(t, reader.HubConfig{Sources: sources(d)})
		found := make(chan reader.Info)
		go func() {
			in, _ := reader.WaitCard(t.Context(), h, "")
			found <- in
		}()
		synctest.Wait()
		must(t, d.Insert("ACS ACR1252 Dual Reader PICC 0", readertest.NewChip()))
		if in := <-found; in.Name != "ACS ACR1252 Dual Reader PICC 0" {
			t.Errorf("card on %q", in.Name)
		}
	})
}

func TestHubRefusesConfigurations(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sources []reader.Source
	}{
		{"no driver", []reader.Source{{Name: "pcsc"}}},
		{"a name twice", []reader.Source{{"pcsc", virtual.New()}, {"pcsc", virtual.New()}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if h, err := reader.OpenHub(reader.HubConfig{Sources: tt.sources}); err == nil {
				h.Close()
				t.Error("no error")
			}
		})
	}
	h := openHub(t, reader.HubConfig{}) // without any source it is empty, and works
	if infos, err := h.Readers(t.Context()); err != nil || len(infos) != 0 {
		t.Errorf("Readers: %v, %v", infos, err)
	}
}

// take returns changes until nothing moves any more.
func take(t *testing.T, s *reader.Subscription) (list []reader.Change) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		c, err := s.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return list
		}
		must(t, err)
		list = append(list, c)
	}
}

// said prints changes for comparison.
func said(list []reader.Change) (lines []string) {
	for _, c := range list {
		switch c.Kind {
		case reader.Snapshot:
			line := "snapshot:"
			for _, d := range c.Devices {
				line += fmt.Sprintf(" %s=%v", d.Name, d.State)
			}
			lines = append(lines, line)
		case reader.SourceChanged:
			lines = append(lines, fmt.Sprintf("source %s: %v", c.Source.Name, c.Source.Err))
		default:
			lines = append(lines, fmt.Sprintf("%v: %s", c.Kind, c.Device.Name))
		}
	}
	return lines
}

func wantChanges(t *testing.T, what string, s *reader.Subscription, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, said(take(t, s))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestHubTellsWhatHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, e := virtual.New("a"), virtual.New()
		h := openHub(t, reader.HubConfig{Sources: sources(d, e)})
		s := h.Subscribe(0)
		defer s.Close()
		wantChanges(t, "at the beginning", s, "snapshot: a=empty")
		must(t, d.Insert("a", readertest.NewChip()))
		wantChanges(t, "card comes", s, "card inserted: a")
		must(t, e.Plug("b"))
		wantChanges(t, "reader comes", s, "reader added: b")
		card, err := h.Open(t.Context(), "a")
		must(t, err)
		wantChanges(t, "card taken", s, "state changed: a")
		must(t, card.Close())
		wantChanges(t, "card given back", s, "state changed: a")
		must(t, d.Remove("a"))
		wantChanges(t, "card goes", s, "card removed: a")
		e.Unplug("b")
		wantChanges(t, "reader goes", s, "reader removed: b")
	})
}

// A subscriber may be as slow as it likes: what it has put together is what is.
func TestHubNeverMisleadsASubscriber(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		room := rapid.IntRange(1, 6).Draw(rt, "room")
		steps := rapid.SliceOfN(rapid.IntRange(0, 7), 1, 40).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			d := virtual.New("a")
			h, err := reader.OpenHub(reader.HubConfig{Sources: sources(d)})
			must(t, err)
			defer h.Close()
			s := h.Subscribe(room)
			view := make(map[string]reader.State)
			lost := 0
			apply := func(c reader.Change) {
				lost += c.Lost
				switch c.Kind {
				case reader.Snapshot:
					clear(view)
					for _, d := range c.Devices {
						view[d.Name] = d.State
					}
				case reader.ReaderRemoved:
					delete(view, c.Device.Name)
				case reader.CardRemoved:
					view[c.Device.Name] = reader.Empty
				case reader.SourceChanged:
				default:
					view[c.Device.Name] = c.Device.State
				}
			}
			for _, step := range steps {
				name := string(rune('a' + step%2))
				switch step / 2 {
				case 0:
					_ = d.Plug(name)
				case 1:
					d.Unplug(name)
				case 2:
					if d.Insert(name, readertest.NewChip()) != nil {
						_ = d.Remove(name)
					}
				case 3:
					time.Sleep(time.Minute) // the hub looks
					if step == 7 {          // the subscriber takes one, if there is one
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						if c, err := s.Next(ctx); err == nil {
							apply(c)
						}
						cancel()
					}
				}
				time.Sleep(time.Second)
			}
			for _, c := range take(t, s) {
				apply(c)
			}
			now := make(map[string]reader.State)
			devices, err := h.Devices(t.Context())
			must(t, err)
			for _, d := range devices {
				now[d.Name] = d.State
			}
			if diff := cmp.Diff(now, view); diff != "" {
				t.Errorf("room %d, %d lost (-is +subscriber's):\n%s", room, lost, diff)
			}
		})
	})
}

func TestSlowSubscriberGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := virtual.New("a")
		h := openHub(t, reader.HubConfig{Sources: sources(d)})
		s := h.Subscribe(3)
		wantChanges(t, "at the beginning", s, "snapshot: a=empty")
		for range 5 {
			must(t, d.Insert("a", readertest.NewChip()))
			time.Sleep(time.Second)
			must(t, d.Remove("a"))
			time.Sleep(time.Second)
		}
		must(t, d.Plug("b"))
		time.Sleep(time.Second)
		list := take(t, s)
		if diff := cmp.Diff([]string{"snapshot: a=empty b=empty"}, said(list)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if list[0].Lost != 11 {
			t.Errorf("%d changes lost, want 11", list[0].Lost)
		}
		s.Close()
		if _, err := s.Next(t.Context()); !errors.Is(err, reader.ErrHubClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	})
}

// The service stops and comes back; another one is there from the beginning.
func TestHubHealsAfterTheServiceStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, other := virtual.New("a"), virtual.New("z")
		must(t, d.Insert("a", readertest.NewChip()))
		b, set := broken(d)
		h := openHub(t, reader.HubConfig{Sources: sources(b, other)})
		s := h.Subscribe(0)
		wantChanges(t, "at the beginning", s, "snapshot: a=present z=empty")

		set(reader.ErrNoService)
		wantChanges(t, "service stops", s,
			"source source0: "+reader.ErrNoService.Error(), "card removed: a", "reader removed: a")
		if infos, err := h.Readers(t.Context()); err != nil || len(infos) != 1 {
			t.Errorf("the other source's readers: %v, %v", infos, err)
		}
		state := h.Sources()[0]
		if !errors.Is(state.Err, reader.ErrNoService) || !state.Looked || state.Since.IsZero() {
			t.Errorf("state %+v", state)
		}
		time.Sleep(time.Hour)
		if again := h.Sources()[0]; again.Since != state.Since {
			t.Error("the same trouble again counts as new")
		}
		set(nil)
		time.Sleep(20 * time.Second) // the longest pause
		wantChanges(t, "service is back", s, "source source0: <nil>", "reader added: a", "card inserted: a")
	})
}

// A service that is not installed yet costs a look now and then.
func TestHubWaitsForLateDriversQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		var there atomic.Bool
		d := &driver{
			readers: func(context.Context) ([]reader.Info, error) {
				looks.Add(1)
				if there.Load() {
					return []reader.Info{{Name: "a", State: reader.Empty}}, nil
				}
				return nil, reader.ErrNoService
			},
			wait: func(ctx context.Context, _ []reader.Info) ([]reader.Info, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}
		h := openHub(t, reader.HubConfig{Sources: sources(d)})
		if _, err := h.Readers(t.Context()); !errors.Is(err, reader.ErrNoService) {
			t.Errorf("Readers without a service: %v", err)
		}
		if _, err := h.Open(t.Context(), "a"); !errors.Is(err, reader.ErrNoService) {
			t.Errorf("Open without a service: %v", err)
		}
		time.Sleep(time.Hour)
		// Pauses of 5 to 10 seconds, after the first few.
		if n := looks.Load(); n < 360 || n > 740 {
			t.Errorf("%d looks in an hour", n)
		}
		there.Store(true)
		if in, err := h.Wait(t.Context(), nil); err != nil || len(in) != 1 {
			t.Errorf("Wait for a late driver: %v, %v", in, err)
		}
	})
}

func TestHubBearsDriversThatMisbehave(t *testing.T) {
	const span = 5 * time.Minute // long enough to see what grows
	list := []reader.Info{{Name: "a", State: reader.Empty}}
	answer := func(context.Context) ([]reader.Info, error) { return list, nil }
	for _, tt := range []struct {
		name string
		// calls are the most that the time may cost.
		calls int32
		wait  func(ctx context.Context, n int32, release <-chan struct{}) ([]reader.Info, error)
	}{
		{"returns at once, unchanged", 80, func(context.Context, int32, <-chan struct{}) ([]reader.Info, error) {
			return list, nil
		}},
		{"fails at once", 80, func(context.Context, int32, <-chan struct{}) ([]reader.Info, error) {
			return nil, reader.ErrComm
		}},
		{"changes its mind for ever", 60 + int32(span/time.Second), func(_ context.Context, n int32, _ <-chan struct{}) ([]reader.Info, error) {
			return []reader.Info{{Name: "a", State: reader.Empty, Changes: uint32(n)}}, nil
		}},
		{"blocks for ever", 2, func(_ context.Context, _ int32, release <-chan struct{}) ([]reader.Info, error) {
			<-release
			return nil, reader.ErrComm
		}},
		{"returns an ended context's error", 80, func(context.Context, int32, <-chan struct{}) ([]reader.Info, error) {
			return nil, context.Canceled
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				release := make(chan struct{})
				d := &driver{readers: answer, wait: func(ctx context.Context, _ []reader.Info) ([]reader.Info, error) {
					return tt.wait(ctx, calls.Add(1), release)
				}}
				h, err := reader.OpenHub(reader.HubConfig{Sources: sources(d)})
				must(t, err)
				time.Sleep(span)
				if n := calls.Load(); n > tt.calls {
					t.Errorf("%d calls of Wait, want at most %d", n, tt.calls)
				}
				if infos, err := h.Readers(t.Context()); err != nil || len(infos) != 1 {
					t.Errorf("Readers: %v, %v", infos, err)
				}
				began := time.Now()
				must(t, h.Close())
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("Close took %v", d)
				}
				close(release)
			})
		})
	}
}

// A reader that comes and goes all the time costs little, writes little, and is
// followed as before once it stays.
func TestHubBearsAReaderThatFlaps(t *testing.T) {
	for _, tt := range []struct {
		name string
		each time.Duration // a list, once it has gone on for a while
		list func(n int32) ([]reader.Info, error)
	}{
		{"a reader", time.Second, func(n int32) ([]reader.Info, error) {
			return []reader.Info{{Name: "a"}, {Name: "b"}}[:1+n%2], nil
		}},
		{"other names for ever", time.Second, func(n int32) ([]reader.Info, error) {
			return []reader.Info{{Name: fmt.Sprint("a", n)}}, nil
		}},
		{"the service", 50 * time.Millisecond, func(n int32) ([]reader.Info, error) {
			if n%3 != 0 {
				return nil, reader.ErrNoService
			}
			return []reader.Info{{Name: "a"}}, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				var calm atomic.Pointer[virtual.Driver]
				next := func() ([]reader.Info, error) { return tt.list(calls.Add(1)) }
				var log strings.Builder
				h := openHub(t, reader.HubConfig{
					Log: slog.New(slog.NewTextHandler(&log, nil)),
					Sources: sources(&driver{
						readers: func(ctx context.Context) ([]reader.Info, error) {
							if d := calm.Load(); d != nil {
								return d.Readers(ctx)
							}
							return next()
						},
						wait: func(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
							if d := calm.Load(); d != nil {
								return d.Wait(ctx, known)
							}
							return next()
						},
					}),
				})
				const span = 10 * time.Minute
				time.Sleep(span)
				if n := calls.Load(); n > 120+int32(span/tt.each) {
					t.Errorf("%d lists in %v", n, span)
				}
				d := virtual.New("a")
				calm.Store(d)
				time.Sleep(time.Minute)
				synctest.Wait()
				lines := strings.Count(log.String(), "\n")
				if lines > 20+2*int(span/time.Minute)+2 || !strings.Contains(log.String(), "unlogged=") {
					t.Errorf("%d lines logged in %v:\n%s", lines, span, log.String())
				}
				// From now on it is followed at once.
				must(t, d.Insert("a", readertest.NewChip()))
				began := time.Now()
				if _, err := reader.WaitCard(t.Context(), h, "a"); err != nil || time.Since(began) > reader.Pace {
					t.Errorf("a card was seen after %v, %v", time.Since(began), err)
				}
			})
		})
	}
}

// A driver may list what it likes.
func TestHubBoundsALongList(t *testing.T) {
	for _, tt := range []struct {
		name string
		next func(i int) string
		want int
	}{
		{"many readers", func(i int) string { return fmt.Sprint("r", i) }, 64},
		{"one name, again and again", func(int) string { return "r" }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var list []reader.Info
				for i := range 300 {
					list = append(list, reader.Info{Name: tt.next(i), State: reader.Empty})
				}
				var waits atomic.Int32
				h := openHub(t, reader.HubConfig{Sources: sources(&driver{
					readers: func(context.Context) ([]reader.Info, error) { return list, nil },
					wait: func(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
						waits.Add(1)
						if !reader.Same(known, list) {
							return list, nil
						}
						<-ctx.Done()
						return nil, ctx.Err()
					},
				})})
				devices, err := h.Devices(t.Context())
				must(t, err)
				time.Sleep(time.Second)
				if len(devices) != tt.want || h.Sources()[0].Readers != tt.want || waits.Load() != 1 {
					t.Errorf("%d devices, %d readers, %d waits", len(devices), h.Sources()[0].Readers, waits.Load())
				}
			})
		})
	}
}

// A driver whose Wait never returns still shows what changes.
func TestHubFollowsTheListWhenWaitIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := virtual.New("a")
		release := make(chan struct{})
		h := openHub(t, reader.HubConfig{Sources: sources(&driver{
			readers: d.Readers,
			wait: func(context.Context, []reader.Info) ([]reader.Info, error) {
				<-release
				return nil, reader.ErrTimeout
			},
		})})
		s := h.Subscribe(0)
		time.Sleep(5 * time.Minute)
		must(t, d.Insert("a", readertest.NewChip()))
		time.Sleep(20 * time.Second)
		wantChanges(t, "card comes", s, "snapshot: a=present")
		close(release)
		must(t, d.Remove("a"))
		time.Sleep(20 * time.Second)
		wantChanges(t, "card goes", s, "card removed: a")
	})
}

// A list that blocks for ever makes the source fail, not the hub.
func TestHubBearsAListThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := &driver{readers: func(context.Context) ([]reader.Info, error) {
			<-release
			return nil, nil
		}, wait: virtual.New().Wait}
		h := openHub(t, reader.HubConfig{Sources: sources(stuck, virtual.New("z"))})
		infos, err := h.Readers(t.Context())
		if err != nil || len(infos) != 1 {
			t.Errorf("Readers: %v, %v", infos, err)
		}
		if st := h.Sources()[0]; !errors.Is(st.Err, reader.ErrTimeout) {
			t.Errorf("state %+v", st)
		}
		close(release)
		time.Sleep(time.Minute)
		if st := h.Sources()[0]; st.Err != nil {
			t.Errorf("state after it came back %+v", st)
		}
	})
}

// After sleep a driver may wait for what has long happened.
func TestHubLooksAgainAfterSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asleep atomic.Int64
		d := virtual.New("a")
		h := openHub(t, reader.WithClock(reader.HubConfig{
			Audit: 24 * time.Hour,
			Sources: sources(&driver{readers: d.Readers, wait: func(ctx context.Context, _ []reader.Info) ([]reader.Info, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}),
		}, func() time.Time { return time.Now().Round(0).Add(time.Duration(asleep.Load())) }))
		s := h.Subscribe(0)
		wantChanges(t, "at the beginning", s, "snapshot: a=empty")
		d.Unplug("a")
		time.Sleep(time.Hour)
		wantChanges(t, "the driver has not noticed", s)
		asleep.Store(int64(8 * time.Hour))
		time.Sleep(5 * time.Second)
		wantChanges(t, "after sleep", s, "reader removed: a")
	})
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := virtual.New("a")
		h := openHub(t, reader.HubConfig{Sources: sources(d)})
		if _, err := h.Take(t.Context(), "a"); !errors.Is(err, reader.ErrNoCard) {
			t.Errorf("Take without a card: %v", err)
		}
		must(t, d.Insert("a", readertest.NewChip()))
		time.Sleep(time.Second)

		ctx, cancel := context.WithCancel(t.Context())
		l, err := h.Take(ctx, "a")
		must(t, err)
		_, err = h.Open(t.Context(), "a")
		busy, ok := errors.AsType[*reader.BusyError](err)
		if !ok || !busy.Ours || busy.Reader != "a" || !errors.Is(err, reader.ErrSharing) {
			t.Errorf("second Open: %#v", err)
		}
		if in, err := h.Readers(t.Context()); err != nil || in[0].State != reader.Busy {
			t.Errorf("state while it is open: %v, %v", in, err)
		}
		// The end of the owner's context gives the card back.
		cancel()
		synctest.Wait()
		if _, err := l.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0}); !errors.Is(err, reader.ErrClosed) {
			t.Errorf("Transmit after the owner's end: %v", err)
		}
		second, err := h.Take(t.Context(), "a")
		must(t, err)
		must(t, l.Close()) // late, and no harm to the next owner
		if _, err := second.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0}); err != nil {
			t.Error(err)
		}
		// A card that has left does not hold the reader.
		must(t, d.Remove("a"))
		must(t, d.Insert("a", readertest.NewChip()))
		if _, err := second.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0}); !errors.Is(err, reader.ErrCardRemoved) {
			t.Errorf("Transmit without the card: %v", err)
		}
		third, err := h.Take(t.Context(), "a")
		must(t, err)
		// Nor does one whose owner has not noticed.
		must(t, d.Remove("a"))
		time.Sleep(time.Second)
		must(t, d.Insert("a", readertest.NewChip()))
		time.Sleep(time.Second)
		fourth, err := h.Take(t.Context(), "a")
		must(t, err)
		must(t, third.Close())
		must(t, h.Close())
		if _, err := fourth.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0}); !errors.Is(err, reader.ErrClosed) {
			t.Errorf("Transmit after the hub was closed: %v", err)
		}
		if _, err := h.Take(t.Context(), "a"); !errors.Is(err, reader.ErrHubClosed) {
			t.Errorf("Take from a closed hub: %v", err)
		}
	})
}

// An exchange that has begun is finished before the card is given back.
func TestLeaseEndsAfterTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, chip := virtual.New("a"), readertest.NewChip()
		must(t, d.Insert("a", chip))
		h := openHub(t, reader.HubConfig{Sources: sources(d)})
		ctx, cancel := context.WithCancel(t.Context())
		l, err := h.Take(ctx, "a")
		must(t, err)
		reached, release := chip.Stall()
		done := make(chan error, 1)
		go func() {
			_, err := l.Transmit(ctx, []byte{0x80, readertest.InsRecall, 0, 0})
			done <- err
		}()
		<-reached
		cancel()
		synctest.Wait()
		if _, err := h.Open(t.Context(), "a"); !errors.Is(err, reader.ErrSharing) {
			t.Errorf("Open while an exchange runs: %v", err)
		}
		release()
		if err := <-done; err != nil {
			t.Errorf("exchange in flight: %v", err)
		}
		synctest.Wait()
		again, err := h.Open(t.Context(), "a")
		must(t, err)
		must(t, again.Close())
	})
}

// able is a card that says what its reader bears, and counts who asks.
type able struct {
	reader.Card
	caps  reader.Capabilities
	asked *atomic.Int32
}

func (a able) Capabilities(context.Context) (reader.Capabilities, error) {
	a.asked.Add(1)
	return a.caps, nil
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "Reader of a clinic 00 00"
		d, store := virtual.New(name), &reader.MemoryLimits{}
		must(t, d.Insert(name, readertest.NewChip()))
		var asked atomic.Int32
		var later atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		h := openHub(t, reader.WithClock(reader.HubConfig{Limits: store, Sources: sources(&driver{
			readers: d.Readers, wait: d.Wait,
			open: func(ctx context.Context, name string) (reader.Card, error) {
				c, err := d.Open(ctx, name)
				return able{c, reader.Capabilities{MaxAPDU: 4096, Extended: true, UID: []byte{1, 2, 3, 4}}, &asked}, err
			},
		})}, now))
		with := func(f func(l *reader.Lease)) {
			l, err := h.Take(t.Context(), name)
			must(t, err)
			f(l)
			must(t, l.Close())
		}
		key := reader.LimitKey{Reader: "Reader of a clinic", ATR: "3B80800101"}
		with(func(l *reader.Lease) {
			if got, want := l.Limits(), (reader.Limits{MaxNe: 4096}); got != want {
				t.Errorf("limits of the reader %+v, want %+v", got, want)
			}
			if l.Key() != key {
				t.Errorf("key %+v, want %+v", l.Key(), key)
			}
			must(t, l.Learn(t.Context(), reader.Limits{MaxNe: 4096})) // that is no news
			if all, err := store.All(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("remembered %v, %v", all, err)
			}
			must(t, l.Learn(t.Context(), reader.Limits{MaxNe: 192, NoSFI: true}))
			must(t, l.Learn(t.Context(), reader.Limits{Delay: 30 * time.Millisecond}))
		})
		want := reader.Limits{MaxNe: 192, NoSFI: true, Delay: 30 * time.Millisecond, Learned: time.Now()}
		if got, known, err := store.Load(t.Context(), key); err != nil || !known || got != want {
			t.Errorf("remembered %+v, %v, want %+v", got, err, want)
		}
		with(func(l *reader.Lease) {
			if got := l.Limits(); got != want {
				t.Errorf("limits %+v, want %+v", got, want)
			}
			// The pause is kept.
			began := time.Now()
			for range 3 {
				if _, err := l.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0}); err != nil {
					t.Fatal(err)
				}
			}
			if d := time.Since(began); d != 60*time.Millisecond {
				t.Errorf("three exchanges took %v, want two pauses of 30 ms", d)
			}
		})
		if n := asked.Load(); n != 1 {
			t.Errorf("the reader was asked %d times", n)
		}
		later.Store(int64(91 * 24 * time.Hour))
		with(func(l *reader.Lease) {
			if got, want := l.Limits(), (reader.Limits{MaxNe: 4096}); got != want {
				t.Errorf("limits after 91 days %+v, want %+v", got, want)
			}
		})
		if n := asked.Load(); n != 1 {
			t.Errorf("the reader was asked %d times while it was there", n)
		}
		// After it was away it may be another device, or have other firmware.
		d.Unplug(name)
		time.Sleep(time.Second)
		must(t, d.Plug(name))
		must(t, d.Insert(name, readertest.NewChip()))
		time.Sleep(time.Second)
		with(func(*reader.Lease) {})
		if n := asked.Load(); n != 2 {
			t.Errorf("the reader was asked %d times, and was plugged in twice", n)
		}
		if n, err := store.Forget(t.Context(), "Reader of a clinic"); n != 1 || err != nil {
			t.Errorf("Forget: %d, %v", n, err)
		}
	})
}

// The names and numbers of this table stand in firmware-notes/quirks.yaml.
func TestLimitsOfReader(t *testing.T) {
	for _, tt := range []struct {
		name, reader string
		caps         reader.Capabilities
		want         reader.Limits
	}{
		{"nothing is known", "Reader 0", reader.Capabilities{}, reader.Limits{}},
		{"says short only", "Reader 0", reader.Capabilities{MaxAPDU: 256}, reader.Limits{MaxNe: 256, NoExtended: true}},
		{"claims extended length", "Reader 0", reader.Capabilities{MaxAPDU: 65536}, reader.Limits{}},
		{"claims it, with a quirk that says nothing of it", "ACS ACR1281 PICC Reader 00 00", reader.Capabilities{MaxAPDU: 65536}, reader.Limits{}},
		{"carries extended length", "Reader 0", reader.Capabilities{MaxAPDU: 65536, Extended: true}, reader.Limits{MaxNe: 65536}},
		{"carries it, and gives no number", "Reader 0", reader.Capabilities{Extended: true}, reader.Limits{MaxNe: 65536}},
		{"claims what is unsafe", "ACS ACR122U PICC Interface 0", reader.Capabilities{MaxAPDU: 65536}, reader.Limits{MaxNe: 256, NoExtended: true}},
		{"carries what is unsafe", "ACS ACR122U PICC Interface 0", reader.Capabilities{MaxAPDU: 65536, Extended: true}, reader.Limits{MaxNe: 256, NoExtended: true}},
		{"unsafe, by USB id", "Reader 0", reader.Capabilities{VendorID: 0x072F, ProductID: 0x2200}, reader.Limits{MaxNe: 256, NoExtended: true}},
		{"claims what nobody has shown", "ACS ACR1252 Dual Reader PICC 0", reader.Capabilities{MaxAPDU: 65536}, reader.Limits{}},
		{"claims nothing, and nobody has shown it", "ACS ACR1252 Dual Reader PICC 0", reader.Capabilities{}, reader.Limits{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := reader.LimitsOf(tt.reader, tt.caps); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// What a reader merely claims is used once it was learned to work.
func TestExtendedLengthIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "Reader of a clinic 00 00"
		d := virtual.New(name)
		must(t, d.Insert(name, readertest.NewChip()))
		var asked atomic.Int32
		h := openHub(t, reader.HubConfig{Sources: sources(&driver{
			readers: d.Readers, wait: d.Wait,
			open: func(ctx context.Context, name string) (reader.Card, error) {
				c, err := d.Open(ctx, name)
				return able{c, reader.Capabilities{MaxAPDU: 65536}, &asked}, err
			},
		})})
		for _, want := range []int{0, 4096} {
			l, err := h.Take(t.Context(), name)
			must(t, err)
			if got := l.Limits(); got.MaxNe != want || got.NoExtended {
				t.Errorf("limits %+v, want MaxNe %d", got, want)
			}
			must(t, l.Learn(t.Context(), reader.Limits{MaxNe: 4096}))
			must(t, l.Close())
		}
	})
}

func TestTighter(t *testing.T) {
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name       string
		a, b, want reader.Limits
	}{
		{"nothing", reader.Limits{}, reader.Limits{}, reader.Limits{}},
		{"one knows", reader.Limits{MaxNe: 300}, reader.Limits{}, reader.Limits{MaxNe: 300}},
		{"both know", reader.Limits{MaxNe: 300}, reader.Limits{MaxNe: 200}, reader.Limits{MaxNe: 200}},
		{
			"each adds",
			reader.Limits{NoExtended: true, Delay: 2, Probe: true},
			reader.Limits{NoSFI: true, Delay: 1, Learned: day},
			reader.Limits{NoExtended: true, Delay: 2, Probe: true, NoSFI: true, Learned: day},
		},
	} {
		if got := tt.a.Tighter(tt.b); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if got := tt.b.Tighter(tt.a); got != tt.want {
			t.Errorf("%s, turned round: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestMemoryLimitsAreBounded(t *testing.T) {
	var m reader.MemoryLimits
	for i := range reader.MaxLimitEntries {
		must(t, m.Save(t.Context(), reader.LimitKey{Reader: "r", ATR: fmt.Sprint(i)}, reader.Limits{MaxNe: i}))
	}
	if err := m.Save(t.Context(), reader.LimitKey{Reader: "r", ATR: "one more"}, reader.Limits{}); !errors.Is(err, reader.ErrLimitsFull) {
		t.Errorf("one too many: %v", err)
	}
	must(t, m.Save(t.Context(), reader.LimitKey{Reader: "r", ATR: "7"}, reader.Limits{MaxNe: 70}))
	all, err := m.All(t.Context())
	if err != nil || len(all) != reader.MaxLimitEntries || !slices.IsSortedFunc(all, func(a, b reader.LimitEntry) int { return a.Key.Compare(b.Key) }) {
		t.Errorf("%d entries, %v", len(all), err)
	}
	if n, err := m.Forget(t.Context(), ""); n != reader.MaxLimitEntries || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
}

func TestInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := virtual.New("a", "b")
		must(t, d.Insert("a", readertest.NewChip()))
		must(t, d.Insert("b", readertest.NewChip()))
		other, err := d.Open(t.Context(), "b") // not through the hub
		must(t, err)
		defer other.Close()
		h := openHub(t, reader.WithProcesses(reader.HubConfig{Sources: sources(d)}, t.TempDir()))
		l, err := h.Take(t.Context(), "a")
		must(t, err)
		for _, tt := range []struct {
			name, want string
		}{
			{"a", "reader: card in use by this program"},
			{"b", "reader: card in use by another program, for itself alone"},
			{"", "reader: card in use by this program"},
			{"c", ""},
		} {
			busy, ok := h.InUse(tt.name)
			if ok != (tt.want != "") || ok && (busy.Error() != tt.want || !errors.Is(busy, reader.ErrSharing)) {
				t.Errorf("%q: %v, want %q", tt.name, busy, tt.want)
			}
		}
		must(t, l.Close())
		if busy, ok := h.InUse("a"); ok {
			t.Errorf("after Close: %v", busy)
		}
	})
}

// processes builds a list of processes as Linux shows it.
func processes(t *testing.T, list map[string][2]string) string {
	t.Helper()
	root := t.TempDir()
	for pid, p := range list {
		dir := filepath.Join(root, pid)
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "comm"), []byte(p[0]+"\n"), 0o600))
		if p[1] != "unreadable" {
			must(t, os.WriteFile(filepath.Join(dir, "maps"), []byte(p[1]), 0o600))
		}
	}
	return root
}

func TestBusyNamesWhoProbablyHasIt(t *testing.T) {
	const library = "7f0000000000-7f0000010000 r-xp 00000000 08:01 1 /usr/lib/x86_64-linux-gnu/libpcsclite.so.1.0.0\n"
	const nothing = "7f0000000000-7f0000010000 r-xp 00000000 08:01 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n"
	for _, tt := range []struct {
		name string
		list map[string][2]string
		want string
	}{
		{"nobody known", map[string][2]string{"1": {"init", nothing}, "sys": {"scdaemon", library}}, "reader: card in use by another program"},
		{
			"by its memory",
			map[string][2]string{"7": {"scdaemon", library}, "8": {"pcscd", library}, "9": {"firefox", nothing}},
			"reader: card in use by another program: probably scdaemon (GnuPG)",
		},
		{
			"unknown program",
			map[string][2]string{"7": {"his\x1b[31m", strings.Repeat(nothing, 2000) + library}},
			"reader: card in use by another program: probably his[31m",
		},
		{
			"by its name",
			map[string][2]string{"7": {"scdaemon", "unreadable"}, "8": {"firefox", "unreadable"}, "9": {"bash", "unreadable"}},
			"reader: card in use by another program: probably scdaemon (GnuPG)",
		},
		{"memory says no", map[string][2]string{"7": {"scdaemon", nothing}}, "reader: card in use by another program"},
		{
			"several",
			map[string][2]string{"7": {"scdaemon", library}, "8": {"firefox", library}, "9": {"firefox", library}},
			"reader: card in use by another program: probably Firefox or scdaemon (GnuPG)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := virtual.New("a")
			must(t, d.Insert("a", readertest.NewChip()))
			other, err := d.Open(t.Context(), "a") // not through the hub
			must(t, err)
			defer other.Close()
			h := openHub(t, reader.WithProcesses(reader.HubConfig{Sources: sources(&driver{
				readers: func(ctx context.Context) ([]reader.Info, error) {
					infos, err := d.Readers(ctx)
					for i := range infos {
						infos[i].State = reader.Present // a transaction shows in nothing
					}
					return infos, err
				},
				wait: func(ctx context.Context, _ []reader.Info) ([]reader.Info, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				},
				open: d.Open,
			})}, processes(t, tt.list)))
			_, err = h.Open(t.Context(), "a")
			if !errors.Is(err, reader.ErrSharing) || err.Error() != tt.want {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}
