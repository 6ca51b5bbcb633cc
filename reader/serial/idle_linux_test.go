package serial_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

// asModule makes the test program a module at the end of the line that it
// inherits, so that its time is not that of the driver.
const asModule = "CHAMTHE_TEST_PN532"

// beModule is the module until the line ends.
func beModule() { _ = serialtest.NewModule().Serve(os.NewFile(3, "line")) }

// TestInterval: while cards come and go the module is asked often, and seldom
// when nobody has been there for long.
func TestInterval(t *testing.T) {
	const often, seldom = 10 * time.Millisecond, time.Hour
	b := newBench(t, serial.Config{Poll: often, Idle: seldom})
	wants := func(when string, at time.Time, want time.Duration) {
		t.Helper()
		if got := b.driver.Interval(at); got != want {
			t.Errorf("%s: a look every %v, want %v", when, got, want)
		}
	}
	b.await(t, reader.Empty)
	wants("after the module was found", time.Now(), often)
	wants("minutes later", time.Now().Add(3*time.Minute), seldom)
	b.driver.Calm()
	wants("after a long time", time.Now(), seldom)
	b.module.Insert(readertest.NewChip())
	if _, err := b.driver.Readers(limited(t)); err != nil {
		t.Fatal(err)
	}
	wants("after a card came", time.Now(), often)
	b.driver.Calm()
	b.tap(t)
	wants("after it was opened", time.Now(), often)
}

// A card on a module that nobody has used for long is noticed all the same.
func TestNoticesWhenIdle(t *testing.T) {
	b := newBench(t, serial.Config{Poll: time.Millisecond, Idle: 50 * time.Millisecond})
	b.await(t, reader.Empty)
	b.driver.Calm()
	waits := make(chan error, 1)
	go func() {
		_, err := reader.WaitCard(limited(t), b.driver, b.name)
		waits <- err
	}()
	b.module.Insert(readertest.NewChip())
	if err := <-waits; err != nil {
		t.Error(err)
	}
}

// What an idle module costs is measured, for a minute, by make soak.
func TestIdle(t *testing.T) {
	if os.Getenv("CHAMTHE_SOAK") == "" {
		t.Skip("takes a minute without load beside it: run make soak")
	}
	pty := serialtest.NewPTY(t)
	module := exec.Command(os.Args[0])
	module.Env = append(os.Environ(), asModule+"=1")
	module.ExtraFiles = []*os.File{pty.File}
	if err := module.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = module.Process.Kill()
		_ = module.Wait()
	}()
	for _, tt := range []struct {
		name string
		cfg  serial.Config
		most float64
	}{
		{"in use", serial.Config{Idle: 250 * time.Millisecond}, 0.01},
		{"idle", serial.Config{}, 0.001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Ports = []string{pty.Name}
			d := serial.New(tt.cfg)
			defer d.Close()
			name := serial.ReaderName(pty.Name)
			infos, err := d.Readers(limited(t))
			if err != nil || len(infos) != 1 || infos[0].State != reader.Empty {
				t.Fatalf("%v, %v; problem: %v", infos, err, d.Problem(name))
			}
			d.Calm()
			share, known := readertest.Idle(t, []reader.Source{{Name: "serial", Driver: d}}, time.Minute)
			if !known {
				t.Skip("the time of a process cannot be told on this system")
			}
			fmt.Printf("PN532 without a card, %s: %.4f %% of a core\n", tt.name, 100*share)
			if share >= tt.most {
				t.Errorf("%.3f %% of a core, want less than %.1f %%", 100*share, 100*tt.most)
			}
		})
	}
}
