package fault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// exits is the documented table. Scripts depend on it: entries are only added.
var exits = map[fault.Code]int{
	"internal": 1, "usage": 2,
	"dg1_altered": 10, "dg13_altered": 11, "security_object_invalid": 12, "signer_expired": 13, "issuer_unknown": 14,
	"chip_copied": 15, "wrong_key": 16, "card_removed": 17, "photo_altered": 18, "document_expired": 19,
	"data_mismatch": 20, "issuer_invalid": 21, "signer_revoked": 22, "not_verified": 23, "access_refused": 24,
	"card_unreadable": 25, "no_security_object": 26, "key_blocked": 34, "weak_algorithm": 35, "other_document": 27, "photo_withheld": 28, "offer_altered": 29,
	"bad_mrz": 30, "bad_qr": 31, "bad_can": 32, "no_can": 36, "card_security_invalid": 33,
	"no_pcsc_service": 40, "no_reader": 41, "no_card": 42, "reader_busy": 43, "reader_hung": 44, "limits_full": 45, "reader_too_short": 46, "reader_breaks_off": 47,
	"store_newer": 50, "store_locked": 51, "store_damaged": 52, "cannot_record": 53, "bad_key_file": 54,
	"data_exposed": 55, "visit_damaged": 56, "store_trouble": 57, "not_recorded": 58, "perhaps_recorded": 59,
	"central_unreachable": 60, "visit_rejected": 61, "visit_waiting": 62, "bad_central_address": 63,
	"central_refuses": 64, "central_untrusted": 65, "central_full": 66, "central_silent": 67, "central_malformed": 68, "visit_too_large": 69, "visit_foreign": 71,
	"bad_trust_file": 70, "trust_refused": 72, "trust_damaged": 73, "trust_exposed": 74, "trust_attention": 75, "trust_unusable": 76, "evidence_invalid": 77, "bad_export_file": 78, "audit_broken": 79,
	"keyring_trouble": 80, "data_erased": 81, "visits_unsent": 82, "enrolment_refused": 83, "enrolment_later": 84,
	"bundle_refused": 98, "config_invalid": 90, "policy_exposed": 91, "port_in_use": 92, "service_trouble": 93, "training_refused": 94, "abandoned": 85, "person_mismatch": 86, "bad_input": 87, "operator_required": 88, "means_refused": 89, "doctor_found": 99, "cancelled": 130,
}

func TestAll(t *testing.T) {
	kinds := map[fault.Kind]bool{fault.Refuse: true, fault.Unsure: true, fault.Retry: true, fault.Input: true, fault.System: true, fault.Wait: true}
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	codes, statuses, causes := map[fault.Code]bool{}, map[int]fault.Code{}, map[string]fault.Code{}
	for _, i := range fault.All() {
		if codes[i.Code] {
			t.Errorf("%s is listed twice", i.Code)
		}
		codes[i.Code] = true
		if other, taken := statuses[i.Exit]; taken {
			t.Errorf("%s and %s share exit status %d", i.Code, other, i.Exit)
		}
		statuses[i.Exit] = i.Code
		if other, taken := causes[i.Cause]; taken {
			t.Errorf("%s and %s share a sentence", i.Code, other)
		}
		causes[i.Cause] = i.Code
		if want, known := exits[i.Code]; !known || i.Exit != want {
			t.Errorf("%s: exit status %d, documented is %d", i.Code, i.Exit, want)
		}
		if i.Exit < 1 || i.Exit > 130 || i.Exit == 126 || i.Exit == 127 || !name.MatchString(string(i.Code)) || !kinds[i.Kind] {
			t.Errorf("%s: exit status %d, kind %q", i.Code, i.Exit, i.Kind)
		}
		for _, s := range []string{i.Cause, i.Remedy} {
			if r := []rune(s); len(r) < 12 || !unicode.IsUpper(r[0]) || r[len(r)-1] != '.' || strings.Contains(s, "  ") {
				t.Errorf("%s: %q is no sentence", i.Code, s)
			}
		}
		if got := fault.About(i.Code); got != i {
			t.Errorf("About(%s) = %+v", i.Code, got)
		}
		f := fault.New(i.Code, nil)
		if f.Error() != string(i.Code) || f.Sentence() != i.Cause+" "+i.Remedy || f.Unwrap() != nil {
			t.Errorf("New(%s, nil): %q, %q", i.Code, f.Error(), f.Sentence())
		}
	}
	for code := range exits {
		if !codes[code] {
			t.Errorf("%s has gone", code)
		}
	}
	if got := fault.About("of tomorrow").Code; got != fault.Internal {
		t.Errorf("an unknown code is %s", got)
	}
	fault.All()[0].Exit = 99
	if fault.About(fault.Internal).Exit != 1 {
		t.Error("callers can change the table")
	}
}

