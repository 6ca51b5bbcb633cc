package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
)

func newReaders(e *env) *cobra.Command {
	var (
		ports         []string
		watch, asJSON bool
	)
	c := &cobra.Command{
		Use:   "readers",
		Short: "List the card readers of this computer and what lies on them",
		Long: `Readers lists what the smart card service has, the reader to use first on top.
Readers that nobody can lay a card on (of Windows Hello, of signing tokens, the
SAM slot inside another reader) have no rank and are not used.

With --watch it goes on until Ctrl-C and prints a line for everything that
happens; with --json as well, one JSON document in each line.`,
		Example: "  chamthe readers\n  chamthe readers --watch\n  chamthe readers --serial /dev/ttyUSB0\n  chamthe readers test",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.withReaders("", ports, func(h *readers) error {
				if watch {
					return watchReaders(c.Context(), e, h, asJSON)
				}
				if _, err := h.Readers(c.Context()); err != nil {
					return err
				}
				devices, err := h.Devices(c.Context())
				if err != nil {
					return err
				}
				list := h.encode(devices, h.Sources())
				return errors.Join(printReaders(e, list, asJSON), h.missing(devices))
			})
		},
	}
	c.PersistentFlags().StringArrayVar(&ports, "serial", nil, "serial `PORT` with a PN532 module (repeatable)")
	c.Flags().BoolVar(&watch, "watch", false, "go on and print what happens")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.AddCommand(newReadersTest(e, &ports), newReadersLimits(e))
	return c
}

// serialPrefix, before the name of a port, names the module on that port.
const serialPrefix = "pn532:"

// readers are the readers of this computer and the modules on serial ports.
type readers struct {
	*reader.Hub
	ports  []string       // that were named
	name   string         // of the reader that is wanted; empty: any
	serial *serial.Driver // nil if no port was named
}

// withReaders runs fn with a hub over the readers of this computer and the
// modules on serial ports. The reader called wanted is used whatever it is for;
// "pn532:" and a port is the module on that port, and no smart card service is
// asked for it.
func (e *env) withReaders(wanted string, ports []string, fn func(*readers) error) error {
	cfg := reader.HubConfig{Sources: []reader.Source{{Name: "pcsc", Driver: e.readers}}}
	if port, ok := strings.CutPrefix(wanted, serialPrefix); ok {
		if port == "" {
			return usagef("--reader %sPORT: no port", serialPrefix)
		}
		ports, wanted, cfg.Sources = []string{port}, serial.ReaderName(port), nil
	}
	cfg.Prefer = wanted
	all := &readers{name: wanted, ports: ports}
	if len(ports) > 0 {
		all.serial = serial.New(serial.Config{Ports: ports})
		defer all.serial.Close()
		cfg.Sources = append(cfg.Sources, reader.Source{Name: "serial", Driver: all.serial})
	}
	// Without a place to remember the hub remembers until it is closed.
	if dir, err := limits.UserDir(); err == nil {
		cfg.Limits = limits.In(dir)
	}
	h, err := reader.OpenHub(cfg)
	if err != nil {
		return err
	}
	defer h.Close()
	all.Hub = h
	return fn(all)
}

// problem says why a reader that is listed cannot be used, as far as that is
// known: what is wrong with the module on a port.
func (r *readers) problem(name string) error {
	if r.serial == nil {
		return nil
	}
	if err := r.serial.Problem(name); !errors.Is(err, reader.ErrNoReader) {
		return err
	}
	return nil
}

// missing is the fault of ports that were named and that are not there, or are no
// serial ports; nil if there is none.
func (r *readers) missing(devices []reader.Device) error {
	for _, port := range r.absent(devices) {
		return fault.New(fault.NoReader, fmt.Errorf("%s%s: %w: %w", serialPrefix, label(port), reader.ErrNoReader, serial.ErrNoPort))
	}
	return nil
}

