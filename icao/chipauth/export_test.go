package chipauth

import (
	"fmt"

	"github.com/chamthe/chamthe/icao/secinfo"
)

// MaxVariants is how many variants are tried at most.
const MaxVariants = maxVariants

// Variants describes what infos offer, in the order of their attempts:
// "CA ECDH 3DES P-256, KAT, reference 1 [deviations]".
func Variants(infos secinfo.SecurityInfos) ([]string, error) {
	variants, err := variantsOf(infos)
	var out []string
	for _, v := range variants {
		s := v.name()
		if v.kat {
			s += ", KAT"
		}
		if v.reference != secinfo.NoID {
			s += fmt.Sprintf(", reference %d", v.reference)
		}
		if v.deviations != nil {
			s += fmt.Sprint(" ", v.deviations)
		}
		out = append(out, s)
	}
	return out, err
}

// LinkLen and ProtectedLen are the arithmetic of chained commands.
var (
	LinkLen      = linkLen
	ProtectedLen = protectedLen
)
