package overlap_test

import (
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/internal/overlap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBeside: work is done beside the caller, who need not wait for it.
func TestBeside(t *testing.T) {
	t.Parallel()
	var g overlap.Group
	begin, done := make(chan struct{}), false
	wait := g.Do(func() {
		<-begin
		done = true
	})
	close(begin) // work that is done inside Do would never get here
	wait()
	if !done {
		t.Error("wait did not wait")
	}
	wait()
}

// TestBounded: a third piece of work is done by the caller.
func TestBounded(t *testing.T) {
	t.Parallel()
	var g overlap.Group
	hold := make(chan struct{})
	for range 2 {
		g.Do(func() { <-hold })
	}
	done := false
	wait := g.Do(func() { done = true })
	if !done {
		t.Error("the group took more than it may")
	}
	wait()
	close(hold)
	g.Wait()
	// There is room again.
	hold = make(chan struct{})
	wait = g.Do(func() { <-hold })
	close(hold)
	wait()
}

// TestJoined: Wait leaves nothing behind, whoever forgot to wait.
func TestJoined(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	func() {
		var g overlap.Group
		defer g.Wait()
		for range 20 {
			g.Do(func() { n.Add(1) })
		}
	}()
	if n.Load() != 20 {
		t.Errorf("%d of 20 pieces of work were done", n.Load())
	}
}
