package cli_test

import (
	"crypto"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
)

// No test may meet the trust material of whoever runs it.
func init() {
	if err := os.Setenv("CHAMTHE_TRUST", filepath.Join(os.TempDir(), "chamthe-test-no-trust-here")); err != nil {
		panic(err)
	}
}

// piece, source and imported are the JSON of trust commands.
type piece struct {
	ID, Kind, Country, Subject, Source, Where, Imported, By, Accept, Why, Detail, Dated string

	NotBefore  string `json:"not_before"`
	NotAfter   string `json:"not_after"`
	AgeDays    *int   `json:"age_days"`
	Pinned     bool
	Accepted   bool
	Entries    int
	Unreadable int
}

type source struct {
	Name, SHA256, Dated, Imported, By, Accept string

	Size              int64
	AgeDays           *int `json:"age_days"`
	Accepted, Refused int
	DocumentSigners   int `json:"document_signers"`
	Pieces            []piece
}

type imported struct {
	Directory string
	Root      *piece
	Pinned    bool
	Added     int
	Sources   []source
}

type checked struct {
	Directory, At string
	Anchors       int
	Sources       []source
	Attention     bool
	Findings      []struct {
		What, Country, ID, Name, When string
		Attention                     bool
	}
}

type listed struct {
	Directory string
	Sources   []source
	Items     []piece
}

// germanList finds the German master list and its root, which may not be copied
// here. It lies beside the project, or where CHAMTHE_VECTORS says.
func germanList(t *testing.T) (list, root string) {
	t.Helper()
	dir := os.Getenv("CHAMTHE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	list, root = filepath.Join(dir, "trust", "de-master-list.ml"), filepath.Join(dir, "trust", "de-csca-root.cer")
	for _, file := range []string{list, root} {
		if _, err := os.Stat(file); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("test vectors %s not found, and CI=true; set CHAMTHE_VECTORS to their folder", file)
			}
			t.Skipf("test vectors %s not found; set CHAMTHE_VECTORS to their folder", file)
		}
	}
	return list, root
}

