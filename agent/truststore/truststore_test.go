package truststore_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/trust"
)

var (
	now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	alg = issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256"}
)

func authority(t *testing.T, country string, notAfter time.Time) *issuer.Authority {
	t.Helper()
	a, err := issuer.NewCSCA(issuer.Params{
		Subject:   issuer.Subject{Country: country, State: country + "X", Organization: "test", CommonName: "CSCA"},
		Algorithm: alg, NotBefore: now.AddDate(-5, 0, 0), NotAfter: notAfter,
	})
	return must(t, a, err)
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// material is the files of some states: LA pins, KH and MM are on its list, KH
// has a new key.
type material struct {
	dir                                                              string
	la, kh, mm                                                       *issuer.Authority
	root, khRoot, mmRoot, khNew, link, crl, oldCRL, list, ds, bundle string

	p7b, ldif string // the root of KH, the link and the revocation list
}

func newMaterial(t *testing.T) *material {
	t.Helper()
	m := &material{dir: t.TempDir()}
	until := now.AddDate(10, 0, 0)
	m.la, m.kh, m.mm = authority(t, "LA", until), authority(t, "KH", until), authority(t, "MM", until)
	next := authority(t, "KH", until)
	link, err := m.kh.Link(next, issuer.Params{NotBefore: now.AddDate(-1, 0, 0), NotAfter: until})
	link = must(t, link, err)
	crl := func(from, to time.Time) []byte {
		b, err := next.CRL(issuer.CRLOptions{Number: 1, ThisUpdate: from, NextUpdate: to, Revoked: []*big.Int{big.NewInt(77)}})
		return must(t, b, err)
	}
	signer, err := m.la.NewMasterListSigner(issuer.Params{
		Subject: issuer.Subject{Country: "LA", State: "LAX", Organization: "test", CommonName: "list signer"}, Algorithm: alg, NotBefore: now.AddDate(-1, 0, 0), NotAfter: until,
	})
	signer = must(t, signer, err)
	list, err := signer.SignMasterList([][]byte{m.kh.Certificate, m.mm.Certificate, link}, m.la, issuer.CMSOptions{SigningTime: now.AddDate(0, 0, -10)})
	list = must(t, list, err)
	ds, err := m.kh.NewDS(issuer.Params{
		Subject: issuer.Subject{Country: "KH", State: "KHX", Organization: "test", CommonName: "DS"}, Algorithm: alg, NotBefore: now.AddDate(-1, 0, 0), NotAfter: until,
	})
	ds = must(t, ds, err)
	write := func(name string, b []byte) string {
		file := filepath.Join(m.dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	m.root, m.khRoot, m.mmRoot, m.khNew = write("la.cer", m.la.Certificate), write("kh.cer", m.kh.Certificate), write("mm.cer", m.mm.Certificate), write("kh-new.cer", next.Certificate)
	m.link, m.list, m.ds = write("link.der", link), write("list.ml", list), write("ds.cer", ds.Certificate)
	m.crl = write("kh.crl", crl(now.AddDate(0, 0, -5), now.AddDate(0, 0, 60)))
	m.oldCRL = write("kh-old.crl", crl(now.AddDate(0, 0, -95), now.AddDate(0, 0, -35)))
	m.p7b = write("kh.p7b", pkcs7(t, [][]byte{m.kh.Certificate, link}, read(t, m.crl)))
	m.ldif = write("kh.ldif", ldif(read(t, m.crl), ds.Certificate, link, m.kh.Certificate))
	m.bundle = write("bundle.pem", slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: list}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}}),
	))
	return m
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	return must(t, b, err)
}

// pkcs7 is a bundle: SignedData without content and signers (RFC 5652, 5.1).
func pkcs7(t *testing.T, certificates [][]byte, crl []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier([]int{1, 2, 840, 113549, 1, 7, 2})
		b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier([]int{1, 2, 840, 113549, 1, 7, 1}) })
				b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(certificates...)) })
				b.AddASN1(asn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(crl) })
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
			})
		})
	})
	der, err := b.Bytes()
	return must(t, der, err)
}

