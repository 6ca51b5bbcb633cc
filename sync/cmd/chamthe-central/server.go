package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/chamthe/chamthe/sync/natsd"
)

const (
	// roomEvery is how often a full disk is looked at, and at least how long a
	// server is left alone before it is started again.
	roomEvery = 5 * time.Second
	// roomNeeded is how many bytes must be free: some hundreds of visits.
	roomNeeded = 1 << 20
)

// ownServer is the NATS server of --dir. Its methods are called one after the
// other.
type ownServer struct {
	opt natsd.Options
	ns  *natsd.Server
	log *slog.Logger
}

func (o *ownServer) stop() { o.ns.Shutdown() }

// supervise starts the server again after its store could not be written: the
// server itself refuses every later message even when there is room again. It
// returns nil when ctx ends, and an error when the server does not start.
func (o *ownServer) supervise(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.ns.Failed():
		}
		o.log.Error("the store cannot be written; free some space on its disk", "dir", o.opt.Dir)
		tick := time.NewTicker(roomEvery)
		for room := false; !room; room = o.room() {
			select {
			case <-ctx.Done():
				tick.Stop()
				return nil
			case <-tick.C:
			}
		}
		tick.Stop()
		o.ns.Shutdown()
		ns, err := natsd.Start(o.opt)
		if err != nil {
			return fmt.Errorf("the server was stopped because its store could not be written, and does not start: %w", err)
		}
		o.ns = ns
		o.log.Info("server started again", "dir", o.opt.Dir)
	}
}

// room reports whether something can be written next to the store.
func (o *ownServer) room() bool {
	f, err := os.CreateTemp(o.opt.Dir, "room-*.tmp")
	if err != nil {
		return false
	}
	_, err = f.Write(make([]byte, roomNeeded))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())) == nil
}
