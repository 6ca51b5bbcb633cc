package truststore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/trust"
)

// Request is what somebody wishes to import.
type Request struct {
	Files []string
	// Root, if not empty, is a file with the one certificate to pin. Whoever pins
	// it has compared its fingerprint with the one that the state publishes.
	Root string
	// Accept, if not empty, is the reason why the self-signed certificates in Files
	// are trusted on the word of By.
	Accept string
	By     string    // who imports; required
	At     time.Time // now; required
}

// Report tells what became of an import.
type Report struct {
	Root    *Root // pinned or named now
	Pinned  bool  // and it was not before
	Sources []*Source
	// Added counts pieces that the store has now and had not before, without the
	// entries of master lists, which come with their list.
	Added int
}

// Import offers files to the store in dir, which is made if it is not there. It
// happens wholly or not at all; what is in the store already is not recorded
// again. An error beside a report names each file of which nothing was accepted
// ([ErrRefused], or [ErrUnreadable] if that is all there is to say); the others
// are in. An error without a report leaves the store as it was.
func Import(ctx context.Context, dir string, req *Request) (*Report, error) {
	r, err := offer(ctx, dir, req)
	if r == nil && err != nil {
		return nil, ofSystem(err)
	}
	return r, err
}

func offer(ctx context.Context, dir string, req *Request) (*Report, error) {
	if strings.TrimSpace(req.By) == "" || req.At.IsZero() {
		return nil, errors.New("truststore: an import needs a person and a time")
	}
	e := &entry{Version: version, Time: req.At.UTC().Truncate(time.Second), By: words(req.By), Accept: words(req.Accept)}
	store, err := open(ctx, dir)
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	if err := checkModes(dir); err != nil {
		return nil, err
	}
	r := new(Report)
	keep := make(map[string]content) // by the ID of the object
	if req.Root != "" {
		if err := r.pin(ctx, store, req.Root, e, keep); err != nil {
			return nil, err
		}
	}
	if err := store.settle(ctx); err != nil {
		return nil, err
	}
	for _, file := range req.Files {
		src, err := readFile(ctx, file)
		if err != nil {
			return nil, err
		}
		src.Added, src.By, src.Accept = e.Time, e.By, e.Accept
		src.how = trust.Import{Source: src.Name, At: e.Time, Trust: e.Accept != "", Roots: certificatesOf(store.Roots)}
		r.Sources = append(r.Sources, src)
	}
	supersede(slices.Concat(store.Sources, r.Sources), r.Sources)
	if err := settle(ctx, store.Pool, r.Sources); err != nil {
		return nil, err
	}
	for _, src := range r.Sources {
		if kept := src.keep(store.ids, keep); len(kept) > 0 {
			e.Sources = append(e.Sources, entrySource{Name: src.Name, SHA256: src.SHA256, Size: src.Size, Objects: kept})
		}
		for _, p := range src.Pieces {
			if p.Accepted && !p.known {
				r.Added++
			}
		}
	}
	if e.Root != nil || len(e.Sources) > 0 {
		if err := store.write(ctx, e, keep); err != nil {
			return nil, err
		}
	}
	var refused []error
	for _, src := range r.Sources {
		refused = append(refused, src.refused())
	}
	return r, errors.Join(refused...)
}

// words makes one printable line of what somebody typed.
func words(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "")
	}
	return s
}

// pin adds the root of a request to the store in memory, and to the entry if it
// is new.
func (r *Report) pin(ctx context.Context, store *Store, file string, e *entry, keep map[string]content) error {
	src, err := readFile(ctx, file)
	if err != nil {
		return err
	}
	if len(src.Pieces) != 1 || src.Pieces[0].Certificate == nil {
		return fmt.Errorf("%w: %s", ErrRoot, src.Name)
	}
	p := src.Pieces[0]
	if i := slices.IndexFunc(store.Roots, func(r Root) bool { return r.ID == p.ID }); i >= 0 {
		r.Root = &store.Roots[i]
		return nil
	}
	root := Root{ID: p.ID, Certificate: p.Certificate, Name: src.Name, Pinned: e.Time, By: e.By}
	if err := pin(trust.NewPool(), []Root{root}); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRoot, src.Name, err)
	}
	store.Roots = append(store.Roots, root)
	for _, s := range store.Sources {
		s.how.Roots = certificatesOf(store.Roots)
	}
	keep[p.ID] = content{der: p.held}
	e.Root = &entrySource{Name: src.Name, SHA256: src.SHA256, Size: src.Size, Objects: []string{p.ID}}
	r.Root, r.Pinned = &root, true
	return nil
}