// ldif is a collection as the ICAO PKD hands it out.
func ldif(crl []byte, certificates ...[]byte) []byte {
	var b strings.Builder
	b.WriteString("version: 1\n")
	for i, c := range certificates {
		fmt.Fprintf(&b, "\ndn: cn=%d,o=dsc,c=KH,dc=data,dc=download,dc=pkd,dc=icao,dc=int\nuserCertificate;binary:: %s\n", i, base64.StdEncoding.EncodeToString(c))
	}
	fmt.Fprintf(&b, "\ndn: cn=CRL,o=crl,c=KH,dc=data,dc=download,dc=pkd,dc=icao,dc=int\ncertificateRevocationList;binary:: %s\n", base64.StdEncoding.EncodeToString(crl))
	return []byte(b.String())
}

func imports(t *testing.T, dir string, req truststore.Request) *truststore.Report {
	t.Helper()
	req.By, req.At = "tester", now
	r, err := truststore.Import(t.Context(), dir, &req)
	return must(t, r, err)
}

func load(t *testing.T, dir string) *truststore.Store {
	t.Helper()
	s, err := truststore.Load(t.Context(), dir)
	return must(t, s, err)
}

// whys tells what became of the pieces of a report.
func whys(r *truststore.Report) (list []string) {
	for _, src := range r.Sources {
		for p := range src.All() {
			list = append(list, src.Name+" "+string(p.Why))
		}
	}
	return list
}

