package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

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

// Limits of what is remembered of who saw what. What was forgotten is written down
// once more, and so is what is looked at again after viewAgain.
const (
	maxViews  = 1024
	viewAgain = time.Hour
)

// views knows which looks at a person are in the audit trail already, so that a
// page that asks each second fills no disk.
type views struct {
	mu   sync.Mutex
	list []seen // in the order in which they were written down
}

// A view is what one person sees in one way. Who sits down at the same program later
// is somebody else.
type view struct{ client, actor, object, what string }

type seen struct {
	view
	at time.Time
}

// first reports whether v is not in the trail, or was written there too long ago.
func (l *views) first(v view, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(l.list, func(s seen) bool { return s.view == v && now.Sub(s.at).Abs() < viewAgain })
}

func (l *views) add(v view, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(s seen) bool { return s.view == v })
	if len(l.list) >= maxViews {
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, seen{v, now})
}

// shown writes in the audit trail that the caller sees something of a person, once
// for each person who calls, thing and way. What cannot be written is not shown.
func (s *Server) shown(ctx context.Context, c *client, object, what string) error {
	return s.view(ctx, c, object, what, what)
}

// shownList writes in the audit trail which visits the caller sees in a list. A list
// with another visit in it is another look. The notes name every visit; those of a
// whole day, which is asked for after each visit, the first and the last.
func (s *Server) shownList(ctx context.Context, c *client, object, what string, whole bool, list []wire.HistoryEntry) error {
	if len(list) == 0 {
		return nil
	}
	const room = 5 // ids in one entry of the trail
	h := sha256.New()
	var notes []string
	for ids := range slices.Chunk(list, room) {
		note := what + ":"
		for _, e := range ids {
			h.Write([]byte(e.Visit + "\n"))
			note += " " + e.Visit
		}
		notes = append(notes, note)
	}
	if whole && len(list) > room {
		notes = []string{fmt.Sprintf("%s: %d visits, %s to %s", what, len(list), list[0].Visit, list[len(list)-1].Visit)}
	}
	return s.view(ctx, c, object, what+" "+string(h.Sum(nil)), notes...)
}

// view writes entries with these notes about a look, unless the same person had the
// same one.
func (s *Server) view(ctx context.Context, c *client, object, what string, notes ...string) error {
	v, now := view{c.ID, s.actorOf(c), object, what}, s.now()
	if !s.seen.first(v, now) {
		return nil
	}
	var entries []audit.Entry
	for _, note := range notes {
		entries = append(entries, audit.Entry{Actor: v.actor, Action: audit.VisitShown, Object: object, Note: note})
	}
	// They are written even when the caller has gone: he may have seen it.
	if err := s.audit(context.WithoutCancel(ctx), entries...); err != nil {
		return err
	}
	s.seen.add(v, now)
	return nil
}

// actorOf is who is responsible for what a caller does: who sits at the desk, or the
// client, which knows its own users.
func (s *Server) actorOf(c *client) string {
	if c.desk {
		return s.actor()
	}
	return c.owner
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