// deep wraps an error as packages do on the way up.
func deep(err error) error {
	err = fmt.Errorf("put: %w", err)
	err = errors.Join(errors.New("and the other thing"), err)
	return &inspect.StepError{Step: inspect.StepDG1, Err: fmt.Errorf("a: %w: %w", errors.New("b"), err)}
}

func TestSentinels(t *testing.T) {
	// What each error of another package means, as far as it can reach a person.
	want := map[error]fault.Code{
		reader.ErrCardRemoved: fault.CardRemoved, reader.ErrNoService: fault.NoService, reader.ErrAccess: fault.NoService,
		reader.ErrNoReader: fault.NoReader, reader.ErrNoCard: fault.NoCard, reader.ErrSharing: fault.ReaderBusy,
		reader.ErrCardReset: fault.ReaderBusy, reader.ErrTimeout: fault.ReaderHung, reader.ErrCardMute: fault.CardUnreadable,
		reader.ErrCardUnsupported: fault.CardUnreadable, reader.ErrComm: fault.CardUnreadable,
		inspect.ErrLongAnswers: fault.LongAnswers,
		reader.ErrHubClosed:    fault.Cancelled, reader.ErrLimitsFull: fault.LimitsFull,
		store.ErrNewerSchema: fault.StoreNewer, store.ErrLocked: fault.StoreLocked, store.ErrCorrupt: fault.StoreDamaged,
		store.ErrFull: fault.CannotRecord, store.ErrUncertain: fault.PerhapsSaved, checkin.ErrNotRecorded: fault.NotRecorded, checkin.ErrAbandoned: fault.Abandoned, checkin.ErrMismatch: fault.PersonMismatch,
		checkin.ErrOperator: fault.OperatorRequired, checkin.ErrInput: fault.BadInput, checkin.ErrCAN: fault.BadCAN, outbox.ErrDamaged: fault.VisitDamaged,
		store.ErrWrongKey: fault.BadKeyFile, seal.ErrKeyFileOpen: fault.BadKeyFile, seal.ErrKeyFileInvalid: fault.BadKeyFile, agent.ErrIdentity: fault.BadKeyFile,
		seal.ErrNoKeyring: fault.KeyringTrouble, seal.ErrKeyringLocked: fault.KeyringTrouble, seal.ErrKeyringInvalid: fault.BadKeyFile,
		agent.ErrErased: fault.DataErased, agent.ErrKeySource: fault.BadKeyFile, agent.ErrUnsent: fault.VisitsUnsent,
		agent.ErrDamagedVisits: fault.VisitDamaged, agent.ErrUnknownData: fault.StoreNewer,
		agent.ErrKeyMissing: fault.BadKeyFile, agent.ErrExposed: fault.DataExposed, uplink.ErrRefused: fault.CentralRefuses,
		enrol.ErrFile: fault.BadKeyFile, enrol.ErrFingerprint: fault.Usage, uplink.ErrUntrusted: fault.CentralUntrusted,
		uplink.ErrPlaintext: fault.BadAddress, uplink.ErrAddress: fault.BadAddress, uplink.ErrOffline: fault.CentralUnreachable, uplink.ErrNoAnswer: fault.CentralUnreachable,
		inspect.ErrWrongKey: fault.WrongKey, inspect.ErrAccess: fault.AccessRefused, inspect.ErrNoCAN: fault.NoCAN, inspect.ErrTooLong: fault.ReaderShort, inspect.ErrCopy: fault.ChipCopied, inspect.ErrNoSecurityObject: fault.NoSecurityObject,
		inspect.ErrNoData: fault.CardUnreadable, inspect.ErrInterrupted: fault.CardUnreadable,
		truststore.ErrNewer: fault.StoreNewer, truststore.ErrDamaged: fault.TrustDamaged, truststore.ErrExposed: fault.TrustExposed, truststore.ErrAccess: fault.TrustUnusable,
		truststore.ErrRefused: fault.TrustRefused, truststore.ErrUnreadable: fault.BadTrust, truststore.ErrRoot: fault.BadTrust,
		config.ErrInvalid: fault.ConfigInvalid, config.ErrExposed: fault.PolicyExposed,
		agent.ErrBundle: fault.BundleRefused, agent.ErrPort: fault.PortInUse, agent.ErrTraining: fault.TrainingRefused, agent.ErrProxy: fault.CentralUnreachable,
		policy.ErrWeak: fault.WeakAlgorithm, audit.ErrBroken: fault.AuditBroken, vn.ErrQR: fault.BadQR, vn.ErrTooLong: fault.BadQR,
		context.Canceled: fault.Cancelled, context.DeadlineExceeded: fault.ReaderHung,
	}
	errs, codes := fault.Sentinels()
	for i, err := range errs {
		code, ok := want[err]
		if !ok || codes[i] != code {
			t.Errorf("%v: %s, want %q", err, codes[i], code)
		}
	}
	if len(errs) != len(want) {
		t.Errorf("%d errors are known, want %d", len(errs), len(want))
	}
	for err, code := range want {
		for _, e := range []error{err, deep(err)} {
			f := fault.Classify(e)
			if f.Code != code {
				t.Errorf("%v: got %s, want %s", e, f.Code, code)
			}
			if !errors.Is(f, err) || f.Detail != e.Error() {
				t.Errorf("%v: the cause is lost", e)
			}
			if f.Exit != fault.About(code).Exit {
				t.Errorf("%v: exit status %d", e, f.Exit)
			}
		}
	}
}

