package api

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// A call is a request that was let in.
type call struct {
	r      *http.Request
	w      http.ResponseWriter
	route  *route
	client *client // nil: a stranger, on routes that are open to everybody
	// origin of the page that calls; empty: a program, or a browser that opens one of
	// our pages.
	origin string
}

// id returns a part of the path.
func (c *call) id(name string) string { return c.r.PathValue(name) }

// owner is whose check-ins the caller may see.
func (c *call) owner() string {
	if c.client.desk {
		return OwnerDesk
	}
	return c.client.owner
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	pattern, who := s.serve(rec, r)
	// Nothing of the request but its route: a path has ids, a query may have anything.
	level := levelOf(rec.status)
	s.log.Log(r.Context(), level, "request", "route", pattern, "status", rec.status, "client", who,
		"elapsed", time.Since(start).Round(time.Microsecond), "fault", rec.code)
	if rec.cause != nil {
		s.log.Error("request failed", "route", pattern, "err", rec.cause)
	}
}

// serve answers and returns the route's pattern and the client's id.
func (s *Server) serve(w *recorder, r *http.Request) (pattern, who string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Add("Vary", "Origin")

	if !ownHost(r) {
		return "", s.refuse(w, failHost)
	}
	rt, pattern, f := s.match(r)
	if r.Method == http.MethodOptions {
		s.preflight(w, r)
		return "OPTIONS", ""
	}
	origin, f2 := originOf(r, rt)
	if origin != "" && f2 == nil {
		f2 = s.admit(w, r, rt, origin)
	}
	switch {
	case f2 != nil: // before 404: a foreign page is not told what there is
		return pattern, s.refuse(w, f2)
	case f != nil:
		if f.status == http.StatusMethodNotAllowed {
			h.Set("Allow", strings.Join(s.methods(r), ", "))
		}
		return pattern, s.refuse(w, f)
	}

	c := &call{r: r, w: w, route: rt, origin: origin}
	if rt.access >= forClients {
		if c.client, f = s.authenticate(r, rt, origin); f != nil {
			return pattern, s.refuse(w, f)
		}
		who = c.client.ID
		called(r, c.client)
		if f := limited(c.client.limit); f != nil {
			w.fail(f)
			return pattern, who
		}
		s.clients.used(c.client, s.now())
		// What was let in ends with the token.
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(c.client.ctx, cancel)()
		c.r = r.WithContext(ctx)
	} else if f := limited(s.open(r, rt)); f != nil {
		w.fail(f)
		return pattern, ""
	}
	if f := s.deadlines(w, c.r, rt); f != nil {
		w.fail(f)
		return pattern, who
	}
	if err := rt.serve(c); err != nil {
		w.fail(s.failureOf(err))
	}
	return pattern, who
}

// open returns the limit of what needs no token.
func (s *Server) open(r *http.Request, rt *route) *rate.Limiter {
	switch {
	case rt.access == forStrangers:
		return s.strangers
	case r.Header.Get("Origin") != "" || browser(r):
		return s.pages
	}
	return s.programs
}

// refuse answers somebody who was not let in, more slowly than he asks.
func (s *Server) refuse(w *recorder, f *failure) string {
	if g := limited(s.refusals); g != nil {
		f = g
	}
	w.fail(f)
	return ""
}

// limited takes one from a limit, or says how long to wait.
func limited(l *rate.Limiter) *failure {
	if l.Allow() {
		return nil
	}
	f := *failTooMany
	f.after = max(time.Second, time.Duration(float64(time.Second)/float64(l.Limit())))
	return &f
}

// ownHost reports whether the request came over loopback and under one of the
// three names of the very address that it came to.
func ownHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	tcp, ok := local.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return false
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(remote); ip == nil || !ip.IsLoopback() {
		return false
	}
	return slices.Contains(ownHosts(tcp.Port), r.Host)
}

func ownHosts(port int) []string {
	p := strconv.Itoa(port)
	return []string{"127.0.0.1:" + p, "[::1]:" + p, "localhost:" + p}
}

