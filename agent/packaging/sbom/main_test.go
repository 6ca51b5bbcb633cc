package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBill makes the bill of the test program itself, twice.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := run(&a, "1.2.3", "Apache-2.0", []string{self}); err != nil {
		t.Fatal(err)
	}
	if err := run(&b, "1.2.3", "Apache-2.0", []string{self}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two bills of one program differ")
	}
	var got bill
	if err := json.Unmarshal(a.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Format != "CycloneDX" || got.Metadata.Component.Version != "1.2.3" {
		t.Errorf("bill of %+v", got.Metadata)
	}
	var std bool
	for _, c := range got.Components {
		std = std || strings.HasPrefix(c.PURL, "pkg:golang/std@1.")
	}
	if !std {
		t.Error("the standard library is not in the bill")
	}
}

func TestBillRefusals(t *testing.T) {
	text := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		version string
		files   []string
	}{
		{"no program at all", "1", nil},
		{"no version", "", []string{text}},
		{"not a program", "1", []string{text}},
		{"not there", "1", []string{text + ".no"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(&out, tt.version, "", tt.files); err == nil || out.Len() > 0 {
				t.Errorf("error %v, %d bytes written", err, out.Len())
			}
		})
	}
}