// TestMixed: of several causes in one error the one that a person can do
// something about.
func TestMixed(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want fault.Code
	}{
		{"nothing known", errors.New("flux capacitor"), fault.Internal},
		{"an error of the system", os.ErrNotExist, fault.Internal},
		{"a number for a chip that takes none", fmt.Errorf("%w: %w: %w", inspect.ErrAccess, inspect.ErrNoCAN, apdu.ReferencedDataNotFound), fault.NoCAN},
		{"such a number, and then the card left", fmt.Errorf("%w: %w", inspect.ErrNoCAN, reader.ErrCardRemoved), fault.CardRemoved},
		{"a long command that the reader did not carry", fmt.Errorf("%w: %w: %w", inspect.ErrInterrupted, inspect.ErrTooLong, reader.ErrComm), fault.ReaderShort},
		{"a long command, and the card left", fmt.Errorf("%w: %w: %w", inspect.ErrInterrupted, inspect.ErrTooLong, reader.ErrCardRemoved), fault.CardRemoved},
		{"wrong key, and then the card left", fmt.Errorf("%w: %w", inspect.ErrWrongKey, reader.ErrCardRemoved), fault.CardRemoved},
		{"card left", fmt.Errorf("%w: %w", inspect.ErrInterrupted, reader.ErrCardRemoved), fault.CardRemoved},
		{"Ctrl-C while reading", fmt.Errorf("%w: %w", inspect.ErrInterrupted, context.Canceled), fault.Cancelled},
		{"a way that the site does not take", policy.Decision{Outcome: policy.Refuse, Reasons: []policy.Reason{{Outcome: policy.Refuse, Means: "manual"}}}.Err(), fault.MeansRefused},
		{"Ctrl-C while recording", fmt.Errorf("%w: %w", checkin.ErrNotRecorded, context.Canceled), fault.Cancelled},
		{"time is up while reading", fmt.Errorf("%w: %w", inspect.ErrInterrupted, context.DeadlineExceeded), fault.ReaderHung},
		{"reader hung", fmt.Errorf("%w: %w", inspect.ErrInterrupted, reader.ErrTimeout), fault.ReaderHung},
		{"disk full", fmt.Errorf("%w: %w", checkin.ErrNotRecorded, store.ErrFull), fault.CannotRecord},
		{"refused message", fmt.Errorf("%w: %w", checkin.ErrNotRecorded, errors.New("contract: too long")), fault.NotRecorded},
		{"damaged while recording", fmt.Errorf("%w: %w", checkin.ErrNotRecorded, store.ErrCorrupt), fault.StoreDamaged},
		{"MRZ", parseError(mrz.Parse("X")), fault.BadMRZ},
		{"MRZ, deep", deep(parseError(mrz.Parse("X"))), fault.BadMRZ},
		{"QR field", parseError(vn.ParseCCCDQR("1|2|3|4|5|6|7")), fault.BadQR},
		{"QR field, deep", deep(parseError(vn.ParseCCCDQR("1|2|3|4|5|6|7"))), fault.BadQR},
		{"a fault keeps its code", deep(fault.New(fault.BadCAN, reader.ErrNoCard)), fault.BadCAN},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.err == nil {
				t.Fatal("there is no error")
			}
			if got := fault.Classify(tt.err); got.Code != tt.want {
				t.Errorf("got %s, want %s", got.Code, tt.want)
			}
		})
	}
	if f := fault.Classify(nil); f != nil {
		t.Errorf("no error is %v", f)
	}
}

