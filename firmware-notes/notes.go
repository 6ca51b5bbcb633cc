// Package firmwarenotes carries what is written in this folder into programs:
// quirks.yaml, which package reader parses, and the pages that the quirks cite,
// so that a station without a link can show them.
//
// It holds text and no logic. What the words in quirks.yaml mean is said in
// README.md and enforced by package reader; that pages and quirks fit together
// is checked by the tests here.
package firmwarenotes

import (
	"embed"
	"io/fs"
	"slices"
)

//go:embed quirks.yaml
var quirks []byte

//go:embed README.md readers/*.md cards/*.md os/*.md
var pages embed.FS

// YAML returns the contents of quirks.yaml. The slice is the caller's.
func YAML() []byte { return slices.Clone(quirks) }

// Pages returns the notes as files with slashes in their names, as quirks cite
// them ("readers/acs-acr122u.md"), and README.md, which lists them.
func Pages() fs.FS { return pages }
