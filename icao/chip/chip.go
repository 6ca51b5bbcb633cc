package chip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/chamthe/chamthe/icao/apdu"
)

var (
	// ErrTorn is returned by [Chip.Transmit] when the card is not in the
	// field: there is no response.
	ErrTorn = errors.New("chip: card is not in the field")
	// ErrPersonalisation is wrapped by the error of [New] for a chip that
	// cannot be made.
	ErrPersonalisation = errors.New("chip: unusable personalisation")
)

// maxTries is the largest count that 63Cx can tell.
const maxTries = 15

// Chip is one card. It is inserted when it is made. All methods may be called
// concurrently; commands are executed one after another, as on a card.
type Chip struct {
	p Personalisation

	mu        sync.Mutex
	inserted  bool
	torn      bool // Personalisation.TearAfter has happened
	exchanges int  // since insertion
	state     state

	canTries int // wrong card access numbers left, of Personalisation.CANTries

	pace []*paceVariant
	ca   []*caVariant
}

// state is what a chip forgets when its power goes.
type state struct {
	application bool       // the eMRTD application is selected, else the master file
	current     *File      // current elementary file
	rndIC       []byte     // challenge that was handed out and not used yet
	session     *session   // secure messaging
	pace        *paceRun   // PACE begun
	ca          *caVariant // chip authentication key selected by MSE:Set AT
	rest        []byte     // what GET RESPONSE will deliver
	chain       *chain     // command chaining begun
	locked      bool       // Quirks.FailedPACELocks has happened
}

// New makes a chip. Its error wraps [ErrPersonalisation].
func New(p *Personalisation) (*Chip, error) {
	c := &Chip{p: *p, inserted: true, canTries: p.CANTries}
	if c.p.Rand == nil {
		c.p.Rand = rand.Reader
	}
	for _, files := range [][]File{c.p.Files, c.p.MasterFiles} {
		ids, sfis := map[uint16]bool{}, map[byte]bool{}
		for _, f := range files {
			if f.SFI > 30 || ids[f.ID] || f.SFI != 0 && sfis[f.SFI] {
				return nil, fmt.Errorf("%w: file %04X has a bad or repeated identifier", ErrPersonalisation, f.ID)
			}
			ids[f.ID], sfis[f.SFI] = true, true
		}
	}
	if c.p.CANTries < 0 || c.p.CANTries > maxTries || len(c.p.CertificationAuthorities) > 2 {
		return nil, fmt.Errorf("%w: tries or authorities", ErrPersonalisation)
	}
	if key := c.p.ActiveAuthentication; key != nil && (!key.Usable() || key.DH != nil) {
		return nil, fmt.Errorf("%w: active authentication key", ErrPersonalisation)
	}
	if !c.p.ActiveAuthenticationForm.valid(c.p.ActiveAuthentication) {
		return nil, fmt.Errorf("%w: active authentication hash", ErrPersonalisation)
	}
	var err error
	if c.pace, err = newPACEVariants(&c.p); err != nil {
		return nil, err
	}
	if c.ca, err = newCAVariants(&c.p); err != nil {
		return nil, err
	}
	return c, nil
}

// Transmit executes one command APDU and returns the response APDU, at least
// two bytes. An error means that there is no response: ctx had ended before
// the command was begun, the card is not in the field ([ErrTorn]), or an
// injected fault said so. The caller owns both slices.
func (c *Chip) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inserted {
		return nil, ErrTorn
	}
	if n := c.p.TearAfter; n > 0 && !c.torn && c.exchanges >= n {
		c.torn = true
		c.remove()
		return nil, ErrTorn
	}
	c.exchanges++
	if c.p.Fault == nil {
		return c.process(cmd), nil
	}
	resp, err := c.p.Fault(c.exchanges, cmd, func() []byte { return c.process(cmd) })
	if errors.Is(err, ErrTorn) {
		c.remove()
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// Reset is a warm reset: the chip forgets its session and selections. It has
// no effect while the card is out of the field.
func (c *Chip) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state{}
}

