package passiveauth_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

var at = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func pass(algorithm string) result.Check { return result.Pass(algorithm) }

func fail(why result.Reason, algorithm string) result.Check {
	return result.Check{Value: result.Failed, Reason: why, Algorithm: algorithm}
}

func unknown(why result.Reason, algorithm string) result.Check {
	return result.Check{Value: result.Undetermined, Reason: why, Algorithm: algorithm}
}

// TestReferenceDataSet: the published document of BSI TR-03105-5 is signed
// properly, its signer has expired, and nobody has its CSCA.
func TestReferenceDataSet(t *testing.T) {
	dir := vectortest.Path(t, "bsi-reference-dataset")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sod, err := lds.ParseSOD(read("EF_SOD.bin"))
	if err != nil {
		t.Fatal(err)
	}
	groups := map[int][]byte{1: read("Datagroup1.bin"), 2: read("Datagroup2.bin"), 14: read("Datagroup14.bin")}
	const signature = "RSASSA-PSS SHA-256 salt 32 RSA-2048"

	r := passiveauth.Verify(sod, groups, trust.NewPool(), at)
	for _, f := range []struct {
		name      string
		got, want result.Check
	}{
		{"signature", r.Signature, pass(signature)},
		{"validity", r.SignerValidity, fail(passiveauth.SignerExpired, "")},
		{"chain", r.Chain, unknown(passiveauth.NoTrustAnchor, "")},
		{"revocation", r.Revocation, unknown(passiveauth.NoRevocationInformation, "")},
		{"hashes", r.Hashes, pass("SHA-256")},
		{"DG1", r.Groups[1], pass("SHA-256")},
		{"DG2", r.Groups[2], pass("SHA-256")},
		{"DG14", r.Groups[14], pass("SHA-256")},
		{"issuing state", r.IssuingState, unknown(passiveauth.NoTrustAnchor, "")},
		{"document type", r.DocumentType, result.Check{Value: result.NotSupported, Reason: passiveauth.DocumentTypesAbsent}},
		{"overall", r.Overall(), fail(passiveauth.SignerExpired, "")},
	} {
		t.Run(f.name, func(t *testing.T) {
			if f.got != f.want {
				t.Errorf("%+v, want %+v", f.got, f.want)
			}
		})
	}
	for file, dg := range map[string]int{"Datagroup1.bin": 1, "Datagroup2.bin": 2, "Datagroup14.bin": 14} {
		t.Run(file, func(t *testing.T) {
			if got := passiveauth.CheckGroup(sod, dg, read(file)); got != pass("SHA-256") {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("Datagroup15.bin", func(t *testing.T) {
		if got := passiveauth.CheckGroup(sod, 15, read("Datagroup15.bin")); got != fail(passiveauth.NotCovered, "") {
			t.Errorf("%+v", got)
		}
	})
	if r.Weak != nil {
		t.Errorf("weak %q", r.Weak)
	}
	if r.Signer == nil || r.Anchor != nil {
		t.Errorf("signer %v, anchor %v", r.Signer, r.Anchor)
	}

	// While the signer was valid, the missing anchor is all there is to say.
	r = passiveauth.Verify(sod, groups, nil, time.Date(2014, 6, 1, 0, 0, 0, 0, time.UTC))
	if got, want := r.Overall(), unknown(passiveauth.NoTrustAnchor, ""); got != want {
		t.Errorf("in 2014: %+v, want %+v", got, want)
	}

	// DG15 is not in EF.SOD.
	groups[15] = read("Datagroup15.bin")
	r = passiveauth.Verify(sod, groups, nil, at)
	if got, want := r.Groups[15], fail(passiveauth.NotCovered, ""); got != want {
		t.Errorf("DG15: %+v, want %+v", got, want)
	}
	if got, want := r.Hashes, fail(passiveauth.NotCovered, ""); got != want {
		t.Errorf("hashes: %+v, want %+v", got, want)
	}
	if r.Groups[1].Value != result.Successful {
		t.Errorf("DG1: %+v", r.Groups[1])
	}
}

// state is an issuing state with one document, sound until a test spoils it.
type state struct {
	csca, ds       cmstest.Certificate
	cscaKey, dsKey *cmstest.Key
	anchor         cmstest.Certificate // what goes into the pool; default csca
	anchorKey      *cmstest.Key
	roots, links   []func() []byte // more of them
	keptSigner     bool            // the pool knows the document signer
	noAnchor       bool

	groups map[int][]byte // as given to Verify
	sod    cmstest.SignedData
	at     time.Time
}

func newState(t testing.TB, cscaKey *cmstest.Key, cscaAlg cmstest.Algorithm, dsKey *cmstest.Key, dsAlg cmstest.Algorithm, hash crypto.Hash) *state {
	name := cmstest.Name(t, "UT", "CSCA")
	s := &state{cscaKey: cscaKey, dsKey: dsKey, anchorKey: cscaKey, at: at}
	s.csca = cmstest.Certificate{
		Issuer: name, Subject: name, NotBefore: at.AddDate(-3, 0, 0), NotAfter: at.AddDate(12, 0, 0),
		Key: cscaKey, KeyID: cscaKey.ID(), AuthorityKeyID: cscaKey.ID(), KeyUsage: 0x06, CA: true, Algorithm: cscaAlg,
	}
	s.anchor = s.csca
	s.ds = cmstest.Certificate{
		Serial: []byte{2}, Issuer: name, Subject: cmstest.Name(t, "UT", "DS"), NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(10, 0, 0),
		Key: dsKey, KeyID: dsKey.ID(), AuthorityKeyID: cscaKey.ID(), KeyUsage: 0x80, Algorithm: cscaAlg,
	}
	s.groups = map[int][]byte{1: cmstest.DG1(t, "UTO"), 13: []byte("thirteen"), 15: []byte("fifteen")}
	all := map[int][]byte{1: s.groups[1], 2: []byte("two"), 13: s.groups[13], 15: s.groups[15]}
	s.sod = cmstest.SignedData{
		ContentType: lds.OIDSecurityObject, Content: cmstest.SecurityObject(t, hash, []int{15, 1, 13, 2}, all),
		Signers: []cmstest.Signer{{Key: dsKey, Algorithm: dsAlg, Issuer: name, Serial: []byte{2}}},
	}
	return s
}

// sound is a state with brainpool keys: UZB in the document, UZ in certificates.
func sound(t testing.TB) *state {
	s := newState(t, cmstest.EC(t, "brainpoolP384r1", true), cmstest.ECDSA(t, crypto.SHA384), cmstest.EC(t, "brainpoolP256r1", true), cmstest.ECDSA(t, crypto.SHA256), crypto.SHA256)
	s.rename(t, "UZ", "UZB")
	return s
}

// rename gives the certificates another country code and DG1 another state.
func (s *state) rename(t testing.TB, country, issuingState string) {
	name := cmstest.Name(t, country, "CSCA")
	s.csca.Issuer, s.csca.Subject, s.anchor.Issuer, s.anchor.Subject = name, name, name, name
	s.ds.Issuer, s.ds.Subject = name, cmstest.Name(t, country, "DS")
	s.sod.Signers[0].Issuer = name
	s.groups[1] = cmstest.DG1(t, issuingState)
	s.content(t, crypto.SHA256)
}

// content signs the groups anew.
func (s *state) content(t testing.TB, h crypto.Hash) {
	all := map[int][]byte{2: []byte("two")}
	order := []int{2}
	for _, n := range []int{15, 1, 13} {
		all[n] = s.groups[n]
		order = append(order, n)
	}
	s.sod.Content = cmstest.SecurityObject(t, h, order, all)
}

func parse(t testing.TB, der []byte) *cms.Certificate {
	t.Helper()
	c, err := cms.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *state) pool(t testing.TB) *trust.Pool {
	t.Helper()
	pool := trust.NewPool()
	if s.noAnchor {
		return pool
	}
	if err := pool.Add(parse(t, s.anchor.Sign(t, s.anchorKey)), "test, 2026-11-22"); err != nil {
		t.Fatal(err)
	}
	for _, root := range s.roots {
		if err := pool.Add(parse(t, root()), "another root"); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range s.links {
		if err := pool.AddLink(parse(t, link()), "test, 2026-11-22"); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

func (s *state) file(t testing.TB) []byte {
	t.Helper()
	if s.sod.Certificates == nil {
		s.sod.Certificates = [][]byte{s.ds.Sign(t, s.cscaKey)}
	}
	return cmstest.SOD(t, s.sod.Build(t))
}

func (s *state) verify(t testing.TB) passiveauth.Result {
	t.Helper()
	file := s.file(t)
	pool := s.pool(t)
	if s.keptSigner {
		pool.AddSigner(parse(t, s.ds.Sign(t, s.cscaKey)))
	}
	sod, err := lds.ParseSOD(file)
	if err != nil {
		t.Fatal(err)
	}
	return passiveauth.Verify(sod, s.groups, pool, s.at)
}

// TestAlgorithms verifies a whole document for the algorithms that TR-03105-5.1
// lists for EF.SOD (LDS_H_01 to 16, 70 to 83 and 94 to 98) and for CSCA keys of
// every kind.
func TestAlgorithms(t *testing.T) {
	rsaCSCA, rsaDS := cmstest.RSA(t, "csca", 3072), cmstest.RSA(t, "ds", 2048)
	type signing struct {
		name string
		key  *cmstest.Key
		alg  cmstest.Algorithm
		text string
		hash crypto.Hash
	}
	var signers []signing
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		signers = append(signers,
			signing{"PKCS1 " + h.String(), rsaDS, cmstest.PKCS1(t, h), "RSASSA-PKCS1-v1_5 " + h.String() + " RSA-2048", h},
			signing{"rsaEncryption " + h.String(), rsaDS, cmstest.RSAEncryption(t, h), "RSASSA-PKCS1-v1_5 " + h.String() + " RSA-2048", h},
			signing{"PSS " + h.String(), rsaDS, cmstest.PSS(t, h, h.Size()), "RSASSA-PSS " + h.String() + " salt " + itoa(h.Size()) + " RSA-2048", h},
			signing{"ECDSA " + h.String(), cmstest.EC(t, "P-256", true), cmstest.ECDSA(t, h), "ECDSA " + h.String() + " P-256", h},
			signing{"ECDSA plain " + h.String(), cmstest.EC(t, "brainpoolP224r1", true), cmstest.ECDSAPlain(t, h), "ECDSA " + h.String() + " brainpoolP224r1", h},
		)
	}
	// LDS_H_08, 97 and 98, and what they leave out.
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		signers = append(signers, signing{"DSA " + h.String(), cmstest.DSA(t), cmstest.DSASignature(t, h), "DSA " + h.String() + " DSA-1024", h})
	}
	// LDS_H_74: the hash of the data groups need not be that of the signature.
	signers = append(signers, signing{"other hash of groups", rsaDS, cmstest.PKCS1(t, crypto.SHA256), "RSASSA-PKCS1-v1_5 SHA-256 RSA-2048", crypto.SHA512})
	cscas := []signing{
		{"RSA", rsaCSCA, cmstest.PKCS1(t, crypto.SHA256), "RSASSA-PKCS1-v1_5 SHA-256 RSA-3072", 0},
		{"RSA-PSS", rsaCSCA, cmstest.PSS(t, crypto.SHA256, 32), "RSASSA-PSS SHA-256 salt 32 RSA-3072", 0},
		{"P-256 named", cmstest.EC(t, "P-256", false), cmstest.ECDSA(t, crypto.SHA256), "ECDSA SHA-256 P-256", 0},
		{"brainpoolP384r1 named", cmstest.EC(t, "brainpoolP384r1", false), cmstest.ECDSA(t, crypto.SHA384), "ECDSA SHA-384 brainpoolP384r1", 0},
		{"brainpoolP384r1 explicit", cmstest.EC(t, "brainpoolP384r1", true), cmstest.ECDSA(t, crypto.SHA384), "ECDSA SHA-384 brainpoolP384r1", 0},
		{"DSA", cmstest.DSA(t), cmstest.DSASignature(t, crypto.SHA256), "DSA SHA-256 DSA-1024", 0},
		{"P-521 explicit", cmstest.EC(t, "P-521", true), cmstest.ECDSA(t, crypto.SHA512), "ECDSA SHA-512 P-521", 0},
	}
	for i, signer := range signers {
		csca := cscas[i%len(cscas)] // LDS_H_75 to 78: certificate and EF.SOD need not use the same algorithm
		t.Run(signer.name+" under "+csca.name, func(t *testing.T) {
			s := newState(t, csca.key, csca.alg, signer.key, signer.alg, signer.hash)
			s.rename(t, "UZ", "UZB")
			s.content(t, signer.hash)
			r := s.verify(t)
			if got, want := r.Overall(), pass(signer.text); got != want {
				t.Errorf("overall %+v, want %+v", got, want)
			}
			if got, want := r.Chain, pass(csca.text); got != want {
				t.Errorf("chain %+v, want %+v", got, want)
			}
			if got, want := r.Hashes, pass(signer.hash.String()); got != want {
				t.Errorf("hashes %+v, want %+v", got, want)
			}
			if len(r.Groups) != 3 || r.Signer == nil || r.Anchor == nil || r.Anchor.Source != "test, 2026-11-22" {
				t.Errorf("%d groups, signer %v, anchor %v", len(r.Groups), r.Signer, r.Anchor)
			}
			if r.DocumentType != (result.Check{Value: result.NotSupported, Reason: passiveauth.DocumentTypesAbsent}) {
				t.Errorf("document type %+v", r.DocumentType)
			}
			weak := slices.Contains(r.Deviations, cms.DevSHA1) && slices.Contains(r.Deviations, lds.DevSODHashSHA1)
			if weak != (signer.hash == crypto.SHA1) {
				t.Errorf("deviations %v", r.Deviations)
			}
		})
	}
}

func itoa(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }

func TestZeroResult(t *testing.T) {
	for name, r := range map[string]passiveauth.Result{"zero": {}, "no EF.SOD": passiveauth.Verify(nil, map[int][]byte{1: {1}}, trust.NewPool(), at), "empty EF.SOD": passiveauth.Verify(&lds.SOD{}, nil, nil, at)} {
		if got := r.Overall(); got != (result.Check{}) {
			t.Errorf("%s: %+v, want not performed", name, got)
		}
	}
}

// TestAttacks spoils a sound document in one way at a time.
func TestAttacks(t *testing.T) {
	const dsAlg, cscaAlg = "ECDSA SHA-256 brainpoolP256r1", "ECDSA SHA-384 brainpoolP384r1"
	// forger returns a state of the same names and key identifiers, with keys of
	// the attacker's own.
	forger := func(t *testing.T, s *state) (csca, ds *cmstest.Key) {
		csca, ds = cmstest.EC(t, "brainpoolP384r1", true), cmstest.EC(t, "brainpoolP256r1", true)
		s.ds.Key = ds
		s.sod.Signers[0].Key = ds
		return csca, ds
	}
	good := result.Check{}
	type want struct{ signature, validity, chain, hashes, state, overall result.Check } // the zero Check: successful
	tests := []struct {
		name  string
		spoil func(t *testing.T, s *state)
		want  want
		dev   []string // these must be noted
	}{
		{name: "nothing", spoil: func(*testing.T, *state) {}, want: want{overall: good}},

		// Who signed.
		{"self-made signer under the issuer's name and identifier", func(t *testing.T, s *state) {
			csca, _ := forger(t, s)
			s.sod.Certificates = [][]byte{s.ds.Sign(t, csca)}
		}, want{chain: fail(passiveauth.ChainSignatureInvalid, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: fail(passiveauth.ChainSignatureInvalid, "")}, nil},
		{"signer of a missing CSCA, whose identifier another state's has", func(t *testing.T, s *state) {
			csca, _ := forger(t, s)
			s.ds.Issuer = cmstest.Name(t, "KH", "CSCA")
			s.sod.Certificates = [][]byte{s.ds.Sign(t, csca)}
			s.sod.Signers[0].Issuer = s.ds.Issuer
		}, want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")}, nil},
		{"self-made signer with its CSCA beside it", func(t *testing.T, s *state) {
			csca, _ := forger(t, s)
			own := s.csca
			own.Key, own.KeyID, own.AuthorityKeyID = csca, csca.ID(), csca.ID()
			s.ds.AuthorityKeyID = csca.ID()
			s.sod.Certificates = [][]byte{s.ds.Sign(t, csca), own.Sign(t, csca)}
		}, want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")}, nil},
		{"self-signed signer", func(t *testing.T, s *state) {
			_, ds := forger(t, s)
			s.ds.AuthorityKeyID = ds.ID()
			s.sod.Certificates = [][]byte{s.ds.Sign(t, ds)}
		}, want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")}, nil},
		{"self-made signer without identifiers", func(t *testing.T, s *state) {
			csca, _ := forger(t, s)
			s.ds.AuthorityKeyID = nil
			s.sod.Certificates = [][]byte{s.ds.Sign(t, csca)}
		}, want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")}, []string{passiveauth.DevAuthorityKeyIDMissing}},
		{"another key signed than the certificate's", func(t *testing.T, s *state) {
			s.sod.Signers[0].Key = cmstest.EC(t, "brainpoolP256r1", true)
		}, want{signature: fail(passiveauth.SignatureInvalid, dsAlg), overall: fail(passiveauth.SignatureInvalid, dsAlg)}, nil},
		{"genuine certificate beside a forger's of the same name", func(t *testing.T, s *state) {
			genuine := s.ds.Sign(t, s.cscaKey)
			csca, _ := forger(t, s)
			s.sod.Certificates = [][]byte{genuine, s.ds.Sign(t, csca)}
		}, want{chain: fail(passiveauth.ChainSignatureInvalid, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: fail(passiveauth.ChainSignatureInvalid, "")}, nil},
		{"a forger's certificate first, the genuine one signed", func(t *testing.T, s *state) {
			genuine := s.ds.Sign(t, s.cscaKey)
			csca, ds := cmstest.EC(t, "brainpoolP384r1", true), cmstest.EC(t, "brainpoolP256r1", true)
			forged := s.ds
			forged.Key = ds
			s.sod.Certificates = [][]byte{forged.Sign(t, csca), genuine}
		}, want{overall: good}, nil},
		{"a genuine and a forger's signature", func(t *testing.T, s *state) {
			// Neither is good in all: the genuine signer did not sign this content,
			// the forger has no chain. Their good halves must not meet.
			genuine := s.ds.Sign(t, s.cscaKey)
			csca, ds := cmstest.EC(t, "brainpoolP384r1", true), cmstest.EC(t, "brainpoolP256r1", true)
			forged := s.ds
			forged.Key, forged.Serial = ds, []byte{3}
			stolen := s.sod.Signers[0]
			stolen.Attributes = func(c, d []byte) (sent, signed [][]byte) {
				sum := sha256.Sum256([]byte("the genuine content"))
				l := [][]byte{c, cmstest.Attribute(t, "1.2.840.113549.1.9.4", func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })}
				return l, l
			}
			own := s.sod.Signers[0]
			own.Key, own.Serial = ds, []byte{3}
			s.sod.Signers = []cmstest.Signer{stolen, own}
			s.sod.Certificates = [][]byte{genuine, forged.Sign(t, csca)}
		}, want{signature: fail(passiveauth.ContentDigestMismatch, dsAlg), overall: fail(passiveauth.ContentDigestMismatch, dsAlg)}, []string{passiveauth.DevSignersSeveral}},
		{"a forger's signature before the genuine one", func(t *testing.T, s *state) {
			genuine := s.ds.Sign(t, s.cscaKey)
			ds := cmstest.EC(t, "brainpoolP256r1", true)
			forged := s.ds
			forged.Key, forged.Serial = ds, []byte{3}
			own := s.sod.Signers[0]
			own.Key, own.Serial = ds, []byte{3}
			s.sod.Signers = []cmstest.Signer{own, s.sod.Signers[0]}
			s.sod.Certificates = [][]byte{genuine, forged.Sign(t, ds)}
		}, want{overall: good}, []string{passiveauth.DevSignersSeveral}},
		{
			"no signature", func(t *testing.T, s *state) { s.sod.Signers = nil },
			want{signature: fail(passiveauth.SignerMissing, ""), validity: result.Check{Value: result.NotPerformed, Reason: "-"}, chain: result.Check{Reason: "-"}, state: unknown(passiveauth.NoTrustAnchor, ""), overall: fail(passiveauth.SignerMissing, "")},
			nil,
		},
		{
			"no certificate", func(t *testing.T, s *state) { s.sod.Certificates = [][]byte{} },
			want{signature: unknown(passiveauth.SignerCertificateMissing, ""), validity: result.Check{Reason: "-"}, chain: result.Check{Reason: "-"}, state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.SignerCertificateMissing, "")},
			nil,
		},
		{
			"certificate unreadable", func(t *testing.T, s *state) { s.sod.Certificates = [][]byte{{0x30, 0}} },
			want{signature: unknown(passiveauth.SignerCertificateUnreadable, ""), validity: result.Check{Reason: "-"}, chain: result.Check{Reason: "-"}, state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.SignerCertificateUnreadable, "")},
			nil,
		},
		{"certificate kept in the pool", func(t *testing.T, s *state) {
			s.sod.Certificates = [][]byte{}
			s.keptSigner = true
		}, want{overall: good}, nil},
		{
			"no signed attributes", func(t *testing.T, s *state) { s.sod.Signers[0].Bare = true },
			want{signature: fail(passiveauth.SignedAttributesInvalid, dsAlg), overall: fail(passiveauth.SignedAttributesInvalid, dsAlg)},
			nil,
		},
		{"unknown algorithm", func(t *testing.T, s *state) {
			s.sod.Signers[0].Algorithm.ID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, "1.2.3", nil) })
		}, want{signature: unknown(passiveauth.AlgorithmUnsupported, "1.2.3 brainpoolP256r1"), overall: unknown(passiveauth.AlgorithmUnsupported, "1.2.3 brainpoolP256r1")}, nil},
		{"unknown algorithm of the signer's certificate", func(t *testing.T, s *state) {
			s.ds.Algorithm.ID = cmstest.Build(t, func(b *cryptobyte.Builder) { cmstest.AddAlgorithm(b, "1.2.3", nil) })
		}, want{chain: unknown(passiveauth.AlgorithmUnsupported, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.AlgorithmUnsupported, "")}, nil},
		{
			"no anchor", func(t *testing.T, s *state) { s.noAnchor = true },
			want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")},
			nil,
		},
		{"anchor of the same identifier with another key", func(t *testing.T, s *state) {
			s.anchorKey = cmstest.EC(t, "brainpoolP384r1", true)
			s.anchor.Key = s.anchorKey
		}, want{chain: fail(passiveauth.ChainSignatureInvalid, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: fail(passiveauth.ChainSignatureInvalid, "")}, nil},
		{"anchor found by name only, with another key", func(t *testing.T, s *state) {
			s.anchorKey = cmstest.EC(t, "brainpoolP384r1", true)
			s.anchor.Key, s.anchor.KeyID, s.anchor.AuthorityKeyID = s.anchorKey, nil, nil
		}, want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")}, nil},
		{"anchor found by name only", func(t *testing.T, s *state) {
			s.anchor.KeyID, s.anchor.AuthorityKeyID = nil, nil
		}, want{overall: good}, nil},

		// What kind of certificate it is.
		{"signed by the CSCA itself", func(t *testing.T, s *state) {
			s.sod.Signers[0].Key, s.sod.Signers[0].Algorithm, s.sod.Signers[0].Serial = s.cscaKey, cmstest.ECDSA(t, crypto.SHA384), []byte{1}
			s.sod.Certificates = [][]byte{s.csca.Sign(t, s.cscaKey)}
		}, want{chain: fail(passiveauth.SignerIsCA, cscaAlg), overall: fail(passiveauth.SignerIsCA, cscaAlg)}, nil},
		{"the CSCA's key under a document signer's certificate", func(t *testing.T, s *state) {
			s.ds.Key = s.cscaKey
			s.sod.Signers[0].Key, s.sod.Signers[0].Algorithm = s.cscaKey, cmstest.ECDSA(t, crypto.SHA384)
		}, want{chain: fail(passiveauth.SignerIsCA, cscaAlg), overall: fail(passiveauth.SignerIsCA, cscaAlg)}, nil},
		{
			"signer with cA", func(t *testing.T, s *state) { s.ds.CA = true },
			want{chain: fail(passiveauth.SignerIsCA, cscaAlg), overall: fail(passiveauth.SignerIsCA, cscaAlg)},
			nil,
		},
		{
			"signer may sign certificates", func(t *testing.T, s *state) { s.ds.KeyUsage = 0x84 },
			want{chain: fail(passiveauth.SignerIsCA, cscaAlg), overall: fail(passiveauth.SignerIsCA, cscaAlg)},
			nil,
		},
		{
			"signer for key agreement", func(t *testing.T, s *state) { s.ds.KeyUsage = 0x08 },
			want{chain: fail(passiveauth.SignerKeyUsage, cscaAlg), overall: fail(passiveauth.SignerKeyUsage, cscaAlg)},
			nil,
		},
		{
			"signer without key usage", func(t *testing.T, s *state) { s.ds.KeyUsage = 0 },
			want{overall: good},
			[]string{passiveauth.DevSignerKeyUsageMissing},
		},
		{
			"master list signer", func(t *testing.T, s *state) { s.ds.ExtendedKeyUsage = []string{"2.23.136.1.1.3"} },
			want{chain: unknown(passiveauth.SignerPurpose, cscaAlg), overall: unknown(passiveauth.SignerPurpose, cscaAlg)},
			nil,
		},
		{"any purpose", func(t *testing.T, s *state) { s.ds.ExtendedKeyUsage = []string{"2.5.29.37.0"} }, want{overall: good}, nil},
		{"critical extension", func(t *testing.T, s *state) {
			s.ds.Extensions = []cmstest.Extension{{OID: "1.2.3", Critical: true, Value: []byte{5, 0}}}
		}, want{chain: unknown(passiveauth.SignerCriticalExtension, cscaAlg), overall: unknown(passiveauth.SignerCriticalExtension, cscaAlg)}, nil},
		{"issued by a document signer", func(t *testing.T, s *state) {
			// The genuine signer's key issues a certificate to the forger.
			genuine := s.ds.Sign(t, s.cscaKey)
			forged := s.ds
			forged.Key, forged.Serial, forged.Issuer = cmstest.EC(t, "brainpoolP256r1", true), []byte{3}, s.ds.Subject
			forged.AuthorityKeyID, forged.Algorithm = s.dsKey.ID(), cmstest.ECDSA(t, crypto.SHA256)
			s.sod.Signers[0].Key, s.sod.Signers[0].Issuer, s.sod.Signers[0].Serial = forged.Key, forged.Issuer, forged.Serial
			s.sod.Certificates = [][]byte{forged.Sign(t, s.dsKey), genuine}
		}, want{chain: unknown(passiveauth.NoTrustAnchor, ""), state: unknown(passiveauth.NoTrustAnchor, ""), overall: unknown(passiveauth.NoTrustAnchor, "")}, nil},

		// When.
		{
			"signer expired", func(t *testing.T, s *state) { s.ds.NotAfter = at.Add(-time.Second) },
			want{validity: fail(passiveauth.SignerExpired, ""), overall: fail(passiveauth.SignerExpired, "")},
			nil,
		},
		{
			"signer not yet valid", func(t *testing.T, s *state) { s.ds.NotBefore = at.Add(time.Second) },
			want{validity: fail(passiveauth.SignerNotYetValid, ""), overall: fail(passiveauth.SignerNotYetValid, "")},
			nil,
		},
		{
			"anchor expired", func(t *testing.T, s *state) { s.anchor.NotAfter = at.Add(-time.Second) },
			want{chain: fail(passiveauth.AnchorExpired, cscaAlg), overall: fail(passiveauth.AnchorExpired, cscaAlg)},
			nil,
		},
		{
			"anchor not yet valid", func(t *testing.T, s *state) { s.anchor.NotBefore = at.Add(time.Second) },
			want{chain: fail(passiveauth.AnchorNotYetValid, cscaAlg), overall: fail(passiveauth.AnchorNotYetValid, cscaAlg)},
			nil,
		},
		{"anchor expired, a link of its key valid", func(t *testing.T, s *state) {
			s.anchor.NotAfter = at.Add(-time.Second)
			older := cmstest.EC(t, "P-384", true)
			s.roots = append(s.roots, func() []byte {
				root := s.csca
				root.Key, root.KeyID, root.AuthorityKeyID = older, older.ID(), older.ID()
				root.Algorithm = cmstest.ECDSA(t, crypto.SHA384)
				return root.Sign(t, older)
			})
			s.links = append(s.links, func() []byte {
				link := s.csca
				link.Serial, link.AuthorityKeyID = []byte{9}, older.ID()
				return link.Sign(t, older)
			})
		}, want{overall: good}, nil},
		{"anchor valid, a link of its key expired", func(t *testing.T, s *state) {
			s.links = append(s.links, func() []byte {
				link := s.csca
				link.Serial, link.NotAfter = []byte{9}, at.Add(-time.Second)
				return link.Sign(t, s.cscaKey)
			})
		}, want{overall: good}, nil},
		{"only a link in place of the anchor", func(t *testing.T, s *state) {
			older := cmstest.EC(t, "P-384", true)
			s.anchorKey = older
			s.anchor.Key, s.anchor.KeyID, s.anchor.AuthorityKeyID = older, older.ID(), older.ID()
			s.anchor.NotAfter = at.Add(-time.Second)
			s.links = append(s.links, func() []byte {
				link := s.csca
				link.Serial, link.AuthorityKeyID = []byte{9}, older.ID()
				return link.Sign(t, older)
			})
		}, want{overall: good}, nil},
		{
			"no clock", func(t *testing.T, s *state) { s.at = time.Time{} },
			want{validity: unknown(passiveauth.TimeUnknown, ""), chain: unknown(passiveauth.TimeUnknown, cscaAlg), overall: unknown(passiveauth.TimeUnknown, "")},
			nil,
		},

		// Which state.
		{
			"signer names another state than its CSCA", func(t *testing.T, s *state) { s.ds.Subject = cmstest.Name(t, "VN", "DS") },
			want{chain: unknown(passiveauth.CountryMismatch, cscaAlg), overall: unknown(passiveauth.CountryMismatch, cscaAlg)},
			nil,
		},
		{"country in lower case", func(t *testing.T, s *state) { s.ds.Subject = cmstest.Name(t, "uz", "DS") }, want{overall: good}, nil},
		{"signer without a country", func(t *testing.T, s *state) { s.ds.Subject = cmstest.Name(t, "", "DS") }, want{overall: good}, []string{"signer: " + cms.DevCountryMissing}},
		{"issuer under another name", func(t *testing.T, s *state) {
			s.ds.Issuer = cmstest.Name(t, "UZ", "Country Signer")
			s.sod.Signers[0].Issuer = s.ds.Issuer
		}, want{overall: good}, []string{passiveauth.DevIssuerNameMismatch}},
		{"document in the name of another state", func(t *testing.T, s *state) {
			s.groups[1] = cmstest.DG1(t, "VNM")
			s.content(t, crypto.SHA256)
		}, want{state: fail(passiveauth.IssuingStateMismatch, ""), overall: fail(passiveauth.IssuingStateMismatch, "")}, nil},
		{"document of a state that has no code", func(t *testing.T, s *state) {
			s.groups[1] = cmstest.DG1(t, "XOM")
			s.content(t, crypto.SHA256)
		}, want{state: unknown(passiveauth.IssuingStateUnknown, ""), overall: unknown(passiveauth.IssuingStateUnknown, "")}, nil},
		{"DG1 that is none", func(t *testing.T, s *state) {
			s.groups[1] = []byte{0x61, 0}
			s.content(t, crypto.SHA256)
		}, want{state: unknown(passiveauth.IssuingStateUnreadable, ""), overall: unknown(passiveauth.IssuingStateUnreadable, "")}, nil},

		// What was signed.
		{"content changed after signing", func(t *testing.T, s *state) {
			s.sod.Signers[0].Attributes = func(c, d []byte) (sent, signed [][]byte) {
				l := [][]byte{c, cmstest.Attribute(t, "1.2.840.113549.1.9.4", func(b *cryptobyte.Builder) { b.AddASN1OctetString(make([]byte, 32)) })}
				return l, l
			}
		}, want{signature: fail(passiveauth.ContentDigestMismatch, dsAlg), overall: fail(passiveauth.ContentDigestMismatch, dsAlg)}, nil},
		{
			"data group changed", func(t *testing.T, s *state) { s.groups[13] = []byte("Thirteen") },
			want{hashes: fail(passiveauth.HashMismatch, "SHA-256"), overall: fail(passiveauth.HashMismatch, "SHA-256")},
			nil,
		},
		{
			"data group with a trailing octet", func(t *testing.T, s *state) { s.groups[13] = append(slices.Clone(s.groups[13]), 0) },
			want{hashes: fail(passiveauth.HashMismatch, "SHA-256"), overall: fail(passiveauth.HashMismatch, "SHA-256")},
			nil,
		},
		{
			"data group nil", func(t *testing.T, s *state) { s.groups[13] = nil },
			want{hashes: fail(passiveauth.HashMismatch, "SHA-256"), overall: fail(passiveauth.HashMismatch, "SHA-256")},
			nil,
		},
		{
			"DG1 changed", func(t *testing.T, s *state) { s.groups[1] = cmstest.DG1(t, "VNM") },
			want{hashes: fail(passiveauth.HashMismatch, "SHA-256"), state: result.Check{Reason: "-"}, overall: fail(passiveauth.HashMismatch, "SHA-256")},
			nil,
		},
		{
			"data groups exchanged", func(t *testing.T, s *state) { s.groups[13], s.groups[15] = s.groups[15], s.groups[13] },
			want{hashes: fail(passiveauth.HashMismatch, "SHA-256"), overall: fail(passiveauth.HashMismatch, "SHA-256")},
			nil,
		},
		{
			"data group not covered", func(t *testing.T, s *state) { s.groups[14] = []byte("fourteen") },
			want{hashes: fail(passiveauth.NotCovered, ""), overall: fail(passiveauth.NotCovered, "")},
			nil,
		},
		{
			"data group of no document", func(t *testing.T, s *state) { s.groups[-1] = nil },
			want{hashes: fail(passiveauth.NotCovered, ""), overall: fail(passiveauth.NotCovered, "")},
			nil,
		},
		{
			"no data group", func(t *testing.T, s *state) { s.groups = map[int][]byte{} },
			want{hashes: result.Check{Reason: passiveauth.NoDataGroups}, state: result.Check{Reason: "-"}, overall: result.Check{Reason: passiveauth.NoDataGroups}},
			nil,
		},
		{
			"no map", func(t *testing.T, s *state) { s.groups = nil },
			want{hashes: result.Check{Reason: passiveauth.NoDataGroups}, state: result.Check{Reason: "-"}, overall: result.Check{Reason: passiveauth.NoDataGroups}},
			nil,
		},
		{
			"without DG1", func(t *testing.T, s *state) { delete(s.groups, 1) },
			want{state: result.Check{Reason: "-"}, overall: good},
			nil,
		},
		{
			"MD5 of the groups", func(t *testing.T, s *state) { s.content(t, crypto.MD5) },
			want{hashes: unknown(passiveauth.AlgorithmUnsupported, ""), state: result.Check{Reason: "-"}, overall: unknown(passiveauth.AlgorithmUnsupported, "")},
			[]string{lds.DevSODHashUnsupported},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sound(t)
			tt.spoil(t, s)
			r := s.verify(t)
			check := func(name string, got, want result.Check) {
				t.Helper()
				switch {
				case want == (result.Check{}):
					if got.Value != result.Successful {
						t.Errorf("%s: %+v, want successful", name, got)
					}
				case want.Reason == "-":
					if got != (result.Check{}) {
						t.Errorf("%s: %+v, want not performed", name, got)
					}
				case got.Value != want.Value || got.Reason != want.Reason || want.Algorithm != "" && got.Algorithm != want.Algorithm:
					t.Errorf("%s: %+v, want %+v", name, got, want)
				}
			}
			check("signature", r.Signature, tt.want.signature)
			check("validity", r.SignerValidity, tt.want.validity)
			check("chain", r.Chain, tt.want.chain)
			check("hashes", r.Hashes, tt.want.hashes)
			check("issuing state", r.IssuingState, tt.want.state)
			check("overall", r.Overall(), tt.want.overall)
			if r.Revocation != unknown(passiveauth.NoRevocationInformation, "") {
				t.Errorf("revocation: %+v", r.Revocation)
			}
			for _, d := range tt.dev {
				if !slices.Contains(r.Deviations, d) {
					t.Errorf("deviations %v lack %q", r.Deviations, d)
				}
			}
		})
	}
}

// TestAnchorOfTheName: of two certificates with the key that issued the signer,
// the one that bears the issuer's name is shown.
func TestAnchorOfTheName(t *testing.T) {
	s := sound(t)
	s.anchor.Subject = cmstest.Name(t, "UZ", "CSCA of before")
	s.anchor.Issuer = s.anchor.Subject
	s.roots = append(s.roots, func() []byte { return s.csca.Sign(t, s.cscaKey) })
	r := s.verify(t)
	if r.Overall().Value != result.Successful || !bytes.Equal(r.Anchor.Certificate.RawSubject, s.csca.Subject) || len(r.Deviations) != 0 {
		t.Errorf("overall %+v, anchor %v, deviations %v", r.Overall(), r.Anchor.Certificate.Subject, r.Deviations)
	}
}

// TestCheckGroup: the comparison alone, without a word on who signed.
func TestCheckGroup(t *testing.T) {
	s := sound(t)
	sod, err := lds.ParseSOD(s.file(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		sod  *lds.SOD
		dg   int
		file []byte
		want result.Check
	}{
		{"equal", sod, 13, s.groups[13], pass("SHA-256")},
		{"another group's", sod, 13, s.groups[15], fail(passiveauth.HashMismatch, "SHA-256")},
		{"absent", sod, 13, nil, fail(passiveauth.HashMismatch, "SHA-256")},
		{"not covered", sod, 14, []byte("fourteen"), fail(passiveauth.NotCovered, "")},
		{"no EF.SOD", nil, 13, s.groups[13], result.Check{}},
	} {
		if got := passiveauth.CheckGroup(tt.sod, tt.dg, tt.file); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestOverallFailsClosed: whatever single part of a sound result is taken away,
// the whole is not successful.
func TestOverallFailsClosed(t *testing.T) {
	whole := sound(t).verify(t)
	if got := whole.Overall(); got.Value != result.Successful {
		t.Fatalf("sound document: %+v", got)
	}
	for name, part := range map[string]func(*passiveauth.Result) *result.Check{
		"signature": func(r *passiveauth.Result) *result.Check { return &r.Signature },
		"validity":  func(r *passiveauth.Result) *result.Check { return &r.SignerValidity },
		"chain":     func(r *passiveauth.Result) *result.Check { return &r.Chain },
		"hashes":    func(r *passiveauth.Result) *result.Check { return &r.Hashes },
		"state":     func(r *passiveauth.Result) *result.Check { return &r.IssuingState },
	} {
		for _, v := range []result.Value{result.NotPerformed, result.Failed, result.Undetermined, result.NotSupported, result.Aborted, 99} {
			r := whole
			*part(&r) = result.Check{Value: v}
			if got := r.Overall(); got.Value == result.Successful {
				t.Errorf("%s is %v and the whole successful", name, v)
			}
		}
	}
}

// TestIssuingStates checks the table by example, each with its own state.
func TestIssuingStates(t *testing.T) {
	tests := []struct {
		state, country string
		want           result.Check
	}{
		{"VNM", "VN", pass("")},
		{"D<<", "DE", pass("")},
		{"EUE", "EU", pass("")},
		{"UNO", "UN", pass("")},
		{"GBD", "GB", pass("")},
		{"UTO", "UT", pass("")},
		{"RKS", "KS", pass("")},
		{"VNM", "vn", pass("")},
		{"VNM", "DE", fail(passiveauth.IssuingStateMismatch, "")},
		{"VNM", "V", unknown(passiveauth.IssuingStateUnknown, "")},
		{"VNM", "VN VUT:VU", unknown(passiveauth.IssuingStateUnknown, "")},
		{"DEU", "VN", fail(passiveauth.IssuingStateMismatch, "")},
		{"XXX", "VN", unknown(passiveauth.IssuingStateUnknown, "")},
		{"<<<", "VN", unknown(passiveauth.IssuingStateUnreadable, "")},
		{"V<M", "VN", unknown(passiveauth.IssuingStateUnreadable, "")},
		{"V M", "VN", unknown(passiveauth.IssuingStateUnreadable, "")},
		{":VN", "VN", unknown(passiveauth.IssuingStateUnreadable, "")},
		{"M<<", "VN", unknown(passiveauth.IssuingStateUnknown, "")},
	}
	for _, tt := range tests {
		t.Run(tt.state+" by "+tt.country, func(t *testing.T) {
			s := sound(t)
			s.rename(t, tt.country, tt.state)
			if got := s.verify(t).IssuingState; got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestMutation turns three bits of every octet of EF.SOD and of the data groups. The document is
// then never verified, save where the bit is outside of all that is signed and
// has no say: the version numbers, the announced list of digest algorithms, and
// the way in which the signer's name is written. Each of those leaves a
// deviation, and the signed content, the certificate and its key are the same.
func TestMutation(t *testing.T) {
	s := newState(t, cmstest.EC(t, "P-256", true), cmstest.ECDSA(t, crypto.SHA256), cmstest.EC(t, "P-256", true), cmstest.ECDSA(t, crypto.SHA256), crypto.SHA256)
	s.rename(t, "UZ", "UZB")
	file := s.file(t)
	pool := s.pool(t)
	// The lowest bit, the one that makes a letter another case, and the highest.
	bits := []int{0, 5, 7}
	verify := func(file []byte, groups map[int][]byte) (*lds.SOD, passiveauth.Result) {
		sod, err := lds.ParseSOD(file)
		if err != nil {
			return nil, passiveauth.Result{}
		}
		return sod, passiveauth.Verify(sod, groups, pool, s.at)
	}
	original, r := verify(file, s.groups)
	if r.Overall().Value != result.Successful || len(r.Deviations) != 0 {
		t.Fatalf("the sound document: %+v, deviations %v", r.Overall(), r.Deviations)
	}
	for n, group := range s.groups {
		for i := range group {
			for _, bit := range bits {
				groups := maps.Clone(s.groups)
				groups[n] = slices.Clone(group)
				groups[n][i] ^= 1 << bit
				if _, r := verify(file, groups); r.Overall().Value == result.Successful {
					t.Errorf("DG%d with octet %d, bit %d changed is verified", n, i, bit)
				}
			}
		}
	}

	survivors := map[string]int{}
	for i := range file {
		for _, bit := range bits {
			mutated := slices.Clone(file)
			mutated[i] ^= 1 << bit
			sod, r := verify(mutated, s.groups)
			if r.Overall().Value != result.Successful {
				continue
			}
			if len(r.Deviations) == 0 {
				t.Errorf("octet %d, bit %d: verified without a trace", i, bit)
			}
			for _, d := range r.Deviations {
				survivors[d]++
			}
			if !bytes.Equal(sod.SignedData.Content, original.SignedData.Content) || !bytes.Equal(r.Signer.Raw, original.SignedData.Certificates[0].Raw) {
				t.Errorf("octet %d, bit %d: another content or signer is verified", i, bit)
			}
		}
	}
	var names []string
	for d := range survivors {
		names = append(names, d)
	}
	slices.Sort(names)
	want := []string{cms.DevDigestNotListed, cms.DevSignedDataVersion, cms.DevSignerInfoVersion, passiveauth.DevSignerNameEncoding}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("deviations of what is verified (-want +got):\n%s", diff)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, bb := range []struct {
		name string
		s    *state
	}{
		{"brainpool", sound(b)},
		{"RSA", func() *state {
			s := newState(b, cmstest.RSA(b, "csca", 3072), cmstest.PSS(b, crypto.SHA256, 32), cmstest.RSA(b, "ds", 2048), cmstest.PSS(b, crypto.SHA256, 32), crypto.SHA256)
			s.rename(b, "UZ", "UZB")
			return s
		}()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			file, pool := bb.s.file(b), bb.s.pool(b)
			b.ReportAllocs()
			for b.Loop() {
				sod, err := lds.ParseSOD(file)
				if err != nil {
					b.Fatal(err)
				}
				if r := passiveauth.Verify(sod, bb.s.groups, pool, at); r.Overall().Value != result.Successful {
					b.Fatal(r.Overall())
				}
			}
		})
	}
}
