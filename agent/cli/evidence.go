package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

func newEvidence(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "evidence",
		Short: "Verify visits again, without a network and without trusting the clinic",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEvidenceVerify(e))
	return c
}

func newEvidenceVerify(e *env) *cobra.Command {
	var trusted []string
	var arrived string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check every visit of an exported file, and print each check",
		Long: `Verify does for each visit in a file of ` + "`chamthe queue export`" + ` what the central
service does when it arrives: the agent's signature, the issuer's signature and
chain, the hashes of the files, the person, and the chip's signature over the
challenge that belongs to this visit and no other. - reads standard input.

Three things only the central service knows: that the agent is enrolled for the
facility that it names, that the nonce in the challenge is one that it issued, and
when the visit arrived. So a visit with a good chip signature counts as attested
here, and the checks "agent_enrolled" and "nonce" say so. Without --arrived the
certificates are judged for the time that the file claims, and the output says that.
An attested visit without the chip's signature, or a declared one, proves no more
than that somebody signed it.`,
		Example: `  chamthe evidence verify visits.jsonl
  chamthe evidence verify --trust csca.der --json visits.jsonl`,
		Annotations: map[string]string{takesArguments: ""},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("give one file, or - for standard input")
			}
			var at time.Time
			if arrived != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, arrived); err != nil {
					return usagef("--arrived: a time like 2026-11-22T08:00:00Z")
				}
			}
			pool, err := loadTrust(c.Context(), trusted, time.Now())
			if err != nil {
				return err
			}
			in := e.stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return usagef("the file cannot be opened: %w", errors.Unwrap(err))
				}
				defer f.Close()
				in = f
			}
			return verifyEvidence(e, in, &central.Verifier{Anchors: pool}, at, asJSON)
		},
	}
	c.Flags().StringArrayVar(&trusted, "trust", nil, "`PATH` of trusted certificates (file or directory), can be repeated; else what `chamthe trust import` let in")
	c.Flags().StringVar(&arrived, "arrived", "", "`TIME` at which the visits reached the insurer; else as the file says, else now")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// maxExported bounds one line: the payload in base64, headers, and a verdict.
const maxExported = 2*contract.MaxVisit + 64<<10

// verifyEvidence verifies one visit after the other, so that the size of the file
// does not matter. It ends with a fault if any of them does not hold.
func verifyEvidence(e *env, in io.Reader, verifier *central.Verifier, arrived time.Time, asJSON bool) error {
	out := []evidenceOf{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxExported)
	count, signed, bad := 0, 0, 0
	seen := make(map[string]bool)
	for number := 1; lines.Scan(); number++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var exported wire.ExportedVisit
		if err := json.Unmarshal(line, &exported); err != nil || len(exported.Payload) == 0 {
			return fault.New(fault.BadExport, fmt.Errorf("line %d", number))
		}
		count++
		ev := examine(&exported, verifier, arrived)
		if ev.Visit != "" && seen[ev.Visit] {
			// The same bytes prove one visit, however often they are shown.
			ev.Assurance, ev.Reason = "", reasonRepeated
		}
		seen[ev.Visit] = true
		switch {
		case ev.Assurance == "":
			bad++
		case ev.signed:
			signed++
		}
		if asJSON {
			out = append(out, ev)
		} else if err := printEvidence(e.stdout, &ev); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fault.New(fault.BadExport, errors.New("a line is longer than any visit"))
	case err != nil:
		return err
	case count == 0:
		return fault.New(fault.BadExport, errors.New("there is no visit in it"))
	}
	if asJSON {
		err := writeJSON(e.stdout, struct {
			Visits []evidenceOf `json:"visits"`
		}{out})
		if err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.stdout, "%s: %d signed by a chip, %d without a chip's signature, %d that do not hold\n",
			plural(count, "visit"), signed, count-bad-signed, bad)
	}
	if bad > 0 {
		return fault.New(fault.EvidenceInvalid, fmt.Errorf("%d of %d visits do not hold", bad, count))
	}
	return nil
}

// evidenceOf is what an examination of one visit came to. It names no person.
type evidenceOf struct {
	Visit     string          `json:"visit"`
	Assurance string          `json:"assurance,omitempty"` // empty: it does not hold
	Reason    string          `json:"reason,omitempty"`    // why not
	Doubt     string          `json:"doubt,omitempty"`     // why it is worth less than it claims
	JudgedAt  time.Time       `json:"judged_at,omitzero"`  // the time for which certificates were judged
	TimeFrom  string          `json:"time_from,omitempty"` // who says that it was then: "file" or "caller"
	Claimed   string          `json:"claimed,omitempty"`   // what the file says of the visit's state
	Checks    []evidenceCheck `json:"checks"`

	signed bool // by the chip, over the challenge of this visit
}

