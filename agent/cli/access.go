package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/vn"
)

// maxInput bounds what is read from standard input in place of a flag's value.
const maxInput = 16 << 10

// accessFlags are the ways to say what opens the chip.
type accessFlags struct {
	qr, mrz, can, expiry string
}

// add gives a command the flags.
func (f *accessFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.qr, "qr", "", "`TEXT` of the QR code on a citizen card")
	c.Flags().StringVar(&f.expiry, "expiry", "", "with --qr: the card's expiry `DATE`, dd/mm/yyyy, when the usual ones do not open it")
	c.Flags().StringVar(&f.mrz, "mrz", "", "machine readable lines, with or without line breaks (`TEXT`)")
	c.Flags().StringVar(&f.can, "can", "", "card access number `N`, six digits")
}

// given reports whether any of the flags was.
func (f *accessFlags) given() bool { return *f != accessFlags{} }

// what names what the flags hold, and nothing of it.
func (f *accessFlags) what() string {
	switch {
	case f.qr != "":
		return "the QR code"
	case f.mrz != "":
		return "the machine readable lines"
	default:
		return "the card access number"
	}
}

// access turns the flags into keys. A value of "-" is read from standard
// input, so that personal data need not stand in the list of processes.
func (f *accessFlags) access(stdin io.Reader) (inspect.Access, error) {
	given := 0
	for _, v := range []*string{&f.qr, &f.mrz, &f.can} {
		if *v == "" {
			continue
		}
		given++
		if *v == "-" {
			b, err := io.ReadAll(io.LimitReader(stdin, maxInput))
			if err != nil {
				return inspect.Access{}, fmt.Errorf("read standard input: %w", err)
			}
			if *v = strings.TrimSpace(string(b)); *v == "" {
				return inspect.Access{}, usagef("standard input is empty")
			}
		}
	}
	if given != 1 {
		return inspect.Access{}, usagef("give exactly one of --qr, --mrz and --can")
	}
	if f.expiry != "" && f.qr == "" {
		return inspect.Access{}, usagef("--expiry goes with --qr")
	}
	switch {
	case f.qr != "":
		keys, err := qrKeys(f.qr, f.expiry)
		return inspect.Access{Keys: keys}, err
	case f.mrz != "":
		m, err := mrz.Parse(f.mrz)
		if err != nil {
			return inspect.Access{}, fault.New(fault.BadMRZ, err)
		}
		key, err := m.Key()
		if err != nil {
			return inspect.Access{}, fault.New(fault.BadMRZ, err)
		}
		return inspect.Access{Keys: []mrz.Key{key}}, nil
	default:
		if len(f.can) != 6 || strings.Trim(f.can, "0123456789") != "" {
			return inspect.Access{}, fault.New(fault.BadCAN, errors.New("cli: not six digits"))
		}
		return inspect.Access{CAN: f.can}, nil
	}
}

// qrKeys returns the key candidates of a citizen card's QR code. The code has
// no expiry date; one that was typed makes guessing needless.
func qrKeys(qr, expiry string) ([]mrz.Key, error) {
	q, err := vn.ParseCCCDQR(qr)
	if err != nil {
		return nil, fault.New(fault.BadQR, err)
	}
	if expiry == "" {
		keys, err := q.Keys()
		if err != nil {
			return nil, fault.New(fault.BadQR, err)
		}
		return keys, nil
	}
	yymmdd := expiry
	if d, err := vn.ParseDate(expiry); err == nil {
		if s, ok := d.MRZ(); ok {
			yymmdd = s
		}
	}
	key, err := q.Key(yymmdd)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--expiry: want dd/mm/yyyy, or %s for a card without one: %w", vn.NoExpiry, err)}
	}
	return []mrz.Key{key}, nil
}
