package central_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

var thu = central.Person{Number: "001099000001", InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}

// filedAs is how version 1 of the service files somebody, written down once more.
func filedAs(key []byte, kind, number string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("chamthe\x00person v1\x00" + kind + "\x00" + number))
	return hex.EncodeToString(h.Sum(nil))
}

// people returns the names of the entries about people.
func (r *rig) people() []string {
	r.t.Helper()
	kv, err := r.js.KeyValue(r.t.Context(), "ins-people")
	if err != nil {
		r.t.Fatal(err)
	}
	keys, err := kv.Keys(r.t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		r.t.Fatal(err)
	}
	return keys
}

// knows reports whether the service knows a person.
func (r *rig) knows(p central.Person) bool {
	r.t.Helper()
	resp, err := contract.DecodeLookupResponse(r.ask(r.agent, contract.LookupRequest{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate}).Data)
	return err == nil && resp.Entitlement.Status == contract.StatusValid
}

// TestPeopleAreFiledUnderAKey: who sees the names of entries cannot try numbers.
func TestPeopleAreFiledUnderAKey(t *testing.T) {
	key := bytes.Repeat([]byte{7}, central.PeopleKeySize)
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), thu)
	r.config.PeopleKey = key
	_, stop := r.run()
	if !r.knows(thu) {
		t.Error("nobody is known")
	}
	got := strings.Join(r.people(), " ")
	for kind, number := range map[string]string{"number": thu.Number, "insurance": thu.InsuranceNumber} {
		plain := sha256.Sum256([]byte("chamthe person v1\x00" + kind + "\x00" + number))
		if !strings.Contains(got, filedAs(key, kind, number)) || strings.Contains(got, hex.EncodeToString(plain[:])) {
			t.Errorf("%s: %s", kind, got)
		}
	}
	stop()

	// With another key nobody would be found: it does not serve.
	for name, other := range map[string][]byte{"other": bytes.Repeat([]byte{8}, central.PeopleKeySize), "none": nil} {
		r.config.PeopleKey = other
		r.config.Ready = nil
		c, err := central.New(r.config)
		if err != nil {
			t.Fatal(err)
		}
		end := runUntil(t, c.Run)
		for late := time.Now().Add(patience); !strings.Contains(r.log.String(), central.ErrPeopleKey.Error()); time.Sleep(time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("%s key: it does not say what is wrong; log:\n%s", name, r.log)
			}
		}
		end()
		r.log.Reset()
	}
	r.config.PeopleKey = key
	r.run()
	if !r.knows(thu) {
		t.Error("nobody is known any more")
	}
	if _, err := central.New(central.Config{URLs: r.config.URLs, Anchors: r.config.Anchors, PeopleKey: key[1:]}); !errors.Is(err, central.ErrConfig) {
		t.Errorf("a short key: %v", err)
	}
}

// TestPeopleAreFiledAnew: a store of an earlier version, whose names are plain
// hashes, goes on without them, and so does one that has lost its own key.
func TestPeopleAreFiledAnew(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	kv, err := r.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "ins-people", History: 1, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(thu)
	if err != nil {
		t.Fatal(err)
	}
	plain := make(map[string]bool)
	for kind, number := range map[string]string{"number": thu.Number, "insurance": thu.InsuranceNumber} {
		sum := sha256.Sum256([]byte("chamthe person v1\x00" + kind + "\x00" + number))
		plain[hex.EncodeToString(sum[:])] = true
	}
	for name := range plain {
		if _, err := kv.Put(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
	}
	_, stop := r.run()
	first := r.people()
	if !r.knows(thu) || len(first) != 2 || plain[first[0]] || plain[first[1]] {
		t.Errorf("filed as %v", first)
	}
	stop()
	if err := r.js.DeleteKeyValue(t.Context(), "ins-keys"); err != nil {
		t.Fatal(err)
	}
	r.run()
	second := strings.Join(r.people(), " ")
	if !r.knows(thu) || strings.Contains(second, first[0]) || strings.Contains(second, first[1]) {
		t.Errorf("filed as %v, before %v", second, first)
	}
}

// TestVisitsAreKeptForATime: the stream forgets, what became of a visit stays.
func TestVisitsAreKeptForATime(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	age := func(stream string) time.Duration {
		t.Helper()
		s, err := r.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().Config.MaxAge
	}
	for _, keep := range []time.Duration{0, central.MinKeepVisits, 0} {
		r.config.KeepVisits = keep
		_, stop := r.run()
		if got := age(contract.VisitStream); got != keep {
			t.Errorf("visits are kept for %v, want %v", got, keep)
		}
		if got := age("KV_ins-visits"); got != 0 {
			t.Errorf("what became of them is kept for %v, want for ever", got)
		}
		stop()
	}
	for _, keep := range []time.Duration{-1, 1, central.MinKeepVisits - 1} {
		cfg := r.config
		cfg.KeepVisits = keep
		if _, err := central.New(cfg); !errors.Is(err, central.ErrConfig) {
			t.Errorf("kept for %v: %v", keep, err)
		}
	}

	// A visit that the stream has forgotten is not counted again. A stream that
	// was made anew has forgotten everything.
	v := declared(t, r.agent)
	_, stop := r.run()
	r.send(v)
	verdicts := r.verdicts(r.agent)
	verdicts.expect(v.ID, contract.AssuranceDeclared, "")
	stop()
	if err := r.js.DeleteStream(t.Context(), contract.VisitStream); err != nil {
		t.Fatal(err)
	}
	c, _ := r.run()
	r.send(v)
	verdicts.expect(v.ID, contract.AssuranceDeclared, "")
	r.drained()
	if n := c.Counts(); n.Accepted != 0 || n.Repeated != 1 || r.records() != 1 {
		t.Errorf("%d accepted again, %d repeated, %d on record", n.Accepted, n.Repeated, r.records())
	}
}