// Remove takes the card out of the field.
func (c *Chip) Remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove()
}

func (c *Chip) remove() {
	c.inserted = false
	c.state = state{}
}

// Insert puts the card into the field, with its state cleared and its
// exchanges counted from 1 again.
func (c *Chip) Insert() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inserted = true
	c.exchanges = 0
	c.state = state{}
}

// Inserted reports whether the card is in the field.
func (c *Chip) Inserted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inserted
}

// Exchanges is the number of commands since the card was inserted.
func (c *Chip) Exchanges() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exchanges
}

// ATR is the answer to reset that a PC/SC reader builds for a contactless card
// with our historical bytes (PC/SC part 3, 3.1.3.2.3.1). They hold the card
// capabilities of ISO/IEC 7816-4:2020, 12.1.1.9: selection by DF name and by
// file identifier, short identifiers, whether the chip takes chained commands, and
// whether it has extended length and says in EF.ATR/INFO how long.
func (c *Chip) ATR() []byte {
	const byNameIDAndSFI, oneByteUnits, chaining, extended, atrInfo = 0x94, 0x21, 0x80, 0x40, 0x20
	third := byte(0)
	if !c.p.Limits.NoChaining {
		third |= chaining
	}
	if c.p.Limits.Extended {
		third |= extended
	}
	if slices.ContainsFunc(c.p.MasterFiles, func(f File) bool { return f.ID == idATRInfo }) {
		third |= atrInfo
	}
	atr := []byte{0x3B, 0x85, 0x80, 0x01, 0x80, 0x73, byNameIDAndSFI, oneByteUnits, third}
	check := byte(0)
	for _, b := range atr[1:] {
		check ^= b
	}
	return append(atr, check)
}

// process executes one command APDU and returns the response APDU.
func (c *Chip) process(cmd []byte) []byte {
	if len(cmd) > 0 && cmd[0] == claInvalid {
		// Readers answer pseudo-APDUs themselves, the virtual one passes
		// them on. No card command has this class, so nothing changes.
		return status(apdu.ClassNotSupported).bytes()
	}
	in, ok := parseCommand(cmd)
	if !ok {
		c.abort()
		return status(apdu.WrongLength).bytes()
	}

	rest := c.state.rest
	c.state.rest = nil
	if in.ins == insGetResponse && len(rest) > 0 {
		// It belongs to the transport of a response: in clear, even when the
		// response is protected.
		return c.deliver(rest, in.ne, apdu.OK)
	}

	switch {
	case in.cla&^(claChaining|claSM) != 0:
		c.abort()
		return status(apdu.ClassNotSupported).bytes()
	case in.cla&claSM == claSM:
		return c.processProtected(in)
	case in.cla&claSM != 0:
		c.abort()
		return status(apdu.SecureMessagingNotSupported).bytes()
	}

	if c.state.session != nil {
		// Doc 9303-11, 9.8.3: a plain command ends secure messaging. Read
		// attempts have a status of their own (4.3.2).
		c.abort()
		if in.ins == insReadBinary || in.ins == insReadBinaryOdd || in.ins == insSelect && in.p1 == selectEF {
			return status(apdu.SecurityStatusNotSatisfied).bytes()
		}
		return status(apdu.SMObjectsMissing).bytes()
	}
	if in.extended && !c.p.Limits.Extended {
		return status(apdu.WrongLength).bytes()
	}
	r := c.execute(in, c.room(in.ne, c.p.Limits.Plain))
	if r.commit != nil {
		r.commit()
	}
	if len(r.data) > in.ne {
		if !c.p.Limits.GetResponse {
			return status(apdu.WrongLength).bytes()
		}
		return c.deliver(r.data, in.ne, r.sw)
	}
	return r.bytes()
}

