package uplink

import "github.com/chamthe/chamthe/sync/contract"

func inboxPrefix(agent string) string { return "_INBOX." + agent }

// Permissions returns the subjects that an agent's NATS credentials need, and
// nothing else: its own visits, lookups, nonces and bundles of its facility, its status,
// and the consumer of its own verdicts, which the central service has made: who
// may make a consumer may have it deliver to any subject. Replies arrive below
// an inbox of its own, because with a shared prefix every agent could read every
// answer.
//
// Permissions do not restrict which reply subject a message names, and whoever
// answers publishes there. So the agent must not share an account with
// JetStream: package natsd gives it one of its own, and so must an operator's
// configuration, with these subjects as service imports (that of MSG.NEXT with
// the response type "stream").
func Permissions(facility, agent string) (publish, subscribe []string, err error) {
	visit, err := contract.VisitSubject(facility, agent)
	if err != nil {
		return nil, nil, err
	}
	// The parts were checked by the first call.
	lookup, _ := contract.LookupSubject(facility)
	nonce, _ := contract.NonceSubject(facility)
	status, _ := contract.StatusSubject(agent)
	population, _ := contract.BundleSubject(contract.BundlePopulation, facility)
	trust, _ := contract.BundleSubject(contract.BundleTrust, facility)
	consumer := contract.VerdictStream + "." + agent
	publish = []string{
		visit, lookup, nonce, status, population, trust,
		"$JS.API.CONSUMER.INFO." + consumer,
		"$JS.API.CONSUMER.MSG.NEXT." + consumer,
		"$JS.ACK." + consumer + ".>",
	}
	return publish, []string{inboxPrefix(agent) + ".>"}, nil
}
