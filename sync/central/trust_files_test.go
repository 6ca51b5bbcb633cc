package central_test

import (
	"crypto"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
)

// country is a state that issues documents.
type country struct {
	t    *testing.T
	name string
	*issuer.Authority
}

func newCountry(t *testing.T, name string) country {
	t.Helper()
	a, err := issuer.NewCSCA(params(name, "CSCA"))
	if err != nil {
		t.Fatal(err)
	}
	return country{t, name, a}
}

func params(name, common string) issuer.Params {
	return issuer.Params{
		Subject:   issuer.Subject{Country: name, State: name + "X", Organization: "test", CommonName: common},
		Algorithm: issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256"}, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
	}
}

func (c country) link(next country) []byte {
	c.t.Helper()
	der, err := c.Link(next.Authority, params(c.name, "link"))
	if err != nil {
		c.t.Fatal(err)
	}
	return der
}

func (c country) crl(daysOld int) []byte {
	c.t.Helper()
	from := time.Now().AddDate(0, 0, -daysOld)
	der, err := c.CRL(issuer.CRLOptions{Number: int64(1000 - daysOld), ThisUpdate: from, NextUpdate: from.AddDate(0, 3, 0), Revoked: []*big.Int{big.NewInt(77)}})
	if err != nil {
		c.t.Fatal(err)
	}
	return der
}

func (c country) masterList(certificates ...[]byte) []byte {
	c.t.Helper()
	signer, err := c.NewMasterListSigner(params(c.name, "list signer"))
	if err != nil {
		c.t.Fatal(err)
	}
	der, err := signer.SignMasterList(certificates, c.Authority, issuer.CMSOptions{SigningTime: time.Now().AddDate(0, 0, -10)})
	if err != nil {
		c.t.Fatal(err)
	}
	return der
}

func (c country) signer() []byte {
	c.t.Helper()
	ds, err := c.NewDS(params(c.name, "DS"))
	if err != nil {
		c.t.Fatal(err)
	}
	return ds.Certificate
}

