// Package fault is the one vocabulary of failure: it turns any error of the
// agent, and any refusal by policy, into a code, a cause and a remedy that the
// command line, the local API and the desk all show.
//
// A [Fault] never holds personal data. Its texts are fixed sentences; what
// went wrong in detail stays in the wrapped error, whose text holds lengths,
// tags and status words only.
package fault

//go:generate go run ./genpages docs

import (
	"fmt"
	"slices"
)

// A Code names a kind of failure. The set is closed; codes are part of the
// API and are never renamed.
type Code string

// The codes. [All] lists them with exit status, cause and remedy.
const (
	Internal Code = "internal"
	Usage    Code = "usage"

	// The document, judged.
	DG1Altered            Code = "dg1_altered"
	DG13Altered           Code = "dg13_altered"
	SecurityObjectInvalid Code = "security_object_invalid"
	SignerExpired         Code = "signer_expired"
	IssuerUnknown         Code = "issuer_unknown"
	ChipCopied            Code = "chip_copied"
	PhotoAltered          Code = "photo_altered"
	DocumentExpired       Code = "document_expired"
	DataMismatch          Code = "data_mismatch"
	IssuerInvalid         Code = "issuer_invalid"
	OtherDocument         Code = "other_document"
	PhotoWithheld         Code = "photo_withheld"
	CardSecurityInvalid   Code = "card_security_invalid"
	OfferAltered          Code = "offer_altered"
	SignerRevoked         Code = "signer_revoked"
	NotVerified           Code = "not_verified"
	WeakAlgorithm         Code = "weak_algorithm"

	// The chip, not read.
	WrongKey         Code = "wrong_key"
	CardRemoved      Code = "card_removed"
	AccessRefused    Code = "access_refused"
	CardUnreadable   Code = "card_unreadable"
	NoSecurityObject Code = "no_security_object"
	KeyBlocked       Code = "key_blocked"

	// What was scanned or typed.
	BadMRZ Code = "bad_mrz"
	BadQR  Code = "bad_qr"
	BadCAN Code = "bad_can"
	NoCAN  Code = "no_can"

	// The reader.
	NoService   Code = "no_pcsc_service"
	NoReader    Code = "no_reader"
	NoCard      Code = "no_card"
	ReaderBusy  Code = "reader_busy"
	ReaderHung  Code = "reader_hung"
	LimitsFull  Code = "limits_full"
	ReaderShort Code = "reader_too_short"
	LongAnswers Code = "reader_breaks_off"

	// The store.
	StoreNewer   Code = "store_newer"
	StoreLocked  Code = "store_locked"
	StoreDamaged Code = "store_damaged"
	CannotRecord Code = "cannot_record"
	BadKeyFile   Code = "bad_key_file"
	DataExposed  Code = "data_exposed"
	VisitDamaged Code = "visit_damaged"
	StoreTrouble Code = "store_trouble"
	NotRecorded  Code = "not_recorded"
	PerhapsSaved Code = "perhaps_recorded"

	// The central service.
	CentralUnreachable Code = "central_unreachable"
	VisitRejected      Code = "visit_rejected"
	VisitWaiting       Code = "visit_waiting"
	BadAddress         Code = "bad_central_address"
	CentralRefuses     Code = "central_refuses"
	CentralUntrusted   Code = "central_untrusted"
	CentralFull        Code = "central_full"
	CentralSilent      Code = "central_silent"
	CentralMalformed   Code = "central_malformed"
	VisitTooLarge      Code = "visit_too_large"
	VisitForeign       Code = "visit_foreign"
	EnrolRefused       Code = "enrolment_refused"
	EnrolLater         Code = "enrolment_later"

	// What was looked at again.
	EvidenceInvalid Code = "evidence_invalid"
	BadExport       Code = "bad_export_file"
	AuditBroken     Code = "audit_broken"

	// The key of the data.
	KeyringTrouble Code = "keyring_trouble"
	DataErased     Code = "data_erased"
	VisitsUnsent   Code = "visits_unsent"

	BadTrust       Code = "bad_trust_file"
	TrustRefused   Code = "trust_refused"
	TrustDamaged   Code = "trust_damaged"
	TrustExposed   Code = "trust_exposed"
	TrustAttention Code = "trust_attention"
	TrustUnusable  Code = "trust_unusable"

	// The agent as a service.
	BundleRefused   Code = "bundle_refused"
	ConfigInvalid   Code = "config_invalid"
	PolicyExposed   Code = "policy_exposed"
	PortInUse       Code = "port_in_use"
	ServiceTrouble  Code = "service_trouble"
	TrainingRefused Code = "training_refused"

	// At the desk.
	Abandoned        Code = "abandoned"
	PersonMismatch   Code = "person_mismatch"
	BadInput         Code = "bad_input"
	OperatorRequired Code = "operator_required"
	MeansRefused     Code = "means_refused"

	// DoctorFound is how `chamthe doctor` ends when something is wrong.
	DoctorFound Code = "doctor_found"

	Cancelled Code = "cancelled"
)

