package chip

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrBSI is wrapped by the errors of [LoadBSI].
var ErrBSI = errors.New("chip: unusable BSI reference data set")

// maxFileSize bounds a file of the reference data set; its largest has 15 KB.
const maxFileSize = 1 << 20

// LoadBSI makes the document of the BSI TR-03105-5 reference data set from its
// files: EF_COM.bin, EF_SOD.bin, Datagroup1.bin, Datagroup2.bin,
// Datagroup14.bin, Datagroup15.bin, and the private keys DG14_sk.pkcs8 and
// DG15_sk.pkcs8. The chip has basic access control with the MRZ of DG1, active
// authentication RSA-1024 and chip authentication ECDH-3DES on brainpoolP224r1.
// DG3 and DG4, which the security object lists, answer 6982.
//
// The set holds no certificate of the authority, so the document has no CSCA.
// Its person is a published specimen, and its private keys are public.
func LoadBSI(fsys fs.FS) (*Document, error) {
	read := func(name string) ([]byte, error) {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBSI, err)
		}
		if len(b) == 0 || len(b) > maxFileSize {
			return nil, fmt.Errorf("%w: %s has %d bytes", ErrBSI, name, len(b))
		}
		return b, nil
	}
	com, err := read("EF_COM.bin")
	if err != nil {
		return nil, err
	}
	d := &Document{Groups: map[int][]byte{}}
	if d.SOD, err = read("EF_SOD.bin"); err != nil {
		return nil, err
	}
	pers := &Personalisation{
		Files: []File{
			{ID: idCOM, SFI: 0x1E, Content: com},
			{ID: idSOD, SFI: 0x1D, Content: d.SOD},
			groupFile(3, nil, Never),
			groupFile(4, nil, Never),
		},
		Limits: Limits{Extended: true, GetResponse: true, Plain: chipBuffer - 2, Protected: chipBuffer - 2},
	}
	d.Personalisation = pers
	for _, dg := range []int{1, 2, 14, 15} {
		content, err := read(fmt.Sprintf("Datagroup%d.bin", dg))
		if err != nil {
			return nil, err
		}
		d.Groups[dg] = content
		pers.Files = append(pers.Files, groupFile(dg, content, AfterAuthentication))
	}

	if pers.AccessKey, d.MRZ, err = keyOfDG1(d.Groups[1]); err != nil {
		return nil, err
	}
	keys := map[string]*issuer.Key{"DG14_sk.pkcs8": nil, "DG15_sk.pkcs8": nil}
	for name := range keys {
		der, err := read(name)
		if err != nil {
			return nil, err
		}
		if keys[name], err = issuer.ParsePKCS8(der); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBSI, name, err)
		}
	}
	pers.ActiveAuthentication = keys["DG15_sk.pkcs8"]
	pers.ChipAuthentication = &ChipAuthentication{
		Protocol: "0.4.0.127.0.7.2.2.3.2.1", // id-CA-ECDH-3DES-CBC-CBC
		Key:      keys["DG14_sk.pkcs8"],
	}
	return d, nil
}

// keyOfDG1 reads the machine readable zone in DG1.
func keyOfDG1(dg1 []byte) (mrz.Key, []string, error) {
	var body, zone tlv.String
	s := tlv.String(dg1)
	if !s.ReadTag(&body, 0x61) || !s.Empty() || !body.ReadTag(&zone, 0x5F1F) || !body.Empty() {
		return mrz.Key{}, nil, fmt.Errorf("%w: DG1 is malformed", ErrBSI)
	}
	m, err := mrz.Parse(string(zone))
	if err != nil {
		return mrz.Key{}, nil, fmt.Errorf("%w: %w", ErrBSI, err)
	}
	key, err := m.Key()
	if err != nil {
		return mrz.Key{}, nil, fmt.Errorf("%w: %w", ErrBSI, err)
	}
	return key, m.Lines, nil
}
