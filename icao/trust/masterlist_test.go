package trust_test

import (
	"bytes"
	"crypto"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/trust"
)

// The German master list of 2026-05-28 and the root that is pinned for it. They
// may not be copied; see vectors/trust/README.md for the figures below.
func germanList(t testing.TB) (list []byte, root *cms.Certificate) {
	t.Helper()
	list, err := os.ReadFile(vectortest.Path(t, "trust/de-master-list.ml"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := os.ReadFile(vectortest.Path(t, "trust/de-csca-root.cer"))
	if err != nil {
		t.Fatal(err)
	}
	if root, err = cms.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return list, root
}

var listTime = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func TestGermanMasterList(t *testing.T) {
	der, root := germanList(t)
	ml, err := trust.ParseMasterList(der)
	if err != nil {
		t.Fatal(err)
	}
	if len(ml.Certificates) != 588 || ml.Unreadable != 0 || ml.Version != 0 {
		t.Fatalf("%d certificates, %d unreadable, version %d", len(ml.Certificates), ml.Unreadable, ml.Version)
	}
	if want := time.Date(2026, 5, 28, 6, 28, 45, 0, time.UTC); !ml.SignedData.Signers[0].SigningTime.Equal(want) {
		t.Errorf("signing time %v, want %v", ml.SignedData.Signers[0].SigningTime, want)
	}
	if err := ml.Verify(root, listTime); err != nil {
		t.Errorf("signature: %v", err)
	}

	keys, algorithms, deviations := map[string]int{}, map[string]int{}, map[string]int{}
	countries := map[string]bool{}
	roots, identifiers := map[string]bool{}, map[string]bool{}
	var self, links, verified, expired, noAKI, selfIssuedLinks int
	bySKI := map[string][]*cms.Certificate{}
	for _, c := range ml.Certificates {
		bySKI[string(c.SubjectKeyID)] = append(bySKI[string(c.SubjectKeyID)], c)
	}
	for _, c := range ml.Certificates {
		keys[c.PublicKey.String()]++
		algorithms[c.SignatureAlgorithm.String()]++
		for _, d := range c.Deviations {
			deviations[d]++
		}
		countries[c.SubjectCountry()] = true
		identifiers[string(c.SubjectKeyID)] = true
		if c.AuthorityKeyID == nil {
			noAKI++
		}
		if !c.ValidAt(listTime) {
			expired++
		}
		if c.SelfSigned() {
			self++
			roots[string(c.PublicKey.Raw)] = true
			continue
		}
		links++
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			selfIssuedLinks++
		}
		// Without an identifier every certificate may be the issuer.
		candidates := ml.Certificates
		if c.AuthorityKeyID != nil {
			candidates = bySKI[string(c.AuthorityKeyID)]
		}
		if slices.ContainsFunc(candidates, func(i *cms.Certificate) bool { return c.CheckSignatureBy(i.PublicKey) == nil }) {
			verified++
		}
	}
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"keys", keys, map[string]int{
			"RSA-4096": 357, "RSA-3072": 60, "RSA-6144": 6, "RSA-2048": 1,
			"brainpoolP384r1": 52, "P-384": 33, "brainpoolP256r1": 22, "P-256": 20, "P-521": 20, "brainpoolP512r1": 17,
		}},
		{"algorithms", algorithms, map[string]int{
			"RSASSA-PKCS1-v1_5 SHA-256": 268, "RSASSA-PKCS1-v1_5 SHA-1": 23, "RSASSA-PKCS1-v1_5 SHA-512": 18, "RSASSA-PKCS1-v1_5 SHA-384": 3,
			"RSASSA-PSS SHA-256 salt 32": 101, "RSASSA-PSS SHA-384 salt 48": 11, "RSASSA-PSS SHA-512 salt 64": 11,
			"RSASSA-PSS SHA-256 salt 20": 1, "RSASSA-PSS SHA-512 salt 20": 1,
			"ECDSA SHA-384": 58, "ECDSA SHA-256": 47, "ECDSA SHA-512": 35, "ECDSA SHA-1": 11,
		}},
		{"deviations", deviations, map[string]int{
			cms.DevBasicConstraintsEncoding: 1, cms.DevPathLenWithoutCA: 1, cms.DevBasicConstraintsNotCrit: 2,
			cms.DevKeyUsageNotCrit: 11, cms.DevRSAExponentSmall: 14, cms.DevRSAParametersMissing: 2,
			cms.DevSerialNegative: 1, cms.DevSerialZero: 1, cms.DevSHA1: 34, cms.DevCurveNamed: 4, cms.DevCountryEncoding: 13,
		}},
		{"countries", len(countries), 112},
		{"self-signed", self, 375},
		{"distinct keys of roots", len(roots), 375},
		{"distinct key identifiers", len(identifiers), 375},
		{"links", links, 213},
		{"links with subject equal to issuer", selfIssuedLinks, 129},
		{"links that verify", verified, 201},
		{"without authority key identifier", noAKI, 98},
		{"expired", expired, 17},
	} {
		if diff := cmp.Diff(f.want, f.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.name, diff)
		}
	}

	// Two of the 201 links connect the United Kingdom and Bermuda.
	if got, want := outcome(t, ml, root), (map[trust.Reason]int{
		trust.ByMasterList: 375, trust.ByLink: 199, trust.NoIssuer: 12, trust.OtherState: 2, trust.BySignature: 1,
	}); !maps.Equal(got, want) {
		t.Errorf("placed %v, want %v", got, want)
	}

	pool := trust.NewPool()
	const source = "German master list of 2026-05-28"
	if err := pool.AddMasterList(ml, root, listTime, source); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"VN", "vn"} {
		if vn := pool.Country(code); len(vn) != 1 || vn[0].Certificate.PublicKey.String() != "brainpoolP512r1" {
			t.Errorf("%s: %d certificates", code, len(vn))
		}
	}
	// Five states write their code in lower case.
	if len(pool.Country("RO")) == 0 || len(pool.Country("XX")) != 0 {
		t.Errorf("%d certificates of RO, %d of XX", len(pool.Country("RO")), len(pool.Country("XX")))
	}
	// Every root finds itself, and every key is found at once.
	for _, a := range pool.Anchors() {
		if a.Source == "" {
			t.Fatal("anchor without a source")
		}
		found := pool.FindIssuers(a.Certificate)
		if !slices.ContainsFunc(found, func(i *trust.Anchor) bool {
			return a.Certificate.CheckSignatureBy(i.Certificate.PublicKey) == nil
		}) {
			t.Errorf("the issuer of %v is not found", a.Certificate.Subject)
		}
		if (a.Issuer == nil) != a.Certificate.SelfSigned() {
			t.Errorf("%v: issuer %v", a.Certificate.Subject, a.Issuer)
		}
	}
	if pool.Len() != 375+199 || len(pool.Anchors()) != pool.Len() {
		t.Errorf("%d in the pool", pool.Len())
	}
	// A second time changes nothing.
	if err := pool.AddMasterList(ml, root, listTime, "again"); err != nil || pool.Len() != 574 {
		t.Errorf("a second time: %v, %d in the pool", err, pool.Len())
	}
	for _, a := range pool.Anchors() {
		if a.Source != source {
			t.Fatalf("a second time: source %q", a.Source)
		}
	}
}

