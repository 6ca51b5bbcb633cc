// Package lds reads the files of an electronic travel document and takes them
// apart: the logical data structure of Doc 9303-10 (8th edition).
//
// [ReadFile] reads one elementary file in few large exchanges, over a plain
// [apdu.Session] or a secure messaging channel alike, learns the limits of
// card and reader on the way ([Learned]), and hands back what it has when the
// card goes away, so that the file can be continued later ([Partial]).
//
// The parsers take the bytes of a whole file. They refuse what cannot be taken
// apart or understood in one way only, and tolerate what cards in the field
// are known to get wrong; each such point is a deviation, and [Check], the
// strict mode, returns every one of them. Nothing here is a verdict: whether a
// data group is what the issuer signed is the business of icao/passiveauth.
//
// Left out on purpose: writing, the LDS2 applications, the data groups 3 and 4
// (fingers and irises), which a terminal of ours may not read and which
// [ReadFile] reports as [ErrAccessDenied], and the data groups 5, 6 and 8 to
// 10, which nobody uses.
package lds
