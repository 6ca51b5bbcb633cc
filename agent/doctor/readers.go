package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
)

// A Hub is what watches readers: satisfied by [reader.Hub].
type Hub interface {
	Readers(ctx context.Context) ([]reader.Info, error)
	Devices(ctx context.Context) ([]reader.Device, error)
	Sources() []reader.SourceState
	InUse(name string) (*reader.BusyError, bool)
}

// Service looks at the sources of readers: the smart card service, and serial modules.
func Service(hub Hub) Check {
	return Check{ID: "readers.service", Title: "Smart card service", Run: func(ctx context.Context) []wire.Diagnosed {
		_, err := hub.Readers(ctx) // every source was looked at once when this returns
		var found []wire.Diagnosed
		for _, s := range hub.Sources() {
			values := []string{"source", s.Name, "readers", strconv.Itoa(s.Readers)}
			switch {
			case s.Err != nil:
				d := ofError(wire.LevelError, s.Err)
				d.Values["source"] = s.Name
				found = append(found, d)
			case !s.Looked:
				found = append(found, wire.Diagnosed{
					Level: wire.LevelError, What: "The source of readers has not answered yet.", Values: pairs(values),
					Why: "No card can be read.", Remedy: fault.About(fault.ReaderHung).Remedy, Page: fault.PagePath(fault.ReaderHung),
				})
			default:
				found = append(found, ok("It answers.", values...))
			}
		}
		if len(found) == 0 && err != nil {
			found = append(found, ofError(wire.LevelError, err))
		}
		return found
	}}
}

// Readers looks at every reader: which one a check-in takes, who holds a card, what is
// known of the model. serialProblem says what is wrong with a module on a serial port;
// it may be nil.
func Readers(hub Hub, serialProblem func(name string) error) Check {
	const id = "readers.list"
	return Check{ID: id, Title: "Card readers", Run: func(ctx context.Context) []wire.Diagnosed {
		_, _ = hub.Readers(ctx) // what is wrong with a source, Service says
		devices, err := hub.Devices(ctx)
		if err != nil {
			return one(ofError(wire.LevelError, err))
		}
		var found []wire.Diagnosed
		usable := 0
		for _, d := range devices {
			f := wire.Diagnosed{
				ID: "readers.reader", Title: "Reader " + clean(d.Name), Level: wire.LevelOK, What: "It can be used.",
				Values: pairs([]string{"source", d.Source, "kind", d.Kind.String(), "state", d.State.String(), "rank", strconv.Itoa(d.Rank)}),
			}
			if d.Page != "" {
				f.Page = "firmware-notes/" + d.Page
			}
			var busy *reader.BusyError
			if d.Rank > 0 && !d.Ours {
				busy, _ = hub.InUse(d.Name)
			}
			var problem error
			if serialProblem != nil {
				problem = serialProblem(d.Name)
			}
			switch {
			case d.Rank == 0:
				f.Level, f.What = wire.LevelInfo, "It is not for cards that people lay down, and is not used."
			case problem != nil && !errors.Is(problem, reader.ErrNoReader):
				f = ofError(wire.LevelError, problem)
				f.ID, f.Title = "readers.reader", "Reader "+clean(d.Name)
			case busy != nil:
				p := of(wire.LevelWarning, fault.Classify(busy))
				f.Level, f.What, f.Remedy, f.Page = p.Level, p.What, p.Remedy, p.Page
				f.Values["programs"] = strings.Join(busy.Programs, ", ")
			default:
				usable++
			}
			found = append(found, f)
		}
		if usable == 0 && slices.ContainsFunc(hub.Sources(), func(s reader.SourceState) bool { return s.Err != nil }) {
			found = append(found, Skipped("Where readers come from does not work: see above."))
		} else if usable == 0 && !slices.ContainsFunc(found, func(f wire.Diagnosed) bool { return f.Level == wire.LevelWarning || f.Level == wire.LevelError }) {
			d := of(wire.LevelError, fault.New(fault.NoReader, nil))
			d.What = "No reader that a card can be laid on was found."
			found = append(found, d)
		}
		return found
	}}
}

// maxUSB bounds how many devices are looked at.
const maxUSB = 512

