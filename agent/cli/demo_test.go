package cli_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/sync/contract"
)

// TestDemo goes the whole way with every profile: real services, one JSON
// document, a visit that the central service verified.
func TestDemo(t *testing.T) {
	t.Parallel()
	const verified, attested = "chip-verified", "attested"
	type want struct {
		assurance, access string
		decision          string // empty: accept
	}
	tests := map[string]want{
		chip.ProfileCCCD:             {assurance: verified, access: "BAC 3DES"},
		chip.ProfileCCCDNoAA:         {assurance: attested, access: "BAC 3DES", decision: "warn"},
		chip.ProfileCCCDPACE:         {assurance: verified, access: "PACE ECDH-GM AES-128 brainpoolP256r1"},
		chip.ProfilePassportBAC:      {assurance: verified, access: "BAC 3DES"},
		chip.ProfilePassportOld:      {assurance: verified, access: "BAC 3DES", decision: "warn"}, // SHA-1 and short keys
		chip.ProfilePassportFull:     {assurance: verified, access: "PACE ECDH-GM AES-128 brainpoolP256r1"},
		chip.ProfilePassportPACEIM:   {assurance: verified, access: "PACE ECDH-IM AES-128 P-256"},
		chip.ProfilePassportPACEDH:   {assurance: verified, access: "PACE DH-GM AES-128 MODP-2048-256"},
		chip.ProfilePassportCAAES:    {assurance: attested, access: "BAC 3DES"}, // its proof convinces only who was there
		chip.ProfilePassportEAC:      {assurance: attested, access: "BAC 3DES"},
		chip.ProfilePassportPACECAM:  {assurance: attested, access: "PACE ECDH-CAM AES-256 brainpoolP384r1"},
		chip.ProfilePassportStubborn: {assurance: verified, access: "BAC 3DES"},
	}
	for _, p := range chip.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			want, ok := tests[p.Name]
			if !ok {
				t.Fatal("this profile is not tested")
			}
			got := command(t, "demo", "--json", "--chip", p.Name)
			got.succeeded(t)
			o := one[wire.Outcome](t, got.stdout)
			if o.Verdict != wire.VerdictAccepted || o.Fault != nil {
				t.Errorf("verdict %s, fault %+v", o.Verdict, o.Fault)
			}
			if o.Report == nil || o.Person == nil || o.Delivery == nil {
				t.Fatalf("incomplete outcome:\n%s", got.stdout)
			}
			everyCheckOnce(t, o.Report)
			decision := cmp.Or(want.decision, "accept")
			if o.Report.Decision != decision {
				t.Errorf("decision %s, want %s: %q", o.Report.Decision, decision, o.Report.Reasons)
			}
			if o.Report.Access != want.access {
				t.Errorf("access %q, want %q", o.Report.Access, want.access)
			}
			if !o.Person.Verified || o.Person.Name == "" || !strings.HasPrefix(o.Person.Photo, "JPEG ") {
				t.Errorf("person verified %v, photo %q", o.Person.Verified, o.Person.Photo)
			}
			if o.Delivery.State != "accepted" || o.Delivery.Assurance != want.assurance || o.Delivery.Waiting != 0 {
				t.Errorf("delivery %+v, want assurance %s", o.Delivery, want.assurance)
			}
			if bound := o.Delivery.PresentFrom != "" && o.Delivery.PresentTo != ""; bound != (want.assurance == verified) {
				t.Errorf("chip present between %q and %q", o.Delivery.PresentFrom, o.Delivery.PresentTo)
			}
			visitIsBound(t, o)
			keys := []string{
				"access", "ef_sod", "active_authentication", "dg1", "passive_authentication", "dg2",
				"verified_text", "entitlement", "record", "stored", "verdict", "total",
			}
			if strings.HasPrefix(p.Name, "cccd") {
				keys = append(keys, "dg13")
			}
			for _, k := range keys {
				if v, ok := o.TimingsMS[k]; !ok || v < 0 {
					t.Errorf("timing of %s: %v, %v", k, v, ok)
				}
			}
			if o.TimingsMS["verified_text"] <= 0 || o.TimingsMS["total"] < o.TimingsMS["verified_text"] {
				t.Errorf("timings %v", o.TimingsMS)
			}
			counted(t, o)
		})
	}
}

