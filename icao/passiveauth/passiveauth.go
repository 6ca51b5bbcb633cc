// Package passiveauth answers whether a document's data is what its issuing
// state signed: passive authentication of Doc 9303-11 (8th edition), 5.1, with
// the results of BSI TR-03135-1 (version 2.5), 5.6.4.
//
// [Verify] is a pure function of the signed object, the files that were read,
// the certificates that are trusted and the time. It says yes only when every
// part says yes: the signature of EF.SOD, the document signer's validity, its
// chain to a trusted CSCA certificate, the hash of every file that was given,
// and the state and the type that the document names. A certificate that is
// missing is undetermined, which is neither verified nor forged.
//
// It does not say that the chip is genuine: the data of a copied chip is as good
// as the original's. That is chip authentication or active authentication.
//
// [VerifyCardSecurity] does the same for EF.CardSecurity, whose content is signed
// itself.
//
// Revocation is judged by the newest revocation list of the signer's CSCA and by
// the defect lists of BSI TR-03129-2 in the pool. Of the latter, a revoked signer
// fails; wrong validity and an invalid security object turn a failure into
// undetermined, and a general defect of an unknown kind makes the document
// undetermined. The rest ([Result.Defects]) is for the caller: that the keys of
// active authentication are compromised, say. No defect ever turns anything into
// a success, so replacement certificates, corrected signer names and corrected
// countries are not used.
//
// What is left out: document signer lists, the deviation lists of Doc 9303-12
// (package trust keeps them and finds what may concern a document), and the
// consistency of EF.COM.
package passiveauth

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// The reasons of this package: a closed set.
const (
	// Of Signature.
	SignatureInvalid            result.Reason = "signature_invalid"
	ContentDigestMismatch       result.Reason = "content_digest_mismatch" // the security object is not the one that was signed
	SignedAttributesInvalid     result.Reason = "signed_attributes_invalid"
	SignerMissing               result.Reason = "signer_missing"                // EF.SOD has no signature at all
	SignerCertificateMissing    result.Reason = "signer_certificate_missing"    // neither in EF.SOD nor in the pool
	SignerCertificateUnreadable result.Reason = "signer_certificate_unreadable" // one is there and cannot be read
	AlgorithmUnsupported        result.Reason = "algorithm_unsupported"         // also of Chain and Hashes

	// Of SignerValidity.
	SignerExpired     result.Reason = "signer_expired"
	SignerNotYetValid result.Reason = "signer_not_yet_valid"
	TimeUnknown       result.Reason = "time_unknown" // no time was given; also of Chain

	// Of Chain.
	NoTrustAnchor           result.Reason = "no_trust_anchor"
	ChainSignatureInvalid   result.Reason = "chain_signature_invalid" // the named CSCA key did not sign the signer's certificate
	AnchorExpired           result.Reason = "anchor_expired"
	AnchorNotYetValid       result.Reason = "anchor_not_yet_valid"
	SignerIsCA              result.Reason = "signer_is_ca"
	SignerKeyUsage          result.Reason = "signer_key_usage"          // not for signatures
	SignerPurpose           result.Reason = "signer_purpose"            // issued for something else than documents
	SignerCriticalExtension result.Reason = "signer_critical_extension" // one that is not understood
	CountryMismatch         result.Reason = "country_mismatch"          // the signer names another state than its CSCA

	// Of Revocation.
	NoRevocationInformation result.Reason = "no_revocation_information"
	SignerRevoked           result.Reason = "signer_revoked"
	AnchorRevoked           result.Reason = "anchor_revoked"           // the CSCA's own certificate, or one that vouched for it
	RevocationListOutdated  result.Reason = "revocation_list_outdated" // a newer one is due
	RevocationListTooLate   result.Reason = "revocation_list_too_late" // made after the signer expired, when entries are dropped
	SignerStatusUnclear     result.Reason = "signer_status_unclear"    // a defect list says "under investigation", "inadequate" or a code of its own

	// Of Signature, SignerValidity and Chain: a failure, but a defect list says that
	// the state's own documents fail so.
	KnownDefect result.Reason = "known_defect"

	// Of Hashes and Groups.
	HashMismatch result.Reason = "hash_mismatch"
	NotCovered   result.Reason = "not_covered" // EF.SOD has no hash of this data group
	NoDataGroups result.Reason = "no_data_groups"

	// Of IssuingState.
	IssuingStateMismatch   result.Reason = "issuing_state_mismatch"
	IssuingStateUnknown    result.Reason = "issuing_state_unknown" // no country code is known for it
	IssuingStateUnreadable result.Reason = "issuing_state_unreadable"

	// Of DocumentType; the first also of Chain.
	DocumentTypeMismatch    result.Reason = "document_type_mismatch"    // the signer may sign other documents, and not such
	DocumentTypesAbsent     result.Reason = "document_types_absent"     // the signer's certificate does not say what it may sign
	DocumentTypesUnreadable result.Reason = "document_types_unreadable" // it says so in a way that cannot be read
	DocumentTypeUnreadable  result.Reason = "document_type_unreadable"  // of DG1
)

