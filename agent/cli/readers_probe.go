package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/reader"
)

const (
	emptyExchanges = 50
	testResets     = 5
	// severalFailed is how many of emptyExchanges have to fail, and none with a
	// pause, before the pause is kept.
	severalFailed = 3
	// retryDelay is the pause that is tried when exchanges fail without one.
	retryDelay = 20 * time.Millisecond
	// Medians above these make a reader slow, or unfit: reading a document
	// takes some forty to a hundred exchanges.
	slowExchange = 40 * time.Millisecond
	badExchange  = 120 * time.Millisecond
)

// readerTest is the document of readers test --json. Times are in milliseconds.
type readerTest struct {
	Reader       readerInfo        `json:"reader"`
	Card         string            `json:"card"` // kind of card by its answer to reset
	Capabilities *readerCapability `json:"capabilities,omitempty"`
	Limits       string            `json:"limits"` // in use, in words

	OpenMS    float64     `json:"open_ms"`
	Exchanges measurement `json:"exchanges"`
	// Paused are exchanges with a pause, made when those without one failed.
	Paused *measurement `json:"paused,omitempty"`
	Resets measurement  `json:"resets"`

	// Extended tells whether reader and card take commands of extended length:
	// yes, no (the card refuses them), fails (the exchange breaks off,
	// twice), not shown (the card has nothing to say before it is opened), or skipped.
	Extended string `json:"extended"`
	// LargestLe is the most that a command asked for and was answered; 0 if the card
	// answers none before it is opened. BreaksOff is the least that a command asked for
	// and broke off at, twice; 0 if none did. LongestResponse is the most data
	// that came.
	LargestLe int `json:"largest_le"`
	BreaksOff int `json:"breaks_off,omitempty"`
	// Selects is "fails" if the command that selects a file breaks off, twice.
	Selects         string `json:"selects,omitempty"`
	LongestResponse int    `json:"longest_response"`

	// Read is a read of the whole document, if a key was given; ReadFailed says
	// why there is none.
	Read       *documentRead `json:"read,omitempty"`
	ReadFailed string        `json:"read_failed,omitempty"`

	Verdict verdictInfo `json:"verdict"`
}

// readerCapability is what a reader says of itself. It holds nothing of a card.
type readerCapability struct {
	MaxAPDU  int    `json:"max_apdu,omitempty"`
	Extended bool   `json:"extended,omitempty"`
	Name     string `json:"name,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	USB      string `json:"usb,omitempty"`
}

// measurement is a series of exchanges.
type measurement struct {
	Count    int     `json:"count"`
	Failed   int     `json:"failed"`
	MedianMS float64 `json:"median_ms"`
	P95MS    float64 `json:"p95_ms"`
}

// documentRead says how long a document took. It holds nothing of it.
type documentRead struct {
	MS        float64 `json:"ms"`
	Exchanges int     `json:"exchanges"`
	Bytes     int     `json:"bytes"` // received
}

// verdictInfo is the sentence for IT staff.
type verdictInfo struct {
	Level    string `json:"level"` // good, limited, slow, faulty
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy,omitempty"`
	Page     string `json:"page,omitempty"`
}

func newReadersTest(e *env, ports *[]string) *cobra.Command {
	var (
		keys   accessFlags
		name   string
		asJSON bool
		wait   time.Duration
		limit  time.Duration
	)
	c := &cobra.Command{
		Use:   "test",
		Short: "Measure a reader with a card on it, and say whether it is fit for a desk",
		Long: `Test sends some eighty harmless commands to the card on a reader. It needs no key,
reads no personal data, and spends no try of any code. It says how fast the
reader is, how long commands may be, and whether the card outlives resets; what a
reader cannot do is remembered ("chamthe readers limits").

Long answers come only from a chip that was opened. With a key, as for "chamthe
read", test reads the whole document as well, says how long it took and how long
the answers were, and shows nothing of it.`,
		Example: "  chamthe readers test\n  chamthe readers test --reader \"ACS ACR1252 Dual Reader PICC 0\" --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var access *inspect.Access
			if keys.given() {
				a, err := keys.access(e.stdin)
				if err != nil {
					return err
				}
				access = &a
			}
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			return e.withReaders(name, *ports, func(h *readers) error {
				r, err := testReader(ctx, h, wait, access)
				if r == nil {
					return err
				}
				// What was measured is shown even if the document could not be read.
				return errors.Join(printReaderTest(e, r, asJSON), err)
			})
		},
	}
	c.Flags().StringVar(&name, "reader", "", "`NAME` of the reader, or pn532:PORT (default: the best that has a card)")
	keys.add(c)
	c.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for a card")
	c.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long the whole command may take")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// testReader measures the reader that is wanted, or the best with a card; with
