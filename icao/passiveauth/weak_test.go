package passiveauth_test

import (
	"crypto"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
)

// TestWeak: what is weak is named, and changes no verdict.
func TestWeak(t *testing.T) {
	good, goodAlg := cmstest.RSA(t, "csca", 3072), cmstest.PKCS1(t, crypto.SHA256)
	for _, tt := range []struct {
		name string
		make func() *state
		want []string
	}{
		{"nothing", func() *state { return sound(t) }, nil},
		{"keys just long enough", func() *state {
			return newState(t, cmstest.RSA(t, "2048", 2048), goodAlg, cmstest.EC(t, "P-224", true), cmstest.ECDSA(t, crypto.SHA224), crypto.SHA224)
		}, nil},
		{"RSA keys of 1024 bits", func() *state {
			return newState(t, cmstest.RSA(t, "1024", 1024), goodAlg, cmstest.RSA(t, "other 1024", 1024), goodAlg, crypto.SHA256)
		}, []string{"document signer key, RSA-1024", "CSCA key, RSA-1024"}},
		{"curves of 192 bits", func() *state {
			return newState(t, cmstest.EC(t, "brainpoolP192r1", true), cmstest.ECDSA(t, crypto.SHA256), cmstest.EC(t, "P-192", true), cmstest.ECDSA(t, crypto.SHA256), crypto.SHA256)
		}, []string{"document signer key, P-192", "CSCA key, brainpoolP192r1"}},
		{"a DSA key of 1024 bits", func() *state {
			return newState(t, good, goodAlg, cmstest.DSA(t), cmstest.DSASignature(t, crypto.SHA256), crypto.SHA256)
		}, []string{"document signer key, DSA-1024"}},
		{"SHA-1 in everything", func() *state {
			return newState(t, good, cmstest.PKCS1(t, crypto.SHA1), cmstest.RSA(t, "ds", 2048), cmstest.PKCS1(t, crypto.SHA1), crypto.SHA1)
		}, []string{"security object signature, SHA-1", "document signer certificate, SHA-1", "data group hashes, SHA-1"}},
		{"SHA-1 of the content alone", func() *state {
			s := sound(t)
			s.sod.Signers[0].Digest = crypto.SHA1
			return s
		}, []string{"security object signature, SHA-1"}},
		{"SHA-1 of the groups alone", func() *state {
			s := sound(t)
			s.content(t, crypto.SHA1)
			return s
		}, []string{"data group hashes, SHA-1"}},
		{"an anchor that signed itself with SHA-1", func() *state {
			s := sound(t)
			s.anchor.Algorithm = cmstest.ECDSA(t, crypto.SHA1)
			return s
		}, nil},
		{"no anchor", func() *state {
			s := newState(t, cmstest.RSA(t, "1024", 1024), goodAlg, good, goodAlg, crypto.SHA256)
			s.noAnchor = true
			return s
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.make()
			r := s.verify(t)
			if !slices.Equal(r.Weak, tt.want) {
				t.Errorf("weak %q, want %q", r.Weak, tt.want)
			}
			if r.Signature.Value != result.Successful || !s.noAnchor && r.Chain.Value != result.Successful {
				t.Errorf("signature %+v, chain %+v", r.Signature, r.Chain)
			}
		})
	}
	t.Run("EF.CardSecurity", func(t *testing.T) {
		s := newState(t, good, cmstest.PKCS1(t, crypto.SHA1), cmstest.RSA(t, "ds", 2048), goodAlg, crypto.SHA256)
		cs, err := passiveauth.ParseCardSecurity(cardSecurity(t, s))
		if err != nil {
			t.Fatal(err)
		}
		if got := passiveauth.VerifyCardSecurity(cs, s.pool(t), s.at).Weak; !slices.Equal(got, []string{"document signer certificate, SHA-1"}) {
			t.Errorf("weak %q", got)
		}
	})
}

