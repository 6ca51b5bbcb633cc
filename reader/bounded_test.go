package reader_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// stuckCard is a card whose named call returns only when it is let go.
type stuckCard struct {
	reader.Card
	op     string
	let    chan struct{}
	calls  *atomic.Int32 // that have begun and not returned
	closed *atomic.Int32
}

func (c stuckCard) at(op string) {
	if c.op == op {
		c.calls.Add(1)
		<-c.let
		c.calls.Add(-1)
	}
}

func (c stuckCard) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	c.at("transmit")
	return c.Card.Transmit(ctx, cmd)
}

func (c stuckCard) Reset(ctx context.Context) error {
	c.at("reset")
	return c.Card.Reset(ctx)
}

func (c stuckCard) Capabilities(context.Context) (reader.Capabilities, error) {
	c.at("ask")
	return reader.Capabilities{}, nil
}

func (c stuckCard) Close() error {
	c.at("close")
	c.closed.Add(1)
	return c.Card.Close()
}

// A driver that never returns from a call costs that call: Take, Close and the
// end of the hub come in time, the reader is unavailable until the call has
// returned, and what it brought is closed.
func TestHubBearsACallThatIsStuck(t *testing.T) {
	recall := []byte{0x80, readertest.InsRecall, 0, 0}
	for _, op := range []string{"open", "ask", "transmit", "reset", "close"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const name = "Reader 0"
				d := virtual.New(name, "Other 0")
				must(t, d.Insert(name, readertest.NewChip()))
				var calls, closed atomic.Int32
				let := make(chan struct{})
				h := openHub(t, reader.HubConfig{Sources: sources(&driver{
					readers: d.Readers, wait: d.Wait,
					open: func(ctx context.Context, name string) (reader.Card, error) {
						card, err := d.Open(context.WithoutCancel(ctx), name)
						if err != nil {
							return nil, err
						}
						c := stuckCard{card, op, let, &calls, &closed}
						c.at("open")
						return c, nil
					},
				})})
				s := h.Subscribe(0)
				defer s.Close()
				wantChanges(t, "at the beginning", s, "snapshot: Reader 0=present Other 0=empty")

				began := time.Now()
				l, err := h.Take(t.Context(), name)
				if op == "open" {
					if !errors.Is(err, reader.ErrTimeout) {
						t.Errorf("Take: %v", err)
					}
				} else {
					must(t, err)
					var err error
					if op == "reset" {
						err = l.Reset(t.Context())
					} else {
						_, err = l.Transmit(t.Context(), recall)
					}
					if want := op != "close"; errors.Is(err, reader.ErrTimeout) != want {
						t.Errorf("exchange: %v", err)
					}
					if err := l.Close(); (err != nil) != (op == "close") {
						t.Errorf("Close: %v", err)
					}
				}
				if d := time.Since(began); d > 2*time.Minute {
					t.Errorf("it took %v", d)
				}
				for range 3 {
					if _, err := h.Take(t.Context(), name); !errors.Is(err, reader.ErrTimeout) {
						t.Errorf("Take of a reader that is stuck: %v", err)
					}
				}
				devices, err := h.Devices(t.Context())
				must(t, err)
				if devices[0].State != reader.Unavailable || h.Stuck() != 1 || calls.Load() != 1 {
					t.Errorf("state %v, %d stuck, %d calls", devices[0].State, h.Stuck(), calls.Load())
				}

				close(let)
				synctest.Wait()
				if h.Stuck() != 0 || closed.Load() != 1 {
					t.Errorf("after it came back: %d stuck, %d cards closed", h.Stuck(), closed.Load())
				}
				l, err = h.Take(t.Context(), name)
				must(t, err)
				if _, err := l.Transmit(t.Context(), recall); err != nil {
					t.Error(err)
				}
				must(t, l.Close())
			})
		})
	}
}

// The end of a context, and of the hub, do not wait for the driver's limit.
func TestStuckCallEndsWithItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := virtual.New("a", "b")
		must(t, d.Insert("b", readertest.NewChip()))
		var calls, closed atomic.Int32
		let := make(chan struct{})
		h, err := reader.OpenHub(reader.HubConfig{Sources: sources(&driver{
			readers: d.Readers, wait: d.Wait,
			open: func(ctx context.Context, name string) (reader.Card, error) {
				if name == "a" {
					<-let
					return nil, reader.ErrNoCard
				}
				card, err := d.Open(ctx, name)
				return stuckCard{card, "transmit", let, &calls, &closed}, err
			},
		})})
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := h.Take(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Take: %v", err)
		}
		if d := time.Since(began); d != 4*time.Second {
			t.Errorf("Take took %v, want the context's second and three of grace", d)
		}
		l, err := h.Take(t.Context(), "b")
		must(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := l.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0})
			done <- err
		}()
		synctest.Wait()
		began = time.Now()
		if err := h.Close(); !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("Close took %v", d)
		}
		if err := <-done; !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Transmit: %v", err)
		}
		close(let)
		synctest.Wait()
		if closed.Load() != 1 || h.Stuck() != 0 {
			t.Errorf("%d cards closed, %d stuck", closed.Load(), h.Stuck())
		}
	})
}
