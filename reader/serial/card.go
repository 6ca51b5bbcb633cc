package serial

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial/pn532"
)

// card is an open card.
type card struct {
	s *slot

	// Guarded by slot.turn.
	dead     error // why no call can be made any more
	wasReset bool  // the session is gone though the card may be there

	mu  sync.Mutex
	atr []byte
}

var (
	_ reader.Card    = (*card)(nil)
	_ reader.Capable = (*card)(nil)
)

// open opens the card, with the turn taken.
func (s *slot) open(ctx context.Context) (reader.Card, error) {
	if s.card != nil {
		return nil, reader.ErrSharing
	}
	if s.mod == nil && !s.connect(ctx) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, reader.ErrNoReader
	}
	if s.target == nil {
		if _, err := s.find(); err != nil {
			return nil, s.trouble(err)
		}
	}
	if s.target == nil {
		return nil, reader.ErrNoCard
	}
	if err := s.activate(); err != nil {
		return nil, s.trouble(err)
	}
	switch {
	case s.target == nil:
		s.gone()
		return nil, reader.ErrNoCard
	case !s.target.ISODEP():
		s.set(s.show)
		return nil, reader.ErrCardUnsupported
	}
	c := &card{s: s, atr: s.target.ATR()}
	s.card = c
	s.set(func() {
		s.busy = true
		s.show()
	})
	return c, nil
}

// Transmit implements [reader.Card].
func (c *card) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := reader.CheckCommand(cmd); err != nil {
		return nil, err
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	defer c.s.end()
	if c.wasReset {
		return nil, reader.ErrCardReset
	}
	resp, err := c.s.mod.Exchange(c.s.target, cmd)
	if err != nil {
		return nil, c.explain(err)
	}
	c.s.used = time.Now()
	if len(resp) < 2 {
		return nil, reader.ErrComm
	}
	return resp, nil
}

// explain says what it means that an exchange failed.
func (c *card) explain(err error) error {
	s := c.s
	var st pn532.Status
	switch {
	case errors.As(err, &st):
		if st.OnAir() && s.rate > pn532.Rate106 {
			s.slow = true // from the next reset on
		}
	case errors.Is(err, pn532.ErrLost), errors.Is(err, pn532.ErrResponse), errors.Is(err, pn532.ErrTooLong),
		errors.Is(err, pn532.ErrSyntax):
	default:
		return s.trouble(err)
	}
	// Whatever the session was, it is out of step: the card may have carried
	// the command out.
	c.wasReset = true
	present, err := s.mod.Present()
	if err != nil {
		return s.trouble(err)
	}
	if present {
		s.used = time.Now()
		return reader.ErrComm
	}
	// A card that is found now may be the next one.
	s.gone()
	if err := s.mod.PowerCycle(); err != nil {
		s.trouble(err)
	} else if _, err := s.find(); err != nil {
		s.trouble(err)
	}
	return reader.ErrCardRemoved
}

// Reset implements [reader.Card].
func (c *card) Reset(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.s.end()
	s := c.s
	if err := s.activate(); err != nil {
		return s.trouble(err)
	}
	if s.target == nil || !s.target.ISODEP() {
		s.gone()
		return reader.ErrCardRemoved
	}
	c.wasReset = false
	c.mu.Lock()
	c.atr = s.target.ATR()
	c.mu.Unlock()
	s.set(s.show)
	return nil
}

// ATR implements [reader.Card].
func (c *card) ATR() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.atr)
}

// Close implements [reader.Card]. An exchange that does not end within seconds is
// ended, and the module set up anew.
func (c *card) Close() error {
	s := c.s
	s.take(closePatience)
	defer s.end()
	alive := c.dead == nil
	c.dead = reader.ErrClosed
	if !alive {
		return nil
	}
	s.drop(reader.ErrClosed)
	if err := s.activate(); err != nil {
		s.trouble(err)
		return nil // the next look sets it up anew
	}
	if s.target == nil {
		s.gone()
		return nil
	}
	s.set(s.show)
	return nil
}

// Capabilities implements [reader.Capable]. A PN532 carries APDUs of any
// length: it and the card split them into blocks.
func (c *card) Capabilities(ctx context.Context) (reader.Capabilities, error) {
	if err := c.begin(ctx); err != nil {
		return reader.Capabilities{}, err
	}
	defer c.s.end()
	return reader.Capabilities{
		MaxAPDU:  reader.MaxResponse - 2,
		Extended: true,
		Name:     "PN532",
		Firmware: c.s.mod.Firmware().String(),
		BitRate:  c.s.rate,
	}, nil
}

// begin waits for the module and checks that the card can be used.
func (c *card) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.s.begin(ctx); err != nil {
		return err
	}
	if c.dead != nil {
		c.s.end()
		return c.dead
	}
	return nil
}