// Deviations that [Verify] adds to those of parsing.
const (
	DevSignerKeyUsageMissing = "signer_key_usage_missing"
	DevIssuerNameMismatch    = "signer_issuer_name_differs_from_anchor"
	DevAuthorityKeyIDMissing = "signer_authority_key_id_missing"
	DevSignerNameEncoding    = "signer_name_encoding_differs" // EF.SOD writes the issuer's name in another way than the certificate
	DevSignersSeveral        = "several_signers"
)

// Result is the outcome of passive authentication. The zero Result says that it
// was not performed.
type Result struct {
	// Signature: EF.SOD is signed by Signer. Anybody can make such a signature
	// with a certificate of their own: without Chain it proves nothing.
	Signature result.Check
	// SignerValidity: Signer is valid at the time of the check.
	SignerValidity result.Check
	// Chain: Signer is a document signer's certificate that Anchor, which is
	// trusted and valid at the time of the check, issued, for documents of this
	// type if it says for which.
	Chain result.Check
	// Revocation: neither Signer nor a certificate above it is revoked, by a
	// current list. It is a part of Overall only when it failed: a revocation is
	// the issuer's word and for good, while a list that is absent or out of date
	// says nothing of this document (BSI TR-03135-1, 5.6.4.3.5: undetermined).
	// Counting that would turn every verdict yellow, for each state without a list
	// and at each station that was offline when the next one was due, and teach
	// people to ignore yellow. Whoever insists on a current list, or minds that a
	// signer is under investigation, asks this check.
	Revocation result.Check
	// Hashes: the worst of Groups.
	Hashes result.Check
	// IssuingState: the state in the machine readable zone of DG1 is that of
	// Anchor. Not performed when DG1 was not given.
	IssuingState result.Check
	// DocumentType: the document code at the beginning of DG1 is among those that
	// Signer's certificate allows it to sign (Doc 9303-12, 7.1.1.6; Doc 9303-11,
	// 5.1.1, additional check 1). Not performed when DG1 was not given, not
	// supported when the certificate has no such list, as older ones do not. A code
	// that is not in the list is undetermined, here and in Chain: the key of those
	// who make one kind of document is no good for another, but it is the state's
	// key, and what states write into the list is known from few of them. A list
	// that is absent or unreadable says nothing of this document.
	DocumentType result.Check

	// Groups has an entry for every data group that was given: successful when
	// EF.SOD holds a hash for it and it is equal. This says that the group
	// belongs to EF.SOD, and nothing more unless Overall is successful.
	Groups map[int]result.Check

	Signer *cms.Certificate // nil when unknown
	Anchor *trust.Anchor    // nil unless its key issued Signer
	// Defects are what the defect lists of the pool know of Signer's documents; nil
	// unless Anchor is known.
	Defects []trust.KnownDefect
	// Deviations of EF.SOD as they are, of the signer's certificate with the
	// prefix "signer: " and of the anchor's with "anchor: ".
	Deviations []string
	// Weak lists what Signature, Chain and Hashes rest on and is weak by today's
	// measure, whether they hold or not: a kind, see the Weak constants, ", ", and
	// the algorithm or key, as in "document signer key, RSA-1024". It holds no card data and
	// changes no check: documents of the first years are valid and have it. Nil
	// when nothing is.
	Weak []string

	dg1    bool // DG1 was given: IssuingState counts
	direct bool // the content itself is signed: there are no hashes of groups
}

