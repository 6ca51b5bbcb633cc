package serial

import (
	"context"
	"errors"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial/pn532"
)

// A slot is one port and the module on it.
type slot struct {
	d          *Driver
	port, name string
	turn       chan struct{} // holds a token while the module is in use

	// Guarded by turn.
	line    line
	baud    int
	mod     *pn532.Module // nil: not connected
	target  *pn532.Target // nil: no card
	slow    bool          // this card is disturbed at a fast rate
	rate    int           // towards the card, in kbit/s
	card    *card         // nil: not open
	used    time.Time     // when the card last answered
	retryAt time.Time     // when a module that does not answer is asked again
	pause   time.Duration

	// Guarded by Driver.mu.
	cut    line // line, for who cannot wait for the turn; nil: not connected
	info   reader.Info
	why    error // why the module cannot be used; nil if it can
	looked bool
	busy   bool // a card is open
}

// begin waits for the module.
func (s *slot) begin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		s.end()
		return err
	}
	return nil
}

func (s *slot) end() { <-s.turn }

// closePatience is how long an exchange in flight may go on when its card is being
// closed: the slowest chips sign within it.
const closePatience = 3 * time.Second

// take waits for the module like begin, but not for ever: a card that keeps it busy
// has the line cut, which ends every call on it.
func (s *slot) take(patience time.Duration) {
	select {
	case s.turn <- struct{}{}:
		return
	case <-time.After(patience):
	}
	s.d.mu.Lock()
	l := s.cut
	s.d.mu.Unlock()
	if l != nil {
		_ = l.Close() // whoever uses it is told, and lets go
	}
	s.turn <- struct{}{}
}

func (s *slot) inUse() bool {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.busy
}

// look brings what is known of the module up to date. While an exchange is
// going on, what is known stands: it is no use to wait for it.
func (s *slot) look(ctx context.Context) {
	select {
	case s.turn <- struct{}{}:
	default:
		s.d.mu.Lock()
		looked := s.looked
		s.d.mu.Unlock()
		if looked || s.begin(ctx) != nil {
			return
		}
	}
	defer s.end()
	s.see(ctx)
}

// see is look with the turn taken.
func (s *slot) see(ctx context.Context) {
	if s.mod == nil && !s.connect(ctx) {
		return
	}
	if s.target != nil && s.target.ISODEP() {
		if time.Since(s.used) < s.d.cfg.Poll {
			return
		}
		present, err := s.mod.Present()
		if err != nil {
			s.trouble(err)
			return
		}
		if present {
			s.used = time.Now()
			return
		}
		s.gone()
		if err := s.mod.PowerCycle(); err != nil {
			s.trouble(err)
			return
		}
	}
	if _, err := s.find(); err != nil {
		s.trouble(err)
	}
}

// connect opens the port and sets the module up.
func (s *slot) connect(ctx context.Context) bool {
	if time.Now().Before(s.retryAt) && portExists(s.port) {
		return false
	}
	s.mod = nil
	err := s.dial(ctx, s.d.cfg.Baud)
	if s.mod == nil {
		if ctx.Err() != nil {
			return false
		}
		if errors.Is(err, ErrNoPort) {
			s.retryAt, s.pause = time.Time{}, 0
			s.set(func() { s.why = reader.ErrNoReader })
			return false
		}
		s.pause = min(max(2*s.pause, s.d.cfg.Retry), 8*s.d.cfg.Retry)
		s.retryAt = time.Now().Add(s.pause)
		s.set(func() { s.why, s.info.State, s.info.ATR = err, reader.Unavailable, nil })
		return false
	}
	s.retryAt, s.pause = time.Time{}, 0
	s.set(func() { s.why, s.info.State, s.info.ATR = nil, reader.Empty, nil })
	return true
}

