package central

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

const (
	maxTrustFile   = 256 << 20 // bytes of a file; the collection of the ICAO PKD has half of that
	maxTrustPieces = 1 << 16   // of a file, without document signers
	trustHead      = 4 << 10   // bytes that tell the format of a file
)

// ErrNoAnchors reports a trust directory without any certificate. A service
// without anchors would refuse every chip; that is a mistake, not a policy.
var ErrNoAnchors = errors.New("central: no trust anchors")

// trustExtensions are those of the files that ReadAnchors reads.
var trustExtensions = []string{".der", ".cer", ".crt", ".pem", ".p7b", ".p7c", ".p7s", ".ml", ".crl", ".ldif"}

// ReadAnchors reads the trust material in every file of dir that has the name of
// one: certificates of country signing CAs, their links, master lists, revocation
// lists, defect and deviation lists, as DER, PEM, PKCS #7 or LDIF.
//
// A self-signed certificate is trusted because it lies there, and one that is alone
// in its file vouches for master lists and defect lists as well. Everything else
// needs a signature that leads to one of these. One piece that is not
// accepted fails the whole: a state that is missing quietly is worse than a service
// that does not start. Exceptions are the entries of a master list, the records of an
// LDIF file, of which some never fit, and revocation lists that a newer one
// replaces; document signers are left out.
func ReadAnchors(dir fs.FS) (*trust.Pool, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("central: trust directory: %w", err)
	}
	var files []*trustFile
	var roots []*cms.Certificate
	for _, e := range entries {
		if !slices.Contains(trustExtensions, strings.ToLower(path.Ext(e.Name()))) {
			continue
		}
		f, err := readTrustFile(dir, e.Name())
		if err != nil {
			return nil, fmt.Errorf("central: trust anchor %s: %w", e.Name(), err)
		}
		if len(f.certificates) == 1 && len(f.lists) == 0 && f.certificates[0].Certificate.SelfSigned() {
			roots = append(roots, f.certificates[0].Certificate)
		}
		files = append(files, f)
	}
	pool := trust.NewPool()
	if err := settleTrust(pool, files, roots); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := f.refused(); err != nil {
			return nil, fmt.Errorf("central: trust anchor %s: %w", f.name, err)
		}
	}
	if pool.Len() == 0 {
		return nil, ErrNoAnchors
	}
	return pool, nil
}

// trustFile is a file of trust material.
type trustFile struct {
	name string
	ldif bool
	// certificates are those of CAs. lists are all lists; what a key has to have
	// signed comes behind master lists, which bring keys.
	certificates, lists []trust.Item
	bad                 error // the first piece that cannot be read

	ofCertificates, ofLists *trust.Report // what became of them
}

func readTrustFile(dir fs.FS, name string) (*trustFile, error) {
	info, err := fs.Stat(dir, name) // follows links
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxTrustFile {
		return nil, fmt.Errorf("not a regular file of at most %d bytes", maxTrustFile)
	}
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(io.LimitReader(file, maxTrustFile), trustHead)
	head, _ := r.Peek(trustHead)
	f := &trustFile{name: name, ldif: trust.Detect(head) == trust.FormatLDIF}
	pieces, signers := 0, 0
	for item, err := range trust.Items(r) {
		switch c := item.Certificate; {
		case err != nil:
			return nil, err
		case item.Err != nil && f.bad == nil:
			f.bad = item.Err
		case item.Err != nil:
		case c == nil:
			f.lists = append(f.lists, item)
		case c.IsCA || c.KeyUsage&cms.KeyUsageCertSign != 0 || !c.HasKeyUsage:
			f.certificates = append(f.certificates, item)
		default:
			signers++
			continue
		}
		if pieces++; pieces > maxTrustPieces {
			return nil, trust.ErrTooLarge
		}
	}
	if pieces == 0 && signers > 0 {
		return nil, trust.ErrNotCA
	}
	slices.SortStableFunc(f.lists, func(a, b trust.Item) int {
		switch {
		case (a.MasterList != nil) == (b.MasterList != nil):
			return 0
		case a.MasterList != nil:
			return -1
		}
		return 1
	})
	return f, nil
}

// settleTrust offers everything to the pool until no certificate comes in any
// more, so that the order of the files does not matter: a link may be signed by a
// key of a master list, or of another link.
func settleTrust(pool *trust.Pool, files []*trustFile, roots []*cms.Certificate) error {
	at := time.Now()
	offer := func(f *trustFile, items []trust.Item) (*trust.Report, error) {
		if len(items) == 0 {
			return new(trust.Report), nil
		}
		r, err := pool.Import(itemsOf(items), &trust.Import{Source: f.name, At: at, Roots: roots, Trust: true})
		if err != nil {
			return nil, fmt.Errorf("central: trust anchor %s: %w", f.name, err)
		}
		return r, nil
	}
	for before := -1; before != pool.Len(); {
		before = pool.Len()
		for _, certificates := range []bool{true, false} {
			for _, f := range files {
				var err error
				if certificates {
					f.ofCertificates, err = offer(f, f.certificates)
				} else {
					f.ofLists, err = offer(f, f.lists)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func itemsOf(items []trust.Item) iter.Seq2[trust.Item, error] {
	return func(yield func(trust.Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// refused says what of the file was not accepted and should have been.
func (f *trustFile) refused() error {
	accepted, first := 0, f.bad
	for _, c := range slices.Concat(f.ofCertificates.Candidates, f.ofLists.Candidates) {
		switch {
		case c.Accepted(), c.Why == trust.Older:
			accepted++
		case strings.Contains(c.Where, "master list entry"):
		case first == nil:
			first = c.Err
		}
	}
	if f.ldif && accepted > 0 {
		return nil
	}
	return first
}
