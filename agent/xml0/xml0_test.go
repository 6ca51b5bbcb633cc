package xml0_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/xml0"
	"github.com/chamthe/chamthe/sync/contract"
)

// at is half past eight in the evening in Vietnam: another day begins in UTC+9, not
// there.
var at = time.Date(2026, time.November, 22, 13, 30, 59, 0, time.UTC)

func visit() *contract.Visit {
	return &contract.Visit{
		ID: "0192f0c0-1111-7222-8333-444444444444", Facility: "01013", StartedAt: at,
		Person: contract.Person{
			Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale, DocumentNumber: "099000001",
		},
		Entitlement: contract.Entitlement{CardNumber: "GD4010100000001", Facility: "01013", From: "2026-01-01", To: "2026-12-31"},
	}
}

// element is one element of the table.
type element struct {
	name, kind, by string
	max            int
	required       bool
}

// table reads the rules.
func table(t testing.TB) []element {
	t.Helper()
	f, err := os.Open("testdata/fields.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []element
	for i, row := range rows[1:] {
		max, err := strconv.Atoi(row[3])
		if err != nil || row[0] != strconv.Itoa(i+1) {
			t.Fatalf("row %d of the table: %v", i+1, err)
		}
		list = append(list, element{row[1], row[2], row[4], max, row[5] == "x"})
	}
	return list
}

type value struct{ name, text string }

// read takes a document apart: the fields of its one record, in order.
func read(t testing.TB, doc []byte) []value {
	t.Helper()
	if !bytes.HasPrefix(doc, []byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n")) || !utf8.Valid(doc) {
		t.Fatal("not an XML document in UTF-8")
	}
	d := xml.NewDecoder(bytes.NewReader(doc))
	var path []string
	var fields []value
	var around []string
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			path = append(path, tok.Name.Local)
			if len(tok.Attr) > 0 {
				t.Errorf("attributes of %s", tok.Name.Local)
			}
			if len(path) == 4 {
				fields = append(fields, value{name: tok.Name.Local})
			} else {
				around = append(around, strings.Join(path, "/"))
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if len(path) == 4 {
				fields[len(fields)-1].text += string(tok)
			} else if strings.TrimSpace(string(tok)) != "" {
				t.Error("text between the elements")
			}
		}
	}
	const root = "CHI_TIEU_TRANG_THAI_KCB"
	want := []string{root, root + "/DSACH_TRANG_THAI_KCB", root + "/DSACH_TRANG_THAI_KCB/TRANG_THAI_KCB", root + "/CHUKYDONVI"}
	if diff := cmp.Diff(want, around); diff != "" {
		t.Errorf("elements around (-want +got):\n%s", diff)
	}
	return fields
}

var forms = map[string]*regexp.Regexp{
	"S": regexp.MustCompile(`(?s)^.*$`),
	"N": regexp.MustCompile(`^[0-9]*$`),
	"D": regexp.MustCompile(`^([0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01]))?$`),
	"T": regexp.MustCompile(`^([0-9]{4}(0[0-9]|1[0-2])([0-2][0-9]|3[01])([01][0-9]|2[0-3])[0-5][0-9])?$`),
}

// obeys compares a document with the table: every field, in its order, of its type
// and no longer than it may be; and what the portal requires is there if it is
// reception's to know.
func obeys(t testing.TB, doc []byte) map[string]string {
	t.Helper()
	rules, fields := table(t), read(t, doc)
	if len(fields) != len(rules) {
		t.Fatalf("%d fields, want %d", len(fields), len(rules))
	}
	all := make(map[string]string)
	for i, rule := range rules {
		f := fields[i]
		if f.name != rule.name {
			t.Errorf("field %d is %s, want %s", i+1, f.name, rule.name)
		}
		if n := utf8.RuneCountInString(f.text); rule.max > 0 && n > rule.max {
			t.Errorf("%s has %d characters", f.name, n)
		}
		if !forms[rule.kind].MatchString(f.text) {
			t.Errorf("%s is not of type %s", f.name, rule.kind)
		}
		if rule.by == "his" && f.text != "" {
			t.Errorf("%s is the hospital's to fill in", f.name)
		}
		if rule.by == "reception" && rule.required && f.text == "" {
			t.Errorf("%s is required", f.name)
		}
		all[f.name] = f.text
	}
	return all
}

