package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// The documents of the readers commands, as a program outside reads them.
type (
	readerInfo struct {
		Name, State, ATR, Kind, Model, Source, Page string
		Rank                                        int
		InUse                                       string `json:"in_use"`
		Problem                                     string
	}
	sourceInfo struct {
		Name    string
		OK      bool
		Readers int
		Error   string
	}
	readerList struct {
		Readers []readerInfo
		Sources []sourceInfo
	}
	readerChange struct {
		Time    time.Time
		Event   string
		Reader  *readerInfo
		Source  *sourceInfo
		Readers []readerInfo
		Sources []sourceInfo
		Lost    int
	}
	series struct {
		Count, Failed int
		Median        float64 `json:"median_ms"`
		P95           float64 `json:"p95_ms"`
	}
	readerTest struct {
		Reader       readerInfo
		Card         string
		Capabilities *struct {
			MaxAPDU             int `json:"max_apdu"`
			Extended            bool
			Name, Firmware, USB string
		}
		Limits            string
		OpenMS            float64 `json:"open_ms"`
		Exchanges, Resets series
		Paused            *series
		Extended          string
		LargestLe         int `json:"largest_le"`
		BreaksOff         int `json:"breaks_off"`
		Selects           string
		LongestResponse   int    `json:"longest_response"`
		ReadFailed        string `json:"read_failed"`
		Read              *struct {
			MS               float64
			Exchanges, Bytes int
		}
		Verdict struct{ Level, Sentence, Remedy, Page string }
	}
	limitList struct {
		Limits []struct {
			Reader, Card string
			MaxNe        int     `json:"max_ne"`
			NoExtended   bool    `json:"no_extended"`
			DelayMS      float64 `json:"delay_ms"`
			NoSFI        bool    `json:"no_sfi"`
			Probe        bool
			Learned      time.Time
		}
	}
)

func TestReadersRank(t *testing.T) {
	t.Parallel()
	v := virtual.New("Windows Hello for Business 1", "ACS ACR1281 1S Dual Reader ICC 0", "ACS ACR1281 1S Dual Reader PICC 0")
	got := on(t, v, "", "readers")
	got.succeeded(t)
	var order []string
	for _, line := range strings.Split(got.stdout, "\n")[1:] {
		if f := strings.Fields(line); len(f) > 0 {
			order = append(order, f[0])
		}
	}
	if strings.Join(order, " ") != "1 2 -" {
		t.Errorf("ranks %q in:\n%s", order, got.stdout)
	}
	got = on(t, v, "", "readers", "--json")
	got.succeeded(t)
	list := one[readerList](t, got.stdout)
	if first := list.Readers[0]; first.Kind != "contactless" || first.Rank != 1 || first.Model != "ACS ACR1281 1S Dual Reader PICC" || first.Source != "pcsc" {
		t.Errorf("first reader %+v", first)
	}
	if last := list.Readers[2]; last.Kind != "virtual" || last.Rank != 0 {
		t.Errorf("last reader %+v", last)
	}
	if len(list.Sources) != 1 || !list.Sources[0].OK || list.Sources[0].Readers != 3 {
		t.Errorf("sources %+v", list.Sources)
	}
}