// USB looks for readers that are plugged in and that no driver shows as one: their
// driver is missing. devices is the system's list of USB devices as Linux shows it
// in /sys/bus/usb/devices; nil where there is none.
func USB(devices fs.FS, hub Hub) Check {
	return Check{ID: "readers.driver", Title: "Reader drivers", Run: func(ctx context.Context) []wire.Diagnosed {
		if devices == nil {
			return one(Skipped("This system does not list USB devices where this program could read them (" + runtime.GOOS + ")."))
		}
		entries, err := fs.ReadDir(devices, ".")
		if err != nil {
			return one(Skipped("The list of USB devices cannot be read."))
		}
		_, _ = hub.Readers(ctx)
		listed, err := hub.Devices(ctx)
		if err != nil {
			return one(ofError(wire.LevelError, err))
		}
		shown := map[string]bool{} // quirks of the readers that are listed, by page
		for _, d := range listed {
			if q, ok := reader.QuirkOf(d.Name, 0, 0); ok {
				shown[q.Page] = true
			}
		}
		var found []wire.Diagnosed
		known := 0
		for _, e := range entries[:min(len(entries), maxUSB)] {
			vendor, product := usbID(devices, e.Name(), "idVendor"), usbID(devices, e.Name(), "idProduct")
			if vendor == 0 {
				continue
			}
			q, ok := reader.QuirkOf("", vendor, product)
			if !ok {
				continue
			}
			known++
			if shown[q.Page] {
				continue
			}
			f := wire.Diagnosed{
				Level: wire.LevelError, What: fmt.Sprintf("A card reader is plugged in (USB %04x:%04x), and the smart card service does not list it.", vendor, product),
				Why: "Its driver is missing, or the service does not run.", Remedy: "Install the maker's driver", Page: "firmware-notes/" + q.Page,
				Values: pairs([]string{"usb", fmt.Sprintf("%04x:%04x", vendor, product), "quirk", q.ID}),
			}
			if q.Driver != "" {
				f.Remedy += " (" + q.Driver + ")"
			}
			f.Remedy += ", on Debian first `apt install libccid`, and plug the reader in again."
			found = append(found, f)
		}
		if len(found) == 0 {
			found = append(found, ok("Every known reader that is plugged in has a driver.", "known readers", strconv.Itoa(known)))
		}
		return found
	}}
}

// usbID reads a four-digit hexadecimal number; 0 if there is none.
func usbID(devices fs.FS, device, name string) uint16 {
	b, err := fs.ReadFile(devices, path.Join(device, name))
	if err != nil || len(b) > 16 {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// Learned says for how many pairs of reader and kind of card limits were learned, and
// which of them slow reading down.
func Learned(list func(ctx context.Context) ([]limits.Entry, error)) Check {
	return Check{ID: "readers.limits", Title: "What was learned of readers", Run: func(ctx context.Context) []wire.Diagnosed {
		known, err := list(ctx)
		if err != nil {
			return one(ofError(wire.LevelWarning, err))
		}
		slow := map[string]bool{}
		for _, e := range known {
			if l := e.Limits; l.MaxNe > 0 && l.MaxNe < slowNe {
				slow[e.Reader] = true
			}
		}
		if len(slow) == 0 {
			return one(ok("Nothing that slows reading down.", "known", strconv.Itoa(len(known))))
		}
		var found []wire.Diagnosed
		for name := range slow {
			found = append(found, wire.Diagnosed{
				Level: wire.LevelInfo, What: "Reader " + clean(name) + " carries short answers only.", Why: "Reading a photo takes a second or two longer.",
				Remedy: "A newer driver may do better: install it, and forget what was learned (`chamthe readers limits --forget`).", Page: fault.PagePath(fault.LongAnswers),
			})
		}
		slices.SortFunc(found, func(a, b wire.Diagnosed) int { return strings.Compare(a.What, b.What) })
		return found
	}}
}

// slowNe is the size of answers below which a reader is called slow: half of what a
// short command can ask for.
const slowNe = 128

// SerialPorts looks whether the ports that the configuration names are there.
func SerialPorts(list func(ctx context.Context) ([]serial.PortInfo, error), wanted []string) Check {
	return Check{ID: "readers.serial", Title: "Serial ports", Run: func(ctx context.Context) []wire.Diagnosed {
		ports, err := list(ctx)
		if err != nil {
			if len(wanted) == 0 {
				return one(Skipped("Serial ports cannot be listed here."))
			}
			return one(ofError(wire.LevelError, err))
		}
		var names []string
		for _, p := range ports {
			names = append(names, p.Name)
		}
		var found []wire.Diagnosed
		for _, w := range wanted {
			port := w
			if real, err := filepath.EvalSymlinks(w); err == nil {
				port = real // of /dev/serial/by-id
			}
			if slices.Contains(names, port) && !accessible(port) {
				found = append(found, wire.Diagnosed{
					Level: wire.LevelError, What: "The serial port " + clean(w) + " may not be used by this account.", Why: "The scanner or module on it does not work.",
					Remedy: "Put the account into the port's group (Debian: adduser chamthe dialout), and start the agent again.", Page: fault.PagePath(fault.NoReader),
				})
			} else if !slices.Contains(names, port) {
				d := of(wire.LevelError, fault.New(fault.NoReader, serial.ErrNoPort))
				d.What = "The serial port " + clean(w) + " of the configuration is not there."
				d.Remedy = "Plug the scanner or module in, or correct the name in the configuration; Values lists what is there."
				d.Values["ports"] = strings.Join(names, ", ")
				found = append(found, d)
			}
		}
		if len(found) == 0 {
			found = append(found, ok("The ports of the configuration are there.", "wanted", strconv.Itoa(len(wanted)), "ports", strings.Join(names, ", ")))
		}
		return found
	}}
}