func parseError[T any](_ T, err error) error { return err }

func TestChecks(t *testing.T) {
	type key struct {
		id inspect.ID
		v  result.Value
	}
	want := map[key]fault.Code{
		{inspect.AccessControl, result.Failed}:        fault.WrongKey,
		{inspect.SODSignature, result.Failed}:         fault.SecurityObjectInvalid,
		{inspect.SignerValidity, result.Failed}:       fault.SignerExpired,
		{inspect.TrustChain, result.Failed}:           fault.IssuerInvalid,
		{inspect.TrustChain, result.Undetermined}:     fault.IssuerUnknown,
		{inspect.Revocation, result.Failed}:           fault.SignerRevoked,
		{inspect.IssuingState, result.Failed}:         fault.IssuerInvalid,
		{inspect.DG1Integrity, result.Failed}:         fault.DG1Altered,
		{inspect.DG13Integrity, result.Failed}:        fault.DG13Altered,
		{inspect.DG14Integrity, result.Failed}:        fault.ChipCopied,
		{inspect.DG15Integrity, result.Failed}:        fault.ChipCopied,
		{inspect.DG2Integrity, result.Failed}:         fault.PhotoAltered,
		{inspect.ChipAuthenticity, result.Failed}:     fault.ChipCopied,
		{inspect.PACECAM, result.Failed}:              fault.CardSecurityInvalid, // but see TestChipWithoutKey
		{inspect.ChipAuthentication, result.Failed}:   fault.ChipCopied,
		{inspect.ActiveAuthentication, result.Failed}: fault.ChipCopied,
		{inspect.KeyBinding, result.Failed}:           fault.OtherDocument,
		{inspect.CardAccess, result.Failed}:           fault.OfferAltered,
		{inspect.DataConsistency, result.Failed}:      fault.DataMismatch,
		{inspect.DocumentValidity, result.Failed}:     fault.DocumentExpired,
	}
	for _, id := range append(inspect.IDs(), "a check of tomorrow") {
		for v := result.NotPerformed; v <= result.Aborted+1; v++ {
			if v == result.Successful {
				continue
			}
			code, named := want[key{id, v}]
			if !named {
				code = fault.NotVerified
			}
			got := fault.Classify(deep(&inspect.CheckError{ID: id, Check: result.Check{Value: v, Reason: "why"}}))
			if got.Code != code {
				t.Errorf("%s %v: got %s, want %s", id, v, got.Code, code)
			}
			if v == result.Undetermined && got.Kind == fault.Refuse {
				t.Errorf("%s %v is called a forgery", id, v)
			}
			if v == result.Failed && named && got.Kind == fault.Unsure {
				t.Errorf("%s %v is called unsure", id, v)
			}
		}
	}
	for id, m := range fault.Checks() {
		for v, code := range m {
			if want[key{id, v}] != code {
				t.Errorf("%s %v: %s is not expected here", id, v, code)
			}
		}
	}
	withheld := &inspect.CheckError{ID: inspect.DG2Integrity, Check: result.Fail(inspect.ReasonWithheld)}
	if got := fault.Classify(withheld); got.Code != fault.PhotoWithheld {
		t.Errorf("a photo that is kept back: %s", got.Code)
	}
	if got := fault.Classify(&inspect.CheckError{}); got.Code != fault.NotVerified {
		t.Errorf("a decision that nobody made: %s", got.Code)
	}
}

