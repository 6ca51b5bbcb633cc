package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/virtual"
)

const slot = "Test Reader 00 00"

// lay puts a document's chip on a reader.
func lay(t *testing.T, d *chip.Document) *virtual.Driver {
	t.Helper()
	card, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	v := virtual.New("Empty Reader", slot)
	if err := v.Insert(slot, card); err != nil {
		t.Fatal(err)
	}
	return v
}

// anchor writes a document's trust anchor to a file.
func anchor(t *testing.T, d *chip.Document) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "csca.der")
	if err := os.WriteFile(file, d.CSCA, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRead(t *testing.T) {
	t.Parallel()
	cccd, pace, passport := chip.ProfileCCCD, chip.ProfileCCCDPACE, chip.ProfilePassportBAC
	zone := func(d *chip.Document) string { return strings.Join(d.MRZ, "\n") }
	tests := []struct {
		name, profile string
		args          func(d *chip.Document) []string
		stdin         func(d *chip.Document) string
	}{
		{"QR", cccd, func(d *chip.Document) []string { return []string{"--qr", d.QR} }, nil},
		{"QR on standard input", cccd, func(*chip.Document) []string { return []string{"--qr", "-"} }, func(d *chip.Document) string { return d.QR + "\r\n" }},
		{"QR and expiry", cccd, func(d *chip.Document) []string { return []string{"--qr", d.QR, "--expiry", "31/01/2039"} }, nil},
		{"QR and expiry as in the MRZ", cccd, func(d *chip.Document) []string { return []string{"--qr", d.QR, "--expiry", "390131"} }, nil},
		{"MRZ of three lines", cccd, func(d *chip.Document) []string { return []string{"--mrz", zone(d)} }, nil},
		{"MRZ on standard input", cccd, func(*chip.Document) []string { return []string{"--mrz", "-"} }, zone},
		{"MRZ in one line", passport, func(d *chip.Document) []string { return []string{"--mrz", strings.Join(d.MRZ, "")} }, nil},
		{"named reader", passport, func(d *chip.Document) []string { return []string{"--mrz", zone(d), "--reader", slot} }, nil},
		{"MRZ with PACE", pace, func(d *chip.Document) []string { return []string{"--mrz", zone(d)} }, nil},
		{"CAN", pace, func(d *chip.Document) []string { return []string{"--can", d.CAN} }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := document(t, tt.profile, chip.TamperNone)
			stdin := ""
			if tt.stdin != nil {
				stdin = tt.stdin(d)
			}
			args := append([]string{"read", "--json", "--trust", anchor(t, d)}, tt.args(d)...)
			got := on(t, lay(t, d), stdin, args...)
			got.succeeded(t)
			o := one[wire.Outcome](t, got.stdout)
			if o.Verdict != wire.VerdictVerified || o.Fault != nil {
				t.Errorf("verdict %s, fault %+v", o.Verdict, o.Fault)
			}
			if o.Person == nil || !o.Person.Verified || o.Person.NameMRZ != d.Person.Surname+" "+d.Person.Given {
				t.Error("the person is missing")
			}
			if string(o.Visit) != "null" || o.Delivery != nil {
				t.Error("reading made a visit")
			}
			everyCheckOnce(t, o.Report)
			counted(t, o)
			for _, k := range []string{"access", "ef_sod", "dg1", "dg2", "verified_text", "total"} {
				if _, ok := o.TimingsMS[k]; !ok {
					t.Errorf("no timing of %s", k)
				}
			}
			if o.Report.Signer == nil || o.Report.Signer.Anchor != "csca.der" {
				t.Errorf("signer %+v", o.Report.Signer)
			}
		})
	}
}

func TestReadTold(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	got := on(t, lay(t, d), "", "read", "--qr", d.QR, "--trust", anchor(t, d))
	got.succeeded(t)
	for _, s := range []string{"reader   " + slot, "[+] CHIP IS NO COPY", "person   (verified)", d.Person.Name, "born         1999-01-31", "verdict  VERIFIED"} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}
	forged := document(t, chip.ProfileCCCD, chip.TamperDG1)
	got = on(t, lay(t, forged), "", "read", "--qr", forged.QR, "--trust", anchor(t, forged))
	got.failed(t, fault.DG1Altered)
	for _, s := range []string{"[X] name, date, number (DG1) as signed", "person   (NOT VERIFIED: do not rely on this)", "verdict  REFUSED"} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}
	copied := document(t, chip.ProfileCCCD, chip.TamperClone)
	got = on(t, lay(t, copied), "", "read", "--qr", copied.QR, "--trust", anchor(t, copied))
	got.failed(t, fault.ChipCopied)
	if s := "(NOT VERIFIED: the issuer signed this, and this card must not be accepted)"; !strings.Contains(got.stdout, s) {
		t.Errorf("no %q in:\n%s", s, got.stdout)
	}
}