// A card that another program holds is said to be in use, by list and test.
func TestReadersInUse(t *testing.T) {
	t.Parallel()
	v := virtual.New(slot)
	if err := v.Insert(slot, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	other, err := v.Open(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	const want = "card in use by another program, for itself alone"
	got := on(t, v, "", "readers", "--json")
	got.succeeded(t)
	if r := one[readerList](t, got.stdout).Readers[0]; !strings.HasPrefix(r.InUse, want) || r.State != "busy" {
		t.Errorf("reader %+v", r)
	}
	got = on(t, v, "", "readers")
	got.succeeded(t)
	if !strings.Contains(got.stdout, want) {
		t.Errorf("got:\n%s", got.stdout)
	}
	got = on(t, v, "", "readers", "test", "--wait", "1ms")
	got.failed(t, fault.ReaderBusy)
	if !strings.Contains(got.stderr, want) {
		t.Errorf("the detail does not say who: %s", got.stderr)
	}
}

// watching runs readers --watch until the test ends it, and returns its lines.
func watching(t *testing.T, d reader.Driver, args ...string) (next func() string, end func() ended) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var errs bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		exit <- cli.MainWith(ctx, append([]string{"readers", "--watch"}, args...), strings.NewReader(""), in, &errs, d)
		in.Close()
	}()
	texts := make(chan string, 16)
	go func() {
		defer close(texts)
		var rest []byte
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			rest = append(rest, buf[:n]...)
			for {
				line, after, ok := bytes.Cut(rest, []byte("\n"))
				if !ok {
					break
				}
				texts <- string(line)
				rest = after
			}
			if err != nil {
				return
			}
		}
	}()
	return func() string {
			t.Helper()
			select {
			case line := <-texts:
				return line
			case <-time.After(20 * time.Second):
				t.Fatal("no line")
				return ""
			}
		}, func() ended {
			cancel()
			for range texts {
			}
			return ended{exit: <-exit, stderr: errs.String()}
		}
}