// Overall is the verdict on the files that were given: Failed if any part
// failed, Undetermined if any could not be told, Successful only if all are.
// Revocation counts only when it failed; see [Result].
func (r Result) Overall() result.Check {
	checks := []result.Check{r.Signature, r.SignerValidity, r.Chain}
	if r.Revocation.Value == result.Failed {
		checks = append(checks, r.Revocation)
	}
	if !r.direct {
		checks = append(checks, r.Hashes)
	}
	if r.dg1 {
		checks = append(checks, r.IssuingState)
	}
	worst := result.Worst(checks...)
	if worst.Value == result.Successful {
		worst.Algorithm = r.Signature.Algorithm
	}
	return worst
}

// Verify performs passive authentication. groups holds the data groups that
// were read, whole files as they came from the chip, by number; give the ones
// whose data will be used, and only those: one that EF.SOD does not cover fails
// the whole. at is the time to judge validity by; the zero time makes validity
// undetermined. A nil pool trusts nobody. Nothing is changed or kept, and
// several goroutines may call Verify with the same arguments.
//
// sod comes from [lds.ParseSOD]; nil gives the zero Result.
func Verify(sod *lds.SOD, groups map[int][]byte, pool *trust.Pool, at time.Time) Result {
	if sod == nil || sod.SignedData == nil {
		return Result{}
	}
	r := Result{
		Revocation: result.Unknown(NoRevocationInformation),
		Deviations: slices.Clone(sod.Deviations),
	}
	r.verifySigners(sod.SignedData, pool, at)
	r.compareHashes(&sod.Object, groups)
	r.Weak = appendWeakHash(r.Weak, WeakGroupHash, sod.Object.Hash)

	if dg1, ok := groups[1]; ok {
		r.dg1 = true
		switch {
		case r.Groups[1].Value != result.Successful: // not the state's word
		case r.Anchor == nil:
			r.IssuingState = result.Unknown(NoTrustAnchor)
		default:
			r.IssuingState = issuingState(dg1, r.Anchor.Certificate.SubjectCountry())
		}
		if r.Groups[1].Value == result.Successful && r.Signer != nil {
			r.DocumentType = documentType(dg1, r.Signer)
			if r.DocumentType.Reason == DocumentTypeMismatch {
				r.Chain = result.Worst(r.Chain, r.DocumentType)
			}
		}
	}
	return r
}

// verifySigners judges every signature of EF.SOD and keeps the first that is
// good in all respects, else the first. Signature, validity and chain are
// always those of one signer: a good signature of one must not meet the good
// chain of another.
func (r *Result) verifySigners(sd *cms.SignedData, pool *trust.Pool, at time.Time) {
	if len(sd.Signers) == 0 {
		r.Signature = result.Fail(SignerMissing)
		return
	}
	if len(sd.Signers) > 1 { // Doc 9303-10, 4.6.2 recommends one
		r.Deviations = append(r.Deviations, DevSignersSeveral)
	}
	var best signerResult
	for i := range sd.Signers {
		s := verifySigner(sd, &sd.Signers[i], pool, at)
		good := result.Worst(s.signature, s.validity, s.chain).Value == result.Successful &&
			s.revocation.Value != result.Failed
		if i == 0 || good {
			best = s
		}
		if good {
			break
		}
	}
	r.Signature, r.SignerValidity, r.Chain = best.signature, best.validity, best.chain
	r.Signer, r.Anchor, r.Defects = best.certificate, best.anchor, best.defects
	r.Weak = append(r.Weak, best.weak...)
	if best.revocation != (result.Check{}) {
		r.Revocation = best.revocation
	}
	r.Deviations = append(r.Deviations, best.deviations...)
}

// signerResult is the outcome for one SignerInfo.
type signerResult struct {
	signature, validity, chain result.Check
	revocation                 result.Check
	certificate                *cms.Certificate
	anchor                     *trust.Anchor
	defects                    []trust.KnownDefect
	deviations, weak           []string
}

