package trust_test

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/trust"
)

const (
	oidDefectList           = "0.4.0.127.0.7.3.1.5"
	oidDefectListSigning    = "0.4.0.127.0.7.3.11.2.1.2"
	oidDeviationList        = "2.23.136.1.1.7"
	oidDeviationListSigning = "2.23.136.1.1.8"
)

func seq(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) { b.AddASN1(asn1.SEQUENCE, f) }
func set(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) { b.AddASN1(asn1.SET, f) }

func oid(b *cryptobyte.Builder, s string) { b.AddASN1ObjectIdentifier(cmstest.OID(s)) }

func tagged(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific() }

func octets(b ...byte) cryptobyte.BuilderContinuation {
	return func(w *cryptobyte.Builder) { w.AddBytes(b) }
}

// signedList makes a list that an issuer's signer signs for a purpose.
func (l *list) signed(t testing.TB, contentType, purpose string, content []byte, at time.Time) (der []byte, root *cms.Certificate) {
	l.signer.ExtendedKeyUsage = []string{purpose}
	rootDER := l.root.Sign(t, l.rootKey)
	return cmstest.SignedData{
		ContentType: contentType, Content: content, Certificates: [][]byte{l.signer.Sign(t, l.rootKey), rootDER},
		Signers: []cmstest.Signer{{Key: l.signKey, Algorithm: cmstest.ECDSA(t, crypto.SHA256), KeyID: l.signer.KeyID, Attributes: func(c, d []byte) (sent, signed [][]byte) {
			time := cmstest.Attribute(t, "1.2.840.113549.1.9.5", func(b *cryptobyte.Builder) { b.AddASN1UTCTime(at) })
			list := [][]byte{c, time, d}
			return list, list
		}}},
	}.Build(t), parse(t, rootDER)
}

// signers returns document signers that defects are known of.
func signers(t testing.TB) (byName, byKey, bare *cms.Certificate) {
	key := cmstest.EC(t, "P-256", true)
	ds := csca(t, "UZ", key)
	ds.Subject, ds.CA, ds.KeyUsage = cmstest.Name(t, "UZ", "DS"), false, 0x80
	make := func(serial byte, id []byte) *cms.Certificate {
		ds.Serial, ds.KeyID = []byte{serial}, id
		return parse(t, ds.Sign(t, key))
	}
	return make(1, nil), make(2, []byte("key")), make(3, nil)
}

// defects is the content of a defect list about those signers.
func defects(t testing.TB, version int64, byName, byKey *cms.Certificate, status byte) []byte {
	known := func(b *cryptobyte.Builder, suffix string, parameters []byte, description string) {
		if version == 0 {
			seq(b, func(b *cryptobyte.Builder) {
				oid(b, oidDefectList+suffix)
				b.AddBytes(parameters)
			})
			return
		}
		b.AddASN1(tagged(0).Constructed(), func(b *cryptobyte.Builder) {
			oid(b, oidDefectList+suffix)
			if parameters != nil {
				b.AddASN1(tagged(0).Constructed(), octets(parameters...))
			}
			if description != "" {
				b.AddASN1(tagged(1), octets([]byte(description)...))
			}
		})
	}
	return cmstest.Build(t, func(b *cryptobyte.Builder) {
		seq(b, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(version)
			oid(b, "2.16.840.1.101.3.4.2.1")
			set(b, func(b *cryptobyte.Builder) {
				seq(b, func(b *cryptobyte.Builder) {
					seq(b, func(b *cryptobyte.Builder) {
						b.AddBytes(byName.RawIssuer)
						b.AddASN1(asn1.INTEGER, octets(byName.SerialNumber...))
					})
					set(b, func(b *cryptobyte.Builder) {
						known(b, ".1.1", []byte{10, 1, status}, "")
						known(b, ".2.1", []byte{0x31, 6, 2, 1, 11, 2, 1, 12}, "wrong")
						known(b, ".2.5", []byte{0x13, 2, 'U', 'Z'}, "")
						known(b, ".1.4", nil, "")
					})
				})
				seq(b, func(b *cryptobyte.Builder) {
					b.AddASN1(tagged(0), octets(byKey.SubjectKeyID...))
					sum := sha256.Sum256(byKey.Raw)
					b.AddASN1OctetString(sum[:])
					set(b, func(b *cryptobyte.Builder) { known(b, ".4.9", nil, "") })
				})
				if version == 1 {
					seq(b, func(b *cryptobyte.Builder) { // about a class of documents, without a signer
						set(b, func(*cryptobyte.Builder) {})
						b.AddASN1(asn1.UTF8String, octets([]byte("all of them")...))
					})
				}
			})
		})
	})
}

