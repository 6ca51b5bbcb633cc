package inspect_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/tlv"
)

// The hostile chips of this file know the key of the document, as anybody does
// who has printed it: they open as they should, protect their answers as they
// should, and lie inside. A script says how. It is a list of entries of
//
//	what, file, place (2 bytes), length (1 byte), bytes
//
// so that a fuzzer that changes one lie leaves the others as they are; one that
// is cut off is the last.

// What an entry of a script does.
const (
	lieXOR      = iota // flips bits of a file
	lieReplace         // overwrites bytes of a file
	lieInsert          // puts bytes into a file
	lieCut             // ends a file early
	lieWhole           // is all that is left of a file
	lieGone            // the chip does not have the file
	lieRefuse          // answers the reading of a file with a status word
	lieSwap            // hands out another of its files in place of one
	lieStatus          // protected status word of an exchange
	lieObjects         // data objects of a protected answer
	lieOther           // hands out the file of a document of another authority
	lieRaw             // the answer to an exchange, after protection
	lieShort           // ends the answer to an exchange early, after protection
	lieReplay          // sends the answer of the exchange before again
	lieEndOfBuf        // sends no more than so many bytes at once
	lieKinds
)

type lie struct {
	what, file byte
	place      int
	bytes      []byte
}

func (l lie) append(script []byte) []byte {
	script = append(script, l.what, l.file)
	script = binary.BigEndian.AppendUint16(script, uint16(l.place))
	script = append(script, byte(len(l.bytes)))
	return append(script, l.bytes...)
}

// lies reads a script. The bounds are the fuzzer's patience and nothing else.
func lies(script []byte) (list []lie) {
	s := tlv.String(script)
	for len(list) < 64 {
		var l lie
		var place uint16
		var n uint8
		if !s.ReadUint8(&l.what) || !s.ReadUint8(&l.file) || !s.ReadUint16(&place) || !s.ReadUint8(&n) {
			break
		}
		l.what, l.place = l.what%lieKinds, int(place)
		if !s.ReadBytes(&l.bytes, min(int(n), len(s))) {
			break
		}
		list = append(list, l)
	}
	return list
}

// hostileProfiles are those that between them have every protocol and file.
var hostileProfiles = []string{"cccd", "cccd-pace", "passport-pace-cam", "passport-pace-im", "passport-ca-aes", "passport-eac", "passport-old", "passport-full", "passport-stubborn"}

// foreign is the same kind of document from an authority that nobody trusts, by
// profile. They share keys among themselves.
var (
	foreign     sync.Map
	foreignKeys = issuer.NewKeyCache(nil)
)

