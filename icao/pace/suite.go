package pace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
)

// id-PACE (Doc 9303-11, 9.2.3), in text and as encoded.
const (
	idPACE        = "0.4.0.127.0.7.2.2.4"
	idPACEEncoded = "\x04\x00\x7F\x00\x07\x02\x02\x04"
)

// A mapping is how the nonce becomes a generator (Doc 9303-11, 4.4.3.3).
type mapping uint8

const (
	generic mapping = iota + 1
	integrated
	chipAuthentication
)

// A suite is what an object identifier and a parameter identifier stand for
// (Doc 9303-11, 4.4.3 and 9.5.1).
type suite struct {
	oid     []byte // content of the object identifier
	mapping mapping
	cipher  sm.Cipher
	group   group
	name    string // "PACE ECDH-GM AES-128 brainpoolP256r1"
}

// protocols are the arcs below id-PACE.
var protocols = map[int]struct {
	name    string
	mapping mapping
	curve   bool
}{
	1: {"DH-GM", generic, false},
	2: {"ECDH-GM", generic, true},
	3: {"DH-IM", integrated, false},
	4: {"ECDH-IM", integrated, true},
	6: {"ECDH-CAM", chipAuthentication, true},
}

// suiteOf resolves what a PACEInfo offers, or returns [ErrUnsupported].
func suiteOf(info secinfo.PACEInfo) (suite, error) {
	rest, ok := strings.CutPrefix(info.Protocol, idPACE+".")
	first, second, found := strings.Cut(rest, ".")
	if !ok || !found || info.Version != 2 {
		return suite{}, ErrUnsupported
	}
	p, ok := protocols[arc(first)]
	cipher := []sm.Cipher{1: sm.TripleDES, 2: sm.AES128, 3: sm.AES192, 4: sm.AES256}
	c := arc(second)
	if !ok || c < 1 || c >= len(cipher) {
		return suite{}, ErrUnsupported
	}
	s := suite{
		oid:     append([]byte(idPACEEncoded), byte(arc(first)), byte(c)),
		mapping: p.mapping,
		cipher:  cipher[c],
	}
	if s.mapping == chipAuthentication && (s.cipher == sm.TripleDES || info.ParameterID == secinfo.NoID) {
		return suite{}, ErrUnsupported
	}
	var domain string
	if s.group, domain = domainOf(info, p.curve); s.group == nil {
		return suite{}, ErrUnsupported
	}
	if s.mapping == integrated && domain == "P-224" { // Doc 9303-11, 9.5.1: cannot be used
		return suite{}, ErrUnsupported
	}
	s.name = fmt.Sprintf("PACE %s %v %s", p.name, s.cipher, domain)
	return s, nil
}

// domainOf returns the group of the domain parameters and its name; nil when
// they are not known.
func domainOf(info secinfo.PACEInfo, curve bool) (group, string) {
	if !curve {
		if g := modpGroup(info.ParameterID); g != nil {
			return g, g.name
		}
		return nil, ""
	}
	c := secinfo.StandardizedCurve(info.ParameterID)
	if c == nil {
		c = info.Explicit.Curve()
	}
	if c == nil {
		return nil, ""
	}
	return curveGroup{c}, c.Name()
}

// arc reads one digit, which is all that the known protocols have.
func arc(s string) int {
	if len(s) != 1 {
		return -1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// Name describes what info offers: "PACE ECDH-GM AES-128 brainpoolP256r1"; ""
// when [Establish] cannot perform it.
func Name(info secinfo.PACEInfo) string {
	s, err := suiteOf(info)
	if err != nil {
		return ""
	}
	return s.name
}

// Choose returns the offer to take of several, false when [Establish] can perform none.
// The standard leaves the choice to the terminal: AES goes before 3DES, curves
// before MODP groups because they are faster, and of the mappings chip
// authentication first, because its [CAM] proves the chip without another
// exchange, and then generic, because most chips have been used with it. Among
// equals the chip's order counts.
func Choose(infos []secinfo.PACEInfo) (secinfo.PACEInfo, bool) {
	best, bestRank := -1, []int(nil)
	for i, info := range infos {
		s, err := suiteOf(info)
		if err != nil {
			continue
		}
		rank := []int{0, 0, int(s.mapping)}
		if s.mapping == chipAuthentication {
			rank[2] = -1
		}
		if s.cipher == sm.TripleDES {
			rank[0] = 1
		}
		if _, curve := s.group.(curveGroup); !curve {
			rank[1] = 1
		}
		if best < 0 || slices.Compare(rank, bestRank) < 0 {
			best, bestRank = i, rank
		}
	}
	if best < 0 {
		return secinfo.PACEInfo{}, false
	}
	return infos[best], true
}
