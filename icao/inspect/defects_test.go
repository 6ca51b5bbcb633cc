package inspect_test

import (
	"crypto"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// addDefect puts a list into a pool that says of the documents of a signer that a
// protocol fails (BSI TR-03129-2, 7.3.1.5).
func addDefect(t *testing.T, p *trust.Pool, ds *cms.Certificate, status byte) {
	t.Helper()
	const oidDefectList, oidSigning = "0.4.0.127.0.7.3.1.5", "0.4.0.127.0.7.3.11.2.1.2"
	rootKey, signKey := cmstest.EC(t, "P-256", true), cmstest.EC(t, "P-256", true)
	name := cmstest.Name(t, "UT", "Defects")
	root := cmstest.Certificate{
		Issuer: name, Subject: name, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(1, 0, 0),
		Key: rootKey, KeyID: rootKey.ID(), AuthorityKeyID: rootKey.ID(), KeyUsage: 0x06, CA: true, Algorithm: cmstest.ECDSA(t, crypto.SHA256),
	}
	signer := root
	signer.Serial, signer.Subject, signer.CA, signer.KeyUsage = []byte{2}, cmstest.Name(t, "UT", "Defect List Signer"), false, 0x80
	signer.Key, signer.KeyID, signer.ExtendedKeyUsage = signKey, signKey.ID(), []string{oidSigning}
	rootDER := root.Sign(t, rootKey)
	content := cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1ObjectIdentifier(cmstest.OID("2.16.840.1.101.3.4.2.1"))
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(ds.RawIssuer)
						b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(ds.SerialNumber) })
					})
					b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(cmstest.OID(string(trust.AuthenticationFails)))
							b.AddBytes([]byte{10, 1, status})
						})
					})
				})
			})
		})
	})
	der := cmstest.SignedData{
		ContentType: oidDefectList, Content: content, Certificates: [][]byte{signer.Sign(t, rootKey), rootDER},
		Signers: []cmstest.Signer{{Key: signKey, Algorithm: cmstest.ECDSA(t, crypto.SHA256), KeyID: signKey.ID(), Attributes: func(c, d []byte) (sent, signed [][]byte) {
			time := cmstest.Attribute(t, "1.2.840.113549.1.9.5", func(b *cryptobyte.Builder) { b.AddASN1UTCTime(at.AddDate(0, -1, 0)) })
			list := [][]byte{c, time, d}
			return list, list
		}}},
	}.Build(t)
	list, err := trust.ParseDefectList(der)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := cms.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AddDefectList(list, anchor, at, "test"); err != nil {
		t.Fatal(err)
	}
	if len(p.Defects(ds)) != 1 {
		t.Fatal("the list does not speak of the signer")
	}
}

// A protocol that an issuer's documents are known to fail proves nothing and
// refutes nothing (BSI TR-03135-1, 5.8.2.1.5): what a copy does is what they do.
// The other protocols count as ever, and the rest of the document is read.
func TestProtocolsThatAreKnownToFail(t *testing.T) {
	tests := []struct {
		name, profile string
		status        byte
		id            inspect.ID
		excused       bool
		err           error
	}{
		{"chip authentication, channel lost", chip.ProfileCCCDPACE, 0, inspect.ChipAuthentication, true, nil},
		{"both", chip.ProfileCCCDPACE, 2, inspect.ChipAuthentication, true, nil},
		{"all three", chip.ProfileCCCDPACE, 6, inspect.ChipAuthentication, true, nil},
		{"another protocol", chip.ProfileCCCDPACE, 1, inspect.ChipAuthentication, false, inspect.ErrCopy},
		{"a code that nobody knows", chip.ProfileCCCDPACE, 9, inspect.ChipAuthentication, false, inspect.ErrCopy},
		{"active authentication", chip.ProfileCCCD, 1, inspect.ActiveAuthentication, true, nil},
		{"active authentication, another protocol", chip.ProfileCCCD, 0, inspect.ActiveAuthentication, false, nil},
		{"mapping", chip.ProfilePassportPACECAM, 3, inspect.PACECAM, true, nil},
		{"mapping and another", chip.ProfilePassportPACECAM, 5, inspect.PACECAM, true, nil},
		{"mapping, another protocol", chip.ProfilePassportPACECAM, 2, inspect.PACECAM, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := fixed(t, tt.profile, chip.TamperClone)
			ds, err := cms.ParseCertificate(d.DS)
			if err != nil {
				t.Fatal(err)
			}
			p := pool(t, d.CSCA)
			addDefect(t, p, ds, tt.status)
			r, err := take(t, d, -1, func(c *inspect.Config) { c.Trust, c.All, c.Strict = p, false, false })
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if tt.excused {
				wantCheck(t, r, tt.id, unk, passiveauth.KnownDefect)
			} else if got := r.Check(tt.id).Value; got != bad {
				t.Errorf("%s is %v", tt.id, got)
			}
			if r.Err() == nil || r.Check(inspect.ChipAuthenticity).Value == ok {
				t.Error("a copy is taken for the chip")
			}
			if tt.err == nil && (!r.TextVerified() || r.Photo == nil) {
				t.Errorf("not read to the end: %v", r.Err(inspect.GenuineIDs()...))
			}
		})
	}
	// The same document, whose chip is no copy.
	d := fixed(t, chip.ProfileCCCDPACE, chip.TamperNone)
	ds, err := cms.ParseCertificate(d.DS)
	if err != nil {
		t.Fatal(err)
	}
	p := pool(t, d.CSCA)
	addDefect(t, p, ds, 2)
	r, err := take(t, d, -1, func(c *inspect.Config) { c.Trust = p })
	if err != nil || r.Err() != nil {
		t.Errorf("%v, %v", err, r.Err())
	}
	// A key that was exchanged is no protocol that fails.
	for id, why := range map[inspect.ID]result.Reason{
		inspect.ActiveAuthentication: inspect.ReasonKeyAltered, inspect.PACECAM: inspect.ReasonWithheld, inspect.ChipAuthentication: inspect.ReasonKeyCompromised,
	} {
		checks := map[inspect.ID]result.Check{inspect.SODSignature: result.Pass("x"), inspect.TrustChain: result.Pass("x"), id: result.Fail(why)}
		r := inspect.ApplyDefects(checks, false, trust.KnownDefect{Type: trust.AuthenticationFails, Status: 6})
		wantCheck(t, r, id, bad, why)
	}
}
