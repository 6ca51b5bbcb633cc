package apdutest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu/apdutest"
)

// spy is a testing.TB that notes failures instead of failing.
type spy struct {
	testing.TB
	messages []string
	cleanups []func()
}

func (s *spy) Helper()                   {}
func (s *spy) Cleanup(f func())          { s.cleanups = append(s.cleanups, f) }
func (s *spy) Errorf(f string, a ...any) { s.messages = append(s.messages, fmt.Sprintf(f, a...)) }
func (s *spy) Fatal(a ...any) {
	s.messages = append(s.messages, fmt.Sprint(a...))
	panic(s)
}

// run plays commands against a script and returns what the test was told.
func run(t *testing.T, script string, cmds ...byte) (messages []string, errs []error) {
	t.Helper()
	s := &spy{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(s) {
				panic(r)
			}
		}()
		card := apdutest.NewScript(s, script)
		for _, c := range cmds {
			_, err := card.Transmit(t.Context(), []byte{c})
			errs = append(errs, err)
		}
		for _, f := range s.cleanups {
			f()
		}
	}()
	return s.messages, errs
}

func TestScript(t *testing.T) {
	tests := []struct {
		name, script string
		cmds         []byte
		want         string // in the only message; "" for none
	}{
		{"as written", "# a comment\n\n01 -> 9000 # same line\n 0 2->90 00\n", []byte{1, 2}, ""},
		{"other command", "01 -> 9000\n02 -> 9000", []byte{1, 3}, "script line 2: got command 03, want 02"},
		{"order matters", "01 -> 9000\n02 -> 9000", []byte{2, 1}, "script line 1: got command 02, want 01"},
		{"one too many", "01 -> 9000", []byte{1, 1}, "command 01 after the end"},
		{"one too few", "01 -> 9000\n02 -> 9000\n03 -> 9000", []byte{1}, "script line 2: command 02 was never sent, nor were 1"},
		{"no exchange", "# nothing", nil, "holds no exchange"},
		{"no arrow", "01 9000", nil, "line 1: no ->"},
		{"no command", "-> 9000", nil, "command is not hexadecimal"},
		{"command not hexadecimal", "0g -> 9000", nil, "command is not hexadecimal"},
		{"response not hexadecimal", "01 -> 900", nil, "response is not hexadecimal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			messages, _ := run(t, tt.script, tt.cmds...)
			got := strings.Join(messages, "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || len(messages) > 1 {
				t.Errorf("messages %q, want %q", got, tt.want)
			}
		})
	}
}

func TestScriptErrors(t *testing.T) {
	_, errs := run(t, "01 -> !\n02 -> 9000\n03 -> 9000", 1, 2, 9, 3)
	if !errors.Is(errs[0], apdutest.ErrGone) || errs[1] != nil || !errors.Is(errs[2], apdutest.ErrScript) || !errors.Is(errs[3], apdutest.ErrScript) {
		t.Errorf("errors %v", errs)
	}
}

func TestRecorderRoundTrip(t *testing.T) {
	const transcript = "01 -> 9000\n0203 -> 0a0b9000\n04 -> !\n"
	rec := apdutest.NewRecorder(apdutest.NewScript(t, transcript))
	for _, c := range [][]byte{{1}, {2, 3}, {4}} {
		resp, err := rec.Transmit(t.Context(), c)
		if gone := bytes.Equal(c, []byte{4}); gone != errors.Is(err, apdutest.ErrGone) || gone != (resp == nil) {
			t.Errorf("%x: %x, %v", c, resp, err)
		}
	}
	if got := rec.Transcript(); got != transcript {
		t.Errorf("transcript %q, want %q", got, transcript)
	}
	path := filepath.Join(t.TempDir(), "card.txt")
	if err := os.WriteFile(path, []byte(rec.Transcript()), 0o600); err != nil {
		t.Fatal(err)
	}
	card := apdutest.LoadScript(t, path)
	for _, c := range [][]byte{{1}, {2, 3}, {4}} {
		_, _ = card.Transmit(t.Context(), c)
	}
}
