package vn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The form is that which three programs in use agree on; the person is made up.
const hiQR = "GD4010100000001|4E677579E1BB856E2056C4836E205468E1BBAD|31/01/1999|1|48C3A0204EE1BB9969|01 - 013|01/01/2026|31/12/2026|01/01/2026|01010100000001|-|4|01/01/2028|0123456789abcdef-0000|$"

func hiFields(change func(f []string)) string {
	f := strings.Split(hiQR, "|")
	change(f)
	return strings.Join(f, "|")
}

func TestParseHIQR(t *testing.T) {
	good := HIQR{
		Number: "GD4010100000001", Name: "Nguyễn Văn Thử", DateOfBirth: Date{1999, 1, 31}, Sex: Male, Address: "Hà Nội", Facility: "01013",
		From: Date{2026, 1, 1}, To: Date{2026, 12, 31}, DateOfIssue: Date{2026, 1, 1}, Managed: "01010100000001", Area: "4",
		FiveYears: Date{2028, 1, 1}, Extra: []string{"0123456789abcdef-0000", "$"},
	}
	want := func(change func(*HIQR)) HIQR {
		q := good
		change(&q)
		return q
	}
	for _, tt := range []struct {
		name, qr string
		want     HIQR
		err      error
		field    Field
	}{
		{name: "whole", qr: hiQR, want: good},
		{name: "around it", qr: "\ufeff " + hiQR + "\r\n", want: good},
		{name: "small letters", qr: strings.ToLower(hiQR[:2]) + hiQR[2:], want: good},
		{name: "social insurance number", qr: hiFields(func(f []string) { f[0] = "0100000001" }), want: want(func(q *HIQR) { q.Number = "0100000001" })},
		{name: "woman", qr: hiFields(func(f []string) { f[3] = "2" }), want: want(func(q *HIQR) { q.Sex = Female })},
		{name: "sex not known", qr: hiFields(func(f []string) { f[3] = "9" }), want: want(func(q *HIQR) { q.Sex = SexUnknown })},
		{name: "year of birth", qr: hiFields(func(f []string) { f[2] = "1950" }), want: want(func(q *HIQR) { q.DateOfBirth = Date{Year: 1950} })},
		{name: "no end", qr: hiFields(func(f []string) { f[7] = "-" }), want: want(func(q *HIQR) { q.To = Date{} })},
		{name: "parent", qr: hiFields(func(f []string) { f[10] = hex.EncodeToString([]byte("Trần Thị Mẫu")) }), want: want(func(q *HIQR) { q.Parent = "Trần Thị Mẫu" })},
		{name: "long dash", qr: hiFields(func(f []string) { f[5] = "01 – 013" }), want: good},
		{name: "only ten fields", qr: strings.Join(strings.Split(hiQR, "|")[:10], "|"), want: want(func(q *HIQR) {
			q.Area, q.FiveYears, q.Extra = "", Date{}, nil
		})},

		{name: "nine fields", qr: strings.Join(strings.Split(hiQR, "|")[:9], "|"), err: ErrQR},
		{name: "empty", qr: "", err: ErrQR},
		{name: "a citizen card's", qr: "001099000001||Nguyễn Văn Thử|31011999|Nam|Hà Nội|15042021|||", err: ErrQR},
		{name: "another first field", qr: hiFields(func(f []string) { f[0] = "GD401010000000X" }), err: ErrQR},
		{name: "name not in hexadecimal", qr: hiFields(func(f []string) { f[1] = "Nguyễn" }), err: ErrText, field: FieldName},
		{name: "name missing", qr: hiFields(func(f []string) { f[1] = "" }), err: ErrText, field: FieldName},
		{name: "name not UTF-8", qr: hiFields(func(f []string) { f[1] = "FF" }), err: ErrText, field: FieldName},
		{name: "name with a mark of direction", qr: hiFields(func(f []string) { f[1] = hex.EncodeToString([]byte("a\u202eb")) }), err: ErrText, field: FieldName},
		{name: "address", qr: hiFields(func(f []string) { f[4] = "4" }), err: ErrText, field: FieldResidence},
		{name: "parent not in hexadecimal", qr: hiFields(func(f []string) { f[10] = "x" }), err: ErrText, field: FieldParent},
		{name: "no birth date", qr: hiFields(func(f []string) { f[2] = "-" }), err: ErrDate, field: FieldDateOfBirth},
		{name: "no such day", qr: hiFields(func(f []string) { f[2] = "31/02/1999" }), err: ErrDate, field: FieldDateOfBirth},
		{name: "from", qr: hiFields(func(f []string) { f[6] = "x" }), err: ErrDate, field: FieldValidFrom},
		{name: "to", qr: hiFields(func(f []string) { f[7] = "x" }), err: ErrDate, field: FieldValidTo},
		{name: "five years", qr: hiFields(func(f []string) { f[12] = "x" }), err: ErrDate, field: FieldFiveYears},
		{name: "control character", qr: hiFields(func(f []string) { f[9] = "\x00" }), err: ErrText, field: FieldExtra},
		{name: "many fields", qr: hiQR + strings.Repeat("|", 64), err: ErrTooLong},
		{name: "long", qr: hiQR + strings.Repeat("x", 4096), err: ErrTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseHIQR(tt.qr)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if e, ok := errors.AsType[*FieldError](err); ok != (tt.field != "") || ok && e.Field != tt.field {
				t.Errorf("error %v, want field %q", err, tt.field)
			}
			if diff := cmp.Diff(fmt.Sprintf("%#v", plainHIQR(tt.want)), fmt.Sprintf("%#v", plainHIQR(got))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// plainHIQR is a HIQR that can be printed.
type plainHIQR HIQR

func TestHIQRIsNotPrinted(t *testing.T) {
	q, err := ParseHIQR(hiQR)
	if err != nil {
		t.Fatal(err)
	}
	text, err := q.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{q.String(), fmt.Sprint(q), fmt.Sprintf("%+v", q), fmt.Sprintf("%#v", &q), string(text)} {
		if strings.Contains(s, "Thử") || strings.Contains(s, "GD401") || !strings.Contains(s, "redacted") {
			t.Errorf("printed %q", s)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Kind
	}{
		{"citizen card", "001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Hà Nội|15042021", CardQR},
		{"citizen card with a line end", "001099000001||Nguyễn Văn Thử|31011999|Nam|Hà Nội|15042021\r\n", CardQR},
		{"health insurance card", hiQR, InsuredQR},
		{"with ten digits", "0100000001|4E67|1950|1|", InsuredQR},
		{"machine readable lines", "IDVNM0990000017001099000001<<6\n9901313M3901317VNM<<<<<<<<<<<8\nNGUYEN<<VAN<THU<<<<<<<<<<<<<<<", MRZLines},
		{"number", " 001099000001\n", CardNumber},
		{"something opaque", "https://example.org/x?y=z", Opaque},
		{"opaque with bars", "a|b|c", Opaque},
		{"eleven digits", "00109900000|x", Opaque},
		{"empty", "", Opaque},
	} {
		if got := KindOf(tt.text); got != tt.want {
			t.Errorf("%s: kind %d, want %d", tt.name, got, tt.want)
		}
	}
}
