package readertest_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/pcsc"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cycles is 200, or what make soak asks for.
func cycles(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CHAMTHE_SOAK")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CHAMTHE_SOAK=%q is no number of cycles", text)
	}
	return n
}

func TestSoakOnVirtualReader(t *testing.T) {
	const name = "Virtual 00"
	d := virtual.New("Other reader", name)
	f := readertest.Soak(t, &readertest.Rig{
		Driver: d,
		Name:   name,
		Insert: func(t testing.TB, c *readertest.Chip) {
			if err := d.Insert(name, c); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t testing.TB) {
			if err := d.Remove(name); err != nil {
				t.Fatal(err)
			}
		},
	}, cycles(t))
	if f.Torn == 0 || f.Pulled == 0 || f.Exchanges < f.Cycles {
		t.Errorf("the cards did not do what they should: %v", f)
	}
	fmt.Printf("soak, virtual reader: %v\n", f)
}

// What an idle hub costs is measured, for a minute, by make soak. The smart
// card service counts as it is: running or not.
func TestIdle(t *testing.T) {
	if os.Getenv("CHAMTHE_SOAK") == "" {
		t.Skip("takes a minute without load beside it: run make soak")
	}
	service := "smart card service absent"
	d := pcsc.New(nil)
	if infos, err := d.Readers(t.Context()); err == nil {
		service = fmt.Sprintf("smart card service with %d readers", len(infos))
	}
	share, known := readertest.Idle(t, []reader.Source{
		{Name: "pcsc", Driver: d}, {Name: "virtual", Driver: virtual.New("a", "b")},
	}, time.Minute)
	if !known {
		t.Skip("the time of a process cannot be told on this system")
	}
	fmt.Printf("idle hub: %.4f %% of a core (virtual readers, %s)\n", 100*share, service)
	if share >= 0.001 {
		t.Errorf("an idle hub takes %.3f %% of a core, want less than 0.1 %%", 100*share)
	}
}
