package uplink

import "time"

// SetDraw replaces the randomness that keeps agents apart.
func SetDraw(u *Uplink, draw func(below time.Duration) time.Duration) { u.spread.draw = draw }
