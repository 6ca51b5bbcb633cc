package uplink_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/uplink"
)

// TestPermissionsAreExact pins the whole list: a subject more is a decision.
func TestPermissionsAreExact(t *testing.T) {
	agent, err := contract.EncodeAgent(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	publish, subscribe, err := uplink.Permissions("01013", agent)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(publish)
	want := []string{
		"$JS.ACK.VERDICTS." + agent + ".>",
		"$JS.API.CONSUMER.INFO.VERDICTS." + agent,
		"$JS.API.CONSUMER.MSG.NEXT.VERDICTS." + agent,
		"ins.v1.agent." + agent + ".status",
		"ins.v1.bundle.population.01013",
		"ins.v1.bundle.trust.01013",
		"ins.v1.lookup.01013",
		"ins.v1.nonce.01013",
		"ins.v1.visit.01013." + agent,
	}
	if diff := cmp.Diff(want, publish); diff != "" {
		t.Errorf("publish (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"_INBOX." + agent + ".>"}, subscribe); diff != "" {
		t.Errorf("subscribe (-want +got):\n%s", diff)
	}
	// Nothing is wild but the end of what is the agent's own.
	for _, s := range slices.Concat(publish, subscribe) {
		rest, wild := strings.CutSuffix(s, "."+agent+".>")
		if strings.ContainsAny(rest, "*>") && !wild || strings.Contains(rest, "*") {
			t.Errorf("%s is for more than one", s)
		}
	}
}

// TestPermissionsRefuse: a wildcard in a name would let one speak for all.
func TestPermissionsRefuse(t *testing.T) {
	agent, err := contract.EncodeAgent(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ facility, agent string }{
		{"", agent},
		{"*", agent},
		{">", agent},
		{"01013.>", agent},
		{"01 013", agent},
		{"01013", ""},
		{"01013", "*"},
		{"01013", ">"},
		{"01013", agent[:55]},
		{"01013", agent + ".x"},
		{"01013", "A" + agent[1:]},
	} {
		publish, subscribe, err := uplink.Permissions(tt.facility, tt.agent)
		if !errors.Is(err, contract.Invalid) || publish != nil || subscribe != nil {
			t.Errorf("%q, %q: %v, %v, %v", tt.facility, tt.agent, publish, subscribe, err)
		}
	}
}
