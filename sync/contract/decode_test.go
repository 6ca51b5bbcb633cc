package contract_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/sync/contract"
)

func TestDecodeVisitRefuses(t *testing.T) {
	visit, err := contract.EncodeVisit(exampleVisit(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, old, new string
		code           contract.Code
		field          string
	}{
		{"empty", string(visit), ``, contract.Malformed, ""},
		{"null", string(visit), `null`, contract.Invalid, ""},
		{"array", string(visit), `[]`, contract.Invalid, ""},
		{"cut off", `}}`, ``, contract.Malformed, "evidence"},
		{"trailing object", `"version":1`, `"version":1}{"version":1`, contract.Missing, "id"},
		{"too deep", `"chip"`, strings.Repeat(`[`, 200), contract.Invalid, "means"},
		{"other version", `{"version":1`, `{"new":[],"version":2`, contract.UnsupportedVersion, "version"},
		{"version as text", `"version":1`, `"version":"1"`, contract.Invalid, "version"},
		{"version as fraction", `"version":1,`, `"version":1.5,`, contract.Malformed, ""},
		{"no version", `"version":1,`, ``, contract.Missing, "version"},
		{"not UTF-8", `Quầy`, "Qu\xffy", contract.NotUTF8, ""},
		{"lone surrogate", `Quầy`, `\ud800`, contract.Invalid, "operator"},
		{"duplicate", `"verified":true`, `"verified":true,"verified":false`, contract.DuplicateMember, "verified"},
		{"duplicate by escape", `"verified":true`, `"verified":true,"\u0076erified":false`, contract.DuplicateMember, "verified"},
		{"other case", `"verified":true`, `"Verified":true`, contract.UnknownMember, ""},
		{"second in other case", `"verified":true`, `"verified":true,"VERIFIED":false`, contract.UnknownMember, ""},
		{"unknown", `"verified":true`, `"verified":true,"religion":"none"`, contract.UnknownMember, ""},
		{"unknown in person", `"sex":"male"`, `"sex":"male","ethnicity":"Kinh"`, contract.UnknownMember, "person"},
		{"null member", `"verified":true`, `"verified":null`, contract.Invalid, "verified"},
		{"missing bool", `"verified":true,`, ``, contract.Missing, "verified"},
		{"missing person", `"person":`, `"extra":`, contract.UnknownMember, ""},
		{"id version 4", exampleID, `01890a5d-ac96-474b-bcce-b302099a8057`, contract.Invalid, "id"},
		{"id upper case", exampleID, strings.ToUpper(exampleID), contract.Invalid, "id"},
		{"facility wildcard", `"facility":"01013"`, `"facility":"*"`, contract.Invalid, "facility"},
		{"agent checksum", `"agent":"UC`, `"agent":"UD`, contract.Invalid, "agent"},
		{"date not in calendar", `"birthDate":"1999-01-31"`, `"birthDate":"1999-02-29"`, contract.Invalid, "person.birthDate"},
		{"bidirectional override", `Nguyễn Văn Thử`, `Nguyễn \u202eửhT`, contract.Invalid, "person.name"},
		{"name too long", `Nguyễn Văn Thử`, strings.Repeat("ử", 129), contract.Invalid, "person.name"},
		{"local time", `.25Z"`, `.25+07:00"`, contract.Invalid, "startedAt"},
		{"microseconds", `.25Z"`, `.250001Z"`, contract.Invalid, "startedAt"},
		{"not a day", `"startedAt":"2026-03-02`, `"startedAt":"2026-02-30`, contract.Malformed, ""},
		{"unknown means", `"means":"chip"`, `"means":"Chip"`, contract.Invalid, "means"},
		{"verified without chip", `"means":"chip"`, `"means":"cccd-qr"`, contract.Inconsistent, "verified"},
		{"verified without passive authentication", `"id":"passive_authentication"`, `"id":"other"`, contract.Inconsistent, "verified"},
		{"verified with a failed check", `"result":"not_supported"`, `"result":"failed"`, contract.Inconsistent, "verified"},
		{"result outside the set", `"result":"not_supported"`, `"result":"maybe"`, contract.Invalid, "checks[2].result"},
		{"status against code", `"status":"valid"`, `"status":"not_entitled"`, contract.Inconsistent, "entitlement.status"},
		{"source none with answer", `"source":"cache"`, `"source":"none"`, contract.Inconsistent, "entitlement.source"},
		{"finding outside the set", `"name_differs"`, `"name_fixed"`, contract.Invalid, "entitlement.findings[0]"},
		{"base64 with line break", `"sod":"dwEC"`, `"sod":"dw\nEC"`, contract.Invalid, "evidence.sod"},
		{"empty bytes", `"sod":"dwEC"`, `"sod":""`, contract.Invalid, "evidence.sod"},
		{"challenge too short", `"challenge":"`, `"challenge":"00","x":"`, contract.Invalid, "evidence.challenge"},
		{"nonce too short", `"value":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="`, `"value":"CQkJ"`, contract.Invalid, "evidence.nonce.value"},
		{"too large", `"version":1`, `"version":1` + strings.Repeat(" ", contract.MaxVisit), contract.TooLarge, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !bytes.Contains(visit, []byte(tt.old)) {
				t.Fatalf("the example does not contain %s", tt.old)
			}
			got, err := contract.DecodeVisit(bytes.Replace(visit, []byte(tt.old), []byte(tt.new), 1))
			var e *contract.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Field != tt.field {
				t.Errorf("error = %v, want %s at %q", err, tt.code, tt.field)
			}
			if !errors.Is(err, tt.code) {
				t.Errorf("errors.Is(%v, %v) = false", err, tt.code)
			}
			if diff := cmp.Diff(contract.Visit{}, got); diff != "" {
				t.Errorf("not the zero visit:\n%s", diff)
			}
		})
	}
}

