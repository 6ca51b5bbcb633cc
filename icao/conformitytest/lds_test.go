package conformitytest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
)

// retagged gives a file another tag.
func retagged(b []byte, tag byte) []byte {
	b = slices.Clone(b)
	b[0] = tag
	return b
}

// resized gives a file a length that is too small or too big.
func resized(b []byte, by int) []byte {
	b = slices.Clone(b)
	last := 1
	if b[1] > 0x80 {
		last += int(b[1] & 0x7F)
	}
	b[last] += byte(by)
	return b
}

// com has EF.COM changed, of which nothing is signed and nothing depends.
func com(change func(b *bench, file []byte) []byte, w why) body {
	return func(b *bench) {
		d := b.build(bacDocument())
		d.file(idCOM, 0x1E, change(b, d.content(idCOM)))
		w.desk = true
		b.refuses(d, w)
	}
}

// comObject changes one data object in EF.COM.
func comObject(tag []byte, change func(com, object *node)) func(*bench, []byte) []byte {
	return func(b *bench, file []byte) []byte {
		c := parseNode(b.T, file)
		change(c, c.find(tag...))
		return c.bytes()
	}
}

// Data objects of EF.COM (Doc 9303-10, 4.6.1).
var (
	tagLDSVersion = []byte{0x5F, 0x01}
	tagUnicode    = []byte{0x5F, 0x36}
	tagList       = []byte{0x5C}
)

func removed(com, object *node) { com.remove(object) }

// malformedCOM is an EF.COM that cannot be understood.
var malformedCOM = why{check: failed(inspect.COMConsistency, inspect.ReasonMalformed), deviation: "EF.COM: "}

// unreadableCOM is one that the chip does not hand out as a file.
var unreadableCOM = why{check: finding{id: inspect.COMConsistency, value: result.NotSupported, reason: inspect.ReasonUnreadable}}

var _ = add(map[string]body{
	"LDS_A_01": com(func(_ *bench, f []byte) []byte { return retagged(f, 0x61) }, unreadableCOM),
	"LDS_A_02": com(func(_ *bench, f []byte) []byte { return resized(f, -1) }, malformedCOM),
	"LDS_A_03": com(func(_ *bench, f []byte) []byte { return resized(f, +1) }, unreadableCOM),
	"LDS_A_04": com(comObject(tagLDSVersion, func(_, o *node) { o.val = []byte("0300") }), why{deviation: lds.DevLDSVersion}),
	"LDS_A_05": com(comObject(tagLDSVersion, removed), malformedCOM),
	"LDS_A_06": com(comObject(tagUnicode, func(_, o *node) { o.val = []byte("050000") }), why{deviation: lds.DevUnicodeVersion}),
	"LDS_A_07": com(comObject(tagUnicode, removed), malformedCOM),
	"LDS_A_08": com(comObject(tagList, func(_, o *node) { o.val = o.val[1:] }),
		why{check: failed(inspect.COMConsistency, inspect.ReasonDiffers), deviation: lds.DevCOMMandatory}),
	"LDS_A_09": com(comObject(tagList, removed), malformedCOM),
	"LDS_A_10": func(b *bench) { b.accepts(b.build(lds18()), passed(inspect.COMConsistency, "")) },
})

// lds18 is a document of LDS 1.8, whose security object states the version too.
func lds18() chip.Variant {
	v := bacDocument()
	v.LDSVersion = "0108"
	v.SOD.LDSVersion, v.SOD.UnicodeVersion = "0108", "040000"
	return v
}

// holder is the zone of the standard holder with some fields changed: state, name,
// number, nationality, birth, expiry and optional data.
func holder(change func(f *fields)) []string {
	f := fields{"UTO", "MUSTER<<TESTA", "T0000008", "UTO", "851224", "310809", ""}
	change(&f)
	return inspecttest.TD3(f.state, f.name, f.number, f.nationality, f.birth, f.expiry, f.optional)
}

type fields struct{ state, name, number, nationality, birth, expiry, optional string }

// issued is a document with this zone, printed and in DG1.
func issued(b *bench, lines []string) *document {
	d := b.build(bacDocument())
	d.printed = lines
	m, err := mrz.Parse(strings.Join(lines, "\n"))
	if err != nil {
		b.Fatal(err)
	}
	if d.Personalisation.AccessKey, err = m.Key(); err != nil {
		b.Fatal(err)
	}
	d.put(1, issuer.DG1(lines))
	d.sign(signing{})
	return d
}

