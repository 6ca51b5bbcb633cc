package conformitytest

import (
	"fmt"
	"slices"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/inspect"
	paceprotocol "github.com/chamthe/chamthe/icao/pace"
)

// idPACE is the identifier that those of all variants begin with.
const idPACE = "0.4.0.127.0.7.2.2.4."

// withPACE is a document that offers these variants of PACE.
func withPACE(variants ...chip.PACE) chip.Variant {
	v := pace()
	v.PACE = variants
	return v
}

// variant is one variant of PACE: a mapping (1 DH-GM, 2 ECDH-GM, 3 DH-IM, 4 ECDH-IM,
// 6 ECDH-CAM), a cipher (1 3DES, 2 to 4 AES) and standardized parameters.
func variant(mapping, cipher, parameters int) chip.PACE {
	return chip.PACE{Protocol: fmt.Sprintf("%s%d.%d", idPACE, mapping, cipher), ParameterID: parameters, Version: 2}
}

// Numbers of the standardized domain parameters (Doc 9303-11, 9.5.1).
const (
	firstGroup, lastGroup = 0, 2
	firstCurve, lastCurve = 8, 18
	nistP224              = 10 // not for integrated mapping
)

// opens has documents accepted that open with each of these variants.
func opens(b *bench, variants ...chip.PACE) {
	b.Helper()
	for _, p := range variants {
		v := withPACE(p)
		if p.Protocol[len(idPACE)] != '2' && p.Protocol[len(idPACE)] != '4' && p.Protocol[len(idPACE)] != '6' {
			v.Limits.Extended, v.ATRInfo = true, true // keys modulo a prime are long
		}
		b.accepts(b.build(v), passed(inspect.AccessControl, "PACE"), passed(inspect.CardAccess, ""))
	}
}

// brokenPACE is how PACE ends with a chip that does it wrongly.
func brokenPACE(err error) why {
	return why{step: inspect.StepAccess, err: err, check: failed(inspect.AccessControl, inspect.ReasonRefused)}
}

// step is a fault: it changes the answer to one step of PACE.
// The terminal may begin anew with MSE:Set AT.
func step(nth int, change func([]byte) []byte) chip.FaultFunc {
	n := 0
	return func(_ int, cmd []byte, next func() []byte) ([]byte, error) {
		resp := next()
		switch cmd[1] {
		case insMSE:
			n = 0
		case insGeneral:
			if n++; n == nth {
				return change(slices.Clone(resp)), nil
			}
		}
		return resp, nil
	}
}

// dynamic changes the data objects inside the dynamic authentication data.
func dynamic(b *bench, change func(d *node)) func([]byte) []byte {
	return objects(b, func(all []*node) []*node {
		change(all[0])
		return all
	})
}

// retag gives the data object in the answer another tag.
func retag(b *bench, tag byte) func([]byte) []byte {
	return dynamic(b, func(d *node) { d.kids[0].tag = []byte{tag} })
}

// stepRefused has one step of PACE refused, with various status words.
func stepRefused(n int) body {
	return func(b *bench) {
		for _, sw := range []apdu.Status{0x6A80, 0x6982, 0x6700, 0x6F00} {
			d := b.build(pace())
			d.Personalisation.Fault = step(n, status(sw))
			b.refuses(d, brokenPACE(sw))
		}
	}
}

// stepRetagged has one step of PACE answered under a wrong tag.
func stepRetagged(n int, tag byte) body {
	return func(b *bench) {
		d := b.build(pace())
		d.Personalisation.Fault = step(n, retag(b, tag))
		b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
	}
}

// damagedPoint has the chip's public key of one step altered: either coordinate,
// and both.
func damagedPoint(n int) body {
	return func(b *bench) {
		half := (32*2 + 1) / 2
		for _, change := range [][]int{{1}, {half + 1}, {1, half + 1}} {
			d := b.build(pace())
			d.Personalisation.Fault = step(n, dynamic(b, func(d *node) {
				for _, i := range change {
					d.kids[0].val[i] ^= 0xFF
				}
			}))
			b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
		}
	}
}

// damagedNumber has it replaced by numbers that are in no subgroup.
func damagedNumber(n int) body {
	return func(b *bench) {
		for _, y := range [][]byte{{0}, {1}, {2}} {
			v := withPACE(variant(1, 2, 2))
			v.Limits.Extended, v.ATRInfo = true, true
			d := b.build(v)
			d.Personalisation.Fault = step(n, dynamic(b, func(d *node) { d.kids[0].val = y }))
			b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
		}
	}
}

