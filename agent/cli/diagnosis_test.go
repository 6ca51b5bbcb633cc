package cli_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/virtual"
	"github.com/chamthe/chamthe/sync/store"
)

// TestWords: every check that there is has words for a person, those of tomorrow
// too.
func TestWords(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, id := range slices.Concat(inspect.IDs(), inspect.OptionalIDs()) {
		w := cli.Words(string(id))
		if w == "" || seen[w] || len([]rune(w)) > 38 {
			t.Errorf("%s: %q", id, w)
		}
		seen[w] = true
	}
}

// variant builds a document that no profile has.
func variant(t *testing.T, v chip.Variant) *chip.Document {
	t.Helper()
	v.Signer = issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256"}
	d, err := chip.BuildVariant(v, chip.Options{At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestReadAll: a diagnosis shows every file and what became of it; a check-in
// does without.
func TestReadAll(t *testing.T) {
	t.Parallel()
	d := variant(t, chip.Variant{Optional: []int{7, 11, 12, 16}, Hidden: []int{3, 4}, DIR: true})
	zone, trust := strings.Join(d.MRZ, "\n"), anchor(t, d)
	got := on(t, lay(t, d), "", "read", "--json", "--mrz", zone, "--trust", trust)
	got.succeeded(t)
	o := one[wire.Outcome](t, got.stdout)
	for name, want := range map[string]string{
		"EF.COM": "read", "DG1": "read", "DG2": "read", "DG3": "denied", "DG4": "denied", "DG7": "read", "DG11": "read", "DG12": "read", "DG16": "read",
	} {
		if o.Report.Groups[name] != want {
			t.Errorf("%s is %q, want %q", name, o.Report.Groups[name], want)
		}
	}
	if !slices.Contains(o.Report.Applications, "A0000002471001") {
		t.Errorf("applications %q", o.Report.Applications)
	}
	everyCheckOnce(t, o.Report)
	results := make(map[string]string)
	for _, c := range o.Report.Checks {
		results[c.ID] = c.Result
	}
	for _, id := range []inspect.ID{inspect.DG7Integrity, inspect.DG11Integrity, inspect.DG12Integrity, inspect.DG16Integrity, inspect.COMConsistency} {
		if results[string(id)] != "successful" {
			t.Errorf("%s is %q", id, results[string(id)])
		}
	}
	details := o.Person.Details
	if details == nil || details.Name == "" || details.Authority == "" || len(details.Signatures) != 1 || !strings.HasPrefix(details.Signatures[0], "JPEG, ") || len(details.Notify) == 0 || details.Notify[0].Name == "" {
		t.Fatalf("details %+v", details)
	}

	got = on(t, lay(t, d), "", "read", "--mrz", zone, "--trust", trust)
	got.succeeded(t)
	for _, s := range []string{
		"EF.COM list of files", "DG3    fingerprints                   denied: open only to those whom the issuing state admits",
		"[+] further details (DG11) as signed", "[+] list of files (EF.COM) as signed", "full name    " + details.Name,
		"issued by    " + details.Authority, "notify       " + details.Notify[0].Name, "signature    ",
		"trust    1 certificate of 1 state, imported ", "no revocation list",
	} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}

	got = on(t, lay(t, d), "", "read", "--json", "--quick", "--mrz", zone, "--trust", trust)
	got.succeeded(t)
	quick := one[wire.Outcome](t, got.stdout)
	if quick.Person.Details != nil || quick.Report.Groups["DG11"] != "not_requested" || quick.Exchanges >= o.Exchanges || len(quick.Report.Checks) != len(inspect.IDs()) {
		t.Errorf("--quick: %d exchanges, %v", quick.Exchanges, quick.Report.Groups)
	}
	command(t, "read", "--quick", "--strict", "--mrz", zone).failed(t, fault.Usage)
}

// TestReadStrict: whatever deviates is listed, and warns; EF.COM is compared with
// what was signed.
func TestReadStrict(t *testing.T) {
	t.Parallel()
	d := variant(t, chip.Variant{Listed: []int{1, 2, 5, 16}})
	args := []string{"read", "--json", "--mrz", strings.Join(d.MRZ, "\n"), "--trust", anchor(t, d)}
	check := func(o wire.Outcome, id inspect.ID) string {
		for _, c := range o.Report.Checks {
			if c.ID == string(id) {
				return c.Result
			}
		}
		return ""
	}
	got := on(t, lay(t, d), "", args...)
	got.succeeded(t)
	o := one[wire.Outcome](t, got.stdout)
	if check(o, inspect.COMConsistency) != "failed" || check(o, inspect.Conformity) != "" || o.Report.Decision != "warn" ||
		!slices.ContainsFunc(o.Report.Deviations, func(s string) bool { return strings.HasPrefix(s, "EF.COM: ") }) {
		t.Errorf("decision %s, deviations %q", o.Report.Decision, o.Report.Deviations)
	}
	got = on(t, lay(t, d), "", append(args, "--strict")...)
	got.succeeded(t)
	o = one[wire.Outcome](t, got.stdout)
	if check(o, inspect.Conformity) != "failed" || !slices.Contains(o.Report.Reasons, "warn: conformity failed (nonconforming)") {
		t.Errorf("strict: reasons %q", o.Report.Reasons)
	}
}

// TestReadWeak: an old document says what is weak about it.
func TestReadWeak(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfilePassportOld, chip.TamperNone)
	got := on(t, lay(t, d), "", "read", "--mrz", strings.Join(d.MRZ, "\n"), "--trust", anchor(t, d))
	got.succeeded(t)
	for _, s := range []string{"  weak: ", "SHA-1", "policy: warn", "    warn: weak "} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}
}