func TestImport(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	tests := []struct {
		name    string
		req     truststore.Request
		want    []string
		err     error
		anchors int
	}{
		{"a root alone", truststore.Request{Root: m.root}, nil, nil, 1},
		{
			"list under the root",
			truststore.Request{Root: m.root, Files: []string{m.list}},
			[]string{"list.ml signature", "list.ml master_list", "list.ml master_list", "list.ml link_certificate"},
			nil, 4,
		},
		{
			"list in PEM",
			truststore.Request{Root: m.root, Files: []string{m.bundle}},
			[]string{"bundle.pem signature", "bundle.pem master_list", "bundle.pem master_list", "bundle.pem link_certificate", "bundle.pem unreadable"},
			nil, 4,
		},
		{"list without a root", truststore.Request{Files: []string{m.list}}, []string{"list.ml signer_not_trusted"}, truststore.ErrRefused, 0},
		{"list on my word", truststore.Request{Files: []string{m.list}, Accept: "I like it"}, []string{"list.ml signer_not_trusted"}, truststore.ErrRefused, 0},
		{"list under another root", truststore.Request{Root: m.mmRoot, Files: []string{m.list}}, []string{"list.ml signer_not_trusted"}, truststore.ErrRefused, 1},
		{
			"list beside its root, which is not pinned",
			truststore.Request{Files: []string{m.root, m.list}, Accept: "letter"},
			[]string{"la.cer administrator", "list.ml signer_not_trusted"},
			truststore.ErrRefused, 1,
		},
		{"self-signed without a word", truststore.Request{Files: []string{m.khRoot}}, []string{"kh.cer not_vouched_for"}, truststore.ErrRefused, 0},
		{"self-signed on my word", truststore.Request{Files: []string{m.khRoot}, Accept: "letter"}, []string{"kh.cer administrator"}, nil, 1},
		{"a root vouches for no other root", truststore.Request{Root: m.root, Files: []string{m.khRoot}}, []string{"kh.cer not_vouched_for"}, truststore.ErrRefused, 1},
		{
			"in the wrong order",
			truststore.Request{Files: []string{m.crl, m.khNew, m.link, m.list}, Root: m.root},
			[]string{
				"kh.crl signature", "kh-new.cer link_certificate", "link.der already_there",
				"list.ml signature", "list.ml master_list", "list.ml master_list", "list.ml link_certificate",
			},
			nil, 5,
		},
		{
			"new root by its link",
			truststore.Request{Files: []string{m.crl, m.link, m.khNew, m.khRoot}, Accept: "letter"},
			[]string{"kh.crl signature", "link.der link_certificate", "kh-new.cer administrator", "kh.cer administrator"},
			nil, 3,
		},
		{
			"PKCS #7",
			truststore.Request{Files: []string{m.p7b}, Accept: "letter"},
			[]string{"kh.p7b administrator", "kh.p7b link_certificate", "kh.p7b signature"},
			nil, 2,
		},
		{
			"LDIF",
			truststore.Request{Files: []string{m.ldif}, Accept: "letter"},
			[]string{"kh.ldif administrator", "kh.ldif link_certificate", "kh.ldif signature"},
			nil, 2,
		},
		{
			"LDIF without a word",
			truststore.Request{Files: []string{m.ldif}},
			[]string{"kh.ldif no_issuer", "kh.ldif no_issuer", "kh.ldif not_vouched_for"},
			truststore.ErrRefused, 0,
		},
		{"link without issuer", truststore.Request{Files: []string{m.link}, Accept: "letter"}, []string{"link.der no_issuer"}, truststore.ErrRefused, 0},
		{"revocation list without issuer", truststore.Request{Files: []string{m.crl}, Accept: "letter"}, []string{"kh.crl no_issuer"}, truststore.ErrRefused, 0},
		{"document signer", truststore.Request{Files: []string{m.ds}, Accept: "letter"}, nil, truststore.ErrRefused, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			tt.req.By, tt.req.At = "tester", now
			r, err := truststore.Import(t.Context(), dir, &tt.req)
			if !errors.Is(err, tt.err) || r == nil {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			got := whys(r)
			slices.Sort(got) // the order of a list is that of its encodings
			slices.Sort(tt.want)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("pieces (-want +got):\n%s", d)
			}
			if tt.anchors == 0 {
				if there, err := truststore.Exists(dir); there || err != nil {
					t.Error("something was written")
				}
				if _, err := truststore.Load(t.Context(), dir); !errors.Is(err, truststore.ErrNone) {
					t.Errorf("loading nothing: %v", err)
				}
				return
			}
			s := load(t, dir)
			if s.Pool.Len() != tt.anchors {
				t.Errorf("%d anchors, want %d", s.Pool.Len(), tt.anchors)
			}
			before := snapshot(t, dir)
			again, err := truststore.Import(t.Context(), dir, &tt.req)
			if !errors.Is(err, tt.err) || again.Added != 0 || again.Pinned {
				t.Errorf("the same again: %d added, pinned %v, %v", again.Added, again.Pinned, err)
			}
			if d := cmp.Diff(before, snapshot(t, dir)); d != "" {
				t.Errorf("the same again changed the directory:\n%s", d)
			}
		})
	}
}

// snapshot is the names and contents of a directory.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRecord: who, when, from where and why survive.
func TestRecord(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), t.TempDir()
	imports(t, dir, truststore.Request{Files: []string{m.khRoot}, Accept: " letter of\n2 March "})
	imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list}})
	s := load(t, dir)
	if len(s.Roots) != 1 || s.Roots[0].By != "tester" || !s.Roots[0].Pinned.Equal(now) || s.Roots[0].Name != "la.cer" {
		t.Errorf("roots %+v", s.Roots)
	}
	if len(s.Sources) != 2 {
		t.Fatalf("%d sources", len(s.Sources))
	}
	kh, list := s.Sources[0], s.Sources[1]
	if kh.Accept != "letter of 2 March" || kh.By != "tester" || !kh.Added.Equal(now) || kh.Pieces[0].Why != trust.ByAdministrator {
		t.Errorf("source %+v", kh)
	}
	if list.Accept != "" || !list.Pieces[0].Dated.Equal(now.AddDate(0, 0, -10)) || list.Pieces[0].ID != list.SHA256 || len(list.Pieces[0].Entries) != 3 {
		t.Errorf("source %+v", list)
	}
	for _, a := range s.Pool.Anchors() {
		if a.Source == "" || !a.Added.Equal(now) {
			t.Errorf("anchor of %s: source %q, added %v", a.Certificate.Subject, a.Source, a.Added)
		}
	}
}

