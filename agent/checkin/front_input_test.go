package checkin_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
)

const (
	cardQR = "001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Số 1, Phường X, Quận Y, Hà Nội|15042021"
	hiQR   = "GD4010100000001|4E677579E1BB856E2056C4836E205468E1BBAD|31/01/1999|1|48C3A0204EE1BB9969|01 - 013|01/01/2026|31/12/2026|01/01/2026|01010100000001|-|4|01/01/2028|0123456789abcdef-0000|$"
)

// TestClaims: the ways without a chip. None is ever verified, none has evidence, each
// is looked up with what is known and recorded once it is confirmed.
func TestClaims(t *testing.T) {
	typed := wire.TypedPerson{Name: "Trần Thị  Mẫu", BirthDate: "2001-03", Sex: "female", Number: "079 301 000 002"}
	for _, tt := range []struct {
		name     string
		start    wire.Start
		key      *wire.Key // given afterwards
		want     contract.Person
		asked    lookup.Request
		means    string
		warnings []string
		guardian string
	}{
		{
			name: "citizen card's code", start: wire.Start{Means: wire.MeansCCCDQR, Key: &wire.Key{Scan: cardQR + "\r\n"}}, means: wire.MeansCCCDQR,
			want:  contract.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: "male", Nationality: "VNM"},
			asked: lookup.Request{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"},
		},
		{
			name: "citizen card's code, scanned later, completed by typing", means: wire.MeansCCCDQR,
			start: wire.Start{Means: wire.MeansCCCDQR, Person: &wire.TypedPerson{InsuranceNumber: "gd4 010100000001", Name: "somebody else"}},
			key:   &wire.Key{Scan: cardQR},
			want: contract.Person{
				Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: "male", Nationality: "VNM", InsuranceNumber: "GD4010100000001",
			},
			asked: lookup.Request{Number: "001099000001", InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"},
		},
		{
			name: "health insurance card's code", start: wire.Start{Means: wire.MeansHIQR, Key: &wire.Key{Scan: hiQR}}, means: wire.MeansHIQR,
			want:  contract.Person{InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: "male"},
			asked: lookup.Request{InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"},
		},
		{
			name: "health insurance card's code, nobody said so", start: wire.Start{}, key: &wire.Key{Scan: hiQR}, means: wire.MeansHIQR,
			want:  contract.Person{InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: "male"},
			asked: lookup.Request{InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"},
		},
		{
			name: "typed", start: wire.Start{Means: wire.MeansManual, Person: &typed}, means: wire.MeansManual,
			want:  contract.Person{Number: "079301000002", Name: "Trần Thị Mẫu", BirthDate: "2001-03", Sex: "female"},
			asked: lookup.Request{Number: "079301000002", Name: "Trần Thị Mẫu", BirthDate: "2001-03"},
		},
		{
			name:  "typed, and unusual",
			start: wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "Trần Thị Mẫu", BirthDate: "1971", Sex: "male", Number: "003301000002"}},
			means: wire.MeansManual, warnings: []string{"number_unknown_place", "number_other_birth_year", "number_other_sex"},
			want:  contract.Person{Number: "003301000002", Name: "Trần Thị Mẫu", BirthDate: "1971", Sex: "male"},
			asked: lookup.Request{Number: "003301000002", Name: "Trần Thị Mẫu", BirthDate: "1971"},
		},
		{
			name:  "child without a card",
			start: wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "Trần Mẫu", BirthDate: "2024-05-01", Child: true, Guardian: "Trần Thị Mẫu, mẹ"}},
			means: wire.MeansManual, warnings: []string{checkin.WarnNoNumber}, guardian: "Trần Thị Mẫu, mẹ",
			want:  contract.Person{Name: "Trần Mẫu", BirthDate: "2024-05-01"},
			asked: lookup.Request{Name: "Trần Mẫu", BirthDate: "2024-05-01"},
		},
		{
			name:  "child who is none",
			start: wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "Mẫu", BirthDate: "2001-05-01", Child: true, Guardian: "mẹ", InsuranceNumber: "0123456789"}},
			means: wire.MeansManual, warnings: []string{checkin.WarnChildAge}, guardian: "mẹ",
			want:  contract.Person{Name: "Mẫu", BirthDate: "2001-05-01", InsuranceNumber: "0123456789"},
			asked: lookup.Request{Name: "Mẫu", BirthDate: "2001-05-01", InsuranceNumber: "0123456789"},
		},
		{
			name:  "VNeID, of which nothing is read",
			start: wire.Start{Means: wire.MeansVNeID, Key: &wire.Key{Scan: cardQR}, Person: &typed}, means: wire.MeansVNeID,
			want:  contract.Person{Number: "079301000002", Name: "Trần Thị Mẫu", BirthDate: "2001-03", Sex: "female"},
			asked: lookup.Request{Number: "079301000002", Name: "Trần Thị Mẫu", BirthDate: "2001-03"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked lookup.Request
			pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), func(pl *place) {
				pl.desk.Lookup = insurer(func(_ context.Context, r lookup.Request) (lookup.Answer, error) {
					asked = r
					return insured, nil
				})
			})
			c := pl.start(tt.start)
			if tt.key != nil {
				if c.State != wire.StateKey {
					t.Fatalf("state %s without a code", c.State)
				}
				if _, err := pl.front.Key(t.Context(), his, c.ID, *tt.key); err != nil {
					t.Fatal(err)
				}
			}
			c = pl.state(c.ID, wire.StateConfirm)
			if c.Means != tt.means || c.Guardian != tt.guardian || c.Photo == nil || c.Photo.Available {
				t.Errorf("means %s, guardian %q, photo %+v", c.Means, c.Guardian, c.Photo)
			}
			if want := append([]string{}, tt.warnings...); !slices.Equal(c.Warnings, want) {
				t.Errorf("warnings %q, want %q", c.Warnings, want)
			}
			if c.Person == nil || c.Person.Verified || c.Person.SignedByIssuer || c.Report.Decision != "warn" || c.Entitlement.Status != "valid" {
				t.Errorf("person %v, decision %s", c.Person != nil, c.Report.Decision)
			}
			if len(c.Report.Checks) == 0 || slices.ContainsFunc(c.Report.Checks, func(c wire.Check) bool { return c.Result != "not_performed" }) {
				t.Errorf("%d checks", len(c.Report.Checks))
			}
			if diff := cmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("the question (-want +got):\n%s", diff)
			}
			if pl.visits() != 0 {
				t.Fatal("recorded before it was confirmed")
			}
			c, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed)
			if err != nil || c.State != wire.StateRecorded || pl.visits() != 1 {
				t.Fatalf("%v, state %s, fault %+v", err, c.State, c.Fault)
			}
			v, err := contract.DecodeVisit(pl.disk.entries[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, v.Person); diff != "" {
				t.Errorf("the visit's person (-want +got):\n%s", diff)
			}
			if v.Verified || v.Evidence != nil || string(v.Means) != tt.means || v.Operator != "via "+his {
				t.Errorf("verified %v, evidence %v, means %s", v.Verified, v.Evidence != nil, v.Means)
			}
			if tt.guardian != "" && strings.Contains(string(pl.disk.entries[0].Payload), tt.guardian) {
				t.Error("the guardian is sent to the insurer")
			}
			for _, check := range v.Checks {
				if check.Result != contract.NotPerformed {
					t.Errorf("%s is %s", check.ID, check.Result)
				}
			}
		})
	}
}

