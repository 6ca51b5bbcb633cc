package central

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
	"github.com/chamthe/chamthe/sync/operator"
)

// Buckets of the registry.
const (
	bucketCodes      = "ins-codes"
	bucketEnrolments = "ins-enrolments"
)

const (
	// MaxCodeValid is the longest that an enrolment code may be valid.
	MaxCodeValid = 7 * 24 * time.Hour
	// codesKept is longer, so that who comes late is told that the code has expired.
	codesKept = 2 * MaxCodeValid

	pushSubject = "$SYS.REQ.CLAIMS.UPDATE" // nats-server 2
)

// Errors of a [Registry].
var (
	// ErrNotEnrolled reports an agent that was never enrolled with a code.
	ErrNotEnrolled = errors.New("central: agent is not enrolled")
	// ErrValidity reports a code that would be valid for no time, or too long.
	ErrValidity = errors.New("central: a code is valid for a week at most")
	// ErrNoRegistry reports a server on which no enrolment service ever ran.
	ErrNoRegistry = errors.New("central: no enrolment service has run on this server")
)

// RegistryConfig is what enrolling agents takes. All but TLS, Replicas and Logger
// is required.
type RegistryConfig struct {
	// URLs of the NATS servers, TLS and Credentials as in [Config].
	URLs        []string
	TLS         *tls.Config
	Credentials Credentials
	// System are the credentials of a user of the system account, who tells the
	// servers about accounts.
	System Credentials
	Issuer *operator.Issuer
	// CA is the certificate (DER) that the servers' lead to, Servers where agents
	// find them, BundleKey the public key of the insurer's bundles: what an agent is
	// told, once.
	CA        []byte
	Servers   []string
	BundleKey string

	Replicas int          // of every stream, as in [Config]
	Logger   *slog.Logger // never gets a code; nil discards
}

func (c *RegistryConfig) check() error {
	if c.Issuer == nil || len(c.CA) == 0 || len(c.Servers) == 0 || contract.CheckAgent(c.BundleKey) != nil || c.Replicas < 0 {
		return ErrConfig
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	o := c.dialOptions(c.Credentials)
	return o.Check()
}

func (c *RegistryConfig) dialOptions(credentials Credentials) natsconn.Options {
	return natsconn.Options{
		URLs: c.URLs, TLS: c.TLS, Credentials: credentials, Name: serviceName,
		Trouble: func(err error) { c.Logger.Warn("nats", "error", err) },
	}
}

// Registry knows who is enrolled and who may be. Its methods are safe for
// concurrent use, in any number of processes. It must be closed.
type Registry struct {
	cfg        *RegistryConfig
	nc         *nats.Conn
	codes      jetstream.KeyValue
	enrolments jetstream.KeyValue
	agents     jetstream.KeyValue
	statuses   jetstream.KeyValue
	known      jetstream.Stream // that holds agents
	verdicts   jetstream.Stream

	// step, if a test has set it, is called before each write.
	step func()
}

// OpenRegistry connects to the registry of a deployment, where an [Enroller] runs
// or has run.
func OpenRegistry(ctx context.Context, cfg RegistryConfig) (*Registry, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return openRegistry(ctx, &cfg, false)
}

// openRegistry connects; with create it makes the buckets that only the registry
// uses.
func openRegistry(ctx context.Context, cfg *RegistryConfig, create bool) (_ *Registry, err error) {
	nc, err := natsconn.Dial(ctx, cfg.dialOptions(cfg.Credentials))
	if err != nil {
		return nil, err
	}
	r := &Registry{cfg: cfg, nc: nc}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if create {
		for name, ttl := range map[string]time.Duration{bucketCodes: codesKept, bucketEnrolments: 0} {
			if _, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: name, Storage: jetstream.FileStorage, Replicas: max(cfg.Replicas, 1), TTL: ttl, History: 1,
			}); err != nil {
				return nil, fmt.Errorf("bucket %s: %w", name, err)
			}
		}
	}
	for name, to := range map[string]*jetstream.KeyValue{
		bucketCodes: &r.codes, bucketEnrolments: &r.enrolments, bucketAgents: &r.agents, bucketStatuses: &r.statuses,
	} {
		if *to, err = js.KeyValue(ctx, name); err != nil {
			return nil, registryError("bucket "+name, err)
		}
	}
	if r.known, err = js.Stream(ctx, bucketStream+bucketAgents); err != nil {
		return nil, registryError("bucket "+bucketAgents, err)
	}
	if r.verdicts, err = js.Stream(ctx, contract.VerdictStream); err != nil {
		return nil, registryError("stream of verdicts", err)
	}
	return r, nil
}

