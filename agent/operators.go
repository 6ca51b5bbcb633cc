package agent

import (
	"errors"
	"path/filepath"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/operator"
	"github.com/chamthe/chamthe/sync/store"
)

// OpenOperators opens those who may sign in with a PIN at the desk of a data directory
// that an agent has used before, to change them. What is changed is written in its
// audit trail, so the store is opened, which the caller closes: [store.ErrLocked]
// means that an agent is running, which reads them only when it starts. Other errors
// are those of [OpenQueue] and of [operator.Open].
func OpenOperators(dir string) (*operator.Operators, *store.Store, error) {
	st, sealer, err := openUsed(dir)
	if err != nil {
		return nil, nil, err
	}
	o, err := operator.Open(operator.Config{Store: operators(dir), Audit: audit.New(st, sealer, nil).Append})
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return o, st, nil
}

// OperatorNames returns who may sign in with a PIN at the desk of a data directory, in
// order, also while an agent runs there. The errors are those of [operator.Open].
func OperatorNames(dir string) ([]string, error) {
	o, err := operator.Open(operator.Config{Store: operators(dir)})
	if err != nil {
		return nil, err
	}
	return o.Names(), nil
}

func operators(dir string) operator.File { return operator.File(filepath.Join(dir, operatorsFile)) }
