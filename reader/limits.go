package reader

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits are what one kind of card bears in one model of reader, where that is
// less than the standard promises. The zero value is a reader and a card that
// nothing is known of. Limits hold no personal data.
type Limits struct {
	// MaxNe is the most response data in bytes that worked in one exchange; 0
	// is unknown. More than 256 needs commands of extended length.
	MaxNe int
	// NoExtended means that commands of extended length are not safe.
	NoExtended bool
	// Delay is the pause that has to pass between two exchanges.
	Delay time.Duration
	// NoSFI means that files have to be selected before they are read.
	NoSFI bool
	// Probe means that asking for more than a file holds is refused.
	Probe bool
	// Learned is when this was found out; zero if it was not learned.
	Learned time.Time
}

// Same reports whether a and b limit the same, whenever that was learned.
func (a Limits) Same(b Limits) bool {
	a.Learned, b.Learned = time.Time{}, time.Time{}
	return a == b
}

// LimitLife is how long learned limits hold. A limit that one bad tap taught
// must not make every later one slow for ever, and firmware is updated.
const LimitLife = 90 * 24 * time.Hour

// Fresh reports whether l was learned so lately before now that it still holds.
// What was learned in the future was learned by a clock that was wrong, and
// nobody knows when.
func (l Limits) Fresh(now time.Time) bool {
	age := now.Sub(l.Learned)
	return age >= 0 && age < LimitLife
}

// maxLearnedDelay is the longest pause that is believed of a store: some
// hundred exchanges make a document.
const maxLearnedDelay = 100 * time.Millisecond

// bounded returns what of l is believed, wherever it comes from.
func (l Limits) bounded() Limits {
	l.MaxNe = min(max(l.MaxNe, 0), maxExtendedNe)
	l.Delay = min(max(l.Delay, 0), maxLearnedDelay)
	return l
}

// IsZero reports whether l limits nothing.
func (l Limits) IsZero() bool { return l.Same(Limits{}) }

// Tighter returns what both a and b allow. Learned is that of the later one.
func (a Limits) Tighter(b Limits) Limits {
	if a.MaxNe == 0 || b.MaxNe != 0 && b.MaxNe < a.MaxNe {
		a.MaxNe = b.MaxNe
	}
	a.NoExtended = a.NoExtended || b.NoExtended
	a.Delay = max(a.Delay, b.Delay)
	a.NoSFI = a.NoSFI || b.NoSFI
	a.Probe = a.Probe || b.Probe
	if b.Learned.After(a.Learned) {
		a.Learned = b.Learned
	}
	return a
}

// A LimitKey says what limits were learned of: a model of reader and a kind of
// card. Neither part names a person or a single device.
type LimitKey struct {
	// Reader is the model, as [Model] gives it.
	Reader string
	// ATR is the card's answer to reset in upper-case hex, without spaces.
	ATR string
}

// KeyOf returns the key of the reader called name with a card of this answer
// to reset.
func KeyOf(name string, atr []byte) LimitKey {
	return LimitKey{Reader: Model(name), ATR: strings.ToUpper(hex.EncodeToString(atr))}
}

// Compare orders keys by reader, then by answer to reset.
func (k LimitKey) Compare(o LimitKey) int {
	return cmp.Or(strings.Compare(k.Reader, o.Reader), strings.Compare(k.ATR, o.ATR))
}

// A LimitStore remembers limits. Its methods may be called from several
// goroutines at once.
type LimitStore interface {
	// Load returns what is known, and whether anything is.
	Load(ctx context.Context, key LimitKey) (l Limits, known bool, err error)
	// Save remembers l in place of what was known.
	Save(ctx context.Context, key LimitKey, l Limits) error
}

// A LimitEntry is one line of what a store knows.
type LimitEntry struct {
	Key    LimitKey
	Limits Limits
}

// MaxLimitEntries is how many entries [MemoryLimits] holds. A clinic meets a
// dozen kinds of card; this many come only from a card that makes them up.
const MaxLimitEntries = 1024

// ErrLimitsFull means that [MaxLimitEntries] kinds of card are remembered
// already.
var ErrLimitsFull = errors.New("reader: no room for more limits")

// MemoryLimits is a [LimitStore] that forgets when the process ends. The zero
// value is empty and ready to use.
type MemoryLimits struct {
	mu      sync.Mutex
	entries map[LimitKey]Limits
}

var _ LimitStore = (*MemoryLimits)(nil)

// Load implements [LimitStore].
func (m *MemoryLimits) Load(ctx context.Context, key LimitKey) (Limits, bool, error) {
	if err := ctx.Err(); err != nil {
		return Limits{}, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l, known := m.entries[key]
	return l, known, nil
}

// Save implements [LimitStore]. It returns [ErrLimitsFull] if there is no room.
func (m *MemoryLimits) Save(ctx context.Context, key LimitKey, l Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[key]; !known && len(m.entries) >= MaxLimitEntries {
		return ErrLimitsFull
	}
	if m.entries == nil {
		m.entries = make(map[LimitKey]Limits)
	}
	m.entries[key] = l
	return nil
}

// All returns everything that is known, in the order of the keys.
func (m *MemoryLimits) All(ctx context.Context) ([]LimitEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]LimitEntry, 0, len(m.entries))
	for key, l := range m.entries {
		all = append(all, LimitEntry{Key: key, Limits: l})
	}
	slices.SortFunc(all, func(a, b LimitEntry) int { return a.Key.Compare(b.Key) })
	return all, nil
}

// Forget drops what was learned with one model of reader, or everything if the
// name is empty, and returns how many entries that were.
func (m *MemoryLimits) Forget(ctx context.Context, model string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.entries)
	maps.DeleteFunc(m.entries, func(k LimitKey, _ Limits) bool { return model == "" || k.Reader == model })
	return before - len(m.entries), nil
}
