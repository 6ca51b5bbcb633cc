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
	Accepted        uint64                     // visits this process recorded as accepted
	Rejected        map[contract.Reason]uint64 // by reason, recorded or refused at the door
	Repeated        uint64                     // messages whose visit had its record already
	Redelivered     uint64                     // messages that had been delivered before
	Malformed       uint64                     // messages terminated without a verdict
	Postponed       uint64                     // messages given back because the store did not answer
	SetAside        uint64                     // messages given up because they ended too many processes
	Lookups         uint64                     // lookups answered
	Nonces          uint64                     // nonces made
	Refused         map[contract.Reason]uint64 // requests refused (lookups, nonces, bundles), by reason
	Limited         uint64                     // requests (lookups, nonces, bundles) not answered because their agent asked too often
	Untold          uint64                     // visits refused without a verdict, because their agent has too many refused
	Statuses        uint64                     // statuses of agents that were kept
	StatusesRefused map[contract.Reason]uint64 // statuses that were not, by reason
	Unheard         uint64                     // requests dropped, because their answer could not go to an inbox
	Unanswered      uint64                     // requests put off because the store did not answer
}

// counts guards Counts.
type counts struct {
	mu sync.Mutex
	Counts
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
	c.addTo(&c.Rejected, v.Reason)
}

func (c *counts) addTo(m *map[contract.Reason]uint64, why contract.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *m == nil {
		*m = make(map[contract.Reason]uint64)
	}
	(*m)[why]++
}

func (c *counts) snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.Counts
	s.Rejected, s.Refused, s.StatusesRefused = maps.Clone(s.Rejected), maps.Clone(s.Refused), maps.Clone(s.StatusesRefused)
	return s
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }
