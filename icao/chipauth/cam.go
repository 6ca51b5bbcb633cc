package chipauth

import (
	"fmt"

	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
)

// VerifyCAM verifies the proof that a chip gave in PACE with chip
// authentication mapping (Doc 9303-11, 4.4.3.5.2) against its public key.
// infos are those of EF.CardSecurity, whose signature the caller verifies:
// without it, the key may be anybody's.
//
// The error is nil only if the proof is good. It is [ErrNotOffered] without a
// proof, because another mapping was used; [ErrKey] if there is no ECDH key
// with the identifier that PACE named, or none that is valid; [ErrUnsupported]
// if that key is on an unknown curve; and [ErrCardAuthentication] if the proof
// does not belong to the key. The Result is zero then.
func VerifyCAM(cam *pace.CAM, infos secinfo.SecurityInfos) (Result, error) {
	if cam == nil {
		return Result{}, fmt.Errorf("%w: no chip authentication data", ErrNotOffered)
	}
	// The identifier has to be there (9.2.1, 9.2.6). A key without one is good
	// enough if no other has it: whoever can prove it, owns it.
	offer := secinfo.ChipAuthenticationInfo{KeyID: cam.KeyID}
	err := error(ErrKey)
	for _, info := range keysOf(infos, offer, true) {
		key, keyErr := parseCurveKey(info)
		if keyErr != nil {
			err = keyErr
			continue
		}
		point := key.(curveKey).point
		if camErr := cam.Verify(point); camErr != nil {
			err = fmt.Errorf("%w: %w", ErrCardAuthentication, camErr)
			continue
		}
		r := Result{Algorithm: "PACE-CAM " + point.Curve().Name(), KeyID: cam.KeyID, WeakKey: key.weak()}
		if info.KeyID != cam.KeyID {
			r.Deviations = []string{DevKeyID}
		}
		return r, nil
	}
	return Result{}, err
}
