package chipauth

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// Object identifiers (Doc 9303-11, 9.2.3 and 9.2.7), in text and as encoded.
const (
	idPKDH   = "0.4.0.127.0.7.2.2.1.1"
	idPKECDH = "0.4.0.127.0.7.2.2.1.2"
	idCADH   = "0.4.0.127.0.7.2.2.3.1"
	idCAECDH = "0.4.0.127.0.7.2.2.3.2"

	idCAEncoded = "\x04\x00\x7F\x00\x07\x02\x02\x03"

	idPACECAM = "0.4.0.127.0.7.2.2.4.6"
)

// A variant is one way to perform chip authentication: what a
// ChipAuthenticationInfo and a key stand for.
type variant struct {
	oid        []byte // content of the object identifier of the protocol
	curve      bool   // ECDH, not DH
	cipher     sm.Cipher
	kat        bool // by MSE:Set KAT
	key        chipKey
	keyID      int // of the info, or of its key
	reference  int // what is sent to name the key; [secinfo.NoID] for nothing
	deviations []string
}

func (v *variant) deviates(name string) {
	v.deviations = append(slices.Clip(v.deviations), name)
}

// name returns such as "CA ECDH AES-128 brainpoolP256r1".
func (v variant) name() string {
	agreement := "DH"
	if v.curve {
		agreement = "ECDH"
	}
	return "CA " + agreement + " " + v.cipher.String() + " " + v.key.name()
}

// appendReference appends the reference of the private key (6.2.4).
func (v variant) appendReference(data []byte) []byte {
	if v.reference == secinfo.NoID {
		return data
	}
	return tlv.Append(data, doKeyReference, unsigned(v.reference))
}

// unsigned encodes a number in as few bytes as possible (Doc 9303-11, 9.4.1).
func unsigned(n int) []byte {
	b := []byte{byte(n)}
	for n >>= 8; n > 0; n >>= 8 {
		b = append(b, byte(n))
	}
	slices.Reverse(b)
	return b
}

// protocolOf reads the object identifier of a ChipAuthenticationInfo (6.2.3,
// tables 5 and 6).
func protocolOf(oid string) (v variant, ok bool) {
	parent, last := oid, ""
	if i := strings.LastIndexByte(oid, '.'); i >= 0 {
		parent, last = oid[:i], oid[i+1:]
	}
	agreement := byte(1)
	switch parent {
	case idCADH:
	case idCAECDH:
		agreement, v.curve = 2, true
	default:
		return variant{}, false
	}
	ciphers := map[string]sm.Cipher{"1": sm.TripleDES, "2": sm.AES128, "3": sm.AES192, "4": sm.AES256}
	if v.cipher, ok = ciphers[last]; !ok {
		return variant{}, false
	}
	v.oid = append([]byte(idCAEncoded), agreement, last[0]-'0')
	return v, true
}

// An offer is a ChipAuthenticationInfo with a key that belongs to it.
type offer struct {
	info secinfo.ChipAuthenticationInfo
	key  secinfo.ChipAuthenticationPublicKeyInfo
	variant
}

// variantsOf returns what the infos offer and this package performs, best
// first; at least one. Otherwise the error is [ErrNotOffered], or what is wrong
// with the best offer.
func variantsOf(infos secinfo.SecurityInfos) ([]variant, error) {
	offers, unusable := offersOf(infos)
	var variants []variant
	for _, o := range offers[:min(len(offers), maxVariants)] {
		v := o.variant
		var err error
		if v.key, err = parseKey(o.key, v.curve); err != nil {
			unusable = cmp.Or(unusable, err)
			continue
		}
		if k, ok := v.key.(*dhKey); ok && k.x942 {
			v.deviates(DevX942)
		}
		if v.cipher == sm.TripleDES {
			v.kat = true
			variants = append(variants, v)
			v.kat = false
		}
		variants = append(variants, v)
	}
	if len(variants) == 0 {
		return nil, cmp.Or(unusable, ErrNotOffered)
	}
	if unusable != nil {
		for i := range variants {
			variants[i].deviates(DevUnusable)
		}
	}
	return variants, nil
}

