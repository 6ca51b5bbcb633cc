// Package support packs what somebody needs who helps from afar: versions, the
// diagnosis, the configuration without its secrets, logs. It holds no personal data:
// what goes in has none, and everything goes through a filter that masks what looks
// like a number of a person or a machine readable line all the same.
package support

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// A Part is one file of the archive.
type Part struct {
	Name  string // in the archive, with slashes
	Write func(ctx context.Context, w io.Writer) error
}

// maxPart bounds each file of the archive, before it is compressed.
const maxPart = 8 << 20

// Write writes the parts as a ZIP archive. A part that fails is replaced by a note
// about it, because the other ones may tell why; the error is only of w, or of ctx.
func Write(ctx context.Context, w io.Writer, parts ...Part) error {
	z := zip.NewWriter(w)
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := z.CreateHeader(&zip.FileHeader{Name: p.Name, Method: zip.Deflate, Modified: time.Now()})
		if err != nil {
			return err
		}
		out := newMask(&limited{w: f, left: maxPart})
		if err = p.Write(ctx, out); err == nil {
			err = out.Close()
		}
		switch {
		case errors.Is(err, errFull):
			_, err = io.WriteString(f, "\n[cut here]\n")
		case err != nil:
			// The text of an error is as clean as a log, and masked as one.
			_, err = f.Write(mask([]byte(fmt.Sprintf("\n[not complete: %v]\n", err))))
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}

// Text is a part with a text that is there already.
func Text(name, text string) Part {
	return Part{name, func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}}
}

// Logs returns the files of dir that match pattern, the newest first and maxLogs at
// most, as parts in the folder "logs". Of a long one it takes the end.
func Logs(dir, pattern string) ([]Part, error) {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, err
	}
	type file struct {
		name string
		at   time.Time
	}
	var files []file
	for _, n := range names {
		info, err := os.Lstat(n)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		files = append(files, file{n, info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int { return b.at.Compare(a.at) })
	var parts []Part
	for _, f := range files[:min(len(files), maxLogs)] {
		parts = append(parts, Part{"logs/" + filepath.Base(f.name), func(_ context.Context, w io.Writer) error { return tail(f.name, w) }})
	}
	return parts, nil
}

const maxLogs = 8

// tail copies the end of a file, from the beginning of a line on.
func tail(name string, w io.Writer) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // rotated away just now
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	from := max(0, size-maxPart/2)
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(f, maxPart/2))
	if from > 0 {
		if _, err := r.ReadBytes('\n'); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	_, err = io.Copy(w, r)
	return err
}

var errFull = errors.New("support: part too large")

// limited takes left bytes, and then says that it is full.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errFull
	}
	n, err := l.w.Write(p)
	l.left -= n
	return n, err
}

// What looks personal: numbers of citizens (12 digits), documents (9) and social
// insurance (10), card numbers with their letters (15), and lines of an MRZ. A number
// may have blanks or dots in it, as people write it. What comes first is kept: times,
// and numbers of JSON, which nobody's number is.
var personal = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:[.][0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})|": ?-?[0-9]+(?:[.][0-9]+)?|[A-Z0-9]*[A-Z0-9<]*<<[A-Z0-9<]*|[A-Z]{2}[0-9]{13}|[0-9](?:[ .]?[0-9]){8,}`)

// mask replaces what looks personal by as many asterisks as it had bytes.
func mask(line []byte) []byte {
	if !suspect(line) { // most lines of a log
		return line
	}
	return personal.ReplaceAllFunc(line, func(m []byte) []byte {
		if m[0] == '"' || bytes.IndexByte(m, 'T') == len("2026-11-22") {
			return m
		}
		return bytes.Repeat([]byte{'*'}, len(m))
	})
}

// suspect reports whether personal can match at all.
func suspect(line []byte) bool {
	digits := 0
	for _, c := range line {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	return digits >= 9 || bytes.Contains(line, []byte("<<"))
}

// maxLine bounds a line that is looked at as one. A longer one is looked at in
// pieces that overlap nowhere: a number across the seam is masked only if nine of its
// digits lie on one side, so lines are made long.
const maxLine = 1 << 20

// masking looks at whole lines.
type masking struct {
	w   io.Writer
	buf []byte
}

func newMask(w io.Writer) *masking { return &masking{w: w} }

func (m *masking) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			i = len(p) - 1
		}
		m.buf = append(m.buf, p[:i+1]...)
		p = p[i+1:]
		if m.buf[len(m.buf)-1] == '\n' || len(m.buf) >= maxLine {
			if err := m.flush(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func (m *masking) flush() error {
	_, err := m.w.Write(mask(m.buf))
	m.buf = m.buf[:0]
	return err
}

// Close writes what is left of a line.
func (m *masking) Close() error { return m.flush() }
