package conformitytest

import (
	"bytes"
	"crypto"
	"math/big"
	"slices"
	"sync"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/sm"
)

// Instructions (ISO/IEC 7816-4).
const (
	insSelect       = 0xA4
	insRead         = 0xB0
	insReadOdd      = 0xB1
	insExternal     = 0x82
	insMSE          = 0x22
	insGeneral      = 0x86
	claChained      = 0x10
	claSecure       = 0x0C
	tagCryptogram   = 0x87
	tagStatus       = 0x99
	tagChecksum     = 0x8E
	tagDynamic      = 0x7C
	statusLen       = 2
	applicationByID = 0x04
)

// answer is a fault: it changes the answer to the nth command with an instruction.
func answer(ins byte, nth int, change func(resp []byte) []byte) chip.FaultFunc {
	return answerTo(func(cmd []byte) bool { return cmd[1] == ins }, nth, change)
}

func answerTo(match func(cmd []byte) bool, nth int, change func(resp []byte) []byte) chip.FaultFunc {
	n := 0
	return func(exchange int, cmd []byte, next func() []byte) ([]byte, error) {
		if exchange == 1 { // another chip
			n = 0
		}
		resp := next()
		if len(cmd) > 1 && match(cmd) {
			if n++; n == nth {
				return change(slices.Clone(resp)), nil
			}
		}
		return resp, nil
	}
}

// status answers with a status word and nothing else.
func status(sw apdu.Status) func([]byte) []byte {
	return func([]byte) []byte { return []byte{sw.SW1(), sw.SW2()} }
}

// flip flips a bit of the answer.
func flip(i int) func([]byte) []byte {
	return func(resp []byte) []byte {
		resp[i] ^= 1
		return resp
	}
}

// protected matches commands under secure messaging.
func protected(cmd []byte) bool { return cmd[0]&claSecure == claSecure }

// objects changes the data objects of a response; without a nil one among them.
func objects(b *bench, change func(all []*node) []*node) func([]byte) []byte {
	return func(resp []byte) []byte {
		data, sw := resp[:len(resp)-statusLen], resp[len(resp)-statusLen:]
		var out []byte
		for _, n := range change(parseNodes(b.T, data)) {
			out = append(out, n.bytes()...)
		}
		return append(out, sw...)
	}
}

// without leaves out the data objects with a tag.
func without(tag byte) func([]*node) []*node {
	return func(all []*node) []*node {
		return slices.DeleteFunc(all, func(n *node) bool { return n.tag[0] == tag })
	}
}

// secured is the same below the checksum.
func secured(b *bench, change func(all []*node) []*node) func(int, byte, []byte) []byte {
	return func(_ int, ins byte, in []byte) []byte {
		if ins != insRead {
			return in
		}
		var out []byte
		for _, n := range change(parseNodes(b.T, in)) {
			out = append(out, n.bytes()...)
		}
		return out
	}
}

var _ = add(map[string]body{
	"ISO7816_A_01": func(b *bench) {
		d := b.build(plain())
		d.foreign = true
		b.accepts(d, finding{id: inspect.AccessControl, value: result.NotSupported, reason: inspect.ReasonUnprotected})
	},
	"ISO7816_A_02": func(b *bench) {
		b.accepts(b.build(bacDocument()), passed(inspect.AccessControl, "BAC"))
	},
	"ISO7816_A_03": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Fault = answerTo(func(cmd []byte) bool { return cmd[1] == insSelect && cmd[2] == applicationByID }, 1, status(apdu.FileNotFound))
		b.refuses(d, why{step: inspect.StepAccess, err: lds.ErrNoApplication, check: failed(inspect.AccessControl, inspect.ReasonRefused)})
	},
})

// brokenBAC is how basic access control ends with a chip that does not know the key.
var brokenBAC = why{step: inspect.StepAccess, err: bac.ErrCardAuthentication, check: failed(inspect.AccessControl, inspect.ReasonRefused)}

// brokenChannel is how reading ends when secure messaging is broken.
var brokenChannel = why{
	step: inspect.StepSOD, err: sm.ErrBroken,
	check: finding{id: inspect.SODSignature, value: result.Aborted, reason: inspect.ReasonInterrupted},
}

