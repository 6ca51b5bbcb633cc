package lds

import (
	"fmt"
	"slices"
)

// DifferenceKind says in what EF.COM and EF.SOD differ.
type DifferenceKind uint8

// The kinds of difference; the zero value is none.
const (
	NotInCOM       DifferenceKind = iota + 1 // a data group is signed and EF.COM does not list it
	NotInSOD                                 // a data group is listed and EF.SOD has no hash for it
	LDSVersion                               // the files state different versions of the LDS
	UnicodeVersion                           // the files state different versions of Unicode
)

var differenceKinds = [...]string{"none", "not in EF.COM", "not in EF.SOD", "LDS version", "Unicode version"}

// String returns a few words.
func (k DifferenceKind) String() string {
	if int(k) < len(differenceKinds) {
		return differenceKinds[k]
	}
	return fmt.Sprintf("lds.DifferenceKind(%d)", uint8(k))
}

// A Difference is one point in which EF.COM is not what EF.SOD says.
type Difference struct {
	Kind DifferenceKind
	DG   int // number of the data group; 0 for a version
}

// String names the data group and the kind.
func (d Difference) String() string {
	if d.DG != 0 {
		return fmt.Sprintf("DG%d: %v", d.DG, d.Kind)
	}
	return d.Kind.String()
}

// CompareCOM compares the data groups that EF.COM lists with those that the
// security object signs (BSI TR-03135-1, 5.6.4.4.1; BSI TR-03105-5.1, LDS_H_90
// to LDS_H_92), and the versions if the security object has them, which it
// does from LDS 1.8 on. Differences come by number of the data group, versions
// last; none means that the files agree.
//
// EF.COM is not signed. A difference is a reason to distrust the document
// where policy says so; it never makes EF.COM the better witness.
func CompareCOM(com COM, object *LDSSecurityObject) []Difference {
	var out []Difference
	listed := com.DataGroups()
	for dg := 1; dg <= maxDataGroup; dg++ {
		_, signed := object.Hashes[dg]
		switch inCOM := slices.Contains(listed, dg); {
		case signed && !inCOM:
			out = append(out, Difference{Kind: NotInCOM, DG: dg})
		case !signed && inCOM:
			out = append(out, Difference{Kind: NotInSOD, DG: dg})
		}
	}
	if object.LDSVersion != "" && object.LDSVersion != com.LDSVersion {
		out = append(out, Difference{Kind: LDSVersion})
	}
	if object.UnicodeVersion != "" && object.UnicodeVersion != com.UnicodeVersion {
		out = append(out, Difference{Kind: UnicodeVersion})
	}
	return out
}
