package vn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/vn"
)

// Synthetic people, in the form that public parsers agree on.
const (
	qrMan   = "001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Số 1, Phường X, Quận Y, Hà Nội|15042021"
	qrWoman = "079301000002||Trần Thị Mẫu|01032001|Nữ|Số 2, Phường X, Quận Y, TP Hồ Chí Minh|15042021"
)

func TestParseCCCDQR(t *testing.T) {
	t.Parallel()
	man := vn.CCCDQR{
		Number: "001099000001", OldNumber: "012345678", Name: "Nguyễn Văn Thử",
		DateOfBirth: vn.Date{Year: 1999, Month: 1, Day: 31}, Sex: "Nam",
		Residence: "Số 1, Phường X, Quận Y, Hà Nội", DateOfIssue: vn.Date{Year: 2021, Month: 4, Day: 15},
	}
	with := func(f func(*vn.CCCDQR)) vn.CCCDQR { q := man; f(&q); return q }
	tests := []struct {
		name, text string
		want       vn.CCCDQR
		err        error
		field      vn.Field
	}{
		{name: "card of 2021", text: qrMan, want: man},
		{name: "no old number", text: qrWoman, want: vn.CCCDQR{
			Number: "079301000002", Name: "Trần Thị Mẫu", DateOfBirth: vn.Date{Year: 2001, Month: 3, Day: 1}, Sex: "Nữ",
			Residence: "Số 2, Phường X, Quận Y, TP Hồ Chí Minh", DateOfIssue: vn.Date{Year: 2021, Month: 4, Day: 15},
		}},
		{name: "line end of a scanner", text: qrMan + "\r\n", want: man},
		{name: "byte order mark", text: "\ufeff" + qrMan, want: man},
		{name: "more fields", text: qrMan + "|||A|B", want: with(func(q *vn.CCCDQR) { q.Extra = []string{"", "", "A", "B"} })},
		{name: "year of birth", text: strings.Replace(qrMan, "31011999", "1999", 1), want: with(func(q *vn.CCCDQR) { q.DateOfBirth = vn.Date{Year: 1999} })},
		{name: "month of birth", text: strings.Replace(qrMan, "31011999", "011999", 1), want: with(func(q *vn.CCCDQR) { q.DateOfBirth = vn.Date{Year: 1999, Month: 1} })},
		{name: "without diacritics", text: strings.NewReplacer("Nguyễn Văn Thử", "Nguyen Van Thu").Replace(qrMan), want: with(func(q *vn.CCCDQR) { q.Name = "Nguyen Van Thu" })},

		{name: "six fields", text: strings.TrimSuffix(qrMan, "|15042021"), err: vn.ErrQR},
		{name: "health-insurance card", text: "GD4010100000001|4E67|31/01/1999|1|48C3|01 - 013|01/01/2026|31/12/2026|01/01/2026|01|-|4|01/01/2028|x|$", err: vn.ErrQR},
		{name: "number of nine digits", text: "012345678" + qrMan[12:], err: vn.ErrQR},
		{name: "number with a letter", text: "O" + qrMan[1:], err: vn.ErrQR},
		{name: "number of other digits", text: strings.Replace(qrMan, "001099000001", "٠٠١٠٩٩", 1), err: vn.ErrQR},
		{name: "some address", text: "https://example.org/|||||||", err: vn.ErrQR},
		{name: "nothing", text: "", err: vn.ErrQR},
		{name: "birth is no date", text: strings.Replace(qrMan, "31011999", "31021999", 1), err: vn.ErrDate, field: vn.FieldDateOfBirth},
		{name: "no birth", text: strings.Replace(qrMan, "31011999", "", 1), err: vn.ErrDate, field: vn.FieldDateOfBirth},
		{name: "issue is no date", text: strings.Replace(qrMan, "15042021", "15132021", 1), err: vn.ErrDate, field: vn.FieldDateOfIssue},
		{name: "not UTF-8", text: strings.Replace(qrMan, "Thử", "Th\xff", 1), err: vn.ErrText, field: vn.FieldName},
		{name: "tab", text: strings.Replace(qrMan, "Quận Y", "Quận\tY", 1), err: vn.ErrText, field: vn.FieldResidence},
		{name: "control character behind", text: qrMan + "|\x1b[2J", err: vn.ErrText, field: vn.FieldExtra},
		{name: "too long", text: qrMan + strings.Repeat(" ", 4096), err: vn.ErrTooLong},
		{name: "too many fields", text: qrMan + strings.Repeat("|", 60), err: vn.ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := vn.ParseCCCDQR(tt.text)
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
			if err != nil && strings.ContainsAny(err.Error(), "0123456789") {
				t.Errorf("error repeats what was read: %v", err)
			}
		})
	}
	for _, s := range []string{fmt.Sprint(man), fmt.Sprintf("%+v", man), fmt.Sprintf("%#v", man)} {
		if s != "[redacted]" {
			t.Errorf("prints as %q", s)
		}
	}
}

