package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
	quick    bool             // leave out most of the leaves
	buf      [maxDepth][]byte // a page for each depth: those above are still needed
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
	// branches leaves out the leaves that lie side by side under a branch, but
	// the first: a hundredth of a large file. That a reference leads out of the
	// file or in a circle is found; that a leaf is damaged is not.
	branches
)

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
		end: binary.NativeEndian.Uint64(b[40:]), quick: much == branches, onPage: onPage,
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
	if _, err := w.tree(root, nil, nil, 0); err != nil {
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

// page reads one page with everything that belongs to it. It is valid until the
// next call for the same depth.
func (w *walker) page(id uint64, depth int) ([]byte, error) {
	if w.onPage != nil {
		w.onPage(w.ctx, w.pages)
	}
	w.pages++
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	if depth >= maxDepth {
		return nil, errPage(id, "too deep")
	}
	if id < 2 || id >= w.end {
		return nil, errPage(id, "outside of the file")
	}
	if w.buf[depth] == nil {
		w.buf[depth] = make([]byte, w.pageSize)
	}
	p := w.buf[depth][:w.pageSize]
	if _, err := w.file.ReadAt(p, int64(id)*int64(w.pageSize)); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", ErrCorrupt, id, err)
	}
	if binary.NativeEndian.Uint64(p) != id {
		return nil, errPage(id, "is another one")
	}
	over := uint64(binary.NativeEndian.Uint32(p[12:]))
	if id+over >= w.end {
		return nil, errPage(id, "longer than the file")
	}
	for i := id; i <= id+over; i++ {
		if err := w.use(i); err != nil {
			return nil, err
		}
	}
	if over > 0 {
		p = make([]byte, int(over+1)*w.pageSize)
		if _, err := w.file.ReadAt(p, int64(id)*int64(w.pageSize)); err != nil {
			return nil, fmt.Errorf("%w: page %d: %w", ErrCorrupt, id, err)
		}
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

// tree visits a page and those below it, and reports whether it is a leaf. Its
// keys are not below low and, unless that is nil, below high. Depth counts pages
// and buckets.
func (w *walker) tree(id uint64, low, high []byte, depth int) (leaf bool, err error) {
	p, err := w.page(id, depth)
	if err != nil {
		return false, err
	}
	flags, count := binary.NativeEndian.Uint16(p[8:]), int(binary.NativeEndian.Uint16(p[10:]))
	switch {
	case flags == flagLeaf:
		return true, w.leaf(id, p, low, high, depth)
	case flags != flagBranch || count == 0:
		return false, errPage(id, "neither branch nor leaf")
	}
	keys, pages := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := pageHeader + i*pageElement
		if at+pageElement > len(p) {
			return false, errPage(id, "too many elements")
		}
		e := p[at:]
		pos, size := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:]))
		if pos+size > uint64(len(e)) {
			return false, errPage(id, "element outside of it")
		}
		keys[i], pages[i] = e[pos:pos+size], binary.NativeEndian.Uint64(e[8:])
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return false, errPage(id, "keys out of order")
		}
	}
	for i := range count {
		below := high
		if i+1 < count {
			below = keys[i+1]
		}
		if leaf && w.quick {
			// All pages under one branch are of one kind: bbolt's trees are balanced.
			if err := w.use(pages[i]); err != nil {
				return false, err
			}
			continue
		}
		if leaf, err = w.tree(pages[i], keys[i], below, depth+1); err != nil {
			return false, err
		}
	}
	return false, nil
}

// leaf visits the elements of a leaf page, and the buckets among them.
func (w *walker) leaf(id uint64, p, low, high []byte, depth int) error {
	var last []byte
	for i := range int(binary.NativeEndian.Uint16(p[10:])) {
		at := pageHeader + i*pageElement
		if at+pageElement > len(p) {
			return errPage(id, "too many elements")
		}
		e := p[at:]
		flags, pos := binary.NativeEndian.Uint32(e), uint64(binary.NativeEndian.Uint32(e[4:]))
		size, value := uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		if flags&^bucketElement != 0 || pos+size+value > uint64(len(e)) {
			return errPage(id, "element outside of it")
		}
		key := e[pos : pos+size]
		if i > 0 && bytes.Compare(last, key) >= 0 || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return errPage(id, "keys out of order")
		}
		last = key
		if flags == bucketElement {
			if err := w.bucket(id, e[pos+size:pos+size+value], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket visits a bucket in a bucket. A small one is inside its element, as a
// leaf page without a place of its own.
func (w *walker) bucket(id uint64, value []byte, depth int) error {
	if len(value) < bucketHeader {
		return errPage(id, "bucket is cut off")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		_, err := w.tree(root, nil, nil, depth)
		return err
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf || depth > maxDepth {
		return errPage(id, "bucket is cut off")
	}
	return w.leaf(id, inline, nil, nil, depth)
}

// freelist checks that no page is both free and in use: the next write would
// overwrite it.
func (w *walker) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	p, err := w.page(id, 0)
	if err != nil {
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
