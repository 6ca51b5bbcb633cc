//go:build !windows

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// anothers returns who owns dir if the administrator works in a directory of another
// account: what is made there would be the administrator's, and the agent, which works
// as that account, could not read it. ok is false for everybody else, and for a
// directory that is not there.
func anothers(dir string) (uid, gid int, ok bool, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, false, nil // others can make nothing that the owner does not let them
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.Uid == 0 {
		return 0, 0, false, nil
	}
	return int(s.Uid), int(s.Gid), true, nil
}

// becomeOwner has the administrator go on as the account that owns a data directory,
// for good: "sudo chamthe enrol" leaves what the service can use.
func becomeOwner(dir string) error {
	uid, gid, ok, err := anothers(dir)
	if !ok || err != nil {
		return err
	}
	_ = actor() // os/user remembers it: the trail names who began this
	if err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid)); err != nil {
		return fmt.Errorf("cli: become the owner of the data directory: %w", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("cli: become the owner of the data directory: %w", err)
	}
	return nil
}

// ownerOnly says in whose place the administrator would work in a data directory;
// empty if in nobody's.
func ownerOnly(dir string) (account string, err error) {
	uid, _, ok, err := anothers(dir)
	if !ok || err != nil {
		return "", err
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username, nil
	}
	return "#" + strconv.Itoa(uid), nil
}