// TestLater: material that comes in several imports finds what is there.
func TestLater(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), t.TempDir()
	imports(t, dir, truststore.Request{Root: m.root})
	imports(t, dir, truststore.Request{Files: []string{m.list}})
	imports(t, dir, truststore.Request{Files: []string{m.crl}})
	imports(t, dir, truststore.Request{Files: []string{m.khNew}})
	s := load(t, dir)
	if s.Pool.Len() != 5 || len(s.Pool.RevocationLists()) != 1 {
		t.Errorf("%d anchors, %d revocation lists", s.Pool.Len(), len(s.Pool.RevocationLists()))
	}
	r, err := truststore.Import(t.Context(), dir, &truststore.Request{Files: []string{m.oldCRL}, By: "tester", At: now})
	if !errors.Is(err, truststore.ErrRefused) || r.Sources[0].Pieces[0].Why != trust.Older {
		t.Errorf("an older revocation list: %v", err)
	}
}

func TestImportBad(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	write := func(name string, b []byte) string {
		file := filepath.Join(m.dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	both := write("both.pem", slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.la.Certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.kh.Certificate})))
	for _, tt := range []struct {
		name string
		req  truststore.Request
		want error
	}{
		{"no such file", truststore.Request{Files: []string{filepath.Join(m.dir, "none")}, Accept: "x"}, truststore.ErrUnreadable},
		{"a directory", truststore.Request{Files: []string{m.dir}, Accept: "x"}, truststore.ErrUnreadable},
		{"a device", truststore.Request{Files: []string{os.DevNull}, Accept: "x"}, truststore.ErrUnreadable},
		{"garbage after what is good", truststore.Request{Files: []string{m.khRoot, write("garbage", []byte("hello"))}, Accept: "x"}, truststore.ErrUnreadable},
		{"empty", truststore.Request{Files: []string{write("empty", nil)}, Accept: "x"}, truststore.ErrUnreadable},
		{"no such root", truststore.Request{Root: filepath.Join(m.dir, "none")}, truststore.ErrUnreadable},
		{"two roots", truststore.Request{Root: both}, truststore.ErrRoot},
		{"a link as root", truststore.Request{Root: m.link}, truststore.ErrRoot},
		{"a list as root", truststore.Request{Root: m.list}, truststore.ErrRoot},
		{"a document signer as root", truststore.Request{Root: m.ds}, truststore.ErrRoot},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			tt.req.By, tt.req.At = "tester", now
			r, err := truststore.Import(t.Context(), dir, &tt.req)
			if r != nil || !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if there, err := truststore.Exists(dir); there || err != nil {
				t.Error("something was written")
			}
		})
	}
	for _, req := range []truststore.Request{{Root: m.root, At: now}, {Root: m.root, By: "x"}} {
		if _, err := truststore.Import(t.Context(), t.TempDir(), &req); err == nil {
			t.Errorf("accepted without a person or a time: %+v", req)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := truststore.Import(ctx, t.TempDir(), &truststore.Request{Root: m.root, By: "x", At: now}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestDamage: what is not as it was written is not believed, and says so.
func TestDamage(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	objects := func(t *testing.T, dir string) []string {
		all, err := filepath.Glob(filepath.Join(dir, "objects", "*"))
		return must(t, all, err)
	}
	edit := func(t *testing.T, file string, change func(map[string]any)) {
		t.Helper()
		var v map[string]any
		b, err := os.ReadFile(file)
		if err := json.Unmarshal(must(t, b, err), &v); err != nil {
			t.Fatal(err)
		}
		change(v)
		b, err = json.Marshal(v)
		if err := os.WriteFile(file, must(t, b, err), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   error
	}{
		{"object changed", func(t *testing.T, dir string) {
			b, err := os.ReadFile(m.mmRoot)
			if err := os.WriteFile(objects(t, dir)[0], must(t, b, err), 0o600); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrDamaged},
		{"object cut", func(t *testing.T, dir string) {
			if err := os.Truncate(objects(t, dir)[0], 100); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrDamaged},
		{"object gone", func(t *testing.T, dir string) {
			if err := os.Remove(objects(t, dir)[0]); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrDamaged},
		{"entry gone", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "imports", "000001.json")); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrDamaged},
		{"entry cut", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "imports", "000001.json"), 100); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrDamaged},
		{"an object out of the directory", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "imports", "000001.json"), func(v map[string]any) {
				v["root"].(map[string]any)["objects"] = []string{"../../x"}
			})
		}, truststore.ErrDamaged},
		{"entry of nobody", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "imports", "000001.json"), func(v map[string]any) { v["by"] = "" })
		}, truststore.ErrDamaged},
		{"newer version", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "imports", "000002.json"), func(v map[string]any) { v["version"], v["tomorrow"] = 2, true })
		}, truststore.ErrNewer},
		{"everybody may write above it", func(t *testing.T, dir string) {
			if runtime.GOOS == "windows" {
				t.Skip("windows has no such modes")
			}
			if err := os.Chmod(filepath.Dir(dir), 0o777); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrExposed},
		{"everybody may write", func(t *testing.T, dir string) {
			if runtime.GOOS == "windows" {
				t.Skip("windows has no such modes")
			}
			if err := os.Chmod(filepath.Join(dir, "objects"), 0o777); err != nil {
				t.Fatal(err)
			}
		}, truststore.ErrExposed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "above", "store")
			imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list}})
			imports(t, dir, truststore.Request{Files: []string{m.crl}})
			tt.damage(t, dir)
			if _, err := truststore.Load(t.Context(), dir); !errors.Is(err, tt.want) {
				t.Errorf("load: %v, want %v", err, tt.want)
			}
			if _, err := truststore.Gather(t.Context(), []string{dir}, now); !errors.Is(err, tt.want) {
				t.Errorf("gather: %v, want %v", err, tt.want)
			}
			if r, err := truststore.Import(t.Context(), dir, &truststore.Request{Files: []string{m.khNew}, By: "x", At: now}); r != nil || !errors.Is(err, tt.want) {
				t.Errorf("import: %v, want %v", err, tt.want)
			}
		})
	}
	// A word that somebody put into the record does not replace a signature.
	dir := t.TempDir()
	imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list}})
	imports(t, dir, truststore.Request{Files: []string{m.khNew}})
	edit(t, filepath.Join(dir, "imports", "000001.json"), func(v map[string]any) { delete(v, "root") })
	s := load(t, dir)
	if s.Pool.Len() != 0 {
		t.Errorf("%d anchors without the root", s.Pool.Len())
	}
	if !slices.ContainsFunc(s.Check(now), func(f truststore.Finding) bool { return f.What == truststore.NoLongerAccepted && f.Attention }) {
		t.Error("check does not say that material is no longer accepted")
	}
}

