// Package xml0 writes the check-in record of the health insurance's portal (XML0,
// "chỉ tiêu trạng thái khám chữa bệnh"; QĐ 4750/QĐ-BYT, Công văn 1245/BHXH-CNTT of
// 2024, section 2.4) as far as a reception can know it: who came, when, where, and
// with which insurance card. What only the hospital's system knows (its own number
// of the patient, the kind of treatment, the services and the time of the order) is
// written as an empty element in its place, for that system to fill in.
//
// It neither signs nor sends: the signature goes into CHUKYDONVI, and belongs to who
// sends.
package xml0

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chamthe/chamthe/sync/contract"
)

// A Record is what is filled in. The zero value of a field is an empty element.
type Record struct {
	Key       string        // MA_LK: unique key of the visit
	Patient   string        // MA_BN: the hospital's own number
	Name      string        // HO_TEN
	Number    string        // SO_CCCD: personal number, or that of the passport
	Birth     contract.Date // NGAY_SINH: unknown parts are 00
	Sex       contract.Sex  // GIOI_TINH
	Card      string        // MA_THE_BHYT
	Facility  string        // MA_DKBD: where the person is registered
	From, To  contract.Date // GT_THE_TU, GT_THE_DEN: whole dates
	Arrived   time.Time     // NGAY_VAO
	Here      string        // MA_CSKCB: this facility
	Kind      string        // MA_LOAI_KCB
	Entitled  string        // MA_DOITUONG_KCB
	OrderedAt time.Time     // NGAY_YL
}

// A FieldError says that the record cannot hold a value. It names the field and
// nothing of the value.
type FieldError struct {
	Field string // "HO_TEN"
	Why   string // "too_long", "malformed", "partial"
}

// Error names field and cause.
func (e *FieldError) Error() string {
	return "xml0: " + e.Field + " " + strings.ReplaceAll(e.Why, "_", " ")
}

// Why a value does not fit.
const (
	whyTooLong   = "too_long"
	whyMalformed = "malformed"
	whyPartial   = "partial" // a date without day or month, where the whole is needed
)

// vietnam is the time of the portal; there is no summer time.
var vietnam = time.FixedZone("ICT", 7*60*60)

// Of returns what a recorded visit says. Of two insurance cards it is the one that
// covers the day of the visit.
func Of(v *contract.Visit) Record {
	r := Record{
		Key: v.ID, Name: v.Person.Name, Number: v.Person.Number, Birth: v.Person.BirthDate, Sex: v.Person.Sex,
		Card: v.Entitlement.CardNumber, Facility: v.Entitlement.Facility, From: v.Entitlement.From, To: v.Entitlement.To,
		Arrived: v.StartedAt, Here: v.Facility,
	}
	if r.Number == "" {
		r.Number = strings.Trim(v.Person.DocumentNumber, "<")
	}
	if r.Card == "" {
		r.Card = v.Person.InsuranceNumber
	}
	day := v.StartedAt.In(vietnam).Format(time.DateOnly)
	if n := v.Entitlement.Next; n != nil && !covers(r.From, r.To, day) && covers(n.From, n.To, day) {
		r.Card, r.From, r.To = n.CardNumber, n.From, n.To
		if n.Facility != "" {
			r.Facility = n.Facility
		}
	}
	return r
}

// covers reports whether a day lies in a period; an end that is not known is open.
func covers(from, to contract.Date, day string) bool {
	return (from == "" || string(from) <= day) && (to == "" || day[:min(len(day), len(to))] <= string(to))
}

// field is one element of the record.
type field struct {
	name  string
	max   int // characters; 0: none is given
	value string
	err   string
}

