package contract

import "strings"

// Streams and wildcards that the central service listens on.
const (
	VisitStream     = "VISITS"
	VerdictStream   = "VERDICTS"
	VisitSubjects   = "ins.v1.visit.*.*"
	LookupSubjects  = "ins.v1.lookup.*"
	NonceSubjects   = "ins.v1.nonce.*"
	VerdictSubjects = "ins.v1.verdict.*"
	StatusSubjects  = "ins.v1.agent.*.status"
	BundleSubjects  = "ins.v1.bundle.*.*"
)

// CheckFacility returns an error unless s is a facility code: 1 to 32 letters,
// digits, hyphens or underscores. Such a code is safe as a subject token; a
// wildcard, a dot or a space in it would let one facility speak or listen for
// others.
func CheckFacility(s string) error { return check("facility", "facility", s) }

// VisitSubject returns where an agent publishes its visits.
func VisitSubject(facility, agent string) (string, error) {
	if err := CheckFacility(facility); err != nil {
		return "", err
	}
	if err := CheckAgent(agent); err != nil {
		return "", err
	}
	return "ins.v1.visit." + facility + "." + agent, nil
}

// LookupSubject returns where an agent asks for entitlements.
func LookupSubject(facility string) (string, error) {
	if err := CheckFacility(facility); err != nil {
		return "", err
	}
	return "ins.v1.lookup." + facility, nil
}

// NonceSubject returns where an agent asks for a fresh [Nonce], with an empty
// request.
func NonceSubject(facility string) (string, error) {
	if err := CheckFacility(facility); err != nil {
		return "", err
	}
	return "ins.v1.nonce." + facility, nil
}

// VerdictSubject returns where the verdicts for an agent's visits appear.
func VerdictSubject(agent string) (string, error) {
	if err := CheckAgent(agent); err != nil {
		return "", err
	}
	return "ins.v1.verdict." + agent, nil
}

// StatusSubject returns where an agent tells how it is.
func StatusSubject(agent string) (string, error) {
	if err := CheckAgent(agent); err != nil {
		return "", err
	}
	return "ins.v1.agent." + agent + ".status", nil
}

// BundleSubject returns where an agent asks for bundles: the kind and the facility
// (population, 01013).
func BundleSubject(kind BundleKind, facility string) (string, error) {
	if kind != BundlePopulation && kind != BundleTrust {
		return "", fail(Invalid, "kind")
	}
	if err := CheckFacility(facility); err != nil {
		return "", err
	}
	return "ins.v1.bundle." + string(kind) + "." + facility, nil
}

// ParseVisitSubject is the inverse of [VisitSubject].
func ParseVisitSubject(subject string) (facility, agent string, err error) {
	rest, ok := strings.CutPrefix(subject, "ins.v1.visit.")
	if !ok {
		return "", "", fail(WrongSubject, "")
	}
	facility, agent, _ = strings.Cut(rest, ".")
	if CheckFacility(facility) != nil || CheckAgent(agent) != nil {
		return "", "", fail(WrongSubject, "")
	}
	return facility, agent, nil
}

// ParseLookupSubject is the inverse of [LookupSubject].
func ParseLookupSubject(subject string) (facility string, err error) {
	facility, ok := strings.CutPrefix(subject, "ins.v1.lookup.")
	if !ok || CheckFacility(facility) != nil {
		return "", fail(WrongSubject, "")
	}
	return facility, nil
}

// ParseNonceSubject is the inverse of [NonceSubject].
func ParseNonceSubject(subject string) (facility string, err error) {
	facility, ok := strings.CutPrefix(subject, "ins.v1.nonce.")
	if !ok || CheckFacility(facility) != nil {
		return "", fail(WrongSubject, "")
	}
	return facility, nil
}

// ParseVerdictSubject is the inverse of [VerdictSubject].
func ParseVerdictSubject(subject string) (agent string, err error) {
	agent, ok := strings.CutPrefix(subject, "ins.v1.verdict.")
	if !ok || CheckAgent(agent) != nil {
		return "", fail(WrongSubject, "")
	}
	return agent, nil
}

// ParseStatusSubject is the inverse of [StatusSubject].
func ParseStatusSubject(subject string) (agent string, err error) {
	rest, ok := strings.CutPrefix(subject, "ins.v1.agent.")
	if !ok {
		return "", fail(WrongSubject, "")
	}
	agent, ok = strings.CutSuffix(rest, ".status")
	if !ok || CheckAgent(agent) != nil {
		return "", fail(WrongSubject, "")
	}
	return agent, nil
}

// ParseBundleSubject is the inverse of [BundleSubject].
func ParseBundleSubject(subject string) (kind BundleKind, facility string, err error) {
	rest, ok := strings.CutPrefix(subject, "ins.v1.bundle.")
	if !ok {
		return "", "", fail(WrongSubject, "")
	}
	name, facility, _ := strings.Cut(rest, ".")
	kind = BundleKind(name)
	if kind != BundlePopulation && kind != BundleTrust || CheckFacility(facility) != nil {
		return "", "", fail(WrongSubject, "")
	}
	return kind, facility, nil
}