// TestTrustGermanMasterList: 588 certificates, 375 of them roots and 213 links,
// of which 12 have no issuer and two are of another state than their signer's.
func TestTrustGermanMasterList(t *testing.T) {
	t.Parallel()
	list, root := germanList(t)
	dir := filepath.Join(t.TempDir(), "trust")

	got := command(t, "trust", "import", "--dir", dir, list)
	got.failed(t, fault.TrustRefused)
	if !strings.Contains(got.stdout, "its signer is below no pinned root: use --root") {
		t.Errorf("standard output:\n%s", got.stdout)
	}
	command(t, "trust", "import", "--dir", dir, list, "--accept", "I trust lists").failed(t, fault.TrustRefused)
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was written for what was refused")
	}

	got = command(t, "trust", "import", "--json", "--dir", dir, "--root", root, list)
	got.succeeded(t)
	r := one[imported](t, got.stdout)
	if !r.Pinned || r.Root == nil || r.Root.ID != "2084aed7a991b3158e63ad750d3dc38bc6c9dcf5958f28d1162f49884e91ada8" || r.Added != 1 || len(r.Sources) != 1 {
		t.Fatalf("pinned %v, root %+v, %d added", r.Pinned, r.Root, r.Added)
	}
	why := make(map[string]int)
	for _, p := range r.Sources[0].Pieces {
		why[p.Kind+" "+p.Why]++
	}
	for key, want := range map[string]int{
		"master_list signature": 1, "certificate master_list": 374, "certificate already_there": 1, "link_certificate link_certificate": 199,
		"link_certificate no_issuer": 12, "link_certificate other_state": 2,
	} {
		if why[key] != want {
			t.Errorf("%d times %s, want %d", why[key], key, want)
		}
		delete(why, key)
	}
	if len(why) != 0 {
		t.Errorf("and %v", why)
	}
	if p := r.Sources[0].Pieces[0]; p.Entries != 588 || p.Unreadable != 0 || p.Dated != "2026-05-28T06:28:45Z" || p.AgeDays == nil {
		t.Errorf("the list %+v", p)
	}

	got = command(t, "trust", "import", "--dir", dir, list) // the root is pinned now
	got.succeeded(t)
	for _, s := range []string{"589 read, 575 accepted, 14 refused", "with 588 certificates", "575 already there", "nothing is new in " + dir} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}

	got = command(t, "trust", "list", "--dir", dir, "--country", "vn", "--json")
	got.succeeded(t)
	l := one[listed](t, got.stdout)
	if len(l.Items) != 1 || l.Items[0].Country != "VN" || l.Items[0].Source != "de-master-list.ml" || l.Items[0].NotAfter[:4] != "2037" {
		t.Errorf("Vietnam: %+v", l.Items)
	}
	got = command(t, "trust", "list", "--dir", dir)
	got.succeeded(t)
	if n := strings.Count(got.stdout, "\n"); n != 1+575 {
		t.Errorf("%d lines", n)
	}

	got = command(t, "trust", "show", "--dir", dir, "2084AED7")
	got.succeeded(t)
	for _, s := range []string{"pinned root", "CN=csca-germany", "ECDSA SHA-512", "brainpoolP512r1", "de-csca-root.cer"} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}

	got = command(t, "trust", "check", "--dir", dir, "--at", "2026-11-22", "--json")
	got.succeeded(t)
	c := one[checked](t, got.stdout)
	what := make(map[string]int)
	for _, f := range c.Findings {
		what[f.What]++
	}
	if c.Anchors != 574 || c.Attention || what["link_without_issuer"] != 12 || what["expired"] != 15 || len(what) != 2 {
		t.Errorf("%d anchors, attention %v, %v", c.Anchors, c.Attention, what)
	}
	got = command(t, "trust", "check", "--dir", dir, "--at", "2027-06-30")
	got.failed(t, fault.TrustAttention)
	if !strings.Contains(got.stdout, "! master list is more than a year old (2026-05-28): de-master-list.ml") {
		t.Errorf("standard output:\n%s", got.stdout)
	}
}

// state is an issuing state with a new key, as files.
type state struct {
	root, link, newRoot, crl, bundle string
}

