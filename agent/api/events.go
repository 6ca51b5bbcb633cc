package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

// Limits of event streams. A page needs one, and one more while it is loaded
// anew.
const (
	streamsEach = 4
	streamsAll  = 32
	heartbeat   = 15 * time.Second
	writeTime   = 30 * time.Second
)

// enter counts a stream of a client.
func (s *Server) enter(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.streams >= streamsEach || (s.streams >= streamsAll && !c.desk) {
		return false
	}
	c.streams++
	s.streams++
	return true
}

func (s *Server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.streams--
	s.streams--
}

// events answers with what happens, until the caller goes, his token is taken
// back, or the server stops.
func (s *Server) events(c *call) error {
	if s.cfg.Events == nil {
		return failNotReady
	}
	if !s.enter(c.client) {
		f := *failTooMany
		f.after = heartbeat
		return &f
	}
	defer s.leave(c.client)
	ctx := c.r.Context()
	stream := s.cfg.Events.Subscribe(c.owner(), 0)
	defer stream.Close()
	w := &eventWriter{w: c.w, rc: http.NewResponseController(c.w)}
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.WriteHeader(http.StatusOK)
	if w.comment() != nil {
		return nil
	}
	for {
		wait, cancel := context.WithTimeout(ctx, heartbeat)
		e, err := stream.Next(wait)
		quiet := wait.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && quiet:
			if w.comment() != nil {
				return nil
			}
		case err != nil:
			return err
		case !s.hears(c.client, e):
		default:
			if e.CheckIn != nil {
				in, err := s.showing(ctx, c.client, *e.CheckIn, nil)
				if err != nil {
					return err
				}
				e.CheckIn = &in
			}
			if e.Status != nil {
				st := statusFor(c.client, *e.Status) // the event is shared
				e.Status = &st
			}
			if w.event(e) != nil {
				return nil
			}
		}
	}
}

// hears reports whether an event is for this client, whatever the bus thinks of
// it.
func (s *Server) hears(c *client, e wire.Event) bool {
	switch {
	case c.desk:
		return true
	case e.Type == wire.EventPairing || e.Pairing != nil, e.Type == wire.EventOperator:
		return false
	case e.CheckIn != nil:
		return e.CheckIn.Owner == c.owner
	default:
		return true
	}
}

// An eventWriter writes an event stream (HTML standard, 9.2.5). A reader that
// takes nothing for too long is left.
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (w *eventWriter) comment() error { return w.write([]byte(":\n\n")) }

func (w *eventWriter) event(e wire.Event) error {
	data, err := json.Marshal(e) // without line feeds
	if err != nil {
		return err
	}
	b := []byte("event: " + e.Type + "\nid: " + strconv.FormatUint(e.Seq, 10) + "\ndata: ")
	return w.write(append(append(b, data...), "\n\n"...))
}

func (w *eventWriter) write(b []byte) error {
	_ = w.rc.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := w.w.Write(b); err != nil {
		return err
	}
	return w.rc.Flush()
}