func TestPrintFiles(t *testing.T) {
	t.Parallel()
	text := cli.PrintFiles(map[string]string{"DG16": "absent", "DG2": "unreadable", "EF.COM": "read", "DG1": "read", "DG11": "not_requested", "DG3": "denied", "DG12": "denied"})
	at := 0
	for _, s := range []string{
		"files\n  EF.COM list of files                  read\n", "  DG1 ", "  DG2    photo                          unreadable\n", "  DG3 ",
		"  DG11   further details of the person  not asked for\n", "  DG12   details of the document        denied\n", "  DG16 ",
	} {
		i := strings.Index(text[at:], s)
		if i < 0 {
			t.Fatalf("%q does not follow in:\n%s", s, text)
		}
		at += i
	}
}

// TestJSONBeforeTheCard: who reads the document of --json finds one whatever went
// wrong, and it says what standard error does.
func TestJSONBeforeTheCard(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	read := []string{"read", "--json", "--qr", d.QR, "--wait", "50ms"}
	taken := lay(t, d)
	card, err := taken.Open(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { card.Close() }) // the tests below run beside each other
	for _, tt := range []struct {
		name    string
		on      reader.Driver
		args    []string
		want    fault.Code
		verdict string
	}{
		{"no service", noService{}, read, fault.NoService, wire.VerdictError},
		{"no reader", virtual.New(), read, fault.NoReader, wire.VerdictError},
		{"no such reader", lay(t, d), append(read, "--reader", "another"), fault.NoReader, wire.VerdictError},
		{"no card", virtual.New(slot), read, fault.NoCard, wire.VerdictNotRead},
		{"card in use", taken, read, fault.ReaderBusy, wire.VerdictNotRead},
		{"no key", lay(t, d), []string{"read", "--json"}, fault.Usage, wire.VerdictError},
		{"bad QR", lay(t, d), []string{"read", "--json", "--qr", "1|2"}, fault.BadQR, wire.VerdictError},
		{"bad CAN", lay(t, d), []string{"read", "--json", "--can", "12345"}, fault.BadCAN, wire.VerdictError},
		{"bad trust", lay(t, d), append(read, "--trust", t.TempDir()), fault.BadTrust, wire.VerdictError},
		{"two flags of which one goes", lay(t, d), append(read, "--quick", "--strict"), fault.Usage, wire.VerdictError},
		{"demo: bad CAN", virtual.New(), []string{"demo", "--json", "--can", "12345"}, fault.BadCAN, wire.VerdictError},
		{"demo: unknown profile", virtual.New(), []string{"demo", "--json", "--chip", "none"}, fault.Usage, wire.VerdictError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := on(t, tt.on, "", tt.args...)
			if got.exit != fault.About(tt.want).Exit {
				t.Errorf("exit status %d, want %d", got.exit, fault.About(tt.want).Exit)
			}
			got.failed(t, tt.want)
			cameToNothing(t, got, tt.want, tt.verdict)
		})
	}
	// Commands that are about no card have a smaller document.
	got := command(t, "trust", "list", "--json", "--dir", t.TempDir())
	got.failed(t, fault.Usage)
	if v := one[wire.Failure](t, got.stdout); v.Verdict != wire.VerdictError || v.Fault == nil || v.Fault.Code != string(fault.Usage) {
		t.Errorf("trust list: %+v", v)
	}
	// Without --json nothing is said twice.
	if got := on(t, virtual.New(), "", "read", "--qr", d.QR); got.stdout != "" {
		t.Errorf("standard output %q", got.stdout)
	}
}

