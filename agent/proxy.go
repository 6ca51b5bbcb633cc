package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Errors of a proxy.
var (
	// ErrProxy reports a proxy that did not connect, or did not speak HTTP.
	ErrProxy = errors.New("agent: proxy does not connect to the server")
	// ErrProxyAuth reports a proxy that wants a name and a password, or others than
	// were given. It is an [ErrProxy] too.
	ErrProxyAuth = fmt.Errorf("%w: it wants another name or password", ErrProxy)
)

// A Proxy connects to servers on behalf of this computer (HTTP CONNECT, RFC 9110,
// 9.3.6). It carries bytes and is believed nothing: TLS is between the agent and the
// server. Printed, it shows no password.
type Proxy struct {
	URL      string // http://host:port or https://host:port
	User     string // may be empty
	Password string
	TLS      *tls.Config // towards an https proxy; nil: the system's
}

// String returns the address without user and password.
func (p Proxy) String() string { return p.URL }

// GoString returns the address without user and password.
func (p Proxy) GoString() string { return p.URL }

// maxProxyHeader bounds what a proxy may say before it connects.
const maxProxyHeader = 16 << 10

// proxyTimeout bounds connecting through a proxy when ctx does not.
const proxyTimeout = 10 * time.Second

// DialContext opens a connection to host:port, for [Config.Dial]. A host that is this
// computer is reached without the proxy, and any other only through it.
func (p Proxy) DialContext(ctx context.Context, network, address string) (_ net.Conn, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return d.DialContext(ctx, network, address)
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%w: malformed address", ErrProxy)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxy, err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			c.Close()
		}
	}()
	if u.Scheme == "https" {
		cfg := &tls.Config{MinVersion: tls.VersionTLS12}
		if p.TLS != nil {
			cfg = p.TLS.Clone()
		}
		if cfg.ServerName == "" {
			cfg.ServerName = u.Hostname()
		}
		t := tls.Client(c, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProxy, err)
		}
		c = t
	}
	return p.connect(c, address)
}

// connect has the proxy connect c to a server.
func (p Proxy) connect(c net.Conn, address string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {"chamthe"}}}
	if p.User != "" || p.Password != "" {
		// RFC 7617; the proxy's scheme is the only one that every proxy has.
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(p.User+":"+p.Password)))
	}
	if err := req.Write(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxy, err)
	}
	limited := &io.LimitedReader{R: c, N: maxProxyHeader}
	r := bufio.NewReader(limited)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, fmt.Errorf("%w: no answer in HTTP", ErrProxy) // what it said instead may be anything
	}
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return nil, ErrProxyAuth
	case resp.StatusCode/100 != 2:
		return nil, fmt.Errorf("%w: status %d", ErrProxy, resp.StatusCode)
	}
	if n := r.Buffered(); n > 0 {
		// The server spoke first, as NATS servers do.
		ahead, _ := r.Peek(n)
		return &prefixed{Conn: c, ahead: ahead}, nil
	}
	return c, nil
}

// prefixed is a connection of which some bytes were read already.
type prefixed struct {
	net.Conn
	ahead []byte
}

// Read gives those first.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.ahead) > 0 {
		n := copy(b, p.ahead)
		p.ahead = p.ahead[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
