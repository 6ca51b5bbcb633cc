package trust_test

import (
	"crypto"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/trust"
)

func parse(t testing.TB, der []byte) *cms.Certificate {
	t.Helper()
	c, err := cms.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// csca is the template of a CSCA root.
func csca(t testing.TB, country string, key *cmstest.Key) cmstest.Certificate {
	name := cmstest.Name(t, country, "CSCA")
	return cmstest.Certificate{
		Issuer: name, Subject: name, NotBefore: listTime.AddDate(-1, 0, 0), NotAfter: listTime.AddDate(10, 0, 0),
		Key: key, KeyID: key.ID(), AuthorityKeyID: key.ID(), KeyUsage: 0x06, CA: true, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}
}

func TestPoolAdd(t *testing.T) {
	key, other := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	sound := csca(t, "UT", key)
	with := func(change func(c *cmstest.Certificate)) cmstest.Certificate {
		c := sound
		change(&c)
		return c
	}
	ed25519 := *key
	ed25519.SPKI = cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			cmstest.AddAlgorithm(b, "1.3.101.112", nil)
			b.AddASN1BitString(make([]byte, 32))
		})
	})
	tests := []struct {
		name   string
		c      *cms.Certificate
		source string
		want   error
	}{
		{"sound", parse(t, sound.Sign(t, key)), "by hand, 2026-11-22", nil},
		{"no source", parse(t, sound.Sign(t, key)), "", trust.ErrNoSource},
		{"nothing", nil, "x", cms.ErrUnsupported},
		{"signed by another key of the same name", parse(t, sound.Sign(t, other)), "x", trust.ErrNotSelfSigned},
		{"document signer", parse(t, with(func(c *cmstest.Certificate) { c.CA, c.KeyUsage = false, 0x80 }).Sign(t, key)), "x", trust.ErrNotCA},
		{"without basic constraints", parse(t, with(func(c *cmstest.Certificate) { c.CA = false }).Sign(t, key)), "x", nil},
		{"without any extension", parse(t, with(func(c *cmstest.Certificate) { c.NoExtensions = true }).Sign(t, key)), "x", nil},
		{"unsupported key", parse(t, with(func(c *cmstest.Certificate) { c.Key = &ed25519 }).Sign(t, key)), "x", cms.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := trust.NewPool()
			if err := pool.Add(tt.c, tt.source); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if (pool.Len() == 1) != (tt.want == nil) {
				t.Errorf("%d in the pool", pool.Len())
			}
		})
	}
}

