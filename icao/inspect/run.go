package inspect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/icao/vn"
)

// Sentinels of [Run]. Each is wrapped in a [*StepError].
var (
	// ErrNoAccess means that the caller gave no key candidate and no CAN.
	ErrNoAccess = errors.New("inspect: no access key given")
	// ErrWrongKey means that the chip refused every candidate. A status word
	// with a number of tries left (63Cx) stays reachable with errors.As.
	ErrWrongKey = errors.New("inspect: the chip refused the access key")
	// ErrAccess means that the chip did not run the access protocol properly.
	ErrAccess = errors.New("inspect: access protocol broken off")
	// ErrNoCAN means that only a card access number was given, and that the chip
	// takes none. [ErrAccess] is wrapped beside it.
	ErrNoCAN = errors.New("inspect: the chip takes no card access number")
	// ErrTooLong comes beside [ErrAccess] or [ErrInterrupted] when a command of PACE
	// failed that does not fit into a short one, as those with keys modulo a prime:
	// the reader, or the chip, does not carry it. PACE has no other way to send it.
	ErrTooLong = errors.New("inspect: a long command failed")
	// ErrNoSecurityObject means that EF.SOD is absent, refused or malformed:
	// nothing on this chip can be verified.
	ErrNoSecurityObject = errors.New("inspect: no usable document security object")
	// ErrInterrupted means that the chip or the secure channel was lost in the
	// middle; the cause is wrapped beside it.
	ErrInterrupted = errors.New("inspect: reading was interrupted")
	// ErrLongAnswers means that reading broke off at one place again and again, however
	// little was asked for: the reader or its driver does not carry long answers, or the
	// card does not get enough power for them. The cause is wrapped beside it.
	ErrLongAnswers = errors.New("inspect: reader or driver breaks long answers off")
	// ErrCopy means that the chip answered chip authentication without the private
	// key: it is a copy, or damaged. The channel is gone with it, and nothing of
	// its personal data was read. It also means that a chip which was opened anew
	// did not prove the key that the first one had proved in PACE: then it is another,
	// and what was read before and after need not belong together.
	ErrCopy = errors.New("inspect: the chip did not prove that it is no copy")
	// ErrNoData means that DG1 could not be read or understood.
	ErrNoData = errors.New("inspect: the chip did not hand out its data")
)

// A Step is a stage of the procedure, for progress and in errors.
type Step string

// The steps in their order.
const (
	StepAccess             Step = "access"
	StepSOD                Step = "ef_sod"
	StepChipAuthentication Step = "chip_authentication"
	StepAuthenticity       Step = "active_authentication"
	StepDG1                Step = "dg1"
	StepDG13               Step = "dg13"
	StepVerify             Step = "passive_authentication"
	StepPhoto              Step = "dg2"
	StepOptional           Step = "optional_files" // with [Config.All] only
)

// A StepError says in which step an inspection ended early.
type StepError struct {
	Step Step
	Err  error
}

// Error names the step; it holds no card data.
func (e *StepError) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Access is what opens the chip: keys from the MRZ, best candidate first, or
// the card access number printed on the document, or both (PACE prefers the CAN).
type Access struct {
	Keys []mrz.Key
	CAN  string
	// Zone is the machine readable zone that is printed on the document, if all of it
	// was read: DG1 has to repeat it, see [KeyBinding]. It opens nothing by itself.
	Zone *mrz.MRZ
}

// Format prints "[redacted]" for every verb.
func (Access) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives "[redacted]".
func (Access) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// maxCandidates bounds how many keys are tried on one chip: some chips slow
// down with every failure (Doc 9303-11, 4.3), and a site never has more.
const maxCandidates = 6

// An Event tells a caller how far an inspection is. It is delivered from the
// goroutine that called [Run], between two exchanges, and must be handled at once.
type Event struct {
	Step    Step
	Done    bool          // false: the step begins; true: it is over
	Elapsed time.Duration // since the step began; zero when it begins or without [Config.Now]
	// Report is set when StepVerify is done: the text is as verified as it will
	// be, and the photo is still to come. It must not be kept or changed.
	Report *Report
}

// A Resetter is a transceiver that can power the chip down and up again. An
// inspection needs one only to fall back from PACE to BAC.
type Resetter interface {
	Reset(ctx context.Context) error
}

