package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/chamthe/chamthe/agent/wire"
)

// writeJSON writes v as one indented document.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// marks show a result at a glance; the word beside it says the same.
var marks = map[string]string{
	"successful": "+", "failed": "X", "undetermined": "?", "not_supported": "-", "aborted": "!", "not_performed": " ",
}

// words are what a person reads for each check.
var words = map[string]string{
	"access_control":         "chip opened with the key",
	"sod_signature":          "issuer's signature",
	"signer_validity":        "signer valid today",
	"trust_chain":            "signer trusted",
	"revocation":             "signer not revoked",
	"issuing_state":          "issuing state is the signer's",
	"dg1_integrity":          "name, date, number (DG1) as signed",
	"dg13_integrity":         "Vietnamese data (DG13) as signed",
	"dg14_integrity":         "security infos (DG14) as signed",
	"dg15_integrity":         "chip's public key (DG15) as signed",
	"dg2_integrity":          "photo (DG2) as signed",
	"passive_authentication": "DATA GENUINE (passive authentication)",
	"pace_cam":               "chip proved its key within PACE",
	"chip_authentication":    "chip proved its key (DG14)",
	"active_authentication":  "chip signed our challenge",
	"chip_authenticity":      "CHIP IS NO COPY",
	"key_binding":            "data is of the scanned document",
	"card_access":            "offer of PACE as signed",
	"data_consistency":       "DG1 and DG13 agree",
	"document_validity":      "document not expired",
}

// printOutcome shows an outcome as JSON, or to a person.
func printOutcome(e *env, o *wire.Outcome, asJSON bool) error {
	if asJSON {
		return writeJSON(e.stdout, o)
	}
	var b strings.Builder
	if r := o.Report; r != nil {
		printChecks(&b, r)
	}
	if p := o.Person; p != nil {
		printPerson(&b, p)
	}
	fmt.Fprintf(&b, "\n%d exchanges, %d bytes sent, %d received", o.Exchanges, o.BytesSent, o.BytesReceived)
	if t, ok := o.TimingsMS["verified_text"]; ok {
		fmt.Fprintf(&b, "; verified text after %.0f ms", t)
	}
	if t, ok := o.TimingsMS["total"]; ok {
		fmt.Fprintf(&b, ", all after %.0f ms", t)
	}
	fmt.Fprintf(&b, "\nverdict  %s\n", strings.ToUpper(o.Verdict))
	_, err := io.WriteString(e.stdout, b.String())
	return err
}

func printChecks(b *strings.Builder, r *wire.Report) {
	fmt.Fprintln(b, "\nchecks")
	for _, c := range r.Checks {
		note := c.Algorithm
		if c.Reason != "" {
			note = strings.TrimSpace(note + " (" + c.Reason + ")")
		}
		word, ok := words[c.ID]
		if !ok {
			word = c.ID
		}
		fmt.Fprintf(b, "  [%s] %-38s %-13s %s\n", marks[c.Result], word, strings.ReplaceAll(c.Result, "_", " "), note)
	}
	var groups []string
	for g, state := range r.Groups {
		groups = append(groups, fmt.Sprintf("%s %s", g, strings.ReplaceAll(state, "_", " ")))
	}
	slices.SortFunc(groups, func(a, b string) int {
		if len(a) != len(b) && strings.IndexByte(a, ' ') != strings.IndexByte(b, ' ') {
			return strings.IndexByte(a, ' ') - strings.IndexByte(b, ' ')
		}
		return strings.Compare(a, b)
	})
	fmt.Fprintf(b, "  files: %s\n", strings.Join(groups, ", "))
	if s := r.Signer; s != nil {
		fmt.Fprintf(b, "  signer: %s, valid %s to %s\n", printable(s.Country), s.NotBefore[:10], s.NotAfter[:10])
	}
	for _, d := range r.Deviations {
		fmt.Fprintf(b, "  deviation: %s\n", printable(d))
	}
	fmt.Fprintf(b, "  policy: %s\n", r.Decision)
	for _, reason := range r.Reasons {
		fmt.Fprintf(b, "    %s\n", reason)
	}
}

// printable drops what a hostile card could steer a terminal with, or make a
// text read as another one: control characters, and marks of direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

func printPerson(b *strings.Builder, p *wire.Person) {
	head := "NOT VERIFIED: do not rely on this"
	switch {
	case p.Verified:
		head = "verified"
	case p.SignedByIssuer:
		head = "NOT VERIFIED: the issuer signed this, and this card must not be accepted"
	}
	fmt.Fprintf(b, "\nperson   (%s)\n", head)
	for _, f := range [][2]string{
		{"name", p.Name},
		{"in the MRZ", p.NameMRZ},
		{"number", p.Number},
		{"document", p.DocumentNumber},
		{"born", p.BirthDate},
		{"sex", p.Sex},
		{"nationality", p.Nationality},
		{"expires", p.Expiry},
		{"residence", p.Residence},
		{"photo", p.Photo},
	} {
		if f[1] != "" {
			fmt.Fprintf(b, "  %-12s %s\n", f[0], printable(f[1]))
		}
	}
}
