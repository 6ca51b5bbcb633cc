package chip

import (
	"bytes"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/tlv"
)

// caVariant is a [ChipAuthentication] ready for use.
type caVariant struct {
	oid   []byte
	id    int
	suite suite
	key   *ec.PrivateKey
}

func newCAVariant(p *ChipAuthentication) (*caVariant, error) {
	if p == nil {
		return nil, nil
	}
	const protocolCA, agreementECDH = 3, 2
	arcs, ok := parseProtocol(p.Protocol)
	s, known := suiteByArc(arcs[2])
	if !ok || !known || arcs[0] != protocolCA || arcs[1] != agreementECDH || !p.Key.Usable() || p.Key.EC == nil {
		return nil, fmt.Errorf("%w: chip authentication protocol or key", ErrPersonalisation)
	}
	return &caVariant{oid: protocolOID(arcs), id: p.KeyID, suite: s, key: p.Key.EC}, nil
}

// caReady says whether chip authentication can begin now, with the key that the
// terminal names, if it names one.
func (c *Chip) caReady(reference []byte) apdu.Status {
	switch {
	case c.ca == nil:
		return apdu.FunctionNotSupported
	case c.state.session == nil:
		return apdu.SecurityStatusNotSatisfied
	case !c.state.application:
		return apdu.ConditionsNotSatisfied
	case reference != nil && c.ca.id != 0 && !bytes.Equal(reference, []byte{byte(c.ca.id)}):
		return apdu.ReferencedDataNotFound
	default:
		return apdu.OK
	}
}

// selectCAKey is MSE:Set AT for chip authentication (Doc 9303-11, 6.2.4.2).
func (c *Chip) selectCAKey(mechanism, reference []byte) response {
	if sw := c.caReady(reference); sw != apdu.OK {
		return status(sw)
	}
	if !bytes.Equal(mechanism, c.ca.oid) {
		return status(apdu.WrongData)
	}
	c.state.caKey = true
	return status(apdu.OK)
}

// agreeCA is GENERAL AUTHENTICATE of chip authentication.
func (c *Chip) agreeCA(dynamic tlv.String) response {
	var key tlv.String
	if !dynamic.ReadTag(&key, doMechanism) || !dynamic.Empty() { // DO'80': the ephemeral key
		return status(apdu.WrongData)
	}
	r := c.startCA(key)
	if r.sw == apdu.OK {
		r.data = []byte{doDynamic, 0}
	}
	return r
}

// setKAT is MSE:Set KAT, which exists for 3DES only (6.2.4.1).
func (c *Chip) setKAT(ephemeral, reference []byte) response {
	if sw := c.caReady(reference); sw != apdu.OK {
		return status(sw)
	}
	if c.ca.suite != tripleDES {
		return status(apdu.FunctionNotSupported)
	}
	return c.startCA(ephemeral)
}

// startCA agrees on new session keys. The response still goes out under the
// old ones, and they stay in force if the agreement fails (6.2.2, 9.8.2).
func (c *Chip) startCA(ephemeral []byte) response {
	point, err := c.ca.key.Curve().ParsePoint(ephemeral)
	if err != nil {
		return status(apdu.WrongData)
	}
	secret, err := c.ca.key.ECDH(point)
	if err != nil {
		return status(apdu.WrongData)
	}
	s := c.ca.suite
	next, err := newSession(s, s.derive(secret, kdf.Enc), s.derive(secret, kdf.Mac), nil)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	r := status(apdu.OK)
	r.commit = func() { c.state.session = next }
	return r
}
