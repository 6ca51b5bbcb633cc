package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	// ErrInvalid reports a configuration that cannot be used. It is wrapped in an
	// [*Error].
	ErrInvalid = errors.New("config: invalid configuration")
	// ErrExposed reports a machine policy that others than the administrators of this
	// computer may write.
	ErrExposed = errors.New("config: policy file can be written by others")
)

// A Problem is one mistake.
type Problem struct {
	Where string // "/etc/chamthe/config.yaml:12", or "environment CHAMTHE_API_PORT"
	Key   string // "api.port"; empty if it is about the whole file
	Text  string // what is wrong, without the value
}

// String returns the problem in a line.
func (p Problem) String() string {
	if p.Key == "" {
		return p.Where + ": " + p.Text
	}
	return p.Where + ": " + p.Key + ": " + p.Text
}

// An Error is everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

// Error returns a line for each problem.
func (e *Error) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Is makes every Error an [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// A Kind is where a value came from.
type Kind string

// Where a value can come from, the weakest first.
const (
	FromDefault     Kind = "default"
	FromFile        Kind = "file"
	FromEnvironment Kind = "environment"
	FromFlag        Kind = "flag"
	FromPolicy      Kind = "policy"
)

// A Source is where the value of a key came from.
type Source struct {
	Kind  Kind
	Where string // file:line, or the name of a variable; empty for defaults
}

// Options say what is read. The zero value reads the default files.
type Options struct {
	// File to read; empty: [DefaultFile], which may be missing.
	File string
	// Policy is the machine's policy file; empty: [PolicyFile]. It may be missing.
	Policy string
	// Env is the environment as [os.Environ] gives it; nil: that of the process.
	Env []string
	// Flags are values from a command line, by key ("api.port").
	Flags map[string]string
}

// maxFile bounds a file: a hundred lines are many.
const maxFile = 1 << 20

// trusted reports whether only administrators may write a file. Tests replace it.
var trusted = onlyAdministrators

// Load reads the configuration. The error is an [*Error] with everything that is
// wrong, an [ErrExposed], or that of a file that cannot be read.
func Load(o Options) (*Config, error) {
	l := &loader{c: &Config{sources: map[string]Source{}}, places: map[string][]string{}}
	l.defaults()
	name, named := o.File, o.File != ""
	if !named {
		name = DefaultFile()
	}
	if err := l.file(name, FromFile, named); err != nil {
		return nil, err
	}
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	l.environment(env)
	for key, value := range o.Flags {
		k, ok := findKey(key)
		if !ok {
			l.problem("flag", key, "no such key")
			continue
		}
		l.set(k, textNode(k, value), Source{FromFlag, "flag"})
	}
	policy := o.Policy
	if policy == "" {
		policy = PolicyFile()
	}
	if err := l.file(policy, FromPolicy, false); err != nil {
		return nil, err
	}
	l.together()
	if len(l.problems) > 0 {
		return nil, &Error{l.problems}
	}
	return l.c, nil
}

// Source returns where the value of a key came from.
func (c *Config) Source(key string) Source { return c.sources[key] }

// loader gathers a configuration and what is wrong with it.
type loader struct {
	c        *Config
	problems []Problem
	places   map[string][]string // where the elements of a list stand; empty ones: in no file
}

func (l *loader) problem(where, key, text string) {
	l.problems = append(l.problems, Problem{where, key, text})
}

func (l *loader) defaults() {
	for _, s := range sections {
		for _, k := range s.Keys {
			l.c.sources[k.Name] = Source{Kind: FromDefault}
			if k.Default != "" {
				l.set(k, textNode(k, expand(k.Default)), Source{Kind: FromDefault})
			}
		}
	}
}

// file reads one file over what is there.
func (l *loader) file(name string, kind Kind, must bool) error {
	b, info, err := readFile(name)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil
	}
	if err != nil {
		return err
	}
	if kind == FromPolicy {
		if err := trusted(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // nothing but comments
	case err != nil:
		line, text := yamlProblem(err)
		l.problem(at(name, line), "", text)
		return nil
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		l.problem(name, "", "one document only: there is a second one, or something broken behind the first")
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		l.problem(at(name, root.Line), "", "want sections with keys below them")
		return nil
	}
	secret := false
	l.mapping(name, "", root, func(key, value *yaml.Node) {
		s, ok := findSection(key.Value)
		if !ok {
			l.problem(at(name, key.Line), plain(key.Value), "no such section"+like(key.Value, sectionNames()))
			return
		}
		if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
			return // a heading over comments
		}
		if value.Kind != yaml.MappingNode {
			l.problem(at(name, value.Line), s.Name, "want keys below the section, indented")
			return
		}
		l.mapping(name, s.Name, value, func(key, value *yaml.Node) {
			k, ok := s.find(key.Value)
			if !ok {
				l.problem(at(name, key.Line), s.Name+"."+plain(key.Value), "no such key"+like(key.Value, s.names()))
				return
			}
			if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
				return // nothing behind the colon: as if it were not there
			}
			secret = secret || k.Secret
			l.set(k, value, Source{kind, at(name, key.Line)})
		})
	})
	if secret && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		l.problem(name, "", "there is a password in it, and everybody may read it: chgrp chamthe-desk "+name+" && chmod 640 "+name+" lets in the agent and who uses the desk, and nobody else")
	}
	return nil
}