// TestTogether: imports at the same moment do not lose one another.
func TestTogether(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), t.TempDir()
	var group sync.WaitGroup
	for _, file := range []string{m.root, m.khRoot, m.mmRoot, m.khNew} {
		group.Go(func() {
			if _, err := truststore.Import(t.Context(), dir, &truststore.Request{Files: []string{file}, Accept: "letter", By: "tester", At: now}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if s := load(t, dir); s.Pool.Len() != 4 || len(s.Sources) != 4 {
		t.Errorf("%d anchors of %d sources", s.Pool.Len(), len(s.Sources))
	}
}

// TestLeftovers: what a killed process leaves does no harm and goes.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), t.TempDir()
	imports(t, dir, truststore.Request{Root: m.root})
	left := filepath.Join(dir, "objects", ".new-1")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(left, now.AddDate(0, 0, -1), now.AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	load(t, dir)
	imports(t, dir, truststore.Request{Files: []string{m.list}})
	if _, err := os.Stat(left); err == nil {
		t.Error("it is still there")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), t.TempDir()
	imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list, m.crl}})
	s := load(t, dir)
	count := func(at time.Time) map[string]int {
		got := make(map[string]int)
		for _, f := range s.Check(at) {
			if f.Attention {
				got["! "+f.What]++
			} else {
				got[f.What]++
			}
		}
		return got
	}
	for _, tt := range []struct {
		name string
		at   time.Time
		want map[string]int
	}{
		{"today", now, map[string]int{}},
		{"the last day of the revocation list", now.AddDate(0, 0, 60), map[string]int{}},
		{"a day later", now.AddDate(0, 0, 61), map[string]int{"! " + truststore.CRLOutdated: 1}},
		{"in two years", now.AddDate(2, 0, 0), map[string]int{"! " + truststore.CRLOutdated: 1, "! " + truststore.ListOld: 1}},
		{"when all is over", now.AddDate(11, 0, 0), map[string]int{
			"! " + truststore.CRLOutdated: 1, "! " + truststore.ListOld: 1, "! " + truststore.RootExpired: 1, "! " + truststore.StateExpired: 3, truststore.Expired: 4,
		}},
		{"with a clock that is wrong", now.AddDate(-6, 0, 0), map[string]int{"! " + truststore.RootExpired: 1, "! " + truststore.StateExpired: 3, truststore.NotYetValid: 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, count(tt.at)); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
		})
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), t.TempDir()
	imports(t, dir, truststore.Request{Root: m.root})
	for _, tt := range []struct {
		name    string
		paths   []string
		anchors int
		err     error
	}{
		{"nothing", nil, 0, nil},
		{"certificate", []string{m.khRoot}, 1, nil},
		{"list and its root", []string{m.list, m.root}, 4, nil},
		{"list without its root", []string{m.list, m.mmRoot}, 0, truststore.ErrRefused},
		{"list under a root of the store", []string{m.list, dir}, 4, nil},
		{"link and revocation list", []string{m.crl, m.link, m.khRoot}, 2, nil},
		{"all in a directory", []string{m.dir}, 5, truststore.ErrRefused}, // a document signer lies there
		{"none", []string{filepath.Join(m.dir, "none")}, 0, truststore.ErrUnreadable},
		{"an empty directory", []string{t.TempDir()}, 0, truststore.ErrUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool, err := truststore.Gather(t.Context(), tt.paths, now)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && pool.Len() != tt.anchors {
				t.Errorf("%d anchors, want %d", pool.Len(), tt.anchors)
			}
		})
	}
}