// access it reads the document, too. If only that fails, there is a result as well
// as an error.
func testReader(ctx context.Context, h *readers, wait time.Duration, access *inspect.Access) (*readerTest, error) {
	name, err := h.waitCard(ctx, wait)
	if err != nil {
		return nil, h.whyNothing(ctx, err)
	}
	began := time.Now()
	l, err := h.Take(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &probe{h: h.Hub, l: l, out: &readerTest{OpenMS: millis(time.Since(began))}}
	defer func() { _ = p.l.Close() }()
	err = p.run(ctx, access)
	if err != nil && p.out.ReadFailed == "" {
		return nil, err
	}
	return p.out, err
}

// whyNothing says more of err, with which waiting for a card ended.
func (r *readers) whyNothing(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// No reader has hung: none was asked for anything.
		return usagef("--timeout: it ran out before there was a card")
	}
	if !errors.Is(err, reader.ErrNoReader) && !errors.Is(err, reader.ErrNoCard) || r.name != "" {
		return err
	}
	devices, listed := r.Devices(ctx)
	if listed != nil {
		return err
	}
	if missing := r.missing(devices); missing != nil && errors.Is(err, reader.ErrNoReader) {
		return missing
	}
	if len(devices) > 0 && !slices.ContainsFunc(devices, func(d reader.Device) bool { return d.Rank > 0 }) {
		return fault.New(fault.NoReader, fmt.Errorf("%w: those that are there are not for cards that are laid on", reader.ErrNoReader))
	}
	return err
}

// probe is one test of a reader.
type probe struct {
	h   *reader.Hub
	l   *reader.Lease
	out *readerTest

	unbroken   int  // the longest that was asked for and answered, whatever the answer
	wrongInput bool // why the document was not read, which is no fault of the reader's
}

func (p *probe) run(ctx context.Context, access *inspect.Access) error {
	d := p.l.Device()
	p.out.Reader = encodeReader(d)
	p.out.Card = strings.ToUpper(hex.EncodeToString(p.l.ATR()))
	caps, err := p.l.Capabilities(ctx)
	if err != nil {
		return err
	}
	p.out.Capabilities = encodeCapabilities(caps)

	if p.out.Exchanges, err = p.measure(ctx, emptyExchanges, 0, p.empty); err != nil {
		return err
	}
	if p.out.Exchanges.Failed > 0 {
		paused, err := p.measure(ctx, emptyExchanges, retryDelay, p.empty)
		if err != nil {
			return err
		}
		p.out.Paused = &paused
		// One that failed was a card that moved, as likely as not.
		if paused.Failed == 0 && p.out.Exchanges.Failed >= severalFailed {
			p.learn(ctx, reader.Limits{Delay: retryDelay})
		}
	}
	if p.out.Resets, err = p.measure(ctx, testResets, 0, p.reset); err != nil {
		return err
	}
	if err := p.lengths(ctx); err != nil {
		return err
	}
	var failed error
	if access != nil {
		if failed = p.read(ctx, *access); failed != nil {
			f := fault.Classify(failed)
			p.out.ReadFailed, p.wrongInput = string(f.Code), f.Kind == fault.Input
		}
	}
	p.out.Limits = limitWords(p.l.Limits())
	p.out.Verdict = p.verdict(d)
	return failed
}

func encodeCapabilities(c reader.Capabilities) *readerCapability {
	out := readerCapability{MaxAPDU: c.MaxAPDU, Extended: c.Extended, Name: label(c.Name), Firmware: label(c.Firmware)}
	if c.VendorID != 0 || c.ProductID != 0 {
		out.USB = fmt.Sprintf("%04X:%04X", c.VendorID, c.ProductID)
	}
	if out == (readerCapability{}) {
		return nil
	}
	return &out
}

// learn remembers a limit. If that fails, the next test finds it again.
func (p *probe) learn(ctx context.Context, l reader.Limits) {
	_ = p.l.Learn(context.WithoutCancel(ctx), l)
}

