package lookup_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"go.etcd.io/bbolt"
	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

type agentKey struct{ key ed25519.PrivateKey }

func (a agentKey) Sign(m []byte) ([]byte, error) { return ed25519.Sign(a.key, m), nil }
func (a agentKey) PublicKey() (string, error) {
	return contract.EncodeAgent(a.key.Public().(ed25519.PublicKey))
}

// insurer answers with the person's own data, so that they are in the cache.
type insurer struct{}

func (insurer) Ask(_ context.Context, r contract.LookupRequest) (contract.LookupResponse, error) {
	return contract.LookupResponse{
		Version: contract.Version, At: centralTime,
		Entitlement: contract.Entitlement{
			Source: contract.SourceCentral, AsOf: centralTime, Status: contract.StatusValid, Code: "000",
			CardNumber: "GD40101" + r.Number[4:], From: "2026-01-01", To: "2026-12-31",
		},
		Person: &contract.Insured{Number: r.Number, Name: strings.ToUpper(r.Name), BirthDate: r.BirthDate},
	}, nil
}

var synthetic = []contract.Person{
	{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale, Nationality: "VNM", DocumentNumber: "099000001"},
	{Number: "079301000002", Name: "Trần Thị Mẫu", BirthDate: "2001-03-01", Sex: contract.SexFemale, Nationality: "VNM", DocumentNumber: "301000002"},
	{Number: "024079150003", Name: "Đỗ Đức Giả", BirthDate: "1979-12-05", Sex: contract.SexMale, Nationality: "VNM", DocumentNumber: "079150003"},
	{Number: "048188000004", Name: "Lê Thị Ví Dụ", BirthDate: "1988", Sex: contract.SexFemale, Nationality: "VNM", DocumentNumber: "188000004"},
}

// forms returns the ways in which a datum could lie in a file. Forms of fewer
// than six bytes would be found by chance.
func forms(datum string) [][]byte {
	var out [][]byte
	for _, s := range []string{datum, strings.ToUpper(datum), norm.NFD.String(datum), fmt.Sprintf("%+q", datum)} {
		s = strings.Trim(s, `"`)
		wide := []byte{}
		for _, u := range utf16.Encode([]rune(s)) {
			wide = append(wide, byte(u), byte(u>>8))
		}
		out = append(out, []byte(s), wide, []byte(hex.EncodeToString([]byte(s))))
		// Base64 at each of the three alignments, without the characters that
		// neighbours share.
		for shift := range 3 {
			enc := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), s...))
			if len(enc) > 12 {
				out = append(out, []byte(enc[4:len(enc)-2]))
			}
		}
	}
	long := out[:0]
	for _, f := range out {
		if len(f) >= 6 {
			long = append(long, f)
		}
	}
	return long
}

// TestNothingInClear uses outbox and lookups as a desk does and then looks for
// every datum of every person in the raw file.
func TestNothingInClear(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "visits.db")
	keyBytes := bytes.Repeat([]byte("master-key-bytes"), 2)
	master, err := seal.NewMaster(keyBytes)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	queue, err := outbox.Open(st, sealer, nil)
	if err != nil {
		t.Fatal(err)
	}
	service, err := lookup.Open(lookup.Config{Store: st, Sealer: sealer, Asker: insurer{}})
	if err != nil {
		t.Fatal(err)
	}
	agent := agentKey{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))}
	name, err := agent.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]bool{string(keyBytes): true}
	control, err := bbolt.Open(filepath.Join(dir, "control.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		p := synthetic[i%len(synthetic)]
		answer, err := service.Lookup(t.Context(), lookup.Request{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate})
		if err != nil {
			t.Fatal(err)
		}
		id, err := contract.NewID(centralTime.Add(time.Duration(i)*time.Second), nil)
		if err != nil {
			t.Fatal(err)
		}
		dg1 := "IDVNM" + p.DocumentNumber + "<<" + p.Number
		v := contract.Visit{
			Version: contract.Version, ID: id, Facility: "01013", Agent: name, Operator: "Lễ tân Quầy Hai",
			StartedAt: centralTime, RecordedAt: centralTime, Clock: contract.ClockSynchronised, Means: contract.MeansChip,
			Person: p, Entitlement: answer.Entitlement,
			Evidence: &contract.Evidence{SOD: []byte("signed object of " + p.Number), DG1: []byte(dg1), Time: centralTime},
		}
		m, err := contract.NewVisitMessage(agent, &v)
		if err != nil {
			t.Fatal(err)
		}
		if err := queue.Put(t.Context(), outbox.Entry{ID: m.ID, Subject: m.Subject, Header: m.Header, Payload: m.Payload}); err != nil {
			t.Fatal(err)
		}
		verdict := contract.Verdict{Version: contract.Version, Visit: id, Agent: name, State: contract.VerdictAccepted, Assurance: contract.AssuranceAttested, At: centralTime}
		switch i % 4 {
		case 0:
			err = queue.MarkStored(t.Context(), outbox.Ack{ID: id, Stream: contract.VisitStream, Seq: uint64(i + 1)})
		case 1:
			_, err = queue.Verdict(t.Context(), verdict)
		case 2:
			verdict.State, verdict.Assurance, verdict.Reason = contract.VerdictRejected, "", contract.ReasonPersonMismatch
			_, err = queue.Verdict(t.Context(), verdict)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{p.Number, p.Name, string(p.BirthDate), p.DocumentNumber, dg1, id, v.Operator, answer.Entitlement.CardNumber, m.Header[contract.HeaderSignature][0]} {
			data[d] = true
		}
		if err := control.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte(id), m.Payload)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := queue.Purge(t.Context(), time.Now().Add(time.Hour), 3); err != nil {
		t.Fatal(err)
	}
	service.Close()
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := control.Close(); err != nil {
		t.Fatal(err)
	}

	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for d := range data {
		for _, f := range forms(d) {
			if bytes.Contains(raw, f) {
				t.Errorf("%q is in the file, as %q", d, f)
			}
		}
	}
	// The search itself works: it finds all of it where nothing is sealed.
	clear, err := os.ReadFile(filepath.Join(dir, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range synthetic {
		for _, d := range []string{p.Number, p.Name, p.DocumentNumber, "signed object of " + p.Number} {
			found := false
			for _, f := range forms(d) {
				found = found || bytes.Contains(clear, f)
			}
			if !found {
				t.Errorf("%q is not found in the control file", d)
			}
		}
	}
}
