package checkin_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, time.November, 22, 9, 0, 0, 123_456_789, time.FixedZone("ICT", 7*3600))

// disk is a recorder that keeps what it was given, or fails.
type disk struct {
	mu      sync.Mutex
	fail    error
	entries []outbox.Entry
}

func (d *disk) Put(ctx context.Context, e outbox.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.entries = append(d.entries, e)
	return nil
}

// insurer answers a lookup.
type insurer func(ctx context.Context, r lookup.Request) (lookup.Answer, error)

func (f insurer) Lookup(ctx context.Context, r lookup.Request) (lookup.Answer, error) {
	return f(ctx, r)
}

var insured = lookup.Answer{Entitlement: contract.Entitlement{
	Source: contract.SourceCentral, Status: contract.StatusValid, Code: "000", AsOf: contract.Timestamp(at), CardNumber: "GD4010100000001",
}}

// paper is a document with what a desk needs to read it.
type paper struct {
	doc    *chip.Document
	access inspect.Access
	pool   *trust.Pool
}

var papers sync.Map

// document returns a document. Documents are shared, because keys take time to
// make: do not change it.
func document(t *testing.T, profile string, tamper chip.Tamper) paper {
	t.Helper()
	build, _ := papers.LoadOrStore(profile+" "+string(tamper), sync.OnceValues(func() (paper, error) {
		d, err := chip.Build(profile, chip.Options{Tamper: tamper, At: at, TearAfter: 30})
		if err != nil {
			return paper{}, err
		}
		m, err := mrz.Parse(strings.Join(d.MRZ, "\n"))
		if err != nil {
			return paper{}, err
		}
		key, err := m.Key()
		if err != nil {
			return paper{}, err
		}
		c, err := cms.ParseCertificate(d.CSCA)
		if err != nil {
			return paper{}, err
		}
		pool := trust.NewPool()
		return paper{d, inspect.Access{Keys: []mrz.Key{key}}, pool}, pool.Add(c, "test")
	}))
	p, err := build.(func() (paper, error))()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p paper) card(t *testing.T) *chip.Chip {
	t.Helper()
	c, err := p.doc.Chip()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func desk(t *testing.T, p paper) (*checkin.Desk, *disk) {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{}
	return &checkin.Desk{
		Facility: "01013", Operator: "desk 1", Signer: key, Trust: p.pool, Recorder: d,
		Lookup: insurer(func(context.Context, lookup.Request) (lookup.Answer, error) { return insured, nil }),
		Nonce: func() (contract.Nonce, bool) {
			return contract.Nonce{Version: contract.Version, ID: "7", Value: make([]byte, 32), IssuedAt: contract.Timestamp(at)}, true
		},
		Clock: func() contract.ClockQuality { return contract.ClockSynchronised },
		Now:   func() time.Time { return at },
	}, d
}

func TestCheckIn(t *testing.T) {
	p := document(t, chip.ProfileCCCD, chip.TamperNone)
	d, disk := desk(t, p)
	var asked lookup.Request
	d.Lookup = insurer(func(_ context.Context, r lookup.Request) (lookup.Answer, error) {
		asked = r
		return insured, nil
	})
	type step struct {
		step inspect.Step
		done bool
	}
	var steps []step
	out, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{Photo: true, Progress: func(e inspect.Event) {
		steps = append(steps, step{e.Step, e.Done})
		if e.Step == checkin.StepRecord && e.Done != (len(disk.entries) == 1) {
			t.Errorf("recorded is said with %d visits on disk", len(disk.entries))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Decision.Outcome != policy.Accept || out.Visit == nil || len(disk.entries) != 1 {
		t.Fatalf("decision %v, %d entries", out.Decision, len(disk.entries))
	}
	if asked.Number != "001099000001" || asked.Name != "Nguyễn Văn Thử" || asked.BirthDate != "1999-01-31" {
		t.Error("the insurer was asked about somebody else")
	}

	// What is on disk is what was signed, and what the caller is told.
	e := disk.entries[0]
	if out.Message.ID != e.ID || out.Message.Subject != e.Subject || !bytes.Equal(out.Message.Payload, e.Payload) {
		t.Error("the caller is told of another message")
	}
	v, err := contract.OpenVisit(e.Subject, e.Header, e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	public, err := d.Signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if v.ID != out.Visit.ID || v.ID != e.ID || v.Agent != public || v.Facility != "01013" || v.Operator != "desk 1" {
		t.Errorf("visit %s of %s", v.ID, v.Facility)
	}
	if !v.Verified || v.Means != contract.MeansChip || v.Clock != contract.ClockSynchronised || !v.StartedAt.Equal(contract.Timestamp(at)) {
		t.Errorf("verified %v, means %s, clock %s, started %v", v.Verified, v.Means, v.Clock, v.StartedAt)
	}
	if v.Evidence.Challenge != v.ExpectedChallenge() || v.Evidence.Nonce == nil || len(v.Evidence.Signature) == 0 || len(v.Evidence.DG15) == 0 {
		t.Error("the evidence is not bound to the visit")
	}
	if got := contract.RNDIFD(out.Report.Evidence.Challenge); got != v.ExpectedChallenge() {
		t.Error("the chip signed another challenge")
	}
	if v.Entitlement.Source != contract.SourceCentral || v.Entitlement.CardNumber != "GD4010100000001" {
		t.Errorf("entitlement %+v", v.Entitlement)
	}
	if strings.Contains(string(e.Payload), p.doc.Person.Residence) || strings.Contains(string(e.Payload), p.doc.Person.Father) {
		t.Error("the visit holds what the insurer must not have")
	}

	// Steps begin and end in turn, the person is asked for before the photo is
	// done, and recording comes last.
	var want []step
	for _, s := range []inspect.Step{
		inspect.StepAccess, inspect.StepSOD, inspect.StepAuthenticity, inspect.StepDG1, inspect.StepDG13, inspect.StepVerify,
		inspect.StepPhoto, checkin.StepEntitlement, checkin.StepRecord,
	} {
		want = append(want, step{s, false}, step{s, true})
	}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v", steps)
	}
}

// TestAskedBeforePhoto: the question to the insurer is under way while the
// photo is still being read.
func TestAskedBeforePhoto(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, _ := desk(t, p)
	asked := make(chan struct{})
	d.Lookup = insurer(func(context.Context, lookup.Request) (lookup.Answer, error) {
		close(asked)
		return insured, nil
	})
	_, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{Photo: true, Progress: func(e inspect.Event) {
		if e.Step == inspect.StepPhoto && !e.Done {
			select {
			case <-asked:
			case <-time.After(30 * time.Second):
				t.Error("nobody was asked before the photo")
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNotRecorded: when the disk says no, nothing is claimed.
func TestNotRecorded(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, disk := desk(t, p)
	disk.fail = errors.New("no space left")
	said := false
	out, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{Progress: func(e inspect.Event) {
		said = said || e.Step == checkin.StepRecord && e.Done
	}})
	if !errors.Is(err, checkin.ErrNotRecorded) || !errors.Is(err, disk.fail) {
		t.Errorf("got %v", err)
	}
	if out.Visit != nil || len(out.Message.Payload) != 0 || out.Message.ID != "" || said {
		t.Error("the outcome has a visit that is not on disk")
	}
	if out.Decision.Outcome == policy.Refuse {
		t.Error("the card is blamed")
	}

	// A visit that the contract refuses is not recorded either.
	d, disk = desk(t, p)
	d.Facility = "not a facility"
	out, err = d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{})
	if !errors.Is(err, checkin.ErrNotRecorded) || out.Visit != nil || len(disk.entries) != 0 {
		t.Errorf("a malformed visit: %v, %d entries", err, len(disk.entries))
	}
}

// TestEntitlementNotKnown: whatever goes wrong with the question, the visit
// is recorded, and says that nobody knows.
func TestEntitlementNotKnown(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	broken := errors.New("lookup: broken")
	slow := insurer(func(ctx context.Context, _ lookup.Request) (lookup.Answer, error) {
		time.Sleep(50 * time.Millisecond) // longer than reading takes
		return lookup.Answer{Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown}, Cause: broken}, ctx.Err()
	})
	tests := []struct {
		name   string
		lookup checkin.Lookuper
		cause  error
	}{
		{"nobody to ask", nil, nil},
		{"failing", insurer(func(context.Context, lookup.Request) (lookup.Answer, error) { return insured, broken }), broken},
		{"slow", slow, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, disk := desk(t, p)
			d.Lookup = tt.lookup
			out, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{})
			if err != nil || len(disk.entries) != 1 {
				t.Fatalf("error %v, %d entries", err, len(disk.entries))
			}
			if e := out.Visit.Entitlement; e.Source != contract.SourceNone || e.Status != contract.StatusUnknown || e.CardNumber != "" {
				t.Errorf("entitlement %+v", e)
			}
			if !errors.Is(out.Answer.Cause, tt.cause) {
				t.Errorf("cause %v, want %v", out.Answer.Cause, tt.cause)
			}
		})
	}
}

// TestFindings: what the insurer holds differently is recorded.
func TestFindings(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, _ := desk(t, p)
	d.Lookup = insurer(func(context.Context, lookup.Request) (lookup.Answer, error) {
		a := insured
		a.Person = &contract.Insured{Number: "001099000001", Name: "Nguyễn Văn Khác", BirthDate: "1999-01-31"}
		return a, nil
	})
	out, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Visit.Entitlement.Findings, []contract.Finding{contract.NameDiffers}) {
		t.Errorf("findings %q", out.Visit.Entitlement.Findings)
	}
	if len(insured.Entitlement.Findings) != 0 {
		t.Error("the answer was changed")
	}
}

func TestVariants(t *testing.T) {
	tests := []struct {
		name, profile string
		tamper        chip.Tamper
		change        func(*checkin.Desk)
		check         func(t *testing.T, v *contract.Visit, out *checkin.Outcome)
	}{
		{
			"no nonce yet", chip.ProfileCCCD, chip.TamperNone,
			func(d *checkin.Desk) { d.Nonce = func() (contract.Nonce, bool) { return contract.Nonce{}, false } },
			func(t *testing.T, v *contract.Visit, _ *checkin.Outcome) {
				if v.Evidence.Nonce != nil || v.Evidence.Challenge != v.ExpectedChallenge() || len(v.Evidence.Signature) == 0 {
					t.Error("not bound to the visit")
				}
			},
		},
		{
			"no source of nonces", chip.ProfileCCCD, chip.TamperNone, func(d *checkin.Desk) { d.Nonce, d.Clock = nil, nil },
			func(t *testing.T, v *contract.Visit, _ *checkin.Outcome) {
				if v.Evidence.Nonce != nil || v.Clock != contract.ClockUnknown {
					t.Errorf("nonce %v, clock %s", v.Evidence.Nonce, v.Clock)
				}
			},
		},
		{
			"chip that cannot prove itself", chip.ProfileCCCDNoAA, chip.TamperNone, nil,
			func(t *testing.T, v *contract.Visit, out *checkin.Outcome) {
				if out.Decision.Outcome != policy.Warn || !v.Verified {
					t.Errorf("decision %v, verified %v", out.Decision.Outcome, v.Verified)
				}
				if v.Evidence.DG15 != nil || v.Evidence.Signature != nil || v.Evidence.DG14 != nil {
					t.Error("evidence of a proof that was not made")
				}
			},
		},
		{
			"foreign passport", chip.ProfilePassportBAC, chip.TamperNone,
			func(d *checkin.Desk) {
				d.Lookup = insurer(func(_ context.Context, r lookup.Request) (lookup.Answer, error) {
					if r.Number != "" {
						return insured, nil
					}
					return lookup.Answer{}, lookup.ErrInvalid
				})
			},
			func(t *testing.T, v *contract.Visit, out *checkin.Outcome) {
				p := v.Person
				if p.Number != "" || p.DocumentNumber != "T0000008" || p.Nationality != "UTO" || p.Name != "MUSTER TESTA" || p.Expiry != "2031-08-09" {
					t.Error("not the passport's holder")
				}
				if v.Entitlement.Source != contract.SourceNone || !errors.Is(out.Answer.Cause, lookup.ErrInvalid) {
					t.Errorf("entitlement from %s", v.Entitlement.Source)
				}
				if len(v.Evidence.DG14) == 0 || len(v.Evidence.Signature) == 0 {
					t.Error("DG14 names the algorithm of the signature and is missing")
				}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := document(t, tt.profile, tt.tamper)
			d, disk := desk(t, p)
			if tt.change != nil {
				tt.change(d)
			}
			out, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{Photo: true})
			if err != nil || len(disk.entries) != 1 {
				t.Fatalf("error %v, %d entries", err, len(disk.entries))
			}
			v, err := contract.DecodeVisit(disk.entries[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			tt.check(t, &v, out)
		})
	}
}

// TestRefused: no tampered document is recorded, and nobody is asked about a
// person that is not verified.
func TestRefused(t *testing.T) {
	for _, k := range chip.Tampers() {
		t.Run(string(k.Kind), func(t *testing.T) {
			profile := chip.ProfileCCCD
			if k.Kind == chip.TamperCardSecurity {
				profile = chip.ProfilePassportPACECAM // the one that has it
			}
			p := document(t, profile, k.Kind)
			d, disk := desk(t, p)
			asked := make(chan struct{}, 1)
			d.Lookup = insurer(func(context.Context, lookup.Request) (lookup.Answer, error) {
				asked <- struct{}{}
				return insured, nil
			})
			out, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{Photo: true})
			if err == nil || errors.Is(err, checkin.ErrNotRecorded) {
				t.Errorf("error %v", err)
			}
			if out.Visit != nil || len(out.Message.Payload) != 0 || len(disk.entries) != 0 || out.Answer.Entitlement.CardNumber != "" {
				t.Error("there is a visit")
			}
			if out.Report == nil || out.Decision.Outcome != policy.Refuse {
				t.Errorf("decision %v", out.Decision)
			}
			// Of a card that leaves during the photo nobody knows yet that it leaves.
			if len(asked) > 0 && k.Kind != chip.TamperTorn {
				t.Error("the insurer was asked")
			}
		})
	}
}

func TestPolicyOfTheSite(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, disk := desk(t, p)
	d.Policy = policy.Policy{RequireChipAuthenticity: true}
	_, err := d.CheckIn(t.Context(), p.card(t), p.access, checkin.Options{})
	if c, ok := errors.AsType[*inspect.CheckError](err); !ok || c.ID != inspect.ChipAuthenticity || len(disk.entries) != 0 {
		t.Errorf("got %v, %d entries", err, len(disk.entries))
	}
}

// blockedPACE refuses MSE:Set AT of PACE, as somebody in between can.
type blockedPACE struct{ *chip.Chip }

func (c blockedPACE) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if len(cmd) > 3 && cmd[1] == 0x22 && cmd[2] == 0xC1 {
		return []byte{0x6A, 0x80}, nil
	}
	return c.Chip.Transmit(ctx, cmd)
}

func (c blockedPACE) Reset(context.Context) error {
	c.Chip.Reset()
	return nil
}

// Basic access control after PACE failed is a decision of the site, and told.
func TestBACAfterFailedPACE(t *testing.T) {
	p := document(t, chip.ProfileCCCDPACE, chip.TamperNone)
	d, disk := desk(t, p)
	out, err := d.CheckIn(t.Context(), blockedPACE{p.card(t)}, p.access, checkin.Options{})
	if !errors.Is(err, inspect.ErrAccess) || out.Decision.Outcome != policy.Refuse || len(disk.entries) != 0 {
		t.Errorf("not allowed: %v, %v", out.Decision, err)
	}
	d.Policy.AllowBAC = true
	out, err = d.CheckIn(t.Context(), blockedPACE{p.card(t)}, p.access, checkin.Options{})
	if err != nil || out.Decision.Outcome != policy.Warn || len(disk.entries) != 1 {
		t.Fatalf("allowed: %v, %v", out.Decision, err)
	}
	r := checkin.EncodeReport(out.Report, out.Decision)
	if !slices.Contains(r.Reasons, "warn: access_control successful (pace_failed)") || !slices.Contains(r.Deviations, "PACE failed, BAC used") || r.Access != "BAC 3DES" {
		t.Errorf("reasons %q, deviations %q, access %q", r.Reasons, r.Deviations, r.Access)
	}
	if !slices.ContainsFunc(out.Visit.Checks, func(c contract.Check) bool {
		return c.ID == string(inspect.AccessControl) && c.Reason == string(inspect.ReasonPACEFailed)
	}) {
		t.Error("the visit does not tell how the chip was opened")
	}
}

// TestCancelled ends the context at every exchange, and at every step after
// the card: nothing is recorded, the cause is visible, no goroutine stays.
func TestCancelled(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, disk := desk(t, p)
	d.Lookup = insurer(func(ctx context.Context, _ lookup.Request) (lookup.Answer, error) {
		<-ctx.Done()
		return lookup.Answer{}, ctx.Err()
	})
	card := p.card(t)
	for n := 0; n < 60; n += 4 {
		ctx, cancel := context.WithCancel(t.Context())
		card.Reset()
		out, err := d.CheckIn(ctx, &counting{card, n, cancel}, p.access, checkin.Options{Photo: true})
		cancel()
		if !errors.Is(err, context.Canceled) || out.Visit != nil || len(disk.entries) != 0 {
			t.Fatalf("after %d exchanges: %v, %d entries", n, err, len(disk.entries))
		}
	}
	for _, step := range []inspect.Step{checkin.StepEntitlement, checkin.StepRecord} {
		ctx, cancel := context.WithCancel(t.Context())
		if step == checkin.StepRecord {
			d.Lookup = nil
		}
		card.Reset()
		out, err := d.CheckIn(ctx, card, p.access, checkin.Options{Progress: func(e inspect.Event) {
			if e.Step == step {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) || !errors.Is(err, checkin.ErrNotRecorded) || out.Visit != nil || len(disk.entries) != 0 {
			t.Errorf("%s: %v, %d entries", step, err, len(disk.entries))
		}
	}
}

// TestTornAfterTheQuestion: a card that leaves during the photo leaves no
// question behind that anybody waits for.
func TestTornAfterTheQuestion(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, disk := desk(t, p)
	ended := make(chan error, 1)
	d.Lookup = insurer(func(ctx context.Context, _ lookup.Request) (lookup.Answer, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return lookup.Answer{}, ctx.Err()
	})
	gone := errors.New("card gone")
	photo := false
	card := p.card(t)
	_, err := d.CheckIn(t.Context(), transmit(func(ctx context.Context, cmd []byte) ([]byte, error) {
		if photo {
			return nil, gone
		}
		return card.Transmit(ctx, cmd)
	}), p.access, checkin.Options{Photo: true, Progress: func(e inspect.Event) { photo = photo || e.Step == inspect.StepPhoto }})
	if !errors.Is(err, gone) || len(disk.entries) != 0 {
		t.Errorf("got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the question goes on")
	}
}

type transmit func(context.Context, []byte) ([]byte, error)

func (f transmit) Transmit(ctx context.Context, cmd []byte) ([]byte, error) { return f(ctx, cmd) }

// counting calls a function after some exchanges.
type counting struct {
	apdu.Transceiver
	left int
	then func()
}

func (c *counting) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if c.left == 0 {
		c.then()
	}
	c.left--
	return c.Transceiver.Transmit(ctx, cmd)
}

// TestInspection: what was refused, was never inspected, or was recorded before is not
// recorded, by whatever way.
func TestInspection(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	d, disk := desk(t, p)
	in, err := d.Inspect(t.Context(), p.card(t), p.access, checkin.Options{})
	if err != nil || in.Visit != nil || len(disk.entries) != 0 {
		t.Fatalf("inspected: %v, %d entries", err, len(disk.entries))
	}
	if err := in.Record(t.Context(), "lan", nil); err != nil || len(disk.entries) != 1 || in.Visit.Operator != "lan" {
		t.Fatalf("recorded: %v, %d entries", err, len(disk.entries))
	}
	if err := in.Record(t.Context(), "lan", nil); !errors.Is(err, checkin.ErrNotRecorded) || len(disk.entries) != 1 {
		t.Errorf("twice: %v, %d entries", err, len(disk.entries))
	}
	if err := new(checkin.Inspection).Record(t.Context(), "lan", nil); !errors.Is(err, checkin.ErrNotRecorded) {
		t.Errorf("nothing: %v", err)
	}

	// The policy became stricter between the two.
	in, err = d.Inspect(t.Context(), p.card(t), p.access, checkin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.Policy.RequireChipAuthenticity = true
	if err := in.Record(t.Context(), "lan", nil); err == nil || len(disk.entries) != 1 {
		t.Errorf("refused meanwhile: %v, %d entries", err, len(disk.entries))
	}
	in, err = d.Inspect(t.Context(), p.card(t), p.access, checkin.Options{})
	if err == nil {
		t.Fatal("accepted")
	}
	d.Policy.RequireChipAuthenticity = false
	if err := in.Record(t.Context(), "lan", nil); !errors.Is(err, checkin.ErrNotRecorded) || len(disk.entries) != 1 {
		t.Errorf("accepted meanwhile: %v, %d entries", err, len(disk.entries))
	}

	// Without a chip there is nothing to verify, and a chip is no claim.
	who := contract.Person{Name: "Trần Thị Mẫu", BirthDate: "2001"}
	claim, err := d.Claim(t.Context(), checkin.Claim{Means: contract.MeansManual, Person: who}, checkin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.Policy.Refused.Manual = true
	if err := claim.Record(t.Context(), "lan", nil); !errors.Is(err, policy.ErrMeans) || len(disk.entries) != 1 {
		t.Errorf("refused meanwhile: %v", err)
	}
	claim, err = d.Claim(t.Context(), checkin.Claim{Means: contract.MeansChip, Person: who}, checkin.Options{})
	if err == nil {
		t.Error("a chip that nobody read")
	}
	if err := claim.Record(t.Context(), "lan", nil); !errors.Is(err, checkin.ErrNotRecorded) || len(disk.entries) != 1 {
		t.Errorf("a chip that nobody read: %v, %d entries", err, len(disk.entries))
	}
}
