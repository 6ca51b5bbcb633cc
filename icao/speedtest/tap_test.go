package speedtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/trust"
)

// at is when all documents here are inspected.
var at = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

// keys are shared by all documents of this package: making them takes seconds.
var keys = issuer.NewKeyCache(stream("keys"))

// stream is randomness that is the same in every run.
func stream(seed string) *rand.ChaCha8 {
	var s [32]byte
	copy(s[:], seed)
	return rand.NewChaCha8(s)
}

// A reader is one that a document may lie on.
type reader struct {
	name  string
	maxNe int // as inspect.Config has it
}

var readers = []reader{
	{"short", 256},      // short APDUs only, which every reader carries
	{"extended", 65536}, // extended length, as contactless readers of today carry
}

// build makes the document of a profile, the same in every run.
func build(tb testing.TB, profile string) *chip.Document {
	tb.Helper()
	d, err := chip.Build(profile, chip.Options{At: at, Keys: keys, Rand: stream("document")})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// An exchange is a command and its response.
type exchange struct{ command, response []byte }

func (e exchange) protected() bool { return e.command[0]&0x0C == 0x0C }

// on returns what the exchange costs on a link.
func (e exchange) on(l Link) time.Duration {
	return l.Exchange(len(e.command), len(e.response), e.protected())
}

// A tap is an inspection that has taken place.
type tap struct {
	report    *inspect.Report
	exchanges []exchange
	text      int // exchanges before the verified text was reported
}

// total adds up what exchanges cost on a link.
func total(l Link, exchanges []exchange) (d time.Duration) {
	for _, e := range exchanges {
		d += e.on(l)
	}
	return d
}

// recorder keeps what goes over the wire.
type recorder struct {
	chip      *chip.Chip
	exchanges []exchange
}

func (r *recorder) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := r.chip.Transmit(ctx, command)
	r.exchanges = append(r.exchanges, exchange{bytes.Clone(command), bytes.Clone(response)})
	return response, err
}

func (r *recorder) Reset(context.Context) error {
	r.chip.Reset()
	return nil
}

// errOther says that a replayed chip was sent another command than the first time.
var errOther = errors.New("speedtest: another command than in the recording")

// replay is a chip that costs nothing: it answers as it did the first time.
type replay struct {
	exchanges []exchange
	next      int
}

func (r *replay) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if r.next >= len(r.exchanges) || !bytes.Equal(r.exchanges[r.next].command, command) {
		return nil, errOther
	}
	response := r.exchanges[r.next].response
	r.next++
	return response, nil
}

func (r *replay) Reset(context.Context) error { return nil }

// A desk is what a document is inspected with.
type desk struct {
	document *chip.Document
	access   inspect.Access
	pool     *trust.Pool
	reader   reader
}

func newDesk(tb testing.TB, d *chip.Document, r reader) desk {
	tb.Helper()
	m, err := mrz.Parse(strings.Join(d.MRZ, "\n"))
	if err != nil {
		tb.Fatal(err)
	}
	key, err := m.Key()
	if err != nil {
		tb.Fatal(err)
	}
	c, err := cms.ParseCertificate(d.CSCA)
	if err != nil {
		tb.Fatal(err)
	}
	pool := trust.NewPool()
	if err := pool.Add(c, "test"); err != nil {
		tb.Fatal(err)
	}
	return desk{d, inspect.Access{Keys: []mrz.Key{key}}, pool, r}
}

// inspect reads the document behind t as a desk does, with the photo. learned may
// be nil. Nobody looks at the text before progress, which may be nil too, has it.
func (d desk) inspect(tb testing.TB, t apdu.Transceiver, learned *lds.Learned, progress func(inspect.Event)) *inspect.Report {
	tb.Helper()
	r, err := inspect.Run(tb.Context(), t, d.access, &inspect.Config{
		At: at, Trust: d.pool, Rand: stream("terminal"), Photo: true, MaxNe: d.reader.maxNe, Learned: learned, Progress: progress,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if !r.TextVerified() || r.Photo == nil {
		tb.Fatalf("not verified, or without a photo: %v", r.Err())
	}
	return r
}

// tap lays the document on the reader. learned may be nil.
func (d desk) tap(tb testing.TB, learned *lds.Learned) tap {
	tb.Helper()
	pers := *d.document.Personalisation
	pers.Rand = stream("chip")
	c, err := chip.New(&pers)
	if err != nil {
		tb.Fatal(err)
	}
	wire := &recorder{chip: c}
	text := 0
	r := d.inspect(tb, wire, learned, func(e inspect.Event) {
		if e.Report != nil && e.Report.TextVerified() {
			text = len(wire.exchanges)
		}
	})
	if r.Exchanges != len(wire.exchanges) {
		tb.Fatalf("%d exchanges reported, %d on the wire", r.Exchanges, len(wire.exchanges))
	}
	return tap{r, wire.exchanges, text}
}
