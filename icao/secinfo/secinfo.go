// Package secinfo reads SecurityInfos: Doc 9303-11 (8th edition, 2021, with
// its amendments), 9.2. They say which protocols a chip offers and with which
// parameters, and are the content of EF.CardAccess (unprotected), of
// EF.CardSecurity (signed) and of DG14 (covered by EF.SOD).
//
// Decoding is tolerant where chips in the field are wrong: what departs from
// the standard is recorded by name in [SecurityInfos.Deviations], and what is
// not known is kept as it is. Nothing here says whether the data is authentic,
// or whether this module can perform what a chip offers.
//
// Left out on purpose: the signature around EF.CardSecurity (icao/cms), and the
// entries of TR-03110 that Doc 9303 does not know, which stay raw.
package secinfo

import (
	"errors"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrMalformed reports bytes that are no SecurityInfos: not one SET, or an
// element in it that is no data object at all.
var ErrMalformed = errors.New("secinfo: malformed SecurityInfos")

// ErrTooLarge reports more than 64 KiB or more than 64 entries. Documents have
// fewer than ten.
var ErrTooLarge = errors.New("secinfo: too many SecurityInfos")

const (
	maxLen     = 64 << 10
	maxEntries = 64
)

// NoID is the value of a parameter or key identifier that is absent.
const NoID = -1

// Universal tags (X.690, 8).
const (
	tagInteger  tlv.Tag = 0x02
	tagBits     tlv.Tag = 0x03
	tagOctets   tlv.Tag = 0x04
	tagOID      tlv.Tag = 0x06
	tagSequence tlv.Tag = 0x30
	tagSet      tlv.Tag = 0x31
)

// Object identifiers (Doc 9303-11, 9.2.3 to 9.2.9).
const (
	bsiProtocols = "0.4.0.127.0.7.2.2."
	idPK         = bsiProtocols + "1"
	idTA         = bsiProtocols + "2"
	idCA         = bsiProtocols + "3"
	idPACE       = bsiProtocols + "4"
	idAA         = "2.23.136.1.1.5"
)

// The deviations that [Parse] records: a closed set of names, never data from
// the input. Whether one is acceptable is policy; a conformity test refuses
// them all.
const (
	DevLengthNotMinimal = "security_info_length_not_minimal"
	DevTrailingZeros    = "security_infos_trailing_zeros"
	// An entry with a known protocol that cannot be read; it is in Other.
	DevEntryMalformed = "security_info_malformed"
	// An entry with more elements than its type has; they are ignored.
	DevExtraElements = "security_info_extra_elements"
	// A PACEInfo without parameterId, and no PACEDomainParameterInfo that says
	// which parameters to use instead (9.2.1). Seen on Spanish documents.
	DevNoParameterID  = "pace_info_without_parameter_id"
	DevPACEVersion    = "pace_info_version_not_2"
	DevAAVersion      = "active_authentication_info_version_not_1"
	DevReservedID     = "pace_domain_parameter_id_reserved" // explicit parameters under a standardized number (9.5)
	DevDuplicateEntry = "security_info_repeated"
)

// SecurityInfos is what [Parse] found, each kind in the order of the file. All
// byte slices share memory with the input. The zero value offers nothing.
type SecurityInfos struct {
	PACE                   []PACEInfo
	PACEDomainParameters   []PACEDomainParameterInfo
	ChipAuthentication     []ChipAuthenticationInfo
	ChipAuthenticationKeys []ChipAuthenticationPublicKeyInfo
	ActiveAuthentication   []ActiveAuthenticationInfo
	TerminalAuthentication []TerminalAuthenticationInfo
	// Other holds the entries that are of no kind above, or malformed.
	Other      []SecurityInfo
	Deviations []string
}

// A SecurityInfo is an entry as it is in the file.
type SecurityInfo struct {
	Protocol string // object identifier in dotted decimal; empty when it cannot be read
	Raw      []byte // the whole entry
}

// A PACEInfo offers PACE (Doc 9303-11, 9.2.1).
type PACEInfo struct {
	Protocol string // "0.4.0.127.0.7.2.2.4.2.2"
	Version  int    // 2
	// ParameterID names standardized domain parameters (9.5.1) or explicit ones
	// of the same file; [NoID] when absent.
	ParameterID int
	// Explicit is the domain parameters of the PACEDomainParameterInfo that
	// belongs to this entry; zero when the parameters are standardized.
	Explicit DomainParameters
	// Ambiguous says that the chip offers more than one set of domain
	// parameters, so that the terminal has to name this one (4.4.4.1).
	Ambiguous bool
}

// A PACEDomainParameterInfo brings explicit domain parameters (Doc 9303-11,
// 9.2.2). They are unprotected: a terminal uses them only if it knows them.
type PACEDomainParameterInfo struct {
	Protocol    string // "0.4.0.127.0.7.2.2.4.2", without a cipher
	Parameters  DomainParameters
	ParameterID int // [NoID] when absent
}

// A ChipAuthenticationInfo offers chip authentication (Doc 9303-11, 9.2.5).
type ChipAuthenticationInfo struct {
	Protocol string // "0.4.0.127.0.7.2.2.3.2.2"
	Version  int    // 1; 2 and 3 are of TR-03110
	KeyID    int    // [NoID] when absent
}

// A ChipAuthenticationPublicKeyInfo is a static key of the chip
// (Doc 9303-11, 9.2.6), for chip authentication or for PACE with chip
// authentication mapping.
type ChipAuthenticationPublicKeyInfo struct {
	Protocol  string // "0.4.0.127.0.7.2.2.1.1" DH, "...1.2" ECDH
	PublicKey []byte // SubjectPublicKeyInfo, DER; see [ChipAuthenticationPublicKeyInfo.Point]
	KeyID     int    // [NoID] when absent
}

// An ActiveAuthenticationInfo says how the chip signs when its active
// authentication key is an ECDSA key (Doc 9303-11, 9.2.4).
type ActiveAuthenticationInfo struct {
	Version            int    // 1
	SignatureAlgorithm string // object identifier in dotted decimal
}

// A TerminalAuthenticationInfo says that the chip can authenticate terminals
// (Doc 9303-11, 9.2.8).
type TerminalAuthenticationInfo struct {
	Version int
}

// Parse reads the SecurityInfos in b: the content of EF.CardAccess or of DG14,
// one SET OF SecurityInfo. On error ([ErrMalformed], [ErrTooLarge]) the result
// is zero. An entry that cannot be understood is never an error: it is kept in
// Other, with a deviation if its protocol is known.
func Parse(b []byte) (SecurityInfos, error) {
	if len(b) > maxLen {
		return SecurityInfos{}, ErrTooLarge
	}
	var p parser
	in := tlv.String(b)
	var set tlv.String
	if !p.read(&in, &set, tagSet) {
		return SecurityInfos{}, ErrMalformed
	}
	for _, c := range in {
		if c != 0 {
			return SecurityInfos{}, ErrMalformed
		}
		p.deviates(DevTrailingZeros)
	}
	var seen []string
	for !set.Empty() {
		if len(seen) == maxEntries {
			return SecurityInfos{}, ErrTooLarge
		}
		whole := set
		if !set.ReadLenient(nil, nil) {
			return SecurityInfos{}, ErrMalformed
		}
		var raw []byte
		whole.ReadBytes(&raw, len(whole)-len(set))
		if slices.Contains(seen, string(raw)) {
			p.deviates(DevDuplicateEntry)
		}
		seen = append(seen, string(raw))
		p.entry(raw)
	}
	p.resolve()
	return p.infos, nil
}

type parser struct {
	infos SecurityInfos
}

// deviates records a deviation once.
func (p *parser) deviates(name string) {
	if !slices.Contains(p.infos.Deviations, name) {
		p.infos.Deviations = append(p.infos.Deviations, name)
	}
}

// read reads an element with the given tag, and records a length that is
// longer than it needs to be.
func (p *parser) read(s, value *tlv.String, want tlv.Tag) bool {
	if tag, ok := s.PeekTag(); !ok || tag != want {
		return false
	}
	if s.ReadTag(value, want) {
		return true
	}
	if !s.ReadLenient(value, nil) {
		return false
	}
	p.deviates(DevLengthNotMinimal)
	return true
}

// readElement reads an element with the given tag, its header included.
func (p *parser) readElement(s *tlv.String, raw *[]byte, want tlv.Tag) bool {
	whole := *s
	var value tlv.String
	return p.read(s, &value, want) && whole.ReadBytes(raw, len(whole)-len(*s))
}

// entry reads one SecurityInfo: an object identifier that says what the rest is.
func (p *parser) entry(raw []byte) {
	in := tlv.String(raw)
	var body tlv.String
	var protocol string
	ok := p.read(&in, &body, tagSequence) && p.readOID(&body, &protocol)
	if !ok {
		p.deviates(DevEntryMalformed)
		protocol = ""
	}
	known := false
	switch arcs, under := below(protocol, idPACE); {
	case !ok:
	case under && arcs == 2:
		known, ok = true, p.paceInfo(protocol, &body)
	case under && arcs == 1:
		known, ok = true, p.domainParameterInfo(protocol, &body)
	case protocol == idTA:
		known, ok = true, p.terminalAuthenticationInfo(&body)
	case protocol == idAA:
		known, ok = true, p.activeAuthenticationInfo(&body)
	default:
		if arcs, under := below(protocol, idCA); under && arcs == 2 {
			known, ok = true, p.chipAuthenticationInfo(protocol, &body)
		} else if arcs, under := below(protocol, idPK); under && arcs == 1 {
			known, ok = true, p.publicKeyInfo(protocol, &body)
		}
	}
	switch {
	case !known || !ok:
		p.infos.Other = append(p.infos.Other, SecurityInfo{Protocol: protocol, Raw: raw})
		if known {
			p.deviates(DevEntryMalformed)
		}
	case !body.Empty():
		p.deviates(DevExtraElements)
	}
}

// below reports whether oid lies under parent, and how many arcs deeper.
func below(oid, parent string) (arcs int, ok bool) {
	rest, ok := strings.CutPrefix(oid, parent+".")
	if !ok {
		return 0, false
	}
	return strings.Count(rest, ".") + 1, true
}

func (p *parser) paceInfo(protocol string, body *tlv.String) bool {
	i := PACEInfo{Protocol: protocol}
	if !p.readInt(body, &i.Version) || !p.readOptionalID(body, &i.ParameterID) {
		return false
	}
	if i.Version != 2 {
		p.deviates(DevPACEVersion)
	}
	p.infos.PACE = append(p.infos.PACE, i)
	return true
}

func (p *parser) domainParameterInfo(protocol string, body *tlv.String) bool {
	i := PACEDomainParameterInfo{Protocol: protocol}
	if !p.readElement(body, &i.Parameters.raw, tagSequence) || !p.readOptionalID(body, &i.ParameterID) {
		return false
	}
	if i.ParameterID >= 0 && i.ParameterID < firstProprietaryID {
		p.deviates(DevReservedID)
	}
	p.infos.PACEDomainParameters = append(p.infos.PACEDomainParameters, i)
	return true
}

func (p *parser) chipAuthenticationInfo(protocol string, body *tlv.String) bool {
	i := ChipAuthenticationInfo{Protocol: protocol}
	if !p.readInt(body, &i.Version) || !p.readOptionalID(body, &i.KeyID) {
		return false
	}
	p.infos.ChipAuthentication = append(p.infos.ChipAuthentication, i)
	return true
}

func (p *parser) publicKeyInfo(protocol string, body *tlv.String) bool {
	i := ChipAuthenticationPublicKeyInfo{Protocol: protocol}
	if !p.readElement(body, &i.PublicKey, tagSequence) || !p.readOptionalID(body, &i.KeyID) {
		return false
	}
	p.infos.ChipAuthenticationKeys = append(p.infos.ChipAuthenticationKeys, i)
	return true
}

func (p *parser) activeAuthenticationInfo(body *tlv.String) bool {
	var i ActiveAuthenticationInfo
	if !p.readInt(body, &i.Version) || !p.readOID(body, &i.SignatureAlgorithm) {
		return false
	}
	if i.Version != 1 {
		p.deviates(DevAAVersion)
	}
	p.infos.ActiveAuthentication = append(p.infos.ActiveAuthentication, i)
	return true
}

func (p *parser) terminalAuthenticationInfo(body *tlv.String) bool {
	var i TerminalAuthenticationInfo
	if !p.readInt(body, &i.Version) {
		return false
	}
	// EAC 1.x puts the identifier of EF.CVCA here (TR-03110-3, A.1.1.3).
	if tag, ok := body.PeekTag(); ok && tag == tagSequence && !p.read(body, new(tlv.String), tagSequence) {
		return false
	}
	p.infos.TerminalAuthentication = append(p.infos.TerminalAuthentication, i)
	return true
}

// resolve gives every PACEInfo its explicit domain parameters, and says which
// of them the terminal has to name.
func (p *parser) resolve() {
	sets := make(map[int]bool)
	for k := range p.infos.PACE {
		i := &p.infos.PACE[k]
		sets[i.ParameterID] = true
		if i.ParameterID >= 0 && i.ParameterID < firstProprietaryID {
			continue
		}
		for _, d := range p.infos.PACEDomainParameters {
			// Without an identifier there is only one set of explicit
			// parameters (9.2.1), and only one entry can be meant.
			if d.ParameterID == i.ParameterID && strings.HasPrefix(i.Protocol, d.Protocol+".") {
				i.Explicit = d.Parameters
				break
			}
		}
		if i.ParameterID == NoID && i.Explicit.IsZero() {
			p.deviates(DevNoParameterID)
		}
	}
	for k := range p.infos.PACE {
		i := &p.infos.PACE[k]
		i.Ambiguous = len(sets) > 1 && i.ParameterID != NoID
	}
}
