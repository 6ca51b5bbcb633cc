package mrz_test

import (
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

type example struct {
	ID       string
	Lines    []string
	Expected struct {
		Format              string
		DocumentCode        string `json:"document_code"`
		IssuingState        string `json:"issuing_state"`
		PrimaryIdentifier   string `json:"primary_identifier"`
		SecondaryIdentifier string `json:"secondary_identifier"`
		DocumentNumber      string `json:"document_number"`
		Nationality         string
		DateOfBirth         string `json:"date_of_birth"`
		Sex                 string
		DateOfExpiry        string `json:"date_of_expiry"`
		OptionalData        string `json:"optional_data"`
		OptionalData1       string `json:"optional_data_1"`
		OptionalData2       string `json:"optional_data_2"`
		MRZInformation      string `json:"mrz_information"`
	}
	ExpectedError string   `json:"expected_error"`
	Failing       []string `json:"all_failing_check_digits"`
	Notes         []string
}

type examples struct {
	CheckDigits []struct{ Input, Computed, Source string } `json:"check_digit_examples"`
	Valid       []example
	AsPrinted   []example `json:"as_printed_with_errors"`
	Malformed   []example
}

func load(tb testing.TB) examples {
	tb.Helper()
	var v examples
	vectortest.JSON(tb, "testdata/mrz.json", &v)
	if len(v.CheckDigits) == 0 || len(v.Valid) == 0 || len(v.AsPrinted) == 0 || len(v.Malformed) == 0 {
		tb.Fatal("mrz.json lacks a part")
	}
	return v
}

func TestCheckDigitVectors(t *testing.T) {
	for _, e := range load(t).CheckDigits {
		t.Run(e.Source, func(t *testing.T) {
			if got, ok := mrz.CheckDigit(e.Input); !ok || string(got) != e.Computed {
				t.Errorf("CheckDigit = %q, %v, want %q", got, ok, e.Computed)
			}
		})
	}
	for _, s := range []string{"a", "A B", "Đ", "1-2", "\n"} {
		if _, ok := mrz.CheckDigit(s); ok {
			t.Errorf("CheckDigit(%q) accepted it", s)
		}
	}
}

// layouts are the ways in which the same lines may arrive.
var layouts = []struct {
	name string
	join func([]string) string
}{
	{"LF", func(l []string) string { return strings.Join(l, "\n") }},
	{"LF at the end", func(l []string) string { return strings.Join(l, "\n") + "\n" }},
	{"CR LF", func(l []string) string { return strings.Join(l, "\r\n") + "\r\n" }},
	{"no breaks", func(l []string) string { return strings.Join(l, "") }},
}

func TestValidVectors(t *testing.T) {
	for _, e := range load(t).Valid {
		for _, layout := range layouts {
			t.Run(e.ID+"/"+layout.name, func(t *testing.T) {
				x := e.Expected
				want := mrz.MRZ{
					DocumentCode: x.DocumentCode, IssuingState: x.IssuingState,
					PrimaryIdentifier: x.PrimaryIdentifier, SecondaryIdentifier: x.SecondaryIdentifier,
					DocumentNumber: x.DocumentNumber, Nationality: x.Nationality,
					DateOfBirth: x.DateOfBirth, Sex: x.Sex, DateOfExpiry: x.DateOfExpiry,
					OptionalData: x.OptionalData + x.OptionalData1, OptionalData2: x.OptionalData2,
					Lines: e.Lines,
				}
				got, err := mrz.Parse(layout.join(e.Lines))
				if err != nil {
					t.Fatal(err)
				}
				if got.Layout.String() != x.Format {
					t.Errorf("format %v, want %s", got.Layout, x.Format)
				}
				want.Layout = got.Layout
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				for _, note := range e.Notes {
					if strings.HasPrefix(note, "may_be_truncated") && !got.NameMayBeTruncated() {
						t.Error("NameMayBeTruncated = false")
					}
				}
				key, err := got.Key()
				if err != nil {
					t.Fatal(err)
				}
				if want := sha1.Sum([]byte(x.MRZInformation)); x.MRZInformation != "" && key.Hash() != want {
					t.Error("key is not the SHA-1 of the MRZ information")
				}
			})
		}
	}
}

// The misprints of the standard: they fail, at the digit that is wrong.
func TestAsPrintedVectors(t *testing.T) {
	for _, e := range load(t).AsPrinted {
		t.Run(e.ID, func(t *testing.T) {
			got, err := mrz.Parse(strings.Join(e.Lines, "\n"))
			checkError(t, got, err, "check_digit:composite")
		})
	}
}

func TestMalformedVectors(t *testing.T) {
	for _, e := range load(t).Malformed {
		for _, layout := range layouts {
			if layout.name == "no breaks" && (strings.HasPrefix(e.ExpectedError, "bad_l") || len(e.Lines) < 2) {
				continue // the lines cannot be told apart
			}
			t.Run(e.ID+"/"+layout.name, func(t *testing.T) {
				got, err := mrz.Parse(layout.join(e.Lines))
				if e.ExpectedError == "vn_number_mismatch" {
					// A rule of one country, which icao/vn knows. For ICAO
					// the zone is right.
					if err != nil {
						t.Errorf("error %v", err)
					}
					return
				}
				checkError(t, got, err, e.ExpectedError)
			})
		}
	}
}

// checkError checks that err is the *Error that a vector names as
// "class:field" or "class", and that nothing else was returned.
func checkError(t *testing.T, got mrz.MRZ, err error, want string) {
	t.Helper()
	e, ok := errors.AsType[*mrz.Error](err)
	if !ok {
		t.Fatalf("error %v, want a *mrz.Error %s", err, want)
	}
	class, field, _ := strings.Cut(want, ":")
	if string(e.Class) != class || field != "" && string(e.Field) != field {
		t.Errorf("error %v, want %s", err, want)
	}
	if diff := cmp.Diff(mrz.MRZ{}, got); diff != "" {
		t.Errorf("MRZ is not zero on error: %s", diff)
	}
}

// td3 builds a passport's zone whose check digits are right, but for that of
// the optional data, which is given.
func td3(number, birth, sex, expiry, optional, optionalCD string) string {
	with := func(s string) string {
		cd, _ := mrz.CheckDigit(s)
		return s + string(cd)
	}
	number, birth, expiry = with(number), with(birth), with(expiry)
	composite := with(number + birth + expiry + optional + optionalCD)
	return "P<UTOSPECIMEN<<SAMPLE<<<<<<<<<<<<<<<<<<<<<<<" +
		number + "UTO" + birth + sex + expiry + optional + optionalCD + composite[len(composite)-1:]
}

func TestParseTD3(t *testing.T) {
	const none = "<<<<<<<<<<<<<<"
	tests := []struct{ name, zone, want string }{
		{"right", td3("X1234567<", "740812", "F", "340415", none, "0"), ""},
		{"right with optional data", td3("X1234567<", "740812", "F", "340415", "ZE184226B<<<<<", "1"), ""},
		{"no document number", td3("<<<<<<<<<", "740812", "F", "340415", none, "0"), "bad_length:document_number"},
		{"optional data without check digit", td3("X1234567<", "740812", "F", "340415", "ZE184226B<<<<<", "<"), "check_digit:optional_data"},
		{"expiry with unknown day", td3("X1234567<", "740812", "F", "3404<<", none, "0"), "bad_date:date_of_expiry"},
		{"expiry of fillers", td3("X1234567<", "740812", "F", "<<<<<<", none, "0"), "bad_date:date_of_expiry"},
		{"sex X", td3("X1234567<", "740812", "X", "340415", none, "0"), "bad_sex:sex"},
		{"two breaks at the end", td3("X1234567<", "740812", "F", "340415", none, "0") + "\n\n", "bad_length"},
		{"break at the beginning", "\n" + td3("X1234567<", "740812", "F", "340415", none, "0"), "bad_line_count"},
		{"CR alone", strings.Replace(td3("X1234567<", "740812", "F", "340415", none, "0"), "X", "\rX", 1), "bad_character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := mrz.Parse(tt.zone)
			if tt.want != "" {
				checkError(t, m, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFormatString(t *testing.T) {
	for f, want := range map[mrz.Format]string{0: "none", mrz.TD1: "TD1", mrz.MRVB: "MRVB", 9: "mrz.Format(9)", -1: "mrz.Format(-1)"} {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if (mrz.MRZ{}).NameMayBeTruncated() {
		t.Error("the zero MRZ has a name")
	}
}

// TestDG1Vectors takes the zones of the samples of DG1 as the chip stores them: one
// line behind the other.
func TestDG1Vectors(t *testing.T) {
	var all []struct {
		ID, File, Hex string
		Valid         bool
		Expected      struct {
			Lines []string `json:"mrz_lines"`
			State string   `json:"issuing_state"`
			Name  string   `json:"primary_identifier"`
		}
	}
	vectortest.JSON(t, "../lds/testdata/dg-samples.json", &all)
	ran := 0
	for _, v := range all {
		if v.File != "DG1" || !v.Valid {
			continue
		}
		ran++
		t.Run(v.ID, func(t *testing.T) {
			dg1 := vectortest.Hex(t, v.Hex)
			zone := string(dg1[5 : 5+int(dg1[4])]) // 61 len 5F 1F len, and what follows is none of it
			m, err := mrz.Parse(zone)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(m.Lines, "") != zone || strings.Join(v.Expected.Lines, "") != zone ||
				v.Expected.State != "" && (m.IssuingState != v.Expected.State || m.PrimaryIdentifier != v.Expected.Name) {
				t.Error("the zone says something else")
			}
			if _, err := m.Key(); err != nil {
				t.Error(err)
			}
		})
	}
	if ran < 6 {
		t.Errorf("%d samples ran", ran)
	}
}

// Doc 9303-11, D.2, with the document numbers that need two pieces.
func TestAppendixD2(t *testing.T) {
	var all []struct {
		ID       string
		Examples []struct {
			Format, SHA1   string
			MRZ            []string
			DocumentNumber string `json:"document_number"`
			DateOfBirth    string `json:"date_of_birth"`
			DateOfExpiry   string `json:"date_of_expiry"`
		}
	}
	vectortest.JSON(t, "../bac/testdata/9303-11-D-bac.json", &all)
	checked := 0
	for _, a := range all {
		for _, e := range a.Examples {
			checked++
			t.Run(fmt.Sprintf("%s %s %s", a.ID, e.Format, e.DocumentNumber), func(t *testing.T) {
				key, err := mrz.NewKey(e.DocumentNumber, e.DateOfBirth, e.DateOfExpiry)
				if err != nil {
					t.Fatal(err)
				}
				hash := key.Hash()
				if got := fmt.Sprintf("%x", hash[:]); got != e.SHA1 {
					t.Errorf("SHA-1 = %s, want %s", got, e.SHA1)
				}
				m, err := mrz.Parse(strings.Join(e.MRZ, "\n"))
				if strings.HasPrefix(e.DocumentNumber, "L898902C") {
					// The composite check digits of these two are misprints.
					checkError(t, m, err, "check_digit:composite")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if k, err := m.Key(); err != nil || k.Hash() != hash {
					t.Errorf("key of the zone differs from the key of its fields, %v", err)
				}
			})
		}
	}
	if checked != 4 {
		t.Fatalf("%d examples, want 4", checked)
	}
}

func TestNewKey(t *testing.T) {
	tests := []struct {
		name, number, birth, expiry string
		want                        string // error, or MRZ information after "="
	}{
		{"Vietnamese card", "099000001", "990131", "390131", "=099000001799013173901315"},
		{"no expiry", "150000002", "500301", "991231", "=150000002450030179912315"},
		{"short number", "L898902C", "690806", "940623", "=L898902C<369080619406236"},
		{"short number with its filler", "L898902C<", "690806", "940623", "=L898902C<369080619406236"},
		{"unknown day", "X1234567", "7408<<", "340415", "=X1234567<77408<<73404159"},
		{"unknown month and day", "X1234567", "74<<<<", "340415", "=X1234567<774<<<<13404159"},
		{"unknown birth date", "X1234567", "<<<<<<", "340415", "=X1234567<7<<<<<<03404159"},
		{"unknown month and day as zeros", "X1234567", "740000", "340415", "=X1234567<774000013404159"},
		{"leap day", "X1234567", "000229", "340415", "=X1234567<700022993404159"},
		{"longest number", "D234567890123456789012", "740812", "340415", "="},
		{"number too long", "D2345678901234567890123", "740812", "340415", "mrz: bad_length: document_number"},
		{"no number", "", "740812", "340415", "mrz: bad_length: document_number"},
		{"number of fillers", "<<<", "740812", "340415", "mrz: bad_length: document_number"},
		{"lower case", "l898902c", "690806", "940623", "mrz: bad_character: document_number"},
		{"space", "L898 902C", "690806", "940623", "mrz: bad_character: document_number"},
		{"birth date with separators", "L898902C", "06/08/69", "940623", "mrz: bad_character: date_of_birth"},
		{"birth date of four digits", "L898902C", "6908", "940623", "mrz: bad_date: date_of_birth"},
		{"birth date with the century", "L898902C", "19690806", "940623", "mrz: bad_date: date_of_birth"},
		{"known day of an unknown month", "L898902C", "69<<06", "940623", "="},
		{"unknown year", "L898902C", "<<0229", "940623", "="},
		{"day that no month has", "L898902C", "69<<32", "940623", "mrz: bad_date: date_of_birth"},
		{"half a day", "L898902C", "69080<", "940623", "mrz: bad_date: date_of_birth"},
		{"day 00 of the expiry", "L898902C", "690806", "940600", "mrz: bad_date: date_of_expiry"},
		{"month 00", "L898902C", "690006", "940623", "mrz: bad_date: date_of_birth"},
		{"month 13", "L898902C", "691306", "940623", "mrz: bad_date: date_of_birth"},
		{"31 April", "L898902C", "690431", "940623", "mrz: bad_date: date_of_birth"},
		{"29 February of a common year", "L898902C", "690229", "940623", "mrz: bad_date: date_of_birth"},
		{"unknown expiry", "L898902C", "690806", "94<<<<", "mrz: bad_date: date_of_expiry"},
		{"letters in the expiry", "L898902C", "690806", "9406Z3", "mrz: bad_date: date_of_expiry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := mrz.NewKey(tt.number, tt.birth, tt.expiry)
			if info, ok := strings.CutPrefix(tt.want, "="); ok {
				if err != nil || key.IsZero() {
					t.Fatalf("zero %v, error %v", key.IsZero(), err)
				}
				if want := sha1.Sum([]byte(info)); info != "" && key.Hash() != want {
					t.Error("not the SHA-1 of the expected MRZ information")
				}
				return
			}
			if err == nil || err.Error() != tt.want || !key.IsZero() || key.Hash() != [20]byte{} {
				t.Errorf("zero %v, error %v, want %s", key.IsZero(), err, tt.want)
			}
		})
	}
}

func TestKeyIsRedacted(t *testing.T) {
	key, err := mrz.NewKey("099000001", "990131", "390131")
	if err != nil {
		t.Fatal(err)
	}
	hash := key.Hash()
	type holder struct {
		Key mrz.Key
		key mrz.Key //nolint:unused // printed by fmt
	}
	asJSON, err := json.Marshal(map[string]any{"key": key, "pointer": &key})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"key":"[redacted]","pointer":"[redacted]"}`; string(asJSON) != want {
		t.Errorf("JSON %s, want %s", asJSON, want)
	}
	secrets := []string{
		"099000001", fmt.Sprintf("%x", hash[:3]), fmt.Sprintf("%X", hash[:3]),
		strings.Trim(fmt.Sprint(hash[:3]), "[]"), fmt.Sprintf("%#v", hash[:3])[7:20], string(hash[:3]),
	}
	outputs := []string{key.String(), key.GoString(), string(asJSON)}
	for _, v := range []any{key, &key, holder{key, key}, &holder{key, key}, []mrz.Key{key}, map[int]mrz.Key{1: key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%t"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
	}
	for _, out := range outputs {
		for _, s := range secrets {
			if strings.Contains(out, s) {
				t.Errorf("output holds the key: %s", out)
			}
		}
	}
	if got := fmt.Sprintf("%v %x %#v", key, &key, key); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("printed as %s", got)
	}
}

func TestMRZPrintsNobody(t *testing.T) {
	e := load(t).Valid[0]
	m, err := mrz.Parse(strings.Join(e.Lines, ""))
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{m.String()}
	for _, v := range []any{m, &m, []mrz.MRZ{m}, struct{ M mrz.MRZ }{m}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%t", "%c"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
	}
	asJSON, err := json.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	outputs = append(outputs, string(asJSON))
	for _, out := range outputs {
		if !strings.Contains(out, "[redacted]") || strings.Contains(out, m.DocumentNumber) || strings.Contains(out, m.PrimaryIdentifier) ||
			strings.Contains(out, fmt.Sprintf("%x", m.PrimaryIdentifier)) {
			t.Errorf("prints %q", out)
		}
	}
}

func TestErrorsRepeatNothing(t *testing.T) {
	for _, e := range load(t).Malformed {
		_, err := mrz.Parse(strings.Join(e.Lines, "\n"))
		if err == nil {
			continue
		}
		for _, line := range e.Lines {
			for i := 0; i+4 <= len(line); i++ {
				if part := line[i : i+4]; !strings.Contains(part, "<") && strings.Contains(strings.ToUpper(err.Error()), part) {
					t.Errorf("%s: error %q repeats %q", e.ID, err, part)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	v := load(f)
	for _, list := range [][]example{v.Valid, v.AsPrinted, v.Malformed} {
		for _, e := range list {
			f.Add(strings.Join(e.Lines, "\n"))
			f.Add(strings.Join(e.Lines, ""))
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := mrz.Parse(s)
		if err != nil {
			if diff := cmp.Diff(mrz.MRZ{}, m); diff != "" {
				t.Fatalf("MRZ is not zero on error: %s", diff)
			}
			if _, ok := errors.AsType[*mrz.Error](err); !ok {
				t.Fatalf("error %v is not a *mrz.Error", err)
			}
			return
		}
		if got := strings.NewReplacer("\r\n", "", "\n", "").Replace(s); got != strings.Join(m.Lines, "") {
			t.Fatal("lines are not what was read")
		}
		again, err := mrz.Parse(strings.Join(m.Lines, "\n"))
		if err != nil {
			t.Fatalf("its own lines do not parse: %v", err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
		if key, err := m.Key(); err != nil || key.IsZero() {
			t.Fatalf("no key: %v", err)
		}
		if m.Layout == mrz.TD1 != (len(m.Lines) == 3) || m.DocumentNumber == "" || len(m.Sex) != 1 {
			t.Fatal("fields do not fit the format")
		}
	})
}
