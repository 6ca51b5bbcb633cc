// Package seal protects what the agent keeps on disk: values by authenticated
// encryption (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha-03), index keys by
// HMAC-SHA256. Both use subkeys that HKDF-SHA256 (RFC 5869) derives from one
// master key, which a [KeySource] provides.
//
// What it gives: whoever copies the database file, a backup or a discarded disk
// learns how many records there are, how long they are and when they were
// written, and nothing about any person. Destroying the master key erases all
// of it. What it does not give: protection from somebody who can read both the
// file and the key, such as the machine's administrator.
//
// Every sealed value names its key. A Sealer knows a single one: to rotate keys is
// to open everything with the old Sealer and to seal it with a new one, see
// agent.RotateKey.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of opening a sealed value.
var (
	// ErrMalformed reports bytes that are not a sealed value of this version.
	ErrMalformed = errors.New("seal: malformed value")
	// ErrUnknownKey reports a value that another key sealed.
	ErrUnknownKey = errors.New("seal: sealed with another key")
	// ErrForged reports a value that was changed, or that belongs to another
	// bucket or key.
	ErrForged = errors.New("seal: value does not authenticate")
)

// MasterSize is the length of a master key in bytes.
const MasterSize = 32

// Master is a master key. It prints as "[redacted]", cannot be compared with
// ==, and has no JSON form. The zero value is no key.
//
// The key is inside a function: package fmt prints the unexported fields of a
// struct around a Master without asking any method, and follows pointers for
// some verbs; of a function it prints the address. A function also cannot be
// compared.
type Master struct{ key func() *[MasterSize]byte }

func masterOf(key *[MasterSize]byte) Master {
	return Master{key: func() *[MasterSize]byte { return key }}
}

// NewMaster returns a master key of 32 bytes, which it copies.
func NewMaster(key []byte) (Master, error) {
	if len(key) != MasterSize {
		return Master{}, fmt.Errorf("seal: master key of %d bytes", len(key))
	}
	k := [MasterSize]byte(key)
	return masterOf(&k), nil
}

