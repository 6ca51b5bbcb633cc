package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

// bbolt trusts its pages: on a damaged disk it follows a reference out of the
// file (the process is killed), round in a circle (it never ends), or into the
// middle of a value. So the pages are walked here first, from the file and not
// from the memory map, before bbolt may use them. What is checked is what
// bbolt relies on; whether a value is what was once written is for the seal of
// that value to say.
//
// The layout of version 2 (bbolt internal/common): all numbers in the machine's
// byte order, positions relative to the element that has them.
const (
	pageHeader   = 16 // id 8, flags 2, count 2, overflow 4
	pageElement  = 16 // branch: pos 4, ksize 4, page 8; leaf: flags 4, pos 4, ksize 4, vsize 4
	bucketHeader = 16 // root 8, sequence 8

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	bucketElement = 0x01
	noFreelist    = ^uint64(0)
	longList      = 0xFFFF // a count that does not fit: the first number is the count

	// maxDepth of pages and of buckets in buckets is far beyond any file's.
	maxDepth = 64
)

// errPage says no more than which page: what is in it may be anything.
func errPage(id uint64, what string) error {
	return fmt.Errorf("%w: page %d: %s", ErrCorrupt, id, what)
}

// walker visits every page of one transaction once.
type walker struct {
	ctx      context.Context
	file     io.ReaderAt
	pageSize int
	end      uint64 // the first page behind the last
	seen     []bool
	much     extent
	buf      [maxDepth][]byte // a page for each depth: those above are still needed
	long     [maxDepth][]byte // the same for pages that overflow
	pages    int              // how many were read
	onPage   pageHook         // nil but in a test
}

// pageHook is called by a walk before it reads a page, with its context and how
// many it read before.
type pageHook func(ctx context.Context, before int)

// extent says how much of the file [walk] reads.
type extent uint8

const (
	// whole is every page in use.
	whole extent = iota
	// start is what must be sound before anything is written: every tree but
	// those in the bucket of cached lookups, and of a value that does not fit into
	// its first page that there is room for it.
	start
)

// place is where in the file a tree is.
type place uint8

const (
	top    place = iota // the names of the buckets
	visits              // a bucket, or one in it
	cache               // the bucket of cached lookups
)

// within returns the place of a bucket that is called name.
func (at place) within(name []byte) place {
	if at == top && bytes.Equal(name, LookupBucket) {
		return cache
	}
	return visits
}

// walk checks the structure of the file as tx sees it: every page within the
// file, used once, in order, and not free. It returns [ErrCorrupt] or ctx's
// error. It reads no page twice, and from the file: what bbolt maps into memory
// would count as this process's.
func walk(ctx context.Context, tx *bbolt.Tx, path string, much extent, onPage pageHook) error {
	meta, err := metaOf(tx)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer file.Close()
	b := meta[pageHeader:]
	w := &walker{
		ctx: ctx, file: file, pageSize: int(binary.NativeEndian.Uint32(b[8:])),
		end: binary.NativeEndian.Uint64(b[40:]), much: much, onPage: onPage,
	}
	root, free := binary.NativeEndian.Uint64(b[16:]), binary.NativeEndian.Uint64(b[32:])
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if w.pageSize < 1024 || w.end < 2 || w.end > uint64(info.Size())/uint64(w.pageSize) {
		return fmt.Errorf("%w: file is cut off", ErrCorrupt)
	}
	w.seen = make([]bool, w.end)
	w.seen[0], w.seen[1] = true, true
	if err := w.tree(root, top, nil, nil, 0); err != nil {
		return err
	}
	return w.freelist(free)
}

// metaOf returns the first page that a transaction would write: its meta page,
// which names the transaction and the root of all it sees, under a checksum.
func metaOf(tx *bbolt.Tx) ([]byte, error) {
	var meta metaReader
	if _, err := tx.WriteTo(&meta); meta.b == nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return meta.b, nil
}

// Of a meta page, behind its header: magic 4, version 4, page size 4, flags 4, root
// 16, freelist 8, end 8, transaction 8, and a checksum of these.
const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSummed  = 56
)

// damagedMeta reports whether bbolt would not take one of the two meta pages.
func damagedMeta(path string, pageSize int) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	defer file.Close()
	for i := range 2 {
		var meta [metaSummed + 8]byte
		if _, err := file.ReadAt(meta[:], int64(i*pageSize+pageHeader)); err != nil {
			return false, fmt.Errorf("%w: page %d: %w", ErrCorrupt, i, err)
		}
		sum := fnv.New64a()
		_, _ = sum.Write(meta[:metaSummed])
		if binary.NativeEndian.Uint32(meta[:]) != metaMagic || binary.NativeEndian.Uint32(meta[4:]) != metaVersion ||
			binary.NativeEndian.Uint64(meta[metaSummed:]) != sum.Sum64() {
			return true, nil
		}
	}
	return false, nil
}

// metaReader takes the first page that a transaction writes.
type metaReader struct{ b []byte }

var errEnough = errors.New("store: enough")

func (m *metaReader) Write(p []byte) (int, error) {
	if len(p) < pageHeader+64 {
		return 0, io.ErrShortWrite
	}
	m.b = bytes.Clone(p)
	return 0, errEnough
}

// page reads a page, without the pages that it overflows into, and returns how
// many bytes it has with them. It is valid until the next call for the same depth.
func (w *walker) page(id uint64, depth int) (p []byte, size uint64, err error) {
	if w.onPage != nil {
		w.onPage(w.ctx, w.pages)
	}
	w.pages++
	if err := w.ctx.Err(); err != nil {
		return nil, 0, err
	}
	if depth >= maxDepth {
		return nil, 0, errPage(id, "too deep")
	}
	if id < 2 || id >= w.end {
		return nil, 0, errPage(id, "outside of the file")
	}
	if w.buf[depth] == nil {
		w.buf[depth] = make([]byte, w.pageSize)
	}
	p = w.buf[depth][:w.pageSize]
	if _, err := w.file.ReadAt(p, int64(id)*int64(w.pageSize)); err != nil {
		return nil, 0, fmt.Errorf("%w: page %d: %w", ErrCorrupt, id, err)
	}
	if binary.NativeEndian.Uint64(p) != id {
		return nil, 0, errPage(id, "is another one")
	}
	over := uint64(binary.NativeEndian.Uint32(p[12:]))
	if id+over >= w.end {
		return nil, 0, errPage(id, "longer than the file")
	}
	for i := id; i <= id+over; i++ {
		if err := w.use(i); err != nil {
			return nil, 0, err
		}
	}
	return p, (over + 1) * uint64(w.pageSize), nil
}

// rest returns a page with the pages that it overflows into. It is valid until the
// next call for the same depth.
func (w *walker) rest(id uint64, p []byte, size uint64, depth int) ([]byte, error) {
	if size == uint64(len(p)) {
		return p, nil
	}
	if uint64(cap(w.long[depth])) < size {
		w.long[depth] = make([]byte, size)
	}
	p = w.long[depth][:size]
	if _, err := w.file.ReadAt(p, int64(id)*int64(w.pageSize)); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", ErrCorrupt, id, err)
	}
	return p, nil
}

// use notes that a page belongs to something.
func (w *walker) use(id uint64) error {
	if id < 2 || id >= w.end {
		return errPage(id, "outside of the file")
	}
	if w.seen[id] {
		return errPage(id, "used twice")
	}
	w.seen[id] = true
	return nil
}

