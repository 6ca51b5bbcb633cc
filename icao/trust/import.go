package trust

import (
	"errors"
	"iter"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
)

// Reason says why something entered a [Pool] or did not: a closed set.
type Reason string

// Why a candidate was accepted.
const (
	ByAdministrator Reason = "administrator"    // on the explicit word of the one who imports
	ByMasterList    Reason = "master_list"      // on the word of a master list under a pinned root
	ByLink          Reason = "link_certificate" // signed by a key of the pool
	BySignature     Reason = "signature"        // a list that a trusted key signed, a document signer that one issued
	ByPossession    Reason = "already_there"
)

// Why a candidate was refused.
const (
	NotVouched         Reason = "not_vouched_for"     // a self-signed certificate, and nobody said that it is to be trusted
	Unreadable         Reason = "unreadable"          // malformed, too large, or not of a kind that is known here
	Unsupported        Reason = "unsupported"         // of an algorithm, key or extension that is not known here
	NoIssuer           Reason = "no_issuer"           // no key of the pool is that of its issuer
	SignatureInvalid   Reason = "signature_invalid"   // the key that it names did not sign it
	NotCA              Reason = "not_a_ca"            // a certificate that issues none
	OtherState         Reason = "other_state"         // in the name of another state than its signer's
	SignerNotAllowed   Reason = "signer_not_allowed"  // the signer may not sign such a list
	SignerNotTrusted   Reason = "signer_not_trusted"  // not issued by a pinned root
	SignerNotValid     Reason = "signer_not_valid"    // expired, or not yet valid
	SignerRevoked      Reason = "signer_revoked"      // by a revocation list of the pool
	Older              Reason = "older"               // the pool has a newer one
	DeltaCRL           Reason = "crl_delta"           // a list of changes
	IndirectCRL        Reason = "crl_indirect"        // a list with certificates of other issuers
	PartialCRL         Reason = "crl_partial"         // a list for a part of the certificates
	ChangeRecord       Reason = "ldif_change"         // an LDIF record that takes something away or changes it
	ReferenceElsewhere Reason = "reference_elsewhere" // an LDIF value that lies at a URL
)

