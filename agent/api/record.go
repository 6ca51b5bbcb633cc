package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/wire"
)

// A recorder remembers what the log says of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	code   string
	cause  error
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// fail answers with f, unless an answer was begun: then the connection is all
// that is left to break off, which the error of the handler does by ending it.
func (w *recorder) fail(f *failure) {
	w.code = f.fault.Code
	if f.status >= 500 {
		w.cause = f.cause
	}
	if w.status == 0 {
		fail(w, f)
	}
}

// levelOf says how loud the log is about an answer. Refusals matter to who looks
// for an attack, and good answers to nobody but programmers.
func levelOf(status int) slog.Level {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// maxViews bounds what is remembered of who saw what. Who was forgotten is
// written down once more.
const maxViews = 256

// views knows which looks at a person are in the audit trail already, so that a
// page that asks each second fills no disk.
type views struct {
	mu   sync.Mutex
	list []view
}

type view struct{ client, object, what string }

// first reports whether v is not in the trail yet.
func (l *views) first(v view) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.Contains(l.list, v)
}

func (l *views) add(v view) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= maxViews {
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, v)
}

// shown writes in the audit trail that the caller sees something of a person,
// once for each caller, thing and way. What cannot be written is not shown.
func (s *Server) shown(ctx context.Context, c *client, object, what string) error {
	v := view{c.ID, object, what}
	if !s.seen.first(v) {
		return nil
	}
	actor := c.owner
	if c.desk {
		actor = s.actor()
	}
	// It is written even when the caller has gone: he may have seen it.
	if err := s.audit(context.WithoutCancel(ctx), audit.Entry{Actor: actor, Action: audit.VisitShown, Object: object, Note: what}); err != nil {
		return err
	}
	s.seen.add(v)
	return nil
}

// showing returns a check-in that may be shown: the look at its person is in the
// trail.
func (s *Server) showing(ctx context.Context, c *client, in wire.CheckIn, err error) (wire.CheckIn, error) {
	if err != nil {
		return wire.CheckIn{}, err
	}
	if !c.desk && in.Owner != c.owner {
		return wire.CheckIn{}, failNotFound // whatever the front desk thinks of it
	}
	if in.Person != nil || in.Entitlement != nil {
		if err := s.shown(ctx, c, in.ID, "check-in"); err != nil {
			return wire.CheckIn{}, err
		}
	}
	return in, nil
}
