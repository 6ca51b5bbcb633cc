package conformitytest

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

// at is when the documents are inspected.
var at = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

// Algorithms of the default documents (TR-03105-5.1, 4).
var (
	rsaDS   = issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA256, Bits: 2048}
	rsaCSCA = issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA256, Bits: 3072}
)

// Keys take long to make and prove nothing, so all documents share them.
var (
	keys = issuer.NewKeyCache(nil)
	pkis sync.Map // by what they are made of
)

// portrait is the picture of every document.
var portrait = sync.OnceValues(func() ([]byte, error) {
	holder, _ := specimen.Find("testa-muster")
	return specimen.Portrait(holder)
})

// Identifiers of protocols (Doc 9303-11, 9.2.3 and 9.2.7).
const (
	caDH3DES   = "0.4.0.127.0.7.2.2.3.1.1"
	caDHAES    = "0.4.0.127.0.7.2.2.3.1.2"
	caECDH3DES = "0.4.0.127.0.7.2.2.3.2.1"
	caECDHAES  = "0.4.0.127.0.7.2.2.3.2.2"

	paceGM3DES = "0.4.0.127.0.7.2.2.4.2.1"
	paceGMAES  = "0.4.0.127.0.7.2.2.4.2.2"
	paceDHGM   = "0.4.0.127.0.7.2.2.4.1.2"
	paceIMAES  = "0.4.0.127.0.7.2.2.4.4.2"
	paceCAMAES = "0.4.0.127.0.7.2.2.4.6.2"
)

// brainpoolP256r1 is the number of the curve among the standardized domain
// parameters (Doc 9303-11, 9.5.1).
const brainpoolP256r1 = 13

// plain is a document without access control (CFG.DFLT.PLAIN).
func plain() chip.Variant {
	return chip.Variant{
		Kind: specimen.Passport, Open: true, Signer: rsaDS, Authority: rsaCSCA,
		SOD: issuer.SODOptions{Hash: crypto.SHA256},
	}
}

// bacDocument is a document with basic access control (CFG.DFLT.BAC).
func bacDocument() chip.Variant {
	v := plain()
	v.Open = false
	return v
}

// eac is one with chip authentication, and with fingers and irises that no
// terminal here may read (CFG.DFLT.EAC).
func eac() chip.Variant {
	v := bacDocument()
	v.CA = []chip.CAKey{{Protocol: caECDH3DES, Kind: issuer.KeyKind{Curve: "brainpoolP224r1", Explicit: true}}}
	v.Hidden = []int{3, 4}
	v.TerminalAuthentication = true
	return v
}

// eacAA is one with active authentication beside it (CFG.DFLT.EACAA).
func eacAA() chip.Variant {
	v := eac()
	v.AA = &chip.AAKey{Kind: issuer.KeyKind{Bits: 2048}, Form: chip.AAForm{Hash: crypto.SHA256}}
	return v
}

// pace is a document that opens with PACE only (CFG.DFLT.PACE).
func pace() chip.Variant {
	v := bacDocument()
	v.NoBAC = true
	v.PACE = []chip.PACE{{Protocol: paceGM3DES, ParameterID: brainpoolP256r1, Version: 2}}
	return v
}

// paceCAM is one with chip authentication mapping.
func paceCAM() chip.Variant {
	v := pace()
	v.PACE = []chip.PACE{{Protocol: paceCAMAES, ParameterID: brainpoolP256r1, Version: 2}}
	return v
}

// A document is a document that may be changed before it is inspected.
type document struct {
	*chip.Document
	t testing.TB
	v chip.Variant

	pool    *trust.Pool
	can     bool     // open it with the card access number
	printed []string // the zone on the data page
	maxNe   int
	// foreign says that a desk refuses the document although it conforms: no
	// document that is asked for there is of this kind.
	foreign bool
}

// build makes the document of a variant.
func build(t testing.TB, v chip.Variant) *document {
	t.Helper()
	if v.Portrait.Image == nil {
		image, err := portrait()
		if err != nil {
			t.Fatal(err)
		}
		v.Portrait.Image, v.Portrait.Width, v.Portrait.Height = image, specimen.PortraitWidth, specimen.PortraitHeight
	}
	doc, err := chip.BuildVariant(v, chip.Options{At: at, Keys: keys, PKI: pkiOf(t, v)})
	if err != nil {
		t.Fatal(err)
	}
	d := &document{Document: doc, t: t, v: v, printed: doc.MRZ}
	d.pool = trust.NewPool()
	d.trusts(doc.CSCA)
	// Some chips lack basic access control: they do not open before PACE has run
	// (TR-03105-5.1, 5.7).
	if v.NoBAC {
		doc.Personalisation.Quirks.NoBAC = 0x6982
	}
	return d
}

