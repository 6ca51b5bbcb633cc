package chip

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"io"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/tlv"
)

// P1-P2 of MANAGE SECURITY ENVIRONMENT.
const (
	setATMutual   = 0xC1A4 // PACE (Doc 9303-11, 4.4.4.1)
	setATInternal = 0x41A4 // chip authentication (6.2.4.2)
	setKAT        = 0x41A6 // chip authentication with 3DES (6.2.4.1)
)

// Data objects of MANAGE SECURITY ENVIRONMENT and GENERAL AUTHENTICATE.
const (
	doMechanism    = 0x80
	doPassword     = 0x83
	doKeyReference = 0x84
	doEphemeralKey = 0x91

	doDynamic        = 0x7C
	doEncryptedNonce = 0x80
	doMapIFD         = 0x81
	doMapIC          = 0x82
	doKeyIFD         = 0x83
	doKeyIC          = 0x84
	doTokenIFD       = 0x85
	doTokenIC        = 0x86

	tagPublicKey   = 0x7F49
	tagOID         = 0x06
	tagPublicPoint = 0x86

	passwordMRZ = 1
	passwordCAN = 2

	paceNonceLen = 16 // a multiple of every cipher's block (Doc 9303-11, 4.4.1)
)

// bsiProtocols is the encoding of 0.4.0.127.0.7.2.2, the arc of PACE and chip
// authentication, without its first byte pair.
const bsiProtocols = "\x04\x00\x7F\x00\x07\x02\x02"

// protocolOID encodes an identifier below bsiProtocols whose last three arcs
// are small.
func protocolOID(arcs [3]byte) []byte { return append([]byte(bsiProtocols), arcs[:]...) }

// parseProtocol takes an identifier such as 0.4.0.127.0.7.2.2.4.2.2 apart into
// the arcs below 0.4.0.127.0.7.2.2.
func parseProtocol(oid string) (arcs [3]byte, ok bool) {
	const format = "0.4.0.127.0.7.2.2.%d.%d.%d"
	_, err := fmt.Sscanf(oid, format, &arcs[0], &arcs[1], &arcs[2])
	ok = err == nil && fmt.Sprintf(format, arcs[0], arcs[1], arcs[2]) == oid
	return arcs, ok && arcs[0]|arcs[1]|arcs[2] < 0x80
}

// curveByParameter is the table of standardized domain parameters
// (Doc 9303-11, 9.5.1), curves only; nil for any other number.
func curveByParameter(id int) *ec.Curve {
	name, ok := map[int]string{
		8: "P-192", 9: "brainpoolP192r1", 10: "P-224", 11: "brainpoolP224r1", 12: "P-256",
		13: "brainpoolP256r1", 14: "brainpoolP320r1", 15: "P-384", 16: "brainpoolP384r1",
		17: "brainpoolP512r1", 18: "P-521",
	}[id]
	if !ok {
		return nil
	}
	return ec.ByName(name)
}

// suiteByArc is the cipher that the last arc of a protocol's identifier names.
func suiteByArc(arc byte) (suite, bool) {
	s := suite(arc)
	return s, s >= tripleDES && s <= aes256
}

// paceVariant is a [PACE] ready for use.
type paceVariant struct {
	oid   []byte
	id    int
	suite suite
	curve *ec.Curve
}

func newPACEVariant(p *PACE) (*paceVariant, error) {
	if p == nil {
		return nil, nil
	}
	const protocolPACE, mappingECDHGM = 4, 2
	arcs, ok := parseProtocol(p.Protocol)
	s, known := suiteByArc(arcs[2])
	curve := curveByParameter(p.ParameterID)
	if !ok || !known || curve == nil || arcs[0] != protocolPACE || arcs[1] != mappingECDHGM {
		return nil, fmt.Errorf("%w: PACE protocol or parameters", ErrPersonalisation)
	}
	return &paceVariant{oid: protocolOID(arcs), id: p.ParameterID, suite: s, curve: curve}, nil
}