func TestReadPhoto(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		tamper chip.Tamper
		trust  bool
		want   fault.Code // empty: none
		photo  bool
	}{
		{"verified", chip.TamperNone, true, "", true},
		{"issuer not known", chip.TamperNone, false, fault.IssuerUnknown, true},
		{"signature does not hold", chip.TamperSODSignature, true, fault.SecurityObjectInvalid, false},
		{"not read", chip.TamperWrongKey, true, fault.WrongKey, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := document(t, chip.ProfileCCCD, tt.tamper)
			file := filepath.Join(t.TempDir(), "face.jpg")
			args := []string{"read", "--qr", d.QR, "--photo", file}
			if tt.trust {
				args = append(args, "--trust", anchor(t, d))
			}
			got := on(t, lay(t, d), "", args...)
			if tt.want == "" {
				got.succeeded(t)
			} else {
				got.failed(t, tt.want)
			}
			b, err := os.ReadFile(file)
			if !tt.photo {
				if err == nil {
					t.Error("a photo was written")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			img, err := jpeg.Decode(bytes.NewReader(b))
			if err != nil || img.Bounds().Dx() != 480 || img.Bounds().Dy() != 640 {
				t.Errorf("not the portrait: %v", err)
			}
			if !bytes.Contains(d.Groups[2], b) {
				t.Error("not the bytes of the chip")
			}
			if fi, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", fi.Mode(), err)
			}
		})
	}
	t.Run("nowhere to write", func(t *testing.T) {
		t.Parallel()
		d := document(t, chip.ProfileCCCD, chip.TamperNone)
		got := on(t, lay(t, d), "", "read", "--json", "--qr", d.QR, "--trust", anchor(t, d), "--photo", t.TempDir())
		if got.exit == 0 {
			t.Error("the photo was not written, and the command succeeded")
		}
		one[wire.Outcome](t, got.stdout)
	})
}

