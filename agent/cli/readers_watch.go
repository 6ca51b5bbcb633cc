package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
)

// readerChange is one line of readers --watch --json. A snapshot has readers
// and sources, source_changed has source, every other event has reader.
type readerChange struct {
	Time    time.Time     `json:"time"`
	Event   string        `json:"event"`
	Reader  *readerInfo   `json:"reader,omitempty"`
	Source  *sourceInfo   `json:"source,omitempty"`
	Readers *[]readerInfo `json:"readers,omitempty"`
	Sources *[]sourceInfo `json:"sources,omitempty"`
	Lost    int           `json:"lost,omitempty"` // events that a snapshot stands for
}

// printChange prints one line, or for a snapshot one for each reader.
func printChange(e *env, h *readers, c reader.Change, asJSON bool) error {
	now := time.Now()
	if asJSON {
		line := readerChange{Time: now.UTC(), Event: strings.ReplaceAll(c.Kind.String(), " ", "_"), Lost: c.Lost}
		switch c.Kind {
		case reader.Snapshot:
			list := h.encode(c.Devices, c.Sources)
			line.Readers, line.Sources = &list.Readers, &list.Sources
		case reader.SourceChanged:
			s := encodeReaderSource(c.Source)
			line.Source = &s
		default:
			line.Reader = &h.encode([]reader.Device{c.Device}, nil).Readers[0]
		}
		enc := json.NewEncoder(e.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(line)
	}
	var b strings.Builder
	say := func(what, about, state string) {
		fmt.Fprintf(&b, "%s  %-14s  %s", now.Format(time.TimeOnly), what, label(about))
		if state != "" {
			fmt.Fprintf(&b, "  (%s)", state)
		}
		fmt.Fprintln(&b)
	}
	state := func(d reader.Device) string {
		if err := h.problem(d.Name); err != nil && d.State == reader.Unavailable {
			return d.State.String() + ": " + printable(err.Error())
		}
		if busy, ok := h.InUse(d.Name); ok {
			return d.State.String() + ": " + printable(strings.TrimPrefix(busy.Error(), "reader: "))
		}
		return d.State.String()
	}
	source := func(s reader.SourceState) {
		if s.Err != nil {
			say("out of reach", "the readers of "+s.Name, s.Err.Error())
		} else {
			say("within reach", "the readers of "+s.Name, "")
		}
	}
	switch c.Kind {
	case reader.Snapshot:
		for _, d := range c.Devices {
			use := d.Kind.String() + ", " + state(d)
			if d.Rank == 0 {
				use += ", not used"
			}
			say("reader", d.Name, use)
		}
		for _, port := range h.absent(c.Devices) {
			say("reader", serial.ReaderName(port), reader.Unavailable.String()+": "+serial.ErrNoPort.Error())
		}
		for _, s := range c.Sources {
			if s.Err != nil {
				source(s)
			}
		}
		if b.Len() == 0 {
			say("no card reader", "yet", "")
		}
	case reader.SourceChanged:
		source(c.Source)
	case reader.ReaderAdded:
		say(c.Kind.String(), c.Device.Name, c.Device.Kind.String())
	case reader.StateChanged:
		say(c.Kind.String(), c.Device.Name, state(c.Device))
	case reader.CardInserted:
		state := ""
		if c.Device.State == reader.Mute {
			state = "it does not answer: turn it round, or hold it still"
		}
		say(c.Kind.String(), c.Device.Name, state)
	default:
		say(c.Kind.String(), c.Device.Name, "")
	}
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}
