package policy

// OutcomeOf exports the judgement of one check.
var OutcomeOf = Policy.outcome
