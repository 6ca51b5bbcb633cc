package agent_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
)

// insurerKey is a bundle key and its public half.
func insurerKey(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// TestBundlesServeAStationWithoutALink: what came while there was a link is what
// a first-time visitor is answered with, and what cards are verified with, when
// there is none; and a list of another key changes nothing.
func TestBundlesServeAStationWithoutALink(t *testing.T) {
	d := document(t)
	dir := t.TempDir()
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	insurer, public := insurerKey(t)
	c := newCentre(t, key)
	c.bundleKey, c.pieces = insurer, [][]byte{d.CSCA}
	c.start()
	cfg := config(dir)
	cfg.URLs, cfg.BundleKey, cfg.TrustDir = []string{c.url()}, public, filepath.Join(t.TempDir(), "none")
	a := openWith(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stop := run(t, a)
	has := func(kind contract.BundleKind, entries int) func() (bool, error) {
		return func() (bool, error) {
			s, err := a.Bundle(kind)
			return s.Installed() && s.Entries == entries, err
		}
	}
	for kind, entries := range map[contract.BundleKind]int{contract.BundlePopulation: 1, contract.BundleTrust: 1} {
		if err := a.Wait(ctx, has(kind, entries)); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	stop()
	c.stop()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	// A month later, in the same directory, no link.
	a = openWith(t, cfg)
	o, err := tap(t.Context(), a, d)
	if err != nil {
		t.Fatal(err)
	}
	if o.Report.Err() != nil {
		t.Errorf("with the issuers of the bundle: %v", o.Report.Err())
	}
	if e := o.Answer.Entitlement; e.Source != contract.SourcePopulation || e.Status != contract.StatusValid || e.AsOf.IsZero() || o.Answer.Person == nil {
		t.Errorf("entitlement %v %v", e.Source, e.Status)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	trailHas(t, dir, audit.BundleInstalled, audit.BundleInstalled)

	// An agent that has pinned another key takes neither list.
	c.start()
	defer c.stop()
	_, cfg.BundleKey = insurerKey(t)
	a = openWith(t, cfg)
	run(t, a)
	refused := func() (bool, error) {
		s, err := a.Bundle(contract.BundlePopulation)
		return s.Refused == bundle.ErrSignature.Error(), err
	}
	if err := a.Wait(ctx, refused); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Bundle(contract.BundlePopulation); err != nil || s.Installed() {
		t.Errorf("%+v, %v", s, err)
	}
	if pool, err := a.Issuers(ctx); err != nil || pool.Len() != 0 {
		t.Errorf("issuers of a key that is not pinned: %d, %v", pool.Len(), err)
	}
}

// trailHas asserts what the audit trail of a directory says after its beginning, in
// order.
func trailHas(t *testing.T, dir string, want ...audit.Action) {
	t.Helper()
	_, log, st, err := agent.OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := log.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	entries, err := log.List(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []audit.Action
	for _, e := range entries {
		got = append(got, e.Action)
	}
	if want = append([]audit.Action{audit.TrailBegun}, want...); !slices.Equal(got, want) {
		t.Errorf("trail %v, want %v", got, want)
	}
}
