package central_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

// TestRevokeBesideEnrolment stops an enrolment before each of its writes, and has
// the agent revoked meanwhile, and the other way round. Whatever runs inside what,
// the visits of an agent count if its enrolment holds, and only then.
func TestRevokeBesideEnrolment(t *testing.T) {
	d := deploy(t)
	_, js := d.service()
	kv, err := js.KeyValue(t.Context(), "ins-agents")
	if err != nil {
		t.Fatal(err)
	}
	// at runs outer, and inner before the nth of outer's writes. It reports whether
	// there was one.
	at := func(r *central.Registry, n int, inner func(), outer func()) bool {
		ran := false
		r.OnStep(func() {
			if n--; n == 0 {
				ran = true
				inner()
			}
		})
		outer()
		r.OnStep(nil)
		return ran
	}
	check := func(a agent, want string) {
		t.Helper()
		got := ""
		if e, err := kv.Get(t.Context(), a.name); err == nil {
			got = string(e.Value())
		} else if !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Fatal(err)
		}
		if want != "" {
			want = `{"key":"` + a.name + `","facility":"` + want + `"}`
		}
		if got != want {
			t.Errorf("entry %s, want %s", got, want)
		}
		all, err := d.admin().Agents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Key == a.name && e.Revoked.IsZero() != (want != "") {
				t.Errorf("revoked %v, but the entry is %q", e.Revoked, got)
			}
		}
	}
	enrolled := func(r *central.Registry) agent {
		t.Helper()
		a := newAgent(t)
		if err := r.Enrol(t.Context(), a.name, d.code(time.Hour)); err != nil {
			t.Fatal(err)
		}
		return a
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	outer, inner := d.admin(), d.admin()

	n := 1
	for ; ; n++ {
		a := enrolled(inner)
		code := d.codeFor("01014", time.Hour)
		var enrolErr error
		ran := at(outer, n,
			func() { must(inner.Revoke(t.Context(), a.name)) },
			func() { enrolErr = outer.Enrol(t.Context(), a.name, code) })
		if !ran {
			check(a, "01014")
			break
		}
		t.Logf("revoked before write %d of the enrolment: %v", n, enrolErr)
		if enrolErr == nil {
			t.Errorf("revoked before write %d of the enrolment, which went on", n)
		}
		check(a, "")
	}
	if n < 4 {
		t.Errorf("an enrolment has %d writes", n-1)
	}

	for n = 1; ; n++ {
		a := enrolled(inner)
		var later contract.EnrolCode
		var enrolErr error
		ran := at(outer, n, func() {
			later = d.codeFor("01014", time.Hour)
			enrolErr = inner.Enrol(t.Context(), a.name, later)
		}, func() { must(outer.Revoke(t.Context(), a.name)) })
		if !ran {
			check(a, "")
			break
		}
		must(enrolErr)
		// Enrolled before it was revoked, or after.
		if n == 1 {
			check(a, "")
		} else {
			check(a, "01014")
		}
	}
	if n < 3 {
		t.Errorf("a revocation has %d writes", n-1)
	}

	// An agent that a registry does not have in its entries yet: the code is taken,
	// its enrolment half done.
	a := newAgent(t)
	must(outer.Enrol(t.Context(), a.name, d.code(time.Hour)))
	must(kv.Purge(t.Context(), a.name))
	must(outer.Revoke(t.Context(), a.name))
	check(a, "")
}
