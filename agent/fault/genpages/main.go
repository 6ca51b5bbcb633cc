// Command genpages writes the documentation page of every fault code into the
// folder given, and removes pages of codes that are no more.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/chamthe/chamthe/agent/fault"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: genpages DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "genpages:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	pages := map[string]string{"README.md": fault.Index()}
	for _, i := range fault.All() {
		pages[string(i.Code)+".md"] = i.Page()
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range there {
		if _, ok := pages[filepath.Base(path)]; !ok {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
