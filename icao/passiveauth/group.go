package passiveauth

import (
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/result"
)

// CheckGroup compares one data group with its hash in the security object
// (Doc 9303-11, 5.1, step 4). file is the whole file as it came from the chip.
// Success means that the group belongs to sod, and nothing more: whether sod is
// what a state signed is for [Verify] to say. A nil sod gives the zero Check.
func CheckGroup(sod *lds.SOD, dg int, file []byte) result.Check {
	if sod == nil {
		return result.Check{}
	}
	return compareHash(&sod.Object, dg, file)
}
