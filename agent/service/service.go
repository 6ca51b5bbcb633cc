// Package service installs the agent as a service of the system, starts and stops
// it, and runs it as one: systemd on Linux, the service control manager on Windows.
// On other systems everything is [ErrUnsupported].
//
// The unit file beside this package is what packages install; "chamthe service
// install" writes the same one, with the path of the program that is running. The
// service works under an account of its own, without privileges: "chamthe" on Linux,
// the virtual account "NT SERVICE\chamthe" on Windows.
package service

import (
	"errors"
	"fmt"
)

// Name is the name of the service.
const Name = "chamthe"

var (
	// ErrUnsupported reports a system whose manager of services is not known here, or
	// does not run.
	ErrUnsupported = errors.New("service: no manager of services that is known")
	// ErrManager reports a manager that did not do what it was asked to.
	ErrManager = errors.New("service: the manager of services refused")
	// ErrNotInstalled reports a service that is not there.
	ErrNotInstalled = errors.New("service: not installed")
)

// State is how the service is.
type State struct {
	Installed bool   `json:"installed"`
	Running   bool   `json:"running"`
	Enabled   bool   `json:"enabled"`          // it starts with the computer
	Detail    string `json:"detail,omitempty"` // the manager's words
}

// Install says what is installed.
type Install struct {
	Program string // whole path; empty: the program that is running
	Config  string // whole path of the configuration; empty: the default one
	// The service's account is let into Dirs, which are made, and so is whoever sits at
	// the computer into DeskDir, to read. Shared are directories of others in which the
	// service writes: that it may is the business of whoever has made them.
	Dirs    []string
	DeskDir string
	Shared  []string
	// DeskGroup is the group of the desk's users on Linux, which is made; empty: none.
	DeskGroup string
}

// failed is an ErrManager with what the manager said.
func failed(what, said string, err error) error {
	if said != "" {
		return fmt.Errorf("%w: %s: %s", ErrManager, what, said)
	}
	return fmt.Errorf("%w: %s: %w", ErrManager, what, err)
}
