package conformitytest

import (
	"bytes"
	"crypto"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/chip/issuer"
)

// A signature is how somebody signs.
type signature struct {
	key *issuer.Key
	alg issuer.Algorithm
	// sign, if not nil, is used in place of both.
	sign func(message []byte) []byte
}

func (s signature) over(t testing.TB, message []byte) []byte {
	t.Helper()
	if s.sign != nil {
		return s.sign(message)
	}
	b, err := s.alg.Sign(nil, s.key, message)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A sod is an EF.SOD, or an EF.CardSecurity, that is made again with changes. Parts
// that were taken away stay reachable here.
type sod struct {
	t    testing.TB
	root *node // the file: tag 77, or the bare ContentInfo

	sd                              *node // SignedData
	version, digests, encap, certs  *node
	contentType                     *node
	signerInfo                      *node
	siVersion, sid, siDigest, attrs *node
	siAlgorithm, siSignature        *node

	hash    crypto.Hash // of the content; 0: SHA-256
	content []byte      // of the OCTET STRING
	signer  signature
}

func parseSOD(t testing.TB, b []byte) *sod {
	t.Helper()
	s := &sod{t: t, root: parseNode(t, b), hash: crypto.SHA256}
	info := s.root
	if info.tag[0] == 0x77 {
		info = info.kids[0]
	}
	s.sd = info.kids[1].kids[0]
	k := s.sd.kids
	s.version, s.digests, s.encap = k[0], k[1], k[2]
	s.contentType = s.encap.kids[0]
	s.content = s.encap.kids[1].kids[0].val
	rest := k[3:]
	if rest[0].tag[0] == 0xA0 {
		s.certs, rest = rest[0], rest[1:]
	}
	s.signerInfo = rest[0].kids[0]
	k = s.signerInfo.kids
	s.siVersion, s.sid, s.siDigest, s.attrs, s.siAlgorithm, s.siSignature = k[0], k[1], k[2], k[3], k[4], k[5]
	return s
}

// object changes what is signed: the security object.
func (s *sod) object(change func(o *node)) {
	o := parseNode(s.t, s.content)
	change(o)
	s.content = o.bytes()
}

// attribute finds a signed attribute.
func (s *sod) attribute(oid []byte) *node {
	for _, a := range s.attrs.kids {
		if bytes.Equal(a.kids[0].val, oid) {
			return a
		}
	}
	s.t.Fatal("no such attribute")
	return nil
}

// sign makes the digest and the signature anew.
func (s *sod) sign() {
	s.t.Helper()
	s.encap.kids[1].kids[0].val = s.content
	if len(s.attrs.kids) > 0 {
		if a := s.optional(oidMessageDigest); a != nil {
			h := s.hash.New()
			h.Write(s.content)
			a.kids[1].kids[0].val = h.Sum(nil)
		}
	}
	s.signAttributes()
}

func (s *sod) optional(oid []byte) *node {
	i := slices.IndexFunc(s.attrs.kids, func(a *node) bool { return bytes.Equal(a.kids[0].val, oid) })
	if i < 0 {
		return nil
	}
	return s.attrs.kids[i]
}

// signAttributes makes the signature alone.
func (s *sod) signAttributes() {
	s.t.Helper()
	slices.SortFunc(s.attrs.kids, func(a, b *node) int { return bytes.Compare(a.bytes(), b.bytes()) })
	message := s.attrs.bytes()
	message[0] = 0x31 // RFC 5652, 5.4
	s.siSignature.val = s.signer.over(s.t, message)
}

// A certificate that is made again with changes.
type certificate struct {
	t    testing.TB
	root *node

	tbs                                            *node
	version, serial, algorithm, issuer, validity   *node
	subject, key, extensions, outer, signatureBits *node

	signer signature // of the authority
}

func parseCertificate(t testing.TB, b []byte) *certificate {
	t.Helper()
	c := &certificate{t: t, root: parseNode(t, b)}
	c.tbs, c.outer, c.signatureBits = c.root.kids[0], c.root.kids[1], c.root.kids[2]
	k := c.tbs.kids
	c.version, c.serial, c.algorithm, c.issuer, c.validity, c.subject, c.key, c.extensions = k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
	return c
}

// extension finds an extension.
func (c *certificate) extension(oid []byte) *node {
	for _, e := range c.extensions.kids[0].kids {
		if bytes.Equal(e.kids[0].val, oid) {
			return e
		}
	}
	c.t.Fatal("no such extension")
	return nil
}

// sign makes the authority's signature anew.
func (c *certificate) sign() {
	c.t.Helper()
	c.signatureBits.val = append([]byte{0}, c.signer.over(c.t, c.tbs.bytes())...)
}
