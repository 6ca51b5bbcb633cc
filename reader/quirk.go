package reader

import (
	"regexp"
	"slices"
	"sync"
	"time"

	firmwarenotes "github.com/chamthe/chamthe/firmware-notes"
)

// A Quirk is what firmware-notes knows of a model of reader, or of one half of
// a model that shows as several readers. Zero values mean that nothing is
// known. It is a description: a driver or a hub decides what to make of it.
type Quirk struct {
	// ID names the quirk, in lower case with hyphens.
	ID string
	// Page is the file below firmware-notes that says where all this is from.
	Page string

	// Match is the regular expression that the names of these readers fit;
	// empty if the quirk is found by USB id only.
	Match string
	// USB are the ids of these devices.
	USB []USBID

	// Kind is what the reader is for. [Virtual] ones are never waited for.
	Kind Kind

	// MaxShort is the most response data in bytes in one exchange with a short
	// command, 1 to 256.
	MaxShort int
	// MaxExtended is the most response data in bytes that reader and driver
	// carry in one message, 257 to 65,536. More may work, in several messages.
	MaxExtended int
	// Extended tells whether commands of extended length may be used.
	Extended ExtendedLength

	// DelayAfterReset is the pause between a reset and the first command,
	// DelayBetween that between two exchanges.
	DelayAfterReset, DelayBetween time.Duration

	// Escape are commands to the reader itself. Nothing sends them unasked.
	Escape []EscapeCommand

	// Driver is the address of the maker's page with the driver.
	Driver string

	match *regexp.Regexp
}

// A USBID is the pair of numbers by which a USB device names its model.
type USBID struct{ Vendor, Product uint16 }

// An EscapeCommand is a command to the reader, not to the card. It goes through
// SCardControl, and most drivers refuse it unless they are told to let it pass:
// the page says how.
type EscapeCommand struct {
	// Name is "firmware", "product", "card-info", "buzzer-off" or "buzzer-on".
	Name string
	// Command is what is sent.
	Command []byte
	// Sets means that the command changes the reader, perhaps for good. The
	// others only ask.
	Sets bool
}

// ExtendedLength tells whether a reader carries commands of extended length.
type ExtendedLength uint8

const (
	// ExtendedUnknown is the zero value: the reader may claim to carry them,
	// and nobody has shown it.
	ExtendedUnknown ExtendedLength = iota
	// ExtendedSafe means that it was measured.
	ExtendedSafe
	// ExtendedUnsafe means that the reader says that it does not, or that it
	// failed in the field.
	ExtendedUnsafe
)

// String returns the word that quirks.yaml uses.
func (e ExtendedLength) String() string {
	switch e {
	case ExtendedSafe:
		return "safe"
	case ExtendedUnsafe:
		return "unsafe"
	default:
		return "unknown"
	}
}

// Limits returns what q means for reading any card. Where extended length is
// unsafe, short commands remain; where nobody has shown it, one exchange stays
// within one message between driver and reader; where it was measured, only the
// reader's own word limits it.
func (q Quirk) Limits() Limits {
	l := Limits{Delay: q.DelayBetween}
	switch q.Extended {
	case ExtendedUnsafe:
		l.MaxNe, l.NoExtended = q.MaxShort, true
	case ExtendedUnknown:
		l.MaxNe = q.MaxExtended
	}
	return l
}

// Quirks returns all quirks in the order in which [QuirkOf] tries them. The
// caller may change what it gets. It may be called from several goroutines.
func Quirks() []Quirk {
	all := slices.Clone(quirks())
	for i := range all {
		all[i] = all[i].clone()
	}
	return all
}

// QuirkOf returns the quirk of the reader of this name and these USB ids, and
// whether there is one. Either may be unknown: an empty name, two zeros.
//
// The name decides, because it alone tells the halves of a reader apart: the
// first quirk whose expression fits it. Only if none does, the first quirk that
// lists the ids is taken. So a device that no driver shows as a reader is found
// as well, and with it the address of its driver.
func QuirkOf(readerName string, vid, pid uint16) (Quirk, bool) {
	all := quirks()
	i := -1
	if readerName != "" {
		i = slices.IndexFunc(all, func(q Quirk) bool { return q.match != nil && q.match.MatchString(readerName) })
	}
	if id := (USBID{vid, pid}); i < 0 && id != (USBID{}) {
		i = slices.IndexFunc(all, func(q Quirk) bool { return slices.Contains(q.USB, id) })
	}
	if i < 0 {
		return Quirk{}, false
	}
	return all[i].clone(), true
}

// readQuirks parses the file once. It is part of the program, like the source,
// and a test refuses one that is wrong.
var readQuirks = sync.OnceValues(func() ([]Quirk, error) { return parseQuirks(firmwarenotes.YAML()) })

// quirks returns what the file says: nothing if it is wrong. Readers work
// without it.
func quirks() []Quirk {
	all, _ := readQuirks()
	return all
}

func (q Quirk) clone() Quirk {
	q.USB = slices.Clone(q.USB)
	q.Escape = slices.Clone(q.Escape)
	for i := range q.Escape {
		q.Escape[i].Command = slices.Clone(q.Escape[i].Command)
	}
	return q
}
