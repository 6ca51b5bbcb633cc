package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "Fake Contactless 00 00"

// quick are limits that fit a service that answers at once.
func quick() *Options {
	return &Options{
		Step:     2 * time.Second,
		Exchange: 2 * time.Second,
		Busy:     50 * time.Millisecond,
		Settle:   300 * time.Millisecond,
		Slice:    200 * time.Millisecond,
	}
}

// setUp returns a driver over a fake, and checks at the end of the test that
// everything was given back.
func setUp(t testing.TB, opt *Options) (*Driver, *fake) {
	t.Helper()
	f := newFake("Other Reader 00 00", name)
	t.Cleanup(func() {
		deadline := time.Now().Add(5 * time.Second)
		for {
			f.mu.Lock()
			contexts, handles := f.contexts, f.handles
			f.mu.Unlock()
			if contexts == 0 && handles == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("leaked: %d contexts, %d handles", contexts, handles)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	return newDriver(f, opt), f
}

func open(t testing.TB, d *Driver) reader.Card {
	t.Helper()
	card, err := d.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { card.Close() })
	return card
}

var recall = readertest.Command(readertest.InsRecall, 0, 0, nil, 256)

func TestConformance(t *testing.T) {
	for _, lag := range []time.Duration{0, 40 * time.Millisecond} {
		t.Run(fmt.Sprintf("RemovalNoticedAfter%v", lag), func(t *testing.T) {
			readertest.Run(t, func(t testing.TB) *readertest.Rig {
				d, f := setUp(t, quick())
				f.lag, f.tornIsEmpty, f.connectBlocks = lag, lag > 0, lag > 0
				return &readertest.Rig{
					Driver:       d,
					Name:         name,
					Insert:       func(_ testing.TB, c *readertest.Chip) { f.insert(name, c) },
					Remove:       func(testing.TB) { f.remove(name) },
					ResetByOther: func(testing.TB) { f.resetByOther(name) },
					Unplug:       func(testing.TB) { f.unplug(name) },
				}
			})
		})
	}
}

func TestReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		look := func() []reader.Info {
			t.Helper()
			infos, err := d.Readers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return infos
		}
		if got := look(); len(got) != 2 || got[0].Name != "Other Reader 00 00" || got[1].Name != name {
			t.Errorf("readers %v, want them in the order of the service", got)
		}
		f.insert(name, readertest.NewChip())
		f.do(func() { f.reader(name).exclusive = true })
		if got := look()[1]; got.State != reader.Busy {
			t.Errorf("card in exclusive use: state %v", got.State)
		}
		f.do(func() { f.reader(name).exclusive, f.reader(name).mute = false, true })
		if got := look()[1]; got.State != reader.Mute {
			t.Errorf("mute card: state %v", got.State)
		}
		f.unplug(name)
		f.unplug("Other Reader 00 00")
		if got := look(); len(got) != 0 {
			t.Errorf("no reader: %v", got)
		}
		f.do(func() { f.down = true })
		if _, err := d.Readers(t.Context()); !errors.Is(err, reader.ErrNoService) {
			t.Errorf("without a service: %v", err)
		}
	})
}

func TestInfoOf(t *testing.T) {
	for _, tt := range []struct {
		event uint32
		want  reader.State
	}{
		{stateUnaware, reader.Unknown},
		{stateUnknown | stateChanged, reader.Unavailable},
		{stateUnavailable, reader.Unavailable},
		{stateEmpty, reader.Empty},
		{statePresent, reader.Present},
		{statePresent | stateInUse, reader.Present},
		{statePresent | stateExclusive | stateInUse, reader.Busy},
		{statePresent | stateMute, reader.Mute},
		{statePresent | stateUnpowered, reader.Present}, // it is powered when it is opened
	} {
		got := infoOf(readerState{name: name, event: 7<<16 | tt.event, atr: []byte{0x3B}})
		if got.State != tt.want || got.Changes != 7 || got.State.HasCard() != (len(got.ATR) > 0) {
			t.Errorf("event %04x: %+v, want state %v", tt.event, got, tt.want)
		}
	}
}

func TestWaitSeesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name string
			act  func()
			want reader.EventKind
		}{
			{"unplugged", func() { f.unplug(name) }, reader.ReaderRemoved},
			{"plugged", func() { f.plug(name) }, reader.ReaderAdded},
		} {
			done := make(chan error, 1)
			before := known
			go func() {
				var err error
				known, err = d.Wait(t.Context(), before)
				done <- err
			}()
			tt.act()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if ev := reader.Diff(before, known); len(ev) != 1 || ev[0].Kind != tt.want {
				t.Errorf("%s: events %v", tt.name, ev)
			}
		}
		done := make(chan error, 1)
		go func() {
			_, err := d.Wait(t.Context(), known)
			done <- err
		}()
		f.do(func() { f.down = true })
		if err := <-done; !errors.Is(err, reader.ErrNoService) {
			t.Errorf("Wait while the service stops: %v", err)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		prep func(f *fake)
		want error
	}{
		{"no service", func(f *fake) { f.down = true }, reader.ErrNoService},
		{"no permission", func(f *fake) { f.denied = true }, reader.ErrAccess},
		{"no reader", func(f *fake) { f.unplug(name) }, reader.ErrNoReader},
		{"no card", func(f *fake) { f.remove(name) }, reader.ErrNoCard},
		{"mute card", func(f *fake) { f.reader(name).mute = true }, reader.ErrCardMute},
		{"no common protocol", func(f *fake) { f.reader(name).protocol = false }, reader.ErrCardUnsupported},
		{"exclusive program", func(f *fake) { f.reader(name).exclusive = true }, reader.ErrSharing},
		{"program with a transaction", func(f *fake) { f.reader(name).foreign = true }, reader.ErrSharing},
		{"program with a transaction, connect blocks", func(f *fake) {
			f.reader(name).foreign, f.connectBlocks = true, true
		}, reader.ErrSharing},
		{"mute after reset", func(f *fake) {
			f.refuse["reset"], f.refuse["cold reset"] = codeUnresponsiveCard, codeUnresponsiveCard
		}, reader.ErrCardMute},
		{"removed before the reset", func(f *fake) { f.refuse["reset"] = codeRemovedCard }, reader.ErrNoCard},
		{"reader breaks at the reset", func(f *fake) { f.refuse["reset"] = codeReaderUnavailable }, reader.ErrNoReader},
		{"service stops at the transaction", func(f *fake) { f.refuse["begin"] = codeServiceStopped }, reader.ErrNoService},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := quick()
				opt.Step = 100 * time.Millisecond
				opt.Settle = 20 * time.Millisecond
				d, f := setUp(t, opt)
				f.insert(name, readertest.NewChip())
				tt.prep(f)
				card, err := d.Open(t.Context(), name)
				if !errors.Is(err, tt.want) || card != nil {
					t.Errorf("Open: %v, want %v", err, tt.want)
				}
				// What blocked it goes away: nothing of the attempt must stand
				// in the way of the next.
				f.do(func() {
					f.down, f.denied = false, false
					if f.reader(name) == nil {
						f.readers = append(f.readers, &fakeReader{name: name})
					}
					r := f.reader(name)
					r.mute, r.exclusive, r.foreign, r.protocol = false, false, false, true
					if r.chip == nil {
						r.chip = readertest.NewChip()
					}
				})
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
}

func eventually(t testing.TB, try func() error) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Another program lets the card go within the time that Open waits.
func TestOpenWaitsForOtherProgram(t *testing.T) {
	for _, tt := range []struct {
		name       string
		take, give func(f *fake, r *fakeReader)
	}{
		{
			"exclusive", func(_ *fake, r *fakeReader) { r.exclusive = true },
			func(_ *fake, r *fakeReader) { r.exclusive = false },
		},
		{
			"transaction", func(_ *fake, r *fakeReader) { r.foreign = true },
			func(_ *fake, r *fakeReader) { r.foreign = false },
		},
		{
			"transaction that ends with a reset", func(_ *fake, r *fakeReader) { r.foreign = true },
			func(_ *fake, r *fakeReader) {
				r.foreign = false
				for _, h := range r.handles {
					h.reset = true
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := quick()
				opt.Busy = 5 * time.Second
				d, f := setUp(t, opt)
				f.insert(name, readertest.NewChip())
				f.do(func() { tt.take(f, f.reader(name)) })
				timer := time.AfterFunc(20*time.Millisecond, func() { f.do(func() { tt.give(f, f.reader(name)) }) })
				defer timer.Stop()
				card := open(t, d)
				if _, err := card.Transmit(t.Context(), recall); err != nil {
					t.Error(err)
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.reader(name).locked == nil {
					t.Error("the card is open without a transaction")
				}
			})
		})
	}
}

func TestOpenEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := quick()
		opt.Busy = time.Minute
		d, f := setUp(t, opt)
		f.insert(name, readertest.NewChip())
		f.do(func() { f.reader(name).exclusive = true })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := d.Open(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open: %v", err)
		}
		f.do(func() { f.reader(name).exclusive = false })
		eventually(t, func() error {
			card, err := d.Open(t.Context(), name)
			if err == nil {
				card.Close()
			}
			return err
		})
	})
}

// A card that is known to have gone is not reset when it is closed.
func TestCloseLeavesGoneCardAlone(t *testing.T) {
	d, f := setUp(t, quick())
	chip := readertest.NewChip()
	f.insert(name, chip)
	card := open(t, d)
	chip.LeaveAt(1)
	if _, err := card.Transmit(t.Context(), recall); !errors.Is(err, reader.ErrCardRemoved) {
		t.Fatal(err)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failedResets != 0 {
		t.Error("Close reset a card that has gone")
	}
}

// A card whose warm reset brings no answer gets a power cut.
func TestColdReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		f.insert(name, readertest.NewChip())
		card := open(t, d)
		f.do(func() { f.refuse["reset"] = codeUnresponsiveCard })
		if err := card.Reset(t.Context()); err != nil {
			t.Errorf("Reset: %v", err)
		}
	})
}

func TestTransmitErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse code
		status code // what the service says about the card afterwards; 0: nothing
		want   error
		usable bool // the next exchange works
	}{
		{"card still there", codeNotTransacted, 0, reader.ErrComm, true},
		{"reader error, card still there", codeCommError, 0, reader.ErrComm, true},
		{"card gone", codeNotTransacted, codeRemovedCard, reader.ErrCardRemoved, false},
		{"card gone, other words", codeCommDataLost, codeNoSmartcard, reader.ErrCardRemoved, false},
		{"card reset", codeInternalError, codeResetCard, reader.ErrCardReset, true},
		{"service gone", codeCommError, codeNoService, reader.ErrNoService, true},
		{"service gone, connection reset", codeSecurityViolation, 0, reader.ErrNoService, true},
		{"service gone, connection reset afterwards", codeCommError, codeSecurityViolation, reader.ErrNoService, true},
		{"reader gone", codeNotTransacted, codeReaderUnavailable, reader.ErrNoReader, true},
		{"mute", codeUnresponsiveCard, 0, reader.ErrComm, true},
		{"old handle", codeInvalidHandle, 0, reader.ErrNoService, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := quick()
				opt.Settle = 20 * time.Millisecond
				d, f := setUp(t, opt)
				chip := readertest.NewChip()
				f.insert(name, chip)
				card := open(t, d)
				f.do(func() {
					f.refuse["transmit"] = tt.refuse
					if tt.status != 0 {
						f.refuse["card status"] = tt.status
					}
				})
				if _, err := card.Transmit(t.Context(), recall); !errors.Is(err, tt.want) {
					t.Errorf("Transmit: %v, want %v", err, tt.want)
				}
				if _, err := card.Transmit(t.Context(), recall); (err == nil) != tt.usable {
					t.Errorf("next exchange: %v, want usable %v", err, tt.usable)
				}
			})
		})
	}
}

func TestServiceRestartsMidRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		f.insert(name, readertest.NewChip())
		card := open(t, d)
		f.restart()
		if _, err := card.Transmit(t.Context(), recall); !errors.Is(err, reader.ErrNoService) {
			t.Errorf("Transmit on a handle of before: %v", err)
		}
		if err := card.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := open(t, d).Transmit(t.Context(), recall); err != nil {
			t.Errorf("after opening again: %v", err)
		}
	})
}

