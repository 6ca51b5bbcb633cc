package api

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
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
		ErrorLog:          log.New(discard{}, "", 0), // its lines quote requests
	}
	var open atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := server.Serve(&bounded{Listener: l, open: &open}); !errors.Is(err, http.ErrServerClosed) {
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

// bounded closes what is over the limit at once, instead of letting it wait: so a
// program that opens connections without end does not keep others from being
// served when theirs is closed again.
type bounded struct {
	net.Listener
	open *atomic.Int64
}

func (l *bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= connections {
			return &counted{Conn: c, done: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = c.Close()
	}
}

type counted struct {
	net.Conn
	done func()
}

func (c *counted) Close() error {
	c.done()
	return c.Conn.Close()
}
