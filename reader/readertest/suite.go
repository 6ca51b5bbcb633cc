// Package readertest holds the tests that every reader driver passes, and a
// chip to run them with.
package readertest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader"
)

// A Rig is a reader and the hand that puts cards on it.
type Rig struct {
	// Driver is what is tested.
	Driver reader.Driver
	// Name is the reader to use. Other readers may exist.
	Name string
	// Insert puts the chip on the reader, which is empty. It may return before
	// the driver sees the card. A chip that leaves the field by itself
	// (Chip.LeaveAt) counts as removed.
	Insert func(t testing.TB, c *Chip)
	// Remove takes the card off.
	Remove func(t testing.TB)
	// ResetByOther resets the card as another program would. Nil if the rig
	// cannot.
	ResetByOther func(t testing.TB)
	// Unplug removes the reader itself. Nil if the rig cannot.
	Unplug func(t testing.TB)
	// MaxData is the longest command data that the way to the chip can carry;
	// 0 means 65,535.
	MaxData int
}

// A Factory makes a rig with an empty reader. What it needs to clean up it
// registers with t.Cleanup.
type Factory func(t testing.TB) *Rig

// patience is how long the suite waits for something that must happen. It is
// long because a system service may look at its readers twice a second only,
// and no test takes longer for it unless it fails.
const patience = 20 * time.Second

// Run runs the suite.
func Run(t *testing.T, f Factory) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, r *Rig)
	}{
		{"Lists", testLists},
		{"WaitSeesCards", testWait},
		{"WaitSeesSwap", testWaitSwap},
		{"WaitEndsWithContext", testWaitCancel},
		{"WaitCard", testWaitCard},
		{"OpenRefuses", testOpenRefuses},
		{"OpenIsExclusive", testExclusive},
		{"OpenResets", testOpenResets},
		{"Sizes", testSizes},
		{"BadCommand", testBadCommand},
		{"OwnsItsSlices", testAliasing},
		{"ContextBeforeExchange", testContextBefore},
		{"ContextDuringExchange", testContextDuring},
		{"Reset", testReset},
		{"ResetByOther", testResetByOther},
		{"RemovedBetweenExchanges", testRemoved},
		{"TornMidExchange", testTorn},
		{"TornAgainAndAgain", testTornOften},
		{"Unplugged", testUnplugged},
		{"Closed", testClosed},
		{"OneExchangeAtATime", testConcurrent},
		{"Capabilities", testCapabilities},
		{"Hub", testHub},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, f(t)) })
	}
}

// limited returns a context that ends the test's waiting.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// insert puts c on the reader and returns when the driver sees it.
func (r *Rig) insert(t testing.TB, c *Chip) reader.Info {
	t.Helper()
	r.Insert(t, c)
	in, err := reader.WaitCard(limited(t), r.Driver, r.Name)
	if err != nil {
		t.Fatalf("no card after insertion: %v", err)
	}
	return in
}

// open opens the card that lies on the reader.
func (r *Rig) open(t testing.TB) reader.Card {
	t.Helper()
	card, err := r.Driver.Open(limited(t), r.Name)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { card.Close() })
	return card
}

// await waits until the reader is in the given state.
func (r *Rig) await(t testing.TB, want reader.State) reader.Info {
	t.Helper()
	ctx := limited(t)
	infos, err := r.Driver.Readers(ctx)
	for {
		if err != nil {
			t.Fatalf("waiting for state %v: %v", want, err)
		}
		if in, ok := find(infos, r.Name); ok && in.State == want {
			return in
		}
		infos, err = r.Driver.Wait(ctx, infos)
	}
}

func find(infos []reader.Info, name string) (reader.Info, bool) {
	i := slices.IndexFunc(infos, func(in reader.Info) bool { return in.Name == name })
	if i < 0 {
		return reader.Info{}, false
	}
	return infos[i], true
}

