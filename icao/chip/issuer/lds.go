package issuer

import (
	"crypto"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrContent is wrapped by the errors about data group contents that cannot be
// encoded.
var ErrContent = errors.New("issuer: unusable data group content")

// GroupTag is the template tag of a data group, 0 for an unknown number
// (Doc 9303-10, 4.7).
func GroupTag(dg int) byte {
	if dg < 1 || dg > 16 {
		return 0
	}
	return [...]byte{0x61, 0x75, 0x63, 0x76, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70}[dg-1]
}

// COM makes EF.COM with the tag list in the order of groups (Doc 9303-10, 4.6.1).
// version has four digits, such as "0107"; the Unicode version is 4.0.0.
func COM(version string, groups []int) ([]byte, error) {
	if len(version) != 4 {
		return nil, fmt.Errorf("%w: LDS version of %d bytes", ErrContent, len(version))
	}
	tags := make([]byte, 0, len(groups))
	for _, dg := range groups {
		tag := GroupTag(dg)
		if tag == 0 {
			return nil, fmt.Errorf("%w: data group %d", ErrContent, dg)
		}
		tags = append(tags, tag)
	}
	body := tlv.Append(nil, 0x5F01, []byte(version))
	body = tlv.Append(body, 0x5F36, []byte("040000"))
	body = tlv.Append(body, 0x5C, tags)
	return tlv.Append(nil, 0x60, body), nil
}

// DG1 wraps the lines of the machine readable zone, joined (Doc 9303-10, 4.7.1).
func DG1(lines []string) []byte {
	var zone []byte
	for _, l := range lines {
		zone = append(zone, l...)
	}
	return tlv.Append(nil, 0x61, tlv.Append(nil, 0x5F1F, zone))
}

// Face is a portrait for DG2.
type Face struct {
	Image         []byte // JPEG, unless JPEG2000 says otherwise; it is not looked at
	JPEG2000      bool
	Width, Height int
	Sex           byte // as in the MRZ: 'M', 'F' or '<'
	// ISO39794 encodes a record of ISO/IEC 39794-5:2019 in place of one of ISO/IEC
	// 19794-5:2005.
	ISO39794 bool
}

// DG2 wraps one portrait in a biometric information template (Doc 9303-10,
// 4.7.2).
func DG2(f Face) ([]byte, error) {
	const maxSide = 0xFFFF
	if len(f.Image) == 0 || f.Width < 1 || f.Height < 1 || f.Width > maxSide || f.Height > maxSide ||
		len(f.Image) > tlv.MaxLength/2 {
		return nil, fmt.Errorf("%w: portrait", ErrContent)
	}
	formatType := []byte{0x00, 0x08} // 19794-5
	if f.ISO39794 {
		formatType = []byte{0x00, 0x2A}
	}
	header := tlv.Append(nil, 0x80, []byte{0x01, 0x01}) // version of the header
	header = tlv.Append(header, 0x81, []byte{0x02})     // facial features
	header = tlv.Append(header, 0x82, []byte{0x00})
	header = tlv.Append(header, 0x87, []byte{0x01, 0x01}) // ISO/IEC JTC 1/SC 37
	header = tlv.Append(header, 0x88, formatType)

	bit := tlv.Append(nil, 0xA1, header)
	if f.ISO39794 {
		bit = tlv.Append(bit, 0x7F2E, f.record39794())
	} else {
		bit = tlv.Append(bit, 0x5F2E, f.record19794())
	}
	group := tlv.Append(nil, 0x02, []byte{0x01})
	group = tlv.Append(group, 0x7F60, bit)
	return tlv.Append(nil, 0x75, tlv.Append(nil, 0x7F61, group)), nil
}

// record19794 is a facial record of ISO/IEC 19794-5:2005.
func (f Face) record19794() []byte {
	const (
		fileHeaderLen = 14
		infoLen       = 20
		imageInfoLen  = 12
	)
	gender := map[byte]byte{'M': 1, 'F': 2}[f.Sex]
	n := uint32(len(f.Image))
	be := binary.BigEndian

	r := append(make([]byte, 0, fileHeaderLen+infoLen+imageInfoLen+len(f.Image)), "FAC\x00010\x00"...)
	r = be.AppendUint32(r, fileHeaderLen+infoLen+imageInfoLen+n)
	r = be.AppendUint16(r, 1) // facial images

	format := byte(0) // JPEG
	if f.JPEG2000 {
		format = 1
	}
	r = be.AppendUint32(r, infoLen+imageInfoLen+n)
	r = be.AppendUint16(r, 0)       // feature points
	r = append(r, gender, 0, 0)     // sex, eye colour, hair colour: unspecified
	r = append(r, 0, 0, 0)          // feature mask
	r = be.AppendUint16(r, 0)       // expression
	r = append(r, 0, 0, 0, 0, 0, 0) // pose angles and their uncertainty
	r = append(r, 0x01, format)     // full frontal
	r = be.AppendUint16(r, uint16(f.Width))
	r = be.AppendUint16(r, uint16(f.Height))
	r = append(r, 0x01, 0x00) // 24-bit RGB, source unspecified
	r = be.AppendUint16(r, 0) // device
	r = be.AppendUint16(r, 0) // quality
	return append(r, f.Image...)
}

// record39794 is a facial record of ISO/IEC 39794-5:2019 in the envelope of
// Doc 9303-10, 4.5.6, with nothing that is optional but the size.
func (f Face) record39794() []byte {
	integer := func(n int) []byte { // unsigned, in DER
		b := []byte{byte(n)}
		for n >>= 8; n > 0; n >>= 8 {
			b = append([]byte{byte(n)}, b...)
		}
		if b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	wrap := func(body []byte, tags ...tlv.Tag) []byte { // innermost first
		for _, tag := range tags {
			body = tlv.Append(nil, tag, body)
		}
		return body
	}
	format := 2 // JPEG
	if f.JPEG2000 {
		format = 3 // lossy
	}
	size := tlv.Append(tlv.Append(nil, 0x80, integer(f.Width)), 0x81, integer(f.Height))
	information := append(wrap(integer(format), 0x80, 0xA0), wrap(size, 0xA7)...)
	image := append(wrap(f.Image, 0x80), wrap(information, 0xA1)...)
	// imageRepresentation2DBlock, in two choices, in imageRepresentation.
	representation := append(wrap([]byte{0}, 0x80), wrap(image, 0xA0, 0xA0, 0xA1)...)
	version := append(wrap([]byte{3}, 0x80), wrap(integer(2019), 0x81)...) // generation and year
	block := append(wrap(version, 0xA0), wrap(representation, 0x30, 0xA1)...)
	return wrap(block, 0x65, 0xA1)
}

// Domestic is the content of DG13 of a Vietnamese citizen card, as far as public
// sources tell. Empty strings are encoded as empty strings; dates are
// dd/mm/yyyy.
type Domestic struct {
	// OID is the object identifier in front of the fields; nil is
	// 1.2.840.113549, six bytes as the sources imply. Its true value is unknown.
	OID asn1.ObjectIdentifier

	Number, Name, DateOfBirth, Sex, Nationality string
	Ethnicity, Religion, Hometown, Residence    string
	Marks, DateOfIssue, DateOfExpiry            string
	Father, Mother                              string
	Spouse                                      string // empty: the field is there without a name
	OldNumber                                   string // nine digits, or empty
	ChipID                                      string // 16 characters
}

// DG13 encodes the domestic data.
func DG13(d Domestic) ([]byte, error) {
	oid := d.OID
	if oid == nil {
		oid = asn1.ObjectIdentifier{1, 2, 840, 113549}
	}
	const printable, utf8 = cbasn1.PrintableString, cbasn1.UTF8String
	text := func(b *cryptobyte.Builder, tag cbasn1.Tag, s string) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			field := func(index int64, value func(*cryptobyte.Builder)) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(index)
					value(b)
				})
			}
			plain := func(index int64, tag cbasn1.Tag, s string) {
				field(index, func(b *cryptobyte.Builder) { text(b, tag, s) })
			}
			nested := func(b *cryptobyte.Builder, s string) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { text(b, utf8, s) })
			}
			plain(1, printable, d.Number)
			plain(2, utf8, d.Name)
			plain(3, printable, d.DateOfBirth)
			plain(4, utf8, d.Sex)
			plain(5, utf8, d.Nationality)
			plain(6, utf8, d.Ethnicity)
			plain(7, utf8, d.Religion)
			plain(8, utf8, d.Hometown)
			plain(9, utf8, d.Residence)
			plain(10, utf8, d.Marks)
			plain(11, printable, d.DateOfIssue)
			plain(12, utf8, d.DateOfExpiry)
			field(13, func(b *cryptobyte.Builder) {
				nested(b, d.Father)
				nested(b, d.Mother)
			})
			field(14, func(b *cryptobyte.Builder) {
				if d.Spouse != "" {
					nested(b, d.Spouse)
				}
			})
			plain(15, printable, d.OldNumber)
			plain(16, printable, d.ChipID)
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContent, err)
	}
	return tlv.Append(nil, 0x6D, der), nil
}

// DG15 wraps the public key of active authentication (Doc 9303-10, 4.7.15).
func DG15(k *Key) ([]byte, error) {
	info, err := k.PublicKeyInfo()
	if err != nil {
		return nil, err
	}
	return tlv.Append(nil, 0x6F, info), nil
}

var (
	oidAA         = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 5}
	oidPKDH       = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 1, 1}
	oidPKECDH     = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 1, 2}
	oidTA         = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 2}
	oidEFDIR      = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 13}
	oidPlainECDSA = map[crypto.Hash]asn1.ObjectIdentifier{ // TR-03111
		crypto.SHA1:   {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 1},
		crypto.SHA224: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 2},
		crypto.SHA256: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 3},
		crypto.SHA384: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 4},
		crypto.SHA512: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 5},
	}
)

// ActiveAuthenticationInfo is the SecurityInfo that an ECDSA key for active
// authentication needs in DG14: the hash that it signs with (Doc 9303-11, 9.2.4).
func ActiveAuthenticationInfo(hash crypto.Hash) ([]byte, error) {
	oid, ok := oidPlainECDSA[hash]
	if !ok {
		return nil, fmt.Errorf("%w: no identifier for ECDSA with this hash", ErrContent)
	}
	return activeAuthenticationInfo(oid)
}

// ActiveAuthenticationInfoPSS is the SecurityInfo of a chip that signs with
// RSASSA-PSS. It has no place for parameters: those of the key tell, if it has any.
func ActiveAuthenticationInfoPSS() ([]byte, error) { return activeAuthenticationInfo(oidPSS) }

func activeAuthenticationInfo(algorithm asn1.ObjectIdentifier) ([]byte, error) {
	return securityInfo(oidAA, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(algorithm)
	})
}

// PACEInfo is the SecurityInfo of one variant of PACE (Doc 9303-11, 9.2.1). A
// negative parameterID is left out, as on some documents.
func PACEInfo(protocol string, version, parameterID int) ([]byte, error) {
	return securityInfo(parseOID(protocol), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		if parameterID >= 0 {
			b.AddASN1Int64(int64(parameterID))
		}
	})
}

// PACEDomainParameterInfo describes a curve explicitly for PACE variants of a
// protocol, such as "0.4.0.127.0.7.2.2.4.2" without a cipher, that refer to it
// by a local number (Doc 9303-11, 9.2.2). A negative parameterID is left out.
func PACEDomainParameterInfo(protocol, curve string, parameterID int) ([]byte, error) {
	c := ec.ByName(curve)
	if c == nil {
		return nil, fmt.Errorf("%w: unknown curve", ErrContent)
	}
	return securityInfo(parseOID(protocol), func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidECPublicKey)
			addExplicitParameters(b, c)
		})
		if parameterID >= 0 {
			b.AddASN1Int64(int64(parameterID))
		}
	})
}

// ChipAuthenticationInfo is the SecurityInfo of a protocol of chip
// authentication (Doc 9303-11, 9.2.5, which has version 1 only). A keyID of 0 is
// left out.
func ChipAuthenticationInfo(protocol string, version, keyID int) ([]byte, error) {
	return securityInfo(parseOID(protocol), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		if keyID != 0 {
			b.AddASN1Int64(int64(keyID))
		}
	})
}

// ChipAuthenticationPublicKeyInfo is the SecurityInfo of a static key for chip
// authentication or for PACE with chip authentication mapping (Doc 9303-11,
// 9.2.6). A keyID of 0 is left out.
func ChipAuthenticationPublicKeyInfo(k *Key, keyID int) ([]byte, error) {
	oid := oidPKECDH
	if k.DH != nil {
		oid = oidPKDH
	}
	public, err := k.PublicKeyInfo()
	if err != nil {
		return nil, err
	}
	return securityInfo(oid, func(b *cryptobyte.Builder) {
		b.AddBytes(public)
		if keyID != 0 {
			b.AddASN1Int64(int64(keyID))
		}
	})
}

// TerminalAuthenticationInfo announces terminal authentication, as documents
// with fingerprints do (Doc 9303-11, 9.2.8).
func TerminalAuthenticationInfo() ([]byte, error) {
	return securityInfo(oidTA, func(b *cryptobyte.Builder) { b.AddASN1Int64(1) })
}

// EFDIRInfo repeats EF.DIR where it is signed (Doc 9303-11, 9.2.10).
func EFDIRInfo(dir []byte) ([]byte, error) {
	return securityInfo(oidEFDIR, func(b *cryptobyte.Builder) { b.AddASN1OctetString(dir) })
}

func securityInfo(protocol asn1.ObjectIdentifier, data func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(protocol)
		data(b)
	})
	return b.Bytes()
}

// SecurityInfos makes the content of EF.CardAccess: a SET OF SecurityInfo
// (Doc 9303-11, 9.2).
func SecurityInfos(infos [][]byte) ([]byte, error) {
	var b cryptobyte.Builder
	addSetOf(&b, cbasn1.SET, infos)
	return b.Bytes()
}

// DG14 wraps SecurityInfos (Doc 9303-10, 4.7.14).
func DG14(infos [][]byte) ([]byte, error) {
	set, err := SecurityInfos(infos)
	if err != nil {
		return nil, err
	}
	return tlv.Append(nil, 0x6E, set), nil
}

// ATRInfo makes EF.ATR/INFO with the extended length information: the largest
// command and response APDU in bytes (Doc 9303-10, 3.11.1; ISO/IEC 7816-4:2020,
// 12.7.1).
func ATRInfo(command, response uint16) []byte {
	be := binary.BigEndian
	body := tlv.Append(nil, 0x02, be.AppendUint16(nil, command))
	body = tlv.Append(body, 0x02, be.AppendUint16(nil, response))
	return tlv.Append(nil, 0x7F66, body)
}
