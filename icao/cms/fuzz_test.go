package cms_test

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
)

func FuzzParseCertificate(f *testing.F) {
	for _, v := range openssl(f).Certificates {
		f.Add(v.Certificate)
	}
	c, key := template(f)
	f.Add(c.Sign(f, key))
	c.Extensions = []cmstest.Extension{cmstest.DocumentTypes(f, "P", "ID")}
	f.Add(c.Sign(f, key))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := cms.ParseCertificate(der)
		if (c == nil) != (err != nil) {
			t.Fatalf("certificate %v with error %v", c, err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(c.Raw, der) {
			t.Error("Raw is not what was read")
		}
		again, err := cms.ParseCertificate(c.Raw)
		if err != nil || !again.Subject.Equal(c.Subject) || again.SelfSigned() != c.SelfSigned() {
			t.Error("a second reading differs")
		}
		if !c.Subject.Equal(c.Subject) || c.Subject.Equal(c.Issuer) != (c.Subject.Key() == c.Issuer.Key()) {
			t.Error("names and their keys disagree")
		}
		if c.DocumentTypes != nil && !c.HasDocumentTypes || len(c.DocumentTypes) > 64 {
			t.Errorf("%d document types", len(c.DocumentTypes))
		}
		for _, code := range c.DocumentTypes {
			if len(code) < 1 || len(code) > 2 {
				t.Errorf("a document type of %d characters", len(code))
			}
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(cmstest.RSA(f, "a", 2048).SPKI)
	f.Add(cmstest.EC(f, "brainpoolP224r1", true).SPKI)
	f.Add(cmstest.EC(f, "P-256", false).SPKI)
	f.Add(cmstest.DSA(f).SPKI)
	n := func(set bool) int {
		if set {
			return 1
		}
		return 0
	}
	f.Fuzz(func(t *testing.T, spki []byte) {
		k, err := cms.ParsePublicKey(spki)
		if (k == nil) != (err != nil) {
			t.Fatalf("key %v with error %v", k, err)
		}
		if err == nil && (n(k.RSA != nil)+n(k.EC != nil)+n(k.DSA != nil) != 1 || !k.Equal(k) || !bytes.Equal(k.Raw, spki)) {
			t.Error("not exactly one key")
		}
	})
}

func FuzzParseSignedData(f *testing.F) {
	for _, v := range openssl(f).SignedData {
		f.Add(v.CMS)
	}
	s, certificate := signed(f)
	f.Add(s.Build(f))
	f.Fuzz(func(t *testing.T, der []byte) {
		sd, err := cms.ParseSignedData(der)
		if (sd == nil) != (err != nil) {
			t.Fatalf("signed data %v with error %v", sd, err)
		}
		if err != nil {
			return
		}
		for i := range sd.Signers {
			si := &sd.Signers[i]
			// Only the seed was ever signed with this key.
			if sd.Verify(si, certificate) == nil && !bytes.Equal(sd.Content, s.Content) {
				t.Error("another content verifies")
			}
			for _, c := range sd.SignerCertificates(si) {
				_ = sd.Verify(si, c)
			}
		}
	})
}

func BenchmarkParseCertificate(b *testing.B) {
	c, key := template(b)
	der := c.Sign(b, key)
	b.ReportAllocs()
	b.SetBytes(int64(len(der)))
	for b.Loop() {
		if _, err := cms.ParseCertificate(der); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	message := []byte("message")
	for _, bb := range []struct {
		name string
		key  *cmstest.Key
		sign cmstest.Algorithm
		alg  cms.SignatureAlgorithm
	}{
		{"RSA-2048 PSS", cmstest.RSA(b, "a", 2048), cmstest.PSS(b, crypto.SHA256, 32), cms.SignatureAlgorithm{Scheme: cms.RSAPSS, Hash: crypto.SHA256, MGFHash: crypto.SHA256, SaltLength: 32}},
		{"RSA-2048 PKCS1", cmstest.RSA(b, "a", 2048), cmstest.PKCS1(b, crypto.SHA256), cms.SignatureAlgorithm{Scheme: cms.RSAPKCS1v15, Hash: crypto.SHA256}},
		{"P-256", cmstest.EC(b, "P-256", true), cmstest.ECDSA(b, crypto.SHA256), cms.SignatureAlgorithm{Scheme: cms.ECDSA, Hash: crypto.SHA256}},
		{"brainpoolP384r1", cmstest.EC(b, "brainpoolP384r1", true), cmstest.ECDSA(b, crypto.SHA384), cms.SignatureAlgorithm{Scheme: cms.ECDSA, Hash: crypto.SHA384}},
		{"brainpoolP512r1", cmstest.EC(b, "brainpoolP512r1", true), cmstest.ECDSA(b, crypto.SHA512), cms.SignatureAlgorithm{Scheme: cms.ECDSA, Hash: crypto.SHA512}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			key, err := cms.ParsePublicKey(bb.key.SPKI)
			if err != nil {
				b.Fatal(err)
			}
			signature := bb.sign.Sign(b, bb.key, message)
			b.ReportAllocs()
			for b.Loop() {
				if err := key.Verify(bb.alg, message, signature); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