func everyCheckOnce(t *testing.T, r *wire.Report) {
	t.Helper()
	var ids []string
	for _, c := range r.Checks {
		ids = append(ids, c.ID)
		if c.Result == "" {
			t.Errorf("check %s has no result", c.ID)
		}
	}
	var want []string
	for _, id := range inspect.IDs() {
		want = append(want, string(id))
	}
	// Behind these come some of the others, in their order.
	for _, id := range inspect.OptionalIDs() {
		if len(ids) > len(want) && ids[len(want)] == string(id) {
			want = append(want, string(id))
		}
	}
	if !slices.Equal(ids, want) {
		t.Errorf("checks %q, want %q", ids, want)
	}
}

func counted(t *testing.T, o wire.Outcome) {
	t.Helper()
	if o.Exchanges <= 0 || o.BytesSent <= 0 || o.BytesReceived <= 0 || o.Bytes != o.BytesSent+o.BytesReceived {
		t.Errorf("%d exchanges, %d bytes = %d + %d", o.Exchanges, o.Bytes, o.BytesSent, o.BytesReceived)
	}
}

// visitIsBound decodes the visit and compares what is signed in it with what
// the outcome says.
func visitIsBound(t *testing.T, o wire.Outcome) {
	t.Helper()
	v, err := contract.DecodeVisit(compact(t, o.Visit))
	if err != nil {
		t.Fatalf("visit: %v", err)
	}
	if v.ID != o.Delivery.VisitID || v.Facility != "01013" || v.Means != contract.MeansChip || !v.Verified {
		t.Errorf("visit %s of %s by %s, verified %v", v.ID, v.Facility, v.Means, v.Verified)
	}
	if contract.CheckAgent(v.Agent) != nil {
		t.Errorf("agent %q", v.Agent)
	}
	if v.Person.Name != o.Person.Name || v.Person.Number != o.Person.Number || string(v.Person.BirthDate) != o.Person.BirthDate {
		t.Error("the visit is about somebody else")
	}
	if len(v.Checks) != len(o.Report.Checks) {
		t.Fatalf("%d checks, want %d", len(v.Checks), len(o.Report.Checks))
	}
	for i, c := range v.Checks {
		if w := o.Report.Checks[i]; c.ID != w.ID || string(c.Result) != w.Result || c.Reason != w.Reason {
			t.Errorf("check %+v, want %+v", c, w)
		}
	}
	e := v.Evidence
	if e == nil || len(e.SOD) == 0 || len(e.DG1) == 0 || e.Nonce == nil {
		t.Fatal("evidence is incomplete")
	}
	if e.Challenge != v.ExpectedChallenge() || e.Challenge == (contract.RNDIFD{}) {
		t.Error("the challenge does not belong to the visit")
	}
	chipSigned := o.Delivery.Assurance == "chip-verified"
	if (len(e.Signature) > 0) != chipSigned || (len(e.DG15) > 0) != chipSigned {
		t.Errorf("%d bytes of signature, %d of DG15", len(e.Signature), len(e.DG15))
	}
}

