package chip

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/tlv"
)

// caVariant is a [ChipAuthentication] ready for use.
type caVariant struct {
	oid     []byte
	id      []byte // of the key, as in DO'84'; nil for none
	suite   suite
	domain  domain
	private []byte
}

// newCAVariants checks every key and protocol of chip authentication.
func newCAVariants(p *Personalisation) ([]*caVariant, error) {
	var (
		variants []*caVariant
		keys     []ChipAuthentication
	)
	for _, x := range p.allCA() {
		// One identifier means one key, and without identifiers there is one.
		if slices.ContainsFunc(keys, func(o ChipAuthentication) bool { return o.KeyID == x.KeyID && o.Key != x.Key }) {
			return nil, fmt.Errorf("%w: chip authentication key identifier repeated", ErrPersonalisation)
		}
		keys = append(keys, x)
		v, err := newCAVariant(x, p.Quirks.FixedLengthDH)
		if err != nil {
			return nil, err
		}
		if v != nil {
			variants = append(variants, v)
		}
	}
	return variants, nil
}

// newCAVariant returns nil for a key without a protocol.
func newCAVariant(x ChipAuthentication, fixedDH bool) (*caVariant, error) {
	const protocolCA, agreementDH, agreementECDH = 3, 1, 2
	unusable := fmt.Errorf("%w: chip authentication protocol or key", ErrPersonalisation)
	if !x.Key.Usable() || x.Key.RSA != nil || x.KeyID < 0 || x.KeyID > 0xFF {
		return nil, unusable
	}
	if x.Protocol == "" {
		return nil, nil
	}
	arcs, ok := parseProtocol(x.Protocol)
	s, known := suiteByArc(arcs[2])
	if !ok || !known || arcs[0] != protocolCA {
		return nil, unusable
	}
	v := &caVariant{oid: protocolOID(arcs), suite: s}
	if x.KeyID != 0 {
		v.id = []byte{byte(x.KeyID)}
	}
	switch {
	case arcs[1] == agreementECDH && x.Key.EC != nil:
		v.domain = curveDomain{x.Key.EC.Public().Curve()}
		v.private = x.Key.EC.Bytes()
	case arcs[1] == agreementDH && x.Key.DH != nil:
		v.domain = groupDomain{group: x.Key.DH.Group(), fixed: fixedDH}
		v.private = x.Key.DH.Private()
	default:
		return nil, unusable
	}
	return v, nil
}

// selectCA finds the key that the terminal means, among those for a protocol, or
// for MSE:Set KAT (mechanism nil) among those for 3DES. The terminal has to name
// the key where there are several (Doc 9303-11, 6.2.4).
func (c *Chip) selectCA(mechanism, reference []byte) (*caVariant, apdu.Status) {
	switch {
	case len(c.ca) == 0:
		return nil, apdu.FunctionNotSupported
	case c.state.session == nil:
		return nil, apdu.SecurityStatusNotSatisfied
	case !c.state.application:
		return nil, apdu.ConditionsNotSatisfied
	}
	if reference == nil && slices.ContainsFunc(c.ca, func(v *caVariant) bool { return !bytes.Equal(v.id, c.ca[0].id) }) {
		return nil, apdu.ReferencedDataNotFound
	}
	sw := apdu.WrongData
	if mechanism == nil {
		sw = apdu.FunctionNotSupported
	}
	for _, v := range c.ca {
		if mechanism == nil && v.suite != tripleDES || mechanism != nil && !bytes.Equal(mechanism, v.oid) {
			continue
		}
		// A chip whose key has no identifier does not care for one.
		if reference == nil || v.id == nil || bytes.Equal(reference, v.id) {
			return v, apdu.OK
		}
		sw = apdu.ReferencedDataNotFound
	}
	return nil, sw
}

// selectCAKey is MSE:Set AT for chip authentication (Doc 9303-11, 6.2.4.2).
func (c *Chip) selectCAKey(mechanism, reference []byte) response {
	if mechanism == nil {
		return status(apdu.WrongData)
	}
	v, sw := c.selectCA(mechanism, reference)
	if sw == apdu.OK && c.p.Quirks.NoSetAT && v.suite == tripleDES {
		v, sw = nil, apdu.WrongData
	}
	c.state.ca = v
	return status(sw)
}

// agreeCA is GENERAL AUTHENTICATE of chip authentication.
func (c *Chip) agreeCA(v *caVariant, dynamic tlv.String) response {
	var key tlv.String
	if !dynamic.ReadTag(&key, doMechanism) || !dynamic.Empty() { // DO'80': the ephemeral key
		return status(apdu.WrongData)
	}
	r := c.startCA(v, key)
	if r.sw == apdu.OK {
		r.data = []byte{doDynamic, 0}
	}
	return r
}

// setKAT is MSE:Set KAT, which exists for 3DES only (6.2.4.1).
func (c *Chip) setKAT(ephemeral, reference []byte) response {
	if c.p.Quirks.NoSetKAT {
		return status(apdu.IncorrectP1P2)
	}
	v, sw := c.selectCA(nil, reference)
	if sw != apdu.OK {
		return status(sw)
	}
	return c.startCA(v, ephemeral)
}

// startCA agrees on new session keys. The response still goes out under the
// old ones, and they stay in force if the agreement fails (6.2.2, 9.8.2).
func (c *Chip) startCA(v *caVariant, ephemeral []byte) response {
	public, err := v.domain.parse(ephemeral)
	if err != nil || c.p.Faults.Ephemeral != nil && !c.p.Faults.Ephemeral(ephemeral) {
		return status(apdu.WrongData)
	}
	secret, err := v.domain.power(public, v.private)
	if err != nil {
		return status(apdu.WrongData)
	}
	s, k := v.suite, secret.secret()
	next, err := newSession(s, s.derive(k, kdf.Enc), s.derive(k, kdf.Mac), nil)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	r := status(apdu.OK)
	if c.p.Faults.OldKeys {
		next = c.state.session
	}
	r.commit = func() { c.state.session, c.state.ca = next, nil }
	return r
}