// TestDecodeStatusRefuses: a status may hold numbers, times and words of closed
// sets, and nothing in which a person could be told of.
func TestDecodeStatusRefuses(t *testing.T) {
	status, err := contract.EncodeStatus(exampleStatus(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, old, new string
		code           contract.Code
		field          string
	}{
		{"person", `"queued":3`, `"queued":3,"name":"Nguyễn Văn Thử"`, contract.UnknownMember, ""},
		{"text as version", `"0.1.0"`, `"of Nguyen Van Thu"`, contract.Invalid, "software"},
		{"text as build", `"58dd7f0c1a2b"`, `"Thử"`, contract.Invalid, "build"},
		{"long build", `"58dd7f0c1a2b"`, `"` + strings.Repeat("a", 65) + `"`, contract.Invalid, "build"},
		{"empty build", `"58dd7f0c1a2b"`, `""`, contract.Invalid, "build"},
		{"reader by name", `"present"`, `"ACR39U"`, contract.Invalid, "reader"},
		{"no clock", `"clock":"synchronised",`, ``, contract.Missing, "clock"},
		{"no queue", `"queued":3,`, ``, contract.Missing, "queued"},
		{"negative", `"queued":3`, `"queued":-1`, contract.Invalid, "queued"},
		{"beyond all counts", `"rejected":0`, `"rejected":2147483648`, contract.Invalid, "rejected"},
		{"oldest of none", `"queued":3`, `"queued":0`, contract.Inconsistent, "oldest"},
		{"local time", `"trust":"2026-02-28T19:30:00.25Z"`, `"trust":"2026-02-28T19:30:00.25+07:00"`, contract.Invalid, "trust"},
		{"too large", `"queued":3`, `"queued":3` + strings.Repeat(" ", contract.MaxMessage), contract.TooLarge, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !bytes.Contains(status, []byte(tt.old)) {
				t.Fatalf("the example does not contain %s: %s", tt.old, status)
			}
			got, err := contract.DecodeStatus(bytes.Replace(status, []byte(tt.old), []byte(tt.new), 1))
			var e *contract.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Field != tt.field {
				t.Errorf("error = %v, want %s at %q", err, tt.code, tt.field)
			}
			if got != (contract.Status{}) {
				t.Error("not the zero status")
			}
		})
	}
	// The least that one can hold: an agent that has just been installed.
	least := contract.Status{
		Version: contract.Version, Agent: newSigner(1).name(t), Facility: "01013", At: exampleTime, Clock: contract.ClockUnknown, Software: "(devel)",
	}
	b, err := contract.EncodeStatus(&least)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := contract.DecodeStatus(b); err != nil || got != least {
		t.Errorf("%+v, %v", got, err)
	}
	least.Oldest = exampleTime
	if _, err := contract.EncodeStatus(&least); !errors.Is(err, contract.Inconsistent) {
		t.Errorf("error = %v, want %v", err, contract.Inconsistent)
	}
}

