package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/wire"
)

// The states of a [wire.Pairing].
const (
	pairWaiting  = "waiting"
	pairApproved = "approved"
	pairDenied   = "denied"
	pairExpired  = "expired"
	pairDone     = "done"
)

// Limits of pairing. Of a million codes three may be tried, and a new code needs
// a new approval.
const (
	pairTime   = 3 * time.Minute
	pairTries  = 3
	pairsAtOne = 4
)

// A pairing is one that waits, with what the one who asked is not told.
type pairing struct {
	wire.Pairing
	tries int
	grant bool   // IT approved it: no code
	by    string // who approved it
}

type pairings struct {
	mu   sync.Mutex
	now  func() time.Time
	list []*pairing
}

func newPairings(now func() time.Time) *pairings { return &pairings{now: now} }

// newCode returns six digits, each sequence as likely as another.
func newCode() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1_000_000)) // never fails
	return fmt.Sprintf("%06d", n)
}

// sweep takes out what has expired and returns it. The lock is held.
func (p *pairings) sweep() (gone []wire.Pairing) {
	now := p.now()
	p.list = slices.DeleteFunc(p.list, func(e *pairing) bool {
		if now.Before(e.Expires) {
			return false
		}
		e.State = pairExpired
		gone = append(gone, public(e))
		return true
	})
	return gone
}

// public is what the one who asked may see.
func public(e *pairing) wire.Pairing {
	w := e.Pairing
	w.Code = ""
	return w
}

// ask adds a pairing. A page that asks again, because it was loaded anew, gives up
// what it asked before.
func (p *pairings) ask(origin, name string, grant bool) (e wire.Pairing, gone []wire.Pairing, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone = p.sweep()
	p.list = slices.DeleteFunc(p.list, func(e *pairing) bool {
		if e.Origin != origin || (origin == "" && e.Name != name) {
			return false
		}
		e.State = pairExpired
		gone = append(gone, public(e))
		return true
	})
	if len(p.list) >= pairsAtOne {
		f := *failTooMany
		f.after = p.list[0].Expires.Sub(p.now())
		return wire.Pairing{}, gone, &f
	}
	n := &pairing{Pairing: wire.Pairing{ID: newID(), Origin: origin, Name: name, Expires: p.now().Add(pairTime), State: pairWaiting}}
	if grant {
		n.grant, n.State, n.by = true, pairApproved, byConfig
	} else {
		n.Code = newCode()
	}
	p.list = append(p.list, n)
	return n.Pairing, gone, nil
}

// all returns those that wait, with their codes.
func (p *pairings) all() []wire.Pairing {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	out := []wire.Pairing{}
	for _, e := range p.list {
		if !e.grant {
			out = append(out, e.Pairing)
		}
	}
	return out
}

func (p *pairings) find(id string) *pairing {
	p.sweep()
	for _, e := range p.list {
		if subtle.ConstantTimeCompare([]byte(e.ID), []byte(id)) == 1 {
			return e
		}
	}
	return nil
}

// decide is the word of who sits at the desk. What was denied stays until it
// expires, so that the one who asked hears it.
func (p *pairings) decide(id, state, by string) (wire.Pairing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(id)
	if e == nil || e.grant {
		return wire.Pairing{}, failNotFound
	}
	if e.State == pairDenied && state == pairApproved {
		return wire.Pairing{}, failPairDenied // three wrong codes are not forgiven
	}
	if e.State != state { // who says it again has not decided it
		e.State, e.by = state, by
	}
	return e.Pairing, nil
}