func TestReadersWatch(t *testing.T) {
	t.Parallel()
	v := virtual.New(slot)
	next, end := watching(t, v)
	has := func(words ...string) {
		t.Helper()
		line := next()
		for _, w := range words {
			if !strings.Contains(line, w) {
				t.Errorf("no %q in %q", w, line)
			}
		}
	}
	has("reader", slot, "empty")
	if err := v.Insert(slot, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	has("card inserted", slot)
	v.Unplug(slot)
	has("card removed", slot)
	has("reader removed", slot)
	if err := v.Plug("Second"); err != nil {
		t.Fatal(err)
	}
	has("reader added", "Second")
	end().succeeded(t) // Ctrl-C is how it ends
}

func TestReadersWatchJSON(t *testing.T) {
	t.Parallel()
	v := virtual.New(slot)
	next, end := watching(t, v, "--json")
	event := func() readerChange {
		t.Helper()
		var c readerChange
		dec := json.NewDecoder(strings.NewReader(next()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			t.Fatal(err)
		}
		if c.Time.IsZero() {
			t.Error("an event without a time")
		}
		return c
	}
	if c := event(); c.Event != "snapshot" || len(c.Readers) != 1 || len(c.Sources) != 1 {
		t.Errorf("first line %+v", c)
	}
	if err := v.Insert(slot, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	if c := event(); c.Event != "card_inserted" || c.Reader == nil || c.Reader.Name != slot || c.Reader.State != "present" {
		t.Errorf("second line %+v", c)
	}
	end().succeeded(t)
}

// Without the service there is nothing to list, and a lot to wait for.
func TestReadersWatchWithoutService(t *testing.T) {
	t.Parallel()
	next, end := watching(t, noService{})
	if line := next(); !strings.Contains(line, "out of reach") || !strings.Contains(line, reader.ErrNoService.Error()) {
		t.Errorf("got %q", line)
	}
	end().succeeded(t)
}

// fragile is a driver whose cards break off some exchanges.
type fragile struct {
	*virtual.Driver
	breaks func(cmd []byte) error
	caps   reader.Capabilities
}

func (d *fragile) Open(ctx context.Context, name string) (reader.Card, error) {
	c, err := d.Driver.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return fragileCard{c, d}, nil
}

type fragileCard struct {
	reader.Card
	d *fragile
}

func (c fragileCard) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := c.d.breaks(cmd); err != nil {
		return nil, err
	}
	return c.Card.Transmit(ctx, cmd)
}

func (c fragileCard) Capabilities(context.Context) (reader.Capabilities, error) { return c.d.caps, nil }

func TestReadersTest(t *testing.T) {
	const name = "Reader of a clinic 0"
	isExtended := func(cmd []byte) bool { return len(cmd) == 7 && cmd[4] == 0 }
	var last atomic.Int64
	for _, tt := range []struct {
		name    string
		breaks  func(cmd []byte) error
		caps    reader.Capabilities
		level   string
		says    string
		learned string // one of the limits that are remembered; empty: none
		check   func(t *testing.T, r readerTest)
	}{
		{name: "good", level: "good", says: "work", check: func(t *testing.T, r readerTest) {
			if r.Extended != "yes" || r.LargestLe != 65536 || r.Exchanges.Count != 50 || r.Resets.Count != 5 || r.Exchanges.Failed+r.Resets.Failed != 0 {
				t.Errorf("%+v", r)
			}
		}},
		{
			name: "short only", level: "limited", says: "short commands only",
			caps: reader.Capabilities{MaxAPDU: 256, VendorID: 0x072F, ProductID: 0x2200, UID: []byte{0xDE, 0xAD, 0xBE, 0xEF}},
			check: func(t *testing.T, r readerTest) {
				if r.Extended != "skipped" || r.LargestLe != 256 || r.Capabilities == nil || r.Capabilities.USB != "072F:2200" || r.Capabilities.MaxAPDU != 256 {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "breaks with extended length", level: "limited", says: "extended length", learned: "no extended length",
			breaks: func(cmd []byte) error {
				if isExtended(cmd) {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.Extended != "fails" || r.LargestLe != 256 {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "breaks with 192 bytes", level: "limited", says: "192 bytes", learned: "at most 128 bytes",
			breaks: func(cmd []byte) error {
				if len(cmd) == 5 && cmd[1] == 0xB0 && (cmd[4] == 0 || cmd[4] >= 192) || isExtended(cmd) {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.LargestLe != 128 || r.BreaksOff != 192 {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "breaks when a file is selected", level: "faulty", says: "select a file",
			breaks: func(cmd []byte) error {
				if cmd[1] == 0xA4 {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.Selects != "fails" || r.LargestLe != 0 {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "one tear with extended length", level: "good", says: "work",
			breaks: func(cmd []byte) error {
				if isExtended(cmd) && last.Add(1) == 1 {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.Extended != "yes" || r.LargestLe != 65536 {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "one exchange of fifty breaks off", level: "limited", says: "may have moved",
			breaks: func([]byte) error {
				if last.Add(1) == 25 {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.Exchanges.Failed != 1 || r.Limits != "none" {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "needs a pause", level: "limited", says: "20ms", learned: "20ms between exchanges",
			breaks: func([]byte) error {
				now := time.Now().UnixNano()
				if then := last.Swap(now); now-then < int64(10*time.Millisecond) {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.Exchanges.Failed == 0 || r.Paused == nil || r.Paused.Failed != 0 {
					t.Errorf("%+v", r)
				}
			},
		},
		{
			name: "broken", level: "faulty", says: "even with a pause",
			breaks: func(cmd []byte) error {
				if cmd[1] == 0 && last.Add(1)%7 == 0 {
					return reader.ErrComm
				}
				return nil
			},
			check: func(t *testing.T, r readerTest) {
				if r.Verdict.Remedy == "" {
					t.Error("no remedy")
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("CHAMTHE_LIMITS", t.TempDir())
			last.Store(0)
			v := virtual.New(name)
			d, err := document(t, chip.ProfileCCCDPACE, chip.TamperNone).Chip()
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Insert(name, d); err != nil {
				t.Fatal(err)
			}
			if tt.breaks == nil {
				tt.breaks = func([]byte) error { return nil }
			}
			rig := &fragile{v, tt.breaks, tt.caps}
			got := on(t, rig, "", "readers", "test", "--json")
			got.succeeded(t)
			r := one[readerTest](t, got.stdout)
			if r.Verdict.Level != tt.level || !strings.Contains(r.Verdict.Sentence, tt.says) {
				t.Errorf("verdict %+v", r.Verdict)
			}
			tt.check(t, r)
			if strings.Contains(strings.ToLower(got.stdout), "deadbeef") {
				t.Error("the card's identifier is printed")
			}
			got = on(t, rig, "", "readers", "limits")
			got.succeeded(t)
			if tt.learned == "" {
				if !strings.Contains(got.stdout, "nothing was learned") {
					t.Errorf("learned:\n%s", got.stdout)
				}
				return
			}
			if !strings.Contains(got.stdout, tt.learned) || !strings.Contains(got.stdout, "Reader of a clinic ") {
				t.Errorf("no %q in:\n%s", tt.learned, got.stdout)
			}
			got = on(t, rig, "", "readers", "limits", "--json")
			got.succeeded(t)
			if list := one[limitList](t, got.stdout).Limits; len(list) != 1 || list[0].Reader != "Reader of a clinic" {
				t.Errorf("limits %+v", list)
			}
			for _, args := range [][]string{{"--forget", "Another reader 0"}, {"--forget", name}} {
				on(t, rig, "", append([]string{"readers", "limits"}, args...)...).succeeded(t)
			}
			got = on(t, rig, "", "readers", "limits", "--json")
			if list := one[limitList](t, got.stdout).Limits; len(list) != 0 {
				t.Errorf("limits after forgetting %+v", list)
			}
		})
	}
}

func TestReadersTestForPeople(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	got := on(t, lay(t, d), "", "readers", "test")
	got.succeeded(t)
	for _, s := range []string{"reader     " + slot, "ATR 3B", "exchanges  50: median", "resets     5: median", "verdict    GOOD"} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}
}

// With its key the chip gives long answers, and nothing of them is shown.
func TestReadersTestReadsTheDocument(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	v := lay(t, d)
	got := on(t, v, d.QR, "readers", "test", "--qr", "-", "--json")
	got.succeeded(t)
	r := one[readerTest](t, got.stdout)
	if r.Read == nil || r.Read.Exchanges < 10 || r.Read.Bytes < 1000 || r.LongestResponse < 200 || r.Verdict.Level != "good" {
		t.Errorf("%+v, read %+v", r, r.Read)
	}
	for _, part := range strings.Split(d.QR, "|") {
		if len(part) > 4 && strings.Contains(got.stdout, part) {
			t.Error("a field of the QR code is printed")
		}
	}
	other := document(t, chip.ProfileCCCD, chip.TamperNone)
	if other.QR != d.QR {
		on(t, v, other.QR, "readers", "test", "--qr", "-").failed(t, fault.WrongKey)
	}
}

func TestReadersTestFails(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	v := virtual.New(slot)
	on(t, noService{}, "", "readers", "test").failed(t, fault.NoService)
	on(t, virtual.New(), "", "readers", "test").failed(t, fault.NoReader)
	on(t, v, "", "readers", "test", "--reader", "another").failed(t, fault.NoReader)
	on(t, v, "", "readers", "test", "--wait", "1ms").failed(t, fault.NoCard)
	if err := v.Insert(slot, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	if err := v.Tear(slot, 20); err != nil {
		t.Fatal(err)
	}
	on(t, v, "", "readers", "test").failed(t, fault.CardRemoved)
	on(t, v, "", "readers", "limits", "--all", "--forget", "x").failed(t, fault.Usage)
}

// A name that is none forgets nothing, and a file that cannot be read goes with all.
func TestReadersLimitsForgets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHAMTHE_LIMITS", dir)
	err := limits.In(dir).Save(t.Context(), reader.LimitKey{Reader: slot, ATR: "3B80"}, reader.Limits{MaxNe: 112, Learned: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	v := virtual.New()
	for _, name := range []string{"", "  "} {
		on(t, v, "", "readers", "limits", "--forget", name).failed(t, fault.Usage)
	}
	for _, name := range []string{" 0", "00 00"} { // no name of a model is left of it
		on(t, v, "", "readers", "limits", "--forget", name).succeeded(t)
	}
	got := on(t, v, "", "readers", "limits", "--json")
	got.succeeded(t)
	if list := one[limitList](t, got.stdout).Limits; len(list) != 1 {
		t.Fatalf("%d limits are left, want 1", len(list))
	}
	if err := os.WriteFile(filepath.Join(dir, "limits.db"), bytes.Repeat([]byte("damaged "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	on(t, v, "", "readers", "limits").failed(t, fault.StoreDamaged)
	on(t, v, "", "readers", "limits", "--all").succeeded(t)
	on(t, v, "", "readers", "limits").succeeded(t)
}

// refusing is a driver whose cards answer 6E00 to everything.
type refusing struct{ *virtual.Driver }

func (d refusing) Open(ctx context.Context, name string) (reader.Card, error) {
	c, err := d.Driver.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return refusingCard{c}, nil
}

type refusingCard struct{ reader.Card }

func (refusingCard) Transmit(context.Context, []byte) ([]byte, error) { return []byte{0x6E, 0x00}, nil }

// A card that refuses everything shows nothing of lengths, and what was measured is
// printed even if the document cannot be read.
func TestReadersTestOfACardThatRefuses(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	rig := refusing{lay(t, d)}
	got := on(t, rig, "", "readers", "test", "--json")
	got.succeeded(t)
	if r := one[readerTest](t, got.stdout); r.Extended != "not shown" || r.LargestLe != 0 || r.LongestResponse != 0 {
		t.Errorf("%+v", r)
	}
	got = on(t, rig, d.QR, "readers", "test", "--qr", "-")
	got.failed(t, fault.AccessRefused)
	for _, s := range []string{"exchanges  50", "not shown", "NOT READ: access_refused", "verdict    FAULTY"} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}
}

// Names come from drivers: what steers a terminal or has no end is not passed on.
func TestReadersNames(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	name := "ACS\x1b]0;x\x07\u202e\u009b31m" + strings.Repeat("Ằ", 10000)
	v := virtual.New(name)
	if err := v.Insert(name, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"readers"}, {"readers", "--json"}, {"readers", "test"}, {"readers", "test", "--json"}} {
		got := on(t, v, "", args...)
		got.succeeded(t)
		if strings.ContainsAny(got.stdout, "\x1b\x07\u202e\u009b") || len(got.stdout) > 4000 {
			t.Errorf("%v prints %d bytes: %.200q", args, len(got.stdout), got.stdout)
		}
	}
}

// A port that was named and is not there, or is none, is listed, and is a fault.
func TestReadersAbsentPorts(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{filepath.Join(t.TempDir(), "ttyNONE"), file} {
		got := on(t, virtual.New(), "", "readers", "--serial", port)
		got.failed(t, fault.NoReader)
		if !strings.Contains(got.stdout, "PN532 "+port) || !strings.Contains(got.stdout, "no such port") {
			t.Errorf("got:\n%s", got.stdout)
		}
		got = on(t, virtual.New(), "", "readers", "test", "--serial", port)
		got.failed(t, fault.NoReader)
		if !strings.Contains(got.stderr, "no such port") {
			t.Errorf("got:\n%s", got.stderr)
		}
		next, end := watching(t, virtual.New(), "--serial", port)
		if line := next(); !strings.Contains(line, "no such port") {
			t.Errorf("watch: %q", line)
		}
		end().succeeded(t)
	}
}

func TestReadersTestSaysWhyNothing(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", t.TempDir())
	on(t, virtual.New(slot), "", "readers", "test", "--timeout", "1ns").failed(t, fault.Usage)
	got := on(t, virtual.New("Windows Hello for Business 1"), "", "readers", "test", "--wait", "1ms")
	got.failed(t, fault.NoReader)
	if !strings.Contains(got.stderr, "not for cards that are laid on") {
		t.Errorf("got:\n%s", got.stderr)
	}
	got = on(t, virtual.New("Windows Hello for Business 1"), "", "readers")
	got.succeeded(t)
	if !strings.Contains(got.stdout, "no reader that a card can be laid on") {
		t.Errorf("got:\n%s", got.stdout)
	}
}