// TestReadAllowBAC: PACE that fails is no permission for BAC; --allow-bac is one,
// and the report tells.
func TestReadAllowBAC(t *testing.T) {
	t.Parallel()
	d := variant(t, chip.Variant{PACE: []chip.PACE{{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Version: 2, ParameterID: 13}}})
	d.Personalisation.Fault = func(_ int, cmd []byte, next func() []byte) ([]byte, error) {
		if len(cmd) > 3 && cmd[1] == 0x22 && cmd[2] == 0xC1 { // MSE:Set AT of PACE
			return []byte{0x6A, 0x80}, nil
		}
		return next(), nil
	}
	args := []string{"read", "--mrz", strings.Join(d.MRZ, "\n"), "--trust", anchor(t, d)}
	on(t, lay(t, d), "", args...).failed(t, fault.AccessRefused)
	args = append(args, "--allow-bac")
	got := on(t, lay(t, d), "", args...)
	got.succeeded(t)
	for _, want := range []string{"BAC 3DES (pace_failed)", "deviation: PACE failed, BAC used", "policy: warn", "warn: access_control successful (pace_failed)"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in:\n%s", want, got.stdout)
		}
	}
	got = on(t, lay(t, d), "", append(args, "--json")...)
	got.succeeded(t)
	if o := one[wire.Outcome](t, got.stdout); o.Report.Access != "BAC 3DES" || o.Report.Decision != "warn" {
		t.Errorf("access %q, decision %q", o.Report.Access, o.Report.Decision)
	}
}