// Config says how to inspect. At is required; everything else has a meaning as
// its zero value.
type Config struct {
	At    time.Time   // time of inspection, for every validity
	Trust *trust.Pool // anchors; nil means none, and a trust chain stays undetermined

	// Challenge is RND.IFD of active authentication; nil draws it from Rand.
	// A visit binds it (sync/contract).
	Challenge *[8]byte
	Rand      io.Reader // nil: crypto/rand

	// Photo says whether DG2 is wanted.
	Photo bool
	// ProbeUncovered also asks for a DG15 that the security object does not
	// list: one exchange more, for a diagnosis that says what is wrong with a
	// document. It can never make a check successful.
	ProbeUncovered bool
	// FallBackToBAC permits BAC after PACE was offered and failed; the chip is
	// reset first and the report says so, see [ReasonPACEFailed]. Without it a failed
	// PACE is final.
	FallBackToBAC bool

	Now      func() time.Time // a monotonic clock for timings; nil: no timings
	Progress func(Event)      // nil: nobody listens

	// MaxNe is the most response data in bytes that the reader carries in one
	// APDU. Up to 256, and 0, mean short commands: EF.ATR/INFO is not asked for,
	// and nothing is sent to read a file that a reader without extended length
	// could choke on. More means that the reader carries extended length, which is
	// used if EF.ATR/INFO says that the chip does, up to the smaller of the two
	// (Doc 9303-10, 3.6.4.2); a chip that does not say so gets short commands.
	MaxNe int

	// Learned is what earlier inspections found out about chips of this kind in
	// this reader: an inspection starts from it, and writes back what is known at
	// its end, whatever that end is. It holds no personal data. What one chip says
	// can slow the next ones down and no more, and limits that do not hold any
	// longer are forgotten, on average after sixteen reads. Nil: nothing is known
	// and nothing is kept. It must not be used elsewhere meanwhile.
	Learned *lds.Learned

	// Overlap, if not nil, is called with work of the host that may be done while
	// the chip is busy: verifying signatures and certificates, hashing, taking the
	// photo's record apart. It has work run to its end, once and wherever it likes,
	// and returns at once a function that waits for that; never nil. A goroutine
	// will do:
	//
	//	func(work func()) func() {
	//		done := make(chan struct{})
	//		go func() { defer close(done); work() }()
	//		return func() { <-done }
	//	}
	//
	// All of it is waited for before its outcome is used, shown or reported, and
	// before [Run] returns, in whichever way. The report is the same as without.
	// Nil: the work is done in between.
	Overlap func(work func()) (wait func())

	// All also reads EF.DIR, and after everything else EF.COM and every data group
	// that the security object lists, for a diagnosis: see [OptionalIDs]. DG3 and DG4, and
	// what EF.COM lists alone, are asked for once and never read: their state is
	// what the chip says to that. (DG2 is [Config.Photo]'s.)
	All bool
	// Strict performs the check [Conformity]: every deviation in every file that
	// was read is listed in [Report.Deviations], and any fails it. The other
	// checks, and what is read, stay as they are.
	Strict bool
}

// Run inspects the chip behind t. It returns a report whatever happens, with
// the checks that were not reached left as not performed or aborted, and an
// error only when the procedure could not go to its end: a [*StepError] around
// one of the sentinels. An error is never the way in which a check fails: a
// forged document gives a nil error and failed checks.
//
// ctx is looked at before every exchange. Run uses t from the calling goroutine
// only and leaves the chip's session open; the caller owns t.
func Run(ctx context.Context, t apdu.Transceiver, access Access, cfg *Config) (*Report, error) {
	if cfg == nil || cfg.At.IsZero() {
		return &Report{Key: -1}, errors.New("inspect: no time of inspection given")
	}
	in := &inspection{
		cfg:    *cfg,
		access: access,
		meter:  meter{t: t, limit: maxAccessExchanges},
		r:      &Report{At: cfg.At, Key: -1, Groups: make(map[int]GroupState)},
	}
	if in.cfg.Rand == nil {
		in.cfg.Rand = rand.Reader
	}
	in.resetter, _ = t.(Resetter)
	if cfg.Learned != nil {
		in.known = lasting(*cfg.Learned)
		in.learned = in.known
		defer func() { *cfg.Learned = lasting(in.learned) }()
	}
	err := in.run(ctx)
	in.r.Exchanges, in.r.Sent, in.r.Received = in.meter.exchanges, in.meter.sent, in.meter.received
	return in.r, err
}

