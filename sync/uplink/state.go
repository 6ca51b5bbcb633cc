package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Trouble is the class of the last thing that went wrong: what a desk or an
// administrator can act on. It never holds text from the network.
type Trouble string

// The classes of trouble. None of them loses a visit.
const (
	NoTrouble      Trouble = ""
	Unreachable    Trouble = "unreachable"     // no server at the address, or the link is down
	TLSTrouble     Trouble = "tls"             // the server's certificate was not accepted, or it offers no TLS
	Unauthorized   Trouble = "unauthorized"    // the server does not know this agent, or forbids a subject
	NoService      Trouble = "no_service"      // connected, but the central service or its streams do not answer
	ServerFull     Trouble = "server_full"     // the server has no room for visits
	TooLarge       Trouble = "too_large"       // a visit is larger than the server takes; the others go on
	Foreign        Trouble = "foreign"         // a visit was recorded under another identity or for another facility; the others go on
	StoreTrouble   Trouble = "store"           // the local queue could not be read or written
	Malformed      Trouble = "malformed"       // the central service sent something that is not the contract
	ServerRestarts Trouble = "server_restarts" // the server closed the connection
)

// State is what the desk shows about the link.
type State struct {
	Online bool
	Since  time.Time // when Online last changed
	Queued int       // visits that are not stored by the central service
	Stored int       // visits stored there that wait for a verdict
	Last   Trouble   // cleared by the success of what had failed
	// Malformed counts what came from the central service since the start and was
	// not the contract: verdicts, nonces, answers to lookups, bundles. It was dropped.
	Malformed uint64
}

// board holds the state. Several loops report to it.
type board struct {
	mu       sync.Mutex
	online   bool
	since    time.Time
	trouble  map[string]Trouble // by loop
	garbage  uint64
	onChange func()
}

// dropped counts a message that was not the contract.
func (b *board) dropped() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.garbage++
}

// Names of the loops, the keys of board.trouble, most urgent first.
var loops = [...]string{loopConnect, loopPermission, loopPublish, loopOversized, loopForeign, loopVerdicts, loopNonce}

const (
	loopConnect    = "connect"
	loopPermission = "permission"
	loopPublish    = "publish"
	loopOversized  = "oversized"
	loopForeign    = "foreign"
	loopVerdicts   = "verdicts"
	loopNonce      = "nonce"
)

// setOnline notes whether there is a link, and reports whether that was news.
func (b *board) setOnline(online bool) bool {
	b.mu.Lock()
	changed := b.online != online || b.since.IsZero()
	if changed {
		b.online, b.since = online, time.Now()
	}
	b.mu.Unlock()
	b.changed(changed)
	return changed
}

// report notes how a loop is doing and says whether that is news.
func (b *board) report(loop string, t Trouble) bool {
	b.mu.Lock()
	if b.trouble == nil {
		b.trouble = make(map[string]Trouble)
	}
	changed := b.trouble[loop] != t
	b.trouble[loop] = t
	b.mu.Unlock()
	b.changed(changed)
	return changed
}

func (b *board) changed(yes bool) {
	if yes && b.onChange != nil {
		b.onChange()
	}
}

func (b *board) snapshot() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := State{Online: b.online, Since: b.since, Malformed: b.garbage}
	for _, l := range loops {
		if t := b.trouble[l]; t != NoTrouble {
			s.Last = t
			break
		}
	}
	return s
}

// classify sorts an error of the network or the server into its [Trouble].
func classify(err error) Trouble {
	var (
		unknownCA *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		host      x509.HostnameError
		api       *jetstream.APIError
		store     *storeError
	)
	switch {
	case err == nil:
		return NoTrouble
	case errors.As(err, &store):
		return StoreTrouble
	case errors.Is(err, ErrMalformed):
		return Malformed
	case errors.As(err, &unknownCA), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &host),
		errors.Is(err, nats.ErrSecureConnWanted), errors.Is(err, nats.ErrSecureConnRequired):
		return TLSTrouble
	case errors.Is(err, ErrRefused), errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrPermissionViolation),
		errors.Is(err, nats.ErrNkeysNotSupported), errors.Is(err, nats.ErrNkeyButNoSigCB):
		return Unauthorized
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return TooLarge
	case errors.As(err, &api):
		switch api.ErrorCode {
		case codeAccountFull, codeNoResources, codeNoStorage, codeStoreFailed:
			return ServerFull
		}
		return NoService
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected), errors.Is(err, jetstream.ErrConnectionClosed):
		return ServerRestarts
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, jetstream.ErrAsyncPublishTimeout), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, ErrNoAnswer), errors.Is(err, jetstream.ErrNoHeartbeat), errors.Is(err, jetstream.ErrConsumerDeleted):
		return NoService
	default:
		return Unreachable
	}
}

// Error codes of the JetStream API that nats.go gives no name
// (nats-server errors.json).
const (
	codeAccountFull jetstream.ErrorCode = 10002 // resource limits exceeded for account
	codeNoResources jetstream.ErrorCode = 10023 // insufficient resources
	codeNoStorage   jetstream.ErrorCode = 10047 // insufficient storage resources available
	codeStoreFailed jetstream.ErrorCode = 10077 // the stream refused: "maximum bytes exceeded" and its like
)
