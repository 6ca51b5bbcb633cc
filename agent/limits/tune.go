package limits

import (
	"context"
	"errors"
	"time"

	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/reader"
)

const (
	shortNe    = 256   // response data of a command of short length
	extendedNe = 65536 // and of extended length
)

// lease is a [reader.Lease]: a card that knows its limits by itself.
type lease interface {
	Limits() reader.Limits
	Learned() reader.Limits
	Relearn(ctx context.Context, found reader.Limits) error
}

// Tuning is what an inspection was told about its card and reader.
type Tuning struct {
	cfg    *inspect.Config
	before lds.Learned
	works  int                                        // extended length that was learned to work, 0: none was
	learn  func(context.Context, reader.Limits) error // nil: nobody remembers
}

// Tune tells an inspection, by its cfg, what the reader says that it carries and
// what is known of the card on it. card may be anything that exchanges APDUs; what
// it cannot say is not known. A [reader.Lease] knows its limits; for another card
// they are those in store, which may be nil, under the reader's name.
//
// The Tuning is never nil and cfg usable whatever happens: an error is that of the
// store or the reader, for a log. After the inspection call [Tuning.Save].
func Tune(ctx context.Context, store reader.LimitStore, name string, card any, cfg *inspect.Config) (*Tuning, error) {
	t := &Tuning{cfg: cfg}
	var bears, known reader.Limits // by what the reader says, and by what was learned
	var failed error
	if l, ok := card.(lease); ok {
		bears, known = l.Limits(), l.Learned()
		t.learn = l.Relearn
	} else {
		bears, failed = carried(ctx, card)
		if c, ok := card.(interface{ ATR() []byte }); ok && store != nil && name != "" {
			key := reader.KeyOf(name, c.ATR())
			var err error
			if known, _, err = store.Load(ctx, key); err != nil {
				failed = errors.Join(failed, err)
			}
			if !known.Fresh(time.Now()) {
				known = reader.Limits{}
			}
			t.learn = func(ctx context.Context, l reader.Limits) error {
				l.Delay, l.Learned = known.Delay, time.Now()
				return store.Save(ctx, key, l)
			}
		}
	}
	t.before = lds.Learned{MaxNe: known.MaxNe, NoExtended: known.NoExtended, NoSFI: known.NoSFI, Probe: known.Probe}
	if known.MaxNe > shortNe {
		// What was measured to work is a permission, and no limit of the card's.
		t.works, t.before.MaxNe = known.MaxNe, 0
	}
	learned := t.before
	cfg.MaxNe, cfg.Learned = maxNe(bears, known), &learned
	return t, failed
}

// Save remembers what the inspection has found out, if that is something else
// than was known. It has not to be called after an inspection that found nothing
// out, and may be.
func (t *Tuning) Save(ctx context.Context) error {
	l := *t.cfg.Learned
	if t.learn == nil || l == t.before {
		return nil
	}
	if l.MaxNe == 0 && !l.NoExtended {
		l.MaxNe = t.works
	}
	return t.learn(ctx, reader.Limits{MaxNe: l.MaxNe, NoExtended: l.NoExtended, NoSFI: l.NoSFI, Probe: l.Probe})
}

// carried asks the reader.
func carried(ctx context.Context, card any) (reader.Limits, error) {
	c, ok := card.(reader.Capable)
	if !ok {
		return reader.Limits{}, nil
	}
	caps, err := c.Capabilities(ctx)
	if err != nil {
		return reader.Limits{}, err
	}
	l := reader.Limits{MaxNe: caps.MaxAPDU}
	if l.MaxNe <= 0 && caps.Extended {
		l.MaxNe = extendedNe
	}
	return l, nil
}

// maxNe is the most response data that may be asked for. A reader that does not
// say that it carries extended length is spared it: some of them hang.
func maxNe(bears, known reader.Limits) int {
	n := bears.MaxNe
	if n <= 0 || n < shortNe && known.MaxNe > 0 { // what was learned says so by itself, and may be put to the test
		n = shortNe
	}
	if bears.NoExtended || known.NoExtended {
		n = min(n, shortNe)
	}
	return min(n, extendedNe)
}
