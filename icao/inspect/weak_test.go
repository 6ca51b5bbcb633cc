package inspect_test

import (
	"crypto"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/inspect"
)

// What today's standards would not accept any more is listed, and changes no check.
func TestWeakAlgorithmsAreListed(t *testing.T) {
	rsa := func(bits int, hash crypto.Hash) issuer.Algorithm {
		return issuer.Algorithm{Scheme: issuer.PKCS1, Hash: hash, Bits: bits}
	}
	strong := issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256", Explicit: true}
	curve := issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA224, Curve: "brainpoolP192r1", Explicit: true}
	tests := []struct {
		name       string
		v          chip.Variant
		want       []string
		deviations []string
	}{
		{"nothing", chip.Variant{Signer: rsa(2048, crypto.SHA256), AA: &chip.AAKey{Kind: chip.KeyKind{Bits: 2048}}, Limits: buffered}, nil, nil},
		{"nothing, at the bound", chip.Variant{
			Signer: issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA224, Curve: "P-224", Explicit: true},
			AA:     &chip.AAKey{Kind: chip.KeyKind{Curve: "brainpoolP224r1"}}, CA: []chip.CAKey{{Protocol: caProtocol(10, 2), Kind: caKind(10)}},
		}, nil, nil},
		{"RSA-1024 throughout", chip.Variant{Signer: rsa(1024, crypto.SHA256)}, []string{"document signer key, RSA-1024", "CSCA key, RSA-1024"}, nil},
		{"RSA-1024 below a strong CSCA", chip.Variant{Signer: rsa(1024, crypto.SHA256), Authority: strong}, []string{"document signer key, RSA-1024"}, nil},
		{"192 bits above", chip.Variant{Signer: strong, Authority: curve}, []string{"CSCA key, brainpoolP192r1"}, nil},
		{
			"SHA-1 throughout",
			chip.Variant{Signer: rsa(2048, crypto.SHA1), SOD: issuer.SODOptions{Hash: crypto.SHA1}},
			[]string{"security object signature, SHA-1", "data group hashes, SHA-1", "document signer certificate, SHA-1"},
			[]string{"sha1", "signer: sha1", "anchor: sha1", "security_object_hash_sha1"},
		},
		{
			"active authentication",
			chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Bits: 1024}, Form: chip.AAForm{Hash: crypto.SHA1}}},
			[]string{"active authentication key, RSA-1024", "active authentication signature, SHA-1"},
			nil,
		},
		{"active authentication, curve", chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-192"}}}, []string{"active authentication key, P-192"}, nil},
		{"chip authentication, curve", chip.Variant{CA: []chip.CAKey{{Protocol: caProtocol(9, 2), Kind: caKind(9)}}}, []string{"chip authentication key, CA ECDH AES-128 brainpoolP192r1"}, nil},
		{
			"chip authentication, prime",
			chip.Variant{CA: []chip.CAKey{{Protocol: caProtocol(0, 2), Kind: caKind(0), PKCS3: true}}, Limits: buffered},
			[]string{"chip authentication key, CA DH AES-128 MODP-1024-160"},
			nil,
		},
		{"chip authentication mapping", chip.Variant{PACE: []chip.PACE{paceOf(ecdhCAM, 2, 8)}}, []string{"chip authentication mapping key, PACE-CAM P-192"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			accepted(t, tt.v, variant(t, tt.v), tap{deviations: tt.deviations, report: func(t *testing.T, r *inspect.Report) {
				got := slices.Sorted(slices.Values(r.Weak))
				if !slices.Equal(got, slices.Sorted(slices.Values(tt.want))) {
					t.Errorf("weak: %q, want %q", got, tt.want)
				}
			}})
		})
	}
}
