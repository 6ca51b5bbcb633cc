package issuer_test

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
)

// keys are shared by the tests below: RSA keys are slow to make.
var keys = issuer.NewKeyCache(seeded("witness"))

// cached makes an authority and a document signer of different algorithms with
// keys of the cache.
func cached(t testing.TB, above, below issuer.Algorithm) (*issuer.Authority, *issuer.Signer) {
	t.Helper()
	random := seeded("certificates")
	key := func(use string, a issuer.Algorithm) *issuer.Key {
		kind, err := a.KeyKind()
		if err != nil {
			t.Fatal(err)
		}
		k, err := keys.Key(use, kind)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	subject := issuer.Subject{Country: "UT", State: "UTO", Organization: "specimen", CommonName: "CSCA"}
	csca, err := issuer.NewCSCA(issuer.Params{
		Subject: subject, Algorithm: above, NotBefore: notBefore, NotAfter: notAfter, Rand: random, Key: key("CSCA", above),
	})
	if err != nil {
		t.Fatal(err)
	}
	subject.CommonName = "DS"
	ds, err := csca.NewDS(issuer.Params{
		Subject: subject, Algorithm: below, NotBefore: notBefore, NotAfter: notAfter,
		DocumentTypes: []string{"P"}, Rand: random, Key: key("DS", below),
	})
	if err != nil {
		t.Fatal(err)
	}
	return csca, ds
}

// TestOpenSSLAlgorithms: `openssl cms -verify` accepts the security object and
// the chain of each algorithm.
func TestOpenSSLAlgorithms(t *testing.T) {
	t.Parallel()
	var all []issuer.Algorithm
	hashes := []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	for i, hash := range hashes {
		all = append(all,
			issuer.Algorithm{Scheme: issuer.PKCS1, Hash: hash},
			issuer.Algorithm{Scheme: issuer.PSS, Hash: hash},
			issuer.Algorithm{Scheme: issuer.PSS, Hash: hash, MGF: hashes[(i+1)%5], Salt: 20},
			issuer.Algorithm{Scheme: issuer.ECDSA, Hash: hash, Curve: "P-256"},
		)
	}
	all = append(all,
		issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA256, Salt: -1},
		issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA256, Bits: 3072},
		issuer.Algorithm{Scheme: issuer.PKCS1, Hash: crypto.SHA256, Bits: 1024},
	)
	for _, c := range ec.All() {
		hash := crypto.SHA256
		if c.Name() == "brainpoolP512r1" || c.Name() == "P-521" {
			hash = crypto.SHA512
		}
		all = append(all, issuer.Algorithm{Scheme: issuer.ECDSA, Hash: hash, Curve: c.Name()})
	}
	for _, a := range all {
		t.Run(fmt.Sprintf("%d %v %s bits %d MGF %v salt %d", a.Scheme, a.Hash, a.Curve, a.Bits, a.MGF, a.Salt), func(t *testing.T) {
			t.Parallel()
			csca, ds := cached(t, a, a)
			sod, err := ds.SignSOD(groups, issuer.SODOptions{Hash: a.Hash})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			out, err := openssl(t, "cms", "-verify", "-inform", "DER", "-in", write(t, dir, "sod", content(t, sod)), "-binary",
				"-out", filepath.Join(dir, "content"), "-CAfile", write(t, dir, "csca.pem", certPEM(csca.Certificate)),
				"-auth_level", "0", "-purpose", "any", "-attime", fmt.Sprint(at.Unix()))
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestOpenSSLForms: signed data in every form, and what it must not hold.
func TestOpenSSLForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		opt     issuer.CMSOptions
		outside bool // the signer's certificate is needed from outside
	}{
		{"by key identifier", issuer.CMSOptions{BySKI: true}, false},
		{"without certificate", issuer.CMSOptions{NoCertificate: true}, true},
		{"without certificate, by key identifier", issuer.CMSOptions{NoCertificate: true, BySKI: true}, true},
		{"signing time", issuer.CMSOptions{SigningTime: at}, false},
		{"without attributes", issuer.CMSOptions{NoAttributes: true}, false},
		{"NULL parameters", issuer.CMSOptions{NullParameters: true}, false},
		{"indefinite lengths", issuer.CMSOptions{Indefinite: true}, false},
		{"rsaEncryption", issuer.CMSOptions{RSAEncryption: true}, false},
		{"rsaEncryption, another hash", issuer.CMSOptions{RSAEncryption: true, Digest: crypto.SHA384}, false},
	}
	csca, ds := cached(t, issuer.ECDSAP256, issuer.RSAPKCS1)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sod, err := ds.SignSOD(groups, issuer.SODOptions{CMSOptions: tt.opt, LDSVersion: "0108", UnicodeVersion: "040000"})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			args := []string{
				"cms", "-verify", "-inform", "DER", "-in", write(t, dir, "sod", content(t, sod)), "-binary",
				"-out", filepath.Join(dir, "content"), "-CAfile", write(t, dir, "csca.pem", certPEM(csca.Certificate)),
				"-purpose", "any", "-attime", fmt.Sprint(at.Unix()),
			}
			if tt.outside {
				if out, err := openssl(t, args...); err == nil || !strings.Contains(out, "signer certificate not found") {
					t.Errorf("without the certificate: %v\n%s", err, out)
				}
				args = append(args, "-certfile", write(t, dir, "ds.pem", certPEM(ds.Certificate)))
			}
			if out, err := openssl(t, args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	_, ecdsa := cached(t, issuer.ECDSAP256, issuer.ECDSAP256)
	for name, opt := range map[string]issuer.SODOptions{
		"rsaEncryption of ECDSA": {CMSOptions: issuer.CMSOptions{RSAEncryption: true}},
		"hash of the content":    {CMSOptions: issuer.CMSOptions{Digest: crypto.MD5}},
		"hash of the groups":     {Hash: crypto.MD5},
	} {
		if sod, err := ecdsa.SignSOD(groups, opt); !errors.Is(err, issuer.ErrContent) || sod != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlainECDSA: the plain signature is the one of ANSI X9.62 in another
// encoding.
func TestPlainECDSA(t *testing.T) {
	plain := issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "brainpoolP256r1", Plain: true}
	csca, _ := cached(t, plain, plain)
	kind, err := plain.KeyKind()
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Key("CSCA", kind)
	if err != nil {
		t.Fatal(err)
	}
	der := csca.Certificate
	signature := der[len(der)-64:]
	tbs := der[4 : 4+4+(int(der[6])<<8|int(der[7]))]
	h := crypto.SHA256.New()
	h.Write(tbs)
	if !ec.Verify(key.EC.Public(), h.Sum(nil), signature[:32], signature[32:]) {
		t.Error("the signature does not verify")
	}
}

// TestOpenSSLLists: revocation list, link certificate and master list.
func TestOpenSSLLists(t *testing.T) {
	t.Parallel()
	csca, ds := cached(t, issuer.ECDSAP256, issuer.RSAPSS)
	dir := t.TempDir()
	cscaFile := write(t, dir, "csca.pem", certPEM(csca.Certificate))
	dsFile := write(t, dir, "ds.pem", certPEM(ds.Certificate))

	for name, revoked := range map[string][]*big.Int{"none": nil, "another": {big.NewInt(5)}, "the signer": {big.NewInt(5), ds.SerialNumber()}} {
		crl, err := csca.CRL(issuer.CRLOptions{Number: 7, ThisUpdate: at.AddDate(0, -1, 0), NextUpdate: at.AddDate(0, 2, 0), Revoked: revoked})
		if err != nil {
			t.Fatal(err)
		}
		file := write(t, dir, "crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}))
		out, err := openssl(t, "verify", "-x509_strict", "-crl_check", "-CRLfile", file, "-CAfile", cscaFile, "-attime", fmt.Sprint(at.Unix()), dsFile)
		if want := name == "the signer"; (err != nil) != want || strings.Contains(out, "certificate revoked") != want {
			t.Errorf("%s revoked: %v\n%s", name, err, out)
		}
	}

	next, nextDS := cached(t, issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA384, Curve: "P-384"}, issuer.RSAPSS)
	link, err := csca.Link(next, issuer.Params{NotBefore: notBefore, NotAfter: notAfter, Rand: seeded("link")})
	if err != nil {
		t.Fatal(err)
	}
	// The old root, the link and the new signer make a chain. The link has the
	// name of its issuer, so that it does not count in the path length.
	if out, err := openssl(t, "verify", "-x509_strict", "-CAfile", cscaFile, "-untrusted", write(t, dir, "link.pem", certPEM(link)),
		"-attime", fmt.Sprint(at.Unix()), write(t, dir, "nextds.pem", certPEM(nextDS.Certificate))); err != nil {
		t.Errorf("chain over the link: %v\n%s", err, out)
	}
	if out, err := openssl(t, "verify", "-partial_chain", "-trusted", write(t, dir, "link.pem", certPEM(link)),
		"-attime", fmt.Sprint(at.Unix()), filepath.Join(dir, "nextds.pem")); err != nil {
		t.Errorf("signer below the link: %v\n%s", err, out)
	}
	if out, err := openssl(t, "verify", "-CAfile", cscaFile, "-attime", fmt.Sprint(at.Unix()), filepath.Join(dir, "link.pem")); err != nil {
		t.Errorf("link below the root: %v\n%s", err, out)
	}

	signer, err := csca.NewMasterListSigner(issuer.Params{
		Subject:   issuer.Subject{Country: "UT", State: "UTO", CommonName: "Master list signer"},
		Algorithm: issuer.ECDSAP256, NotBefore: notBefore, NotAfter: notAfter, Rand: seeded("signer"),
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := signer.SignMasterList([][]byte{csca.Certificate, link, next.Certificate}, csca, issuer.CMSOptions{SigningTime: at})
	if err != nil {
		t.Fatal(err)
	}
	out, err := openssl(t, "cms", "-verify", "-inform", "DER", "-in", write(t, dir, "list", list), "-binary", "-out", filepath.Join(dir, "content"),
		"-CAfile", cscaFile, "-purpose", "any", "-attime", fmt.Sprint(at.Unix()), "-ignore_critical")
	if err != nil {
		t.Errorf("master list: %v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "content"))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range [][]byte{csca.Certificate, link, next.Certificate} {
		if !strings.Contains(string(got), string(c)) {
			t.Errorf("certificate %d is not in the list", i)
		}
	}

	info, err := issuer.PACEInfo("0.4.0.127.0.7.2.2.4.6.2", 2, 13)
	if err != nil {
		t.Fatal(err)
	}
	security, err := ds.SignSecurityInfos([][]byte{info}, issuer.CMSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out, err = openssl(t, "cms", "-verify", "-inform", "DER", "-in", write(t, dir, "security", security), "-binary", "-out", filepath.Join(dir, "content"),
		"-CAfile", cscaFile, "-purpose", "any", "-attime", fmt.Sprint(at.Unix()))
	if err != nil {
		t.Errorf("EF.CardSecurity: %v\n%s", err, out)
	}
}

// TestNoKeyIdentifiers: the chain holds by names alone.
func TestNoKeyIdentifiers(t *testing.T) {
	t.Parallel()
	p := issuer.Params{
		Subject:   issuer.Subject{Country: "UT", State: "UTO", CommonName: "CSCA"},
		Algorithm: issuer.ECDSAP256, NotBefore: notBefore, NotAfter: notAfter, Rand: seeded("names"), NoKeyIdentifiers: true,
	}
	csca, err := issuer.NewCSCA(p)
	if err != nil {
		t.Fatal(err)
	}
	p.Subject.CommonName = "DS"
	ds, err := csca.NewDS(p)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := openssl(t, "verify", "-CAfile", write(t, dir, "csca.pem", certPEM(csca.Certificate)), "-attime", fmt.Sprint(at.Unix()),
		write(t, dir, "ds.pem", certPEM(ds.Certificate))); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if text, _ := openssl(t, "x509", "-in", filepath.Join(dir, "ds.pem"), "-noout", "-text"); strings.Contains(text, "Key Identifier") {
		t.Error("an identifier is there")
	}
}

// TestKeyCache: the same key for the same use, and no other.
func TestKeyCache(t *testing.T) {
	cache := issuer.NewKeyCache(seeded("cache"))
	kinds := []issuer.KeyKind{{Curve: "P-256"}, {Curve: "P-256", Explicit: true}, {Bits: 1024}, {Group: 0}, {Group: 1}}
	seen := map[*issuer.Key]bool{}
	for range 2 {
		for _, use := range []string{"a", "b"} {
			for _, kind := range kinds {
				k, err := cache.Key(use, kind)
				if err != nil {
					t.Fatal(err)
				}
				seen[k] = true
			}
		}
	}
	if len(seen) != 2*len(kinds) {
		t.Errorf("%d keys, want %d", len(seen), 2*len(kinds))
	}
	if _, err := cache.Key("a", issuer.KeyKind{Curve: "P-1"}); !errors.Is(err, issuer.ErrKey) {
		t.Errorf("unknown curve: %v", err)
	}
}

// TestAlgorithmRefusals: what is no algorithm, and keys of another one.
func TestAlgorithmRefusals(t *testing.T) {
	key, err := issuer.NewECKey(seeded("x"), "P-256", false)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]issuer.Params{
		"no hash":         {Algorithm: issuer.Algorithm{Scheme: issuer.PKCS1}},
		"MD5":             {Algorithm: issuer.Algorithm{Scheme: issuer.PKCS1, Hash: crypto.MD5}},
		"no scheme":       {Algorithm: issuer.Algorithm{Hash: crypto.SHA256}},
		"long salt":       {Algorithm: issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA256, Salt: 230}},
		"another curve":   {Algorithm: issuer.ECDSABrainpoolP384, Key: key},
		"another form":    {Algorithm: issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256", Explicit: true}, Key: key},
		"another kind":    {Algorithm: issuer.RSAPSS, Key: key},
		"key without key": {Algorithm: issuer.RSAPSS, Key: &issuer.Key{}},
	} {
		if a, err := issuer.NewCSCA(p); !errors.Is(err, issuer.ErrKey) || a != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
