package vn_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/tlv"
	"github.com/chamthe/chamthe/icao/vn"
)

func dg13Sample(t testing.TB, id string) []byte {
	t.Helper()
	var all []struct{ ID, File, Hex string }
	vectortest.JSON(t, "testdata/dg-samples.json", &all)
	for _, s := range all {
		if s.ID == id {
			return vectortest.Hex(t, s.Hex)
		}
	}
	t.Fatalf("no sample %s", id)
	return nil
}

func TestDG13Samples(t *testing.T) {
	t.Parallel()
	t.Run("dg13-vn-synthetic", func(t *testing.T) {
		t.Parallel()
		got, err := vn.ParseDG13(dg13Sample(t, "dg13-vn-synthetic"))
		if err != nil {
			t.Fatal(err)
		}
		want := vn.DG13{
			Number:        "001099000001",
			Name:          "Nguyễn Văn Thử",
			DateOfBirth:   vn.Date{Year: 1999, Month: 1, Day: 31},
			Sex:           "Nam",
			Nationality:   "Việt Nam",
			PlaceOfOrigin: "Phường X, Quận Y, Hà Nội",
			Residence:     "Số 1, Phường X, Quận Y, Hà Nội",
			DateOfIssue:   vn.Date{Year: 2021, Month: 4, Day: 15},
			DateOfExpiry:  vn.Date{Year: 2039, Month: 1, Day: 31},
			ExpiryText:    "31/01/2039",
			OldNumber:     "012345678",
			Serial:        "0123456789ABCDEF",
			FieldsLeftOut: 5,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		// What no check-in needs is nowhere in the result.
		v := reflect.ValueOf(got)
		for i := range v.NumField() {
			text := fmt.Sprint(v.Field(i).Interface())
			for _, not := range []string{"Kinh", "Không", "Nốt ruồi", "Văn Cha", "Thị Mẹ"} {
				if strings.Contains(text, not) {
					t.Errorf("field %s holds %q", v.Type().Field(i).Name, not)
				}
			}
		}
		for _, s := range []string{fmt.Sprint(got), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got), (&got).String()} {
			if s != "[redacted]" {
				t.Errorf("prints as %q", s)
			}
		}
	})
	t.Run("dg13-opaque", func(t *testing.T) {
		t.Parallel()
		got, err := vn.ParseDG13(dg13Sample(t, "dg13-opaque"))
		if !errors.Is(err, vn.ErrDG13) || got != (vn.DG13{}) {
			t.Errorf("got %v, %v, want %v", got, err, vn.ErrDG13)
		}
	})
}

func field(index byte, value ...byte) []byte {
	return tlv.Append(nil, 0x30, append([]byte{2, 1, index}, value...))
}

func utf8String(s string) []byte      { return tlv.Append(nil, 0x0C, []byte(s)) }
func printableString(s string) []byte { return tlv.Append(nil, 0x13, []byte(s)) }

func dg13(fields ...[]byte) []byte {
	inner := slices.Concat([]byte{2, 1, 0, 6, 1, 0x2A}, tlv.Append(nil, 0x31, slices.Concat(fields...)))
	return tlv.Append(nil, 0x6D, tlv.Append(nil, 0x30, inner))
}

