package inspect

// MaxExchanges bounds one inspection.
const MaxExchanges = maxExchanges