var _ = add(map[string]body{
	"ISO7816_G_01": func(b *bench) {
		opens(b, variant(2, 1, brainpoolP256r1))
		v := pace()
		v.CAN = "123456"
		d := b.build(v)
		d.can = true
		b.accepts(d, passed(inspect.AccessControl, "PACE"))
	},
	"ISO7816_G_02": func(b *bench) {
		for id := firstGroup; id <= lastGroup; id++ {
			opens(b, variant(1, 2, id))
		}
		for id := firstCurve; id <= lastCurve; id++ {
			opens(b, variant(2, 2, id))
		}
	},
	"ISO7816_G_03": func(b *bench) {
		for id := firstGroup; id <= lastGroup; id++ {
			opens(b, variant(3, 2, id))
		}
		for id := firstCurve; id <= lastCurve; id++ {
			if id != nistP224 {
				opens(b, variant(4, 2, id))
			}
		}
	},
	"ISO7816_G_04": func(b *bench) {
		for cipher := 1; cipher <= 4; cipher++ {
			opens(b, variant(1, cipher, 2), variant(2, cipher, brainpoolP256r1), variant(3, cipher, 2), variant(4, cipher, brainpoolP256r1))
			if cipher > 1 {
				opens(b, variant(6, cipher, brainpoolP256r1))
			}
		}
	},
	"ISO7816_G_05": func(b *bench) {
		d := b.build(pace())
		more := tlv(0x30, []byte{0x06, 0x03, 0x2A, 0x03, 0x04}, []byte{0x02, 0x01, 0x01}) // of nobody's protocol
		d.cardAccess(func(set *node) { set.kids = append(set.kids, parseNode(b.T, more)) })
		d.infos(func(set *node) { set.kids = append(set.kids, parseNode(b.T, more)) })
		b.accepts(d, passed(inspect.AccessControl, "PACE"), passed(inspect.CardAccess, ""))
	},
	"ISO7816_G_06": func(b *bench) {
		b.accepts(b.build(withPACE(variant(2, 1, 12), variant(2, 2, brainpoolP256r1), variant(4, 3, 16))),
			passed(inspect.AccessControl, "PACE ECDH-GM AES-128"), passed(inspect.CardAccess, ""))
	},
	"ISO7816_G_07": func(b *bench) {
		explicit := variant(2, 2, 32)
		explicit.Curve = "brainpoolP320r1"
		b.accepts(b.build(withPACE(variant(2, 1, brainpoolP256r1), explicit)), passed(inspect.AccessControl, "PACE ECDH-GM AES-128 brainpoolP320r1"))
	},
	"ISO7816_G_08": func(b *bench) {
		for _, sw := range []apdu.Status{0x6A80, 0x6A88, 0x6F00} {
			d := b.build(pace())
			d.Personalisation.Fault = func(_ int, cmd []byte, next func() []byte) ([]byte, error) {
				if cmd[1] == insMSE {
					return []byte{sw.SW1(), sw.SW2()}, nil
				}
				return next(), nil
			}
			b.refuses(d, brokenPACE(sw))
		}
	},
	"ISO7816_G_09": func(b *bench) {
		d := b.build(pace())
		d.Personalisation.Fault = step(1, dynamic(b, func(d *node) { d.kids[0].val[0] ^= 1 }))
		// Another nonce leads to other keys: the chip finds the terminal's token wrong,
		// which is what a wrong key looks like.
		b.refuses(d, why{step: inspect.StepAccess, err: paceprotocol.ErrWrongPassword, check: failed(inspect.AccessControl, inspect.ReasonWrongKey)})
	},
	"ISO7816_G_10": stepRefused(1),
	"ISO7816_G_11": stepRetagged(1, 0x90),
	"ISO7816_G_12": stepRefused(2),
	"ISO7816_G_13": stepRetagged(2, 0x92),
	"ISO7816_G_14": func(b *bench) {
		// The mapping data is the terminal's own, and none at all.
		d := b.build(pace())
		d.Personalisation.Fault = echo(b, 2)
		b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
		d = b.build(pace())
		d.Personalisation.Fault = step(2, dynamic(b, func(d *node) { d.kids = nil }))
		b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
	},
	"ISO7816_G_15": func(b *bench) {
		// Mapping data where there is none, and no integrated mapping at all.
		d := b.build(withPACE(variant(4, 2, brainpoolP256r1)))
		d.Personalisation.Fault = step(2, dynamic(b, func(d *node) { d.kids[0].val = []byte{1, 2, 3} }))
		b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
		d = b.build(withPACE(variant(4, 2, brainpoolP256r1)))
		d.Personalisation.Fault = step(2, status(0x6A80))
		b.refuses(d, brokenPACE(apdu.WrongData))
	},
	"ISO7816_G_16": damagedPoint(2),
	"ISO7816_G_17": damagedNumber(2),
	"ISO7816_G_18": stepRefused(3),
	"ISO7816_G_19": stepRetagged(3, 0x94),
	"ISO7816_G_20": func(b *bench) {
		d := b.build(pace())
		d.Personalisation.Fault = step(3, dynamic(b, func(d *node) { d.kids = nil }))
		b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
	},
	"ISO7816_G_21": damagedPoint(3),
	"ISO7816_G_22": damagedNumber(3),
	"ISO7816_G_23": func(b *bench) {
		d := b.build(pace())
		d.Personalisation.Fault = echo(b, 3)
		b.refuses(d, brokenPACE(paceprotocol.ErrProtocol))
	},
	"ISO7816_G_24": stepRefused(4),
	"ISO7816_G_25": stepRetagged(4, 0x96),
	"ISO7816_G_26": func(b *bench) {
		d := b.build(pace())
		d.Personalisation.Fault = step(4, dynamic(b, func(d *node) { d.kids[0].val[0] ^= 1 }))
		b.refuses(d, brokenPACE(paceprotocol.ErrCardAuthentication))
	},
	"ISO7816_G_27": func(b *bench) {
		d := b.build(pace())
		d.Personalisation.MasterFiles[0].Content[3]++ // the length of the first entry
		w := brokenPACE(inspect.ErrAccess)
		w.deviation = "EF.CardAccess is malformed"
		b.refuses(d, w)
		// With basic access control the chip opens all the same.
		v := pace()
		v.NoBAC = false
		d = b.build(v)
		d.Personalisation.MasterFiles[0].Content[3]++
		b.refuses(d, deviates("EF.CardAccess is malformed"))
	},
	"ISO7816_G_28": func(b *bench) {
		d := b.build(pace())
		d.cardAccess(func(set *node) { set.kids[0].kids[2].val = []byte{7} }) // reserved
		w := brokenPACE(inspect.ErrAccess)
		w.deviation = "PACE is offered in no supported variant"
		b.refuses(d, w)
	},
	"ISO7816_G_29": func(b *bench) {
		d := b.build(paceCAM())
		d.Personalisation.Fault = step(4, func(resp []byte) []byte {
			// The octets of the data stand where its data object should.
			all := parseNodes(b.T, resp[:len(resp)-statusLen])[0]
			content := append(all.kids[0].bytes(), all.find(0x8A).val...)
			return append(tlv(tagDynamic, content), 0x90, 0x00)
		})
		w := brokenPACE(inspect.ErrAccess)
		b.refuses(d, w)
	},
	"ISO7816_G_30": func(b *bench) {
		d := b.build(paceCAM())
		d.Personalisation.Faults.AuthenticationData = func(data []byte) []byte { return tlv(0x02, data) }
		b.refuses(d, brokenPACE(paceprotocol.ErrCardAuthentication))
	},
	"ISO7816_G_31": func(b *bench) {
		d := b.build(paceCAM())
		d.Personalisation.Faults.AuthenticationData = func(data []byte) []byte {
			data = slices.Clone(data)
			data[len(data)-1] ^= 1
			return data
		}
		b.refuses(d, why{check: failed(inspect.PACECAM, chipauth.ReasonNotProved)})
	},
	"ISO7816_G_32": func(b *bench) {
		d := b.build(paceCAM())
		d.Personalisation.Fault = step(4, dynamic(b, func(d *node) { d.find(0x8A).tag = []byte{0x8B} }))
		b.refuses(d, brokenPACE(paceprotocol.ErrCardAuthentication))
	},
	"ISO7816_G_33": func(b *bench) {
		d := b.build(paceCAM())
		d.Personalisation.Fault = step(4, dynamic(b, func(d *node) { d.find(0x8A).val = nil }))
		b.refuses(d, brokenPACE(paceprotocol.ErrCardAuthentication))
	},
	"ISO7816_G_34": func(b *bench) {
		b.accepts(b.build(paceCAM()), passed(inspect.PACECAM, "PACE-CAM"), passed(inspect.PassiveAuthentication, ""), passed(inspect.ChipAuthenticity, "PACE-CAM"))
	},
	"ISO7816_G_35": func(b *bench) {
		d := b.build(pace())
		d.Personalisation.Fault = step(4, dynamic(b, func(d *node) { d.kids = append(d.kids, parseNode(b.T, tlv(0x8A, make([]byte, 48)))) }))
		b.refuses(d, deviates(paceprotocol.DevAuthData))
	},
	"ISO7816_G_36": func(b *bench) {
		d := b.build(paceCAM())
		d.Personalisation.PACE = &chip.PACE{Protocol: paceGM3DES, ParameterID: brainpoolP256r1, Version: 2}
		d.offer(paceInfo(b, paceGM3DES), paceInfo(b, noCAM))
		b.accepts(d, passed(inspect.AccessControl, "PACE ECDH-GM 3DES"))
	},
	"ISO7816_G_37": func(b *bench) {
		d := b.build(paceCAM())
		d.offer(paceInfo(b, noCAM))
		w := brokenPACE(inspect.ErrAccess)
		w.deviation = "PACE is offered in no supported variant"
		b.refuses(d, w)
	},
	"ISO7816_G_38": func(b *bench) {
		d := b.build(paceCAM())
		d.infos(func(set *node) { set.kids = nil })
		b.refuses(d, deviates("DG14 does not repeat EF.CardAccess"))
	},
	"ISO7816_G_39": func(b *bench) {
		d := b.build(paceCAM())
		other, err := issuer.NewECKey(nil, "brainpoolP256r1", false)
		if err != nil {
			b.Fatal(err)
		}
		other.StandardizedParameters = true
		key, err := issuer.ChipAuthenticationPublicKeyInfo(other, brainpoolP256r1)
		if err != nil {
			b.Fatal(err)
		}
		d.cardSecurity(func(s *sod) {
			s.object(func(set *node) { info(b, set, prefixPK).set(b.T, key) })
		})
		b.refuses(d, why{check: failed(inspect.PACECAM, chipauth.ReasonNotProved)})
	},
	"ISO7816_G_40": func(b *bench) {
		d := b.build(paceCAM())
		d.cardSecurity(func(s *sod) {
			s.object(func(set *node) { set.remove(info(b, set, prefixPK)) })
		})
		b.refuses(d, why{check: failed(inspect.PACECAM, chipauth.ReasonKey)})
	},
	"ISO7816_G_41": func(b *bench) {
		for id := firstCurve; id <= lastCurve; id++ {
			b.accepts(b.build(withPACE(variant(6, 2, id))), passed(inspect.PACECAM, "PACE-CAM"))
		}
	},
})

