package supervise_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/internal/supervise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary notes what happens, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) service(name string, cleanUp time.Duration) supervise.Service {
	return supervise.Service{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(cleanUp)
		d.note(name)
		return nil
	}}
}

func TestStopsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- supervise.Run(ctx,
				supervise.Stage{Services: []supervise.Service{d.service("intake", 3*time.Second), d.service("scanner", time.Second)}},
				supervise.Stage{Services: []supervise.Service{d.service("card", 2*time.Second)}},
				supervise.Stage{Services: []supervise.Service{d.service("link", 0)}},
			)
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if want := []string{"scanner", "intake", "card", "link"}; !slices.Equal(d.lines, want) {
			t.Errorf("stopped %v, want %v", d.lines, want)
		}
	})
}

func TestOneFails(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{{"with an error", boom, "link: boom"}, {"without", nil, "link: ended by itself"}} {
		t.Run(test.name, func(t *testing.T) {
			var d diary
			err := supervise.Run(t.Context(),
				supervise.Stage{Services: []supervise.Service{d.service("intake", 0)}},
				supervise.Stage{Services: []supervise.Service{d.service("card", 0), {Name: "link", Run: func(context.Context) error { return test.err }}}},
			)
			if err == nil || err.Error() != test.want || test.err != nil && !errors.Is(err, boom) {
				t.Errorf("Run = %v, want %s", err, test.want)
			}
			if want := []string{"intake", "card"}; !slices.Equal(d.lines, want) {
				t.Errorf("stopped %v, want %v", d.lines, want)
			}
		})
	}
}

func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- supervise.Run(ctx,
				supervise.Stage{Patience: time.Second, Services: []supervise.Service{
					d.service("scanner", 0),
					{Name: "hung", Run: func(context.Context) error { <-release; return nil }},
				}},
				supervise.Stage{Services: []supervise.Service{d.service("link", 0)}},
			)
		}()
		synctest.Wait()
		cancel()
		err := <-done
		if !errors.Is(err, supervise.ErrStuck) || !strings.HasSuffix(err.Error(), ": hung") {
			t.Errorf("Run = %v, want ErrStuck of hung", err)
		}
		if want := []string{"scanner", "link"}; !slices.Equal(d.lines, want) {
			t.Errorf("stopped %v, want %v", d.lines, want)
		}
		close(release)
		synctest.Wait()
	})
}
