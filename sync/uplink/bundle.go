package uplink

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
)

var _ bundle.Fetcher = (*Uplink)(nil)

// Manifest implements [bundle.Fetcher]. The errors are those of [Uplink.Ask].
func (u *Uplink) Manifest(ctx context.Context, kind contract.BundleKind, have int64) (map[string][]string, []byte, error) {
	m, err := u.bundleRequest(ctx, contract.BundleRequest{Kind: kind, Have: have})
	if err != nil {
		return nil, nil, err
	}
	if _, err := contract.DecodeBundle(m.Data); err != nil {
		u.board.dropped() // refused, and reported, by package bundle
	}
	return m.Header, m.Data, nil
}

// Part implements [bundle.Fetcher]. The errors are those of [Uplink.Ask].
func (u *Uplink) Part(ctx context.Context, kind contract.BundleKind, serial, base int64, part int) ([]byte, error) {
	m, err := u.bundleRequest(ctx, contract.BundleRequest{Kind: kind, Serial: serial, Base: base, Part: part})
	if err != nil {
		return nil, err
	}
	if n := len(m.Data); n == 0 || n > contract.MaxPart {
		u.board.dropped() // it is not the part that the manifest names
	}
	return m.Data, nil
}

// codeCurrent is what the central service answers when there is nothing newer.
const codeCurrent = "304"

func (u *Uplink) bundleRequest(ctx context.Context, r contract.BundleRequest) (*nats.Msg, error) {
	now := u.cfg.Now()
	id, err := contract.NewID(now, nil)
	if err != nil {
		return nil, err
	}
	r.Version, r.ID, r.Facility, r.Agent, r.At = contract.Version, id, u.cfg.Facility, u.agent, contract.Timestamp(now)
	m, err := contract.NewBundleRequestMessage(u.cfg.Signer, &r)
	if err != nil {
		return nil, err
	}
	nc := u.conn.Load()
	if nc == nil {
		return nil, ErrOffline
	}
	resp, err := u.requestMessage(ctx, nc, &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
	if err != nil {
		return nil, err
	}
	switch resp.Header.Get(micro.ErrorCodeHeader) {
	case "":
		return resp, nil
	case codeCurrent:
		return nil, bundle.ErrCurrent
	case "503":
		return nil, ErrNoAnswer
	}
	return nil, ErrRefused
}