// fields returns every element in its order (domain table of QĐ 4750; the shorter
// length where two sheets differ).
func (r Record) fields() []field {
	date := func(name string, d contract.Date) field {
		if d == "" {
			return field{name: name, max: 8}
		}
		year, month, day, ok := d.Parts()
		switch {
		case !ok:
			return field{name: name, max: 8, err: whyMalformed}
		case month == 0 || day == 0:
			return field{name: name, max: 8, err: whyPartial}
		}
		return field{name: name, max: 8, value: fmt.Sprintf("%04d%02d%02d", year, month, day)}
	}
	moment := func(name string, t time.Time) field {
		if t.IsZero() {
			return field{name: name, max: 12}
		}
		return field{name: name, max: 12, value: t.In(vietnam).Format("200601021504")}
	}
	birth := field{name: "NGAY_SINH", max: 12}
	if r.Birth != "" {
		year, month, day, ok := r.Birth.Parts()
		birth.value = fmt.Sprintf("%04d%02d%02d0000", year, month, day)
		if !ok {
			birth.err = whyMalformed
		}
	}
	sex := field{name: "GIOI_TINH", max: 1}
	switch r.Sex {
	case contract.SexMale:
		sex.value = "1"
	case contract.SexFemale:
		sex.value = "2"
	case "", contract.SexUnspecified:
		sex.value = "3"
	default:
		sex.err = whyMalformed
	}
	return []field{
		{name: "MA_LK", max: 100, value: r.Key},
		{name: "STT", max: 10, value: "1"}, // one record in a file
		{name: "MA_BN", max: 100, value: r.Patient},
		{name: "HO_TEN", max: 255, value: r.Name},
		{name: "SO_CCCD", max: 15, value: r.Number},
		birth,
		sex,
		{name: "MA_THE_BHYT", max: 15, value: r.Card},
		{name: "MA_DKBD", max: 5, value: r.Facility},
		date("GT_THE_TU", r.From),
		date("GT_THE_DEN", r.To),
		{name: "MA_DOITUONG_KCB", max: 4, value: r.Entitled},
		moment("NGAY_VAO", r.Arrived),
		{name: "NGAY_VAO_NOI_TRU", max: 12},
		{name: "LY_DO_VNT"},
		{name: "MA_LY_DO_VNT", max: 5},
		{name: "MA_LOAI_KCB", max: 2, value: r.Kind},
		{name: "MA_CSKCB", max: 5, value: r.Here},
		{name: "MA_DICH_VU", max: 50},
		{name: "TEN_DICH_VU", max: 1024},
		{name: "MA_THUOC", max: 255},
		{name: "TEN_THUOC", max: 1024},
		{name: "MA_VAT_TU", max: 255},
		{name: "TEN_VAT_TU", max: 1024},
		moment("NGAY_YL", r.OrderedAt),
		{name: "DU_PHONG"},
	}
}

// Encode returns the record as an XML document in UTF-8. A value that does not fit
// is a [*FieldError]; nothing is cut.
func (r Record) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<CHI_TIEU_TRANG_THAI_KCB>\n<DSACH_TRANG_THAI_KCB>\n<TRANG_THAI_KCB>\n")
	for _, f := range r.fields() {
		switch {
		case f.err != "":
			return nil, &FieldError{f.name, f.err}
		case !representable(f.value):
			return nil, &FieldError{f.name, whyMalformed}
		case f.max > 0 && utf8.RuneCountInString(f.value) > f.max:
			return nil, &FieldError{f.name, whyTooLong}
		}
		fmt.Fprintf(&b, "<%s>", f.name)
		if err := xml.EscapeText(&b, []byte(f.value)); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "</%s>\n", f.name)
	}
	b.WriteString("</TRANG_THAI_KCB>\n</DSACH_TRANG_THAI_KCB>\n<CHUKYDONVI></CHUKYDONVI>\n</CHI_TIEU_TRANG_THAI_KCB>\n")
	return b.Bytes(), nil
}

// representable reports whether XML 1.0 has every character of s: what it has not,
// package xml would replace without a word. Line feeds and tabs are none of a field's
// either.
func representable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if c < ' ' || c == 0xFFFE || c == 0xFFFF || c == utf8.RuneError {
			return false
		}
	}
	return true
}
