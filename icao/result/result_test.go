package result_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/chamthe/chamthe/icao/result"
)

func TestZeroValueIsNotPerformed(t *testing.T) {
	var c result.Check
	if c.Value != result.NotPerformed {
		t.Fatalf("zero check is %v", c.Value)
	}
	if got := result.Worst(); got.Value != result.NotPerformed {
		t.Fatalf("Worst() of nothing is %v", got.Value)
	}
}

func TestTextRoundTrip(t *testing.T) {
	for v := result.NotPerformed; v <= result.Aborted; v++ {
		b, err := json.Marshal(result.Check{Value: v})
		if err != nil {
			t.Fatal(err)
		}
		var back result.Check
		if err := json.Unmarshal(b, &back); err != nil || back.Value != v {
			t.Errorf("%v came back as %v (%v)", v, back.Value, err)
		}
	}
	if _, err := result.Value(6).MarshalText(); !errors.Is(err, result.ErrValue) {
		t.Errorf("value 6: %v", err)
	}
	v := result.Failed
	if err := v.UnmarshalText([]byte("verified")); !errors.Is(err, result.ErrValue) || v != result.Failed {
		t.Errorf("unknown text: %v, %v", v, err)
	}
}

func TestWorst(t *testing.T) {
	ok := result.Pass("ECDSA")
	tests := []struct {
		name string
		in   []result.Check
		want result.Value
	}{
		{"all good", []result.Check{ok, ok}, result.Successful},
		{"not supported is not a success", []result.Check{ok, {Value: result.NotSupported}}, result.NotSupported},
		{"a forgotten check is not a success", []result.Check{ok, {}}, result.NotPerformed},
		{"cannot tell", []result.Check{ok, result.Unknown("no_trust_anchor"), {}}, result.Undetermined},
		{"failure wins", []result.Check{result.Unknown("x"), {Value: result.Aborted}, result.Fail("y"), ok}, result.Failed},
		{"a value that does not exist counts as failed", []result.Check{ok, {Value: 99}}, 99},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := result.Worst(tt.in...); got.Value != tt.want {
				t.Errorf("got %v, want %v", got.Value, tt.want)
			}
		})
	}
}
