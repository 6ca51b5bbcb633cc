package enrol_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/enrol/enroltest"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/operator"
	"github.com/chamthe/chamthe/sync/uplink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newKey(t testing.TB) (nkeys.KeyPair, string) {
	t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	name, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return k, name
}

func anyCode(t *testing.T) contract.EnrolCode {
	t.Helper()
	c, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAskSaveLoad(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	key, name := newKey(t)
	r := enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: d.Code(time.Hour), Signer: key}
	e, err := enrol.Ask(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if e.Agent != name || e.Facility != enroltest.Facility || len(e.URLs()) != 1 || e.URLs()[0] != d.URL || e.At.IsZero() {
		t.Errorf("enrolment %+v", e)
	}
	r.CASHA256 = colons(d.CASHA256)
	again, err := enrol.Ask(t.Context(), r)
	if err != nil || again.JWT != e.JWT {
		t.Errorf("again: %v", err)
	}

	dir := t.TempDir()
	if _, err := enrol.Load(dir, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		if err := enrol.Save(dir, e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := enrol.Load(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, got); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	path := filepath.Join(dir, enrol.File)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("files %v, %v", left, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, other := newKey(t)
	if _, err := enrol.Load(dir, other); !errors.Is(err, enrol.ErrFile) {
		t.Errorf("another's: %v", err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := enrol.Load(dir, name); !errors.Is(err, enrol.ErrFile) {
			t.Errorf("open to others: %v", err)
		}
	}
}

func colons(hex string) string {
	var pairs []string
	for i := 0; i < len(hex); i += 2 {
		pairs = append(pairs, strings.ToUpper(hex[i:i+2]))
	}
	return strings.Join(pairs, ":")
}

func TestRefusalsHaveNames(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	used := d.Code(time.Hour)
	first, _ := newKey(t)
	if _, err := enrol.Ask(t.Context(), enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: used, Signer: first}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code contract.EnrolCode
		want contract.EnrolRefusal
	}{
		{used, contract.EnrolCodeUsed},
		{d.Code(time.Nanosecond), contract.EnrolCodeExpired},
		{anyCode(t), contract.EnrolCodeUnknown},
	} {
		key, _ := newKey(t)
		_, err := enrol.Ask(t.Context(), enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: tt.code, Signer: key})
		e, ok := errors.AsType[*uplink.EnrolError](err)
		if !ok || e.Reason != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
		if strings.Contains(err.Error(), tt.code.Text()[:4]) {
			t.Error("the code is in the error")
		}
	}
}

// TestWhoIsNotBelieved: no code is sent to a server that is not the one whose
// fingerprint was given, or whose certificate does not hold.
func TestWhoIsNotBelieved(t *testing.T) {
	good := enroltest.Start(t, enroltest.Options{})
	expired := enroltest.Start(t, enroltest.Options{At: time.Now().AddDate(-11, 0, 0)})
	early := enroltest.Start(t, enroltest.Options{At: time.Now().AddDate(1, 0, 0)})
	elsewhere := enroltest.Start(t, enroltest.Options{Hosts: []string{"central.example", "192.0.2.1"}})
	plain, err := natsd.Start(natsd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Shutdown)
	certs, err := operator.NewCertificates([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	conf, err := operator.ServerTLS(certs.Chain, certs.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := operator.CertificateDER(certs.CA)
	if err != nil {
		t.Fatal(err)
	}
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	old, err := natsd.Start(natsd.Options{Dir: t.TempDir(), TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Shutdown)
	leaf, err := certificateOf(good.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, server, sum string }{
		{"another authority", good.URL, expired.CASHA256},
		{"the server's own certificate", good.URL, operator.Fingerprint(leaf)},
		{"expired", expired.URL, expired.CASHA256},
		{"not valid yet", early.URL, early.CASHA256},
		{"another host", elsewhere.URL, elsewhere.CASHA256},
		{"no TLS", strings.Replace(plain.ClientURL(), "nats://", "tls://", 1), good.CASHA256},
		{"TLS 1.1", old.ClientURL(), operator.Fingerprint(ca)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, _ := newKey(t)
			_, err := enrol.Ask(t.Context(), enrol.Request{Server: tt.server, CASHA256: tt.sum, Code: anyCode(t), Signer: key})
			if !errors.Is(err, uplink.ErrUntrusted) {
				t.Errorf("%v, want %v", err, uplink.ErrUntrusted)
			}
		})
	}
}

// certificateOf returns the certificate that a NATS server shows of itself.
func certificateOf(url string) ([]byte, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "tls://"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b := make([]byte, 1)
	for b[0] != '\n' {
		if _, err := c.Read(b); err != nil {
			return nil, err
		}
	}
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if err := t.Handshake(); err != nil {
		return nil, err
	}
	return t.ConnectionState().PeerCertificates[0].Raw, nil
}

func TestAskErrors(t *testing.T) {
	key, _ := newKey(t)
	sum := strings.Repeat("ab", 32)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "tls://" + closed.Addr().String()
	closed.Close()
	for _, tt := range []struct {
		name, server, sum string
		want              error
	}{
		{"nobody there", nobody, sum, uplink.ErrOffline},
		{"plain", "nats://127.0.0.1:4222", sum, uplink.ErrAddress},
		{"no scheme", "127.0.0.1:4222", sum, uplink.ErrAddress},
		{"nothing", "", sum, uplink.ErrAddress},
		{"short fingerprint", nobody, sum[2:], enrol.ErrFingerprint},
		{"no fingerprint", nobody, "", enrol.ErrFingerprint},
		{"not hex", nobody, strings.Repeat("xy", 32), enrol.ErrFingerprint},
	} {
		_, err := enrol.Ask(t.Context(), enrol.Request{Server: tt.server, CASHA256: tt.sum, Code: anyCode(t), Signer: key})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := enrol.Ask(ctx, enrol.Request{Server: nobody, CASHA256: sum, Code: anyCode(t), Signer: key}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestServerThatNeverSpeaks: who listens and says nothing, or no end of a line, is
// given up when the caller does.
func TestServerThatNeverSpeaks(t *testing.T) {
	for _, says := range []string{"", strings.Repeat("x", 64<<10)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = fmt.Fprint(c, says) // the client may be gone
			if says == "" {
				cancel()
			}
			_, _ = c.Read(make([]byte, 1)) // until it is
		}()
		key, _ := newKey(t)
		_, err = enrol.Ask(ctx, enrol.Request{Server: "tls://" + l.Addr().String(), CASHA256: strings.Repeat("ab", 32), Code: anyCode(t), Signer: key})
		want := uplink.ErrOffline
		if says == "" {
			want = context.Canceled
		}
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", len(says), err, want)
		}
		<-done
		cancel()
		l.Close()
	}
}

func FuzzDecode(f *testing.F) {
	_, name := newKey(f)
	f.Add([]byte(`{"at":"2026-03-02T01:30:00Z","answer":{"version":1,"agent":"` + name + `","facility":"01013","jwt":"e30.e30.c2ln","ca":"MAA=","bundleKey":"` + name + `","servers":[{"url":"tls://x:1"}]}}`))
	f.Add([]byte(`{"answer":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := enrol.Decode(b, name)
		if err != nil {
			if !errors.Is(err, enrol.ErrFile) {
				t.Errorf("%v, want %v", err, enrol.ErrFile)
			}
			return
		}
		if e.Agent != name || len(e.URLs()) == 0 {
			t.Error("half an enrolment")
		}
	})
}
