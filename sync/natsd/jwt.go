package natsd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// Operator has a server trust one operator, whose accounts and users are JWTs
// (see package operator), in place of a list of users. Accounts that are pushed
// to it while it runs are kept in Dir and are there again after a restart.
type Operator struct {
	JWT    string // the operator's
	System string // public key of the system account, which pushes accounts
	// Accounts are JWTs of accounts that are there from the start. They take the
	// place of what Dir holds for the same accounts.
	Accounts []string
	// Dir holds the JWTs of all accounts. It is created, with mode 0700.
	Dir string
	// Sentinel is the JWT of a bearer user: who connects without credentials is
	// that user. With none, everybody needs credentials.
	Sentinel string
}

// ErrOperator reports JWTs that are not those of an operator and its accounts.
var ErrOperator = errors.New("natsd: malformed operator")

// syncAccounts is how often the servers of a cluster compare their accounts.
const syncAccounts = time.Minute

// apply sets what so says of accounts. Who does not start a server with it calls
// done; a server does so when it ends.
func (o *Operator) apply(so *server.Options) (done func(), err error) {
	claims, err := jwt.DecodeOperatorClaims(o.JWT)
	if err != nil {
		return nil, fmt.Errorf("%w: operator", ErrOperator)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	// Accounts are never deleted: one that is revoked must stay so.
	resolver, err := server.NewDirAccResolver(o.Dir, 0, syncAccounts, server.NoDelete)
	if err != nil {
		return nil, fmt.Errorf("natsd: accounts: %w", err)
	}
	defer func() {
		if err != nil {
			resolver.Close()
		}
	}()
	system := false
	for _, token := range o.Accounts {
		account, err := jwt.DecodeAccountClaims(token)
		if err != nil || !claims.DidSign(account) {
			return nil, fmt.Errorf("%w: account", ErrOperator)
		}
		system = system || account.Subject == o.System
		if err := resolver.Store(account.Subject, token); err != nil {
			return nil, fmt.Errorf("natsd: accounts: %w", err)
		}
	}
	if !system {
		return nil, fmt.Errorf("%w: system account", ErrOperator) // the server would do without
	}
	so.TrustedOperators = []*jwt.OperatorClaims{claims}
	so.SystemAccount = o.System
	so.AccountResolver = resolver
	so.DefaultSentinel = o.Sentinel
	return resolver.Close, nil
}
