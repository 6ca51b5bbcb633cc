//go:build cgo && !windows

package pcsc

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ebfe/scard"
)

// keepAlive is how often an idle card is looked at: never, for pcsc-lite lets a
// transaction last.
const keepAlive = 0

func (native) establish() (scardContext, error) {
	c, err := scard.EstablishContext()
	if err != nil {
		return nil, codeOf(err)
	}
	return nativeContext{c}, nil
}

type nativeContext struct{ c *scard.Context }

func (n nativeContext) listReaders() ([]string, error) {
	names, err := n.c.ListReaders()
	return names, codeOf(err)
}

// statusSlots are numbers that status calls of this process use for a while.
//
// The library hands the addresses of the reader names to C as numbers, which
// keep nothing alive. It makes up for that with a map that holds the last copy
// of each name; so a second call with the same name lets go of the copy that
// the first one, still blocked, has C look at. Appending to each name a NUL,
// where it ends for C, and a number that no other call uses at the moment
// makes them different names for the map. The map never shrinks; with slots
// used over again it has as many entries as there were calls at once.
var statusSlots struct {
	mu   sync.Mutex
	used []bool
}

func takeSlot() int {
	s := &statusSlots
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.used, false)
	if i < 0 {
		i = len(s.used)
		s.used = append(s.used, false)
	}
	s.used[i] = true
	return i
}

func freeSlot(i int) {
	statusSlots.mu.Lock()
	defer statusSlots.mu.Unlock()
	statusSlots.used[i] = false
}

func (n nativeContext) getStatusChange(states []readerState, wait time.Duration) error {
	if len(states) == 0 {
		return nil // the library takes the address of the first
	}
	slot := takeSlot()
	defer freeSlot(slot)
	suffix := "\x00" + strconv.Itoa(slot)
	native := make([]scard.ReaderState, len(states))
	for i, s := range states {
		native[i] = scard.ReaderState{Reader: s.name + suffix, CurrentState: scard.StateFlag(s.current)}
	}
	if err := n.c.GetStatusChange(native, wait); err != nil {
		return codeOf(err)
	}
	for i, s := range native {
		states[i].event = uint32(s.EventState)
		states[i].atr = slices.Clone(s.Atr)
	}
	return nil
}

func (n nativeContext) cancel() error  { return codeOf(n.c.Cancel()) }
func (n nativeContext) release() error { return codeOf(n.c.Release()) }

func (n nativeContext) connect(readerName string) (scardCard, error) {
	return connectNative(n.c, readerName)
}
