package contract_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/sync/contract"
)

var update = flag.Bool("update", false, "write the example documents in testdata")

func TestSchemasAreCurrent(t *testing.T) {
	schemas := contract.Schemas()
	if len(schemas) != len(codecs(t)) {
		t.Errorf("%d schemas for %d messages", len(schemas), len(codecs(t)))
	}
	for name, want := range schemas {
		got, err := os.ReadFile(filepath.Join("schema", name))
		if err != nil {
			t.Fatalf("%v; run go generate", err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("schema/%s is stale; run go generate", name)
		}
	}
	files, err := os.ReadDir("schema")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(schemas) {
		t.Errorf("%d files for %d schemas", len(files), len(schemas))
	}
}

// TestExamples pins the wire format: the documents in testdata are what an
// agent of this version sends and must go on to be read.
func TestExamples(t *testing.T) {
	for _, c := range codecs(t) {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.encode(c.value)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", c.name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("encoding changed (-file +now):\n%s", diff)
			}
			back, err := c.decode(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.value, back); diff != "" {
				t.Errorf("decoding (-want +got):\n%s", diff)
			}
			if err := loadSchema(t, c.name).check(want); err != nil {
				t.Errorf("the schema refuses its own example: %v", err)
			}
		})
	}
}

// TestSchemaRefuses shows that the emitted rules have teeth.
func TestSchemaRefuses(t *testing.T) {
	visit, err := contract.EncodeVisit(exampleVisit(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new string }{
		{"id", exampleID, "01890a5d-ac96-474b-bcce-b302099a8057"},
		{"facility", `"facility":"01013"`, `"facility":"01.13"`},
		{"enumeration", `"means":"chip"`, `"means":"telepathy"`},
		{"type", `"verified":true`, `"verified":"yes"`},
		{"unknown member", `"verified":true`, `"verified":true,"religion":"x"`},
		{"unknown nested member", `"sex":"male"`, `"sex":"male","ethnicity":"x"`},
		{"missing member", `"clock":"synchronised",`, ``},
		{"range", `"millis":180`, `"millis":-1`},
		{"local time", `"startedAt":"2026-03-02T01:30:00.25Z"`, `"startedAt":"2026-03-02T08:30:00.25+07:00"`},
		{"control character", `Quầy 2`, `Quầy\u0007`},
		{"empty string", `"operator":"Quầy 2"`, `"operator":""`},
		{"base64", `"sod":"dwEC"`, `"sod":"dw*C"`},
	}
	s := loadSchema(t, "visit")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !bytes.Contains(visit, []byte(tt.old)) {
				t.Fatalf("the example does not contain %s", tt.old)
			}
			doc := bytes.Replace(visit, []byte(tt.old), []byte(tt.new), 1)
			if s.check(doc) == nil {
				t.Error("the schema accepts it")
			}
			if _, err := contract.DecodeVisit(doc); err == nil {
				t.Error("the decoder accepts it")
			}
		})
	}
}

// schema is as much of a JSON Schema validator as the emitted documents need.
// It fails on keywords that it does not know, so that the emitter cannot use
// one that nobody checks.
type schema struct {
	root map[string]any
}

func loadSchema(t testing.TB, name string) schema {
	t.Helper()
	var s schema
	if err := json.Unmarshal(contract.Schemas()[name+".schema.json"], &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s schema) check(doc []byte) error {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return err
	}
	return s.value(s.root, v)
}

func (s schema) value(rule map[string]any, v any) error {
	for keyword, arg := range rule {
		if err := s.keyword(rule, keyword, arg, v); err != nil {
			return fmt.Errorf("%s: %w", keyword, err)
		}
	}
	return nil
}

var errSchema = fmt.Errorf("not valid")

func (s schema) keyword(rule map[string]any, keyword string, arg, v any) error {
	object, _ := v.(map[string]any)
	text, _ := v.(string)
	number, _ := v.(float64)
	ok := true
	switch keyword {
	case "$schema", "$id", "$defs", "title", "description", "format", "contentEncoding":
	case "type":
		switch arg {
		case "object":
			_, ok = v.(map[string]any)
		case "array":
			_, ok = v.([]any)
		case "string":
			_, ok = v.(string)
		case "boolean":
			_, ok = v.(bool)
		case "integer":
			_, ok = v.(float64)
			ok = ok && number == float64(int64(number))
		default:
			return fmt.Errorf("unknown type %v", arg)
		}
	case "properties":
		for name, r := range arg.(map[string]any) {
			if member, has := object[name]; has {
				if err := s.value(r.(map[string]any), member); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	case "additionalProperties":
		known := rule["properties"].(map[string]any)
		for name := range object {
			if _, has := known[name]; !has {
				ok = arg.(bool)
			}
		}
	case "required":
		for _, name := range arg.([]any) {
			if _, has := object[name.(string)]; !has {
				ok = false
			}
		}
	case "enum":
		ok = slices.Contains(arg.([]any), v)
	case "pattern":
		ok = pattern(arg.(string)).MatchString(text)
	case "minLength":
		ok = utf8.RuneCountInString(text) >= int(arg.(float64))
	case "maxLength":
		ok = utf8.RuneCountInString(text) <= int(arg.(float64))
	case "minimum":
		ok = number >= arg.(float64)
	case "maximum":
		ok = number <= arg.(float64)
	case "items":
		for _, e := range v.([]any) {
			if err := s.value(arg.(map[string]any), e); err != nil {
				return err
			}
		}
	case "maxItems":
		ok = len(v.([]any)) <= int(arg.(float64))
	case "$ref":
		name, found := strings.CutPrefix(arg.(string), "#/$defs/")
		def, has := s.root["$defs"].(map[string]any)[name]
		if !found || !has {
			return fmt.Errorf("unresolved %v", arg)
		}
		return s.value(def.(map[string]any), v)
	default:
		return fmt.Errorf("unknown keyword")
	}
	if !ok {
		return errSchema
	}
	return nil
}

// pattern compiles an ECMA-262 pattern of the emitted documents.
func pattern(p string) *regexp.Regexp {
	return regexp.MustCompile(regexp.MustCompile(`\\u([0-9a-f]{4})`).ReplaceAllString(p, `\x{$1}`))
}