// ReasonOf returns the reason that stands for an error of this package or of
// package cms: "" for nil, [Unreadable] for one that is not among the others.
func ReasonOf(err error) Reason {
	for _, r := range []struct {
		err    error
		reason Reason
	}{
		{nil, ""},
		{errNotVouched, NotVouched},
		{ErrNoIssuer, NoIssuer},
		{ErrNotSelfSigned, NoIssuer},
		{ErrNotCA, NotCA},
		{ErrLinkCountry, OtherState},
		{ErrCRLCountry, OtherState},
		{ErrListPurpose, SignerNotAllowed},
		{ErrCRLSigner, SignerNotAllowed},
		{ErrListRoot, SignerNotTrusted},
		{ErrListSigner, SignerNotTrusted},
		{ErrListTime, SignerNotValid},
		{ErrListRevoked, SignerRevoked},
		{ErrOldList, Older},
		{ErrOldCRL, Older},
		{cms.ErrDeltaCRL, DeltaCRL},
		{cms.ErrIndirectCRL, IndirectCRL},
		{cms.ErrPartialCRL, PartialCRL},
		{cms.ErrSignature, SignatureInvalid},
		{cms.ErrDigest, SignatureInvalid},
		{cms.ErrSignedAttributes, SignatureInvalid},
		{cms.ErrUnsupported, Unsupported},
		{ErrLDIFChange, ChangeRecord},
		{ErrLDIFReference, ReferenceElsewhere},
	} {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return Unreadable
}

var errNotVouched = errors.New("trust: nobody vouches for the certificate")

// Candidate is one piece that was offered to a [Pool], and what became of it.
type Candidate struct {
	Kind  Kind
	Where string // in its file: "PEM block 2", "master list entry 17", the name of an LDIF record

	Certificate *cms.Certificate // of KindCertificate; nil when unreadable
	CRL         *cms.CRL         // of KindCRL; nil when unreadable

	// Err is nil when the candidate is in the pool now. Why tells in either case.
	Err error
	Why Reason
}

// Accepted reports whether the candidate is in the pool.
func (c Candidate) Accepted() bool { return c.Err == nil }

// settle makes Why go with Err.
func (c *Candidate) settle() {
	if c.Err != nil {
		c.Why = ReasonOf(c.Err)
	}
}

// Import says on whose word material enters a [Pool].
type Import struct {
	// Source says where the material came from, for a person to read. Required.
	Source string
	// At is the time by which the signers of lists are judged, and which anchors
	// remember as that of their import.
	At time.Time
	// Roots are the pinned certificates under which master lists and defect lists
	// are believed.
	Roots []*cms.Certificate
	// Trust is the administrator's explicit word that the self-signed certificates
	// of this source are to be trusted. It does not extend to those of a master
	// list, which need a root.
	Trust bool
	// KeepSigners keeps document signer certificates that a key of the pool issued,
	// for documents that bring none. The collection of the ICAO PKD has some 30,000.
	KeepSigners bool
}

// Report tells what became of an import.
type Report struct {
	// Candidates holds one entry for each piece, and one for each certificate of a
	// master list that is believed; document signers that were not asked for are
	// counted in Signers alone.
	Candidates []Candidate
	Signers    int
}

// Accepted and Refused count candidates.
func (r *Report) count(accepted bool) (n int) {
	for _, c := range r.Candidates {
		if c.Accepted() == accepted {
			n++
		}
	}
	return n
}

// Accepted returns how many candidates are in the pool.
func (r *Report) Accepted() int { return r.count(true) }

// Refused returns how many candidates are not.
func (r *Report) Refused() int { return r.count(false) }

// Import offers the items of a file ([Items]) to the pool, in whatever order they
// lie there, and says for each what became of it and why. Nothing enters
// without a signature by a key of the pool or under a pinned root, or the
// administrator's explicit word ([Import.Trust]).
//
// The error is that of the reader, or [ErrNoSource]; what was decided until then
// is in the report and in the pool.
func (p *Pool) Import(items iter.Seq2[Item, error], how *Import) (*Report, error) {
	r := new(Report)
	origin := Anchor{Source: how.Source, Added: how.At}
	if err := check(nil, how.Source); errors.Is(err, ErrNoSource) {
		return r, err
	}
	var failed error
	// What needs a key of the pool waits until all the keys are there.
	var links, signers, later []*Candidate
	deviations := make(map[*Candidate]*DeviationList)
	add := func(c Candidate) { r.Candidates = append(r.Candidates, c) }
	for item, err := range items {
		if err != nil {
			failed = err
			break
		}
		c := Candidate{Kind: item.Kind, Where: item.Where, Certificate: item.Certificate, CRL: item.CRL, Err: item.Err}
		switch {
		case item.Err != nil:
			add(c)
		case item.MasterList != nil:
			inner, err := p.importMasterList(item.MasterList, how, origin)
			c.Err, c.Why = err, BySignature
			add(c)
			for i := range inner {
				inner[i].Where = item.Where + ", " + inner[i].Where
			}
			r.Candidates = append(r.Candidates, inner...)
		case item.DefectList != nil:
			c.Err = ErrListRoot
			for _, root := range how.Roots {
				if c.Err = p.AddDefectList(item.DefectList, root, how.At, how.Source); c.Err == nil {
					break
				}
			}
			c.Why = BySignature
			add(c)
		case item.DeviationList != nil:
			deviations[&c] = item.DeviationList
			later = append(later, &c)
		case item.CRL != nil:
			later = append(later, &c)
		case item.Certificate != nil:
			switch {
			case p.anchor(c.Certificate) != nil:
				c.Why = ByPossession
				add(c)
			case !mayIssue(c.Certificate):
				if r.Signers++; how.KeepSigners {
					signers = append(signers, &c)
				}
			case how.Trust && c.Certificate.SelfSigned():
				anchor := origin
				anchor.Why = ByAdministrator
				c.Err, c.Why = p.add(c.Certificate, anchor), ByAdministrator
				add(c)
			default:
				links = append(links, &c)
			}
		}
	}

	// A self-signed certificate whose key a link certificate already leads to is
	// vouched for as well: the link certifies the key, and the key signed it.
	p.addLinks(links, origin)
	for _, c := range links {
		if errors.Is(c.Err, ErrNoIssuer) && c.Certificate.SelfSigned() {
			c.Err = errNotVouched
		}
		add(*c)
	}
	for _, c := range later {
		c.Why = BySignature
		if l := deviations[c]; l != nil {
			c.Err = p.AddDeviationList(l, how.At, how.Source)
		} else {
			c.Err = p.AddCRL(c.CRL, how.Source)
		}
		add(*c)
	}
	for _, c := range signers {
		c.Err, c.Why = p.keepSigner(c.Certificate), BySignature
		add(*c)
	}
	for i := range r.Candidates {
		r.Candidates[i].settle()
	}
	return r, failed
}

// mayIssue reports whether a certificate could be a CSCA's by what it says; see
// check.
func mayIssue(c *cms.Certificate) bool {
	return c.IsCA || c.KeyUsage&cms.KeyUsageCertSign != 0 || !c.HasKeyUsage
}

// importMasterList tries the pinned roots.
func (p *Pool) importMasterList(ml *MasterList, how *Import, origin Anchor) (candidates []Candidate, err error) {
	err = ErrListRoot
	for _, root := range how.Roots {
		if candidates, err = p.addMasterList(ml, root, how.At, origin); err == nil {
			return candidates, nil
		}
	}
	return nil, err
}

// keepSigner keeps a document signer that a key of the pool issued.
func (p *Pool) keepSigner(c *cms.Certificate) error {
	err := error(ErrNoIssuer)
	for _, a := range p.findIssuers(c.AuthorityKeyID, c.Issuer) {
		if err = c.CheckSignatureBy(a.Certificate.PublicKey); err == nil {
			p.AddSigner(c)
			return nil
		}
	}
	return err
}