// A Kind says what a person can do about a failure.
type Kind string

// The kinds.
const (
	Refuse Kind = "refuse"  // do not accept this document
	Unsure Kind = "unsure"  // cannot tell: neither verified nor forged
	Retry  Kind = "retry"   // the same again may work
	Input  Kind = "input"   // correct what was given
	System Kind = "system"  // needs IT
	Wait   Kind = "waiting" // nothing is lost, nothing needs doing
)

// Info is what is known about a code.
type Info struct {
	Code   Code
	Exit   int    // exit status of a command that ends with it
	Kind   Kind   //
	Cause  string // one sentence
	Remedy string // one sentence
}

var infos = []Info{
	{Internal, 1, System, "The program met an error that it does not know.", "Report it together with the text after the code."},
	{Usage, 2, Input, "The command was not understood.", "Look at --help for the flags and their values."},

	{DG1Altered, 10, Refuse, "The name, date and number on the chip (DG1) were altered after the issuer signed them.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{DG13Altered, 11, Refuse, "The Vietnamese personal data on the chip (DG13) was altered after the issuer signed it.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{SecurityObjectInvalid, 12, Refuse, "The issuer's signature over the chip's data does not hold.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{SignerExpired, 13, Refuse, "The certificate that signed this card's data was not valid at the time of this check.", "Check this computer's date and time; if they are right, do not accept this card as verified."},
	{IssuerUnknown, 14, Unsure, "The card's issuer cannot be checked: no trusted root certificate (CSCA) that belongs to it is loaded.", "Load the issuer's root certificate and read the card again; until then it is neither verified nor forged."},
	{ChipCopied, 15, Refuse, "The chip could not prove that it is the original: its data was copied from another card.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{PhotoAltered, 18, Refuse, "The photo on the chip (DG2) is not the one that the issuer signed.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{DocumentExpired, 19, Refuse, "The document has expired.", "Ask for a document that is still valid, or check in without a chip."},
	{DataMismatch, 20, Refuse, "Two signed parts of the chip (DG1 and DG13) hold different numbers.", "Do not accept this card as verified; check in without a chip and tell IT."},
	{IssuerInvalid, 21, Refuse, "The signer's certificate names a trusted issuer, and that issuer did not sign it.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{SignerRevoked, 22, Refuse, "The certificate that signed this card's data has been revoked.", "Do not accept this card as verified; check in without a chip."},
	{OtherDocument, 27, Refuse, "The chip holds the data of another document than the one whose code was scanned.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{CardSecurityInvalid, 33, Refuse, "The signature over the chip's own key (EF.CardSecurity) does not hold.", "Do not accept this card; ask for another document and follow the site's rule for forged cards."},
	{PhotoWithheld, 28, Refuse, "The chip keeps back the photo that its issuer signed.", "Put the card on the reader again; if it stays so, do not accept this card as verified."},
	{OfferAltered, 29, Refuse, "What the chip said in the clear about its protection is not what its issuer signed.", "Put the card on another reader; if it stays so, do not accept this card as verified."},
	{WeakAlgorithm, 35, Unsure, "The proof that this document is genuine rests on an algorithm or a key that this site does not accept any more.", "Check in without a chip; the issuer can say when newer documents come."},
	{NotVerified, 23, Unsure, "A check that this site requires was not made.", "Read the card again; if it stays so, check in without a chip."},

	{WrongKey, 16, Input, "The code that was scanned or typed does not belong to this card.", "Check that it is the patient's card; scan again, or type the machine readable lines or the expiry date."},
	{CardRemoved, 17, Retry, "The card was lifted before reading was finished.", "Put the card back and keep it still; there is no need to scan again."},
	{AccessRefused, 24, Retry, "The card did not take part in opening its chip.", "Take the card away, put it back and try again; if it stays so, check in without a chip."},
	{CardUnreadable, 25, Retry, "The card answered with something that is not the data asked for.", "Put the card on the reader again; if it stays so, check in without a chip."},
	{KeyBlocked, 34, Input, "The chip takes this number no more: it was given wrongly too often.", "Use the QR code or the machine readable lines in place of the card access number; if those were refused, check in without a chip."},
	{NoSecurityObject, 26, Refuse, "The chip has no readable proof of its data (EF.SOD).", "Nothing on this chip can be verified: check in without a chip."},

	{BadMRZ, 30, Input, "The machine readable lines are not complete or a check digit is wrong.", "Scan or type the lines on the card's back again."},
	{BadQR, 31, Input, "The QR code is not that of a citizen card, or a field is missing.", "Scan the QR code on the card again, or type the machine readable lines."},
	{BadCAN, 32, Input, "The card access number must be six digits.", "Type the number as it is printed on the document."},
	{NoCAN, 36, Input, "This document has no access number for its chip.", "Scan or type its machine readable lines, or scan the QR code of a citizen card."},

	{NoService, 40, System, "The computer's smart card service (PC/SC) is not running.", "Plug a reader in: on Windows the service often runs only while there is one. If it stays so, start it: on Linux `systemctl start pcscd`, on Windows the service \"Smart Card\"."},
	{NoReader, 41, System, "No card reader of that name was found.", "Check the reader's USB cable; `chamthe readers` lists what is there."},
	{NoCard, 42, Retry, "There is no card on the reader.", "Put the card on the reader."},
	{ReaderBusy, 43, Retry, "Another program is using the card.", "Close the other program, or take the card away and put it back."},
	{ReaderHung, 44, System, "The reader stopped answering.", "Unplug the reader and plug it in again."},
	{LimitsFull, 45, System, "There is no room to remember what more kinds of cards and readers bear.", "Forget what is no longer needed (`chamthe readers limits --forget NAME`, or `--all`); it is learned again."},
	{ReaderShort, 46, System, "This reader cannot carry the long commands that opening this document's chip takes.", "Use a reader with extended length for such documents, or check in without a chip."},
	{LongAnswers, 47, System, "The reader or its driver breaks long answers of the card off.", "Lay the card flat on the reader; if it stays so, install the maker's driver, or use another reader (`chamthe readers test` measures it)."},

	{StoreNewer, 50, System, "The data file was written by a newer version of this program.", "Install that version or a newer one; the file was not touched."},
	{StoreLocked, 51, System, "The data file is in use by another process.", "End the other chamthe that uses this data directory."},
	{StoreDamaged, 52, System, "The data file is damaged.", "Keep the file, restore the backup beside it, and tell IT."},
	{CannotRecord, 53, System, "The visit could not be written to the disk.", "Free disk space; the visit was NOT recorded."},
	{BadKeyFile, 54, System, "A key file of the data directory is missing or cannot be used.", "Restore the key files (seal.key, agent.nk) and their permissions (0600) from the backup; without them the visits cannot be read or sent. No new key was made."},
	{DataExposed, 55, System, "Everybody on this computer may write to the data directory.", "Take that permission away (`chmod o-w` on the directory and visits.db), and find out who used it."},
	{VisitDamaged, 56, System, "Visits in the data directory are damaged: they cannot be read, and so not be sent.", "Keep the directory, restore a backup of it, and tell IT; `chamthe queue list` shows which visits."},
	{StoreTrouble, 57, System, "The queue of visits could not be read or written while sending.", "Free disk space, and look with `chamthe queue check`; nothing that was recorded is given up."},
	{NotRecorded, 58, System, "The visit could not be recorded, for a reason that is not the disk's.", "Nothing was recorded: check the patient in without this program, and tell IT."},
	{PerhapsSaved, 59, System, "The disk failed while the visit was written: it may or may not be recorded.", "Start the program again and look with `chamthe queue list` before checking in again."},

	{CentralUnreachable, 60, Wait, "The central insurance service cannot be reached.", "Nothing is lost: what was recorded stays in the queue and is sent when the link is back."},
	{VisitRejected, 61, Refuse, "The central insurance service rejected the visit.", "Look at the reason; correct it and check in again."},
	{VisitWaiting, 62, Wait, "The visit is recorded and waits for the central service's answer.", "Nothing is lost and nothing needs doing: it is sent when the link is back."},
	{BadAddress, 63, Input, "The address of the central service cannot be used: it is no NATS address, or it would be spoken to without encryption.", "Give nats:// or tls://host:port; anything but this computer needs TLS."},
	{CentralRefuses, 64, System, "The central service does not know this desk, or forbids what it sends.", "Have the desk's key enrolled at the central service; the visits stay in the queue until then."},
	{CentralUntrusted, 65, System, "The central service could not prove who it is (TLS).", "Check the address, this computer's clock and its certificates; nothing is sent until it does, and nothing is lost."},
	{CentralFull, 66, System, "The central service has no room for visits.", "Tell those who run it; the visits stay in the queue until there is room."},
	{CentralSilent, 67, System, "The server is there, but the central service behind it does not answer.", "Tell those who run it; the visits stay in the queue, or in the server, until it does."},
	{CentralMalformed, 68, System, "The central service sent something that is not the agreed format.", "Tell IT: the versions of the two programs may not fit; nothing is lost."},
	{VisitTooLarge, 69, System, "A visit is larger than the central server takes.", "Tell those who run it: its limit for one message must be raised. The other visits go on, and this one stays in the queue."},
	{VisitForeign, 71, System, "A visit was recorded by another desk or for another facility, and this one may not send it.", "Give the facility's code that it was recorded for, or restore the key file (agent.nk) of that time. The other visits go on, and this one stays in the queue."},

	{EnrolRefused, 83, Input, "The central service did not accept the enrolment code: it is not known, has expired, was used by another computer, or is older than the taking back of this one's credentials.", "Ask for a new code (`chamthe-central enrol code`) and give the whole line that comes with it."},
	{EnrolLater, 84, Wait, "The central service takes no enrolment codes for the moment: too many were tried.", "Wait some minutes, look at the code again, and try once more."},

	{BadTrust, 70, Input, "A file of trusted certificates cannot be read.", "Give certificates of the issuing authority (CSCA), master lists or revocation lists, as DER, PEM, PKCS #7 or LDIF."},
	{TrustRefused, 72, Input, "Nothing in a file of trust material was accepted: nobody who is trusted here vouches for it.", "Give the root that signed it as well (`chamthe trust import --root`), or accept its certificates on your own word (--accept); what was refused is not believed."},
	{TrustDamaged, 73, System, "The directory of trust material is damaged, and none of it is believed.", "Restore it from the backup, or import the files again into a new directory."},
	{TrustExposed, 74, System, "Everybody on this computer may write to the directory of trust material, so none of it is believed.", "Take that permission away (`chmod -R o-w`), and look with `chamthe trust list` at what is in it."},
	{TrustAttention, 75, System, "Some of the trust material is out of date.", "Get newer files from where the old ones came from and import them (`chamthe trust import`)."},
	{TrustUnusable, 76, System, "The directory of trust material cannot be opened or written.", "Give this user the right to it, free disk space, or name another directory (CHAMTHE_TRUST); without it no issuer is known."},

	{EvidenceInvalid, 77, Refuse, "The evidence of a visit does not hold.", "Look at the check that failed; the visit proves nothing as it is."},
	{BadExport, 78, Input, "The file holds something that is no exported visit.", "Give a file that `chamthe queue export` wrote; each line is a visit."},
	{AuditBroken, 79, System, "The audit trail is not as it was written.", "Keep the data directory as it is, find out who had access to it, and tell who is responsible for data protection."},

	{KeyringTrouble, 80, System, "The system's keyring, which has the key of the data directory, cannot be used or is locked.", "Start and unlock it for the account that runs this program, then start again; no other key was made and nothing is lost."},
	{DataErased, 81, System, "The data directory was erased by destroying its key.", "Nothing in it can be read any more: remove it, or name another directory."},
	{VisitsUnsent, 82, Input, "There are visits that the central service has not accepted yet, and they would be lost.", "Send them first (`chamthe queue send`), or give --lose-visits."},

	{BundleRefused, 98, System, "A list of the insurer, of people or of issuers, was refused: it is not signed by the insurer's key, or not whole.", "Tell those who run the central service; the list from before is used on, and grows older."},
	{ConfigInvalid, 90, Input, "The configuration cannot be used.", "Correct what the lines name (file, line, key), and look with `chamthe config check`; the agent does not start until then."},
	{PolicyExposed, 91, System, "The machine's policy file can be written by others than the administrators, so it is not believed.", "Give file and directory to root (or the administrators), take everybody else's right to write away, and look at what stands in it."},
	{PortInUse, 92, System, "Another program uses the port of the local API or of the metrics.", "End the other program, or give another port: `api.port` or `metrics.listen` in the configuration; hospital systems have to be told."},
	{ServiceTrouble, 93, System, "The system's manager of services did not do what was asked.", "Run the command as administrator (root); the text after the code is what the manager said."},
	{TrainingRefused, 94, Input, "A software chip would be used together with a central service, and that is not allowed here.", "Leave out --chip; or, on a test system, set `training.allowed: true` in the configuration."},

	{Abandoned, 85, Retry, "The check-in was given up because nobody did anything for some minutes.", "Begin again; nothing was recorded, and the personal data is gone from the memory."},
	{PersonMismatch, 86, Refuse, "The person at the desk is not the one on the document, as the operator said.", "Nothing was recorded; follow the site's rule for documents of others."},
	{BadInput, 87, Input, "Something that was typed or scanned cannot be right, or is missing.", "Look at each field: the text after the code names it."},
	{OperatorRequired, 88, Input, "Nobody is signed in at the desk, and nothing is recorded before somebody is.", "Sign in at the desk, then confirm again."},
	{MeansRefused, 89, Refuse, "This site does not take people in by this way without a chip.", "Use the chip of the card, or ask IT about the site's policy."},

	{DoctorFound, 99, System, "The doctor found something that keeps the desk from working.", "Look at the findings that are marked as errors: each says what to do."},

	{Cancelled, 130, Retry, "The command was interrupted.", "Start it again."},
}

// All returns what is known about every code. The slice is the caller's.
func All() []Info { return slices.Clone(infos) }

// About returns what is known about code; an unknown code is [Internal].
func About(code Code) Info {
	for _, i := range infos {
		if i.Code == code {
			return i
		}
	}
	return infos[0]
}

// A Fault is a failure with its code. It is an error.
type Fault struct {
	Info
	Detail string // what the program knows beyond the sentence; no personal data
	Err    error  // the cause, may be nil
	// Tries is how often a wrong key may still be given before the chip takes that
	// key no more; nil if the chip did not tell, or nothing like that went wrong.
	Tries *int
}

// New returns a fault of the given code about err, which may be nil.
func New(code Code, err error) *Fault {
	f := &Fault{Info: About(code), Err: err}
	if err != nil {
		f.Detail = err.Error()
	}
	return f
}

// Error gives the code and the detail.
func (f *Fault) Error() string {
	if f.Detail == "" {
		return string(f.Code)
	}
	return fmt.Sprintf("%s: %s", f.Code, f.Detail)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Sentence is the cause and the remedy, for a person, with the tries that are
// left in between.
func (f *Fault) Sentence() string {
	s := f.Cause + " "
	if tries := f.TriesSentence(); tries != "" {
		s += tries + " "
	}
	return s + f.Remedy
}

// TriesSentence says how many tries are left, for a person; it is empty when the
// chip did not tell.
func (f *Fault) TriesSentence() string {
	switch {
	case f.Tries == nil:
		return ""
	case *f.Tries == 0:
		return "That was the last try: the chip takes this number no more."
	case *f.Tries == 1:
		return "The chip allows 1 more try."
	default:
		return fmt.Sprintf("The chip allows %d more tries.", *f.Tries)
	}
}