func TestDecodeRefusesTrailingData(t *testing.T) {
	for _, c := range codecs(t) {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.encode(c.value)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.decode(append(b, " \n"...)); err != nil {
				t.Errorf("white space after the message: %v", err)
			}
			for _, tail := range []string{"{}", "x", "\x00", "]", "}"} {
				if _, err := c.decode(append(b[:len(b):len(b)], tail...)); !errors.Is(err, contract.TrailingData) {
					t.Errorf("%q after the message: error = %v", tail, err)
				}
			}
		})
	}
}

// TestUnknownMembers: what the central service sends may grow, what an agent
// signs may not.
func TestUnknownMembers(t *testing.T) {
	for _, c := range codecs(t) {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.encode(c.value)
			if err != nil {
				t.Fatal(err)
			}
			grown := append([]byte(`{"future":{"a":[1,{"b":null}]},`), b[1:]...)
			got, err := c.decode(grown)
			if c.name == "visit" || c.name == "lookup-request" || c.name == "status" || c.name == "bundle-request" || c.name == "enrol-request" {
				if !errors.Is(err, contract.UnknownMember) {
					t.Errorf("error = %v, want %v", err, contract.UnknownMember)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.value, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for name, doc := range map[string]string{
				"duplicate":        `{"future":1,"future":2,`,
				"duplicate inside": `{"future":{"a":1,"a":2},`,
				"other case":       `{"VERSION":1,`,
				"too deep":         `{"future":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `,`,
			} {
				if _, err := c.decode(append([]byte(doc), b[1:]...)); err == nil {
					t.Errorf("%s: accepted", name)
				}
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*contract.Visit)
		want  contract.Error
	}{
		{"zero", func(v *contract.Visit) { *v = contract.Visit{} }, contract.Error{Code: contract.UnsupportedVersion, Field: "version"}},
		{"no time", func(v *contract.Visit) { v.StartedAt = time.Time{} }, contract.Error{Code: contract.Missing, Field: "startedAt"}},
		{"local time", func(v *contract.Visit) { v.StartedAt = v.StartedAt.In(time.FixedZone("ICT", 7*3600)) }, contract.Error{Code: contract.Invalid, Field: "startedAt"}},
		{"fine time", func(v *contract.Visit) { v.StartedAt = v.StartedAt.Add(1) }, contract.Error{Code: contract.Invalid, Field: "startedAt"}},
		{"nobody", func(v *contract.Visit) { v.Person = contract.Person{} }, contract.Error{Code: contract.Missing, Field: "person"}},
		{"no chip", func(v *contract.Visit) { v.Means, v.Verified = contract.MeansManual, false }, contract.Error{Code: contract.Inconsistent, Field: "evidence"}},
		{"no SOD", func(v *contract.Visit) { v.Verified, v.Evidence.SOD = false, nil }, contract.Error{Code: contract.Missing, Field: "evidence.sod"}},
		{"signature without DG15", func(v *contract.Visit) { v.Evidence.DG15 = nil }, contract.Error{Code: contract.Inconsistent, Field: "evidence.signature"}},
		{"not UTF-8", func(v *contract.Visit) { v.Person.Name = "\xff" }, contract.Error{Code: contract.Invalid, Field: "person.name"}},
		{"too many checks", func(v *contract.Visit) { v.Checks = make([]contract.Check, 65) }, contract.Error{Code: contract.Invalid, Field: "checks"}},
		{"oversized SOD", func(v *contract.Visit) { v.Evidence.SOD = make([]byte, 40<<10) }, contract.Error{Code: contract.Invalid, Field: "evidence.sod"}},
		{"no day of answer", func(v *contract.Visit) { v.Entitlement.AsOf = time.Time{} }, contract.Error{Code: contract.Missing, Field: "entitlement.asOf"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := exampleVisit(t)
			tt.spoil(v)
			b, err := contract.EncodeVisit(v)
			var e *contract.Error
			if !errors.As(err, &e) || *e != tt.want {
				t.Errorf("error = %v, want %v", err, &tt.want)
			}
			if b != nil {
				t.Error("bytes and an error")
			}
		})
	}
}

func TestLargestVisitFits(t *testing.T) {
	v := exampleVisit(t)
	v.Evidence.SOD = make([]byte, 32<<10)
	v.Evidence.DG1, v.Evidence.DG14, v.Evidence.DG15 = make([]byte, 1<<10), make([]byte, contract.MaxDG14), make([]byte, 4<<10)
	v.Evidence.Signature = make([]byte, 1<<10)
	for len(v.Checks) < 64 {
		v.Checks = append(v.Checks, contract.Check{
			ID: "x" + strings.Repeat("y", 63), Result: contract.Successful,
			Reason: strings.Repeat("z", 64), Algorithm: strings.Repeat("a", 96), Millis: 1,
		})
	}
	b, err := contract.EncodeVisit(v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.DecodeVisit(b); err != nil {
		t.Fatal(err)
	}
}

func TestLeastVisit(t *testing.T) {
	want := manualVisit(t)
	b, err := contract.EncodeVisit(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := contract.DecodeVisit(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerdictRules(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*contract.Verdict)
		code  contract.Code // "" for none
	}{
		{"accepted", func(*contract.Verdict) {}, ""},
		{"accepted without nonce", func(v *contract.Verdict) { v.Presence.From = time.Time{} }, ""},
		{"attested", func(v *contract.Verdict) { v.Assurance, v.Presence = contract.AssuranceAttested, nil }, ""},
		{"rejected", func(v *contract.Verdict) {
			v.State, v.Assurance, v.Presence, v.Reason = contract.VerdictRejected, "", nil, contract.ReasonChipSignature
		}, ""},
		{"accepted with a reason", func(v *contract.Verdict) { v.Reason = contract.ReasonTime }, contract.Inconsistent},
		{"accepted without assurance", func(v *contract.Verdict) { v.Assurance = "" }, contract.Missing},
		{"rejected with assurance", func(v *contract.Verdict) { v.State, v.Reason = contract.VerdictRejected, contract.ReasonTime }, contract.Inconsistent},
		{"rejected without reason", func(v *contract.Verdict) { v.State, v.Assurance, v.Presence = contract.VerdictRejected, "", nil }, contract.Missing},
		{"attested with presence", func(v *contract.Verdict) { v.Assurance = contract.AssuranceAttested }, contract.Inconsistent},
		{"chip without presence", func(v *contract.Verdict) { v.Presence = nil }, contract.Inconsistent},
		{"presence backwards", func(v *contract.Verdict) { v.Presence.From = v.Presence.To.Add(time.Second) }, contract.Inconsistent},
		{"reason outside the set", func(v *contract.Verdict) {
			v.State, v.Assurance, v.Presence, v.Reason = contract.VerdictRejected, "", nil, "moon_phase"
		}, contract.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := exampleVerdict(t)
			tt.spoil(v)
			_, err := contract.EncodeVerdict(v)
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
			} else if !errors.Is(err, tt.code) {
				t.Errorf("error = %v, want %v", err, tt.code)
			}
		})
	}
}

// TestNewReasonIsReadable: an old agent must get rid of a visit that a newer
// service rejects for a new reason.
func TestNewReasonIsReadable(t *testing.T) {
	v := exampleVerdict(t)
	v.State, v.Assurance, v.Presence, v.Reason = contract.VerdictRejected, "", nil, contract.ReasonTime
	b, err := contract.EncodeVerdict(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := contract.DecodeVerdict(bytes.Replace(b, []byte(`"time"`), []byte(`"moon_phase"`), 1))
	if err != nil {
		t.Fatal(err)
	}
	if got.Reason != "moon_phase" || got.Reason.Known() {
		t.Errorf("reason = %q, known = %v", got.Reason, got.Reason.Known())
	}
}

// fuzzDecoder feeds a decoder. Whatever it accepts must encode, decode to the
// same, and satisfy the schema (which may know less than the decoder, never
// more); whatever it refuses must leave the zero value and a typed error.
func fuzzDecoder(f *testing.F, name string) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil || len(b) == 0 {
			f.Fatalf("empty seed: %v", err)
		}
		f.Add(b)
		// What arrives when something is wrong on the way, or somebody wants it to be.
		f.Add(b[:len(b)/2])
		f.Add(append(b[:len(b):len(b)], b...))
		f.Add(bytes.Replace(b, []byte(`"version":1`), []byte(`"version":2`), 1))
		f.Add(bytes.Replace(b, []byte(`"version":1`), []byte(`"version":1,"VERSION":1`), 1))
		f.Add(bytes.Replace(b, []byte(`"version":1`), []byte(`"version":1,"later":{"a":[1,{"a":null}],"a":2}`), 1))
		f.Add(bytes.ReplaceAll(b, []byte(`:"`), []byte(`:"\u202e\ud800`)))
		f.Add(bytes.ReplaceAll(b, []byte(`Z"`), []byte(`+07:00"`)))
	}
	for _, s := range []string{"{", "null", "[]", `"verdict"`, "\xff\xfe\x00", `{"version":1,"agent":"` + "\xc3\x28" + `"}`, `{"version":1e400}`, strings.Repeat("[", 2000), strings.Repeat(`{"later":`, 2000)} {
		f.Add([]byte(s))
	}
	var c codec
	for _, c = range codecs(f) {
		if c.name == name {
			break
		}
	}
	s := loadSchema(f, name)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := c.decode(b)
		if err != nil {
			var e *contract.Error
			if !errors.As(err, &e) {
				t.Errorf("error of type %T", err)
			}
			if !reflect.DeepEqual(v, c.zero) {
				t.Error("not the zero value on error")
			}
			return
		}
		if err := s.check(b); err != nil {
			t.Errorf("the decoder accepts what the schema refuses: %v", err)
		}
		again, err := c.encode(v)
		if err != nil {
			if verdict, ok := v.(contract.Verdict); ok && !verdict.Reason.Known() {
				return
			}
			t.Fatalf("decoded but not encoded: %v", err)
		}
		back, err := c.decode(again)
		if err != nil {
			t.Fatalf("encoded but not decoded: %v", err)
		}
		if diff := cmp.Diff(v, back, equateEmpty); diff != "" {
			t.Errorf("round trip (-first +second):\n%s", diff)
		}
	})
}

// equateEmpty: an empty list and none are the same message.
var equateEmpty = cmp.FilterValues(func(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.Kind() == reflect.Slice && y.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0
}, cmp.Ignore())

func FuzzDecodeVisit(f *testing.F)          { fuzzDecoder(f, "visit") }
func FuzzDecodeLookupRequest(f *testing.F)  { fuzzDecoder(f, "lookup-request") }
func FuzzDecodeLookupResponse(f *testing.F) { fuzzDecoder(f, "lookup-response") }
func FuzzDecodeVerdict(f *testing.F)        { fuzzDecoder(f, "verdict") }
func FuzzDecodeNonce(f *testing.F)          { fuzzDecoder(f, "nonce") }
func FuzzDecodeStatus(f *testing.F)         { fuzzDecoder(f, "status") }
func FuzzDecodeBundle(f *testing.F)         { fuzzDecoder(f, "bundle") }
func FuzzDecodeBundleRequest(f *testing.F)  { fuzzDecoder(f, "bundle-request") }
func FuzzDecodePopulationPart(f *testing.F) { fuzzDecoder(f, "population-part") }
func FuzzDecodeTrustPart(f *testing.F)      { fuzzDecoder(f, "trust-part") }
func FuzzDecodeEnrolRequest(f *testing.F)   { fuzzDecoder(f, "enrol-request") }
func FuzzDecodeEnrolAnswer(f *testing.F)    { fuzzDecoder(f, "enrol-answer") }

func BenchmarkDecodeVisit(b *testing.B) {
	v := exampleVisit(b)
	v.Evidence.SOD, v.Evidence.DG15, v.Evidence.Signature = make([]byte, 2000), make([]byte, 400), make([]byte, 256)
	doc, err := contract.EncodeVisit(v)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := contract.DecodeVisit(doc); err != nil {
			b.Fatal(err)
		}
	}
}
