package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"
)

// Schema is the version of the schema that this program writes.
var Schema = len(migrations)

// Names in the file. The top-level buckets of the packages that keep their data
// here are made by the migrations, so that this list is the whole schema.
var (
	metaBucket = []byte("meta")
	schemaKey  = []byte("schema")
	keyKey     = []byte("key")

	// OutboxBucket belongs to package outbox.
	OutboxBucket = []byte("outbox")
	// LookupBucket belongs to package lookup. What is in the buckets inside of it
	// may be used after [Store.Checked] only.
	LookupBucket = []byte("lookup")
)

// migration takes a file from the version before it to its own, which is its
// place in the list, counted from 1.
type migration struct {
	about string
	up    func(tx *bbolt.Tx) error
}

// migrations is the history of the schema: entries are only ever added.
var migrations = []migration{
	{"buckets for outbox and lookup", func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, OutboxBucket, LookupBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	}},
}

// apply runs the steps after version have, all in the caller's transaction: a
// file is never between two versions.
func apply(tx *bbolt.Tx, have int, steps []migration) error {
	for i, m := range steps {
		if i < have {
			continue
		}
		if err := m.up(tx); err != nil {
			return fmt.Errorf("to schema %d (%s): %w", i+1, m.about, err)
		}
	}
	var v [4]byte
	binary.BigEndian.PutUint32(v[:], uint32(len(steps)))
	return tx.Bucket(metaBucket).Put(schemaKey, v[:])
}

func migrate(db *bbolt.DB, path string, have int, steps []migration) error {
	if have == len(steps) {
		return nil
	}
	if err := backup(db, path+".v"+strconv.Itoa(have)+".bak"); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return db.Update(func(tx *bbolt.Tx) error { return apply(tx, have, steps) })
}

// backup writes a copy of the file; the copy is on disk, whole, before its name
// is.
func backup(db *bbolt.DB, path string) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".backup-*") // 0600
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(temp)
		return err
	})
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(filepath.Dir(path))
}