// zone has a document accepted with this zone.
func zone(change func(f *fields)) body {
	return func(b *bench) {
		b.accepts(issued(b, holder(change)), passed(inspect.DG1Integrity, ""), passed(inspect.KeyBinding, ""))
	}
}

// wrongZone is a document whose DG1 has another zone than is printed.
func wrongZone(lines []string, w why) body {
	return func(b *bench) {
		d := issued(b, holder(func(*fields) {}))
		d.put(1, issuer.DG1(lines))
		d.sign(signing{})
		b.refuses(d, w)
	}
}

// unreadable is a DG1 that the chip hands out and nobody understands.
var unreadable = why{step: inspect.StepDG1, err: inspect.ErrNoData, check: failed(inspect.DG1Integrity, inspect.ReasonMalformed)}

// broken is a zone with a field that the standard does not know.
func broken(change func(f *fields)) body { return wrongZone(holder(change), unreadable) }

// oddZone is a document with a zone, printed and in DG1, that can be read and is not
// as the standard has it. Where the data page is in order, DG1 is another's.
func oddZone(change func(f *fields), w why) body {
	return func(b *bench) {
		b.refuses(issued(b, holder(change)), w)
		wrongZone(holder(change), otherZone(inspect.ReasonZoneDiffers))(b)
	}
}

// altered is a zone with another check digit than follows from it.
func altered(line, at int) body {
	return func(b *bench) {
		lines := holder(func(f *fields) { f.optional = "ZE184226B" })
		d := issued(b, slices.Clone(lines))
		l := []byte(lines[line])
		l[at] = '0' + (l[at]-'0'+1)%10
		lines[line] = string(l)
		d.put(1, issuer.DG1(lines))
		d.sign(signing{})
		b.refuses(d, unreadable)
	}
}

// recomposed replaces characters and makes the composite check digit anew.
func recomposed(line, at int, by string) []string {
	lines := holder(func(*fields) {})
	lines[line] = lines[line][:at] + by + lines[line][at+len(by):]
	l := lines[1]
	lines[1] = l[:43] + inspecttest.Digit(l[0:10] + l[13:20] + l[21:43])[39:]
	return lines
}

// file1 has the file of DG1 changed.
func file1(change func(file []byte) []byte, w why) body {
	return func(b *bench) {
		d := b.build(bacDocument())
		d.put(1, change(d.Groups[1]))
		d.sign(signing{})
		b.refuses(d, w)
	}
}

// unreadableDG1 is a DG1 that the chip does not hand out as a file.
var unreadableDG1 = why{step: inspect.StepDG1, err: inspect.ErrNoData, check: failed(inspect.DG1Integrity, inspect.ReasonUnreadable)}

// otherZone is a DG1 that is in order, and not of this document.
func otherZone(reason result.Reason) why { return why{check: failed(inspect.KeyBinding, reason)} }

var _ = add(map[string]body{
	"LDS_B_01": zone(func(f *fields) { f.optional = "ZE184226B" }),
	"LDS_B_02": zone(func(f *fields) { f.name = "MUSTER<<T<A" }),
	"LDS_B_03": zone(func(f *fields) { f.name = "MUSTER" }),
	"LDS_B_04": func(b *bench) {
		for _, digit := range []string{"0", "<"} {
			b.accepts(issued(b, recomposed(1, 42, digit)), passed(inspect.DG1Integrity, ""), passed(inspect.KeyBinding, ""))
		}
	},
	"LDS_B_05": file1(func(f []byte) []byte { return retagged(f, 0x62) }, unreadableDG1),
	"LDS_B_06": file1(func(f []byte) []byte { return resized(f, -1) }, why{
		step: inspect.StepDG1, err: inspect.ErrNoData, check: failed(inspect.DG1Integrity, "hash_mismatch"),
	}),
	"LDS_B_07": file1(func(f []byte) []byte { return resized(f, +1) }, unreadableDG1),
	"LDS_B_08": wrongZone(recomposed(0, 0, "XX"), unreadable),
	"LDS_B_09": oddZone(func(f *fields) { f.state = "U1O" }, why{
		check: undetermined(inspect.IssuingState, "issuing_state_unreadable"), deviation: lds.DevState,
	}),
	"LDS_B_10": oddZone(func(f *fields) { f.name = "" }, deviates(lds.DevNoName)),
	"LDS_B_11": wrongZone(holder(func(f *fields) { f.name = "MUSTER<<ERIKA" }), otherZone(inspect.ReasonZoneDiffers)),
	"LDS_B_12": wrongZone(holder(func(f *fields) { f.number = "T0000009" }), otherZone(inspect.ReasonOtherDocument)),
	"LDS_B_13": altered(1, 9),
	"LDS_B_14": oddZone(func(f *fields) { f.nationality = "U1O" }, deviates(lds.DevState)),
	"LDS_B_15": broken(func(f *fields) { f.birth = "8512A4" }),
	"LDS_B_16": broken(func(f *fields) { f.birth = "851324" }),
	"LDS_B_17": altered(1, 19),
	"LDS_B_18": wrongZone(recomposed(1, 20, "X"), unreadable),
	"LDS_B_19": broken(func(f *fields) { f.expiry = "3108A9" }),
	"LDS_B_20": broken(func(f *fields) { f.expiry = "311309" }),
	"LDS_B_21": altered(1, 27),
	"LDS_B_22": altered(1, 42),
	"LDS_B_23": altered(1, 43),
	"LDS_B_24": file1(func([]byte) []byte { return tlv(0x61, tlv(0x5F1E, []byte{0})) }, unreadable),
	"LDS_B_25": zone(func(f *fields) { f.birth = "8512<<" }),
	"LDS_B_26": zone(func(f *fields) { f.birth = "85<<24" }),
	"LDS_B_27": zone(func(f *fields) { f.birth = "<<1224" }),
	"LDS_B_28": zone(func(f *fields) { f.birth = "<<<<<<" }),
})