func verifySigner(sd *cms.SignedData, si *cms.SignerInfo, pool *trust.Pool, at time.Time) signerResult {
	candidates := sd.SignerCertificates(si)
	if len(candidates) == 0 {
		candidates = pool.FindSigners(si)
	}
	if len(candidates) == 0 {
		why := SignerCertificateMissing
		if sd.Unreadable > 0 {
			why = SignerCertificateUnreadable
		}
		return signerResult{signature: result.Unknown(why)}
	}
	// Several certificates may bear the signer's name. The one whose key made the
	// signature is the signer's.
	var r signerResult
	for i, c := range candidates {
		check := checkSignature(sd, si, c)
		if i == 0 || check.Value == result.Successful {
			r.signature, r.certificate = check, c
		}
		if check.Value == result.Successful {
			break
		}
	}
	c := r.certificate
	if si.SubjectKeyID == nil && !bytes.Equal(si.Issuer.Raw, c.RawIssuer) {
		r.deviations = append(r.deviations, DevSignerNameEncoding)
	}
	for _, d := range c.Deviations {
		r.deviations = append(r.deviations, "signer: "+d)
	}
	r.validity = validity(c, at, SignerExpired, SignerNotYetValid)
	r.verifyChain(pool, at)
	if r.anchor != nil {
		r.defects = pool.Defects(c)
	}
	r.verifyRevocation(pool, at)
	r.applyDefects()
	r.noteWeak(si)
	return r
}

func checkSignature(sd *cms.SignedData, si *cms.SignerInfo, c *cms.Certificate) result.Check {
	algorithm := si.SignatureAlgorithm.Describe(c.PublicKey)
	var check result.Check
	switch err := sd.Verify(si, c); {
	case err == nil:
		check = result.Pass(algorithm)
	case errors.Is(err, cms.ErrUnsupported):
		check = result.Unknown(AlgorithmUnsupported)
	case errors.Is(err, cms.ErrDigest):
		check = result.Fail(ContentDigestMismatch)
	case errors.Is(err, cms.ErrSignedAttributes):
		check = result.Fail(SignedAttributesInvalid)
	default:
		check = result.Fail(SignatureInvalid)
	}
	check.Algorithm = algorithm
	return check
}

// validity judges a certificate at a time (BSI TR-03135-1, 5.6.4.3.4).
func validity(c *cms.Certificate, at time.Time, expired, notYet result.Reason) result.Check {
	switch {
	case at.IsZero(): // a machine without a clock
		return result.Unknown(TimeUnknown)
	case at.Before(c.NotBefore):
		return result.Fail(notYet)
	case at.After(c.NotAfter):
		return result.Fail(expired)
	}
	return result.Pass("")
}

// verifyChain judges whether r.certificate is a document signer's, issued by a
// trusted CSCA (BSI TR-03135-1, 5.6.4.3.3). It sets chain, anchor, deviations.
func (r *signerResult) verifyChain(pool *trust.Pool, at time.Time) {
	c := r.certificate
	issued := r.findAnchor(pool, at)
	profile := documentSigner(c)
	if !c.HasKeyUsage {
		r.deviations = append(r.deviations, DevSignerKeyUsageMissing)
	}
	if c.AuthorityKeyID == nil {
		r.deviations = append(r.deviations, DevAuthorityKeyIDMissing)
	}
	country := result.Pass("")
	if r.anchor != nil {
		anchor := r.anchor.Certificate
		for _, d := range anchor.Deviations {
			r.deviations = append(r.deviations, "anchor: "+d)
		}
		if !c.Issuer.Equal(anchor.Subject) {
			r.deviations = append(r.deviations, DevIssuerNameMismatch)
		}
		// A CSCA's own key, in whatever certificate, is no document signer's.
		if c.PublicKey.Equal(anchor.PublicKey) {
			profile = result.Fail(SignerIsCA)
		}
		if !sameCountry(c.SubjectCountry(), anchor.SubjectCountry()) || !sameCountry(c.IssuerCountry(), anchor.SubjectCountry()) {
			country = result.Unknown(CountryMismatch)
		}
	}
	r.chain = result.Worst(issued, profile, country)
	r.chain.Algorithm = issued.Algorithm
}

// sameCountry compares country codes in upper case; a missing one is no
// contradiction.
func sameCountry(a, b string) bool { return a == "" || b == "" || a == b }

// documentSigner judges whether c may sign EF.SOD by what it says of itself
// (Doc 9303-12, 7.1.1).
func documentSigner(c *cms.Certificate) result.Check {
	const anyExtendedKeyUsage = "2.5.29.37.0"
	switch {
	case c.IsCA || c.KeyUsage&cms.KeyUsageCertSign != 0:
		return result.Fail(SignerIsCA)
	case c.HasKeyUsage && c.KeyUsage&cms.KeyUsageDigitalSignature == 0:
		return result.Fail(SignerKeyUsage)
	// A document signer has no extended key usage; the signers of master lists,
	// deviation lists and visible seals, which the same CSCA issues, have one
	// (RFC 5280, 4.2.1.12: then it is for nothing else).
	case c.ExtendedKeyUsage != nil && !slices.Contains(c.ExtendedKeyUsage, anyExtendedKeyUsage):
		return result.Unknown(SignerPurpose)
	case len(c.UnknownCritical) > 0:
		return result.Unknown(SignerCriticalExtension)
	}
	return result.Pass("")
}

// findAnchor looks for the trusted certificate whose key issued r.certificate,
// and sets r.anchor to it. Among several with that key (a root and its links) it
// prefers one that is valid and bears the issuer's name.
func (r *signerResult) findAnchor(pool *trust.Pool, at time.Time) result.Check {
	c := r.certificate
	candidates := pool.FindIssuers(c)
	if len(candidates) == 0 {
		return result.Unknown(NoTrustAnchor)
	}
	var best result.Check
	refused, unsupported := false, false
	for _, a := range candidates {
		switch err := c.CheckSignatureBy(a.Certificate.PublicKey); {
		case errors.Is(err, cms.ErrUnsupported):
			unsupported = true
			continue
		case err != nil:
			// Only a key that the certificate names by its identifier and its
			// owner's name can be said to have not signed; another state may
			// happen to use the same identifier while the right CSCA is missing.
			refused = refused || c.AuthorityKeyID != nil && bytes.Equal(c.AuthorityKeyID, a.Certificate.SubjectKeyID) &&
				c.Issuer.Equal(a.Certificate.Subject)
			continue
		}
		check := validity(a.Certificate, at, AnchorExpired, AnchorNotYetValid)
		check.Algorithm = c.SignatureAlgorithm.Describe(a.Certificate.PublicKey)
		if r.anchor == nil || prefer(check, a, best, r.anchor, c) {
			best, r.anchor = check, a
		}
	}
	switch {
	case r.anchor != nil:
		return best
	case refused:
		return result.Fail(ChainSignatureInvalid)
	case unsupported:
		return result.Unknown(AlgorithmUnsupported)
	}
	return result.Unknown(NoTrustAnchor)
}

// prefer reports whether anchor a with its validity is a better issuer of c than
// the current one.
func prefer(check result.Check, a *trust.Anchor, current result.Check, anchor *trust.Anchor, c *cms.Certificate) bool {
	valid, was := check.Value == result.Successful, current.Value == result.Successful
	if valid != was {
		return valid
	}
	return c.Issuer.Equal(a.Certificate.Subject) && !c.Issuer.Equal(anchor.Certificate.Subject)
}

// compareHashes fills Groups and Hashes.
func (r *Result) compareHashes(object *lds.LDSSecurityObject, groups map[int][]byte) {
	if len(groups) == 0 {
		r.Hashes = result.Check{Reason: NoDataGroups} // not performed
		return
	}
	r.Groups = make(map[int]result.Check, len(groups))
	var all []result.Check
	for _, n := range slices.Sorted(maps.Keys(groups)) {
		check := compareHash(object, n, groups[n])
		r.Groups[n] = check
		all = append(all, check)
	}
	r.Hashes = result.Worst(all...)
}

func compareHash(object *lds.LDSSecurityObject, n int, file []byte) result.Check {
	want, covered := object.Hashes[n]
	if !covered {
		return result.Fail(NotCovered)
	}
	if object.Hash == 0 || !object.Hash.Available() {
		return result.Unknown(AlgorithmUnsupported)
	}
	h := object.Hash.New()
	h.Write(file)
	check := result.Pass("")
	if !bytes.Equal(h.Sum(nil), want) {
		check = result.Fail(HashMismatch)
	}
	check.Algorithm = object.Hash.String()
	return check
}