var _ = add(map[string]body{
	"ISO7816_B_01": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Fault = answer(insExternal, 1, flip(39)) // in the checksum
		b.refuses(d, brokenBAC)
	},
	"ISO7816_B_02": func(b *bench) {
		d := b.build(bacDocument())
		key := d.Personalisation.AccessKey.Hash()
		ksMac := kdf.TripleDES(key[:16], kdf.Mac)
		d.Personalisation.Fault = answer(insExternal, 1, func(resp []byte) []byte {
			resp[0] ^= 1 // of the cryptogram, under a good checksum
			sum := mac.Retail(ksMac, resp[:32])
			return slices.Concat(resp[:32], sum[:], resp[40:])
		})
		b.refuses(d, brokenBAC)
	},
	"ISO7816_B_03": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Fault = answer(insExternal, 1, status(apdu.AuthenticationFailed))
		b.refuses(d, why{step: inspect.StepAccess, err: inspect.ErrWrongKey, check: failed(inspect.AccessControl, inspect.ReasonWrongKey)})
	},
	"ISO7816_B_04": func(b *bench) {
		for _, sw := range []apdu.Status{apdu.SMObjectsMissing, apdu.SMObjectsIncorrect} {
			d := b.build(bacDocument())
			d.Personalisation.Fault = answerTo(protected, 1, status(sw))
			b.refuses(d, brokenChannel)
		}
	},
	"ISO7816_B_05": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Fault = answerTo(protected, 1, objects(b, without(tagChecksum)))
		b.refuses(d, brokenChannel)
	},
	"ISO7816_B_06": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Fault = answerTo(protected, 1, objects(b, without(tagCryptogram)))
		b.refuses(d, brokenChannel)
		// Even under a good checksum it is no file.
		d = b.build(bacDocument())
		d.Personalisation.Faults.Protect = secured(b, without(tagCryptogram))
		b.refuses(d, why{step: inspect.StepSOD, err: inspect.ErrNoSecurityObject, check: failed(inspect.SODSignature, inspect.ReasonUnreadable)})
	},
	"ISO7816_B_07": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Faults.Protect = secured(b, without(tagStatus))
		b.refuses(d, brokenChannel)
	},
	"ISO7816_B_08": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Fault = answerTo(protected, 1, func(resp []byte) []byte { return flip(len(resp) - statusLen - 1)(resp) })
		b.refuses(d, brokenChannel)
	},
	"ISO7816_B_09": func(b *bench) {
		d := b.build(bacDocument())
		d.Personalisation.Faults.Protect = secured(b, func(all []*node) []*node {
			all[0].val = all[0].val[:len(all[0].val)-1] // no whole blocks any more, under a good checksum
			return all
		})
		b.refuses(d, brokenChannel)
	},
	"ISO7816_B_10": func(b *bench) {
		d := b.build(bacDocument())
		raw, err := d.PKI.CSCA.CRL(issuer.CRLOptions{
			Number: 1, ThisUpdate: at.AddDate(0, 0, -1), NextUpdate: at.AddDate(0, 1, 0), Revoked: []*big.Int{d.PKI.DS.SerialNumber()},
		})
		if err != nil {
			b.Fatal(err)
		}
		crl, err := cms.ParseCRL(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.pool.AddCRL(crl, "conformity"); err != nil {
			b.Fatal(err)
		}
		b.refuses(d, why{check: failed(inspect.Revocation, passiveauth.SignerRevoked)})
	},
})

// sized is a document with a DG2 of so many bytes or more.
func sized(n int) chip.Variant {
	v := bacDocument()
	v.Portrait.Size = n
	return v
}

// shortEnd is a document whose chip answers in this way at the end of a file.
func shortEnd(sw apdu.Status) chip.Variant {
	v := bacDocument()
	v.Limits.ShortEnd = sw
	return v
}

