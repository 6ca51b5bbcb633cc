package contract

import "time"

// LookupRequest asks the central service for a person's entitlement. It holds
// the facts that the insurer needs to find the person and nothing else: a
// number (personal or on the insurance card), the name and the birth date.
type LookupRequest struct {
	Version         int       `json:"version" is:"version"`
	ID              string    `json:"id" is:"uuid7"`
	Facility        string    `json:"facility" is:"facility"`
	Agent           string    `json:"agent" is:"agent"`
	At              time.Time `json:"at"`
	Number          string    `json:"number,omitempty" is:"number"`                   // personal identification number, or
	InsuranceNumber string    `json:"insuranceNumber,omitempty" is:"insuranceNumber"` // number of the insurance card
	Name            string    `json:"name" is:"text128"`
	BirthDate       Date      `json:"birthDate" is:"date"`
}

func (r *LookupRequest) consistent() error {
	if r.Number == "" && r.InsuranceNumber == "" {
		return fail(Missing, "number")
	}
	return nil
}

// LookupResponse answers a [LookupRequest].
type LookupResponse struct {
	Version     int         `json:"version" is:"version"`
	ID          string      `json:"id" is:"uuid7"` // of the request
	At          time.Time   `json:"at"`            // central time
	Entitlement Entitlement `json:"entitlement"`   // Source is SourceCentral
	Person      *Insured    `json:"person,omitempty"`
}

// Insured is the person as the insurer holds them, to be compared with the
// document.
type Insured struct {
	Number    string `json:"number,omitempty" is:"number"`
	Name      string `json:"name,omitempty" is:"text128"`
	BirthDate Date   `json:"birthDate,omitempty" is:"date"`
	Sex       Sex    `json:"sex,omitempty"`
}

func (r *LookupResponse) consistent() error {
	if r.Entitlement.Source != SourceCentral {
		return fail(Inconsistent, "entitlement.source")
	}
	return r.Entitlement.consistent("entitlement")
}

// EncodeLookupRequest returns r as JSON: the bytes to sign and to send.
func EncodeLookupRequest(r *LookupRequest) ([]byte, error) {
	return encode(r, MaxMessage, r.consistent)
}

// DecodeLookupRequest reads a lookup request. It does not check the signature;
// see [OpenLookup].
func DecodeLookupRequest(b []byte) (LookupRequest, error) {
	return decode[LookupRequest](b, MaxMessage, closed, (*LookupRequest).consistent)
}

// EncodeLookupResponse returns r as JSON.
func EncodeLookupResponse(r *LookupResponse) ([]byte, error) {
	return encode(r, MaxMessage, r.consistent)
}

// DecodeLookupResponse reads a lookup response. The caller compares its ID with
// the request's.
func DecodeLookupResponse(b []byte) (LookupResponse, error) {
	return decode[LookupResponse](b, MaxMessage, open, (*LookupResponse).consistent)
}