// trusts adds a trust anchor.
func (d *document) trusts(csca []byte) {
	d.t.Helper()
	c, err := cms.ParseCertificate(csca)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.pool.Add(c, "conformity"); err != nil {
		d.t.Fatal(err)
	}
}

// pkiOf returns the issuing state of a variant.
func pkiOf(t testing.TB, v chip.Variant) *chip.PKI {
	t.Helper()
	cam := slices.ContainsFunc(v.PACE, func(p chip.PACE) bool { return strings.HasPrefix(p.Protocol, "0.4.0.127.0.7.2.2.4.6.") })
	of := fmt.Sprint(v.Signer, v.Authority, v.NoKeyIdentifiers, v.DocumentTypes, cam)
	once, _ := pkis.LoadOrStore(of, sync.OnceValues(func() (*chip.PKI, error) {
		return chip.NewVariantPKI(v, at, nil, keys)
	}))
	pki, err := once.(func() (*chip.PKI, error))()
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

// keyOf returns the key that the documents share for a use and an algorithm.
func keyOf(t testing.TB, use string, alg issuer.Algorithm) signature {
	t.Helper()
	kind, err := alg.KeyKind()
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Key(use, kind)
	if err != nil {
		t.Fatal(err)
	}
	return signature{key: key, alg: alg}
}

// File identifiers (Doc 9303-10, 3.11 and 4.6).
const (
	idCOM          = 0x011E
	idSOD          = 0x011D
	idDG1          = 0x0101
	idCardAccess   = 0x011C // in the master file, as the rest
	idCardSecurity = 0x011D
	idATRInfo      = 0x2F01
)

// write replaces the content of a file, or adds it.
func write(files []chip.File, f chip.File) []chip.File {
	if i := slices.IndexFunc(files, func(g chip.File) bool { return g.ID == f.ID }); i >= 0 {
		files[i].Content = f.Content
		return files
	}
	return append(files, f)
}

func (d *document) file(id uint16, sfi byte, content []byte) {
	p := d.Personalisation
	p.Files = write(p.Files, chip.File{ID: id, SFI: sfi, Content: content})
}

func (d *document) master(id uint16, sfi byte, content []byte) {
	p := d.Personalisation
	p.MasterFiles = write(p.MasterFiles, chip.File{ID: id, SFI: sfi, Content: content, Access: chip.Always})
}

func (d *document) content(id uint16) []byte {
	for _, f := range d.Personalisation.Files {
		if f.ID == id {
			return slices.Clone(f.Content)
		}
	}
	d.t.Fatalf("no file %04X", id)
	return nil
}

// put writes a data group, which is signed by [document.sign].
func (d *document) put(dg int, content []byte) {
	d.Groups[dg] = content
	d.file(idDG1+uint16(dg)-1, byte(dg), content)
}

// A signing says what is different about EF.SOD.
type signing struct {
	opt issuer.SODOptions
	// certificate changes the signer's certificate before the authority signs it,
	// and spoil afterwards.
	certificate, spoil func(*certificate)
	// edit changes EF.SOD before it is signed, and after afterwards.
	edit, after func(*sod)
	// without are data groups that are not signed.
	without []int
}

// sign signs the data groups as they are now.
func (d *document) sign(how signing) {
	d.t.Helper()
	signed := make(map[int][]byte)
	for dg, content := range d.Groups {
		signed[dg] = content
	}
	for _, dg := range d.v.Hidden {
		signed[dg] = []byte{issuer.GroupTag(dg), 0}
	}
	for _, dg := range how.without {
		delete(signed, dg)
	}
	if how.opt == (issuer.SODOptions{}) {
		how.opt = d.v.SOD
	}
	b, err := d.PKI.DS.SignSOD(signed, how.opt)
	if err != nil {
		d.t.Fatal(err)
	}
	s := parseSOD(d.t, b)
	s.signer = keyOf(d.t, "DS", d.v.Signer)
	if how.certificate != nil || how.spoil != nil {
		c := parseCertificate(d.t, s.certs.kids[0].bytes())
		c.signer = keyOf(d.t, "CSCA", d.v.Authority)
		if how.certificate != nil {
			how.certificate(c)
			c.sign()
			if s.sid.tag[0] == 0x30 { // the signer's name goes with it
				s.sid.kids[0], s.sid.kids[1] = c.issuer, c.serial
			}
		}
		if how.spoil != nil {
			how.spoil(c)
		}
		s.certs.kids[0].set(d.t, c.root.bytes())
	}
	if how.edit != nil {
		how.edit(s)
	}
	if how.edit != nil || how.certificate != nil {
		s.sign()
	}
	if how.after != nil {
		how.after(s)
	}
	d.setSOD(s.root.bytes())
}

func (d *document) setSOD(b []byte) {
	d.SOD = b
	d.file(idSOD, 0x1D, b)
}
