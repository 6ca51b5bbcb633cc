package agent_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/chamthe/chamthe/agent"
)

// serverName is a name that only the proxy can resolve.
const serverName = "central.invalid"

// certificate makes one for serverName, and the pool that believes it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: c}, pool
}

// connectProxy is a small HTTP proxy. It wants a name and a password, and knows where
// serverName is.
type connectProxy struct {
	net.Listener
	target   string
	answered atomic.Int32 // CONNECTs that were let through
	refused  atomic.Int32
	work     sync.WaitGroup
	mu       sync.Mutex
	open     []net.Conn
}

func startProxy(t *testing.T, target string) *connectProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{Listener: l, target: target}
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.keep(c)
			p.work.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

func (p *connectProxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, c)
}

func (p *connectProxy) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("desk:geheim123"))
	switch {
	case req.Method != http.MethodConnect:
		fmt.Fprint(c, "HTTP/1.1 405 no\r\nContent-Length: 0\r\n\r\n")
		return
	case req.Header.Get("Proxy-Authorization") != want:
		p.refused.Add(1)
		fmt.Fprint(c, "HTTP/1.1 407 who are you\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
		return
	case !strings.HasPrefix(req.Host, serverName+":"):
		fmt.Fprint(c, "HTTP/1.1 502 nobody there\r\nContent-Length: 0\r\n\r\n")
		return
	}
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.keep(s)
	defer s.Close()
	p.answered.Add(1)
	fmt.Fprint(c, "HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(s, r); _ = s.Close() })
	both.Go(func() { _, _ = io.Copy(c, s); _ = c.Close() })
	both.Wait()
}

// natsWithSockets starts a NATS server that speaks TLS on both kinds of ports, and
// lets one agent in.
func natsWithSockets(t *testing.T, cert tls.Certificate, key string) (nats, sockets string) {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	o := &server.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, TLSConfig: cfg, Nkeys: []*server.NkeyUser{{Nkey: key}},
		Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: -1, TLSConfig: cfg.Clone()},
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	ws := strings.TrimPrefix(strings.TrimPrefix(s.WebsocketURL(), "wss://"), "ws://")
	return s.Addr().String(), ws
}

// TestLinkThroughProxy goes online through a proxy that knows a name which this
// computer does not, over a WebSocket and over plain TLS.
func TestLinkThroughProxy(t *testing.T) {
	cert, pool := certificate(t)
	dir := t.TempDir()
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	plain, sockets := natsWithSockets(t, cert, key)
	for _, test := range []struct {
		name, target, url, path string
	}{
		{"websocket", sockets, "wss://" + serverName + ":443", ""},
		{"websocket with a path", sockets, "wss://" + serverName + ":443", "/nats"},
		{"TLS", plain, "tls://" + serverName + ":4222", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy := startProxy(t, test.target)
			cfg := config(dir)
			cfg.URLs, cfg.Path, cfg.TLS = []string{test.url}, test.path, &tls.Config{RootCAs: pool}
			cfg.Dial = agent.Proxy{URL: "http://" + proxy.Addr().String(), User: "desk", Password: "geheim123"}.DialContext
			a, err := agent.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			stop := run(t, a)
			defer stop()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := a.Wait(ctx, func() (bool, error) { return a.Link(ctx).Online, nil }); err != nil {
				t.Fatalf("%v; link %+v, the proxy let %d through and refused %d", err, a.Link(t.Context()), proxy.answered.Load(), proxy.refused.Load())
			}
			if proxy.answered.Load() == 0 {
				t.Error("not through the proxy")
			}
		})
	}
}

func TestProxyTrouble(t *testing.T) {
	cert, _ := certificate(t)
	key, err := agent.Identity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	target, _ := natsWithSockets(t, cert, key)
	good := startProxy(t, target)
	babble, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer babble.Close()
	var talking sync.WaitGroup
	defer talking.Wait()
	talking.Go(func() {
		for {
			c, err := babble.Accept()
			if err != nil {
				return
			}
			talking.Go(func() { // headers without end
				defer c.Close()
				_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
				for err == nil {
					_, err = io.WriteString(c, "X-More: geheim123\r\n")
				}
			})
		}
	})
	defer babble.Close()
	closed := closedPort(t)
	for _, test := range []struct {
		name    string
		proxy   agent.Proxy
		address string
		want    error
	}{
		{"wrong password", agent.Proxy{URL: "http://" + good.Addr().String(), User: "desk", Password: "x"}, serverName + ":1", agent.ErrProxyAuth},
		{"no password", agent.Proxy{URL: "http://" + good.Addr().String()}, serverName + ":1", agent.ErrProxyAuth},
		{"unknown host", agent.Proxy{URL: "http://" + good.Addr().String(), User: "desk", Password: "geheim123"}, "other.invalid:1", agent.ErrProxy},
		{"nobody there", agent.Proxy{URL: "http://" + closed}, serverName + ":1", agent.ErrProxy},
		{"no HTTP", agent.Proxy{URL: "http://" + target}, serverName + ":1", agent.ErrProxy},
		{"endless", agent.Proxy{URL: "http://" + babble.Addr().String()}, serverName + ":1", agent.ErrProxy},
		{"no address", agent.Proxy{URL: "http://"}, serverName + ":1", agent.ErrProxy},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := test.proxy.DialContext(t.Context(), "tcp", test.address)
			if !errors.Is(err, test.want) || !errors.Is(err, agent.ErrProxy) || c != nil {
				t.Errorf("DialContext = %v, %v, want %v", c, err, test.want)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, test.proxy, test.proxy); strings.Contains(text, "geheim") {
				t.Errorf("a password is in %s", text)
			}
		})
	}
	// This computer is reached without it.
	c, err := agent.Proxy{URL: "http://" + closed}.DialContext(t.Context(), "tcp", good.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (agent.Proxy{URL: "http://" + good.Addr().String()}).DialContext(ctx, "tcp", serverName+":1"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
