package checkin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/sync/contract"
)

// Errors about what was typed or scanned.
var (
	// ErrInput is every [*InputError].
	ErrInput = errors.New("checkin: what was given cannot be used")
	// ErrCAN means that the card access number is not six digits.
	ErrCAN = errors.New("checkin: card access number is not six digits")
)

// An InputError says which field of what was given cannot be used and why. It holds
// nothing of its value.
type InputError struct {
	Field string // as in the JSON: "person.birth_date"
	Why   string // "missing", "malformed", "too_long", "future", "conflict", "unknown"
}

// Error names field and cause.
func (e *InputError) Error() string {
	return fmt.Sprintf("checkin: %s %s", e.Field, strings.ReplaceAll(e.Why, "_", " "))
}

// Is makes every InputError an [ErrInput].
func (e *InputError) Is(target error) bool { return target == ErrInput }

// Why an input cannot be used.
const (
	whyMissing   = "missing"
	whyMalformed = "malformed"
	whyTooLong   = "too_long"
	whyFuture    = "future"
	whyConflict  = "conflict"
	whyUnknown   = "unknown"
)

// Warnings about typed data, beside those of package vn: hints to look again, and
// never a reason to refuse anybody.
const (
	WarnChildAge   = "child_age"   // said to be a child, and old enough for a card of their own
	WarnNoNumber   = "no_number"   // neither a personal number nor that of an insurance card
	WarnNoGuardian = "no_guardian" // a child's age, and not said who brought them
)

// Limits of what is given.
const (
	maxReference = 64
	maxReader    = 256
	maxKeyText   = 4096
	maxGuardian  = 128
	maxReason    = 200
	// cardAge is the age from which everybody has a card (Law 26/2023/QH15,
	// article 19).
	cardAge  = 14
	minBirth = 1850
)

// typed is a person who is not verified.
type typed struct {
	person   contract.Person
	guardian string
	warnings []string
}

