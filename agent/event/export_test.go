package event

import "github.com/chamthe/chamthe/agent/wire"

// Poll returns the next event if one waits.
func Poll(s *Subscription) (wire.Event, bool) {
	e, ok, _ := s.take()
	return e, ok
}
