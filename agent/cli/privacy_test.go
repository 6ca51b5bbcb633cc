package cli_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/reader/virtual"
)

// TestLogsHoldNobody runs the whole way with the services' log on, and looks
// for the person in it and in the data directory.
func TestLogsHoldNobody(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{chip.ProfileCCCD, chip.ProfilePassportBAC} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			// The same person as in the run below, with other keys.
			d := document(t, profile, chip.TamperNone)
			dir := t.TempDir()
			got := command(t, "demo", "-v", "--chip", profile, "--data", dir)
			if got.exit != 0 {
				t.Fatalf("exit status %d:\n%s", got.exit, got.stderr)
			}
			for _, s := range []string{"msg=online", "service=agent", "visit decided", "service=central"} {
				if !strings.Contains(got.stderr, s) {
					t.Fatalf("this is not the log, %q is missing:\n%s", s, got.stderr)
				}
			}
			n := privacytest.Of(t, d)
			for _, file := range []string{"seal.key", "agent.nk"} {
				n.Secret(file, contents(t, filepath.Join(dir, file)))
			}
			n.Absent(t, "the log", []byte(got.stderr))
			// What is shown to the person at the desk proves that the search works.
			if len(n.Find([]byte(got.stdout))) == 0 {
				t.Fatal("not even the screen shows the person: the test looks for somebody else")
			}
			sealed(t, dir, privacytest.Of(t, d))
		})
	}
}

// sealed looks for personal data in the files of a data directory. Not looked
// at are central and jetstream: they stand for the central service's disk, which
// holds the signed visits in clear because the insurer is who they are for.
func sealed(t *testing.T, dir string, n *privacytest.Needles) {
	t.Helper()
	var looked, inStream int
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if top, _, _ := strings.Cut(filepath.ToSlash(name), "/"); top == "jetstream" || top == "central" {
			inStream += len(n.Find(b))
			return nil
		}
		looked++
		n.Absent(t, name, b)
		n.Absent(t, "the name of a file", []byte(name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 4 || inStream == 0 {
		t.Errorf("looked into %d files; the visit is in the central service's files: %v", looked, inStream > 0)
	}
}

// TestErrorsHoldNobody makes everything go wrong that a person's data can
// make go wrong, and looks for the data in what is said about it.
func TestErrorsHoldNobody(t *testing.T) {
	t.Parallel()
	type try struct {
		name string
		d    *chip.Document
		args []string
	}
	tries := []try{}
	for _, k := range chip.Tampers() {
		d := document(t, profileFor(k.Kind), k.Kind)
		tries = append(tries, try{string(k.Kind), d, []string{"read", "--json", "--mrz", strings.Join(d.MRZ, "\n"), "--trust", anchor(t, d)}})
	}
	d := document(t, chip.ProfileCCCD, chip.TamperNone)
	fields := strings.Split(d.QR, "|")
	for i := range fields {
		f := append([]string(nil), fields...)
		f[i] = "?"
		tries = append(tries, try{"QR field", d, []string{"read", "--json", "--qr", strings.Join(f, "|")}})
		tries = append(tries, try{"QR field alone", d, []string{"read", "--json", "--qr", fields[i]}})
		tries = append(tries, try{"QR in pieces", d, []string{"read", "--qr", fields[0], fields[i]}})
		tries = append(tries, try{"QR cut", d, []string{"read", "--json", "--qr", strings.Join(fields[:i], "|")}})
	}
	zone := strings.Join(d.MRZ, "\n")
	for i := 0; i < len(zone); i += 3 {
		tries = append(tries, try{"MRZ character", d, []string{"read", "--json", "--mrz", zone[:i] + "8" + zone[i+1:]}})
		tries = append(tries, try{"MRZ cut", d, []string{"read", "--json", "--mrz", zone[:i]}})
	}
	tries = append(tries,
		try{"MRZ in pieces", d, append([]string{"read", "--mrz"}, d.MRZ...)},
		try{"MRZ in lower case", d, []string{"read", "--mrz", strings.ToLower(zone)}},
		try{"number as CAN", d, []string{"read", "--can", d.Person.Number}},
		try{"name as CAN", d, []string{"read", "--can", d.Person.Name}},
		try{"expiry", d, []string{"read", "--qr", d.QR, "--expiry", d.Person.Birth.Format("02-01-2006")}},
		try{"two keys", d, []string{"read", "--qr", d.QR, "--mrz", zone}},
		try{"a name in place of a command", d, []string{"demo", d.Person.Name}},
		try{"a name in place of a person", d, []string{"demo", "--person", d.Person.Name}},
	)
	needles := map[*chip.Document]*privacytest.Needles{}
	failures := 0
	for _, tt := range tries {
		n := needles[tt.d]
		if n == nil {
			n = privacytest.Of(t, tt.d)
			needles[tt.d] = n
		}
		r := lay(t, tt.d)
		if tt.name != string(chip.TamperDG1) && tt.args[0] == "read" && len(tt.args) == 4 {
			r = virtual.New() // the input alone
		}
		got := on(t, r, "", tt.args...)
		if got.exit == 0 {
			continue // the changed field is one that does not matter
		}
		failures++
		n.Absent(t, "the error about "+tt.name, []byte(got.stderr))
		if got.stdout == "" {
			continue
		}
		o := one[wire.Outcome](t, got.stdout)
		o.Person = nil // is who it is about
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		n.Absent(t, "the report about "+tt.name, b)
	}
	if failures < 70 {
		t.Errorf("%d failures: that is not everything", failures)
	}
}

// TestPeopleAreSynthetic guards the test itself: the demonstration offers
// nobody but the people that the project made up.
func TestPeopleAreSynthetic(t *testing.T) {
	t.Parallel()
	got := command(t, "chip", "list")
	for _, p := range specimen.People() {
		privacytest.Of(t, &chip.Document{Person: p, QR: p.QR(), MRZ: p.MRZ()}).Absent(t, "the list of people", []byte(got.stdout))
	}
}
