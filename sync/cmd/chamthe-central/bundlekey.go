package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/sync/bundle"
)

func bundleKey(stdout io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle-key",
		Short: "The key that signs lists of people and certificates",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(bundleKeyRoll(stdout))
	return c
}

func bundleKeyRoll(stdout io.Writer) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "roll --dir DIR",
		Short: "Sign lists with a new key from now on",
		Long: `roll makes a new key, has the old one sign a statement that names it, and destroys
the old one. The statement goes to the agents with every list: each believes the new
key when it has seen it, and the old one never again. Every chamthe-central serve has
to be started again with the same DIR, all of them at once.

A key that was stolen cannot be replaced so, because whoever has it can sign a
statement too: put a new one into ` + bundleSeed + `, remove ` + rollsFile + `, and enrol
the agents anew.`,
		Example: `  chamthe-central bundle-key roll --dir /var/lib/chamthe`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, err := readDeployment(dir)
			if err != nil {
				return err
			}
			to, err := d.rollBundleKey(time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(stdout, "lists are signed with %s from now on: start chamthe-central serve again\n", to)
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "`DIR` that init has made")
	_ = c.MarkFlagRequired("dir") // fails for a flag that does not exist
	return c
}

// readRolls reads the statements of a deployment; none if there is no file.
func readRolls(dir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, rollsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := strings.Fields(string(b))
	for i, s := range all {
		if _, err := bundle.OpenRoll(s); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", rollsFile, i+1, err)
		}
	}
	if len(all) > bundle.MaxRolls {
		all = all[len(all)-bundle.MaxRolls:]
	}
	return all, nil
}

// rollBundleKey puts a new key in the place of the old one and returns its public
// half. What was interrupted is finished by the next call: the new key is on disk
// before a statement names it, and the old one goes when the statement is there.
func (d *deployed) rollBundleKey(at time.Time) (string, error) {
	next, err := d.key(nextBundle)
	if errors.Is(err, fs.ErrNotExist) {
		if next, err = nkeys.CreateUser(); err != nil {
			return "", err
		}
		seed, err := next.Seed()
		if err != nil {
			return "", err
		}
		if err := replaceFile(filepath.Join(d.dir, filepath.FromSlash(nextBundle)), append(seed, '\n')); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	to, err := next.PublicKey()
	if err != nil {
		return "", err
	}
	stated := false
	if n := len(d.rolls); n > 0 {
		last, err := bundle.OpenRoll(d.rolls[n-1])
		stated = err == nil && last.To == to
	}
	if !stated {
		s, err := bundle.NewRoll(d.bundle, to, at)
		if err != nil {
			return "", err
		}
		text := strings.Join(append(d.rolls, s), "\n") + "\n"
		if err := replaceFile(filepath.Join(d.dir, rollsFile), []byte(text)); err != nil {
			return "", err
		}
	}
	from := filepath.Join(d.dir, filepath.FromSlash(nextBundle))
	return to, os.Rename(from, filepath.Join(d.dir, filepath.FromSlash(bundleSeed)))
}

// replaceFile gives a file, private to its owner, new contents: after a crash it has
// the old ones or the new ones.
func replaceFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".chamthe-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
