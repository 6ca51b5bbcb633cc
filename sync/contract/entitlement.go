package contract

import (
	"slices"
	"time"
)

// Entitlement is what the insurer is known to say about a person, with where
// the knowledge comes from and how old it is. It says nothing about money.
type Entitlement struct {
	Source       Source            `json:"source"`
	AsOf         time.Time         `json:"asOf,omitzero"`                             // when the insurer said so, central time; absent with SourceNone
	Status       EntitlementStatus `json:"status"`                                    //
	Code         string            `json:"code,omitempty" is:"resultCode"`            // the insurer's result code, "000"; absent with SourceNone
	CardNumber   string            `json:"cardNumber,omitempty" is:"insuranceNumber"` //
	From         Date              `json:"from,omitempty" is:"date"`                  // first day of the card
	To           Date              `json:"to,omitempty" is:"date"`                    // last day of the card
	Facility     string            `json:"facility,omitempty" is:"facility"`          // where the person is registered
	BenefitLevel string            `json:"benefitLevel,omitempty" is:"benefit"`       // "1" to "5", third character of the card number
	Area         string            `json:"area,omitempty" is:"area"`                  // living area code, "K1"
	FiveYears    Date              `json:"fiveYears,omitempty" is:"date"`             // day from which five years are continuous
	Next         *NextCard         `json:"next,omitempty"`                            // a new card was issued (codes 003, 004)
	Findings     []Finding         `json:"findings,omitempty" is:"findings"`          // where insurer and document disagree
}

// NextCard is the card that replaces the one looked up.
type NextCard struct {
	CardNumber string `json:"cardNumber" is:"insuranceNumber"`
	From       Date   `json:"from,omitempty" is:"date"`
	To         Date   `json:"to,omitempty" is:"date"`
	Facility   string `json:"facility,omitempty" is:"facility"`
}

// Source is where knowledge of an entitlement comes from.
type Source string

// The sources, best first.
const (
	SourceCentral    Source = "central"    // asked just now
	SourceCache      Source = "cache"      // asked earlier; AsOf says when
	SourcePopulation Source = "population" // the bundle of people registered at the facility
	SourceNone       Source = "none"       // nobody knows: recorded for a later check
)

func (Source) values() []string {
	return []string{string(SourceCentral), string(SourceCache), string(SourcePopulation), string(SourceNone)}
}

// EntitlementStatus groups the insurer's result codes into what a desk does next.
type EntitlementStatus string

// The groups.
const (
	StatusUnknown       EntitlementStatus = "unknown"       // no answer, or a code that nobody here knows
	StatusValid         EntitlementStatus = "valid"         // entitled
	StatusNotEntitled   EntitlementStatus = "not_entitled"  // expired, revoked, no card
	StatusMismatch      EntitlementStatus = "mismatch"      // number, name or birth date is not what the insurer holds
	StatusRetry         EntitlementStatus = "retry"         // the insurer could not answer now
	StatusLogin         EntitlementStatus = "login"         // the insurer wants a new login
	StatusConfiguration EntitlementStatus = "configuration" // the facility's account or the request is wrong: for IT, not for the person
)

func (EntitlementStatus) values() []string {
	return []string{
		string(StatusUnknown), string(StatusValid), string(StatusNotEntitled), string(StatusMismatch),
		string(StatusRetry), string(StatusLogin), string(StatusConfiguration),
	}
}

// Answered reports whether the insurer spoke about the person, as opposed to
// failing or refusing to answer.
func (s EntitlementStatus) Answered() bool {
	return s == StatusValid || s == StatusNotEntitled || s == StatusMismatch
}

// statusOf groups the result codes of the Vietnamese portal as its users do
// (portal description of 2024, Công văn 1923/BHXH-CNTT).
var statusOf = map[string]EntitlementStatus{
	"000": StatusValid,         // in order
	"001": StatusValid,         // card managed by Defence: check card and identity
	"002": StatusValid,         // card managed by Public Security: the same
	"003": StatusValid,         // old card expired, new card issued
	"004": StatusValid,         // old card still valid, new card issued
	"010": StatusNotEntitled,   // expired
	"050": StatusNotEntitled,   // no such card
	"051": StatusMismatch,      // wrong card code
	"052": StatusMismatch,      // wrong province (characters 4 and 5)
	"053": StatusMismatch,      // wrong benefit (character 3)
	"054": StatusConfiguration, // the operator's number is not registered
	"055": StatusConfiguration, // the operator's name and number differ
	"060": StatusMismatch,      // wrong name
	"061": StatusMismatch,      // wrong name, first character right
	"070": StatusMismatch,      // wrong birth date
	"100": StatusRetry,         // error reading the card book
	"101": StatusRetry,         // server error
	"110": StatusNotEntitled,   // revoked
	"120": StatusNotEntitled,   // reduced
	"121": StatusNotEntitled,   // moved to another province
	"122": StatusNotEntitled,   // moved within the province
	"123": StatusNotEntitled,   // increased again at the same unit
	"124": StatusNotEntitled,   // stopped taking part
	"130": StatusNotEntitled,   // child without a card
	"205": StatusConfiguration, // bad parameter
	"401": StatusLogin,         // not logged in
	"500": StatusRetry,         // server error
}

// StatusOf groups an insurer's result code. A code that is not in the table is
// [StatusUnknown]: neither entitled nor refused.
func StatusOf(code string) EntitlementStatus {
	if s, ok := statusOf[code]; ok {
		return s
	}
	return StatusUnknown
}

// Finding is a difference between what the insurer holds and what the document
// says. It is shown and recorded; nothing is corrected because of it.
type Finding string

// The findings.
const (
	NumberDiffers    Finding = "number_differs"
	NameDiffers      Finding = "name_differs"       // other letters; tone marks are not compared
	BirthDateDiffers Finding = "birth_date_differs" // in the parts that both sides know
	SexDiffers       Finding = "sex_differs"
	CardDiffers      Finding = "card_number_differs" // the answer is about another insurance number
	NotComparable    Finding = "not_comparable"      // the insurer says "entitled", and not whom enough to compare
	PeriodEnded      Finding = "period_ended"        // the card's last day is past
	PeriodNotBegun   Finding = "period_not_begun"    // the card's first day is still to come
)

func (Finding) values() []string {
	return []string{
		string(NumberDiffers), string(NameDiffers), string(BirthDateDiffers), string(SexDiffers),
		string(CardDiffers), string(NotComparable), string(PeriodEnded), string(PeriodNotBegun),
	}
}

func (e *Entitlement) consistent(path string) error {
	if e.Source == SourceNone {
		if e.Status != StatusUnknown || e.Code != "" || !e.AsOf.IsZero() || e.CardNumber != "" || e.Next != nil {
			return fail(Inconsistent, path+".source")
		}
		return nil
	}
	switch {
	case e.AsOf.IsZero():
		return fail(Missing, path+".asOf")
	case e.Code == "":
		return fail(Missing, path+".code")
	}
	// A code that this version does not know may be grouped by a newer one.
	if s, ok := statusOf[e.Code]; ok && s != e.Status {
		return fail(Inconsistent, path+".status")
	}
	return nil
}

// Clone returns a copy of e that shares no memory with it.
func (e *Entitlement) Clone() Entitlement {
	c := *e
	if e.Next != nil {
		next := *e.Next
		c.Next = &next
	}
	c.Findings = slices.Clone(e.Findings)
	return c
}