// exchange sends a command and returns the data of a response with 9000.
func exchange(t testing.TB, c reader.Card, cmd []byte) []byte {
	t.Helper()
	resp, err := c.Transmit(limited(t), cmd)
	if err != nil {
		t.Fatalf("Transmit of %d bytes: %v", len(cmd), err)
	}
	data, ok := bytes.CutSuffix(resp, []byte{0x90, 0x00})
	if !ok {
		t.Fatalf("Transmit of %d bytes: %d bytes without status 9000", len(cmd), len(resp))
	}
	return data
}

var (
	remember = Command(InsRemember, 0, 0, []byte("secret-of-a-session"), 0)
	recall   = Command(InsRecall, 0, 0, nil, 256)
)

// wantError checks the kind of an error and that it holds no card data.
func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
		return
	}
	text := strings.ToLower(err.Error())
	for _, secret := range [][]byte{remember, recall, []byte("secret")} {
		if strings.Contains(text, string(secret)) || strings.Contains(text, hex.EncodeToString(secret)) {
			t.Errorf("%s: error text holds bytes of the exchange", what)
		}
	}
}

func testLists(t *testing.T, r *Rig) {
	infos, err := r.Driver.Readers(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	in, ok := find(infos, r.Name)
	if !ok {
		t.Fatalf("reader not among the %d listed", len(infos))
	}
	if in.State != reader.Empty || len(in.ATR) != 0 {
		t.Errorf("empty reader: state %v, ATR of %d bytes", in.State, len(in.ATR))
	}
	in = r.insert(t, NewChip())
	if !bytes.Equal(in.ATR, ATR) {
		t.Errorf("ATR % X, want % X", in.ATR, ATR)
	}
	card := r.open(t)
	if got := card.ATR(); !bytes.Equal(got, ATR) {
		t.Errorf("ATR of the open card % X, want % X", got, ATR)
	}
	card.Close()
	r.Remove(t)
	r.await(t, reader.Empty)
}

// wait waits until the rig's reader is no longer as known. Other readers of the
// same driver may be in use meanwhile; a wait that returns without any change is
// handed on as it is.
func (r *Rig) wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	before, _ := find(known, r.Name)
	for {
		infos, err := r.Driver.Wait(ctx, known)
		now, _ := find(infos, r.Name)
		if err != nil || !now.Equal(before) || reader.Same(infos, known) {
			return infos, err
		}
		known = infos
	}
}

func testWait(t *testing.T, r *Rig) {
	ctx := limited(t)
	before, err := r.Driver.Readers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := func(known []reader.Info, act func()) ([]reader.Info, []reader.Event) {
		t.Helper()
		type result struct {
			infos []reader.Info
			err   error
		}
		done := make(chan result, 1)
		go func() {
			infos, err := r.wait(ctx, known)
			done <- result{infos, err}
		}()
		act()
		res := <-done
		if res.err != nil {
			t.Fatal(res.err)
		}
		return res.infos, reader.Diff(known, res.infos)
	}
	kinds := func(events []reader.Event) (k []reader.EventKind) {
		for _, e := range events {
			if e.Info.Name == r.Name {
				k = append(k, e.Kind)
			}
		}
		return k
	}
	with, events := seen(before, func() { r.Insert(t, NewChip()) })
	if got := kinds(events); !slices.Equal(got, []reader.EventKind{reader.CardInserted}) {
		t.Errorf("events after insertion: %v", got)
	}
	without, events := seen(with, func() { r.Remove(t) })
	if got := kinds(events); !slices.Equal(got, []reader.EventKind{reader.CardRemoved}) {
		t.Errorf("events after removal: %v", got)
	}
	// What has already changed needs no waiting.
	again, err := r.wait(ctx, with)
	now, _ := find(again, r.Name)
	if then, _ := find(without, r.Name); err != nil || !now.Equal(then) {
		t.Errorf("Wait for a past change: %v, %v", again, err)
	}
}

func testWaitSwap(t *testing.T, r *Rig) {
	first := r.insert(t, NewChip())
	r.Remove(t)
	r.await(t, reader.Empty)
	second := r.insert(t, NewChip())
	if first.Changes == second.Changes {
		t.Errorf("a swapped card does not show: Changes %d both times", first.Changes)
	}
}

