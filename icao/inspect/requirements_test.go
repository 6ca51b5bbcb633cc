package inspect_test

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// The tests of this file are named by what users of such readers suffer from and
// what we require of ours: R1 to R21. Those that do not concern the chip are
// tested where they belong: R14 beside the inspection's own tests, and R19 by that
// name with the readers, in package reader.

// gm is generic mapping with AES-128 on P-256.
var gm = paceOf(ecdhGM, 2, 12)

const reopenedOnce = "the channel was lost, the chip was reset and opened anew"

// A PACE that fails is no permission for BAC; with permission, the chip is reset
// first and the report says why.
func TestR1PACEFailureIsNoPermissionForBAC(t *testing.T) {
	refuse := func(cmd, resp []byte) []byte {
		if cmd[1] == insMSE && cmd[2] == 0xC1 {
			return []byte{0x6A, 0x80}
		}
		return resp
	}
	for _, permitted := range []bool{false, true} {
		t.Run(fmt.Sprintf("permitted %t", permitted), func(t *testing.T) {
			v := chip.Variant{PACE: []chip.PACE{gm}, Quirks: chip.Quirks{FailedPACELocks: true}}
			d := variant(t, v)
			c, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			term := &terminal{chip: c, answer: refuse}
			r, err := inspect.Run(t.Context(), resettable{term}, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), FallBackToBAC: permitted})
			if !permitted {
				wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
				if n := term.count(insExternalAuthenticate); n != 0 || term.resets != 0 {
					t.Errorf("%d EXTERNAL AUTHENTICATE, %d resets", n, term.resets)
				}
				return
			}
			if err != nil || r.Access != "BAC 3DES" || term.resets != 1 || !slices.Equal(r.Deviations, []string{"PACE failed, BAC used"}) {
				t.Errorf("opened by %q after %d resets, deviations %q: %v", r.Access, term.resets, r.Deviations, err)
			}
			if c := r.Check(inspect.AccessControl); c.Value != result.Successful || c.Reason != inspect.ReasonPACEFailed {
				t.Errorf("access control: %v", c)
			}
		})
	}
}

// Whatever a chip answers to SELECT of the master file, by either form: it is no
// reason not to read it, nor to overlook its EF.CardAccess.
func TestR2RefusedMasterFileIsNoError(t *testing.T) {
	statuses := []apdu.Status{
		apdu.InstructionNotSupported, apdu.ConditionsNotSatisfied, apdu.IncorrectP1P2, apdu.WrongLength,
		apdu.SecurityStatusNotSatisfied, apdu.FileNotFound, apdu.ClassNotSupported, apdu.WrongData, apdu.FunctionNotSupported,
	}
	changes := map[string]func(*chip.Variant, apdu.Status){
		"in every form":         func(v *chip.Variant, sw apdu.Status) { v.SelectMF = sw },
		"by identifier":         func(v *chip.Variant, sw apdu.Status) { v.Quirks.SelectMFByID = sw },
		"bare":                  func(v *chip.Variant, sw apdu.Status) { v.Quirks.SelectMFBare = sw },
		"and short identifiers": func(v *chip.Variant, sw apdu.Status) { v.SelectMF, v.Quirks.NoShortID = sw, apdu.IncorrectP1P2 },
		"and SELECT of files":   func(v *chip.Variant, sw apdu.Status) { v.SelectMF, v.Quirks.NoSelectEF = sw, apdu.FunctionNotSupported },
		"bare, and short identifiers with 6A82": func(v *chip.Variant, sw apdu.Status) {
			v.Quirks.SelectMFBare, v.Quirks.NoShortID = sw, apdu.FileNotFound
		},
	}
	for name, change := range changes {
		for _, sw := range statuses {
			for _, offers := range [][]chip.PACE{nil, {gm}} {
				t.Run(fmt.Sprintf("%s %04X PACE %d", name, uint16(sw), len(offers)), func(t *testing.T) {
					v := chip.Variant{PACE: offers}
					change(&v, sw)
					accepted(t, v, variant(t, v), tap{})
				})
			}
		}
	}
}