// jp2 is the beginning of a JPEG 2000 picture of 240 by 320 pixels: nothing of it
// is decoded here.
var jp2 = slices.Concat(
	[]byte{0xFF, 0x4F, 0xFF, 0x51, 0x00, 0x2F, 0x00, 0x00, 0x00, 0x00, 0x00, 0xF0, 0x00, 0x00, 0x01, 0x40},
	make([]byte, 400), []byte{0xFF, 0xD9},
)

func jpeg2000() chip.Variant {
	v := bacDocument()
	v.Portrait = chip.Portrait{Image: jp2, Width: 240, Height: 320, JPEG2000: true}
	return v
}

// photo has the biometric template of DG2 changed, of which a desk says that there
// is no picture, or shows it.
func photo(change func(d *document), deviation string) body {
	return func(b *bench) {
		d := b.build(bacDocument())
		change(d)
		b.refuses(d, deviates("DG2: "+deviation))
	}
}

// header changes an element of the biometric header template.
func header(tag byte, change func(header, element *node)) func(d *document) {
	return func(d *document) {
		d.portrait(func(header, _ *node) { change(header, header.find(tag)) })
	}
}

// value replaces the value of an element.
func value(v ...byte) func(_, element *node) {
	return func(_, element *node) { element.val = v }
}

// person replaces a byte of the facial information.
func person(at int, v byte) func(d *document) {
	return func(d *document) { d.face(func(r *record) { r.person[at] = v }) }
}

// Elements of the biometric header template (Doc 9303-10, table 44).
const (
	tagBiometricType = 0x81
	tagFormatOwner   = 0x87
	tagFormatType    = 0x88
)

// file2 has the file of DG2 changed.
func file2(change func(file []byte) []byte, reason result.Reason) body {
	return func(b *bench) {
		d := b.build(bacDocument())
		d.put(2, change(d.Groups[2]))
		d.sign(signing{})
		b.refuses(d, why{check: failed(inspect.DG2Integrity, reason)})
	}
}

