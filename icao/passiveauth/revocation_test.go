package passiveauth_test

import (
	"crypto"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// crl is the revocation list of a state, naming serial numbers; its document
// signer has 2.
func (s *state) crl(t testing.TB, serials ...byte) cmstest.CRL {
	l := cmstest.CRL{
		Issuer: s.csca.Subject, ThisUpdate: at.AddDate(0, -1, 0), NextUpdate: at.AddDate(0, 2, 0),
		AuthorityKeyID: s.cscaKey.ID(), Number: 1, Algorithm: cmstest.ECDSA(t, crypto.SHA384),
	}
	for _, n := range serials {
		l.Revoked = append(l.Revoked, cmstest.Revoked{Serial: []byte{n}, At: at.AddDate(0, -2, 0)})
	}
	return l
}

// defects is a defect list about the document signer of s, under a root of its
// own.
func (s *state) defects(t testing.TB, pool *trust.Pool, suffix string, parameters []byte) {
	t.Helper()
	const list = "0.4.0.127.0.7.3.1.5"
	content := cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1ObjectIdentifier(cmstest.OID("2.16.840.1.101.3.4.2.1"))
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(s.ds.Issuer)
						b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(s.ds.Serial) })
					})
					b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(cmstest.OID(list + suffix))
							b.AddBytes(parameters)
						})
					})
				})
			})
		})
	})
	rootKey, signKey := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	name := cmstest.Name(t, "DE", "CSCA")
	root := cmstest.Certificate{
		Issuer: name, Subject: name, NotBefore: at.AddDate(-9, 0, 0), NotAfter: at.AddDate(19, 0, 0),
		Key: rootKey, KeyID: rootKey.ID(), KeyUsage: 0x06, CA: true, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}
	signer := root
	signer.Serial, signer.Key, signer.KeyID, signer.KeyUsage, signer.CA = []byte{5}, signKey, signKey.ID(), 0x80, false
	signer.ExtendedKeyUsage = []string{"0.4.0.127.0.7.3.11.2.1.2"}
	dl, err := trust.ParseDefectList(cmstest.SignedData{
		ContentType: list, Content: content, Certificates: [][]byte{signer.Sign(t, rootKey)},
		Signers: []cmstest.Signer{{Key: signKey, Algorithm: cmstest.ECDSA(t, crypto.SHA256), KeyID: signKey.ID()}},
	}.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.AddDefectList(dl, parse(t, root.Sign(t, rootKey)), at, "test"); err != nil {
		t.Fatal(err)
	}
}

func addCRL(t testing.TB, pool *trust.Pool, der []byte) {
	t.Helper()
	l, err := cms.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.AddCRL(l, "test"); err != nil {
		t.Fatal(err)
	}
}

