package central

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/sync/contract"
)

// maxSeed bounds a seed file; ten thousand people take about three megabytes.
const maxSeed = 256 << 20

// ErrSeed reports a seed file that cannot be used. The text around it names
// the entry by its position, never by what it says.
var ErrSeed = errors.New("central: invalid seed")

// Seed is what the service starts with: who may send visits, and who is
// insured. Entries are added to what the buckets hold, or replace it; nothing
// is removed.
type Seed struct {
	Agents []Agent  `json:"agents"`
	People []Person `json:"people"`
}

// Agent is an enrolled agent: its key, and the one facility it speaks for.
type Agent struct {
	Key      string `json:"key"` // public nkey
	Facility string `json:"facility"`
}

// Person is an insured person as the insurer holds them. Number or
// InsuranceNumber is present.
type Person struct {
	Number          string             `json:"number,omitempty"`
	InsuranceNumber string             `json:"insuranceNumber,omitempty"`
	Name            string             `json:"name"`
	BirthDate       contract.Date      `json:"birthDate"`
	Sex             contract.Sex       `json:"sex,omitempty"`
	Code            string             `json:"code,omitempty"` // the insurer's result code; "" is "000"
	From            contract.Date      `json:"from,omitempty"`
	To              contract.Date      `json:"to,omitempty"`
	Facility        string             `json:"facility,omitempty"`
	BenefitLevel    string             `json:"benefitLevel,omitempty"`
	Area            string             `json:"area,omitempty"`
	FiveYears       contract.Date      `json:"fiveYears,omitempty"`
	Next            *contract.NextCard `json:"next,omitempty"`
}

// String returns "[redacted]": a person that is printed by mistake is nobody.
func (Person) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (Person) GoString() string { return "[redacted]" }

// ReadSeed reads a seed from JSON. Unknown members are refused: a misspelt
// "benefitLevel" must not quietly become no benefit.
func ReadSeed(r io.Reader) (*Seed, error) {
	dec := json.NewDecoder(io.LimitReader(r, maxSeed))
	dec.DisallowUnknownFields()
	var s Seed
	if err := dec.Decode(&s); err != nil {
		// The texts of encoding/json may repeat a value; the offset is enough
		// to find it.
		return nil, fmt.Errorf("%w: not the expected JSON near byte %d", ErrSeed, dec.InputOffset())
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows after byte %d", ErrSeed, dec.InputOffset())
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &s, nil
}

func (s *Seed) check() error {
	for i, a := range s.Agents {
		if contract.CheckAgent(a.Key) != nil {
			return fmt.Errorf("%w: agents[%d].key is no public user nkey", ErrSeed, i)
		}
		if contract.CheckFacility(a.Facility) != nil {
			return fmt.Errorf("%w: agents[%d].facility", ErrSeed, i)
		}
	}
	for i, p := range s.People {
		// The contract knows every rule already: a person is fine when the
		// answer about them is.
		if err := p.check(); err != nil {
			var c *contract.Error
			if errors.As(err, &c) {
				return fmt.Errorf("%w: people[%d]: %s: %s", ErrSeed, i, string(c.Code), c.Field)
			}
			return fmt.Errorf("%w: people[%d]", ErrSeed, i)
		}
	}
	return nil
}

// What a check needs besides the person: values that are valid and mean nothing.
const anyID = "00000000-0000-7000-8000-000000000000"

var (
	anyTime     = time.Unix(0, 0).UTC()
	anyAgent, _ = contract.EncodeAgent(make([]byte, ed25519.PublicKeySize))
)

func (p Person) check() error {
	req := contract.LookupRequest{
		Version: contract.Version, ID: anyID, Facility: "0", Agent: anyAgent, At: anyTime,
		Number: p.Number, InsuranceNumber: p.InsuranceNumber, Name: p.Name, BirthDate: p.BirthDate,
	}
	if _, err := contract.EncodeLookupRequest(&req); err != nil {
		return err
	}
	resp := p.answer(anyID, anyTime)
	_, err := contract.EncodeLookupResponse(&resp)
	return err
}

// sameName compares names as two registers write them: without tone marks,
// case and spacing.
func sameName(a, b string) bool {
	return slices.Equal(mrz.Words(a), mrz.Words(b))
}
