package pace

import (
	"bytes"
	"crypto/cipher"
	"fmt"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/mac"
)

// A CAM is what the chip sent to prove, with chip authentication mapping, that
// it holds its static private key (Doc 9303-11, 4.4.3.5). It proves nothing
// until [CAM.Verify] was successful with a key that a trusted issuer signed.
type CAM struct {
	// KeyID is the identifier of the chip's static key in EF.CardSecurity
	// (9.2.1).
	KeyID int

	caIC  []byte    // chip authentication data, OrderSize bytes
	mapIC *ec.Point // PK_Map,IC of this run
}

// chipAuthentication decrypts the chip authentication data of the last answer
// (Doc 9303-11, 4.4.3.5.2 to 4.4.3.5.4).
func (r *run) chipAuthentication(objects dataObjects, ksEnc, mapIC []byte) (*CAM, error) {
	aIC, ok := objects.find(doChipAuthData)
	if !ok {
		return nil, fmt.Errorf("%w: no chip authentication data", ErrCardAuthentication)
	}
	block := newBlock(r.suite.cipher, ksEnc)
	bs := block.BlockSize()
	if len(aIC) == 0 || len(aIC)%bs != 0 {
		return nil, fmt.Errorf("%w: chip authentication data of %d bytes", ErrCardAuthentication, len(aIC))
	}
	iv := bytes.Repeat([]byte{0xFF}, bs) // E(KS_Enc, -1)
	block.Encrypt(iv, iv)
	padded := make([]byte, len(aIC))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(padded, aIC)
	caIC, ok := mac.Unpad(padded, bs)
	curve := r.suite.group.(curveGroup).curve // there is no other chip authentication mapping
	if !ok || len(caIC) != curve.OrderSize() {
		return nil, fmt.Errorf("%w: malformed chip authentication data", ErrCardAuthentication)
	}
	point, err := curve.ParsePoint(mapIC)
	if err != nil {
		return nil, violation(stepMap, errInvalidKey.Error())
	}
	return &CAM{KeyID: r.info.ParameterID, caIC: caIC, mapIC: point}, nil
}

// Verify checks the proof against the chip's static public key, which has to
// come from EF.CardSecurity after its signature was verified
// (PK_Map,IC = KA(CA_IC, PK_IC); Doc 9303-11, 4.4.3.5.2). The error is
// [ErrCardAuthentication].
func (c *CAM) Verify(static *ec.Point) error {
	if c == nil || c.mapIC == nil || static == nil || static.Curve() != c.mapIC.Curve() {
		return fmt.Errorf("%w: no proof for this key", ErrCardAuthentication)
	}
	p, err := static.Curve().ScalarMult(static, c.caIC)
	if err != nil || !p.Equal(c.mapIC) {
		return fmt.Errorf("%w: wrong chip authentication data", ErrCardAuthentication)
	}
	return nil
}