// outcome counts what becomes of each certificate, when all are placed at once.
func outcome(t testing.TB, ml *trust.MasterList, root *cms.Certificate) map[trust.Reason]int {
	t.Helper()
	items := func(yield func(trust.Item, error) bool) {
		yield(trust.Item{Kind: trust.KindMasterList, MasterList: ml}, nil)
	}
	r, err := trust.NewPool().Import(items, &trust.Import{Source: "test", At: listTime, Roots: []*cms.Certificate{root}})
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[trust.Reason]int)
	for _, c := range r.Candidates {
		counts[c.Why]++
	}
	return counts
}

// TestPlacedWhenAsked: whoever asks first, and how, gets what there is when all
// certificates are placed at once; also when many ask at the same time.
func TestPlacedWhenAsked(t *testing.T) {
	der, root := germanList(t)
	ml, err := trust.ParseMasterList(der)
	if err != nil {
		t.Fatal(err)
	}
	fill := func() *trust.Pool {
		pool := trust.NewPool()
		if err := pool.AddMasterList(ml, root, listTime, "test"); err != nil {
			t.Fatal(err)
		}
		return pool
	}
	all := fill()
	want := make(map[string]*trust.Anchor) // by certificate
	countries := make(map[string]int)
	for _, a := range all.Anchors() {
		want[string(a.Certificate.Raw)] = a
		countries[a.Certificate.SubjectCountry()]++
	}
	same := func(t *testing.T, got []*trust.Anchor) {
		t.Helper()
		for _, a := range got {
			w := want[string(a.Certificate.Raw)]
			if w == nil {
				t.Fatalf("%v is in the pool", a.Certificate.Subject)
			}
			if a.Why != w.Why || (a.Issuer == nil) != (w.Issuer == nil) {
				t.Errorf("%v: %v, want %v", a.Certificate.Subject, a.Why, w.Why)
			}
			if a.Issuer != nil && !a.Issuer.Certificate.PublicKey.Equal(w.Issuer.Certificate.PublicKey) {
				t.Errorf("%v: another issuer", a.Certificate.Subject)
			}
		}
	}
	t.Run("by state", func(t *testing.T) {
		pool := fill()
		for country, n := range countries {
			got := pool.Country(country)
			if len(got) != n {
				t.Errorf("%s: %d certificates, want %d", country, len(got), n)
			}
			same(t, got)
		}
		if pool.Len() != len(want) {
			t.Errorf("%d certificates, want %d", pool.Len(), len(want))
		}
	})
	t.Run("by issuer", func(t *testing.T) {
		pool := fill()
		for _, c := range ml.Certificates {
			got, expected := pool.FindIssuers(c), all.FindIssuers(c)
			if len(got) != len(expected) {
				t.Errorf("%v: %d issuers, want %d", c.Subject, len(got), len(expected))
			}
			same(t, got)
		}
	})
	t.Run("by many", func(t *testing.T) {
		pool := fill()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range ml.Certificates {
					c := ml.Certificates[(n+i*len(ml.Certificates)/4)%len(ml.Certificates)]
					for _, a := range pool.FindIssuers(c) {
						if pool.RevocationList(a) != nil || pool.RevokedAnchor(a) || pool.DeviationList(a) != nil {
							t.Error("a list that nobody added")
						}
					}
				}
			})
		}
		wg.Wait()
		same(t, pool.Anchors())
		if pool.Len() != len(want) {
			t.Errorf("%d certificates, want %d", pool.Len(), len(want))
		}
	})
}

