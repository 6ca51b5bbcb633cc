//go:build cgo

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chamthe/chamthe/ui/model"
)

// loadSettings reads the desk's settings; what is missing or damaged is as on a new
// desk. They hold nothing personal.
func loadSettings(file string) model.Settings {
	s := model.Defaults()
	if b, err := os.ReadFile(file); err == nil {
		if json.Unmarshal(b, &s) != nil {
			s = model.Defaults()
		}
	}
	return s.Clean()
}

// saveSettings keeps them. A desk that cannot write its settings works all the same.
func saveSettings(file string, s model.Settings) {
	if file == "" {
		return
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(file+".new", append(b, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chamthe-desk: the settings are not kept:", err)
	}
}
