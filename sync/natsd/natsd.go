// Package natsd runs a NATS server with JetStream inside the process, for
// `chamthe demo`, for chamthe-central when it is given no server, and for
// tests. It is the real server (nats-server 2.15), listening on a real port;
// only who starts and stops it differs.
//
// It omits what an operator of a national service needs (leaf nodes,
// monitoring): such a server is configured with its own
// configuration file and given to the rest of chamthe as a URL. One node is
// the rule here; [Cluster] joins several of them into a JetStream cluster.
package natsd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// RandomPort asks for any free port.
const RandomPort = -1

// readyWithin bounds the wait for the listener. Replaying a large store is
// part of it, so it is generous; a listener that failed is reported at once.
const readyWithin = 30 * time.Second

var (
	// ErrNoDir reports options without a directory: a server whose store is
	// somewhere under /tmp loses visits quietly.
	ErrNoDir = errors.New("natsd: no directory for the store")
	// ErrPlaintext reports a listener that others could reach without TLS.
	ErrPlaintext = errors.New("natsd: not a loopback address and no TLS configuration")
)

// Options configures a server. The zero value of every field but Dir is
// usable.
type Options struct {
	// Dir holds the JetStream files. It is created, with mode 0700.
	Dir string
	// Host is the address to listen on; "" is 127.0.0.1. Any address that is
	// not loopback needs TLS.
	Host string
	// Port to listen on; 0 and [RandomPort] choose a free one. To restart a
	// server where its clients look for it, give the old [Server.Port].
	Port int
	// SyncAlways has every write on the disk before its acknowledgement. It
	// costs about six times the throughput and is what survives a power cut;
	// the death of the process alone loses nothing either way.
	SyncAlways bool
	// MaxStore limits the bytes JetStream may use on disk; 0 leaves it to the
	// server (three quarters of what is free). It bounds every stream that has no
	// limit of its own. A full store refuses what is new and drops nothing: what
	// it has acknowledged, nobody else may have any more.
	MaxStore int64
	// MaxPayload limits one message in bytes; 0 means the server's 1 MiB.
	MaxPayload int32
	// Name identifies the server in a cluster; "" chooses one.
	Name string
	// TLS is the server's configuration; nil means no TLS.
	TLS *tls.Config
	// Users who may connect. None means that anybody may.
	Users []User
	// Operator takes the place of Users; nil means none.
	Operator *Operator
	// Cluster joins this server to others; nil means one node.
	Cluster *Cluster
	// Logger receives the server's own messages (never payloads: its tracing
	// stays off); nil discards them.
	Logger *slog.Logger
}

// User is somebody who proves the possession of an nkey. Empty lists of
// subjects allow everything, in the account that holds the store. A user with
// subjects may use exactly those, and lives in an account of its own: what it
// publishes reaches the service, and the answers reach nobody but itself,
// whatever reply subject it chooses. Nothing else passes between the accounts,
// so such users cannot hear what others publish.
type User struct {
	NKey      string   // public user key, "U..."
	Publish   []string // subjects it may publish to
	Subscribe []string // subjects it may subscribe to
}

// Cluster describes the other nodes of a JetStream cluster. Three nodes are
// the smallest number that goes on when one dies.
type Cluster struct {
	Name   string   // the same on every node
	Host   string   // address for routes; "" is 127.0.0.1
	Port   int      // port for routes
	Routes []string // nats-route://host:port of the other nodes
	// TLS protects the routes; required when Host is not loopback.
	TLS *tls.Config
}

// Server is a running server. It must be stopped with [Server.Shutdown]. Its
// methods are safe for concurrent use.
type Server struct {
	ns   *server.Server
	lock *os.File // of the directory
	log  *logger
	host string
	port int
}