func testWaitCancel(t *testing.T, r *Rig) {
	ctx, cancel := context.WithCancel(limited(t))
	known, err := r.Driver.Readers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.wait(ctx, known)
		done <- err
	}()
	cancel()
	wantError(t, "Wait", <-done, context.Canceled)
	_, err = r.Driver.Wait(ctx, known)
	wantError(t, "Wait with an ended context", err, context.Canceled)
	_, err = r.Driver.Readers(ctx)
	wantError(t, "Readers with an ended context", err, context.Canceled)
	_, err = r.Driver.Open(ctx, r.Name)
	wantError(t, "Open with an ended context", err, context.Canceled)
}

func testWaitCard(t *testing.T, r *Rig) {
	ctx, cancel := context.WithCancel(limited(t))
	done := make(chan error, 1)
	go func() {
		_, err := reader.WaitCard(ctx, r.Driver, r.Name)
		done <- err
	}()
	cancel()
	wantError(t, "WaitCard without a card", <-done, context.Canceled)

	if in := r.insert(t, NewChip()); in.Name != r.Name || in.State != reader.Present {
		t.Errorf("WaitCard: reader %q in state %v", in.Name, in.State)
	}
	if in, err := reader.WaitCard(limited(t), r.Driver, ""); err != nil || in.State != reader.Present {
		t.Errorf("WaitCard on any reader: state %v, error %v", in.State, err)
	}
}

func testOpenRefuses(t *testing.T, r *Rig) {
	card, err := r.Driver.Open(limited(t), r.Name+" that does not exist")
	wantError(t, "Open of an unknown reader", err, reader.ErrNoReader)
	if card != nil {
		t.Error("Open of an unknown reader returned a card")
	}
	card, err = r.Driver.Open(limited(t), r.Name)
	wantError(t, "Open of an empty reader", err, reader.ErrNoCard)
	if card != nil {
		t.Error("Open of an empty reader returned a card")
	}
}

func testExclusive(t *testing.T, r *Rig) {
	r.insert(t, NewChip())
	card := r.open(t)
	_, err := r.Driver.Open(limited(t), r.Name)
	wantError(t, "second Open", err, reader.ErrSharing)
	exchange(t, card, remember) // unharmed
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	exchange(t, r.open(t), recall)
}

func testOpenResets(t *testing.T, r *Rig) {
	chip := NewChip()
	r.insert(t, chip)
	card := r.open(t)
	exchange(t, card, remember)
	if got := exchange(t, card, recall); len(got) == 0 {
		t.Fatal("the chip forgot without a reset")
	}
	resets := chip.Resets()
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	if chip.Resets() == resets {
		t.Error("Close left the session of its owner on the chip")
	}
	if got := exchange(t, r.open(t), recall); len(got) != 0 {
		t.Errorf("a new owner found %d bytes of the last one's session", len(got))
	}
}

func testSizes(t *testing.T, r *Rig) {
	longest := r.MaxData
	if longest == 0 {
		longest = 65535
	}
	r.insert(t, NewChip())
	card := r.open(t)
	exchange(t, card, Command(InsRecall, 0, 0, nil, 0)) // four bytes alone
	for _, n := range []int{1, 2, 127, 128, 223, 254, 255, 256, 257, 1000, 4096, 32767, 32768, longest} {
		if n > longest {
			continue
		}
		t.Run(fmt.Sprintf("Data%d", n), func(t *testing.T) {
			data := Pattern(n)
			if got := exchange(t, card, Command(InsEcho, 0, 0, data, max(n, 1))); !bytes.Equal(got, data) {
				t.Errorf("echo of %d bytes came back as %d different ones", n, len(got))
			}
		})
		t.Run(fmt.Sprintf("Response%d", n), func(t *testing.T) {
			if n > 65533 {
				n = 65533 // with the status word, what every transport carries
			}
			cmd := Command(InsProduce, byte(n>>8), byte(n), nil, n)
			if got := exchange(t, card, cmd); !bytes.Equal(got, Pattern(n)) {
				t.Errorf("response of %d bytes came back as %d different ones", n, len(got))
			}
		})
	}
	// An error status is a response, not an error.
	resp, err := card.Transmit(limited(t), []byte{0xFF, 0xFE, 0, 0, 0})
	if err != nil || len(resp) != 2 || resp[0] == 0x90 {
		t.Errorf("unknown command: % X, %v", resp, err)
	}
}

