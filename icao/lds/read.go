package lds

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/tlv"
)

// Why a file was not read. Each is wrapped in a [*ReadError], together with
// the card's [apdu.Status] where one led to it; match with errors.Is.
var (
	// ErrNoFile: the card does not have the file.
	ErrNoFile = errors.New("lds: no such file")
	// ErrAccessDenied: the card has the file and does not hand it out. That
	// is normal for DG3 and DG4.
	ErrAccessDenied = errors.New("lds: access denied")
	// ErrTag: the file begins with another data object than it should.
	ErrTag = errors.New("lds: file begins with the wrong tag")
	// ErrHeader: the file begins with no data object at all.
	ErrHeader = errors.New("lds: malformed file header")
	// ErrTooLarge: the file's length is above [ReadOptions.MaxSize].
	ErrTooLarge = errors.New("lds: file too large")
	// ErrTruncated: the card has less of the file than its length says.
	ErrTruncated = errors.New("lds: file ends early")
	// ErrStalled: the card sends so little per exchange that reading the
	// file would take for ever.
	ErrStalled = errors.New("lds: too many exchanges")
	// ErrChanged: a resumed file is not the one that was begun.
	ErrChanged = errors.New("lds: another file than before")
	// ErrResponse: the card's answer to READ BINARY with odd instruction is
	// not one discretionary data object.
	ErrResponse = errors.New("lds: malformed response")
)

// Sizes above which a file is refused before it is read, unless
// [ReadOptions.MaxSize] says otherwise. Pictures come to about 20 KiB, every
// other file stays below 4 KiB.
const (
	DefaultMaxSize        = 64 << 10
	DefaultMaxPictureSize = 1 << 20 // DG2 to DG7
)

// ReadOptions says how to read a file. The zero value and nil read with short
// commands and default limits.
type ReadOptions struct {
	// MaxNe is the most response data that card and reader carry in one
	// APDU, as EF.ATR/INFO and the reader state it. Zero means 256, the most
	// that a short command can ask for. A secure messaging channel takes its
	// own share of it.
	MaxNe int

	// MaxSize is the size of the largest file to read; zero means a default
	// that depends on the file.
	MaxSize int

	// Learned is what is known of this card and reader. ReadFile starts from
	// it and writes to it what it finds out; use one for all files of a card.
	Learned *Learned

	// Resume continues a file where an earlier ReadFile stopped.
	Resume *Partial

	// Progress, if not nil, is called after every exchange that brought
	// data, with the bytes received so far and the size of the file, 0 while
	// unknown. It must not use the Doer.
	Progress func(have, size int)
}

// Learned is what reading has shown of one card in one reader. The zero value
// is what holds for a card that follows the standard. It holds no personal
// data and may be kept for cards with the same answer to reset. It is not safe
// for concurrent use.
type Learned struct {
	MaxNe      int  // response data per APDU that worked after more had been refused; 0: nothing was refused
	NoExtended bool // commands of extended length break the connection
	NoSFI      bool // files have to be selected before reading
	Probe      bool // asking for more than the file holds is refused: read the header first
}

// A Partial is the beginning of a file whose reading stopped. It holds data of
// the card, which it does not print. It may be resumed any number of times; it
// is not changed by that.
type Partial struct {
	file File
	data []byte
	size int
}

// File returns the file that was being read.
func (p *Partial) File() File { return p.file }

// Offset returns how many bytes are there: where reading goes on.
func (p *Partial) Offset() int { return len(p.data) }

// Size returns the size of the whole file, 0 while it is unknown.
func (p *Partial) Size() int { return p.size }

// String returns the file's name and how much of it is there.
func (p *Partial) String() string {
	return fmt.Sprintf("%s: %d of %d bytes", p.file.Name, len(p.data), p.size)
}

// GoString is String.
func (p *Partial) GoString() string { return p.String() }