// Chips and readers that carry less than is asked for, and say so in every way
// that was seen; and what they say at the end of a file. Full product.
func TestR3LengthIsAdapted(t *testing.T) {
	overs := []apdu.Status{0, apdu.WrongLength, apdu.EndOfFile, apdu.WrongP1P2, 0x6C00}
	ends := []apdu.Status{0, apdu.OK, apdu.WrongP1P2, apdu.WrongLength, 0x6C00}
	for _, limit := range []int{0, 231, 192, 112} {
		for _, over := range overs {
			for _, end := range ends {
				for _, pad := range []bool{false, true} {
					v := chip.Variant{
						Limits:   chip.Limits{Plain: limit, Protected: limit, OverLimit: over, ShortEnd: end},
						Quirks:   chip.Quirks{PadPastEnd: pad, RefuseLe00: pad},
						Portrait: chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 1500},
					}
					if limit == 0 && over != 0 {
						continue
					}
					t.Run(fmt.Sprintf("%d bytes, else %04X, end %04X, padded %t", limit, uint16(over), uint16(end), pad), func(t *testing.T) {
						accepted(t, v, variant(t, v), tap{})
					})
				}
			}
		}
	}
}

// The same before there is a channel, with 6Cxx too.
func TestR3LengthIsAdaptedInClear(t *testing.T) {
	for _, over := range []apdu.Status{0, apdu.WrongLength, apdu.EndOfFile, apdu.WrongP1P2, 0x6C00} {
		t.Run(fmt.Sprintf("%04X", uint16(over)), func(t *testing.T) {
			v := chip.Variant{
				PACE: []chip.PACE{gm, paceOf(ecdhGM, 4, 16), paceOf(ecdhIM, 2, 13)}, NoBAC: true,
				Limits: chip.Limits{Plain: 48, OverLimit: over},
			}
			accepted(t, v, variant(t, v), tap{})
		})
	}
}

// A chip that has no length for "as much as there is" under secure messaging is never
// asked so, in short length and in extended.
func TestR3Le00IsNeverAskedFor(t *testing.T) {
	for name, maxNe := range map[string]int{"short": 0, "extended": 65536} {
		for access, offers := range map[string][]chip.PACE{"BAC": nil, "PACE": {gm}} {
			t.Run(name+" "+access, func(t *testing.T) {
				v := chip.Variant{
					PACE: offers, ATRInfo: true, Limits: buffered, Quirks: chip.Quirks{RefuseLe00: true},
					Portrait: chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 9000},
				}
				refusals := 0
				accepted(t, v, variant(t, v), tap{
					change: func(c *inspect.Config) { c.MaxNe = maxNe },
					through: func(c *chip.Chip) *terminal {
						return &terminal{chip: c, answer: func(cmd, resp []byte) []byte {
							if cmd[0]&0x0C != 0 && slices.Equal(resp[len(resp)-2:], []byte{0x67, 0x00}) {
								refusals++
							}
							return resp
						}}
					},
				})
				if refusals > 0 {
					t.Errorf("%d commands refused for their length", refusals)
				}
			})
		}
	}
}

// Past 32,767 the even instruction has no offset: the odd one takes over there, and
// not before.
func TestR3OddInstructionPast32767(t *testing.T) {
	const evenRead, oddRead = 0xB0, 0xB1
	for name, maxNe := range map[string]int{"short": 0, "extended": 65536} {
		t.Run(name, func(t *testing.T) {
			v := chip.Variant{ATRInfo: true, Limits: buffered, Portrait: chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 70_000}}
			var term *terminal
			accepted(t, v, variant(t, v), tap{
				change: func(c *inspect.Config) { c.MaxNe = maxNe },
				through: func(c *chip.Chip) *terminal {
					term = &terminal{chip: c}
					return term
				},
				report: func(t *testing.T, r *inspect.Report) {
					if len(r.Photo.Data) != 70_000 {
						t.Errorf("a picture of %d bytes", len(r.Photo.Data))
					}
				},
			})
			first, even, odd := slices.Index(term.sent, oddRead), term.count(evenRead), term.count(oddRead)
			if first < 0 || odd < even/3 || slices.Contains(term.sent[first:], evenRead) {
				t.Errorf("%d even and %d odd READ BINARY, the first odd one at %d of %d", even, odd, first, len(term.sent))
			}
		})
	}
}

// An error status in clear ends secure messaging, or not, with the counter
// advanced or not: the chip is opened anew and reading goes on where it stopped.
func TestR4NakedStatusIsSurvived(t *testing.T) {
	for name, naked := range map[string]chip.Naked{"ends": chip.NakedEnds, "counted": chip.NakedCounted, "ignored": chip.NakedIgnored} {
		for access, offers := range map[string][]chip.PACE{"BAC": nil, "PACE": {gm}} {
			t.Run(name+" "+access, func(t *testing.T) {
				v := chip.Variant{
					PACE: offers, AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}},
					Limits:   chip.Limits{Plain: 192, Protected: 192, OverLimit: apdu.WrongLength},
					Quirks:   chip.Quirks{Naked: naked},
					Portrait: chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 3000},
				}
				accepted(t, v, variant(t, v), tap{deviations: []string{reopenedOnce}})
			})
		}
	}
}

