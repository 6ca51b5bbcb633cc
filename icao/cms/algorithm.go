package cms

import (
	"crypto"
	_ "crypto/sha1" // the hashes that documents use
	_ "crypto/sha256"
	_ "crypto/sha512"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Scheme is a family of signatures. The zero value is one that this package
// cannot verify.
type Scheme uint8

// The signature schemes.
const (
	SchemeUnknown Scheme = iota
	RSAPKCS1v15          // RSASSA-PKCS1-v1_5 (RFC 8017, 8.2)
	RSAPSS               // RSASSA-PSS (RFC 8017, 8.1)
	ECDSA                // ANSI X9.62, BSI TR-03111 (version 2.10), 4.2.1
	DSA                  // FIPS 186-4, 4
)

// SignatureAlgorithm is a signature algorithm with all its parameters. The zero
// value verifies nothing.
type SignatureAlgorithm struct {
	OID    string // as read, dotted decimal
	Scheme Scheme

	// Hash of the message. Zero when the identifier names none (rsaEncryption,
	// id-ecPublicKey, id-dsa): the digest algorithm of the SignerInfo then decides.
	Hash crypto.Hash

	MGFHash    crypto.Hash // RSAPSS: hash of the mask generation function MGF1
	SaltLength int         // RSAPSS: octets of salt
}

// String returns the algorithm as a person would write it, for example
// "RSASSA-PSS SHA-256 salt 32" or "ECDSA SHA-384"; an unknown one as its object
// identifier.
func (a SignatureAlgorithm) String() string {
	var b strings.Builder
	switch a.Scheme {
	case RSAPKCS1v15:
		b.WriteString("RSASSA-PKCS1-v1_5")
	case RSAPSS:
		b.WriteString("RSASSA-PSS")
	case ECDSA:
		b.WriteString("ECDSA")
	case DSA:
		b.WriteString("DSA")
	default:
		if a.OID == "" {
			return "none"
		}
		return a.OID
	}
	if a.Hash != 0 {
		b.WriteString(" " + a.Hash.String())
	}
	if a.Scheme == RSAPSS {
		if a.MGFHash != a.Hash {
			b.WriteString(" MGF1 " + a.MGFHash.String())
		}
		b.WriteString(" salt " + strconv.Itoa(a.SaltLength))
	}
	return b.String()
}

// Describe returns the algorithm with the key it is used with: "ECDSA SHA-384
// brainpoolP384r1", "RSASSA-PSS SHA-256 salt 32 RSA-2048".
func (a SignatureAlgorithm) Describe(key *PublicKey) string {
	if key == nil {
		return a.String()
	}
	return a.String() + " " + key.String()
}

// withHash fills in the hash of an identifier that names none.
func (a SignatureAlgorithm) withHash(h crypto.Hash) SignatureAlgorithm {
	if a.Hash == 0 {
		a.Hash = h
	}
	return a
}

// Object identifiers of algorithms: RFC 3279, RFC 4055, RFC 5758, BSI TR-03111.
const (
	oidRSAEncryption = "1.2.840.113549.1.1.1"
	oidRSAPSS        = "1.2.840.113549.1.1.10"
	oidMGF1          = "1.2.840.113549.1.1.8"
	oidECPublicKey   = "1.2.840.10045.2.1"
	oidPrimeField    = "1.2.840.10045.1.1"
	oidDSA           = "1.2.840.10040.4.1"
)

var hashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

var signatures = map[string]struct {
	scheme Scheme
	hash   crypto.Hash
}{
	oidRSAEncryption:        {RSAPKCS1v15, 0},
	"1.3.14.3.2.29":         {RSAPKCS1v15, crypto.SHA1}, // sha1WithRSASignature of the OIW
	"1.2.840.113549.1.1.5":  {RSAPKCS1v15, crypto.SHA1},
	"1.2.840.113549.1.1.14": {RSAPKCS1v15, crypto.SHA224},
	"1.2.840.113549.1.1.11": {RSAPKCS1v15, crypto.SHA256},
	"1.2.840.113549.1.1.12": {RSAPKCS1v15, crypto.SHA384},
	"1.2.840.113549.1.1.13": {RSAPKCS1v15, crypto.SHA512},
	oidECPublicKey:          {ECDSA, 0},
	"1.2.840.10045.4.1":     {ECDSA, crypto.SHA1},
	"1.2.840.10045.4.3.1":   {ECDSA, crypto.SHA224},
	"1.2.840.10045.4.3.2":   {ECDSA, crypto.SHA256},
	"1.2.840.10045.4.3.3":   {ECDSA, crypto.SHA384},
	"1.2.840.10045.4.3.4":   {ECDSA, crypto.SHA512},
	// DSA: RFC 3279, 2.2.2; RFC 5758, 3.1; the last two from the register of NIST.
	oidDSA:                   {DSA, 0},
	"1.2.840.10040.4.3":      {DSA, crypto.SHA1},
	"2.16.840.1.101.3.4.3.1": {DSA, crypto.SHA224},
	"2.16.840.1.101.3.4.3.2": {DSA, crypto.SHA256},
	"2.16.840.1.101.3.4.3.3": {DSA, crypto.SHA384},
	"2.16.840.1.101.3.4.3.4": {DSA, crypto.SHA512},
	// ecdsa-plain-signatures of BSI TR-03111, 5.2.1.1.
	"0.4.0.127.0.7.1.1.4.1.1": {ECDSA, crypto.SHA1},
	"0.4.0.127.0.7.1.1.4.1.2": {ECDSA, crypto.SHA224},
	"0.4.0.127.0.7.1.1.4.1.3": {ECDSA, crypto.SHA256},
	"0.4.0.127.0.7.1.1.4.1.4": {ECDSA, crypto.SHA384},
	"0.4.0.127.0.7.1.1.4.1.5": {ECDSA, crypto.SHA512},
}

// ReadDigestAlgorithm reads an AlgorithmIdentifier that names a hash. h is zero,
// with ok true, when the hash is one that this package does not compute (MD5,
// say). ok is false when the bytes are malformed.
func ReadDigestAlgorithm(s *cryptobyte.String) (h crypto.Hash, oid string, ok bool) {
	var a algorithmID
	if !readAlgorithmID(s, &a) {
		return 0, "", false
	}
	return digestAlgorithm(a), a.oid, true
}

// DigestByOID returns the hash of an object identifier in dotted decimal, zero when
// this package does not compute it.
func DigestByOID(oid string) crypto.Hash { return hashes[oid] }

func digestAlgorithm(a algorithmID) crypto.Hash {
	if !a.absentOrNull() {
		return 0
	}
	return hashes[a.oid]
}

// signatureAlgorithm interprets an identifier. One that is unknown, or whose
// parameters are not those of its standard, gives SchemeUnknown: reading goes
// on, verifying will not.
func signatureAlgorithm(a algorithmID, deviations *[]string) SignatureAlgorithm {
	alg := SignatureAlgorithm{OID: a.oid}
	if a.oid == oidRSAPSS {
		if !readPSSParameters(a.params, &alg) {
			return SignatureAlgorithm{OID: a.oid}
		}
		if a.params == nil {
			note(deviations, DevPSSParametersMissing)
		}
	} else if s, ok := signatures[a.oid]; ok {
		// ECDSA and DSA identifiers have no parameters (RFC 5758, 3); some encoders
		// write NULL, as PKCS #1 v1.5 demands (RFC 4055, 5), or curve parameters
		// again. They say nothing about the signature.
		if s.scheme == RSAPKCS1v15 && !a.absentOrNull() {
			return SignatureAlgorithm{OID: a.oid}
		}
		alg.Scheme, alg.Hash = s.scheme, s.hash
	}
	if alg.Hash == crypto.SHA1 {
		note(deviations, DevSHA1)
	}
	return alg
}

// maxSaltLength bounds the PSS salt: no larger than the largest modulus.
const maxSaltLength = maxRSABits / 8

// readPSSParameters reads RSASSA-PSS-params (RFC 4055, 3.1). Absent parameters
// are the defaults: SHA-1, MGF1 with SHA-1, 20 octets of salt.
func readPSSParameters(params cryptobyte.String, alg *SignatureAlgorithm) bool {
	hash, mgf, salt, trailer := crypto.SHA1, crypto.SHA1, 20, 1
	if params != nil {
		var body, field cryptobyte.String
		var present bool
		if !params.ReadASN1(&body, asn1.SEQUENCE) || !params.Empty() {
			return false
		}
		if !body.ReadOptionalASN1(&field, &present, explicit0) {
			return false
		}
		if present {
			h, _, ok := ReadDigestAlgorithm(&field)
			if !ok || !field.Empty() {
				return false
			}
			hash = h
		}
		if !body.ReadOptionalASN1(&field, &present, explicit1) {
			return false
		}
		if present {
			var a algorithmID
			if !readAlgorithmID(&field, &a) || !field.Empty() || a.oid != oidMGF1 {
				return false
			}
			h, _, ok := ReadDigestAlgorithm(&a.params)
			if !ok || !a.params.Empty() {
				return false
			}
			mgf = h
		}
		if !body.ReadOptionalASN1Integer(&salt, explicit2, 20) || !body.ReadOptionalASN1Integer(&trailer, explicit3, 1) || !body.Empty() {
			return false
		}
	}
	// RFC 8017, A.2.3: 1 (octet BC) is the only trailer field there is.
	if hash == 0 || mgf == 0 || salt < 0 || salt > maxSaltLength || trailer != 1 {
		return false
	}
	alg.Scheme, alg.Hash, alg.MGFHash, alg.SaltLength = RSAPSS, hash, mgf, salt
	return true
}