func TestRevocation(t *testing.T) {
	const signed, listed = "ECDSA SHA-256 brainpoolP256r1", "ECDSA SHA-384 brainpoolP384r1"
	none := unknown(passiveauth.NoRevocationInformation, "")
	enumerated := func(n byte) []byte { return []byte{10, 1, n} }
	good, revoked := pass(signed), fail(passiveauth.SignerRevoked, "")
	type prepare func(t *testing.T, s *state, pool *trust.Pool)
	list := func(change func(*cmstest.CRL), serials ...byte) prepare {
		return func(t *testing.T, s *state, pool *trust.Pool) {
			l := s.crl(t, serials...)
			if change != nil {
				change(&l)
			}
			addCRL(t, pool, l.Sign(t, s.cscaKey))
		}
	}
	defect := func(suffix string, parameters []byte) prepare {
		return func(t *testing.T, s *state, pool *trust.Pool) { s.defects(t, pool, suffix, parameters) }
	}
	both := func(a, b prepare) prepare {
		return func(t *testing.T, s *state, pool *trust.Pool) {
			a(t, s, pool)
			b(t, s, pool)
		}
	}
	outdated := func(l *cmstest.CRL) { l.NextUpdate = at.Add(-time.Second) }
	tests := []struct {
		name                string
		spoil               func(s *state)
		prepare             prepare
		revocation, overall result.Check
	}{
		// One rule: what is not revoked does not change the verdict, whether the list
		// is absent, out of date, or does not tell.
		{"no list", nil, nil, none, good},
		{"a list that names nobody", nil, list(nil), pass(listed), good},
		{"a list that names others", nil, list(nil, 7, 8), pass(listed), good},
		{"revoked", nil, list(nil, 7, 2), revoked, revoked},
		{"revoked by an outdated list", nil, list(outdated, 2), revoked, revoked},
		{"revoked on hold", nil, list(func(l *cmstest.CRL) {
			l.Revoked[0].Extensions = []cmstest.Extension{{OID: "2.5.29.21", Value: enumerated(6)}}
		}, 2), revoked, revoked},
		{"revoked in the CSCA's new name", nil, list(func(l *cmstest.CRL) { l.Issuer = cmstest.Name(t, "UZ", "CSCA 2") }, 2), revoked, revoked},
		{"the CSCA revoked", nil, list(nil, 1), fail(passiveauth.AnchorRevoked, ""), fail(passiveauth.AnchorRevoked, "")},
		{"outdated", nil, list(outdated), unknown(passiveauth.RevocationListOutdated, ""), good},
		{"without an end, old", nil, list(func(l *cmstest.CRL) { l.NextUpdate, l.ThisUpdate = time.Time{}, at.AddDate(0, 0, -91) }), unknown(passiveauth.RevocationListOutdated, ""), good},
		{"without an end, recent", nil, list(func(l *cmstest.CRL) { l.NextUpdate, l.ThisUpdate = time.Time{}, at.AddDate(0, 0, -89) }), pass(listed), good},
		{"newer than the time asked for", nil, list(func(l *cmstest.CRL) { l.ThisUpdate, l.NextUpdate = at.AddDate(1, 0, 0), at.AddDate(1, 3, 0) }), pass(listed), good},
		{"made after the signer expired", nil, list(func(l *cmstest.CRL) { l.ThisUpdate, l.NextUpdate = at.AddDate(11, 0, 0), at.AddDate(11, 3, 0) }), unknown(passiveauth.RevocationListTooLate, ""), good},
		{"no time", func(s *state) { s.at = time.Time{} }, list(nil), unknown(passiveauth.TimeUnknown, ""), unknown(passiveauth.TimeUnknown, "")},
		{"no anchor", func(s *state) { s.noAnchor = true }, nil, none, unknown(passiveauth.NoTrustAnchor, "")},

		{"defect: revoked, no indication", nil, defect(".1.1", enumerated(0)), revoked, revoked},
		{"defect: under investigation", nil, defect(".1.1", enumerated(1)), unknown(passiveauth.SignerStatusUnclear, ""), good},
		{"defect: for testing", nil, defect(".1.1", enumerated(2)), revoked, revoked},
		{"defect: by the issuer", nil, defect(".1.1", enumerated(3)), revoked, revoked},
		{"defect: by the list signer", nil, defect(".1.1", enumerated(4)), revoked, revoked},
		{"defect: inadequate", nil, defect(".1.1", enumerated(5)), unknown(passiveauth.SignerStatusUnclear, ""), good},
		{"defect: a code of its own", nil, defect(".1.1", enumerated(32)), unknown(passiveauth.SignerStatusUnclear, ""), good},
		{"defect: revoked, the list does not say so", nil, both(list(nil), defect(".1.1", enumerated(3))), revoked, revoked},
		{"defect: under investigation, the list knows", nil, both(list(nil, 2), defect(".1.1", enumerated(1))), revoked, revoked},
		{"defect of the keys", nil, defect(".1.4", nil), none, good},
		{"defect of a general kind that is unknown", nil, defect(".4.9", nil), none, unknown(passiveauth.KnownDefect, "")},
		{"defect of a general kind that is known", nil, defect(".4.3", nil), none, good},
		{"expired, and known for it", func(s *state) { s.ds.NotAfter = at.Add(-time.Second) }, defect(".1.6", enumerated(1)), none, unknown(passiveauth.KnownDefect, "")},
		{"expired, and the CSCA known for it", func(s *state) { s.ds.NotAfter = at.Add(-time.Second) }, defect(".1.6", enumerated(0)), none, fail(passiveauth.SignerExpired, "")},
		{"CSCA expired, and known for it", func(s *state) { s.anchor.NotAfter = at.Add(-time.Second) }, defect(".1.6", enumerated(2)), none, unknown(passiveauth.KnownDefect, listed)},
		{"signed badly, and known for it", func(s *state) { s.sod.Signers[0].Key = cmstest.EC(t, "brainpoolP256r1", true) }, defect(".2.2", nil), none, unknown(passiveauth.KnownDefect, signed)},
		{"signed badly", func(s *state) { s.sod.Signers[0].Key = cmstest.EC(t, "brainpoolP256r1", true) }, defect(".2.1", []byte{0x31, 3, 2, 1, 2}), none, fail(passiveauth.SignatureInvalid, signed)},
		{"a hash that differs is nothing that a defect excuses", func(s *state) { s.groups[13] = []byte("other") }, defect(".2.2", nil), none, fail(passiveauth.HashMismatch, "SHA-256")},
		{"a replacement is not used", func(s *state) { s.ds.NotAfter = at.Add(-time.Second) }, defect(".1.2", []byte{4, 1, 0}), none, fail(passiveauth.SignerExpired, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sound(t)
			if tt.spoil != nil {
				tt.spoil(s)
			}
			sod, err := lds.ParseSOD(s.file(t))
			if err != nil {
				t.Fatal(err)
			}
			pool := s.pool(t)
			if tt.prepare != nil {
				tt.prepare(t, s, pool)
			}
			r := passiveauth.Verify(sod, s.groups, pool, s.at)
			if r.Revocation != tt.revocation {
				t.Errorf("revocation %+v, want %+v", r.Revocation, tt.revocation)
			}
			if got := r.Overall(); got != tt.overall {
				t.Errorf("overall %+v, want %+v", got, tt.overall)
			}
		})
	}

	t.Run("a list of another CSCA of the state", func(t *testing.T) {
		s, other := sound(t), sound(t)
		other.csca.Subject = cmstest.Name(t, "UZ", "another CSCA")
		other.csca.Issuer = other.csca.Subject
		sod, err := lds.ParseSOD(s.file(t))
		if err != nil {
			t.Fatal(err)
		}
		pool := s.pool(t)
		if err := pool.Add(parse(t, other.csca.Sign(t, other.cscaKey)), "test"); err != nil {
			t.Fatal(err)
		}
		l := other.crl(t, 2)
		addCRL(t, pool, l.Sign(t, other.cscaKey))
		if r := passiveauth.Verify(sod, s.groups, pool, s.at); r.Revocation != none || r.Overall() != good {
			t.Errorf("revocation %+v, overall %+v", r.Revocation, r.Overall())
		}
	})
	t.Run("defects are handed on", func(t *testing.T) {
		s := sound(t)
		sod, err := lds.ParseSOD(s.file(t))
		if err != nil {
			t.Fatal(err)
		}
		pool := s.pool(t)
		s.defects(t, pool, ".1.4", nil)
		if r := passiveauth.Verify(sod, s.groups, pool, s.at); len(r.Defects) != 1 || r.Defects[0].Type != trust.ActiveAuthKeysCompromised {
			t.Errorf("defects %v", r.Defects)
		}
	})
	t.Run("of two signers the one that is not revoked", func(t *testing.T) {
		s := sound(t)
		second := s.ds
		second.Serial = []byte{3}
		s.sod.Certificates = [][]byte{s.ds.Sign(t, s.cscaKey), second.Sign(t, s.cscaKey)}
		other := s.sod.Signers[0]
		other.Serial = []byte{3}
		s.sod.Signers = append(s.sod.Signers, other)
		sod, err := lds.ParseSOD(s.file(t))
		if err != nil {
			t.Fatal(err)
		}
		pool := s.pool(t)
		l := s.crl(t, 2)
		addCRL(t, pool, l.Sign(t, s.cscaKey))
		r := passiveauth.Verify(sod, s.groups, pool, s.at)
		if r.Overall() != good || r.Signer.SerialNumber[0] != 3 {
			t.Errorf("overall %+v, signer %x", r.Overall(), r.Signer.SerialNumber)
		}
	})
}

