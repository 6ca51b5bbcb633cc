package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestNames compares what is written with files: names are part of the API,
// and are only ever added.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    any
	}{
		{"outcome-full", filled(t)},
		{"outcome-empty", &wire.Outcome{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.MarshalIndent(tt.v, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", tt.name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(bytes.ReplaceAll(want, []byte("\r"), nil)), string(got)); diff != "" {
				t.Errorf("the JSON has changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	want := []string{"accepted", "recorded", "rejected", "refused", "undetermined", "not_read", "verified", "error"}
	got := []string{
		wire.VerdictAccepted, wire.VerdictRecorded, wire.VerdictRejected, wire.VerdictRefused,
		wire.VerdictUndetermined, wire.VerdictNotRead, wire.VerdictVerified, wire.VerdictError,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// filled returns an outcome in which no field has its zero value, so that a
// new field cannot be forgotten.
func filled(t *testing.T) *wire.Outcome {
	t.Helper()
	o := &wire.Outcome{}
	fill(t, reflect.ValueOf(o).Elem())
	return o
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes([]byte(`{"version":1}`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(t, e)
		v.SetMapIndex(reflect.ValueOf("key"), e)
	default:
		t.Fatalf("no example for %v", v.Type())
	}
}