// TestDocumentType: the document code of DG1 against what the signer may sign.
func TestDocumentType(t *testing.T) {
	absent := result.Check{Value: result.NotSupported, Reason: passiveauth.DocumentTypesAbsent}
	mismatch := unknown(passiveauth.DocumentTypeMismatch, "")
	good := pass("ECDSA SHA-256 brainpoolP256r1")
	for _, tt := range []struct {
		name          string
		code          string // of DG1
		allowed       []string
		extension     []byte // instead of allowed
		want, overall result.Check
	}{
		{"absent", "I<", nil, nil, absent, good},
		{"the type", "ID", []string{"ID"}, nil, pass(""), good},
		{"a letter for all that begin with it", "ID", []string{"I"}, nil, pass(""), good},
		{"a letter alone", "P<", []string{"P"}, nil, pass(""), good},
		{"a passport of the new kind", "PP", []string{"P", "I"}, nil, pass(""), good},
		{"one of several", "AC", []string{"P", "ID", "AC"}, nil, pass(""), good},
		{"another type", "ID", []string{"P"}, nil, mismatch, mismatch},
		{"another of the same letter", "IP", []string{"ID"}, nil, mismatch, mismatch},
		{"less than two letters", "I<", []string{"ID"}, nil, mismatch, mismatch},
		{"none of several", "V<", []string{"P", "ID", "AC"}, nil, mismatch, mismatch},
		{"malformed list", "ID", nil, []byte{5, 0}, unknown(passiveauth.DocumentTypesUnreadable, ""), good},
		{"empty list", "ID", nil, []byte{0x30, 5, 2, 1, 0, 0x31, 0}, unknown(passiveauth.DocumentTypesUnreadable, ""), good},
		{"malformed code", "1D", []string{"ID"}, nil, unknown(passiveauth.DocumentTypeUnreadable, ""), good},
		{"a code of fillers", "<<", []string{"ID"}, nil, unknown(passiveauth.DocumentTypeUnreadable, ""), good},
		{"a filler first", "<D", []string{"ID"}, nil, unknown(passiveauth.DocumentTypeUnreadable, ""), good},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sound(t)
			copy(s.groups[1][5:], tt.code)
			s.content(t, crypto.SHA256)
			switch {
			case tt.extension != nil:
				s.ds.Extensions = append(s.ds.Extensions, cmstest.Extension{OID: "2.23.136.1.1.6.2", Value: tt.extension})
			case tt.allowed != nil:
				s.ds.Extensions = append(s.ds.Extensions, cmstest.DocumentTypes(t, tt.allowed...))
			}
			r := s.verify(t)
			if r.DocumentType != tt.want {
				t.Errorf("document type %+v, want %+v", r.DocumentType, tt.want)
			}
			if got := r.Overall(); got != tt.overall {
				t.Errorf("overall %+v, want %+v", got, tt.overall)
			}
			chain := pass("ECDSA SHA-384 brainpoolP384r1")
			if tt.want == mismatch {
				chain = mismatch
			}
			if r.Chain != chain {
				t.Errorf("chain %+v, want %+v", r.Chain, chain)
			}
		})
	}
	t.Run("nobody's signer, for another type", func(t *testing.T) {
		s := sound(t)
		s.noAnchor = true
		s.ds.Extensions = append(s.ds.Extensions, cmstest.DocumentTypes(t, "P"))
		want := unknown(passiveauth.NoTrustAnchor, "")
		if r := s.verify(t); r.Chain != want || r.Overall() != want || r.DocumentType != mismatch {
			t.Errorf("chain %+v, overall %+v, type %+v", r.Chain, r.Overall(), r.DocumentType)
		}
	})
	for name, spoil := range map[string]func(s *state){
		"no DG1":               func(s *state) { delete(s.groups, 1) },
		"a DG1 that differs":   func(s *state) { s.groups[1] = cmstest.DG1(t, "UZA") },
		"no certificate":       func(s *state) { s.sod.Certificates = [][]byte{} },
		"DG1 with a short MRZ": func(s *state) { s.groups[1] = []byte{0x61, 4, 0x5f, 0x1f, 1, 'I'} },
	} {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			s.ds.Extensions = append(s.ds.Extensions, cmstest.DocumentTypes(t, "P"))
			spoil(s)
			if got := s.verify(t).DocumentType; got != (result.Check{}) {
				t.Errorf("%+v, want not performed", got)
			}
		})
	}
	// Any group may be malformed and still be as it was signed.
	s := sound(t)
	s.ds.Extensions = append(s.ds.Extensions, cmstest.DocumentTypes(t, "P"))
	s.groups[1] = []byte{0x61, 4, 0x5f, 0x1f, 1, 'I'}
	s.content(t, crypto.SHA256)
	sod, err := lds.ParseSOD(s.file(t))
	if err != nil {
		t.Fatal(err)
	}
	r := passiveauth.Verify(sod, s.groups, s.pool(t), s.at)
	if got, want := r.DocumentType, unknown(passiveauth.DocumentTypeUnreadable, ""); got != want {
		t.Errorf("DG1 without an MRZ: %+v, want %+v", got, want)
	}
	if got, want := r.IssuingState, unknown(passiveauth.IssuingStateUnreadable, ""); got != want {
		t.Errorf("issuing state of it: %+v, want %+v", got, want)
	}
}

// FuzzMRZBeginning: whatever lies in DG1, the fields are capital letters or empty.
func FuzzMRZBeginning(f *testing.F) {
	f.Add(cmstest.DG1(f, "UZB"))
	f.Add([]byte{0x61, 8, 0x5f, 0x1f, 5, 'P', '<', 'D', '<', '<'})
	f.Add([]byte{0x61, 4, 0x5f, 0x1f, 1, 'I'})
	f.Fuzz(func(t *testing.T, b []byte) {
		code, state, ok := passiveauth.MRZBeginning(b)
		if !ok && code+state != "" || len(code) > 2 || len(state) > 3 || strings.Trim(code+state, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("code %q, state %q, %v", code, state, ok)
		}
	})
}