// measure makes n calls, and goes on after those that fail: a failure is a
// figure. It ends only when nothing more can be measured.
func (p *probe) measure(ctx context.Context, n int, pause time.Duration, f func(context.Context) error) (measurement, error) {
	var took []time.Duration
	m := measurement{Count: n}
	for range n {
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return m, ctx.Err()
			}
		}
		began := time.Now()
		err := f(ctx)
		if err == nil {
			took = append(took, time.Since(began))
			continue
		}
		m.Failed++
		if err := p.recover(ctx, err); err != nil {
			return m, err
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		m.MedianMS, m.P95MS = millis(took[len(took)/2]), millis(took[(len(took)*95+99)/100-1])
	}
	return m, nil
}

// recover makes the card usable again after an exchange that failed, or returns
// why it cannot be.
func (p *probe) recover(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, reader.ErrComm) || errors.Is(err, reader.ErrCardReset) {
		if p.l.Reset(ctx) == nil {
			return nil
		}
	} else if !errors.Is(err, reader.ErrTimeout) {
		return err // the card or the reader has gone
	}
	name := p.l.Device().Name
	_ = p.l.Close()
	l, again := p.h.Take(ctx, name)
	if again != nil {
		return err
	}
	p.l = l
	return nil
}

// empty sends a command that no card knows: the shortest way there and back.
// Every status is an answer.
func (p *probe) empty(ctx context.Context) error {
	_, err := p.l.Transmit(ctx, []byte{0x00, 0x00, 0x00, 0x00})
	return err
}

func (p *probe) reset(ctx context.Context) error { return p.l.Reset(ctx) }

// ladder are the lengths that are asked for.
var ladder = []int{128, 192, 223, 256, 512, 1024, 2048, 4096, 16384, 32768, 65536}

// lengths finds out how much may be asked for. The file that is read is one
// that a document shows to everybody: EF.CardAccess (Doc 9303-11, 9.2.10), else
// EF.ATR/INFO, else none, and then only the asking is tested.
func (p *probe) lengths(ctx context.Context) error {
	p.out.Extended = "skipped"
	if err := p.selectOpen(ctx); err != nil {
		if err := p.recover(ctx, err); err != nil {
			return err
		}
		if err := p.selectOpen(ctx); err != nil { // twice is no accident
			p.out.Selects = "fails"
			return p.recover(ctx, err)
		}
	}
	for _, le := range ladder {
		read := apdu.Command{INS: insReadBinary, Ne: le}
		extended := read.Extended()
		if extended && p.l.Limits().NoExtended {
			return nil
		}
		resp, broken, err := p.tryLength(ctx, read)
		if err != nil {
			return err
		}
		if !broken {
			p.unbroken = le
		}
		switch {
		case broken && extended:
			p.out.Extended, p.out.BreaksOff = "fails", le
			p.learn(ctx, reader.Limits{NoExtended: true})
			return nil
		case broken:
			p.out.BreaksOff = le
			if p.unbroken > 0 {
				p.learn(ctx, reader.Limits{MaxNe: p.unbroken})
			}
			return nil
		case resp.SW == apdu.WrongLength:
			if extended && p.out.Extended == "skipped" {
				p.out.Extended = "no"
			}
			return nil
		case !works(resp.SW):
			// The card has nothing to say before it is opened: no finding.
			if extended && p.out.Extended == "skipped" {
				p.out.Extended = "not shown"
			}
			continue
		}
		if extended {
			p.out.Extended = "yes"
		}
		p.out.LargestLe = le
		p.out.LongestResponse = max(p.out.LongestResponse, len(resp.Data))
	}
	return nil
}

// works reports whether a status word says that a length was accepted: what was
// asked for is there, or as much as there is of it.
func works(sw apdu.Status) bool {
	return sw == apdu.OK || sw == apdu.EndOfFile || sw.SW1() == 0x6C
}

