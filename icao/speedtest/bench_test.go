package speedtest

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// BenchmarkProfile inspects the document of every profile on every reader, with a
// chip that answers from a recording and costs nothing: time and allocations are
// the host's. Beside them it reports the exchanges and the bytes, which are the same
// in every run, and what [Typical] makes of them in milliseconds, to the verified text
// and to the whole document, at each bit rate in kbit/s.
func BenchmarkProfile(b *testing.B) {
	for _, p := range chip.Profiles() {
		d := build(b, p.Name)
		for _, r := range readers {
			desk := newDesk(b, d, r)
			b.Run(p.Name+"/"+r.name, func(b *testing.B) {
				tap := desk.tap(b, nil)
				b.ReportAllocs()
				for b.Loop() {
					desk.inspect(b, &replay{exchanges: tap.exchanges}, nil, nil)
				}
				b.ReportMetric(float64(len(tap.exchanges)), "exchanges")
				b.ReportMetric(float64(tap.report.Sent), "B-sent")
				b.ReportMetric(float64(tap.report.Received), "B-received")
				for _, rate := range Rates {
					link := Typical(rate)
					b.ReportMetric(millis(total(link, tap.exchanges[:tap.text])), fmt.Sprintf("ms-text@%d", rate/1000))
					b.ReportMetric(millis(total(link, tap.exchanges)), fmt.Sprintf("ms-all@%d", rate/1000))
				}
			})
		}
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// versus measures how long do takes in multiples of what bare takes, in turns, so
// that whatever else the machine does falls on both. It reports the ratio of the
// fastest turns: a turn is never faster than what it computes.
func versus(b *testing.B, do, bare func()) {
	b.Helper()
	fastest := [2]time.Duration{1 << 62, 1 << 62}
	for b.Loop() {
		for i, f := range []func(){do, bare} {
			began := time.Now()
			f()
			fastest[i] = min(fastest[i], time.Since(began))
		}
	}
	b.ReportMetric(float64(fastest[0])/float64(fastest[1]), "ratio")
	b.ReportMetric(float64(fastest[0].Nanoseconds()), "ns-fastest")
	b.ReportMetric(0, "ns/op") // of both together: of no use
}

// BenchmarkRatio measures what is to be reached as a multiple of something else that
// ran in turn with it.
func BenchmarkRatio(b *testing.B) {
	for _, p := range chip.Profiles() {
		b.Run("passive authentication/"+p.Name, func(b *testing.B) { benchmarkPassiveAuthentication(b, p.Name) })
	}
	b.Run("brainpoolP384r1 multiplication", benchmarkMultiplication)
	b.Run("finding an issuer among 2000", benchmarkFindIssuer)
}

// benchmarkPassiveAuthentication judges EF.SOD and the text as [inspect.Run] has
// them judged, from the files as they were read, against the bare cost of it: the
// signature of EF.SOD and that of the signer's certificate, each verified over a
// digest that is there, and the hashes of everything that has to be hashed.
func benchmarkPassiveAuthentication(b *testing.B, profile string) {
	d := build(b, profile)
	pool := newDesk(b, d, readers[0]).pool
	groups := map[int][]byte{1: d.Groups[1]}
	sod, err := lds.ParseSOD(d.SOD)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := cms.ParseCertificate(d.DS)
	if err != nil {
		b.Fatal(err)
	}
	anchor, err := cms.ParseCertificate(d.CSCA)
	if err != nil {
		b.Fatal(err)
	}
	info := &sod.SignedData.Signers[0]
	verifySOD := bare(b, signer.PublicKey, info.SignatureAlgorithm, info.Signature)
	verifySigner := bare(b, anchor.PublicKey, signer.SignatureAlgorithm, signer.Signature)
	attributes := make([]byte, 100) // about as long as those that are signed
	versus(b, func() {
		sod, err := lds.ParseSOD(d.SOD)
		if err != nil {
			b.Fatal(err)
		}
		if r := passiveauth.Verify(sod, groups, pool, at); r.Overall().Value != result.Successful {
			b.Fatal(r.Overall())
		}
	}, func() {
		hash(sod.Object.Hash, d.Groups[1])
		hash(info.DigestAlgorithm, sod.SignedData.Content)
		hash(info.SignatureAlgorithm.Hash, attributes)
		hash(signer.SignatureAlgorithm.Hash, signer.RawTBS)
		verifySOD()
		verifySigner()
	})
}

func hash(h crypto.Hash, content []byte) {
	state := h.New()
	state.Write(content)
	state.Sum(nil)
}

// bare returns the verification of a signature and nothing else. The digest is
// another than the signed one, which takes as long: that they differ shows in the
// last comparison.
func bare(b *testing.B, key *cms.PublicKey, algorithm cms.SignatureAlgorithm, signature []byte) func() {
	b.Helper()
	digest := make([]byte, algorithm.Hash.Size())
	_, _ = stream("digest").Read(digest) // zero would spare a multiplication
	switch algorithm.Scheme {
	case cms.ECDSA:
		var v struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(signature, &v); err != nil {
			b.Fatal(err)
		}
		r, s := v.R.Bytes(), v.S.Bytes()
		return func() { ec.Verify(key.EC, digest, r, s) }
	case cms.RSAPKCS1v15:
		return func() { _ = rsa.VerifyPKCS1v15(key.RSA, algorithm.Hash, digest, signature) }
	case cms.RSAPSS:
		return func() { _ = rsa.VerifyPSS(key.RSA, algorithm.Hash, digest, signature, nil) }
	}
	b.Fatalf("no bare verification of %v", algorithm)
	return nil
}

// benchmarkMultiplication multiplies a point with a secret scalar, as PACE and chip
// authentication do, against the standard library's P-384.
func benchmarkMultiplication(b *testing.B) {
	ours, err := ec.ByName("brainpoolP384r1").GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	versus(b, func() {
		if _, err := ours.ECDH(ours.Public()); err != nil {
			b.Fatal(err)
		}
	}, func() {
		if _, err := theirs.ECDH(theirs.PublicKey()); err != nil {
			b.Fatal(err)
		}
	})
}

// benchmarkFindIssuer looks a certificate up in a large pool, against a small one.
func benchmarkFindIssuer(b *testing.B) {
	large, wanted := authorities(b, 2000)
	small, wantedToo := authorities(b, 20)
	const times = 1000 // a clock does not tell one
	find := func(p *trust.Pool, c *cms.Certificate) func() {
		return func() {
			for range times {
				if len(p.FindIssuers(c)) != 1 {
					b.Fatal("not found")
				}
			}
		}
	}
	versus(b, find(large, wanted), find(small, wantedToo))
}

// authorities returns a pool of n CSCA certificates with as many keys and names, of
// twenty states, and one of them.
func authorities(b *testing.B, n int) (*trust.Pool, *cms.Certificate) {
	b.Helper()
	pool := trust.NewPool()
	var last *cms.Certificate
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		id := fmt.Appendf(nil, "authority %d", i)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(9, 0, 0),
			Subject: pkix.Name{Country: []string{"X" + string(rune('A'+i%20))}, CommonName: string(id)},
			IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: id, AuthorityKeyId: id,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			b.Fatal(err)
		}
		if last, err = cms.ParseCertificate(der); err != nil {
			b.Fatal(err)
		}
		if err := pool.Add(last, "bench"); err != nil {
			b.Fatal(err)
		}
	}
	return pool, last
}