func TestParseDG13(t *testing.T) {
	t.Parallel()
	number := field(1, printableString("001099000001")...)
	// The same fields with every length in two more bytes than it needs.
	long := func(tag byte, value []byte) []byte {
		return append([]byte{tag, 0x82, byte(len(value) >> 8), byte(len(value))}, value...)
	}
	wide := long(0x6D, long(0x30, long(0x31, long(0x30, append(long(2, []byte{1}), long(0x13, []byte("001099000001"))...)))))
	many := make([][]byte, 0, 65)
	for i := range 65 {
		many = append(many, field(byte(100+i), 4, 0))
	}
	tests := []struct {
		name  string
		file  []byte
		want  vn.DG13
		err   error
		field vn.Field
	}{
		{name: "no field", file: dg13()},
		{name: "one field", file: dg13(number), want: vn.DG13{Number: "001099000001"}},
		{name: "any order", file: dg13(field(4, utf8String("Nữ")...), number), want: vn.DG13{Number: "001099000001", Sex: "Nữ"}},
		{name: "lengths longer than needed, no version, no identifier", file: wide, want: vn.DG13{Number: "001099000001"}},
		{name: "zero padding", file: append(dg13(number), 0, 0), want: vn.DG13{Number: "001099000001"}},
		{name: "empty old number", file: dg13(field(15, printableString("")...)), want: vn.DG13{}},
		{name: "spouse empty", file: dg13(field(14)), want: vn.DG13{FieldsLeftOut: 1}},
		{name: "spouse and parents in either form", file: dg13(
			field(13, tlv.Append(nil, 0x30, slices.Concat(utf8String("A"), utf8String("B")))...),
			field(14, slices.Concat(tlv.Append(nil, 0x30, utf8String("A")), tlv.Append(nil, 0x30, utf8String("B")))...),
		), want: vn.DG13{FieldsLeftOut: 2}},
		{name: "unknown index", file: dg13(field(17, utf8String("x")...)), want: vn.DG13{FieldsNotKnown: 1}},
		{name: "no date of expiry", file: dg13(field(12, utf8String("Không thời hạn")...)), want: vn.DG13{ExpiryText: "Không thời hạn"}},
		{name: "expiry as printable string", file: dg13(field(12, printableString("31/01/2039")...)), want: vn.DG13{ExpiryText: "31/01/2039", DateOfExpiry: vn.Date{Year: 2039, Month: 1, Day: 31}}},
		{name: "year of birth", file: dg13(field(3, printableString("1950")...)), want: vn.DG13{DateOfBirth: vn.Date{Year: 1950}}},
		{name: "number of another length", file: dg13(field(1, printableString("12345")...)), want: vn.DG13{Number: "12345"}},

		{name: "birth is no date", file: dg13(field(3, printableString("31/02/1999")...)), err: vn.ErrDate, field: vn.FieldDateOfBirth},
		{name: "name is not UTF-8", file: dg13(field(2, 0x0C, 1, 0xFF)), err: vn.ErrText, field: vn.FieldName},
		{name: "line break in a name", file: dg13(field(2, utf8String("a\nb")...)), err: vn.ErrText, field: vn.FieldName},
		{name: "name is a number", file: dg13(field(2, 2, 1, 7)), err: vn.ErrDG13, field: vn.FieldName},
		{name: "two names", file: dg13(field(2, slices.Concat(utf8String("A"), utf8String("B"))...)), err: vn.ErrDG13, field: vn.FieldName},
		{name: "the number twice", file: dg13(number, number), err: vn.ErrDuplicate},
		{name: "index of two bytes", file: dg13([]byte{0x30, 4, 2, 2, 1, 1}), err: vn.ErrDG13},
		{name: "field without index", file: dg13([]byte{0x30, 2, 0x0C, 0}), err: vn.ErrDG13},
		{name: "too many fields", file: dg13(many...), err: vn.ErrTooLong},
		{name: "too long", file: dg13(field(2, utf8String(strings.Repeat("a", 8<<10))...)), err: vn.ErrTooLong},
		{name: "something behind the set", file: tlv.Append(nil, 0x6D, tlv.Append(nil, 0x30, []byte{0x31, 0, 4, 0})), err: vn.ErrDG13},
		{name: "something behind the sequence", file: tlv.Append(nil, 0x6D, []byte{0x30, 2, 0x31, 0, 4, 0}), err: vn.ErrDG13},
		{name: "something behind the file", file: append(dg13(number), 1), err: vn.ErrDG13},
		{name: "another group", file: append([]byte{0x6B}, dg13(number)[1:]...), err: vn.ErrDG13},
		{name: "nothing", file: nil, err: vn.ErrDG13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := vn.ParseDG13(tt.file)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			var fe *vn.FieldError
			if errors.As(err, &fe); tt.field != "" && (fe == nil || fe.Field != tt.field) {
				t.Errorf("error %v, want one of field %s", err, tt.field)
			}
		})
	}
}

func FuzzParseDG13(f *testing.F) {
	f.Add(dg13Sample(f, "dg13-vn-synthetic"))
	f.Add(dg13Sample(f, "dg13-opaque"))
	f.Add(dg13(field(12, utf8String("Không thời hạn")...), field(14)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := vn.ParseDG13(b)
		if err != nil {
			if d != (vn.DG13{}) {
				t.Error("content with an error")
			}
			return
		}
		for _, s := range []string{string(d.Number), d.Name, d.Sex, d.Residence, d.ExpiryText} {
			if s != "" && !strings.Contains(string(b), s) {
				t.Error("text that is not in the file")
			}
		}
	})
}
