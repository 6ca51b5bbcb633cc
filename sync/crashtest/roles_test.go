package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

const (
	facility  = "01013"
	storeFile = "visits.db"
	// pace is the longest pause between two visits of the agent that is killed.
	pace = 6 * time.Millisecond
)

// station is an agent's half of the chain.
type station struct {
	store *store.Store
	queue *outbox.Queue
	key   nkeys.KeyPair
	name  string
	visit contract.Visit // what it records, but for id and times
}

func openStation(c config, o *store.Options) (*station, error) {
	key, err := nkeys.FromSeed([]byte(c.Seed))
	if err != nil {
		return nil, err
	}
	s := &station{key: key}
	if s.name, err = key.PublicKey(); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(c.Visit)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &s.visit); err != nil {
		return nil, err
	}
	sealer, err := newSealer()
	if err != nil {
		return nil, err
	}
	if s.store, err = store.Open(filepath.Join(c.Dir, storeFile), o); err != nil {
		return nil, err
	}
	if s.queue, err = outbox.Open(s.store, sealer, nil); err != nil {
		_ = s.store.Close()
		return nil, err
	}
	return s, nil
}

func newSealer() (*seal.Sealer, error) {
	master, err := seal.NewMaster(bytes.Repeat([]byte{7}, seal.MasterSize)) // the same after every kill
	if err != nil {
		return nil, err
	}
	return seal.New(master)
}

// record makes a visit and puts it into the queue.
func (s *station) record(ctx context.Context) (string, error) {
	now := time.Now()
	id, err := contract.NewID(now, nil)
	if err != nil {
		return "", err
	}
	v := s.visit
	v.ID, v.Facility, v.Agent = id, facility, s.name
	v.StartedAt, v.RecordedAt = contract.Timestamp(now), contract.Timestamp(now)
	if v.Evidence != nil {
		e := *v.Evidence
		e.Time = contract.Timestamp(now)
		v.Evidence = &e
		e.Challenge = v.ExpectedChallenge()
	}
	m, err := contract.NewVisitMessage(s.key, &v)
	if err != nil {
		return "", err
	}
	return id, s.queue.Put(ctx, outbox.Entry{ID: m.ID, Subject: m.Subject, Header: m.Header, Payload: m.Payload})
}

func (s *station) config(urls []string) uplink.Config {
	return uplink.Config{
		URLs: urls, Facility: facility, Signer: s.key, Queue: s.queue,
		RetryMin: 10 * time.Millisecond, RetryMax: 300 * time.Millisecond, AckTimeout: 5 * time.Second,
	}
}

// beAgent records, and sends what was recorded, until it is killed.
func beAgent(c config) error {
	s, err := openStation(c, &store.Options{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	ctx := context.Background()
	st, err := s.queue.Stats(ctx)
	if err != nil {
		return err
	}
	say("began", st.Queued, st.Stored)
	u, err := uplink.New(s.config(c.URLs))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	for c.Record {
		id, err := s.record(ctx)
		if err != nil {
			return err
		}
		say("recorded", id)
		time.Sleep(rand.N(pace)) // patients come one by one
	}
	for left := -1; ; {
		st, err := s.queue.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Queued+st.Stored == 0 {
			say("settled", st.Accepted, st.Rejected)
			return <-ended
		}
		if n := st.Queued + st.Stored; n != left {
			left = n
			say("left", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// beServer is a NATS server until it is killed.
func beServer(c config) error {
	o := natsd.Options{Dir: c.Dir, Port: c.Port, Name: c.Name, SyncAlways: true}
	if c.Cluster != 0 {
		o.Cluster = &natsd.Cluster{Name: "crash", Port: c.Cluster, Routes: c.Routes}
	}
	s, err := natsd.Start(o)
	if err != nil {
		return err
	}
	say("ready", s.ClientURL())
	select {}
}
