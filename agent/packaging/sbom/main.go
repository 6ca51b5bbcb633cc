// Command sbom writes the bill of materials of Go programs: every module that is in
// them, with its version and its checksum, as CycloneDX 1.5 JSON on standard output.
//
//	go run ./agent/packaging/sbom -version 1.2.3 -licence Apache-2.0 FILE...
//
// What is in a program the program itself says (debug/buildinfo), so that the bill
// is of what was built and not of what might have been. It is reproducible: there is
// no time and no random number in it.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "version of the product")
	licence := flag.String("licence", "", "SPDX identifier of the product's licence")
	flag.Parse()
	if err := run(os.Stdout, *version, *licence, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// bill is a CycloneDX 1.5 document, as far as it is used here.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref,omitempty"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Licences   []licences `json:"licenses,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type licences struct {
	Licence struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

// run reads the programs and writes their common bill.
func run(w io.Writer, version, licence string, files []string) error {
	if len(files) == 0 || version == "" {
		return errors.New("give -version and at least one program")
	}
	root := component{Type: "application", Ref: "chamthe", Name: "chamthe", Version: version}
	if licence != "" {
		var l licences
		l.Licence.ID = licence
		root.Licences = []licences{l}
	}
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{Component: root}, Components: []component{}}
	seen := map[string]bool{}
	all := dependency{Ref: root.Ref}
	for _, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return err
		}
		name := filepath.Base(file)
		one := dependency{Ref: "program:" + name}
		b.Components = append(b.Components, component{
			Type: "file", Ref: one.Ref, Name: name, Version: version,
			Properties: []property{{"go:version", info.GoVersion}, {"go:os", setting(info, "GOOS")}, {"go:arch", setting(info, "GOARCH")}, {"go:cgo", setting(info, "CGO_ENABLED")}},
		})
		std := &debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}
		for _, m := range append([]*debug.Module{std}, info.Deps...) {
			if m.Replace != nil {
				m = m.Replace
			}
			purl := "pkg:golang/" + m.Path + "@" + m.Version
			one.On = append(one.On, purl)
			if seen[purl] {
				continue
			}
			seen[purl] = true
			c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
			if m.Sum != "" { // as in go.sum: over a module's files, so no hash of a file
				c.Properties = []property{{"go:sum", m.Sum}}
			}
			b.Components = append(b.Components, c)
		}
		slices.Sort(one.On)
		all.On = append(all.On, one.Ref)
		b.Dependencies = append(b.Dependencies, one)
	}
	b.Dependencies = append(b.Dependencies, all)
	slices.SortFunc(b.Components, func(a, c component) int { return strings.Compare(a.Ref, c.Ref) })
	slices.SortFunc(b.Dependencies, func(a, c dependency) int { return strings.Compare(a.Ref, c.Ref) })
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(b)
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
