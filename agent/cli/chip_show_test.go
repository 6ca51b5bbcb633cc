package cli_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
)

type shown struct {
	Profile, Description, Tampering, Document, Person, Name, QR, CAN, Authority string

	BasicAccess    bool `json:"basic_access_control"`
	PACE           []protocol
	Passwords      []string
	CANTries       int        `json:"can_tries"`
	CA             []protocol `json:"chip_authentication"`
	AA             *protocol  `json:"active_authentication"`
	TA             bool       `json:"terminal_authentication"`
	DocumentSigner string     `json:"document_signer"`
	GroupHash      string     `json:"group_hash"`
	SODVersion     string     `json:"sod_lds_version"`
	Extended       bool       `json:"extended_length"`
	MaxRead        int        `json:"max_read"`
	Files          []struct {
		Name, ID, Read string
		SFI, Size      int
	}
	MRZ, Quirks []string
}

type protocol struct {
	Name, OID, Parameters string

	KeyID int `json:"key_id"`
}

// TestChipShow shows every profile, and holds some facts against the standard's
// names.
func TestChipShow(t *testing.T) {
	t.Parallel()
	for _, info := range chip.Profiles() {
		t.Run(info.Name, func(t *testing.T) {
			t.Parallel()
			got := command(t, "chip", "show", info.Name, "--json")
			got.succeeded(t)
			v := one[shown](t, got.stdout)
			if v.Profile != info.Name || v.Description != info.Description || v.Person != info.Person || v.DocumentSigner == "" || v.Authority == "" || v.GroupHash == "" {
				t.Errorf("got %+v", v)
			}
			if len(v.PACE) == 0 && !v.BasicAccess || len(v.Passwords) == 0 {
				t.Errorf("nothing opens it: %+v", v)
			}
			for _, p := range append(v.PACE, v.CA...) {
				if p.Name == p.OID || !strings.Contains(p.Name, ", ") || p.Parameters == "" {
					t.Errorf("protocol without a name: %+v", p)
				}
			}
			sizes := make(map[string]int)
			for _, f := range v.Files {
				if f.Name == f.ID || f.Size == 0 && f.Read != "never" {
					t.Errorf("file %+v", f)
				}
				sizes[f.Name] = f.Size
			}
			d := document(t, info.Name, chip.TamperNone)
			for dg, b := range d.Groups {
				// Keys and signatures differ in length by some bytes from one document to the next.
				if n := sizes[fmt.Sprintf("DG%d", dg)]; n == 0 || n-len(b) > 8 || len(b)-n > 8 {
					t.Errorf("DG%d has %d bytes, want %d", dg, n, len(b))
				}
			}
			if v.QR != d.QR || strings.Join(v.MRZ, "") != strings.Join(d.MRZ, "") || v.CAN != d.CAN {
				t.Error("not what is printed on the card")
			}
			text := command(t, "chip", "show", info.Name)
			text.succeeded(t)
			for _, s := range append(v.Quirks, "DG1 ", v.DocumentSigner, v.MRZ[0]) {
				if !strings.Contains(text.stdout, s) {
					t.Errorf("no %q in:\n%s", s, text.stdout)
				}
			}
		})
	}
	show := func(args ...string) shown {
		got := command(t, append([]string{"chip", "show", "--json"}, args...)...)
		got.succeeded(t)
		return one[shown](t, got.stdout)
	}
	if v := show(chip.ProfilePassportPACECAM); len(v.PACE) != 2 || v.PACE[1].Name != "PACE ECDH chip authentication mapping, AES-256" || v.PACE[1].Parameters != "brainpoolP384r1" {
		t.Errorf("CAM: %+v", v.PACE)
	}
	if v := show(chip.ProfilePassportPACEDH); v.PACE[0].Name != "PACE DH generic mapping, AES-128" || v.PACE[0].Parameters != "2048 bits, 256-bit subgroup" || v.CANTries != 3 {
		t.Errorf("DH: %+v", v.PACE)
	}
	if v := show(chip.ProfilePassportPACEIM); v.BasicAccess || v.CAN != "" || v.Passwords[0] != "mrz" || len(v.Passwords) != 1 {
		t.Errorf("IM: %+v", v)
	}
	if v := show(chip.ProfilePassportEAC); !v.TA || v.CA[0].Name != "DH, 3DES" || v.AA != nil {
		t.Errorf("EAC: %+v", v)
	}
	if v := show(chip.ProfilePassportOld); v.DocumentSigner != "RSASSA-PKCS1-v1_5 SHA-1, 2048 bits" || v.GroupHash != "SHA-1" || v.AA.Name != "RSA ISO/IEC 9796-2 SHA-1" || v.SODVersion != "" {
		t.Errorf("old: %+v", v)
	}
	if v := show(chip.ProfileCCCD, "--person", "tran-thi-mau", "--tamper", "torn"); v.Person != "tran-thi-mau" || v.Tampering == "" || len(v.Quirks) != 3 {
		t.Errorf("torn: %+v", v)
	}
	for _, args := range [][]string{{}, {"cccd-9"}, {"cccd", "passport-bac"}, {"cccd", "--person", "nobody"}, {"passport-bac", "--tamper", "dg13"}, {"cccd", "--chip", "cccd"}} {
		command(t, append([]string{"chip", "show"}, args...)...).failed(t, fault.Usage)
	}
}

// TestChipQuirks: whatever is peculiar about a chip has words, also what is added
// tomorrow.
func TestChipQuirks(t *testing.T) {
	t.Parallel()
	plain := func() *chip.Personalisation { return &chip.Personalisation{Limits: chip.Limits{Extended: true}} }
	if got := cli.Quirks(plain(), chip.Variant{}); len(got) != 0 {
		t.Fatalf("a plain chip: %q", got)
	}
	seen := make(map[string]bool)
	fields := reflect.TypeFor[chip.Quirks]()
	for i := range fields.NumField() {
		p := plain()
		switch f := reflect.ValueOf(&p.Quirks).Elem().Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int:
			f.SetInt(200)
		default:
			f.SetUint(uint64(chip.NakedCounted))
			if f.Type() == reflect.TypeFor[apdu.Status]() {
				f.SetUint(uint64(apdu.WrongData))
			}
		}
		got := cli.Quirks(p, chip.Variant{})
		if len(got) != 1 || seen[got[0]] {
			t.Errorf("%s: %q", fields.Field(i).Name, got)
			continue
		}
		seen[got[0]] = true
	}
}
