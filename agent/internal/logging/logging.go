// Package logging writes the agent's log: JSON lines into files that rotate by size
// and are bounded in number, for a program that runs for years.
//
// A line is written with one call and never split over two files. A disk that is
// full, or a directory that vanished, costs lines and nothing else: the agent goes on,
// counts what was lost, and says so in the next line that can be written.
package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// FileName is the file that is being written; older ones are chamthe.log.1 and so on,
// the youngest first.
const FileName = "chamthe.log"

// Mode of the files: the group may read, so that administrators can be let in.
const mode = 0o640

// A File is a log file that rotates. Make one with [Open] and close it. It may be
// used concurrently.
type File struct {
	path string
	max  int64
	keep int

	mu     sync.Mutex
	f      *os.File
	size   int64
	lost   uint64    // lines since the last one that was written
	total  uint64    // lines lost since Open
	retry  time.Time // when a file that could not be opened is tried again
	closed bool
}

// reopenAfter is how long a file that cannot be opened is left alone: every line
// would try otherwise.
const reopenAfter = time.Second

// Open opens the log in a directory, which it makes (0750) if there is none. A new
// file is begun when the next line would exceed max bytes; keep old ones stay.
func Open(dir string, max int64, keep int) (*File, error) {
	if max <= 0 || keep < 1 {
		return nil, errors.New("logging: want a size and a number of files")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	f := &File{path: filepath.Join(dir, FileName), max: max, keep: keep}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// open opens the current file at its end. A line that was torn by a power failure is
// ended, so that the next one stands alone.
func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: f.path, Err: errors.New("not a file")}
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.f, f.size = file, info.Size()
	var last [1]byte
	if f.size > 0 {
		if _, err := file.ReadAt(last[:], f.size-1); err == nil && last[0] != '\n' {
			n, _ := file.Write([]byte{'\n'})
			f.size += int64(n)
		}
	}
	return nil
}

// Write writes one line, or several that stay together. It never fails, because a
// log must stop nobody: see [File.Lost].
func (f *File) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if f.f == nil && time.Now().Before(f.retry) {
		f.lose(1)
		return len(line), nil
	}
	if f.f != nil && f.size > 0 && f.size+int64(len(line)) > f.max {
		f.rotate()
	}
	if f.f == nil && f.open() != nil {
		f.retry = time.Now().Add(reopenAfter)
		f.lose(1)
		return len(line), nil
	}
	whole := line
	if f.lost > 0 {
		// With the line that follows, or not at all: small notes would fill the last
		// corner of a full disk.
		whole = fmt.Appendf(nil, "{\"time\":%q,\"level\":\"WARN\",\"msg\":\"lines of the log are lost\",\"lines\":%d}\n", time.Now().Format(time.RFC3339Nano), f.lost)
		whole = append(whole, line...)
	}
	if f.put(whole) {
		f.lost = 0
	} else {
		f.lose(1)
	}
	return len(line), nil
}

func (f *File) lose(n uint64) {
	f.lost += n
	f.total += n
}

// put writes a whole line or none: what a full disk let through of it is taken back.
func (f *File) put(line []byte) bool {
	n, err := f.f.Write(line)
	if err == nil {
		f.size += int64(n)
		return true
	}
	if n > 0 && f.f.Truncate(f.size) != nil {
		f.size += int64(n)
	}
	if !errors.Is(err, errNoSpace) {
		// The file itself is broken, or its disk is gone: open it anew next time.
		_ = f.f.Close()
		f.f = nil
		f.retry = time.Now().Add(reopenAfter)
	}
	return false
}

// rotate gives the files the next numbers and leaves none open. What cannot be
// renamed stays, and the current file grows on: rather too large than lost.
func (f *File) rotate() {
	if f.f.Close() != nil {
		f.f = nil
		return
	}
	f.f = nil
	_ = os.Remove(fmt.Sprintf("%s.%d", f.path, f.keep))
	for i := f.keep - 1; i >= 1; i-- {
		_ = os.Rename(fmt.Sprintf("%s.%d", f.path, i), fmt.Sprintf("%s.%d", f.path, i+1))
	}
	_ = os.Rename(f.path, f.path+".1")
}

// Lost returns how many lines could not be written since [Open].
func (f *File) Lost() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// Close closes the file; what is written afterwards is [fs.ErrClosed].
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.f == nil {
		return nil
	}
	return errors.Join(f.f.Sync(), f.f.Close())
}

// Levels are the words for levels in a configuration.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// New returns a logger that writes JSON lines of a level ("debug", "info", "warn",
// "error"; anything else is "info") and above to all of the writers. Without writers
// it discards.
func New(level string, to ...io.Writer) *slog.Logger {
	if len(to) == 0 {
		return slog.New(slog.DiscardHandler)
	}
	var handlers fan
	for _, w := range to {
		handlers = append(handlers, slog.NewJSONHandler(w, &slog.HandlerOptions{Level: levels[level]}))
	}
	if len(handlers) == 1 {
		return slog.New(handlers[0])
	}
	return slog.New(handlers)
}

// fan gives every record to several handlers; one that fails does not keep the others
// from it.
type fan []slog.Handler

func (f fan) Enabled(ctx context.Context, l slog.Level) bool {
	for _, h := range f {
		if h.Enabled(ctx, l) {
			return true
		}
	}
	return false
}

func (f fan) Handle(ctx context.Context, r slog.Record) error {
	var all error
	for _, h := range f {
		all = errors.Join(all, h.Handle(ctx, r.Clone()))
	}
	return all
}

func (f fan) WithAttrs(attrs []slog.Attr) slog.Handler {
	var with fan
	for _, h := range f {
		with = append(with, h.WithAttrs(attrs))
	}
	return with
}

func (f fan) WithGroup(name string) slog.Handler {
	var with fan
	for _, h := range f {
		with = append(with, h.WithGroup(name))
	}
	return with
}
