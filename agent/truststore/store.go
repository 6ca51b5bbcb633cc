package truststore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

// Errors of a store.
var (
	// ErrNone reports a directory that is no store, or is not there.
	ErrNone = errors.New("truststore: no trust material there")
	// ErrUnreadable reports a file, given or named by the caller, that cannot be
	// read or is none of trust material.
	ErrUnreadable = errors.New("truststore: cannot read trust material")
	// ErrRoot reports a file that is no single self-signed CSCA certificate, and so
	// cannot be pinned.
	ErrRoot = errors.New("truststore: not one self-signed certificate of a CSCA")
	// ErrRefused reports a file of which nothing was accepted.
	ErrRefused = errors.New("truststore: nothing in the file was accepted")
	// ErrDamaged reports a store whose files are not those that were written.
	ErrDamaged = errors.New("truststore: damaged")
	// ErrNewer reports a store that a newer version of this program wrote to.
	ErrNewer = errors.New("truststore: written by a newer version")
	// ErrExposed reports a store that everybody on this computer may write to.
	ErrExposed = errors.New("truststore: directory can be written by others")
	// ErrAccess reports a store that the system does not let this program read or
	// write.
	ErrAccess = errors.New("truststore: directory cannot be used")
)

const (
	entriesDir = "imports"
	objectsDir = "objects"

	version    = 1
	maxEntry   = 32 << 20
	maxEntries = 1 << 16
	maxWords   = 500 // bytes of a reason or a name

	// files that a killed process leaves are swept after that time.
	tempPattern = ".new-*"
	sweepAfter  = time.Hour
)

// entry is the record of one import.
type entry struct {
	Version int           `json:"version"`
	Time    time.Time     `json:"time"`
	By      string        `json:"by"`
	Accept  string        `json:"accept,omitempty"` // why, on the administrator's word
	Root    *entrySource  `json:"root,omitempty"`   // pinned by this import
	Sources []entrySource `json:"sources"`
}

// entrySource is a file of which something was kept.
type entrySource struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	// Objects are the pieces that were kept, or the file itself: a signed list
	// is believed as a whole.
	Objects []string `json:"objects"`
}

// Root is a pinned root.
type Root struct {
	ID          string // fingerprint: SHA-256 of the certificate
	Certificate *cms.Certificate
	Name        string // of the file
	Pinned      time.Time
	By          string
}

// Store is what a directory holds, verified. It must not be changed, and may be
// asked by many.
type Store struct {
	Dir     string
	Pool    *trust.Pool
	Roots   []Root
	Sources []*Source // in the order of their import; Pieces are those that were kept

	next int
	ids  map[string]bool // of all pieces
}

// Exists reports whether the directory is a store. One that cannot be looked at,
// or that has lost its entries, gives an error: it must not pass for none.
func Exists(dir string) (bool, error) {
	st, err := os.Stat(filepath.Join(dir, entriesDir))
	switch {
	case err == nil && st.IsDir():
		return true, nil
	case err == nil:
		return false, fmt.Errorf("%w: %s is no directory", ErrDamaged, entriesDir)
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, objectsDir)); err == nil {
		list, err := os.ReadDir(filepath.Join(dir, objectsDir))
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrAccess, err)
		}
		if slices.ContainsFunc(list, func(e fs.DirEntry) bool { return objectName.MatchString(e.Name()) }) {
			// The directory of entries is made before that of objects: another process
			// may have made both meanwhile.
			if st, err := os.Stat(filepath.Join(dir, entriesDir)); err == nil && st.IsDir() {
				return true, nil
			}
			return false, fmt.Errorf("%w: the entries are gone", ErrDamaged)
		}
	}
	return false, nil
}

// Load reads a store and verifies all of it. The error wraps [ErrNone],
// [ErrDamaged], [ErrNewer], [ErrExposed], [ErrAccess] or that of ctx.
func Load(ctx context.Context, dir string) (*Store, error) {
	s, err := open(ctx, dir)
	if err == nil {
		err = s.settle(ctx)
	}
	if err != nil {
		return nil, ofSystem(err)
	}
	return s, nil
}

// ofSystem makes [ErrAccess] of an error of the file system that stands for
// nothing else.
func ofSystem(err error) error {
	for _, known := range []error{ErrNone, ErrUnreadable, ErrRoot, ErrRefused, ErrDamaged, ErrNewer, ErrExposed, ErrAccess} {
		if errors.Is(err, known) {
			return err
		}
	}
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if path || link {
		return fmt.Errorf("%w: %w", ErrAccess, err)
	}
	return err
}

