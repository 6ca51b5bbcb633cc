package reader

// EventKind tells what happened to a reader.
type EventKind uint8

const (
	// ReaderAdded means that a reader has appeared.
	ReaderAdded EventKind = iota + 1
	// ReaderRemoved means that a reader has gone, with any card on it.
	ReaderRemoved
	// CardInserted means that a card has come.
	CardInserted
	// CardRemoved means that a card has gone.
	CardRemoved
	// StateChanged means that neither a card nor the reader came or went:
	// another program took the card or gave it back, for example.
	StateChanged
	// Snapshot stands for everything that happened until now. Only a
	// [Subscription] delivers it, and the next one.
	Snapshot
	// SourceChanged means that a driver has begun or ceased to work.
	SourceChanged
)

// String returns the kind in words.
func (k EventKind) String() string {
	switch k {
	case ReaderAdded:
		return "reader added"
	case ReaderRemoved:
		return "reader removed"
	case CardInserted:
		return "card inserted"
	case CardRemoved:
		return "card removed"
	case StateChanged:
		return "state changed"
	case Snapshot:
		return "snapshot"
	case SourceChanged:
		return "source changed"
	default:
		return "unknown event"
	}
}

// An Event is one change between two lists of readers. Info is the reader as
// it is after the change; for what has gone, as it was before.
type Event struct {
	Kind EventKind
	Info Info
}

// Diff returns what happened between two lists of one driver: first what has
// gone, then what has come, each in the order of its list. A card that was
// swapped between the two looks is a CardRemoved and a CardInserted.
func Diff(before, after []Info) []Event {
	old := make(map[string]Info, len(before))
	for _, in := range before {
		old[in.Name] = in
	}
	now := make(map[string]Info, len(after))
	for _, in := range after {
		now[in.Name] = in
	}

	var gone, come []Event
	for _, b := range before {
		a, there := now[b.Name]
		switch {
		case !there:
			if b.State.HasCard() {
				gone = append(gone, Event{CardRemoved, b})
			}
			gone = append(gone, Event{ReaderRemoved, b})
		case b.State.HasCard() && (!a.State.HasCard() || swapped(b, a)):
			gone = append(gone, Event{CardRemoved, b})
		}
	}
	for _, a := range after {
		b, there := old[a.Name]
		switch {
		case !there:
			come = append(come, Event{ReaderAdded, a})
			if a.State.HasCard() {
				come = append(come, Event{CardInserted, a})
			}
		case a.State.HasCard() && (!b.State.HasCard() || swapped(b, a)):
			come = append(come, Event{CardInserted, a})
		case a.State != b.State && a.State.HasCard() == b.State.HasCard():
			come = append(come, Event{StateChanged, a})
		}
	}
	return append(gone, come...)
}

// swapped reports whether two looks, both with a card, saw different
// insertions.
func swapped(before, after Info) bool { return before.Changes != after.Changes }
