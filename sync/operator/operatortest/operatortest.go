// Package operatortest runs the NATS server of a deployment that enrols agents, for
// tests: with an operator, its accounts and TLS. What serves behind it is the
// caller's.
package operatortest

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/internal/natsconn"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/operator"
)

// Deployment is an operator with a running server.
type Deployment struct {
	*operator.Deployment
	Certificates *operator.Certificates
	CA           []byte      // the certificate (DER) that the server's leads to
	TLS          *tls.Config // of clients
	Issuer       *operator.Issuer
	Server       *natsd.Server // the one that runs

	t   testing.TB
	dir string
}

// Start runs a server until the end of the test. Its certificate is for hosts, made
// at a time.
func Start(t testing.TB, hosts []string, at time.Time) *Deployment {
	t.Helper()
	d := &Deployment{t: t, dir: t.TempDir()}
	var err error
	d.Deployment, err = operator.New("test")
	must(t, err)
	d.Certificates, err = operator.NewCertificates(hosts, at)
	must(t, err)
	d.CA, err = operator.CertificateDER(d.Certificates.CA)
	must(t, err)
	root, err := x509.ParseCertificate(d.CA)
	must(t, err)
	d.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	d.TLS.RootCAs.AddCert(root)
	service, err := d.Service.PublicKey()
	must(t, err)
	d.Issuer, err = operator.NewIssuer(d.Signing, service)
	must(t, err)
	d.Serve(0)
	return d
}

// Serve runs a server on a port, 0 for a free one, in the place of one that was shut
// down: it goes on from what that has stored.
func (d *Deployment) Serve(port int) {
	d.t.Helper()
	conf, err := operator.ServerTLS(d.Certificates.Chain, d.Certificates.Key)
	must(d.t, err)
	system, err := d.System.PublicKey()
	must(d.t, err)
	d.Server, err = natsd.Start(natsd.Options{
		Dir: filepath.Join(d.dir, "js"), Port: port, TLS: conf,
		Operator: &natsd.Operator{
			JWT: d.OperatorJWT, System: system, Accounts: []string{d.SystemJWT, d.ServiceJWT, d.EnrolJWT},
			Dir: filepath.Join(d.dir, "accounts"), Sentinel: d.Sentinel.JWT,
		},
	})
	must(d.t, err)
	d.t.Cleanup(d.Server.Shutdown)
}

// Credentials are those of a user of the deployment.
func Credentials(u operator.User) natsconn.Credentials {
	return natsconn.Credentials{Sign: u.Key.Sign, JWT: func() (string, error) { return u.JWT, nil }}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
