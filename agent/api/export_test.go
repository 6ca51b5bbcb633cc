package api

import (
	"net"
	"net/http"
	"slices"
)

// Patterns returns "METHOD /path" of every route.
func Patterns(s *Server) (list []string) {
	for p := range s.routes {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// DecodeJSON, DecodeClients, ValidOrigin and ValidName are what takes foreign bytes.
var (
	DecodeJSON    = decodeJSON
	DecodeClients = decodeClients
	ValidOrigin   = validOrigin
	ValidClient   = validClient
)

// Connections and streams that are taken at once, and what a pairing allows.
const (
	Connections = connections
	StreamsEach = streamsEach
	PairTime    = pairTime
	MaxBody     = maxBody
	MaxGranted  = maxGranted
	AskingBurst = askingBurst
)

// A Pool is a pool without a server.
type Pool struct{ p *pool }

// NewPool returns an empty one.
func NewPool() Pool { return Pool{new(pool)} }

// Take is take.
func (p Pool) Take(c net.Conn) (net.Conn, bool) {
	n, ok := p.p.take(c)
	return n, ok
}

// Known has the desk, or a client, call over all connections that are open.
func (p Pool) Known(desk bool) {
	for _, c := range p.p.open {
		c.known, c.desk = true, desk
	}
}

// Idle has a connection have nothing to do.
func (p Pool) Idle(c net.Conn) { p.p.state(c, http.StateIdle) }