func TestDefectList(t *testing.T) {
	byName, byKey, bare := signers(t)
	for _, version := range []int64{0, 1} {
		l := newList(t)
		der, root := l.signed(t, oidDefectList, oidDefectListSigning, defects(t, version, byName, byKey, 3), listTime)
		dl, err := trust.ParseDefectList(der)
		if err != nil {
			t.Fatal(err)
		}
		if dl.Version != int(version) || len(dl.Defects) != 2 || dl.Unusable != int(version) {
			t.Errorf("version %d, %d defects, %d unusable", dl.Version, len(dl.Defects), dl.Unusable)
		}
		pool := trust.NewPool()
		if err := pool.AddDefectList(dl, root, listTime, "test"); err != nil {
			t.Fatal(err)
		}
		if lists := pool.DefectLists(); len(lists) != 1 || lists[0].Source != "test" || !lists[0].Signed.Equal(listTime) {
			t.Errorf("lists %v", lists)
		}
		description := ""
		if version == 1 {
			description = "wrong"
		}
		want := []trust.KnownDefect{
			{Type: trust.CertificateRevoked, Status: trust.RevokedByIssuer, Parameters: []byte{10, 1, 3}},
			{Type: trust.DataGroupMalformed, Status: -1, DataGroups: []int{11, 12}, Parameters: []byte{0x31, 6, 2, 1, 11, 2, 1, 12}, Description: description},
			{Type: trust.IssuingCountryWrong, Status: -1, Country: "UZ", Parameters: []byte{0x13, 2, 'U', 'Z'}},
			{Type: trust.ActiveAuthKeysCompromised, Status: -1},
		}
		if diff := cmp.Diff(want, pool.Defects(byName)); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
		if got := pool.Defects(byKey); len(got) != 1 || !got[0].Unknown() || pool.Defects(byName)[0].Unknown() {
			t.Errorf("by key: %v", got)
		}
		// The same identifier, another certificate: the hash tells.
		twin := *byKey
		twin.Raw = append([]byte{}, bare.Raw...)
		if got := pool.Defects(&twin); got != nil {
			t.Errorf("another certificate of the identifier: %v", got)
		}
		if pool.Defects(bare) != nil || pool.Defects(nil) != nil || (*trust.Pool)(nil).Defects(byName) != nil || (*trust.Pool)(nil).DefectLists() != nil {
			t.Error("defects of a signer that has none")
		}
	}
}

func TestAddDefectList(t *testing.T) {
	byName, byKey, _ := signers(t)
	l := newList(t)
	build := func(purpose string, at time.Time, status byte) (*trust.DefectList, *cms.Certificate) {
		der, root := l.signed(t, oidDefectList, purpose, defects(t, 0, byName, byKey, status), at)
		dl, err := trust.ParseDefectList(der)
		if err != nil {
			t.Fatal(err)
		}
		return dl, root
	}
	pool := trust.NewPool()
	sound, root := build(oidDefectListSigning, listTime, 0)
	_, stranger := newList(t).signed(t, oidDefectList, oidDefectListSigning, nil, listTime)
	masterListSigner, _ := build("2.23.136.1.1.3", listTime, 0)
	older, _ := build(oidDefectListSigning, listTime.Add(-time.Hour), 1)
	newer, _ := build(oidDefectListSigning, listTime.Add(time.Hour), 2)
	for _, tt := range []struct {
		name   string
		list   *trust.DefectList
		root   *cms.Certificate
		at     time.Time
		source string
		want   error
		status int // in the pool afterwards
	}{
		{"no root", sound, nil, listTime, "x", cms.ErrUnsupported, -1},
		{"no source", sound, root, listTime, "", trust.ErrNoSource, -1},
		{"another root", sound, stranger, listTime, "x", trust.ErrListRoot, -1},
		{"a signer of master lists", masterListSigner, root, listTime, "x", trust.ErrListPurpose, -1},
		{"expired", sound, root, listTime.AddDate(2, 0, 0), "x", trust.ErrListTime, -1},
		{"sound", sound, root, listTime, "x", nil, 0},
		{"older", older, root, listTime, "x", trust.ErrOldList, 0},
		{"newer", newer, root, listTime, "x", nil, 2},
	} {
		if err := pool.AddDefectList(tt.list, tt.root, tt.at, tt.source); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		status := -1
		if known := pool.Defects(byName); known != nil {
			status = known[0].Status
		}
		if status != tt.status || len(pool.Defects(byName)) > 4 {
			t.Errorf("%s: status %d of %d, want %d", tt.name, status, len(pool.Defects(byName)), tt.status)
		}
	}
	t.Run("revoked signer", func(t *testing.T) {
		pool := trust.NewPool()
		if err := pool.Add(root, "root"); err != nil {
			t.Fatal(err)
		}
		crl := revocation(t, "UT", l.rootKey, 2)
		if err := pool.AddCRL(parseCRL(t, crl.Sign(t, l.rootKey)), "x"); err != nil {
			t.Fatal(err)
		}
		if err := pool.AddDefectList(sound, root, listTime, "x"); !errors.Is(err, trust.ErrListRevoked) {
			t.Errorf("error %v", err)
		}
	})
}