// TestOldList: what a state has taken off its list does not come back with an older
// list, in whichever order they come.
func TestOldList(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	signer, err := m.la.NewMasterListSigner(issuer.Params{
		Subject:   issuer.Subject{Country: "LA", State: "LAX", Organization: "test", CommonName: "list signer"},
		Algorithm: alg, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
	})
	signer = must(t, signer, err)
	newer, err := signer.SignMasterList([][]byte{m.kh.Certificate}, m.la, issuer.CMSOptions{SigningTime: now.AddDate(0, 0, -1)})
	file := filepath.Join(m.dir, "newer.ml")
	if err := os.WriteFile(file, must(t, newer, err), 0o600); err != nil {
		t.Fatal(err)
	}
	anchors := func(dir string, want int) {
		t.Helper()
		if got := load(t, dir).Pool.Len(); got != want {
			t.Errorf("%d anchors, want %d", got, want)
		}
	}
	replayed := func(r *truststore.Report, err error) {
		t.Helper()
		if !errors.Is(err, truststore.ErrRefused) || !slices.Equal(whys(r), []string{"list.ml older"}) {
			t.Errorf("an older list: %q, %v", whys(r), err)
		}
	}
	t.Run("older after newer", func(t *testing.T) {
		dir := t.TempDir()
		imports(t, dir, truststore.Request{Root: m.root, Files: []string{file}})
		anchors(dir, 2) // the root and KH
		replayed(truststore.Import(t.Context(), dir, &truststore.Request{Files: []string{m.list}, By: "x", At: now}))
		replayed(truststore.Import(t.Context(), dir, &truststore.Request{Files: []string{m.list}, Accept: "please", By: "x", At: now}))
		anchors(dir, 2)
	})
	t.Run("newer after older", func(t *testing.T) {
		dir := t.TempDir()
		imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list}})
		anchors(dir, 4)
		imports(t, dir, truststore.Request{Files: []string{file}})
		anchors(dir, 2)
		if found := load(t, dir).Check(now); slices.ContainsFunc(found, func(f truststore.Finding) bool { return f.What == truststore.NoLongerAccepted }) {
			t.Errorf("that the list was replaced is told as a change of mind: %+v", found)
		}
	})
	t.Run("both at once", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := truststore.Import(t.Context(), dir, &truststore.Request{Root: m.root, Files: []string{m.list, file}, By: "x", At: now}); !errors.Is(err, truststore.ErrRefused) {
			t.Errorf("got %v", err)
		}
		anchors(dir, 2)
	})
	t.Run("loose", func(t *testing.T) {
		pool, err := truststore.Gather(t.Context(), []string{m.list, file, m.root}, now)
		if err != nil || pool.Len() != 2 {
			t.Errorf("%d anchors, %v", pool.Len(), err)
		}
	})
	// Somebody else's list says nothing about it.
	t.Run("of another state", func(t *testing.T) {
		dir := t.TempDir()
		imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list}})
		signer, err := m.mm.NewMasterListSigner(issuer.Params{
			Subject:   issuer.Subject{Country: "MM", State: "MMX", Organization: "test", CommonName: "list signer"},
			Algorithm: alg, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		})
		signer = must(t, signer, err)
		list, err := signer.SignMasterList([][]byte{m.kh.Certificate}, m.mm, issuer.CMSOptions{SigningTime: now})
		file := filepath.Join(t.TempDir(), "mm.ml")
		if err := os.WriteFile(file, must(t, list, err), 0o600); err != nil {
			t.Fatal(err)
		}
		imports(t, dir, truststore.Request{Root: m.mmRoot, Files: []string{file}})
		anchors(dir, 4)
	})
}

