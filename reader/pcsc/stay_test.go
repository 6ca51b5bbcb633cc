package pcsc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
)

// The tests of this file are of what a driver meets that stays up for months.

const neighbour = "Other Reader 00 00"

// waiting runs Wait in a goroutine.
func waiting(ctx context.Context, d *Driver, known []reader.Info) <-chan result {
	done := make(chan result, 1)
	go func() {
		infos, err := d.Wait(ctx, known)
		done <- result{infos, err}
	}()
	return done
}

type result struct {
	infos []reader.Info
	err   error
}

// An idle wait sits in one call of the service; it does not ask again and
// again.
func TestIdleWaitIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, nil)
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.do(func() { f.looks = 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := d.Wait(ctx, known); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		// Twice for each look: 7 while the waits become longer, 20 after it.
		f.do(func() {
			if f.looks > 60 {
				t.Errorf("listed %d times in ten minutes", f.looks)
			}
		})
	})
}

// A service that speaks of changes where there are none must not keep a
// processor busy, nor hide a change.
func TestWaitRestsWhenWokenForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, nil)
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.do(func() { f.looks, f.lateWakes = 0, 1<<30 })
		done := waiting(t.Context(), d, known)
		time.Sleep(10 * time.Second)
		f.do(func() {
			if f.looks > 250 {
				t.Errorf("listed %d times in ten seconds", f.looks)
			}
		})
		f.insert(name, readertest.NewChip())
		begin := time.Now()
		r := <-done
		if r.err != nil || len(reader.Diff(known, r.infos)) != 1 {
			t.Errorf("Wait: %v, %v", reader.Diff(known, r.infos), r.err)
		}
		if took := time.Since(begin); took > 2*wakePause {
			t.Errorf("a card showed after %v", took)
		}
	})
}

// The value of the list of readers is the service's own: pcsc-lite from 2.3.0
// counts what became of readers, not how many there are.
func TestWaitTakesTheValueOfTheList(t *testing.T) {
	for _, counts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, f := setUp(t, nil)
			f.do(func() { f.pnpCounts, f.pnp = counts, 41 })
			known, err := d.Readers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			f.do(func() { f.looks = 0 })
			done := waiting(t.Context(), d, known)
			time.Sleep(time.Minute)
			f.do(func() {
				if f.looks > 20 {
					t.Errorf("counts %v: listed %d times in a minute", counts, f.looks)
				}
			})
			f.plug("New Reader 02 00")
			begin := time.Now()
			r := <-done
			if ev := reader.Diff(known, r.infos); r.err != nil || len(ev) != 1 || ev[0].Kind != reader.ReaderAdded {
				t.Errorf("counts %v: %v, %v", counts, ev, r.err)
			}
			if took := time.Since(begin); took > 0 {
				t.Errorf("counts %v: a reader showed after %v", counts, took)
			}
		})
	}
}

// Where the list itself is not watched, it is asked for.
func TestWaitWithoutNotification(t *testing.T) {
	for _, empty := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, f := setUp(t, nil)
			f.do(func() { f.noPnP = true })
			if empty {
				f.unplug(name)
				f.unplug(neighbour)
			}
			known, err := d.Readers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			done := waiting(t.Context(), d, known)
			time.Sleep(time.Minute)
			f.plug("New Reader 02 00")
			begin := time.Now()
			r := <-done
			if ev := reader.Diff(known, r.infos); r.err != nil || len(ev) != 1 || ev[0].Kind != reader.ReaderAdded {
				t.Errorf("no reader before %v: %v, %v", empty, ev, r.err)
			}
			if took := time.Since(begin); took > firstSlice {
				t.Errorf("no reader before %v: a reader showed after %v", empty, took)
			}
		})
	}
}

// A reader that comes or goes while the readers are listed is not lost.
func TestReaderComesWhileListed(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  func(f *fake)
		want int
	}{
		{"comes", func(f *fake) { f.plug("New Reader 02 00") }, 3},
		{"goes", func(f *fake) { f.unplug(neighbour) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := setUp(t, nil)
				f.do(func() { f.between = func() { tt.act(f) } })
				infos, err := d.Readers(t.Context())
				if err != nil || len(infos) != tt.want {
					t.Errorf("%d readers, %v", len(infos), err)
				}
			})
		})
	}
}

