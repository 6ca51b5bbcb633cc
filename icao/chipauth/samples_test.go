package chipauth_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/secinfo"
)

// What the sample files with SecurityInfos offer.
func TestSampleOffers(t *testing.T) {
	tests := map[string]struct {
		want []string
		err  error
	}{
		"dg14-bsi":                   {[]string{"CA ECDH 3DES brainpoolP224r1, KAT", "CA ECDH 3DES brainpoolP224r1"}, nil},
		"dg14-synthetic-ecdh-aes192": {[]string{"CA ECDH AES-192 brainpoolP384r1, reference 7"}, nil},
		"dg14-synthetic-ecdh-aes256": {[]string{"CA ECDH AES-256 brainpoolP384r1, reference 8"}, nil},
		"dg14-synthetic-dh-3des":     {[]string{"CA DH 3DES MODP-1024-160, KAT", "CA DH 3DES MODP-1024-160"}, nil},
		"dg14-synthetic-dh-aes128":   {[]string{"CA DH AES-128 MODP-1024-160"}, nil},
		// A key on a curve of its own under the name of another.
		"dg14-named-curve":           {nil, chipauth.ErrUnsupported},
		"cardaccess-gm-13":           {nil, chipauth.ErrNotOffered},
		"cardaccess-gm-cam":          {nil, chipauth.ErrNotOffered},
		"cardaccess-no-parameter-id": {nil, chipauth.ErrNotOffered},
	}
	var all []struct{ ID, File, Hex string }
	vectortest.JSON(t, "../lds/testdata/dg-samples.json", &all)
	seen := 0
	for _, s := range all {
		if s.File != "DG14" && s.File != "EF.CardAccess" || s.ID == "cardaccess-truncated" {
			continue
		}
		seen++
		t.Run(s.ID, func(t *testing.T) {
			tt, known := tests[s.ID]
			if !known {
				t.Fatal("nothing is known about this sample")
			}
			content := vectortest.Hex(t, s.Hex)
			var err error
			if s.File == "DG14" {
				if content, err = lds.ParseDG14(content); err != nil {
					t.Fatal(err)
				}
			}
			infos, err := secinfo.Parse(content)
			if err != nil {
				t.Fatal(err)
			}
			got, err := chipauth.Variants(infos)
			if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
				t.Errorf("%q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
	if seen != len(tests) {
		t.Errorf("%d samples, want %d", seen, len(tests))
	}
}
