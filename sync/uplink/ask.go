package uplink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// Ask asks the central service for an entitlement and waits at most
// Config.AskTimeout, or as long as ctx lets it. Members of the request that
// say who asks and when may be empty: they are filled in. The error is
// [ErrOffline], [ErrNoAnswer], [ErrRefused], [ErrMalformed], that of ctx, or, for a
// request that cannot be made, one of package contract.
func (u *Uplink) Ask(ctx context.Context, r contract.LookupRequest) (contract.LookupResponse, error) {
	if err := u.complete(&r); err != nil {
		return contract.LookupResponse{}, err
	}
	m, err := contract.NewLookupMessage(u.cfg.Signer, &r)
	if err != nil {
		return contract.LookupResponse{}, err
	}
	nc := u.conn.Load()
	if nc == nil {
		return contract.LookupResponse{}, ErrOffline
	}
	b, err := u.request(ctx, nc, &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
	if err != nil {
		return contract.LookupResponse{}, err
	}
	resp, err := contract.DecodeLookupResponse(b)
	if err != nil {
		u.board.dropped()
		return contract.LookupResponse{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if resp.ID != r.ID {
		u.board.dropped()
		return contract.LookupResponse{}, fmt.Errorf("%w: answer to another request", ErrMalformed)
	}
	return resp, nil
}

func (u *Uplink) complete(r *contract.LookupRequest) error {
	now := u.cfg.Now()
	r.Version = contract.Version
	if r.ID == "" {
		id, err := contract.NewID(now, nil)
		if err != nil {
			return err
		}
		r.ID = id
	}
	if r.Facility == "" {
		r.Facility = u.cfg.Facility
	}
	if r.Agent == "" {
		r.Agent = u.agent
	}
	if r.At.IsZero() {
		r.At = contract.Timestamp(now)
	}
	return nil
}

// request sends a request and returns the payload of the answer.
func (u *Uplink) request(ctx context.Context, nc *nats.Conn, m *nats.Msg) ([]byte, error) {
	resp, err := u.requestMessage(ctx, nc, m)
	if err != nil {
		return nil, err
	}
	if code := resp.Header.Get(micro.ErrorCodeHeader); code != "" {
		if code == "503" {
			return nil, ErrNoAnswer
		}
		return nil, ErrRefused
	}
	return resp.Data, nil
}

// requestMessage sends a request and returns the answer, which may be an error of
// the service's.
func (u *Uplink) requestMessage(ctx context.Context, nc *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, u.cfg.AskTimeout)
	defer cancel()
	resp, err := askAgain(limited, nc, m)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, nats.ErrConnectionClosed):
		return nil, ErrOffline
	case err != nil: // time is up, or nobody listens
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if code := resp.Header.Get(micro.ErrorCodeHeader); code == "" || code == codeCurrent {
		u.answered()
	}
	return resp, nil
}

// againAfter is how long a request may be under way before it is sent again: who
// had it may have died, and another will have it then. Requests change nothing,
// so one that is merely slow may be answered twice.
const againAfter = time.Second

// askAgain sends a request until it is answered or ctx ends. The answer to any of
// them counts.
func askAgain(ctx context.Context, nc *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	m.Reply = nc.NewInbox()
	answers, err := nc.SubscribeSync(m.Reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }() // it ends with the connection at the latest
	for {
		if err := nc.PublishMsg(m); err != nil {
			return nil, err
		}
		turn, cancel := context.WithTimeout(ctx, againAfter)
		resp, err := answers.NextMsgWithContext(turn)
		again := err != nil && turn.Err() != nil && ctx.Err() == nil
		cancel()
		if !again {
			return resp, err
		}
	}
}

// refresh keeps a fresh nonce for as long as the session lasts.
func (u *Uplink) refresh(ctx context.Context, nc *nats.Conn) error {
	backoff := u.backoff()
	for {
		if err := u.fetchNonce(ctx, nc); err != nil {
			if !u.pause(ctx, loopNonce, err, backoff) {
				return nil
			}
			continue
		}
		backoff.Reset()
		u.board.report(loopNonce, NoTrouble)
		// Not all agents at the same moment.
		spread := natsconn.Backoff{Min: u.cfg.NonceEvery / 4, Max: u.cfg.NonceEvery / 4}
		if !natsconn.Sleep(ctx, u.cfg.NonceEvery*3/4+spread.Next()) {
			return nil
		}
	}
}

func (u *Uplink) fetchNonce(ctx context.Context, nc *nats.Conn) error {
	subject, err := contract.NonceSubject(u.cfg.Facility)
	if err != nil {
		return err
	}
	b, err := u.request(ctx, nc, &nats.Msg{Subject: subject})
	if err != nil {
		return err
	}
	n, err := contract.DecodeNonce(b)
	if err != nil {
		u.board.dropped()
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// The last one that arrived counts, and not the one with the latest time: a
	// nonce from a central clock that was ahead would stay for as long.
	u.mu.Lock()
	u.nonce = &n
	u.mu.Unlock()
	if u.cfg.Nonces != nil {
		if err := u.cfg.Nonces.SaveNonce(ctx, n); err != nil {
			return &storeError{err}
		}
	}
	return nil
}

// NonceFile is a [NonceStore] in one small file. It holds no personal data and
// is no secret: a nonce proves nothing about who knows it.
type NonceFile string

var _ NonceStore = NonceFile("")

// LoadNonce implements [NonceStore]. A file that cannot be understood is as
// good as none: the next answer of the central service replaces it.
func (f NonceFile) LoadNonce(context.Context) (contract.Nonce, bool, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return contract.Nonce{}, false, nil
	}
	if err != nil {
		return contract.Nonce{}, false, err
	}
	n, err := contract.DecodeNonce(b)
	if err != nil {
		return contract.Nonce{}, false, nil
	}
	return n, true, nil
}

// SaveNonce implements [NonceStore]. The file is replaced as a whole.
func (f NonceFile) SaveNonce(_ context.Context, n contract.Nonce) error {
	b, err := contract.EncodeNonce(&n)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), "nonce-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // harmless after the renaming
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), string(f))
}