// Start starts a server and returns when it accepts connections and JetStream
// has recovered its files. Signals are left to the program. It returns
// [ErrInUse] for a directory that another server has, in any process.
func Start(o Options) (_ *Server, err error) {
	if o.Dir == "" {
		return nil, ErrNoDir
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.TLS == nil && !natsconn.Loopback(o.Host) {
		return nil, ErrPlaintext
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()

	so := &server.Options{
		ServerName:             o.Name,
		Host:                   o.Host,
		Port:                   o.Port,
		JetStream:              true,
		StoreDir:               o.Dir,
		JetStreamMaxStore:      o.MaxStore,
		SyncAlways:             o.SyncAlways,
		MaxPayload:             o.MaxPayload,
		NoSigs:                 true,
		NoLog:                  true, // no file and no stderr; see SetLoggerV2 below
		DisableJetStreamBanner: true,
	}
	if o.Port == 0 {
		so.Port = RandomPort
	}
	if o.TLS != nil {
		so.TLS = true
		so.TLSConfig = o.TLS
		so.TLSTimeout = 5 // seconds
	}
	if err := accounts(so, o.Users); err != nil {
		return nil, err
	}
	if o.Operator != nil {
		var done func()
		if done, err = o.Operator.apply(so); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				done()
			}
		}()
	}
	if c := o.Cluster; c != nil {
		if err := c.apply(so); err != nil {
			return nil, err
		}
	}

	ns, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	log := newLogger(o.Logger)
	ns.SetLoggerV2(log, false, false, false)

	s := &Server{ns: ns, lock: lock, log: log, host: o.Host}
	ns.Start()
	// A fatal error makes Start return early, with nothing listening.
	if err := log.fatal(); err != nil {
		s.Shutdown()
		return nil, err
	}
	if !ns.ReadyForConnections(readyWithin) {
		s.Shutdown()
		if err := log.fatal(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("natsd: not ready within %v", readyWithin)
	}
	if a, ok := ns.Addr().(*net.TCPAddr); ok {
		s.port = a.Port
	}
	return s, nil
}

func (u User) permissions() *server.Permissions {
	if len(u.Publish) == 0 && len(u.Subscribe) == 0 {
		return nil
	}
	p := &server.Permissions{}
	if len(u.Publish) > 0 {
		p.Publish = &server.SubjectPermission{Allow: u.Publish}
	}
	if len(u.Subscribe) > 0 {
		p.Subscribe = &server.SubjectPermission{Allow: u.Subscribe}
	}
	return p
}

func (c *Cluster) apply(so *server.Options) error {
	host := c.Host
	if host == "" {
		host = "127.0.0.1"
	}
	if c.TLS == nil && !natsconn.Loopback(host) {
		return ErrPlaintext
	}
	so.Cluster.Name = c.Name
	so.Cluster.Host = host
	so.Cluster.Port = c.Port
	so.Cluster.TLSConfig = c.TLS
	for _, r := range c.Routes {
		u, err := url.Parse(r)
		if err != nil {
			return errors.New("natsd: malformed route")
		}
		so.Routes = append(so.Routes, u)
	}
	return nil
}

// ClientURL returns the address for clients, nats://host:port or
// tls://host:port.
func (s *Server) ClientURL() string { return s.ns.ClientURL() }

// Port returns the port that clients connect to.
func (s *Server) Port() int { return s.port }

// Addr returns host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// Failed returns a channel that is closed when the store could not be written,
// because the disk is full, say. The server remembers such an error and refuses
// what concerns the stream until it is started again.
func (s *Server) Failed() <-chan struct{} { return s.log.failed }

// Shutdown stops the server and returns when its files are closed and its
// port is free. Calling it again does nothing.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	s.lock.Close() // the second time it is closed already
}

// logger passes the server's messages on and remembers the first fatal one,
// which the server, run as a program, would exit with.
type logger struct {
	log *slog.Logger

	failed chan struct{} // closed when the store could not be written

	mu    sync.Mutex
	first error
	broke bool // failed is closed
}

var _ server.Logger = (*logger)(nil)

func newLogger(l *slog.Logger) *logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return &logger{log: l, failed: make(chan struct{})}
}

func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func (l *logger) Fatalf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	l.mu.Lock()
	if l.first == nil {
		l.first = errors.New("natsd: " + msg)
	}
	l.mu.Unlock()
	l.log.Error("nats server", "text", msg)
}

// What the server says, and to nobody else, when a stream or the whole store
// is written no more (nats-server 2.15, filestore.go and jetstream.go).
var storeFailures = []string{"Critical write error", "will be DISABLED"}

func (l *logger) Errorf(format string, v ...any) {
	for _, text := range storeFailures {
		if strings.Contains(format, text) {
			l.storeFailed()
		}
	}
	l.log.Error("nats server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) storeFailed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.broke {
		l.broke = true
		close(l.failed)
	}
}

func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("nats server", "text", fmt.Sprintf(format, v...))
}

// The server's notices are of no interest in the normal life of an agent.
func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("nats server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}
