// Package truststore keeps trust material in a directory: the certificates,
// revocation lists and signed lists that an administrator let in, with a record
// of who did so, when, from which file and on whose word.
//
// Nothing enters without one of two words: a chain of signatures to a root that
// is pinned in the store, or an administrator's explicit acceptance with a
// reason. Pinning a root is such a word too, and recorded as one. A pinned root
// vouches for master lists and defect lists, and is an anchor itself. An anchor
// that is not pinned vouches for its own state only: otherwise every accepted
// state could name the anchors of all the others. Of the master lists of a state
// the newest counts, and none before it: what a state has taken off its list does
// not come back with an old one.
//
// The directory holds
//
//	imports/000001.json   one entry for each import, never changed
//	objects/<SHA-256>     what the entries name, as it came
//
// An entry is written after its objects and takes the next free number, so that
// an import happens wholly or not at all, and two at the same moment do not lose
// one another. Loading is doing all imports again, with every signature: the
// directory is believed about words, never about signatures. Whoever may write
// to it may put words into an administrator's mouth; a directory that everybody
// may write to is refused. That the last entries were taken away is not noticed:
// who needs that keeps a copy.
//
// Left out: taking anything away, keeping document signers, and fetching.
package truststore
