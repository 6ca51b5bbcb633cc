package chip

import (
	"crypto"
	"fmt"
	"io"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/mrz"
)

// Access says when a file may be read.
type Access uint8

// The access conditions of the files of an identity document.
const (
	// AfterAuthentication: inside secure messaging only, if the chip has an
	// access key at all. Anything else answers 6982. It is the zero value.
	AfterAuthentication Access = iota
	// Always: in clear as well, such as EF.CardAccess.
	Always
	// Never: 6982 at any time, as the fingerprints answer every terminal
	// without terminal authentication.
	Never
)

// File is one transparent elementary file.
type File struct {
	ID      uint16 // file identifier, such as 0101 for DG1
	SFI     byte   // short identifier 1..30, or 0 for none
	Content []byte // the whole file; empty is allowed if it cannot be read
	Access  Access
	// Refused, if set, is the answer to selecting or reading the file whenever
	// Access would allow it: 6985 of a fingerprint, 6982 of an EF.DIR, 6A82 of a
	// file that EF.COM lists.
	Refused apdu.Status
}

// PACE is a variant of password authenticated connection establishment that a
// chip offers (Doc 9303-11, 4.4): generic, integrated or chip authentication
// mapping, the latter over a curve only.
type PACE struct {
	Protocol string // object identifier, such as "0.4.0.127.0.7.2.2.4.2.2"
	// ParameterID is the number of the standardized domain parameters: 0 to 2
	// for groups modulo a prime, 8 to 18 for curves (9.5.1). Integrated mapping
	// does not exist on P-224, number 10. With chip authentication mapping the
	// chip needs a [ChipAuthentication] of this KeyID on the same curve.
	ParameterID int
	Version     int // 2
	// Curve, if not empty, names the curve of explicit domain parameters, such as
	// "brainpoolP256r1", and ParameterID is their local number, from 32 on.
	Curve string
}

// ChipAuthentication is a static key pair of Doc 9303-11, 6.2, on a curve or in a
// group modulo a prime. The chip takes it by MSE:Set KAT when the protocol's
// cipher is 3DES, and by MSE:Set AT with GENERAL AUTHENTICATE for all of them.
type ChipAuthentication struct {
	// Protocol is an object identifier, such as "0.4.0.127.0.7.2.2.3.2.2". Empty:
	// the key is for PACE with chip authentication mapping only.
	Protocol string
	Key      *issuer.Key // with EC or DH
	KeyID    int         // identifier of the key; 0 for none
}

// AAForm says how a chip signs in active authentication (Doc 9303-11, 6.1.2).
// The zero value is what the standard asks for.
type AAForm struct {
	// Hash is SHA-1 (RSA only) or SHA-224 to SHA-512. 0: SHA-256 for RSA, and for
	// a curve the longest that is not longer than its order.
	Hash crypto.Hash
	// LongTrailer has an RSA key sign with SHA-1 under the two-byte trailer 33CC,
	// as some chips do, in place of BC. The other hashes always have two bytes.
	LongTrailer bool
	// Smaller is the signature generation of ISO/IEC 9796-2, B.4, in place of
	// B.6: the smaller of the power and its complement. RSA only.
	Smaller bool
	// DER answers with ECDSA-Sig-Value (RFC 3279) in place of the plain r || s, as
	// some chips do.
	DER bool
	// PSS signs the challenge alone, as with ECDSA, by RSASSA-PSS (RFC 8017, 8.1):
	// Hash, MGF1 with the same hash, and a salt of its length. RSA only. No edition
	// of Doc 9303-11 has it, 6.1.2.2 forbids it today, and BSI TR-03105-5.1 has
	// withdrawn its test case (ISO7816_F_03); what such chips sign is unconfirmed.
	PSS bool
}

// Limits are the properties of a chip's operating system. The zero value
// is a chip with short APDUs and no limit below theirs.
type Limits struct {
	// Extended allows extended length fields; without it they answer 6700.
	Extended bool
	// Plain and Protected limit the response data, in bytes without the
	// status word, of READ BINARY in clear and under secure messaging. 0: as
	// much as the command's length field allows.
	Plain, Protected int
	// OverLimit is the status for a READ BINARY that asks for more than the
	// limit. 0: the chip returns as much as fits, with 9000. 6C00: 6Cxx with the
	// number of bytes that would fit.
	OverLimit apdu.Status
	// GetResponse makes the chip answer 61xx when a response does not fit into
	// the expected length, and deliver the rest by GET RESPONSE; without it
	// such a command answers 6700.
	GetResponse bool
	// NoChaining answers 6884 to chained commands (Doc 9303-11, 9.3.2); those of PACE
	// remain. Without it MANAGE SECURITY ENVIRONMENT and the GENERAL AUTHENTICATE of
	// chip authentication may come in pieces, in clear or each piece protected, which
	// is how long keys reach a chip without extended length.
	NoChaining bool
	// ShortEnd is the status when fewer bytes are left in the file than a
	// length that was asked for explicitly. 0: 6282. A warning (62xx) and 9000
	// come with the bytes, an error such as 6B00 or 6700 without, and 6C00 stands
	// for 6Cxx with their number.
	ShortEnd apdu.Status
}

