package speedtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/lds"
)

// Kinds of exchanges that are not the reading of a file.
const (
	selectApplication    = "SELECT application"
	selectMaster         = "SELECT master file"
	selectFile           = "SELECT file"
	getChallenge         = "GET CHALLENGE"
	externalAuthenticate = "EXTERNAL AUTHENTICATE"
	manageEnvironment    = "MANAGE SECURITY ENVIRONMENT"
	generalAuthenticate  = "GENERAL AUTHENTICATE"
	internalAuthenticate = "INTERNAL AUTHENTICATE"
	getResponse          = "GET RESPONSE"
)

// A count is how often each kind of exchange occurs.
type count map[string]int

func (c count) sum() (n int) {
	for _, v := range c {
		n += v
	}
	return n
}

// plus returns c and d together, without what is zero.
func (c count) plus(d count) count {
	all := maps.Clone(c)
	for kind, n := range d {
		all[kind] += n
	}
	maps.DeleteFunc(all, func(_ string, n int) bool { return n == 0 })
	return all
}

// kinds tells the exchanges of a tap by their headers, which secure messaging
// leaves in clear (Doc 9303-11, 9.8.4).
func kinds(t *testing.T, exchanges []exchange) []string {
	t.Helper()
	var all []string
	application := false
	current := ""
	for _, e := range exchanges {
		ins, p1 := e.command[1], e.command[2]
		kind := ""
		switch ins {
		case 0xA4:
			kind = map[byte]string{0x00: selectMaster, 0x02: selectFile, 0x04: selectApplication}[p1]
			application = application || p1 == 0x04
		case 0xB0, 0xB1:
			if ins == 0xB0 && p1&0x80 != 0 {
				current = "READ " + fileOf(t, p1&0x1F, application)
			}
			kind = current
		case 0x22:
			kind = manageEnvironment
		case 0x82:
			kind = externalAuthenticate
		case 0x84:
			kind = getChallenge
		case 0x86:
			kind = generalAuthenticate
		case 0x88:
			kind = internalAuthenticate
		case 0xC0:
			kind = getResponse
		}
		if kind == "" {
			t.Fatalf("a command nobody knows: % X", e.command[:4])
		}
		all = append(all, kind)
	}
	return all
}

// fileOf returns the name of a file by its short identifier.
func fileOf(t *testing.T, sfi byte, application bool) string {
	t.Helper()
	files := []lds.File{lds.EFCardAccess, lds.EFATRInfo, lds.EFCardSecurity}
	if application {
		files = []lds.File{lds.EFSOD}
		for n := 1; n <= 16; n++ {
			f, _ := lds.DataGroup(n)
			files = append(files, f)
		}
	}
	i := slices.IndexFunc(files, func(f lds.File) bool { return f.SFI == sfi })
	if i < 0 {
		t.Fatalf("file %02X was read, which nobody needs", sfi)
	}
	return files[i].Name
}

func countOf(t *testing.T, exchanges []exchange) count {
	t.Helper()
	c := count{}
	for _, k := range kinds(t, exchanges) {
		c[k]++
	}
	return c
}

// required returns what the protocol requires to read the document of a profile,
// from what the profile is made of and the sizes of its files, and from nothing that
// reads it:
//
//   - EF.CardAccess is asked for once, for it decides the access protocol
//     (Doc 9303-11, 4.2); and EF.ATR/INFO if the reader carries extended length,
//     which without it may not be used (Doc 9303-10, 3.6.4.2).
//   - PACE takes five commands and the selection of the application, basic access
//     control the selection and two (Doc 9303-11, 4.4.4 and 4.3.4).
//   - Chip authentication takes two commands, or one if it is 3DES with MSE:Set KAT
//     (6.2.4); active authentication takes one (6.1.1).
//   - A file takes its size divided by what one response carries.
func required(d *chip.Document, v chip.Variant, r reader) count {
	c := count{"READ EF.CardAccess": 1}
	limit := 256 // response data in bytes
	if r.maxNe > 256 {
		c["READ EF.ATR/INFO"] = 1
		if v.ATRInfo {
			limit = min(r.maxNe, v.Limits.Plain)
		}
	}
	if v.Limits.Plain > 0 {
		limit = min(limit, v.Limits.Plain)
	}

	c[selectApplication] = 1
	protocol := ".1" // basic access control is 3DES
	if len(v.PACE) > 0 {
		protocol = v.PACE[len(v.PACE)-1].Protocol // our profiles list what is preferred last
		c[manageEnvironment], c[generalAuthenticate] = 1, 4
	} else {
		c[getChallenge], c[externalAuthenticate] = 1, 1
	}
	if strings.HasPrefix(protocol, "0.4.0.127.0.7.2.2.4.6.") {
		c["READ EF.CardSecurity"] = pieces(len(d.CardSecurity), limit, protocol)
	}
	c["READ EF.SOD"] = pieces(len(d.SOD), limit, protocol)
	if dg14, ok := d.Groups[14]; ok {
		c["READ DG14"] = pieces(len(dg14), limit, protocol)
	}
	if len(v.CA) > 0 {
		protocol = v.CA[0].Protocol
		c[manageEnvironment]++
		if strings.HasSuffix(protocol, ".1") { // 3DES, by MSE:Set KAT
			if v.CA[0].Kind.Group > 0 && limit == 256 {
				c[manageEnvironment]++ // 2048 bits do not fit into a short command
			}
		} else {
			c[generalAuthenticate]++
		}
	}
	for _, n := range []int{1, 2, 13, 15} {
		if g, ok := d.Groups[n]; ok {
			c[fmt.Sprintf("READ DG%d", n)] = pieces(len(g), limit, protocol)
		}
	}
	if v.AA != nil {
		c[internalAuthenticate] = 1
		if v.AA.Kind.Bits >= 2048 && r.maxNe <= 256 {
			c[getResponse] = 1 // 256 bytes of signature do not fit into a short response
		}
	}
	return c
}