func testBadCommand(t *testing.T, r *Rig) {
	chip := NewChip()
	r.insert(t, chip)
	card := r.open(t)
	exchange(t, card, recall)
	seen := chip.Seen()
	for _, cmd := range [][]byte{nil, {}, {0x80}, {0x80, InsRecall, 0}, make([]byte, reader.MaxCommand+1)} {
		_, err := card.Transmit(limited(t), cmd)
		wantError(t, fmt.Sprintf("command of %d bytes", len(cmd)), err, reader.ErrBadCommand)
	}
	if chip.Seen() != seen {
		t.Error("an impossible command reached the chip")
	}
	exchange(t, card, recall)
}

func testAliasing(t *testing.T, r *Rig) {
	r.insert(t, NewChip())
	card := r.open(t)
	cmd := slices.Clone(remember)
	exchange(t, card, cmd)
	if !bytes.Equal(cmd, remember) {
		t.Error("Transmit changed the command")
	}
	clear(cmd)
	got := exchange(t, card, recall)
	clear(got)
	if again := exchange(t, card, recall); !bytes.Contains(remember, again) || len(again) == 0 {
		t.Error("slices of the caller and of the driver share memory")
	}
	clear(card.ATR())
	if !bytes.Equal(card.ATR(), ATR) {
		t.Error("ATR returns memory that the card keeps")
	}
}

func testContextBefore(t *testing.T, r *Rig) {
	chip := NewChip()
	r.insert(t, chip)
	card := r.open(t)
	exchange(t, card, remember)
	seen, resets := chip.Seen(), chip.Resets()
	ctx, cancel := context.WithCancel(limited(t))
	cancel()
	_, err := card.Transmit(ctx, recall)
	wantError(t, "Transmit with an ended context", err, context.Canceled)
	wantError(t, "Reset with an ended context", card.Reset(ctx), context.Canceled)
	if chip.Seen() != seen || chip.Resets() != resets {
		t.Error("a call with an ended context reached the chip")
	}
	if len(exchange(t, card, recall)) == 0 {
		t.Error("an ended context cost the session")
	}
}

func testContextDuring(t *testing.T, r *Rig) {
	chip := NewChip()
	r.insert(t, chip)
	card := r.open(t)
	reached, release := chip.Stall()
	defer release()
	ctx, cancel := context.WithCancel(limited(t))
	type result struct {
		resp []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := card.Transmit(ctx, Command(InsEcho, 0, 0, []byte{1, 2, 3}, 3))
		done <- result{resp, err}
	}()
	<-reached
	cancel()
	select {
	case res := <-done:
		t.Fatalf("Transmit gave up an exchange in flight: %v", res.err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if res := <-done; res.err != nil || !bytes.Equal(res.resp, []byte{1, 2, 3, 0x90, 0x00}) {
		t.Errorf("exchange in flight: %d bytes, %v", len(res.resp), res.err)
	}
}

func testReset(t *testing.T, r *Rig) {
	r.insert(t, NewChip())
	card := r.open(t)
	exchange(t, card, remember)
	if err := card.Reset(limited(t)); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, card, recall); len(got) != 0 {
		t.Error("the session outlived a reset")
	}
	if !bytes.Equal(card.ATR(), ATR) {
		t.Error("no ATR after a reset")
	}
	_, err := r.Driver.Open(limited(t), r.Name)
	wantError(t, "Open by another after a reset", err, reader.ErrSharing)
}

func testResetByOther(t *testing.T, r *Rig) {
	if r.ResetByOther == nil {
		t.Skip("this rig has no second program")
	}
	r.insert(t, NewChip())
	card := r.open(t)
	exchange(t, card, remember)
	r.ResetByOther(t)
	for range 2 {
		_, err := card.Transmit(limited(t), recall)
		wantError(t, "Transmit after a foreign reset", err, reader.ErrCardReset)
	}
	if err := card.Reset(limited(t)); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, card, recall); len(got) != 0 {
		t.Error("the session outlived a foreign reset")
	}
}