// Commands without response data carry no Le: chips refuse it with 6700.
func TestR5NoLeWithoutResponse(t *testing.T) {
	p256 := chip.KeyKind{Curve: "P-256"}
	for name, v := range map[string]chip.Variant{
		"PACE":                         {PACE: []chip.PACE{gm}},
		"chip authentication, Set AT":  {CA: []chip.CAKey{{Protocol: caProtocol(12, 2), Kind: p256}}},
		"chip authentication, Set KAT": {CA: []chip.CAKey{{Protocol: caProtocol(12, 1), Kind: p256}}},
		"both":                         {PACE: []chip.PACE{gm}, CA: []chip.CAKey{{Protocol: caProtocol(12, 4), Kind: p256}}},
	} {
		t.Run(name, func(t *testing.T) {
			v.Quirks.RefuseLe = true
			accepted(t, v, variant(t, v), tap{})
		})
	}
}

// Signatures of active authentication come whole, in pieces, or only for one kind
// of length; one that the chip always cuts off is a failure and no crash.
func TestR6LengthOfActiveAuthentication(t *testing.T) {
	big, small := &chip.AAKey{Kind: chip.KeyKind{Bits: 3072}}, &chip.AAKey{Kind: chip.KeyKind{Bits: 2048}}
	inPieces, whole := chip.Limits{GetResponse: true}, chip.Limits{Extended: true}
	for name, v := range map[string]chip.Variant{
		"in pieces (61xx)":                          {AA: small, Limits: inPieces},
		"3072 bits in pieces":                       {AA: big, Limits: inPieces},
		"extended length only":                      {AA: big, Limits: whole},
		"nothing for an extended length":            {AA: small, Limits: buffered, Quirks: chip.Quirks{AAEmptyExtended: true}},
		"nothing for an extended length, 3072 bits": {AA: big, Limits: buffered, Quirks: chip.Quirks{AAEmptyExtended: true}},
	} {
		t.Run(name, func(t *testing.T) { accepted(t, v, variant(t, v), tap{}) })
	}
	t.Run("231 bytes whatever is asked for", func(t *testing.T) {
		v := chip.Variant{AA: small, Limits: buffered, Quirks: chip.Quirks{AATruncate: 231}}
		accepted(t, v, variant(t, v), tap{except: map[inspect.ID]result.Value{inspect.ActiveAuthentication: bad, inspect.ChipAuthenticity: bad}})
	})
}

// The domain parameters are named (DO'84') where the chip offers several or
// insists on it.
func TestR7DomainParametersAreNamed(t *testing.T) {
	other := paceOf(ecdhGM, 4, 16)
	for name, v := range map[string]chip.Variant{
		"insists, 6A80":  {PACE: []chip.PACE{gm}, Quirks: chip.Quirks{PACEReference: apdu.WrongData}},
		"insists, 6A88":  {PACE: []chip.PACE{gm}, Quirks: chip.Quirks{PACEReference: apdu.ReferencedDataNotFound}},
		"two curves":     {PACE: []chip.PACE{gm, other}},
		"two, reversed":  {PACE: []chip.PACE{other, gm}},
		"curve and DH":   {PACE: []chip.PACE{paceOf(dhGM, 2, 1), gm}, Limits: buffered},
		"same mapping":   {PACE: []chip.PACE{paceOf(ecdhGM, 2, 13), gm}},
		"all groups, IM": {PACE: []chip.PACE{paceOf(ecdhIM, 2, 9), paceOf(ecdhIM, 2, 13), paceOf(ecdhIM, 2, 17)}},
	} {
		t.Run(name, func(t *testing.T) {
			v.NoBAC = true
			accepted(t, v, variant(t, v), tap{})
		})
	}
}