// tree visits a page and those below it. Its keys are not below low and, unless
// that is nil, below high. Depth counts pages and buckets.
func (w *walker) tree(id uint64, at place, low, high []byte, depth int) error {
	p, size, err := w.page(id, depth)
	if err != nil {
		return err
	}
	flags, count := binary.NativeEndian.Uint16(p[8:]), int(binary.NativeEndian.Uint16(p[10:]))
	if flags == flagLeaf {
		if w.much == whole || !keysIn(p) {
			if p, err = w.rest(id, p, size, depth); err != nil {
				return err
			}
		}
		return w.leaf(id, p, size, at, low, high, depth)
	}
	if flags != flagBranch || count == 0 {
		return errPage(id, "neither branch nor leaf")
	}
	if p, err = w.rest(id, p, size, depth); err != nil {
		return err
	}
	keys, pages := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := pageHeader + i*pageElement
		if at+pageElement > len(p) {
			return errPage(id, "too many elements")
		}
		e := p[at:]
		pos, size := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:]))
		if pos+size > uint64(len(e)) {
			return errPage(id, "element outside of it")
		}
		keys[i], pages[i] = e[pos:pos+size], binary.NativeEndian.Uint64(e[8:])
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return errPage(id, "keys out of order")
		}
	}
	// A branch below a branch: bbolt would look for keys outside of its range
	// elsewhere, and not find what is under them.
	if bytes.Compare(keys[0], low) < 0 || high != nil && bytes.Compare(keys[count-1], high) >= 0 {
		return errPage(id, "keys out of order")
	}
	for i := range count {
		below := high
		if i+1 < count {
			below = keys[i+1]
		}
		if err := w.tree(pages[i], at, keys[i], below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// keysIn reports whether everything is in the first page of a leaf that a walk
// looks at: elements, keys and buckets.
func keysIn(p []byte) bool {
	for i := range int(binary.NativeEndian.Uint16(p[10:])) {
		at := pageHeader + i*pageElement
		if at+pageElement > len(p) {
			return false
		}
		e := p[at:]
		end := uint64(binary.NativeEndian.Uint32(e[4:])) + uint64(binary.NativeEndian.Uint32(e[8:]))
		if binary.NativeEndian.Uint32(e)&bucketElement != 0 {
			end += uint64(binary.NativeEndian.Uint32(e[12:]))
		}
		if end > uint64(len(e)) {
			return false
		}
	}
	return true
}

// leaf visits the elements of a leaf page of size bytes, and the buckets among
// them. What of the page is not in p are values.
func (w *walker) leaf(id uint64, p []byte, size uint64, at place, low, high []byte, depth int) error {
	var last []byte
	for i := range int(binary.NativeEndian.Uint16(p[10:])) {
		from := pageHeader + i*pageElement
		if from+pageElement > len(p) {
			return errPage(id, "too many elements")
		}
		e := p[from:]
		flags, pos := binary.NativeEndian.Uint32(e), uint64(binary.NativeEndian.Uint32(e[4:]))
		n, value := uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		if flags&^bucketElement != 0 || pos+n+value > size-uint64(from) || pos+n > uint64(len(e)) {
			return errPage(id, "element outside of it")
		}
		key := e[pos : pos+n]
		if i > 0 && bytes.Compare(last, key) >= 0 || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return errPage(id, "keys out of order")
		}
		last = key
		if flags == bucketElement {
			if pos+n+value > uint64(len(e)) {
				return errPage(id, "element outside of it")
			}
			if err := w.bucket(id, e[pos+n:pos+n+value], at, key, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket visits a bucket by its element in a leaf of at. A small one is inside
// the element, as a leaf page without a place of its own.
func (w *walker) bucket(id uint64, value []byte, at place, name []byte, depth int) error {
	if len(value) < bucketHeader {
		return errPage(id, "bucket is cut off")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		if at == cache && w.much == start {
			return nil
		}
		return w.tree(root, at.within(name), nil, nil, depth)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf || depth > maxDepth {
		return errPage(id, "bucket is cut off")
	}
	return w.leaf(id, inline, uint64(len(inline)), at.within(name), nil, nil, depth)
}

// freelist checks that no page is both free and in use: the next write would
// overwrite it.
func (w *walker) freelist(id uint64) error {
	if id == noFreelist {
		// This program always writes one. Without, bbolt would go through all trees
		// for it when it opens the file, also through those that nobody has read.
		return fmt.Errorf("%w: no freelist", ErrCorrupt)
	}
	p, size, err := w.page(id, 0)
	if err != nil {
		return err
	}
	if p, err = w.rest(id, p, size, 0); err != nil {
		return err
	}
	if binary.NativeEndian.Uint16(p[8:]) != flagFreelist {
		return errPage(id, "no freelist")
	}
	count, ids := uint64(binary.NativeEndian.Uint16(p[10:])), p[pageHeader:]
	if count == longList {
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return errPage(id, "too many elements")
	}
	for i := range count {
		free := binary.NativeEndian.Uint64(ids[8*i:])
		if free < 2 || free >= w.end || w.seen[free] {
			return errPage(id, "a free page is in use")
		}
		w.seen[free] = true
	}
	return nil
}
