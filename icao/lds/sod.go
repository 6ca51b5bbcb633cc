package lds

import (
	"crypto"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/tlv"
)

const (
	// MaxSOD is the largest EF.SOD read, in octets. Real ones have one to three
	// kilobytes; sixteen SHA-512 hashes, an RSA-8192 signature and a
	// certificate stay below 8 KiB.
	MaxSOD = 64 << 10

	// OIDSecurityObject is id-icao-ldsSecurityObject, the content type of EF.SOD
	// (Doc 9303-10, Appendix D).
	OIDSecurityObject = "2.23.136.1.1.1"

	maxDataGroup = 16
)

// Deviations of an EF.SOD, in addition to those of package cms.
const (
	DevSODNonMinimalLength = "sod_non_minimal_length"
	DevSODVersion          = "security_object_version"      // neither 0 nor 1
	DevSODVersionInfo      = "security_object_version_info" // present in version 0 or absent in version 1
	DevSODHashListShort    = "security_object_hash_list"    // fewer than two data groups
	DevSODHashLength       = "security_object_hash_length"  // a hash of another length than its algorithm gives
	DevSODHashSHA1         = "security_object_hash_sha1"    // SHA-1: no longer to be used
	DevSODHashUnsupported  = "security_object_hash_unknown" // an algorithm that is not computed here
)

// SOD is a parsed EF.SOD, the Document Security Object. Reading it verifies
// nothing: that is package passiveauth. It shares memory with the bytes it was
// parsed from and must not be changed.
type SOD struct {
	Raw        []byte // the whole file, tag 77 included
	SignedData *cms.SignedData
	Object     LDSSecurityObject
	// Deviations are those of the file, the security object and the SignedData.
	Deviations []string
}

// LDSSecurityObject lists the hashes of the data groups (Doc 9303-10,
// Appendix D).
type LDSSecurityObject struct {
	Version int         // 0, or 1 from LDS 1.8 on
	Hash    crypto.Hash // zero when the algorithm is not supported
	HashOID string
	// Hashes by data group number, 1 to 16. The list in the file has no fixed
	// order and may name groups that nobody may read (DG3, DG4).
	Hashes map[int][]byte

	// From ldsVersionInfo, version 1 only: "0108" and "040000", say.
	LDSVersion     string
	UnicodeVersion string
}

// ParseSOD reads EF.SOD. The error never holds data of the file.
func ParseSOD(b []byte) (*SOD, error) {
	if len(b) > MaxSOD {
		return nil, fmt.Errorf("lds: EF.SOD of %d octets is too large", len(b))
	}
	sod := &SOD{Raw: b}
	file := tlv.String(b)
	var content tlv.String
	if !file.ReadTag(&content, EFSOD.Tag) {
		file = tlv.String(b)
		var tag tlv.Tag
		if !file.ReadLenient(&content, &tag) || tag != EFSOD.Tag {
			return nil, errors.New("lds: malformed EF.SOD")
		}
		sod.Deviations = append(sod.Deviations, DevSODNonMinimalLength)
	}
	if !file.Empty() {
		return nil, errors.New("lds: trailing data after EF.SOD")
	}
	var err error
	if sod.SignedData, err = cms.ParseSignedData(content); err != nil {
		return nil, fmt.Errorf("lds: EF.SOD: %w", err)
	}
	sod.Deviations = append(sod.Deviations, sod.SignedData.Deviations...)
	if sod.SignedData.ContentType != OIDSecurityObject {
		return nil, errors.New("lds: EF.SOD does not hold a security object")
	}
	deviations, err := sod.Object.parse(sod.SignedData.Content)
	if err != nil {
		return nil, err
	}
	sod.Deviations = append(sod.Deviations, deviations...)
	return sod, nil
}

func (o *LDSSecurityObject) parse(der []byte) (deviations []string, err error) {
	note := func(d string) {
		if !slices.Contains(deviations, d) {
			deviations = append(deviations, d)
		}
	}
	s := cryptobyte.String(der)
	var body, list cryptobyte.String
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&o.Version) {
		return nil, errors.New("lds: malformed security object")
	}
	if o.Version != 0 && o.Version != 1 {
		note(DevSODVersion)
	}
	var ok bool
	if o.Hash, o.HashOID, ok = cms.ReadDigestAlgorithm(&body); !ok {
		return nil, errors.New("lds: malformed security object hash algorithm")
	}
	switch o.Hash {
	case 0:
		note(DevSODHashUnsupported)
	case crypto.SHA1:
		note(DevSODHashSHA1)
	}

	if !body.ReadASN1(&list, asn1.SEQUENCE) {
		return nil, errors.New("lds: malformed security object hash list")
	}
	o.Hashes = make(map[int][]byte, maxDataGroup)
	for !list.Empty() {
		var entry, hash cryptobyte.String
		var number int
		if !list.ReadASN1(&entry, asn1.SEQUENCE) || !entry.ReadASN1Integer(&number) ||
			!entry.ReadASN1(&hash, asn1.OCTET_STRING) || !entry.Empty() {
			return nil, errors.New("lds: malformed data group hash")
		}
		if number < 1 || number > maxDataGroup {
			return nil, errors.New("lds: data group number out of range")
		}
		// A second hash for a group would let two readers compare with two.
		if _, twice := o.Hashes[number]; twice {
			return nil, errors.New("lds: data group listed twice")
		}
		if o.Hash != 0 && len(hash) != o.Hash.Size() {
			note(DevSODHashLength)
		}
		o.Hashes[number] = hash
	}
	// Doc 9303-10, Appendix D: SIZE (2..ub-DataGroups). A list without any hash signs nothing.
	switch len(o.Hashes) {
	case 0:
		return nil, errors.New("lds: empty data group hash list")
	case 1:
		note(DevSODHashListShort)
	}

	hasInfo := body.PeekASN1Tag(asn1.SEQUENCE)
	if hasInfo {
		var info, ldsVersion, unicodeVersion cryptobyte.String
		if !body.ReadASN1(&info, asn1.SEQUENCE) ||
			!info.ReadASN1(&ldsVersion, asn1.PrintableString) ||
			!info.ReadASN1(&unicodeVersion, asn1.PrintableString) || !info.Empty() {
			return nil, errors.New("lds: malformed LDS version info")
		}
		o.LDSVersion, o.UnicodeVersion = string(ldsVersion), string(unicodeVersion)
	}
	if hasInfo != (o.Version == 1) {
		note(DevSODVersionInfo)
	}
	if !body.Empty() {
		return nil, errors.New("lds: trailing data in security object")
	}
	return deviations, nil
}