// A shared secret of chip authentication begins with a zero once in 256 taps.
// (Everything that the chip draws: TestMatrixLeadingZeros.)
func TestR8LeadingZerosInChipAuthentication(t *testing.T) {
	t.Run("curve", func(t *testing.T) {
		v := chip.Variant{CA: []chip.CAKey{{Protocol: caProtocol(13, 2), Kind: caKind(13)}}}
		d := variant(t, v)
		curve := ec.ByName("brainpoolP256r1")
		found := make(map[string][]byte) // private keys by what is short with them
		for i := 1; len(found) < 3; i++ {
			scalar := big.NewInt(int64(i)).FillBytes(make([]byte, curve.OrderSize()))
			key, err := curve.NewPrivateKey(scalar)
			if err != nil {
				t.Fatal(err)
			}
			secret, err := key.ECDH(d.Personalisation.ChipAuthentication.Key.EC.Public())
			if err != nil {
				t.Fatal(err)
			}
			for what, b := range map[string][]byte{"x": key.Public().X(), "y": key.Public().Y(), "secret": secret} {
				if b[0] == 0 {
					found[what] = scalar
				}
			}
		}
		for what, scalar := range found {
			t.Run(what, func(t *testing.T) { accepted(t, v, d, tap{change: draws(scalar)}) })
		}
	})
	t.Run("prime", func(t *testing.T) {
		v := chip.Variant{CA: []chip.CAKey{{Protocol: caProtocol(1, 2), Kind: chip.KeyKind{Group: 1}, PKCS3: true}}, Limits: buffered}
		d := variant(t, v)
		static := d.Personalisation.ChipAuthentication.Key.DH
		group := static.Group()
		for i := int64(4096); ; i++ {
			private := big.NewInt(i).FillBytes(make([]byte, group.OrderSize()))
			secret, err := group.Power(static.Public(), private)
			if err != nil {
				t.Fatal(err)
			}
			public, err := group.Power(nil, private)
			if err != nil {
				t.Fatal(err)
			}
			if secret[0] == 0 && public[0] != 0 {
				accepted(t, v, d, tap{change: draws(private)})
				return
			}
		}
	})
}

// draws has the terminal draw RND.IFD and K.IFD of basic access control, then the
// private key given, and then anything.
func draws(private []byte) func(*inspect.Config) {
	return func(c *inspect.Config) {
		c.Rand = io.MultiReader(io.LimitReader(stream("BAC"), 8+16), &exactly{b: private}, stream("more"))
	}
}

// exactly is a reader of a few bytes.
type exactly struct{ b []byte }

func (e *exactly) Read(p []byte) (int, error) {
	if len(e.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.b)
	e.b = e.b[n:]
	return n, nil
}

// Documents that offer nothing but integrated mapping, or PACE modulo a prime.
func TestR9OnlyIntegratedMappingOrPrime(t *testing.T) {
	for _, p := range []chip.PACE{paceOf(ecdhIM, 2, 12), paceOf(ecdhIM, 4, 13), paceOf(dhIM, 2, 2), paceOf(dhGM, 2, 0), paceOf(dhGM, 4, 2), paceOf(ecdhCAM, 2, 13)} {
		t.Run(fmt.Sprintf("%s %d", mappings[arcOf(p)], p.ParameterID), func(t *testing.T) {
			v := chip.Variant{PACE: []chip.PACE{p}, NoBAC: true, NoCAN: true, Limits: buffered}
			accepted(t, v, variant(t, v), tap{})
		})
	}
}

// The card access number and the MRZ both open a chip, alone and together.
func TestR10CardAccessNumber(t *testing.T) {
	v := chip.Variant{PACE: []chip.PACE{gm}, CAN: "271828", NoBAC: true}
	t.Run("number", func(t *testing.T) { accepted(t, v, variant(t, v), tap{byCAN: true}) })
	t.Run("zone", func(t *testing.T) { accepted(t, v, variant(t, v), tap{}) })
	t.Run("number only", func(t *testing.T) {
		v := v
		v.NoPACEByMRZ = true
		accepted(t, v, variant(t, v), tap{byCAN: true})
	})
	t.Run("both, and the chip knows no number", func(t *testing.T) {
		v := v
		v.NoCAN = true
		d := variant(t, v)
		c, err := d.Chip()
		if err != nil {
			t.Fatal(err)
		}
		a := access(t, d)
		a.CAN = "271828"
		r, err := inspect.Run(t.Context(), c, a, &inspect.Config{At: at, Trust: pool(t, d.CSCA)})
		if err != nil || r.Key != 0 || r.Err(inspect.GenuineIDs()...) != nil {
			t.Errorf("opened by key %d: %v, %v", r.Key, err, r.Err(inspect.GenuineIDs()...))
		}
	})
}

