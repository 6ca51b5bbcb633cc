package store

import (
	"context"

	"go.etcd.io/bbolt"
)

// Step is a migration for tests.
type Step struct {
	About string
	Up    func(*bbolt.Tx) error
}

// OpenWith opens a file as a program with more migrations would.
func OpenWith(path string, o *Options, more ...Step) (*Store, error) {
	steps := migrations
	for _, s := range more {
		steps = append(steps[:len(steps):len(steps)], migration{s.About, s.Up})
	}
	return open(path, o, steps)
}

// MetaBucket is the bucket with the schema version.
var MetaBucket = metaBucket

// Classify is exported to test the errors of systems that are not this one.
var Classify = classify

// OnPage has Check call f before each page that it reads, with the context of
// its turn and how many pages it read in that turn before.
func OnPage(s *Store, f func(ctx context.Context, before int)) { s.onPage = f }
