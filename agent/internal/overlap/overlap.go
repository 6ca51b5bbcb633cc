// Package overlap does host work while a card reader is busy with the next
// exchange: hashing and verifying signatures beside the wire. The packages of
// icao start no goroutines; they take [Group.Do] as a function.
package overlap

import "sync"

// limit is how much is done at the same time in one group. An inspection has at
// most a file to hash and a signature to verify, and a desk's computer few cores.
const limit = 2

// Group does work in goroutines of its own: never more than a few, and none is
// left when [Group.Wait] has returned. The zero value is ready; it must not be
// copied. Its methods may be called from one goroutine, and from the work.
type Group struct {
	group sync.WaitGroup
	mu    sync.Mutex
	busy  int
}

// Do starts the work and returns a function that waits for its end, which may be
// called any number of times, or never. When the group has enough to do, the work
// is done before Do returns.
func (g *Group) Do(work func()) (wait func()) {
	if !g.enter() {
		work()
		return func() {}
	}
	done := make(chan struct{})
	g.group.Go(func() {
		defer close(done)
		defer g.leave()
		work()
	})
	return func() { <-done }
}

// Wait waits for all work that was started.
func (g *Group) Wait() { g.group.Wait() }

func (g *Group) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy == limit {
		return false
	}
	g.busy++
	return true
}

func (g *Group) leave() {
	g.mu.Lock()
	g.busy--
	g.mu.Unlock()
}