// What departs from DER and can be understood is read, and recorded.
func TestR11TolerantOfEncodings(t *testing.T) {
	t.Run("indefinite lengths in EF.SOD", func(t *testing.T) {
		v := chip.Variant{SOD: issuer.SODOptions{CMSOptions: issuer.CMSOptions{Indefinite: true}}}
		accepted(t, v, variant(t, v), tap{deviations: []string{"ber_indefinite_length", "ber_constructed_octet_string"}})
	})
	t.Run("PACEInfo of two elements", func(t *testing.T) {
		// No parameters are named, so BAC it is.
		v := chip.Variant{PACE: []chip.PACE{gm}, NoParameterID: true}
		accepted(t, v, variant(t, v), tap{
			deviations: []string{"pace_info_without_parameter_id", "PACE is offered in no supported variant, BAC used", "pace_info_without_parameter_id"},
			report: func(t *testing.T, r *inspect.Report) {
				if r.Access != "BAC 3DES" {
					t.Errorf("opened by %q", r.Access)
				}
			},
		})
	})
	// The offer of brainpoolP256r1, encoded in other ways than the standard's.
	for name, content := range map[string]string{
		"length in more bytes than needed": "31 8114 30 12 060a04007f00070202040202 020102 02010d",
		"zero bytes behind":                "31 14 30 12 060a04007f00070202040202 020102 02010d 0000",
		"another version of an info":       "31 14 30 12 060a04007f00070202040202 020101 02010d",
		"an info that nobody knows":        "31 1b 30 12 060a04007f00070202040202 020102 02010d 3005 06032a0304",
	} {
		t.Run(name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDPACE)
			for i, f := range d.Personalisation.MasterFiles {
				if f.ID == 0x011C {
					d.Personalisation.MasterFiles[i].Content = unhex(t, content)
				}
			}
			r, err := d.Inspect(t)
			if err != nil || !r.TextVerified() {
				t.Errorf("opened by %q: %v, %v", r.Access, err, r.Err())
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	var digits []rune
	for _, c := range s {
		if c != ' ' {
			digits = append(digits, c)
		}
	}
	b, err := hex.DecodeString(string(digits))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Chip authentication comes before personal data. (Its variants:
// TestMatrixChipAuthentication and TestMatrixChipAuthenticationForms.)
func TestR12ChipAuthenticationBeforePersonalData(t *testing.T) {
	for _, c := range []int{1, 2} { // by MSE:Set KAT, and by MSE:Set AT
		v := chip.Variant{CA: []chip.CAKey{{Protocol: caProtocol(12, c), Kind: chip.KeyKind{Curve: "P-256"}}}}
		var sent [][]byte // headers: a protected one shows instruction and file
		accepted(t, v, variant(t, v), tap{through: func(c *chip.Chip) *terminal {
			return &terminal{chip: c, answer: func(cmd, resp []byte) []byte {
				sent = append(sent, slices.Clone(cmd[:4]))
				return resp
			}}
		}})
		proven := slices.IndexFunc(sent, func(h []byte) bool { return h[1] == insMSE })
		for _, dg := range []byte{1, 2} {
			read := slices.IndexFunc(sent, func(h []byte) bool { return h[1] == 0xB0 && h[2] == 0x80|dg })
			if proven < 0 || read < proven {
				t.Errorf("%s: DG%d by command %d, chip authentication by %d", ciphers[c], dg, read, proven)
			}
		}
	}
}

// flaky loses one exchange; only a reset brings the chip back.
type flaky struct {
	*terminal
	lose int // number of the exchange that is lost, from 0
	lost bool
}

var errLost = errors.New("lost")

func (f *flaky) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if f.lost {
		return nil, errLost
	}
	if len(f.sent) == f.lose {
		f.sent = append(f.sent, 0)
		f.lost = true
		return nil, errLost
	}
	return f.terminal.Transmit(ctx, cmd)
}

func (f *flaky) Reset(context.Context) error {
	f.lost = false
	f.chip.Reset()
	return nil
}

// An exchange that is lost, at any point, is made up for after a reset; what was
// read before is not read again.
func TestR13TornAndResumed(t *testing.T) {
	for name, v := range map[string]chip.Variant{
		"BAC":  {AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}}, Portrait: chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 4000}},
		"PACE": {PACE: []chip.PACE{gm}, AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}}, Portrait: chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 4000}},
	} {
		t.Run(name, func(t *testing.T) {
			d := variant(t, v)
			run := func(lose int) (*inspect.Report, error) {
				c, err := d.Chip()
				if err != nil {
					t.Fatal(err)
				}
				return inspect.Run(t.Context(), &flaky{terminal: &terminal{chip: c}, lose: lose}, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true})
			}
			whole, err := run(-1)
			if err != nil {
				t.Fatal(err)
			}
			resumed := 0
			for n := range whole.Exchanges {
				r, err := run(n)
				if e, is := errors.AsType[*inspect.StepError](err); is && e.Step == inspect.StepAccess {
					continue // nothing is won by then
				}
				if err != nil || r.Err() != nil || r.Photo == nil {
					t.Errorf("exchange %d: %v, %v", n, err, r.Err())
					continue
				}
				resumed++
				// The access protocol, one exchange lost, and one to find the file again.
				if more := r.Exchanges - whole.Exchanges; more > 12 {
					t.Errorf("exchange %d: %d exchanges more", n, more)
				}
				if !slices.Equal(r.Deviations, []string{reopenedOnce}) {
					t.Errorf("exchange %d: deviations %q", n, r.Deviations)
				}
			}
			if resumed < whole.Exchanges/2 {
				t.Errorf("%d of %d exchanges were made up for", resumed, whole.Exchanges)
			}
		})
	}
}

