package chip_test

import (
	"context"
	"crypto"
	"fmt"
	"math/rand/v2"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
)

// A passport as a trainer may want it: PACE alone, a chip that signs, fingerprints
// that refuse, a portrait of 20 KB, short commands only, and one bad habit.
func ExampleBuildVariant() {
	d, err := chip.BuildVariant(chip.Variant{
		Kind:  specimen.Passport,
		NoBAC: true,
		PACE: []chip.PACE{{
			Protocol: "0.4.0.127.0.7.2.2.4.2.4", Version: 2, // ECDH, generic mapping, AES-256
			ParameterID: 16, // brainpoolP384r1
		}},
		CAN:      "123456",
		AA:       &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}},
		Signer:   issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "brainpoolP256r1", Explicit: true},
		Hidden:   []int{3},
		Optional: []int{11},
		Portrait: chip.Portrait{Size: 20_000},
		Limits:   chip.Limits{Protected: 192, OverLimit: 0x6700},
		Quirks:   chip.Quirks{RefuseLe00: true},
	}, chip.Options{Rand: rand.NewChaCha8([32]byte{1})})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("printed:", d.MRZ[1], "CAN", d.CAN)
	fmt.Println("trust this:", len(d.CSCA) > 0, "signed groups:", len(d.Groups), "and DG3")

	c, err := d.Chip()
	if err != nil {
		fmt.Println(err)
		return
	}
	// Anything that carries APDUs can stand before the chip: a virtual reader, a
	// card emulator, a test. Here it is the terminal's first command, SELECT of
	// EF.CardAccess.
	resp, err := c.Transmit(context.Background(), []byte{0x00, 0xA4, 0x02, 0x0C, 0x02, 0x01, 0x1C})
	fmt.Printf("%X %v\n", resp, err)
	// Output:
	// printed: T0000008<7UTO8512246F3108099<<<<<<<<<<<<<<00 CAN 123456
	// trust this: true signed groups: 5 and DG3
	// 9000 <nil>
}

// A profile with another chip behind it: a copy, on which all data is as it was
// signed and the private key is not.
func ExampleBuild() {
	d, err := chip.Build(chip.ProfileCCCD, chip.Options{Tamper: chip.TamperClone, Rand: rand.NewChaCha8([32]byte{2})})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Person.Name)
	fmt.Println(d.QR)
	// Output:
	// Nguyễn Văn Thử
	// 001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Số 1, Phường X, Quận Y, Hà Nội|15082022
}

// Parts of a profile serve for a document of one's own.
func ExampleProfileVariant() {
	v, ok := chip.ProfileVariant(chip.ProfilePassportPACECAM)
	if !ok {
		return
	}
	v.CANTries = 3                                     // the chip counts wrong numbers
	v.Refused = map[uint16]apdu.Status{0x0102: 0x6982} // and keeps back DG2
	d, err := chip.BuildVariant(v, chip.Options{Rand: rand.NewChaCha8([32]byte{3})})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(d.CardSecurity) > 0, d.CAN)
	// Output: true 271828
}
