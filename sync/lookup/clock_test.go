package lookup_test

import (
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
)

const day = 24 * time.Hour

// reopen ends the program and starts it again.
func (d *desk) reopen(t *testing.T) {
	t.Helper()
	d.Close()
	c := d.config
	var err error
	if d.Service, err = lookup.Open(c); err != nil {
		t.Fatal(err)
	}
}

// TestClockIsSetBack: what was too old stays too old, also when the program was
// started again meanwhile, until the central service has said that the clock is
// right.
func TestClockIsSetBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		d := newDesk(t)
		d.lookup(t)
		if got := d.Clock(); got != contract.ClockSynchronised {
			t.Errorf("clock %v after an answer", got)
		}
		d.central.set("000", errOffline)
		d.advance(20 * day)
		if a := d.lookup(t); !a.Stale || a.Age < 20*day {
			t.Errorf("20 days: stale %v, age %v", a.Stale, a.Age)
		}
		if restart {
			d.reopen(t)
		}
		d.jump(-20*day + 30*time.Minute) // half an hour after the answer, says the clock
		if restart {
			d.reopen(t)
		}
		a := d.lookup(t)
		if a.Entitlement.Source != contract.SourceCache || !a.Stale || a.Age < 20*day {
			t.Errorf("set back: source %v, stale %v, age %v", a.Entitlement.Source, a.Stale, a.Age)
		}
		if got := d.Clock(); got != contract.ClockUnsynchronised {
			t.Errorf("set back: clock %v", got)
		}
		// The link is there again, and it was the clock that was wrong.
		d.central.set("000", nil)
		for range 2 { // and asked again each time
			if a := d.lookup(t); a.Entitlement.Source != contract.SourceCentral || a.Stale || a.Age != time.Minute {
				t.Errorf("with a link: source %v, stale %v, age %v", a.Entitlement.Source, a.Stale, a.Age)
			}
		}
		if got := d.Clock(); got != contract.ClockUnsynchronised {
			t.Errorf("with a link: clock %v", got)
		}
		// Somebody sets it right.
		d.jump(20*day - 30*time.Minute)
		d.lookup(t)
		if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache || a.Stale {
			t.Errorf("set right: source %v, stale %v", a.Entitlement.Source, a.Stale)
		}
		if got := d.Clock(); got != contract.ClockSynchronised {
			t.Errorf("set right: clock %v", got)
		}
	}
}

// TestClockWasAhead: a clock that was ahead for a while, without a link, makes
// answers old but does not take them away, and one word of the central service ends
// the doubt.
func TestClockWasAhead(t *testing.T) {
	d := newDesk(t)
	d.lookup(t)
	d.central.set("000", errOffline)
	const far = 4000 * day
	d.jump(far)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceNone {
		t.Errorf("eleven years later: source %v", a.Entitlement.Source)
	}
	d.jump(-far)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache || !a.Stale || a.Age < far {
		t.Errorf("source %v, stale %v, age %v", a.Entitlement.Source, a.Stale, a.Age)
	}
	d.central.set("000", nil)
	d.lookup(t)
	d.central.set("000", errOffline)
	d.reopen(t)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache || a.Stale || a.Age != time.Minute {
		t.Errorf("after the central service spoke: source %v, stale %v, age %v", a.Entitlement.Source, a.Stale, a.Age)
	}
}

// TestClockJumpsOfADay: in both directions, with a link and without. Nobody is
// served an old answer as a fresh one, and nobody goes without.
func TestClockJumpsOfADay(t *testing.T) {
	tests := []struct {
		name   string
		jump   time.Duration
		err    error
		source contract.Source
		age    time.Duration
		stale  bool
		clock  contract.ClockQuality
	}{
		{"back", -day, nil, contract.SourceCentral, time.Minute, false, contract.ClockUnsynchronised},
		// It may be the central service that lives in the past.
		{"ahead", day, nil, contract.SourceCentral, day + time.Minute, true, contract.ClockUnsynchronised},
		{"back, no link", -day, errOffline, contract.SourceCache, time.Minute, true, contract.ClockUnsynchronised},
		// No day has passed, but it may be that the machine slept.
		{"ahead, no link", day, errOffline, contract.SourceCache, day + time.Minute, true, contract.ClockUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.lookup(t)
			d.central.set("000", tt.err)
			d.jump(tt.jump)
			for range 2 {
				a := d.lookup(t)
				if a.Entitlement.Source != tt.source || a.Age != tt.age || a.Stale != tt.stale {
					t.Errorf("source %v, age %v, stale %v; want %v, %v, %v", a.Entitlement.Source, a.Age, a.Stale, tt.source, tt.age, tt.stale)
				}
			}
			if got := d.Clock(); got != tt.clock {
				t.Errorf("clock %v, want %v", got, tt.clock)
			}
			// And back again: as if nothing had happened, once the central service spoke.
			d.jump(-tt.jump)
			d.central.set("000", nil)
			d.lookup(t)
			if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache || a.Stale || a.Age != time.Minute {
				t.Errorf("afterwards: source %v, stale %v, age %v", a.Entitlement.Source, a.Stale, a.Age)
			}
		})
	}
}

// TestClockIsSetAhead: the central service vouches for a clock that has moved as
// time has passed, for no other.
func TestClockIsSetAhead(t *testing.T) {
	for _, tt := range []struct {
		name string
		jump time.Duration
		want contract.ClockQuality
	}{
		{"not", 0, contract.ClockSynchronised},
		{"a minute", time.Minute, contract.ClockSynchronised},
		{"an hour", time.Hour, contract.ClockUnknown},
		{"a wrong year", 300 * day, contract.ClockUnknown},
		{"back a minute", -time.Minute, contract.ClockSynchronised},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.lookup(t)
			d.jump(tt.jump)
			if got := d.Clock(); got != tt.want {
				t.Errorf("clock %v, want %v", got, tt.want)
			}
		})
	}
}

// TestOldKnowledge: an answer is as stale as what it says of itself, whoever gave
// it and whenever.
func TestOldKnowledge(t *testing.T) {
	const old = 300 * day
	tests := []struct {
		name  string
		spoil func(*contract.LookupResponse)
		age   time.Duration
		later contract.Source // without a link
	}{
		{"known for long", func(r *contract.LookupResponse) { r.Entitlement.AsOf = centralTime.Add(-old) }, old, contract.SourceCache},
		{"given long ago", func(r *contract.LookupResponse) {
			r.At = centralTime.Add(-old)
			r.Entitlement.AsOf = r.At
		}, old, contract.SourceNone}, // beyond Config.Keep
		{"of the future", func(r *contract.LookupResponse) {
			r.At = centralTime.Add(old)
			r.Entitlement.AsOf = r.At
		}, 0, contract.SourceCache},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			tt.spoil(&d.central.answer)
			if a := d.lookup(t); a.Entitlement.Source != contract.SourceCentral || a.Age != tt.age || a.Stale != (tt.age > 0) {
				t.Errorf("source %v, age %v, stale %v", a.Entitlement.Source, a.Age, a.Stale)
			}
			d.central.err = errOffline
			if a := d.lookup(t); a.Entitlement.Source != tt.later || tt.later == contract.SourceCache && (a.Age != tt.age || !a.Stale) {
				t.Errorf("without a link: source %v, age %v, stale %v", a.Entitlement.Source, a.Age, a.Stale)
			}
		})
	}
}