func foreignDocument(tb testing.TB, profile string) *chip.Document {
	tb.Helper()
	build, _ := foreign.LoadOrStore(profile, sync.OnceValues(func() (*chip.Document, error) {
		return chip.Build(profile, chip.Options{At: at, Keys: foreignKeys})
	}))
	d, err := build.(func() (*chip.Document, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// liar is a chip that lies as the script says.
type liar struct {
	chip  *chip.Chip
	lies  []lie
	now   int // exchanges so far
	last  []byte
	bytes int // that it has sent
}

// newLiar makes the chip of a document that it is free to change.
func newLiar(tb testing.TB, d *inspecttest.Draft, other *chip.Document, script []lie) *liar {
	tb.Helper()
	p := d.Personalisation
	l := &liar{lies: script}
	var seed [32]byte
	p.Rand = rand.NewChaCha8(seed)
	all := func() []*chip.File {
		var out []*chip.File
		for i := range p.MasterFiles {
			out = append(out, &p.MasterFiles[i])
		}
		for i := range p.Files {
			out = append(out, &p.Files[i])
		}
		return out
	}()
	foreignFiles := slices.Concat(other.Personalisation.MasterFiles, other.Personalisation.Files)
	gone := make(map[uint16]bool)
	for _, x := range script {
		f := all[int(x.file)%len(all)]
		place := min(x.place, len(f.Content))
		switch x.what {
		case lieXOR:
			f.Content = bytes.Clone(f.Content)
			for i, b := range x.bytes {
				if place+i < len(f.Content) {
					f.Content[place+i] ^= b
				}
			}
		case lieReplace:
			f.Content = bytes.Clone(f.Content)
			copy(f.Content[place:], x.bytes)
		case lieInsert:
			f.Content = slices.Concat(f.Content[:place], x.bytes, f.Content[place:])
		case lieCut:
			f.Content = f.Content[:place]
		case lieWhole:
			f.Content = x.bytes
		case lieGone:
			gone[f.ID] = true
		case lieRefuse:
			f.Refused = apdu.Status(x.place)
		case lieSwap:
			f.Content = all[x.place%len(all)].Content
		case lieOther:
			for _, o := range foreignFiles {
				if o.ID == f.ID {
					f.Content = o.Content
				}
			}
		case lieEndOfBuf:
			p.Limits.Plain, p.Limits.Protected = 1+x.place, 1+x.place
		}
	}
	without := func(f chip.File) bool { return gone[f.ID] }
	p.Files, p.MasterFiles = slices.DeleteFunc(p.Files, without), slices.DeleteFunc(p.MasterFiles, without)
	p.Faults.Protect = l.protect
	var err error
	if l.chip, err = d.Chip(); err != nil {
		return nil // not every set of files can be written to a chip
	}
	return l
}

// due reports whether the lie is for this exchange: at its number and, if the
// file's number is odd, at every one after that.
func (l *liar) due(x lie) bool { return x.place == l.now || x.file&1 == 1 && l.now > x.place }

func (l *liar) protect(_ int, _ byte, objects []byte) []byte {
	for _, x := range l.lies {
		switch {
		case !l.due(x):
		case x.what == lieStatus && len(x.bytes) >= 2 && len(objects) >= 4:
			objects = slices.Concat(objects[:len(objects)-2], x.bytes[:2])
		case x.what == lieObjects:
			objects = x.bytes
		}
	}
	return objects
}

func (l *liar) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	l.now++
	resp, err := l.chip.Transmit(ctx, cmd)
	if err != nil {
		return nil, err
	}
	honest := resp
	for _, x := range l.lies {
		if !l.due(x) {
			continue
		}
		switch x.what {
		case lieStatus:
			// The status word outside is to be the one inside.
			if len(x.bytes) >= 2 && len(resp) >= 2 {
				resp = slices.Concat(resp[:len(resp)-2], x.bytes[:2])
			}
		case lieRaw:
			resp = bytes.Clone(x.bytes)
		case lieShort:
			resp = resp[:min(len(x.bytes), len(resp))]
		case lieReplay:
			resp = l.last
		}
	}
	l.last = honest
	l.bytes += len(resp)
	return resp, nil
}

// Reset lets the chip begin anew; the script goes on.
func (l *liar) Reset(context.Context) error {
	l.chip.Reset()
	return nil
}

// A hostileCase is what a fuzzer chooses.
type hostileCase struct {
	profile string
	clone   bool // the chip does not have the keys that were signed
	open    bool // the chip has no access control: there is no secure channel
	cfg     inspect.Config
	script  []byte
}

// choose takes two bytes for the document and the desk, and leaves the script.
func choose(b []byte) (hostileCase, bool) {
	if len(b) < 2 {
		return hostileCase{}, false
	}
	c := hostileCase{profile: hostileProfiles[int(b[0]>>1)%len(hostileProfiles)], clone: b[0]&1 == 1, script: b[2:]}
	flag := func(i int) bool { return b[1]>>i&1 == 1 }
	c.cfg = inspect.Config{
		At: inspecttest.At, Photo: flag(0), All: flag(1), Strict: flag(2), ProbeUncovered: flag(3), FallBackToBAC: flag(4),
		MaxNe: []int{0, 65536}[b[1]>>5&1], Challenge: &[8]byte{1, 2, 3, 4, 5, 6, 7, 8},
	}
	if flag(6) {
		c.cfg.Learned = &lds.Learned{}
	}
	c.open = flag(7)
	var seed [32]byte
	c.cfg.Rand = rand.NewChaCha8(seed)
	return c, true
}

// run inspects a hostile chip and judges the report by what is known of the
// document: nothing may count as good that its issuer did not sign.
func (c hostileCase) run(t *testing.T) {
	t.Helper()
	d := inspecttest.New(t, c.profile)
	other := foreignDocument(t, c.profile)
	groups, photo := maps.Clone(d.Groups), portrait(t, d.Groups[2])
	a, pool := d.Access(t), d.Pool(t)
	p := d.Personalisation
	if c.clone {
		// What the chip can prove is possession of keys of another document.
		p.ActiveAuthentication = other.Personalisation.ActiveAuthentication
		p.ChipAuthentication = other.Personalisation.ChipAuthentication
		p.MoreChipAuthentication = other.Personalisation.MoreChipAuthentication
	}
	if c.open {
		p.AccessKey, p.CAN, p.PACE, p.MorePACE = mrz.Key{}, "", nil, nil
	}
	card := newLiar(t, d, other, lies(c.script))
	if card == nil {
		return
	}
	c.cfg.Trust = pool
	r, err := inspect.Run(t.Context(), card, a, &c.cfg)

	if r == nil {
		t.Fatal("no report")
	}
	if r.Exchanges > inspect.MaxExchanges || r.Exchanges > card.now || card.now > 2*inspect.MaxExchanges {
		t.Errorf("%d exchanges, the chip saw %d", r.Exchanges, card.now)
	}
	for name, b := range map[string][]byte{"SOD": r.Evidence.SOD, "DG1": r.Evidence.DG1, "DG14": r.Evidence.DG14, "DG15": r.Evidence.DG15} {
		if len(b) > 1<<20 {
			t.Errorf("%s of %d bytes", name, len(b))
		}
	}
	if err != nil && r.Err() == nil {
		// Only what nobody requires may be missing: the photo, and what is read
		// after it.
		step, ok := errors.AsType[*inspect.StepError](err)
		if !ok || step.Step != inspect.StepPhoto && step.Step != inspect.StepOptional {
			t.Errorf("an inspection that broke off satisfies: %v", err)
		}
	}
	genuine := r.Err(inspect.GenuineIDs()...) == nil
	if r.TextVerified() && !genuine {
		t.Error("the text is verified, its issuer is not")
	}
	if genuine {
		// The issuer signed one set of data groups: what counts as intact is that.
		for _, g := range []struct {
			id   inspect.ID
			dg   int
			read []byte
		}{{inspect.DG1Integrity, 1, r.Evidence.DG1}, {inspect.DG14Integrity, 14, r.Evidence.DG14}, {inspect.DG15Integrity, 15, r.Evidence.DG15}} {
			if r.Check(g.id).Value == result.Successful && !bytes.Equal(g.read, groups[g.dg]) {
				t.Errorf("%s: another file than the signed one counts as intact", g.id)
			}
		}
		if r.Photo != nil && !bytes.Equal(r.Photo.Data, photo) {
			t.Error("another photo than the signed one is shown")
		}
	}
	if c.clone {
		// Signed data and a proof of possession of the signed key do not meet.
		if r.Err() == nil || genuine && r.Err(inspect.ChipAuthenticity) == nil {
			t.Error("a copy counts as genuine")
		}
		for _, id := range []inspect.ID{inspect.ActiveAuthentication, inspect.ChipAuthentication, inspect.PACECAM} {
			if genuine && r.Check(id).Value == result.Successful {
				t.Errorf("a copy passes %s", id)
			}
		}
	}
}

// portrait returns the picture in DG2, nil if there is none.
func portrait(t *testing.T, dg2 []byte) []byte {
	t.Helper()
	if dg2 == nil {
		return nil
	}
	d, err := lds.ParseDG2(dg2)
	if err != nil {
		t.Fatal(err)
	}
	img, _ := d.Portrait()
	return img.Data
}

// hostileSeeds are lies of every kind, spread over the profiles, and documents
// that do not lie.
func hostileSeeds() (list [][]byte) {
	for what := range byte(lieKinds) {
		for k := range byte(5) {
			profile := int(what+2*k) % len(hostileProfiles)
			l := []lie{
				{what, what + k, 12, []byte{0x90, 0x00}},
				{what, what * k, 40, []byte{0x80, 1}},
				{what, 1 + 2*k, 9 + int(k), []byte{0x99, 2, 0x6A, 0x82}},
			}[k%3]
			list = append(list, l.append([]byte{byte(profile<<1) | k&1, 3 | what<<2 ^ k<<5}))
		}
	}
	for i := range hostileProfiles {
		list = append(list, []byte{byte(i << 1), 0x27}, []byte{byte(i<<1) | 1, 0x67}, []byte{byte(i << 1), 0xA3})
	}
	return list
}

// TestHonest: without a lie the same chips are what they are, so that the tests
// beside this one do not pass for another reason.
func TestHonest(t *testing.T) {
	t.Parallel()
	for i, profile := range hostileProfiles {
		for _, clone := range []bool{false, true} {
			head := []byte{byte(i << 1), 0x21}
			if clone {
				head[0] |= 1
			}
			c, _ := choose(head)
			if c.profile != profile || c.clone != clone {
				t.Fatalf("chose %s, %v", c.profile, c.clone)
			}
			c.run(t)
			d := inspecttest.New(t, profile)
			card := newLiar(t, d, foreignDocument(t, profile), nil)
			c.cfg.Trust = d.Pool(t)
			r, err := inspect.Run(t.Context(), card, d.Access(t), &c.cfg)
			if err != nil || r.Err() != nil || !r.TextVerified() || r.Photo == nil {
				t.Errorf("%s: %v, %v", profile, err, r.Err())
			}
		}
	}
}

// FuzzHostileFiles is a chip that opens with its key and lies inside the secure
// channel: in its files, in its status words, in the objects of its answers, and
// around it. It tries every profile, with the keys of the document and without.
func FuzzHostileFiles(f *testing.F) {
	for _, s := range hostileSeeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := choose(b); ok {
			c.run(t)
		}
	})
}
