// Package enrol makes a computer an agent: it asks the central service with a
// one-time code, and keeps what it is given in the data directory.
//
// The person who installs the computer types three things that the central side
// has printed: where the server is, the fingerprint of its certificate authority,
// and the code. The fingerprint is what the first contact is believed by: the
// server shows the authority's certificate, which is taken for nothing until its
// hash is that one; the connection that the code is sent over is then verified with
// it like every later one. The agent's key is made here and never leaves.
package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/uplink"
)

// File is the name of the file in a data directory that an enrolment is kept in.
const File = "enrolment.json"

// TempPattern is what a file is called while it is written.
const TempPattern = ".enrolment-*"

// Errors of this package, besides those of [uplink.Enrol].
var (
	// ErrFile reports an enrolment file that cannot be used: damaged, accessible
	// to others, or of another key than the directory's.
	ErrFile = errors.New("enrol: enrolment file is damaged, accessible to others or another agent's")
	// ErrFingerprint reports something that is not the SHA-256 of a certificate.
	ErrFingerprint = errors.New("enrol: fingerprint is not 64 hexadecimal digits")
)

// Request is what a person types, and the agent's key.
type Request struct {
	Server   string // tls://host:port
	CASHA256 string // SHA-256 of the authority's certificate, in hex; colons may stand in it
	Code     contract.EnrolCode
	Signer   contract.Signer
}

// Enrolment is what an agent was given. Nothing in it is secret: it is of use only
// with the agent's key.
type Enrolment struct {
	contract.EnrolAnswer
	At time.Time // when
}

// TLS returns the configuration for the servers: only what the authority that was
// pinned has signed is believed.
func (e *Enrolment) TLS() (*tls.Config, error) {
	ca, err := x509.ParseCertificate(e.CA)
	if err != nil {
		return nil, ErrFile
	}
	return pinned(ca), nil
}

// URLs returns the addresses of the servers.
func (e *Enrolment) URLs() []string {
	var urls []string
	for _, s := range e.Servers {
		urls = append(urls, s.URL)
	}
	return urls
}

// Credentials returns what proves to a server that the holder of s is the agent.
func (e *Enrolment) Credentials(s contract.Signer) uplink.Credentials {
	return uplink.Credentials{NKey: e.Agent, Sign: s.Sign, JWT: func() (string, error) { return e.JWT, nil }}
}

func pinned(ca *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Ask asks for an enrolment. Asking again with the same key and code, when the
// answer was lost, gives the same. Errors are those of [uplink.Enrol] and
// [ErrFingerprint].
func Ask(ctx context.Context, r Request) (*Enrolment, error) {
	want, err := fingerprint(r.CASHA256)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(r.Server)
	if err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.User != nil {
		return nil, uplink.ErrAddress
	}
	ca, err := authority(ctx, u, want)
	if err != nil {
		return nil, err
	}
	a, err := uplink.Enrol(ctx, r.Server, pinned(ca), r.Signer, r.Code)
	if err != nil {
		return nil, err
	}
	// Who is believed later is who was believed now.
	if sum := sha256.Sum256(a.CA); subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return nil, fmt.Errorf("%w: the answer names another authority", uplink.ErrUntrusted)
	}
	return &Enrolment{EnrolAnswer: *a, At: contract.Timestamp(time.Now())}, nil
}

func fingerprint(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(s))
	if err != nil || len(b) != sha256.Size {
		return nil, ErrFingerprint
	}
	return b, nil
}

const (
	contactTimeout = 10 * time.Second
	// maxInfo bounds the line with which a NATS server begins.
	maxInfo     = 32 << 10
	defaultPort = "4222"
)

// authority returns the certificate with a fingerprint, from those that a server
// shows. Nothing else about the server is believed, and nothing is sent to it.
func authority(ctx context.Context, u *url.URL, want []byte) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	// A NATS server says a line in the clear before it speaks TLS. It is read byte
	// by byte: what follows is not this reader's.
	if err := skipLine(c); err != nil {
		return nil, unreachable(ctx, err)
	}
	// Verification is what this is the first step of: without the authority's
	// certificate, of which only the hash is known, there is nothing to verify
	// with. The connection is closed before anything is said.
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
	if err := t.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, unreachable(ctx, err)
		}
		return nil, fmt.Errorf("%w: %w", uplink.ErrUntrusted, err)
	}
	for _, cert := range t.ConnectionState().PeerCertificates {
		if sum := sha256.Sum256(cert.Raw); cert.IsCA && subtle.ConstantTimeCompare(sum[:], want) == 1 {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("%w: no authority with this fingerprint", uplink.ErrUntrusted)
}

func unreachable(ctx context.Context, err error) error {
	if ctxErr := context.Cause(ctx); errors.Is(ctxErr, context.Canceled) {
		return ctxErr
	}
	return fmt.Errorf("%w: %w", uplink.ErrOffline, err)
}

func skipLine(r io.Reader) error {
	b := make([]byte, 1)
	for range maxInfo {
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		if b[0] == '\n' {
			return nil
		}
	}
	return errors.New("enrol: not a NATS server")
}

// stored is the file.
type stored struct {
	At     time.Time       `json:"at"`
	Answer json.RawMessage `json:"answer"`
}

// maxFile bounds the file.
const maxFile = 4 * contract.MaxMessage

// Save writes an enrolment into a data directory, in place of one that is there:
// completely or not at all, and for its owner only.
func Save(dir string, e *Enrolment) (err error) {
	answer, err := contract.EncodeEnrolAnswer(&e.EnrolAnswer)
	if err != nil {
		return err
	}
	b, err := json.Marshal(stored{e.At, answer})
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, TempPattern) // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(b, '\n'))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(dir, File)); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load reads the enrolment of a data directory, for the agent with a public key.
// It returns fs.ErrNotExist when there is none, and [ErrFile] for one that cannot
// be used.
func Load(dir, agent string) (*Enrolment, error) {
	path := filepath.Join(dir, File)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, ErrFile
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, ErrFile
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	return decode(b, agent)
}

func decode(b []byte, agent string) (*Enrolment, error) {
	var s stored
	if json.Unmarshal(b, &s) != nil {
		return nil, ErrFile
	}
	a, err := contract.DecodeEnrolAnswer(s.Answer)
	if err != nil || a.Agent != agent {
		return nil, ErrFile
	}
	e := &Enrolment{EnrolAnswer: a, At: s.At}
	if _, err := e.TLS(); err != nil {
		return nil, err
	}
	return e, nil
}

// Exists reports whether a data directory has an enrolment, usable or not.
func Exists(dir string) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