// A picture that cannot be shown never fails the read, and its hash counts
// whatever it is.
func TestR15PictureNeverFailsTheRead(t *testing.T) {
	jp2 := append([]byte{0, 0, 0, 0x0C, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A}, make([]byte, 300)...)
	for name, p := range map[string]chip.Portrait{
		"JPEG 2000":                 {Image: jp2, Width: 10, Height: 10, JPEG2000: true},
		"JPEG 2000 called JPEG":     {Image: jp2, Width: 10, Height: 10},
		"JPEG called JPEG 2000":     {Image: thumbnail(), Width: 8, Height: 8, JPEG2000: true},
		"bytes behind the picture":  {Image: thumbnail(), Width: 8, Height: 8, Size: 5000},
		"a record of the new kind":  {Image: thumbnail(), Width: 8, Height: 8, ISO39794: true},
		"JPEG 2000 in the new kind": {Image: jp2, Width: 10, Height: 10, JPEG2000: true, ISO39794: true},
	} {
		t.Run(name, func(t *testing.T) {
			v := chip.Variant{Portrait: p}
			accepted(t, v, variant(t, v), tap{})
		})
	}
	garbage := map[string][]byte{
		"no record":            {0x75, 0x03, 0x01, 0x02, 0x03},
		"empty":                {0x75, 0x00},
		"no picture":           unhex(t, "75 0a 7f61 07 020101 7f60 00 00"),
		"noise in the picture": nil,
	}
	for name, content := range garbage {
		t.Run(name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDNoAA)
			if content == nil {
				var err error
				if content, err = issuer.DG2(issuer.Face{Image: make([]byte, 64), Width: 8, Height: 8, Sex: 'M'}); err != nil {
					t.Fatal(err)
				}
			}
			d.Put(2, content)
			d.Sign(t)
			r, err := d.Inspect(t)
			if err != nil || !r.TextVerified() {
				t.Fatalf("%v, %v", err, r.Err())
			}
			wantCheck(t, r, inspect.DG2Integrity, ok, "")
			if r.Photo == nil && r.PhotoNote != inspect.ReasonFormat && r.PhotoNote != inspect.ReasonMalformed {
				t.Errorf("note %q", r.PhotoNote)
			}
		})
	}
}

// Algorithms of signers that other readers stumble over. (All of them:
// TestMatrixSecurityObject.)
func TestR16SignatureAlgorithms(t *testing.T) {
	for name, v := range map[string]chip.Variant{
		"PSS with its own salt and mask": {Signer: issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA384, MGF: crypto.SHA1, Salt: 20}},
		"PSS below PKCS #1":              {Signer: issuer.RSAPSS, Authority: issuer.RSAPKCS1},
		"PKCS #1 below PSS":              {Signer: issuer.RSAPKCS1, Authority: issuer.RSAPSS},
		"ECDSA below RSA":                {Signer: issuer.ECDSABrainpoolP384, Authority: issuer.RSAPSS},
		"rsaEncryption":                  {Signer: issuer.RSAPKCS1, SOD: issuer.SODOptions{CMSOptions: issuer.CMSOptions{RSAEncryption: true}}},
		"explicit parameters":            {Signer: issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA512, Curve: "brainpoolP512r1", Explicit: true}},
		"plain ECDSA":                    {Signer: issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "brainpoolP256r1", Explicit: true, Plain: true}},
		"hash longer than the curve":     {Signer: issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA512, Curve: "P-224", Explicit: true}},
		"two digests":                    {Signer: issuer.ECDSABrainpoolP384, SOD: issuer.SODOptions{CMSOptions: issuer.CMSOptions{Digest: crypto.SHA256}}},
		"SHA-1, recorded":                {Signer: issuer.Algorithm{Scheme: issuer.PKCS1, Hash: crypto.SHA1}, SOD: issuer.SODOptions{Hash: crypto.SHA1}},
	} {
		t.Run(name, func(t *testing.T) { accepted(t, v, variant(t, v), tap{deviations: sodDeviations(v)}) })
	}
}

