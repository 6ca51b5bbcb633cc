package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
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
	"dg5_integrity":          "displayed portrait (DG5) as signed",
	"dg6_integrity":          "reserved data (DG6) as signed",
	"dg8_integrity":          "data features (DG8) as signed",
	"dg9_integrity":          "structure features (DG9) as signed",
	"dg10_integrity":         "substance features (DG10) as signed",
	"dg7_integrity":          "signature (DG7) as signed",
	"dg11_integrity":         "further details (DG11) as signed",
	"dg12_integrity":         "document's details (DG12) as signed",
	"dg16_integrity":         "persons to notify (DG16) as signed",
	"com_consistency":        "list of files (EF.COM) as signed",
	"conformity":             "chip follows the standard",
}

// contents are what a file holds.
var contents = map[string]string{
	"EF.COM": "list of files", "DG1": "machine readable lines", "DG2": "photo", "DG3": "fingerprints", "DG4": "irises",
	"DG5": "displayed portrait", "DG6": "reserved", "DG7": "signature", "DG8": "data features", "DG9": "structure features", "DG10": "substance features",
	"DG11": "further details of the person", "DG12": "details of the document", "DG13": "Vietnamese data",
	"DG14": "security infos", "DG15": "chip's public key", "DG16": "persons to notify",
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
	closed := r.Access == "" // a chip that did not open: the rest is silence
	for _, c := range r.Checks {
		if closed && c.Result == "not_performed" {
			continue
		}
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
	printFiles(b, r.Groups)
	if len(r.Applications) > 0 {
		fmt.Fprintf(b, "  applications: %s\n", strings.Join(r.Applications, ", "))
	}
	if s := r.Signer; s != nil {
		fmt.Fprintf(b, "  signer: %s, valid %s to %s\n", printable(s.Country), s.NotBefore[:10], s.NotAfter[:10])
	}
	for _, d := range r.Deviations {
		fmt.Fprintf(b, "  deviation: %s\n", printable(d))
	}
	for _, w := range r.Weak {
		fmt.Fprintf(b, "  weak: %s\n", printable(w))
	}
	if closed {
		return
	}
	fmt.Fprintf(b, "  policy: %s\n", r.Decision)
	for _, reason := range r.Reasons {
		fmt.Fprintf(b, "    %s\n", reason)
	}
}

// printFiles prints a line for each file in the order of their numbers.
func printFiles(b *strings.Builder, groups map[string]string) {
	names := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		return cmp.Compare(groupNumber(a), groupNumber(b))
	})
	if len(names) > 0 {
		fmt.Fprintln(b, "files")
	}
	for _, name := range names {
		state := strings.ReplaceAll(groups[name], "_", " ")
		switch {
		case (name == "DG3" || name == "DG4") && groups[name] == "denied":
			state += ": open only to those whom the issuing state admits"
		case groups[name] == "not_requested":
			state = "not asked for"
		}
		fmt.Fprintf(b, "  %-6s %-30s %s\n", name, contents[name], state)
	}
}

// groupNumber is the number of a data group, 0 for another file.
func groupNumber(name string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "DG"))
	return n
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
	if p.Details != nil {
		printDetails(b, p.Details)
	}
}

// printDetails prints what the optional data groups hold.
func printDetails(b *strings.Builder, d *wire.Details) {
	line := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				fmt.Fprintf(b, "  %-12s %s\n", name, printable(v))
			}
		}
	}
	line("full name", d.Name)
	line("other name", d.OtherNames...)
	line("personal no", d.PersonalNumber)
	line("born", d.BirthDate)
	line("birth place", d.BirthPlace)
	line("address", d.Address)
	line("telephone", d.Telephone)
	line("profession", d.Profession)
	line("title", d.Title)
	line("summary", d.Summary)
	line("citizenship", d.Citizenship)
	line("other doc.", d.OtherDocuments...)
	line("custody", d.Custody)
	line("issued by", d.Authority)
	line("issued on", d.IssueDate)
	line("also for", d.OtherPersons...)
	line("endorsement", d.Endorsements)
	line("tax, exit", d.TaxExit)
	line("front", d.Front)
	line("rear", d.Rear)
	line("made", d.Personalised)
	line("made by", d.SystemSerial)
	line("signature", d.Signatures...)
	for _, c := range d.Notify {
		line("notify", strings.Join(slices.DeleteFunc([]string{c.Name, c.Telephone, c.Address}, func(s string) bool { return s == "" }), "; "))
	}
	if d.Unknown > 0 {
		line("not known", plural(d.Unknown, "element"))
	}
}
