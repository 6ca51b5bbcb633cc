package operator_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/operator"
	"github.com/chamthe/chamthe/sync/uplink"
)

func public(t *testing.T, k nkeys.KeyPair) string {
	t.Helper()
	s, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newDeployment(t *testing.T) (*operator.Deployment, *operator.Issuer) {
	t.Helper()
	d, err := operator.New("test")
	if err != nil {
		t.Fatal(err)
	}
	i, err := operator.NewIssuer(d.Signing, public(t, d.Service))
	if err != nil {
		t.Fatal(err)
	}
	return d, i
}

func newAgent(t *testing.T) string {
	t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return public(t, k)
}

func account(t *testing.T, token string) *jwt.AccountClaims {
	t.Helper()
	c, err := jwt.DecodeAccountClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func user(t *testing.T, token string) *jwt.UserClaims {
	t.Helper()
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNew(t *testing.T) {
	d, _ := newDeployment(t)
	op, err := jwt.DecodeOperatorClaims(d.OperatorJWT)
	if err != nil {
		t.Fatal(err)
	}
	if op.Subject != public(t, d.Operator) || !slices.Equal(op.SigningKeys, jwt.StringList{public(t, d.Signing)}) || op.SystemAccount != public(t, d.System) {
		t.Errorf("operator %+v", op.Operator)
	}
	for name, a := range map[string]struct {
		token string
		key   nkeys.KeyPair
		js    bool
		conn  int64
	}{
		"system":  {d.SystemJWT, d.System, false, jwt.NoLimit},
		"service": {d.ServiceJWT, d.Service, true, jwt.NoLimit},
		"enrol":   {d.EnrolJWT, d.Enrol, false, 256},
	} {
		c := account(t, a.token)
		if c.Subject != public(t, a.key) || c.Issuer != public(t, d.Signing) || c.Limits.IsJSEnabled() != a.js || c.Limits.LeafNodeConn != 0 || c.Limits.Conn != a.conn {
			t.Errorf("%s: %+v", name, c.Account)
		}
	}
	anybody := user(t, d.Sentinel.JWT)
	want := jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{contract.EnrolSubject}}, Sub: jwt.Permission{Allow: jwt.StringList{"_INBOX.>"}},
	}
	if diff := cmp.Diff(want, anybody.Permissions); diff != "" || !anybody.BearerToken || d.Sentinel.Key != nil {
		t.Errorf("sentinel (-want +got):\n%s", diff)
	}
	pusher := user(t, d.Pusher.JWT)
	if diff := cmp.Diff(jwt.StringList{"$SYS.REQ.CLAIMS.UPDATE"}, pusher.Permissions.Pub.Allow); diff != "" || pusher.BearerToken {
		t.Errorf("pusher (-want +got):\n%s", diff)
	}
	if central := user(t, d.Central.JWT); central.Issuer != public(t, d.Service) || central.BearerToken {
		t.Errorf("central %+v", central)
	}
	other, _ := newDeployment(t)
	if public(t, other.Signing) == public(t, d.Signing) || other.Sentinel.JWT == d.Sentinel.JWT {
		t.Error("two deployments share keys")
	}
}

// TestAgent: what the user may publish is what the account imports, and each of it
// is exported, once.
func TestAgent(t *testing.T) {
	d, i := newDeployment(t)
	agent := newAgent(t)
	g, err := i.Agent("01013", agent)
	if err != nil {
		t.Fatal(err)
	}
	publish, subscribe, err := uplink.Permissions("01013", agent)
	if err != nil {
		t.Fatal(err)
	}
	u, a := user(t, g.UserJWT), account(t, g.AccountJWT)
	if u.Subject != agent || u.Issuer != g.Account || u.BearerToken || u.Expires != 0 || !slices.Equal(u.AllowedConnectionTypes, jwt.StringList{"STANDARD"}) {
		t.Errorf("user %+v", u)
	}
	want := jwt.Permissions{Pub: jwt.Permission{Allow: publish}, Sub: jwt.Permission{Allow: subscribe}}
	if diff := cmp.Diff(want, u.Permissions); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	if a.Subject != g.Account || a.Issuer != public(t, d.Signing) || len(a.Exports) != 0 || len(a.SigningKeys) != 0 || a.Limits.IsJSEnabled() ||
		a.Limits.Conn != 4 || a.Limits.LeafNodeConn != 0 || a.Limits.Exports != 0 || !a.Limits.DisallowBearer {
		t.Errorf("account %+v", a.Account)
	}
	imported := []string{}
	exported := account(t, d.ServiceJWT).Exports
	for _, im := range a.Imports {
		if im.Account != public(t, d.Service) || im.Type != jwt.Service || im.LocalSubject != "" || im.Share {
			t.Errorf("import %+v", im)
		}
		if im.Subject != "$JS.API.INFO" { // see the package
			imported = append(imported, string(im.Subject))
		}
		covering := 0
		for _, ex := range exported {
			if im.Subject.IsContainedIn(ex.Subject) {
				covering++
				stream := ex.ResponseType == jwt.ResponseTypeStream
				if stream != strings.Contains(string(im.Subject), ".MSG.NEXT.") {
					t.Errorf("%s: answers are %s", im.Subject, ex.ResponseType)
				}
			}
		}
		if covering != 1 {
			t.Errorf("%s is exported %d times", im.Subject, covering)
		}
	}
	slices.Sort(publish)
	slices.Sort(imported)
	if diff := cmp.Diff(publish, imported); diff != "" {
		t.Errorf("imports (-permitted +imported):\n%s", diff)
	}
	if again, err := i.Agent("01013", agent); err != nil || again.Account == g.Account {
		t.Errorf("the same account twice, %v", err)
	}
	for _, tt := range []struct{ facility, agent string }{{"*", agent}, {"01013", "U*"}} {
		if _, err := i.Agent(tt.facility, tt.agent); !errors.Is(err, contract.Invalid) {
			t.Errorf("%q %q: %v", tt.facility, tt.agent, err)
		}
	}
}

func TestRevoke(t *testing.T) {
	_, i := newDeployment(t)
	agent := newAgent(t)
	g, err := i.Agent("01013", agent)
	if err != nil {
		t.Fatal(err)
	}
	token, err := i.Revoke(g.AccountJWT, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a := account(t, token)
	if a.Subject != g.Account || !a.IsClaimRevoked(user(t, g.UserJWT)) || len(a.Imports) != 0 || a.Limits.Conn != 0 {
		t.Errorf("account %+v", a.Account)
	}
	if again, err := i.Revoke(token, time.Now()); err != nil || !account(t, again).IsClaimRevoked(user(t, g.UserJWT)) {
		t.Errorf("again: %v", err)
	}
	for _, s := range []string{"", "x", g.UserJWT} {
		if _, err := i.Revoke(s, time.Now()); !errors.Is(err, operator.ErrJWT) {
			t.Errorf("%.10q: %v, want %v", s, err, operator.ErrJWT)
		}
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	d, _ := newDeployment(t)
	for name, f := range map[string]func() (*operator.Issuer, error){
		"an account's key":     func() (*operator.Issuer, error) { return operator.NewIssuer(d.Service, public(t, d.Service)) },
		"an operator's public": func() (*operator.Issuer, error) { return operator.NewIssuer(d.Signing, public(t, d.Signing)) },
		"nothing":              func() (*operator.Issuer, error) { return operator.NewIssuer(d.Signing, "") },
	} {
		if _, err := f(); !errors.Is(err, operator.ErrJWT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificates(t *testing.T) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	c, err := operator.NewCertificates([]string{"central.example", "192.0.2.7", "::1"}, at)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := operator.ServerTLS(c.Chain, c.Key)
	if err != nil || conf.MinVersion != tls.VersionTLS12 || len(conf.Certificates) != 1 || len(conf.Certificates[0].Certificate) != 2 {
		t.Fatalf("server: %v", err)
	}
	ca, err := operator.CertificateDER(c.CA)
	if err != nil || string(conf.Certificates[0].Certificate[1]) != string(ca) {
		t.Errorf("the chain does not show the authority: %v", err)
	}
	leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.CA)
	for _, tt := range []struct {
		host string
		at   time.Time
		ok   bool
	}{
		{"central.example", at, true},
		{"192.0.2.7", at, true},
		{"::1", at, true},
		{"central.example", at.AddDate(9, 11, 0), true},
		{"central.example", at.AddDate(10, 0, 1), false},
		{"central.example", at.AddDate(0, 0, -2), false},
		{"other.example", at, false},
		{"192.0.2.8", at, false},
	} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: tt.host, CurrentTime: tt.at})
		if (err == nil) != tt.ok {
			t.Errorf("%s at %v: %v", tt.host, tt.at, err)
		}
	}
	// The server's key may not make certificates.
	if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 {
		t.Error("the server is an authority")
	}
	for _, s := range []string{"", "x", string(c.Key), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := operator.CertificateDER([]byte(s)); !errors.Is(err, operator.ErrCertificate) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
	if got := operator.Fingerprint(nil); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("fingerprint of nothing %s", got)
	}
}