// The service restarts under a wait and under an open card; both say so, and
// the next call finds the new service.
func TestServiceRestartsUnderWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, nil)
		f.insert(name, readertest.NewChip())
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			done := waiting(t.Context(), d, known)
			synctest.Wait()
			f.restart()
			if r := <-done; !errors.Is(r.err, reader.ErrNoService) {
				t.Fatalf("Wait over a restart: %v", r.err)
			}
			again, err := d.Readers(t.Context())
			if err != nil || !reader.Same(again, known) {
				t.Fatalf("after the restart: %v, %v", reader.Diff(known, again), err)
			}
		}
	})
}

// Windows stops its service with the last reader and starts it with the next.
func TestServiceStopsWithLastReader(t *testing.T) {
	for _, c := range []code{codeServiceStopped, codeNoService, codeSystemCancelled, codeCommError, codeSecurityViolation, sysInvalidHandle, sysRPCUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			d, f := setUp(t, nil)
			for _, op := range []string{"establish", "list", "status"} {
				want := reader.ErrNoService
				if c == codeSecurityViolation && op == "establish" {
					want = reader.ErrAccess // to one who comes it is a refusal
				}
				f.do(func() { f.refuse[op] = c })
				if _, err := d.Readers(t.Context()); !errors.Is(err, want) {
					t.Errorf("%s, code %08x: %v, want %v", op, uint32(c), err, want)
				}
			}
			if infos, err := d.Readers(t.Context()); err != nil || len(infos) != 2 {
				t.Errorf("code %08x: then %d readers, %v", uint32(c), len(infos), err)
			}
		})
	}
}

// A cancel that comes before the call has blocked is lost; it is sent again.
func TestWaitEndsThoughCancelIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, nil)
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hang := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := waiting(ctx, d, known)
		time.Sleep(2 * time.Minute) // one wait lasts long by now
		f.do(func() { f.hang["wait"] = hang })
		time.Sleep(d.opt.Slice) // the next one is about to block
		f.do(func() { delete(f.hang, "wait") })
		cancel()
		synctest.Wait() // the cancel has come, and found nothing that blocks
		close(hang)
		begin := time.Now()
		if r := <-done; !errors.Is(r.err, context.Canceled) {
			t.Errorf("Wait: %v", r.err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Wait ended after %v", took)
		}
	})
}

// A stuck service holds a wait that is not wanted any more for one step, and
// takes no further thread.
func TestWaitOnStuckService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, nil)
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		f.do(func() { f.hang["status"] = hang })
		done := waiting(ctx, d, known)
		synctest.Wait()
		cancel()
		begin := time.Now()
		if r := <-done; !errors.Is(r.err, context.Canceled) {
			t.Errorf("Wait: %v", r.err)
		}
		if took := time.Since(begin); took > d.opt.Step {
			t.Errorf("Wait held for %v", took)
		}
		for range 5 {
			if _, err := d.Readers(t.Context()); !errors.Is(err, reader.ErrTimeout) {
				t.Errorf("Readers: %v", err)
			}
			if _, err := d.Wait(t.Context(), known); !errors.Is(err, reader.ErrTimeout) {
				t.Errorf("Wait: %v", err)
			}
		}
		if n := d.Stuck(); n != 1 {
			t.Errorf("%d calls left behind, want 1", n)
		}
		f.do(func() { delete(f.hang, "status") })
		close(hang)
		eventually(t, func() error { _, err := d.Readers(t.Context()); return err })
		if n := d.Stuck(); n != 0 {
			t.Errorf("%d calls left behind after all came back", n)
		}
	})
}

