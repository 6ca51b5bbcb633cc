package uplink

import "github.com/chamthe/chamthe/sync/contract"

func inboxPrefix(agent string) string { return "_INBOX." + agent }

// Permissions returns the subjects that an agent's NATS credentials need, and
// nothing else: its own visits, lookups and nonces of its facility, its status,
// and the consumer of its own verdicts. Replies arrive below an inbox of its
// own, because with a shared prefix every agent could read every answer.
func Permissions(facility, agent string) (publish, subscribe []string, err error) {
	visit, err := contract.VisitSubject(facility, agent)
	if err != nil {
		return nil, nil, err
	}
	// The parts were checked by the first call.
	lookup, _ := contract.LookupSubject(facility)
	nonce, _ := contract.NonceSubject(facility)
	status, _ := contract.StatusSubject(agent)
	verdict, _ := contract.VerdictSubject(agent)
	return []string{
		visit, lookup, nonce, status,
		"$JS.API.CONSUMER.CREATE." + contract.VerdictStream + "." + agent + "." + verdict,
		"$JS.API.CONSUMER.MSG.NEXT." + contract.VerdictStream + "." + agent,
		"$JS.ACK." + contract.VerdictStream + "." + agent + ".>",
	}, []string{
		inboxPrefix(agent) + ".>",
	}, nil
}
