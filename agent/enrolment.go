package agent

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/sync/uplink"
)

// Enrol asks the central service to take a data directory for an agent's, and
// keeps the answer in it. It makes directory and key when there are none; Signer
// in r is ignored. An enrolment that is there is replaced. The next [Open] uses
// it. Errors are those of [enrol.Ask], of the files and of [Identity].
func Enrol(ctx context.Context, dir string, r enrol.Request) (*enrol.Enrolment, error) {
	if err := MakeDir(dir); err != nil {
		return nil, err
	}
	if err := checkDir(dir, identityFile); err != nil {
		return nil, err
	}
	i, err := openIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, err
	}
	r.Signer = i
	e, err := enrol.Ask(ctx, r)
	if err != nil {
		return nil, err
	}
	return e, enrol.Save(dir, e)
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