func readFile(name string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a file")}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("too large")}
	}
	return b, info, err
}

// mapping goes through a mapping and finds keys that are there twice.
func (l *loader) mapping(name, section string, m *yaml.Node, do func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		path := strings.TrimPrefix(section+"."+plain(key.Value), ".")
		switch line, twice := seen[key.Value], seen[key.Value] > 0; {
		case key.Kind != yaml.ScalarNode:
			l.problem(at(name, key.Line), section, "want a name before the colon")
		case twice:
			l.problem(at(name, key.Line), path, fmt.Sprintf("it stands in line %d already", line))
		case value.Kind == yaml.AliasNode || value.Anchor != "":
			l.problem(at(name, key.Line), path, quoteIt)
		default:
			seen[key.Value] = key.Line
			do(key, value)
		}
	}
}

// quoteIt is said of what YAML takes for an anchor or an alias.
const quoteIt = "a value that begins with * or & needs quotes"

// environment takes settings from variables. One that has the name of a section and
// no key of it is a typing error; others are not ours.
func (l *loader) environment(env []string) {
	env = slices.Clone(env)
	slices.Sort(env)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours {
			continue
		}
		section, key, deep := strings.Cut(strings.ToLower(rest), "_")
		s, ok := findSection(section)
		if !ok || !deep {
			continue
		}
		k, ok := s.find(key)
		if !ok {
			l.problem("environment "+plain(name), "", "no such key"+like(key, s.names()))
			continue
		}
		l.set(k, textNode(k, value), Source{FromEnvironment, name})
	}
}

// textNode turns a text into what a file would hold: lists are separated by commas,
// or written as in a file.
func textNode(k Key, s string) *yaml.Node {
	if !strings.HasPrefix(k.Type, "list") {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	}
	if strings.HasPrefix(strings.TrimSpace(s), "[") {
		var doc yaml.Node
		if yaml.Unmarshal([]byte(s), &doc) != nil {
			return &yaml.Node{Kind: yaml.ScalarNode} // of the wrong kind, which is said of it
		}
		return doc.Content[0]
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part})
		}
	}
	return list
}

// set gives a key its value.
func (l *loader) set(k Key, n *yaml.Node, from Source) {
	where := from.Where
	if from.Kind == FromEnvironment {
		where = "environment " + where
	}
	var places []string // of the elements
	if n.Kind == yaml.SequenceNode {
		for _, e := range n.Content {
			places = append(places, from.in(e))
		}
	}
	v, text, element := parse(k, l.c.field(k).Type(), n)
	if text == "" {
		text, element = verify(k, v)
	}
	if text != "" {
		if element >= 0 {
			where = cmp.Or(places[element], where)
		}
		l.problem(where, k.Name, text)
		return
	}
	l.c.field(k).Set(v)
	l.c.sources[k.Name] = from
	l.places[k.Name] = places
}

// in is where a part of a value stands; empty if that is not in a file.
func (s Source) in(n *yaml.Node) string {
	name, _, ok := cutLast(s.Where, ":")
	if s.Kind != FromFile && s.Kind != FromPolicy || !ok {
		return ""
	}
	return at(name, n.Line)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Texts of problems.
var errDuration = errors.New("want a duration: 90s, 15m, 12h, 30d")

const (
	wantScalar = "want a single value"
	wantList   = "want a list: [a, b], or lines that begin with -"
	wantClient = "want name, origin and token_sha256 for each client"
)

// parse reads a value of a type. The text says what is wrong, and in a list with which
// element; -1: with the whole.
func parse(k Key, t reflect.Type, n *yaml.Node) (v reflect.Value, text string, element int) {
	if t.Kind() != reflect.Slice {
		v, text = parseOne(t, n)
		return v, text, -1
	}
	v = reflect.New(t).Elem()
	if n.Kind != yaml.SequenceNode {
		return v, wantList, -1
	}
	for i, e := range n.Content {
		one := reflect.New(t.Elem()).Elem()
		if t.Elem() == reflect.TypeFor[Client]() {
			if text := parseClient(one.Addr().Interface().(*Client), e); text != "" {
				return v, text, i
			}
		} else if e.Kind != yaml.ScalarNode || e.Tag == "!!null" || e.Anchor != "" {
			return v, wantList, i
		} else {
			one.SetString(e.Value)
		}
		v = reflect.Append(v, one)
	}
	return v, "", -1
}

func parseOne(t reflect.Type, n *yaml.Node) (reflect.Value, string) {
	v := reflect.New(t).Elem()
	if n.Kind != yaml.ScalarNode {
		return v, wantScalar
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		d, err := parseDuration(n.Value)
		if err != nil {
			return v, err.Error()
		}
		v.SetInt(int64(d))
	case t.Kind() == reflect.Bool:
		if n.Value != "true" && n.Value != "false" {
			return v, "want true or false"
		}
		v.SetBool(n.Value == "true")
	case t.Kind() == reflect.Int:
		i, err := strconv.ParseInt(n.Value, 10, 32)
		if err != nil {
			return v, "want a number"
		}
		v.SetInt(i)
	default:
		v.SetString(n.Value)
	}
	return v, ""
}

func parseClient(c *Client, n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return wantClient
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return wantClient
		}
		switch key.Value {
		case "name":
			c.Name = value.Value
		case "origin":
			c.Origin = value.Value
		case "token_sha256":
			c.TokenSHA256 = strings.ToLower(value.Value)
		default:
			return wantClient
		}
	}
	return ""
}

