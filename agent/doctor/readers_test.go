package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
)

// hub is a hub whose readers are what a test says.
type hub struct {
	devices []reader.Device
	sources []reader.SourceState
	busy    map[string]*reader.BusyError
	err     error
}

func (h *hub) Readers(context.Context) ([]reader.Info, error)   { return nil, h.err }
func (h *hub) Devices(context.Context) ([]reader.Device, error) { return h.devices, h.err }
func (h *hub) Sources() []reader.SourceState                    { return h.sources }
func (h *hub) InUse(name string) (*reader.BusyError, bool) {
	b, ok := h.busy[name]
	return b, ok
}

func device(name string, rank int) reader.Device {
	return reader.Device{Info: reader.Info{Name: name}, Source: "pcsc", Rank: rank}
}

// find runs a check and returns its findings.
func find(t *testing.T, c Check) []wire.Diagnosed {
	t.Helper()
	d := Run(t.Context(), "test", c)
	if len(d.Findings) == 0 {
		t.Fatal("a check without findings")
	}
	for _, f := range d.Findings {
		if f.Level != wire.LevelOK && f.Level != wire.LevelSkipped && f.Level != wire.LevelInfo && (f.What == "" || f.Remedy == "") {
			t.Errorf("%s: %s without what and remedy: %+v", f.ID, f.Level, f)
		}
	}
	return d.Findings
}

