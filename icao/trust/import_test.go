package trust_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/trust"
)

// material is one state's, as files.
type material struct {
	key, newKey                         *cmstest.Key
	root, link, newRoot, ds, crl, delta []byte
	defects, deviations, master         []byte
	masterRoot                          *cms.Certificate
}

func newMaterial(t testing.TB) material {
	m := material{key: cmstest.EC(t, "P-256", true), newKey: cmstest.EC(t, "P-384", true)}
	m.root = csca(t, "UZ", m.key).Sign(t, m.key)
	link := csca(t, "UZ", m.newKey)
	link.AuthorityKeyID = m.key.ID()
	m.link = link.Sign(t, m.key)
	m.newRoot = csca(t, "UZ", m.newKey).Sign(t, m.newKey)
	ds := csca(t, "UZ", cmstest.EC(t, "P-256", true))
	ds.Subject, ds.AuthorityKeyID, ds.KeyUsage, ds.CA, ds.Serial = cmstest.Name(t, "UZ", "DS"), m.newKey.ID(), 0x80, false, []byte{9}
	m.ds = ds.Sign(t, m.newKey)
	m.crl = revocation(t, "UZ", m.newKey, 7).Sign(t, m.newKey)
	delta := revocation(t, "UZ", m.newKey, 7)
	delta.Extensions = []cmstest.Extension{{OID: "2.5.29.27", Critical: true, Value: []byte{2, 1, 1}}}
	m.delta = delta.Sign(t, m.newKey)
	l := newList(t)
	l.certificates = [][]byte{m.root, m.link, m.newRoot}
	m.master, m.masterRoot = l.build(t)
	byName, byKey, _ := signers(t)
	m.defects, _ = l.signed(t, oidDefectList, oidDefectListSigning, defects(t, 0, byName, byKey, 0), listTime)
	m.deviations, _ = l.signed(t, oidDeviationList, oidDeviationListSigning, deviations(t, byName), listTime)
	return m
}

