package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/support"
	"github.com/chamthe/chamthe/agent/wire"
)

func newSupportBundle(e *env) *cobra.Command {
	d := &doctorCommand{env: e}
	var out string
	c := &cobra.Command{
		Use:   "support-bundle",
		Short: "Pack versions, the diagnosis, the configuration and the logs, without personal data",
		Long: `The archive is for those who help from afar. It holds no personal data and no
secrets: what is in it never had any, and what looks like a number of a person is
masked all the same. Look into it before you send it: it is a ZIP of text files.`,
		Example: "  chamthe support-bundle\n  chamthe support-bundle --out /tmp/chamthe-support.zip",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, problem := d.load()
			found := d.look(c.Context())
			var b bytes.Buffer
			if err := support.Write(c.Context(), &b, supportParts(cfg, problem, found)...); err != nil {
				return err
			}
			if out == "" {
				out = "chamthe-support-" + time.Now().Format("20060102-150405") + ".zip"
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fault.New(fault.Usage, err)
			}
			if _, err := f.Write(b.Bytes()); err != nil {
				return errors.Join(err, f.Close())
			}
			if err := f.Close(); err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.stdout, out)
			return err
		},
	}
	d.flags(c)
	c.Flags().StringVar(&out, "out", "", "write this `FILE`, which must not exist")
	return c
}

// supportParts are the files of the archive.
func supportParts(cfg *config.Config, problem error, found wire.Diagnosis) []support.Part {
	parts := []support.Part{
		jsonPart("version.json", buildVersion()),
		jsonPart("diagnosis.json", found),
		jsonPart("configuration.json", withoutLogins(cfg.Values())),
	}
	if problem != nil {
		parts = append(parts, support.Text("configuration-problem.txt", problem.Error()+"\n"))
	}
	if cfg.Log.Dir != "" && cfg.Log.Dir != "none" {
		logs, err := support.Logs(cfg.Log.Dir, "*.log*")
		if err != nil {
			logs = []support.Part{support.Text("logs.txt", err.Error()+"\n")}
		}
		parts = append(parts, logs...)
	}
	return parts
}

// withoutLogins masks what is no secret and often somebody's name.
func withoutLogins(values []config.Value) []config.Value {
	for i := range values {
		if v := &values[i]; v.Key == "central.proxy_user" && v.Value != "" {
			v.Value = "[login]"
		}
	}
	return values
}

func jsonPart(name string, v any) support.Part {
	return support.Part{Name: name, Write: func(_ context.Context, w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}}
}

// support is the archive that the running agent makes.
func (d *daemonCommand) support(cfg *config.Config, diagnose func(context.Context, *agent.Daemon) (wire.Diagnosis, error)) func(context.Context, *agent.Daemon, io.Writer) error {
	return func(ctx context.Context, daemon *agent.Daemon, w io.Writer) error {
		found, err := diagnose(ctx, daemon)
		if err != nil {
			return err
		}
		parts := supportParts(cfg, nil, found)
		st, err := daemon.Status(ctx, "")
		if err != nil {
			return err
		}
		st.Operator = nil // a name
		return support.Write(ctx, w, append(parts, jsonPart("status.json", st), support.Text("data-directory.txt", listing(cfg.Data.Dir)))...)
	}
}

// listing names what lies in the data directory, with sizes and permissions.
func listing(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	for _, e := range entries[:min(len(entries), 200)] {
		if info, err := e.Info(); err == nil {
			fmt.Fprintf(&b, "%s %10d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), filepath.Base(e.Name()))
		}
	}
	return b.String()
}
