package trust_test

import (
	"crypto"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/trust"
)

// revocation is the template of a CSCA's revocation list.
func revocation(t testing.TB, country string, key *cmstest.Key, serials ...byte) cmstest.CRL {
	l := cmstest.CRL{
		Issuer: cmstest.Name(t, country, "CSCA"), ThisUpdate: listTime.AddDate(0, -1, 0), NextUpdate: listTime.AddDate(0, 2, 0),
		AuthorityKeyID: key.ID(), Number: 1, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}
	for _, s := range serials {
		l.Revoked = append(l.Revoked, cmstest.Revoked{Serial: []byte{s}, At: listTime.AddDate(0, -2, 0)})
	}
	return l
}

func parseCRL(t testing.TB, der []byte) *cms.CRL {
	t.Helper()
	l, err := cms.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAddCRL(t *testing.T) {
	key, other := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	root := csca(t, "UT", key)
	with := func(change func(*cmstest.CRL)) cmstest.CRL {
		l := revocation(t, "UT", key, 7)
		change(&l)
		return l
	}
	nothing := func(*cmstest.CRL) {}
	for _, tt := range []struct {
		name   string
		root   func(*cmstest.Certificate)
		list   cmstest.CRL
		signer *cmstest.Key
		source string
		want   error
	}{
		{"sound", nil, with(nothing), key, "test", nil},
		{"name in another case", nil, with(func(l *cmstest.CRL) { l.Issuer = cmstest.Name(t, "ut", "csca") }), key, "test", nil},
		{"by name alone", nil, with(func(l *cmstest.CRL) { l.AuthorityKeyID = nil }), key, "test", nil},
		{"root without key usage", func(c *cmstest.Certificate) { c.KeyUsage = 0 }, with(nothing), key, "test", nil},
		{"no source", nil, with(nothing), key, " ", trust.ErrNoSource},
		{"another key signed", nil, with(nothing), other, "test", cms.ErrSignature},
		{"another key of the same name", nil, with(func(l *cmstest.CRL) { l.AuthorityKeyID = nil }), other, "test", trust.ErrNoIssuer},
		{"a stranger's", nil, with(func(l *cmstest.CRL) {
			l.AuthorityKeyID = other.ID()
			l.Issuer = cmstest.Name(t, "UZ", "CSCA")
		}), other, "test", trust.ErrNoIssuer},
		{"in the name of another state", nil, with(func(l *cmstest.CRL) { l.Issuer = cmstest.Name(t, "UZ", "CSCA") }), key, "test", trust.ErrCRLCountry},
		{"root that may not", func(c *cmstest.Certificate) { c.KeyUsage = 0x04 }, with(nothing), key, "test", trust.ErrCRLSigner},
		{"unknown algorithm", nil, with(func(l *cmstest.CRL) {
			l.Algorithm.ID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, "1.2.3", nil) })
		}), key, "test", cms.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := root
			if tt.root != nil {
				tt.root(&c)
			}
			pool := trust.NewPool()
			if err := pool.Add(parse(t, c.Sign(t, key)), "root"); err != nil {
				t.Fatal(err)
			}
			err := pool.AddCRL(parseCRL(t, tt.list.Sign(t, tt.signer)), tt.source)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			l := pool.RevocationList(pool.Anchors()[0])
			if (l != nil) != (tt.want == nil) || len(pool.RevocationLists()) != map[bool]int{true: 1}[tt.want == nil] {
				t.Fatalf("list %v", l)
			}
			if _, listed := l.Revoked([]byte{7}); listed != (tt.want == nil) {
				t.Errorf("listed: %v", listed)
			}
		})
	}
	var none *trust.Pool
	if none.RevocationList(nil) != nil || none.RevocationLists() != nil || none.RevokedAnchor(nil) {
		t.Error("a nil pool has a list")
	}
	if err := trust.NewPool().AddCRL(nil, "x"); err == nil {
		t.Error("no list is no error")
	}
}

// TestNewestCRL: the newest list stays, in whatever order they come.
func TestNewestCRL(t *testing.T) {
	key := cmstest.EC(t, "P-256", true)
	pool := trust.NewPool()
	if err := pool.Add(parse(t, csca(t, "UT", key).Sign(t, key)), "root"); err != nil {
		t.Fatal(err)
	}
	list := func(day int, number int64, serial byte) *cms.CRL {
		l := revocation(t, "UT", key, serial)
		l.ThisUpdate, l.Number = listTime.AddDate(0, 0, day), number
		return parseCRL(t, l.Sign(t, key))
	}
	first := list(1, 5, 1)
	for _, tt := range []struct {
		name string
		l    *cms.CRL
		want error
		now  byte // serial number of the list in the pool
	}{
		{"first", first, nil, 1},
		{"the same again", first, nil, 1},
		{"older", list(0, 9, 2), trust.ErrOldCRL, 1},
		{"same day, smaller number", list(1, 4, 3), trust.ErrOldCRL, 1},
		{"same day and number", list(1, 5, 4), trust.ErrOldCRL, 1},
		{"same day, larger number", list(1, 6, 5), nil, 5},
		{"same day, longer number", list(1, 256, 6), nil, 6},
		{"newer, smaller number", list(2, 1, 7), nil, 7},
		{"the first again", first, trust.ErrOldCRL, 7},
	} {
		if err := pool.AddCRL(tt.l, tt.name); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if _, listed := pool.RevocationList(pool.Anchors()[0]).Revoked([]byte{tt.now}); !listed {
			t.Errorf("%s: another list is in the pool", tt.name)
		}
	}
	unbounded := revocation(t, "UT", key)
	unbounded.NextUpdate, unbounded.ThisUpdate = time.Time{}, listTime.AddDate(0, 0, 3)
	if err := pool.AddCRL(parseCRL(t, unbounded.Sign(t, key)), "x"); err != nil {
		t.Fatal(err)
	}
	if got, want := pool.RevocationList(pool.Anchors()[0]).Expires(), listTime.AddDate(0, 0, 93); !got.Equal(want) {
		t.Errorf("expires %v, want %v", got, want)
	}
}

