// Package doctor looks at everything that a reception desk's agent depends on, and
// says of each what was found, what that means, and what to do about it.
//
// A [Check] looks at one thing and never changes it, but for one small file that it
// writes to measure the disk and removes again. What the checks look at they are given as
// functions, so that the agent, which has everything open, and the command line, which
// has not, use the same ones. Nothing of it holds personal data: names of readers,
// versions, counts, ages and addresses of servers.
package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
)

// A Check looks at one thing, or at several of one kind.
type Check struct {
	ID    string // "pcsc.service": never renamed
	Title string
	// Run returns what was found: at least one entry. ID and Title of an entry may be
	// empty; they are then the check's. It returns soon after ctx ends.
	Run func(ctx context.Context) []wire.Diagnosed
}

// Limit is how long one check may take. What takes longer has failed.
const Limit = 15 * time.Second

// Run makes all checks side by side and returns their findings in the order of the
// checks. A check that has not come back after Limit, or when ctx ends, is reported
// as one that hangs, and left behind.
func Run(ctx context.Context, version string, checks ...Check) wire.Diagnosis {
	return run(ctx, version, Limit, checks)
}

func run(ctx context.Context, version string, limit time.Duration, checks []Check) wire.Diagnosis {
	found := make([][]wire.Diagnosed, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { found[i] = c.bounded(ctx, limit) })
	}
	all.Wait()
	d := wire.Diagnosis{At: time.Now(), Version: version, Level: wire.LevelOK, Findings: slices.Concat(found...)}
	if d.Findings == nil {
		d.Findings = []wire.Diagnosed{}
	}
	for _, f := range d.Findings {
		d.Level = Worse(d.Level, f.Level)
	}
	return d
}

func (c Check) bounded(ctx context.Context, limit time.Duration) []wire.Diagnosed {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	done := make(chan []wire.Diagnosed, 1) // who is left behind finds room
	go func() { done <- c.Run(ctx) }()
	var found []wire.Diagnosed
	select {
	case found = <-done:
	case <-ctx.Done():
		select {
		case found = <-done: // it was as fast as the limit
		case <-time.After(limit / 10):
			found = []wire.Diagnosed{{
				Level: wire.LevelError, What: "The check did not come back.",
				Why:    "What it looks at hangs, or this computer is very busy.",
				Remedy: "Try again; if it stays so, start this computer again.",
			}}
		}
	}
	if len(found) == 0 {
		found = []wire.Diagnosed{{Level: wire.LevelSkipped, What: "Nothing was looked at."}}
	}
	millis := float64(time.Since(began).Microseconds()) / 1000
	for i := range found {
		f := &found[i]
		if f.ID == "" {
			f.ID = c.ID
		}
		if f.Title == "" {
			f.Title = c.Title
		}
		if f.Level == "" { // nobody decided: not fine
			f.Level = wire.LevelError
		}
		f.What = clean(f.What)
		for k, v := range f.Values {
			f.Values[k] = clean(v)
		}
		f.Millis = millis
	}
	return found
}

// levels in the order of their weight. Skipped weighs nothing: that something could
// not be looked at is told, and is no reason for an alarm.
var levels = []string{wire.LevelOK, wire.LevelSkipped, wire.LevelInfo, wire.LevelWarning, wire.LevelError}

// Worse returns the level that weighs more. One that is not known weighs as an error.
func Worse(a, b string) string {
	weight := func(l string) int {
		if i := slices.Index(levels, l); i >= 0 {
			return i
		}
		return len(levels)
	}
	worst := a
	if weight(b) > weight(a) {
		worst = b
	}
	if worst == wire.LevelSkipped {
		return wire.LevelOK
	}
	return worst
}

// maxText bounds one text: some come from drivers and servers.
const maxText = 300

// clean makes text of others fit to be shown: printable, in one line, not endless.
func clean(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		n++
		switch {
		case n > maxText:
			return -1
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069':
			return ' '
		}
		return r
	}, s)
}

// of returns the finding that a fault is: its sentences, its page.
func of(level string, f *fault.Fault) wire.Diagnosed {
	i := fault.About(f.Code)
	d := wire.Diagnosed{Level: level, What: i.Cause, Remedy: i.Remedy, Page: fault.PagePath(f.Code), Values: map[string]string{"code": string(f.Code)}}
	if f.Err != nil {
		d.Values["detail"] = f.Err.Error()
	}
	return d
}

// ofError returns the finding that an error is.
func ofError(level string, err error) wire.Diagnosed {
	if errors.Is(err, context.DeadlineExceeded) { // ours, and not a reader's
		return wire.Diagnosed{
			Level: wire.LevelError, What: "Looking took too long.", Why: "What the check looks at hangs, or this computer is very busy.",
			Remedy: "Try again; if it stays so, start this computer again.", Values: map[string]string{},
		}
	}
	return of(level, fault.Classify(err))
}

func one(d wire.Diagnosed) []wire.Diagnosed { return []wire.Diagnosed{d} }

func ok(what string, values ...string) wire.Diagnosed {
	return wire.Diagnosed{Level: wire.LevelOK, What: what, Values: pairs(values)}
}

// Skipped is a finding for what cannot be looked at here.
func Skipped(why string) wire.Diagnosed {
	return wire.Diagnosed{Level: wire.LevelSkipped, What: "Not looked at.", Why: why}
}

func pairs(values []string) map[string]string {
	if len(values) < 2 {
		return nil
	}
	m := make(map[string]string, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		m[values[i]] = values[i+1]
	}
	return m
}