// The key of the QR code is that of the machine readable zone on the same card.
func TestKeysOpenTheCard(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, qr, zone string
		candidates     int
	}{
		{
			// Issued at 23, less than two years before 25.
			"expires at 40", strings.Replace(qrMan, "15042021", "15042022", 1),
			"IDVNM0990000017001099000001<<8\n9901317M3901315VNM<<<<<<<<<<<4\nNGUYEN<<VAN<THU<<<<<<<<<<<<<<<",
			2,
		},
		{
			"does not expire", "079150000002||Trần Thị Mẫu|01031950|Nữ|Số 2|15042021",
			"IDVNM1500000024079150000002<<4\n5003017F9912315VNM<<<<<<<<<<<0\nTRAN<<THI<MAU<<<<<<<<<<<<<<<<<",
			1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, err := vn.ParseCCCDQR(tt.qr)
			if err != nil {
				t.Fatal(err)
			}
			m, err := mrz.Parse(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			want, err := m.Key()
			if err != nil {
				t.Fatal(err)
			}
			keys, err := q.Keys()
			if err != nil || len(keys) != tt.candidates {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			if keys[0].Hash() != want.Hash() {
				t.Error("the first candidate does not open the card")
			}
			typed, err := q.Key(m.DateOfExpiry)
			if err != nil || typed.Hash() != want.Hash() {
				t.Errorf("the typed date does not open the card: %v", err)
			}
		})
	}
}

func TestKeysNeedFullDates(t *testing.T) {
	t.Parallel()
	full := vn.CCCDQR{Number: "001099000001", DateOfBirth: vn.Date{Year: 1999, Month: 1, Day: 31}, DateOfIssue: vn.Date{Year: 2021, Month: 4, Day: 15}}
	tests := []struct {
		name  string
		edit  func(*vn.CCCDQR)
		err   error
		field vn.Field
	}{
		{"birth", func(q *vn.CCCDQR) { q.DateOfBirth.Day = 0 }, vn.ErrPartialDate, vn.FieldDateOfBirth},
		{"issue", func(q *vn.CCCDQR) { q.DateOfIssue = vn.Date{} }, vn.ErrPartialDate, vn.FieldDateOfIssue},
		{"issued before birth", func(q *vn.CCCDQR) { q.DateOfIssue.Year = 1998 }, vn.ErrDate, vn.FieldDateOfIssue},
		{"number", func(q *vn.CCCDQR) { q.Number = "1" }, vn.ErrNumber, vn.FieldNumber},
	}
	for _, tt := range tests {
		q := full
		tt.edit(&q)
		keys, err := q.Keys()
		var fe *vn.FieldError
		if !errors.Is(err, tt.err) || !errors.As(err, &fe) || fe.Field != tt.field || keys != nil {
			t.Errorf("%s: %d keys, error %v", tt.name, len(keys), err)
		}
	}
	if _, err := full.Key("390132"); err == nil {
		t.Error("an impossible date of expiry gives a key")
	}
}

