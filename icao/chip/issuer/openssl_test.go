package issuer_test

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/tlv"
)

var (
	notBefore = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	at        = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

// seeded is a source of bytes that is the same in every run.
func seeded(seed string) *rand.ChaCha8 {
	var s [32]byte
	copy(s[:], seed)
	return rand.NewChaCha8(s)
}

type algorithmCase struct {
	name      string
	algorithm issuer.Algorithm
	explicit  bool
}

var algorithms = []algorithmCase{
	{"ECDSA brainpoolP384r1 explicit SHA-384", issuer.ECDSABrainpoolP384, true},
	{"ECDSA P-256 SHA-256", issuer.ECDSAP256, false},
	{"RSA-2048 PKCS1 SHA-256", issuer.RSAPKCS1, false},
	{"RSA-2048 PSS SHA-256", issuer.RSAPSS, false},
}

func newPKI(t testing.TB, a issuer.Algorithm, seed string) (*issuer.Authority, *issuer.Signer) {
	t.Helper()
	random := seeded(seed)
	subject := issuer.Subject{Country: "VN", State: "VNM", Organization: "specimen", CommonName: "CSCA"}
	csca, err := issuer.NewCSCA(issuer.Params{Subject: subject, Algorithm: a, NotBefore: notBefore, NotAfter: notAfter, Rand: random})
	if err != nil {
		t.Fatal(err)
	}
	subject.CommonName = "DS"
	ds, err := csca.NewDS(issuer.Params{
		Subject: subject, Algorithm: a, NotBefore: notBefore, NotAfter: notAfter,
		DocumentTypes: []string{"P", "ID"}, Rand: random,
	})
	if err != nil {
		t.Fatal(err)
	}
	return csca, ds
}

var groups = map[int][]byte{1: []byte("one"), 2: []byte("two"), 13: []byte("thirteen"), 15: []byte("fifteen")}

func content(t testing.TB, sod []byte) []byte {
	t.Helper()
	s, value := tlv.String(sod), tlv.String(nil)
	if !s.ReadTag(&value, 0x77) || !s.Empty() {
		t.Fatal("EF.SOD is not one element with tag 77")
	}
	return value
}

// openssl runs the openssl program, the witness that is not ours.
func openssl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no openssl program, and CI=true")
		}
		t.Skip("no openssl program")
	}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	return string(out), err
}

func write(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestOpenSSLVerifies has `openssl cms -verify` check the security object of
// every algorithm. The chain is checked too, except for explicit curve
// parameters, which OpenSSL refuses in a chain on principle: there `openssl
// dgst -verify` checks both certificates' signatures.
func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	for _, tt := range algorithms {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			csca, ds := newPKI(t, tt.algorithm, tt.name)
			dir := t.TempDir()
			cscaFile := write(t, dir, "csca.pem", certPEM(csca.Certificate))
			dsFile := write(t, dir, "ds.pem", certPEM(ds.Certificate))

			for _, opt := range []issuer.SODOptions{{}, {LDSVersion: "0108", UnicodeVersion: "040000"}, {CMSOptions: issuer.CMSOptions{Tamper: true}}} {
				sod, err := ds.SignSOD(groups, opt)
				if err != nil {
					t.Fatal(err)
				}
				file := write(t, dir, "sod.der", content(t, sod))
				args := []string{"cms", "-verify", "-inform", "DER", "-in", file, "-binary", "-out", filepath.Join(dir, "content")}
				if tt.explicit {
					args = append(args, "-noverify")
				} else {
					args = append(args, "-CAfile", cscaFile, "-purpose", "any", "-attime", fmt.Sprint(at.Unix()))
				}
				out, err := openssl(t, args...)
				if good := err == nil; good == opt.Tamper {
					t.Errorf("openssl cms -verify with %+v: %v\n%s", opt, err, out)
				}
				if opt.Tamper && !strings.Contains(out, "CMS Verification failure") {
					t.Errorf("refused for another reason: %s", out)
				}
			}

			for _, f := range []string{cscaFile, dsFile} {
				if out, err := openssl(t, "x509", "-in", f, "-noout", "-text"); err != nil {
					t.Errorf("openssl x509: %v\n%s", err, out)
				}
			}
			if tt.explicit {
				verifyRaw(t, dir, cscaFile, csca.Certificate)
				verifyRaw(t, dir, cscaFile, ds.Certificate)
				return
			}
			if out, err := openssl(t, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", cscaFile,
				"-attime", fmt.Sprint(at.Unix()), dsFile); err != nil {
				t.Errorf("openssl verify: %v\n%s", err, out)
			}
		})
	}
}