// TestReadCannot: what keeps a card from being read ends with a code that
// says what to do.
func TestReadCannot(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	base := []string{"read", "--qr", d.QR, "--wait", "50ms"}
	t.Run("no service", func(t *testing.T) {
		t.Parallel()
		on(t, noService{}, "", base...).failed(t, fault.NoService)
		on(t, noService{}, "", "readers").failed(t, fault.NoService)
	})
	t.Run("no reader", func(t *testing.T) {
		t.Parallel()
		on(t, virtual.New(), "", base...).failed(t, fault.NoReader)
	})
	t.Run("wrong reader", func(t *testing.T) {
		t.Parallel()
		on(t, lay(t, d), "", append(base, "--reader", "Other Reader")...).failed(t, fault.NoReader)
	})
	t.Run("no card", func(t *testing.T) {
		t.Parallel()
		on(t, virtual.New(slot), "", base...).failed(t, fault.NoCard)
	})
	t.Run("card on another reader", func(t *testing.T) {
		t.Parallel()
		on(t, lay(t, d), "", append(base, "--reader", "Empty Reader")...).failed(t, fault.NoCard)
	})
	t.Run("no card before the command's limit", func(t *testing.T) {
		t.Parallel()
		on(t, virtual.New(slot), "", "read", "--qr", d.QR, "--timeout", "50ms").failed(t, fault.NoCard)
	})
	t.Run("card in use", func(t *testing.T) {
		t.Parallel()
		v := lay(t, d)
		card, err := v.Open(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		defer card.Close()
		on(t, v, "", base...).failed(t, fault.ReaderBusy)
	})
	t.Run("wrong key", func(t *testing.T) {
		t.Parallel()
		other := document(t, chip.ProfileCCCD, chip.TamperWrongKey)
		got := on(t, lay(t, d), "", "read", "--json", "--qr", other.QR, "--trust", anchor(t, d))
		got.failed(t, fault.WrongKey)
		if o := one[wire.Outcome](t, got.stdout); o.Verdict != wire.VerdictNotRead || o.Person != nil || o.Fault == nil {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("CAN for a chip without PACE", func(t *testing.T) {
		t.Parallel()
		got := on(t, lay(t, d), "", "read", "--json", "--can", "000001")
		got.failed(t, fault.NoCAN)
		if o := one[wire.Outcome](t, got.stdout); o.Verdict != wire.VerdictNotRead || o.Person != nil {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("CAN for a chip that opens with the MRZ only", func(t *testing.T) {
		t.Parallel()
		zone := variant(t, chip.Variant{PACE: []chip.PACE{{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Version: 2, ParameterID: 13}}, NoCAN: true})
		on(t, lay(t, zone), "", "read", "--json", "--can", "000001").failed(t, fault.NoCAN)
	})
	t.Run("time is up while reading", func(t *testing.T) {
		t.Parallel()
		got := on(t, lay(t, slowly(t, d)), "", "read", "--json", "--qr", d.QR, "--timeout", "100ms")
		got.failed(t, fault.ReaderHung)
		if o := one[wire.Outcome](t, got.stdout); o.Verdict != wire.VerdictNotRead {
			t.Errorf("verdict %s", o.Verdict)
		}
	})
}

// slowly returns the document on a chip that takes its time for every answer.
func slowly(t *testing.T, d *chip.Document) *chip.Document {
	t.Helper()
	p := *d.Personalisation
	p.Fault = func(_ int, _ []byte, next func() []byte) ([]byte, error) {
		time.Sleep(20 * time.Millisecond)
		return next(), nil
	}
	slow := *d
	slow.Personalisation = &p
	return &slow
}

// TestReadTorn takes the card away, and reads it after it was put back.
func TestReadTorn(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	v, trust := lay(t, d), anchor(t, d)
	for _, n := range []int{1, 3, 12, 40} {
		if err := v.Tear(slot, n); err != nil {
			t.Fatal(err)
		}
		got := on(t, v, "", "read", "--json", "--qr", d.QR, "--trust", trust)
		got.failed(t, fault.CardRemoved)
		if o := one[wire.Outcome](t, got.stdout); o.Verdict != wire.VerdictNotRead {
			t.Errorf("after %d exchanges: verdict %s", n, o.Verdict)
		}
		card, err := d.Chip()
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Insert(slot, card); err != nil {
			t.Fatal(err)
		}
		on(t, v, "", "read", "--qr", d.QR, "--trust", trust).succeeded(t)
	}
}

// TestReadTampered: what the demonstration refuses, read refuses too.
func TestReadTampered(t *testing.T) {
	t.Parallel()
	for tamper, want := range map[chip.Tamper]fault.Code{
		chip.TamperDG13: fault.DG13Altered, chip.TamperExpiredDS: fault.SignerExpired,
		chip.TamperUnknownCSCA: fault.IssuerUnknown, chip.TamperClone: fault.ChipCopied,
	} {
		t.Run(string(tamper), func(t *testing.T) {
			t.Parallel()
			d := document(t, chip.ProfileCCCD, tamper)
			got := on(t, lay(t, d), "", "read", "--json", "--qr", d.QR, "--trust", anchor(t, d))
			got.failed(t, want)
			verdict := wire.VerdictRefused
			if want == fault.IssuerUnknown {
				verdict = wire.VerdictUndetermined
			}
			if o := one[wire.Outcome](t, got.stdout); o.Verdict != verdict {
				t.Errorf("verdict %s, want %s", o.Verdict, verdict)
			}
		})
	}
}

// TestReadInput: bad input is told before anything is asked of a reader, also
// on a computer whose smart card service does not run.
func TestReadInput(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	garbage := write("garbage.der", []byte("no certificate"))
	broken := write("broken.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}))
	large := write("large.der", make([]byte, 5<<20))
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	zone := strings.Join(d.MRZ, "\n")
	digit := strings.Replace(zone, "9901", "9902", 1) // its check digit is wrong now
	fields := strings.Split(d.QR, "|")
	without := func(i int) string {
		f := append([]string(nil), fields...)
		f[i] = ""
		return strings.Join(f, "|")
	}
	tests := []struct {
		name string
		want fault.Code
		args []string
	}{
		{"MRZ with a wrong digit", fault.BadMRZ, []string{"--mrz", digit}},
		{"MRZ of one line", fault.BadMRZ, []string{"--mrz", d.MRZ[0]}},
		{"MRZ with a strange character", fault.BadMRZ, []string{"--mrz", strings.ToLower(zone)}},
		{"no MRZ at all", fault.BadMRZ, []string{"--mrz", "hello"}},
		{"QR without number", fault.BadQR, []string{"--qr", without(0)}},
		{"QR without birth date", fault.BadQR, []string{"--qr", without(3)}},
		{"QR that ends early", fault.BadQR, []string{"--qr", strings.Join(fields[:3], "|")}},
		{"QR of something else", fault.BadQR, []string{"--qr", "https://example.org/"}},
		{"QR with a number of eleven digits", fault.BadQR, []string{"--qr", d.QR[1:]}},
		{"endless QR", fault.BadQR, []string{"--qr", strings.Repeat("|", 1<<16)}},
		{"expiry that is no date", fault.Usage, []string{"--qr", d.QR, "--expiry", "soon"}},
		{"short CAN", fault.BadCAN, []string{"--can", "12345"}},
		{"CAN with letters", fault.BadCAN, []string{"--can", "12345a"}},
		{"CAN with other digits", fault.BadCAN, []string{"--can", "１２"}},
		{"no trust file", fault.BadTrust, []string{"--qr", d.QR, "--trust", filepath.Join(dir, "none.der")}},
		{"trust file with garbage", fault.BadTrust, []string{"--qr", d.QR, "--trust", garbage}},
		{"trust file with a broken certificate", fault.BadTrust, []string{"--qr", d.QR, "--trust", broken}},
		{"large trust file", fault.BadTrust, []string{"--qr", d.QR, "--trust", large}},
		{"trust directory without certificates", fault.BadTrust, []string{"--qr", d.QR, "--trust", empty}},
		{"trust directory with a broken certificate", fault.BadTrust, []string{"--qr", d.QR, "--trust", dir}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []reader.Driver{noService{}, virtual.New(slot)} {
				got := on(t, r, "", append([]string{"read"}, tt.args...)...)
				got.failed(t, tt.want)
				if got.stdout != "" {
					t.Errorf("standard output %q", got.stdout)
				}
			}
		})
	}
}

// TestReadTrust loads anchors as administrators keep them.
func TestReadTrust(t *testing.T) {
	t.Parallel()
	d, other := document(t, chip.ProfileCCCD, chip.TamperNone), document(t, chip.ProfilePassportBAC, chip.TamperNone)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.CSCA}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.CSCA})...)
	dir := t.TempDir()
	for name, b := range map[string][]byte{"both.pem": both, "README": []byte("not a certificate"), "other.cer": other.CSCA} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"--trust", dir},
		{"--trust", filepath.Join(dir, "both.pem")},
		{"--trust", filepath.Join(dir, "other.cer"), "--trust", anchor(t, d)},
	} {
		on(t, lay(t, d), "", append([]string{"read", "--qr", d.QR}, args...)...).succeeded(t)
	}
	on(t, lay(t, d), "", "read", "--qr", d.QR, "--trust", filepath.Join(dir, "other.cer")).failed(t, fault.IssuerUnknown)
}

func TestReaders(t *testing.T) {
	t.Parallel()
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	v := lay(t, d)
	got := on(t, v, "", "readers")
	got.succeeded(t)
	for _, s := range []string{"Empty Reader", "empty", slot, "present"} {
		if !strings.Contains(got.stdout, s) {
			t.Errorf("no %q in:\n%s", s, got.stdout)
		}
	}
	got = on(t, v, "", "readers", "--json")
	got.succeeded(t)
	list := one[readerList](t, got.stdout).Readers
	if len(list) != 2 || list[0].State != "present" || !strings.HasPrefix(list[0].ATR, "3b") || list[1].State != "empty" || list[1].ATR != "" {
		t.Errorf("readers %+v", list)
	}
	got = on(t, virtual.New(), "", "readers", "--json")
	got.succeeded(t)
	if one[map[string]json.RawMessage](t, got.stdout)["readers"][0] != '[' {
		t.Errorf("no list: %s", got.stdout)
	}
	got = on(t, virtual.New(), "", "readers")
	got.succeeded(t)
	if !strings.Contains(got.stdout, "no card reader") {
		t.Errorf("got %q", got.stdout)
	}
}

// TestReadInterrupted ends read while it waits for a card.
func TestReadInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	d := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	var out, errs bytes.Buffer
	exit := cli.MainWith(ctx, []string{"read", "--qr", d.QR}, strings.NewReader(""), &out, &errs, &patient{Driver: virtual.New(slot), waits: cancel})
	ended{exit, out.String(), errs.String()}.failed(t, fault.Cancelled)
}

// patient tells when somebody begins to wait.
type patient struct {
	*virtual.Driver
	waits func()
}

func (p *patient) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	p.waits()
	return p.Driver.Wait(ctx, known)
}

// noService is a computer whose smart card service does not run.
type noService struct{}

func (noService) Readers(context.Context) ([]reader.Info, error) { return nil, reader.ErrNoService }

func (noService) Wait(context.Context, []reader.Info) ([]reader.Info, error) {
	return nil, reader.ErrNoService
}

func (noService) Open(context.Context, string) (reader.Card, error) {
	return nil, reader.ErrNoService
}
