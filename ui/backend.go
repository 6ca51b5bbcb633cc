package ui

import (
	"context"
	"iter"

	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
)

// A Backend is the agent, as the desk needs it: [client.Client] is one. Its methods are
// called from several goroutines at once.
type Backend interface {
	Status(ctx context.Context) (wire.Status, error)
	Start(ctx context.Context, s wire.Start) (wire.CheckIn, error)
	Current(ctx context.Context) (wire.CheckIn, error)
	Key(ctx context.Context, id string, k wire.Key) (wire.CheckIn, error)
	Confirm(ctx context.Context, id string, w wire.Confirmation) (wire.CheckIn, error)
	Cancel(ctx context.Context, id string) (wire.CheckIn, error)
	Photo(ctx context.Context, id string) (picture []byte, mediaType string, err error)
	History(ctx context.Context, q wire.HistoryQuery) (wire.History, error)
	Queue(ctx context.Context, state, after string) (wire.QueuePage, error)
	Retry(ctx context.Context, visit string) error
	Doctor(ctx context.Context) (wire.Diagnosis, error)
	SignIn(ctx context.Context, s wire.SignIn) (wire.Operator, error)
	SignOut(ctx context.Context) error
	Pairings(ctx context.Context) ([]wire.Pairing, error)
	Approve(ctx context.Context, id string) (wire.Pairing, error)
	Deny(ctx context.Context, id string) (wire.Pairing, error)
	Clients(ctx context.Context) ([]wire.Client, error)
	Revoke(ctx context.Context, id string) error
	// Events yields what happens until ctx ends; see [client.Client.Events].
	Events(ctx context.Context) iter.Seq2[wire.Event, error]
}

var _ Backend = (*client.Client)(nil)