// inspection is the state of one Run.
type inspection struct {
	cfg      Config
	access   Access
	meter    meter
	resetter Resetter
	r        *Report

	began    time.Time
	plain    *apdu.Session // the session below ch
	ch       *sm.Channel
	again    func(context.Context) (*sm.Channel, error) // opens the chip as it was opened
	selected bool                                       // PACE only: the application was selected
	inClear  bool                                       // the chip has no access control: everything travels in clear
	reopened int
	// shortened is how often less was asked for after reading broke off at broke.
	shortened int
	broke     breakage
	read      lds.ReadOptions
	learned   lds.Learned
	known     lds.Learned // before this inspection

	pending  []func()                  // waits for work of the host
	outcomes []func()                  // see later
	verified func() passiveauth.Result // waits for passive authentication
	millis   map[ID]float64            // how long the steps took

	sod           *lds.SOD
	offered       []secinfo.PACEInfo // by EF.CardAccess, in the clear
	dg14Malformed bool
	cam           *pace.CAM // the chip's proof, if PACE was run with chip authentication mapping
	cardSecurity  []byte
	cardInfos     secinfo.SecurityInfos // of EF.CardSecurity, once it was found to be signed
	cardInfosRead bool                  // cardInfos are there
	// cardSecurityFailed: the signature of EF.CardSecurity is why the mapping failed.
	cardSecurityFailed bool
	defects            []trust.KnownDefect   // of the signer's documents
	seen               []seenFile            // every file that was read, in strict mode
	infos              secinfo.SecurityInfos // of DG14, once its hash was found to be the signed one
	infosRead          bool                  // infos are there
}

// seenFile is a file as it was read.
type seenFile struct {
	file    lds.File
	content []byte
}

// saw keeps a file for [inspection.conformity].
func (in *inspection) saw(f lds.File, b []byte) {
	if in.cfg.Strict {
		in.seen = append(in.seen, seenFile{f, b})
	}
}

// deviates lists a deviation, once.
func (in *inspection) deviates(what string) {
	if !slices.Contains(in.r.Deviations, what) {
		in.r.Deviations = append(in.r.Deviations, what)
	}
}

func (in *inspection) run(ctx context.Context) error {
	defer in.join()
	err := in.steps(ctx)
	in.settle()
	if in.cfg.Strict && in.sod != nil && err == nil {
		in.conformity()
	}
	in.timings()
	if err == nil {
		in.relearn(ctx)
	}
	return err
}

func (in *inspection) steps(ctx context.Context) error {
	if in.learned.NoExtended {
		in.cfg.MaxNe = min(in.cfg.MaxNe, shortNe)
	}
	in.read.MaxNe = min(in.cfg.MaxNe, shortNe) // 0 is 256 too
	in.read.Learned = &in.learned
	steps := []struct {
		step Step
		do   func(context.Context) error
		// aborts names the checks that stay unanswered when this step breaks off.
		aborts []ID
	}{
		{StepAccess, in.open, []ID{AccessControl}},
		{StepSOD, in.securityObject, []ID{SODSignature, SignerValidity, TrustChain, Revocation}},
		{StepChipAuthentication, in.chipAuthentication, []ID{ChipAuthentication, ChipAuthenticity}},
		{StepAuthenticity, in.activeAuthentication, []ID{ActiveAuthentication, ChipAuthenticity}},
		{StepDG1, in.dg1, []ID{DG1Integrity}},
		{StepDG13, in.dg13, []ID{DG13Integrity}},
		{StepVerify, in.verify, []ID{PassiveAuthentication}},
		{StepPhoto, in.photo, []ID{DG2Integrity}},
		{StepOptional, in.optional, nil},
	}
	for _, s := range steps {
		if s.step == StepPhoto && !in.cfg.Photo || s.step == StepOptional && !in.cfg.All {
			continue
		}
		if s.step == StepChipAuthentication && !in.covers(14) {
			in.r.set(DG14Integrity, result.Check{Value: result.NotSupported, Reason: ReasonNotCovered})
			in.r.set(ChipAuthentication, result.Check{Value: result.NotSupported, Reason: ReasonNotCovered})
			continue
		}
		if s.step == StepDG13 && !in.covers(13) {
			in.r.set(DG13Integrity, result.Check{Value: result.NotSupported, Reason: ReasonNotCovered})
			continue
		}
		in.begin(s.step)
		err := s.do(ctx)
		if err != nil {
			for _, id := range s.aborts {
				if in.r.Check(id).Value == result.NotPerformed {
					in.r.set(id, result.Check{Value: result.Aborted, Reason: ReasonInterrupted})
				}
			}
		}
		in.end(s.step, s.aborts)
		if err != nil {
			return &StepError{Step: s.step, Err: err}
		}
		in.meter.limit = maxExchanges // the chip has opened
	}
	return nil
}

