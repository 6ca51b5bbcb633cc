package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

// terminal is a person who types the next line when asked.
type terminal struct {
	bytes.Buffer
	t       *testing.T
	pty     *serialtest.PTY
	stdin   *os.File
	lines   []string
	gaveUp  context.CancelFunc // instead of a line
	visible bool               // when asked
}

func echo(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

func (p *terminal) Write(b []byte) (int, error) {
	if bytes.HasSuffix(b, []byte(": ")) {
		p.visible = p.visible || echo(p.t, p.stdin)
		if len(p.lines) == 0 {
			p.gaveUp()
		} else {
			if _, err := io.WriteString(p.pty, p.lines[0]+"\n"); err != nil {
				p.t.Error(err)
			}
			p.lines = p.lines[1:]
		}
	}
	return p.Buffer.Write(b)
}

// TestOperatorTyped types PINs at a terminal.
func TestOperatorTyped(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	for _, test := range []struct {
		name  string
		lines []string
		want  fault.Code // empty: none
		says  string
	}{
		{"not the same", []string{rightPIN, "2580-lan"}, fault.Usage, "the two were not the same"},
		{"interrupted", []string{rightPIN}, fault.Cancelled, ""},
		{"twice the same", []string{rightPIN, rightPIN}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			pty := serialtest.NewPTY(t)
			stdin, err := os.OpenFile(pty.Name, os.O_RDWR|unix.O_NOCTTY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			s, err := unix.IoctlGetTermios(int(stdin.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			s.Lflag |= unix.ECHO | unix.ICANON // as a terminal is
			if err := unix.IoctlSetTermios(int(stdin.Fd()), unix.TCSETS, s); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var out bytes.Buffer
			person := &terminal{t: t, pty: pty, stdin: stdin, lines: test.lines, gaveUp: cancel}
			exit := cli.Main(ctx, []string{"operator", "set", "--data", dir, "--name", "lan"}, stdin, &out, person)
			got := ended{exit, out.String(), person.String()}
			names, err := agent.OperatorNames(dir)
			if err != nil {
				t.Fatal(err)
			}
			if test.want != "" {
				got.failed(t, test.want)
				if len(names) != 0 {
					t.Errorf("set for %q", names)
				}
			} else if exit != 0 || got.stdout != "the PIN is set\n" || got.stderr != "PIN: \nthe same again: \n" || len(names) != 1 {
				t.Errorf("%+v, %q", got, names)
			}
			if !strings.Contains(got.stderr, test.says) || strings.Contains(got.stdout+got.stderr, "2580") {
				t.Errorf("%+v", got)
			}
			if person.visible {
				t.Error("what is typed was shown")
			}
			if !echo(t, stdin) {
				t.Error("nothing that is typed is shown any more")
			}
			// For the reader of the program that was interrupted.
			if test.want == fault.Cancelled {
				if _, err := io.WriteString(pty, "\n"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