// pieces returns how many responses of limit bytes a file takes in secure messaging
// (Doc 9303-11, 9.8.4): DO'87' with a padding indicator and the file's bytes, padded
// by at least one to whole blocks, DO'99' of 4 bytes and DO'8E' of 10. From offset
// 8000 on, which no command crosses, the bytes come in a DO'53' besides (Doc
// 9303-10, 3.6.6).
func pieces(size, limit int, protocol string) int {
	block := 16
	if strings.HasSuffix(protocol, ".1") {
		block = 8
	}
	header := func(n int) int {
		switch {
		case n < 0x80:
			return 2
		case n < 0x100:
			return 3
		}
		return 4
	}
	payload := 0
	for n := block; header(n+1)+n+1+4+10 <= limit; n += block {
		payload = n - 1
	}
	const far = 0x8000
	if size <= far {
		return ceil(size, payload)
	}
	return ceil(far, payload) + ceil(size-far, payload-header(payload))
}

// Reasons for exchanges that no protocol requires.
const (
	// Some chips know their files by identifier only, some by short identifier
	// only, some only with the master file selected, and that by one of two
	// commands, so a refusal of one way does not say that the others fail. What is at
	// stake is PACE: a chip without basic access control cannot be read otherwise. It
	// takes three short commands, and only where there is no EF.CardAccess.
	whyCardAccess = "EF.CardAccess is absent, and is asked for in every way before it is taken for absent"
	// One command more, where a chip that has the file saves dozens.
	whyATRInfo = "EF.ATR/INFO is absent, and is selected before it is taken for absent"
	// Chip authentication succeeds when the chip answers under the new keys. It is
	// asked with a command that has neither data nor a status of its own: a file that
	// is refused or absent must not look like a copy, nor the other way round.
	whyProof = "chip authentication is proven by an answer under the new keys"
	// The chip's quirk, learned once for every kind of chip in a reader.
	whyLearning = "the chip breaks the channel off when it is asked for too much, until that is known"
	// The chip does not let anybody ask for more than a file holds: the header says
	// how much that is.
	whyProbe = "the chip refuses to be asked for more than the file holds, so headers come first"
)

// A surplus is exchanges of one kind that a document takes beyond what is required.
type surplus struct {
	count count
	why   string
}

// surpluses lists all of them. known means that a chip of this kind was read before.
func surpluses(v chip.Variant, r reader, known bool) (all []surplus) {
	if len(v.PACE) == 0 {
		c := count{selectFile: 1, selectMaster: 2}
		if v.SelectMF == 0 || v.SelectMF == apdu.OK {
			c = count{selectFile: 2, selectMaster: 1}
		}
		all = append(all, surplus{c, whyCardAccess})
	}
	if r.maxNe > 256 && !v.ATRInfo {
		all = append(all, surplus{count{selectFile: 1}, whyATRInfo})
	}
	if len(v.CA) > 0 {
		all = append(all, surplus{count{selectFile: 1}, whyProof})
	}
	if v.Quirks.RefuseLe00 { // the stubborn chip
		all = append(all, surplus{count{
			"READ EF.CardAccess": 1, "READ EF.SOD": 1, "READ DG14": 1, "READ DG15": 1, "READ DG1": 1, "READ DG2": 1,
		}, whyProbe})
		if !known {
			// It opens anew after the full length, after 256 and after 224 bytes.
			all = append(all, surplus{count{
				selectApplication: 3, getChallenge: 3, externalAuthenticate: 3, "READ EF.SOD": 5,
			}, whyLearning})
		}
	}
	return all
}

// No exchange that the protocol does not require, of any profile on any reader, but
// for those that are listed, each with its reason: access, the files' sizes divided by
// what a response carries, authentication.
func TestNoExchangeThatIsNotRequired(t *testing.T) {
	for _, p := range chip.Profiles() {
		v, _ := chip.ProfileVariant(p.Name)
		d := build(t, p.Name)
		for _, r := range readers {
			t.Run(p.Name+"/"+r.name, func(t *testing.T) {
				desk := newDesk(t, d, r)
				var learned lds.Learned
				for _, known := range []bool{false, true} {
					want := required(d, v, r)
					need := want.sum()
					for _, s := range surpluses(v, r, known) {
						want = want.plus(s.count)
						t.Logf("%d beyond: %s", s.count.sum(), s.why)
					}
					tap := desk.tap(t, &learned)
					if diff := cmp.Diff(want, countOf(t, tap.exchanges)); diff != "" {
						t.Errorf("chip known %t, exchanges (-required and listed +made):\n%s", known, diff)
					}
					t.Logf("chip known %t: %d required, %d made", known, need, len(tap.exchanges))
				}
			})
		}
	}
}

// The text is verified and shown before the first byte of the photo is asked for, and
// then nothing is read but the photo.
func TestTextIsVerifiedBeforeThePhoto(t *testing.T) {
	for _, p := range chip.Profiles() {
		d := build(t, p.Name)
		for _, r := range readers {
			t.Run(p.Name+"/"+r.name, func(t *testing.T) {
				tap := newDesk(t, d, r).tap(t, nil)
				all := kinds(t, tap.exchanges)
				if tap.text == 0 || slices.Contains(all[:tap.text], "READ DG2") {
					t.Errorf("photo asked for before the text was shown: %q", all[:tap.text])
				}
				rest := all[tap.text:]
				if len(rest) == 0 || slices.ContainsFunc(rest, func(k string) bool { return k != "READ DG2" }) {
					t.Errorf("after the text: %q, want the photo and nothing else", rest)
				}
			})
		}
	}
}
