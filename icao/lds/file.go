package lds

import "github.com/chamthe/chamthe/icao/tlv"

// AID returns the application identifier of the eMRTD application
// (Doc 9303-10, 4.1). The slice is the caller's.
func AID() []byte { return []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01} }

// A File is an elementary file as Doc 9303-10 lays it down. The variables of
// this package and [DataGroup] give all of them; a File is comparable and is passed
// by value.
type File struct {
	ID   uint16  // file identifier, for SELECT
	SFI  byte    // short EF identifier, for READ BINARY; 0 for none
	Tag  tlv.Tag // of the one data object that is the file; 0 when there may be several
	Name string  // "EF.COM", "DG13"
	DG   int     // number of the data group, 1 to 16; 0 for the other files
}

// String returns the file's name.
func (f File) String() string { return f.Name }

// Files of the eMRTD application that are not data groups (Doc 9303-10, 4.6).
var (
	EFCOM = File{ID: 0x011E, SFI: 0x1E, Tag: 0x60, Name: "EF.COM"}
	EFSOD = File{ID: 0x011D, SFI: 0x1D, Tag: 0x77, Name: "EF.SOD"}
)

// Files of the master file (Doc 9303-10, 3.11). They are read before the
// application is selected.
var (
	EFATRInfo      = File{ID: 0x2F01, SFI: 0x01, Name: "EF.ATR/INFO"}
	EFDIR          = File{ID: 0x2F00, SFI: 0x1E, Name: "EF.DIR"}
	EFCardAccess   = File{ID: 0x011C, SFI: 0x1C, Tag: 0x31, Name: "EF.CardAccess"}
	EFCardSecurity = File{ID: 0x011D, SFI: 0x1D, Tag: 0x30, Name: "EF.CardSecurity"}
)

// dataGroups is indexed by number - 1; identifiers and short identifiers
// follow from the number (Doc 9303-10, 4.6 and 4.7).
var dataGroups = [16]struct {
	tag  tlv.Tag
	name string
}{
	{0x61, "DG1"},
	{0x75, "DG2"},
	{0x63, "DG3"},
	{0x76, "DG4"},
	{0x65, "DG5"},
	{0x66, "DG6"},
	{0x67, "DG7"},
	{0x68, "DG8"},
	{0x69, "DG9"},
	{0x6A, "DG10"},
	{0x6B, "DG11"},
	{0x6C, "DG12"},
	{0x6D, "DG13"},
	{0x6E, "DG14"},
	{0x6F, "DG15"},
	{0x70, "DG16"},
}

// DataGroup returns data group n, and false when n is not 1 to 16.
func DataGroup(n int) (File, bool) {
	if n < 1 || n > len(dataGroups) {
		return File{}, false
	}
	g := dataGroups[n-1]
	return File{ID: 0x0100 + uint16(n), SFI: byte(n), Tag: g.tag, Name: g.name, DG: n}, true
}

// ByTag returns the file of the eMRTD application whose data object has the
// given tag, as EF.COM lists them; false for an unknown tag.
func ByTag(tag tlv.Tag) (File, bool) {
	switch tag {
	case EFCOM.Tag:
		return EFCOM, true
	case EFSOD.Tag:
		return EFSOD, true
	}
	for i, g := range dataGroups {
		if g.tag == tag {
			return DataGroup(i + 1)
		}
	}
	return File{}, false
}