// A document of an issuer that nobody told us about is neither verified nor
// forged.
func TestR17UnknownIssuerIsUndetermined(t *testing.T) {
	d := variant(t, chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}}})
	other, err := chip.NewVariantPKI(chip.Variant{Kind: specimen.CitizenCard, Signer: issuer.ECDSABrainpoolP384}, at, stream("other"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*trust.Pool{"nobody is trusted": nil, "somebody else is trusted": pool(t, other.CSCA.Certificate)} {
		t.Run(name, func(t *testing.T) {
			c, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			r, err := inspect.Run(t.Context(), c, access(t, d), &inspect.Config{At: at, Trust: p, Photo: true})
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.TrustChain, unk, passiveauth.NoTrustAnchor)
			wantCheck(t, r, inspect.PassiveAuthentication, unk, passiveauth.NoTrustAnchor)
			wantCheck(t, r, inspect.SODSignature, ok, "")
			wantCheck(t, r, inspect.ActiveAuthentication, ok, "")
			for _, check := range r.Checks() {
				if check.Value == bad {
					t.Errorf("%s failed: %s", check.ID, check.Reason)
				}
			}
			if r.TextVerified() || r.Err() == nil || r.Signer == nil {
				t.Errorf("verified %t, %v; the signer is named: %t", r.TextVerified(), r.Err(), r.Signer != nil)
			}
		})
	}
}

// One file that is refused, missing or broken leaves the others readable: every
// one of them has its own state.
func TestR18OneRefusalNeverKillsTheRead(t *testing.T) {
	ways := map[string]struct {
		change func(*inspecttest.Draft, int)
		state  inspect.GroupState
	}{
		"refused": {func(d *inspecttest.Draft, dg int) { deny(d, dg) }, inspect.Denied},
		"absent":  {func(d *inspecttest.Draft, dg int) { d.Withhold(dg) }, inspect.Absent},
		"broken":  {func(d *inspecttest.Draft, dg int) { d.Put(dg, []byte{0x30, 0x01, 0x00}) }, inspect.Unreadable},
	}
	for _, dg := range []int{2, 13, 14, 15} {
		for name, way := range ways {
			t.Run(fmt.Sprintf("DG%d %s", dg, name), func(t *testing.T) {
				d := inspecttest.New(t, chip.ProfileCCCDPACE)
				way.change(d, dg)
				r, err := d.Inspect(t)
				if err != nil {
					t.Fatal(err)
				}
				if got := r.Groups[dg]; got != way.state {
					t.Errorf("DG%d is %v, want %v", dg, got, way.state)
				}
				for _, other := range []int{1, 2, 13, 14, 15} {
					if other != dg && r.Groups[other] != inspect.Read {
						t.Errorf("DG%d is %v", other, r.Groups[other])
					}
				}
				wantCheck(t, r, inspect.DG1Integrity, ok, "")
				wantCheck(t, r, inspect.SODSignature, ok, "")
			})
		}
	}
}

// EF.ATR/INFO is a help and no condition, whatever the chip says to who wants it.
func TestR18RefusedATRInfoIsNoError(t *testing.T) {
	for _, sw := range []apdu.Status{
		apdu.SecurityStatusNotSatisfied, apdu.ConditionsNotSatisfied, apdu.FileNotFound, apdu.InstructionNotSupported,
		apdu.WrongLength, apdu.ReferencedDataNotFound, apdu.NoPreciseDiagnosis, apdu.EndOfFile, apdu.WrongP1P2,
	} {
		for _, offers := range [][]chip.PACE{nil, {gm}} {
			t.Run(fmt.Sprintf("%04X PACE %d", uint16(sw), len(offers)), func(t *testing.T) {
				v := chip.Variant{PACE: offers, ATRInfo: true, Refused: map[uint16]apdu.Status{0x2F01: sw}}
				accepted(t, v, variant(t, v), tap{change: func(c *inspect.Config) { c.MaxNe = 65536 }})
			})
		}
	}
}