var _ = add(map[string]body{
	"ISO7816_C_01": func(b *bench) {
		for _, id := range []uint16{idSOD, idDG1} {
			v := bacDocument()
			v.Refused = map[uint16]apdu.Status{id: apdu.FileNotFound}
			w := why{step: inspect.StepSOD, err: inspect.ErrNoSecurityObject, check: failed(inspect.SODSignature, inspect.ReasonAbsent)}
			if id == idDG1 {
				w = why{step: inspect.StepDG1, err: inspect.ErrNoData, check: failed(inspect.DG1Integrity, inspect.ReasonAbsent)}
			}
			b.refuses(b.build(v), w)
		}
	},
	"ISO7816_C_02": func(b *bench) { b.accepts(b.build(sized(30000)), passed(inspect.DG2Integrity, "")) },
	"ISO7816_C_03": func(b *bench) {
		b.accepts(b.build(shortEnd(apdu.OK)), passed(inspect.DG1Integrity, ""))
		v := bacDocument()
		v.Quirks.PadPastEnd = true
		b.accepts(b.build(v), passed(inspect.DG1Integrity, ""))
	},
	"ISO7816_C_04": func(b *bench) { b.accepts(b.build(shortEnd(0x6B00)), passed(inspect.DG1Integrity, "")) },
	"ISO7816_C_05": func(b *bench) { b.accepts(b.build(shortEnd(0x6282)), passed(inspect.DG1Integrity, "")) },
	"ISO7816_C_06": func(b *bench) { b.accepts(b.build(shortEnd(0x6C00)), passed(inspect.DG1Integrity, "")) },
	"ISO7816_C_07": func(b *bench) {
		d := b.build(sized(40000))
		odd := 0
		d.Personalisation.Fault = func(_ int, cmd []byte, next func() []byte) ([]byte, error) {
			if len(cmd) > 1 && cmd[1] == insReadOdd {
				odd++
			}
			return next(), nil
		}
		b.accepts(d, passed(inspect.DG2Integrity, ""))
		if odd == 0 {
			b.Error("READ BINARY with an odd instruction was not used")
		}
	},
	"ISO7816_C_08": func(b *bench) {
		d := b.build(bacDocument())
		d.face(func(r *record) { r.image = nil })
		b.refuses(d, deviates("DG2: "+face.ErrEmpty.Error()))
		d = b.build(bacDocument())
		d.portrait(func(_, block *node) { block.val = nil })
		b.refuses(d, deviates("DG2: "+face.ErrRecord.Error()))
	},
})

// withCA is a document with these keys of chip authentication.
func withCA(ca ...chip.CAKey) chip.Variant {
	v := eac()
	v.CA = ca
	return v
}

// p224 is the curve of the default document.
var p224 = issuer.KeyKind{Curve: "brainpoolP224r1", Explicit: true}

// dh is a key in a group modulo a prime.
func dh(protocol string) chip.CAKey {
	return chip.CAKey{Protocol: protocol, Kind: issuer.KeyKind{Group: 2}, PKCS3: true}
}

// infos changes the security infos of DG14, which is signed again.
func (d *document) infos(change func(set *node)) {
	g := parseNode(d.t, d.Groups[14])
	change(g.kids[0])
	d.put(14, g.bytes())
	d.sign(signing{})
}

// Protocols of security infos by the encoded beginning of their identifiers
// (Doc 9303-11, 9.2).
var (
	prefixPK = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x01}
	prefixCA = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x03}
)

// info finds the first entry below a protocol.
func info(b *bench, set *node, prefix []byte) *node {
	b.Helper()
	for _, k := range set.kids {
		if bytes.HasPrefix(k.kids[0].val, prefix) {
			return k
		}
	}
	b.Fatal("no such security info")
	return nil
}

// refusedCA is a chip that does not perform the chip authentication it announces.
func refusedCA(reason result.Reason) why {
	return why{check: failed(inspect.ChipAuthentication, reason)}
}

