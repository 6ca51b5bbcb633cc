package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/sync/natsd"
)

// certificate makes one for 127.0.0.1 that signs itself, valid until end.
func certificate(t *testing.T, end time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// listen serves every connection with fn until the test ends, and returns the address.
func listen(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fn(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestServer uses the real server where one can say yes, and small liars elsewhere.
func TestServer(t *testing.T) {
	good, pool := certificate(t, time.Now().Add(90*24*time.Hour))
	real, err := natsd.Start(natsd.Options{Dir: t.TempDir(), TLS: &tls.Config{Certificates: []tls.Certificate{good}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(real.Shutdown)
	plain, err := natsd.Start(natsd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Shutdown)
	trusted := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}

	soon, soonPool := certificate(t, time.Now().Add(5*24*time.Hour))
	greet := func(conf *tls.Config) func(net.Conn) {
		return func(c net.Conn) {
			if _, err := c.Write([]byte("INFO {}\r\n")); err != nil {
				return
			}
			_ = tls.Server(c, conf).Handshake()
		}
	}
	ending := listen(t, greet(&tls.Config{Certificates: []tls.Certificate{soon}}))
	proxy := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) })
	broken := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("INFO {")) })
	noTLS := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("INFO {}\r\nPING PING PING PING PING\r\n")) })
	endless := listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte("INFO " + strings.Repeat("x", maxGreeting+100)))
	})
	nobody := listen(t, func(net.Conn) {})

	for _, tt := range []struct {
		name  string
		url   string
		conf  *tls.Config
		level string
		text  string
	}{
		{"fine, with TLS", "tls://" + real.Addr(), trusted, wire.LevelOK, "can be reached"},
		{"fine, on this computer", "nats://" + plain.Addr(), nil, wire.LevelOK, "can be reached"},
		{"a certificate of somebody else", "tls://" + real.Addr(), nil, wire.LevelError, "not from the authority"},
		{"another name", "tls://localhost:" + port(t, real.Addr()), trusted, wire.LevelError, "another name"},
		{"certificate ends soon", "tls://" + ending, &tls.Config{RootCAs: soonPool}, wire.LevelWarning, "ends in 4 days"},
		{"a login page", "tls://" + proxy, trusted, wire.LevelError, "Something else"},
		{"breaks off", "tls://" + broken, trusted, wire.LevelError, "breaks off"},
		{"no TLS", "tls://" + noTLS, trusted, wire.LevelError, "does not speak TLS"},
		{"a greeting without end", "tls://" + endless, trusted, wire.LevelError, "breaks off"},
		{"says nothing", "tls://" + nobody, trusted, wire.LevelError, "Something else"},
		{"port closed", "tls://127.0.0.1:1", trusted, wire.LevelError, "port cannot be reached"},
		{"no such name", "tls://chamthe.invalid:4222", trusted, wire.LevelError, "name cannot be resolved"},
		{"no address", "what is this", nil, wire.LevelError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := find(t, Server([]string{tt.url}, tt.conf, nil))[0]
			if f.Level != tt.level || !strings.Contains(f.What, tt.text) {
				t.Errorf("finding %+v", f)
			}
		})
	}
	if f := find(t, Server(nil, nil, nil))[0]; f.Level != wire.LevelWarning {
		t.Errorf("no server: %+v", f)
	}
	// Through a proxy the name is the proxy's business.
	dialled := ""
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = address
		return (&net.Dialer{}).DialContext(ctx, network, plain.Addr())
	}
	if f := find(t, Server([]string{"nats://chamthe.invalid"}, nil, dial))[0]; f.Level != wire.LevelOK || dialled != "chamthe.invalid:4222" {
		t.Errorf("through a proxy to %q: %+v", dialled, f)
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLink(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name  string
		link  wire.Link
		level string
	}{
		{"online", wire.Link{State: "online", Since: &now}, wire.LevelOK},
		{"offline", wire.Link{State: "offline", Since: &now}, wire.LevelWarning},
		{"offline with a fault", wire.Link{State: "offline", Fault: &wire.Fault{Code: "central_unreachable", Kind: "waiting", Cause: "c", Remedy: "r"}}, wire.LevelWarning},
		{"refused", wire.Link{State: "refused", Fault: &wire.Fault{Code: "central_refuses", Kind: "system", Cause: "c", Remedy: "r"}}, wire.LevelError},
		{"online with trouble", wire.Link{State: "online", Fault: &wire.Fault{Code: "central_full", Kind: "system", Cause: "c", Remedy: "r"}}, wire.LevelError},
		{"not enrolled", wire.Link{State: "not_configured"}, wire.LevelWarning},
		{"nothing known", wire.Link{}, wire.LevelWarning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f := find(t, Link(func(context.Context) wire.Link { return tt.link }))[0]; f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

func TestClock(t *testing.T) {
	for _, tt := range []struct {
		name  string
		off   time.Duration
		known bool
		level string
	}{
		{"right", 300 * time.Millisecond, true, wire.LevelOK},
		{"three minutes behind", -3 * time.Minute, true, wire.LevelWarning},
		{"a day ahead", 24 * time.Hour, true, wire.LevelError},
		{"a day behind", -24 * time.Hour, true, wire.LevelError},
		{"not known", 0, false, wire.LevelSkipped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := find(t, Clock(func(context.Context) (time.Duration, bool) { return tt.off, tt.known }))[0]
			if f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
		})
	}
}
