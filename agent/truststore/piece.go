package truststore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

// Limits of a source.
const (
	maxSource = 1 << 30   // bytes of a file; the collection of the ICAO PKD has 0.1 of that
	maxHeld   = 256 << 20 // bytes of certificates and lists of one file in memory
	maxPieces = 1 << 17
)

// Piece is one piece of trust material, and what became of it.
type Piece struct {
	Kind trust.Kind
	// ID is the SHA-256 of the piece in hexadecimal: of a certificate its
	// fingerprint. Empty for what cannot be read.
	ID    string
	Where string // in its file; empty for a file that is one piece

	Certificate *cms.Certificate // of a certificate
	CRL         *cms.CRL         // of a revocation list
	// Dated is when a list says that it was signed, or a revocation list issued;
	// zero if it does not say, or is not believed.
	Dated time.Time
	// Entries are the certificates of a master list that is believed, and
	// Unreadable counts those that could not be read.
	Entries    []*Piece
	Unreadable int

	Accepted bool
	Why      trust.Reason // in either case
	Err      error        // nil if Accepted

	item  trust.Item
	held  []byte // DER, of certificates and revocation lists
	known bool   // in the store before
}

// Source is a file of trust material.
type Source struct {
	Name   string // without its folder
	SHA256 string // hexadecimal
	Size   int64
	// Added and By say when and by whom it was imported, Accept why it was
	// accepted on that person's word; empty if signatures had to do.
	Added  time.Time
	By     string
	Accept string

	Pieces []*Piece // in the order of the file
	// Signers counts document signer certificates, which are left out.
	Signers int

	file string // where it lies
	how  trust.Import
}