// tryLength sends a command, and once more if it broke off: once may have been the
// card that moved. broken means that it broke off twice in a row; the error means that
// the card is gone.
func (p *probe) tryLength(ctx context.Context, c apdu.Command) (resp apdu.Response, broken bool, err error) {
	cmd, err := c.Encode()
	if err != nil {
		return resp, false, err
	}
	for range 2 {
		b, err := p.l.Transmit(ctx, cmd)
		if err == nil {
			resp, err = apdu.ParseResponse(b)
			return resp, false, err
		}
		if err := p.recover(ctx, err); err != nil {
			return resp, false, err
		}
		// A reset has closed the file. What that says is said by then.
		if err := p.selectOpen(ctx); err != nil {
			if err := p.recover(ctx, err); err != nil {
				return resp, false, err
			}
		}
	}
	return resp, true, nil
}

// counting is a card that counts what it answers.
type counting struct {
	*reader.Lease
	exchanges, bytes, longest int
}

func (c *counting) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	resp, err := c.Lease.Transmit(ctx, cmd)
	c.exchanges++
	if n := len(resp) - 2; n > 0 {
		c.bytes += n
		c.longest = max(c.longest, n)
	}
	return resp, err
}

// read reads the document as a desk does, photo and all. Whether it is genuine
// is not the question here.
func (p *probe) read(ctx context.Context, access inspect.Access) error {
	if err := p.l.Reset(ctx); err != nil {
		return err
	}
	c := &counting{Lease: p.l}
	began := time.Now()
	_, err := inspectCard(ctx, c, access, &inspect.Config{At: began, Trust: trust.NewPool(), Photo: true, Now: time.Now}, func(error) {})
	if err != nil {
		return err
	}
	p.out.Read = &documentRead{MS: millis(time.Since(began)), Exchanges: c.exchanges, Bytes: c.bytes}
	p.out.LongestResponse = max(p.out.LongestResponse, c.longest)
	return nil
}

const (
	insSelect     = 0xA4
	insReadBinary = 0xB0
)

// selectOpen selects a file that needs no key, if there is one.
func (p *probe) selectOpen(ctx context.Context) error {
	for _, file := range [][]byte{{0x01, 0x1C}, {0x2F, 0x01}} {
		resp, err := p.l.Transmit(ctx, append([]byte{0x00, insSelect, 0x02, 0x0C, 0x02}, file...))
		if err != nil {
			return err
		}
		if len(resp) >= 2 && resp[len(resp)-2] == 0x90 {
			return nil
		}
	}
	return nil
}

// verdict says what all this means, the worst first.
func (p *probe) verdict(d reader.Device) verdictInfo {
	o := p.out
	page := d.Page
	median := time.Duration(o.Exchanges.MedianMS * float64(time.Millisecond))
	v := func(level, sentence, remedy string) verdictInfo {
		return verdictInfo{Level: level, Sentence: sentence, Remedy: remedy, Page: page}
	}
	switch {
	case o.Paused != nil && o.Paused.Failed > 0:
		return v("faulty", fmt.Sprintf("exchanges fail, %d of %d even with a pause between them", o.Paused.Failed, o.Paused.Count),
			"lay the card flat and still; then another USB port without a hub; then the maker's driver; then another reader")
	case o.Resets.Failed > 0:
		return v("faulty", fmt.Sprintf("%d of %d resets fail", o.Resets.Failed, o.Resets.Count),
			"lay the card flat and still; then the maker's driver; then another reader")
	case o.Selects != "":
		return v("faulty", "commands that select a file break the connection",
			"lay the card flat and still; then the maker's driver; then another reader")
	case o.BreaksOff > 0 && o.BreaksOff <= 256 && p.unbroken == 0:
		return v("faulty", fmt.Sprintf("commands that ask for %d bytes break the connection", o.BreaksOff),
			"lay the card flat and still; then the maker's driver; then another reader")
	case o.ReadFailed != "" && !p.wrongInput:
		return v("faulty", "the document could not be read: "+o.ReadFailed, "see what is said of that below; then try another card, and this card on another reader")
	case o.BreaksOff > 0 && o.BreaksOff <= 256:
		return v("limited", fmt.Sprintf("commands that ask for %d bytes break the connection; no more than %d will be asked for", o.BreaksOff, p.unbroken),
			"nothing has to be done; with the maker's newest driver and firmware, forget the limit and test again")
	case o.Extended == "fails":
		return v("limited", "commands of extended length break the connection, and will not be used with this card again",
			"nothing has to be done; with the maker's newest driver and firmware, forget the limit and test again")
	case o.Paused != nil && o.Exchanges.Failed < severalFailed:
		return v("limited", fmt.Sprintf("%d of %d exchanges failed, and none of as many with a pause: the card may have moved", o.Exchanges.Failed, o.Exchanges.Count),
			"lay the card flat and still, and test again")
	case o.Paused != nil:
		return v("limited", fmt.Sprintf("exchanges fail without a pause, and work with one of %v, which is kept from now on", retryDelay),
			"nothing has to be done; another USB port or the maker's driver may make it faster")
	case median > badExchange:
		return v("slow", fmt.Sprintf("an exchange takes %.0f ms: a document will take many seconds", o.Exchanges.MedianMS),
			"connect the reader to this computer itself, not through remote desktop or a hub, and install the maker's driver")
	case median > slowExchange:
		return v("slow", fmt.Sprintf("an exchange takes %.0f ms: a document will take some seconds", o.Exchanges.MedianMS),
			"another USB port without a hub, and the maker's driver, may make it faster")
	case d.Kind == reader.Contact:
		return v("limited", "this is a slot for contacts; it works, and documents are read by the antenna",
			"lay the card on the reader's antenna")
	case p.l.Learned().MaxNe > 0 && p.l.Learned().MaxNe < 256:
		return v("limited", fmt.Sprintf("reader and card work, with answers of at most %d bytes: a document takes a little longer", p.l.Learned().MaxNe), "")
	case o.Extended == "no" || p.l.Limits().NoExtended:
		return v("limited", "reader and card work, with short commands only: a document takes a little longer", "")
	default:
		return v("good", "reader and card work", "")
	}
}