// deviations is the content of a list about one signer, in three ranges.
func deviations(t testing.TB, ds *cms.Certificate) []byte {
	description := func(b *cryptobyte.Builder, suffix string, parameters []byte) {
		set(b, func(b *cryptobyte.Builder) {
			seq(b, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.PrintableString, octets([]byte("why")...))
				oid(b, oidDeviationList+suffix)
				if parameters != nil {
					b.AddASN1(tagged(0).Constructed(), octets(parameters...))
				}
				b.AddASN1(tagged(1).Constructed(), octets(5, 0))
			})
		})
	}
	return cmstest.Build(t, func(b *cryptobyte.Builder) {
		seq(b, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddBytes(cmstest.Digest(t, crypto.SHA256))
			set(b, func(b *cryptobyte.Builder) {
				seq(b, func(b *cryptobyte.Builder) { // by type, period and number
					seq(b, func(b *cryptobyte.Builder) {
						b.AddASN1(tagged(0), octets('C', ' '))
						b.AddASN1(tagged(4).Constructed(), func(b *cryptobyte.Builder) {
							b.AddASN1(asn1.GeneralizedTime, octets([]byte("20171001000000Z")...))
							b.AddASN1(asn1.GeneralizedTime, octets([]byte("20180205235959.999Z")...))
						})
						b.AddASN1(tagged(5).Constructed(), func(b *cryptobyte.Builder) {
							for _, n := range []string{"CA00000AL", "CA00001AL"} {
								b.AddASN1(asn1.PrintableString, octets([]byte(n)...))
							}
						})
					})
					description(b, ".2.2", []byte{2, 1, 12})
				})
				seq(b, func(b *cryptobyte.Builder) { // by issuer and serial number
					seq(b, func(b *cryptobyte.Builder) {
						b.AddASN1(tagged(1).Constructed(), func(b *cryptobyte.Builder) {
							b.AddBytes(ds.RawIssuer)
							b.AddASN1(asn1.INTEGER, octets(ds.SerialNumber...))
						})
					})
					description(b, ".1.4", nil)
				})
				seq(b, func(b *cryptobyte.Builder) { // by digest
					seq(b, func(b *cryptobyte.Builder) {
						sum := sha256.Sum256(ds.Raw)
						b.AddASN1(tagged(3), octets(sum[:]...))
					})
					description(b, ".4", nil)
				})
				seq(b, func(b *cryptobyte.Builder) { // by key
					seq(b, func(b *cryptobyte.Builder) { b.AddASN1(tagged(2), octets([]byte("key")...)) })
					description(b, ".1.1", nil)
				})
			})
		})
	})
}

