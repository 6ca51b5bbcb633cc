// Gen writes the page of documentation of package config to a file.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/chamthe/chamthe/agent/config"
)

func main() {
	var b bytes.Buffer
	err := config.Page(&b)
	if err == nil {
		err = os.WriteFile(os.Args[1], b.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