// All yields the pieces of the source, each master list before its entries.
func (s *Source) All() iter.Seq[*Piece] {
	return func(yield func(*Piece) bool) {
		for _, p := range s.Pieces {
			if !yield(p) {
				return
			}
			for _, e := range p.Entries {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// counted reads a source for as long as ctx lasts, up to maxSource bytes.
type counted struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *counted) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	if c.n += int64(n); c.n > maxSource {
		return 0, trust.ErrTooLarge
	}
	return n, err
}

// read takes a file apart. Nothing is verified.
func (s *Source) read(ctx context.Context, r io.Reader) error {
	hash := sha256.New()
	c := &counted{ctx: ctx, r: r}
	tee := io.TeeReader(c, hash)
	held := 0
	for item, err := range trust.Items(tee) {
		if err != nil {
			return err
		}
		if cert := item.Certificate; cert != nil && !mayIssue(cert) {
			s.Signers++
			continue
		}
		p := newPiece(item)
		if held += len(p.held) + sizeOf(item); held > maxHeld || len(s.Pieces) == maxPieces {
			return trust.ErrTooLarge
		}
		s.Pieces = append(s.Pieces, p)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return err
	}
	s.Size, s.SHA256 = c.n, hex.EncodeToString(hash.Sum(nil))
	if len(s.Pieces) == 1 && s.Pieces[0].list() && s.Pieces[0].Where == "" {
		s.Pieces[0].ID = s.SHA256 // what sha256sum says of the file
	}
	if len(s.Pieces) == 0 && s.Signers == 0 {
		return trust.ErrFormat
	}
	return nil
}

// mayIssue tells a CSCA's certificate from a document signer's by what it says
// of itself.
func mayIssue(c *cms.Certificate) bool {
	return c.IsCA || c.KeyUsage&cms.KeyUsageCertSign != 0 || !c.HasKeyUsage
}

func sizeOf(item trust.Item) int {
	if sd := signedData(item); sd != nil {
		return len(sd.Content)
	}
	return 0
}

func signedData(item trust.Item) *cms.SignedData {
	switch {
	case item.MasterList != nil:
		return item.MasterList.SignedData
	case item.DefectList != nil:
		return item.DefectList.SignedData
	case item.DeviationList != nil:
		return item.DeviationList.SignedData
	}
	return nil
}

func newPiece(item trust.Item) *Piece {
	p := &Piece{Kind: item.Kind, Where: item.Where, item: item, Err: item.Err}
	switch sd := signedData(item); {
	case item.Err != nil:
		p.Why = trust.ReasonOf(item.Err)
	case item.Certificate != nil:
		p.Certificate, p.held = item.Certificate, item.Certificate.Raw
	case item.CRL != nil:
		p.CRL, p.held = item.CRL, item.CRL.Raw
	case sd != nil:
		p.ID = fingerprint(sd.Content)
	}
	if p.held != nil {
		p.ID = fingerprint(p.held)
	}
	return p
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// list reports whether the piece is a signed list.
func (p *Piece) list() bool { return signedData(p.item) != nil }

// settled reports whether another attempt cannot change anything: keys that
// come later help what lacks an issuer only.
func (p *Piece) settled() bool {
	if p.Accepted {
		return !slices.ContainsFunc(p.Entries, func(e *Piece) bool { return !e.settled() })
	}
	return p.Err != nil && p.Why != trust.NoIssuer && p.Why != trust.NotVouched
}

// decide notes what the pool said; what is in stays in.
func (p *Piece) decide(c trust.Candidate) {
	if !p.Accepted {
		p.Accepted, p.Why, p.Err = c.Accepted(), c.Why, c.Err
	}
}

// supersede refuses the master lists to which there is a newer one of the same
// state: the newer one may lack what its state believes no more, and whoever comes
// with the older one again would bring that back. Lists that no root vouches for,
// or that do not say when they were signed, are left as they are. among are all
// sources that count, the given ones those that are judged.
func supersede(among, judged []*Source) {
	type signed struct {
		state string
		at    time.Time
	}
	dates := make(map[*Piece]signed)
	newest := make(map[string]time.Time)
	for _, s := range among {
		for _, p := range s.Pieces {
			if p.item.MasterList == nil {
				continue
			}
			for _, root := range s.how.Roots {
				at := p.item.MasterList.Signed()
				if at.IsZero() || p.item.MasterList.Verify(root, s.how.At) != nil {
					continue
				}
				d := signed{root.SubjectCountry(), at}
				if dates[p] = d; at.After(newest[d.state]) {
					newest[d.state] = at
				}
				break
			}
		}
	}
	for _, s := range judged {
		for _, p := range s.Pieces {
			if d, ok := dates[p]; ok && d.at.Before(newest[d.state]) {
				p.Err, p.Why, p.Dated = trust.ErrOldList, trust.Older, d.at
			}
		}
	}
}

// settle offers the pieces of all sources to the pool, again and again while
// that lets another one in, so that the order of files does not matter.
func settle(ctx context.Context, pool *trust.Pool, sources []*Source) error {
	for grew := true; grew; {
		grew = false
		for _, s := range sources {
			if err := ctx.Err(); err != nil {
				return err
			}
			before := s.accepted()
			if err := s.offer(pool); err != nil {
				return err
			}
			grew = grew || s.accepted() > before
		}
	}
	return nil
}

func (s *Source) accepted() (n int) {
	for p := range s.All() {
		if p.Accepted {
			n++
		}
	}
	return n
}

// offer offers what is not settled.
func (s *Source) offer(pool *trust.Pool) error {
	var batch []trust.Item
	certificates, crls := make(map[*cms.Certificate]*Piece), make(map[*cms.CRL]*Piece)
	for _, p := range s.Pieces {
		switch {
		case p.settled():
		case p.list():
			// A candidate does not tell which list it stands for: one at a time.
			r, err := pool.Import(items(p.item), &s.how)
			if err != nil {
				return err
			}
			p.decideList(r.Candidates)
		case p.Certificate != nil:
			certificates[p.Certificate] = p
			batch = append(batch, p.item)
		case p.CRL != nil:
			crls[p.CRL] = p
			batch = append(batch, p.item)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	r, err := pool.Import(items(batch...), &s.how)
	if err != nil {
		return err
	}
	for _, c := range r.Candidates {
		switch {
		case c.Certificate != nil:
			certificates[c.Certificate].decide(c)
		case c.CRL != nil:
			p := crls[c.CRL]
			if p.decide(c); p.Accepted {
				p.Dated = p.CRL.ThisUpdate
			}
		}
	}
	return nil
}

// decideList notes what became of a list; the candidates after the first are
// the certificates of a master list, in its order.
func (p *Piece) decideList(candidates []trust.Candidate) {
	p.decide(candidates[0])
	if !p.Accepted {
		return
	}
	if signers := signedData(p.item).Signers; len(signers) > 0 {
		p.Dated = signers[0].SigningTime
	}
	if p.item.MasterList != nil {
		p.Unreadable = p.item.MasterList.Unreadable
	}
	for i, c := range candidates[1:] {
		if i == len(p.Entries) {
			e := &Piece{Kind: c.Kind, Where: fmt.Sprintf("master list entry %d", i+1), Certificate: c.Certificate, Dated: p.Dated}
			e.ID = fingerprint(c.Certificate.Raw)
			p.Entries = append(p.Entries, e)
		}
		p.Entries[i].decide(c)
	}
}

func items(list ...trust.Item) iter.Seq2[trust.Item, error] {
	return func(yield func(trust.Item, error) bool) {
		for _, item := range list {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// unreadable says which file could not be read.
func unreadable(name string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreadable, name, err)
}

// Fingerprint is the ID of a certificate.
func Fingerprint(c *cms.Certificate) string { return fingerprint(c.Raw) }