// Law 26/2023/QH15 and Law 59/2014/QH13, article 21 of each.
func TestExpiryCandidates(t *testing.T) {
	t.Parallel()
	day := func(s string) vn.Date {
		d, err := vn.ParseDate(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tests := []struct {
		name, birth, issue string
		want               []string
	}{
		{"small child", "15/06/2020", "01/08/2024", []string{"340615", "450615"}},
		{"twelve to the day", "15/06/2020", "15/06/2032", []string{"450615", "340615"}},
		{"a day before twelve", "15/06/2020", "14/06/2032", []string{"340615", "450615"}},
		{"fourteen to the day", "15/06/2010", "15/06/2024", []string{"350615", "500615"}},
		{"twenty-two", "31/01/1999", "15/04/2021", []string{"240131", "390131"}},
		{"twenty-three to the day", "31/01/1999", "31/01/2022", []string{"390131", "240131"}},
		{"a day before twenty-five", "31/01/1999", "30/01/2024", []string{"390131", "240131"}},
		{"twenty-five to the day", "31/01/1999", "31/01/2024", []string{"390131", "590131"}},
		{"thirty-seven", "20/10/1983", "19/10/2021", []string{"231020", "431020"}},
		{"thirty-eight", "20/10/1983", "20/10/2021", []string{"431020", "231020"}},
		{"fifty-seven", "02/02/1964", "01/02/2022", []string{"240202", vn.NoExpiry}},
		{"fifty-eight", "02/02/1964", "02/02/2022", []string{vn.NoExpiry, "240202"}},
		{"sixty", "02/02/1961", "02/02/2021", []string{vn.NoExpiry}},
		{"ninety", "01/03/1930", "15/04/2021", []string{vn.NoExpiry}},
		{"29 February", "29/02/2000", "01/06/2021", []string{"250228", "250301", "400229"}},
		{"29 February, at forty it is a leap year", "29/02/2000", "01/06/2024", []string{"400229", "250228"}},
		{"29 February, second date in the window", "29/02/1976", "01/03/2014", []string{"360229", "160229"}},
		{"day of birth", "15/06/2024", "15/06/2024", []string{"380615", "490615"}},
		{"before birth", "15/06/2024", "14/06/2024", nil},
		{"partial birth", "1999", "15/04/2021", nil},
		{"partial issue", "31/01/1999", "04/2021", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := vn.ExpiryCandidates(day(tt.birth), day(tt.issue)); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever the dates: few candidates, all different, none in the past.
func TestExpiryCandidatesAreFew(t *testing.T) {
	t.Parallel()
	for year := 1920; year < 2030; year++ {
		for _, md := range []struct{ m, d int }{{1, 1}, {2, 28}, {2, 29}, {3, 1}, {12, 31}} {
			birth := vn.Date{Year: year, Month: md.m, Day: md.d}
			for issue := 2021; issue < 2045; issue++ {
				at := vn.Date{Year: issue, Month: 7, Day: 1}
				got := vn.ExpiryCandidates(birth, at)
				if at.Before(birth) {
					if got != nil {
						t.Errorf("born %v, issued %v: %v", birth, at, got)
					}
					continue
				}
				if md.d == 29 && md.m == 2 && !(year%4 == 0) {
					if got != nil {
						t.Errorf("born %v: %v", birth, got)
					}
					continue
				}
				if len(got) < 1 || len(got) > 3 {
					t.Fatalf("born %v, issued %v: %v", birth, at, got)
				}
				for i, s := range got {
					if slices.Contains(got[:i], s) {
						t.Errorf("born %v, issued %v: %v twice", birth, at, s)
					}
					if s == vn.NoExpiry {
						continue
					}
					var d vn.Date
					if _, err := fmt.Sscanf(s, "%2d%2d%2d", &d.Year, &d.Month, &d.Day); err != nil {
						t.Fatal(err)
					}
					d.Year += 2000
					if !at.Before(d) {
						t.Errorf("born %v, issued %v: %v", birth, at, s)
					}
				}
			}
		}
	}
}

func FuzzParseCCCDQR(f *testing.F) {
	f.Add(qrMan)
	f.Add(qrWoman + "|||A|B\r\n")
	f.Add("079150000002||x|1950|Nữ|y|15042021")
	f.Add("GD4010100000001|4E67|31/01/1999|1|48C3|01 - 013|01/01/2026|31/12/2026|$")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := vn.ParseCCCDQR(s)
		if err != nil {
			if !cmp.Equal(q, vn.CCCDQR{}) {
				t.Error("content with an error")
			}
			if keys, err := q.Keys(); err == nil {
				t.Errorf("%d keys of nothing", len(keys))
			}
			return
		}
		if !q.Number.Valid() || len(q.Number.DocumentNumber()) != 9 || q.DateOfBirth.IsZero() || q.DateOfIssue.IsZero() {
			t.Error("incomplete content")
		}
		keys, err := q.Keys()
		if err == nil && (len(keys) < 1 || len(keys) > 3) {
			t.Errorf("%d keys", len(keys))
		}
		for _, k := range keys {
			if k.IsZero() {
				t.Error("empty key")
			}
		}
		// Written again, it is read as the same.
		date := func(d vn.Date) string {
			switch {
			case d.Month == 0:
				return fmt.Sprintf("%04d", d.Year)
			case d.Day == 0:
				return fmt.Sprintf("%02d%04d", d.Month, d.Year)
			}
			return fmt.Sprintf("%02d%02d%04d", d.Day, d.Month, d.Year)
		}
		again := append([]string{
			string(q.Number), q.OldNumber, q.Name, date(q.DateOfBirth), q.Sex, q.Residence, date(q.DateOfIssue),
		}, q.Extra...)
		if q2, err := vn.ParseCCCDQR(strings.Join(again, "|")); err != nil || !cmp.Equal(q, q2) {
			t.Errorf("became %s, %v", cmp.Diff(q, q2), err)
		}
	})
}