func TestPoolLinks(t *testing.T) {
	oldKey, newKey, thirdKey, stranger := cmstest.EC(t, "P-256", true), cmstest.EC(t, "brainpoolP256r1", true), cmstest.EC(t, "P-384", true), cmstest.EC(t, "P-256", true)
	root := parse(t, csca(t, "UT", oldKey).Sign(t, oldKey))
	link := func(country string, key *cmstest.Key, issuer *cmstest.Key, change func(c *cmstest.Certificate)) *cms.Certificate {
		c := csca(t, country, key)
		c.AuthorityKeyID = issuer.ID()
		if change != nil {
			change(&c)
		}
		return parse(t, c.Sign(t, issuer))
	}
	first := link("UT", newKey, oldKey, nil)
	second := link("UT", thirdKey, newKey, nil)

	pool := trust.NewPool()
	if err := pool.AddLink(first, "x"); !errors.Is(err, trust.ErrNoIssuer) {
		t.Errorf("link before its root: error %v", err)
	}
	if err := pool.Add(root, "by hand"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		c    *cms.Certificate
		want error
	}{
		{"second link before the first", second, trust.ErrNoIssuer},
		{"first link", first, nil},
		{"second link", second, nil},
		{"by a stranger with the issuer's identifier", parse(t, func() []byte {
			c := csca(t, "UT", stranger)
			c.AuthorityKeyID = oldKey.ID()
			return c.Sign(t, stranger)
		}()), trust.ErrNoIssuer},
		{"in the name of another state", link("UZ", stranger, oldKey, nil), trust.ErrLinkCountry},
		{"document signer as a link", link("UT", stranger, oldKey, func(c *cmstest.Certificate) { c.CA, c.KeyUsage = false, 0x80 }), trust.ErrNotCA},
		{"document signer without extensions as a link", link("UT", stranger, oldKey, func(c *cmstest.Certificate) { c.NoExtensions = true }), trust.ErrNotCA},
		{"a root as a link", parse(t, csca(t, "UT", stranger).Sign(t, stranger)), trust.ErrNoIssuer},
	} {
		if err := pool.AddLink(tt.c, "link, 2026"); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	if pool.Len() != 3 {
		t.Fatalf("%d in the pool, want 3", pool.Len())
	}
	a := pool.Anchors()[2]
	if a.Certificate != second || a.Issuer.Certificate != first || a.Issuer.Issuer.Certificate != root || a.Issuer.Issuer.Issuer != nil {
		t.Error("the way back to the root is wrong")
	}
}

func TestFindIssuers(t *testing.T) {
	a, b, c := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	pool := trust.NewPool()
	add := func(c cmstest.Certificate, key *cmstest.Key) *cms.Certificate {
		t.Helper()
		parsed := parse(t, c.Sign(t, key))
		if err := pool.Add(parsed, "test"); err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	rootA := add(csca(t, "UT", a), a)
	// The same name, another key; the same identifier, another key.
	rootB := csca(t, "UT", b)
	rootB.KeyID = a.ID()
	add(rootB, b)
	// The same name, no identifier.
	bare := csca(t, "UT", c)
	bare.KeyID, bare.AuthorityKeyID = nil, nil
	add(bare, c)
	other := csca(t, "UZ", c)
	add(other, c)

	child := func(aki []byte, country string) *cms.Certificate {
		s := cmstest.Certificate{
			Issuer: cmstest.Name(t, country, "csca"), Subject: cmstest.Name(t, country, "DS"), NotBefore: rootA.NotBefore, NotAfter: rootA.NotAfter,
			Key: b, AuthorityKeyID: aki, KeyUsage: 0x80, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
		}
		return parse(t, s.Sign(t, a))
	}
	for _, tt := range []struct {
		name string
		c    *cms.Certificate
		want int
	}{
		{"by identifier", child(a.ID(), "UT"), 2},
		{"by identifier under another name", child(a.ID(), "XX"), 2},
		{"identifier unknown: those of the name without one", child([]byte{1}, "UT"), 1},
		{"identifier unknown, name unknown", child([]byte{1}, "XX"), 0},
		{"by name without regard to case", child(nil, "ut"), 3},
		{"by name of the other state", child(nil, "UZ"), 1},
		{"name unknown", child(nil, "XX"), 0},
		{"nothing", nil, 0},
	} {
		if got := pool.FindIssuers(tt.c); len(got) != tt.want {
			t.Errorf("%s: %d found, want %d", tt.name, len(got), tt.want)
		}
	}
	var none *trust.Pool
	if none.Len() != 0 || none.FindIssuers(rootA) != nil || none.Anchors() != nil || none.Country("UT") != nil || none.FindSigners(&cms.SignerInfo{}) != nil {
		t.Error("a nil pool is not empty")
	}
	if got := pool.Country("uz"); len(got) != 1 || got[0].Certificate.SubjectCountry() != "UZ" {
		t.Errorf("uz: %d", len(got))
	}
}

func TestFindSigners(t *testing.T) {
	key := cmstest.EC(t, "P-256", true)
	ds := csca(t, "UT", key)
	ds.Serial, ds.CA, ds.KeyUsage = []byte{7}, false, 0x80
	c := parse(t, ds.Sign(t, key))
	pool := trust.NewPool()
	pool.AddSigner(c)
	for _, tt := range []struct {
		name string
		si   cms.SignerInfo
		want int
	}{
		{"issuer and serial", cms.SignerInfo{Issuer: c.Issuer, SerialNumber: []byte{7}}, 1},
		{"other serial", cms.SignerInfo{Issuer: c.Issuer, SerialNumber: []byte{8}}, 0},
		{"other issuer", cms.SignerInfo{SerialNumber: []byte{7}}, 0},
		{"identifier", cms.SignerInfo{SubjectKeyID: key.ID()}, 1},
		{"other identifier", cms.SignerInfo{SubjectKeyID: []byte{1}}, 0},
		{"nothing", cms.SignerInfo{}, 0},
	} {
		if got := pool.FindSigners(&tt.si); len(got) != tt.want {
			t.Errorf("%s: %d found, want %d", tt.name, len(got), tt.want)
		}
	}
	if pool.Len() != 0 || pool.FindIssuers(c) != nil {
		t.Error("a kept signer is trusted")
	}
}