// Each step of a card has its own limit. One reader that is stuck keeps one
// goroutine; the others go on, and it is whole again when the call returns.
func TestStuckReaderAlone(t *testing.T) {
	limits := func() *Options {
		return &Options{
			Step: time.Second, Connect: 2 * time.Second, Reset: 3 * time.Second, Exchange: 4 * time.Second,
			Control: 5 * time.Second, Disconnect: 6 * time.Second, Busy: 10 * time.Millisecond, Settle: time.Millisecond,
		}
	}
	transmit := func(_ *Driver, c reader.Card) error {
		_, err := c.Transmit(context.Background(), recall)
		return err
	}
	openIt := func(d *Driver, _ reader.Card) error {
		c, err := d.Open(context.Background(), name)
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, tt := range []struct {
		hang   string
		opened bool
		use    func(d *Driver, c reader.Card) error
		want   time.Duration // plus the 10 ms for another program, where one may be the cause
		closes bool          // the card is closed by the use
	}{
		{"connect", false, openIt, 2 * time.Second, false},
		{"begin", false, openIt, time.Second, false},
		{"reset", false, openIt, 3 * time.Second, false},
		{"reset", true, func(_ *Driver, c reader.Card) error { return c.Reset(context.Background()) }, 3 * time.Second, false},
		{"transmit", true, transmit, 4 * time.Second, false},
		{"control", true, func(_ *Driver, c reader.Card) error {
			_, err := reader.CapabilitiesOf(context.Background(), c)
			return err
		}, 5 * time.Second, false},
		{"attribute", true, func(_ *Driver, c reader.Card) error {
			_, err := reader.CapabilitiesOf(context.Background(), c)
			return err
		}, 5 * time.Second, false},
		{"disconnect", true, func(_ *Driver, c reader.Card) error { return c.Close() }, 6 * time.Second, true},
	} {
		t.Run(tt.hang, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := setUp(t, limits())
				f.insert(name, readertest.NewChip())
				f.insert(neighbour, readertest.NewChip())
				var card reader.Card
				if tt.opened {
					card = open(t, d)
				}
				hang := make(chan struct{})
				f.do(func() { f.hang[tt.hang+" at "+name] = hang })
				begin := time.Now()
				err := tt.use(d, card)
				if took := time.Since(begin); took < tt.want || took > tt.want+20*time.Millisecond {
					t.Errorf("gave up after %v, want %v", took, tt.want)
				}
				// A begin that does not return is how a transaction of another
				// program looks.
				want := reader.ErrTimeout
				if tt.hang == "begin" {
					want = reader.ErrSharing
				}
				if !errors.Is(err, want) {
					t.Errorf("first try: %v, want %v", err, want)
				}

				for range 5 {
					if err := openIt(d, nil); !errors.Is(err, want) {
						t.Errorf("Open of the stuck reader: %v", err)
					}
					if card != nil && !tt.closes {
						if err := transmit(d, card); !errors.Is(err, reader.ErrTimeout) {
							t.Errorf("Transmit to the stuck reader: %v", err)
						}
					}
				}
				if n := d.Stuck(); n != 1 {
					t.Errorf("%d calls left behind, want 1", n)
				}
				other, err := d.Open(t.Context(), neighbour)
				if err != nil {
					t.Fatalf("the other reader: %v", err)
				}
				if _, err := other.Transmit(t.Context(), recall); err != nil {
					t.Errorf("the other reader: %v", err)
				}
				if err := other.Close(); err != nil {
					t.Errorf("the other reader: %v", err)
				}

				if card != nil {
					if err := card.Close(); err != nil {
						t.Errorf("Close after a timeout: %v", err)
					}
				}
				f.do(func() { delete(f.hang, tt.hang+" at "+name) })
				close(hang)
				eventually(t, func() error { return openIt(d, nil) })
				if n := d.Stuck(); n != 0 {
					t.Errorf("%d calls left behind after all came back", n)
				}
			})
		})
	}
}

// Windows resets a card whose transaction has done nothing for five seconds.
func TestIdleCardIsKept(t *testing.T) {
	for _, keep := range []time.Duration{0, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			d, f := setUp(t, quick())
			d.keep = keep
			f.do(func() { f.idleReset = 5 * time.Second })
			f.insert(name, readertest.NewChip())
			card := open(t, d)
			remember := readertest.Command(readertest.InsRemember, 0, 0, []byte("session"), 0)
			if _, err := card.Transmit(t.Context(), remember); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // the operator types the card's number
			resp, err := card.Transmit(t.Context(), recall)
			if keep > 0 {
				if err != nil || len(resp) != len("session")+2 {
					t.Errorf("kept card: %d bytes, %v", len(resp), err)
				}
				return
			}
			if !errors.Is(err, reader.ErrCardReset) {
				t.Fatalf("card that was not kept: %v", err)
			}
			// Another program may have it now. It is ours again, and reset,
			// once that has gone.
			f.do(func() { f.reader(name).foreign = true })
			timer := time.AfterFunc(20*time.Millisecond, func() { f.do(func() { f.reader(name).foreign = false }) })
			defer timer.Stop()
			if err := card.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.do(func() {
				if f.reader(name).locked == nil {
					t.Error("the card is used without a transaction")
				}
			})
			if resp, err := card.Transmit(t.Context(), recall); err != nil || len(resp) != 2 {
				t.Errorf("after a reset: %d bytes, %v", len(resp), err)
			}
		})
	}
}

