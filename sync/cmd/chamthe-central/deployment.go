package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/operator"
)

// Files of a deployment's directory. What is below keys/ and what ends in .creds
// or .key is secret.
const (
	deploymentFile = "deployment.json"

	operatorSeed = "keys/operator.nk" // not needed to run: belongs in a safe
	signingSeed  = "keys/signing.nk"
	systemSeed   = "keys/system.nk"
	serviceSeed  = "keys/service.nk"
	enrolSeed    = "keys/enrol.nk"
	bundleSeed   = "keys/bundle.nk"
	peopleFile   = "keys/people.key"
	nextBundle   = "keys/bundle.next.nk" // there while the key is being rolled
	rollsFile    = "bundle-rolls"        // statements about that key, a line each
	centralCreds = "central.creds"
	pusherCreds  = "pusher.creds"

	operatorJWT = "jwt/operator.jwt"
	systemJWT   = "jwt/system.jwt"
	serviceJWT  = "jwt/service.jwt"
	enrolJWT    = "jwt/enrol.jwt"
	sentinelJWT = "jwt/sentinel.jwt"

	caFile    = "tls/ca.pem"
	caKeyFile = "tls/ca.key"
	chainFile = "tls/server.pem"
	tlsKey    = "tls/server.key"

	confFile    = "nats-server.conf"
	accountsDir = "accounts"  // made by the server
	storeDir    = "jetstream" // likewise
)

// facts is what deployment.json holds: nothing secret.
type facts struct {
	Version int    `json:"version"`
	URL     string `json:"url"`    // where agents find the servers
	Listen  string `json:"listen"` // where the server that serve brings listens
	System  string `json:"system"` // public keys of accounts
	Service string `json:"service"`
}

var errDeployment = errors.New("not a deployment, or a damaged one: see chamthe-central init --help")

// isDeployment reports whether init has made a directory.
func isDeployment(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, deploymentFile))
	return dir != "" && err == nil
}

// parseURL reads the address that agents will use: tls://host[:port].
func parseURL(s string) (u *url.URL, err error) {
	u, err = url.Parse(s)
	if err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, errors.New("--url: give tls://host:port, as agents will use it")
	}
	port := u.Port()
	if port == "" {
		port = "4222"
	}
	u.Host, u.Path = net.JoinHostPort(u.Hostname(), port), ""
	return u, nil
}

// makeDeployment makes the directory of a deployment, complete or not at all. It
// must not exist, or be empty.
func makeDeployment(dir string, u *url.URL, hosts []string, at time.Time) (err error) {
	d, err := operator.New("chamthe deployment " + u.Hostname())
	if err != nil {
		return err
	}
	bundle, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	names := []string{u.Hostname(), "localhost", "127.0.0.1", "::1"}
	for _, h := range hosts {
		if !slices.Contains(names, h) {
			names = append(names, h)
		}
	}
	certs, err := operator.NewCertificates(names, at)
	if err != nil {
		return err
	}
	f := facts{Version: 1, URL: u.String(), Listen: net.JoinHostPort("0.0.0.0", u.Port())}
	if natsconn.Loopback(u.Hostname()) {
		f.Listen = net.JoinHostPort("127.0.0.1", u.Port())
	}
	var err2 error
	f.System, err = d.System.PublicKey()
	f.Service, err2 = d.Service.PublicKey()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	about, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{
		operatorJWT: []byte(d.OperatorJWT), systemJWT: []byte(d.SystemJWT), serviceJWT: []byte(d.ServiceJWT), enrolJWT: []byte(d.EnrolJWT),
		sentinelJWT: []byte(d.Sentinel.JWT),
		caFile:      certs.CA, caKeyFile: certs.CAKey, chainFile: certs.Chain, tlsKey: certs.Key,
		confFile:       serverConf(f, d, u.Port()),
		deploymentFile: append(about, '\n'),
	}
	people := make([]byte, central.PeopleKeySize)
	rand.Read(people) // crypto/rand.Read never fails
	files[peopleFile] = fmt.Appendln(nil, hex.EncodeToString(people))
	for name, key := range map[string]nkeys.KeyPair{
		operatorSeed: d.Operator, signingSeed: d.Signing, systemSeed: d.System, serviceSeed: d.Service, enrolSeed: d.Enrol, bundleSeed: bundle,
	} {
		seed, err := key.Seed()
		if err != nil {
			return err
		}
		files[name] = append(seed, '\n')
	}
	for name, user := range map[string]operator.User{centralCreds: d.Central, pusherCreds: d.Pusher} {
		seed, err := user.Key.Seed()
		if err != nil {
			return err
		}
		if files[name], err = jwt.FormatUserConfig(user.JWT, seed); err != nil {
			return err
		}
	}
	return writeDir(dir, files)
}