func TestRecord(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*contract.Visit)
		want   map[string]string // that differ from the first
	}{
		{"chip", func(*contract.Visit) {}, map[string]string{
			"MA_LK": "0192f0c0-1111-7222-8333-444444444444", "STT": "1", "HO_TEN": "Nguyễn Văn Thử", "SO_CCCD": "001099000001",
			"NGAY_SINH": "199901310000", "GIOI_TINH": "1", "MA_THE_BHYT": "GD4010100000001", "MA_DKBD": "01013",
			"GT_THE_TU": "20260101", "GT_THE_DEN": "20261231", "NGAY_VAO": "202611222030", "MA_CSKCB": "01013",
		}},
		{"day of birth not known", func(v *contract.Visit) { v.Person.BirthDate = "1950-03" }, map[string]string{"NGAY_SINH": "195003000000"}},
		{"month of birth not known", func(v *contract.Visit) { v.Person.BirthDate = "1999" }, map[string]string{"NGAY_SINH": "199900000000"}},
		{"woman", func(v *contract.Visit) { v.Person.Sex = contract.SexFemale }, map[string]string{"GIOI_TINH": "2"}},
		{"sex not stated", func(v *contract.Visit) { v.Person.Sex = contract.SexUnspecified }, map[string]string{"GIOI_TINH": "3"}},
		{"sex not known", func(v *contract.Visit) { v.Person.Sex = "" }, map[string]string{"GIOI_TINH": "3"}},
		{"passport", func(v *contract.Visit) { v.Person.Number, v.Person.DocumentNumber = "", "C1234567<" }, map[string]string{"SO_CCCD": "C1234567"}},
		{"child", func(v *contract.Visit) { v.Person.Number, v.Person.DocumentNumber = "", "" }, map[string]string{"SO_CCCD": ""}},
		{"insurance not known", func(v *contract.Visit) { v.Entitlement = contract.Entitlement{} }, map[string]string{"MA_THE_BHYT": "", "MA_DKBD": "", "GT_THE_TU": "", "GT_THE_DEN": ""}},
		{"card number from its code", func(v *contract.Visit) {
			v.Entitlement = contract.Entitlement{}
			v.Person.InsuranceNumber = "0100000001"
		}, map[string]string{"MA_THE_BHYT": "0100000001", "MA_DKBD": "", "GT_THE_TU": "", "GT_THE_DEN": ""}},
		{"the new card covers the day", func(v *contract.Visit) {
			v.Entitlement.To = "2026-11-21"
			v.Entitlement.Next = &contract.NextCard{CardNumber: "GD4010100000002", From: "2026-11-22", Facility: "79024"}
		}, map[string]string{"MA_THE_BHYT": "GD4010100000002", "GT_THE_TU": "20261122", "GT_THE_DEN": "", "MA_DKBD": "79024"}},
		{"the old card still does", func(v *contract.Visit) {
			v.Entitlement.Next = &contract.NextCard{CardNumber: "GD4010100000002", From: "2026-11-22"}
		}, nil},
		{"neither does", func(v *contract.Visit) {
			v.Entitlement.To = "2025-12-31"
			v.Entitlement.Next = &contract.NextCard{CardNumber: "GD4010100000002", From: "2027-01-01"}
		}, map[string]string{"GT_THE_DEN": "20251231"}},
		{"after midnight in Vietnam", func(v *contract.Visit) { v.StartedAt = at.Add(4 * time.Hour) }, map[string]string{"NGAY_VAO": "202611230030"}},
		{"hostile name", func(v *contract.Visit) { v.Person.Name = `</HO_TEN><X a="1">&'` + "\u00a0]]>" }, map[string]string{"HO_TEN": `</HO_TEN><X a="1">&'` + "\u00a0]]>"}},
		{"name of 255", func(v *contract.Visit) { v.Person.Name = strings.Repeat("ễ", 255) }, map[string]string{"HO_TEN": strings.Repeat("ễ", 255)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := visit()
			base, err := xml0.Of(v).Encode()
			if err != nil {
				t.Fatal(err)
			}
			want := obeys(t, base)
			for k, x := range tt.want {
				if _, ok := want[k]; !ok {
					t.Fatalf("no field %s", k)
				}
				want[k] = x
			}
			tt.change(v)
			doc, err := xml0.Of(v).Encode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, obeys(t, doc)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What does not fit is said by field, and nothing is cut.
func TestDoesNotFit(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(*xml0.Record)
		field, why string
	}{
		{"name", func(r *xml0.Record) { r.Name = strings.Repeat("Zễ", 128) }, "HO_TEN", "too_long"},
		{"control character", func(r *xml0.Record) { r.Name = "Z\x00z" }, "HO_TEN", "malformed"},
		{"line feed", func(r *xml0.Record) { r.Name = "Z\nz" }, "HO_TEN", "malformed"},
		{"not UTF-8", func(r *xml0.Record) { r.Name = "Z\xff" }, "HO_TEN", "malformed"},
		{"no character", func(r *xml0.Record) { r.Name = "Z\ufffe" }, "HO_TEN", "malformed"},
		{"number", func(r *xml0.Record) { r.Number = "ZZZZZZZZZZZZZZZZ" }, "SO_CCCD", "too_long"},
		{"facility", func(r *xml0.Record) { r.Here = "ZZ-013" }, "MA_CSKCB", "too_long"},
		{"registered", func(r *xml0.Record) { r.Facility = "ZZ0133" }, "MA_DKBD", "too_long"},
		{"half a date", func(r *xml0.Record) { r.From = "2026-01" }, "GT_THE_TU", "partial"},
		{"no date", func(r *xml0.Record) { r.To = "ZZ" }, "GT_THE_DEN", "malformed"},
		{"no birth date", func(r *xml0.Record) { r.Birth = "1999-13" }, "NGAY_SINH", "malformed"},
		{"sex", func(r *xml0.Record) { r.Sex = "ZZ" }, "GIOI_TINH", "malformed"},
		{"patient", func(r *xml0.Record) { r.Patient = strings.Repeat("Z", 101) }, "MA_BN", "too_long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := xml0.Of(visit())
			tt.change(&r)
			doc, err := r.Encode()
			e, ok := errors.AsType[*xml0.FieldError](err)
			if !ok || doc != nil || e.Field != tt.field || e.Why != tt.why || strings.Contains(err.Error(), "Z") {
				t.Errorf("%v, %d bytes", err, len(doc))
			}
		})
	}
}

// TestHospital: what only the hospital knows goes where it belongs.
func TestHospital(t *testing.T) {
	r := xml0.Of(visit())
	r.Patient, r.Kind, r.Entitled, r.OrderedAt = "BN-1", "01", "1.1", at
	doc, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range read(t, doc) {
		got[f.name] = f.text
	}
	for k, want := range map[string]string{"MA_BN": "BN-1", "MA_LOAI_KCB": "01", "MA_DOITUONG_KCB": "1.1", "NGAY_YL": "202611222030"} {
		if got[k] != want {
			t.Errorf("%s is %q", k, got[k])
		}
	}
}

// Whatever a card or an insurer says, the document is sound and says the same, or
// there is none.
func FuzzRecord(f *testing.F) {
	f.Add("Nguyễn Văn Thử", "001099000001", "1999-01-31", "GD4010100000001", "01013", "2026-01-01")
	f.Add(`<a>&"]]>`, "C1234567", "1999", "", "", "")
	f.Add("\x00", "\xff", "1999-02-30", "<!--", "é", "2026")
	f.Fuzz(func(t *testing.T, name, number, birth, card, facility, from string) {
		r := xml0.Of(visit())
		r.Name, r.Number, r.Birth, r.Card, r.Facility, r.From = name, number, contract.Date(birth), card, facility, contract.Date(from)
		doc, err := r.Encode()
		if err != nil {
			if _, ok := errors.AsType[*xml0.FieldError](err); !ok || doc != nil {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if name == "" || birth == "" {
			return // of nobody
		}
		got := obeys(t, doc)
		if got["HO_TEN"] != name || got["SO_CCCD"] != number || got["MA_THE_BHYT"] != card || got["MA_DKBD"] != facility {
			t.Error("the document says something else")
		}
	})
}
