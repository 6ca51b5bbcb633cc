package support

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// open reads an archive back.
func open(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	return files
}

func TestMask(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"citizen's number", `{"n":"001099000001"}`, `{"n":"************"}`},
		{"as people write it", "001 099 000 001.", "***************."},
		{"insurance card", "card GD4010100000001 ends", "card *************** ends"},
		{"social insurance", "0100000001", "**********"},
		{"document", "099000001x", "*********x"},
		{"MRZ", "NGUYEN<<VAN<THU<<<<<<", strings.Repeat("*", 21)},
		{"MRZ with numbers", "IDVNM0990000017001099000001<<8", strings.Repeat("*", 30)},
		{"a time", "2026-11-22T08:29:36.123456Z", "2026-11-22T08:29:36.123456Z"},
		{"a time with nanoseconds", `"time":"2026-11-22T10:12:36.123456789+07:00"`, `"time":"2026-11-22T10:12:36.123456789+07:00"`},
		{"a number of JSON", `"free_bytes": 123456789012,`, `"free_bytes": 123456789012,`},
		{"a number in a text of JSON", `"free": "123456789012"`, `"free": "************"`},
		{"a line of an MRZ that looks like a time", "2026-11-22T<<NGUYEN", "2026-11-***********"},
		{"a small number", "12345678 bytes", "12345678 bytes"},
		{"a version", "go1.26.8 v0.0.1", "go1.26.8 v0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(mask([]byte(tt.in))); got != tt.want {
				t.Errorf("mask(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	err := Write(t.Context(), &b,
		Text("version.txt", "1.2.3"),
		Part{"pieces.txt", func(_ context.Context, w io.Writer) error {
			for _, c := range "number 001099000001\nNGUYEN<<VAN<THU" { // byte for byte
				if _, err := io.WriteString(w, string(c)); err != nil {
					return err
				}
			}
			return nil
		}},
		Part{"broken.txt", func(_ context.Context, w io.Writer) error {
			_, _ = io.WriteString(w, "began\n")
			return errors.New("support: test of 001099000001")
		}},
		Part{"large.txt", func(_ context.Context, w io.Writer) error {
			line := strings.Repeat("x", 1000) + "\n"
			for {
				if _, err := io.WriteString(w, line); err != nil {
					return fmt.Errorf("writing: %w", err)
				}
			}
		}},
		Text("last.txt", "still there"),
	)
	if err != nil {
		t.Fatal(err)
	}
	files := open(t, b.Bytes())
	for name, want := range map[string]string{
		"version.txt": "1.2.3",
		"pieces.txt":  "number ************\n" + strings.Repeat("*", 15),
		"broken.txt":  "began\n\n[not complete: support: test of ************]\n",
		"last.txt":    "still there",
	} {
		if files[name] != want {
			t.Errorf("%s = %q, want %q", name, files[name], want)
		}
	}
	if large := files["large.txt"]; len(large) > maxPart+100 || !strings.HasSuffix(large, "[cut here]\n") {
		t.Errorf("large.txt has %d bytes", len(large))
	}
}

func TestWriteEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, io.Discard, Text("a", "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestLogs(t *testing.T) {
	dir := t.TempDir()
	for i := range maxLogs + 3 {
		name := filepath.Join(dir, fmt.Sprintf("chamthe-%02d.log", i))
		if err := os.WriteFile(name, []byte(fmt.Sprintf("line of %d\n", i)), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	// The newest is longer than what is taken of it; its end has a number in it.
	newest := filepath.Join(dir, fmt.Sprintf("chamthe-%02d.log", maxLogs+2))
	long := strings.Repeat(strings.Repeat("y", 99)+"\n", maxPart/100) + "of 001099000001\n"
	if err := os.WriteFile(newest, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(100 * time.Hour)
	if err := os.Chtimes(newest, at, at); err != nil {
		t.Fatal(err)
	}
	// Somebody else's file by a link is not ours to pack.
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "chamthe-link.log")); err != nil {
		t.Fatal(err)
	}
	parts, err := Logs(dir, "chamthe*.log")
	if err != nil || len(parts) != maxLogs {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	var b bytes.Buffer
	if err := Write(t.Context(), &b, parts...); err != nil {
		t.Fatal(err)
	}
	files := open(t, b.Bytes())
	got := files["logs/"+filepath.Base(newest)]
	if len(got) > maxPart/2 || !strings.HasPrefix(got, "yyy") || !strings.HasSuffix(got, "\nof ************\n") {
		t.Errorf("the newest: %d bytes, end %q", len(got), got[max(0, len(got)-40):])
	}
	if _, there := files["logs/chamthe-00.log"]; there {
		t.Error("the oldest is packed, and a newer one is not")
	}
}
