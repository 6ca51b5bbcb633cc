package central

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
)

// A list is what a bundle is made of, in the order of the numbers or bytes, so that
// the same list makes the same bytes.
type list struct {
	kind     contract.BundleKind
	facility string
	people   []contract.Registered
	pieces   []contract.TrustPiece
}

// population is the list of the people who are registered at a facility, as the
// insurer knows them at a time.
func population(facility string, people []Person, at time.Time) list {
	l := list{kind: contract.BundlePopulation, facility: facility}
	for _, p := range people {
		if p.Facility != facility {
			continue
		}
		a := p.answer(anyID, at)
		a.Entitlement.Source = contract.SourcePopulation
		l.people = append(l.people, contract.Registered{
			Number: p.Number, InsuranceNumber: p.InsuranceNumber, Person: a.Person, Entitlement: &a.Entitlement,
		})
	}
	slices.SortFunc(l.people, func(a, b contract.Registered) int { return cmp.Compare(numbers(a), numbers(b)) })
	l.people = slices.CompactFunc(l.people, func(a, b contract.Registered) bool { return numbers(a) == numbers(b) })
	return l
}

// numbers tells people of a list apart.
func numbers(r contract.Registered) string { return r.Number + "\x00" + r.InsuranceNumber }

// certificates is the list of what documents are verified with.
func certificates(ders [][]byte) list {
	l := list{kind: contract.BundleTrust}
	for _, der := range ders {
		l.pieces = append(l.pieces, contract.TrustPiece{DER: der})
	}
	slices.SortFunc(l.pieces, func(a, b contract.TrustPiece) int { return bytes.Compare(a.DER, b.DER) })
	l.pieces = slices.CompactFunc(l.pieces, func(a, b contract.TrustPiece) bool { return bytes.Equal(a.DER, b.DER) })
	return l
}

func (l list) entries() int { return len(l.people) + len(l.pieces) }

// since returns what has to be changed in old to make l of it. The time at which
// the insurer knew it does not count as a change, or every entry would change each
// time: how old a list is, its manifest says.
func (l list) since(old list) list {
	d := list{kind: l.kind, facility: l.facility}
	had := make(map[string][]byte, len(old.people))
	for _, r := range old.people {
		had[numbers(r)] = timeless(r)
	}
	for _, r := range l.people {
		if !bytes.Equal(had[numbers(r)], timeless(r)) {
			d.people = append(d.people, r)
		}
		delete(had, numbers(r))
	}
	var gone []contract.Registered
	for _, r := range old.people {
		if _, ok := had[numbers(r)]; ok {
			gone = append(gone, contract.Registered{Number: r.Number, InsuranceNumber: r.InsuranceNumber, Removed: true})
		}
	}
	d.people = append(gone, d.people...) // a number may go from one person to another

	pieces := make(map[string]bool, len(old.pieces))
	for _, p := range old.pieces {
		pieces[string(p.DER)] = true
	}
	for _, p := range l.pieces {
		if !pieces[string(p.DER)] {
			d.pieces = append(d.pieces, p)
		}
		delete(pieces, string(p.DER))
	}
	for _, p := range old.pieces {
		if pieces[string(p.DER)] {
			d.pieces = append(d.pieces, contract.TrustPiece{DER: p.DER, Removed: true})
		}
	}
	return d
}

func timeless(r contract.Registered) []byte {
	if r.Entitlement != nil {
		e := r.Entitlement.Clone()
		e.AsOf = time.Time{}
		r.Entitlement = &e
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil // it came from JSON
	}
	return b
}

// partEntries is how many entries a part begins with; fewer if they are long.
const partEntries = 500

// cut encodes a list in parts that fit into a message.
func (l list) cut() ([][]byte, error) {
	var parts [][]byte
	encode := func(from, to int) ([]byte, error) {
		if l.kind == contract.BundlePopulation {
			return contract.EncodePopulationPart(&contract.PopulationPart{Version: contract.Version, People: l.people[from:to]})
		}
		return contract.EncodeTrustPart(&contract.TrustPart{Version: contract.Version, Pieces: l.pieces[from:to]})
	}
	for from := 0; from < l.entries(); {
		n := min(partEntries, l.entries()-from)
		for {
			b, err := encode(from, from+n)
			if errors.Is(err, contract.TooLarge) && n > 1 {
				n = (n + 1) / 2
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("bundle: %w", err)
			}
			parts = append(parts, b)
			from += n
			break
		}
	}
	return parts, nil
}

// manifest describes parts. entries is of the whole list.
func (l list) manifest(serial, base int64, at time.Time, entries int, parts [][]byte) *contract.Bundle {
	b := &contract.Bundle{
		Version: contract.Version, Kind: l.kind, Facility: l.facility, Serial: serial, Base: base,
		IssuedAt: contract.Timestamp(at), Entries: entries,
	}
	for _, p := range parts {
		sum := sha256.Sum256(p)
		b.Parts = append(b.Parts, contract.BundlePart{SHA256: sum[:], Size: len(p)})
	}
	return b
}