// absent returns the ports that were named and have no reader.
func (r *readers) absent(devices []reader.Device) (ports []string) {
	for _, port := range r.ports {
		name := serial.ReaderName(port)
		if !slices.ContainsFunc(devices, func(d reader.Device) bool { return d.Name == name }) && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

// maxLabel is how many runes of a reader's name are shown.
const maxLabel = 128

// label is the name that a driver gives a reader, fit to be shown: see printable.
func label(s string) string {
	n := 0
	for i := range s {
		if n++; n > 4*maxLabel { // what is dropped does not count, and has an end
			s = s[:i]
			break
		}
	}
	runes := []rune(printable(s))
	return string(runes[:min(len(runes), maxLabel)])
}

// readerInfo is one reader in JSON.
type readerInfo struct {
	Name   string `json:"name"`
	State  string `json:"state"` // empty, present, busy, mute, unavailable, unknown
	ATR    string `json:"atr,omitempty"`
	Rank   int    `json:"rank,omitempty"` // 1 is used first; none: not used
	Kind   string `json:"kind"`           // contactless, contact, sam, token, virtual, unknown
	Model  string `json:"model"`
	Source string `json:"source"` // pcsc, serial
	Page   string `json:"page,omitempty"`
	InUse  string `json:"in_use,omitempty"` // by whom, as far as that shows
	// Problem is why the reader is unavailable, as far as that is known.
	Problem string `json:"problem,omitempty"`
}

// note is what a person should know of the reader.
func (r readerInfo) note() string {
	if r.Problem != "" {
		return printable(r.Problem)
	}
	if r.InUse != "" {
		return printable(r.InUse)
	}
	if r.Page != "" {
		return "firmware-notes/" + r.Page
	}
	return ""
}

func encodeReader(d reader.Device) readerInfo {
	return readerInfo{
		Name: label(d.Name), State: d.State.String(), ATR: hex.EncodeToString(d.ATR), Rank: d.Rank,
		Kind: d.Kind.String(), Model: label(d.Model), Source: d.Source, Page: d.Page,
	}
}

// sourceInfo is one family of readers in JSON.
type sourceInfo struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Readers int    `json:"readers"`
	Error   string `json:"error,omitempty"`
}

func encodeReaderSource(s reader.SourceState) sourceInfo {
	info := sourceInfo{Name: s.Name, OK: s.Looked && s.Err == nil, Readers: s.Readers}
	if s.Err != nil {
		info.Error = s.Err.Error()
	}
	return info
}

// readerList is the document of readers --json.
type readerList struct {
	Readers []readerInfo `json:"readers"`
	Sources []sourceInfo `json:"sources"`
}

// encode lists devices and sources with what is known to be wrong with them.
func (r *readers) encode(devices []reader.Device, sources []reader.SourceState) readerList {
	list := readerList{Readers: []readerInfo{}, Sources: []sourceInfo{}}
	for _, d := range devices {
		info := encodeReader(d)
		if err := r.problem(d.Name); err != nil {
			info.Problem = printable(err.Error())
		}
		if busy, ok := r.InUse(d.Name); ok {
			info.InUse = printable(strings.TrimPrefix(busy.Error(), "reader: "))
		}
		list.Readers = append(list.Readers, info)
	}
	if sources != nil { // it is the whole list
		for _, port := range r.absent(devices) {
			name := label(serial.ReaderName(port))
			list.Readers = append(list.Readers, readerInfo{
				Name: name, State: reader.Unavailable.String(), Kind: reader.Contactless.String(), Model: name, Source: "serial",
				Problem: serial.ErrNoPort.Error(),
			})
		}
	}
	for _, s := range sources {
		list.Sources = append(list.Sources, encodeReaderSource(s))
	}
	return list
}

func printReaders(e *env, list readerList, asJSON bool) error {
	if asJSON {
		return writeJSON(e.stdout, list)
	}
	var b strings.Builder
	if len(list.Readers) == 0 {
		fmt.Fprintln(&b, "no card reader: check the USB cable")
	} else {
		if !slices.ContainsFunc(list.Readers, func(r readerInfo) bool { return r.Rank > 0 }) {
			fmt.Fprintln(&b, "no reader that a card can be laid on: those that are there are not used")
		}
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RANK\tREADER\tCARD\tKIND\tATR\tNOTES")
		for _, r := range list.Readers {
			rank := "-"
			if r.Rank > 0 {
				rank = fmt.Sprint(r.Rank)
			}
			fmt.Fprintln(w, strings.TrimRight(strings.Join([]string{rank, printable(r.Name), r.State, r.Kind, r.ATR, r.note()}, "\t"), "\t"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, s := range list.Sources {
		if s.Error != "" {
			fmt.Fprintf(&b, "%s: %s\n", s.Name, s.Error)
		}
	}
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}

// watchReaders prints what happens until ctx ends, which is how a person ends
// it, and no failure.
func watchReaders(ctx context.Context, e *env, h *readers, asJSON bool) error {
	s := h.Subscribe(0)
	defer s.Close()
	for {
		c, err := s.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := printChange(e, h, c, asJSON); err != nil {
			return err
		}
	}
}