// offersOf pairs the infos with their keys, best pair first. The error says
// what is wrong with an info that is passed over.
func offersOf(infos secinfo.SecurityInfos) (offers []offer, unusable error) {
	entries := infos.ChipAuthentication
	inferred := len(entries) == 0
	if inferred {
		entries = inferInfos(infos)
	}
	for _, info := range entries {
		v, known := protocolOf(info.Protocol)
		if !known {
			unusable = cmp.Or(unusable, ErrUnsupported)
			continue
		}
		if inferred {
			v.deviates(DevNoInfo)
		}
		if info.Version != 1 {
			v.deviates(DevVersion)
		}
		keys := keysOf(infos, info, v.curve)
		if len(keys) == 0 {
			unusable = cmp.Or(unusable, ErrKey)
		}
		for _, key := range keys {
			o := offer{info: info, key: key, variant: v}
			o.deviations = slices.Clone(v.deviations)
			if info.KeyID != key.KeyID {
				o.deviates(DevKeyID)
			}
			o.keyID = info.KeyID
			o.reference = info.KeyID
			if info.KeyID == secinfo.NoID {
				o.keyID = key.KeyID
				if len(infos.ChipAuthenticationKeys) > 1 { // the chip has to be told which (6.2.4)
					o.reference = key.KeyID
				}
			}
			same := func(other offer) bool {
				return bytes.Equal(other.oid, o.oid) && other.reference == o.reference && bytes.Equal(other.key.PublicKey, key.PublicKey)
			}
			if !slices.ContainsFunc(offers, same) {
				offers = append(offers, o)
			}
		}
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return slices.Compare(b.rank(), a.rank()) })
	return offers, unusable
}

// rank orders offers, the best highest; see [Authenticate].
func (o offer) rank() []int {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return []int{number(o.info.Version == 1), int(o.cipher), number(o.curve), number(o.info.KeyID == o.key.KeyID)}
}

// keysOf returns the keys that an info can mean: of its kind and with its
// identifier; if there is none, those where one of the two has no identifier.
func keysOf(infos secinfo.SecurityInfos, info secinfo.ChipAuthenticationInfo, curve bool) []secinfo.ChipAuthenticationPublicKeyInfo {
	kind := idPKDH
	if curve {
		kind = idPKECDH
	}
	var exact, loose []secinfo.ChipAuthenticationPublicKeyInfo
	for _, key := range infos.ChipAuthenticationKeys {
		switch {
		case key.Protocol != kind:
		case key.KeyID == info.KeyID:
			exact = append(exact, key)
		case key.KeyID == secinfo.NoID || info.KeyID == secinfo.NoID:
			loose = append(loose, key)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return loose
}

// inferInfos returns an info for each key of a chip that has none: version 1
// with 3DES. Not for a key that PACE with chip authentication mapping names:
// such a chip need not perform chip authentication as well (9.2.1, 9.2.11).
func inferInfos(infos secinfo.SecurityInfos) []secinfo.ChipAuthenticationInfo {
	var inferred []secinfo.ChipAuthenticationInfo
	for _, key := range infos.ChipAuthenticationKeys {
		mapping := func(p secinfo.PACEInfo) bool {
			return strings.HasPrefix(p.Protocol, idPACECAM+".") && p.ParameterID == key.KeyID
		}
		if slices.ContainsFunc(infos.PACE, mapping) {
			continue
		}
		info := secinfo.ChipAuthenticationInfo{Version: 1, KeyID: key.KeyID}
		switch key.Protocol {
		case idPKDH:
			info.Protocol = idCADH + ".1"
		case idPKECDH:
			info.Protocol = idCAECDH + ".1"
		default:
			info.Protocol = key.Protocol // of no known kind
		}
		inferred = append(inferred, info)
	}
	return inferred
}
