package service

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/kardianos/service"
)

// virtual is the account that Windows makes for a service of this name: it has no
// password, no privileges, and is nobody else's.
const virtual = `NT SERVICE\` + Name

// Manager is the service control manager.
type Manager struct{}

func (Manager) config(i Install) *service.Config {
	args := []string{"run"}
	if i.Config != "" {
		args = append(args, "--config", i.Config)
	}
	return &service.Config{
		Name: Name, DisplayName: "chamthe reception desk agent",
		Description: "Reads and verifies chip ID cards, and sends visits to the insurance service.",
		Executable:  i.Program, Arguments: args, UserName: virtual,
		// Card readers come and go with a service that Windows starts by itself; the agent
		// waits for it.
		Option: service.KeyValue{
			"DelayedAutoStart": false, "OnFailure": "restart", "OnFailureDelayDuration": "5s", "OnFailureResetPeriod": 300,
		},
	}
}

// open returns the service as the library knows it.
func (m Manager) open(i Install) (service.Service, error) {
	s, err := service.New(&work{}, m.config(i))
	if err != nil {
		return nil, failed("open", "", err)
	}
	return s, nil
}

// Install makes the service, has it start with the computer, and lets its account
// into the directories that it uses.
func (m Manager) Install(ctx context.Context, i Install) error {
	if i.Program == "" {
		var err error
		if i.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	s, err := m.open(i)
	if err != nil {
		return err
	}
	if err := s.Install(); err != nil {
		return failed("install", "", err)
	}
	// The account exists only once the service does. By number: names are translated.
	const (
		system, administrators = "*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"
		interactive            = "*S-1-5-4:(OI)(CI)R"
	)
	for _, dir := range i.Dirs {
		if err := allow(ctx, dir, system, administrators, virtual+":(OI)(CI)M"); err != nil {
			return err
		}
	}
	if i.DeskDir == "" {
		return nil
	}
	return allow(ctx, i.DeskDir, system, administrators, virtual+":(OI)(CI)M", interactive)
}

// allow makes a directory and lets nobody in but those who are named.
func allow(ctx context.Context, dir string, grants ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	args := []string{dir, "/inheritance:r"}
	for _, g := range grants {
		args = append(args, "/grant:r", g)
	}
	if said, err := exec.CommandContext(ctx, "icacls", args...).CombinedOutput(); err != nil {
		return failed("icacls", strings.TrimSpace(string(said)), err)
	}
	return nil
}

// Uninstall stops the service and takes it away. Data and logs stay.
func (m Manager) Uninstall(ctx context.Context) error {
	st, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if !st.Installed {
		return ErrNotInstalled
	}
	if st.Running {
		if err := m.Stop(ctx); err != nil {
			return err
		}
	}
	return m.do("uninstall", service.Service.Uninstall)
}

// Start starts the service and returns when it is ready.
func (m Manager) Start(context.Context) error { return m.do("start", service.Service.Start) }

// Stop stops the service and returns when it has ended.
func (m Manager) Stop(context.Context) error { return m.do("stop", service.Service.Stop) }

func (m Manager) do(what string, fn func(service.Service) error) error {
	s, err := m.open(Install{})
	if err != nil {
		return err
	}
	if err := fn(s); err != nil {
		return failed(what, "", err)
	}
	return nil
}

// Status says how the service is.
func (m Manager) Status(context.Context) (State, error) {
	s, err := m.open(Install{})
	if err != nil {
		return State{}, err
	}
	switch st, err := s.Status(); {
	case errors.Is(err, service.ErrNotInstalled):
		return State{}, nil
	case err != nil:
		return State{}, failed("status", "", err)
	case st == service.StatusRunning:
		return State{Installed: true, Running: true, Enabled: true, Detail: "running"}, nil
	default:
		return State{Installed: true, Enabled: true, Detail: "stopped"}, nil
	}
}

// work is what the control manager starts and stops.
type work struct {
	ctx  context.Context
	fn   func(ctx context.Context, ready func()) error
	stop context.CancelFunc
	done chan error
}

// patience is how long the control manager is let wait for the end.
const patience = 60 * time.Second

// Start implements [service.Interface]: it returns when the agent is ready. An error
// is reported to the control manager, which does not start such a service again.
func (w *work) Start(service.Service) error {
	ctx, stop := context.WithCancel(w.ctx)
	w.stop, w.done = stop, make(chan error, 1)
	ready := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		err := w.fn(ctx, func() { close(ready) })
		select {
		case <-ready:
			if ctx.Err() == nil {
				// It ended by itself after it was ready: without a word to the control manager
				// this is a crash, after which it starts the service again.
				os.Exit(1)
			}
		default:
		}
		failed <- err
		w.done <- err
	}()
	select {
	case <-ready:
		return nil
	case err := <-failed:
		stop()
		if err == nil {
			err = errors.New("service: ended before it was ready")
		}
		return err
	}
}

// Stop implements [service.Interface].
func (w *work) Stop(service.Service) error {
	w.stop()
	select {
	case err := <-w.done:
		return err
	case <-time.After(patience):
		return errors.New("service: did not stop in time")
	}
}

// Run runs fn: under the control manager if that has started this process, else as
// any program.
func Run(ctx context.Context, fn func(ctx context.Context, ready func()) error) error {
	if service.Interactive() {
		return fn(ctx, func() {})
	}
	s, err := service.New(&work{ctx: ctx, fn: fn}, (Manager{}).config(Install{}))
	if err != nil {
		return failed("run", "", err)
	}
	return s.Run()
}
