package natsd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// A client chooses the subject that the answer to its message goes to, and
// the server checks that choice against nobody's permissions: the answer, a
// PubAck say, is published by whoever answers. In one account an agent could so
// have others delete a stream ($JS.API...) or write a bucket ($KV...) in its
// stead. A reply subject is resolved in the account of who asked; therefore
// every user that is held to subjects has an account of its own, in which there
// is nothing to damage, and what it may publish to is imported from the
// service's account, where JetStream lives.

// serviceAccount is the account of the users without restrictions, and of
// JetStream: the server's default, so that a store is found where it was before
// there were others.
const serviceAccount = "$G"

// Answers that are more than one message: the visits of a pull.
const pullRequests = "$JS.API.CONSUMER.MSG.NEXT."

// accountInfo is imported so that the server does not offer the account a
// JetStream API of its own, whose "not enabled" would be a second answer to
// every request. Nobody is permitted to publish there.
const accountInfo = "$JS.API.INFO"

// accounts sets the users of so and their accounts.
func accounts(so *server.Options, users []User) error {
	var service *server.Account
	exported := make(map[string]bool)
	for _, u := range users {
		nu := &server.NkeyUser{Nkey: u.NKey, Permissions: u.permissions()}
		so.Nkeys = append(so.Nkeys, nu)
		if nu.Permissions == nil {
			continue
		}
		if service == nil {
			var err error
			if service, err = newServiceAccount(); err != nil {
				return err
			}
			so.Accounts = append(so.Accounts, service)
		}
		// A public nkey is unique and has no character that means anything.
		nu.Account = server.NewAccount(u.NKey)
		so.Accounts = append(so.Accounts, nu.Account)
		subjects := slices.Concat(u.Publish, []string{accountInfo})
		slices.Sort(subjects)
		for _, subject := range slices.Compact(subjects) {
			if e := export(subject); !exported[e] {
				exported[e] = true
				kind := server.Singleton
				if strings.HasPrefix(e, pullRequests) {
					kind = server.Streamed
				}
				if err := service.AddServiceExportWithResponse(e, kind, nil); err != nil {
					return fmt.Errorf("natsd: export: %w", err)
				}
			}
			if err := nu.Account.AddServiceImport(service, subject, subject); err != nil {
				return fmt.Errorf("natsd: import: %w", err)
			}
		}
	}
	return nil
}

// export returns what the service's account offers for a subject to be imported:
// a few wildcards for any number of users, because the server's work grows with
// the square of their number. What a user reaches is its own imports, which are
// exact, and nobody else makes accounts. No two exports overlap.
func export(subject string) string {
	tokens := strings.Split(subject, ".")
	keep := 3
	if strings.HasPrefix(subject, "$JS.API.") {
		keep = max(keep, len(tokens)-1) // the kind of the answer depends on the request
	}
	if len(tokens) <= keep || slices.ContainsFunc(tokens[:keep], func(t string) bool { return t == "*" || t == ">" }) {
		return subject
	}
	return strings.Join(tokens[:keep], ".") + ".>"
}

// newServiceAccount returns the service's account, with JetStream. Only the
// server's own configuration language can say that of an account, and it
// refuses the name of the default one, which the server itself allows here.
func newServiceAccount() (*server.Account, error) {
	var o server.Options
	if err := o.ProcessConfigString("accounts { service { jetstream: enabled } }"); err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	if len(o.Accounts) != 1 {
		return nil, errors.New("natsd: no account for the service")
	}
	o.Accounts[0].Name = serviceAccount
	return o.Accounts[0], nil
}
