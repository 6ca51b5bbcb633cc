package operator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"
)

// certificateYears is how long the certificates of a test deployment last.
const certificateYears = 10

// ErrCertificate reports something that is not one certificate in PEM.
var ErrCertificate = errors.New("operator: not a certificate in PEM")

// Certificates are those of a test deployment, in PEM. CA is the authority that
// agents pin; Chain is what a server shows: its own certificate, and that of the
// authority, which an agent at its first contact knows the hash of and nothing
// more.
type Certificates struct {
	CA, CAKey  []byte
	Chain, Key []byte
}

// NewCertificates makes an authority and the certificate of a server that is
// called by the given host names and addresses.
func NewCertificates(hosts []string, at time.Time) (*Certificates, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := template("chamthe test deployment CA", at)
	ca.IsCA, ca.BasicConstraintsValid, ca.MaxPathLenZero = true, true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := template("chamthe test deployment server", at)
	leaf.BasicConstraintsValid = true
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} // servers of a cluster call each other
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	c := &Certificates{CA: certificatePEM(caDER)}
	c.Chain = append(certificatePEM(leafDER), c.CA...)
	var err2 error
	c.CAKey, err = keyPEM(caKey)
	c.Key, err2 = keyPEM(key)
	return c, errors.Join(err, err2)
}

func template(name string, at time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		// The clock of a desk may be behind.
		NotBefore: at.Add(-24 * time.Hour),
		NotAfter:  at.AddDate(certificateYears, 0, 0),
	}
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // crypto/rand.Read never fails
	b[0] &= 0x7F
	return new(big.Int).SetBytes(b)
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ServerTLS returns the configuration of a server with a chain and key in PEM.
func ServerTLS(chain, key []byte) (*tls.Config, error) {
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}, nil
}

// CertificateDER returns the one certificate in a PEM file.
func CertificateDER(file []byte) ([]byte, error) {
	b, _ := pem.Decode(file)
	if b == nil || b.Type != "CERTIFICATE" {
		return nil, ErrCertificate
	}
	if _, err := x509.ParseCertificate(b.Bytes); err != nil {
		return nil, ErrCertificate
	}
	return b.Bytes, nil
}

// Fingerprint returns the SHA-256 of a certificate (DER) in hex: what a person
// passes on with an enrolment code.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
