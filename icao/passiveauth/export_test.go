package passiveauth

// MRZBeginning is mrzBeginning.
func MRZBeginning(dg1 []byte) (code, state string, ok bool) { return mrzBeginning(dg1) }
