package cli_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
)

// diagnosis runs doctor and returns what it says.
func diagnosis(t *testing.T, args ...string) (wire.Diagnosis, ended) {
	t.Helper()
	e := command(t, append([]string{"doctor", "--json"}, args...)...)
	var d wire.Diagnosis
	if err := json.NewDecoder(strings.NewReader(e.stdout)).Decode(&d); err != nil {
		t.Fatalf("%v: %s\n%s", err, e.stdout, e.stderr)
	}
	return d, e
}

func levelOf(d wire.Diagnosis, id string) string {
	i := slices.IndexFunc(d.Findings, func(f wire.Diagnosed) bool { return f.ID == id })
	if i < 0 {
		return "none"
	}
	return d.Findings[i].Level
}

// TestDoctorOfARunningAgent: what runs is asked, and sees all. The archive for support
// that is packed after a check-in knows nobody.
func TestDoctorOfARunningAgent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "desk")
	p, desk := runs(t, dir, "--port-file", filepath.Join(dir, "port"))
	in := toConfirm(t, desk)
	if in.Person == nil || in.Person.Name == "" {
		t.Fatal("nobody was read")
	}
	if _, err := desk.Confirm(t.Context(), in.ID, wire.Confirmation{PhotoMatches: true}); err != nil {
		t.Fatal(err)
	}
	d, e := diagnosis(t, "--config", configIn(t, ""), "--data", dir)
	for id, want := range map[string]string{
		"api.port": wire.LevelOK, "store": wire.LevelOK, "audit": wire.LevelOK, "readers.service": wire.LevelOK,
		"readers.reader": wire.LevelOK, "trust": wire.LevelOK, "files": wire.LevelOK, "central.link": wire.LevelWarning,
	} {
		if got := levelOf(d, id); got != want && !(id == "store" && got == wire.LevelInfo) {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	if e.exit != 0 && levelOf(d, "disk") != wire.LevelError {
		t.Errorf("exit status %d: %s", e.exit, e.stdout)
	}
	out := filepath.Join(t.TempDir(), "support.zip")
	if e := command(t, "support-bundle", "--config", configIn(t, ""), "--data", dir, "--out", out); e.exit != 0 {
		t.Fatalf("exit status %d: %s", e.exit, e.stderr)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("archive: %v, %v", info, err)
	}
	z, err := zip.OpenReader(out)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, datum := range []string{in.Person.Name, in.Person.NameMRZ, in.Person.Number, in.Person.DocumentNumber, in.Person.Residence} {
			if datum != "" && strings.Contains(string(b), datum) {
				t.Errorf("%s holds something of the person", f.Name)
			}
		}
		if strings.HasSuffix(f.Name, ".json") && !json.Valid(b) {
			t.Errorf("%s is no JSON: %s", f.Name, b)
		}
	}
	for _, want := range []string{"version.json", "diagnosis.json", "configuration.json", "logs/chamthe.log"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	// The same name again is somebody's file.
	if e := command(t, "support-bundle", "--config", configIn(t, ""), "--data", dir, "--out", out); e.exit == 0 {
		t.Error("a file that is there was written over")
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end()

	// Nobody answers any more: that is an error, and the store is looked into.
	d, e = diagnosis(t, "--config", configIn(t, ""), "--data", dir)
	if got := levelOf(d, "api.port"); got != wire.LevelError || e.exit != fault.About(fault.DoctorFound).Exit {
		t.Errorf("without an agent: %q, exit status %d", got, e.exit)
	}
}

// TestDoctorOfABadConfiguration: the mistake is a finding, with its line, and the rest
// is looked at all the same.
func TestDoctorOfABadConfiguration(t *testing.T) {
	d, e := diagnosis(t, "--config", configIn(t, "log:\n  level: loud\n"), "--data", t.TempDir(), "--alone")
	if got := levelOf(d, "config"); got != wire.LevelError || !strings.Contains(e.stdout, "config.yaml:2") {
		t.Errorf("configuration: %q\n%s", got, e.stdout)
	}
	if levelOf(d, "disk") == "none" || e.exit != fault.About(fault.DoctorFound).Exit {
		t.Errorf("exit status %d\n%s", e.exit, e.stdout)
	}
}
