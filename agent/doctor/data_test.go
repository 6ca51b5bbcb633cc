package doctor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

var errTest = errors.New("doctor: test")

func answer[T any](v T, err error) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return v, err }
}

func TestData(t *testing.T) {
	ago := func(d time.Duration) *time.Time { at := time.Now().Add(-d); return &at }
	days := func(n int) *int { return &n }
	trust := func(n int, age *int, outdated int) Check {
		return Trust(answer(&wire.Trust{Certificates: n, States: 1, AgeDays: age, OutdatedLists: outdated}, nil))
	}
	for _, tt := range []struct {
		name  string
		check Check
		level string
	}{
		{"store sound", Store(answer(wire.Store{Checked: true}, nil)), wire.LevelOK},
		{"store not read yet", Store(answer(wire.Store{}, nil)), wire.LevelInfo},
		{"store damaged", Store(answer(wire.Store{Checked: true, Damaged: 2}, nil)), wire.LevelError},
		{"store damaged, seen while reading", Store(answer(wire.Store{Damaged: 2}, nil)), wire.LevelError},
		{"store fault", Store(answer(wire.Store{Checked: true, Fault: &wire.Fault{Code: "store_damaged", Cause: "c", Remedy: "r"}}, nil)), wire.LevelError},
		{"store not opened", Store(answer(wire.Store{}, errTest)), wire.LevelError},

		{"queue empty", Queue(answer(wire.Queue{}, nil)), wire.LevelOK},
		{"queue waits a minute", Queue(answer(wire.Queue{Queued: 2, Oldest: ago(time.Minute)}, nil)), wire.LevelOK},
		{"queue waits two days", Queue(answer(wire.Queue{Queued: 2, Oldest: ago(48 * time.Hour)}, nil)), wire.LevelInfo},
		{"queue waits a month", Queue(answer(wire.Queue{Stored: 2, Oldest: ago(30 * 24 * time.Hour)}, nil)), wire.LevelWarning},
		{"rejected", Queue(answer(wire.Queue{Rejected: 1}, nil)), wire.LevelWarning},
		{"queue not read", Queue(answer(wire.Queue{}, errTest)), wire.LevelError},

		{"trust", trust(500, days(10), 0), wire.LevelOK},
		{"trust without a date", trust(1, nil, 0), wire.LevelOK},
		{"no trust", trust(0, nil, 0), wire.LevelError},
		{"no trust at all", Trust(answer((*wire.Trust)(nil), nil)), wire.LevelError},
		{"old trust", trust(500, days(400), 0), wire.LevelWarning},
		{"outdated lists", trust(500, days(10), 3), wire.LevelWarning},
		{"trust not read", Trust(answer((*wire.Trust)(nil), errTest)), wire.LevelError},

		{"bundle", Bundles(answer([]wire.Bundle{{Kind: "population", AgeDays: 1}}, nil)), wire.LevelOK},
		{"no bundle", Bundles(answer([]wire.Bundle(nil), nil)), wire.LevelInfo},
		{"old people", Bundles(answer([]wire.Bundle{{Kind: "population", AgeDays: 30}}, nil)), wire.LevelWarning},
		{"trust as old as that", Bundles(answer([]wire.Bundle{{Kind: "trust", AgeDays: 30}}, nil)), wire.LevelOK},
		{"refused", Bundles(answer([]wire.Bundle{{Kind: "trust", Fault: &wire.Fault{Code: "trust_refused", Cause: "c", Remedy: "r"}}}, nil)), wire.LevelError},
		{"bundles not read", Bundles(answer([]wire.Bundle(nil), errTest)), wire.LevelError},

		{"audit whole", Audit(answer(3, nil)), wire.LevelOK},
		{"audit broken", Audit(answer(0, errTest)), wire.LevelError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f := find(t, tt.check)[0]; f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
		})
	}
}