// TestOfLink: whatever keeps visits waiting has a name, and only the absence of
// trouble is called none.
func TestOfLink(t *testing.T) {
	want := map[uplink.Trouble]fault.Code{
		uplink.NoTrouble: fault.VisitWaiting, uplink.Unreachable: fault.CentralUnreachable, uplink.ServerRestarts: fault.CentralUnreachable,
		uplink.TLSTrouble: fault.CentralUntrusted, uplink.Unauthorized: fault.CentralRefuses, uplink.NoService: fault.CentralSilent,
		uplink.ServerFull: fault.CentralFull, uplink.TooLarge: fault.VisitTooLarge, uplink.StoreTrouble: fault.StoreTrouble,
		uplink.Malformed: fault.CentralMalformed, uplink.Foreign: fault.VisitForeign, "of tomorrow": fault.CentralUnreachable,
	}
	for trouble, code := range want {
		if got := fault.OfLink(uplink.State{Online: true, Last: trouble}); got != code {
			t.Errorf("%q: %s, want %s", trouble, got, code)
		}
	}
	if got := fault.OfLink(uplink.State{}); got != fault.CentralUnreachable {
		t.Errorf("offline without a reason: %s", got)
	}
}

func TestChipWithoutKey(t *testing.T) {
	err := &inspect.CheckError{ID: inspect.PACECAM, Check: result.Check{Value: result.Failed, Reason: chipauth.ReasonNotProved}}
	if got := fault.Classify(deep(err)); got.Code != fault.ChipCopied {
		t.Errorf("got %s", got.Code)
	}
}

func TestTriesLeft(t *testing.T) {
	for _, tt := range []struct {
		sw    apdu.Status
		tries int // -1: not told
		want  string
	}{
		{0x63C2, 2, "The chip allows 2 more tries."},
		{0x63C1, 1, "The chip allows 1 more try."},
		{0x63C0, 0, "That was the last try: the chip takes this number no more."},
		{0x6300, -1, ""},
		{0x6982, -1, ""},
	} {
		f := fault.Classify(deep(fmt.Errorf("%w: %w", inspect.ErrWrongKey, tt.sw)))
		tries := -1
		if f.Tries != nil {
			tries = *f.Tries
		}
		if f.Code != fault.WrongKey || tries != tt.tries || f.TriesSentence() != tt.want || !strings.Contains(f.Sentence(), tt.want) {
			t.Errorf("%04x: %s, %d tries, %q", uint16(tt.sw), f.Code, tries, f.Sentence())
		}
	}
	// A count in another error is not that of a key.
	if f := fault.Classify(fmt.Errorf("%w: %w", inspect.ErrNoData, apdu.Status(0x63C2))); f.Tries != nil {
		t.Errorf("%s has %d tries", f.Code, *f.Tries)
	}
	if f := fault.Classify(deep(fmt.Errorf("%w: %w", inspect.ErrAccess, apdu.AuthenticationMethodBlocked))); f.Code != fault.KeyBlocked {
		t.Errorf("a blocked key is %s", f.Code)
	}
}
