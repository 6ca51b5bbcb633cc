//go:build ignore

// Gen writes the JSON Schema documents of package contract.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/chamthe/chamthe/sync/contract"
)

func main() {
	if err := os.MkdirAll("schema", 0o755); err != nil {
		log.Fatal(err)
	}
	for name, text := range contract.Schemas() {
		if err := os.WriteFile(filepath.Join("schema", name), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
