package bundle_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/store"
)

// reseal copies the lists of r to a new store under a new key.
func (r *rig) reseal(t *testing.T) (*rig, bundle.Resealed, error) {
	t.Helper()
	to := newRig(t)
	to.insurer = r.insurer
	if id := to.sealer.KeyID(); id == r.sealer.KeyID() {
		t.Fatal("the same key")
	}
	n, err := bundle.Reseal(t.Context(), r.st, r.sealer, to.st, to.sealer)
	var opening error
	if to.Keeper, opening = bundle.Open(to.config()); opening != nil {
		t.Fatal(opening)
	}
	return to, n, err
}

// TestReseal: people are found by both numbers, and a difference to the list can be
// installed, under the new key.
func TestReseal(t *testing.T) {
	r := newRig(t)
	noCard, noNumber := person(3), person(4)
	noCard.InsuranceNumber, noNumber.Number = "", ""
	r.insurer.offer(7, 0, contract.BundlePopulation, 4, people(t, person(1), person(2)), people(t, noCard, noNumber))
	r.installs(t)
	before, err := r.State(contract.BundlePopulation)
	if err != nil {
		t.Fatal(err)
	}
	to, n, err := r.reseal(t)
	if err != nil || n.Entries != 4 || n.Dropped != nil {
		t.Fatalf("%+v, %v", n, err)
	}
	if after, err := to.State(contract.BundlePopulation); err != nil || after.Serial != before.Serial || after.Entries != 4 || !after.InstalledAt.Equal(before.InstalledAt) {
		t.Errorf("state %+v, before %+v, %v", after, before, err)
	}
	for _, find := range [][2]string{{number(1), ""}, {"", card(1)}, {number(2), card(2)}, {number(3), ""}, {"", card(4)}} {
		want, _, ok := r.Find(find[0], find[1])
		got, _, found := to.Find(find[0], find[1])
		if !ok || !found || got.Person.Name != want.Person.Name {
			t.Errorf("%q: found %v", find, found)
		}
	}
	raw, err := os.ReadFile(to.path)
	if err != nil {
		t.Fatal(err)
	}
	if id := r.sealer.KeyID(); bytes.Contains(raw, id[:]) || bytes.Contains(raw, r.sealer.Index("bundle/people", []byte(number(1)))) {
		t.Error("something of the old key is in the new file")
	}
	// Somebody goes, somebody changes cards, somebody comes.
	changed := person(2)
	changed.InsuranceNumber = card(9)
	r.insurer.offer(8, 7, contract.BundlePopulation, 4, people(t, contract.Registered{Number: number(1), Removed: true}, changed, person(5)))
	to.installs(t)
	if _, _, ok := to.Find(number(1), card(1)); ok {
		t.Error("who went is still there")
	}
	if _, _, ok := to.Find("", card(9)); !ok {
		t.Error("the new card is not known")
	}
	if _, _, ok := to.Find("", card(2)); ok {
		t.Error("the old card is still known")
	}
}

// TestResealDamaged: a list that cannot be read as a whole is left behind as a
// whole, and comes again.
func TestResealDamaged(t *testing.T) {
	for _, bucket := range []string{"people", "state"} {
		t.Run(bucket, func(t *testing.T) {
			r := newRig(t)
			r.insurer.offer(7, 0, contract.BundlePopulation, 2, people(t, person(1), person(2)))
			r.installs(t)
			err := r.st.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte("bundle")).Bucket([]byte(bucket))
				k, v := b.Cursor().First()
				v = bytes.Clone(v)
				v[len(v)-1] ^= 1
				return b.Put(bytes.Clone(k), v)
			})
			if err != nil {
				t.Fatal(err)
			}
			to, n, err := r.reseal(t)
			if err != nil || n.Entries != 0 || !slices.Equal(n.Dropped, []contract.BundleKind{contract.BundlePopulation}) {
				t.Fatalf("%+v, %v", n, err)
			}
			if s, err := to.State(contract.BundlePopulation); err != nil || s.Installed() {
				t.Errorf("state %+v, %v", s, err)
			}
			to.installs(t)
			if _, _, ok := to.Find(number(1), ""); !ok {
				t.Error("the list did not come again")
			}
		})
	}
}

func TestResealRefuses(t *testing.T) {
	r := newRig(t)
	err := r.st.Update(func(tx *bbolt.Tx) error {
		_, err := tx.Bucket([]byte("bundle")).CreateBucket([]byte("tomorrow"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.reseal(t); !errors.Is(err, bundle.ErrUnknown) {
		t.Errorf("unknown data: %v", err)
	}
	// A store of an agent that keeps no lists.
	st, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	other := newRig(t)
	if n, err := bundle.Reseal(t.Context(), st, r.sealer, other.st, other.sealer); err != nil || n.Entries != 0 {
		t.Errorf("%+v, %v", n, err)
	}
}