func TestDeviationList(t *testing.T) {
	byName, byKey, bare := signers(t)
	l := newList(t)
	der, root := l.signed(t, oidDeviationList, oidDeviationListSigning, deviations(t, byName), listTime)
	dl, err := trust.ParseDeviationList(der)
	if err != nil {
		t.Fatal(err)
	}
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	const hash, aa, chip, sign = trust.DeviationDataGroupHashWrong, trust.DeviationAAKeyCompromised, trust.DeviationChip, trust.DeviationDSSignature
	for _, tt := range []struct {
		name string
		doc  trust.Document
		want []trust.DeviationType
	}{
		{"nothing known", trust.Document{}, []trust.DeviationType{hash, aa, chip, sign}},
		{"all criteria", trust.Document{Signer: bare, Type: "C", Number: "CA00001AL", Issued: day(2017, 12, 1)}, []trust.DeviationType{hash}},
		{"another type", trust.Document{Signer: bare, Type: "P", Number: "CA00001AL"}, nil},
		{"another number", trust.Document{Signer: bare, Type: "C", Number: "CA00002AL"}, nil},
		{"part of a number", trust.Document{Signer: bare, Type: "C", Number: "CA00001A"}, nil},
		{"too early", trust.Document{Signer: bare, Number: "CA00001AL", Issued: day(2017, 9, 30)}, nil},
		{"too late", trust.Document{Signer: bare, Number: "CA00001AL", Issued: day(2018, 2, 6)}, nil},
		{"signer by name and by digest", trust.Document{Signer: byName, Type: "P"}, []trust.DeviationType{aa, chip}},
		{"signer by key", trust.Document{Signer: byKey, Type: "P"}, []trust.DeviationType{sign}},
	} {
		var got []trust.DeviationType
		for _, d := range dl.Match(tt.doc) {
			got = append(got, d.Type)
			if d.Description != "why" || (d.DataGroup == 12) != (d.Type == hash) {
				t.Errorf("%s: %+v", tt.name, d)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}

	pool := trust.NewPool()
	if err := pool.AddDeviationList(dl, listTime, "x"); !errors.Is(err, trust.ErrNoIssuer) {
		t.Errorf("without its CSCA: %v", err)
	}
	if err := pool.Add(root, "root"); err != nil {
		t.Fatal(err)
	}
	if pool.DeviationList(pool.Anchors()[0]) != nil || pool.DeviationList(nil) != nil {
		t.Error("a list that nobody added")
	}
	other, _ := l.signed(t, oidDeviationList, "2.23.136.1.1.3", deviations(t, byName), listTime)
	wrong, err := trust.ParseDeviationList(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		list   *trust.DeviationList
		source string
		at     time.Time
		want   error
	}{
		{"no source", dl, "", listTime, trust.ErrNoSource},
		{"signer of master lists", wrong, "x", listTime, trust.ErrListPurpose},
		{"expired", dl, "x", listTime.AddDate(2, 0, 0), trust.ErrListTime},
		{"sound", dl, "x", listTime, nil},
		{"again", dl, "x", listTime, nil},
	} {
		if err := pool.AddDeviationList(tt.list, tt.at, tt.source); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	if got := pool.DeviationList(pool.Anchors()[0]); got == nil || len(got.Documents) != 4 || !got.Signed.Equal(listTime) {
		t.Errorf("list %v", got)
	}
	if (*trust.DeviationList)(nil).Match(trust.Document{}) != nil || (*trust.Pool)(nil).DeviationList(nil) != nil {
		t.Error("no list knows something")
	}
}

func FuzzParseDefectList(f *testing.F) {
	byName, byKey, _ := signers(f)
	for _, version := range []int64{0, 1} {
		der, _ := newList(f).signed(f, oidDefectList, oidDefectListSigning, defects(f, version, byName, byKey, 0), listTime)
		f.Add(der)
		f.Add(defects(f, version, byName, byKey, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, der := range [][]byte{b, wrap(t, oidDefectList, b)} {
			l, err := trust.ParseDefectList(der)
			if (l == nil) != (err != nil) {
				t.Fatalf("list %v with error %v", l, err)
			}
		}
	})
}

func FuzzParseDeviationList(f *testing.F) {
	byName, _, _ := signers(f)
	der, _ := newList(f).signed(f, oidDeviationList, oidDeviationListSigning, deviations(f, byName), listTime)
	f.Add(der)
	f.Add(deviations(f, byName))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, der := range [][]byte{b, wrap(t, oidDeviationList, b)} {
			l, err := trust.ParseDeviationList(der)
			if (l == nil) != (err != nil) {
				t.Fatalf("list %v with error %v", l, err)
			}
			l.Match(trust.Document{Signer: byName, Type: "C", Number: "CA00001AL"})
		}
	})
}

// wrap puts content into a SignedData without signers, so that fuzzing reaches it.
func wrap(t testing.TB, contentType string, content []byte) []byte {
	return cmstest.SignedData{ContentType: contentType, Content: content}.Build(t)
}
