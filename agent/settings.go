package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/agent/audit"
)

// settingsFile holds what was configured at the last start: no secret, and nothing
// that decides anything. Whoever changes it makes the trail say that more, or less,
// has changed than has; what is in force the trail always gets.
const settingsFile = "settings.json"

// noteSettings writes into the audit trail what is configured otherwise than at the
// last start. At the very first start there is nothing to compare.
func (a *Agent) noteSettings(ctx context.Context, settings map[string]string) error {
	if settings == nil {
		return nil
	}
	path := filepath.Join(a.cfg.Dir, settingsFile)
	var before map[string]string
	b, err := os.ReadFile(path)
	switch {
	case err == nil && json.Unmarshal(b, &before) == nil:
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	var entries []audit.Entry
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		was, known := before[key]
		now := settings[key]
		if known && was == now || before == nil && err != nil {
			continue
		}
		e := audit.Entry{Actor: "configuration", Action: audit.ConfigChanged, Object: key, Note: short(fmt.Sprintf("%s -> %s", was, now))}
		if strings.HasPrefix(key, "policy.") {
			e.Action = audit.PolicyChanged
		}
		entries = append(entries, e)
	}
	if len(entries) > 0 {
		a.cfg.Logger.Info("configuration changed since the last start", "keys", len(entries))
		if err := a.audit.Append(ctx, entries...); err != nil {
			return err
		}
	}
	if maps.Equal(before, settings) {
		return nil
	}
	if b, err = json.MarshalIndent(settings, "", "\t"); err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

// short cuts a text to what the trail takes.
func short(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// replaceFile gives a file, private to its owner, new contents: after a crash it has
// the old ones or the new ones.
func replaceFile(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".store-*") // mode 0600; see leftovers
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(b)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
