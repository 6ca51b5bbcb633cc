package central

import (
	"maps"
	"strconv"
	"sync"

	"github.com/chamthe/chamthe/sync/contract"
)

// Counts is what one process has done since it started. It holds nothing
// about anybody.
type Counts struct {
	Accepted    uint64                     // visits this process recorded as accepted
	Rejected    map[contract.Reason]uint64 // by reason, recorded or refused at the door
	Repeated    uint64                     // messages whose visit had its record already
	Redelivered uint64                     // messages that had been delivered before
	Malformed   uint64                     // messages terminated without a verdict
	Postponed   uint64                     // messages given back because the store did not answer
	SetAside    uint64                     // messages given up after too many deliveries
	Lookups     uint64                     // lookups answered
	Nonces      uint64                     // nonces made
}

// counts guards Counts.
type counts struct {
	mu sync.Mutex
	Counts
	later map[uint64]uint64 // by sequence: how often a visit was given back
}

// maxLater bounds the memory of what was given back; to forget it makes the
// intake less patient.
const maxLater = 1 << 16

func (c *counts) postpone(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Postponed++
	if c.later == nil || len(c.later) >= maxLater {
		c.later = make(map[uint64]uint64)
	}
	c.later[seq]++
}

func (c *counts) postponed(seq uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.later[seq]
}

func (c *counts) settled(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.later, seq)
}

func (c *counts) add(n *uint64) {
	c.mu.Lock()
	*n++
	c.mu.Unlock()
}

func (c *counts) verdict(v *contract.Verdict) {
	if v.State == contract.VerdictAccepted {
		c.add(&c.Accepted)
		return
	}
	c.refused(v.Reason)
}

func (c *counts) refused(why contract.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Rejected == nil {
		c.Rejected = make(map[contract.Reason]uint64)
	}
	c.Rejected[why]++
}

func (c *counts) snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.Counts
	s.Rejected = maps.Clone(s.Rejected)
	return s
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }
