package issuer

import (
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

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
	JPEG          []byte
	Width, Height int
	Sex           byte // as in the MRZ: 'M', 'F' or '<'
}

// DG2 wraps one portrait as a facial record of ISO/IEC 19794-5:2005 in a
// biometric information template (Doc 9303-10, 4.7.2).
func DG2(f Face) ([]byte, error) {
	const (
		fileHeaderLen = 14
		infoLen       = 20
		imageInfoLen  = 12
		maxSide       = 0xFFFF
	)
	if len(f.JPEG) == 0 || f.Width < 1 || f.Height < 1 || f.Width > maxSide || f.Height > maxSide ||
		len(f.JPEG) > tlv.MaxLength/2 {
		return nil, fmt.Errorf("%w: portrait", ErrContent)
	}
	gender := map[byte]byte{'M': 1, 'F': 2}[f.Sex]
	n := uint32(len(f.JPEG))
	be := binary.BigEndian

	r := append(make([]byte, 0, fileHeaderLen+infoLen+imageInfoLen+len(f.JPEG)), "FAC\x00010\x00"...)
	r = be.AppendUint32(r, fileHeaderLen+infoLen+imageInfoLen+n)
	r = be.AppendUint16(r, 1) // facial images

	r = be.AppendUint32(r, infoLen+imageInfoLen+n)
	r = be.AppendUint16(r, 0)       // feature points
	r = append(r, gender, 0, 0)     // sex, eye colour, hair colour: unspecified
	r = append(r, 0, 0, 0)          // feature mask
	r = be.AppendUint16(r, 0)       // expression
	r = append(r, 0, 0, 0, 0, 0, 0) // pose angles and their uncertainty
	r = append(r, 0x01, 0x00)       // full frontal, JPEG
	r = be.AppendUint16(r, uint16(f.Width))
	r = be.AppendUint16(r, uint16(f.Height))
	r = append(r, 0x01, 0x00) // 24-bit RGB, source unspecified
	r = be.AppendUint16(r, 0) // device
	r = be.AppendUint16(r, 0) // quality
	r = append(r, f.JPEG...)

	header := tlv.Append(nil, 0x80, []byte{0x01, 0x01}) // version of the header
	header = tlv.Append(header, 0x81, []byte{0x02})     // facial features
	header = tlv.Append(header, 0x82, []byte{0x00})
	header = tlv.Append(header, 0x87, []byte{0x01, 0x01}) // ISO/IEC JTC 1/SC 37
	header = tlv.Append(header, 0x88, []byte{0x00, 0x08}) // 19794-5

	bit := tlv.Append(nil, 0xA1, header)
	bit = tlv.Append(bit, 0x5F2E, r)
	group := tlv.Append(nil, 0x02, []byte{0x01})
	group = tlv.Append(group, 0x7F60, bit)
	return tlv.Append(nil, 0x75, tlv.Append(nil, 0x7F61, group)), nil
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
	oidPKECDH     = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2, 1, 2}
	oidPlainECDSA = map[int]asn1.ObjectIdentifier{ // TR-03111, by the hash's size
		28: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 2},
		32: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 3},
		48: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 4},
		64: {0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 5},
	}
)

// ActiveAuthenticationInfo is the SecurityInfo that an ECDSA key for active
// authentication needs in DG14 (Doc 9303-11, 9.2.4).
func ActiveAuthenticationInfo(k *Key) ([]byte, error) {
	if k.EC == nil {
		return nil, fmt.Errorf("%w: an RSA key has no signature algorithm to announce", ErrContent)
	}
	return securityInfo(oidAA, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(oidPlainECDSA[k.Hash().Size()])
	})
}

// PACEInfo is the SecurityInfo of one variant of PACE (Doc 9303-11, 9.2.1).
func PACEInfo(protocol string, version, parameterID int) ([]byte, error) {
	return securityInfo(parseOID(protocol), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		b.AddASN1Int64(int64(parameterID))
	})
}

// ChipAuthenticationInfos are the two SecurityInfos of chip authentication
// version 1 with one key (Doc 9303-11, 9.2.5 and 9.2.6).
func ChipAuthenticationInfos(protocol string, k *Key) ([][]byte, error) {
	info, err := securityInfo(parseOID(protocol), func(b *cryptobyte.Builder) { b.AddASN1Int64(1) })
	if err != nil {
		return nil, err
	}
	public, err := k.PublicKeyInfo()
	if err != nil {
		return nil, err
	}
	key, err := securityInfo(oidPKECDH, func(b *cryptobyte.Builder) { b.AddBytes(public) })
	if err != nil {
		return nil, err
	}
	return [][]byte{info, key}, nil
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
