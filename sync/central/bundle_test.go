package central_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// registered returns synthetic people of a facility.
func registered(facility string, from, to int) []central.Person {
	var all []central.Person
	for n := from; n < to; n++ {
		all = append(all, central.Person{
			Number: fmt.Sprintf("001099%06d", n), InsuranceNumber: fmt.Sprintf("GD401%010d", n), Name: fmt.Sprintf("Nguyễn Văn Thử %d", n),
			BirthDate: "1999-01-31", From: "2026-01-01", To: "2030-12-31", Facility: facility, BenefitLevel: "4",
		})
	}
	return all
}

func (s *station) keeper(u *uplink.Uplink, key string) *bundle.Keeper {
	s.t.Helper()
	st, err := store.Open(filepath.Join(s.t.TempDir(), "bundles.db"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { st.Close() })
	master, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		s.t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		s.t.Fatal(err)
	}
	k, err := bundle.Open(bundle.Config{Store: st, Sealer: sealer, Fetcher: u, Facility: facility, Key: key})
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// updated waits until a bundle is installed. Until the service has published it,
// there is none; until the link is there, nobody can be asked.
func updated(t *testing.T, k *bundle.Keeper, kind contract.BundleKind) bundle.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		new, err := k.Update(ctx, kind)
		if why, refused := bundle.Refused(err); refused {
			t.Fatal(why)
		}
		if new {
			s, err := k.State(kind)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nothing was installed: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestBundles: what a service publishes is what an agent keeps, whole at first and
// then as differences, and nobody gets the people of another facility.
func TestBundles(t *testing.T) {
	t.Parallel() // it waits for the service to come back
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	people := append(registered(facility, 0, 1200), registered("01014", 5000, 5010)...)
	r := newRig(t, anchors(t, d), people...)
	insurer := newAgent(t)
	r.config.BundleKey, r.config.TrustPieces = insurer, [][]byte{[]byte("root one"), []byte("root two")}
	_, stop := r.run()
	st := r.station()
	u, _ := st.run()
	k := st.keeper(u, insurer.name)

	s := updated(t, k, contract.BundlePopulation)
	if s.Entries != 1200 || s.Serial == 0 || s.IssuedAt.IsZero() {
		t.Errorf("%+v", s)
	}
	got, _, ok := k.Find(people[700].Number, "")
	if e := got.Entitlement; !ok || e.Source != contract.SourcePopulation || e.Status != contract.StatusValid || e.CardNumber != people[700].InsuranceNumber || got.Person.Name != people[700].Name {
		t.Errorf("%v", ok)
	}
	if _, _, ok := k.Find(people[1200].Number, ""); ok {
		t.Error("somebody of another facility is in the list")
	}
	if s := updated(t, k, contract.BundleTrust); s.Entries != 2 {
		t.Errorf("%+v", s)
	}
	if new, err := k.Update(t.Context(), contract.BundlePopulation); new || err != nil {
		t.Errorf("the same list again: %v, %v", new, err)
	}

	// Changes: somebody moves away, somebody comes, a card is revoked. The service
	// that makes the new list is another process than the one that made the old.
	stop()
	moved, revoked := people[3], people[5]
	moved.Facility, revoked.Code = "01014", "110"
	r.config.Seed.People = append([]central.Person{moved, revoked}, registered(facility, 1200, 1201)...)
	r.config.TrustPieces = [][]byte{[]byte("root two"), []byte("root three"), []byte("root four")}
	_, stop = r.run()
	defer stop()
	next := updated(t, k, contract.BundlePopulation)
	if next.Entries != 1200 || next.Serial <= s.Serial {
		t.Errorf("%+v", next)
	}
	if _, _, ok := k.Find(moved.Number, moved.InsuranceNumber); ok {
		t.Error("who moved away is still there")
	}
	if got, _, ok := k.Find("", revoked.InsuranceNumber); !ok || got.Entitlement.Status != contract.StatusNotEntitled {
		t.Error("a revoked card is still good")
	}
	if _, _, ok := k.Find("001099001200", ""); !ok {
		t.Error("who is new is not there")
	}
	updated(t, k, contract.BundleTrust)
	pieces, _, err := k.Pieces(t.Context())
	if err != nil || len(pieces) != 3 {
		t.Errorf("%d certificates, %v", len(pieces), err)
	}

	// Somebody who begins now gets the whole list.
	fresh := st.keeper(u, insurer.name)
	if s := updated(t, fresh, contract.BundlePopulation); s.Entries != 1200 {
		t.Errorf("%+v", s)
	}
	// Whoever has pinned another key believes none of it.
	other := st.keeper(u, newAgent(t).name)
	if _, err := other.Update(t.Context(), contract.BundlePopulation); err == nil {
		t.Error("installed a list that another key signed")
	} else if why, refused := bundle.Refused(err); !refused || why != bundle.ErrSignature {
		t.Error(err)
	}

	// The insurer's key rolls: who has pinned the old one follows, also somebody who
	// has nothing yet, and who has pinned the new one needs nothing.
	stop()
	rolled := newAgent(t)
	statement, err := bundle.NewRoll(insurer, rolled.name, now())
	if err != nil {
		t.Fatal(err)
	}
	r.config.BundleKey, r.config.BundleRolls = rolled, []string{statement}
	_, stop = r.run()
	defer stop()
	for _, tt := range []struct {
		name string
		k    *bundle.Keeper
	}{
		{"had a list", k}, // first: it waits until there is one that the new key signed
		{"had none", st.keeper(u, insurer.name)},
		{"knows only the new key", st.keeper(u, rolled.name)},
	} {
		if s := updated(t, tt.k, contract.BundlePopulation); s.Entries != 1200 || s.Key != rolled.name {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
	if _, err := st.keeper(u, newAgent(t).name).Update(t.Context(), contract.BundlePopulation); !errors.Is(err, bundle.ErrSignature) {
		t.Errorf("pinned another key: %v", err)
	}
	bad := r.config
	bad.BundleRolls = []string{statement + "x"}
	if _, err := central.New(bad); !errors.Is(err, central.ErrConfig) {
		t.Errorf("a statement that is none: %v", err)
	}
	if log := r.log.String(); strings.Contains(log, "Nguyễn") || strings.Contains(log, people[0].Number) {
		t.Error("the log names a person")
	}
}

// TestBundlesOfOthers: an agent that asks for the people of another facility, or
// that nobody enrolled, gets nothing.
func TestBundlesOfOthers(t *testing.T) {
	r := newRig(t, anchors(t, document(t, chip.ProfileCCCD, chip.TamperNone)), append(registered(facility, 0, 3), registered("01014", 10, 13)...)...)
	neighbour, stranger := newAgent(t), newAgent(t)
	r.config.Seed.Agents = append(r.config.Seed.Agents, central.Agent{Key: neighbour.name, Facility: "01014"})
	r.config.BundleKey = newAgent(t)
	r.run()
	id, err := contract.NewID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(who agent, facility string, change func(*contract.BundleRequest)) string {
		t.Helper()
		req := contract.BundleRequest{
			Version: contract.Version, ID: id, Facility: facility, Agent: who.name, At: contract.Timestamp(time.Now()), Kind: contract.BundlePopulation,
		}
		if change != nil {
			change(&req)
		}
		m, err := contract.NewBundleRequestMessage(who, &req)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}, patience)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Get(micro.ErrorCodeHeader)
	}
	deadline := time.Now().Add(patience)
	for ask(r.agent, facility, nil) != "" {
		if time.Now().After(deadline) {
			t.Fatal("no bundle")
		}
		time.Sleep(50 * time.Millisecond)
	}
	for name, tt := range map[string]struct{ got, want string }{
		"another facility": {ask(r.agent, "01014", nil), "403"},
		"stranger":         {ask(stranger, facility, nil), "403"},
		"no such part":     {ask(r.agent, facility, func(r *contract.BundleRequest) { r.Serial, r.Part = 1, 7 }), "404"},
		"has it":           {ask(r.agent, facility, func(r *contract.BundleRequest) { r.Have = 1 << 50 }), "304"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
}