// FaultFunc stands between the terminal and the card. It is called for each
// command with the number of the exchange since the card was last inserted,
// counted from 1, and the command; next lets the chip execute it and returns
// the response. FaultFunc returns what the terminal gets: the
// same response, another one, or an error in place of any response. An error
// that wraps [ErrTorn] takes the card out of the field. FaultFunc must not call
// methods of the chip, and must not keep or change cmd.
type FaultFunc func(exchange int, cmd []byte, next func() []byte) ([]byte, error)

// Personalisation is everything that is written to a chip before it is handed
// out. The chip keeps its slices and never changes them.
type Personalisation struct {
	Files       []File // of the eMRTD application
	MasterFiles []File // of the master file, such as EF.CardAccess

	// AccessKey is the MRZ information of basic access control and PACE. A
	// chip whose key is zero is open: every file but Never can be read in clear.
	AccessKey mrz.Key
	CAN       string // card access number for PACE; empty for none
	NoBAC     bool   // the chip offers PACE only
	PACE      *PACE  // nil for none
	MorePACE  []PACE // variants beside PACE, in the order of EF.CardAccess
	// NoPACEByMRZ leaves the card access number as the only password of PACE.
	NoPACEByMRZ bool
	// CANTries, if positive, is the number of wrong card access numbers in a row
	// that the chip puts up with. It says in 63Cx how many are left, and with
	// none answers 6983 to the next attempt. The count survives a reset, and
	// begins anew after a right number. 0: 6300 every time.
	CANTries int
	// CertificationAuthorities are at most two references that the chip adds to
	// the last answer of PACE, as chips with terminal authentication do.
	CertificationAuthorities []string

	ActiveAuthentication     *issuer.Key // nil: INTERNAL AUTHENTICATE answers 6D00
	ActiveAuthenticationForm AAForm
	ChipAuthentication       *ChipAuthentication // nil for none
	// MoreChipAuthentication are keys and protocols beside it. Several entries
	// may share a key and its identifier.
	MoreChipAuthentication []ChipAuthentication

	Limits Limits
	Quirks Quirks
	// SelectMF is the answer to SELECT of the master file. 0: 9000.
	// Vietnamese cards answer 6D00.
	SelectMF apdu.Status

	// Rand is where the chip draws its nonces and ephemeral keys from; nil is
	// crypto/rand.Reader. What is drawn, and in which order, is fixed, so that
	// a published exchange can be replayed. Basic access control: RND.IC
	// (8 bytes), then K.IC (16). PACE: the nonce (16 bytes; 32 for integrated
	// mapping with AES-192 and AES-256), the private key of generic mapping, the
	// private key of the agreement, each as long as the order of the group and
	// drawn again until it is below that and not zero. Active authentication:
	// M1 (RSA), or 32 bytes on which the signature depends (ECDSA).
	Rand io.Reader
	// Redraw, if set, is shown every value that depends on Rand, before it is
	// used, and returns true to have the chip draw again. So a test gets leading
	// zero bytes where one run in 256 has them. After some thousand attempts
	// the command fails with 6F00. It must not keep or change value, and is
	// called from within [Chip.Transmit].
	Redraw func(what Drawn, value []byte) bool
	// TearAfter, if positive, is the number of exchanges after which the card
	// leaves the field, once. Inserted again, it stays.
	TearAfter int
	Fault     FaultFunc // nil for none
	// Faults are mistakes inside the protocols, behind keys that a FaultFunc does
	// not have.
	Faults Faults
}

// Faults are the mistakes of a chip that only the chip itself can make, because
// what goes wrong is encrypted or authenticated afterwards. They are for tests of
// terminals, which have to notice. The zero value makes none. The functions are
// called from within [Chip.Transmit] and must not keep what they are given.
type Faults struct {
	// Protect is given the exchange, counted as for a [FaultFunc], the instruction
	// and the data objects of a protected response (DO'87' or DO'85', then DO'99'),
	// and returns those that are sent instead. The checksum is computed over these.
	Protect func(exchange int, ins byte, objects []byte) []byte
	// OldKeys lets secure messaging go on with the keys of before after a chip
	// authentication, its counter included (Doc 9303-11, 6.2.2 and 9.8.2).
	OldKeys bool
	// Ephemeral is shown the terminal's ephemeral key of chip authentication; with
	// false the chip refuses it (6A80).
	Ephemeral func(key []byte) bool
	// AuthenticationData is given the chip authentication data of PACE with chip
	// authentication mapping before it is padded and encrypted (4.4.3.5.1), and
	// returns what is sent instead.
	AuthenticationData func(data []byte) []byte
	// Representative is given the message representative of an RSA key of active
	// authentication, header and trailer included (ISO/IEC 9796-2:2010, 9), and
	// returns what is signed instead, of the same length.
	Representative func(f []byte) []byte
}

// allPACE is every variant of PACE.
func (p *Personalisation) allPACE() []PACE {
	var all []PACE
	if p.PACE != nil {
		all = append(all, *p.PACE)
	}
	return append(all, p.MorePACE...)
}

// allCA is every key of chip authentication.
func (p *Personalisation) allCA() []ChipAuthentication {
	var all []ChipAuthentication
	if p.ChipAuthentication != nil {
		all = append(all, *p.ChipAuthentication)
	}
	return append(all, p.MoreChipAuthentication...)
}

const redacted = "[redacted]"

// Format prints no content: a personalisation holds keys.
func (p Personalisation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText gives no content either, nor does JSON.
func (p Personalisation) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format prints no content.
func (c *Chip) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