// settle fills the pool.
func (s *Store) settle(ctx context.Context) error {
	s.Pool = trust.NewPool()
	if err := pin(s.Pool, s.Roots); err != nil {
		return err
	}
	supersede(s.Sources, s.Sources)
	if err := settle(ctx, s.Pool, s.Sources); err != nil {
		return err
	}
	for _, src := range s.Sources {
		for p := range src.All() {
			if p.ID != "" && p.Accepted {
				s.ids[p.ID] = true
			}
		}
	}
	return nil
}

// pin makes anchors of the roots.
func pin(pool *trust.Pool, roots []Root) error {
	for _, root := range roots {
		item := trust.Item{Kind: trust.KindCertificate, Certificate: root.Certificate}
		r, err := pool.Import(items(item), &trust.Import{Source: root.Name, At: root.Pinned, Trust: true})
		if err == nil && r.Accepted() != 1 {
			err = ErrRoot
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func certificatesOf(roots []Root) (list []*cms.Certificate) {
	for _, r := range roots {
		list = append(list, r.Certificate)
	}
	return list
}

var (
	entryName  = regexp.MustCompile(`^[0-9]{6}\.json$`)
	objectName = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// open reads a store without judging what is in it.
func open(ctx context.Context, dir string) (*Store, error) {
	s := &Store{Dir: dir, next: 1, ids: make(map[string]bool)}
	if there, err := Exists(dir); err != nil {
		return s, err
	} else if !there {
		return s, fmt.Errorf("%w: %s", ErrNone, dir)
	}
	if err := checkModes(dir, filepath.Join(dir, entriesDir), filepath.Join(dir, objectsDir)); err != nil {
		return s, err
	}
	list, err := os.ReadDir(filepath.Join(dir, entriesDir)) // sorted
	if err != nil {
		return s, err
	}
	for _, e := range list {
		if !entryName.MatchString(e.Name()) {
			continue
		}
		if s.next > maxEntries || e.Name() != nameOf(s.next) {
			return s, fmt.Errorf("%w: entry %s is not the next one", ErrDamaged, e.Name())
		}
		s.next++
		record, err := readEntry(filepath.Join(dir, entriesDir, e.Name()))
		if err != nil {
			return s, err
		}
		if err := s.add(ctx, record); err != nil {
			return s, err
		}
	}
	for _, src := range s.Sources {
		src.how.Roots = certificatesOf(s.Roots)
	}
	return s, nil
}

func nameOf(number int) string { return fmt.Sprintf("%06d.json", number) }

// checkModes refuses what everybody may write to: the paths, the first of which is
// the store, and the directories above it, where it could be put another in its place.
func checkModes(paths ...string) error {
	if runtime.GOOS == "windows" {
		return nil // the modes there tell nothing
	}
	above, err := filepath.Abs(paths[0])
	if err != nil {
		return err
	}
	for above != filepath.Dir(above) {
		above = filepath.Dir(above)
		if st, err := os.Stat(above); err == nil && st.Mode().Perm()&0o002 != 0 && st.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%w: %s", ErrExposed, above)
		}
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if st.Mode().Perm()&0o002 != 0 {
			return fmt.Errorf("%w: %s", ErrExposed, path)
		}
	}
	return nil
}

func readEntry(path string) (*entry, error) {
	b, err := readBounded(path, maxEntry)
	if err != nil {
		return nil, err
	}
	var v struct{ Version int }
	if err := json.Unmarshal(b, &v); err != nil || v.Version < 1 {
		return nil, fmt.Errorf("%w: entry %s", ErrDamaged, filepath.Base(path))
	}
	if v.Version > version {
		return nil, fmt.Errorf("%w: entry %s", ErrNewer, filepath.Base(path))
	}
	e := new(entry)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(e); err != nil || !e.valid() {
		return nil, fmt.Errorf("%w: entry %s", ErrDamaged, filepath.Base(path))
	}
	return e, nil
}

func (e *entry) valid() bool {
	all := e.Sources
	if e.Root != nil {
		all = append(slices.Clone(all), *e.Root)
	}
	for _, src := range all {
		if strings.TrimSpace(src.Name) == "" || len(src.Objects) == 0 ||
			slices.ContainsFunc(src.Objects, func(id string) bool { return !objectName.MatchString(id) }) {
			return false
		}
	}
	return !e.Time.IsZero() && e.By != "" && (e.Root == nil || len(e.Root.Objects) == 1)
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: %s is too large", ErrDamaged, filepath.Base(path))
	}
	return b, err
}

// add reads what an entry names.
func (s *Store) add(ctx context.Context, e *entry) error {
	if e.Root != nil {
		src := &Source{Name: e.Root.Name}
		if err := s.readObject(ctx, src, e.Root.Objects[0]); err != nil {
			return err
		}
		if len(src.Pieces) != 1 || src.Pieces[0].Certificate == nil {
			return fmt.Errorf("%w: pinned root", ErrDamaged)
		}
		s.Roots = append(s.Roots, Root{
			ID: src.Pieces[0].ID, Certificate: src.Pieces[0].Certificate, Name: e.Root.Name, Pinned: e.Time, By: e.By,
		})
	}
	for _, kept := range e.Sources {
		src := &Source{Name: kept.Name, Added: e.Time, By: e.By, Accept: e.Accept}
		src.how = trust.Import{Source: kept.Name, At: e.Time, Trust: e.Accept != ""}
		for _, id := range kept.Objects {
			if err := s.readObject(ctx, src, id); err != nil {
				return err
			}
		}
		src.SHA256, src.Size = kept.SHA256, kept.Size
		s.Sources = append(s.Sources, src)
	}
	return nil
}

// readObject adds the pieces of an object to a source.
func (s *Store) readObject(ctx context.Context, src *Source, id string) error {
	f, err := os.Open(filepath.Join(s.Dir, objectsDir, id))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: an object is missing", ErrDamaged)
		}
		return err
	}
	defer f.Close()
	part := &Source{Name: src.Name}
	if err := part.read(ctx, f); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: an object: %w", ErrDamaged, err)
	}
	if part.SHA256 != id {
		return fmt.Errorf("%w: an object is not what it was", ErrDamaged)
	}
	src.Pieces = append(src.Pieces, part.Pieces...)
	src.Signers += part.Signers
	return nil
}

