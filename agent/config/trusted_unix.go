//go:build !windows

package config

import (
	"os"
	"path/filepath"
	"syscall"
)

// onlyAdministrators checks that a file and the directory that it is in belong to
// root and that nobody else may write there: who may write to the directory can put
// another file in its place.
func onlyAdministrators(name string) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	for _, n := range []string{name, filepath.Dir(name)} {
		info, err := os.Stat(n)
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || owner.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
			return ErrExposed
		}
	}
	return nil
}
