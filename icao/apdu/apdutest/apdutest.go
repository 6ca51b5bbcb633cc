// Package apdutest plays and records exchanges with a card, for tests.
//
// A transcript is text with one exchange per line, in hexadecimal:
//
//	# SELECT of the application
//	00a4040c07a0000002471001 -> 9000
//	0084000008 -> 4608f91988702212 9000
//	0082000028 -> !
//
// Spaces within the hexadecimal digits, empty lines, and what follows a # are
// ignored. A response of ! means that there is none: the exchange fails with
// [ErrGone].
package apdutest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
)

// ErrGone is the error of an exchange whose response is "!": the card was
// taken away.
var ErrGone = errors.New("apdutest: card gone")

// ErrScript is the error that the code under test gets after it departed from
// a [Script]. The test has failed by then.
var ErrScript = errors.New("apdutest: exchange is not in the script")

const gone = "!"

type exchange struct {
	line      int
	cmd, resp []byte
	gone      bool
}

// A Script is a card that expects exactly the given commands in exactly the
// given order. Any other command, one too many, and one too few at the end of
// the test fail the test. It may be used concurrently.
type Script struct {
	t  testing.TB
	mu sync.Mutex

	exchanges []exchange
	next      int
	failed    bool
}

var _ apdu.Transceiver = (*Script)(nil)

// NewScript returns a card that plays the transcript. A malformed transcript,
// or one without any exchange, fails the test at once.
func NewScript(t testing.TB, transcript string) *Script {
	t.Helper()
	exchanges, err := parse(transcript)
	if err != nil {
		t.Fatal(err)
	}
	s := &Script{t: t, exchanges: exchanges}
	t.Cleanup(s.finish)
	return s
}

// LoadScript returns a card that plays the transcript in a file.
func LoadScript(t testing.TB, path string) *Script {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return NewScript(t, string(b))
}

// Transmit plays the next exchange.
func (s *Script) Transmit(_ context.Context, cmd []byte) ([]byte, error) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed {
		return nil, ErrScript
	}
	if s.next == len(s.exchanges) {
		s.failed = true
		s.t.Errorf("command %x after the end of the script", cmd)
		return nil, ErrScript
	}
	e := s.exchanges[s.next]
	if !bytes.Equal(cmd, e.cmd) {
		s.failed = true
		s.t.Errorf("script line %d: got command %x, want %x", e.line, cmd, e.cmd)
		return nil, ErrScript
	}
	s.next++
	if e.gone {
		return nil, ErrGone
	}
	return bytes.Clone(e.resp), nil
}

func (s *Script) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failed && s.next < len(s.exchanges) {
		e := s.exchanges[s.next]
		s.t.Errorf("script line %d: command %x was never sent, nor were %d after it", e.line, e.cmd, len(s.exchanges)-s.next-1)
	}
}

func parse(transcript string) ([]exchange, error) {
	var exchanges []exchange
	for i, line := range strings.Split(transcript, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.Join(strings.Fields(line), "")
		if line == "" {
			continue
		}
		e := exchange{line: i + 1}
		cmd, resp, found := strings.Cut(line, "->")
		if !found {
			return nil, fmt.Errorf("script line %d: no ->", e.line)
		}
		var err error
		if e.cmd, err = hex.DecodeString(cmd); err != nil || len(e.cmd) == 0 {
			return nil, fmt.Errorf("script line %d: command is not hexadecimal", e.line)
		}
		if e.gone = resp == gone; !e.gone {
			if e.resp, err = hex.DecodeString(resp); err != nil {
				return nil, fmt.Errorf("script line %d: response is not hexadecimal", e.line)
			}
		}
		exchanges = append(exchanges, e)
	}
	if len(exchanges) == 0 {
		return nil, errors.New("script holds no exchange")
	}
	return exchanges, nil
}

// A Recorder passes exchanges on to a card and keeps a transcript of them. It
// may be used concurrently. What it records of a real card is personal data.
type Recorder struct {
	t  apdu.Transceiver
	mu sync.Mutex
	b  strings.Builder
}

var _ apdu.Transceiver = (*Recorder)(nil)

// NewRecorder returns a Recorder in front of a card.
func NewRecorder(t apdu.Transceiver) *Recorder { return &Recorder{t: t} }

// Transmit passes an exchange on and records it.
func (r *Recorder) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	resp, err := r.t.Transmit(ctx, cmd)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		fmt.Fprintf(&r.b, "%x -> %s\n", cmd, gone)
	} else {
		fmt.Fprintf(&r.b, "%x -> %x\n", cmd, resp)
	}
	return resp, err
}

// Transcript returns what was recorded, ready for [NewScript].
func (r *Recorder) Transcript() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// Func is a card made of a function.
type Func func(ctx context.Context, cmd []byte) (resp []byte, err error)

// Transmit calls f.
func (f Func) Transmit(ctx context.Context, cmd []byte) ([]byte, error) { return f(ctx, cmd) }