// BenchmarkMasterList loads the German master list and verifies its signature. It
// reports what the pool holds on to beside the file, and the fastest turn.
func BenchmarkMasterList(b *testing.B) {
	list, err := os.ReadFile(vectortest.Path(b, "trust/de-master-list.ml"))
	if err != nil {
		b.Fatal(err)
	}
	der, err := os.ReadFile(vectortest.Path(b, "trust/de-csca-root.cer"))
	if err != nil {
		b.Fatal(err)
	}
	root, err := cms.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	load := func() *trust.Pool {
		ml, err := trust.ParseMasterList(list)
		if err != nil || len(ml.Certificates) != 588 {
			b.Fatal("another list", err)
		}
		pool := trust.NewPool()
		if err := pool.AddMasterList(ml, root, at, "bench"); err != nil {
			b.Fatal(err)
		}
		return pool
	}
	before := inUse()
	pool := load()
	kept := inUse() - before
	runtime.KeepAlive(pool)
	runtime.KeepAlive(list)

	fastest := time.Duration(1 << 62)
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		load()
		fastest = min(fastest, time.Since(began))
	}
	b.ReportMetric(float64(kept)/(1<<20), "MiB-kept")
	b.ReportMetric(millis(fastest), "ms-fastest")
}

// inUse returns the bytes of the heap that are in use.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