// TestRefusedMeans: a site may refuse a way without a chip.
func TestRefusedMeans(t *testing.T) {
	pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), func(pl *place) {
		pl.desk.Policy.Refused.Manual = true
		pl.desk.Lookup = insurer(func(context.Context, lookup.Request) (lookup.Answer, error) {
			t.Error("somebody is asked about a person who is refused")
			return insured, nil
		})
	})
	c := pl.start(wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "A", BirthDate: "1990"}})
	c = pl.state(c.ID, wire.StateRefused)
	if c.Fault == nil || pl.visits() != 0 {
		t.Errorf("fault %v", c.Fault)
	}
}

// TestInput: what was typed or scanned and cannot be used is said by field, and no
// check-in begins; an error never holds the value.
func TestInput(t *testing.T) {
	field := func(name, why string) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*checkin.InputError](err)
			return ok && errors.Is(err, checkin.ErrInput) && e.Field == name && e.Why == why
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	badMRZ := func(err error) bool { _, ok := errors.AsType[*mrz.Error](err); return ok }
	manual := func(change func(*wire.TypedPerson)) wire.Start {
		p := &wire.TypedPerson{Name: "Zzz", BirthDate: "1990-01-01"}
		change(p)
		return wire.Start{Means: wire.MeansManual, Person: p}
	}
	key := func(k wire.Key) wire.Start { return wire.Start{Key: &k} }
	code := func(means, scan string) wire.Start { return wire.Start{Means: means, Key: &wire.Key{Scan: scan}} }
	for _, tt := range []struct {
		name string
		s    wire.Start
		want func(error) bool
	}{
		{"means", wire.Start{Means: "Zzz"}, field("means", "unknown")},
		{"reference too long", wire.Start{Reference: strings.Repeat("Z", 65)}, field("reference", "too_long")},
		{"reference not ASCII", wire.Start{Reference: "Zễ"}, field("reference", "malformed")},
		{"reader", wire.Start{Reader: strings.Repeat("Z", 257)}, field("reader", "too_long")},
		{"chip and person", wire.Start{Person: &wire.TypedPerson{Name: "Zzz"}}, field("person", "conflict")},
		{"manual without person", wire.Start{Means: wire.MeansManual}, field("person", "missing")},
		{"VNeID without person", wire.Start{Means: wire.MeansVNeID}, field("person", "missing")},
		{"manual and key", wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{}, Key: &wire.Key{CAN: "123456"}}, field("key", "conflict")},
		{"empty key", key(wire.Key{}), field("key", "missing")},
		{"two keys", key(wire.Key{Scan: "Zzz", CAN: "123456"}), field("key", "conflict")},
		{"expiry alone", key(wire.Key{Expiry: "2030-01-01"}), field("key", "missing")},
		{"expiry and CAN", key(wire.Key{CAN: "123456", Expiry: "2030-01-01"}), field("key.expiry", "conflict")},
		{"expiry and MRZ lines", key(wire.Key{Scan: "Z<<Z", Expiry: "2030-01-01"}), field("key.expiry", "conflict")},
		{"expiry malformed", key(wire.Key{Scan: cardQR, Expiry: "Zzz"}), field("key.expiry", "malformed")},
		{"scan too long", key(wire.Key{Scan: strings.Repeat("Z", 4097)}), field("key.scan", "too_long")},
		{"CAN", key(wire.Key{CAN: "12345Z"}), is(checkin.ErrCAN)},
		{"CAN too short", key(wire.Key{CAN: "12345"}), is(checkin.ErrCAN)},
		{"MRZ", key(wire.Key{MRZ: "Zzz"}), badMRZ},
		{"MRZ scanned", key(wire.Key{Scan: "Z<<Z"}), badMRZ},
		{"another code", key(wire.Key{Scan: "https://zzz.example"}), is(vn.ErrQR)},
		{"a card's code without birth", key(wire.Key{Scan: "001099000001||Zzz||Nam||15042021"}), is(vn.ErrDate)},
		{"a card's code with the year of birth", key(wire.Key{Scan: "001099000001||Zzz|1999|Nam||15042021"}), is(vn.ErrPartialDate)},
		{"health insurance in place of a chip", wire.Start{Means: wire.MeansChip, Key: &wire.Key{Scan: hiQR}}, is(vn.ErrQR)},
		{"a card's code in place of health insurance", code(wire.MeansHIQR, cardQR), is(vn.ErrQR)},
		{"health insurance in place of a card's", code(wire.MeansCCCDQR, hiQR), is(vn.ErrQR)},
		{"a CAN in place of a code", wire.Start{Means: wire.MeansCCCDQR, Key: &wire.Key{CAN: "123456"}}, field("key.scan", "missing")},
		{"born in future", code(wire.MeansCCCDQR, "001099000001||Zzz|31012027|Nam||15042021"), field("key.scan", "future")},
		{"name too long", code(wire.MeansCCCDQR, "001099000001||"+strings.Repeat("Z", 129)+"|31011999|Nam||15042021"), field("key.scan", "too_long")},
		{"no name", manual(func(p *wire.TypedPerson) { p.Name = "\u00a0 " }), field("person.name", "missing")},
		{"name too long", manual(func(p *wire.TypedPerson) { p.Name = strings.Repeat("ễ", 129) }), field("person.name", "too_long")},
		{"name that reads backwards", manual(func(p *wire.TypedPerson) { p.Name = "Z\u202ez" }), field("person.name", "malformed")},
		{"name that is not UTF-8", manual(func(p *wire.TypedPerson) { p.Name = "Z\xff" }), field("person.name", "malformed")},
		{"no birth date", manual(func(p *wire.TypedPerson) { p.BirthDate = "" }), field("person.birth_date", "missing")},
		{"birth date", manual(func(p *wire.TypedPerson) { p.BirthDate = "31/01/1999" }), field("person.birth_date", "malformed")},
		{"no such day", manual(func(p *wire.TypedPerson) { p.BirthDate = "1999-02-29" }), field("person.birth_date", "malformed")},
		{"too old", manual(func(p *wire.TypedPerson) { p.BirthDate = "1849" }), field("person.birth_date", "malformed")},
		{"born tomorrow", manual(func(p *wire.TypedPerson) { p.BirthDate = "2026-11-23" }), field("person.birth_date", "future")},
		{"number", manual(func(p *wire.TypedPerson) { p.Number = "00109900000" }), field("person.number", "malformed")},
		{"insurance number", manual(func(p *wire.TypedPerson) { p.InsuranceNumber = "GD40101" }), field("person.insurance_number", "malformed")},
		{"sex", manual(func(p *wire.TypedPerson) { p.Sex = "Nam" }), field("person.sex", "unknown")},
		{"child without guardian", manual(func(p *wire.TypedPerson) { p.Child = true }), field("person.guardian", "missing")},
		{"guardian too long", manual(func(p *wire.TypedPerson) { p.Guardian = strings.Repeat("Z", 129) }), field("person.guardian", "too_long")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), nil)
			_, err := pl.front.Start(t.Context(), his, tt.s)
			if err == nil || !tt.want(err) {
				t.Errorf("error %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "Zz") || strings.Contains(err.Error(), "123")) {
				t.Error("the error holds the value")
			}
			if _, err := pl.front.Current(t.Context(), his); !errors.Is(err, checkin.ErrNone) {
				t.Error("a check-in began")
			}
		})
	}
	t.Run("born today is no future", func(t *testing.T) {
		pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), nil)
		if _, err := pl.front.Start(t.Context(), his, manual(func(p *wire.TypedPerson) { p.BirthDate = "2026-11-22" })); err != nil {
			t.Error(err)
		}
	})
	t.Run("a code without a usable date of issue wants the date of expiry", func(t *testing.T) {
		p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
		pl := open(t, p, nil)
		fields := strings.Split(p.doc.QR, "|")
		fields[6] = "2021"
		c := pl.start(key(wire.Key{Scan: strings.Join(fields, "|")}))
		if c.State != wire.StateKey || c.Wants != wire.WantsExpiry {
			t.Fatalf("state %s, wants %q", c.State, c.Wants)
		}
		pl.insert(p.card(t))
		if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{Expiry: p.expiry(t)}); err != nil {
			t.Fatal(err)
		}
		pl.state(c.ID, wire.StateConfirm)
	})
	t.Run("a bad key leaves the check-in as it was", func(t *testing.T) {
		p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
		pl := open(t, p, nil)
		c := pl.start(wire.Start{Key: p.scan()})
		if n, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{CAN: "1"}); !errors.Is(err, checkin.ErrCAN) || n.State != wire.StateCard || n.Version != c.Version {
			t.Errorf("%v, state %s", err, n.State)
		}
		pl.insert(p.card(t))
		pl.state(c.ID, wire.StateConfirm)
	})
}

