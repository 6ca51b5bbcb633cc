package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/enrol/enroltest"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/uplink"
)

// TestEnrolledAgent: a new directory is enrolled, and the agent then needs to be
// told nothing else: it has a nonce, asks who is insured, and gets the insurer's
// lists, whose key was pinned. When it is revoked, it is told so while it runs.
func TestEnrolledAgent(t *testing.T) {
	var log syncBuffer
	d := enroltest.Start(t, enroltest.Options{Log: &log})
	dir := filepath.Join(t.TempDir(), "desk")
	if e, err := agent.Enrolled(dir); e != nil || err != nil {
		t.Fatalf("before: %v, %v", e, err)
	}
	e, err := agent.Enrol(t.Context(), dir, enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: d.Code(time.Hour)})
	if err != nil {
		t.Fatalf("%v; log:\n%s", err, &log)
	}
	if got, err := agent.Enrolled(dir); err != nil || got.JWT != e.JWT {
		t.Fatalf("enrolled: %v", err)
	}
	if key, err := agent.Identity(dir); err != nil || key != e.Agent {
		t.Errorf("identity %s, %v", key, err)
	}

	a, err := agent.Open(agent.Config{Dir: dir, Facility: "99999", Logger: log.logger("agent")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Error(err)
		}
	}()
	wait := func(what string, until func() bool) {
		t.Helper()
		limited, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := a.Wait(limited, func() (bool, error) { return until(), nil }); err != nil {
			t.Fatalf("%s: %v; link %+v; log:\n%s", what, err, a.Link(t.Context()), &log)
		}
	}
	wait("online", func() bool {
		_, ok := a.Nonce()
		return a.Link(ctx).Online && ok
	})
	// The insurer makes the list of a facility when it next looks: not now. That of
	// certificates is for all.
	wait("list of certificates", func() bool {
		if err := a.UpdateBundles(ctx); err != nil {
			return false
		}
		s, err := a.Bundle(contract.BundleTrust)
		return err == nil && s.Installed()
	})
	if err := d.Registry.Revoke(t.Context(), e.Agent); err != nil {
		t.Fatal(err)
	}
	wait("revoked", func() bool { l := a.Link(ctx); return !l.Online && l.Last == uplink.Unauthorized })
}

// TestEnrolmentIsNotUsedBlindly: one that is damaged, another's, or without its key
// stops the agent; it does not go on as nobody.
func TestEnrolmentIsNotUsedBlindly(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	enrolled := func() string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "desk")
		if _, err := agent.Enrol(t.Context(), dir, enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: d.Code(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		spoil  func(dir string)
		opened error // of Open
		looked error // of Enrolled
	}{
		{"damaged", func(dir string) { must(os.WriteFile(filepath.Join(dir, enrol.File), []byte("{}"), 0o600)) }, enrol.ErrFile, enrol.ErrFile},
		{"empty", func(dir string) { must(os.Truncate(filepath.Join(dir, enrol.File), 0)) }, enrol.ErrFile, enrol.ErrFile},
		{"another's", func(dir string) {
			must(os.Rename(filepath.Join(enrolled(), enrol.File), filepath.Join(dir, enrol.File)))
		}, enrol.ErrFile, enrol.ErrFile},
		{"other key", func(dir string) { must(os.Remove(filepath.Join(dir, "agent.nk"))) }, enrol.ErrFile, agent.ErrKeyMissing},
		{"open to others", func(dir string) {
			if runtime.GOOS == "windows" {
				must(os.Truncate(filepath.Join(dir, enrol.File), 0)) // a mode says nothing there
				return
			}
			must(os.Chmod(filepath.Join(dir, enrol.File), 0o640))
		}, enrol.ErrFile, enrol.ErrFile},
	} {
		dir := enrolled()
		tt.spoil(dir)
		if _, err := agent.Enrolled(dir); !errors.Is(err, tt.looked) {
			t.Errorf("%s: enrolled: %v, want %v", tt.name, err, tt.looked)
		}
		a, err := agent.Open(agent.Config{Dir: dir})
		if !errors.Is(err, tt.opened) {
			t.Errorf("%s: open: %v, want %v", tt.name, err, tt.opened)
		}
		if err == nil {
			must(a.Close())
		}
	}
}
