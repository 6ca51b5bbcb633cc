package inspect

// Exchanges take most of an inspection's time, and half of that the host waits for
// the chip. With [Config.Overlap] it does its own work meanwhile. Two rules keep
// that invisible: work reads what no longer changes (files as they were read,
// EF.SOD, the trust pool) and writes to variables of its own; and what came out of
// it enters the report on the goroutine of [Run], at places that do not depend on
// whether there is a hook. So the report, its order included, is the same.

// beside has host work done, beside the exchanges that follow if there is a hook
// and on the spot if there is none. wait returns when the work is over; it may be
// called again, and [inspection.run] calls it in any case.
func (in *inspection) beside(work func()) (wait func()) {
	if in.cfg.Overlap == nil {
		work()
		return func() {}
	}
	join, joined := in.cfg.Overlap(work), false
	wait = func() {
		if !joined {
			joined = true
			join()
		}
	}
	in.pending = append(in.pending, wait)
	return wait
}

// later keeps what is to be done with the outcome of work until [inspection.settle].
func (in *inspection) later(report func()) { in.outcomes = append(in.outcomes, report) }

// settle puts every outcome that is still open into the report, in the order in
// which the work began.
func (in *inspection) settle() {
	for len(in.outcomes) > 0 {
		report := in.outcomes[0]
		in.outcomes = in.outcomes[1:]
		report()
	}
}

// join waits for all work, so that none outlives [Run].
func (in *inspection) join() {
	for _, wait := range in.pending {
		wait()
	}
	in.pending = nil
}