// Equal reports whether m and other are the same key, in constant time. No key
// equals no key.
func (m Master) Equal(other Master) bool {
	if m.key == nil || other.key == nil {
		return m.key == nil && other.key == nil
	}
	return subtle.ConstantTimeCompare(m.key()[:], other.key()[:]) == 1
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (Master) String() string { return redacted }

// GoString returns "[redacted]".
func (Master) GoString() string { return redacted }

// Format implements [fmt.Formatter]: every verb prints "[redacted]".
func (Master) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements [slog.LogValuer].
func (Master) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses.
func (Master) MarshalText() ([]byte, error) {
	return nil, errors.New("seal: a master key has no text form")
}

// KeyID names a master key without telling anything about it.
type KeyID [8]byte

// Sealer seals and opens values. It may be used concurrently. It prints as
// "[redacted]".
type Sealer struct {
	id      KeyID
	subkeys func() *subkeys // a function for the reason given at Master
}

type subkeys struct {
	aead   cipher.AEAD
	hashes *sync.Pool // of HMACs with the index key: to make one costs more than to use it
}

// The uses of a master key. They are part of the format: changing one makes
// every existing file unreadable.
const (
	infoID    = "chamthe seal v1 key id"
	infoValue = "chamthe seal v1 value"
	infoIndex = "chamthe seal v1 index"
)

// New returns a Sealer for a master key.
func New(m Master) (*Sealer, error) {
	if m.key == nil {
		return nil, errors.New("seal: no master key")
	}
	sub := func(info string, n int) ([]byte, error) { return hkdf.Expand(sha256.New, m.key()[:], info, n) }
	id, err := sub(infoID, len(KeyID{}))
	if err != nil {
		return nil, fmt.Errorf("derive key id: %w", err)
	}
	value, err := sub(infoValue, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive value key: %w", err)
	}
	index, err := sub(infoIndex, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive index key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(value)
	if err != nil {
		return nil, fmt.Errorf("value cipher: %w", err)
	}
	k := &subkeys{aead: aead, hashes: &sync.Pool{New: func() any { return hmac.New(sha256.New, index) }}}
	return &Sealer{id: KeyID(id), subkeys: func() *subkeys { return k }}, nil
}

// KeyID returns the name of the key.
func (s *Sealer) KeyID() KeyID { return s.id }

// String returns "[redacted]".
func (*Sealer) String() string { return redacted }

// GoString returns "[redacted]".
func (*Sealer) GoString() string { return redacted }

// Format implements [fmt.Formatter]: every verb prints "[redacted]".
func (*Sealer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements [slog.LogValuer].
func (*Sealer) LogValue() slog.Value { return slog.StringValue(redacted) }

// A sealed value is: version (1), key id (8), nonce (24), ciphertext and tag
// (16 more than the plaintext).
const (
	version    = 1
	headerSize = 1 + len(KeyID{})
	nonceSize  = chacha20poly1305.NonceSizeX
)

// Overhead is by how many bytes a sealed value is longer than the plaintext.
const Overhead = headerSize + nonceSize + chacha20poly1305.Overhead

// Seal encrypts a value for one place: the key in the bucket. A sealed value
// that somebody moves to another place does not open there. The nonce is
// random; 24 bytes are enough for any number of values under one key. The
// result is the caller's.
func (s *Sealer) Seal(bucket string, key, plaintext []byte) []byte {
	out := make([]byte, headerSize+nonceSize, Overhead+len(plaintext))
	out[0] = version
	copy(out[1:], s.id[:])
	nonce := out[headerSize:]
	// Since Go 1.24 crypto/rand.Read never fails: it ends the program.
	_, _ = rand.Read(nonce)
	return s.subkeys().aead.Seal(out, nonce, plaintext, s.place(bucket, key))
}

// Open decrypts a value that [Sealer.Seal] made for the same place. It returns
// nil and [ErrMalformed], [ErrUnknownKey] or [ErrForged] otherwise. The result
// is the caller's; sealed is not changed.
func (s *Sealer) Open(bucket string, key, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, ErrMalformed
	}
	if subtle.ConstantTimeCompare(sealed[1:headerSize], s.id[:]) != 1 {
		return nil, ErrUnknownKey
	}
	nonce, ciphertext := sealed[headerSize:headerSize+nonceSize], sealed[headerSize+nonceSize:]
	plaintext, err := s.subkeys().aead.Open(nil, nonce, ciphertext, s.place(bucket, key))
	if err != nil {
		return nil, ErrForged
	}
	if plaintext == nil {
		plaintext = []byte{}
	}
	return plaintext, nil
}

// place is the additional data of a value: version, key id, bucket and key,
// unambiguously.
func (s *Sealer) place(bucket string, key []byte) []byte {
	b := make([]byte, 0, headerSize+8+len(bucket)+len(key))
	b = append(b, version)
	b = append(b, s.id[:]...)
	b = appendPart(b, []byte(bucket))
	return appendPart(b, key)
}

// Index returns the 32-byte key under which something is filed in a bucket:
// HMAC-SHA256 over the bucket's name and the parts, each with its length. The
// same parts give the same key; without the master key nothing can be learned
// from it, not even by trying all numbers that a person may have.
func (s *Sealer) Index(bucket string, parts ...[]byte) []byte {
	hashes := s.subkeys().hashes
	h := hashes.Get().(hash.Hash)
	defer hashes.Put(h)
	h.Reset()
	var buf [256]byte
	h.Write(appendPart(buf[:0], []byte(bucket)))
	for _, p := range parts {
		h.Write(appendPart(buf[:0], p))
	}
	sum := h.Sum(nil)
	h.Reset() // nothing of a person stays behind
	return sum
}

func appendPart(b, part []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}