// Gather fills one pool from stores and from loose files, for one command. The
// files are trusted because the caller named them: a certificate that is alone in
// its file is a pinned root as well. It returns an error that wraps [ErrUnreadable] for a file that
// cannot be read, and [ErrRefused] for one of which nothing can be believed.
func Gather(ctx context.Context, paths []string, at time.Time) (*trust.Pool, error) {
	pool := trust.NewPool()
	var sources, loose []*Source
	var roots []*cms.Certificate
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		there := false
		if st.IsDir() {
			if there, err = Exists(path); err != nil {
				return nil, err
			}
		}
		if there {
			s, err := open(ctx, path)
			if err != nil {
				return nil, ofSystem(err)
			}
			if err := pin(pool, s.Roots); err != nil {
				return nil, err
			}
			roots = append(roots, certificatesOf(s.Roots)...)
			sources = append(sources, s.Sources...)
			continue
		}
		files := []string{path}
		if st.IsDir() {
			if files, err = filesIn(path); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			src, err := readFile(ctx, file)
			if err != nil {
				return nil, err
			}
			src.how = trust.Import{Source: src.Name, At: at, Trust: true}
			if len(src.Pieces) == 1 && src.Pieces[0].Certificate != nil && src.Pieces[0].Certificate.SelfSigned() {
				roots = append(roots, src.Pieces[0].Certificate)
			}
			loose = append(loose, src)
		}
	}
	for _, src := range loose {
		src.how.Roots = roots
	}
	all := append(sources, loose...)
	supersede(all, all)
	if err := settle(ctx, pool, all); err != nil {
		return nil, err
	}
	for _, src := range loose {
		if err := src.refused(); err != nil && !slices.ContainsFunc(src.Pieces, func(p *Piece) bool { return p.Why == trust.Older }) {
			return nil, err
		}
	}
	return pool, nil
}

// extensions of files of trust material.
var extensions = []string{".der", ".cer", ".crt", ".pem", ".ml", ".p7b", ".p7c", ".p7s", ".crl", ".ldif"}

func filesIn(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var files []string
	for _, e := range list {
		if !e.IsDir() && slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no file of certificates in directory %s", ErrUnreadable, dir)
	}
	return files, nil
}

func readFile(ctx context.Context, file string) (*Source, error) {
	// Opening a pipe would wait for its other end, and a list is read twice.
	st, err := os.Stat(file)
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, unreadable(file, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	defer f.Close()
	src := &Source{Name: filepath.Base(file), file: file}
	if err := src.read(ctx, f); err != nil {
		return nil, unreadable(file, err)
	}
	return src, nil
}

// refused says why nothing of the source was accepted; nil if something was.
func (s *Source) refused() error {
	if s.accepted() > 0 {
		return nil
	}
	if len(s.Pieces) == 0 {
		return fmt.Errorf("%w: %s: document signers only, which are not kept", ErrRefused, s.Name)
	}
	kind, why := ErrUnreadable, s.Pieces[0].Err
	for _, p := range s.Pieces {
		if p.Why != trust.Unreadable {
			kind, why = ErrRefused, p.Err
			break
		}
	}
	return fmt.Errorf("%w: %s: %w", kind, s.Name, why)
}