// newState writes the files of a state whose newest key signed the document.
func newState(t *testing.T, doc *chip.Document, revoked ...*big.Int) state {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	alg := issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256"}
	old, err := issuer.NewCSCA(issuer.Params{
		Subject:   issuer.Subject{Country: "VN", State: "VNM", Organization: "chamthe specimen", CommonName: "Old CSCA"},
		Algorithm: alg, NotBefore: now.AddDate(-9, 0, 0), NotAfter: now.AddDate(5, 0, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	link, err := old.Link(doc.PKI.CSCA, issuer.Params{NotBefore: now.AddDate(-2, 0, 0), NotAfter: now.AddDate(5, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	crl, err := doc.PKI.CSCA.CRL(issuer.CRLOptions{Number: 1, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(0, 0, 90), Revoked: revoked})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return state{
		root: write("old.cer", old.Certificate), link: write("link.cer", link), newRoot: write("new.cer", doc.CSCA), crl: write("vn.crl", crl),
		bundle: write("all.pem", slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: link}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: old.Certificate}))),
	}
}

// TestTrustRead: a card is believed by what was imported, and no longer when
// its signer is revoked.
func TestTrustRead(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	s := newState(t, d)
	dir := filepath.Join(t.TempDir(), "trust")
	read := []string{"read", "--qr", d.QR, "--trust", dir}

	command(t, "trust", "import", "--dir", dir, s.link, s.crl).failed(t, fault.TrustRefused)
	command(t, "trust", "import", "--dir", dir, s.root).failed(t, fault.TrustRefused)
	got := command(t, "trust", "import", "--dir", dir, s.root, "--accept", "fingerprint on paper")
	got.succeeded(t)
	for _, want := range []string{"[+] certificate", "on the administrator's word", "recorded in " + dir} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in:\n%s", want, got.stdout)
		}
	}
	on(t, lay(t, d), "", read...).failed(t, fault.IssuerUnknown)
	got = command(t, "trust", "import", "--json", "--dir", dir, s.crl, s.link) // in the wrong order
	got.succeeded(t)
	if r := one[imported](t, got.stdout); r.Added != 2 || r.Sources[0].Accepted != 1 || r.Sources[1].Accepted != 1 {
		t.Errorf("import %+v", r)
	}
	on(t, lay(t, d), "", read...).succeeded(t)

	got = command(t, "trust", "list", "--dir", dir)
	got.succeeded(t)
	for _, want := range []string{"link certificate", "revocation list", "old.cer", "link.cer", "vn.crl", "VN"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in:\n%s", want, got.stdout)
		}
	}
	items := one[listed](t, command(t, "trust", "list", "--json", "--dir", dir).stdout).Items
	if len(items) != 3 {
		t.Fatalf("%d items", len(items))
	}
	for _, i := range items {
		got := command(t, "trust", "show", "--dir", dir, i.ID)
		got.succeeded(t)
		if !strings.Contains(got.stdout, i.ID) || !strings.Contains(got.stdout, "trusted: ") || i.By == "" || i.Imported == "" {
			t.Errorf("%s: by %q, imported %q:\n%s", i.Kind, i.By, i.Imported, got.stdout)
		}
		if i.Why == "administrator" && (i.Accept != "fingerprint on paper" || !strings.Contains(got.stdout, i.Accept)) {
			t.Errorf("the reason %q is not there:\n%s", i.Accept, got.stdout)
		}
		if i.Kind == "link_certificate" && !strings.Contains(got.stdout, items[0].ID) {
			t.Errorf("no chain to %s in:\n%s", items[0].ID, got.stdout)
		}
	}
	command(t, "trust", "check", "--dir", dir).succeeded(t)
	late := command(t, "trust", "check", "--dir", dir, "--at", time.Now().AddDate(0, 0, 100).Format(time.DateOnly))
	late.failed(t, fault.TrustAttention)
	if !strings.Contains(late.stdout, "! revocation list is outdated") {
		t.Errorf("standard output:\n%s", late.stdout)
	}

	// The same as loose files, which are trusted because they are named.
	for _, paths := range [][]string{{s.bundle}, {s.crl, s.link, s.root}, {dir}, {s.newRoot, dir}} {
		args := []string{"read", "--qr", d.QR}
		for _, p := range paths {
			args = append(args, "--trust", p)
		}
		on(t, lay(t, d), "", args...).succeeded(t)
	}
	revoked := newState(t, d, d.PKI.DS.SerialNumber())
	on(t, lay(t, d), "", "read", "--qr", d.QR, "--trust", revoked.newRoot, "--trust", revoked.crl).failed(t, fault.SignerRevoked)
	on(t, lay(t, d), "", "read", "--qr", d.QR, "--trust", revoked.crl).failed(t, fault.TrustRefused)
}

// TestTrustDefault: without a flag the directory of the environment is meant,
// by import and by read.
func TestTrustDefault(t *testing.T) { // sets the environment, so it is not parallel
	dir := filepath.Join(t.TempDir(), "trust")
	t.Setenv("CHAMTHE_TRUST", dir)
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	args := []string{"read", "--qr", d.QR, "--json"}
	on(t, lay(t, d), "", args...).failed(t, fault.IssuerUnknown)
	command(t, "trust", "list").failed(t, fault.Usage)
	command(t, "trust", "import", anchor(t, d), "--accept", "test").succeeded(t)
	got := on(t, lay(t, d), "", args...)
	if strings.Contains(got.stdout, "no_trust_anchor") || got.exit == fault.About(fault.IssuerUnknown).Exit {
		t.Errorf("the issuer is not known:\n%s", got.stdout)
	}
	command(t, "trust", "check").succeeded(t)
}