func TestYears(t *testing.T) {
	for _, tt := range []struct {
		birth contract.Date
		want  int
	}{
		{"2012-11-22", 14}, {"2012-11-23", 13}, {"2012-11", 14}, {"2012-12", 13}, {"2012", 13}, {"2026-11-22", 0}, {"2026", 0}, {"", -1}, {"x", -1},
	} {
		if got := checkin.Years(tt.birth, at); got != tt.want {
			t.Errorf("born %s: %d years, want %d", tt.birth, got, tt.want)
		}
	}
}

// TestAnything lets people, cards, clients and readers do whatever they like, in any
// order, and looks at what must hold all the time: a visit is on disk if and only if a
// check-in is recorded that was accepted and then confirmed, once.
func TestAnything(t *testing.T) {
	runs, length := 12, 40
	if os.Getenv("CHAMTHE_LONG") != "" {
		runs, length = 300, 120
	}
	good := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	forged := []paper{
		document(t, chip.ProfileCCCDNoAA, chip.TamperDG1), document(t, chip.ProfileCCCDNoAA, chip.TamperSODSignature),
		document(t, chip.ProfileCCCDNoAA, chip.TamperUnknownCSCA), document(t, chip.ProfileCCCD, chip.TamperClone),
	}
	for seed := range uint64(runs) {
		r := rand.New(rand.NewPCG(seed, 7))
		pl := open(t, good, func(pl *place) {
			pl.cfg.OperatorRequired = seed%3 == 0
			if seed%4 == 0 {
				pl.disk.fail = errFull
			}
		})
		ctx := t.Context()
		ids := []string{"none"}
		asked := map[string]int{} // how often somebody confirmed
		lying := ""               // what card lies there
		owner := func() string { return []string{his, checkin.OwnerDesk, "https://other.example"}[r.IntN(3)] }
		id := func() string { return ids[max(0, len(ids)-1-r.IntN(3))] }
		keys := func() wire.Key {
			return []wire.Key{*good.scan(), *good.scan(), *good.scan(), {CAN: "123456"}, {Scan: hiQR}, {Scan: "x"}, {Expiry: "2044-01-01"}, {}}[r.IntN(8)]
		}
		for range length {
			switch op := r.IntN(14); op {
			case 0, 1, 2:
				s := wire.Start{Photo: r.IntN(2) == 0}
				switch r.IntN(4) {
				case 0:
					s.Means, s.Person = wire.MeansManual, &wire.TypedPerson{Name: "Trần Thị Mẫu", BirthDate: "2001"}
				case 1, 2:
					k := keys()
					s.Key = &k
				}
				if c, err := pl.front.Start(ctx, owner(), s); err == nil {
					ids = append(ids, c.ID)
				}
			case 3:
				_, _ = pl.front.Key(ctx, owner(), id(), keys())
			case 4, 5, 6:
				i := id()
				if c, err := pl.front.Confirm(ctx, owner(), i, confirmed); err == nil && c.ID != "" {
					asked[i]++
				}
			case 7:
				_, _ = pl.front.Confirm(ctx, owner(), id(), wire.Confirmation{Reason: "x"})
			case 8:
				_, _ = pl.front.Cancel(ctx, owner(), id())
			case 9, 10:
				if lying == "" {
					p, what := good, "good"
					if r.IntN(3) == 0 {
						p, what = forged[r.IntN(len(forged))], "forged"
					}
					pl.insert(p.card(t))
					lying = what
				} else {
					pl.remove()
					lying = ""
				}
			case 11:
				pl.pass(time.Duration(r.IntN(400)) * time.Second)
				pl.front.Expire()
			case 12:
				pl.mu.Lock()
				pl.operator = []string{"", "lan"}[r.IntN(2)]
				pl.mu.Unlock()
			case 13:
				// Let something happen.
				wait, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
				_, _ = pl.events.Next(wait)
				cancel()
			}
		}
		if err := pl.stop(); err != nil {
			t.Fatal(err)
		}
		visits := map[string]bool{}
		for _, e := range pl.disk.entries {
			v, err := contract.DecodeVisit(e.Payload)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if visits[v.ID] {
				t.Errorf("seed %d: one visit twice", seed)
			}
			visits[v.ID] = true
			if v.Verified != (v.Means == contract.MeansChip) {
				t.Errorf("seed %d: means %s, verified %v", seed, v.Means, v.Verified)
			}
			if pl.cfg.OperatorRequired && v.Operator == "" {
				t.Errorf("seed %d: recorded for nobody", seed)
			}
		}
		if pl.disk.fail != nil && len(visits) > 0 {
			t.Errorf("seed %d: recorded on a full disk", seed)
		}
		if len(visits) > len(asked) {
			t.Errorf("seed %d: %d visits, %d check-ins were confirmed", seed, len(visits), len(asked))
		}
		checkHistory(t, seed, pl, asked, visits)
	}
}