// together checks what concerns several keys.
func (l *loader) together() {
	c := l.c
	where := func(keys ...string) string {
		for _, key := range keys {
			if s := c.sources[key]; s.Where != "" {
				return s.Where
			}
		}
		return "configuration"
	}
	if c.Central.Proxy == "" && (c.Central.ProxyUser != "" || c.Central.ProxyPassword != "") {
		l.problem(where("central.proxy_user", "central.proxy_password"), "central.proxy", "a name or a password for a proxy, and no proxy")
	}
	sockets := 0
	for _, u := range c.Central.URLs {
		if strings.HasPrefix(strings.ToLower(u), "ws") {
			sockets++
		}
	}
	if sockets > 0 && sockets < len(c.Central.URLs) {
		l.problem(where("central.urls"), "central.urls", "either all of them are WebSockets (ws, wss), or none is")
	}
	if _, port, err := net.SplitHostPort(c.Metrics.Listen); err == nil && port != "0" && port == strconv.Itoa(c.API.Port) {
		l.problem(where("metrics.listen"), "metrics.listen", "this is the port of the API")
	}
	for key, dir := range map[string]string{"data.dir": c.Data.Dir, "log.dir": c.Log.Dir, "trust.dir": c.Trust.Dir} {
		if c.Handoff.Dir != "" && filepath.Clean(c.Handoff.Dir) == filepath.Clean(dir) {
			l.problem(where("handoff.dir"), "handoff.dir", "want a folder of its own: this is "+key)
		}
	}
	element := func(key string, i int) string {
		if places := l.places[key]; i < len(places) {
			return cmp.Or(places[i], where(key))
		}
		return where(key)
	}
	names, tokens := map[string]bool{}, map[string]bool{}
	for i, client := range c.API.Clients {
		name := strings.ToLower(client.Name)
		switch {
		case names[name]:
			l.problem(element("api.clients", i), "api.clients", "two clients have one name")
		case tokens[client.TokenSHA256]:
			l.problem(element("api.clients", i), "api.clients", "two clients have one token")
		}
		names[name], tokens[client.TokenSHA256] = true, true
	}
	ports := map[string]string{}
	for _, list := range []struct {
		key   string
		ports []string
	}{{"readers.pn532", c.Readers.PN532}, {"readers.scanners", c.Readers.Scanners}} {
		for i, port := range list.ports {
			if !strings.HasPrefix(port, "/") {
				port = strings.ToUpper(port) // COM3 is com3
			}
			if other, twice := ports[port]; twice {
				l.problem(element(list.key, i), list.key, "this port stands in "+other+" already: one device is on one port")
			}
			ports[port] = list.key
		}
	}
}

// at is a place in a file.
func at(name string, line int) string {
	if line <= 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, line)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// yamlProblem takes the line out of a library's error, and its words only where
// they cannot repeat what stands in the file.
func yamlProblem(err error) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	switch {
	case strings.Contains(text, "anchor"), strings.Contains(text, "alias"):
		text = quoteIt
	case strings.ContainsAny(text, "`\"'") && !strings.HasPrefix(text, "found character that cannot start any token"):
		text = "cannot be understood: look at indentation, quotes and colons"
	default:
		text = "cannot be understood: " + text
	}
	return line, text
}

// plain is a name from a file, fit to be shown: what is no name may be a value that
// slipped.
func plain(s string) string {
	if name.MatchString(s) {
		return s
	}
	return "?"
}

var name = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,39}$`)

func sectionNames() []string {
	var all []string
	for _, s := range sections {
		all = append(all, s.Name)
	}
	return all
}

func (s Section) names() []string {
	var all []string
	for _, k := range s.Keys {
		all = append(all, strings.TrimPrefix(k.Name, s.Name+"."))
	}
	return all
}

// like proposes what may have been meant.
func like(s string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if d := distance(strings.ToLower(s), n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return "; there are: " + strings.Join(names, ", ")
	}
	return "; did you mean " + best + "?"
}

// distance is how many letters differ (Levenshtein). Names are short; a long one is
// far from all.
func distance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := last
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			last = above
		}
	}
	return row[len(b)]
}