var _ = add(map[string]body{
	"LDS_C_01": func(b *bench) { b.accepts(b.build(jpeg2000()), passed(inspect.DG2Integrity, "")) },
	"LDS_C_02": func(b *bench) { b.accepts(b.build(bacDocument()), passed(inspect.DG2Integrity, "")) },
	"LDS_C_03": func(b *bench) {
		d := b.build(jpeg2000())
		d.face(func(r *record) {
			for i := range byte(4) {
				r.points = append(r.points, []byte{1, 0x31 + i, 0, 100, 0, 100, 0, 0})
			}
		})
		b.accepts(d, passed(inspect.DG2Integrity, ""))
	},
	"LDS_C_04": file2(func(f []byte) []byte { return retagged(f, 0x76) }, inspect.ReasonWithheld),
	"LDS_C_05": file2(func(f []byte) []byte { return resized(f, -1) }, "hash_mismatch"),
	"LDS_C_06": file2(func(f []byte) []byte { return resized(f, +1) }, inspect.ReasonWithheld),
	"LDS_C_07": photo(func(d *document) {
		g := parseNode(d.t, d.Groups[2])
		g.remove(g.find(0x02))
		d.put(2, g.bytes())
		d.sign(signing{})
	}, lds.DevFaceCount),
	"LDS_C_08": photo(header(tagFormatOwner, value(0x01, 0x02)), lds.DevFormatOwner),
	"LDS_C_09": photo(header(tagFormatOwner, removed), lds.DevFormatOwner),
	"LDS_C_10": photo(header(tagFormatType, value(0x00, 0x09)), lds.DevFormatType),
	"LDS_C_11": photo(header(tagFormatType, removed), lds.DevFormatType),
	"LDS_C_12": photo(header(tagBiometricType, value(0x01)), lds.DevBiometricType), // several kinds of features
	"LDS_C_13": photo(header(tagBiometricType, value(0x08)), lds.DevBiometricType), // fingers
	"LDS_C_14": photo(func(d *document) { d.face(func(r *record) { copy(r.header, "FIR\x00") }) }, face.ErrRecord.Error()),
	"LDS_C_15": photo(func(d *document) { d.face(func(r *record) { copy(r.header[atVersion:], "090\x00") }) }, face.ErrFormat.Error()),
	"LDS_C_16": photo(func(d *document) {
		d.face(func(r *record) {
			r.keep = true
			r.points = [][]byte{{1, 0x31, 0, 100, 0, 100, 0, 0}}
			r.person[5] = 1 // of them
		})
	}, face.DevRecordLength),
	"LDS_C_17": photo(person(atGender, 0x03), face.DevFacialInformation),
	"LDS_C_18": photo(person(atEyes, 0x08), face.DevFacialInformation),
	"LDS_C_19": photo(person(atHair, 0x0A), face.DevFacialInformation),
	"LDS_C_20": photo(person(atPose, 182), face.DevFacialInformation),
	"LDS_C_21": photo(person(atPose+1, 182), face.DevFacialInformation),
	"LDS_C_22": photo(person(atPose+2, 182), face.DevFacialInformation),
	"LDS_C_23": photo(person(atPoseError, 182), face.DevFacialInformation),
	"LDS_C_24": photo(person(atPoseError+1, 182), face.DevFacialInformation),
	"LDS_C_25": photo(person(atPoseError+2, 182), face.DevFacialInformation),
	"LDS_C_26": photo(func(d *document) { d.face(func(r *record) { r.about[atImageType] = 0x04 }) }, face.DevImageType),
	"LDS_C_27": photo(func(d *document) { d.face(func(r *record) { r.about[atDataType] = 0x01 }) }, face.DevImageDataType),
	"LDS_C_28": photo(func(d *document) {
		g := parseNode(d.t, d.Groups[2])
		g.remove(g.find(0x5F, 0x2E))
		d.put(2, g.bytes())
		d.sign(signing{})
	}, face.ErrEmpty.Error()),
})

// file14 has the file of DG14 changed.
func file14(change func(file []byte) []byte, w why) body {
	return func(b *bench) {
		d := b.build(eac())
		d.put(14, change(d.Groups[14]))
		d.sign(signing{})
		b.refuses(d, w)
	}
}

var _ = add(map[string]body{
	"LDS_F_01": file14(func(f []byte) []byte { return retagged(f, 0x6F) }, why{check: failed(inspect.DG14Integrity, inspect.ReasonUnreadable)}),
	"LDS_F_02": file14(func(f []byte) []byte { return resized(f, -1) }, why{check: failed(inspect.DG14Integrity, "hash_mismatch")}),
	"LDS_F_03": file14(func(f []byte) []byte { return resized(f, +1) }, why{check: failed(inspect.DG14Integrity, inspect.ReasonUnreadable)}),
	"LDS_F_04": func(b *bench) {
		d := b.build(eac())
		d.infos(func(set *node) { info(b, set, prefixPK).kids[0].val[8] = 3 })
		b.refuses(d, refusedCA(chipauth.ReasonKey))
	},
	"LDS_F_05": func(b *bench) {
		d := b.build(eac())
		d.infos(func(set *node) {
			i := info(b, set, prefixPK)
			i.remove(i.kids[0])
		})
		w := refusedCA(chipauth.ReasonKey)
		w.deviation = secinfo.DevEntryMalformed
		b.refuses(d, w)
	},
	"LDS_F_06": func(b *bench) {
		d := b.build(eac())
		d.infos(func(set *node) { info(b, set, prefixCA).kids[1].val = []byte{10} })
		b.refuses(d, deviates(chipauth.DevVersion))
	},
	"LDS_F_07": func(b *bench) {
		d := b.build(eac())
		d.infos(func(set *node) {
			i := info(b, set, prefixCA)
			i.remove(i.kids[1])
		})
		b.refuses(d, deviates(secinfo.DevEntryMalformed))
	},
})

