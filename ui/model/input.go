package model

import (
	"strings"
	"time"
	"unicode"
)

// A Field is something that can be typed into.
type Field string

// The fields.
const (
	FieldNone     Field = ""
	FieldExpiry   Field = "expiry"
	FieldLines    Field = "lines"
	FieldName     Field = "name"
	FieldNumber   Field = "number"
	FieldBirth    Field = "birth"
	FieldHI       Field = "hi"
	FieldGuardian Field = "guardian"
	FieldSearch   Field = "search"
	FieldReason   Field = "reason"
	FieldOperator Field = "operator"
	FieldPIN      Field = "pin"
)

// maxTyped is the longest text that a field takes, in characters.
const maxTyped = 200

// An Entered is how far what was typed into a field is right.
type Entered uint8

// How far.
const (
	Empty   Entered = iota
	Partial         // right so far
	Valid
	Wrong // cannot become right by typing on
)

// A Typed is the judgement of what was typed: how far it is right, a hint as a name in
// package i18n with its argument, and the value as the agent takes it, if it is Valid.
type Typed struct {
	State Entered
	Hint  string
	Arg   int
	Value string
}

// CheckNumber judges a citizen's number: twelve digits, spaces between them allowed.
func CheckNumber(s string) Typed {
	d := strings.Map(drop(" .-"), s)
	switch {
	case d == "":
		return Typed{}
	case !isDigits(d):
		return Typed{State: Wrong, Hint: "hint.digits"}
	case len(d) > 12:
		return Typed{State: Wrong, Hint: "hint.toolong", Arg: len(d) - 12}
	case len(d) < 12:
		return Typed{State: Partial, Hint: "hint.missing", Arg: 12 - len(d)}
	}
	return Typed{State: Valid, Value: d}
}

// CheckDate judges a date as people here write it, dd/MM/yyyy, with any separator or
// none. earliest and latest bound its year. With partial, MM/yyyy and yyyy will do.
func CheckDate(s string, earliest, latest int, partial bool) Typed {
	t := strings.TrimSpace(s)
	if t == "" {
		return Typed{}
	}
	parts := strings.FieldsFunc(t, func(r rune) bool { return strings.ContainsRune("/-. ", r) })
	for _, p := range parts {
		if !isDigits(p) {
			return Typed{State: Wrong, Hint: "hint.date"}
		}
	}
	if len(parts) == 0 {
		return Typed{State: Partial, Hint: "hint.date"}
	}
	if len(parts) == 1 {
		switch p := parts[0]; {
		case len(p) > 8:
			return Typed{State: Wrong, Hint: "hint.date"}
		case len(p) == 8:
			parts = []string{p[:2], p[2:4], p[4:]}
		case len(p) == 4 && partial && year(p) >= earliest && year(p) <= latest:
			return Typed{State: Valid, Value: p}
		default:
			return Typed{State: Partial, Hint: "hint.date"}
		}
	}
	if len(parts) == 2 && len(parts[1]) == 4 && partial {
		if m, err := time.Parse("1 2006", parts[0]+" "+parts[1]); err == nil && m.Year() >= earliest && m.Year() <= latest {
			return Typed{State: Valid, Value: m.Format("2006-01")}
		}
		return Typed{State: Wrong, Hint: "hint.nodate"}
	}
	switch {
	case len(parts) > 3 || len(parts[0]) > 2 || len(parts) > 1 && len(parts[1]) > 2 || len(parts) > 2 && len(parts[2]) > 4:
		return Typed{State: Wrong, Hint: "hint.date"}
	case len(parts) < 3 || len(parts[2]) < 4:
		return Typed{State: Partial, Hint: "hint.date"}
	}
	d, err := time.Parse("2 1 2006", strings.Join(parts, " "))
	if err != nil || d.Year() < earliest || d.Year() > latest {
		return Typed{State: Wrong, Hint: "hint.nodate"}
	}
	return Typed{State: Valid, Value: d.Format(time.DateOnly)}
}

// CheckHI judges a health-insurance number: two letters and thirteen digits, or the ten
// digits of the social-insurance number alone.
func CheckHI(s string) Typed {
	t := strings.ToUpper(strings.Map(drop(" .-"), s))
	if t == "" {
		return Typed{}
	}
	want := 10
	digits := t
	if t[0] > '9' {
		want = 15
		if len(t) < 2 {
			digits = ""
		} else {
			digits = t[2:]
		}
		for i := range min(2, len(t)) {
			if t[i] < 'A' || t[i] > 'Z' {
				return Typed{State: Wrong, Hint: "hint.hi"}
			}
		}
	}
	switch {
	case digits != "" && !isDigits(digits):
		return Typed{State: Wrong, Hint: "hint.hi"}
	case len(t) > want:
		return Typed{State: Wrong, Hint: "hint.toolong", Arg: len(t) - want}
	case len(t) < want:
		return Typed{State: Partial, Hint: "hint.missing", Arg: want - len(t)}
	}
	return Typed{State: Valid, Value: t}
}

// CheckName judges a name: at least two words of letters.
func CheckName(s string) Typed {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Typed{}
	}
	for _, w := range words {
		for _, r := range w {
			if !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) && !strings.ContainsRune("'-.’", r) {
				return Typed{State: Wrong, Hint: "hint.name"}
			}
		}
	}
	if len(words) < 2 {
		return Typed{State: Partial, Hint: "hint.name"}
	}
	return Typed{State: Valid, Value: strings.Join(words, " ")}
}

// CheckLines judges machine readable lines as they are typed or pasted: three of 30
// characters or two of 44, with or without line feeds. The agent checks the digits.
func CheckLines(s string) Typed {
	t := strings.ToUpper(strings.Map(drop(" \n\r\t"), s))
	t = strings.ReplaceAll(t, "«", "<<") // what some word processors make of <<
	switch {
	case t == "":
		return Typed{}
	case !isASCII(t):
		return Typed{State: Wrong, Hint: "hint.linesmethod"}
	case strings.IndexFunc(t, func(r rune) bool { return r != '<' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) >= 0:
		return Typed{State: Wrong, Hint: "hint.lines"}
	}
	want := 90
	if t[0] == 'P' {
		want = 88
	}
	switch {
	case len(t) > want:
		return Typed{State: Wrong, Hint: "hint.toolong", Arg: len(t) - want}
	case len(t) < want:
		return Typed{State: Partial, Hint: "hint.missing", Arg: want - len(t)}
	}
	width := want / 3
	if want == 88 {
		width = 44
	}
	var lines []string
	for ; t != ""; t = t[width:] {
		lines = append(lines, t[:width])
	}
	return Typed{State: Valid, Value: strings.Join(lines, "\n")}
}

func drop(set string) func(rune) rune {
	return func(r rune) rune {
		if strings.ContainsRune(set, r) {
			return -1
		}
		return r
	}
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func year(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
