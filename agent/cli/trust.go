package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/trust"
)

// trustVariable names the directory of trust material.
const trustVariable = "CHAMTHE_TRUST"

// trustDir is the directory of trust material when no flag names one: that of
// the environment, else the user's.
func trustDir() (string, error) {
	if dir := os.Getenv(trustVariable); dir != "" {
		return dir, nil
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return "", usagef("where is the trust material? set %s: %w", trustVariable, err)
	}
	return filepath.Join(config, "chamthe", "trust"), nil
}

// loadTrust fills a pool from directories of "chamthe trust import", and from
// files and directories of files, which the administrator trusts by naming them.
// Without any it takes the default directory. That there is nothing in it yet is
// an empty pool; that it cannot be read is an error.
func loadTrust(ctx context.Context, paths []string, at time.Time) (*trust.Pool, error) {
	if len(paths) > 0 {
		return truststore.Gather(ctx, paths, at)
	}
	dir, err := trustDir()
	if err != nil {
		return nil, err
	}
	s, err := truststore.Load(ctx, dir)
	if errors.Is(err, truststore.ErrNone) {
		return trust.NewPool(), nil
	}
	if err != nil {
		return nil, err
	}
	return s.Pool, nil
}

func encodeTrust(pool *trust.Pool, now time.Time) *wire.Trust {
	s := truststore.Summarize(pool, now)
	return &wire.Trust{
		Certificates: s.Anchors, States: s.States, Dated: moment(s.Dated), Imported: moment(s.Imported),
		AgeDays: daysOld(s.Newest(), now), RevocationLists: s.CRLs, OutdatedLists: s.Outdated,
	}
}

// trustLine tells a person in a line what encodeTrust tells a program.
func trustLine(t *wire.Trust) string {
	if t.Certificates == 0 {
		return "no issuer is known, so no card can be verified: `chamthe trust import` lets issuers in, --trust FILE names one for this time"
	}
	s := plural(t.Certificates, "certificate") + " of " + plural(t.States, "state")
	switch {
	case t.Dated != "":
		s += ", newest list of " + t.Dated[:10] + ", " + age(t.AgeDays)
	case t.Imported != "":
		s += ", imported " + t.Imported[:10]
	}
	switch {
	case t.RevocationLists == 0:
		s += ", no revocation list"
	case t.OutdatedLists > 0:
		s += fmt.Sprintf(", %d of %s outdated", t.OutdatedLists, plural(t.RevocationLists, "revocation list"))
	default:
		s += ", " + plural(t.RevocationLists, "revocation list")
	}
	return s
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