// verifyRaw checks the ECDSA SHA-384 signature over a certificate with
// `openssl dgst` and the public key of the authority.
func verifyRaw(t *testing.T, dir, cscaFile string, der []byte) {
	t.Helper()
	var cert, tbs, rest tlv.String
	var tag tlv.Tag
	outer := tlv.String(der)
	if !outer.ReadTag(&cert, 0x30) {
		t.Fatal("certificate is no sequence")
	}
	rest = cert
	if !rest.ReadTag(&tbs, 0x30) {
		t.Fatal("certificate holds no sequence")
	}
	signed := cert[:len(cert)-len(rest)]
	var skipped, signature tlv.String
	if !rest.Read(&skipped, &tag) || !rest.ReadTag(&signature, 0x03) {
		t.Fatal("certificate holds no signature")
	}
	key, err := openssl(t, "x509", "-in", cscaFile, "-noout", "-pubkey")
	if err != nil {
		t.Fatal(err)
	}
	out, err := openssl(t, "dgst", "-sha384",
		"-verify", write(t, dir, "key.pem", []byte(key)),
		"-signature", write(t, dir, "signature", signature[1:]),
		write(t, dir, "tbs", signed))
	if err != nil {
		t.Errorf("openssl dgst: %v\n%s", err, out)
	}
}

// TestDeterministic: the same bytes of randomness make the same certificates
// and security object, other bytes make others.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	for _, tt := range algorithms {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			build := func(seed string) []byte {
				csca, ds := newPKI(t, tt.algorithm, seed)
				sod, err := ds.SignSOD(groups, issuer.SODOptions{CMSOptions: issuer.CMSOptions{Rand: seeded(seed)}})
				if err != nil {
					t.Fatal(err)
				}
				return bytes.Join([][]byte{csca.Certificate, ds.Certificate, sod}, nil)
			}
			first := build("a")
			if !bytes.Equal(first, build("a")) {
				t.Error("two runs with one seed differ")
			}
			if bytes.Equal(first, build("b")) {
				t.Error("two seeds give the same")
			}
		})
	}
}

// TestParsePKCS8 reads keys that OpenSSL has made.
func TestParsePKCS8(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		hash crypto.Hash
	}{
		{"RSA-2048", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, crypto.SHA256},
		{"P-256 named", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, crypto.SHA256},
		{"P-521 named", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"}, crypto.SHA512},
		{
			"brainpoolP384r1 explicit",
			[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1", "-pkeyopt", "ec_param_enc:explicit"},
			crypto.SHA384,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			if out, err := openssl(t, append([]string{"genpkey", "-out", file + ".pem"}, tt.args...)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := openssl(t, "pkcs8", "-topk8", "-nocrypt", "-in", file+".pem", "-outform", "DER", "-out", file); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			der, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			key, err := issuer.ParsePKCS8(der)
			if err != nil {
				t.Fatal(err)
			}
			if !key.Usable() || key.Hash() != tt.hash {
				t.Errorf("usable %t, hash %v, want %v", key.Usable(), key.Hash(), tt.hash)
			}
			public, err := key.PublicKeyInfo()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := openssl(t, "pkey", "-inform", "DER", "-in", file, "-pubout", "-outform", "DER", "-out", file+".pub"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want, err := os.ReadFile(file + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			// OpenSSL adds the seed of a curve to explicit parameters when it has
			// one; brainpool curves have none in its table.
			if !bytes.Equal(public, want) {
				t.Errorf("public key %x, want %x", public, want)
			}
			for n := range der {
				if _, err := issuer.ParsePKCS8(der[:n]); !errors.Is(err, issuer.ErrKey) {
					t.Fatalf("cut to %d bytes: %v", n, err)
				}
			}
		})
	}
}
