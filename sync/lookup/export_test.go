package lookup

// CheckAtOnce is the size of a store that Open checks before it returns.
const CheckAtOnce = checkAtOnce