// TestFollow: a program that runs for months sees what is imported meanwhile, and
// that the store is gone or damaged.
func TestFollow(t *testing.T) {
	t.Parallel()
	m, dir := newMaterial(t), filepath.Join(t.TempDir(), "store")
	f := truststore.Follow(dir)
	if _, err := f.Store(t.Context()); !errors.Is(err, truststore.ErrNone) {
		t.Fatalf("nothing there: %v", err)
	}
	imports(t, dir, truststore.Request{Root: m.root})
	first, err := f.Store(t.Context())
	if must(t, first, err).Pool.Len() != 1 {
		t.Errorf("%d anchors", first.Pool.Len())
	}
	if again, err := f.Store(t.Context()); must(t, again, err) != first {
		t.Error("loaded again although nothing was imported")
	}
	imports(t, dir, truststore.Request{Files: []string{m.list}})
	second, err := f.Store(t.Context())
	if must(t, second, err).Pool.Len() != 4 || first.Pool.Len() != 1 {
		t.Errorf("%d anchors, and %d before", second.Pool.Len(), first.Pool.Len())
	}
	entry := filepath.Join(dir, "imports", "000002.json")
	if err := os.Rename(entry, entry+".gone"); err != nil {
		t.Fatal(err)
	}
	third, err := f.Store(t.Context())
	if must(t, third, err).Pool.Len() != 1 {
		t.Errorf("%d anchors after an entry was taken back", third.Pool.Len())
	}
	if err := os.Remove(filepath.Join(dir, "imports", "000001.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(entry+".gone", entry); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Store(t.Context()); !errors.Is(err, truststore.ErrDamaged) {
			t.Errorf("the first entry is gone: %v", err)
		}
	}
}