// TestCRLSpeaksForItsCSCA: over changes of key and of name, and not for another
// CSCA of the same state.
func TestCRLSpeaksForItsCSCA(t *testing.T) {
	first, second, third, other := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-384", true), cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	named := func(common string, key, authority *cmstest.Key) cmstest.Certificate {
		c := csca(t, "UT", key)
		c.Issuer, c.Subject = cmstest.Name(t, "UT", common), cmstest.Name(t, "UT", common)
		c.AuthorityKeyID = authority.ID()
		return c
	}
	oldRoot := parse(t, named("CSCA 1", first, first).Sign(t, first))
	link := named("CSCA 2", second, first) // a new key and a new name
	link.Issuer = cmstest.Name(t, "UT", "CSCA 1")
	linked := parse(t, link.Sign(t, first))
	newRoot := parse(t, named("CSCA 2", second, second).Sign(t, second))
	sameName := parse(t, named("CSCA 2", third, third).Sign(t, third)) // a new key without a link
	identity := parse(t, named("CSCA of identity cards", other, other).Sign(t, other))

	l := revocation(t, "UT", third, 7)
	l.Issuer = cmstest.Name(t, "UT", "CSCA 2")
	list := parseCRL(t, l.Sign(t, third))

	// The link comes last: what it joins had lists of its own before.
	pool := trust.NewPool()
	for _, c := range []*cms.Certificate{oldRoot, identity, newRoot, sameName} {
		if err := pool.Add(c, "test"); err != nil {
			t.Fatal(err)
		}
	}
	older := revocation(t, "UT", first, 8)
	older.Issuer, older.ThisUpdate = cmstest.Name(t, "UT", "CSCA 1"), listTime.AddDate(0, -6, 0)
	for _, c := range []*cms.CRL{parseCRL(t, older.Sign(t, first)), list} {
		if err := pool.AddCRL(c, "test"); err != nil {
			t.Fatal(err)
		}
	}
	speaks := func(want map[*cms.Certificate]*cms.CRL) {
		t.Helper()
		for _, a := range pool.Anchors() {
			var got *cms.CRL
			if l := pool.RevocationList(a); l != nil {
				got = l.CRL
			}
			if w := want[a.Certificate]; (w == nil) != (got == nil) || w != nil && string(w.Raw) != string(got.Raw) {
				t.Errorf("%v: another list than wanted", a.Certificate.Subject)
			}
		}
	}
	speaks(map[*cms.Certificate]*cms.CRL{oldRoot: parseCRL(t, pool.RevocationList(pool.Anchors()[0]).CRL.Raw), newRoot: list, sameName: list})
	if len(pool.RevocationLists()) != 2 {
		t.Errorf("%d lists", len(pool.RevocationLists()))
	}
	if err := pool.AddLink(linked, "test"); err != nil {
		t.Fatal(err)
	}
	speaks(map[*cms.Certificate]*cms.CRL{oldRoot: list, linked: list, newRoot: list, sameName: list})
	if len(pool.RevocationLists()) != 1 {
		t.Errorf("%d lists", len(pool.RevocationLists()))
	}
}

// TestRevokedAnchor: a CSCA takes back its own certificate, and with it what
// that vouched for.
func TestRevokedAnchor(t *testing.T) {
	oldKey, newKey := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	root := csca(t, "UT", oldKey)
	root.Serial = []byte{3}
	link := csca(t, "UT", newKey)
	link.Serial, link.AuthorityKeyID = []byte{4}, oldKey.ID()
	direct := csca(t, "UT", newKey)
	direct.Serial = []byte{5}
	former := cmstest.Extension{OID: "2.5.29.18", Value: cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.Tag(4).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(cmstest.Name(t, "UT", "CSCA")) })
		})
	})}
	for _, tt := range []struct {
		name   string
		change func(*cmstest.CRL)
		serial byte
		want   [3]bool // root, link, the new key's root
	}{
		{"the old root", nil, 3, [3]bool{true, true, false}},
		{"the link", nil, 4, [3]bool{false, true, true}},
		{"the new root", nil, 5, [3]bool{false, true, true}}, // of the same key as the link
		{"a document signer", nil, 6, [3]bool{}},
		{"in another name", func(l *cmstest.CRL) { l.Issuer = cmstest.Name(t, "UT", "CSCA 2") }, 3, [3]bool{}},
		{"in another name, formerly this", func(l *cmstest.CRL) {
			l.Issuer, l.Extensions = cmstest.Name(t, "UT", "CSCA 2"), []cmstest.Extension{former}
		}, 3, [3]bool{true, true, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool := trust.NewPool()
			for _, err := range []error{
				pool.Add(parse(t, root.Sign(t, oldKey)), "x"), pool.AddLink(parse(t, link.Sign(t, oldKey)), "x"), pool.Add(parse(t, direct.Sign(t, newKey)), "x"),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			l := revocation(t, "UT", oldKey, tt.serial)
			if tt.change != nil {
				tt.change(&l)
			}
			if err := pool.AddCRL(parseCRL(t, l.Sign(t, oldKey)), "x"); err != nil {
				t.Fatal(err)
			}
			for i, a := range pool.Anchors() {
				if got := pool.RevokedAnchor(a); got != tt.want[i] {
					t.Errorf("anchor %d revoked: %v", i, got)
				}
			}
		})
	}
}
