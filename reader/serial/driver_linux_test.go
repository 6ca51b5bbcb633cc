package serial_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asModule) != "" {
		beModule()
		return
	}
	goleak.VerifyTestMain(m)
}

// A bench is a driver and, over a pseudo-terminal, a module.
type bench struct {
	*serialtest.PTY
	module *serialtest.Module
	driver *serial.Driver
	name   string
	served chan struct{}
}

func newBench(tb testing.TB, cfg serial.Config) *bench {
	tb.Helper()
	b := &bench{PTY: serialtest.NewPTY(tb), module: serialtest.NewModule()}
	b.serve()
	cfg.Ports = []string{b.Name}
	if cfg.Poll == 0 {
		cfg.Poll = 10 * time.Millisecond
	}
	if cfg.Retry == 0 {
		cfg.Retry = 20 * time.Millisecond
	}
	b.driver, b.name = serial.New(cfg), serial.ReaderName(b.Name)
	tb.Cleanup(func() {
		if err := b.driver.Close(); err != nil {
			tb.Errorf("closing the driver: %v", err)
		}
		b.unplug()
	})
	return b
}

// serve starts the module on the line.
func (b *bench) serve() {
	b.served = make(chan struct{})
	go func(line *serialtest.PTY, done chan struct{}) {
		defer close(done)
		_ = b.module.Serve(line)
	}(b.PTY, b.served)
}

func (b *bench) unplug() {
	b.Unplug()
	<-b.served
}

// plug connects the module again, as it is after power-up.
func (b *bench) plug(tb testing.TB) {
	b.module.PowerUp()
	b.Plug(tb)
	b.serve()
}

func (b *bench) rig() *readertest.Rig {
	return &readertest.Rig{
		Driver: b.driver,
		Name:   b.name,
		Insert: func(_ testing.TB, c *readertest.Chip) { b.module.Insert(c) },
		Remove: func(testing.TB) { b.module.Remove() },
		Unplug: func(testing.TB) { b.unplug() },
	}
}

func TestSuite(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    serial.Config
		faults serialtest.Faults
	}{
		{name: "Clean"},
		{name: "Disturbed", faults: serialtest.Faults{
			Seed: 1, BadChecksum: 20, TwoACKs: 10, Refuse: 20, Noise: 20, Stale: 10, Pieces: 3,
		}},
		// Apart from the above: an exchange that loses both its ACK and its
		// response is lost.
		{name: "BadACK", faults: serialtest.Faults{Seed: 2, BadACK: 300, Noise: 20, Pieces: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			readertest.Run(t, func(tb testing.TB) *readertest.Rig {
				b := newBench(tb, tt.cfg)
				b.module.Fail(tt.faults)
				return b.rig()
			})
		})
	}
}