func TestHexOfTheExample(t *testing.T) {
	b, err := hex.DecodeString(strings.Split(hiQR, "|")[1])
	if err != nil || string(b) != "Nguyễn Văn Thử" {
		t.Errorf("%v", err)
	}
}

// Whatever is typed or scanned: who is taken in can be recorded, and who is not is told
// why without the value.
func FuzzTyped(f *testing.F) {
	f.Add(wire.MeansManual, "", "Trần Thị Mẫu", "079301000002", "2001-03", "female", "gd4 010100000001", "mẹ")
	f.Add(wire.MeansCCCDQR, cardQR, "", "", "", "", "", "")
	f.Add(wire.MeansHIQR, hiQR, "", "001099000001", "", "", "", "")
	f.Add("", hiQR, "", "", "", "", "", "")
	f.Add(wire.MeansVNeID, "opaque", "A\ufffd", "1", "1999-02-29", "x", "", "")
	front, err := checkin.NewFront(checkin.FrontConfig{
		Readers: noReaders{}, Desk: func(context.Context) (*checkin.Desk, error) { return nil, errors.New("none") }, Fault: encodeFault,
		Now: func() time.Time { return at },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, means, scan, name, number, birth, sex, card, guardian string) {
		s := wire.Start{Means: means}
		if scan != "" {
			s.Key = &wire.Key{Scan: scan}
		}
		if name+number+birth+card+guardian != "" {
			s.Person = &wire.TypedPerson{Name: name, Number: number, BirthDate: birth, Sex: sex, InsuranceNumber: card, Guardian: guardian}
		}
		p, known, err := checkin.Typed(front, s)
		if err != nil {
			if len(name) > 6 && strings.Contains(err.Error(), name) {
				t.Error("the error holds the value")
			}
			return
		}
		if !known {
			return
		}
		v := contract.Visit{
			Version: contract.Version, ID: "0192f0c0-1111-7222-8333-444444444444", Facility: "01013", Agent: agentKey(t),
			StartedAt: contract.Timestamp(at), RecordedAt: contract.Timestamp(at), Clock: contract.ClockUnknown, Means: contract.MeansManual, Person: p,
			Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
		}
		if _, err := contract.EncodeVisit(&v); err != nil {
			t.Errorf("taken in and cannot be recorded: %v", err)
		}
	})
}

// noReaders is for a front desk that reads no card.
type noReaders struct{ checkin.Readers }

var agentKey = func() func(t *testing.T) string {
	key, err := nkeys.CreateUser()
	return func(t *testing.T) string {
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
}()