// compact takes out the indentation that printing put in. The bytes that were
// signed had none.
func compact(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDemoTold asserts what a person sees.
func TestDemoTold(t *testing.T) {
	t.Parallel()
	got := command(t, "demo")
	got.succeeded(t)
	at := 0
	for _, s := range []string{
		"Everyone here is made up", "central  ", "scan     CCCD QR", "tap  ", "chip opened", "EF.SOD read", "active authentication",
		"DG1 read", "DG13 read", "passive authentication", "verified text on the desk", "Nguyễn Văn Thử", "DG2 read",
		"entitlement looked up", "recorded on disk", "insured  valid", "source: central", "recorded visit ", "stored   by JetStream",
		"accepted by the central service", "the chip was present between", "[+] CHIP IS NO COPY", "verdict  ACCEPTED",
	} {
		i := strings.Index(got.stdout[at:], s)
		if i < 0 {
			t.Fatalf("%q does not follow:\n%s", s, got.stdout)
		}
		at += i
	}
}

// TestTampered: no tampered document becomes a visit, each ends with a status
// of its own, and says why and what to do.
func TestTampered(t *testing.T) {
	t.Parallel()
	type want struct {
		code    fault.Code
		exit    int
		verdict string
	}
	// The numbers are documented: scripts depend on them.
	tests := map[chip.Tamper]want{
		chip.TamperDG1:          {fault.DG1Altered, 10, wire.VerdictRefused},
		chip.TamperDG13:         {fault.DG13Altered, 11, wire.VerdictRefused},
		chip.TamperSODSignature: {fault.SecurityObjectInvalid, 12, wire.VerdictRefused},
		chip.TamperExpiredDS:    {fault.SignerExpired, 13, wire.VerdictRefused},
		chip.TamperUnknownCSCA:  {fault.IssuerUnknown, 14, wire.VerdictUndetermined},
		chip.TamperClone:        {fault.ChipCopied, 15, wire.VerdictRefused},
		chip.TamperWrongKey:     {fault.WrongKey, 16, wire.VerdictNotRead},
		chip.TamperTorn:         {fault.CardRemoved, 17, wire.VerdictNotRead},
		chip.TamperCardSecurity: {fault.CardSecurityInvalid, 33, wire.VerdictRefused},
	}
	exits := map[int]chip.Tamper{}
	for kind, w := range tests {
		if other, taken := exits[w.exit]; taken {
			t.Errorf("%s and %s share exit status %d", kind, other, w.exit)
		}
		exits[w.exit] = kind
	}
	type run struct {
		profile string
		kind    chip.Tamper
	}
	var runs []run
	for _, k := range chip.Tampers() {
		runs = append(runs, run{profileFor(k.Kind), k.Kind})
	}
	runs = append(runs, run{chip.ProfilePassportBAC, chip.TamperClone}, run{chip.ProfilePassportBAC, chip.TamperWrongKey},
		run{chip.ProfileCCCDPACE, chip.TamperWrongKey}, run{chip.ProfileCCCDPACE, chip.TamperTorn}, run{chip.ProfileCCCDNoAA, chip.TamperDG1})
	for _, r := range runs {
		t.Run(fmt.Sprintf("%s/%s", r.profile, r.kind), func(t *testing.T) {
			t.Parallel()
			w, ok := tests[r.kind]
			if !ok {
				t.Fatal("this kind of tampering is not tested")
			}
			dir := t.TempDir()
			got := command(t, "demo", "--json", "--chip", r.profile, "--tamper", string(r.kind), "--data", dir)
			got.failed(t, w.code)
			if got.exit != w.exit {
				t.Errorf("exit status %d, want %d", got.exit, w.exit)
			}
			o := one[wire.Outcome](t, got.stdout)
			if o.Verdict != w.verdict {
				t.Errorf("verdict %s, want %s", o.Verdict, w.verdict)
			}
			if string(o.Visit) != "null" || o.Delivery != nil {
				t.Errorf("there is a visit: %s", o.Visit)
			}
			if f := o.Fault; f == nil || f.Code != string(w.code) || f.ExitCode != w.exit || f.Cause == "" || f.Remedy == "" {
				t.Errorf("fault %+v", o.Fault)
			}
			everyCheckOnce(t, o.Report)
			counted(t, o)
			if o.Report.Decision != "refuse" || len(o.Report.Reasons) == 0 {
				t.Errorf("decision %s, reasons %q", o.Report.Decision, o.Report.Reasons)
			}
			if o.Person != nil && o.Person.Verified {
				t.Error("the person counts as verified")
			}
			if visits := queued(t, dir); len(visits) != 0 {
				t.Errorf("%d visits in the queue", len(visits))
			}
		})
	}
}

// profileFor is a profile that can be tampered with in this way.
func profileFor(kind chip.Tamper) string {
	if kind == chip.TamperCardSecurity {
		return chip.ProfilePassportPACECAM
	}
	return chip.ProfileCCCD
}

// TestUnknownIssuerIsUndetermined: a missing anchor proves nothing against a
// document.
func TestUnknownIssuerIsUndetermined(t *testing.T) {
	t.Parallel()
	got := command(t, "demo", "--json", "--tamper", "unknown-csca")
	o := one[wire.Outcome](t, got.stdout)
	for _, c := range o.Report.Checks {
		switch inspect.ID(c.ID) {
		case inspect.TrustChain, inspect.PassiveAuthentication:
			if c.Result != "undetermined" {
				t.Errorf("%s is %s", c.ID, c.Result)
			}
		default:
			if c.Result == "failed" {
				t.Errorf("%s failed: %s", c.ID, c.Reason)
			}
		}
	}
	if o.Fault.Kind != "unsure" {
		t.Errorf("kind %s", o.Fault.Kind)
	}
}

// closedPort returns an address of this computer where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "nats://" + l.Addr().String()
}