// noCAM would be chip authentication mapping modulo a prime, which does not exist
// (TR-03105-5.1, CFG.PACE.ISO7816.G36).
const noCAM = idPACE + "5.2"

func paceInfo(b *bench, protocol string) []byte {
	b.Helper()
	info, err := issuer.PACEInfo(protocol, 2, brainpoolP256r1)
	if err != nil {
		b.Fatal(err)
	}
	return info
}

// offer has EF.CardAccess, DG14 and EF.CardSecurity offer these variants of PACE.
func (d *document) offer(infos ...[]byte) {
	d.t.Helper()
	change := func(set *node) {
		kept := slices.DeleteFunc(set.kids, func(k *node) bool { return slices.Equal(k.kids[0].val[:8], prefixPACE) })
		set.kids = nil
		for _, i := range infos {
			set.kids = append(set.kids, parseNode(d.t, i))
		}
		set.kids = append(set.kids, kept...)
	}
	d.cardAccess(change)
	d.infos(func(set *node) {
		set.kids = nil // DG14 is what EF.CardAccess is
		change(set)
	})
	d.cardSecurity(func(s *sod) { s.object(change) })
}

var prefixPACE = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x04}

// cardAccess changes EF.CardAccess.
func (d *document) cardAccess(change func(set *node)) {
	d.t.Helper()
	for i, f := range d.Personalisation.MasterFiles {
		if f.ID == idCardAccess {
			set := parseNode(d.t, f.Content)
			change(set)
			d.Personalisation.MasterFiles[i].Content = set.bytes()
			return
		}
	}
	d.t.Fatal("no EF.CardAccess")
}

// cardSecurity changes EF.CardSecurity, which is signed again.
func (d *document) cardSecurity(change func(s *sod)) {
	d.t.Helper()
	s := parseSOD(d.t, d.CardSecurity)
	s.signer = keyOf(d.t, "Card Security DS", d.v.Signer)
	change(s)
	s.sign()
	d.setCardSecurity(s.root.bytes())
}

func (d *document) setCardSecurity(b []byte) {
	d.CardSecurity = b
	files := d.Personalisation.MasterFiles
	for i := range files {
		if files[i].ID == idCardSecurity {
			files[i].Content = b
		}
	}
}

// echo is a fault: the chip gives the terminal's own data of a step back.
func echo(b *bench, nth int) chip.FaultFunc {
	n := 0
	return func(exchange int, cmd []byte, next func() []byte) ([]byte, error) {
		if exchange == 1 {
			n = 0
		}
		resp := next()
		if cmd[1] != insGeneral {
			return resp, nil
		}
		if n++; n != nth {
			return resp, nil
		}
		data := parseNode(b.T, cmd[5:5+int(cmd[4])])
		data.kids[0].tag[0]++ // 82 answers 81, 84 answers 83
		return append(data.bytes(), 0x90, 0x00), nil
	}
}
