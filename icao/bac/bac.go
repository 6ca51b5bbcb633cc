// Package bac is the terminal's side of basic access control: Doc 9303-11
// (8th edition, 2021, with its amendments), 4.3.
//
// Terminal and chip prove to each other that both know the key in the machine
// readable zone, and agree on session keys. Left out on purpose: trying
// several keys, and the choice between this protocol and PACE. Both are the
// caller's.
package bac

import (
	"context"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// Commands (Doc 9303-11, 4.3.4).
const (
	insGetChallenge         = 0x84
	insExternalAuthenticate = 0x82
)

// Lengths in bytes (Doc 9303-11, 4.3.1).
const (
	rndLen     = 8               // RND.IC, RND.IFD
	kLen       = 16              // K.IC, K.IFD
	sLen       = 2*rndLen + kLen // S and R, and the cryptograms of both
	macLen     = 8
	messageLen = sLen + macLen
)

// ErrWrongKey reports that the card refused EXTERNAL AUTHENTICATE with a
// status that says "authentication failed": the key does not belong to this
// document. The error also wraps the [apdu.Status], so that the number of
// tries left is visible where the card tells it.
var ErrWrongKey = errors.New("bac: card refuses the key")

// ErrCardAuthentication reports that the card accepted the key, but its own
// answer does not prove that it knows it: it is damaged, or an impostor.
var ErrCardAuthentication = errors.New("bac: card does not authenticate itself")

// A Config adjusts [Establish]. The zero value and nil are ready for use.
type Config struct {
	// Rand is the source of RND.IFD and K.IFD, read in this order. It has to
	// be cryptographically secure; nil is crypto/rand.
	Rand io.Reader
}

// Establish runs basic access control over the plain session d with the
// eMRTD application selected, and returns the channel for everything that
// follows.
//
// The error wraps [ErrWrongKey], [ErrCardAuthentication], the [apdu.Status]
// of any other refusal, or what d returned when there was no response. Nothing
// is left behind on this side then; the card is best reset before the next
// protocol, and a chip may answer more slowly after a wrong key.
//
// A status that means "blocked" (6983) is not ErrWrongKey: no other key helps.
func Establish(ctx context.Context, d apdu.Doer, key mrz.Key, cfg *Config) (*sm.Channel, error) {
	if key.IsZero() {
		return nil, errors.New("bac: no key")
	}
	random := rand.Reader
	if cfg != nil && cfg.Rand != nil {
		random = cfg.Rand
	}
	// Doc 9303-11, 9.7.2.
	hash := key.Hash()
	kEnc := kdf.TripleDES(hash[:16], kdf.Enc)
	kMac := kdf.TripleDES(hash[:16], kdf.Mac)

	rndIC, err := getChallenge(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("bac: get challenge: %w", err)
	}
	var rndIFD [rndLen]byte
	var kIFD [kLen]byte
	if _, err := io.ReadFull(random, rndIFD[:]); err != nil {
		return nil, fmt.Errorf("bac: random numbers: %w", err)
	}
	if _, err := io.ReadFull(random, kIFD[:]); err != nil {
		return nil, fmt.Errorf("bac: random numbers: %w", err)
	}

	// S = RND.IFD || RND.IC || K.IFD
	s := append(append(append(make([]byte, 0, messageLen), rndIFD[:]...), rndIC[:]...), kIFD[:]...)
	eIFD := crypt(kEnc, s, cipher.NewCBCEncrypter)
	mIFD := mac.Retail(kMac, eIFD)
	message, err := externalAuthenticate(ctx, d, append(eIFD, mIFD[:]...))
	if err != nil {
		return nil, err
	}
	kIC, err := verify(message, kEnc, kMac, rndIC, rndIFD)
	if err != nil {
		return nil, err
	}

	// Doc 9303-11, 9.7.4 and 9.8.6.3.
	var seed [kLen]byte
	subtle.XORBytes(seed[:], kIFD[:], kIC[:])
	ksEnc := kdf.TripleDES(seed[:], kdf.Enc)
	ksMac := kdf.TripleDES(seed[:], kdf.Mac)
	ssc := append(append(make([]byte, 0, 8), rndIC[4:]...), rndIFD[4:]...)
	return sm.New(d, sm.TripleDES, ksEnc[:], ksMac[:], ssc)
}

// getChallenge fetches RND.IC.
func getChallenge(ctx context.Context, d apdu.Doer) (rndIC [rndLen]byte, err error) {
	resp, err := d.Do(ctx, apdu.Command{INS: insGetChallenge, Ne: rndLen})
	if err != nil {
		return rndIC, err
	}
	if err := resp.Err(); err != nil {
		return rndIC, err
	}
	if len(resp.Data) != rndLen {
		return rndIC, fmt.Errorf("response has %d bytes, not %d", len(resp.Data), rndLen)
	}
	return [rndLen]byte(resp.Data), nil
}

// externalAuthenticate sends E.IFD || M.IFD and returns E.IC || M.IC.
func externalAuthenticate(ctx context.Context, d apdu.Doer, message []byte) ([]byte, error) {
	resp, err := d.Do(ctx, apdu.Command{INS: insExternalAuthenticate, Data: message, Ne: messageLen})
	if err != nil {
		return nil, fmt.Errorf("bac: external authenticate: %w", err)
	}
	if resp.SW != apdu.OK {
		if refusal(resp.SW) {
			return nil, fmt.Errorf("%w: %w", ErrWrongKey, resp.SW)
		}
		return nil, fmt.Errorf("bac: external authenticate: %w", resp.SW)
	}
	return resp.Data, nil
}

// refusal reports whether a status of EXTERNAL AUTHENTICATE means a wrong key.
// Doc 9303-11, 4.3.4.2, leaves it to the chip's operating system: besides the
// expected 6300 and 63Cx, chips say 6982 or 6985, or call the message wrong (6988,
// 6A80), because a checksum under the wrong key is all they see. 6985 was seen with
// a document number read wrongly, and not with the right one (selfxyz/self, issue
// 770); the challenge that it could complain about has just been fetched.
//
// What says nothing of the key is another refusal: blocked (6983), no such key
// (6A88, from chips with PACE alone; AndyQ/NFCPassportReader, issue 197), a length
// or an instruction that the chip does not know.
func refusal(sw apdu.Status) bool {
	switch sw {
	case apdu.SecurityStatusNotSatisfied, apdu.ConditionsNotSatisfied, apdu.SMObjectsIncorrect, apdu.WrongData:
		return true
	}
	return sw.SW1() == 0x63
}

// verify checks the card's answer and returns K.IC. The checksum comes first;
// then both random numbers have to be the ones of this run, or the answer is
// an old one played back (Doc 9303-11, 4.3.1, step 4).
func verify(message []byte, kEnc, kMac [16]byte, rndIC, rndIFD [rndLen]byte) (kIC [kLen]byte, err error) {
	if len(message) != messageLen {
		return kIC, fmt.Errorf("%w: response has %d bytes, not %d", ErrCardAuthentication, len(message), messageLen)
	}
	in := tlv.String(message)
	var eIC, mIC, gotIC, gotIFD, k []byte
	ok := in.ReadBytes(&eIC, sLen) && in.ReadBytes(&mIC, macLen) && in.Empty()
	want := mac.Retail(kMac, eIC)
	if !ok || subtle.ConstantTimeCompare(mIC, want[:]) != 1 {
		return kIC, fmt.Errorf("%w: wrong checksum", ErrCardAuthentication)
	}
	// R = RND.IC || RND.IFD || K.IC
	r := tlv.String(crypt(kEnc, eIC, cipher.NewCBCDecrypter))
	ok = r.ReadBytes(&gotIC, rndLen) && r.ReadBytes(&gotIFD, rndLen) && r.ReadBytes(&k, kLen) && r.Empty()
	if !ok || subtle.ConstantTimeCompare(gotIC, rndIC[:])&subtle.ConstantTimeCompare(gotIFD, rndIFD[:]) != 1 {
		return kIC, fmt.Errorf("%w: wrong random numbers", ErrCardAuthentication)
	}
	return [kLen]byte(k), nil
}

// crypt encrypts or decrypts whole blocks with two-key 3DES in CBC mode, zero
// initial value and no padding (Doc 9303-11, 4.3.3.1), into a new slice.
func crypt(key [16]byte, b []byte, mode func(cipher.Block, []byte) cipher.BlockMode) []byte {
	k := append(make([]byte, 0, 24), key[:]...)
	block, _ := des.NewTripleDESCipher(append(k, key[:8]...)) // 24 bytes: no error
	out := make([]byte, len(b), len(b)+macLen)
	mode(block, make([]byte, des.BlockSize)).CryptBlocks(out, b)
	return out
}
