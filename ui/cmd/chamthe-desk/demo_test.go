//go:build cgo

package main

import (
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/ui/i18n"
	"github.com/chamthe/chamthe/ui/model"
)

// TestTray: every sample has a word in both languages, and the one that is called
// expired is of somebody whose card is, and of nothing else that is wrong.
func TestTray(t *testing.T) {
	for _, l := range i18n.Langs() {
		for i, c := range model.Tray(l, trayCards()).Cards {
			if c.Label == "" || c.Label == "tray."+trayCards()[i] {
				t.Errorf("%v: no word for %s", l, trayCards()[i])
			}
		}
	}
	now := time.Now()
	pki, err := chip.NewPKI(chip.ProfileCCCD, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &demo{at: now, pki: map[string]*chip.PKI{chip.ProfileCCCD: pki}, keys: issuer.NewKeyCache(nil), docs: map[string]*chip.Document{}}
	for _, s := range samples {
		if s.name != "expired" {
			continue
		}
		d, err := m.document(s)
		if err != nil {
			t.Fatal(err)
		}
		if d.Person.Expiry.IsZero() || !d.Person.Expiry.Before(now) || s.tamper != chip.TamperNone || s.torn != 0 {
			t.Errorf("expiry %s, tamper %v", d.Person.Expiry.Format(time.DateOnly), s.tamper)
		}
		return
	}
	t.Fatal("no expired card in the tray")
}