// content is what becomes an object: these bytes, or a file as it is.
type content struct {
	der  []byte
	file string
}

// keep returns the IDs of the objects that are to be kept of a source, and puts
// them into objects. What is known is marked as such. A list is kept with its
// whole file, from which it can be read again.
func (s *Source) keep(ids map[string]bool, objects map[string]content) []string {
	var kept []string
	whole := false
	for _, p := range s.Pieces {
		// What the pool had before this piece came is kept already, or comes with
		// the list that brought it.
		if p.Accepted && (ids[p.ID] || p.Why == trust.ByPossession) {
			p.known, p.Why = true, trust.ByPossession
		}
		if !p.Accepted || p.known {
			continue
		}
		ids[p.ID] = true
		if p.list() {
			whole = true
			continue
		}
		kept = append(kept, p.ID)
	}
	if whole {
		objects[s.SHA256] = content{file: s.file}
		return []string{s.SHA256}
	}
	for _, p := range s.Pieces {
		if slices.Contains(kept, p.ID) {
			objects[p.ID] = content{der: p.held}
		}
	}
	return kept
}

// write writes the objects, and then the entry.
func (s *Store) write(ctx context.Context, e *entry, objects map[string]content) error {
	folder := filepath.Join(s.Dir, objectsDir)
	for _, dir := range []string{filepath.Join(s.Dir, entriesDir), folder} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := sweep(folder, filepath.Join(s.Dir, entriesDir)); err != nil {
		return err
	}
	for id, c := range objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeObject(folder, id, c); err != nil {
			return err
		}
	}
	if err := syncDir(folder); err != nil {
		return err
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return s.writeEntry(append(b, '\n'))
}

// writeEntry gives the entry the next number that is free. Linking, unlike
// renaming, fails when somebody else has just taken it; an import of somebody
// else does not make this one wrong.
func (s *Store) writeEntry(b []byte) error {
	folder := filepath.Join(s.Dir, entriesDir)
	temp, err := writeTemp(folder, func(w io.Writer) error { _, err := w.Write(b); return err })
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	for ; s.next <= maxEntries; s.next++ {
		err := os.Link(temp, filepath.Join(folder, nameOf(s.next)))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := syncDir(folder); err != nil {
			return err
		}
		return syncDir(s.Dir)
	}
	return errors.New("truststore: too many imports")
}

func writeObject(folder, id string, c content) error {
	temp, err := writeTemp(folder, func(w io.Writer) error {
		hash := sha256.New()
		w = io.MultiWriter(w, hash)
		if c.file == "" {
			_, err := w.Write(c.der)
			return err
		}
		f, err := os.Open(c.file)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(w, io.LimitReader(f, maxSource)); err != nil {
			return err
		}
		if hex.EncodeToString(hash.Sum(nil)) != id {
			return fmt.Errorf("%w: %s changed while it was read", ErrUnreadable, filepath.Base(c.file))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(folder, id)); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// writeTemp writes a file that everybody may read, and has it on the disk when
// it returns its name.
func writeTemp(folder string, write func(io.Writer) error) (string, error) {
	f, err := os.CreateTemp(folder, tempPattern)
	if err != nil {
		return "", err
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// sweep removes what a killed process left long ago.
func sweep(folders ...string) error {
	for _, folder := range folders {
		old, err := filepath.Glob(filepath.Join(folder, tempPattern))
		if err != nil {
			return err
		}
		for _, file := range old {
			if st, err := os.Lstat(file); err != nil || time.Since(st.ModTime()) < sweepAfter {
				continue
			}
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
