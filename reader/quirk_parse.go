package reader

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A QuirkError says what is wrong with a file of quirks, and where.
type QuirkError struct {
	// Line is the line in the file, from 1; 0 if that is not known.
	Line int
	// Problem is what is wrong there.
	Problem string
}

// Error implements error.
func (e *QuirkError) Error() string {
	if e.Line == 0 {
		return "reader: quirks: " + e.Problem
	}
	return fmt.Sprintf("reader: quirks: line %d: %s", e.Line, e.Problem)
}

// Bounds of what a file of quirks may say. They catch slips: no reader comes
// near them.
const (
	maxQuirkFile  = 256 << 10
	maxQuirks     = 512
	maxQuirkMatch = 200
	maxQuirkUSB   = 32
	maxEscape     = 64
	maxQuirkPause = 2 * time.Second
)

// escapeNames are the names an escape command may have, and whether it sets.
var escapeNames = map[string]bool{
	"firmware": false, "product": false, "card-info": false,
	"buzzer-off": true, "buzzer-on": true,
}

var (
	quirkID  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	quirkUSB = regexp.MustCompile(`^[0-9A-F]{4}:[0-9A-F]{4}$`)
)

// parseQuirks reads a file of quirks. It is strict: what it does not know, what
// is written twice and what is out of bounds is a [*QuirkError], and then there
// are no quirks at all.
func parseQuirks(data []byte) ([]Quirk, error) {
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	top, err := mapping(root, "the file", "version", "quirks")
	if err != nil {
		return nil, err
	}
	version, list := top["version"], top["quirks"]
	switch {
	case version == nil || version.Value != "1":
		return nil, problem(root, "version 1 is expected")
	case list == nil || list.Kind != yaml.SequenceNode:
		return nil, problem(root, "quirks has to be a list")
	case len(list.Content) > maxQuirks:
		return nil, problem(list, "more than %d quirks", maxQuirks)
	}
	all := make([]Quirk, 0, len(list.Content))
	ids := make(map[string]bool, len(list.Content))
	for _, n := range list.Content {
		q, err := parseQuirk(n)
		if err != nil {
			return nil, err
		}
		if ids[q.ID] {
			return nil, problem(n, "id %q is there twice", q.ID)
		}
		ids[q.ID] = true
		all = append(all, q)
	}
	return all, nil
}

// yamlLine finds the line in an error of the YAML package, which has no field
// for it.
var yamlLine = regexp.MustCompile(`^yaml: (line ([0-9]{1,9}): )?`)