// bucketBundles holds the bundles that are handed out: of each kind and facility
// the newest, whole and as the difference to the one before. Keys:
//
//	<kind>.<facility>                        head
//	<kind>.<facility>.<serial>.<base>.<n>    a part
const bucketBundles = "ins-bundles"

// head says what is newest.
type head struct {
	Serial int64    `json:"serial"`
	Whole  signed   `json:"whole"`
	Delta  *signed  `json:"delta,omitempty"` // to Base
	Base   int64    `json:"base,omitempty"`
	Digest []byte   `json:"digest"` // of the list without its times
	Old    []string `json:"old,omitempty"`
}

// signed is a signed manifest.
type signed struct {
	Headers map[string][]string `json:"headers"`
	Payload []byte              `json:"payload"`
}

func bundleKey(kind contract.BundleKind, facility string) string {
	return string(kind) + "." + cmp.Or(facility, "all")
}

func partKey(kind contract.BundleKind, facility string, serial, base int64, n int) string {
	return bundleKey(kind, facility) + "." + strconv.FormatInt(serial, 10) + "." + strconv.FormatInt(base, 10) + "." + strconv.Itoa(n)
}

// errRaced reports that another worker published a bundle meanwhile.
var errRaced = errors.New("central: another worker published this bundle")

// publishBundle makes a list the newest of its kind and facility, whole and as the
// difference to the one before, signed with key. A list that says the same is
// published again only when the old one is older than refreshed, so that its age
// goes on to mean something. It returns whether anything was published.
func (s *store) publishBundle(ctx context.Context, l list, key contract.Signer, at time.Time, refreshed time.Duration) (bool, error) {
	var old head
	rev, err := get(ctx, s.bundles, bundleKey(l.kind, l.facility), &old)
	if err != nil {
		return false, err
	}
	var before list
	if rev != 0 {
		if before, err = s.listOf(ctx, l.kind, l.facility, &old); err != nil {
			// The difference cannot be made; the whole can.
			s.log.Warn("published bundle cannot be read", "kind", l.kind, "error", err)
			old, before = head{Serial: old.Serial, Old: old.Old}, list{}
		}
	}
	sum := l.digest()
	own, err := key.PublicKey()
	if err != nil {
		return false, err
	}
	// OpenBundle fails for a list of another key: who has pinned this one needs it
	// signed anew.
	if m, err := contract.OpenBundle(own, old.Whole.Headers, old.Whole.Payload); err == nil && bytes.Equal(sum, old.Digest) && at.Sub(m.IssuedAt) < refreshed {
		return false, nil
	}
	// Time, so that whoever begins with an empty store does not begin again at 1.
	h := head{Serial: max(at.UnixMilli(), old.Serial+1), Digest: sum}
	if h.Old, err = s.putBundle(ctx, l, l, h.Serial, 0, at, key, &h.Whole); err != nil {
		return false, err
	}
	if old.Whole.Payload != nil {
		h.Delta, h.Base = &signed{}, old.Serial
		keys, err := s.putBundle(ctx, l.since(before), l, h.Serial, h.Base, at, key, h.Delta)
		if err != nil {
			return false, err
		}
		h.Old = append(h.Old, keys...)
	}
	b, err := json.Marshal(h)
	if err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := s.bundles.Update(limited, bundleKey(l.kind, l.facility), b, rev); err != nil {
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return false, errRaced
		}
		return false, err
	}
	// Whoever was in the middle of the old one begins with the new one.
	for _, key := range old.Old {
		if err := s.bundles.Purge(ctx, key); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (l list) digest() []byte {
	h := sha256.New()
	for _, r := range l.people {
		h.Write(timeless(r))
	}
	for _, p := range l.pieces {
		sum := sha256.Sum256(p.DER)
		h.Write(sum[:])
	}
	return h.Sum(nil)
}

func (s *store) putBundle(ctx context.Context, l, whole list, serial, base int64, at time.Time, key contract.Signer, to *signed) ([]string, error) {
	parts, err := l.cut()
	if err != nil {
		return nil, err
	}
	var keys []string
	for i, p := range parts {
		name := partKey(l.kind, l.facility, serial, base, i)
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := s.bundles.Put(limited, name, p)
		cancel()
		if err != nil {
			return nil, err
		}
		keys = append(keys, name)
	}
	to.Headers, to.Payload, err = contract.SignBundle(key, l.manifest(serial, base, at, whole.entries(), parts))
	return keys, err
}

// listOf reads the list of a published bundle.
func (s *store) listOf(ctx context.Context, kind contract.BundleKind, facility string, h *head) (list, error) {
	l := list{kind: kind, facility: facility}
	m, err := contract.DecodeBundle(h.Whole.Payload)
	if err != nil {
		return l, err
	}
	for i := range m.Parts {
		b, err := s.bundlePart(ctx, partKey(kind, facility, m.Serial, 0, i))
		if err != nil {
			return l, err
		}
		if kind == contract.BundlePopulation {
			p, err := contract.DecodePopulationPart(b)
			if err != nil {
				return l, err
			}
			l.people = append(l.people, p.People...)
			continue
		}
		p, err := contract.DecodeTrustPart(b)
		if err != nil {
			return l, err
		}
		l.pieces = append(l.pieces, p.Pieces...)
	}
	return l, nil
}

// bundlePart returns a part, nil when there is none of that name.
func (s *store) bundlePart(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e, err := s.bundles.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e.Value(), nil
}

// Of the bundles, in the manner of HTTP.
const (
	codeCurrent  = "304" // the asker has the newest
	codeNotFound = "404" // no such part: there is a newer bundle by now
)

// bundle answers a signed [contract.BundleRequest] with a manifest or a part.
func (s *service) bundle(ctx context.Context, req micro.Request) {
	r, err := contract.OpenBundleRequest(req.Subject(), req.Headers(), req.Data())
	if err != nil {
		s.fail(req, codeBadRequest, string(reasonOf(err)))
		return
	}
	if !s.enrolled(ctx, req, r.Agent, r.Facility) {
		return
	}
	if !s.bundles.allow(r.Agent, time.Now()) {
		s.limited(req)
		return
	}
	facility := r.Facility
	if r.Kind == contract.BundleTrust {
		facility = "" // the same for everybody
	}
	if r.Serial != 0 {
		b, err := s.store.bundlePart(ctx, partKey(r.Kind, facility, r.Serial, r.Base, r.Part))
		switch {
		case err != nil:
			s.unavailable(req, err)
		case b == nil:
			s.fail(req, codeNotFound, "no such part")
		default:
			s.respond(req, b)
		}
		return
	}
	var h head
	rev, err := get(ctx, s.store.bundles, bundleKey(r.Kind, facility), &h)
	switch {
	case err != nil:
		s.unavailable(req, err)
	case rev == 0 || h.Serial <= r.Have:
		s.fail(req, codeCurrent, "nothing newer")
	case h.Delta != nil && h.Base == r.Have:
		s.respondSigned(req, h.Delta)
	default:
		s.respondSigned(req, &h.Whole)
	}
}

func (s *service) respondSigned(req micro.Request, m *signed) {
	h := nats.Header(m.Headers)
	if len(s.rolls) > 0 {
		h = maps.Clone(h)
		h[bundle.HeaderRoll] = s.rolls
	}
	answer(s.nc, s.log, req, h, m.Payload)
}

// bundlesRefreshed is how old a bundle gets before it is made again although it
// says the same: its age tells a station how long nobody has spoken to it.
const bundlesRefreshed = 12 * time.Hour

// bundlesEvery is how often the service looks for changes that bundles lack.
const bundlesEvery = 10 * time.Minute

// keepBundles publishes the bundles and keeps them current until ctx ends. A
// failure is another worker's good luck, or the store's trouble that watch sees.
func (c *Central) keepBundles(ctx context.Context, s *store) error {
	for {
		if err := c.publishBundles(ctx, s); err != nil && ctx.Err() == nil {
			c.log.Warn("bundles not published", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(bundlesEvery):
		}
	}
}

// publishBundles publishes what has changed: the people of each facility that has
// an agent, and the certificates.
func (c *Central) publishBundles(ctx context.Context, s *store) error {
	if c.cfg.BundleKey == nil {
		return nil
	}
	now := time.Now()
	people, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	facilities, err := s.facilities(ctx)
	if err != nil {
		return err
	}
	at := contract.Timestamp(now)
	lists := []list{certificates(c.cfg.TrustPieces)}
	for _, f := range facilities {
		lists = append(lists, population(f, people, at))
	}
	for _, l := range lists {
		switch new, err := s.publishBundle(ctx, l, c.cfg.BundleKey, at, bundlesRefreshed); {
		case errors.Is(err, errRaced):
		case err != nil:
			return err
		case new:
			c.log.Info("bundle published", "kind", l.kind, "facility", l.facility, "entries", l.entries())
		}
	}
	return nil
}

// everybody returns all people, each once.
func (s *store) everybody(ctx context.Context) ([]Person, error) {
	var all []Person
	seen := make(map[string]bool)
	err := each(ctx, s.people, func(_ string, value []byte) error {
		var p Person
		if err := json.Unmarshal(value, &p); err != nil {
			return fmt.Errorf("central: unreadable entry in bucket %s", bucketPeople)
		}
		if id := p.Number + "\x00" + p.InsuranceNumber; !seen[id] {
			seen[id] = true
			all = append(all, p)
		}
		return nil
	})
	return all, err
}

// facilities returns the facilities that have an agent, in order.
func (s *store) facilities(ctx context.Context) ([]string, error) {
	var all []string
	err := each(ctx, s.agents, func(_ string, value []byte) error {
		var a Agent
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("central: unreadable entry in bucket %s", bucketAgents)
		}
		all = append(all, a.Facility)
		return nil
	})
	slices.Sort(all)
	return slices.Compact(all), err
}

// each calls fn with every entry of a bucket as it is now.
func each(ctx context.Context, kv jetstream.KeyValue, fn func(key string, value []byte) error) error {
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // it ends with the connection at the latest
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-w.Updates():
			switch {
			case !open:
				return errors.New("central: bucket is gone")
			case e == nil:
				return nil // that was all
			}
			if err := fn(e.Key(), e.Value()); err != nil {
				return err
			}
		}
	}
}