func (in *inspection) begin(s Step) {
	if in.cfg.Now != nil {
		in.began = in.cfg.Now()
	}
	if in.cfg.Progress != nil {
		in.cfg.Progress(Event{Step: s})
	}
}

func (in *inspection) end(s Step, ids []ID) {
	var took time.Duration
	if in.cfg.Now != nil {
		took = in.cfg.Now().Sub(in.began)
		if len(ids) > 0 {
			if in.millis == nil {
				in.millis = make(map[ID]float64)
			}
			in.millis[ids[0]] = float64(took.Microseconds()) / 1000
		}
	}
	if in.cfg.Progress != nil {
		e := Event{Step: s, Done: true, Elapsed: took}
		if s == StepVerify {
			in.timings()
			e.Report = in.r
		}
		in.cfg.Progress(e)
	}
}

// timings writes down how long the steps took, at the check that stands for each;
// some checks are settled after their step.
func (in *inspection) timings() {
	for id, millis := range in.millis {
		if c, ok := in.r.checks[id]; ok {
			c.Millis = millis
		}
	}
}

// securityObject reads EF.SOD. Without it nothing can be verified, so its
// absence ends the procedure.
func (in *inspection) securityObject(ctx context.Context) error {
	b, state, err := in.file(ctx, lds.EFSOD)
	if err != nil {
		return err
	}
	if state != Read {
		in.r.set(SODSignature, result.Check{Value: result.Failed, Reason: stateReason(state)})
		return fmt.Errorf("%w: %s", ErrNoSecurityObject, state)
	}
	in.r.Evidence.SOD = b
	sod, err := lds.ParseSOD(b)
	if err != nil {
		in.r.set(SODSignature, result.Fail(ReasonMalformed))
		return fmt.Errorf("%w: %w", ErrNoSecurityObject, err)
	}
	in.sod = sod
	for dg := range sod.Object.Hashes {
		in.r.Groups[dg] = NotRequested
		if needsTerminal(dg) {
			in.r.Groups[dg] = Denied // to every terminal that cannot authenticate itself, as none here can
		}
	}
	in.verifyCAM()
	return nil
}

func (in *inspection) dg1(ctx context.Context) error {
	b, state, err := in.group(ctx, 1)
	if err != nil {
		return err
	}
	if state != Read {
		in.r.set(DG1Integrity, result.Fail(stateReason(state)))
		return fmt.Errorf("%w: DG1 %s", ErrNoData, state)
	}
	in.r.Evidence.DG1 = b
	in.r.set(DG1Integrity, passiveauth.CheckGroup(in.sod, 1, b))
	m, err := lds.ParseDG1(b)
	if err != nil {
		// The bytes may be what was signed; they still tell nobody who this is.
		if in.r.Check(DG1Integrity).Value == result.Successful {
			in.r.set(DG1Integrity, result.Fail(ReasonMalformed))
		}
		return fmt.Errorf("%w: %w", ErrNoData, err)
	}
	in.r.MRZ = &m
	in.r.set(KeyBinding, in.keyBinding(m))
	in.r.set(CardAccess, in.cardAccess())
	in.r.set(DocumentValidity, documentValidity(m, in.cfg.At))
	in.startVerify(b)
	return nil
}

// startVerify begins passive authentication, which has all it needs with DG1: the
// hashes of the other files are compared one by one. A DG1 that the security object does
// not cover has failed already and stays out of it.
func (in *inspection) startVerify(dg1 []byte) {
	groups := make(map[int][]byte)
	if in.covers(1) {
		groups[1] = dg1
	}
	var res passiveauth.Result
	sod, pool, at := in.sod, in.cfg.Trust, in.cfg.At
	wait := in.beside(func() { res = passiveauth.Verify(sod, groups, pool, at) })
	in.verified = func() passiveauth.Result {
		wait()
		return res
	}
}

