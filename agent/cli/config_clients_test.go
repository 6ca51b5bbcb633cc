package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/config"
)

// TestConfigKnowsTheClientsOfTheAPI has the configuration judge clients as the API
// does, which does not start with one that it refuses.
func TestConfigKnowsTheClientsOfTheAPI(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("ab", 32)
	good := 0
	for _, name := range []string{"HIS", "HIS chính", "desk", "DESK", "desk 2", "HIS: main", "a/b", `a\b`, " HIS", "HIS ", "", "a\u202eb", "a\u00a0b", "a\ufffdb", "x\u200b", strings.Repeat("ệ", 64), strings.Repeat("ệ", 65)} {
		for _, origin := range []string{
			"", "https://his.hospital.lan", "https://his.hospital.lan:443", "http://his:80", "http://his:443", "https://his:8443", "https://HIS", "https://his/", "https://his:", "https://",
			"ftp://his", "null", "*", "https://*.lan", "https://[::1]:8080", "https://u:p@his", "https://h\u00efs", "https:his", "https://" + strings.Repeat("a", 200), "https://his?x", "https://his#x",
		} {
			g := api.Grant{Name: name, Origin: origin}
			if err := g.Hash.UnmarshalText([]byte(hash)); err != nil {
				t.Fatal(err)
			}
			_, apiErr := api.New(api.Config{Grants: []api.Grant{g}})
			file := configIn(t, fmt.Sprintf("api:\n  clients: [{name: %s, origin: %s, token_sha256: %s}]\n", quoted(name), quoted(origin), hash))
			_, err := config.Load(config.Options{File: file, Policy: filepath.Join(t.TempDir(), "none"), Env: []string{}})
			if (err == nil) != (apiErr == nil) {
				t.Errorf("name %q, origin %q: the configuration says %v, the API %v", name, origin, err, apiErr)
			}
			if err == nil {
				good++
			}
		}
	}
	if good == 0 {
		t.Error("nobody is let in")
	}
}

// quoted writes a text as YAML understands it whatever is in it.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		fmt.Fprintf(&b, `\U%08x`, r)
	}
	b.WriteByte('"')
	return b.String()
}
