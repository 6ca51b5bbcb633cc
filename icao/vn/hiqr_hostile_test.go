package vn_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/vn"
)

// slashed is how health insurance cards write a date.
func slashed(d vn.Date) string {
	switch {
	case d.IsZero():
		return "-"
	case d.Month == 0:
		return fmt.Sprintf("%04d", d.Year)
	case d.Day == 0:
		return fmt.Sprintf("%02d/%04d", d.Month, d.Year)
	}
	return fmt.Sprintf("%02d/%02d/%04d", d.Day, d.Month, d.Year)
}

func FuzzParseHIQR(f *testing.F) {
	name, address := hex.EncodeToString([]byte("Nguyễn Văn Thử")), hex.EncodeToString([]byte("Số 1, Phường Mẫu"))
	f.Add("GD4010100000001|" + name + "|31/01/1999|1|" + address + "|01 - 013|01/01/2026|31/12/2026|01/01/2026|01010100000001|-|4|01/01/2030|abcdef-7102|$")
	f.Add("0100000001|" + name + "|1999|2|" + address + "|79071|01/01/2026|-|01/01/2026|-|" + name + "|K1|-|x|$|y")
	f.Add("0100000001|4E|02/1999||||||||\r\n")
	f.Add("079099000001||Nguyễn Văn Thử|31011999|Nam|x|15042021")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := vn.ParseHIQR(s)
		if err != nil {
			if !cmp.Equal(q, vn.HIQR{}) {
				t.Error("content with an error")
			}
			return
		}
		if !vn.HINumber(q.Number) || q.Name == "" || q.DateOfBirth.IsZero() {
			t.Error("incomplete content")
		}
		// Written again, it is read as the same.
		sex := map[vn.Sex]string{vn.Male: "1", vn.Female: "2"}[q.Sex]
		again := append([]string{
			q.Number, hex.EncodeToString([]byte(q.Name)), slashed(q.DateOfBirth), sex, hex.EncodeToString([]byte(q.Address)), q.Facility,
			slashed(q.From), slashed(q.To), slashed(q.DateOfIssue), q.Managed, hex.EncodeToString([]byte(q.Parent)), q.Area, slashed(q.FiveYears),
		}, q.Extra...)
		if q2, err := vn.ParseHIQR(strings.Join(again, "|")); err != nil || !cmp.Equal(q, q2) {
			t.Errorf("became %s, %v", cmp.Diff(q, q2), err)
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"31/01/1999", "01/1999", "1999", "31011999", "00/00/1999", "29/02/2024", "0/1/99"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := vn.ParseDate(s)
		if err != nil {
			if !d.IsZero() {
				t.Error("a date with an error")
			}
			return
		}
		if again, err := vn.ParseDate(slashed(d)); err != nil || again != d {
			t.Errorf("became another date, %v", err)
		}
	})
}
