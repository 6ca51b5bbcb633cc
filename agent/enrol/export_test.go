package enrol

// Decode is for tests.
var Decode = decode
