package central

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A visit that takes down the process that has it, each time, must not do so for
// ever. The number of its deliveries does not tell it apart: a visit that was
// given back because the store did not answer, and one that waited in a process
// which another visit took down, are delivered again and again as well. So from
// its third delivery a visit is marked before it is looked at and the mark taken
// off after, whatever came of it. Marks that stay are those of processes that
// died with the visit in their hands, counted over all processes and restarts,
// because they are in the store. A store that cannot be written is no attempt.
const (
	// unmarked is how many deliveries are not marked: nearly all there are.
	unmarked = 2
	// poisonAfter is after how many marks that stayed a visit is set aside. The
	// agent still has it, asks for its verdict, and so brings it back.
	poisonAfter = 10

	// bucketAttempts holds the marks: message -> how many there are.
	bucketAttempts = "ins-attempts"
	// attemptsKept is longer than any pause between two deliveries.
	attemptsKept = 24 * time.Hour
	// attemptTurns is how often a mark is tried that another worker changes.
	attemptTurns = 8
)

// attemptKey names a message, also in a stream that has begun anew.
func attemptKey(meta *jetstream.MsgMetadata) string {
	return utoa(meta.Sequence.Stream) + "." + strconv.FormatInt(meta.Timestamp.UnixMilli(), 36)
}

// begin marks a message and returns how many marks it has now.
func (s *store) begin(ctx context.Context, key string) (int, error) { return s.mark(ctx, key, 1) }

// ended takes a mark off a message.
func (s *store) ended(ctx context.Context, key string) error {
	_, err := s.mark(ctx, key, -1)
	return err
}

func (s *store) mark(ctx context.Context, key string, by int) (int, error) {
	for range attemptTurns {
		n := 0
		rev, err := get(ctx, s.attempts, key, &n)
		if err != nil {
			return 0, err
		}
		n = max(n+by, 0)
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		_, err = s.attempts.Update(limited, key, strconv.AppendInt(nil, int64(n), 10), rev)
		cancel()
		if !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return n, err
		}
	}
	return 0, errExists
}
