package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// ErrUntrusted reports a server that could not prove who it is: its certificate
// leads nowhere that is known, has ended, or is another host's.
var ErrUntrusted = errors.New("uplink: the server's certificate is not accepted")

// EnrolError is the refusal of an enrolment by the central service.
type EnrolError struct{ Reason contract.EnrolRefusal }

// Error implements error.
func (e *EnrolError) Error() string { return "uplink: enrolment refused: " + string(e.Reason) }

// enrolTimeout is how long to wait for the answer, in which the central service
// tells its servers about a new account.
const enrolTimeout = 30 * time.Second

// curveChars is the length of the public curve nkey before a sealed answer.
const curveChars = 56

// Enrol asks the central service to take the holder of a key for an agent. The
// connection is that of somebody without credentials. The answer is for that
// agent; the caller compares the certificate in it with the one that it trusted.
//
// Errors are [*EnrolError], [ErrUntrusted], [ErrRefused] from a server that lets
// nobody in who is not enrolled, [ErrNoAnswer], [ErrPlaintext], [ErrAddress] and
// [ErrOffline].
func Enrol(ctx context.Context, url string, conf *tls.Config, s contract.Signer, code contract.EnrolCode) (*contract.EnrolAnswer, error) {
	agent, err := s.PublicKey()
	if err != nil {
		return nil, err
	}
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, err
	}
	defer seal.Wipe()
	to, err := seal.PublicKey()
	if err != nil {
		return nil, err
	}
	m, err := contract.NewEnrolMessage(s, &contract.EnrolRequest{Version: contract.Version, Agent: agent, Code: code.Text(), Seal: to})
	if err != nil {
		return nil, err
	}
	nc, err := natsconn.Dial(ctx, natsconn.Options{URLs: []string{url}, TLS: conf, Name: "chamthe enrol"})
	if err != nil {
		return nil, enrolError(ctx, err)
	}
	defer nc.Close()
	limited, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	resp, err := nc.RequestMsgWithContext(limited, &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	switch resp.Header.Get(micro.ErrorCodeHeader) {
	case "":
	case "503":
		return nil, ErrNoAnswer
	default:
		return nil, &EnrolError{known(resp.Header.Get(micro.ErrorHeader))}
	}
	if len(resp.Data) < curveChars {
		return nil, ErrMalformed
	}
	b, err := seal.Open(resp.Data[curveChars:], string(resp.Data[:curveChars]))
	if err != nil {
		return nil, ErrMalformed
	}
	a, err := contract.DecodeEnrolAnswer(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if a.Agent != agent {
		return nil, ErrMalformed
	}
	return &a, nil
}

// known returns a reason that this package has a name for: no text from the
// network gets any further.
func known(text string) contract.EnrolRefusal {
	switch r := contract.EnrolRefusal(text); r {
	case contract.EnrolCodeExpired, contract.EnrolCodeUsed, contract.EnrolRevoked, contract.EnrolCodeUnknown, contract.EnrolBusy:
		return r
	}
	return "other"
}

func enrolError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrPlaintext) || errors.Is(err, ErrAddress) {
		return err
	}
	switch classify(err) {
	case TLSTrouble:
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	case Unauthorized:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	default:
		return fmt.Errorf("%w: %w", ErrOffline, err)
	}
}
