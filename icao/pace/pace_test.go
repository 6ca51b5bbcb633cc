package pace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/pace"
)

// establish runs an example against a script and expects it to fail.
func establish(t *testing.T, e example, lines []string) error {
	t.Helper()
	s := apdu.NewSession(apdutest.NewScript(t, strings.Join(lines, "\n")))
	ch, cam, err := pace.Establish(t.Context(), s, e.info(t), e.password(t), &pace.Config{Rand: e.random(t)})
	if ch != nil || cam != nil || err == nil {
		t.Fatalf("channel %v, CAM %v, error %v", ch != nil, cam != nil, err)
	}
	return err
}

var sentinels = []error{pace.ErrUnsupported, pace.ErrWrongPassword, pace.ErrCardAuthentication, pace.ErrProtocol}

// wantErr checks that err wraps want, and of this package's sentinels only the
// given one.
func wantErr(t *testing.T, err, want, sentinel error) {
	t.Helper()
	if want != nil && !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	for _, s := range sentinels {
		if errors.Is(err, s) != (s == sentinel) {
			t.Errorf("error %v; is it %v: %v", err, s, s != sentinel)
		}
	}
}
