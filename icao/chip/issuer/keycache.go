package issuer

import (
	"io"
	"sync"
)

// KeyCache hands out keys that it has made before, so that a thousand documents
// do not need a thousand RSA keys, which take some tenths of a second each. It
// is for tests and demonstrations: documents share their keys. It may be used
// concurrently.
type KeyCache struct {
	mu     sync.Mutex
	random io.Reader
	keys   map[cacheKey]*Key
}

type cacheKey struct {
	use  string
	kind KeyKind
}

// NewKeyCache makes an empty cache. A nil random is crypto/rand.Reader.
func NewKeyCache(random io.Reader) *KeyCache {
	return &KeyCache{random: reader(random), keys: map[cacheKey]*Key{}}
}

// Key is the key of the given kind for a use, such as "CSCA": the same one each
// time, and another one for each use.
func (c *KeyCache) Key(use string, kind KeyKind) (*Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys[cacheKey{use, kind}]; k != nil {
		return k, nil
	}
	k, err := kind.NewKey(c.random)
	if err != nil {
		return nil, err
	}
	c.keys[cacheKey{use, kind}] = k
	return k, nil
}
