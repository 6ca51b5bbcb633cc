//go:build !linux && !windows

package service

import "context"

// Manager is none.
type Manager struct{}

// Install is not supported.
func (Manager) Install(context.Context, Install) error { return ErrUnsupported }

// Uninstall is not supported.
func (Manager) Uninstall(context.Context) error { return ErrUnsupported }

// Start is not supported.
func (Manager) Start(context.Context) error { return ErrUnsupported }

// Stop is not supported.
func (Manager) Stop(context.Context) error { return ErrUnsupported }

// Status is not supported.
func (Manager) Status(context.Context) (State, error) { return State{}, ErrUnsupported }

// Run runs fn.
func Run(ctx context.Context, fn func(ctx context.Context, ready func()) error) error {
	return fn(ctx, func() {})
}