// pkcs7 is a bundle of certificates: SignedData without content and signers
// (RFC 5652, 5.1).
func pkcs7(t *testing.T, certificates ...[]byte) []byte {
	t.Helper()
	inner := asn1.Tag(0).Constructed().ContextSpecific()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier([]int{1, 2, 840, 113549, 1, 7, 2})
		b.AddASN1(inner, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier([]int{1, 2, 840, 113549, 1, 7, 1}) })
				b.AddASN1(inner, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(certificates...)) })
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
			})
		})
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(certificates ...[]byte) (text []byte) {
	for _, der := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

// ldif is a collection as the ICAO PKD hands it out.
func ldif(certificates ...[]byte) []byte {
	var b strings.Builder
	b.WriteString("version: 1\n")
	for i, c := range certificates {
		fmt.Fprintf(&b, "\ndn: cn=%d,o=dsc,c=KH,dc=data,dc=download,dc=pkd,dc=icao,dc=int\nuserCertificate;binary:: %s\n", i, base64.StdEncoding.EncodeToString(c))
	}
	return []byte(b.String())
}

// TestTrustFiles: whatever form trust material has, and in whatever order it
// lies there, it is taken on a word or a signature, and not without.
func TestTrustFiles(t *testing.T) {
	la, kh, mm := newCountry(t, "LA"), newCountry(t, "KH"), newCountry(t, "MM")
	next := newCountry(t, "KH")
	link, list, ds := kh.link(next), la.masterList(kh.Certificate, mm.Certificate), kh.signer()
	forged := slices.Clone(link)
	forged[len(forged)-1] ^= 1
	for _, tt := range []struct {
		name  string
		files fstest.MapFS
		want  int   // anchors; 0: an error
		lists int   // revocation lists
		err   error // nil: any
	}{
		{"PEM", fstest.MapFS{"a.pem": {Data: pemOf(la.Certificate, kh.Certificate)}}, 2, 0, nil},
		{"PEM in a file for DER", fstest.MapFS{"a.cer": {Data: pemOf(la.Certificate)}}, 1, 0, nil},
		{"PKCS #7", fstest.MapFS{"a.p7b": {Data: pkcs7(t, link, kh.Certificate, mm.Certificate)}}, 3, 0, nil},
		{"LDIF", fstest.MapFS{"a.ldif": {Data: ldif(ds, link, kh.Certificate)}}, 2, 0, nil},
		{"LDIF with a link of nobody", fstest.MapFS{"a.ldif": {Data: ldif(link, mm.Certificate)}}, 1, 0, nil},
		{"LDIF with nothing that fits", fstest.MapFS{"a.ldif": {Data: ldif(link)}, "b.der": {Data: mm.Certificate}}, 0, 0, trust.ErrNoIssuer},
		{"master list under a root", fstest.MapFS{"a.ml": {Data: list}, "b.cer": {Data: la.Certificate}}, 3, 0, nil},
		{"link behind a master list", fstest.MapFS{"a.der": {Data: link}, "b.ml": {Data: list}, "c.cer": {Data: la.Certificate}}, 4, 0, nil},
		{"revocation list behind a link", fstest.MapFS{
			"a.crl": {Data: next.crl(5)}, "b.der": {Data: link}, "c.der": {Data: kh.Certificate},
		}, 2, 1, nil},
		{"revocation lists, one of which is older", fstest.MapFS{
			"a.crl": {Data: kh.crl(5)}, "b.crl": {Data: kh.crl(95)}, "c.der": {Data: kh.Certificate},
		}, 1, 1, nil},
		{"master list without its root", fstest.MapFS{"a.ml": {Data: list}, "b.der": {Data: mm.Certificate}}, 0, 0, nil},
		{"master list whose root is one of several in a file", fstest.MapFS{"a.ml": {Data: list}, "b.pem": {Data: pemOf(la.Certificate, mm.Certificate)}}, 0, 0, nil},
		{"link of nobody", fstest.MapFS{"a.der": {Data: link}, "b.der": {Data: mm.Certificate}}, 0, 0, trust.ErrNoIssuer},
		{"link that nobody signed", fstest.MapFS{"a.der": {Data: forged}, "b.der": {Data: kh.Certificate}}, 0, 0, nil},
		{"revocation list of nobody", fstest.MapFS{"a.crl": {Data: kh.crl(5)}, "b.der": {Data: mm.Certificate}}, 0, 0, trust.ErrNoIssuer},
		{"a key among certificates", fstest.MapFS{"a.pem": {Data: append(pemOf(kh.Certificate), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}})...)}}, 0, 0, nil},
		{"document signers alone", fstest.MapFS{"a.pem": {Data: pemOf(ds)}, "b.der": {Data: kh.Certificate}}, 0, 0, trust.ErrNotCA},
		{"nothing but revocation lists", fstest.MapFS{"a.crl": {Data: kh.crl(5)}}, 0, 0, nil},
		{"a directory with the name of a file", fstest.MapFS{"a.der": {Data: kh.Certificate}, "b.der": {Mode: fs.ModeDir | 0o755}}, 0, 0, nil},
		{"no file of trust material", fstest.MapFS{"a.txt": {Data: kh.Certificate}}, 0, 0, central.ErrNoAnchors},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool, err := central.ReadAnchors(tt.files)
			if tt.want == 0 {
				if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
					t.Errorf("%d anchors, error %v, want %v", pool.Len(), err, tt.err)
				}
				return
			}
			if err != nil || pool.Len() != tt.want || len(pool.RevocationLists()) != tt.lists {
				t.Errorf("%d anchors, %d revocation lists, %v; want %d, %d", pool.Len(), len(pool.RevocationLists()), err, tt.want, tt.lists)
			}
		})
	}
}

// TestGermanMasterList reads a list as it is in the field.
func TestGermanMasterList(t *testing.T) {
	vectors := os.Getenv("CHAMTHE_VECTORS")
	if vectors == "" {
		vectors = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	files := fstest.MapFS{}
	for _, name := range []string{"de-csca-root.cer", "de-master-list.ml"} {
		b, err := os.ReadFile(filepath.Join(vectors, "trust", name))
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("test vectors %s not found, and CI=true; set CHAMTHE_VECTORS to their folder", name)
			}
			t.Skipf("test vectors %s not found; set CHAMTHE_VECTORS to their folder", name)
		}
		files[name] = &fstest.MapFile{Data: b}
	}
	pool, err := central.ReadAnchors(files)
	if err != nil || pool.Len() < 500 {
		t.Errorf("%d anchors, %v", pool.Len(), err)
	}
	delete(files, "de-csca-root.cer")
	if _, err := central.ReadAnchors(files); err == nil {
		t.Error("believed without its root")
	}
}