// TestListedLink: what a master list holds is still checked when it is asked for,
// by whatever road.
func TestListedLink(t *testing.T) {
	name := cmstest.Name(t, "UZ", "CSCA")
	oldKey, newKey, stranger := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-384", true), cmstest.EC(t, "P-256", true)
	oldRoot := cmstest.Certificate{
		Issuer: name, Subject: name, NotBefore: listTime.AddDate(-5, 0, 0), NotAfter: listTime.AddDate(10, 0, 0),
		Key: oldKey, KeyID: oldKey.ID(), AuthorityKeyID: oldKey.ID(), KeyUsage: 0x06, CA: true, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}
	link := oldRoot
	link.Serial, link.Key, link.KeyID = []byte{2}, newKey, newKey.ID()
	ds := oldRoot
	ds.Serial, ds.Subject, ds.AuthorityKeyID, ds.KeyUsage, ds.CA = []byte{3}, cmstest.Name(t, "UZ", "DS"), newKey.ID(), 0x80, false
	signer := parse(t, ds.Sign(t, newKey))
	crl := cmstest.CRL{
		Issuer: name, ThisUpdate: listTime.AddDate(0, -1, 0), NextUpdate: listTime.AddDate(0, 1, 0),
		AuthorityKeyID: oldKey.ID(), Number: 1, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}
	for _, tt := range []struct {
		name         string
		certificates [][]byte
		want         int // issuers of signer
	}{
		{"root and link", [][]byte{oldRoot.Sign(t, oldKey), link.Sign(t, oldKey)}, 1},
		{"link first", [][]byte{link.Sign(t, oldKey), oldRoot.Sign(t, oldKey)}, 1},
		{"a link without its root", [][]byte{link.Sign(t, oldKey)}, 0},
		{"a link of a stranger", [][]byte{oldRoot.Sign(t, oldKey), link.Sign(t, stranger)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newList(t)
			l.certificates = tt.certificates
			der, root := l.build(t)
			ml, err := trust.ParseMasterList(der)
			if err != nil {
				t.Fatal(err)
			}
			pool := trust.NewPool()
			if err := pool.AddMasterList(ml, root, listTime, "test"); err != nil {
				t.Fatal(err)
			}
			found := pool.FindIssuers(signer)
			if len(found) != tt.want {
				t.Fatalf("%d issuers, want %d", len(found), tt.want)
			}
			if tt.want == 0 {
				return
			}
			if found[0].Why != trust.ByLink || found[0].Issuer == nil || found[0].Source != "test" {
				t.Errorf("found %v by %v", found[0].Issuer, found[0].Why)
			}
			// The old key's list speaks for what the new key signs.
			parsed, err := cms.ParseCRL(crl.Sign(t, oldKey))
			if err != nil {
				t.Fatal(err)
			}
			again := trust.NewPool()
			if err := again.AddMasterList(ml, root, listTime, "test"); err != nil {
				t.Fatal(err)
			}
			if err := again.AddCRL(parsed, "test"); err != nil {
				t.Fatal(err)
			}
			if again.RevocationList(again.FindIssuers(signer)[0]) == nil {
				t.Error("the list of the old key does not speak for the new one")
			}
		})
	}
}

