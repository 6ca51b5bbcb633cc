package lookup

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
)

// A record is stored in a form of its own: a cached answer is what a queue at the
// desk waits for, and JSON takes longer to read than to fetch and to open it. A
// string is its length and its bytes, a time a flag and milliseconds or
// nanoseconds since 1970, a list its length and its elements. Earlier versions
// wrote JSON, which begins with a brace.
const recordVersion = 1

// maxText bounds a string that is read; what the contract lets through is shorter.
const maxText = 1 << 10

func (r *record) encode() []byte {
	b := make([]byte, 0, 512)
	b = append(b, recordVersion)
	if b = appendBool(b, r.Asked != nil); r.Asked != nil {
		b = appendTexts(b, r.Asked.Number, r.Asked.InsuranceNumber, r.Asked.Name, r.Asked.BirthDate)
	}
	e := &r.Entitlement
	b = appendTexts(b, string(e.Source), string(e.Status), e.Code, e.CardNumber, string(e.From), string(e.To),
		e.Facility, e.BenefitLevel, e.Area, string(e.FiveYears))
	if b = appendBool(b, !e.AsOf.IsZero()); !e.AsOf.IsZero() {
		b = binary.AppendVarint(b, e.AsOf.UnixMilli())
	}
	if b = appendBool(b, e.Next != nil); e.Next != nil {
		b = appendTexts(b, e.Next.CardNumber, string(e.Next.From), string(e.Next.To), e.Next.Facility)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Findings)))
	for _, f := range e.Findings {
		b = appendTexts(b, string(f))
	}
	if b = appendBool(b, r.Person != nil); r.Person != nil {
		b = appendTexts(b, r.Person.Number, r.Person.Name, string(r.Person.BirthDate), string(r.Person.Sex))
	}
	b = binary.AppendVarint(b, r.FetchedAt.UnixNano())
	return binary.AppendVarint(b, int64(r.AgeThen))
}

// decode reads what encode of this version or of an earlier one wrote, and reports
// whether that is what it found. r is of no use otherwise.
func (r *record) decode(b []byte) bool {
	*r = record{}
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, r) == nil
	}
	if len(b) == 0 || b[0] != recordVersion {
		return false
	}
	p := parser{rest: string(b[1:])} // one copy for all the strings in it
	if p.bool() {
		a := &asked{}
		p.texts(&a.Number, &a.InsuranceNumber, &a.Name, &a.BirthDate)
		r.Asked = a
	}
	e := &r.Entitlement
	p.texts((*string)(&e.Source), (*string)(&e.Status), &e.Code, &e.CardNumber, (*string)(&e.From), (*string)(&e.To),
		&e.Facility, &e.BenefitLevel, &e.Area, (*string)(&e.FiveYears))
	if p.bool() {
		e.AsOf = time.UnixMilli(p.varint()).UTC()
	}
	if p.bool() {
		n := &contract.NextCard{}
		p.texts(&n.CardNumber, (*string)(&n.From), (*string)(&n.To), &n.Facility)
		e.Next = n
	}
	for n := p.uvarint(); n > 0 && !p.bad; n-- {
		var f string
		p.texts(&f)
		e.Findings = append(e.Findings, contract.Finding(f))
	}
	if p.bool() {
		i := &contract.Insured{}
		p.texts(&i.Number, &i.Name, (*string)(&i.BirthDate), (*string)(&i.Sex))
		r.Person = i
	}
	r.FetchedAt = time.Unix(0, p.varint()).UTC()
	r.AgeThen = time.Duration(p.varint())
	return !p.bad && p.rest == ""
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// parser takes a record apart. After the first thing that is wrong everything is
// empty.
type parser struct {
	rest string
	bad  bool
}

func (p *parser) fail() {
	p.rest, p.bad = "", true
}

func (p *parser) bool() bool {
	if p.rest == "" || p.rest[0] > 1 {
		p.fail()
		return false
	}
	v := p.rest[0] == 1
	p.rest = p.rest[1:]
	return v
}

func (p *parser) uvarint() uint64 {
	var v uint64
	for i := range min(len(p.rest), binary.MaxVarintLen64) {
		c := p.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7F) << (7 * i)
		if c < 0x80 {
			p.rest = p.rest[i+1:]
			return v
		}
	}
	p.fail()
	return 0
}

func (p *parser) varint() int64 {
	u := p.uvarint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (p *parser) texts(to ...*string) {
	for _, s := range to {
		n := p.uvarint()
		if n > maxText || n > uint64(len(p.rest)) {
			p.fail()
			return
		}
		*s, p.rest = p.rest[:n], p.rest[n:]
	}
}