// redeem checks a code, takes the pairing out and says who approved it. A wrong code
// counts whether or not the desk has approved yet.
func (p *pairings) redeem(origin, id, code string) (w wire.Pairing, by string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(id)
	if e == nil || e.Origin != origin {
		return wire.Pairing{}, "", failNotFound
	}
	if e.State == pairDenied {
		return public(e), "", failPairDenied
	}
	if !e.grant && subtle.ConstantTimeCompare([]byte(e.Code), []byte(code)) != 1 {
		e.tries++
		if e.tries >= pairTries {
			e.State = pairDenied
			return public(e), "", failPairDenied
		}
		left := pairTries - e.tries
		f := *failPairCode
		f.fault.TriesLeft = &left
		return wire.Pairing{}, "", &f
	}
	if e.State != pairApproved {
		return wire.Pairing{}, "", failPairWait
	}
	p.list = slices.DeleteFunc(p.list, func(o *pairing) bool { return o == e })
	e.State = pairDone
	return public(e), e.by, nil
}

// askPairing answers POST pairings.
func (s *Server) askPairing(ctx context.Context, c *call, in wire.PairingRequest) (wire.Pairing, error) {
	if !validClient(c.origin, in.Name) {
		return wire.Pairing{}, failBadRequest.saying("name: 1 to 64 visible characters; a program's has no : / \\")
	}
	name, grant := s.clients.granted(c.origin)
	if !grant {
		name = in.Name
		if s.cfg.NoPairing {
			return wire.Pairing{}, failNoPairing
		}
		if c.origin == "" && s.clients.taken(name) {
			return wire.Pairing{}, failNameTaken
		}
	}
	if f := limited(s.asking); f != nil {
		return wire.Pairing{}, f
	}
	p, gone, err := s.pairing.ask(c.origin, name, grant)
	s.tellPairings(gone...)
	if err != nil {
		return wire.Pairing{}, err
	}
	if !grant {
		s.tellPairings(p)
	}
	p.Code = ""
	return p, nil
}

// tellPairings tells the desk how pairings stand.
func (s *Server) tellPairings(list ...wire.Pairing) {
	for _, p := range list {
		s.publish(wire.Event{Type: wire.EventPairing, Pairing: &p}, OwnerDesk)
	}
}

// giveToken answers POST pairings/{id}/token.
func (s *Server) giveToken(ctx context.Context, c *call, in wire.TokenRequest) (wire.Token, error) {
	p, by, err := s.pairing.redeem(c.origin, c.id("id"), in.Code)
	if p.State == pairDenied {
		s.tellPairings(p)
	}
	if err != nil {
		return wire.Token{}, err
	}
	token := newToken()
	k := Kept{Client: wire.Client{ID: newID(), Origin: p.Origin, Name: p.Name, Added: s.now().Truncate(time.Second), AddedBy: by}, Hash: HashToken(token)}
	// First the trail: a token that nobody can account for is worse than an entry
	// about one that was not given in the end.
	if err := s.audit(ctx, audit.Entry{Actor: by, Action: audit.TokenApproved, Object: k.ID, Note: owner(k)}); err != nil {
		return wire.Token{}, err
	}
	if err := s.clients.add(k); err != nil {
		return wire.Token{}, err
	}
	s.tellPairings(p)
	return wire.Token{ID: k.ID, Token: token}, nil
}

func owner(k Kept) string {
	if k.Origin != "" {
		return k.Origin
	}
	return k.Name
}

// revoke answers DELETE clients/{id}.
func (s *Server) revoke(ctx context.Context, c *call) error {
	gone, last, err := s.clients.remove(c.id("id"))
	if gone == nil {
		return err
	}
	// What the client has begun would keep the desk waiting.
	if last && s.cfg.CheckIns != nil {
		if running, e := s.cfg.CheckIns.Current(ctx, gone.owner); e == nil && running.Owner == gone.owner && !wire.Ended(running.State) {
			_, _ = s.cfg.CheckIns.Cancel(ctx, gone.owner, running.ID)
		}
	}
	if e := s.audit(ctx, audit.Entry{Actor: s.actor(), Action: audit.TokenRevoked, Object: gone.ID, Note: gone.owner}); err == nil {
		err = e
	}
	return err
}
