package doctor

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

func fixed(id string, found ...wire.Diagnosed) Check {
	return Check{ID: id, Title: "Title of " + id, Run: func(context.Context) []wire.Diagnosed { return found }}
}

func TestRun(t *testing.T) {
	d := Run(t.Context(), "1.2.3",
		fixed("a", wire.Diagnosed{Level: wire.LevelOK, What: "fine"}),
		fixed("b", wire.Diagnosed{Level: wire.LevelWarning, What: "so-so", ID: "b.own", Title: "Own"}, Skipped("because")),
		fixed("c"),
		fixed("d", wire.Diagnosed{What: "nobody\x1b[31m decided\u202e" + strings.Repeat("x", 1000), Values: map[string]string{"k": "a\nb"}}),
	)
	if d.Version != "1.2.3" || d.At.IsZero() || d.Level != wire.LevelError {
		t.Errorf("diagnosis %q at %v: %q", d.Version, d.At, d.Level)
	}
	want := []struct{ id, title, level string }{
		{"a", "Title of a", wire.LevelOK},
		{"b.own", "Own", wire.LevelWarning},
		{"b", "Title of b", wire.LevelSkipped},
		{"c", "Title of c", wire.LevelSkipped},
		{"d", "Title of d", wire.LevelError}, // without a level nothing is fine
	}
	if len(d.Findings) != len(want) {
		t.Fatalf("%d findings", len(d.Findings))
	}
	for i, w := range want {
		if f := d.Findings[i]; f.ID != w.id || f.Title != w.title || f.Level != w.level {
			t.Errorf("finding %d = %q %q %q, want %v", i, f.ID, f.Title, f.Level, w)
		}
	}
	last := d.Findings[4]
	if strings.ContainsAny(last.What, "\x1b\u202e\n") || len(last.What) > maxText || last.Values["k"] != "a b" {
		t.Errorf("shown as it came: %q, %q", last.What, last.Values["k"])
	}
}

func TestRunNothing(t *testing.T) {
	if d := Run(t.Context(), "1"); d.Level != wire.LevelOK || d.Findings == nil {
		t.Errorf("diagnosis of nothing: %+v", d)
	}
}

// TestRunHangs: a check that does not come back, not even when it is told to, is
// reported, and keeps nobody waiting.
func TestRunHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		hung := Check{ID: "hung", Title: "Hung", Run: func(context.Context) []wire.Diagnosed {
			<-leave
			return nil
		}}
		slow := Check{ID: "slow", Title: "Slow", Run: func(ctx context.Context) []wire.Diagnosed {
			<-ctx.Done() // returns soon after, as it should
			time.Sleep(Limit / 100)
			return []wire.Diagnosed{{Level: wire.LevelInfo, What: "gave up"}}
		}}
		d := Run(t.Context(), "1", hung, slow)
		if d.Findings[0].Level != wire.LevelError || !strings.Contains(d.Findings[0].What, "come back") {
			t.Errorf("hung: %+v", d.Findings[0])
		}
		if d.Findings[1].What != "gave up" {
			t.Errorf("slow: %+v", d.Findings[1])
		}
		close(leave)
	})
}

func TestWorse(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{wire.LevelOK, wire.LevelOK, wire.LevelOK},
		{wire.LevelOK, wire.LevelSkipped, wire.LevelOK},
		{wire.LevelSkipped, wire.LevelSkipped, wire.LevelOK},
		{wire.LevelOK, wire.LevelInfo, wire.LevelInfo},
		{wire.LevelWarning, wire.LevelInfo, wire.LevelWarning},
		{wire.LevelWarning, wire.LevelError, wire.LevelError},
		{wire.LevelWarning, "what", "what"},
	} {
		if got := Worse(tt.a, tt.b); got != tt.want {
			t.Errorf("Worse(%q, %q) = %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
