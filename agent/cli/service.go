package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/service"
)

func newService(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "service",
		Short: "The agent as a service of this computer: install, start, stop, look",
		Long: `Service has the system run the agent (chamthe run): systemd on Linux, the service
control manager on Windows. A package has installed it already. It works under an
account of its own without privileges, and starts with the computer.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newServiceInstall(e), newServiceStatus(e))
	for _, do := range []struct {
		name, short, done string
		fn                func(context.Context) error
	}{
		{"uninstall", "Stop the service and take it away; data and logs stay", "uninstalled; the data stays", service.Manager{}.Uninstall},
		{"start", "Start the service, and wait until it is ready", "started", service.Manager{}.Start},
		{"stop", "Stop the service, and wait for its end", "stopped", service.Manager{}.Stop},
	} {
		c.AddCommand(&cobra.Command{
			Use: do.name, Short: do.short, Args: cobra.NoArgs, Example: "  chamthe service " + do.name,
			RunE: func(c *cobra.Command, _ []string) error {
				if err := do.fn(c.Context()); err != nil {
					return serviceFault(err)
				}
				_, err := fmt.Fprintln(e.stdout, do.done)
				return err
			},
		})
	}
	return c
}

// serviceFault names what a manager of services did not do.
func serviceFault(err error) error {
	for _, known := range []error{service.ErrManager, service.ErrUnsupported, service.ErrNotInstalled} {
		if errors.Is(err, known) {
			return fault.New(fault.ServiceTrouble, err)
		}
	}
	return err
}

func newServiceInstall(e *env) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "install",
		Short:   "Install the service, and have it start with the computer",
		Example: "  chamthe service install\n  chamthe service install --config /etc/chamthe/config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			name := configFile(file)
			if name != "" {
				var err error
				if name, err = filepath.Abs(name); err != nil {
					return err
				}
			}
			// A service that does not start is found out here and not in a log.
			cfg, err := loadConfig(config.Options{File: name})
			if err != nil {
				return err
			}
			if name == config.DefaultFile() {
				name = ""
			}
			what := service.Install{Config: name, Dirs: []string{cfg.Data.Dir}, DeskDir: filepath.Dir(cfg.API.DeskTokenFile), DeskGroup: cfg.API.DeskGroup}
			if cfg.Log.Dir != "none" {
				what.Dirs = append(what.Dirs, cfg.Log.Dir)
			}
			if cfg.Handoff.Dir != "" {
				what.Shared = append(what.Shared, cfg.Handoff.Dir)
			}
			if err := (service.Manager{}).Install(c.Context(), what); err != nil {
				return serviceFault(err)
			}
			_, err = fmt.Fprintln(e.stdout, "installed; \"chamthe service start\" starts it now")
			return err
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `FILE` (default $"+configVariable+", or "+config.DefaultFile()+")")
	return c
}

func newServiceStatus(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "Say whether the service is installed and runs",
		Example: "  chamthe service status --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := service.Manager{}.Status(c.Context())
			if err != nil {
				return serviceFault(err)
			}
			if asJSON {
				return writeJSON(e.stdout, st)
			}
			word := "not installed"
			switch {
			case st.Running:
				word = "running"
			case st.Installed:
				word = "stopped"
			}
			if st.Installed && !st.Enabled {
				word += ", does not start with the computer"
			}
			if st.Detail != "" {
				word += ": " + st.Detail
			}
			_, err = fmt.Fprintln(e.stdout, printable(word))
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}
