package passiveauth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

const (
	// oidCardSecurity is id-SecurityObject of BSI, the content type of
	// EF.CardSecurity (Doc 9303-10, 3.11.4).
	oidCardSecurity = "0.4.0.127.0.7.3.2.1"

	// maxCardSecurity is the largest EF.CardSecurity read, in octets. Real ones have
	// one to three kilobytes.
	maxCardSecurity = 64 << 10
)

// CardSecurity is a parsed EF.CardSecurity (Doc 9303-10, 3.11.4): SecurityInfos
// under the signature of a document signer. Reading it verifies nothing: that
// is [VerifyCardSecurity]. It shares memory with the bytes it was parsed from and
// must not be changed. (EF.ChipSecurity of BSI TR-03110 has the same form.)
type CardSecurity struct {
	SignedData *cms.SignedData
	// SecurityInfos is the signed content: the SET that package secinfo reads. It
	// is worth no more than EF.CardAccess until it is verified.
	SecurityInfos []byte
	Deviations    []string
}

// ParseCardSecurity reads EF.CardSecurity. The error never holds data of the
// file.
func ParseCardSecurity(file []byte) (*CardSecurity, error) {
	if len(file) > maxCardSecurity {
		return nil, fmt.Errorf("passiveauth: EF.CardSecurity of %d octets is too large", len(file))
	}
	sd, err := cms.ParseSignedData(file)
	if err != nil {
		return nil, fmt.Errorf("passiveauth: EF.CardSecurity: %w", err)
	}
	if sd.ContentType != oidCardSecurity {
		return nil, errors.New("passiveauth: EF.CardSecurity does not hold security infos")
	}
	content := cryptobyte.String(sd.Content)
	if !content.SkipASN1(asn1.SET) || !content.Empty() {
		return nil, errors.New("passiveauth: malformed security infos in EF.CardSecurity")
	}
	return &CardSecurity{SignedData: sd, SecurityInfos: sd.Content, Deviations: sd.Deviations}, nil
}

// VerifyCardSecurity performs passive authentication of EF.CardSecurity, by the
// rules of [Verify] for the signer, its chain and its revocation (Doc 9303-11,
// 6 and J.2). Hashes, Groups and IssuingState are not performed and are
// no part of Overall: the caller knows which state the document claims, and
// compares it with that of Result.Anchor. nil gives the zero Result.
func VerifyCardSecurity(cs *CardSecurity, pool *trust.Pool, at time.Time) Result {
	if cs == nil || cs.SignedData == nil {
		return Result{}
	}
	r := Result{
		direct:     true,
		Revocation: result.Unknown(NoRevocationInformation),
		Deviations: slices.Clone(cs.Deviations),
	}
	r.verifySigners(cs.SignedData, pool, at)
	return r
}