// cardSecurity signs SecurityInfos instead of hashes.
func cardSecurity(t testing.TB, s *state) []byte {
	s.sod.ContentType = "0.4.0.127.0.7.3.2.1"
	s.sod.Content = []byte{0x31, 20, 0x30, 18, 6, 10, 4, 0, 0x7f, 0, 7, 2, 2, 3, 2, 2, 2, 1, 1, 2, 1, 7}
	s.sod.Certificates = [][]byte{s.ds.Sign(t, s.cscaKey)}
	return s.sod.Build(t)
}

func TestVerifyCardSecurity(t *testing.T) {
	const signed, chain = "ECDSA SHA-256 brainpoolP256r1", "ECDSA SHA-384 brainpoolP384r1"
	for _, tt := range []struct {
		name    string
		spoil   func(s *state)
		serials []byte // of a revocation list; nil for none
		overall result.Check
	}{
		{"sound", nil, nil, pass(signed)},
		{"sound, with a list", nil, []byte{7}, pass(signed)},
		{"revoked", nil, []byte{2}, fail(passiveauth.SignerRevoked, "")},
		{"expired", func(s *state) { s.ds.NotAfter = at.Add(-time.Second) }, nil, fail(passiveauth.SignerExpired, "")},
		{"no anchor", func(s *state) { s.noAnchor = true }, nil, unknown(passiveauth.NoTrustAnchor, "")},
		{"another key", func(s *state) { s.sod.Signers[0].Key = cmstest.EC(t, "brainpoolP256r1", true) }, nil, fail(passiveauth.SignatureInvalid, signed)},
		{"signed by the CSCA", func(s *state) { s.ds.CA = true }, nil, fail(passiveauth.SignerIsCA, chain)},
		{"a self-made signer", func(s *state) {
			anchor := *s
			s.cscaKey = cmstest.EC(t, "brainpoolP384r1", true)
			s.anchorKey = anchor.cscaKey
		}, nil, fail(passiveauth.ChainSignatureInvalid, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sound(t)
			if tt.spoil != nil {
				tt.spoil(s)
			}
			cs, err := passiveauth.ParseCardSecurity(cardSecurity(t, s))
			if err != nil {
				t.Fatal(err)
			}
			if string(cs.SecurityInfos) != string(s.sod.Content) {
				t.Error("other SecurityInfos than were signed")
			}
			pool := s.pool(t)
			if tt.serials != nil {
				l := s.crl(t, tt.serials...)
				addCRL(t, pool, l.Sign(t, s.cscaKey))
			}
			r := passiveauth.VerifyCardSecurity(cs, pool, s.at)
			got := r.Overall()
			if got.Value != tt.overall.Value || got.Reason != tt.overall.Reason {
				t.Errorf("overall %+v, want %+v", got, tt.overall)
			}
			if r.Hashes != (result.Check{}) || r.IssuingState != (result.Check{}) || r.Groups != nil {
				t.Errorf("hashes %+v, issuing state %+v", r.Hashes, r.IssuingState)
			}
		})
	}
	for name, cs := range map[string]*passiveauth.CardSecurity{"nil": nil, "empty": {}} {
		if got := passiveauth.VerifyCardSecurity(cs, nil, at).Overall(); got != (result.Check{}) {
			t.Errorf("%s: %+v, want not performed", name, got)
		}
	}
}

