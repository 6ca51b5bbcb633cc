package agent_test

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/service"
)

// refuseChown has the kernel refuse this process to give files away, as a manager of
// services may.
func refuseChown() error {
	const number = 0 // where a call's number is in seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FCHOWN, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FCHOWNAT, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// No privilege is needed by who can have none any more. The others of our threads
	// get both from this one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	if r != 0 {
		return errors.New("a thread has a filter of its own")
	}
	return nil
}

// TestDaemonMayNotChown starts where the desk's token cannot be given to the group of
// the desk's users: that is said in the log, and keeps nobody else from working.
func TestDaemonMayNotChown(t *testing.T) {
	const inside = "CHAMTHE_TEST_NO_CHOWN"
	if os.Getenv(inside) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(self, "-test.run=^TestDaemonMayNotChown$", "-test.v")
		c.Env = append(os.Environ(), inside+"=1")
		out, err := c.CombinedOutput()
		if strings.Contains(string(out), "--- SKIP") {
			t.Skip("this kernel takes no filter of system calls from us")
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: TestDaemonMayNotChown") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := refuseChown(); err != nil {
		t.Skipf("no filter: %v", err)
	}
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	cfg := daemonConfig(t, t.TempDir(), nil)
	cfg.Agent.Logger = log.logger("test")
	cfg.DeskGroup = group.Name
	if err := os.Chown(t.TempDir(), -1, os.Getgid()); err == nil {
		t.Fatal("chown is not refused")
	}
	_, desk, stop := startDaemon(t, cfg)
	if _, err := desk.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "cannot be given to the group") {
		t.Errorf("log:\n%s", log.String())
	}
}

// TestStopFitsIntoTheUnit leaves time to close the data after everything that could
// not be waited for.
func TestStopFitsIntoTheUnit(t *testing.T) {
	const room = 15 * time.Second
	_, rest, ok := strings.Cut(service.Unit, "\nTimeoutStopSec=")
	line, _, _ := strings.Cut(rest, "\n")
	limit, err := strconv.Atoi(line)
	if !ok || err != nil || time.Duration(limit)*time.Second < agent.StopPatience+room {
		t.Errorf("the unit waits %q seconds; to stop takes up to %v, and to close needs %v more", line, agent.StopPatience, room)
	}
}