func registryError(what string, err error) error {
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		err = ErrNoRegistry
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Close ends the connection.
func (r *Registry) Close() { r.nc.Close() }

// codeRecord is what is known of a code: the value in ins-codes, under the code's
// hash. The code itself is nowhere.
type codeRecord struct {
	Facility string          `json:"facility"`
	Created  time.Time       `json:"created"`
	Expires  time.Time       `json:"expires"`
	Agent    string          `json:"agent,omitempty"` // who has used it
	Grant    *operator.Grant `json:"grant,omitempty"` // and got this
}

// enrolment is what is known of an agent: the value in ins-enrolments.
type enrolment struct {
	Facility   string    `json:"facility"`
	Code       string    `json:"code"`       // hash of the code
	CodeMade   time.Time `json:"codeMade"`   //
	Account    string    `json:"account"`    // public key
	AccountJWT string    `json:"accountJwt"` //
	At         time.Time `json:"at"`         //
	Revoked    time.Time `json:"revoked,omitzero"`
}

// codeKey hashes a code. Nothing slow is needed, nor salt: 85 random bits cannot
// be tried.
func codeKey(c contract.EnrolCode) string {
	sum := sha256.Sum256([]byte("chamthe enrol code v1\x00" + c.Text()))
	return hex.EncodeToString(sum[:])
}

// codeName is what a code is called where people talk about it: the beginning of
// its hash, from which nobody finds the code.
func codeName(key string) string { return key[:12] }

// NewCode makes a one-time code for one computer of a facility, and returns it
// with its name, which is no secret and stands in the log. The code is not stored.
// Errors are [ErrValidity], those of contract.CheckFacility and of the server.
func (r *Registry) NewCode(ctx context.Context, facility string, valid time.Duration) (code contract.EnrolCode, name string, err error) {
	if valid <= 0 || valid > MaxCodeValid {
		return contract.EnrolCode{}, "", ErrValidity
	}
	if err := contract.CheckFacility(facility); err != nil {
		return contract.EnrolCode{}, "", err
	}
	if code, err = contract.NewEnrolCode(rand.Reader); err != nil {
		return contract.EnrolCode{}, "", err
	}
	now := contract.Timestamp(time.Now())
	if _, err := put(ctx, r.codes, codeKey(code), &codeRecord{Facility: facility, Created: now, Expires: now.Add(valid)}, 0); err != nil {
		return contract.EnrolCode{}, "", err
	}
	name = codeName(codeKey(code))
	r.cfg.Logger.Info("enrolment code made", "code", name, "facility", facility, "valid", valid)
	return code, name, nil
}

// EnrolledAgent is an agent in the registry.
type EnrolledAgent struct {
	Key, Facility string
	Code          string       // the name of the code, see [Registry.NewCode]
	Enrolled      time.Time    //
	Revoked       time.Time    // zero: it is not
	Status        *AgentStatus // nil: it was never heard of
}

// Agents returns all agents that were enrolled with a code, those of one facility
// together.
func (r *Registry) Agents(ctx context.Context) ([]EnrolledAgent, error) {
	heard := make(map[string]*AgentStatus)
	err := each(ctx, r.statuses, func(agent string, value []byte) error {
		st := new(AgentStatus)
		if err := json.Unmarshal(value, st); err != nil {
			return fmt.Errorf("central: unreadable entry in bucket %s", bucketStatuses)
		}
		heard[agent] = st
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []EnrolledAgent
	err = each(ctx, r.enrolments, func(agent string, value []byte) error {
		var e enrolment
		if err := json.Unmarshal(value, &e); err != nil {
			return fmt.Errorf("central: unreadable entry in bucket %s", bucketEnrolments)
		}
		all = append(all, EnrolledAgent{agent, e.Facility, codeName(e.Code), e.At, e.Revoked, heard[agent]})
		return nil
	})
	slices.SortFunc(all, func(a, b EnrolledAgent) int {
		return cmp.Or(strings.Compare(a.Facility, b.Facility), strings.Compare(a.Key, b.Key))
	})
	return all, err
}

// Revoke takes an agent's credentials back: it is disconnected, cannot connect
// again, and what it has sent and was not judged yet is refused. A code that is made
// later may enrol it again. Revoking again does the same again.
func (r *Registry) Revoke(ctx context.Context, agent string) error {
	if err := contract.CheckAgent(agent); err != nil {
		return err
	}
	for done := false; ; {
		entry, err := r.entryOf(ctx, agent)
		if err != nil {
			return err
		}
		var e enrolment
		rev, err := get(ctx, r.enrolments, agent, &e)
		if err != nil {
			return err
		}
		switch {
		case rev == 0:
			return ErrNotEnrolled
		case done && e.Revoked.IsZero():
			return nil // it was, and a later code has enrolled it again
		case e.Revoked.IsZero():
			e.Revoked = contract.Timestamp(time.Now())
			// It is written before it is done: an enrolment that runs meanwhile sees
			// it, and who finds it half done does it again.
			r.stepping()
			_, err := put(ctx, r.enrolments, agent, &e, rev)
			if errors.Is(err, errExists) {
				continue
			}
			if err != nil {
				return err
			}
		}
		done = true
		r.stepping()
		if err := r.shut(ctx, e.AccountJWT); err != nil {
			return err
		}
		err = r.removeEntry(ctx, agent, entry)
		if errors.Is(err, errExists) {
			continue // an enrolment was under way: look again what it is worth
		}
		if err != nil {
			return err
		}
		r.cfg.Logger.Info("agent revoked", "agent", agent, "facility", e.Facility)
		return nil
	}
}

func (r *Registry) stepping() {
	if r.step != nil {
		r.step()
	}
}

// entryOf returns the revision of an agent's entry in ins-agents, also of one that
// was removed; 0 if there never was one.
//
// The enrolment says who may be an agent, and the entry follows it: two buckets,
// which no transaction spans. Whoever changes both reads this revision before the
// enrolment and writes the entry on condition of it. So of an enrolment and a
// revocation that run at the same time, one finds the entry changed and looks at
// the enrolment again: neither undoes the other unseen.
func (r *Registry) entryOf(ctx context.Context, agent string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := r.known.GetLastMsgForSubject(ctx, "$KV."+bucketAgents+"."+agent)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.Sequence, nil
}

// removeEntry takes an agent out of those whose visits count, if its entry is still
// the one that was read. One that is not there is removed all the same: what is on
// its way on condition of that revision then comes too late.
func (r *Registry) removeEntry(ctx context.Context, agent string, entry uint64) (err error) {
	r.stepping()
	if entry == 0 { // which would be no condition
		if entry, err = put(ctx, r.agents, agent, Agent{Key: agent}, 0); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = r.agents.Delete(ctx, agent, jetstream.LastRevision(entry))
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return errExists
	}
	return err
}

func (r *Registry) shut(ctx context.Context, accountJWT string) error {
	revoked, err := r.cfg.Issuer.Revoke(accountJWT, time.Now())
	if err != nil {
		return err
	}
	return r.push(ctx, revoked)
}

// push tells the servers about an account. The connection is made for it: the
// user of the system account is not used for anything else, and seldom.
func (r *Registry) push(ctx context.Context, accountJWT string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nc, err := natsconn.Dial(ctx, r.cfg.dialOptions(r.cfg.System))
	if err != nil {
		return fmt.Errorf("system account: %w", err)
	}
	defer nc.Close()
	// In a cluster each server answers and has it; the others hear of it again
	// when they compare their accounts.
	m, err := nc.RequestWithContext(ctx, pushSubject, []byte(accountJWT))
	if err != nil {
		return fmt.Errorf("push account: %w", err)
	}
	var answer struct {
		Data *struct {
			Code int `json:"code"`
		} `json:"data"`
		Error *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Error != nil || answer.Data == nil || answer.Data.Code != 200 {
		return errors.New("central: the server refused an account")
	}
	return nil
}

// A refusal is why an enrolment is refused; as an error.
type refusal contract.EnrolRefusal

func (r refusal) Error() string { return "central: enrolment refused: " + string(r) }

// enrol lets an agent be one, once its request is known to be its own. Each step
// may be done again by whoever finds the work half done: the agent whose answer was
// lost asks again with the same key and gets the same answer.
func (r *Registry) enrol(ctx context.Context, agent string, code contract.EnrolCode) (*contract.EnrolAnswer, error) {
	key := codeKey(code)
	rec, err := r.claim(ctx, agent, key)
	if err != nil {
		return nil, err
	}
	if err := r.settle(ctx, agent, key, rec); err != nil {
		return nil, err
	}
	a := &contract.EnrolAnswer{
		Version: contract.Version, Agent: agent, Facility: rec.Facility, JWT: rec.Grant.UserJWT, CA: r.cfg.CA, BundleKey: r.cfg.BundleKey,
	}
	for _, url := range r.cfg.Servers {
		a.Servers = append(a.Servers, contract.EnrolServer{URL: url})
	}
	return a, nil
}

// claim takes a code for an agent, which only one ever can: the server compares
// the revision.
func (r *Registry) claim(ctx context.Context, agent, key string) (*codeRecord, error) {
	for {
		var rec codeRecord
		rev, err := get(ctx, r.codes, key, &rec)
		switch {
		case err != nil:
			return nil, err
		case rev == 0:
			return nil, refusal(contract.EnrolCodeUnknown)
		case rec.Agent == agent:
			return &rec, nil // also when it expired meanwhile: the work may be half done
		case !time.Now().Before(rec.Expires):
			return nil, refusal(contract.EnrolCodeExpired)
		case rec.Agent != "":
			return nil, refusal(contract.EnrolCodeUsed)
		}
		var e enrolment
		if _, err := get(ctx, r.enrolments, agent, &e); err != nil {
			return nil, err
		}
		if err := e.allows(key, &rec); err != nil {
			return nil, err // the code is not spent
		}
		grant, err := r.cfg.Issuer.Agent(rec.Facility, agent)
		if err != nil {
			return nil, err
		}
		rec.Agent, rec.Grant = agent, &grant
		_, err = put(ctx, r.codes, key, &rec, rev)
		if errors.Is(err, errExists) {
			continue // another was faster: look again who
		}
		if err != nil {
			return nil, err
		}
		return &rec, nil
	}
}

// allows says whether an agent with this enrolment may be enrolled with a code: not
// with one from before it was revoked, or from before the one it was enrolled with
// last. A request that somebody has kept and repeats is worth nothing so.
func (e *enrolment) allows(key string, rec *codeRecord) error {
	switch {
	case !e.Revoked.IsZero() && !rec.Created.After(e.Revoked):
		return refusal(contract.EnrolRevoked)
	case e.Code != key && rec.Created.Before(e.CodeMade):
		return refusal(contract.EnrolCodeUsed)
	}
	return nil
}

// settle makes what a code has granted true.
func (r *Registry) settle(ctx context.Context, agent, key string, rec *codeRecord) error {
	for {
		entry, err := r.entryOf(ctx, agent) // before the enrolment, see there
		if err != nil {
			return err
		}
		var e enrolment
		rev, err := get(ctx, r.enrolments, agent, &e)
		if err != nil {
			return err
		}
		if err := e.allows(key, rec); err != nil {
			if e.Account == rec.Grant.Account {
				return err
			}
			// Perhaps this one was being opened while somebody revoked the agent.
			return errors.Join(err, r.shut(ctx, rec.Grant.AccountJWT))
		}
		if e.Code == key {
			return nil // it is
		}
		if e.Account != "" {
			if err := r.shut(ctx, e.AccountJWT); err != nil { // the computer has moved
				return err
			}
		}
		r.stepping()
		if err := r.push(ctx, rec.Grant.AccountJWT); err != nil {
			return err
		}
		if err := makeVerdictConsumer(ctx, r.verdicts, agent); err != nil {
			return err
		}
		r.stepping()
		_, err = put(ctx, r.agents, agent, Agent{Key: agent, Facility: rec.Facility}, entry)
		if errors.Is(err, errExists) {
			continue
		}
		if err != nil {
			return err
		}
		// This comes last: what is written here is done.
		r.stepping()
		_, err = put(ctx, r.enrolments, agent, &enrolment{
			Facility: rec.Facility, Code: key, CodeMade: rec.Created,
			Account: rec.Grant.Account, AccountJWT: rec.Grant.AccountJWT, At: contract.Timestamp(time.Now()),
		}, rev)
		if errors.Is(err, errExists) {
			continue
		}
		if err != nil {
			return err
		}
		r.cfg.Logger.Info("agent enrolled", "agent", agent, "facility", rec.Facility, "code", codeName(key))
		return nil
	}
}

// makeVerdictConsumer makes what an agent's verdicts wait in, as store.enrol does.
func makeVerdictConsumer(ctx context.Context, verdicts jetstream.Stream, agent string) error {
	subject, err := contract.VerdictSubject(agent)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = verdicts.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: agent, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: verdictAck, MaxAckPending: verdictsAtOnce,
	})
	if err != nil {
		return fmt.Errorf("consumer of an agent: %w", err)
	}
	return nil
}

// put writes a JSON value in place of the revision that was read, 0 for none. It
// returns errExists when somebody else was faster.
func put(ctx context.Context, kv jetstream.KeyValue, key string, v any, revision uint64) (uint64, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rev, err := kv.Update(ctx, key, b, revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, errExists
	}
	return rev, err
}
