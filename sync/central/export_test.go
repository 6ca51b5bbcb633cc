package central

// IsNumber reports whether a zone proves a personal number.
var IsNumber = isNumber
