package fault

import (
	"context"
	"errors"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// sentinels maps errors to codes, the most telling first: a wrong key that was
// found over a card which then left is still a card that left.
var sentinels = []struct {
	err  error
	code Code
}{
	{checkin.ErrAbandoned, Abandoned},
	{checkin.ErrMismatch, PersonMismatch},
	{checkin.ErrOperator, OperatorRequired},
	{checkin.ErrInput, BadInput},
	{checkin.ErrCAN, BadCAN},
	{reader.ErrCardRemoved, CardRemoved},
	{context.Canceled, Cancelled}, // whatever else it broke off
	{reader.ErrHubClosed, Cancelled},
	{reader.ErrNoService, NoService},
	{reader.ErrAccess, NoService},
	{reader.ErrNoReader, NoReader},
	{reader.ErrNoCard, NoCard},
	{reader.ErrSharing, ReaderBusy},
	{inspect.ErrLongAnswers, LongAnswers}, // whatever broke off last
	{reader.ErrTimeout, ReaderHung},
	{reader.ErrCardReset, ReaderBusy},
	{inspect.ErrTooLong, ReaderShort}, // whatever the reader said about it
	{reader.ErrCardMute, CardUnreadable},
	{reader.ErrCardUnsupported, CardUnreadable},
	{reader.ErrComm, CardUnreadable},
	{reader.ErrLimitsFull, LimitsFull},

	{audit.ErrBroken, AuditBroken},
	{store.ErrNewerSchema, StoreNewer},
	{store.ErrLocked, StoreLocked},
	{store.ErrCorrupt, StoreDamaged},
	{store.ErrWrongKey, BadKeyFile},
	{seal.ErrKeyFileOpen, BadKeyFile},
	{seal.ErrKeyFileInvalid, BadKeyFile},
	{seal.ErrNoKeyring, KeyringTrouble},
	{seal.ErrKeyringLocked, KeyringTrouble},
	{seal.ErrKeyringInvalid, BadKeyFile},
	{agent.ErrErased, DataErased}, // which is a missing key as well
	{agent.ErrIdentity, BadKeyFile},
	{agent.ErrKeyMissing, BadKeyFile},
	{agent.ErrKeySource, BadKeyFile},
	{agent.ErrUnsent, VisitsUnsent},
	{agent.ErrDamagedVisits, VisitDamaged},
	{agent.ErrUnknownData, StoreNewer},
	{agent.ErrExposed, DataExposed},
	{outbox.ErrDamaged, VisitDamaged},
	{store.ErrUncertain, PerhapsSaved},
	{store.ErrFull, CannotRecord},
	{checkin.ErrNotRecorded, NotRecorded},

	{enrol.ErrFile, BadKeyFile},
	{enrol.ErrFingerprint, Usage},
	{uplink.ErrUntrusted, CentralUntrusted},
	{uplink.ErrPlaintext, BadAddress},
	{uplink.ErrAddress, BadAddress},
	{uplink.ErrOffline, CentralUnreachable},
	{uplink.ErrNoAnswer, CentralUnreachable},
	{uplink.ErrRefused, CentralRefuses},

	{context.DeadlineExceeded, ReaderHung}, // only reading a card has a time limit that ends it
	{inspect.ErrWrongKey, WrongKey},
	{inspect.ErrNoCAN, NoCAN}, // beside ErrAccess
	{inspect.ErrAccess, AccessRefused},
	{inspect.ErrCopy, ChipCopied},
	{inspect.ErrNoSecurityObject, NoSecurityObject},
	{inspect.ErrNoData, CardUnreadable},
	{inspect.ErrInterrupted, CardUnreadable},
	{policy.ErrWeak, WeakAlgorithm},

	{truststore.ErrNewer, StoreNewer},
	{truststore.ErrDamaged, TrustDamaged},
	{truststore.ErrExposed, TrustExposed},
	{truststore.ErrAccess, TrustUnusable},
	{truststore.ErrRefused, TrustRefused},
	{truststore.ErrUnreadable, BadTrust},
	{truststore.ErrRoot, BadTrust},

	{config.ErrInvalid, ConfigInvalid},
	{config.ErrExposed, PolicyExposed},
	{agent.ErrBundle, BundleRefused},
	{agent.ErrPort, PortInUse},
	{agent.ErrTraining, TrainingRefused},
	{agent.ErrProxy, CentralUnreachable},

	{vn.ErrQR, BadQR},
	{vn.ErrTooLong, BadQR},
}

// checks maps a required check that was not successful to the code that names
// the cause. A value that is not listed is [NotVerified].
var checks = map[inspect.ID]map[result.Value]Code{
	inspect.AccessControl:        {result.Failed: WrongKey},
	inspect.SODSignature:         {result.Failed: SecurityObjectInvalid},
	inspect.SignerValidity:       {result.Failed: SignerExpired},
	inspect.TrustChain:           {result.Failed: IssuerInvalid, result.Undetermined: IssuerUnknown},
	inspect.Revocation:           {result.Failed: SignerRevoked},
	inspect.IssuingState:         {result.Failed: IssuerInvalid},
	inspect.DG1Integrity:         {result.Failed: DG1Altered},
	inspect.DG13Integrity:        {result.Failed: DG13Altered},
	inspect.DG14Integrity:        {result.Failed: ChipCopied},
	inspect.DG15Integrity:        {result.Failed: ChipCopied},
	inspect.DG2Integrity:         {result.Failed: PhotoAltered},
	inspect.PACECAM:              {result.Failed: CardSecurityInvalid},
	inspect.ChipAuthentication:   {result.Failed: ChipCopied},
	inspect.ActiveAuthentication: {result.Failed: ChipCopied},
	inspect.ChipAuthenticity:     {result.Failed: ChipCopied},
	inspect.KeyBinding:           {result.Failed: OtherDocument},
	inspect.CardAccess:           {result.Failed: OfferAltered},
	inspect.DataConsistency:      {result.Failed: DataMismatch},
	inspect.DocumentValidity:     {result.Failed: DocumentExpired},
}

// troubles maps what keeps the link from working to codes; what is not listed
// is [CentralUnreachable].
var troubles = map[uplink.Trouble]Code{
	uplink.TLSTrouble:   CentralUntrusted,
	uplink.Unauthorized: CentralRefuses,
	uplink.NoService:    CentralSilent,
	uplink.ServerFull:   CentralFull,
	uplink.TooLarge:     VisitTooLarge,
	uplink.StoreTrouble: StoreTrouble,
	uplink.Malformed:    CentralMalformed,
	uplink.Foreign:      VisitForeign,
}

// OfLink returns the code for visits that wait: why the link does not take
// them, or [VisitWaiting] when it has no trouble.
func OfLink(s uplink.State) Code {
	switch code, known := troubles[s.Last]; {
	case known:
		return code
	case s.Last == uplink.NoTrouble && s.Online:
		return VisitWaiting
	default:
		return CentralUnreachable
	}
}

// Classify turns any error into a [Fault]; nil stays nil. An error that is one
// already, however deep, keeps its code. What nobody knows is [Internal].
func Classify(err error) *Fault {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if errors.Is(err, policy.ErrMeans) { // which is the error of a check as well
		return New(MeansRefused, err)
	}
	if c, ok := errors.AsType[*inspect.CheckError](err); ok {
		if c.ID == inspect.DG2Integrity && c.Check.Reason == inspect.ReasonWithheld {
			return New(PhotoWithheld, err)
		}
		// A chip without the key is a copy; a key without its issuer's signature
		// is another matter.
		if c.ID == inspect.PACECAM && c.Check.Value == result.Failed && c.Check.Reason == chipauth.ReasonNotProved {
			return New(ChipCopied, err)
		}
		code, known := checks[c.ID][c.Check.Value]
		if !known {
			code = NotVerified
		}
		return New(code, err)
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			code := s.code
			sw, _ := errors.AsType[apdu.Status](err)
			if code == AccessRefused && sw == apdu.AuthenticationMethodBlocked {
				code = KeyBlocked
			}
			f := New(code, err)
			if n, told := sw.Retries(); told && code == WrongKey {
				f.Tries = &n
			}
			return f
		}
	}
	if e, ok := errors.AsType[*uplink.EnrolError](err); ok {
		if e.Reason == contract.EnrolBusy {
			return New(EnrolLater, err)
		}
		return New(EnrolRefused, err)
	}
	if _, ok := errors.AsType[*mrz.Error](err); ok {
		return New(BadMRZ, err)
	}
	if _, ok := errors.AsType[*vn.FieldError](err); ok {
		return New(BadQR, err)
	}
	return New(Internal, err)
}