// Whatever another program did before the card was ours, the reset comes after.
func TestResetAfterTransactionBegins(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, f := setUp(t, quick())
			chip := readertest.NewChip()
			f.insert(name, chip)
			if refused {
				f.do(func() { f.refuse["begin"] = codeResetCard })
			}
			card := open(t, d)
			f.do(func() {
				if f.reader(name).locked == nil {
					t.Errorf("begin refused %v: the card is open without a transaction", refused)
				}
				if chip.Resets() <= f.resetsAtBegin {
					t.Errorf("begin refused %v: no reset since the transaction began", refused)
				}
			})
			if err := card.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A call that has come back is not counted any more, although its card is of no
// use and still open.
func TestStuckCallComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		f.insert(name, readertest.NewChip())
		card := open(t, d)
		hang := make(chan struct{})
		f.do(func() { f.hang["transmit"] = hang })
		if _, err := card.Transmit(t.Context(), recall); !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Transmit: %v", err)
		}
		if n := d.Stuck(); n != 1 {
			t.Errorf("%d calls left behind, want 1", n)
		}
		f.do(func() { delete(f.hang, "transmit") })
		close(hang)
		synctest.Wait()
		if n := d.Stuck(); n != 0 {
			t.Errorf("%d calls left behind, want none", n)
		}
		if _, err := card.Transmit(t.Context(), recall); !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Transmit on a card that was given up: %v", err)
		}
	})
}

// A call that the look at an idle card holds up is bounded, too.
func TestStuckWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		d.keep = time.Second
		f.insert(name, readertest.NewChip())
		card := open(t, d)
		hang := make(chan struct{})
		f.do(func() { f.hang["card status"] = hang })
		time.Sleep(1500 * time.Millisecond)
		begin := time.Now()
		if _, err := card.Transmit(t.Context(), recall); !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Transmit: %v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Transmit gave up after %v", took)
		}
		if err := card.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		f.do(func() { delete(f.hang, "card status") })
		close(hang)
		eventually(t, func() error {
			card, err := d.Open(t.Context(), name)
			if err == nil {
				card.Close()
			}
			return err
		})
	})
}

func TestWhoHoldsTheCard(t *testing.T) {
	for _, tt := range []struct {
		name string
		prep func(f *fake, r *fakeReader)
		want Holder
	}{
		{"exclusive", func(_ *fake, r *fakeReader) { r.exclusive = true }, ExclusiveConnection},
		{"transaction", func(_ *fake, r *fakeReader) { r.foreign = true }, Transaction},
		{"transaction, connect blocks", func(f *fake, r *fakeReader) { r.foreign, f.connectBlocks = true, true }, Transaction},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := setUp(t, quick())
				f.insert(name, readertest.NewChip())
				f.do(func() { tt.prep(f, f.reader(name)) })
				for range 2 { // the second one meets what the first has left behind
					_, err := d.Open(t.Context(), name)
					var held *SharingError
					if !errors.As(err, &held) || held.Holder != tt.want {
						t.Errorf("Open: %v, want %v", err, tt.want)
					}
				}
				f.do(func() { f.reader(name).exclusive, f.reader(name).foreign = false, false })
				eventually(t, func() error {
					card, err := d.Open(t.Context(), name)
					if err == nil {
						card.Close()
					}
					return err
				})
			})
		})
	}
	t.Run("this program", func(t *testing.T) {
		d, f := setUp(t, quick())
		f.insert(name, readertest.NewChip())
		open(t, d)
		_, err := d.Open(t.Context(), name)
		var held *SharingError
		if !errors.As(err, &held) || held.Holder != ThisProgram {
			t.Errorf("Open: %v", err)
		}
	})
}