var _ = add(map[string]body{
	"ISO7816_D_01": func(b *bench) {
		for _, protocol := range []string{caDH3DES, caDHAES} {
			b.accepts(b.build(withCA(dh(protocol))), passed(inspect.ChipAuthentication, "CA DH"))
		}
	},
	"ISO7816_D_02": func(b *bench) {
		for _, protocol := range []string{caECDH3DES, caECDHAES} {
			b.accepts(b.build(withCA(chip.CAKey{Protocol: protocol, Kind: p224})), passed(inspect.ChipAuthentication, "CA ECDH"))
		}
	},
	"ISO7816_D_03": func(b *bench) {
		b.accepts(b.build(withCA(chip.CAKey{Protocol: caECDH3DES, Kind: p224, KeyID: 1})), passed(inspect.ChipAuthentication, "CA ECDH"))
	},
	"ISO7816_D_04": func(b *bench) {
		b.accepts(b.build(withCA(
			chip.CAKey{Protocol: caECDH3DES, Kind: p224, KeyID: 1},
			chip.CAKey{Protocol: caECDHAES, Kind: p224, KeyID: 2},
		)), passed(inspect.ChipAuthentication, "CA ECDH"))
	},
	"ISO7816_D_05": func(b *bench) {
		third := dh(caDH3DES)
		third.KeyID = 3
		b.accepts(b.build(withCA(
			chip.CAKey{Protocol: caECDH3DES, Kind: p224, KeyID: 1},
			chip.CAKey{Protocol: caECDHAES, Kind: p224, KeyID: 2},
			third,
		)), passed(inspect.ChipAuthentication, "CA ECDH"))
	},
	"ISO7816_D_06": func(b *bench) { b.refuses(foreignReference(b), refusedCA(chipauth.ReasonRefused)) },
	"ISO7816_D_07": func(b *bench) {
		d := b.build(withCA(dh(caDH3DES)))
		d.infos(func(set *node) {
			key := info(b, set, prefixPK).kids[1].kids[1]
			key.val[len(key.val)-1] ^= 0xFF
		})
		b.refuses(d, refusedCA(chipauth.ReasonKey))
	},
	"ISO7816_D_08": func(b *bench) {
		d := b.build(eac())
		d.infos(func(set *node) {
			key := info(b, set, prefixPK).kids[1].kids[1]
			key.val[len(key.val)-1] ^= 0xFF
		})
		b.refuses(d, refusedCA(chipauth.ReasonKey))
	},
	"ISO7816_D_09": func(b *bench) {
		d := b.build(eac())
		d.Personalisation.Faults.OldKeys = true
		w := refusedCA(chipauth.ReasonNotProved)
		w.step, w.err = inspect.StepChipAuthentication, inspect.ErrCopy
		b.refuses(d, w)
	},
	"ISO7816_D_10": func(b *bench) {
		d := b.build(eac())
		var mu sync.Mutex
		var seen [][]byte
		d.Personalisation.Faults.Ephemeral = func(key []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			if slices.ContainsFunc(seen, func(k []byte) bool { return bytes.Equal(k, key) }) {
				return false // it is to live for one session
			}
			seen = append(seen, slices.Clone(key))
			return true
		}
		for range 2 {
			b.accepts(d, passed(inspect.ChipAuthentication, "CA ECDH"))
		}
		if len(seen) != b.inspections {
			b.Errorf("%d ephemeral keys in %d inspections", len(seen), b.inspections)
		}
	},
	"ISO7816_D_11": func(b *bench) {
		d := b.build(withCA(dh(caDH3DES)))
		d.infos(func(set *node) { info(b, set, prefixPK).kids[1].kids[0].kids[0].val[0] ^= 1 }) // the key's algorithm
		b.refuses(d, why{check: undetermined(inspect.ChipAuthentication, chipauth.ReasonUnsupported)})
	},
	"ISO7816_D_12": func(b *bench) {
		d := b.build(eac())
		d.infos(func(set *node) { info(b, set, prefixPK).kids[1].kids[0].kids[0].val[0] ^= 1 })
		b.refuses(d, why{check: undetermined(inspect.ChipAuthentication, chipauth.ReasonUnsupported)})
	},
	"ISO7816_D_13": func(b *bench) {
		d := b.build(withCA(chip.CAKey{Protocol: caECDH3DES, Kind: p224, KeyID: 1}))
		d.infos(func(set *node) { info(b, set, prefixPK).kids[2].val = []byte{9} })
		b.refuses(d, refusedCA(chipauth.ReasonKey))
	},
	"ISO7816_D_14": func(b *bench) {
		v := withCA(dh(caDHAES))
		v.Limits.Extended, v.ATRInfo = true, true
		d := b.build(v)
		d.maxNe = 65536
		extended := false
		d.Personalisation.Fault = func(_ int, cmd []byte, next func() []byte) ([]byte, error) {
			extended = extended || len(cmd) > 7 && cmd[1] == insGeneral && cmd[4] == 0
			return next(), nil
		}
		b.accepts(d, passed(inspect.ChipAuthentication, "CA DH"))
		if !extended {
			b.Error("the key was not sent in extended length")
		}
	},
	"ISO7816_D_15": func(b *bench) {
		for _, sw := range []apdu.Status{0x6300, 0x6A80, 0x6A86, 0x6A88, 0x6982, 0x6985, 0x6F00} {
			d := foreignReference(b)
			// The chip's own refusal, in other words, inside the channel and out.
			d.Personalisation.Faults.Protect = func(_ int, ins byte, in []byte) []byte {
				if ins != insMSE {
					return in
				}
				return tlv(tagStatus, []byte{sw.SW1(), sw.SW2()})
			}
			d.Personalisation.Fault = func(_ int, cmd []byte, next func() []byte) ([]byte, error) {
				resp := next()
				if cmd[1] == insMSE {
					resp = append(slices.Clone(resp[:len(resp)-statusLen]), sw.SW1(), sw.SW2())
				}
				return resp, nil
			}
			b.refuses(d, refusedCA(chipauth.ReasonRefused))
		}
	},
})

