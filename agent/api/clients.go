package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/chamthe/chamthe/agent/api/internal/atomicfile"
	"github.com/chamthe/chamthe/agent/wire"
)

// A Hash is the SHA-256 of a token. A token is 256 random bits, so it needs no
// salt and no slow hash. In text it is 64 hexadecimal digits.
type Hash [sha256.Size]byte

// HashToken returns the hash of a token.
func HashToken(token string) Hash { return sha256.Sum256([]byte(token)) }

// MarshalText gives the digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText takes the digits.
func (h *Hash) UnmarshalText(text []byte) error {
	var got Hash
	if n, err := hex.Decode(got[:], text[:min(len(text), 2*len(got))]); err != nil || n != len(got) || len(text) != 2*len(got) {
		return errors.New("api: a token's hash is 64 hexadecimal digits")
	}
	*h = got
	return nil
}

// tokenPrefix lets those who search for leaked secrets find tokens.
const tokenPrefix = "chamthe_"

// newToken returns a fresh token.
func newToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// newID returns 128 random bits in hexadecimal.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// WriteDeskToken makes a token for the desk, writes it to a file that its owner
// and group may read, and returns its hash for [Config.Desk]. The group, unless
// negative, becomes the file's; on Windows the folder's permissions decide. The
// agent makes a new one at each start: what was copied yesterday opens nothing.
func WriteDeskToken(path string, group int) (Hash, error) {
	token := newToken()
	if err := atomicfile.Write(path, []byte(token+"\n"), 0o640, group); err != nil {
		return Hash{}, fmt.Errorf("api: write desk token: %w", err)
	}
	return HashToken(token), nil
}

// A Kept is a client as it is kept: with the hash of its token, never the token.
type Kept struct {
	wire.Client
	Hash Hash `json:"token_sha256"`
}

// A Store keeps the clients. Save replaces all of them at once or, with an error,
// none.
type Store interface {
	Load() ([]Kept, error)
	Save([]Kept) error
}

// A Grant is a client whom IT approved in the configuration.
//
// With a token's hash, the token is known to both sides already. Without, a page
// of this origin gets one without being approved at the desk. A browser vouches
// for the origin, but any program on this computer can claim it: use the hash
// where that matters.
type Grant struct {
	Origin string // of a page; empty: Name is a program, and needs Hash
	Name   string
	Hash   Hash
}

// byConfig is who added a client of the configuration.
const byConfig = "config"

// maxClients bounds the clients of one computer.
const maxClients = 64

// A client is one who may call. Its context ends when its token is taken back.
type client struct {
	Kept
	desk    bool
	fixed   bool // it stands in the configuration
	owner   string
	limit   *rate.Limiter
	ctx     context.Context // for how long the token is good
	revoke  context.CancelFunc
	streams int // under Server.mu
}

func newClient(k Kept, desk bool) *client {
	c := &client{Kept: k, desk: desk, owner: k.Name, limit: rate.NewLimiter(clientRate, clientBurst)}
	if k.Origin != "" {
		c.owner = k.Origin
	}
	c.ctx, c.revoke = context.WithCancel(context.Background())
	return c
}

// A registry knows the clients.
type registry struct {
	mu     sync.Mutex
	store  Store
	list   []*client
	grants []Grant // those without hash
}

// Errors of a configuration or a file of clients.
var errClient = errors.New("api: malformed client")

func newRegistry(store Store, grants []Grant) (*registry, error) {
	g := &registry{store: store}
	kept, err := store.Load()
	if err != nil {
		return nil, err
	}
	if len(kept) > maxClients {
		return nil, fmt.Errorf("%w: more than %d", errClient, maxClients)
	}
	for _, k := range kept {
		if !validClient(k.Origin, k.Name) || k.ID == "" || k.Hash == (Hash{}) {
			return nil, errClient
		}
		g.list = append(g.list, newClient(k, false))
	}
	for i, grant := range grants {
		if !validClient(grant.Origin, grant.Name) || (grant.Origin == "" && grant.Hash == Hash{}) {
			return nil, fmt.Errorf("%w: entry %d of the configuration", errClient, i+1)
		}
		if grant.Hash == (Hash{}) {
			g.grants = append(g.grants, grant)
			continue
		}
		c := newClient(Kept{
			Client: wire.Client{ID: "config-" + hex.EncodeToString(grant.Hash[:8]), Origin: grant.Origin, Name: grant.Name, AddedBy: byConfig},
			Hash:   grant.Hash,
		}, false)
		c.fixed = true
		g.list = append(g.list, c)
	}
	return g, nil
}

// validClient reports whether a page's origin and name, or a program's name, are
// well-formed. A program's name is its owner's name, so it must not look like an
// origin, nor like the desk.
func validClient(origin, name string) bool {
	if origin != "" {
		return validOrigin(origin) && validName(name)
	}
	return validName(name) && !strings.EqualFold(name, OwnerDesk) && !strings.ContainsAny(name, ":/\\")
}

