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
	if in.known == (lds.Learned{}) || in.learned != in.known || in.ch == nil {
		return // nothing was known, or this very read has shown it
	}
	var dice [1]byte
	if _, err := io.ReadFull(in.cfg.Rand, dice[:]); err != nil || dice[0]%relearnEvery != 0 {
		return
	}
	var fresh lds.Learned
	opt := in.read
	opt.Learned = &fresh
	dg1, _ := lds.DataGroup(1)
	for _, f := range []lds.File{dg1, lds.EFSOD} {
		if _, err := lds.ReadFile(ctx, in.ch, f, &opt); err != nil {
			return // what was known is known now
		}
	}
	in.learned = fresh
}
