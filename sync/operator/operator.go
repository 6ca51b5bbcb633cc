// Package operator makes the credentials of a deployment: a NATS operator, its
// accounts and users, as JWTs that are signed with nkeys and that a server needs
// no list for, and the certificates for TLS.
//
// There are three accounts besides those of the agents. SYS is the server's own:
// its one user may tell the servers about accounts, and nothing else. SERVICE is
// where JetStream and the central service live. ENROL is for computers that are
// not agents yet; all that it can do is to ask for an enrolment.
//
// Every agent has an account of its own, which imports exactly the agent's
// subjects (uplink.Permissions) from SERVICE, and one user with the same subjects
// as permissions. Both are needed: permissions do not restrict which subject a
// message names for its answer, and whoever answers publishes there. An answer is
// resolved in the account of who asked, where there is nothing to damage. The
// account's private key is forgotten as soon as it has signed that user: nobody,
// not even the central service, can make a second one.
//
// It keeps nothing and talks to nobody: files are the caller's, and so is telling
// the servers.
package operator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/uplink"
)

// ErrJWT reports a JWT that is not of the kind expected, or that breaks the rules
// for it.
var ErrJWT = errors.New("operator: invalid JWT")

// Names of the accounts; a server's monitoring shows them.
const (
	systemName  = "SYS"
	serviceName = "SERVICE"
	enrolName   = "ENROL"
)

// pushSubject is where the system account takes JWTs of accounts (nats-server 2).
const pushSubject = "$SYS.REQ.CLAIMS.UPDATE"

// accountInfo is imported so that the server does not offer the account a
// JetStream API of its own, whose "not enabled" would be a second answer to every
// request. Nobody is permitted to publish there.
const accountInfo = "$JS.API.INFO"

// exports is what the service's account offers to be imported, with the kind of
// the answer. They are wildcards for any number of agents: what an agent reaches
// is its own imports, which are exact, and only who holds a signing key of the
// operator makes accounts.
var exports = []struct {
	subject  jwt.Subject
	response jwt.ResponseType
}{
	{contract.VisitSubjects, jwt.ResponseTypeSingleton},
	{contract.LookupSubjects, jwt.ResponseTypeSingleton},
	{contract.NonceSubjects, jwt.ResponseTypeSingleton},
	{contract.StatusSubjects, jwt.ResponseTypeSingleton},
	{contract.BundleSubjects, jwt.ResponseTypeSingleton},
	{contract.EnrolSubject, jwt.ResponseTypeSingleton},
	{accountInfo, jwt.ResponseTypeSingleton},
	{"$JS.API.CONSUMER.INFO." + contract.VerdictStream + ".*", jwt.ResponseTypeSingleton},
	// The visits of a pull are many answers to one request.
	{"$JS.API.CONSUMER.MSG.NEXT." + contract.VerdictStream + ".*", jwt.ResponseTypeStream},
	{"$JS.ACK." + contract.VerdictStream + ".>", jwt.ResponseTypeSingleton},
}

// User is a NATS user that this package made.
type User struct {
	JWT string
	Key nkeys.KeyPair // nil for a bearer, who has none
}

// Deployment is the operator and what is not an agent's.
type Deployment struct {
	// Operator signs the operator's JWT, and is needed again only to change its
	// signing keys: it belongs in a safe. Signing signs accounts. The seeds of the
	// accounts sign more users.
	Operator, Signing, System, Service, Enrol nkeys.KeyPair

	OperatorJWT                     string
	SystemJWT, ServiceJWT, EnrolJWT string // accounts
	// Pusher is the user of SYS, Central that of SERVICE. Sentinel, of ENROL, is
	// who a computer without credentials is; it is not secret.
	Pusher, Central, Sentinel User
}

const (
	// enrolConnections bounds the computers that ask to be enrolled at one time:
	// everybody may be one of them.
	enrolConnections = 256
	// agentConnections is more than one: a server may take minutes to see that an
	// old one is dead.
	agentConnections = 4
	// agentSubscriptions is what a client needs for its inbox, with room.
	agentSubscriptions = 64
	// headerRoom is what the headers of a message may take besides its payload.
	headerRoom = 4 << 10
)

