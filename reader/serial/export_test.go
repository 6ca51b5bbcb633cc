package serial

import "time"

// Abandon lets the ports go without a word to the modules, as a program does
// that crashes.
func (d *Driver) Abandon() {
	for _, s := range d.slots {
		s.turn <- struct{}{}
		_ = s.disconnect(nil, nil)
		s.end()
	}
}

// Interval is how long after a look at this time the next one is due.
func (d *Driver) Interval(now time.Time) time.Duration { return d.interval(now) }

// Calm makes the driver believe that nothing has happened for a long time.
func (d *Driver) Calm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stirred = time.Time{}
}