// document returns the root of the only document in data.
func document(data []byte) (*yaml.Node, error) {
	if len(data) > maxQuirkFile {
		return nil, &QuirkError{Problem: fmt.Sprintf("longer than %d bytes", maxQuirkFile)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		e := &QuirkError{Problem: "not YAML: " + yamlLine.ReplaceAllString(err.Error(), "")}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			e.Line, _ = strconv.Atoi(m[2])
		}
		return nil, e
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, problem(&more, "a second document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, problem(&doc, "not one document")
	}
	return doc.Content[0], nil
}

func parseQuirk(n *yaml.Node) (Quirk, error) {
	f, err := mapping(n, "a quirk", "id", "page", "match", "usb", "kind", "max_short", "max_extended",
		"extended", "delay_after_reset", "delay_between", "escape", "driver")
	if err != nil {
		return Quirk{}, err
	}
	var q Quirk
	for _, key := range []struct {
		name  string
		parse func(*yaml.Node) error
	}{
		{"id", q.parseID},
		{"page", q.parsePage},
		{"match", q.parseMatch},
		{"usb", q.parseUSB},
		{"kind", q.parseKind},
		{"max_short", func(n *yaml.Node) (err error) { q.MaxShort, err = number(n, 1, 256); return err }},
		{"max_extended", func(n *yaml.Node) (err error) { q.MaxExtended, err = number(n, 257, 65536); return err }},
		{"extended", q.parseExtended},
		{"delay_after_reset", func(n *yaml.Node) (err error) { q.DelayAfterReset, err = pause(n); return err }},
		{"delay_between", func(n *yaml.Node) (err error) { q.DelayBetween, err = pause(n); return err }},
		{"escape", q.parseEscape},
		{"driver", q.parseDriver},
	} {
		if value := f[key.name]; value != nil {
			if err := key.parse(value); err != nil {
				return Quirk{}, err
			}
		}
	}
	switch {
	case q.ID == "":
		return Quirk{}, problem(n, "id is missing")
	case q.Page == "":
		return Quirk{}, problem(n, "page is missing")
	case q.match == nil && len(q.USB) == 0:
		return Quirk{}, problem(n, "neither match nor usb")
	case q.MaxExtended != 0 && q.Extended == ExtendedUnsafe:
		return Quirk{}, problem(n, "max_extended, but extended is unsafe")
	}
	return q, nil
}

func (q *Quirk) parseID(n *yaml.Node) error {
	s, err := text(n)
	if err == nil && (len(s) > 64 || !quirkID.MatchString(s)) {
		err = problem(n, "id has to be lower-case words joined by hyphens")
	}
	q.ID = s
	return err
}

func (q *Quirk) parsePage(n *yaml.Node) error {
	s, err := text(n)
	if err != nil {
		return err
	}
	dir, _, _ := strings.Cut(s, "/")
	if s != path.Clean(s) || path.Ext(s) != ".md" || !slices.Contains([]string{"readers", "cards", "os"}, dir) {
		return problem(n, "page has to be a file like readers/model.md")
	}
	q.Page = s
	return nil
}

func (q *Quirk) parseMatch(n *yaml.Node) error {
	s, err := text(n)
	if err != nil {
		return err
	}
	if len(s) > maxQuirkMatch {
		return problem(n, "match is longer than %d bytes", maxQuirkMatch)
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return problem(n, "match is no regular expression")
	}
	if re.MatchString("") {
		return problem(n, "match fits every name")
	}
	q.Match, q.match = s, re
	return nil
}

func (q *Quirk) parseUSB(n *yaml.Node) error {
	items, err := sequence(n, "usb", maxQuirkUSB)
	if err != nil {
		return err
	}
	for _, n := range items {
		s, err := text(n)
		if err != nil {
			return err
		}
		if !quirkUSB.MatchString(s) {
			return problem(n, "a USB id is like 072F:2200")
		}
		v, _ := strconv.ParseUint(s[:4], 16, 16) // four digits, by the expression
		p, _ := strconv.ParseUint(s[5:], 16, 16)
		id := USBID{uint16(v), uint16(p)}
		if slices.Contains(q.USB, id) || id == (USBID{}) {
			return problem(n, "USB id %s is there twice, or no id", s)
		}
		q.USB = append(q.USB, id)
	}
	return nil
}

func (q *Quirk) parseKind(n *yaml.Node) error {
	s, err := text(n)
	if err != nil {
		return err
	}
	for k := Contactless; k <= Virtual; k++ {
		if s == k.String() {
			q.Kind = k
			return nil
		}
	}
	return problem(n, "kind has to be contactless, contact, sam, token or virtual")
}

func (q *Quirk) parseExtended(n *yaml.Node) error {
	s, err := text(n)
	if err != nil {
		return err
	}
	for e := ExtendedUnknown; e <= ExtendedUnsafe; e++ {
		if s == e.String() {
			q.Extended = e
			return nil
		}
	}
	return problem(n, "extended has to be safe, unsafe or unknown")
}

func (q *Quirk) parseEscape(n *yaml.Node) error {
	items, err := sequence(n, "escape", len(escapeNames))
	if err != nil {
		return err
	}
	for _, n := range items {
		f, err := mapping(n, "an escape command", "name", "command")
		if err != nil {
			return err
		}
		if f["name"] == nil || f["command"] == nil {
			return problem(n, "an escape command has name and command")
		}
		name, err := text(f["name"])
		if err != nil {
			return err
		}
		sets, known := escapeNames[name]
		if !known || slices.ContainsFunc(q.Escape, func(e EscapeCommand) bool { return e.Name == name }) {
			return problem(f["name"], "escape command %q is unknown, or there twice", name)
		}
		s, err := text(f["command"])
		if err != nil {
			return err
		}
		command, err := hex.DecodeString(s)
		if err != nil || len(command) > maxEscape || s != strings.ToUpper(s) {
			return problem(f["command"], "a command is up to %d bytes in upper-case hex", maxEscape)
		}
		q.Escape = append(q.Escape, EscapeCommand{Name: name, Command: command, Sets: sets})
	}
	return nil
}

func (q *Quirk) parseDriver(n *yaml.Node) error {
	s, err := text(n)
	if err != nil {
		return err
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return problem(n, "driver has to be an https address")
	}
	q.Driver = s
	return nil
}

// problem makes an error at node n.
func problem(n *yaml.Node, format string, args ...any) *QuirkError {
	return &QuirkError{Line: n.Line, Problem: fmt.Sprintf(format, args...)}
}

// mapping returns the values of a mapping by key. Only known keys may be there,
// each once.
func mapping(n *yaml.Node, what string, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, problem(n, "%s has to be keys and values", what)
	}
	values := make(map[string]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := text(n.Content[i])
		switch {
		case err != nil:
			return nil, err
		case !slices.Contains(known, key):
			return nil, problem(n.Content[i], "unknown key %q", key)
		case values[key] != nil:
			return nil, problem(n.Content[i], "key %q is there twice", key)
		}
		values[key] = n.Content[i+1]
	}
	return values, nil
}

// sequence returns the items of a list that holds one to most of them.
func sequence(n *yaml.Node, what string, most int) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, problem(n, "%s has to be a list", what)
	}
	if len(n.Content) == 0 || len(n.Content) > most {
		return nil, problem(n, "%s has to hold 1 to %d items", what, most)
	}
	return n.Content, nil
}

// text returns a scalar as it is written. An alias is none, so nothing in a
// file can stand for much more than its length.
func text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return "", problem(n, "a word is expected")
	}
	return n.Value, nil
}

func number(n *yaml.Node, least, most int) (int, error) {
	s, err := text(n)
	if err != nil {
		return 0, err
	}
	i, err := strconv.Atoi(s)
	if err != nil || i < least || i > most || s != strconv.Itoa(i) {
		return 0, problem(n, "a number from %d to %d is expected", least, most)
	}
	return i, nil
}

func pause(n *yaml.Node) (time.Duration, error) {
	s, err := text(n)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxQuirkPause {
		return 0, problem(n, "a pause like 20ms, of at most %v, is expected", maxQuirkPause)
	}
	return d, nil
}