// TestDemoWithoutCentral records a visit while nobody is there, and delivers
// it in a later run.
func TestDemoWithoutCentral(t *testing.T) {
	t.Parallel()
	dir, nobody := t.TempDir(), closedPort(t)

	got := command(t, "demo", "--json", "--data", dir, "--central", nobody, "--wait", "1s")
	got.failed(t, fault.VisitWaiting)
	o := one[wire.Outcome](t, got.stdout)
	if o.Verdict != wire.VerdictRecorded || o.Delivery == nil || o.Delivery.State != "queued" || o.Delivery.Waiting != 1 {
		t.Fatalf("verdict %s, delivery %+v", o.Verdict, o.Delivery)
	}
	v, err := contract.DecodeVisit(compact(t, o.Visit))
	if err != nil {
		t.Fatal(err)
	}
	if v.Entitlement.Source != contract.SourceNone || v.Evidence.Nonce != nil || v.Evidence.Challenge != v.ExpectedChallenge() {
		t.Errorf("entitlement from %s, nonce %v", v.Entitlement.Source, v.Evidence.Nonce)
	}
	if q := queued(t, dir); len(q) != 1 || q[0].ID != v.ID || q[0].State != "queued" {
		t.Fatalf("queue %+v", q)
	}
	if _, err := os.Stat(filepath.Join(dir, "central", "seed.json")); err != nil {
		t.Errorf("nothing to start a central service with: %v", err)
	}

	got = command(t, "queue", "send", "--data", dir, "--central", nobody, "--wait", "300ms")
	got.failed(t, fault.CentralUnreachable)

	got = command(t, "demo", "--json", "--data", dir)
	got.succeeded(t)
	o = one[wire.Outcome](t, got.stdout)
	if o.Verdict != wire.VerdictAccepted {
		t.Errorf("verdict %s", o.Verdict)
	}
	q := queued(t, dir)
	if len(q) != 2 || q[0].ID != v.ID || q[1].ID != o.Delivery.VisitID {
		t.Fatalf("queue %+v", q)
	}
	// The first was recorded before there ever was a nonce: nothing says when
	// the chip signed.
	for i, assurance := range []string{"attested", "chip-verified"} {
		if q[i].State != "accepted" || q[i].Assurance != assurance || q[i].VerdictAt == "" {
			t.Errorf("visit %+v, want %s", q[i], assurance)
		}
	}
	got = command(t, "queue", "list", "--data", dir)
	got.succeeded(t)
	if !strings.Contains(got.stdout, v.ID) || strings.Count(got.stdout, "accepted") != 2 {
		t.Errorf("the list says:\n%s", got.stdout)
	}
}

func TestDemoBadAddress(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://127.0.0.1:4222", "nats://ins.example.org:4222", "::"} {
		got := command(t, "demo", "--json", "--chip", chip.ProfileCCCDNoAA, "--central", url)
		got.failed(t, fault.BadAddress)
		cameToNothing(t, got, fault.BadAddress, wire.VerdictError)
	}
}

type visitInQueue struct {
	ID         string `json:"id"`
	State      string `json:"state"`
	RecordedAt string `json:"recorded_at"`
	StoredAt   string `json:"stored_at"`
	VerdictAt  string `json:"verdict_at"`
	Reason     string `json:"reason"`
	Assurance  string `json:"assurance"`
	Damaged    bool   `json:"damaged"`
}

// queued lists the visits of a data directory.
func queued(t *testing.T, dir string) []visitInQueue {
	t.Helper()
	got := command(t, "queue", "list", "--data", dir, "--json")
	got.succeeded(t)
	return one[struct{ Visits []visitInQueue }](t, got.stdout).Visits
}