// dial finds the module at the speed of power-up, from which it is led to
// another, or at that other, if a program has left it there.
func (s *slot) dial(ctx context.Context, baud int) error {
	speeds := []int{defaultBaud}
	if baud != defaultBaud {
		speeds = append(speeds, baud)
	}
	var last error
	for _, at := range speeds {
		l, err := s.openLine(at)
		if err != nil {
			return err
		}
		mod, err := pn532.Connect(ctx, l, s.d.cfg.Timing)
		if err == nil && at != baud {
			l, err = s.speedUp(mod, l, baud)
		}
		if err == nil {
			s.line, s.baud, s.mod = l, baud, mod
			s.set(func() { s.cut = l })
			return nil
		}
		if l != nil {
			_ = l.Close()
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return last
}

func (s *slot) openLine(baud int) (line, error) {
	return s.d.cfg.open(PortConfig{Name: s.port, Baud: baud, WriteTimeout: s.d.cfg.WriteTimeout})
}

// speedUp changes the speed of the line on both ends. tarm/serial cannot change
// that of an open port, so it is opened anew.
func (s *slot) speedUp(mod *pn532.Module, old line, baud int) (line, error) {
	if err := mod.Baud(baud); err != nil {
		return old, err
	}
	if err := old.Close(); err != nil {
		return nil, err
	}
	l, err := s.openLine(baud)
	if err != nil {
		return nil, err
	}
	return l, mod.Moved(l)
}

// find looks for a card on a module that has none, or none that takes APDUs.
func (s *slot) find() (bool, error) {
	if s.target != nil {
		// A card without ISO/IEC 14443-4 cannot be asked whether it is there;
		// after a rest it introduces itself again.
		if err := s.mod.PowerCycle(); err != nil {
			return false, err
		}
	}
	was := s.target != nil
	t, err := s.mod.Find()
	if err != nil {
		return false, err
	}
	switch {
	case t == nil && was:
		s.gone()
		return false, nil
	case t == nil:
		return false, nil
	}
	again := was && !s.target.ISODEP() && !t.ISODEP()
	s.target = t
	if t.ISODEP() {
		if err := s.speed(); err != nil {
			return false, err
		}
	}
	if !again {
		s.set(func() {
			if was {
				s.info.Changes++ // that it left
			}
			s.info.Changes++
			s.show()
		})
	}
	return s.target != nil, nil
}

// speed sets the bit rate of the card just found. A card that does not go
// along is found anew and stays at 106 kbit/s.
func (s *slot) speed() error {
	s.used, s.rate = time.Now(), pn532.Rate106
	limit := s.d.cfg.BitRate
	if s.slow {
		limit = pn532.Rate106
	}
	rate, err := s.mod.Speed(s.target, limit)
	if err == nil {
		s.rate = rate
		return nil
	}
	var st pn532.Status
	if !errors.As(err, &st) && !errors.Is(err, pn532.ErrSyntax) {
		return err
	}
	s.slow = true
	return s.activate()
}

// activate powers the field off and on and finds the card again. On return
// without an error, s.target is that card, or nil if there is none.
func (s *slot) activate() error {
	if err := s.mod.PowerCycle(); err != nil {
		return err
	}
	t, err := s.mod.Find()
	s.target = t
	if err != nil || t == nil || !t.ISODEP() {
		return err
	}
	return s.speed()
}

// show sets state and ATR by the card, with Driver.mu held.
func (s *slot) show() {
	s.info.ATR = nil
	switch {
	case s.target == nil:
		s.info.State = reader.Empty
	case !s.target.ISODEP():
		s.info.State = reader.Mute
	case s.busy:
		s.info.State = reader.Busy
	default:
		s.info.State = reader.Present
	}
	if s.target != nil && s.target.ISODEP() {
		s.info.ATR = s.target.ATR()
	}
}

// gone notes that the card has left. If it was only disturbed it is still
// active, and hears no call before the field was off.
func (s *slot) gone() {
	s.target, s.slow = nil, false
	s.drop(reader.ErrCardRemoved)
	s.set(func() {
		s.info.Changes++
		s.show()
	})
}

// drop ends the open card.
func (s *slot) drop(err error) {
	if s.card == nil {
		return
	}
	s.card.dead = err
	s.card = nil
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.busy = false
}

// trouble notes that the module does not work any more, and lets it go. The
// next look sets it up anew. It returns what the owner of a card is told.
func (s *slot) trouble(err error) error {
	told := reader.ErrTimeout
	why := err
	if errors.Is(err, ErrPortGone) || errors.Is(err, ErrPortClosed) {
		told, why = reader.ErrNoReader, reader.ErrNoReader
	}
	_ = s.disconnect(told, why)
	return told
}

// disconnect closes the port.
func (s *slot) disconnect(told, why error) error {
	var err error
	if s.line != nil {
		err = s.line.Close()
	}
	had := s.target != nil
	s.line, s.mod, s.target, s.slow = nil, nil, nil, false
	s.drop(told)
	s.set(func() {
		s.cut = nil
		if had {
			s.info.Changes++
		}
		s.why, s.info.State, s.info.ATR = why, reader.Unavailable, nil
		if why == nil {
			s.looked, s.info.State = false, reader.Unknown
		}
	})
	return err
}

// set changes what is shown of the reader and wakes those who wait.
func (s *slot) set(change func()) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	before, why := s.info, s.why
	s.looked = true
	change()
	if !before.Equal(s.info) || (why == nil) != (s.why == nil) {
		close(s.d.changed)
		s.d.changed = make(chan struct{})
		s.d.stirred = time.Now()
	}
}
