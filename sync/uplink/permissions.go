package uplink

import "github.com/chamthe/chamthe/sync/contract"

// verdictStream is the stream of verdicts, as in package central.
const verdictStream = "VERDICTS"

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
			"$JS.API.CONSUMER.CREATE." + verdictStream + "." + agent + "." + verdict,
			"$JS.API.CONSUMER.MSG.NEXT." + verdictStream + "." + agent,
			"$JS.ACK." + verdictStream + "." + agent + ".>",
		}, []string{
			inboxPrefix(agent) + ".>",
		}, nil
}
