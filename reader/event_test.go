package reader_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/reader"
)

func TestDiff(t *testing.T) {
	info := func(name string, s reader.State, changes uint32) reader.Info {
		return reader.Info{Name: name, State: s, Changes: changes}
	}
	empty, card, swapped := info("a", reader.Empty, 0), info("a", reader.Present, 1), info("a", reader.Present, 3)
	busy, mute := info("a", reader.Busy, 1), info("a", reader.Mute, 1)
	other := info("b", reader.Present, 7)
	type list = []reader.Info
	type event = reader.Event
	for _, tt := range []struct {
		name          string
		before, after list
		want          []event
	}{
		{"nothing", nil, nil, nil},
		{"same", list{card, other}, list{card, other}, nil},
		{"reader comes empty", nil, list{empty}, []event{{reader.ReaderAdded, empty}}},
		{"reader comes with a card", nil, list{card}, []event{{reader.ReaderAdded, card}, {reader.CardInserted, card}}},
		{"reader goes empty", list{empty}, nil, []event{{reader.ReaderRemoved, empty}}},
		{"reader goes with a card", list{card}, nil, []event{{reader.CardRemoved, card}, {reader.ReaderRemoved, card}}},
		{"card comes", list{empty, other}, list{card, other}, []event{{reader.CardInserted, card}}},
		{"mute card comes", list{empty}, list{mute}, []event{{reader.CardInserted, mute}}},
		{"card goes", list{card}, list{info("a", reader.Empty, 2)}, []event{{reader.CardRemoved, card}}},
		{"card swapped between looks", list{card}, list{swapped}, []event{{reader.CardRemoved, card}, {reader.CardInserted, swapped}}},
		{"card taken by a program", list{card}, list{busy}, []event{{reader.StateChanged, busy}}},
		{"reader fails", list{empty}, list{info("a", reader.Unavailable, 0)}, []event{{reader.StateChanged, info("a", reader.Unavailable, 0)}}},
		{"what goes is told first", list{card}, list{other}, []event{
			{reader.CardRemoved, card}, {reader.ReaderRemoved, card}, {reader.ReaderAdded, other}, {reader.CardInserted, other},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, reader.Diff(tt.before, tt.after)); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckCommand(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 3: false, 4: true, 5: true, reader.MaxCommand: true, reader.MaxCommand + 1: false} {
		if err := reader.CheckCommand(make([]byte, n)); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestStateText(t *testing.T) {
	if got := (reader.Info{}).State; got != reader.Unknown || got.String() != "unknown" || got.HasCard() {
		t.Errorf("zero state is %v", got)
	}
	for s, want := range map[reader.State]string{
		reader.Empty: "empty", reader.Present: "present", reader.Busy: "busy", reader.Mute: "mute",
		reader.Unavailable: "unavailable", 99: "unknown",
	} {
		if b, err := s.MarshalText(); err != nil || string(b) != want {
			t.Errorf("state %d: %q, %v, want %q", s, b, err, want)
		}
	}
}
