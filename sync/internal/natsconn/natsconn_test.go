package natsconn_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBackoffGrowsToItsCeiling(t *testing.T) {
	b := natsconn.Backoff{Min: time.Millisecond, Max: 16 * time.Millisecond}
	for i, ceiling := range []time.Duration{1, 2, 4, 8, 16, 16, 16} {
		if d := b.Next(); d <= 0 || d > ceiling*time.Millisecond+1 {
			t.Errorf("wait %d is %v, want more than 0 and at most %v", i, d, ceiling*time.Millisecond)
		}
	}
	b.Reset()
	if d := b.Next(); d > time.Millisecond+1 {
		t.Errorf("after Reset: %v", d)
	}
	for range 100 { // no overflow
		b := natsconn.Backoff{Min: time.Hour, Max: 24 * time.Hour}
		for range 100 {
			if d := b.Next(); d <= 0 || d > 24*time.Hour+1 {
				t.Fatalf("wait %v", d)
			}
		}
	}
	var zero natsconn.Backoff
	if d := zero.Next(); d != 0 {
		t.Errorf("zero value waits %v", d)
	}
}

// TestDialEndsWithItsContext: a server that accepts and says nothing must not
// hold up the end of the program.
func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, ok := <-accepted; ok {
			cancel()
			defer c.Close()
		}
	}()
	_, err = natsconn.Dial(ctx, natsconn.Options{URLs: []string{"nats://" + l.Addr().String()}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Dial = %v, want the context's end", err)
	}
	if _, err := natsconn.Dial(ctx, natsconn.Options{URLs: []string{"nats://" + l.Addr().String()}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial after the end = %v", err)
	}
}

func TestDialNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if _, err := natsconn.Dial(t.Context(), natsconn.Options{URLs: []string{"nats://" + address}}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("Dial = %v, want nats.ErrNoServers", err)
	}
}
