package cms

import "slices"

// The deviations that parsing records: the input departs from its standard in a
// way that is known from the field and does not weaken a signature. They are a
// closed set of names, never data from the input. Whether one is acceptable is
// policy; a conformity test refuses them all.
const (
	// Encoding of a SignedData (RFC 5652 allows BER, Doc 9303-10, 4.6.2 asks for DER).
	DevIndefiniteLength    = "ber_indefinite_length"
	DevNonMinimalLength    = "ber_non_minimal_length"
	DevConstructedString   = "ber_constructed_octet_string"
	DevSignedAttrsNotDER   = "signed_attributes_not_sorted"
	DevSigningTimeUnusable = "signing_time_unreadable"

	// SignedData and SignerInfo.
	DevSignedDataVersion      = "signed_data_version"
	DevSignerInfoVersion      = "signer_info_version" // version does not go with the kind of signer name: RFC 5652, 5.3
	DevDigestNotListed        = "digest_algorithm_not_listed"
	DevDigestsDiffer          = "digest_algorithms_differ" // the signature uses another hash than messageDigest
	DevCertificateUnreadable  = "certificate_unreadable"
	DevCertificateFormatOther = "certificate_format_not_x509"

	// Certificates.
	DevVersionNot3              = "certificate_version_not_3"
	DevSerialNegative           = "serial_number_negative"
	DevSerialZero               = "serial_number_zero"
	DevSerialTooLong            = "serial_number_longer_than_20"
	DevSerialNotMinimal         = "serial_number_not_minimal"
	DevAlgorithmEncodingsDiffer = "signature_algorithm_encodings_differ"
	DevValidityReversed         = "validity_reversed"
	DevUniqueID                 = "unique_identifier_present"
	DevCountryMissing           = "country_missing"
	DevCountryEncoding          = "country_encoding"  // not a PrintableString in upper case
	DevTimeEncoding             = "validity_encoding" // GeneralizedTime before 2050
	DevBasicConstraintsEncoding = "basic_constraints_encoding"
	DevPathLenWithoutCA         = "basic_constraints_path_length_without_ca"
	DevBasicConstraintsNotCrit  = "basic_constraints_not_critical" // of a CA
	DevKeyUsageEmpty            = "key_usage_empty"
	DevKeyUsageNotCrit          = "key_usage_not_critical"
	DevPublicKeyUnsupported     = "public_key_unsupported"
	DevDocumentTypesUnreadable  = "document_types_unreadable"
	DevDocumentTypesEncoding    = "document_types_encoding" // several sets, other strings, or fillers
	DevDocumentTypesCritical    = "document_types_critical"

	// Revocation lists (Doc 9303-12, 7.1.4).
	DevCRLVersionNot2       = "crl_version_not_2"
	DevCRLNextUpdateMissing = "crl_next_update_missing"
	DevCRLEmptyList         = "crl_empty_list"
	DevCRLEntryTwice        = "crl_entry_repeated"
	DevCRLReasonCode        = "crl_reason_code"
	DevCRLDistributionPoint = "crl_issuing_distribution_point"

	// Algorithms and keys.
	DevSHA1                 = "sha1"
	DevRSAParametersMissing = "rsa_parameters_missing"
	DevRSAExponentSmall     = "rsa_exponent_below_65537"
	DevPSSParametersMissing = "pss_parameters_missing"
	DevCurveNamed           = "curve_named" // Doc 9303-12 asks for explicit parameters
)

// note appends d unless it is there already.
func note(list *[]string, d string) {
	if !slices.Contains(*list, d) {
		*list = append(*list, d)
	}
}
