package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

// An access says who may use a route.
type access int

const (
	// forPages: whoever opens a page or asks for life; no token.
	forPages access = iota
	// forStrangers: who wants to be paired; no token.
	forStrangers
	// forClients: who has a token.
	forClients
	// forDesk: the desk of this computer.
	forDesk
)

// A route is one method of one path.
type route struct {
	method, path string
	access       access
	serve        func(*call) error
	body         bool // it reads the body, and must do it in bodyTime
}

// Limits of a request.
const (
	maxBody  = 64 << 10
	bodyTime = 10 * time.Second
)

// table returns every route that there is.
func (s *Server) table() []*route {
	return append([]*route{
		{http.MethodGet, "/healthz", forPages, s.healthz, false},
		{http.MethodGet, "/openapi.json", forPages, s.openAPI, false},

		get("/api/v1/status", forClients, s.status),
		get("/api/v1/readers", forClients, s.readers),

		post("/api/v1/checkins", forClients, http.StatusCreated, s.start),
		get("/api/v1/checkins/current", forClients, s.current),
		get("/api/v1/checkins/{id}", forClients, s.get),
		post("/api/v1/checkins/{id}/key", forClients, http.StatusOK, s.key),
		post("/api/v1/checkins/{id}/confirm", forClients, http.StatusOK, s.confirm),
		act("/api/v1/checkins/{id}/cancel", forClients, s.cancel),
		{http.MethodGet, "/api/v1/checkins/{id}/photo", forClients, s.photo, false},
		{http.MethodGet, "/api/v1/checkins/{id}/record.xml", forClients, s.record, false},
		{http.MethodGet, "/api/v1/events", forClients, s.events, false},

		post("/api/v1/pairings", forStrangers, http.StatusCreated, s.askPairing),
		post("/api/v1/pairings/{id}/token", forStrangers, http.StatusCreated, s.giveToken),
		get("/api/v1/pairings", forDesk, s.listPairings),
		act("/api/v1/pairings/{id}/approve", forDesk, s.approve),
		act("/api/v1/pairings/{id}/deny", forDesk, s.deny),
		get("/api/v1/clients", forDesk, s.listClients),
		remove("/api/v1/clients/{id}", s.revoke),

		post("/api/v1/history/search", forDesk, http.StatusOK, s.history),
		get("/api/v1/queue", forDesk, s.queue),
		{http.MethodPost, "/api/v1/queue/{visit}/retry", forDesk, s.retry, true},
		post("/api/v1/operator", forDesk, http.StatusOK, s.signIn),
		remove("/api/v1/operator", s.signOut),
		get("/api/v1/doctor", forDesk, s.doctor),
		{http.MethodPost, "/api/v1/support-bundle", forDesk, s.support, true},
	}, pageRoutes()...)
}

// get makes a route that answers with JSON.
func get[T any](path string, a access, f func(context.Context, *call) (T, error)) *route {
	return &route{method: http.MethodGet, path: path, access: a, serve: func(c *call) error {
		out, err := f(c.r.Context(), c)
		if err != nil {
			return err
		}
		answer(c.w, http.StatusOK, out)
		return nil
	}}
}

// post makes a route that takes JSON and answers with JSON.
func post[In, Out any](path string, a access, status int, f func(context.Context, *call, In) (Out, error)) *route {
	return &route{method: http.MethodPost, path: path, access: a, body: true, serve: func(c *call) error {
		var in In
		if err := c.decode(&in, false); err != nil {
			return err
		}
		out, err := f(c.r.Context(), c, in)
		if err != nil {
			return err
		}
		answer(c.w, status, out)
		return nil
	}}
}

// act makes a route that takes nothing, or {}, and answers with JSON.
func act[T any](path string, a access, f func(context.Context, *call) (T, error)) *route {
	return &route{method: http.MethodPost, path: path, access: a, body: true, serve: func(c *call) error {
		if err := c.decode(&struct{}{}, true); err != nil {
			return err
		}
		out, err := f(c.r.Context(), c)
		if err != nil {
			return err
		}
		answer(c.w, http.StatusOK, out)
		return nil
	}}
}

// remove makes a DELETE for the desk.
func remove(path string, f func(context.Context, *call) error) *route {
	return &route{method: http.MethodDelete, path: path, access: forDesk, serve: func(c *call) error {
		if err := f(c.r.Context(), c); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}}
}

