package lds

import (
	"context"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
)

// ErrNoApplication reports a card without the eMRTD application. The card's
// [apdu.Status] is wrapped with it.
var ErrNoApplication = errors.New("lds: no eMRTD application")

// Select selects the eMRTD application (Doc 9303-10, 3.6.1.2), for which a
// card asks before basic access control and after PACE. Errors:
// [ErrNoApplication], [ErrAccessDenied], or that of d.
func Select(ctx context.Context, d apdu.Doer) error {
	c := apdu.Command{INS: insSelect, P1: p1SelectAID, P2: p2NoData, Data: AID()}
	resp, err := d.Do(ctx, c)
	if err != nil {
		return fmt.Errorf("select application: %w", err)
	}
	switch resp.SW {
	case apdu.OK:
		return nil
	case apdu.FileNotFound:
		return fmt.Errorf("%w: %w", ErrNoApplication, resp.SW)
	case apdu.SecurityStatusNotSatisfied:
		return denied(resp.SW)
	}
	return fmt.Errorf("lds: select application: %w", resp.SW)
}

// ReadCardAccess reads EF.CardAccess, which says whether the card offers PACE,
// from a card that has just been reset and to which nothing has been sent. It
// tries by turns what one card or another refuses: the short identifier,
// SELECT, and SELECT after each of the two ways to select the master file, the
// second of which is left out if the first one worked and the file is not there.
//
// Whatever the card answers to all that, it is no more than [ErrNoFile]: cards
// without the file refuse with the most different words, and a card without it
// is in order. Only an exchange without a response, a channel that broke, or
// ctx are another error. opt may be nil; Resume is ignored.
func ReadCardAccess(ctx context.Context, d apdu.Doer, opt *ReadOptions) ([]byte, error) {
	var o ReadOptions
	if opt != nil {
		o = *opt
	}
	o.Resume = nil
	// What a card does at the master file says nothing about the application.
	o.Learned = nil
	for _, master := range []*apdu.Command{
		nil,
		{INS: insSelect, P1: p1SelectMF, P2: p2NoData},                           // Doc 9303-10, 3.6.1.1
		{INS: insSelect, P1: p1SelectMF, P2: p2NoData, Data: []byte{0x3F, 0x00}}, // ISO/IEC 7816-4, 11.2.2
	} {
		if master != nil {
			resp, err := d.Do(ctx, *master)
			if err != nil {
				return nil, &ReadError{File: EFCardAccess, Err: fmt.Errorf("select master file: %w", err)}
			}
			if resp.SW != apdu.OK {
				continue
			}
			o.Learned = &Learned{NoSFI: true}
		}
		b, err := ReadFile(ctx, d, EFCardAccess, &o)
		if err == nil {
			return b, nil
		}
		if !answered(err) {
			return nil, err
		}
		if master != nil && errors.Is(err, ErrNoFile) {
			break // the master file is selected, and to select it otherwise selects the same
		}
	}
	return nil, &ReadError{File: EFCardAccess, Err: ErrNoFile}
}

// answered reports whether the cause of err is what the card answered, and
// not that it did not answer.
func answered(err error) bool {
	var sw apdu.Status
	if errors.As(err, &sw) {
		return true
	}
	var limit *apdu.LimitError
	if errors.As(err, &limit) {
		return true
	}
	for _, e := range []error{apdu.ErrResponse, ErrTag, ErrHeader, ErrTooLarge, ErrTruncated, ErrStalled, ErrResponse} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