func TestService(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hub   *hub
		level string
		code  string
	}{
		{"answers", &hub{sources: []reader.SourceState{{Name: "pcsc", Looked: true, Readers: 2}}}, wire.LevelOK, ""},
		{"not running", &hub{sources: []reader.SourceState{{Name: "pcsc", Looked: true, Err: reader.ErrNoService}}}, wire.LevelError, "no_pcsc_service"},
		{"hangs", &hub{sources: []reader.SourceState{{Name: "pcsc"}}}, wire.LevelError, ""},
		{"closed", &hub{err: reader.ErrHubClosed}, wire.LevelError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := find(t, Service(tt.hub))[0]
			if f.Level != tt.level || tt.code != "" && (f.Values["code"] != tt.code || !strings.HasSuffix(f.Page, tt.code+".md")) {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

func TestReaders(t *testing.T) {
	for _, tt := range []struct {
		name    string
		hub     *hub
		problem func(string) error
		want    []string // levels
		text    string
	}{
		{"one", &hub{devices: []reader.Device{device("ACS ACR1252 Reader", 1)}}, nil, []string{wire.LevelOK}, "can be used"},
		{"none", &hub{}, nil, []string{wire.LevelError}, "No reader"},
		{"service away", &hub{sources: []reader.SourceState{{Name: "pcsc", Looked: true, Err: reader.ErrNoService}}}, nil, []string{wire.LevelSkipped}, "Not looked at"},
		{"only one of Windows Hello", &hub{devices: []reader.Device{device("Windows Hello for Business 1", 0)}}, nil, []string{wire.LevelInfo, wire.LevelError}, "not used"},
		{
			"held by another program",
			&hub{devices: []reader.Device{device("R", 1)}, busy: map[string]*reader.BusyError{"R": {Programs: []string{"scdaemon (GnuPG)"}}}},
			nil,
			[]string{wire.LevelWarning},
			"Another program",
		},
		{
			"a module that is silent", &hub{devices: []reader.Device{device("PN532 /dev/ttyUSB0", 1)}},
			func(string) error { return reader.ErrTimeout },
			[]string{wire.LevelError},
			"stopped answering",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := find(t, Readers(tt.hub, tt.problem))
			var levels []string
			for _, f := range found {
				levels = append(levels, f.Level)
			}
			if strings.Join(levels, " ") != strings.Join(tt.want, " ") || !strings.Contains(found[0].What, tt.text) {
				t.Errorf("levels %v, first %+v", levels, found[0])
			}
			if tt.hub.busy != nil && found[0].Values["programs"] != "scdaemon (GnuPG)" {
				t.Errorf("programs %q", found[0].Values["programs"])
			}
		})
	}
}

func usb(ids ...string) fstest.MapFS {
	m := fstest.MapFS{"usb1/idVendor": {Data: []byte("1d6b\n")}, "usb1/idProduct": {Data: []byte("0002\n")}, "1-0:1.0/bInterfaceClass": {Data: []byte("09\n")}}
	for i, id := range ids {
		v, p, _ := strings.Cut(id, ":")
		dir := "1-" + string(rune('1'+i))
		m[dir+"/idVendor"] = &fstest.MapFile{Data: []byte(v + "\n")}
		m[dir+"/idProduct"] = &fstest.MapFile{Data: []byte(p + "\n")}
	}
	return m
}

// TestUSB uses a model that firmware-notes knows: ACR1252U, 072f:223b.
func TestUSB(t *testing.T) {
	const known = "072f:223b"
	if _, ok := reader.QuirkOf("", 0x072f, 0x223b); !ok {
		t.Fatal("the model of this test is not known any more")
	}
	with := &hub{devices: []reader.Device{device("ACS ACR1252 1S CL Reader [ACR1252 Dual Reader PICC] 00 00", 1)}}
	if _, ok := reader.QuirkOf(with.devices[0].Name, 0, 0); !ok {
		t.Fatal("the name of this test is not known any more")
	}
	for _, tt := range []struct {
		name    string
		devices fstest.MapFS
		hub     *hub
		level   string
	}{
		{"no reader plugged in", usb(), &hub{}, wire.LevelOK},
		{"plugged in and listed", usb(known), with, wire.LevelOK},
		{"plugged in, not listed", usb(known), &hub{}, wire.LevelError},
		{"numbers that are none", usb("zzzz:0001", ":"), &hub{}, wire.LevelOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := find(t, USB(tt.devices, tt.hub))[0]
			if f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
			if f.Level == wire.LevelError && (f.Values["usb"] != known || !strings.HasPrefix(f.Page, "firmware-notes/readers/") || !strings.Contains(f.Remedy, "driver")) {
				t.Errorf("finding %+v", f)
			}
		})
	}
	if f := find(t, USB(nil, with))[0]; f.Level != wire.LevelSkipped || f.Why == "" {
		t.Errorf("without a list: %+v", f)
	}
}

func TestLearned(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known []limits.Entry
		err   error
		level string
	}{
		{"nothing", nil, nil, wire.LevelOK},
		{"a fast one", []limits.Entry{{Reader: "A", Limits: reader.Limits{MaxNe: 256, NoExtended: true}}}, nil, wire.LevelOK},
		{"a slow one", []limits.Entry{{Reader: "A", Limits: reader.Limits{MaxNe: 112}}}, nil, wire.LevelInfo},
		{"not readable", nil, errors.New("doctor: test"), wire.LevelWarning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := func(context.Context) ([]limits.Entry, error) { return tt.known, tt.err }
			if f := find(t, Learned(list))[0]; f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

func TestSerialPorts(t *testing.T) {
	// A file stands for the device: it is not opened.
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	open, link := filepath.Join(dir, "ttyUSB0"), filepath.Join(dir, "by-id-scanner")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	list := func(context.Context) ([]serial.PortInfo, error) {
		return []serial.PortInfo{{Name: open}, {Name: "/dev/ttyS0"}}, nil
	}
	broken := func(context.Context) ([]serial.PortInfo, error) { return nil, errors.New("doctor: test") }
	for _, tt := range []struct {
		name   string
		list   func(context.Context) ([]serial.PortInfo, error)
		wanted []string
		levels string
	}{
		{"none wanted", list, nil, "ok"},
		{"there", list, []string{open}, "ok"},
		{"there, by another name", list, []string{link}, "ok"},
		{"one not there", list, []string{open, "/dev/ttyUSB7"}, "error"},
		{"may not be used", list, []string{"/dev/ttyS0"}, map[bool]string{true: "error", false: "ok"}[!accessible("/dev/ttyS0")]},
		{"no list, none wanted", broken, nil, "skipped"},
		{"no list", broken, []string{"COM3"}, "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var levels []string
			for _, f := range find(t, SerialPorts(tt.list, tt.wanted)) {
				levels = append(levels, f.Level)
			}
			if strings.Join(levels, " ") != tt.levels {
				t.Errorf("levels %v", levels)
			}
		})
	}
}