// deadlines bounds how long the body may take, and refuses one where none
// belongs. A request without body has all of it: from there on the deadline of
// the connection would only end long answers.
func (s *Server) deadlines(w http.ResponseWriter, r *http.Request, rt *route) *failure {
	if rt.body {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		return nil
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		return failBadRequest.saying("this takes no body")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return nil
}

// decode reads the body, which is one JSON value with known fields only, into v.
// With optional it may be empty.
func (c *call) decode(v any, optional bool) error {
	b, err := io.ReadAll(c.r.Body)
	if err != nil {
		// The rest of the body is still on its way; nothing after it can be understood.
		c.w.Header().Set("Connection", "close")
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return failTooLarge
		}
		return failBadRequest.saying("the body did not arrive")
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
	if optional && len(b) == 0 {
		return nil
	}
	// A form of another page can send text/plain without being asked for leave.
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || (params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8")) {
		return failNotJSON
	}
	return decodeJSON(b, v)
}

// decodeJSON reads one JSON value. The error quotes nothing of it.
func decodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return failBadRequest.saying("malformed JSON, an unknown field, or a value of the wrong type")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return failBadRequest.saying("something follows the JSON value")
	}
	return nil
}

func (s *Server) healthz(c *call) error {
	c.w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(c.w, "{\"status\":\"ok\"}\n")
	return err
}

func (s *Server) status(ctx context.Context, c *call) (wire.Status, error) {
	if s.cfg.Status == nil {
		return wire.Status{}, failNotReady
	}
	st, err := s.cfg.Status(ctx, c.owner())
	return statusFor(c.client, st), err
}

// statusFor leaves out of a status what is not for this client: who works at the desk
// is nobody's business who is not there.
func statusFor(c *client, st wire.Status) wire.Status {
	if !c.desk {
		st.Operator = nil
	}
	return st
}

func (s *Server) readers(ctx context.Context, _ *call) ([]wire.Reader, error) {
	if s.cfg.Readers == nil {
		return nil, failNotReady
	}
	list, err := s.cfg.Readers(ctx)
	if list == nil {
		list = []wire.Reader{}
	}
	return list, err
}

func (s *Server) start(ctx context.Context, c *call, in wire.Start) (wire.CheckIn, error) {
	if s.cfg.CheckIns == nil {
		return wire.CheckIn{}, failNotReady
	}
	out, err := s.cfg.CheckIns.Start(ctx, c.owner(), in)
	return s.showing(ctx, c.client, out, err)
}

func (s *Server) current(ctx context.Context, c *call) (wire.CheckIn, error) {
	if s.cfg.CheckIns == nil {
		return wire.CheckIn{}, failNotReady
	}
	out, err := s.cfg.CheckIns.Current(ctx, c.owner())
	return s.showing(ctx, c.client, out, err)
}

func (s *Server) get(ctx context.Context, c *call) (wire.CheckIn, error) {
	if s.cfg.CheckIns == nil {
		return wire.CheckIn{}, failNotReady
	}
	out, err := s.cfg.CheckIns.Get(ctx, c.owner(), c.id("id"))
	return s.showing(ctx, c.client, out, err)
}

func (s *Server) key(ctx context.Context, c *call, in wire.Key) (wire.CheckIn, error) {
	if s.cfg.CheckIns == nil {
		return wire.CheckIn{}, failNotReady
	}
	out, err := s.cfg.CheckIns.Key(ctx, c.owner(), c.id("id"), in)
	return s.showing(ctx, c.client, out, err)
}

func (s *Server) confirm(ctx context.Context, c *call, in wire.Confirmation) (wire.CheckIn, error) {
	if s.cfg.CheckIns == nil {
		return wire.CheckIn{}, failNotReady
	}
	out, err := s.cfg.CheckIns.Confirm(ctx, c.owner(), c.id("id"), in)
	return s.showing(ctx, c.client, out, err)
}

func (s *Server) cancel(ctx context.Context, c *call) (wire.CheckIn, error) {
	if s.cfg.CheckIns == nil {
		return wire.CheckIn{}, failNotReady
	}
	out, err := s.cfg.CheckIns.Cancel(ctx, c.owner(), c.id("id"))
	return s.showing(ctx, c.client, out, err)
}

func (s *Server) photo(c *call) error {
	if s.cfg.CheckIns == nil {
		return failNotReady
	}
	ctx := c.r.Context()
	picture, kind, err := s.cfg.CheckIns.Photo(ctx, c.owner(), c.id("id"))
	if err != nil {
		return err
	}
	if kind != "image/jpeg" && kind != "image/png" {
		return failInternal.because(errors.New("api: picture of another media type"))
	}
	if err := s.shown(ctx, c.client, c.id("id"), "photo"); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", kind)
	_, _ = c.w.Write(picture)
	return nil
}

func (s *Server) record(c *call) error {
	if s.cfg.CheckIns == nil {
		return failNotReady
	}
	ctx := c.r.Context()
	xml, err := s.cfg.CheckIns.Record(ctx, c.owner(), c.id("id"))
	if err != nil {
		return err
	}
	if err := s.shown(ctx, c.client, c.id("id"), "record"); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/xml")
	_, _ = c.w.Write(xml)
	return nil
}