// paceRun is PACE between MSE:Set AT and the last GENERAL AUTHENTICATE. Each
// step sets what the next one needs.
type paceRun struct {
	kPi    []byte    // password key
	s      []byte    // nonce, after step 1
	mapped *ec.Point // generator of the ephemeral parameters, after step 2
	pkIFD  *ec.Point // terminal's ephemeral key, after step 3
	pkIC   *ec.Point // ours
	next   *session  // secure messaging to be
	ksMac  []byte    // for the tokens
}

// manageSecurityEnvironment is MANAGE SECURITY ENVIRONMENT, for PACE and chip
// authentication.
func (c *Chip) manageSecurityEnvironment(in command) response {
	var mechanism, password, reference, ephemeral []byte
	data := tlv.String(in.data)
	for !data.Empty() {
		var (
			value tlv.String
			tag   tlv.Tag
		)
		if !data.Read(&value, &tag) {
			return status(apdu.WrongData)
		}
		switch tag {
		case doMechanism:
			mechanism = value
		case doPassword:
			password = value
		case doKeyReference:
			reference = value
		case doEphemeralKey:
			ephemeral = value
		} // others are ignored (Doc 9303-11, 4.4.4.1, note 2)
	}
	switch int(in.p1)<<8 | int(in.p2) {
	case setATMutual:
		return c.beginPACE(mechanism, password, reference)
	case setATInternal:
		return c.selectCAKey(mechanism, reference)
	case setKAT:
		return c.setKAT(ephemeral, reference)
	default:
		return status(apdu.IncorrectP1P2)
	}
}

// beginPACE is MSE:Set AT for PACE (Doc 9303-11, 4.4.4.1).
func (c *Chip) beginPACE(mechanism, password, parameter []byte) response {
	v := c.pace
	switch {
	case c.state.session != nil:
		return status(apdu.ConditionsNotSatisfied)
	case v == nil || !bytes.Equal(mechanism, v.oid) || len(password) != 1:
		return status(apdu.WrongData)
	case parameter != nil && !bytes.Equal(parameter, []byte{byte(v.id)}):
		return status(apdu.ReferencedDataNotFound)
	}
	var secret []byte
	switch password[0] {
	case passwordMRZ:
		if c.p.AccessKey.IsZero() {
			return status(apdu.ReferencedDataNotFound)
		}
		hash := c.p.AccessKey.Hash()
		secret = hash[:]
	case passwordCAN:
		if c.p.CAN == "" {
			return status(apdu.ReferencedDataNotFound)
		}
		secret = []byte(c.p.CAN)
	default:
		return status(apdu.ReferencedDataNotFound)
	}
	c.state.pace = &paceRun{kPi: v.suite.derive(secret, kdf.Password)}
	return status(apdu.OK)
}

// generalAuthenticate is GENERAL AUTHENTICATE: a step of PACE, or the key
// agreement of chip authentication.
func (c *Chip) generalAuthenticate(in command) response {
	run, caKey := c.state.pace, c.state.caKey
	c.state.pace, c.state.caKey = nil, false // a failure starts over
	if in.p1 != 0 || in.p2 != 0 {
		return status(apdu.IncorrectP1P2)
	}
	var dynamic tlv.String
	data := tlv.String(in.data)
	if !data.ReadTag(&dynamic, doDynamic) || !data.Empty() {
		return status(apdu.WrongData)
	}
	switch {
	case run != nil:
		r := c.paceStep(run, in.cla&claChaining != 0, dynamic)
		if r.sw == apdu.OK && r.commit == nil {
			c.state.pace = run
		}
		return r
	case caKey:
		return c.agreeCA(dynamic)
	default:
		return status(apdu.ConditionsNotSatisfied)
	}
}