// match finds the route.
func (s *Server) match(r *http.Request) (*route, string, *failure) {
	// The mux would redirect; there is nothing here that anybody has to be led to.
	if r.URL.Path != path.Clean(r.URL.Path) || r.URL.RawPath != "" {
		return nil, "", failNotFound
	}
	_, pattern := s.mux.Handler(r)
	if rt := s.routes[pattern]; rt != nil && rt.method == r.Method {
		s.mux.ServeHTTP(nowhere{}, r) // sets the values of the path
		return rt, pattern, nil
	}
	if len(s.methods(r)) > 0 {
		return nil, "", failMethod
	}
	return nil, "", failNotFound
}

// methods returns those that the path takes.
func (s *Server) methods(r *http.Request) (list []string) {
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if rt := s.under(r, m); rt != nil {
			list = append(list, m)
		}
	}
	return list
}

// under returns the route of the request's path with another method.
func (s *Server) under(r *http.Request, method string) *route {
	other := *r
	other.Method = method
	_, pattern := s.mux.Handler(&other)
	if rt := s.routes[pattern]; rt != nil && rt.method == method {
		return rt
	}
	return nil
}

// nowhere takes what the mux's own handlers say.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// originOf returns the origin of the page that calls. It is empty for a program,
// and for a browser that opens one of our own pages. A browser that hides its
// page is refused.
func originOf(r *http.Request, rt *route) (string, *failure) {
	if list, ok := r.Header["Origin"]; ok {
		if len(list) != 1 || !validOrigin(list[0]) { // "null", too
			return "", failOrigin
		}
		return list[0], nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case site == "same-origin":
		// A page may not set or change this header, and Chromium sends no Origin with a
		// GET of a page of our own. Host was checked.
		return "http://" + r.Host, nil
	case rt != nil && rt.access == forPages:
		return "", nil
	case browser(r):
		return "", failOrigin
	}
	return "", nil
}

// browser reports whether the request has a trace of a browser.
func browser(r *http.Request) bool {
	if r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" {
		return true
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-") {
			return true
		}
	}
	return false
}

// admit lets a page's origin read the answer, or refuses it.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, rt *route, origin string) *failure {
	own := origin == "http://"+r.Host
	if !s.mayCall(rt, origin, own) {
		return failOrigin
	}
	if !own {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	}
	return nil
}

// mayCall reports whether a page of this origin may send requests here at all. To
// be paired it need not be known yet.
func (s *Server) mayCall(rt *route, origin string, own bool) bool {
	if own || s.clients.allows(origin) {
		return true
	}
	return rt != nil && rt.access == forStrangers && !s.cfg.NoPairing
}

// preflight answers a browser that asks whether a page may call.
func (s *Server) preflight(w *recorder, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method")
	h.Add("Vary", "Access-Control-Request-Headers")
	method := r.Header.Get("Access-Control-Request-Method")
	origin, f := originOf(r, nil)
	if f != nil || origin == "" || method == "" || r.Header.Get("Origin") == "" {
		s.refuse(w, failOrigin)
		return
	}
	rt := s.under(r, method)
	if rt == nil || !s.mayCall(rt, origin, origin == "http://"+r.Host) {
		s.refuse(w, failOrigin)
		return
	}
	for _, name := range strings.Split(r.Header.Get("Access-Control-Request-Headers"), ",") {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "authorization", "content-type", "accept":
		default:
			s.refuse(w, failOrigin)
			return
		}
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	// Private Network Access, which Chromium had before Local Network Access took its
	// place: the server says that it means to be called from less private networks.
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

// is reports whether token is this client's.
func (c *client) is(token string) bool {
	h := HashToken(token)
	return subtle.ConstantTimeCompare(h[:], c.Hash[:]) == 1
}

// authenticate returns the client of the request's token.
func (s *Server) authenticate(r *http.Request, rt *route, origin string) (*client, *failure) {
	list := r.Header["Authorization"]
	if len(list) != 1 {
		return nil, failNoToken
	}
	scheme, token, _ := strings.Cut(list[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || len(token) > 200 {
		return nil, failNoToken
	}
	c := s.clients.byToken(token)
	if c == nil && s.desk != nil && s.desk.is(token) {
		c = s.desk
	}
	switch {
	case c == nil:
		return nil, failNoToken
	case c.Origin != origin: // of a page; the desk's and a program's is empty
		return nil, failOrigin
	case rt.access == forDesk && !c.desk:
		return nil, failDeskOnly
	}
	return c, nil
}
