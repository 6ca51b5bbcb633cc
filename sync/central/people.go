package central

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// PeopleKeySize is how long [Config.PeopleKey] is, in bytes.
const PeopleKeySize = 32

// ErrPeopleKey reports a store whose people are filed under another key than the
// one in the configuration.
var ErrPeopleKey = errors.New("central: people are filed under another key")

const (
	// bucketKeys says under which key people are filed.
	bucketKeys = "ins-keys"
	keyPeople  = "people" // its only entry
)

const (
	kindNumber    = "number"
	kindInsurance = "insurance"
)

// peopleKey is the entry of ins-keys.
type peopleKey struct {
	Check string `json:"check"`         // a MAC with the key: tells one from another
	Key   []byte `json:"key,omitempty"` // unless the deployment keeps it
	Filed bool   `json:"filed"`         // everybody is filed under this key
}

// personKey is what a person is filed under: a MAC of a number. A key is part of a
// subject, and subjects appear in logs, metrics and monitoring of a NATS server,
// where a plain hash of a twelve-digit number would be found out in minutes. Who may
// read the bucket may read the people.
func (s *store) personKey(kind, number string) string {
	return mac(s.peopleKey, "person v1", kind, number)
}

func mac(key []byte, parts ...string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("chamthe"))
	for _, p := range parts {
		h.Write([]byte{0})
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// personKeys returns under which keys of ins-people a person is found.
func (s *store) personKeys(p *Person) []string {
	var keys []string
	if p.Number != "" {
		keys = append(keys, s.personKey(kindNumber, p.Number))
	}
	if p.InsuranceNumber != "" {
		keys = append(keys, s.personKey(kindInsurance, p.InsuranceNumber))
	}
	return keys
}

// openPeople takes the key that people are filed under: the deployment's, or, if
// that is nil, one that the first process makes and keeps in the store. In a store
// that says nothing of a key everybody is filed anew.
func (s *store) openPeople(ctx context.Context, deployment []byte) error {
	for {
		var k peopleKey
		rev, err := get(ctx, s.keys, keyPeople, &k)
		if err != nil {
			return err
		}
		if rev == 0 {
			key := deployment
			if key == nil {
				key = make([]byte, PeopleKeySize)
				rand.Read(key) // crypto/rand.Read never fails
				k.Key = key
			}
			k.Check = mac(key, "people check v1")
			// Written before anybody is filed: of two processes that begin, one is
			// first, and the other takes its key.
			if rev, err = put(ctx, s.keys, keyPeople, &k, 0); errors.Is(err, errExists) {
				continue
			}
			if err != nil {
				return err
			}
		}
		s.peopleKey = k.Key
		if deployment != nil {
			s.peopleKey = deployment
		}
		if len(s.peopleKey) != PeopleKeySize || mac(s.peopleKey, "people check v1") != k.Check {
			return ErrPeopleKey
		}
		if k.Filed {
			return nil
		}
		if err := s.fileAnew(ctx); err != nil {
			return err
		}
		k.Filed = true
		if _, err := put(ctx, s.keys, keyPeople, &k, rev); err != nil && !errors.Is(err, errExists) {
			return err
		}
		return nil
	}
}

// fileAnew files everybody under the keys of now. It may be done twice, and by two
// at the same time.
func (s *store) fileAnew(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writesAtOnce)
	err := each(ctx, s.people, func(key string, value []byte) error {
		var p Person
		if err := json.Unmarshal(value, &p); err != nil {
			return fmt.Errorf("central: unreadable entry in bucket %s", bucketPeople)
		}
		keys := s.personKeys(&p)
		if slices.Contains(keys, key) {
			return nil
		}
		g.Go(func() error {
			for _, k := range keys {
				// What is there already is as new.
				if _, err := put(ctx, s.people, k, json.RawMessage(value), 0); err != nil && !errors.Is(err, errExists) {
					return err
				}
			}
			limited, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			return s.people.Purge(limited, key)
		})
		return nil
	})
	return errors.Join(err, g.Wait())
}
