// Package lds reads the files of an electronic travel document and takes them
// apart: the logical data structure of Doc 9303-10 (8th edition).
//
// [ReadFile] reads one elementary file in few large exchanges, over a plain
// [apdu.Session] or a secure messaging channel alike, learns the limits of
// card and reader on the way ([Learned]), and hands back what it has when the
// card goes away, so that the file can be continued later ([Partial]).
//
// The parsers take the bytes of a whole file. They are strict about structure,
// except that zero bytes behind the file's data object are accepted, because
// cards in the field send them. Nothing here is a verdict: whether a data
// group is what the issuer signed is the business of icao/passiveauth.
//
// Left out on purpose: writing, the LDS2 applications, and the data groups 3
// and 4 (fingers and irises), which a terminal of ours may not read. DG11,
// DG12 and DG16 are read as bytes and not parsed yet.
package lds