// A ReadError says which file could not be read, how far reading came and why.
type ReadError struct {
	File    File
	Offset  int      // bytes received before the error
	Partial *Partial // for [ReadOptions.Resume]; nil when there is nothing to go on from
	// Less is set if an exchange broke off without a word of the card: the
	// [ReadOptions.MaxNe] with which its command would have asked for less. 0 if
	// there is none. A card that was lifted looks just so; what helps shows who
	// it was.
	Less int
	Err  error
}

// Error names the file and the offset, and none of the file's content.
func (e *ReadError) Error() string {
	return fmt.Sprintf("read %s at %d: %v", e.File.Name, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// Instructions and parameters of the commands (Doc 9303-10, 3.6).
const (
	insSelect        = 0xA4
	insReadBinary    = 0xB0
	insReadBinaryOdd = 0xB1

	p1SelectMF  = 0x00
	p1SelectEF  = 0x02
	p1SelectAID = 0x04
	p2NoData    = 0x0C // no response data

	p1SFI = 0x80 // P1 of READ BINARY is a short EF identifier

	tagOffset        = 0x54
	tagDiscretionary = 0x53
)

const (
	// oddOffset is the first offset that P1 and P2 cannot express. Some
	// cards refuse the odd instruction below it and the even one across it
	// (Doc 9303-10, 3.6.6, note 1), so no command crosses it.
	oddOffset = 0x8000

	// maxHeaderLen is the length of the longest tag and length field that
	// tlv reads.
	maxHeaderLen = 7

	// probeLen is what is asked for when only the header is wanted: the
	// longest header of a file of the standard, and no more, so that it is
	// not beyond the end of any of them.
	probeLen = 5

	// checkLen is how much of the beginning is read again to see that a
	// resumed file is the one that was begun.
	checkLen = 32

	// A card may answer with little data or none at all now and then (the
	// ladder of Le, corrected lengths, the end of the file). It gets so many
	// exchanges, and one more for every minPerExchange bytes that it sent;
	// then ErrStalled. Nothing else ends the exchange with a card that sends
	// one byte at a time.
	exchangeSlack  = 64
	minPerExchange = 16
)

// ladder is the response data per APDU that is tried, one after another, when
// a card or reader turns out not to carry what was asked for. All but the last
// four were found necessary in the field (readers and cards that stop at 231,
// 223, 192 or 160 bytes); above 256 the only fallback is 256.
var ladder = [...]int{256, 224, 192, 160, 128, 112, 96, 64, 48, 32}

// ReadFile reads a whole file and returns its data object exactly: what the
// card sends behind it is cut off. For a file without Tag it returns all the
// card sends. The caller has selected the application (or, for the files of
// the master file, nothing) and opened d, which is either a session or a
// secure messaging channel; a Doer with a method MaxNe(limit int) int is asked
// how much plain data fits into a response of limit bytes.
//
// The first command names the file by its short identifier and asks for as
// much as possible, so that a small file takes one exchange (Doc 9303-10,
// 3.6.3.2). Cards and readers that do not like that are adapted to, and
// [ReadOptions.Learned] keeps what was found.
//
// The error is a [*ReadError] and the data then nil. If the card went away in
// the middle, open a new channel and pass the error's Partial as
// [ReadOptions.Resume].
//
// ctx is checked before every exchange.
func ReadFile(ctx context.Context, d apdu.Doer, f File, opt *ReadOptions) ([]byte, error) {
	if opt == nil {
		opt = &ReadOptions{}
	}
	r := newReading(d, f, opt)
	if err := r.run(ctx); err != nil {
		return nil, &ReadError{File: f, Offset: len(r.buf), Partial: r.partial(), Less: r.less, Err: err}
	}
	return r.buf, nil
}

// Ask asks for the header of a file and for nothing else of it: for files that a
// card is expected to keep back. nil means that it hands the file out; errors are
// those of [ReadFile]. learned may be nil.
func Ask(ctx context.Context, d apdu.Doer, f File, learned *Learned) error {
	r := newReading(d, f, &ReadOptions{MaxSize: 1, Learned: learned})
	r.headerOnly = true
	err := r.run(ctx)
	if err == nil || errors.Is(err, ErrTooLarge) { // as every file is that is not empty
		return nil
	}
	return &ReadError{File: f, Err: err}
}

// A reading is one call of ReadFile.
type reading struct {
	d        apdu.Doer
	file     File
	maxSize  int
	learned  *Learned
	progress func(have, size int)

	buf     []byte
	size    int  // of the file; 0 while unknown
	ended   bool // no more to come, for files without Tag
	resumed bool

	headerOnly bool // see Ask

	limit   int  // response data per APDU that is asked for now
	refused bool // limit was lowered and nothing has been read with it yet
	exact   int  // Ne that the card asked for with 6Cxx, for the rest of this file; 0: none
	less    int  // see ReadError.Less

	exchanges int
}

func newReading(d apdu.Doer, f File, opt *ReadOptions) *reading {
	r := &reading{
		d: d, file: f, maxSize: opt.MaxSize, learned: opt.Learned, progress: opt.Progress,
		limit: opt.MaxNe,
	}
	if r.maxSize <= 0 {
		r.maxSize = DefaultMaxSize
		if f.DG >= 2 && f.DG <= 7 {
			r.maxSize = DefaultMaxPictureSize
		}
	}
	r.maxSize = min(r.maxSize, maxHeaderLen+tlv.MaxLength)
	if r.learned == nil {
		r.learned = &Learned{}
	}
	if r.limit <= 0 {
		r.limit = ladder[0]
	}
	r.limit = min(r.limit, 65536)
	if n := r.learned.MaxNe; n > 0 {
		r.limit = min(r.limit, n)
	}
	if r.learned.NoExtended {
		r.limit = min(r.limit, ladder[0])
	}
	if p := opt.Resume; p != nil && p.file == f && len(p.data) > 0 {
		r.buf, r.size, r.resumed = bytes.Clone(p.data), p.size, true
	}
	return r
}

func (r *reading) partial() *Partial {
	if len(r.buf) == 0 {
		return nil
	}
	return &Partial{file: r.file, data: r.buf, size: r.size}
}

func (r *reading) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	for !r.done() {
		if err := r.next(ctx); err != nil {
			return err
		}
	}
	if r.file.Tag == 0 {
		return nil
	}
	s := tlv.String(r.buf)
	if !s.ReadBytes(&r.buf, r.size) {
		return ErrTruncated
	}
	return nil
}

func (r *reading) done() bool {
	if r.file.Tag == 0 {
		return r.ended
	}
	return r.size > 0 && len(r.buf) >= r.size
}

// open makes the file the current one, by reading from it by its short
// identifier if possible and by selecting it if not.
func (r *reading) open(ctx context.Context) error {
	var why apdu.Status // of the refusal of the short identifier
	if r.file.SFI != 0 && !r.learned.NoSFI {
		for {
			ne := r.firstNe()
			resp, err := r.do(ctx, apdu.Command{INS: insReadBinary, P1: p1SFI | r.file.SFI, Ne: ne})
			if err != nil {
				return r.interrupted(err, ne)
			}
			if delivers(resp) {
				return r.first(resp.Data, ne)
			}
			if exact, ok := r.exactLe(resp.SW, ne); ok {
				r.exact = exact
				continue
			}
			if beyond(resp) && ne > probeLen && r.probes() {
				r.learned.Probe = true
				continue
			}
			why = resp.SW
			break
		}
		r.exact = 0
		if why == apdu.SecurityStatusNotSatisfied {
			return denied(why)
		}
		if !refusesSFI(why) {
			return ended(why)
		}
	}
	resp, err := r.do(ctx, apdu.Command{
		INS: insSelect, P1: p1SelectEF, P2: p2NoData,
		Data: []byte{byte(r.file.ID >> 8), byte(r.file.ID)},
	})
	if err != nil {
		return err
	}
	switch {
	case resp.SW == apdu.OK:
		if why != 0 {
			// If the first refusal looked like one of the length, it was not.
			r.learned.NoSFI, r.learned.Probe = true, false
		}
		if r.resumed {
			return r.check(ctx)
		}
		return nil
	case refused(resp.SW):
		return denied(resp.SW)
	case resp.SW == apdu.FileNotFound, why == apdu.FileNotFound:
		return fmt.Errorf("%w: %w", ErrNoFile, apdu.FileNotFound)
	default:
		return fmt.Errorf("lds: select file: %w", resp.SW)
	}
}

// firstNe is how much the first command asks for.
func (r *reading) firstNe() int {
	ne := min(r.plainNe(), oddOffset)
	if r.exact > 0 {
		// What the card called the right length may still be beyond the end of
		// this file: then only the header is asked for, as below.
		ne = min(ne, r.exact)
	}
	switch {
	case r.resumed:
		ne = min(ne, checkLen, len(r.buf))
	case (r.learned.Probe || r.headerOnly) && r.probes():
		ne = min(ne, probeLen)
	}
	return ne
}

// probes reports whether the beginning of the file may be asked for as a
// header alone.
func (r *reading) probes() bool { return r.file.Tag != 0 && r.size == 0 && !r.resumed }

// first takes the data of the first command, which for a resumed file must be
// what is there already.
func (r *reading) first(data []byte, ne int) error {
	if !r.resumed {
		return r.take(data, ne)
	}
	again, err := cut(data, min(ne, len(r.buf)))
	if err != nil {
		return err
	}
	// The check is for a person who holds another card to the reader: the
	// bytes of two cards would be mixed, and passive authentication would
	// call an honest card forged.
	if !bytes.HasPrefix(r.buf, again) {
		r.buf = nil
		return ErrChanged
	}
	r.refused = false
	return nil
}

// check reads the beginning of a selected file that is being resumed.
func (r *reading) check(ctx context.Context) error {
	for {
		ne := r.firstNe()
		resp, err := r.do(ctx, apdu.Command{INS: insReadBinary, Ne: ne})
		if err != nil {
			return r.interrupted(err, ne)
		}
		if delivers(resp) {
			return r.first(resp.Data, ne)
		}
		exact, ok := r.exactLe(resp.SW, ne)
		if !ok {
			return ended(resp.SW)
		}
		r.exact = exact
	}
}

// next reads a piece of the current file.
func (r *reading) next(ctx context.Context) error {
	offset := len(r.buf)
	most := r.plainNe()
	ne := most
	if r.size > 0 {
		ne = min(ne, r.size-offset)
	} else if (r.learned.Probe || r.headerOnly) && r.probes() {
		ne = min(ne, probeLen)
	}
	if r.exact > 0 {
		ne = min(ne, r.exact)
	}

	c := apdu.Command{INS: insReadBinary, P1: byte(offset >> 8), P2: byte(offset), Ne: ne}
	odd := offset >= oddOffset
	if odd {
		// The data comes inside a data object, whose header counts too.
		ne = min(ne, most-objectLen(most))
		if ne < 1 {
			return ErrStalled
		}
		c = apdu.Command{INS: insReadBinaryOdd, Data: offsetObject(offset), Ne: ne + objectLen(ne)}
	} else {
		ne = min(ne, oddOffset-offset)
		c.Ne = ne
	}

	resp, err := r.do(ctx, c)
	if err != nil {
		return r.interrupted(err, ne)
	}
	if delivers(resp) {
		data := resp.Data
		if odd {
			if data, err = discretionary(data); err != nil {
				return err
			}
		}
		if len(data) > 0 {
			return r.take(data, ne)
		}
		resp.Data = nil
	}
	if refused(resp.SW) {
		return denied(resp.SW)
	}
	if exact, ok := r.exactLe(resp.SW, ne); ok {
		r.exact = exact
		return nil
	}
	if !beyond(resp) {
		return fmt.Errorf("lds: read binary: %w", resp.SW)
	}
	if r.file.Tag == 0 && offset > 0 {
		r.ended = true
		return nil
	}
	return r.retreat(resp.SW, ne)
}

// take appends what the card sent in answer to a command for ne bytes, and
// reads the header of the file once it is complete.
func (r *reading) take(data []byte, ne int) error {
	short := len(data) < ne
	data, err := cut(data, ne)
	if err != nil {
		return err
	}
	r.buf = append(r.buf, data...)
	if r.refused {
		r.learned.MaxNe = r.limit
		r.refused = false
	}
	if r.file.Tag == 0 {
		if len(r.buf) > r.maxSize {
			return ErrTooLarge
		}
		r.ended = short
	} else if r.size == 0 {
		tag, headerLen, valueLen, ok := tlv.Header(r.buf)
		switch {
		case !ok && len(r.buf) < maxHeaderLen:
			// Not complete yet.
		case !ok:
			return ErrHeader
		case tag != r.file.Tag:
			return ErrTag
		case headerLen+valueLen > r.maxSize:
			return ErrTooLarge
		default:
			r.size = headerLen + valueLen
		}
	}
	if r.progress != nil {
		have := len(r.buf)
		if r.size > 0 {
			have = min(have, r.size)
		}
		r.progress(have, r.size)
	}
	return nil
}

// retreat answers a refusal of ne bytes by asking for less next time. When
// nothing is left to try, the refusal is the end of the file.
func (r *reading) retreat(sw apdu.Status, ne int) error {
	if len(r.buf) == 0 && ne > probeLen && r.probes() {
		r.learned.Probe = true
		return nil
	}
	if !r.lower(ne) {
		return ended(sw)
	}
	// While the size is unknown, more may have been asked for than there is,
	// which says nothing about card and reader.
	r.refused = r.size > 0
	return nil
}

// lower goes down the ladder until less than ne bytes are asked for, and
// reports whether there is such a step.
func (r *reading) lower(ne int) bool {
	for _, n := range ladder {
		if n >= r.limit {
			continue
		}
		r.limit = n
		if r.plainNe() < ne {
			return true
		}
	}
	return false
}

// interrupted says what an exchange means that broke the channel. Many cards
// answer in plain when they refuse a protected command, which ends secure
// messaging: what the status word says is recorded for the next try.
//
// The word is not authentic. Believing it costs no more than a jammed exchange
// would: the file counts as absent or denied, or is read in smaller pieces.
//
// No word at all says nothing by itself: see [ReadError.Less].
func (r *reading) interrupted(err error, ne int) error {
	var sw apdu.Status
	if !errors.As(err, &sw) {
		if r.lower(ne) {
			r.less = r.limit
		}
		return err
	}
	switch {
	case sw == apdu.FileNotFound && len(r.buf) == 0:
		return fmt.Errorf("%w: %w", ErrNoFile, err)
	case sw == apdu.SecurityStatusNotSatisfied && len(r.buf) == 0:
		return fmt.Errorf("%w: %w", ErrAccessDenied, err)
	case beyond(apdu.Response{SW: sw}) || sw.SW1() == sw1WrongLe:
		if len(r.buf) == 0 && ne > probeLen && r.probes() && !r.learned.Probe {
			r.learned.Probe = true
		} else if r.size > 0 && r.lower(ne) {
			r.learned.MaxNe = r.limit
		}
	case len(r.buf) == 0 && refusesSFI(sw):
		r.learned.NoSFI = true
	}
	return err
}

func (r *reading) do(ctx context.Context, c apdu.Command) (apdu.Response, error) {
	if err := ctx.Err(); err != nil {
		return apdu.Response{}, err
	}
	if r.exchanges >= exchangeSlack+len(r.buf)/minPerExchange {
		return apdu.Response{}, ErrStalled
	}
	r.exchanges++
	return r.d.Do(ctx, c)
}

// plainNe is the most data that one command can ask for.
func (r *reading) plainNe() int {
	n := r.limit
	if ch, ok := r.d.(interface{ MaxNe(limit int) int }); ok {
		n = min(n, ch.MaxNe(r.limit))
	}
	return max(n, 1)
}

const sw1WrongLe = 0x6C

// exactLe returns the length that the card asks for with 6Cxx, if it is less
// than what was asked for; anything else leads nowhere. A plain session has
// dealt with 6Cxx itself.
func (r *reading) exactLe(sw apdu.Status, ne int) (int, bool) {
	if sw.SW1() != sw1WrongLe {
		return 0, false
	}
	exact := int(sw.SW2())
	if exact == 0 {
		exact = 256
	}
	return exact, exact < ne
}

// delivers reports whether a response carries data of the file: with 9000, or
// with a word that says that the file ends here.
func delivers(resp apdu.Response) bool {
	switch resp.SW {
	case apdu.OK, apdu.EndOfFile, apdu.WrongP1P2:
		return len(resp.Data) > 0
	}
	return false
}

// beyond reports whether a response without data means that too much was
// asked for: more than card or reader carry, or more than there is.
func beyond(resp apdu.Response) bool {
	switch resp.SW {
	case apdu.OK, apdu.EndOfFile, apdu.WrongP1P2, apdu.WrongLength:
		return true
	}
	return false
}

// refusesSFI reports whether a refused READ BINARY by short identifier may
// succeed after SELECT. 6A82 is among them: some cards know their files by
// identifier only, so the file is not called absent before SELECT says so.
func refusesSFI(sw apdu.Status) bool {
	switch sw {
	case apdu.FileNotFound, apdu.FunctionNotSupported, apdu.IncorrectP1P2, apdu.WrongP1P2, apdu.WrongData,
		apdu.WrongLength, apdu.ReferencedDataNotFound, apdu.CommandNotAllowed, apdu.CommandIncompatible,
		apdu.ConditionsNotSatisfied, apdu.InstructionNotSupported, apdu.ClassNotSupported:
		return true
	}
	return false
}

// refused reports whether a card keeps back a file that it has: fingers and
// irises without terminal authentication (Doc 9303-11, 7.1), in the words of
// either kind of card. To a short identifier, 6985 may mean something else.
func refused(sw apdu.Status) bool {
	return sw == apdu.SecurityStatusNotSatisfied || sw == apdu.ConditionsNotSatisfied
}

func denied(sw apdu.Status) error { return fmt.Errorf("%w: %w", ErrAccessDenied, sw) }

// ended is the error for a refusal that nothing helps against.
func ended(sw apdu.Status) error {
	switch sw {
	case apdu.OK:
		return ErrTruncated
	case apdu.EndOfFile, apdu.WrongP1P2:
		return fmt.Errorf("%w: %w", ErrTruncated, sw)
	}
	return fmt.Errorf("lds: read binary: %w", sw)
}

// cut returns at most n bytes of data: a card that sends more than it was
// asked for has not said where the rest belongs.
func cut(data []byte, n int) ([]byte, error) {
	s := tlv.String(data)
	if !s.ReadBytes(&data, min(n, len(data))) {
		return nil, ErrResponse
	}
	return data, nil
}

// objectLen is the length of tag and length field of a DO'53' with n bytes.
func objectLen(n int) int {
	switch {
	case n < 0x80:
		return 2
	case n < 0x100:
		return 3
	case n < 0x10000:
		return 4
	default:
		return 5
	}
}

// offsetObject is the data field of READ BINARY with odd instruction
// (Doc 9303-10, 3.6.6): the offset, in as few bytes as possible.
func offsetObject(offset int) []byte {
	var v []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if b := byte(offset >> shift); b != 0 || len(v) > 0 || shift == 0 {
			v = append(v, b)
		}
	}
	return tlv.Append(nil, tagOffset, v)
}

// discretionary returns the content of the one DO'53' that answers a READ
// BINARY with odd instruction.
func discretionary(data []byte) ([]byte, error) {
	s := tlv.String(data)
	var v tlv.String
	var tag tlv.Tag
	if !s.ReadLenient(&v, &tag) || tag != tagDiscretionary || !s.Empty() {
		return nil, ErrResponse
	}
	return v, nil
}
