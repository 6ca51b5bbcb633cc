package api

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// DefaultPort is where the API is found unless configured otherwise.
const DefaultPort = 9786

// ErrAddress reports a listener that others than this computer can reach.
var ErrAddress = errors.New("api: listener is not on a loopback address")

// Limits of the server.
const (
	headerTime  = 5 * time.Second
	idleTime    = time.Minute
	stopTime    = 5 * time.Second
	maxHeader   = 16 << 10
	connections = 128
)

// Listen opens the port on 127.0.0.1 and, where there is IPv6, on ::1. With port
// 0 the system chooses one, the same for both. The listeners are the caller's
// until [Server.Serve] has them. An error that is about a taken port satisfies
// errors.Is with the system's address-in-use error.
func Listen(ctx context.Context, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	v4, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	taken := strconv.Itoa(v4.Addr().(*net.TCPAddr).Port)
	v6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", taken))
	if err != nil {
		// IPv6 may be switched off. But a program that has this port there could be taken
		// for the agent by whoever asks "localhost".
		if portTaken(err) {
			_ = v4.Close()
			return nil, fmt.Errorf("api: %w", err)
		}
		return []net.Listener{v4}, nil
	}
	return []net.Listener{v4, v6}, nil
}

// Serve serves on the listeners, which it closes, until ctx ends; then it ends the
// event streams, lets the other requests finish for a while and returns nil. A
// listener that is not on a loopback address is refused before anything is
// served.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	if len(listeners) == 0 {
		return errors.New("api: no listener")
	}
	for _, l := range listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
			return ErrAddress
		}
	}
	all := new(pool)
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime + bodyTime, // see Server.deadlines
		WriteTimeout:      headerTime + bodyTime + writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:         all.state,
		ErrorLog:          log.New(discard{}, "", 0), // its lines quote requests
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := server.Serve(&bounded{Listener: l, pool: all}); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("api: %w", err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-gctx.Done()
		end() // event streams and waiting requests
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if server.Shutdown(stop) != nil {
			_ = server.Close()
		}
		return nil
	})
	return g.Wait()
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// A pool bounds the connections of one server. Over the limit it makes room: a
// program that opens connections without end, and says nothing, must not keep the
// desk out.
type pool struct {
	mu   sync.Mutex
	open []*pooled // oldest first
}

// pooled is a connection of a pool. Its fields are guarded by pool.mu.
type pooled struct {
	net.Conn
	pool  *pool
	known bool // somebody with a token has called over it
	desk  bool // the desk has
	idle  bool // nothing is being answered
}

// take adds a connection, in the place of the one that can be spared best: the oldest
// of those over which nobody with a token has called, and then of clients' that are
// idle. Without one like that, it reports false.
func (p *pool) take(c net.Conn) (*pooled, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= connections {
		i := slices.IndexFunc(p.open, func(o *pooled) bool { return !o.known })
		if i < 0 {
			i = slices.IndexFunc(p.open, func(o *pooled) bool { return !o.desk && o.idle })
		}
		if i < 0 {
			return nil, false
		}
		spared := p.open[i]
		p.open = slices.Delete(p.open, i, i+1)
		_ = spared.Conn.Close() // its server sees that, and closes it once more
	}
	n := &pooled{Conn: c, pool: p}
	p.open = append(p.open, n)
	return n, true
}

// Close implements [net.Conn].
func (c *pooled) Close() error {
	c.pool.mu.Lock()
	c.pool.open = slices.DeleteFunc(c.pool.open, func(o *pooled) bool { return o == c })
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

// state notes what the server does with a connection.
func (p *pool) state(c net.Conn, s http.ConnState) {
	if c, ok := c.(*pooled); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		c.idle = s == http.StateIdle
	}
}

// connKey is where a request's context has its connection.
type connKey struct{}

// called notes who calls over a request's connection.
func called(r *http.Request, by *client) {
	if c, ok := r.Context().Value(connKey{}).(*pooled); ok {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		c.known, c.desk = true, c.desk || by.desk
	}
}

// bounded is a listener whose connections are of a pool. What has no room is closed at
// once, instead of waiting.
type bounded struct {
	net.Listener
	pool *pool
}

func (l *bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if p, ok := l.pool.take(c); ok {
			return p, nil
		}
		_ = c.Close()
	}
}