// reasonRepeated is why a visit does not count a second time.
const reasonRepeated = "repeated"

type evidenceCheck struct {
	ID string `json:"id"`
	result.Check
}

// examine verifies one visit. Nothing that the file says beside the signed bytes
// is believed, except, if nobody knows better, when the visit arrived; the outcome
// says so, because whoever made the file chose that time.
func examine(x *wire.ExportedVisit, verifier *central.Verifier, arrived time.Time) evidenceOf {
	ev := evidenceOf{Claimed: x.State}
	add := func(id string, c result.Check) { ev.Checks = append(ev.Checks, evidenceCheck{id, c}) }
	v, err := contract.OpenVisit(x.Subject, x.Header, x.Payload)
	if err != nil {
		why := contract.BadSignature
		if code, ok := errors.AsType[contract.Code](err); ok {
			why = code
		}
		ev.Reason = string(why)
		add("agent_signature", result.Fail(result.Reason(why)))
		return ev
	}
	ev.Visit = v.ID
	add("agent_signature", result.Pass("Ed25519"))
	add("agent_enrolled", result.Unknown("central_service_only"))
	from := "caller"
	if arrived.IsZero() {
		arrived, from = time.Now(), "file"
		if !x.StoredAt.IsZero() && x.StoredAt.Before(arrived) && !x.StoredAt.Before(v.RecordedAt.Add(-24*time.Hour)) {
			arrived = x.StoredAt
		}
	}
	got := verifier.Examine(&v, nil, arrived)
	ev.Assurance, ev.Reason, ev.Doubt, ev.JudgedAt = string(got.Assurance), string(got.Reason), string(got.Doubt), got.At
	if !got.At.IsZero() {
		ev.TimeFrom = from
	}
	ev.signed = got.ChipSignature.Value == result.Successful
	add("times", got.Times)
	if v.Evidence == nil {
		return ev
	}
	add("nonce", got.Nonce)
	p := got.Passive
	add("sod_signature", p.Signature)
	add("signer_validity", p.SignerValidity)
	add("trust_chain", p.Chain)
	add("revocation", p.Revocation)
	add("issuing_state", p.IssuingState)
	add("document_type", p.DocumentType)
	groups := make([]int, 0, len(p.Groups))
	for dg := range p.Groups {
		groups = append(groups, dg)
	}
	slices.Sort(groups)
	for _, dg := range groups {
		add(fmt.Sprintf("dg%d_integrity", dg), p.Groups[dg])
	}
	add("passive_authentication", p.Overall())
	add("person", got.Person)
	add("agents_checks", got.AgentsChecks)
	add("chip_signature", got.ChipSignature)
	return ev
}

// evidenceWords are what a person reads for the checks that an inspection does not
// have, or means otherwise.
var evidenceWords = map[string]string{
	"agent_signature": "signed by the agent it names",
	"agent_enrolled":  "agent is enrolled for the facility",
	"signer_validity": "signer valid at that time",
	"times":           "times agree with each other",
	"nonce":           "nonce is the central service's",
	"document_type":   "signer may sign such documents",
	"person":          "person is the one in DG1",
	"agents_checks":   "agent found no copy",
	"chip_signature":  "CHIP SIGNED FOR THIS VISIT",
}

func printEvidence(w io.Writer, ev *evidenceOf) error {
	var b strings.Builder
	id := ev.Visit
	if id == "" {
		id = "(not signed as it says)"
	}
	fmt.Fprintf(&b, "visit %s", id)
	if !ev.JudgedAt.IsZero() {
		fmt.Fprintf(&b, ", as of %s", ev.JudgedAt.Format(time.RFC3339))
		if ev.TimeFrom == "file" {
			b.WriteString(" (as the file says)")
		}
	}
	b.WriteByte('\n')
	for _, c := range ev.Checks {
		note := c.Algorithm
		if c.Reason != "" {
			note = strings.TrimSpace(note + " (" + string(c.Reason) + ")")
		}
		word := evidenceWords[c.ID]
		if word == "" {
			word = words[c.ID]
		}
		if word == "" {
			word = c.ID
		}
		value := c.Value.String()
		fmt.Fprintf(&b, "  [%s] %-38s %-13s %s\n", marks[value], word, strings.ReplaceAll(value, "_", " "), printable(note))
	}
	verdict := "DOES NOT HOLD: " + ev.Reason
	if ev.Assurance != "" {
		verdict = strings.ToUpper(ev.Assurance)
		if ev.Doubt != "" {
			verdict += " (" + ev.Doubt + ")"
		}
	}
	fmt.Fprintf(&b, "  verdict  %s\n\n", verdict)
	_, err := io.WriteString(w, b.String())
	return err
}