// TestWrongKeyTold: a wrong number is a clear sentence, with the tries that the
// chip leaves, for people and for programs, in read and in the demonstration.
func TestWrongKeyTold(t *testing.T) {
	t.Parallel()
	gm := []chip.PACE{{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Version: 2, ParameterID: 13}}
	three := variant(t, chip.Variant{PACE: gm, CAN: "123456", CANTries: 3})
	silent := variant(t, chip.Variant{PACE: gm, CAN: "123456"})
	bac := variant(t, chip.Variant{Quirks: chip.Quirks{WrongKey: apdu.Status(0x63C1)}})
	otherZone := strings.Join(document(t, chip.ProfilePassportBAC, chip.TamperNone).MRZ, "\n")
	left := func(n int) *int { return &n }
	for _, tt := range []struct {
		name     string
		doc      *chip.Document
		args     []string
		tries    *int
		sentence string
	}{
		{"CAN, the chip tells", three, []string{"--can", "000000"}, left(2), "The chip allows 2 more tries."},
		{"CAN, the chip does not tell", silent, []string{"--can", "000000"}, nil, ""},
		{"MRZ, the chip tells", bac, []string{"--mrz", otherZone}, left(1), "The chip allows 1 more try."},
		{"MRZ, the chip does not tell", silent, []string{"--mrz", otherZone}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := on(t, lay(t, tt.doc), "", append([]string{"read", "--json", "--trust", anchor(t, tt.doc)}, tt.args...)...)
			got.failed(t, fault.WrongKey)
			o := one[wire.Outcome](t, got.stdout)
			if o.Verdict != wire.VerdictNotRead || o.Fault == nil || o.Person != nil {
				t.Fatalf("outcome %+v", o)
			}
			if n := o.Fault.TriesLeft; (n == nil) != (tt.tries == nil) || n != nil && *n != *tt.tries {
				t.Errorf("tries left: %v", n)
			}
			if !strings.Contains(got.stderr, tt.sentence) || tt.sentence == "" && strings.Contains(got.stderr, "more tr") {
				t.Errorf("no %q in:\n%s", tt.sentence, got.stderr)
			}
		})
	}

	// The same card three times, and then it is blocked.
	v := lay(t, three)
	for _, want := range []string{"The chip allows 2 more tries.", "The chip allows 1 more try.", "That was the last try"} {
		got := on(t, v, "", "read", "--can", "000000")
		got.failed(t, fault.WrongKey)
		if !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in:\n%s", want, got.stderr)
		}
	}
	got := on(t, v, "", "read", "--json", "--can", "123456")
	got.failed(t, fault.KeyBlocked)
	if o := one[wire.Outcome](t, got.stdout); o.Verdict != wire.VerdictNotRead || o.Fault.Code != string(fault.KeyBlocked) {
		t.Errorf("blocked: %+v", o.Fault)
	}
	on(t, v, "", "read", "--mrz", strings.Join(three.MRZ, "\n"), "--trust", anchor(t, three)).succeeded(t)

	for _, args := range [][]string{
		{"--chip", chip.ProfileCCCDPACE, "--can", "000000"},
		{"--chip", chip.ProfileCCCD, "--mrz", otherZone},
		{"--chip", chip.ProfileCCCD, "--tamper", "wrong-key"},
	} {
		got := command(t, append([]string{"demo", "--json"}, args...)...)
		got.failed(t, fault.WrongKey)
		if o := one[wire.Outcome](t, got.stdout); o.Verdict != wire.VerdictNotRead || o.Fault.Code != string(fault.WrongKey) {
			t.Errorf("%q: %+v", args, o.Fault)
		}
		got = command(t, append([]string{"demo"}, args...)...)
		got.failed(t, fault.WrongKey)
		if !strings.Contains(got.stdout, "verdict  NOT_READ") || strings.Contains(got.stdout, "not performed") {
			t.Errorf("%q:\n%s", args, got.stdout)
		}
	}
	// What is typed opens the chip as well as a scan.
	command(t, "demo", "--chip", chip.ProfileCCCDPACE, "--can", document(t, chip.ProfileCCCDPACE, chip.TamperNone).CAN).succeeded(t)
}

// TestNoIssuers: who knows no issuer is told how to come by one.
func TestNoIssuers(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	got := on(t, lay(t, d), "", "read", "--qr", d.QR)
	got.failed(t, fault.IssuerUnknown)
	if s := "no issuer is known, so no card can be verified: `chamthe trust import` lets issuers in"; !strings.Contains(got.stdout, s) {
		t.Errorf("no %q in:\n%s", s, got.stdout)
	}
	got = on(t, lay(t, d), "", "read", "--json", "--qr", d.QR)
	if o := one[wire.Outcome](t, got.stdout); o.Trust == nil || o.Trust.Certificates != 0 || o.Trust.AgeDays != nil {
		t.Errorf("trust %+v", o.Trust)
	}
}

