package central_test

import (
	"testing"

	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

// TestSeed: each agent has a consumer, of two entries with the same key the last one
// counts, and there may be more agents than the thousand consumers that a server
// allows for a stream which does not say otherwise.
func TestSeed(t *testing.T) {
	const many = 50
	p := central.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}
	old := p
	old.Name = "Trần Thị Mẫu"
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), old, p)
	for range many {
		r.config.Seed.Agents = append(r.config.Seed.Agents, central.Agent{Key: newAgent(t).name, Facility: "79001"})
	}
	r.run()
	st, err := r.js.Stream(t.Context(), contract.VerdictStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := st.CachedInfo().State.Consumers; n != many+1 {
		t.Errorf("%d consumers, want %d", n, many+1)
	}
	if n := st.CachedInfo().Config.MaxConsumers; n < 13_000 {
		t.Errorf("at most %d agents", n)
	}
	if msg := r.ask(r.agent, contract.LookupRequest{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate}); msg.Header.Get(micro.ErrorCodeHeader) != "" {
		t.Errorf("lookup: %v", msg.Header)
	} else if resp, err := contract.DecodeLookupResponse(msg.Data); err != nil || resp.Person == nil || resp.Person.Name != p.Name {
		t.Errorf("lookup: %s, %v; want the last entry", resp.Entitlement.Code, err)
	}
}