func TestParseCardSecurity(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *state)
	}{
		{"a security object", func(s *state) { s.sod.ContentType = lds.OIDSecurityObject }},
		{"no content", func(s *state) { s.sod.Content = nil }},
		{"another content", func(s *state) { s.sod.Content = []byte{0x30, 0} }},
		{"trailing data", func(s *state) { s.sod.Content = append(s.sod.Content, 0) }},
	} {
		s := sound(t)
		cardSecurity(t, s)
		tt.change(s)
		if cs, err := passiveauth.ParseCardSecurity(s.sod.Build(t)); err == nil || cs != nil {
			t.Errorf("%s: %v, %v", tt.name, cs, err)
		}
	}
	for _, b := range [][]byte{nil, {0x30, 0}, make([]byte, 64<<10+1)} {
		if cs, err := passiveauth.ParseCardSecurity(b); err == nil || cs != nil {
			t.Errorf("%d octets: %v, %v", len(b), cs, err)
		}
	}
}

func FuzzParseCardSecurity(f *testing.F) {
	s := sound(f)
	file := cardSecurity(f, s)
	pool := s.pool(f)
	f.Add(file)
	f.Add(s.sod.Content)
	f.Fuzz(func(t *testing.T, b []byte) {
		cs, err := passiveauth.ParseCardSecurity(b)
		if (cs == nil) != (err != nil) {
			t.Fatalf("%v with error %v", cs, err)
		}
		if passiveauth.VerifyCardSecurity(cs, pool, at).Overall().Value == result.Successful && string(cs.SecurityInfos) != string(s.sod.Content) {
			t.Error("other SecurityInfos verify")
		}
	})
}