func (s *Server) listPairings(context.Context, *call) ([]wire.Pairing, error) {
	return s.pairing.all(), nil
}

func (s *Server) approve(_ context.Context, c *call) (wire.Pairing, error) {
	p, err := s.pairing.decide(c.id("id"), pairApproved, s.actor())
	if err == nil {
		s.tellPairings(p)
	}
	return p, err
}

func (s *Server) deny(_ context.Context, c *call) (wire.Pairing, error) {
	p, err := s.pairing.decide(c.id("id"), pairDenied, s.actor())
	if err == nil {
		s.tellPairings(p)
	}
	return p, err
}

func (s *Server) listClients(context.Context, *call) ([]wire.Client, error) {
	return s.clients.all(), nil
}

func (s *Server) history(ctx context.Context, c *call, in wire.HistoryQuery) (wire.History, error) {
	if s.cfg.Journal == nil {
		return wire.History{}, failNotReady
	}
	if in.Day != "" {
		if _, err := time.Parse(time.DateOnly, in.Day); err != nil {
			return wire.History{}, failBadRequest.saying("day: yyyy-mm-dd")
		}
	}
	if len(in.Text) > 200 || len(in.After) > 200 {
		return wire.History{}, failBadRequest.saying("q, after: at most 200 bytes")
	}
	out, err := s.cfg.Journal.History(ctx, in)
	if err != nil {
		return wire.History{}, err
	}
	what := "history"
	if in.Text != "" {
		what = "search" // not for what: that is a person
	}
	if err := s.shownList(ctx, c.client, out.Day, what, in.Text == "", out.Entries); err != nil {
		return wire.History{}, err
	}
	return out, nil
}

// states of a visit, for the queue.
var queueStates = []string{"", "queued", "stored", "accepted", "rejected"}

func (s *Server) queue(ctx context.Context, c *call) (wire.QueuePage, error) {
	if s.cfg.Journal == nil {
		return wire.QueuePage{}, failNotReady
	}
	q := c.r.URL.Query()
	for name, values := range q {
		if (name != "state" && name != "after") || len(values) != 1 || len(values[0]) > 200 {
			return wire.QueuePage{}, failBadRequest.saying("state and after, once each")
		}
	}
	if !slices.Contains(queueStates, q.Get("state")) {
		return wire.QueuePage{}, failBadRequest.saying("state: queued, stored, accepted or rejected")
	}
	out, err := s.cfg.Journal.Queue(ctx, q.Get("state"), q.Get("after"))
	if err != nil {
		return wire.QueuePage{}, err
	}
	if err := s.shownList(ctx, c.client, "queue", strings.TrimSpace("queue "+q.Get("state")), false, out.Entries); err != nil {
		return wire.QueuePage{}, err
	}
	return out, nil
}

func (s *Server) retry(c *call) error {
	if err := c.decode(&struct{}{}, true); err != nil {
		return err
	}
	if s.cfg.Journal == nil {
		return failNotReady
	}
	if err := s.cfg.Journal.Retry(c.r.Context(), c.id("visit"), s.actor()); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) signIn(ctx context.Context, _ *call, in wire.SignIn) (wire.Operator, error) {
	if s.cfg.Operators == nil {
		return wire.Operator{}, failNotReady
	}
	if in.Name == "" || len(in.Name) > 100 || len(in.PIN) > 100 {
		return wire.Operator{}, failBadRequest.saying("name: 1 to 100 bytes; pin: at most 100")
	}
	if f := limited(s.signIns); f != nil {
		return wire.Operator{}, f
	}
	return s.cfg.Operators.SignIn(ctx, in)
}

func (s *Server) signOut(ctx context.Context, _ *call) error {
	if s.cfg.Operators == nil {
		return failNotReady
	}
	return s.cfg.Operators.SignOut(ctx)
}

// doctorTime bounds a diagnosis; each of its checks has a limit of its own.
const doctorTime = 2 * time.Minute

func (s *Server) doctor(ctx context.Context, c *call) (wire.Diagnosis, error) {
	if s.cfg.Doctor == nil {
		return wire.Diagnosis{}, failNotReady
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(doctorTime + writeTime))
	return s.cfg.Doctor(ctx)
}

// support answers with an archive. It is made in a file first, because after the
// first byte an error could not be told any more.
func (s *Server) support(c *call) error {
	if err := c.decode(&struct{}{}, true); err != nil {
		return err
	}
	if s.cfg.Support == nil {
		return failNotReady
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), doctorTime)
	defer cancel()
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(2 * doctorTime))
	f, err := os.CreateTemp("", "chamthe-support-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	if err := s.cfg.Support(ctx, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/zip")
	c.w.Header().Set("Content-Disposition", `attachment; filename="chamthe-support.zip"`)
	_, _ = io.Copy(c.w, f) // who breaks off has the wrong size
	return nil
}