// TestWaitingFamily: what waits is found by every road that leads to it, and counts
// where a revocation list speaks for a whole CSCA.
func TestWaitingFamily(t *testing.T) {
	certificate := func(country, name string, key *cmstest.Key) cmstest.Certificate {
		n := cmstest.Name(t, country, name)
		return cmstest.Certificate{
			Issuer: n, Subject: n, NotBefore: listTime.AddDate(-5, 0, 0), NotAfter: listTime.AddDate(10, 0, 0),
			Key: key, KeyID: key.ID(), AuthorityKeyID: key.ID(), KeyUsage: 0x06, CA: true, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
		}
	}
	fill := func(t *testing.T, pool *trust.Pool, certificates ...[]byte) {
		t.Helper()
		l := newList(t)
		l.certificates = certificates
		der, root := l.build(t)
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.AddMasterList(ml, root, listTime, "test"); err != nil {
			t.Fatal(err)
		}
	}
	revoke := func(t *testing.T, pool *trust.Pool, c cmstest.Certificate, key *cmstest.Key) {
		t.Helper()
		l, err := cms.ParseCRL(cmstest.CRL{
			Issuer: c.Subject, ThisUpdate: listTime.AddDate(0, -1, 0), NextUpdate: listTime.AddDate(0, 1, 0),
			AuthorityKeyID: key.ID(), Number: 1, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
		}.Sign(t, key))
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.AddCRL(l, "test"); err != nil {
			t.Fatal(err)
		}
	}
	one, two := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)

	t.Run("by the key's identifier alone", func(t *testing.T) {
		pool := trust.NewPool()
		root := certificate("UZ", "CSCA", one)
		fill(t, pool, root.Sign(t, one))
		ds := root
		ds.Issuer, ds.Subject = cmstest.Name(t, "KZ", "renamed"), cmstest.Name(t, "KZ", "DS") // no word of UZ
		if got := pool.FindIssuers(parse(t, ds.Sign(t, one))); len(got) != 1 {
			t.Errorf("%d issuers", len(got))
		}
	})
	// Two states with one key, as the United Kingdom and Bermuda: a second key of
	// the first is bound to it by a link, and has a revocation list.
	t.Run("states that share a key", func(t *testing.T) {
		pool := trust.NewPool()
		first, second, other := certificate("GB", "CSCA", one), certificate("GB", "CSCA new", two), certificate("BM", "CSCA", one)
		link := second
		link.Issuer, link.AuthorityKeyID, link.Serial = first.Subject, one.ID(), []byte{9}
		fill(t, pool, first.Sign(t, one), link.Sign(t, one), other.Sign(t, one))
		outside := certificate("GB", "CSCA new", two)
		outside.Serial = []byte{7}
		if err := pool.Add(parse(t, outside.Sign(t, two)), "test"); err != nil {
			t.Fatal(err)
		}
		revoke(t, pool, second, two)
		bermuda := pool.Country("BM")
		if len(bermuda) != 1 || pool.RevocationList(bermuda[0]) == nil {
			t.Errorf("%d certificates, and the list of their key's other state does not speak for them", len(bermuda))
		}
	})
	t.Run("a list of states that share a key, after the revocation list", func(t *testing.T) {
		pool := trust.NewPool()
		first, second, other := certificate("GB", "CSCA", one), certificate("GB", "CSCA new", two), certificate("BM", "CSCA", one)
		if err := pool.Add(parse(t, second.Sign(t, two)), "test"); err != nil {
			t.Fatal(err)
		}
		revoke(t, pool, second, two)
		link := second
		link.Issuer, link.AuthorityKeyID, link.Serial = first.Subject, one.ID(), []byte{9}
		fill(t, pool, first.Sign(t, one), link.Sign(t, one), other.Sign(t, one))
		if bermuda := pool.Country("BM"); len(bermuda) != 1 || pool.RevocationList(bermuda[0]) == nil {
			t.Errorf("%d certificates, and the list of their key's other state does not speak for them", len(bermuda))
		}
	})
	t.Run("a link that binds what was there", func(t *testing.T) {
		pool := trust.NewPool()
		first, second := certificate("UZ", "CSCA", one), certificate("UZ", "CSCA new", two)
		for _, c := range [][]byte{first.Sign(t, one), second.Sign(t, two)} {
			if err := pool.Add(parse(t, c), "test"); err != nil {
				t.Fatal(err)
			}
		}
		revoke(t, pool, second, two)
		anchors := pool.Country("UZ")
		if pool.RevocationList(anchors[0]) != nil {
			t.Fatal("a list of another CSCA speaks for it")
		}
		link := second
		link.Issuer, link.AuthorityKeyID, link.Serial = first.Subject, one.ID(), []byte{9}
		fill(t, pool, link.Sign(t, one))
		if pool.RevocationList(anchors[0]) == nil || pool.RevokedAnchor(anchors[0]) {
			t.Error("the list of the new key does not speak for the old one")
		}
	})
}