func printReaderTest(e *env, r *readerTest, asJSON bool) error {
	if asJSON {
		return writeJSON(e.stdout, r)
	}
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", what, fmt.Sprintf(format, args...))
	}
	series := func(m measurement) string {
		s := fmt.Sprintf("%d: median %.1f ms, 95 %% within %.1f ms", m.Count, m.MedianMS, m.P95MS)
		if m.Failed > 0 {
			s += fmt.Sprintf(", %d FAILED", m.Failed)
		}
		return s
	}
	line("reader", "%s (%s)", printable(r.Reader.Name), r.Reader.Kind)
	if c := r.Capabilities; c != nil {
		var words []string
		for _, w := range []struct {
			say  bool
			text string
		}{
			{c.Name != "", printable(c.Name)},
			{c.Firmware != "", "firmware " + printable(c.Firmware)},
			{c.USB != "", "USB " + c.USB},
			{c.MaxAPDU > 0, fmt.Sprintf("carries %d bytes", c.MaxAPDU)},
			{c.Extended, "says that it takes extended length"},
		} {
			if w.say {
				words = append(words, w.text)
			}
		}
		line("device", "%s", strings.Join(words, ", "))
	}
	line("card", "ATR %s, open after %.0f ms", r.Card, r.OpenMS)
	line("exchanges", "%s", series(r.Exchanges))
	if r.Paused != nil {
		line("", "with pauses, %s", series(*r.Paused))
	}
	line("resets", "%s", series(r.Resets))
	if r.BreaksOff > 0 {
		line("", "a command that asks for %d bytes BREAKS OFF", r.BreaksOff)
	}
	if r.LargestLe == 0 {
		line("lengths", "not shown: the card answers none before it is opened; extended length: %s", r.Extended)
	} else if r.LongestResponse > 0 {
		line("lengths", "asked for up to %d bytes, longest answer %d; extended length: %s", r.LargestLe, r.LongestResponse, r.Extended)
	} else {
		line("lengths", "asked for up to %d bytes (long answers need the card's key: see --help); extended length: %s", r.LargestLe, r.Extended)
	}
	if r.ReadFailed != "" {
		line("document", "NOT READ: %s", r.ReadFailed)
	}
	if d := r.Read; d != nil {
		line("document", "read in %.0f ms: %d exchanges, %d bytes", d.MS, d.Exchanges, d.Bytes)
	}
	line("limits", "%s", r.Limits)
	line("verdict", "%s: %s", strings.ToUpper(r.Verdict.Level), r.Verdict.Sentence)
	if r.Verdict.Remedy != "" {
		line("", "what to do: %s", r.Verdict.Remedy)
	}
	if r.Verdict.Page != "" {
		line("", "see firmware-notes/%s", r.Verdict.Page)
	}
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}
