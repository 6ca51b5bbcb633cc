package conformitytest

import (
	"crypto"
	//lint:ignore SA1019 old documents are signed with it
	"crypto/dsa" //nolint:staticcheck // an oracle for tests
	"crypto/rand"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"sync"

	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/trust"
)

// The issuing office of the software chip does not know DSA, so these documents are
// signed by that of the tests of package cms.
var _ = add(map[string]body{
	"LDS_H_08": signedDSA(crypto.SHA1),
	"LDS_H_97": signedDSA(crypto.SHA224),
	"LDS_H_98": signedDSA(crypto.SHA256),
})

// dsaParameters are by the size of their prime.
var dsaParameters = sync.OnceValues(func() (map[string]dsa.Parameters, error) {
	raw, err := os.ReadFile(filepath.Join("testdata", "dsa.json"))
	if err != nil {
		return nil, err
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	all := make(map[string]dsa.Parameters)
	for _, size := range []string{"2048", "3072"} {
		var hex struct{ P, Q, G string }
		if err := json.Unmarshal(file[size], &hex); err != nil {
			return nil, err
		}
		var p dsa.Parameters
		for _, n := range []struct {
			to   **big.Int
			from string
		}{{&p.P, hex.P}, {&p.Q, hex.Q}, {&p.G, hex.G}} {
			*n.to, _ = new(big.Int).SetString(n.from, 16)
		}
		all[size] = p
	}
	return all, nil
})

func dsaKey(b *bench, size string) *cmstest.Key {
	b.Helper()
	all, err := dsaParameters()
	if err != nil {
		b.Fatal(err)
	}
	k := &dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: all[size]}}
	if err := dsa.GenerateKey(k, rand.Reader); err != nil {
		b.Fatal(err)
	}
	return &cmstest.Key{DSA: k, SPKI: cmstest.DSASPKI(b, k.P, k.Q, k.G, k.Y)}
}

// signedDSA has a document accepted whose authority and signer use DSA, with 3072 and
// 2048 bits.
func signedDSA(h crypto.Hash) body {
	return func(b *bench) {
		d := b.build(eac())
		csca, ds := dsaKey(b, "3072"), dsaKey(b, "2048")
		alg := cmstest.DSASignature(b, h)
		authority, signer := cmstest.Name(b, "UT", "CSCA with DSA"), cmstest.Name(b, "UT", "DS with DSA")
		certificate := cmstest.Certificate{
			Serial: []byte{1}, Issuer: authority, Subject: authority, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(10, 0, 0),
			Key: csca, KeyID: csca.ID(), AuthorityKeyID: csca.ID(), KeyUsage: 0x06, CA: true, Algorithm: alg,
		}
		root := certificate.Sign(b, csca)
		certificate.Serial, certificate.Subject, certificate.Key, certificate.KeyID = []byte{2}, signer, ds, ds.ID()
		certificate.KeyUsage, certificate.CA = 0x80, false
		certificate.Extensions = []cmstest.Extension{cmstest.DocumentTypes(b, "P")}

		signed := make(map[int][]byte)
		order := []int{1, 2, 3, 4, 14}
		for _, dg := range order {
			signed[dg] = d.Groups[dg]
		}
		d.setSOD(cmstest.SOD(b, cmstest.SignedData{
			ContentType: lds.OIDSecurityObject, Content: cmstest.SecurityObject(b, h, order, signed),
			Certificates: [][]byte{certificate.Sign(b, csca)},
			Signers:      []cmstest.Signer{{Key: ds, Algorithm: alg, Issuer: authority, Serial: []byte{2}}},
		}.Build(b)))
		d.pool = trust.NewPool()
		d.trusts(root)
		b.accepts(d, passed(inspect.SODSignature, "DSA "+h.String()+" DSA-2048"), passed(inspect.TrustChain, "DSA-3072"))
	}
}
