// Package natsconn connects to a NATS server the way every part of chamthe
// does: with TLS unless the server is on this machine, and for one connection
// only.
//
// The client's own reconnecting is switched off. It carries on in the middle
// of a window of messages on a new connection, and the order of a window that
// was torn would be lost. The callers hold their own loop and begin each
// connection from a known state; [Backoff] tells them how long to wait.
package natsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	// ErrPlaintext reports a server address that is not loopback and would be
	// spoken to without TLS, or with a TLS configuration that verifies nobody:
	// names, card numbers and entitlements travel here.
	ErrPlaintext = errors.New("natsconn: address is not loopback and TLS would not protect it")
	// ErrAddress reports a server address that cannot be understood, none, or
	// addresses of WebSockets among others, which one connection cannot have.
	ErrAddress = errors.New("natsconn: malformed server address")
)

const (
	// dialTimeout bounds one attempt at one address, TCP and handshakes.
	dialTimeout = 10 * time.Second
	// A dead link is noticed after about pingEvery * maxPings: a station behind
	// a router that forgets connections must not wait for TCP's hours.
	pingEvery = 20 * time.Second
	maxPings  = 2
)

// Credentials prove who a client is. The zero value is nobody, which only a
// server without users accepts.
type Credentials struct {
	// NKey is the public key; Sign signs the server's challenge with its
	// private half, which never enters this package.
	NKey string
	Sign func(challenge []byte) ([]byte, error)
	// JWT returns the user JWT; nil where the server knows plain keys.
	JWT func() (string, error)
}

// Options describe a connection.
type Options struct {
	URLs []string // nats:// or tls://, or ws:// or wss://; they are tried in random order
	// TLS is used for every address when it is set. tls:// and wss:// without it use
	// the system's certificates.
	TLS *tls.Config
	// Dial opens the connection below, to a host by its name: through a proxy, say. It
	// may be nil. TLS, and so who is believed to be the server, is not its concern.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Path is that of the WebSocket at every address; empty: that of the URL.
	Path        string
	Credentials Credentials
	Name        string // shown by the server's monitoring
	InboxPrefix string // "" for the usual one
	// Trouble receives what the server complains about without being asked,
	// such as a forbidden subject. It is called from the client's goroutine and
	// must not block.
	Trouble func(error)
}

// Check returns [ErrAddress] or [ErrPlaintext] for options that must not be
// used. [Dial] applies it too; a caller applies it early, so that a mistake in
// a configuration is an error and not an endless series of attempts.
func (o *Options) Check() error {
	_, err := o.secure()
	return err
}

func (o *Options) secure() (bool, error) {
	if len(o.URLs) == 0 {
		return false, ErrAddress
	}
	need := o.TLS != nil
	sockets := 0
	for _, s := range o.URLs {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || strings.Contains(s, ",") {
			return false, ErrAddress // the text may hold a password: say no more
		}
		scheme := strings.ToLower(u.Scheme)
		switch scheme {
		case "nats":
		case "tls":
			need = true
		case "ws":
			sockets++
		case "wss":
			sockets++
			need = true
		default:
			return false, ErrAddress
		}
		if Loopback(u.Hostname()) {
			continue
		}
		if (scheme == "nats" || scheme == "ws") && o.TLS == nil || o.TLS != nil && o.TLS.InsecureSkipVerify {
			return false, ErrPlaintext
		}
	}
	if sockets > 0 && sockets < len(o.URLs) {
		return false, ErrAddress
	}
	return need, nil
}

// Loopback reports whether a host never leaves the machine.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Dial makes one attempt at every address; ctx bounds the attempt, not the
// connection. A connection that is lost does not come back. The caller closes
// it, which sends what is still in its buffer.
func Dial(ctx context.Context, o Options) (*nats.Conn, error) {
	encrypt, err := o.secure()
	if err != nil {
		return nil, err
	}
	d := &dialer{ctx: ctx, dial: o.Dial}
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.NoReconnect(),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(maxPings),
		nats.IgnoreDiscoveredServers(), // advertised addresses were not checked
		nats.SetCustomDialer(d),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if o.Trouble != nil {
				o.Trouble(err)
			}
		}),
	}
	if o.Dial != nil {
		opts = append(opts, nats.SkipHostLookup()) // who is behind a proxy may know no names
	}
	if o.Path != "" {
		opts = append(opts, nats.ProxyPath(o.Path))
	}
	if encrypt {
		cfg := o.TLS
		if cfg == nil {
			cfg = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		opts = append(opts, nats.Secure(cfg))
	}
	if o.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(o.InboxPrefix))
	}
	if c := o.Credentials; c.Sign != nil && c.JWT != nil {
		opts = append(opts, nats.UserJWT(nats.UserJWTHandler(c.JWT), nats.SignatureHandler(c.Sign)))
	} else if c.Sign != nil {
		opts = append(opts, nats.Nkey(c.NKey, nats.SignatureHandler(c.Sign)))
	}
	nc, err := nats.Connect(strings.Join(o.URLs, ","), opts...)
	if !d.release() {
		if err == nil {
			nc.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return nc, nil
}

// dialer makes the client's dialling, and the handshakes that follow, end with
// a context: neither knows of one.
type dialer struct {
	ctx  context.Context
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	stop func() bool
}

// Dial implements [nats.CustomDialer]. The client calls it for one address
// after the other.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	if !d.release() {
		return nil, d.ctx.Err()
	}
	dial := d.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	c, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.stop = context.AfterFunc(d.ctx, func() { c.Close() })
	return c, nil
}

// release lets go of the last connection, and reports false when the context
// was faster.
func (d *dialer) release() bool {
	if d.stop != nil && !d.stop() {
		return false
	}
	d.stop = nil
	return d.ctx.Err() == nil
}

// Backoff gives the waits between attempts: random between zero and a ceiling
// that doubles from Min to Max, so that ten thousand agents do not come back
// at once. It is not safe for concurrent use.
type Backoff struct {
	Min, Max time.Duration
	n        int
}

// Next returns the next wait.
func (b *Backoff) Next() time.Duration {
	ceiling := b.Max
	if b.n < 30 && b.Min<<b.n < b.Max {
		ceiling = b.Min << b.n
		b.n++
	}
	if ceiling <= 0 {
		return 0
	}
	return rand.N(ceiling) + 1
}

// Reset begins anew, after a success.
func (b *Backoff) Reset() { b.n = 0 }

// Sleep waits, and reports whether it waited to the end.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
