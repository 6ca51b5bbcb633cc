package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key is one setting, for documentation and for showing it.
type Key struct {
	Name    string   // "api.port"
	Env     string   // CHAMTHE_API_PORT
	Type    string   // text, yes/no, number, duration, list, list of clients
	Default string   // as it stands in a file, with placeholders for directories; may be empty
	Example string   // as it stands in a file; may be empty
	OneOf   []string // the values, if there are few
	Doc     string   // sentences
	Secret  bool     // never shown

	check    string
	min, max string
	index    [2]int
}

// A Section is a group of keys.
type Section struct {
	Name, Doc string
	Keys      []Key
}

// prefix begins the names of settings in the environment.
const prefix = "CHAMTHE_"

var sections = func() []Section {
	var all []Section
	root := reflect.TypeFor[Config]()
	for i := range root.NumField() {
		group := root.Field(i)
		name := group.Tag.Get("key")
		if name == "" {
			continue
		}
		s := Section{Name: name, Doc: group.Tag.Get("doc")}
		for j := range group.Type.NumField() {
			f := group.Type.Field(j)
			key := Key{
				Name: name + "." + f.Tag.Get("key"), Type: typeWord(f.Type), Default: f.Tag.Get("default"),
				Example: f.Tag.Get("example"), Doc: f.Tag.Get("doc"), Secret: f.Tag.Get("secret") != "",
				check: f.Tag.Get("check"), min: f.Tag.Get("min"), max: f.Tag.Get("max"), index: [2]int{i, j},
			}
			if one := f.Tag.Get("oneof"); one != "" {
				key.OneOf = strings.Split(one, ",")
			}
			key.Env = prefix + strings.ToUpper(strings.ReplaceAll(key.Name, ".", "_"))
			s.Keys = append(s.Keys, key)
		}
		all = append(all, s)
	}
	return all
}()

// Sections returns all keys, in their order. The slice is the caller's.
func Sections() []Section {
	all := slices.Clone(sections)
	for i := range all {
		all[i].Keys = slices.Clone(all[i].Keys)
	}
	return all
}

func typeWord(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[[]Client]():
		return "list of clients"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Slice:
		return "list"
	}
	return "text"
}

func findSection(name string) (Section, bool) {
	for _, s := range sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

func (s Section) find(name string) (Key, bool) {
	for _, k := range s.Keys {
		if k.Name == s.Name+"."+name {
			return k, true
		}
	}
	return Key{}, false
}

// findKey finds a key by its whole name.
func findKey(name string) (Key, bool) {
	section, key, _ := strings.Cut(name, ".")
	s, ok := findSection(section)
	if !ok {
		return Key{}, false
	}
	return s.find(key)
}

// field returns where the value of a key is.
func (c *Config) field(k Key) reflect.Value {
	return reflect.ValueOf(c).Elem().Field(k.index[0]).Field(k.index[1])
}

// A place is a directory that differs between systems.
type place struct{ name, linux, windows string }

var places = []place{
	{"{state}", "/var/lib/chamthe", `%ProgramData%\chamthe\data`},
	{"{trust}", "/etc/chamthe/trust", `%ProgramData%\chamthe\trust`},
	{"{log}", "/var/log/chamthe", `%ProgramData%\chamthe\log`},
	{"{run}", "/run/chamthe", `%ProgramData%\chamthe\run`},
}

// expand puts directories in the place of their names.
func expand(s string) string {
	for _, p := range places {
		if rest, ok := strings.CutPrefix(s, p.name); ok {
			return filepath.Join(p.here(), filepath.FromSlash(rest))
		}
	}
	return s
}

func (p place) here() string {
	if runtime.GOOS == "windows" {
		return strings.Replace(p.windows, "%ProgramData%", programData(), 1)
	}
	return p.linux
}

// programData is the directory for what all users of a Windows computer share.
func programData() string {
	if dir := os.Getenv("ProgramData"); dir != "" {
		return dir
	}
	return `C:\ProgramData`
}

// dir is where the files of this package are.
func dir() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(programData(), "chamthe")
	}
	return "/etc/chamthe"
}

// DefaultFile is the file that is read when none is named. It may be missing.
func DefaultFile() string { return filepath.Join(dir(), "config.yaml") }

// PolicyFile is the machine's policy: whatever stands in it wins. It may be missing.
func PolicyFile() string { return filepath.Join(dir(), "policy.yaml") }

// parseDuration is [time.ParseDuration] with days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errDuration
	}
	return d, nil
}

func formatDuration(d time.Duration) string {
	if d%(24*time.Hour) == 0 && d != 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
