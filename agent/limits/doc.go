// Package limits remembers on disk what a model of reader and a kind of card can
// do together: the longest answer that worked, whether extended length was
// refused, whether a pause is needed. The next card of that kind is then read
// with the first command that works. It implements [reader.LimitStore].
//
// What is kept is a hint; losing it costs a few exchanges. It is no personal
// datum: a kind of card is known by its answer to reset, which is that of a
// product, and no UID is in it (PC/SC part 3 makes it from the historical bytes).
// But nothing in ISO/IEC 7816-4 keeps an issuer from putting a serial number among
// those bytes, and such an answer would tell that one card was here. So it is
// never written: the key of an entry is an HMAC, and what is in it is sealed, both
// with keys that lie outside the store (sync/seal).
package limits