// foreignReference is a document whose DG14 names a key that the chip does not have.
func foreignReference(b *bench) *document {
	d := b.build(withCA(chip.CAKey{Protocol: caECDH3DES, Kind: p224, KeyID: 1}))
	d.infos(func(set *node) {
		for _, prefix := range [][]byte{prefixPK, prefixCA} {
			info(b, set, prefix).kids[2].val = []byte{9}
		}
	})
	return d
}

// withAA is a document with an RSA key that signs with a hash.
func withAA(form chip.AAForm) chip.Variant {
	v := eacAA()
	v.AA.Form = form
	v.Limits.GetResponse = true // the signature does not fit into a short response
	return v
}

var _ = add(map[string]body{
	"ISO7816_F_01": func(b *bench) {
		b.accepts(b.build(withAA(chip.AAForm{Hash: crypto.SHA1})), passed(inspect.ActiveAuthentication, "SHA-1"))
	},
	"ISO7816_F_02": func(b *bench) {
		for _, curve := range []string{"brainpoolP224r1", "brainpoolP256r1", "P-384"} {
			v := eac()
			v.AA = &chip.AAKey{Kind: issuer.KeyKind{Curve: curve, Explicit: true}}
			b.accepts(b.build(v), passed(inspect.ActiveAuthentication, "ECDSA"))
		}
	},
	"ISO7816_F_03": func(b *bench) {
		b.accepts(b.build(withAA(chip.AAForm{Hash: crypto.SHA256, PSS: true})), passed(inspect.ActiveAuthentication, "RSASSA-PSS"))
	},
	"ISO7816_F_04": func(b *bench) {
		b.accepts(b.build(withAA(chip.AAForm{Hash: crypto.SHA224})), passed(inspect.ActiveAuthentication, "SHA-224"))
	},
	"ISO7816_F_05": func(b *bench) {
		b.accepts(b.build(withAA(chip.AAForm{Hash: crypto.SHA256})), passed(inspect.ActiveAuthentication, "SHA-256"))
	},
	"ISO7816_F_06": func(b *bench) {
		b.accepts(b.build(withAA(chip.AAForm{Hash: crypto.SHA384})), passed(inspect.ActiveAuthentication, "SHA-384"))
	},
	"ISO7816_F_07": func(b *bench) {
		b.accepts(b.build(withAA(chip.AAForm{Hash: crypto.SHA512})), passed(inspect.ActiveAuthentication, "SHA-512"))
	},
	"ISO7816_F_08": func(b *bench) {
		d := b.build(withAA(chip.AAForm{Hash: crypto.SHA256}))
		d.Personalisation.Faults.Representative = func(f []byte) []byte {
			f[len(f)-2] = 0x39 // names no hash
			return f
		}
		b.refuses(d, why{check: failed(inspect.ActiveAuthentication, activeauth.ReasonSignature)})
	},
	"ISO7816_F_09": func(b *bench) {
		v := eac()
		v.AA = &chip.AAKey{Kind: issuer.KeyKind{Curve: "brainpoolP256r1", Explicit: true}}
		d := b.build(v)
		d.infos(func(set *node) {
			algorithm := info(b, set, []byte{0x67, 0x81, 0x08, 0x01, 0x01, 0x05}).kids[2] // id-AA
			algorithm.val[len(algorithm.val)-1] = 0x63                                    // of no algorithm
		})
		// Chip authentication has proved the chip, which is enough for a desk.
		b.refuses(d, why{check: undetermined(inspect.ActiveAuthentication, activeauth.ReasonUnsupported), desk: true})
	},
})