func TestTrustCannot(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	file, dir := anchor(t, d), t.TempDir()
	full := filepath.Join(t.TempDir(), "full")
	command(t, "trust", "import", "--dir", full, "--root", file).succeeded(t)
	garbage := filepath.Join(t.TempDir(), "garbage.der")
	if err := os.WriteFile(garbage, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	command(t, "trust", "import", "--dir", damaged, "--root", file).succeeded(t)
	if err := os.RemoveAll(filepath.Join(damaged, "objects")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		want fault.Code
		args []string
	}{
		{"no file", fault.Usage, []string{"import", "--dir", dir}},
		{"no file to accept", fault.Usage, []string{"import", "--dir", dir, "--accept", "x"}},
		{"no reason", fault.Usage, []string{"import", "--dir", dir, file, "--accept", " "}},
		{"both words", fault.Usage, []string{"import", "--dir", dir, file, "--accept", "x", "--root", file}},
		{"no such file", fault.BadTrust, []string{"import", "--dir", dir, filepath.Join(dir, "none"), "--accept", "x"}},
		{"garbage", fault.BadTrust, []string{"import", "--dir", dir, garbage, "--accept", "x"}},
		{"root that is none", fault.BadTrust, []string{"import", "--dir", dir, "--root", garbage}},
		{"nothing to list", fault.Usage, []string{"list", "--dir", dir}},
		{"nothing to show", fault.Usage, []string{"show", "--dir", dir, "abcdef"}},
		{"nothing to check", fault.Usage, []string{"check", "--dir", dir}},
		{"show what is not there", fault.Usage, []string{"show", "--dir", full, "00000000"}},
		{"show too few digits", fault.Usage, []string{"show", "--dir", full, "abc"}},
		{"show no identifier", fault.Usage, []string{"show", "--dir", full, "vietnam"}},
		{"show nothing", fault.Usage, []string{"show", "--dir", full}},
		{"not a date", fault.Usage, []string{"check", "--dir", full, "--at", "soon"}},
		{"damaged", fault.TrustDamaged, []string{"check", "--dir", damaged}},
		{"import into what is damaged", fault.TrustDamaged, []string{"import", "--dir", damaged, "--root", file}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := command(t, append([]string{"trust"}, tt.args...)...)
			got.failed(t, tt.want)
			if got.stdout != "" {
				t.Errorf("standard output: %q", got.stdout)
			}
		})
	}
}

func TestTrustHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"trust", "import"}, {"trust", "list"}, {"trust", "show"}, {"trust", "check"}, {"chip", "show"}} {
		got := command(t, append(args, "--help")...)
		got.succeeded(t)
		if !strings.Contains(got.stdout, "Examples:\n  chamthe "+strings.Join(args, " ")) {
			t.Errorf("%q has no example:\n%s", args, got.stdout)
		}
	}
	for _, reason := range cli.Reasons() {
		if cli.Because(reason) == string(reason) {
			t.Errorf("%s has no words", reason)
		}
	}
}

// TestTrustManyRefused: a long list of refusals is cut for a person.
func TestTrustManyRefused(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	var b []byte
	for range 203 {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}})...)
	}
	file := filepath.Join(t.TempDir(), "many.pem")
	if err := os.WriteFile(file, append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.CSCA})...), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "trust")
	got := command(t, "trust", "import", "--dir", dir, file, "--accept", "test")
	got.succeeded(t)
	if !strings.Contains(got.stdout, "204 read, 1 accepted, 203 refused") || !strings.Contains(got.stdout, "and 3 more, which --json lists") ||
		strings.Count(got.stdout, "\n") != 1+200+1+1+1 {
		t.Errorf("standard output of %d lines:\n%s", strings.Count(got.stdout, "\n"), got.stdout)
	}
}