// file15 has the file of DG15 changed.
func file15(change func(file []byte) []byte, reason result.Reason) body {
	return func(b *bench) {
		d := b.build(withAA(chip.AAForm{}))
		d.put(15, change(d.Groups[15]))
		d.sign(signing{})
		b.refuses(d, why{check: failed(inspect.DG15Integrity, reason)})
	}
}

var _ = add(map[string]body{
	"LDS_I_01": file15(func(f []byte) []byte { return retagged(f, 0x70) }, inspect.ReasonUnreadable),
	"LDS_I_02": file15(func(f []byte) []byte { return resized(f, -1) }, "hash_mismatch"),
	"LDS_I_03": file15(func(f []byte) []byte { return resized(f, +1) }, inspect.ReasonUnreadable),
})

// mapped is a document with chip authentication mapping and explicit parameters
// beside them, in EF.CardAccess, DG14 and EF.CardSecurity alike.
func mapped(b *bench) *document {
	explicit := variant(2, 2, 32)
	explicit.Curve = "brainpoolP320r1"
	v := paceCAM()
	v.PACE = append(v.PACE, explicit)
	return b.build(v)
}

// explicit finds the explicit domain parameters of PACE.
func explicit(b *bench, set *node) *node {
	b.Helper()
	for _, k := range set.kids {
		if bytes.HasPrefix(k.kids[0].val, prefixPACE) && k.kids[1].tag[0] == 0x30 {
			return k
		}
	}
	b.Fatal("no explicit parameters")
	return nil
}

var _ = add(map[string]body{
	"LDS_J_01": func(b *bench) {
		d := mapped(b)
		d.cardSecurity(func(s *sod) {
			s.object(func(set *node) {
				set.kids = append(set.kids, parseNode(b.T, tlv(0x30, []byte{0x06, 0x03, 0x2A, 0x03, 0x04}, []byte{0x02, 0x01, 0x01})))
			})
		})
		b.accepts(d, passed(inspect.PACECAM, ""), passed(inspect.CardAccess, ""))
	},
	"LDS_J_02": func(b *bench) {
		d := mapped(b)
		d.cardSecurity(func(s *sod) { s.object(func(set *node) { set.remove(explicit(b, set)) }) })
		b.refuses(d, deviates("EF.CardSecurity does not repeat EF.CardAccess"))
	},
	"LDS_J_03": func(b *bench) {
		d := mapped(b)
		d.cardSecurity(func(s *sod) {
			s.object(func(set *node) {
				prime := explicit(b, set).kids[1].kids[1].kids[1].kids[1]
				prime.val[len(prime.val)-1] ^= 0x10
			})
		})
		b.refuses(d, deviates("EF.CardSecurity does not repeat EF.CardAccess"))
	},
	"LDS_J_04": func(b *bench) {
		d := mapped(b)
		d.cardSecurity(func(s *sod) {
			s.object(func(set *node) {
				i := info(b, set, prefixPK)
				i.remove(i.kids[0])
			})
		})
		b.refuses(d, why{check: failed(inspect.PACECAM, chipauth.ReasonKey)})
	},
})

// lengths is a document with this EF.ATR/INFO and a chip with extended length.
func lengths(b *bench, atrInfo ...byte) *document {
	v := eac()
	v.Limits.Extended = true
	d := b.build(v)
	d.master(idATRInfo, 1, atrInfo)
	d.maxNe = 65536
	return d
}

var _ = add(map[string]body{
	"LDS_K_01": func(b *bench) {
		b.accepts(lengths(b, 0x7F, 0x66, 0x08, 0x02, 0x02, 0x07, 0x80, 0x02, 0x02, 0x07, 0x80), passed(inspect.DG2Integrity, ""))
	},
	"LDS_K_02": func(b *bench) {
		b.accepts(lengths(b, 0x7F, 0x66, 0x0A, 0x02, 0x03, 0x01, 0x00, 0x00, 0x02, 0x03, 0x01, 0x00, 0x00), passed(inspect.DG2Integrity, ""))
	},
	"LDS_K_03": func(b *bench) {
		b.refuses(lengths(b, 0x7F, 0x66, 0x04, 0x02, 0x02, 0x07, 0x80), deviates("EF.ATR/INFO: "+lds.ErrATRInfo.Error()))
	},
	"LDS_K_04": func(b *bench) {
		b.refuses(lengths(b, 0x7F, 0x65, 0x08, 0x02, 0x02, 0x07, 0x80, 0x02, 0x02, 0x07, 0x80), deviates("EF.ATR/INFO: "+lds.DevNoLengths))
	},
})
