package store

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// A file that was closed properly has a mark beside it, which says after which
// transaction. It makes no promise about the disk, only about this program: that
// nobody was killed, and no power lost, since the last time the whole file was
// read or written. Open takes it away. It need not be durable, nor its removal:
// with any other transaction, or any other bytes, it is no mark.

// closedMark returns the name of the mark.
func closedMark(path string) string { return path + ".closed" }

// closedText is the mark's content for the state that tx sees.
func closedText(tx *bbolt.Tx) ([]byte, error) {
	meta, err := metaOf(tx)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "chamthe store closed properly 1\n%x\n", sha256.Sum256(meta)), nil
}

// closedProperly reports whether the mark is that of the state that tx sees.
func closedProperly(tx *bbolt.Tx, path string) bool {
	want, err := closedText(tx)
	if err != nil {
		return false
	}
	have, err := os.ReadFile(closedMark(path))
	return err == nil && bytes.Equal(have, want)
}

// markClosed writes the mark. Without one, because the disk is full, say, the
// next Open reads everything.
func (s *Store) markClosed() {
	if s.uncertain.Load() || s.corrupt.Load() {
		return
	}
	_ = s.View(func(tx *bbolt.Tx) error {
		text, err := closedText(tx)
		if err != nil {
			return err
		}
		return os.WriteFile(closedMark(s.path), text, 0o600)
	})
}