// validName reports whether name can be shown at the desk as what it is: 1 to 64
// characters, none of which is invisible or changes the direction of writing.
func validName(name string) bool {
	n := 0
	for _, r := range name {
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) || (unicode.IsSpace(r) && r != ' ') {
			return false
		}
		n++
	}
	return n >= 1 && n <= 64 && strings.TrimSpace(name) == name
}

// validOrigin reports whether o is an origin as browsers send it: scheme, host in
// lower case, and a port unless it is the scheme's own.
func validOrigin(o string) bool {
	if len(o) > 200 || strings.ToLower(o) != o {
		return false
	}
	u, err := url.Parse(o)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return false
	}
	// Browsers send names in ASCII. No wildcard: an origin is one origin.
	if strings.ContainsFunc(u.Host, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._:[]", r) }) {
		return false
	}
	if p := u.Port(); (u.Scheme == "https" && p == "443") || (u.Scheme == "http" && p == "80") {
		return false
	}
	return u.Scheme+"://"+u.Host == o && !strings.HasSuffix(u.Host, ":")
}

// byToken returns the client of a token. Each hash is compared in full, so the
// time tells nothing about those that are kept.
func (g *registry) byToken(token string) *client {
	h := HashToken(token)
	g.mu.Lock()
	defer g.mu.Unlock()
	var found *client
	for _, c := range g.list {
		if subtle.ConstantTimeCompare(h[:], c.Hash[:]) == 1 {
			found = c
		}
	}
	return found
}

// allows reports whether some client is of this origin, or may become one without
// being asked.
func (g *registry) allows(origin string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.list, func(c *client) bool { return c.Origin == origin }) ||
		slices.ContainsFunc(g.grants, func(e Grant) bool { return e.Origin == origin })
}

// granted returns the name under which IT approved an origin.
func (g *registry) granted(origin string) (name string, ok bool) {
	for _, e := range g.grants {
		if origin != "" && e.Origin == origin {
			return e.Name, true
		}
	}
	return "", false
}

// taken reports whether a program of this name may call.
func (g *registry) taken(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.list, func(c *client) bool { return c.Origin == "" && c.Name == name })
}

// add keeps a new client.
func (g *registry) add(k Kept) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k.Origin == "" && slices.ContainsFunc(g.list, func(c *client) bool { return c.Origin == "" && c.Name == k.Name }) {
		return failNameTaken
	}
	list := slices.Clone(g.list)
	var old *client
	if k.AddedBy == byConfig {
		old = oldest(list, k.Origin)
		list = slices.DeleteFunc(list, func(c *client) bool { return c == old })
	}
	if len(list) >= maxClients {
		return failFull
	}
	list = append(list, newClient(k, false))
	if err := g.store.Save(kept(list)); err != nil {
		return err
	}
	g.list = list
	if old != nil {
		old.revoke()
	}
	return nil
}

// maxGranted is how many tokens an origin has that is given them without being
// asked: one for each browser that keeps its own. A page that keeps none would use
// up all the room otherwise.
const maxGranted = 8

// oldest returns the token of such an origin that has to give way, or nil.
func oldest(list []*client, origin string) *client {
	var found *client
	n := 0
	for _, c := range list {
		if c.Origin == origin && c.AddedBy == byConfig && !c.fixed {
			n++
			if found == nil {
				found = c // they are in the order in which they were added
			}
		}
	}
	if n < maxGranted {
		return nil
	}
	return found
}

// remove takes a client's token back. It holds at once, even when the error says
// that it could not be written down: then the token is good again after a
// restart. last reports whether nobody of this owner is left.
func (g *registry) remove(id string) (c *client, last bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.list, func(c *client) bool { return c.ID == id })
	if i < 0 {
		return nil, false, failNotFound
	}
	c = g.list[i]
	if c.fixed {
		return nil, false, failFixed
	}
	g.list = slices.Delete(slices.Clone(g.list), i, i+1)
	c.revoke()
	last = !slices.ContainsFunc(g.list, func(o *client) bool { return o.owner == c.owner })
	return c, last, g.store.Save(kept(g.list))
}

// all returns the clients as they are shown.
func (g *registry) all() []wire.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]wire.Client, len(g.list))
	for i, c := range g.list {
		list[i] = c.Client
	}
	return list
}

// usedStep is how exact the time of last use is, which spares the disk.
const usedStep = time.Hour

// used notes that a client called. It is worth no error: at worst the time shown
// is an older one.
func (g *registry) used(c *client, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.desk || (c.Used != nil && now.Sub(*c.Used) < usedStep && !now.Before(*c.Used)) {
		return
	}
	c.Used = &now
	if !c.fixed && slices.Contains(g.list, c) {
		_ = g.store.Save(kept(g.list))
	}
}

func kept(list []*client) []Kept {
	out := []Kept{}
	for _, c := range list {
		if !c.fixed {
			out = append(out, c.Kept)
		}
	}
	return out
}

// memory is a Store that forgets.
type memory struct{ list []Kept }

func (m *memory) Load() ([]Kept, error) { return m.list, nil }

func (m *memory) Save(list []Kept) error { m.list = list; return nil }