// paceStep is one of the four steps of Doc 9303-11, 4.4.5, table 4. All but the
// last are chained.
func (c *Chip) paceStep(run *paceRun, chained bool, dynamic tlv.String) response {
	step, want := c.paceNonce, tlv.Tag(0)
	switch {
	case run.s == nil:
	case run.mapped == nil:
		step, want = c.paceMap, doMapIFD
	case run.next == nil:
		step, want = c.paceAgree, doKeyIFD
	default:
		step, want = c.paceToken, doTokenIFD
	}
	if chained != (want != doTokenIFD) {
		return status(apdu.ConditionsNotSatisfied)
	}
	var value tlv.String
	if want != 0 && !dynamic.ReadTag(&value, want) || !dynamic.Empty() {
		return status(apdu.WrongData)
	}
	return step(run, value)
}

func dynamicResponse(tag tlv.Tag, value []byte) response {
	return success(tlv.Append(nil, doDynamic, tlv.Append(nil, tag, value)))
}

// paceNonce is step 1: the nonce, encrypted under the password (4.4.3.3).
func (c *Chip) paceNonce(run *paceRun, _ []byte) response {
	block, err := c.pace.suite.block(run.kPi)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	run.s = make([]byte, paceNonceLen)
	if _, err := io.ReadFull(c.p.Rand, run.s); err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	z := make([]byte, paceNonceLen)
	cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(z, run.s)
	return dynamicResponse(doEncryptedNonce, z)
}

// paceMap is step 2, the generic mapping: the new generator is s x G + H, with
// H agreed anonymously (4.4.3.3.1).
func (c *Chip) paceMap(run *paceRun, pkIFD []byte) response {
	curve := c.pace.curve
	point, err := curve.ParsePoint(pkIFD)
	if err != nil {
		return status(apdu.WrongData)
	}
	key, err := c.newEphemeral(curve, c.p.Rand)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	h, err := key.DH(point)
	if err != nil {
		return status(apdu.WrongData)
	}
	sG, err := curve.ScalarBaseMult(run.s)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	if run.mapped, err = curve.Add(sG, h); err != nil {
		return status(apdu.WrongData)
	}
	return dynamicResponse(doMapIC, key.Public().Bytes())
}

// paceAgree is step 3: the key agreement over the mapped parameters.
func (c *Chip) paceAgree(run *paceRun, pkIFD []byte) response {
	curve := c.pace.curve
	var err error
	if run.pkIFD, err = curve.ParsePoint(pkIFD); err != nil {
		return status(apdu.WrongData)
	}
	key, err := c.newEphemeral(curve, c.p.Rand)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	if run.pkIC, err = curve.ScalarMult(run.mapped, key.Bytes()); err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	if run.pkIC.Equal(run.pkIFD) { // 4.4.1, step 3 d: a reflected key
		return status(apdu.WrongData)
	}
	secret, err := key.ECDH(run.pkIFD)
	if err != nil {
		return status(apdu.WrongData)
	}
	s := c.pace.suite
	run.ksMac = s.derive(secret, kdf.Mac)
	if run.next, err = newSession(s, s.derive(secret, kdf.Enc), run.ksMac, nil); err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	return dynamicResponse(doKeyIC, run.pkIC.Bytes())
}

// paceToken is step 4: the tokens prove that both sides have the same keys
// (4.4.3.4).
func (c *Chip) paceToken(run *paceRun, tIFD []byte) response {
	if subtle.ConstantTimeCompare(c.token(run, run.pkIC), tIFD) != 1 {
		return status(apdu.AuthenticationFailed)
	}
	r := dynamicResponse(doTokenIC, c.token(run, run.pkIFD))
	r.commit = func() { c.state = state{application: c.state.application, session: run.next} }
	return r
}

// token authenticates a public key of the other side (4.4.3.4 and 9.4.5).
func (c *Chip) token(run *paceRun, key *ec.Point) []byte {
	body := tlv.Append(nil, tagOID, c.pace.oid)
	body = tlv.Append(body, tagPublicPoint, key.Bytes())
	return c.pace.suite.mac8(run.ksMac, tlv.Append(nil, tagPublicKey, body), false)
}
