package reader

import "time"

// WithClock returns cfg with another clock for the time of the day.
func WithClock(cfg HubConfig, now func() time.Time) HubConfig {
	cfg.now = now
	return cfg
}

// WithProcesses returns cfg with another list of processes.
func WithProcesses(cfg HubConfig, proc string) HubConfig {
	cfg.proc = proc
	return cfg
}

// Pace is the least pause between two changes of one source.
const Pace = pace

// LimitsOf is what a hub makes of a reader's words and of what is known of it.
func LimitsOf(name string, caps Capabilities) (Limits, time.Duration) { return limitsOf(name, caps) }