// newTurn checks what a check-in begins with.
func (f *Front) newTurn(s wire.Start) (*turn, error) {
	means := contract.Means(s.Means)
	if means == "" {
		means = contract.MeansChip
	}
	t := &turn{means: means, open: s.Means == "", photo: s.Photo, reader: s.Reader}
	t.c = wire.CheckIn{Reference: s.Reference, Reader: s.Reader, Warnings: []string{}, TimingsMS: map[string]float64{}}
	switch {
	case !slices.Contains([]contract.Means{
		contract.MeansChip, contract.MeansCCCDQR, contract.MeansHIQR, contract.MeansVNeIDQR, contract.MeansManual,
	}, means):
		return nil, &InputError{"means", whyUnknown}
	case len(s.Reference) > maxReference:
		return nil, &InputError{"reference", whyTooLong}
	case strings.ContainsFunc(s.Reference, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, &InputError{"reference", whyMalformed}
	case len(s.Reader) > maxReader:
		return nil, &InputError{"reader", whyTooLong}
	case s.Person != nil && means == contract.MeansChip:
		return nil, &InputError{"person", whyConflict} // the chip says who it is
	case s.Person == nil && (means == contract.MeansManual || means == contract.MeansVNeIDQR):
		return nil, &InputError{"person", whyMissing} // nothing is read out of a VNeID code
	case s.Key != nil && means == contract.MeansManual:
		return nil, &InputError{"key", whyConflict}
	}
	now := f.cfg.Now()
	if s.Person != nil {
		p, err := readTyped(*s.Person, means, now)
		if err != nil {
			return nil, err
		}
		if means == contract.MeansManual {
			t.setTyped(p)
			return t, nil
		}
		t.completes = p
	}
	if s.Key == nil {
		return t, nil
	}
	return t, t.take(*s.Key, now)
}

// take reads a key into the check-in; on error it stays as it was.
func (t *turn) take(k wire.Key, now time.Time) error {
	given := 0
	for _, v := range []struct{ name, text string }{{"scan", k.Scan}, {"mrz", k.MRZ}, {"can", k.CAN}} {
		if v.text == "" {
			continue
		}
		given++
		if len(v.text) > maxKeyText {
			return &InputError{"key." + v.name, whyTooLong}
		}
	}
	switch {
	case given > 1:
		return &InputError{"key", whyConflict}
	case given == 0 && (k.Expiry == "" || t.qr == nil):
		return &InputError{"key", whyMissing}
	case k.Expiry != "" && k.Scan == "" && given > 0:
		return &InputError{"key.expiry", whyConflict}
	}
	means := t.means
	if t.open && k.Scan != "" && vn.KindOf(k.Scan) == vn.InsuredQR {
		means = contract.MeansHIQR // whoever does not say what it is gets what the code is
	}
	if means != contract.MeansChip {
		if k.Scan == "" {
			return &InputError{"key.scan", whyMissing}
		}
		return t.takeCode(means, k.Scan, now)
	}
	switch {
	case k.CAN != "":
		if len(k.CAN) != 6 || !digits(k.CAN) {
			return ErrCAN
		}
		t.access, t.qr = inspect.Access{CAN: k.CAN}, nil
		return nil
	case k.MRZ != "":
		return t.takeMRZ(k.MRZ)
	case k.Scan == "":
		return t.takeQR(*t.qr, k.Expiry)
	}
	switch vn.KindOf(k.Scan) {
	case vn.MRZLines:
		if k.Expiry != "" {
			return &InputError{"key.expiry", whyConflict}
		}
		return t.takeMRZ(k.Scan)
	default:
		q, err := vn.ParseCCCDQR(k.Scan)
		if err != nil {
			return err
		}
		return t.takeQR(q, k.Expiry)
	}
}

func (t *turn) takeMRZ(lines string) error {
	m, err := mrz.Parse(lines)
	if err != nil {
		return err
	}
	key, err := m.Key()
	if err != nil {
		return err
	}
	t.access, t.qr = inspect.Access{Keys: []mrz.Key{key}}, nil
	return nil
}

// takeQR takes the candidates of a citizen card's code, or the one key with the
// date of expiry that was typed. A code without a usable date of issue opens the chip
// once that date is typed.
func (t *turn) takeQR(q vn.CCCDQR, expiry string) error {
	if expiry != "" {
		year, month, day, ok := contract.Date(expiry).Parts()
		if !ok || day == 0 {
			return &InputError{"key.expiry", whyMalformed}
		}
		yymmdd, _ := vn.Date{Year: year, Month: month, Day: day}.MRZ()
		key, err := q.Key(yymmdd)
		if err != nil {
			return err
		}
		t.access, t.qr = inspect.Access{Keys: []mrz.Key{key}}, &q
		return nil
	}
	keys, err := q.Keys()
	if err != nil {
		if fe, ok := errors.AsType[*vn.FieldError](err); !ok || fe.Field != vn.FieldDateOfIssue || !q.DateOfBirth.Full() {
			return err
		}
	}
	t.access, t.qr = inspect.Access{Keys: keys}, &q
	return nil
}

// takeCode takes the code of a person who shows no chip.
func (t *turn) takeCode(means contract.Means, scan string, now time.Time) error {
	var p contract.Person
	switch means {
	case contract.MeansCCCDQR:
		q, err := vn.ParseCCCDQR(scan)
		if err != nil {
			return err
		}
		p = contract.Person{
			Number: string(q.Number), Name: q.Name, BirthDate: contract.Date(q.DateOfBirth.String()),
			Sex: sexOf(vn.ParseSex(q.Sex)), Nationality: vn.State,
		}
	case contract.MeansHIQR:
		q, err := vn.ParseHIQR(scan)
		if err != nil {
			return err
		}
		p = contract.Person{
			InsuranceNumber: q.Number, Name: q.Name, BirthDate: contract.Date(q.DateOfBirth.String()), Sex: sexOf(q.Sex),
		}
	default: // VNeID: what the code says is between the citizen and its issuer
		if t.completes == nil {
			return &InputError{"person", whyMissing}
		}
		p = t.completes.person
	}
	out := typed{person: p}
	if c := t.completes; c != nil {
		complete(&out.person, c.person)
		out.guardian = c.guardian
	}
	var err error
	if out.person.Name, err = visible(out.person.Name, maxName, "key.scan"); err != nil {
		return err
	}
	if err := birth(out.person.BirthDate, now, "key.scan"); err != nil {
		return err
	}
	out.warn(now)
	t.means = means
	t.setTyped(&out)
	return nil
}

func (t *turn) setTyped(p *typed) {
	t.typed = p
	t.c.Warnings, t.c.Guardian = p.warnings, p.guardian
}

// complete fills in what a code does not say; it changes nothing that it says.
func complete(p *contract.Person, typed contract.Person) {
	for _, f := range []struct{ to, from *string }{
		{&p.Number, &typed.Number},
		{&p.Name, &typed.Name},
		{(*string)(&p.BirthDate), (*string)(&typed.BirthDate)},
		{&p.InsuranceNumber, &typed.InsuranceNumber},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	if p.Sex == "" || p.Sex == contract.SexUnspecified {
		p.Sex = typed.Sex
	}
}

// readTyped checks what was typed. What completes a code may leave out what the code
// says; alone it has to name the person: name and birth date.
func readTyped(in wire.TypedPerson, means contract.Means, now time.Time) (*typed, error) {
	alone := means == contract.MeansManual || means == contract.MeansVNeIDQR
	var out typed
	p := &out.person
	var err error
	if p.Name, err = visible(in.Name, maxName, "person.name"); err != nil {
		return nil, err
	}
	p.Number = strings.NewReplacer(" ", "", ".", "").Replace(in.Number)
	if _, err := vn.ParseNumber(p.Number); p.Number != "" && err != nil {
		return nil, &InputError{"person.number", whyMalformed}
	}
	p.InsuranceNumber = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(in.InsuranceNumber))
	if p.InsuranceNumber != "" && !vn.HINumber(p.InsuranceNumber) {
		return nil, &InputError{"person.insurance_number", whyMalformed}
	}
	p.BirthDate = contract.Date(in.BirthDate)
	if p.BirthDate != "" {
		if err := birth(p.BirthDate, now, "person.birth_date"); err != nil {
			return nil, err
		}
	}
	switch p.Sex = contract.Sex(in.Sex); p.Sex {
	case "", contract.SexMale, contract.SexFemale, contract.SexUnspecified:
	default:
		return nil, &InputError{"person.sex", whyUnknown}
	}
	if out.guardian, err = visible(in.Guardian, maxGuardian, "person.guardian"); err != nil {
		return nil, err
	}
	switch {
	case alone && p.Name == "":
		return nil, &InputError{"person.name", whyMissing}
	case alone && p.BirthDate == "":
		return nil, &InputError{"person.birth_date", whyMissing}
	case in.Child && out.guardian == "":
		return nil, &InputError{"person.guardian", whyMissing}
	}
	out.warn(now)
	if in.Child && years(p.BirthDate, now) >= cardAge {
		out.warnings = append(out.warnings, WarnChildAge)
	}
	return &out, nil
}

// warn looks for what is unusual.
func (t *typed) warn(now time.Time) {
	p := t.person
	t.warnings = []string{}
	if p.Number != "" {
		y, m, d, _ := p.BirthDate.Parts()
		sex := vn.SexUnknown
		switch p.Sex {
		case contract.SexMale:
			sex = vn.Male
		case contract.SexFemale:
			sex = vn.Female
		}
		for _, w := range vn.Number(p.Number).Warnings(vn.Date{Year: y, Month: m, Day: d}, sex) {
			t.warnings = append(t.warnings, string(w))
		}
	}
	if p.Number == "" && p.InsuranceNumber == "" {
		t.warnings = append(t.warnings, WarnNoNumber)
	}
	if age := years(p.BirthDate, now); age >= 0 && age < cardAge && t.guardian == "" {
		t.warnings = append(t.warnings, WarnNoGuardian)
	}
}

// birth accepts a date on which somebody who is alive may have been born, whole or
// in part.
func birth(d contract.Date, now time.Time, field string) error {
	year, month, day, ok := d.Parts()
	switch {
	case !ok, year < minBirth:
		return &InputError{field, whyMalformed}
	case after(year, month, day, now):
		return &InputError{field, whyFuture}
	}
	return nil
}

// years returns how old somebody is at least, -1 if nobody can tell.
func years(birth contract.Date, now time.Time) int {
	year, month, day, ok := birth.Parts()
	if !ok {
		return -1
	}
	n := now.Year() - year
	if month == 0 || int(now.Month()) < month || int(now.Month()) == month && now.Day() < max(day, 1) {
		n--
	}
	return max(n, 0)
}

// visible takes the space around a text away, and refuses what cannot be seen:
// controls and marks of direction, with which one name reads as another, and the
// character that stands for a damaged one. The contract would not take them either.
func visible(s string, most int, field string) (string, error) {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\u00a0' }), " ")
	switch {
	case !utf8.ValidString(s), strings.ContainsFunc(s, invisible):
		return "", &InputError{field, whyMalformed}
	case utf8.RuneCountInString(s) > most:
		return "", &InputError{field, whyTooLong}
	}
	return s, nil
}

func invisible(r rune) bool {
	return r == unicode.ReplacementChar || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func sexOf(s vn.Sex) contract.Sex {
	switch s {
	case vn.Male:
		return contract.SexMale
	case vn.Female:
		return contract.SexFemale
	}
	return contract.SexUnspecified
}