// TestTrustFiles: the files of trust material go through the door for files.
func TestTrustFiles(t *testing.T) {
	list, root := germanList(t)
	for _, tt := range []struct {
		name  string
		bytes []byte
		kind  trust.Kind
	}{
		{"de-master-list.ml", list, trust.KindMasterList},
		{"de-csca-root.cer", root.Raw, trust.KindCertificate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := trust.Detect(tt.bytes); got != trust.FormatDER {
				t.Errorf("format %v", got)
			}
			n := 0
			for item, err := range trust.Items(bytes.NewReader(tt.bytes)) {
				if err != nil || item.Err != nil || item.Kind != tt.kind {
					t.Fatalf("%v, %v, %v", item.Kind, item.Err, err)
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d items", n)
			}
		})
	}
	t.Run("the root vouches for itself", func(t *testing.T) {
		pool := trust.NewPool()
		if err := pool.Add(root, "pinned"); err != nil || pool.Len() != 1 || len(pool.Country("DE")) != 1 {
			t.Errorf("%v, %d in the pool", err, pool.Len())
		}
	})
}

// list is a small master list with its root, to be spoilt.
type list struct {
	root, signer     cmstest.Certificate
	rootKey, signKey *cmstest.Key
	certificates     [][]byte
	contentType      string
	version          int64
}

func newList(t testing.TB) *list {
	rootKey, signKey := cmstest.EC(t, "brainpoolP384r1", true), cmstest.EC(t, "P-256", true)
	name := cmstest.Name(t, "UT", "CSCA")
	return &list{
		root: cmstest.Certificate{
			Issuer: name, Subject: name, NotBefore: listTime.AddDate(-1, 0, 0), NotAfter: listTime.AddDate(10, 0, 0),
			Key: rootKey, KeyID: rootKey.ID(), AuthorityKeyID: rootKey.ID(), KeyUsage: 0x06, CA: true, Algorithm: cmstest.ECDSA(t, crypto.SHA384),
		},
		signer: cmstest.Certificate{
			Serial: []byte{2}, Issuer: name, Subject: cmstest.Name(t, "UT", "Master List Signer"),
			NotBefore: listTime.AddDate(0, -1, 0), NotAfter: listTime.AddDate(1, 0, 0),
			Key: signKey, KeyID: signKey.ID(), AuthorityKeyID: rootKey.ID(), KeyUsage: 0x80,
			ExtendedKeyUsage: []string{"2.23.136.1.1.3"}, Algorithm: cmstest.ECDSA(t, crypto.SHA384),
		},
		rootKey: rootKey, signKey: signKey, contentType: "2.23.136.1.1.2",
	}
}