// writeDir makes a directory with files, which appears whole, under its name, or
// not at all. Everything in it is for its owner only.
func writeDir(dir string, files map[string][]byte) error {
	dir = filepath.Clean(dir)
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty: nothing in it is overwritten", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".chamthe-init-*") // mode 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for name, b := range files {
		path := filepath.Join(temp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	// Remove takes an empty directory only.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(temp, dir)
}

// deployed is a deployment that was read.
type deployed struct {
	facts
	dir     string
	ca      []byte // DER
	tls     *tls.Config
	bundle  nkeys.KeyPair
	signing nkeys.KeyPair
	rolls   []string
	people  []byte // what people are filed under
	central central.Credentials
	pusher  central.Credentials
}

// readDeployment reads what init has made, but for the keys that are needed only
// to change the deployment.
func readDeployment(dir string) (_ *deployed, err error) {
	d := &deployed{dir: dir}
	b, err := os.ReadFile(filepath.Join(dir, deploymentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, errDeployment)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &d.facts); err != nil || d.Version != 1 {
		return nil, fmt.Errorf("%s: %w", dir, errDeployment)
	}
	pem, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, err
	}
	if d.ca, err = operator.CertificateDER(pem); err != nil {
		return nil, fmt.Errorf("%s: %w", caFile, err)
	}
	ca, err := x509.ParseCertificate(d.ca)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", caFile, operator.ErrCertificate)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	d.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	for name, to := range map[string]*nkeys.KeyPair{bundleSeed: &d.bundle, signingSeed: &d.signing} {
		if *to, err = d.key(name); err != nil {
			return nil, err
		}
	}
	if d.rolls, err = readRolls(dir); err != nil {
		return nil, err
	}
	text, err := d.secret(peopleFile)
	if err != nil {
		return nil, err
	}
	if d.people, err = hex.DecodeString(string(bytes.TrimSpace(text))); err != nil || len(d.people) != central.PeopleKeySize {
		return nil, fmt.Errorf("%s: no key", peopleFile) // nothing of it in an error
	}
	for name, to := range map[string]*central.Credentials{centralCreds: &d.central, pusherCreds: &d.pusher} {
		if *to, err = d.credentials(name); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// secret reads a file that nobody else may read.
func (d *deployed) secret(name string) ([]byte, error) {
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read or write it: chmod 0600, and find out who did", path)
	}
	return os.ReadFile(path)
}

func (d *deployed) key(name string) (nkeys.KeyPair, error) {
	b, err := d.secret(name)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.FromSeed(bytes.TrimSpace(b))
	if err != nil {
		return nil, fmt.Errorf("%s: no nkey seed", name)
	}
	return key, nil
}

func (d *deployed) credentials(name string) (central.Credentials, error) {
	b, err := d.secret(name)
	if err != nil {
		return central.Credentials{}, err
	}
	token, err := jwt.ParseDecoratedJWT(b)
	if err != nil {
		return central.Credentials{}, fmt.Errorf("%s: no credentials", name)
	}
	key, err := jwt.ParseDecoratedUserNKey(b)
	if err != nil {
		return central.Credentials{}, fmt.Errorf("%s: no credentials", name)
	}
	return central.Credentials{Sign: key.Sign, JWT: func() (string, error) { return token, nil }}, nil
}

// server is how the server of a deployment is told about it.
func (d *deployed) server() (*natsd.Operator, *tls.Config, error) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(d.dir, filepath.FromSlash(name)))
		if err != nil {
			return "" // refused as malformed
		}
		return string(bytes.TrimSpace(b))
	}
	o := &natsd.Operator{
		JWT: read(operatorJWT), System: d.System, Accounts: []string{read(systemJWT), read(serviceJWT), read(enrolJWT)},
		Dir: filepath.Join(d.dir, accountsDir), Sentinel: read(sentinelJWT),
	}
	chain, err := os.ReadFile(filepath.Join(d.dir, chainFile))
	if err != nil {
		return nil, nil, err
	}
	key, err := d.secret(tlsKey)
	if err != nil {
		return nil, nil, err
	}
	conf, err := operator.ServerTLS(chain, key)
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s: not a certificate with its key", chainFile, tlsKey)
	}
	return o, conf, nil
}

// registry is how agents are enrolled, at servers with these addresses.
func (d *deployed) registry(urls []string) (central.RegistryConfig, error) {
	issuer, err := operator.NewIssuer(d.signing, d.Service)
	if err != nil {
		return central.RegistryConfig{}, fmt.Errorf("%s: %w", signingSeed, errDeployment)
	}
	bundle, err := d.bundle.PublicKey()
	if err != nil {
		return central.RegistryConfig{}, err
	}
	return central.RegistryConfig{
		URLs: urls, TLS: d.tls, Credentials: d.central, System: d.pusher,
		Issuer: issuer, CA: d.ca, Servers: []string{d.URL}, BundleKey: bundle,
	}, nil
}

// local returns where a server that listens at host and port is found from this
// machine.
func local(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "tls://" + net.JoinHostPort(host, port), nil
}

// serverConf is a configuration for an operator's own NATS server.
func serverConf(f facts, d *operator.Deployment, port string) []byte {
	return fmt.Appendf(nil, `# A NATS server for this deployment, in place of the one that chamthe-central
# brings. Paths are relative to where the server is started: start it here, with
#   nats-server --config %s
# On every server of a cluster the same but for server_name, and with a cluster
# block (routes with TLS). Agents are added to the resolver while it runs.

server_name: central-1
listen: "0.0.0.0:%s"
max_payload: 1MB

tls {
  cert_file: "%s"
  key_file: "%s"
  min_version: "1.2"
}

jetstream {
  store_dir: "%s"
  sync_interval: always
}

operator: "%s"
system_account: %s
# Who has no credentials may ask for an enrolment, and nothing else.
default_sentinel: "%s"
resolver {
  type: full
  dir: "%s"
  allow_delete: false
  interval: "1m"
}
resolver_preload {
  # SYS, SERVICE, ENROL
  %s: "%s"
  %s: "%s"
  %s: "%s"
}
`, confFile, port, chainFile, tlsKey, storeDir, operatorJWT, f.System, d.Sentinel.JWT, accountsDir,
		f.System, d.SystemJWT, f.Service, d.ServiceJWT, subjectOf(d.EnrolJWT), d.EnrolJWT)
}

// subjectOf returns the public key that a JWT is about.
func subjectOf(token string) string {
	c, err := jwt.DecodeGeneric(token)
	if err != nil {
		return "" // it was made here
	}
	return c.Subject
}
