package privacytest_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/icao/chip"
)

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
