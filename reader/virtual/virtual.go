// Package virtual provides readers without hardware: readers that exist in
// this process only ([Driver]), and a [Lender] that lends a software chip to
// the virtual reader of a real pcscd.
//
// What lies on such a reader is anything that answers APDUs; see [Chip]. The
// package knows no card protocol.
package virtual

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/chamthe/chamthe/reader"
)

// A Chip answers APDUs. The software chip of this project satisfies it.
type Chip interface {
	// Transmit returns the response to a command. An error means that the
	// chip has left the field: the reader reports a removed card.
	Transmit(ctx context.Context, cmd []byte) (resp []byte, err error)
	// Reset powers the chip up anew.
	Reset()
	// ATR returns the answer to reset.
	ATR() []byte
}

// A Driver is a set of readers that exist in this process. It plays the part
// of the hardware, too: its other methods plug readers in and put cards on
// them. All methods may be called from several goroutines at once. The zero
// value has no reader and is ready to use.
type Driver struct {
	mu      sync.Mutex
	slots   []*slot
	changed chan struct{} // closed and replaced on every change; nil if nobody waits
}

var _ reader.Driver = (*Driver)(nil)

// slot is a reader. Its fields are guarded by Driver.mu.
type slot struct {
	name    string
	chip    Chip // nil: empty
	changes uint32
	card    *card // nil: not open
	tearIn  int   // exchanges until the card leaves, if > 0
}

// New returns a driver with the named readers, all empty.
func New(names ...string) *Driver {
	d := &Driver{}
	for _, name := range names {
		d.slots = append(d.slots, &slot{name: name})
	}
	return d
}

// Plug adds an empty reader. It returns an error if the name is taken.
func (d *Driver) Plug(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slot(name) != nil {
		return fmt.Errorf("virtual: reader %q exists", name)
	}
	d.slots = append(d.slots, &slot{name: name})
	d.notify()
	return nil
}

// Unplug takes a reader away with the card on it, if it is there.
func (d *Driver) Unplug(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.slot(name); s != nil {
		s.removeCard()
		d.slots = slices.DeleteFunc(d.slots, func(x *slot) bool { return x == s })
		d.notify()
	}
}

// Insert puts a card on an empty reader and powers it up.
func (d *Driver) Insert(name string, chip Chip) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slot(name)
	if s == nil {
		return reader.ErrNoReader
	}
	if s.chip != nil {
		return fmt.Errorf("virtual: there is a card on reader %q", name)
	}
	chip.Reset()
	s.chip, s.tearIn = chip, 0
	s.changes++
	d.notify()
	return nil
}

// Remove takes the card off a reader. An exchange in flight is lost, as when
// a hand moves. It is no error if there is no card.
func (d *Driver) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slot(name)
	if s == nil {
		return reader.ErrNoReader
	}
	s.removeCard()
	d.notify()
	return nil
}

// Tear takes the card off in the middle of the n-th exchange from now: the
// chip sees the command, the reader never sees the response. n counts from 1;
// 0 takes the order back.
func (d *Driver) Tear(name string, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slot(name)
	if s == nil {
		return reader.ErrNoReader
	}
	if s.chip == nil {
		return reader.ErrNoCard
	}
	s.tearIn = n
	return nil
}

// ResetCard resets the card as another program would: an open card of ours
// learns of it by [reader.ErrCardReset].
func (d *Driver) ResetCard(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slot(name)
	if s == nil {
		return reader.ErrNoReader
	}
	if s.chip == nil {
		return reader.ErrNoCard
	}
	s.chip.Reset()
	if s.card != nil {
		s.card.wasReset = true
	}
	return nil
}

// Readers implements [reader.Driver].
func (d *Driver) Readers(ctx context.Context) ([]reader.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.infos(), nil
}

// Wait implements [reader.Driver].
func (d *Driver) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.mu.Lock()
		infos := d.infos()
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		if !reader.Same(infos, known) {
			return infos, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Open implements [reader.Driver].
func (d *Driver) Open(ctx context.Context, name string) (reader.Card, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slot(name)
	switch {
	case s == nil:
		return nil, reader.ErrNoReader
	case s.card != nil:
		return nil, reader.ErrSharing
	case s.chip == nil:
		return nil, reader.ErrNoCard
	}
	s.chip.Reset()
	s.card = &card{d: d, slot: s, chip: s.chip, atr: slices.Clone(s.chip.ATR()), turn: make(chan struct{}, 1)}
	d.notify()
	return s.card, nil
}

func (d *Driver) slot(name string) *slot {
	for _, s := range d.slots {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (d *Driver) infos() []reader.Info {
	infos := make([]reader.Info, 0, len(d.slots))
	for _, s := range d.slots {
		in := reader.Info{Name: s.name, State: reader.Empty, Changes: s.changes}
		if s.chip != nil {
			in.State = reader.Present
			in.ATR = slices.Clone(s.chip.ATR())
			if s.card != nil {
				in.State = reader.Busy
			}
		}
		infos = append(infos, in)
	}
	return infos
}

func (d *Driver) notify() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

func (s *slot) removeCard() {
	if s.chip == nil {
		return
	}
	s.chip, s.tearIn = nil, 0
	s.changes++
	if s.card != nil {
		s.card.removed = true
		s.card = nil // the next card can be opened, whether this one is closed or not
	}
}

// card is an open card. turn makes exchanges happen one after the other; the
// flags are guarded by Driver.mu, which is not held during an exchange.
type card struct {
	d    *Driver
	slot *slot
	chip Chip
	turn chan struct{} // holds a token during a call

	removed, wasReset, closed bool
	atr                       []byte
}

var _ reader.Card = (*card)(nil)

// Transmit implements [reader.Card].
func (c *card) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := reader.CheckCommand(cmd); err != nil {
		return nil, err
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	defer c.end()

	c.d.mu.Lock()
	err := c.state()
	if err == nil && c.wasReset {
		err = reader.ErrCardReset
	}
	tear := false
	if err == nil && c.slot.tearIn > 0 {
		c.slot.tearIn--
		tear = c.slot.tearIn == 0
	}
	c.d.mu.Unlock()
	if err != nil {
		return nil, err
	}

	// An exchange that has begun is finished.
	resp, err := c.chip.Transmit(context.WithoutCancel(ctx), slices.Clone(cmd))

	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if (tear || err != nil) && !c.removed {
		c.slot.removeCard()
		c.d.notify()
	}
	if err := c.state(); err != nil {
		return nil, err
	}
	if len(resp) < 2 {
		return nil, reader.ErrComm
	}
	return slices.Clone(resp), nil
}

// Reset implements [reader.Card].
func (c *card) Reset(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if err := c.state(); err != nil {
		return err
	}
	c.chip.Reset()
	c.wasReset = false
	c.atr = slices.Clone(c.chip.ATR())
	return nil
}

// ATR implements [reader.Card].
func (c *card) ATR() []byte {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	return slices.Clone(c.atr)
}

// Close implements [reader.Card].
func (c *card) Close() error {
	c.turn <- struct{}{}
	defer c.end()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if !c.removed {
		c.chip.Reset()
		c.slot.card = nil
		c.d.notify()
	}
	return nil
}

func (c *card) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		c.end()
		return err
	}
	return nil
}

func (c *card) end() { <-c.turn }

// state tells why no exchange is possible, with Driver.mu held.
func (c *card) state() error {
	switch {
	case c.closed:
		return reader.ErrClosed
	case c.removed:
		return reader.ErrCardRemoved
	}
	return nil
}