func pemFile(kinds []string, ders ...[]byte) []byte {
	var b bytes.Buffer
	b.WriteString("Certificate:\n    in words\n")
	for i, der := range ders {
		if err := pem.Encode(&b, &pem.Block{Type: kinds[i], Bytes: der}); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// ldif writes records as the ICAO PKD does: folded lines, base64.
func ldif(newline string, records ...string) []byte {
	return []byte("version: 1" + newline + newline + strings.Join(records, newline))
}

func record(newline, dn string, lines ...string) string {
	return "dn: " + dn + newline + "objectClass: top" + newline + strings.Join(lines, newline) + newline
}

func value(newline, attribute string, der []byte) string {
	text := attribute + ":: " + base64.StdEncoding.EncodeToString(der)
	var folded []string
	for chunk := range slices.Chunk([]byte(text), 76) {
		folded = append(folded, string(chunk))
	}
	return strings.Join(folded, newline+" ")
}

func summary(t testing.TB, r io.Reader) (kinds []string, err error) {
	for item, e := range trust.Items(r) {
		if e != nil {
			return kinds, e
		}
		text := item.Kind.String()
		if item.Err != nil {
			text += " (" + string(trust.ReasonOf(item.Err)) + ")"
		}
		set := 0
		for _, is := range []bool{item.Certificate != nil, item.CRL != nil, item.MasterList != nil, item.DefectList != nil, item.DeviationList != nil} {
			if is {
				set++
			}
		}
		if set != 1 && item.Err == nil || set != 0 && item.Err != nil {
			t.Errorf("%s: %d contents, error %v", text, set, item.Err)
		}
		kinds = append(kinds, text)
	}
	return kinds, nil
}

func TestItems(t *testing.T) {
	m := newMaterial(t)
	big := bytes.Repeat([]byte{0x30}, 16<<20+1)
	for _, nl := range []string{"\n", "\r\n"} {
		const dn = "cn=x,o=dsc,c=UZ,dc=data,dc=download,dc=pkd,dc=icao,dc=int"
		for _, tt := range []struct {
			name   string
			file   []byte
			format trust.Format
			want   []string
			err    error
		}{
			{"DER certificate", m.root, trust.FormatDER, []string{"certificate"}, nil},
			{"DER revocation list", m.crl, trust.FormatDER, []string{"revocation list"}, nil},
			{"delta list", m.delta, trust.FormatDER, []string{"revocation list (crl_delta)"}, nil},
			{"master list", m.master, trust.FormatDER, []string{"master list"}, nil},
			{"defect list", m.defects, trust.FormatDER, []string{"defect list"}, nil},
			{"deviation list", m.deviations, trust.FormatDER, []string{"deviation list"}, nil},
			{"PKCS #7", cmstest.Bundle(t, [][]byte{m.root, {0xa1, 0}, {0x30, 0}}, [][]byte{m.crl}), trust.FormatDER, []string{"certificate", "unknown (unreadable)", "revocation list", "unknown (unreadable)"}, nil},
			{"another signed thing", wrap(t, "1.2.3", []byte{5, 0}), trust.FormatDER, []string{"unknown (unreadable)"}, nil},
			{"DER of something else", []byte{0x30, 3, 2, 1, 0}, trust.FormatDER, []string{"unknown (unreadable)"}, nil},
			{"cut certificate", m.root[:len(m.root)-1], trust.FormatDER, []string{"certificate (unreadable)"}, nil},
			{
				"PEM", pemFile([]string{"CERTIFICATE", "X509 CRL", "PKCS7", "CMS", "PRIVATE KEY", "CERTIFICATE"}, m.root, m.crl, cmstest.Bundle(t, [][]byte{m.link}, nil), m.master, []byte{1}, []byte{0x30, 0}), trust.FormatPEM,
				[]string{"certificate", "revocation list", "certificate", "master list", "unknown (unreadable)", "unknown (unreadable)"},
				nil,
			},
			{"PEM without a block", []byte("-----BEGIN CERTIFICATE-----\nMII"), trust.FormatPEM, nil, trust.ErrFormat},
			{"LDIF", ldif(nl,
				record(nl, dn, value(nl, "userCertificate;binary", m.ds), "cn: x"),
				record(nl, dn, value(nl, "certificateRevocationList;binary", m.crl)),
				record(nl, dn, value(nl, "CscaMasterListData", m.master)),
				record(nl, dn, value(nl, "pkdMasterListContent", m.master), value(nl, "cACertificate", m.root)),
			), trust.FormatLDIF, []string{"certificate", "revocation list", "master list", "master list", "certificate"}, nil},
			{"LDIF with a mark, a comment and without a version", []byte("\xef\xbb\xbf# a comment" + nl + "  that goes on" + nl + record(nl, dn, value(nl, "USERCERTIFICATE", m.ds))), trust.FormatLDIF, []string{"certificate"}, nil},
			{"LDIF without a line end", bytes.TrimRight(ldif(nl, record(nl, dn, value(nl, "userCertificate", m.ds))), "\r\n"), trust.FormatLDIF, []string{"certificate"}, nil},
			{"LDIF without folds", ldif(nl, record(nl, dn, "pkdMasterListContent:: "+base64.StdEncoding.EncodeToString(bytes.Repeat(m.master, 40)))), trust.FormatLDIF, []string{"unknown (unreadable)"}, nil},
			{"LDIF with a value of another attribute", ldif(nl, record(nl, dn, value(nl, "jpegPhoto", m.ds))), trust.FormatLDIF, nil, nil},
			{"LDIF with changes", ldif(nl,
				record(nl, dn, "changetype: add", value(nl, "userCertificate", m.ds)),
				"dn: "+dn+nl+"changetype: delete"+nl,
				"dn: "+dn+nl+"changetype: modify"+nl+"replace: userCertificate"+nl+value(nl, "userCertificate", m.ds)+nl+"-"+nl,
				record(nl, dn, value(nl, "userCertificate", m.ds)),
			), trust.FormatLDIF, []string{"certificate", "unknown (ldif_change)", "unknown (ldif_change)", "certificate"}, nil},
			{
				"LDIF with odd values", ldif(nl, record(nl, dn, "userCertificate:< file:///etc/passwd", "userCertificate: text", "userCertificate:: %%%%", "userCertificate:: ", value(nl, "userCertificate", []byte{0x30, 0}))),
				trust.FormatLDIF,
				[]string{"unknown (reference_elsewhere)", "unknown (unreadable)", "unknown (unreadable)", "unknown (unreadable)", "unknown (unreadable)"},
				nil,
			},
			{"LDIF with a value that is too large", ldif(nl, record(nl, dn, "userCertificate:: "+strings.Repeat("A", 11<<20+4), value(nl, "userCertificate", m.ds))), trust.FormatLDIF, []string{"unknown (unreadable)", "certificate"}, nil},
			{"empty", nil, trust.FormatUnknown, nil, trust.ErrFormat},
			{"text", []byte("hello"), trust.FormatUnknown, nil, trust.ErrFormat},
			{"too large", big, trust.FormatDER, nil, trust.ErrTooLarge},
		} {
			t.Run(fmt.Sprintf("%s %q", tt.name, nl), func(t *testing.T) {
				if got := trust.Detect(tt.file); got != tt.format {
					t.Errorf("format %v, want %v", got, tt.format)
				}
				got, err := summary(t, bytes.NewReader(tt.file))
				if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v (-want +got):\n%s", err, tt.err, diff)
				}
				if len(tt.file) < 1<<20 { // however the bytes come
					if got, err := summary(t, iotest.OneByteReader(bytes.NewReader(tt.file))); !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
						t.Errorf("byte by byte: %v, %v", got, err)
					}
				}
			})
		}
	}
	t.Run("malformed LDIF", func(t *testing.T) {
		if got, err := summary(t, strings.NewReader("version: 1\ndn: x\nno colon\n")); err == nil || got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("a reader that fails", func(t *testing.T) {
		broken := errors.New("broken")
		for _, file := range [][]byte{nil, m.root[:20], ldif("\n", record("\n", "x", value("\n", "userCertificate", bytes.Repeat(m.ds, 60))))[:40<<10]} {
			if _, err := summary(t, io.MultiReader(bytes.NewReader(file), iotest.ErrReader(broken))); !errors.Is(err, broken) {
				t.Errorf("%d octets: error %v", len(file), err)
			}
		}
	})
	t.Run("stopped", func(t *testing.T) {
		for _, file := range [][]byte{pemFile([]string{"CERTIFICATE", "CERTIFICATE"}, m.root, m.link), cmstest.Bundle(t, [][]byte{m.root, m.link}, nil), ldif("\n", record("\n", "x", value("\n", "userCertificate", m.ds), value("\n", "userCertificate", m.ds)))} {
			n := 0
			for range trust.Items(bytes.NewReader(file)) {
				n++
				break
			}
			if n != 1 {
				t.Errorf("%d items", n)
			}
		}
	})
	t.Run("names of records", func(t *testing.T) {
		long := strings.Repeat("x", 5000)
		for dn, want := range map[string]string{"dn: c=UZ\n": "c=UZ", "dn:: Yz1VWg==\n": "c=UZ", "dn: a\x1b[1m\n": "a\ufffd[1m", "dn: " + long + "\n": "", "dn: c=\n UZ\n": "c=UZ"} {
			for item := range trust.Items(strings.NewReader(dn + "userCertificate: x\n")) {
				if item.Where != want || len(item.Where) > 2000 {
					t.Errorf("%.20q: name %.40q", dn, item.Where)
				}
			}
		}
	})
}

func TestImport(t *testing.T) {
	m := newMaterial(t)
	stranger := cmstest.EC(t, "P-256", true)
	orphan := csca(t, "XX", cmstest.EC(t, "P-256", true))
	orphan.AuthorityKeyID = stranger.ID()
	foreign := csca(t, "XX", stranger)
	foreign.AuthorityKeyID = m.key.ID()
	types := func(n int) []string { return slices.Repeat([]string{"CERTIFICATE"}, n) }
	roots := []*cms.Certificate{parse(t, csca(t, "ZZ", stranger).Sign(t, stranger)), m.masterRoot}
	type row struct {
		Kind trust.Kind
		Why  trust.Reason
	}
	const c, l = trust.KindCertificate, trust.KindCRL
	tests := []struct {
		name    string
		file    []byte
		how     trust.Import
		want    []row
		signers int
		len     int
	}{
		{"a root without a word", m.root, trust.Import{}, []row{{c, trust.NotVouched}}, 0, 0},
		{"a root on the administrator's word", m.root, trust.Import{Trust: true}, []row{{c, trust.ByAdministrator}}, 0, 1},
		{
			"in the wrong order", pemFile([]string{"X509 CRL", "CERTIFICATE", "CERTIFICATE", "CERTIFICATE", "CERTIFICATE"}, m.crl, m.link, m.ds, m.root, m.root),
			trust.Import{Trust: true},
			[]row{{c, trust.ByAdministrator}, {c, trust.ByPossession}, {c, trust.ByLink}, {l, trust.BySignature}},
			1, 2,
		},
		{
			"signers kept", pemFile(types(3), m.ds, m.link, m.root),
			trust.Import{Trust: true, KeepSigners: true},
			[]row{{c, trust.ByAdministrator}, {c, trust.ByLink}, {c, trust.BySignature}},
			1, 2,
		},
		{"a signer of nobody", m.ds, trust.Import{Trust: true, KeepSigners: true}, []row{{c, trust.NoIssuer}}, 1, 0},
		{
			"links", pemFile(types(3), orphan.Sign(t, stranger), foreign.Sign(t, m.key), m.root),
			trust.Import{Trust: true},
			[]row{{c, trust.ByAdministrator}, {c, trust.NoIssuer}, {c, trust.OtherState}},
			0, 1,
		},
		{
			"lists of nobody", pemFile([]string{"X509 CRL", "CMS"}, m.crl, m.deviations),
			trust.Import{},
			[]row{{l, trust.NoIssuer}, {trust.KindDeviationList, trust.NoIssuer}},
			0, 0,
		},
		{"a delta list", m.delta, trust.Import{}, []row{{l, trust.DeltaCRL}}, 0, 0},
		{"a master list without a root", m.master, trust.Import{Trust: true}, []row{{trust.KindMasterList, trust.SignerNotTrusted}}, 0, 0},
		{
			"a master list under a root", m.master,
			trust.Import{Roots: roots},
			[]row{{trust.KindMasterList, trust.BySignature}, {c, trust.ByMasterList}, {c, trust.ByMasterList}, {c, trust.ByLink}, {c, trust.ByMasterList}},
			0, 4,
		},
		{
			"defect and deviation list", pemFile([]string{"CMS", "CMS", "CMS"}, m.deviations, m.defects, m.master),
			trust.Import{Roots: roots},
			[]row{{trust.KindDefectList, trust.BySignature}, {trust.KindMasterList, trust.BySignature}, {c, trust.ByMasterList}, {c, trust.ByMasterList}, {c, trust.ByLink}, {c, trust.ByMasterList}, {trust.KindDeviationList, trust.BySignature}},
			0, 4,
		},
		{"defect list without a root", m.defects, trust.Import{}, []row{{trust.KindDefectList, trust.SignerNotTrusted}}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := trust.NewPool()
			how := tt.how
			how.Source, how.At = "a file", listTime
			r, err := pool.Import(trust.Items(bytes.NewReader(tt.file)), &how)
			if err != nil {
				t.Fatal(err)
			}
			var got []row
			accepted := 0
			for _, c := range r.Candidates {
				got = append(got, row{c.Kind, c.Why})
				if c.Accepted() != (trust.ReasonOf(c.Err) == "") || !c.Accepted() && c.Why != trust.ReasonOf(c.Err) {
					t.Errorf("%v: error %v", c.Why, c.Err)
				}
				if c.Accepted() {
					accepted++
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Accepted() != accepted || r.Accepted()+r.Refused() != len(r.Candidates) || r.Signers != tt.signers || pool.Len() != tt.len {
				t.Errorf("%d accepted, %d refused, %d signers, %d in the pool", r.Accepted(), r.Refused(), r.Signers, pool.Len())
			}
			for _, a := range pool.Anchors() {
				if a.Source != "a file" || !a.Added.Equal(listTime) || (a.Why == trust.ByLink) != (a.Issuer != nil) {
					t.Errorf("anchor from %q of %v: %v", a.Source, a.Added, a.Why)
				}
			}
		})
	}

	t.Run("a root of a key that a link leads to", func(t *testing.T) {
		pool := trust.NewPool()
		if err := pool.Add(parse(t, m.root), "by hand"); err != nil {
			t.Fatal(err)
		}
		r, err := pool.Import(trust.Items(bytes.NewReader(pemFile(types(2), m.newRoot, m.link))), &trust.Import{Source: "x", At: listTime})
		if err != nil || r.Refused() != 0 || pool.Len() != 3 {
			t.Errorf("%+v, %v, %d in the pool", r, err, pool.Len())
		}
	})
	t.Run("no source", func(t *testing.T) {
		if r, err := trust.NewPool().Import(trust.Items(bytes.NewReader(m.root)), &trust.Import{Trust: true}); !errors.Is(err, trust.ErrNoSource) || len(r.Candidates) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("a file that breaks off", func(t *testing.T) {
		pool := trust.NewPool()
		file := append(ldif("\n", record("\n", "x", value("\n", "cACertificate", m.root))), "rubbish\n"...)
		r, err := pool.Import(trust.Items(bytes.NewReader(file)), &trust.Import{Source: "x", Trust: true})
		if err == nil || r.Accepted() != 1 || pool.Len() != 1 {
			t.Errorf("%+v, %v, %d in the pool", r, err, pool.Len())
		}
	})
	t.Run("a signer of the list that is revoked", func(t *testing.T) {
		l := newList(t)
		der, root := l.build(t)
		pool := trust.NewPool()
		if err := pool.Add(root, "root"); err != nil {
			t.Fatal(err)
		}
		crl := revocation(t, "UT", l.rootKey, 2)
		crl.Algorithm = cmstest.ECDSA(t, crypto.SHA384)
		if err := pool.AddCRL(parseCRL(t, crl.Sign(t, l.rootKey)), "x"); err != nil {
			t.Fatal(err)
		}
		r, err := pool.Import(trust.Items(bytes.NewReader(der)), &trust.Import{Source: "x", At: listTime, Roots: []*cms.Certificate{root}})
		if err != nil || len(r.Candidates) != 1 || r.Candidates[0].Why != trust.SignerRevoked {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestImportGermanMasterList: every certificate has its decision.
func TestImportGermanMasterList(t *testing.T) {
	der, root := germanList(t)
	pool := trust.NewPool()
	how := &trust.Import{Source: "German master list", At: listTime, Roots: []*cms.Certificate{root}}
	count := func() map[trust.Reason]int {
		r, err := pool.Import(trust.Items(bytes.NewReader(ldif("\r\n", record("\r\n", "c=DE", value("\r\n", "CscaMasterListData", der))))), how)
		if err != nil {
			t.Fatal(err)
		}
		n := map[trust.Reason]int{}
		for _, c := range r.Candidates {
			n[c.Why]++
		}
		return n
	}
	if diff := cmp.Diff(map[trust.Reason]int{trust.BySignature: 1, trust.ByMasterList: 375, trust.ByLink: 199, trust.NoIssuer: 12, trust.OtherState: 2}, count()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[trust.Reason]int{trust.BySignature: 1, trust.ByPossession: 574, trust.NoIssuer: 12, trust.OtherState: 2}, count()); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	for _, a := range pool.Anchors() {
		if a.Dated.Year() != 2026 || !a.Added.Equal(listTime) {
			t.Fatalf("anchor dated %v, added %v", a.Dated, a.Added)
		}
	}
}

func FuzzItems(f *testing.F) {
	m := newMaterial(f)
	for _, file := range [][]byte{
		m.root, m.crl, m.master, m.defects, m.deviations, cmstest.Bundle(f, [][]byte{m.root}, [][]byte{m.crl}),
		pemFile([]string{"CERTIFICATE", "X509 CRL"}, m.root, m.crl),
		ldif("\n", record("\n", "c=UZ", value("\n", "userCertificate;binary", m.ds), "changetype: modify", "-")),
		ldif("\r\n", record("\r\n", "c=UZ", value("\r\n", "CscaMasterListData", m.master), "userCertificate:< x", "cn:: !")),
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		kinds, err := summary(t, bytes.NewReader(file))
		again, errAgain := summary(t, iotest.HalfReader(bytes.NewReader(file)))
		if !slices.Equal(kinds, again) || (err == nil) != (errAgain == nil) {
			t.Errorf("%v, %v; in other portions %v, %v", kinds, err, again, errAgain)
		}
		if trust.Detect(file) == trust.FormatUnknown && len(file) < 32<<10 && !errors.Is(err, trust.ErrFormat) {
			t.Errorf("error %v", err)
		}
		// Nothing enters on its own word.
		pool := trust.NewPool()
		if _, err := pool.Import(trust.Items(bytes.NewReader(file)), &trust.Import{Source: "fuzz", At: listTime}); pool.Len() != 0 || pool.RevocationLists() != nil || len(pool.DefectLists()) != 0 {
			t.Errorf("%d in the pool, error %v", pool.Len(), err)
		}
	})
}