// EF.DIR is read for a diagnosis, and what the chip says to that is no error either.
func TestR18RefusedDIRIsNoError(t *testing.T) {
	for _, sw := range []apdu.Status{0, apdu.SecurityStatusNotSatisfied, apdu.ConditionsNotSatisfied, apdu.FileNotFound, apdu.InstructionNotSupported, apdu.WrongLength, apdu.NoPreciseDiagnosis} {
		for _, offers := range [][]chip.PACE{nil, {paceOf(ecdhCAM, 2, 13)}} {
			t.Run(fmt.Sprintf("%04X PACE %d", uint16(sw), len(offers)), func(t *testing.T) {
				v := chip.Variant{PACE: offers, DIR: true, ATRInfo: true}
				if sw != 0 {
					v.Refused = map[uint16]apdu.Status{0x2F00: sw}
				}
				accepted(t, v, variant(t, v), tap{change: all, except: notThere, report: func(t *testing.T, r *inspect.Report) {
					if (r.DIR != nil) != (sw == 0) || r.DIR != nil && !r.DIR.Has(lds.AID()) {
						t.Errorf("EF.DIR in the report: %t", r.DIR != nil)
					}
				}})
			})
		}
	}
}

// Chip authentication mapping without the signed key proves nothing: it has failed,
// however the chip keeps EF.CardSecurity back.
func TestCardSecurityCannotBeWithheld(t *testing.T) {
	for name, change := range map[string]func(*chip.Variant){
		"refused":     func(v *chip.Variant) { v.Refused = map[uint16]apdu.Status{0x011D: apdu.SecurityStatusNotSatisfied} },
		"called away": func(v *chip.Variant) { v.Refused = map[uint16]apdu.Status{0x011D: apdu.FileNotFound} },
	} {
		t.Run(name, func(t *testing.T) {
			v := chip.Variant{PACE: []chip.PACE{paceOf(ecdhCAM, 2, 13)}}
			change(&v)
			d := variant(t, v)
			// The identifier is that of EF.SOD too, which this is not about.
			for i, f := range d.Personalisation.Files {
				if f.ID == 0x011D {
					d.Personalisation.Files[i].Refused = 0
				}
			}
			accepted(t, v, d, tap{except: map[inspect.ID]result.Value{inspect.PACECAM: bad, inspect.ChipAuthenticity: bad}, report: func(t *testing.T, r *inspect.Report) {
				wantCheck(t, r, inspect.PACECAM, bad, inspect.ReasonWithheld)
			}})
		})
	}
}

// A wrong key is a wrong key, and the tries that are left can be told; a chip that
// counts them is asked once.
func TestR20WrongKeyShowsTheTriesLeft(t *testing.T) {
	tests := []struct {
		name  string
		v     chip.Variant
		byCAN bool
		tries int // -1: the chip does not tell
	}{
		{"CAN, counted", chip.Variant{PACE: []chip.PACE{gm}, CAN: "271828", CANTries: 3}, true, 2},
		{"CAN, last try", chip.Variant{PACE: []chip.PACE{gm}, CAN: "271828", CANTries: 1}, true, 0},
		{"CAN", chip.Variant{PACE: []chip.PACE{gm}, CAN: "271828"}, true, -1},
		{"zone by PACE", chip.Variant{PACE: []chip.PACE{gm}}, false, -1},
		{"zone by BAC", chip.Variant{}, false, -1},
		{"zone by BAC, counted", chip.Variant{Quirks: chip.Quirks{WrongKey: 0x63C4}}, false, 4},
		{"zone by BAC, 6982", chip.Variant{Quirks: chip.Quirks{WrongKey: apdu.SecurityStatusNotSatisfied}}, false, -1},
		{"zone by BAC, 6985", chip.Variant{Quirks: chip.Quirks{WrongKey: apdu.ConditionsNotSatisfied}}, false, -1},
		{"zone by BAC, 6988", chip.Variant{Quirks: chip.Quirks{WrongKey: apdu.SMObjectsIncorrect}}, false, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := variant(t, tt.v)
			c, err := d.Chip()
			if err != nil {
				t.Fatal(err)
			}
			term := &terminal{chip: c}
			a := inspect.Access{CAN: "314159"}
			if !tt.byCAN {
				a = inspect.Access{Keys: []mrz.Key{wrongKeyFor(t), wrongKeyFor(t)}}
			}
			r, err := inspect.Run(t.Context(), resettable{term}, a, &inspect.Config{At: at, Trust: pool(t, d.CSCA), FallBackToBAC: true})
			wantRefused(t, r, err, inspect.ErrWrongKey, inspect.ReasonWrongKey)
			sw, _ := errors.AsType[apdu.Status](err)
			left, told := sw.Retries()
			if told != (tt.tries >= 0) || told && left != tt.tries {
				t.Errorf("%d tries left, told %t; want %d", left, told, tt.tries)
			}
			if asked := term.count(insMSE) + term.count(insExternalAuthenticate); told && asked != 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
