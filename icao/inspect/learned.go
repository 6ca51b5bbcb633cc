package inspect

import (
	"context"
	"io"

	"github.com/chamthe/chamthe/icao/lds"
)

// minLearnedNe is the smallest limit that is believed of one card because of
// another, in bytes of response data per APDU. Chips and readers that stop at 231,
// 223, 192, 160 and 112 bytes are known; none below. A card may say less of itself,
// and is read so; what it says must not be the end of others: with 32 bytes nothing
// would be left of a response after secure messaging with AES.
const minLearnedNe = 112

// lasting returns what of l holds for other cards of the kind. Nothing in it can
// make a read fail. At worst every file takes an exchange or two more and every
// piece of one is a third as long.
func lasting(l lds.Learned) lds.Learned {
	switch {
	case l.MaxNe < 0:
		l.MaxNe = 0
	case l.MaxNe > 0:
		l.MaxNe = max(l.MaxNe, minLearnedNe)
	}
	return l
}

// relearnEvery is how often limits that came from earlier reads are put to the
// test: once in so many reads.
const relearnEvery = 16

// relearn finds out whether the limits that were known before this read still
// hold, at its end, when nothing depends on the chip any more: it reads a small
// file and a longer one again as if nothing were known. What made the limits may
// have been a card that was not of the kind, a reader that had its bad day, or
// somebody's word on the air; nobody else would ever ask for more again. It is
// done now and then only, because a chip that does have the limits may end the
// channel over it.
func (in *inspection) relearn(ctx context.Context) {
	if in.known == (lds.Learned{}) || in.learned != in.known || in.doer() == nil {
		return // nothing was known, or this very read has shown it
	}
	var dice [1]byte
	if _, err := io.ReadFull(in.cfg.Rand, dice[:]); err != nil || dice[0]%relearnEvery != 0 {
		return
	}
	// What hangs some readers is not tried for the sake of knowing: extended length
	// comes back when what was learned has grown old.
	fresh := lds.Learned{NoExtended: in.known.NoExtended}
	if in.known == fresh {
		return
	}
	opt := in.read
	opt.Learned = &fresh
	dg1, _ := lds.DataGroup(1)
	for _, f := range []lds.File{dg1, lds.EFSOD} {
		if _, err := lds.ReadFile(ctx, in.doer(), f, &opt); err != nil {
			return // what was known is known now
		}
	}
	in.learned = fresh
}

// A breakage is a place in a file at which reading broke off without a word of
// the chip.
type breakage struct {
	file     lds.File
	offset   int
	times    int
	lowered  bool // less is asked for because of it
	extended bool // and commands of extended length are given up
}

// shorten judges a read that broke off without a word. A card that was lifted and
// a reader that breaks long answers off look the same, and the card is the one to
// suspect: so the same is asked for once more. What breaks off at the same place
// again is asked for in smaller pieces, one step at a time. Only when that brings
// the read on is it learned, see passed: more has then failed twice and less
// has worked, in one inspection, at one place. [ErrLongAnswers] means that nothing
// is left to lower.
func (in *inspection) shorten(e *lds.ReadError) error {
	b := &in.broke
	if b.file != e.File || b.offset != e.Offset {
		if b.file == e.File && b.offset < e.Offset {
			in.passed()
		}
		*b = breakage{file: e.File, offset: e.Offset}
	}
	if b.times++; b.times == 1 || e.Less == 0 {
		return nil
	}
	if e.Less < minLearnedNe {
		if b.lowered && in.read.MaxNe <= minLearnedNe {
			return ErrLongAnswers
		}
		return nil // what broke off was no long answer
	}
	b.lowered, b.extended = true, b.extended || e.Less == shortNe
	in.read.MaxNe = e.Less
	in.shortened++
	return nil
}

// passed learns what was lowered, now that its place is behind.
func (in *inspection) passed() {
	if in.broke.lowered && in.read.MaxNe < shortNe {
		in.learned.MaxNe = in.read.MaxNe
	}
	if in.broke.extended {
		in.learned.NoExtended = true
		in.cfg.MaxNe = min(in.cfg.MaxNe, shortNe)
	}
	in.broke = breakage{}
}
