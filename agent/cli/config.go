package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/fault"
)

// configVariable names the configuration file.
const configVariable = "CHAMTHE_CONFIG"

// configFile is the configuration when no flag names one; empty: the default one,
// which may be missing.
func configFile(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(configVariable)
}

func newConfig(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "The configuration: look for mistakes, show what is in force, write a file to begin with",
		Long: `The agent reads one YAML file (` + config.DefaultFile() + `), then the environment
(CHAMTHE_SECTION_KEY), and the machine's policy over everything
(` + config.PolicyFile() + `). Every key is in agent/docs/config.md.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConfigCheck(e), newConfigShow(e), newConfigInit(e))
	return c
}

// addConfigFile adds the flag for the configuration: --config, as every other command
// has it, or --file.
func addConfigFile(c *cobra.Command, file *string, what string) {
	c.Flags().StringVar(file, "config", "", what+" (default $"+configVariable+", or "+config.DefaultFile()+")")
	c.Flags().StringVar(file, "file", "", "the same as --config")
	c.MarkFlagsMutuallyExclusive("config", "file")
}

// loadConfig reads the configuration; a file that is named and not there is a
// mistake of whoever named it.
func loadConfig(o config.Options) (*config.Config, error) {
	cfg, err := config.Load(o)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fault.New(fault.ConfigInvalid, err)
	}
	return cfg, err
}

// configProblem is one mistake in JSON.
type configProblem struct {
	Where string `json:"where"`
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
}

func newConfigCheck(e *env) *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for mistakes, and name file, line and key of each",
		Example: `  chamthe config check
  chamthe config check --config /tmp/new.yaml && cp /tmp/new.yaml ` + config.DefaultFile(),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := loadConfig(config.Options{File: configFile(file)})
			problems := []configProblem{}
			if wrong, ok := errors.AsType[*config.Error](err); ok {
				for _, p := range wrong.Problems {
					problems = append(problems, configProblem(p))
				}
			} else if err != nil {
				return err
			}
			if asJSON {
				return errors.Join(writeJSON(e.stdout, struct {
					OK       bool            `json:"ok"`
					Problems []configProblem `json:"problems"`
				}{err == nil, problems}), err)
			}
			if err == nil {
				_, err = fmt.Fprintln(e.stdout, "no mistakes")
				return err
			}
			for _, p := range problems {
				if _, werr := fmt.Fprintln(e.stdout, printable(config.Problem(p).String())); werr != nil {
					return werr
				}
			}
			return err
		},
	}
	addConfigFile(c, &file, "configuration `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func newConfigShow(e *env) *cobra.Command {
	var file string
	var asJSON, changed bool
	c := &cobra.Command{
		Use:     "show",
		Short:   "Show what is in force and where each value came from (never a secret)",
		Example: "  chamthe config show\n  chamthe config show --changed\n  chamthe config show --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := loadConfig(config.Options{File: configFile(file)})
			if err != nil {
				return err
			}
			values := cfg.Values()
			if changed {
				values = values[:0]
				for _, v := range cfg.Values() {
					if v.Source != config.FromDefault {
						values = append(values, v)
					}
				}
			}
			if asJSON {
				return writeJSON(e.stdout, struct {
					Values []config.Value `json:"values"`
				}{values})
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			for _, v := range values {
				from := string(v.Source)
				if v.Where != "" {
					from += " " + v.Where
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", v.Key, printable(v.Text()), printable(from))
			}
			return w.Flush()
		},
	}
	addConfigFile(c, &file, "configuration `FILE`")
	c.Flags().BoolVar(&changed, "changed", false, "only what is not as by default")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func newConfigInit(e *env) *cobra.Command {
	var file string
	var force bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a file in which every key stands as a comment with its default",
		Example: `  chamthe config init
  chamthe config init --config - | less`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if file == "-" {
				return config.Template(e.stdout)
			}
			name := configFile(file)
			if name == "" {
				name = config.DefaultFile()
			}
			if _, err := os.Lstat(name); err == nil && !force {
				return usagef("--config: there is a file of this name already; give --force to replace it")
			}
			var b bytes.Buffer
			if err := config.Template(&b); err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
			if err := writeFile(name, b.Bytes()); err != nil {
				return err
			}
			// The agent works under another account, and there is no secret in it yet.
			if err := os.Chmod(name, 0o644); err != nil {
				return err
			}
			_, err := fmt.Fprintf(e.stdout, "written to %s; a password in it must not be readable by everybody\n", printable(strings.ToValidUTF8(name, "")))
			return err
		},
	}
	addConfigFile(c, &file, "`FILE` to write, or - for standard output")
	c.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return c
}
