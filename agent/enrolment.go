package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// A WaitingError reports visits that the insurer has not accepted yet in a directory
// that is to be enrolled. Nothing was asked and nothing was changed.
type WaitingError struct{ Visits int }

// Error tells how many there are.
func (e *WaitingError) Error() string { return fmt.Sprintf("agent: %d visits wait", e.Visits) }

// Enrol asks the central service to take a data directory for an agent's, and
// keeps the answer in it. It makes directory and key when there are none; Signer
// in r is ignored. An enrolment that is there is replaced. The next [Open] uses
// it. Errors are those of [enrol.Ask], of the files and of [Identity].
//
// A visit is signed for one facility, with one key. So while visits wait in the
// directory that the insurer has not accepted, it is a [*WaitingError]: send them
// first. Nobody but the central service knows which facility a code is for, and
// once it has said so the old enrolment is worth nothing any more. No agent may run
// in the directory.
//
// The audit trail says who enrolled it. A directory that was never opened has none,
// and where its key is to be only the next [Open] knows, which therefore notes it.
func Enrol(ctx context.Context, dir string, r enrol.Request) (*enrol.Enrolment, error) {
	e, _, err := enrolled(ctx, dir, r, false)
	return e, err
}

// EnrolKeeping does what [Enrol] does also while visits wait. If the code is for the
// same facility, and the directory still has its key, they are sent under the new
// enrolment. Otherwise they are foreign to it: so many are returned as foreign. They
// stay in the queue, where they keep nothing from being sent ([uplink.Foreign]),
// until the directory is enrolled for their facility again.
func EnrolKeeping(ctx context.Context, dir string, r enrol.Request) (e *enrol.Enrolment, foreign int, err error) {
	return enrolled(ctx, dir, r, true)
}

func enrolled(ctx context.Context, dir string, r enrol.Request, keep bool) (_ *enrol.Enrolment, foreign int, err error) {
	if err := MakeDir(dir); err != nil {
		return nil, 0, err
	}
	if err := checkDir(dir, identityFile); err != nil {
		return nil, 0, err
	}
	var q *outbox.Queue
	var trail *audit.Log
	if used, err := Used(dir); err != nil {
		return nil, 0, err
	} else if used {
		// Held until all is done: no agent records a visit meanwhile.
		var st *store.Store
		if q, trail, st, err = OpenTrail(dir); err != nil {
			return nil, 0, err
		}
		defer func() { err = errors.Join(err, st.Close()) }()
		switch n, err := unaccepted(ctx, q, ""); {
		case err != nil:
			return nil, 0, err
		case n > 0 && !keep:
			return nil, 0, &WaitingError{n}
		}
	}
	i, err := openIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, 0, err
	}
	r.Signer = i
	e, err := enrol.Ask(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	if trail != nil {
		if err := trail.Append(ctx, enrolledEntry(operatorName(), e)); err != nil {
			return nil, 0, err
		}
	}
	if err := enrol.Save(dir, e); err != nil || q == nil {
		return e, 0, err
	}
	own, err := contract.VisitSubject(e.Facility, e.Agent)
	if err == nil {
		foreign, err = unaccepted(ctx, q, own)
	}
	return e, foreign, err
}

// enrolledEntry is what the trail says of an enrolment.
func enrolledEntry(actor string, e *enrol.Enrolment) audit.Entry {
	return audit.Entry{
		Actor: actor, Action: audit.AgentEnrolled, Object: e.Agent,
		Note: "facility " + e.Facility + ", " + e.At.UTC().Format(time.RFC3339),
	}
}

// operatorName is who runs this process.
func operatorName() string {
	if u, err := user.Current(); err == nil && u.Username != "" && len(u.Username) <= 64 {
		return strings.ToValidUTF8(u.Username, "?")
	}
	return "unknown"
}

// noteEnrolment notes an enrolment that is older than the trail, unless the trail
// has one near its beginning.
func (a *Agent) noteEnrolment(ctx context.Context, e *enrol.Enrolment) error {
	const beginning = 50
	entries, err := a.audit.List(ctx, 0, beginning)
	noted := func(e audit.Entry) bool { return e.Action == audit.AgentEnrolled }
	if err != nil || len(entries) == beginning || slices.ContainsFunc(entries, noted) {
		return err
	}
	return a.audit.Append(ctx, enrolledEntry("agent", e))
}

// unaccepted counts the visits that the insurer has not accepted, but for those of a
// subject. One that cannot be read is counted: nobody knows whose it is.
func unaccepted(ctx context.Context, q *outbox.Queue, but string) (int, error) {
	n := 0
	for after := uint64(0); ; {
		page, err := q.List(ctx, 0, after, 500)
		if err != nil || len(page) == 0 {
			return n, err
		}
		for _, i := range page {
			after = i.Seq
			if i.State != outbox.Accepted && (but == "" || i.Subject != but) {
				n++
			}
		}
	}
}

// Enrolled returns the enrolment of a data directory, nil for none. Errors are
// [enrol.ErrFile] and those of the files.
func Enrolled(dir string) (*enrol.Enrolment, error) {
	if ok, err := enrol.Exists(dir); !ok {
		return nil, err
	}
	if err := checkDir(dir, identityFile); err != nil {
		return nil, err
	}
	i, err := readOnlyIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, err
	}
	return enrol.Load(dir, i.public)
}

// readOnlyIdentity opens an identity that is there: an enrolment without its key
// is worth nothing, and a new key would not be the one.
func readOnlyIdentity(path string) (*identity, error) {
	if _, err := readIdentity(path); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrKeyMissing
	} else if err != nil {
		return nil, err
	}
	return openIdentity(path)
}

// link says where the central service is and how the agent proves who it is: by
// its enrolment if it has one, which then also says for which facility it speaks
// and whose lists it believes; else by its key alone, as in a demonstration.
func (a *Agent) link() (uplink.Credentials, error) {
	if a.cfg.Server != nil {
		url, err := a.cfg.Server(a.signer.public)
		if err != nil {
			return uplink.Credentials{}, err
		}
		a.cfg.URLs = []string{url}
		return uplink.NKeyCredentials(a.signer)
	}
	e, err := enrol.Load(a.cfg.Dir, a.signer.public)
	if errors.Is(err, fs.ErrNotExist) {
		return uplink.NKeyCredentials(a.signer)
	}
	if err != nil {
		return uplink.Credentials{}, err
	}
	if err := a.noteEnrolment(context.Background(), e); err != nil {
		a.cfg.Logger.Warn("enrolment not noted in the audit trail", "error", err)
	}
	if len(a.cfg.URLs) == 0 {
		a.cfg.URLs = e.URLs()
	}
	if a.cfg.TLS == nil {
		if a.cfg.TLS, err = e.TLS(); err != nil {
			return uplink.Credentials{}, err
		}
	}
	if a.cfg.BundleKey == "" {
		a.cfg.BundleKey = e.BundleKey
	}
	a.cfg.Facility = e.Facility
	return e.Credentials(a.signer), nil
}