// New makes a deployment. name is shown to people.
func New(name string) (*Deployment, error) {
	d := &Deployment{}
	for _, k := range []struct {
		to   *nkeys.KeyPair
		make func() (nkeys.KeyPair, error)
	}{
		{&d.Operator, nkeys.CreateOperator},
		{&d.Signing, nkeys.CreateOperator},
		{&d.System, nkeys.CreateAccount},
		{&d.Service, nkeys.CreateAccount},
		{&d.Enrol, nkeys.CreateAccount},
		{&d.Pusher.Key, nkeys.CreateUser},
		{&d.Central.Key, nkeys.CreateUser},
	} {
		var err error
		if *k.to, err = k.make(); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(d.signOperator(name), d.signSystem(), d.signService(), d.signEnrol()); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Deployment) signOperator(name string) error {
	c := jwt.NewOperatorClaims(public(d.Operator))
	c.Name = name
	c.SigningKeys.Add(public(d.Signing))
	c.SystemAccount = public(d.System)
	var err error
	d.OperatorJWT, err = sign(c, d.Operator)
	return err
}

func (d *Deployment) signSystem() error {
	c := newAccount(public(d.System), systemName)
	// Those that the command line of NATS gives it, so that its tools work.
	c.Limits.Exports, c.Limits.WildcardExports = jwt.NoLimit, true
	u := newUser(public(d.Pusher.Key), "pusher")
	u.Permissions.Pub.Allow.Add(pushSubject)
	u.Permissions.Sub.Allow.Add("_INBOX.>")
	var err, err2 error
	d.SystemJWT, err = sign(c, d.Signing)
	d.Pusher.JWT, err2 = sign(u, d.System)
	return errors.Join(err, err2)
}

func (d *Deployment) signService() error {
	c := newAccount(public(d.Service), serviceName)
	c.Limits.Exports, c.Limits.WildcardExports = jwt.NoLimit, true
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	for _, e := range exports {
		c.Exports.Add(&jwt.Export{Subject: e.subject, Type: jwt.Service, ResponseType: e.response})
	}
	var err, err2 error
	d.ServiceJWT, err = sign(c, d.Signing)
	d.Central.JWT, err2 = sign(newUser(public(d.Central.Key), "central"), d.Service)
	return errors.Join(err, err2)
}

func (d *Deployment) signEnrol() error {
	c := newAccount(public(d.Enrol), enrolName)
	c.Limits.Conn = enrolConnections
	c.Limits.DisallowBearer = false
	// Share has the server tell the service from which address a request came.
	c.Imports.Add(
		&jwt.Import{Account: public(d.Service), Subject: contract.EnrolSubject, Type: jwt.Service, Share: true},
		&jwt.Import{Account: public(d.Service), Subject: accountInfo, Type: jwt.Service},
	)
	// A bearer needs no key; this one's is forgotten.
	key, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	u := newUser(public(key), "anybody")
	u.BearerToken = true
	u.Permissions.Pub.Allow.Add(contract.EnrolSubject)
	u.Permissions.Sub.Allow.Add("_INBOX.>")
	u.Limits.Subs, u.Limits.Payload = 4, contract.MaxMessage+headerRoom
	var err2 error
	d.EnrolJWT, err = sign(c, d.Signing)
	d.Sentinel.JWT, err2 = sign(u, d.Enrol)
	return errors.Join(err, err2)
}

// newAccount begins an account that may do nothing but hold connections: no
// leaf nodes, no exports, no JetStream.
func newAccount(key, name string) *jwt.AccountClaims {
	c := jwt.NewAccountClaims(key)
	c.Name = name
	c.Limits.AccountLimits = jwt.AccountLimits{Imports: jwt.NoLimit, Conn: jwt.NoLimit, DisallowBearer: true}
	return c
}

func newUser(key, name string) *jwt.UserClaims {
	c := jwt.NewUserClaims(key)
	c.Name = name
	c.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard)
	return c
}

// sign validates and encodes: what the server would refuse must be found here.
func sign(c jwt.Claims, key nkeys.KeyPair) (string, error) {
	vr := jwt.CreateValidationResults()
	c.Validate(vr)
	if vr.IsBlocking(true) {
		return "", fmt.Errorf("%w: %w", ErrJWT, errors.Join(vr.Errors()...))
	}
	return c.Encode(key)
}

// public returns the public half of a key that this package or nkeys made.
func public(k nkeys.KeyPair) string {
	s, err := k.PublicKey()
	if err != nil {
		return "" // sign refuses it
	}
	return s
}

// Issuer makes the accounts of agents. It is safe for concurrent use.
type Issuer struct {
	signing nkeys.KeyPair
	service string
}

// NewIssuer returns an issuer that signs with a signing key of the operator.
// service is the public key of the account where the central service lives.
func NewIssuer(signing nkeys.KeyPair, service string) (*Issuer, error) {
	if !nkeys.IsValidPublicOperatorKey(public(signing)) || !nkeys.IsValidPublicAccountKey(service) {
		return nil, fmt.Errorf("%w: keys", ErrJWT)
	}
	return &Issuer{signing, service}, nil
}

// Grant is what makes an agent one.
type Grant struct {
	Account    string // public key
	AccountJWT string // for the servers
	UserJWT    string // for the agent
}

// Agent makes an account and a user for an agent of a facility. The errors are
// those of uplink.Permissions.
func (i *Issuer) Agent(facility, agent string) (Grant, error) {
	publish, subscribe, err := uplink.Permissions(facility, agent)
	if err != nil {
		return Grant{}, err
	}
	key, err := nkeys.CreateAccount()
	if err != nil {
		return Grant{}, err
	}
	defer key.Wipe()
	c := newAccount(public(key), facility+" "+agent)
	c.Limits.Conn = agentConnections
	for _, subject := range slices.Concat(publish, []string{accountInfo}) {
		c.Imports.Add(&jwt.Import{Account: i.service, Subject: jwt.Subject(subject), Type: jwt.Service})
	}
	u := newUser(agent, facility+" "+agent)
	u.Permissions.Pub.Allow.Add(publish...)
	u.Permissions.Sub.Allow.Add(subscribe...)
	u.Limits.Subs = agentSubscriptions
	u.Limits.Payload = contract.MaxVisit + headerRoom
	g := Grant{Account: public(key)}
	if g.AccountJWT, err = sign(c, i.signing); err != nil {
		return Grant{}, err
	}
	if g.UserJWT, err = sign(u, key); err != nil {
		return Grant{}, err
	}
	return g, nil
}

// Revoke returns the JWT that takes the place of an agent's account: nobody may
// use it any more, those who are connected are disconnected, and nothing is
// imported. It is for ever: who is enrolled again gets another account.
func (i *Issuer) Revoke(accountJWT string, at time.Time) (string, error) {
	c, err := jwt.DecodeAccountClaims(accountJWT)
	if err != nil {
		return "", fmt.Errorf("%w: account", ErrJWT)
	}
	c.RevokeAt(jwt.All, at.Add(time.Hour)) // also what a clock ahead has signed
	c.Imports = nil
	c.Limits.Conn = 0
	return sign(c, i.signing)
}