func (l *list) build(t testing.TB) (ml []byte, root *cms.Certificate) {
	rootDER := l.root.Sign(t, l.rootKey)
	content := cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(l.version)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				b.AddBytes(rootDER)
				b.AddBytes(slices.Concat(l.certificates...))
			})
		})
	})
	root, err := cms.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	return cmstest.SignedData{
		ContentType: l.contentType, Content: content, Certificates: [][]byte{l.signer.Sign(t, l.rootKey), rootDER},
		Signers: []cmstest.Signer{{Key: l.signKey, Algorithm: cmstest.ECDSA(t, crypto.SHA256), KeyID: l.signer.KeyID}},
	}.Build(t), root
}

func TestMasterListVerify(t *testing.T) {
	tests := []struct {
		name   string
		change func(l *list)
		at     time.Time
		want   error
	}{
		{"sound", func(*list) {}, listTime, nil},
		{"signer expired", func(*list) {}, listTime.AddDate(2, 0, 0), trust.ErrListTime},
		{"signer not yet valid", func(*list) {}, listTime.AddDate(0, -2, 0), trust.ErrListTime},
		{"root expired", func(l *list) { l.root.NotAfter = listTime.Add(-time.Second) }, listTime, trust.ErrListTime},
		{"no time", func(*list) {}, time.Time{}, trust.ErrListTime},
		{"document signer", func(l *list) { l.signer.ExtendedKeyUsage = nil }, listTime, trust.ErrListPurpose},
		{"other purpose", func(l *list) { l.signer.ExtendedKeyUsage = []string{"1.3.6.1.5.5.7.3.1"} }, listTime, trust.ErrListPurpose},
		{"signer is a CA", func(l *list) { l.signer.CA = true }, listTime, trust.ErrListPurpose},
		{"signer of other key usage", func(l *list) { l.signer.KeyUsage = 0x04 }, listTime, trust.ErrListPurpose},
		{"unknown critical extension", func(l *list) {
			l.signer.Extensions = []cmstest.Extension{{OID: "1.2.3", Critical: true, Value: []byte{5, 0}}}
		}, listTime, trust.ErrListPurpose},
		{"another key signed", func(l *list) {
			other := *l.signKey
			other.EC = cmstest.EC(t, "P-256", true).EC
			l.signKey = &other
		}, listTime, cms.ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newList(t)
			tt.change(l)
			der, root := l.build(t)
			ml, err := trust.ParseMasterList(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := ml.Verify(root, tt.at); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			pool := trust.NewPool()
			if err := pool.AddMasterList(ml, root, tt.at, "test"); !errors.Is(err, tt.want) || (pool.Len() != 0) != (tt.want == nil) {
				t.Errorf("adding: error %v, %d in the pool, want %v", err, pool.Len(), tt.want)
			}
		})
	}

	t.Run("another root of the same name", func(t *testing.T) {
		der, _ := newList(t).build(t)
		_, other := newList(t).build(t)
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := ml.Verify(other, listTime); !errors.Is(err, trust.ErrListRoot) {
			t.Errorf("error %v, want %v", err, trust.ErrListRoot)
		}
		if err := ml.Verify(nil, listTime); !errors.Is(err, cms.ErrUnsupported) {
			t.Errorf("no root: error %v", err)
		}
	})
	t.Run("no signer", func(t *testing.T) {
		der, root := newList(t).build(t)
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			t.Fatal(err)
		}
		ml.SignedData.Signers = nil
		if err := ml.Verify(root, listTime); !errors.Is(err, trust.ErrListSigner) {
			t.Errorf("error %v, want %v", err, trust.ErrListSigner)
		}
	})
	t.Run("no source", func(t *testing.T) {
		der, root := newList(t).build(t)
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			t.Fatal(err)
		}
		pool := trust.NewPool()
		if err := pool.AddMasterList(ml, root, listTime, " "); !errors.Is(err, trust.ErrNoSource) || pool.Len() != 0 {
			t.Errorf("error %v, %d in the pool", err, pool.Len())
		}
	})
}