// TestExists: what cannot be looked at must not pass for a store that is not there.
func TestExists(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	for _, tt := range []struct {
		name  string
		make  func(t *testing.T, dir string)
		there bool
		err   error
		load  error
	}{
		{"nothing", func(*testing.T, string) {}, false, nil, truststore.ErrNone},
		{"an empty directory", func(t *testing.T, dir string) { mkdir(t, dir) }, false, nil, truststore.ErrNone},
		{"other files", func(t *testing.T, dir string) {
			mkdir(t, filepath.Join(dir, "objects"))
			put(t, filepath.Join(dir, "a.der"))
			put(t, filepath.Join(dir, "objects", "a.der"))
		}, false, nil, truststore.ErrNone},
		{"a store", func(t *testing.T, dir string) { imports(t, dir, truststore.Request{Root: m.root}) }, true, nil, nil},
		{"a file", put, false, truststore.ErrAccess, truststore.ErrAccess},
		{"below a file", func(t *testing.T, dir string) { put(t, filepath.Dir(dir)) }, false, truststore.ErrAccess, truststore.ErrAccess},
		{"entries gone", func(t *testing.T, dir string) {
			imports(t, dir, truststore.Request{Root: m.root})
			if err := os.RemoveAll(filepath.Join(dir, "imports")); err != nil {
				t.Fatal(err)
			}
		}, false, truststore.ErrDamaged, truststore.ErrDamaged},
		{"entries are a file", func(t *testing.T, dir string) {
			mkdir(t, dir)
			put(t, filepath.Join(dir, "imports"))
		}, false, truststore.ErrDamaged, truststore.ErrDamaged},
		{"an entry that is a directory", func(t *testing.T, dir string) {
			mkdir(t, filepath.Join(dir, "imports", "000001.json"))
		}, true, nil, truststore.ErrAccess},
		{"a link in circles", func(t *testing.T, dir string) {
			if err := os.Symlink(filepath.Base(dir), dir); err != nil {
				t.Fatal(err)
			}
		}, false, truststore.ErrAccess, truststore.ErrAccess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "above", "store")
			if tt.name != "below a file" {
				mkdir(t, filepath.Dir(dir))
			}
			tt.make(t, dir)
			if there, err := truststore.Exists(dir); there != tt.there || !errors.Is(err, tt.err) {
				t.Errorf("there: %v, %v", there, err)
			}
			if _, err := truststore.Load(t.Context(), dir); !errors.Is(err, tt.load) {
				t.Errorf("load: %v, want %v", err, tt.load)
			}
		})
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	if s := truststore.Summarize(nil, now); s != (truststore.Summary{}) || !s.Newest().IsZero() {
		t.Errorf("nothing is %+v", s)
	}
	m, dir := newMaterial(t), t.TempDir()
	imports(t, dir, truststore.Request{Files: []string{m.khRoot}, Accept: "letter"})
	if s := truststore.Summarize(load(t, dir).Pool, now); s != (truststore.Summary{Anchors: 1, States: 1, Imported: now}) || !s.Newest().Equal(now) {
		t.Errorf("a certificate is %+v", s)
	}
	imports(t, dir, truststore.Request{Root: m.root, Files: []string{m.list, m.crl}})
	s := truststore.Summarize(load(t, dir).Pool, now)
	if s.Anchors != 4 || s.States != 3 || !s.Dated.Equal(now.AddDate(0, 0, -10)) || !s.Newest().Equal(s.Dated) || s.CRLs != 1 || s.Outdated != 0 {
		t.Errorf("the list is %+v", s)
	}
	if s := truststore.Summarize(load(t, dir).Pool, now.AddDate(1, 0, 0)); s.Outdated != 1 {
		t.Errorf("a year later: %+v", s)
	}
}
