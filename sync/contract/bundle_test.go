package contract_test

import (
	"errors"
	"testing"

	"github.com/chamthe/chamthe/sync/contract"
)

func TestBundlesThatContradictThemselves(t *testing.T) {
	for name, change := range map[string]func(*contract.Bundle){
		"no serial":                   func(b *contract.Bundle) { b.Serial = 0 },
		"difference to a newer one":   func(b *contract.Bundle) { b.Base = b.Serial },
		"population of nobody":        func(b *contract.Bundle) { b.Facility = "" },
		"certificates for a facility": func(b *contract.Bundle) { b.Kind = contract.BundleTrust },
		"hash too short":              func(b *contract.Bundle) { b.Parts[0].SHA256 = b.Parts[0].SHA256[1:] },
		"part too large":              func(b *contract.Bundle) { b.Parts[0].Size = contract.MaxPart + 1 },
		"empty part":                  func(b *contract.Bundle) { b.Parts[0].Size = 0 },
		"far too large": func(b *contract.Bundle) {
			for range 300 {
				b.Parts = append(b.Parts, contract.BundlePart{SHA256: make([]byte, 32), Size: contract.MaxPart})
			}
		},
	} {
		b := exampleBundle()
		change(b)
		if _, err := contract.EncodeBundle(b); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, change := range map[string]func(*contract.Registered){
		"nobody":              func(r *contract.Registered) { r.Number, r.InsuranceNumber = "", "" },
		"no entitlement":      func(r *contract.Registered) { r.Entitlement = nil },
		"no person":           func(r *contract.Registered) { r.Person = nil },
		"no name":             func(r *contract.Registered) { r.Person.Name = "" },
		"removed and there":   func(r *contract.Registered) { r.Removed = true },
		"not from the bundle": func(r *contract.Registered) { r.Entitlement.Source = contract.SourceCentral },
		"unknown since when":  func(r *contract.Registered) { r.Entitlement.AsOf = exampleTime.AddDate(-3000, 0, 0) },
	} {
		p := examplePopulation(t)
		change(&p.People[0])
		if _, err := contract.EncodePopulationPart(p); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	r := exampleBundleRequest(t)
	r.Serial = 0
	if _, err := contract.EncodeBundleRequest(r); !errors.Is(err, contract.Inconsistent) {
		t.Errorf("a part of nothing: %v", err)
	}
}

func TestBundlePartMatches(t *testing.T) {
	part := contract.BundlePart{SHA256: []byte("\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55")}
	if !part.Matches(nil) || part.Matches([]byte{0}) {
		t.Error("hash of nothing")
	}
	if part.Size = 1; part.Matches(nil) {
		t.Error("size is not compared")
	}
	if (contract.BundlePart{}).Matches(nil) {
		t.Error("a part without a hash matches")
	}
}

func TestOpenBundle(t *testing.T) {
	key, other := newSigner(7), newSigner(8)
	headers, payload, err := contract.SignBundle(key, exampleBundle())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := contract.OpenBundle(key.name(t), headers, payload); err != nil || b.Serial != exampleBundle().Serial {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := contract.OpenBundle(other.name(t), headers, payload); !errors.Is(err, contract.BadSignature) {
		t.Errorf("signed by a key that was not pinned: %v", err)
	}
	if _, err := contract.OpenBundle("", nil, payload); !errors.Is(err, contract.BadSignature) {
		t.Errorf("not signed: %v", err)
	}
	for i := range payload {
		changed := append([]byte(nil), payload...)
		changed[i] ^= 1
		if _, err := contract.OpenBundle(key.name(t), headers, changed); !errors.Is(err, contract.BadSignature) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	// What the same key signed as something else is no bundle.
	headers, err = contract.Sign(key, contract.DomainVisit, payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.OpenBundle(key.name(t), headers, payload); !errors.Is(err, contract.BadSignature) {
		t.Errorf("signed as a visit: %v", err)
	}
}

func TestOpenBundleRequest(t *testing.T) {
	s := newSigner(1)
	m, err := contract.NewBundleRequestMessage(s, exampleBundleRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := contract.OpenBundleRequest(m.Subject, m.Header, m.Payload); err != nil || r.Part != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, subject := range []string{"ins.v1.bundle.population.01014", "ins.v1.bundle.trust.01013", "ins.v1.lookup.01013"} {
		if _, err := contract.OpenBundleRequest(subject, m.Header, m.Payload); !errors.Is(err, contract.WrongSubject) {
			t.Errorf("on %s: %v", subject, err)
		}
	}
	m.Payload[len(m.Payload)/2] ^= 1
	if _, err := contract.OpenBundleRequest(m.Subject, m.Header, m.Payload); !errors.Is(err, contract.BadSignature) {
		t.Errorf("changed: %v", err)
	}
}
