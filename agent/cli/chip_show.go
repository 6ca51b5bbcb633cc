package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/lds"
)

func newChipShow(e *env) *cobra.Command {
	var (
		doc    documentFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "show PROFILE",
		Short: "Show what the chip of a profile does and holds",
		Long: `Show builds the document as "chip serve" does, and prints the protocols and
algorithms of its chip, who signs it, the files with their sizes, what is printed
on the card, and what is peculiar about the chip. The people do not exist.`,
		Example:     "  chamthe chip show cccd\n  chamthe chip show passport-eac --json",
		Args:        oneArgument("a profile"),
		Annotations: withArguments,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return profileNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			doc.profile = args[0]
			d, err := doc.build(time.Now(), nil)
			if err != nil {
				return err
			}
			v := describeChip(&doc, d)
			if asJSON {
				return writeJSON(e.stdout, v)
			}
			return v.print(e.stdout)
		},
	}
	doc.addDetails(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// chipProtocol is a protocol of a chip in JSON.
type chipProtocol struct {
	Name       string `json:"name"` // "PACE ECDH generic mapping, AES-128"
	OID        string `json:"oid,omitempty"`
	Parameters string `json:"parameters,omitempty"` // "brainpoolP256r1"
	KeyID      int    `json:"key_id,omitempty"`
}

func (p chipProtocol) String() string {
	s := p.Name
	if p.Parameters != "" {
		s += " on " + p.Parameters
	}
	if p.KeyID != 0 {
		s += fmt.Sprintf(" (key %d)", p.KeyID)
	}
	return s
}

// chipFile is a file in JSON.
type chipFile struct {
	Name string `json:"name"`
	ID   string `json:"id"` // four hexadecimal digits
	SFI  int    `json:"sfi,omitempty"`
	Size int    `json:"size"`
	Read string `json:"read"` // always, after_access, never
}

// chipDescription is a document on the software chip, in JSON.
type chipDescription struct {
	Profile     string `json:"profile"`
	Description string `json:"description"`
	Tampering   string `json:"tampering,omitempty"`
	Document    string `json:"document"` // citizen card, passport
	Person      string `json:"person"`
	Name        string `json:"name"`

	BasicAccess            bool           `json:"basic_access_control"`
	PACE                   []chipProtocol `json:"pace"`
	Passwords              []string       `json:"passwords"` // mrz, can
	CANTries               int            `json:"can_tries,omitempty"`
	ChipAuthentication     []chipProtocol `json:"chip_authentication"`
	ActiveAuthentication   *chipProtocol  `json:"active_authentication,omitempty"`
	TerminalAuthentication bool           `json:"terminal_authentication"` // announced only
	DocumentSigner         string         `json:"document_signer"`         // algorithm
	Authority              string         `json:"authority"`
	GroupHash              string         `json:"group_hash"`
	LDSVersionInSOD        string         `json:"sod_lds_version,omitempty"`
	ExtendedLength         bool           `json:"extended_length"`
	MaxRead                int            `json:"max_read,omitempty"` // bytes under secure messaging
	Files                  []chipFile     `json:"files"`
	QR                     string         `json:"qr,omitempty"`
	MRZ                    []string       `json:"mrz"`
	CAN                    string         `json:"can,omitempty"`
	Quirks                 []string       `json:"quirks"`
}

// describeChip says what a document is made of.
func describeChip(f *documentFlags, d *chip.Document) *chipDescription {
	variant, _ := chip.ProfileVariant(f.profile)
	p := d.Personalisation
	v := &chipDescription{
		Profile: f.profile, Document: "citizen card", Person: d.Person.ID, Name: d.Person.Name,
		BasicAccess: !p.AccessKey.IsZero() && !p.NoBAC, PACE: []chipProtocol{}, Passwords: []string{}, ChipAuthentication: []chipProtocol{},
		TerminalAuthentication: variant.TerminalAuthentication, ExtendedLength: p.Limits.Extended, MaxRead: p.Limits.Protected,
		QR: d.QR, MRZ: d.MRZ, CAN: d.CAN, Quirks: quirksOf(p, variant),
	}
	if d.Person.Kind == specimen.Passport {
		v.Document = "passport"
	}
	for _, info := range chip.Profiles() {
		if info.Name == f.profile {
			v.Description = info.Description
		}
	}
	for _, info := range chip.Tampers() {
		if info.Kind != chip.TamperNone && string(info.Kind) == f.tamper {
			v.Tampering = info.Description
		}
	}
	for _, x := range variant.PACE {
		v.PACE = append(v.PACE, chipProtocol{Name: paceName(x.Protocol), OID: x.Protocol, Parameters: parameters(x)})
	}
	if !p.AccessKey.IsZero() && (v.BasicAccess || len(v.PACE) > 0 && !p.NoPACEByMRZ) {
		v.Passwords = append(v.Passwords, "mrz")
	}
	if len(v.PACE) > 0 && p.CAN != "" {
		v.Passwords, v.CANTries = append(v.Passwords, "can"), p.CANTries
	}
	for _, ca := range variant.CA {
		x := chipProtocol{Name: caName(ca.Protocol), OID: ca.Protocol, Parameters: kindOfKey(ca.Kind), KeyID: ca.KeyID}
		v.ChipAuthentication = append(v.ChipAuthentication, x)
	}
	if aa := variant.AA; aa != nil {
		x := chipProtocol{Name: "ECDSA", Parameters: kindOfKey(aa.Kind)}
		if aa.Kind.Bits != 0 {
			x = chipProtocol{Name: "RSA ISO/IEC 9796-2", Parameters: kindOfKey(aa.Kind)}
		}
		if aa.Form.PSS {
			x.Name = "RSASSA-PSS"
		}
		if aa.Form.Hash != 0 {
			x.Name += " " + aa.Form.Hash.String()
		}
		v.ActiveAuthentication = &x
	}
	v.DocumentSigner, v.Authority, v.GroupHash = algorithmName(variant.Signer), algorithmName(variant.Authority), "SHA-256"
	if variant.Authority == (issuer.Algorithm{}) {
		v.Authority = v.DocumentSigner
	}
	if h := variant.SOD.Hash; h != 0 {
		v.GroupHash = h.String()
	}
	v.LDSVersionInSOD = variant.SOD.LDSVersion
	for _, file := range p.MasterFiles {
		v.Files = append(v.Files, encodeChipFile(file, true))
	}
	for _, file := range p.Files {
		v.Files = append(v.Files, encodeChipFile(file, false))
	}
	return v
}

func encodeChipFile(f chip.File, master bool) chipFile {
	known := []lds.File{lds.EFATRInfo, lds.EFDIR, lds.EFCardAccess, lds.EFCardSecurity}
	if !master {
		known = []lds.File{lds.EFCOM, lds.EFSOD}
		for dg := 1; dg <= 16; dg++ {
			if g, ok := lds.DataGroup(dg); ok {
				known = append(known, g)
			}
		}
	}
	v := chipFile{ID: fmt.Sprintf("%04X", f.ID), SFI: int(f.SFI), Size: len(f.Content)}
	v.Name = v.ID
	if i := slices.IndexFunc(known, func(k lds.File) bool { return k.ID == f.ID }); i >= 0 {
		v.Name = known[i].Name
	}
	switch {
	case f.Access == chip.Never || f.Refused != 0:
		v.Read = "never"
	case f.Access == chip.Always:
		v.Read = "always"
	default:
		v.Read = "after_access"
	}
	return v
}

// The object identifiers of Doc 9303-11, 9.2.1 and 9.2.7: id-PACE and id-CA,
// below which the last two numbers are key agreement and cipher.
const (
	oidPACE = "0.4.0.127.0.7.2.2.4."
	oidCA   = "0.4.0.127.0.7.2.2.3."

	oidPACECAM = oidPACE + "6."
)

var (
	paceMappings = map[string]string{
		"1": "DH generic mapping", "2": "ECDH generic mapping", "3": "DH integrated mapping", "4": "ECDH integrated mapping",
		"6": "ECDH chip authentication mapping",
	}
	caAgreements = map[string]string{"1": "DH", "2": "ECDH"}
	ciphers      = map[string]string{"1": "3DES", "2": "AES-128", "3": "AES-192", "4": "AES-256"}
)

func paceName(oid string) string { return protocolName(oid, oidPACE, "PACE ", paceMappings) }

func caName(oid string) string {
	if oid == "" {
		return "key of chip authentication mapping"
	}
	return protocolName(oid, oidCA, "", caAgreements)
}

func protocolName(oid, arc, name string, agreements map[string]string) string {
	rest, _ := strings.CutPrefix(oid, arc)
	agreement, cipher, _ := strings.Cut(rest, ".")
	if agreements[agreement] == "" || ciphers[cipher] == "" {
		return oid // of a profile of tomorrow
	}
	return name + agreements[agreement] + ", " + ciphers[cipher]
}

// dhGroups are the standardized domain parameters modulo a prime (Doc 9303-11,
// 9.5.1).
var dhGroups = []string{"1024 bits, 160-bit subgroup", "2048 bits, 224-bit subgroup", "2048 bits, 256-bit subgroup"}

func groupName(n int) string {
	if n >= 0 && n < len(dhGroups) {
		return dhGroups[n]
	}
	return "group " + strconv.Itoa(n)
}

// parameters names the domain parameters of a variant of PACE.
func parameters(p chip.PACE) string {
	if p.Curve != "" {
		return p.Curve + " (spelled out)"
	}
	if curve := issuer.CurveByID(p.ParameterID); curve != "" {
		return curve
	}
	return groupName(p.ParameterID)
}

func kindOfKey(k chip.KeyKind) string {
	switch {
	case k.Curve != "" && k.Explicit:
		return k.Curve + " (spelled out)"
	case k.Curve != "":
		return k.Curve
	case k.Bits != 0:
		return fmt.Sprintf("%d bits", k.Bits)
	}
	return groupName(k.Group)
}

func algorithmName(a issuer.Algorithm) string {
	switch a.Scheme {
	case issuer.ECDSA:
		name := "ECDSA " + a.Hash.String() + " " + a.Curve
		if a.Explicit {
			name += " (spelled out)"
		}
		return name
	case issuer.PKCS1, issuer.PSS:
		name, bits := "RSASSA-PSS", a.Bits
		if a.Scheme == issuer.PKCS1 {
			name = "RSASSA-PKCS1-v1_5"
		}
		if bits == 0 {
			bits = 2048
		}
		return fmt.Sprintf("%s %s, %d bits", name, a.Hash, bits)
	}
	return ""
}

// quirksOf says what is peculiar about a chip.
func quirksOf(p *chip.Personalisation, v chip.Variant) []string {
	q := p.Quirks
	list := []string{}
	add := func(on bool, format string, args ...any) {
		if on {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	var missing []string
	for _, dg := range v.Listed {
		if !slices.ContainsFunc(p.Files, func(f chip.File) bool { return f.ID == 0x0100+uint16(dg) }) {
			missing = append(missing, fmt.Sprintf("DG%d", dg))
		}
	}
	add(len(missing) > 0, "EF.COM lists files that are absent: %s", strings.Join(missing, ", "))
	for _, f := range p.MasterFiles {
		add(f.Refused != 0, "%s answers %04X", encodeChipFile(f, true).Name, uint16(f.Refused))
	}
	for _, f := range p.Files {
		add(f.Refused != 0, "%s answers %04X", encodeChipFile(f, false).Name, uint16(f.Refused))
	}
	for _, ca := range v.CA {
		add(ca.Version > 1, "announces chip authentication version %d", ca.Version)
	}
	add(p.SelectMF != 0 && p.SelectMF != 0x9000, "SELECT of the master file answers %04X", uint16(p.SelectMF))
	add(!p.Limits.Extended, "short APDUs only")
	add(p.Limits.NoChaining, "no command chaining but that of PACE")
	add(p.Limits.OverLimit != 0, "READ BINARY of more than %d bytes answers %04X", p.Limits.Protected, uint16(p.Limits.OverLimit))
	add(p.Limits.ShortEnd != 0, "READ BINARY past the end of a file answers %04X", uint16(p.Limits.ShortEnd))
	add(p.TearAfter > 0, "leaves the field after %d exchanges, once", p.TearAfter)
	add(q.PACEReference != 0, "PACE without a reference to domain parameters answers %04X", uint16(q.PACEReference))
	add(q.FixedLengthDH, "public keys modulo a prime have the length of the prime")
	add(q.NoSetKAT, "chip authentication with 3DES not by MSE:Set KAT")
	add(q.NoSetAT, "chip authentication with 3DES not by MSE:Set AT")
	add(q.AATruncate > 0, "signatures of active authentication are cut to %d bytes", q.AATruncate)
	add(q.AAEmptyExtended, "INTERNAL AUTHENTICATE with extended length gives no signature")
	add(q.WrongKey != 0, "a wrong key answers %04X", uint16(q.WrongKey))
	add(q.NoBAC != 0, "GET CHALLENGE without basic access control answers %04X", uint16(q.NoBAC))
	add(q.FailedPACELocks, "after a failed PACE nothing goes until a reset")
	add(q.SelectMFByID != 0, "SELECT of the master file by 3F00 answers %04X", uint16(q.SelectMFByID))
	add(q.SelectMFBare != 0, "SELECT of the master file without data answers %04X", uint16(q.SelectMFBare))
	add(q.NoShortID != 0, "READ BINARY with a short identifier answers %04X", uint16(q.NoShortID))
	add(q.NoSelectEF != 0, "SELECT of a file answers %04X", uint16(q.NoSelectEF))
	add(q.RefuseLe, "MANAGE SECURITY ENVIRONMENT with an Le field answers 6700")
	add(q.RefuseLeSelect, "SELECT with an Le field that nothing answers to answers 6700")
	add(q.RefuseLe00, "protected READ BINARY with an Le of zero answers 6700")
	add(q.PadPastEnd, "zero bytes past the end of files")
	add(q.Naked == chip.NakedEnds, "error statuses in clear, and secure messaging ends")
	add(q.Naked == chip.NakedCounted, "error statuses in clear, counted as protected ones")
	add(q.Naked == chip.NakedIgnored, "error statuses in clear, not counted")
	return list
}

func (v *chipDescription) print(w io.Writer) error {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	names := func(name, none string, list []chipProtocol) {
		if len(list) == 0 {
			line(name, none)
		}
		for _, p := range list {
			line(name, p.String())
			name = ""
		}
	}
	line("profile", v.Profile)
	line("", v.Description)
	line("tampering", v.Tampering)
	line("person", fmt.Sprintf("%s (%s), %s", v.Person, v.Name, v.Document))
	b.WriteString("\naccess\n")
	bac := "no"
	if v.BasicAccess {
		bac = "yes"
	}
	line("  BAC", bac)
	names("  PACE", "no", v.PACE)
	passwords := strings.ToUpper(strings.Join(v.Passwords, ", "))
	if v.CANTries > 0 {
		passwords += fmt.Sprintf(" (%d tries)", v.CANTries)
	}
	line("  passwords", passwords)
	b.WriteString("\nproof that the chip is no copy\n")
	if slices.ContainsFunc(v.PACE, func(p chipProtocol) bool { return strings.HasPrefix(p.OID, oidPACECAM) }) {
		line("  within PACE", "chip authentication mapping")
	}
	names("  chip auth", "no", v.ChipAuthentication)
	if v.ActiveAuthentication != nil {
		line("  active", v.ActiveAuthentication.String())
	} else {
		line("  active", "no")
	}
	if v.TerminalAuthentication {
		line("  terminal", "announced; no terminal here can do it")
	}
	b.WriteString("\nsignature\n")
	line("  signer", v.DocumentSigner)
	line("  authority", v.Authority)
	line("  hashes", v.GroupHash)
	line("  LDS in SOD", v.LDSVersionInSOD)
	b.WriteString("\nfiles\n")
	for _, f := range v.Files {
		fmt.Fprintf(&b, "  %-16s %s %7d bytes  %s\n", f.Name, f.ID, f.Size, strings.ReplaceAll(f.Read, "_", " "))
	}
	b.WriteString("\nprinted on the card\n")
	line("  QR", v.QR)
	for i, l := range v.MRZ {
		name := "  MRZ"
		if i > 0 {
			name = ""
		}
		line(name, l)
	}
	line("  CAN", v.CAN)
	b.WriteString("\npeculiar\n")
	if len(v.Quirks) == 0 {
		b.WriteString("  nothing\n")
	}
	for _, q := range v.Quirks {
		fmt.Fprintf(&b, "  %s\n", q)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