// gone checks that card is of no use any more, and that the next one is.
func (r *Rig) gone(t *testing.T, card reader.Card) {
	t.Helper()
	for range 2 {
		_, err := card.Transmit(limited(t), recall)
		wantError(t, "Transmit without a card", err, reader.ErrCardRemoved)
	}
	wantError(t, "Reset without a card", card.Reset(limited(t)), reader.ErrCardRemoved)
	if err := card.Close(); err != nil {
		t.Errorf("Close without a card: %v", err)
	}
}

func testRemoved(t *testing.T, r *Rig) {
	r.insert(t, NewChip())
	card := r.open(t)
	exchange(t, card, remember)
	r.Remove(t)
	r.await(t, reader.Empty)
	r.gone(t, card)
	r.insert(t, NewChip())
	exchange(t, r.open(t), remember)
}

func testTorn(t *testing.T, r *Rig) {
	chip := NewChip()
	r.insert(t, chip)
	card := r.open(t)
	exchange(t, card, remember)
	chip.LeaveAt(2)
	exchange(t, card, recall)
	_, err := card.Transmit(limited(t), recall)
	wantError(t, "torn exchange", err, reader.ErrCardRemoved)
	r.gone(t, card)
	r.Remove(t)
	r.await(t, reader.Empty)
	r.insert(t, NewChip())
	if got := exchange(t, r.open(t), recall); len(got) != 0 {
		t.Error("the next card knows the session of the last")
	}
}

func testTornOften(t *testing.T, r *Rig) {
	for n := 1; n <= 4; n++ {
		chip := NewChip()
		r.insert(t, chip)
		card := r.open(t)
		chip.LeaveAt(n)
		for i := 1; i < n; i++ {
			exchange(t, card, remember)
		}
		_, err := card.Transmit(limited(t), recall)
		wantError(t, fmt.Sprintf("torn in exchange %d", n), err, reader.ErrCardRemoved)
		card.Close()
		r.Remove(t)
		r.await(t, reader.Empty)
	}
}

func testUnplugged(t *testing.T, r *Rig) {
	if r.Unplug == nil {
		t.Skip("this rig has no cable")
	}
	r.insert(t, NewChip())
	card := r.open(t)
	exchange(t, card, remember)
	r.Unplug(t)
	_, err := card.Transmit(limited(t), recall)
	if !errors.Is(err, reader.ErrNoReader) {
		wantError(t, "Transmit without a reader", err, reader.ErrCardRemoved)
	}
	card.Close()
	infos, err := r.Driver.Readers(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := find(infos, r.Name); ok {
		t.Error("an unplugged reader is listed")
	}
	_, err = r.Driver.Open(limited(t), r.Name)
	wantError(t, "Open of an unplugged reader", err, reader.ErrNoReader)
}

func testClosed(t *testing.T, r *Rig) {
	r.insert(t, NewChip())
	card := r.open(t)
	for range 2 {
		if err := card.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, err := card.Transmit(limited(t), recall)
	wantError(t, "Transmit after Close", err, reader.ErrClosed)
	wantError(t, "Reset after Close", card.Reset(limited(t)), reader.ErrClosed)
	r.open(t)
}

func testConcurrent(t *testing.T, r *Rig) {
	chip := NewChip()
	r.insert(t, chip)
	card := r.open(t)
	ctx := limited(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 8 {
				data := []byte{byte(i), byte(j)}
				resp, err := card.Transmit(ctx, Command(InsEcho, 0, 0, data, 2))
				if err != nil || !bytes.Equal(resp, append(data, 0x90, 0x00)) {
					t.Errorf("exchange %d of goroutine %d: wrong answer, error %v", j, i, err)
				}
			}
		})
	}
	wg.Wait()
	if chip.Overlapped() {
		t.Error("two exchanges at once")
	}
}