// dg13 reads the domestic data. Cards differ in it, and newer ones may
// encrypt it, so a DG13 that cannot be understood never ends the inspection.
func (in *inspection) dg13(ctx context.Context) error {
	b, state, err := in.group(ctx, 13)
	if err != nil {
		return err
	}
	if state != Read {
		c := result.Check{Value: result.NotSupported, Reason: stateReason(state)}
		if state == Unreadable {
			c = result.Fail(ReasonWithheld) // something is handed out in its place
		}
		in.r.set(DG13Integrity, c)
		return nil
	}
	in.r.set(DG13Integrity, passiveauth.CheckGroup(in.sod, 13, b))
	if in.r.MRZ.IssuingState != vn.State || in.r.MRZ.Layout != mrz.TD1 {
		return nil // DG13 belongs to its issuer: on another document it means something else
	}
	d, err := vn.ParseDG13(b)
	if err != nil {
		in.r.Deviations = append(in.r.Deviations, "DG13 is not in the known layout")
		in.r.set(DataConsistency, result.Unknown(ReasonMalformed))
		return nil
	}
	c := consistency(*in.r.MRZ, &d)
	in.r.set(DataConsistency, c)
	if c.Value == result.Successful {
		in.r.DG13 = &d
	}
	return nil
}

// verify is passive authentication of what has been read: host work only.
func (in *inspection) verify(context.Context) error {
	in.settle()
	res := in.verified()
	in.r.set(SODSignature, res.Signature)
	in.r.set(SignerValidity, res.SignerValidity)
	in.r.set(TrustChain, res.Chain)
	in.r.set(Revocation, res.Revocation)
	in.r.set(IssuingState, res.IssuingState)
	in.r.Signer = res.Signer
	if res.Anchor != nil {
		in.r.IssuerSource = res.Anchor.Source
	}
	in.r.Deviations = append(in.r.Deviations, res.Deviations...)
	in.weakSigner(res)
	if in.defects = res.Defects; len(in.defects) > 0 {
		in.applyDefects()
	}
	in.aggregate()
	return nil
}

// aggregate puts passive authentication together from its parts. Files that
// the document does not have do not count; one that was signed and differs does.
func (in *inspection) aggregate() {
	parts := []result.Check{in.r.Check(SODSignature), in.r.Check(SignerValidity), in.r.Check(TrustChain), in.r.Check(IssuingState)}
	if c := in.r.Check(Revocation); c.Value == result.Failed {
		parts = append(parts, c)
	}
	ids := []ID{DG1Integrity, DG13Integrity, DG14Integrity, DG15Integrity, DG2Integrity}
	for _, g := range optionalGroups {
		ids = append(ids, g.id)
	}
	for _, id := range ids {
		c := in.r.Check(id)
		if id != DG1Integrity && (c.Value == result.NotSupported || c.Value == result.NotPerformed) {
			continue
		}
		parts = append(parts, c)
	}
	c := result.Worst(parts...)
	if c.Value == result.Successful {
		c.Algorithm = in.r.Check(SODSignature).Algorithm
	}
	in.r.set(PassiveAuthentication, c)
}

// photo reads DG2, last because it is large. It never fails the inspection,
// except that a chip which is taken away ends it.
func (in *inspection) photo(ctx context.Context) error {
	b, state, err := in.group(ctx, 2)
	if err != nil {
		in.r.PhotoNote = ReasonInterrupted
		return err
	}
	if state != Read {
		in.r.PhotoNote = stateReason(state)
		c := result.Check{Value: result.NotSupported, Reason: stateReason(state)}
		if in.covers(2) {
			// The issuer signed a photo and this chip says that there is none, or that it
			// is something else: a copy in the hands of somebody with another face would
			// do that. It is the chip that says so; an exchange that was lost is an error.
			c = result.Fail(ReasonWithheld)
		}
		in.r.set(DG2Integrity, c)
		in.aggregate()
		return nil
	}
	var c result.Check
	var img *face.Image
	var note result.Reason
	sod := in.sod
	wait := in.beside(func() { c, img, note = judgePhoto(sod, b) })
	in.later(func() {
		wait()
		in.r.set(DG2Integrity, c)
		in.r.Photo, in.r.PhotoNote = img, note
		in.aggregate()
	})
	if !in.cfg.All { // else there are more exchanges to do it beside
		in.settle()
	}
	return nil
}