func TestParseMasterList(t *testing.T) {
	t.Run("an unreadable certificate", func(t *testing.T) {
		l := newList(t)
		l.certificates = [][]byte{{0x30, 0}}
		der, root := l.build(t)
		ml, err := trust.ParseMasterList(der)
		if err != nil || ml.Unreadable != 1 || len(ml.Certificates) != 1 || ml.Verify(root, listTime) != nil {
			t.Errorf("got %+v, %v", ml, err)
		}
	})
	for _, tt := range []struct {
		name   string
		change func(l *list)
	}{
		{"other content type", func(l *list) { l.contentType = "2.23.136.1.1.1" }},
		{"other version", func(l *list) { l.version = 1 }},
		{"not a certificate", func(l *list) { l.certificates = [][]byte{{5, 0}} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newList(t)
			tt.change(l)
			der, _ := l.build(t)
			if ml, err := trust.ParseMasterList(der); err == nil || ml != nil {
				t.Errorf("got %v, %v, want an error", ml, err)
			}
		})
	}
}

func FuzzParseMasterList(f *testing.F) {
	l := newList(f)
	der, root := l.build(f)
	f.Add(der)
	l.certificates = [][]byte{{0x30, 0}}
	der, _ = l.build(f)
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		ml, err := trust.ParseMasterList(der)
		if (ml == nil) != (err != nil) {
			t.Fatalf("list %v with error %v", ml, err)
		}
		if err != nil {
			return
		}
		if ml.Verify(root, listTime) == nil && len(ml.Certificates) != 1 {
			t.Error("another list verifies")
		}
	})
}

func BenchmarkLoadMasterList(b *testing.B) {
	der, root := germanList(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(der)))
	for b.Loop() {
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			b.Fatal(err)
		}
		if err := trust.NewPool().AddMasterList(ml, root, listTime, "bench"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoadAndAsk loads the list and asks for one state, as the reading of one
// document does.
func BenchmarkLoadAndAsk(b *testing.B) {
	der, root := germanList(b)
	b.ReportAllocs()
	for b.Loop() {
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			b.Fatal(err)
		}
		pool := trust.NewPool()
		if err := pool.AddMasterList(ml, root, listTime, "bench"); err != nil {
			b.Fatal(err)
		}
		if len(pool.Country("DE")) == 0 {
			b.Fatal("no German certificate")
		}
	}
}

// BenchmarkPlaceMasterList loads the list and checks every certificate of it.
func BenchmarkPlaceMasterList(b *testing.B) {
	der, root := germanList(b)
	b.ReportAllocs()
	for b.Loop() {
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			b.Fatal(err)
		}
		pool := trust.NewPool()
		if err := pool.AddMasterList(ml, root, listTime, "bench"); err != nil {
			b.Fatal(err)
		}
		if pool.Len() == 0 {
			b.Fatal("nothing placed")
		}
	}
}

// BenchmarkVerifyMasterList reads the list and checks its signature, without those
// of its certificates.
func BenchmarkVerifyMasterList(b *testing.B) {
	der, root := germanList(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(der)))
	for b.Loop() {
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			b.Fatal(err)
		}
		if err := ml.Verify(root, listTime); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFindIssuers looks up the issuer of a link certificate among all.
func BenchmarkFindIssuers(b *testing.B) {
	der, root := germanList(b)
	ml, err := trust.ParseMasterList(der)
	if err != nil {
		b.Fatal(err)
	}
	pool := trust.NewPool()
	if err := pool.AddMasterList(ml, root, listTime, "bench"); err != nil {
		b.Fatal(err)
	}
	anchors := pool.Anchors()
	c := anchors[len(anchors)-1]
	b.ReportAllocs()
	for b.Loop() {
		if len(pool.FindIssuers(c.Certificate)) == 0 || pool.RevocationList(c) != nil || pool.Defects(c.Certificate) != nil {
			b.Fatal("found something else")
		}
	}
}

func BenchmarkParseMasterList(b *testing.B) {
	der, _ := germanList(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(der)))
	for b.Loop() {
		if _, err := trust.ParseMasterList(der); err != nil {
			b.Fatal(err)
		}
	}
}
