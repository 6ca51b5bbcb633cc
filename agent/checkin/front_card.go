package checkin

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/reader"
)

// lookAgain is how often the readers are looked at although nothing is said to have
// changed: a card that shares a program in the middle of something is not announced
// when it is free.
const lookAgain = time.Second

// spot is a card on a reader, until it is lifted.
type spot struct {
	name    string
	changes uint32
}

// serveCards reads the cards of all check-ins, one after the other.
func (f *Front) serveCards(ctx context.Context) {
	for {
		session, t := f.wantsCard(ctx)
		if t == nil {
			return
		}
		f.serve(session, t)
	}
}

// wantsCard waits for a check-in that waits for a card. The context that it returns
// ends with ctx, and when the check-in wants it no more; t is nil when ctx has ended.
func (f *Front) wantsCard(ctx context.Context) (session context.Context, t *turn) {
	for {
		f.mu.Lock()
		if t := f.cur; t != nil && t.c.State == wire.StateCard && ctx.Err() == nil {
			session, t.stop = context.WithCancel(ctx)
			f.mu.Unlock()
			return session, t
		}
		wake := f.wake
		f.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// serve waits for a card and reads it, until the check-in goes on without.
func (f *Front) serve(ctx context.Context, t *turn) {
	changes := f.cfg.Readers.Subscribe(0)
	defer changes.Close()
	for ctx.Err() == nil {
		lease, err := f.takeCard(ctx, t)
		if lease != nil {
			f.readCard(ctx, t, lease)
		} else {
			f.waiting(ctx, t, err)
		}
		f.mu.Lock()
		again := t.c.State == wire.StateCard && ctx.Err() == nil
		f.mu.Unlock()
		if !again {
			return
		}
		if lease != nil {
			continue
		}
		// A change, or a while.
		wait, stop := context.WithTimeout(ctx, lookAgain)
		_, err = changes.Next(wait)
		stop()
		if errors.Is(err, reader.ErrHubClosed) {
			<-ctx.Done()
		}
	}
}

// takeCard opens the best card that there is and that was not tried already. Without
// one, both are nil when a reader waits for a card; else the error says why there is
// none.
func (f *Front) takeCard(ctx context.Context, t *turn) (*reader.Lease, error) {
	devices, err := f.cfg.Readers.Devices(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	name, spent := t.reader, t.spent
	f.mu.Unlock()
	var trouble error
	readers, lifted := 0, true
	for _, d := range devices {
		if d.Name != name && (name != "" || d.Rank == 0) {
			continue
		}
		readers++
		if spent != nil && d.Name == spent.name && d.Changes == spent.changes && d.State.HasCard() {
			lifted = false
			continue
		}
		switch d.State {
		case reader.Mute:
			trouble = errors.Join(trouble, reader.ErrCardMute)
		case reader.Present, reader.Busy:
			lease, err := f.cfg.Readers.Take(ctx, d.Name)
			if err == nil {
				return lease, nil
			}
			if !errors.Is(err, reader.ErrNoCard) && !errors.Is(err, reader.ErrCardRemoved) {
				trouble = errors.Join(trouble, err)
			}
		}
	}
	if spent != nil && lifted {
		f.mu.Lock()
		t.spent = nil
		f.mu.Unlock()
	}
	if readers == 0 {
		// The hub knows why: no service, or no reader of that name.
		lease, err := f.cfg.Readers.Take(ctx, name)
		if err == nil {
			return lease, nil // it came this moment
		}
		return nil, err
	}
	return nil, trouble
}

// waiting shows why no card can be read, or that there is nothing against it any
// more. What was wrong with the last card stays until the next one.
func (f *Front) waiting(ctx context.Context, t *turn, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil || t.c.State != wire.StateCard {
		return
	}
	if why == nil && t.spent != nil {
		return
	}
	before, now := code(t.c.Fault), f.cfg.Fault(why)
	if why == nil && t.torn {
		return
	}
	if code(now) == before {
		return
	}
	t.torn = false
	t.c.Fault = now
	f.publish(t)
}

func code(f *wire.Fault) string {
	if f == nil {
		return ""
	}
	return f.Code
}

// readCard inspects the card, and takes the check-in to where that leads.
func (f *Front) readCard(ctx context.Context, t *turn, lease *reader.Lease) {
	defer lease.Close()
	device := lease.Device()
	access, photo, ok := f.opened(ctx, t, device.Name)
	if !ok {
		return
	}
	desk, err := f.cfg.Desk(ctx)
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.reading(t) {
			f.end(t, wire.StateFailed, err)
		}
		return
	}
	card := &counted{Lease: lease}
	card.tell = func() { f.bytes(t, card) }
	in, err := desk.Inspect(ctx, card, access, Options{
		Photo: photo, Reader: device.Name, Progress: func(e inspect.Event) { f.step(t, desk, card, e) },
	})
	// The reader is free, and the chip without power, before anybody thinks about it.
	_ = lease.Close()
	var picture *Picture
	var note string
	if err == nil && photo { // it may have been read for the policy's sake
		picture, note = f.show(ctx, in.Report)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading(t) {
		return // given up meanwhile
	}
	if err != nil {
		f.unread(ctx, t, in, err, spot{device.Name, device.Changes})
		return
	}
	t.in, t.picture = in, picture
	t.c.Photo = encodePhoto(in.Report, photo, picture, note)
	f.confirm(t, in)
}

// reading reports whether a check-in is being read, with mu held.
func (f *Front) reading(t *turn) bool {
	return f.cur == t && (t.c.State == wire.StateReading || t.c.State == wire.StateText)
}

// opened has the check-in begin to read.
func (f *Front) opened(ctx context.Context, t *turn, name string) (access inspect.Access, photo, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil || f.cur != t || t.c.State != wire.StateCard {
		return access, false, false
	}
	t.reads++
	t.spent, t.torn, t.began = nil, false, f.cfg.Now()
	t.c.State, t.c.Reader, t.c.Fault = wire.StateReading, name, nil
	t.c.Progress = &wire.Progress{Step: string(inspect.StepAccess), Total: steps(t.photo)}
	t.c.TimingsMS = map[string]float64{}
	f.publish(t)
	return t.access, t.photo, true
}

// steps is how many steps there are with most cards: access, EF.SOD, one proof of
// the chip, DG1, DG13, verification and entitlement; and the photo.
func steps(photo bool) int {
	if photo {
		return 8
	}
	return 7
}

// step shows one step of the inspection.
func (f *Front) step(t *turn, desk *Desk, card *counted, e inspect.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading(t) {
		return
	}
	p := *t.c.Progress
	p.Step, p.Bytes, p.Size = string(e.Step), 0, 0
	if p.Elapsed = millis(f.cfg.Now().Sub(t.began)); e.Done {
		p.Done++
		p.Total = max(p.Total, p.Done)
		t.time(string(e.Step), e.Elapsed)
	}
	t.c.Progress = &p
	card.begin()
	if r := e.Report; r.TextVerified() && t.c.State == wire.StateReading {
		if d := desk.Policy.Decide(r); d.Outcome != policy.Refuse {
			t.c.State = wire.StateText
			t.c.Person = EncodePerson(r, d)
			// The card may still turn out to be refused: nobody is verified yet.
			t.c.Person.Verified = false
			t.time("verified_text", f.cfg.Now().Sub(t.began))
		}
	}
	f.publish(t)
}

// time keeps how long something took, in a map of its own: the one before was given
// away.
func (t *turn) time(what string, d time.Duration) {
	m := maps.Clone(t.c.TimingsMS)
	m[what] = millis(d)
	t.c.TimingsMS = m
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// bytes shows how much of a long file has come.
func (f *Front) bytes(t *turn, card *counted) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading(t) || t.c.Progress == nil {
		return
	}
	p := *t.c.Progress
	p.Bytes, p.Elapsed = card.received, millis(f.cfg.Now().Sub(t.began))
	t.c.Progress = &p
	f.publish(t)
}

// unread takes a check-in back to where it can go on after a card that was not read
// to its end, or ends it, with mu held.
func (f *Front) unread(ctx context.Context, t *turn, in *Inspection, err error, at spot) {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		f.end(t, wire.StateCancelled, err)
		return
	}
	t.c.Person, t.c.Photo, t.c.Entitlement, t.c.Progress = nil, nil, nil, nil
	t.c.Report = EncodeReport(in.Report, in.Decision)
	t.touched = f.cfg.Now()
	checked, judged := errors.AsType[*inspect.CheckError](err)
	switch {
	case judged && checked != nil, errors.Is(err, policy.ErrWeak), errors.Is(err, inspect.ErrCopy), errors.Is(err, inspect.ErrNoSecurityObject):
		t.c.Person = EncodePerson(in.Report, policy.Decision{}) // never verified
		f.end(t, wire.StateRefused, err)
	case gone(err), errors.Is(err, reader.ErrCardReset) && t.reads < quickReads:
		f.back(t, err, nil)
	case wrongKey(err):
		t.keys++
		if t.keys >= MaxKeys {
			f.end(t, wire.StateFailed, errors.Join(err, ErrTries))
			return
		}
		t.access = inspect.Access{}
		t.c.State, t.c.Wants, t.c.Fault = wire.StateKey, wire.WantsKey, f.cfg.Fault(err)
		if t.qr != nil {
			t.c.Wants = wire.WantsExpiry
		}
		f.publish(t)
	case again(err):
		f.back(t, err, &at)
	default:
		f.end(t, wire.StateFailed, err)
	}
}

// back has a check-in wait for the card once more: for another one than the one at
// the spot, which was tried and did not work, until it is lifted.
func (f *Front) back(t *turn, err error, at *spot) {
	if t.reads >= MaxReads {
		f.end(t, wire.StateFailed, errors.Join(err, ErrTries))
		return
	}
	t.spent, t.torn = at, true
	t.c.State, t.c.Fault = wire.StateCard, f.cfg.Fault(err)
	f.publish(t)
}

// quickReads is how often a card that another program reset, as some do when one is
// laid on, is read again at once.
const quickReads = 3

// gone reports whether the card, or what it lay on, has left: what comes next is to be
// read, whatever it is.
func gone(err error) bool {
	return errors.Is(err, reader.ErrCardRemoved) || errors.Is(err, reader.ErrNoReader) || errors.Is(err, reader.ErrNoService) ||
		errors.Is(err, reader.ErrNoCard)
}

// wrongKey reports whether the chip did not take the key.
func wrongKey(err error) bool {
	return errors.Is(err, inspect.ErrWrongKey) || errors.Is(err, inspect.ErrNoCAN) || errors.Is(err, inspect.ErrNoAccess) ||
		errors.Is(err, apdu.AuthenticationMethodBlocked)
}

// again reports whether the same card may be read if it is put on the reader again.
func again(err error) bool {
	for _, e := range []error{
		inspect.ErrAccess, inspect.ErrInterrupted, inspect.ErrNoData, inspect.ErrLongAnswers, inspect.ErrTooLong,
		reader.ErrCardReset, reader.ErrComm, reader.ErrTimeout, reader.ErrCardMute, reader.ErrClosed, reader.ErrHubClosed,
		reader.ErrSharing, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// show makes the photo fit for a browser, or says why there is none.
func (f *Front) show(ctx context.Context, r *inspect.Report) (*Picture, string) {
	if r.Photo == nil {
		return nil, ""
	}
	p, err := f.cfg.Picture(ctx, *r.Photo)
	if err != nil {
		f.log.Info("photo cannot be shown", "error", err)
		return nil, photoNotDecodable
	}
	return &p, ""
}

// jpegOnly gives JPEG pictures as they are, once it is known that they can be
// decoded.
func jpegOnly(_ context.Context, i face.Image) (Picture, error) {
	m, err := face.DecodeJPEG(i)
	if err != nil {
		return Picture{}, err
	}
	b := m.Bounds()
	return Picture{Data: i.Data, MediaType: "image/jpeg", Width: b.Dx(), Height: b.Dy()}, nil
}

// counted is a card that counts what it answers, and tells of it now and then.
type counted struct {
	*reader.Lease
	tell func()

	// Only the inspection's goroutine uses them.
	received int
	told     int
}

// tellEvery is after how many bytes something is said.
const tellEvery = 2048

// Transmit implements [reader.Card].
func (c *counted) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	resp, err := c.Lease.Transmit(ctx, cmd)
	c.received += len(resp)
	if c.received-c.told >= tellEvery {
		c.told = c.received
		c.tell()
	}
	return resp, err
}

// begin counts from 0 again.
func (c *counted) begin() { c.received, c.told = 0, 0 }
