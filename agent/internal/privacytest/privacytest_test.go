package privacytest_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/icao/chip"
)

func traced(b []byte) string {
	var s []string
	for _, c := range b {
		s = append(s, fmt.Sprintf("0x%x", c))
	}
	return "main.f({" + strings.Join(s, ", ") + "})"
}

func wide(s string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

// TestFind: a search that finds nothing anywhere would pass every test.
func TestFind(t *testing.T) {
	d, err := chip.Build(chip.ProfileCCCDNoAA, chip.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := privacytest.Of(t, d)
	key, err := d.Person.AccessKey()
	if err != nil {
		t.Fatal(err)
	}
	hash := key.Hash()
	tests := []struct{ name, text, want string }{
		{"nothing", "level=INFO msg=online wait=1.990131ms visit=01a20147-feb1-7978-99b3-990131e9a630", ""},
		{"name", `name="` + d.Person.Name + `"`, "name"},
		{"decomposed name", norm.NFD.String(d.Person.Name), "name"},
		{"upper case", strings.ToUpper(d.Person.Name), "name"},
		{"MRZ name", "nguyen van thu", "name in the MRZ"},
		{"MRZ line", "[" + d.MRZ[1] + "]", "MRZ line 2"},
		{"number", "person=001099000001", "number"},
		{"document number", "no such document: 099000001", "document number"},
		{"birth date", "born 1999-01-31.", "birth date as 2006-01-02"},
		{"birth date of the MRZ", "key 099000001/990131", "birth date as 060102"},
		{"birth date of the QR", "|31011999|", "birth date as 02012006"},
		{"key in hexadecimal", "seed=" + strings.ToUpper(hex.EncodeToString(hash[:16])), "access key seed"},
		{"key in base64", base64.StdEncoding.EncodeToString(hash[:]), "access key"},
		{"key as numbers", fmt.Sprint(hash[:]), "access key"},
		{"key of a stack trace", traced(hash[:]), "access key"},
		{"name without marks", "NGUYEN VAN THU", "name without marks"},
		{"name in UTF-16", wide(d.Person.Name, false), "name"},
		{"name in UTF-16, the other way round", wide(strings.ToUpper(d.Person.Name), true), "name"},
		{"name in base64", base64.StdEncoding.EncodeToString([]byte(d.Person.Name)), "name"},
		{"name in the middle of base64", base64.StdEncoding.EncodeToString([]byte(`{"n":"` + d.Person.Name + `"}`)), "name"},
		{"decomposed name in hexadecimal", hex.EncodeToString([]byte(norm.NFD.String(d.Person.Name))), "name"},
		{"escaped name", fmt.Sprintf("%+q", d.Person.Name), "name"},
		{"name in a URL", "/find?name=" + url.QueryEscape(d.Person.Name), "name"},
		{"number in UTF-16", wide(d.Person.Number, false), "number"},
		{"number in base64", "x" + base64.URLEncoding.EncodeToString([]byte("id="+d.Person.Number+";")), "number"},
		{"residence without marks", "so 1, phuong x, quan y, ha noi", "residence without marks"},
		{"birth date in UTF-16", wide("1999-01-31", false), "birth date as 2006-01-02"},
		{"birth date in base64", base64.StdEncoding.EncodeToString([]byte("a31/01/1999b")), "birth date as 02/01/2006"},
		{"DG13", string(d.Groups[13]), "DG13"},
		{"DG1 in base64", base64.StdEncoding.EncodeToString(d.Groups[1]), "DG1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := n.Find([]byte(tt.text))
			if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}
