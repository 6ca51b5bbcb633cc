package cli_test

import (
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// module puts a PN532 module at a port.
func module(t *testing.T) (m *serialtest.Module, port string) {
	t.Helper()
	pty, m := serialtest.NewPTY(t), serialtest.NewModule()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = m.Serve(pty)
	}()
	t.Cleanup(func() {
		pty.Unplug()
		<-served
	})
	return m, pty.Name
}

// givenBack checks that a command has closed its port.
func givenBack(t *testing.T, port string) {
	t.Helper()
	p, err := serial.OpenPort(serial.PortConfig{Name: port, Baud: 115200})
	if err != nil {
		t.Errorf("the command has ended, and its port: %v", err)
		return
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// A citizen card is read through a module, whichever way its port is named.
func TestReadSerial(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, profile string
		others        reader.Driver
		args          func(port string) []string
	}{
		{"as a reader", chip.ProfileCCCD, virtual.New("Empty Reader"), func(port string) []string { return []string{"--reader", "pn532:" + port} }},
		{"as a reader, without the service", chip.ProfileCCCD, noService{}, func(port string) []string { return []string{"--reader", "pn532:" + port} }},
		{"as a port, without the service", chip.ProfileCCCD, noService{}, func(port string) []string { return []string{"--serial", port} }},
		{"as a port", chip.ProfileCCCDPACE, virtual.New("Empty Reader"), func(port string) []string { return []string{"--serial", port} }},
		{"as a port, and the reader by its name", chip.ProfileCCCD, virtual.New("Empty Reader"), func(port string) []string {
			return []string{"--serial", port, "--reader", serial.ReaderName(port)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := document(t, tt.profile, chip.TamperNone)
			card, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			m, port := module(t)
			m.Insert(card)
			got := on(t, tt.others, "", append([]string{
				"read", "--json", "--trust", anchor(t, d), "--mrz", strings.Join(d.MRZ, ""),
			}, tt.args(port)...)...)
			got.succeeded(t)
			o := one[wire.Outcome](t, got.stdout)
			if o.Verdict != wire.VerdictVerified || o.Fault != nil || o.Person == nil || !o.Person.Verified {
				t.Errorf("verdict %s, fault %+v", o.Verdict, o.Fault)
			}
			if m.Traffic().Exchanges < 20 {
				t.Errorf("%d exchanges through the module", m.Traffic().Exchanges)
			}
			givenBack(t, port)
		})
	}
}

func TestReadersSerial(t *testing.T) {
	t.Parallel()
	m, port := module(t)
	m.Insert(readertest.NewChip())
	got := on(t, virtual.New(slot), "", "readers", "--json", "--serial", port)
	got.succeeded(t)
	list := one[readerList](t, got.stdout)
	if len(list.Readers) != 2 || len(list.Sources) != 2 {
		t.Fatalf("%+v", list)
	}
	if r := list.Readers[0]; r.Name != serial.ReaderName(port) || r.State != "present" || r.Kind != "contactless" || r.Source != "serial" || r.Rank != 1 || r.Problem != "" {
		t.Errorf("first reader %+v", r)
	}
	givenBack(t, port)

	got = on(t, virtual.New(slot), "", "readers", "test", "--json", "--reader", "pn532:"+port)
	got.succeeded(t)
	if r := one[readerTest](t, got.stdout); r.Reader.Name != serial.ReaderName(port) || r.Exchanges.Count != 50 || r.Exchanges.Failed != 0 {
		t.Errorf("%+v", r)
	}
	givenBack(t, port)
}

// What is wrong with a port stands in the list, and in the detail of what a read
// ends with.
func TestSerialProblem(t *testing.T) {
	t.Parallel()
	port := serialtest.NewPTY(t).Name // nothing is there that answers
	got := on(t, virtual.New(slot), "", "readers", "--json", "--serial", port)
	got.succeeded(t)
	list := one[readerList](t, got.stdout)
	if len(list.Readers) != 2 {
		t.Fatalf("%+v", list)
	}
	want := serial.ErrNoModule.Error()
	for _, r := range list.Readers {
		if ours := r.Name == serial.ReaderName(port); ours != (r.State == "unavailable") || ours != (r.Problem == want) {
			t.Errorf("%+v", r)
		}
	}
	got = on(t, virtual.New(slot), "", "readers", "--serial", port)
	got.succeeded(t)
	if !strings.Contains(got.stdout, want) {
		t.Errorf("no %q in:\n%s", want, got.stdout)
	}
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	got = on(t, virtual.New(slot), "", "read", "--reader", "pn532:"+port, "--mrz", strings.Join(d.MRZ, ""), "--wait", "1ms")
	got.failed(t, fault.NoReader)
	if !strings.Contains(got.stderr, want) {
		t.Errorf("no %q in:\n%s", want, got.stderr)
	}
	got = on(t, noService{}, "", "read", "--reader", "pn532:"+port+"x", "--mrz", strings.Join(d.MRZ, ""), "--wait", "1ms")
	got.failed(t, fault.NoReader)
	next, end := watching(t, virtual.New(), "--serial", port)
	if line := next(); !strings.Contains(line, "unavailable: "+want) {
		t.Errorf("got %q", line)
	}
	end().succeeded(t)
	got = on(t, virtual.New(slot), "", "read", "--reader", "pn532:", "--mrz", strings.Join(d.MRZ, ""))
	got.failed(t, fault.Usage)
}

// A card that somebody else holds is not waited for without a word on who that
// is.
func TestReadInUse(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	v := lay(t, d)
	other, err := v.Open(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, args := range [][]string{nil, {"--reader", slot}} {
		got := on(t, v, "", append([]string{"read", "--qr", d.QR, "--wait", "1ms"}, args...)...)
		got.failed(t, fault.ReaderBusy)
		if want := "card in use by another program, for itself alone"; !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in:\n%s", want, got.stderr)
		}
	}
}
