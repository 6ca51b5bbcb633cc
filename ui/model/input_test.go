package model_test

import (
	"strings"
	"testing"

	"github.com/chamthe/chamthe/ui/model"
)

func TestInputs(t *testing.T) {
	date := func(s string) model.Typed { return model.CheckDate(s, 1896, 2026, false) }
	birth := func(s string) model.Typed { return model.CheckDate(s, 1896, 2026, true) }
	for _, tt := range []struct {
		name  string
		check func(string) model.Typed
		text  string
		want  model.Typed
	}{
		{"no number", model.CheckNumber, "", model.Typed{}},
		{"spaces only", model.CheckNumber, "   ", model.Typed{}},
		{"number begun", model.CheckNumber, "001 099", model.Typed{State: model.Partial, Hint: "hint.missing", Arg: 6}},
		{"number", model.CheckNumber, "001 099 000 001", model.Typed{State: model.Valid, Value: "001099000001"}},
		{"number too long", model.CheckNumber, "0010990000012", model.Typed{State: model.Wrong, Hint: "hint.toolong", Arg: 1}},
		{"letter in a number", model.CheckNumber, "00109900000O", model.Typed{State: model.Wrong, Hint: "hint.digits"}},
		{"number of a Vietnamese layout", model.CheckNumber, "đđă", model.Typed{State: model.Wrong, Hint: "hint.digits"}},

		{"date", date, "31/01/1999", model.Typed{State: model.Valid, Value: "1999-01-31"}},
		{"date without separators", date, "31011999", model.Typed{State: model.Valid, Value: "1999-01-31"}},
		{"date with points", date, "1.2.1999", model.Typed{State: model.Valid, Value: "1999-02-01"}},
		{"date begun", date, "31/01/19", model.Typed{State: model.Partial, Hint: "hint.date"}},
		{"day begun", date, "3", model.Typed{State: model.Partial, Hint: "hint.date"}},
		{"no such day", date, "31/02/1999", model.Typed{State: model.Wrong, Hint: "hint.nodate"}},
		{"leap day", date, "29/02/2000", model.Typed{State: model.Valid, Value: "2000-02-29"}},
		{"no leap day", date, "29/02/1900", model.Typed{State: model.Wrong, Hint: "hint.nodate"}},
		{"too early", date, "01/01/1800", model.Typed{State: model.Wrong, Hint: "hint.nodate"}},
		{"year first", date, "1999/01/31", model.Typed{State: model.Wrong, Hint: "hint.date"}},
		{"letters", date, "ngày", model.Typed{State: model.Wrong, Hint: "hint.date"}},
		{"year alone", date, "1950", model.Typed{State: model.Partial, Hint: "hint.date"}},
		{"year alone will do", birth, "1950", model.Typed{State: model.Valid, Value: "1950"}},
		{"month will do", birth, "3/1950", model.Typed{State: model.Valid, Value: "1950-03"}},
		{"no such month", birth, "13/1950", model.Typed{State: model.Wrong, Hint: "hint.nodate"}},
		{"separators only", birth, "//", model.Typed{State: model.Partial, Hint: "hint.date"}},

		{"insurance card", model.CheckHI, "gd4 01 0100000001", model.Typed{State: model.Valid, Value: "GD4010100000001"}},
		{"insurance number", model.CheckHI, "0100000001", model.Typed{State: model.Valid, Value: "0100000001"}},
		{"insurance card begun", model.CheckHI, "GD401", model.Typed{State: model.Partial, Hint: "hint.missing", Arg: 10}},
		{"one letter", model.CheckHI, "G", model.Typed{State: model.Partial, Hint: "hint.missing", Arg: 14}},
		{"digit for a letter", model.CheckHI, "G14010100000001", model.Typed{State: model.Wrong, Hint: "hint.hi"}},
		{"letter for a digit", model.CheckHI, "GDA", model.Typed{State: model.Wrong, Hint: "hint.hi"}},
		{"too long", model.CheckHI, "01000000011", model.Typed{State: model.Wrong, Hint: "hint.toolong", Arg: 1}},

		{"name", model.CheckName, " Nguyễn  Văn Thử ", model.Typed{State: model.Valid, Value: "Nguyễn Văn Thử"}},
		{"decomposed name", model.CheckName, "Le\u0302 A\u0301nh", model.Typed{State: model.Valid, Value: "Le\u0302 A\u0301nh"}},
		{"one word", model.CheckName, "Nguyễn", model.Typed{State: model.Partial, Hint: "hint.name"}},
		{"digits in a name", model.CheckName, "Nguyễn 1", model.Typed{State: model.Wrong, Hint: "hint.name"}},

		{"lines", model.CheckLines, lines, model.Typed{State: model.Valid, Value: lines}},
		{"lines in one, small, with spaces", model.CheckLines, strings.ToLower(strings.ReplaceAll(lines, "\n", " ")), model.Typed{State: model.Valid, Value: lines}},
		{"lines from a word processor", model.CheckLines, strings.ReplaceAll(lines, "<<", "«"), model.Typed{State: model.Valid, Value: lines}},
		{"lines begun", model.CheckLines, lines[:30], model.Typed{State: model.Partial, Hint: "hint.missing", Arg: 60}},
		{"lines with marks", model.CheckLines, "IDVNMÂ", model.Typed{State: model.Wrong, Hint: "hint.linesmethod"}},
		{"lines with a comma", model.CheckLines, "IDVNM,", model.Typed{State: model.Wrong, Hint: "hint.lines"}},
		{"passport begun", model.CheckLines, "P<UTO", model.Typed{State: model.Partial, Hint: "hint.missing", Arg: 83}},
		{"passport", model.CheckLines, "P<UTO" + strings.Repeat("<", 83), model.Typed{State: model.Valid, Value: "P<UTO" + strings.Repeat("<", 39) + "\n" + strings.Repeat("<", 44)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.check(tt.text); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// FuzzInputs: nothing that is typed makes a check fail, and every beginning of what is
// valid is not wrong.
func FuzzInputs(f *testing.F) {
	for _, s := range []string{"", "001099000001", "31/01/1999", "GD4010100000001", "Nguyễn Văn Thử", lines, "\xff", "//", "G"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, check := range []func(string) model.Typed{model.CheckNumber, model.CheckHI, model.CheckName, model.CheckLines, func(s string) model.Typed { return model.CheckDate(s, 1896, 2026, true) }} {
			got := check(s)
			if (got.State == model.Valid) != (got.Value != "") {
				t.Errorf("check %d: state %d with value %q", i, got.State, got.Value)
			}
			if got.State == model.Valid && i < 2 {
				for j := range len(got.Value) {
					if check(got.Value[:j]).State == model.Wrong {
						t.Errorf("check %d: %q is wrong on the way to %q", i, got.Value[:j], got.Value)
					}
				}
			}
		}
	})
}