// processProtected executes a command under secure messaging.
func (c *Chip) processProtected(in command) []byte {
	s := c.state.session
	if s == nil {
		return status(apdu.SMObjectsIncorrect).bytes() // no keys to verify it with
	}
	before := append([]byte(nil), s.ssc...)
	plain, sw := s.unprotect(in)
	if sw != apdu.OK {
		// Doc 9303-11, 9.8.5: in clear, and the keys are deleted.
		c.abort()
		return status(sw).bytes()
	}

	// Every protected response has data. Terminals that leave out the outer
	// Le get what its form can carry.
	ne := in.ne
	if ne == 0 {
		ne = maxShort
		if in.extended {
			ne = maxExtended
		}
	}
	r := status(apdu.WrongLength)
	if !in.extended || c.p.Limits.Extended {
		r = c.execute(plain, c.protectedRoom(plain, ne))
	}
	if s.protectedLen(in.ins, len(r.data)) > ne && !c.p.Limits.GetResponse {
		r = status(apdu.WrongLength)
	}
	if c.p.Quirks.Naked != NakedNo && r.failed() {
		return c.naked(s, before, r)
	}
	var alter func([]byte) []byte
	if c.p.Faults.Protect != nil {
		alter = func(objects []byte) []byte { return c.p.Faults.Protect(c.exchanges, in.ins, objects) }
	}
	body, ok := s.protect(in.ins, r, alter)
	if !ok {
		c.abort()
		return status(apdu.SMObjectsIncorrect).bytes()
	}
	if r.commit != nil {
		r.commit()
	}
	return c.deliver(body, ne, r.sw)
}

// naked is an error status in clear, as Quirks.Naked asks. before is the counter
// before the command.
func (c *Chip) naked(s *session, before []byte, r response) []byte {
	switch c.p.Quirks.Naked {
	case NakedCounted:
		s.count() // used up, it fails at the next command
	case NakedIgnored:
		s.ssc = before
	default:
		c.abort()
	}
	return status(r.sw).bytes()
}

// execute dispatches a command whose transport has been dealt with. room bounds
// the data of READ BINARY.
func (c *Chip) execute(in command, room room) response {
	in, sw, whole := c.collect(in)
	if !whole {
		return status(sw)
	}
	if in.ins != insGeneralAuthenticate {
		c.state.pace = nil // the steps of PACE follow each other
	}
	switch in.ins {
	case insSelect:
		return c.selectFile(in)
	case insReadBinary, insReadBinaryOdd:
		return c.readBinary(in, room)
	case insGetChallenge:
		return c.getChallenge(in)
	case insExternalAuthenticate:
		return c.externalAuthenticate(in)
	case insInternalAuthenticate:
		return c.internalAuthenticate(in)
	case insManageSecurityEnvironment:
		return c.manageSecurityEnvironment(in)
	case insGeneralAuthenticate:
		return c.generalAuthenticate(in)
	default:
		return status(apdu.InstructionNotSupported)
	}
}

// abort ends secure messaging and every protocol that was begun, deletes the
// keys, and takes back the access rights (Doc 9303-11, 9.8.3).
func (c *Chip) abort() {
	c.state = state{application: c.state.application, locked: c.state.locked}
}

// deliver sends body and sw, or as much of body as the terminal asked for with
// 61xx and keeps the rest for GET RESPONSE.
func (c *Chip) deliver(body []byte, ne int, sw apdu.Status) []byte {
	if len(body) <= ne {
		return response{data: body, sw: sw}.bytes()
	}
	c.state.rest = body[ne:] // ne < len(body)
	more := len(c.state.rest)
	if more >= maxShort {
		more = 0 // 256 or more
	}
	return response{data: body[:ne], sw: apdu.Status(0x6100 | more)}.bytes()
}

// authenticated reports whether the terminal may read what needs
// authentication.
func (c *Chip) authenticated() bool {
	return c.state.session != nil || c.p.AccessKey.IsZero() && c.p.CAN == ""
}