// TestTrustUnusable: a store that is there and cannot be read is a fault, not an
// unknown issuer.
func TestTrustUnusable(t *testing.T) {
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	dir := t.TempDir()
	t.Setenv("CHAMTHE_TRUST", dir)
	imported := command(t, "trust", "import", anchor(t, d), "--accept", "a test")
	imported.succeeded(t)
	got := on(t, lay(t, d), "", "read", "--json", "--qr", d.QR)
	got.succeeded(t)
	if o := one[wire.Outcome](t, got.stdout); o.Trust == nil || o.Trust.Certificates != 1 || o.Trust.AgeDays == nil || *o.Trust.AgeDays != 0 || o.Trust.Imported == "" {
		t.Errorf("trust %+v", o.Trust)
	}
	damage := func(want fault.Code) {
		t.Helper()
		got := on(t, lay(t, d), "", "read", "--json", "--qr", d.QR)
		got.failed(t, want)
		cameToNothing(t, got, want, wire.VerdictError)
		command(t, "trust", "list").failed(t, want)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		damage(fault.TrustExposed)
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "imports")); err != nil {
		t.Fatal(err)
	}
	damage(fault.TrustDamaged)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CHAMTHE_TRUST", file)
	damage(fault.TrustUnusable)
}

// TestServiceFails: why a service of the demonstration ended is what the command
// ends with, however many interruptions that causes.
func TestServiceFails(t *testing.T) {
	t.Parallel()
	at := func(moment func(ctx context.Context), err error) func(context.Context) error {
		return func(ctx context.Context) error {
			moment(ctx)
			return err
		}
	}
	once := func(context.Context) {}
	late := func(ctx context.Context) { <-ctx.Done() }
	for _, tt := range []struct {
		name    string
		service func(context.Context) error
		args    []string
		want    fault.Code
	}{
		{"at once", at(once, fmt.Errorf("somewhere: %w", store.ErrCorrupt)), nil, fault.StoreDamaged},
		{"at the end", at(late, store.ErrUncertain), nil, fault.PerhapsSaved},
		{"by what calls itself an interruption", at(once, context.Canceled), nil, fault.Internal},
		{"by what nobody knows", at(once, errors.New("flux capacitor")), nil, fault.Internal},
		{"while a forged card is judged", at(late, store.ErrCorrupt), []string{"--tamper", "dg1"}, fault.DG1Altered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			exit, stdout, stderr := cli.MainBeside(t.Context(), append([]string{"demo", "--json", "--chip", chip.ProfileCCCD}, tt.args...), tt.service)
			ended{exit, stdout, stderr}.failed(t, tt.want)
			if o := one[wire.Outcome](t, stdout); o.Fault == nil || o.Fault.Code != string(tt.want) {
				t.Errorf("the document says %+v", o.Fault)
			}
		})
	}
	// Somebody does interrupt, and a service fails over it.
	ctx, cancel := context.WithCancel(t.Context())
	exit, stdout, stderr := cli.MainBeside(ctx, []string{"demo", "--json"}, func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return store.ErrCorrupt
	})
	ended{exit, stdout, stderr}.failed(t, fault.StoreDamaged)
	ctx, cancel = context.WithCancel(t.Context())
	exit, stdout, stderr = cli.MainBeside(ctx, []string{"demo", "--json"}, func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	ended{exit, stdout, stderr}.failed(t, fault.Cancelled)
}

// TestReadRemembers: what a reader and a kind of card bear is known to the next
// read, and nothing of the card is.
func TestReadRemembers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHAMTHE_LIMITS", dir)
	d := variant(t, chip.Variant{Quirks: chip.Quirks{NoShortID: apdu.IncorrectP1P2}})
	args := []string{"read", "--mrz", strings.Join(d.MRZ, "\n"), "--trust", anchor(t, d)}
	on(t, lay(t, d), "", args...).succeeded(t)
	all, err := limits.In(dir).All(t.Context())
	if err != nil || len(all) != 1 || all[0].Reader != "Test Reader" || !all[0].Limits.NoSFI {
		t.Fatalf("%+v, %v", all, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "limits.db"))
	if err != nil {
		t.Fatal(err)
	}
	privacytest.Of(t, d).Absent(t, "what was learned", b)
	on(t, lay(t, d), "", args...).succeeded(t)

	// Where nothing can be remembered, cards are read all the same.
	if err := os.WriteFile(filepath.Join(dir, "limits.db"), make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	got := on(t, lay(t, d), "", args...)
	got.succeeded(t)
	if !strings.Contains(got.stdout, "note     what this reader bears is not remembered: ") {
		t.Errorf("nobody is told:\n%s", got.stdout)
	}
}