// A call that the service never returns from does not hold its caller, and
// everything is given back when it does return.
func TestStuckService(t *testing.T) {
	limits := &Options{
		Step: 30 * time.Millisecond, Exchange: 30 * time.Millisecond, Busy: time.Millisecond,
		Settle: time.Millisecond, Slice: time.Millisecond,
	}
	type use func(d *Driver, card reader.Card) error
	transmit := func(_ *Driver, card reader.Card) error {
		_, err := card.Transmit(context.Background(), recall)
		return err
	}
	list := func(d *Driver, _ reader.Card) error {
		_, err := d.Readers(context.Background())
		return err
	}
	openIt := func(d *Driver, _ reader.Card) error {
		card, err := d.Open(context.Background(), name)
		if err == nil {
			card.Close()
		}
		return err
	}
	for _, tt := range []struct {
		hang   string
		opened bool
		use    use
		again  error // the second try, while the first is stuck
	}{
		{"establish", false, list, reader.ErrTimeout},
		{"list", false, list, reader.ErrTimeout},
		{"status", false, list, reader.ErrTimeout},
		{"establish", false, openIt, reader.ErrTimeout},
		{"connect", false, openIt, reader.ErrTimeout},
		{"reset", false, openIt, reader.ErrTimeout},
		{"transmit", true, transmit, reader.ErrTimeout},
		{"reset", true, func(_ *Driver, card reader.Card) error { return card.Reset(context.Background()) }, reader.ErrTimeout},
	} {
		t.Run(fmt.Sprintf("%s,opened=%v", tt.hang, tt.opened), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := setUp(t, limits)
				f.insert(name, readertest.NewChip())
				var card reader.Card
				if tt.opened {
					card = open(t, d)
				}
				hang := make(chan struct{})
				f.do(func() { f.hang[tt.hang] = hang })
				if err := tt.use(d, card); !errors.Is(err, reader.ErrTimeout) {
					t.Errorf("first try: %v", err)
				}
				if err := tt.use(d, card); !errors.Is(err, tt.again) {
					t.Errorf("second try: %v, want %v", err, tt.again)
				}
				if card != nil {
					if err := card.Close(); err != nil {
						t.Errorf("Close after a timeout: %v", err)
					}
				}
				f.do(func() { delete(f.hang, tt.hang) })
				close(hang)
				eventually(t, func() error { return openIt(d, nil) })
				eventually(t, func() error { return list(d, nil) })
			})
		})
	}
}

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{toError("connect", codeSharingViolation), "connect: reader: card in use by another program (code 8010000b)"},
		{toError("connect", code(0x7F)), "pcsc: connect: code 0000007f"},
		{&stuckError{op: "reset"}, "reset: reader: reader does not respond"},
		{&SharingError{}, "open: reader: card in use by another program"},
		{&SharingError{ExclusiveConnection}, "open: reader: card in use by another program (exclusive connection)"},
		{codeNoService, "pcsc: code 8010001d"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("text %q, want %q", got, tt.want)
		}
	}
}