// judgePhoto compares DG2 with what was signed and takes the photo from it, or
// says why there is none.
func judgePhoto(sod *lds.SOD, dg2 []byte) (result.Check, *face.Image, result.Reason) {
	c := passiveauth.CheckGroup(sod, 2, dg2)
	if c.Value != result.Successful {
		// A picture that nobody signed is not shown: it could be anybody's.
		return c, nil, c.Reason
	}
	d, err := lds.ParseDG2(dg2)
	img, ok := d.Portrait()
	switch {
	case errors.Is(err, face.ErrFormat):
		return c, nil, ReasonFormat
	case err != nil || !ok:
		return c, nil, ReasonMalformed
	}
	return c, &img, ""
}

// covers reports whether the security object has a hash of a data group.
func (in *inspection) covers(dg int) bool {
	_, ok := in.sod.Object.Hashes[dg]
	return ok
}

// group reads a data group and writes down its state.
func (in *inspection) group(ctx context.Context, dg int) ([]byte, GroupState, error) {
	f, _ := lds.DataGroup(dg)
	b, state, err := in.file(ctx, f)
	in.r.Groups[dg] = state
	return b, state, err
}

// file reads one elementary file, if need be in several sessions. A refusal is a
// state; the error is set only when the chip or the channel was lost for good.
func (in *inspection) file(ctx context.Context, f lds.File) ([]byte, GroupState, error) {
	opt := in.read
	b, state, err := in.attempt(ctx,
		func() ([]byte, error) { return lds.ReadFile(ctx, in.doer(), f, &opt) },
		func(e *lds.ReadError) { opt.Resume, opt.MaxNe = e.Partial, in.read.MaxNe })
	if state == Read {
		in.saw(f, b)
	}
	return b, state, err
}

// attempt calls read until it succeeds, the chip has refused, or it is lost for
// good. Between two sessions it calls resume, if that is not nil.
func (in *inspection) attempt(ctx context.Context, read func() ([]byte, error), resume func(*lds.ReadError)) ([]byte, GroupState, error) {
	for {
		b, err := read()
		if err == nil {
			in.passed()
			return b, Read, nil
		}
		absent, denied := errors.Is(err, lds.ErrNoFile), errors.Is(err, lds.ErrAccessDenied)
		if in.lost(err) {
			e, ok := errors.AsType[*lds.ReadError](err)
			if ok && ctx.Err() == nil {
				if long := in.shorten(e); long != nil {
					return nil, Unreadable, fmt.Errorf("%w: %w: %w", ErrInterrupted, long, err)
				}
			}
			if again := in.reopen(ctx); again != nil {
				return nil, Unreadable, unopened(again, err)
			}
			if ok && !absent && !denied {
				if resume != nil {
					resume(e)
				}
				continue
			}
		}
		switch {
		case absent:
			return nil, Absent, nil
		case denied:
			return nil, Denied, nil
		default:
			return nil, Unreadable, nil
		}
	}
}

// lost reports whether err means that the chip, the channel to it or the
// caller's patience is gone, as opposed to an answer that we do not like.
func (in *inspection) lost(err error) bool {
	return in.meter.err != nil || errors.Is(err, sm.ErrBroken) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func stateReason(s GroupState) result.Reason {
	switch s {
	case Absent:
		return ReasonAbsent
	case Denied:
		return ReasonDenied
	default:
		return ReasonUnreadable
	}
}

const (
	// maxExchanges bounds one inspection. The largest document that is read, a
	// photo of a mebibyte in pieces of 223 bytes, takes fewer.
	maxExchanges = 5000

	// maxAccessExchanges bounds what comes before the chip has opened. The files
	// of the master file take a handful, and the slowest protocol ten for each
	// key: whoever makes it last longer only holds up the desk.
	maxAccessExchanges = 500
)

var errEndless = errors.New("inspect: the chip does not come to an end")

// meter counts what goes over the wire and remembers that the wire broke.
type meter struct {
	t              apdu.Transceiver
	limit          int // of exchanges
	exchanges      int
	sent, received int
	err            error
	extended       bool // the last command had extended length fields
}

// Transmit implements [apdu.Transceiver].
func (m *meter) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if m.exchanges >= m.limit {
		m.err = errEndless
		return nil, m.err
	}
	m.exchanges++
	m.sent += len(cmd)
	m.extended = len(cmd) > 5 && cmd[4] == 0
	resp, err := m.t.Transmit(ctx, cmd)
	m.received += len(resp)
	if err != nil {
		m.err = err
	}
	return resp, err
}
