package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

// Waits between two tries to open the event stream: doubled each time, with
// jitter, and back to the first as soon as an event arrives.
const (
	firstWait = 250 * time.Millisecond
	lastWait  = 15 * time.Second
)

// silence is how long nothing may come. The agent sends a sign of life every 15
// seconds, so one that is silent for longer is gone, however open the
// connection looks.
const silence = 45 * time.Second

// maxLine bounds a line of the stream.
const maxLine = 1 << 20

// Events returns what happens, as it happens, until ctx ends or the loop is left.
//
// Whenever the stream was opened, the first time as well, an event of type
// [wire.EventMissed] comes first: read the state again, because nobody says what
// happened before. When the stream breaks or cannot be opened, the error is
// yielded, once for each try, and the loop goes on with the next try by itself
// after a while; an [*Error] with status 401 or 403 says that the token is taken
// back. Events of types that this version does not know come as they are.
func (c *Client) Events(ctx context.Context) iter.Seq2[wire.Event, error] {
	return func(yield func(wire.Event, error) bool) {
		wait := firstWait
		for ctx.Err() == nil {
			more, err := c.stream(ctx, func(e wire.Event) bool {
				wait = firstWait
				return yield(e, nil)
			})
			if !more || ctx.Err() != nil || !yield(wire.Event{}, err) {
				return
			}
			pause := wait/2 + rand.N(wait/2) // jitter
			var e *Error
			if errors.As(err, &e) && e.RetryAfter > pause {
				pause = min(e.RetryAfter, lastWait)
			}
			wait = min(2*wait, lastWait)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}
}

// stream reads the event stream until it breaks, which is the error, or until
// each wants no more.
func (c *Client) stream(ctx context.Context, each func(wire.Event) bool) (more bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	resp, err := c.send(ctx, http.MethodGet, "/api/v1/events", nil, "text/event-stream")
	if err != nil {
		return true, silent(ctx, err)
	}
	defer resp.Body.Close()
	if mediaType(resp) != "text/event-stream" {
		return true, ErrAnswer
	}
	if !each(wire.Event{Type: wire.EventMissed, At: time.Now()}) {
		return false, nil
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(make([]byte, 0, 4096), maxLine)
	var data strings.Builder
	for scan.Scan() {
		watch.Reset(silence)
		line := scan.Text()
		if line != "" {
			if d, ok := strings.CutPrefix(line, "data:"); ok {
				if data.Len()+len(d) > maxLine {
					return true, ErrAnswer
				}
				data.WriteString(strings.TrimPrefix(d, " "))
			}
			continue // the event's type and number are in its data, too
		}
		if data.Len() == 0 {
			continue
		}
		var e wire.Event
		if err := json.Unmarshal([]byte(data.String()), &e); err != nil {
			return true, ErrAnswer
		}
		data.Reset()
		if !each(e) {
			return false, nil
		}
	}
	if err := scan.Err(); err != nil {
		return true, silent(ctx, err)
	}
	return true, io.ErrUnexpectedEOF
}

var errSilent = errors.New("client: the agent fell silent")

// silent returns why ctx was given up when it was for silence, else err.
func silent(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}