// TestCodes checks every code of the headers and some that are in none.
func TestCodes(t *testing.T) {
	sentinels := []error{
		reader.ErrNoService, reader.ErrAccess, reader.ErrNoReader, reader.ErrNoCard, reader.ErrCardMute,
		reader.ErrCardUnsupported, reader.ErrSharing, reader.ErrCardRemoved, reader.ErrCardReset, reader.ErrComm, reader.ErrTimeout,
	}
	means := func(err error) (all []error) {
		for _, s := range sentinels {
			if errors.Is(err, s) {
				all = append(all, s)
			}
		}
		return all
	}

	// The smart card facility has codes 1 to 34 and 65 to 72 (hexadecimal).
	names := map[string]code{}
	for c := code(0x80100000); c <= 0x801000FF; c++ {
		m, known := codes[c]
		n := c & 0xFF
		if defined := n >= 0x01 && n <= 0x34 || n >= 0x65 && n <= 0x72; known != defined {
			t.Errorf("code %08x: in the table %v, in the headers %v", uint32(c), known, defined)
		}
		if known && !strings.HasPrefix(m.name, "SCARD_") {
			t.Errorf("code %08x is called %q", uint32(c), m.name)
		}
	}
	for c, m := range codes {
		if other, taken := names[m.name]; taken || m.name == "" {
			t.Errorf("codes %08x and %08x are both called %q", uint32(c), uint32(other), m.name)
		}
		names[m.name] = c
		err := toError("test", c)
		var e *Error
		if !errors.As(err, &e) || e.Code != uint32(c) || e.Name() != m.name || !strings.Contains(err.Error(), fmt.Sprintf("%08x", uint32(c))) {
			t.Errorf("code %08x is lost in %v", uint32(c), err)
		}
		got := means(err)
		switch {
		case m.kind == nil && len(got) != 0, m.kind != nil && (len(got) != 1 || got[0] != m.kind):
			t.Errorf("code %08x means %v, want %v", uint32(c), got, m.kind)
		case m.noAnswer && m.kind == nil:
			t.Errorf("code %08x is no answer and means nothing", uint32(c))
		}
	}

	// What the driver stands on, written down a second time.
	for c, want := range map[code]error{
		0x8010001D: reader.ErrNoService, 0x8010001E: reader.ErrNoService, 0x80100003: reader.ErrNoService,
		0x80100018: reader.ErrNoService, 0x80100012: reader.ErrNoService, 0x80100031: reader.ErrNoService,
		6: reader.ErrNoService, 109: reader.ErrNoService, 1722: reader.ErrNoService,
		0x8010006A: reader.ErrAccess, 0x80100027: reader.ErrAccess, 5: reader.ErrAccess,
		0x80100009: reader.ErrNoReader, 0x80100017: reader.ErrNoReader, 0x8010002E: reader.ErrNoReader, 0x80100010: reader.ErrNoReader, 1167: reader.ErrNoReader,
		0x8010000C: reader.ErrNoCard, 1112: reader.ErrNoCard,
		0x80100066: reader.ErrCardMute, 0x80100067: reader.ErrCardMute,
		0x80100065: reader.ErrCardUnsupported, 0x8010000F: reader.ErrCardUnsupported, 0x8010001C: reader.ErrCardUnsupported,
		0x8010000B: reader.ErrSharing,
		0x80100068: reader.ErrCardReset, 0x80100069: reader.ErrCardRemoved,
		0x80100016: reader.ErrComm, 0x80100013: reader.ErrComm, 0x8010002F: reader.ErrComm, 0x80100001: reader.ErrComm, 31: reader.ErrComm, 22: reader.ErrComm, 121: reader.ErrComm,
		0x8010000A: reader.ErrTimeout, 0x80100007: reader.ErrTimeout,
		0x80100002: nil, 0x80100004: nil, 0x80100008: nil, 0x8010006B: nil, 1: nil, 50: nil,
	} {
		if got := means(toError("test", c)); want == nil && len(got) > 0 || want != nil && (len(got) != 1 || got[0] != want) {
			t.Errorf("code %08x means %v, want %v", uint32(c), got, want)
		}
	}

	for _, c := range []code{0x80100035, 0x80100073, 0x80100FFF, 0xFFFFFFFF, 2, 0xC0000001} {
		err := toError("test", c)
		var e *Error
		if got := means(err); len(got) > 0 || !errors.As(err, &e) || e.Name() != "" || e.Code != uint32(c) {
			t.Errorf("unknown code %08x: %v means %v", uint32(c), err, got)
		}
	}
	other := errors.New("not a code")
	if err := toError("test", other); err != other {
		t.Errorf("an error that is no code becomes %v", err)
	}
}

func TestSplitNames(t *testing.T) {
	for _, tt := range []struct {
		name, list string
		want       []string
	}{
		{"nothing", "", nil},
		{"an empty list", "\x00", nil},
		{"one", "ACME Tap 0\x00\x00", []string{"ACME Tap 0"}},
		{"two, one in Vietnamese", "ACME Tap 0\x00Đầu đọc 1\x00\x00", []string{"ACME Tap 0", "Đầu đọc 1"}},
		{"rubbish after the end", "a\x00\x00b\x00", []string{"a"}},
		{"cut off at the end", "a\x00b\x00", []string{"a", "b"}},
		{"cut off in a name", "a\x00b", []string{"a", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := splitNames(utf16.Encode([]rune(tt.list))); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
