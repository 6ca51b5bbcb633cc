package inspect_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/tlv"
	"github.com/chamthe/chamthe/icao/trust"
)

// The tests of this file change one byte of a signed document in turn. By
// default they take one byte of many, each time with another change;
// CHAMTHE_MUTATION=1 takes every byte, and each with four changes.

// mutate calls try with b changed in one byte, in turn, and asserts that there
// was something to try. The slice is try's to keep.
func mutate(t *testing.T, b []byte, step int, try func(at int, mask byte, changed []byte)) {
	t.Helper()
	masks := []byte{0x01, 0x80, 0x20, 0xFF}
	long := os.Getenv("CHAMTHE_MUTATION") != ""
	tried := 0
	for i := range b {
		for k, mask := range masks {
			if !long && (i%step != 0 || k != i/step%len(masks)) {
				continue
			}
			changed := bytes.Clone(b)
			changed[i] ^= mask
			try(i, mask, changed)
			tried++
		}
	}
	if tried == 0 {
		t.Error("nothing was changed")
	}
	t.Logf("%d changes of %d bytes", tried, len(b))
}

// overwrite gives the chip other bytes in place of a file.
func overwrite(t *testing.T, d *inspecttest.Draft, id uint16, content []byte) {
	t.Helper()
	for _, files := range [][]chip.File{d.Personalisation.Files, d.Personalisation.MasterFiles} {
		for i := range files {
			if files[i].ID == id {
				files[i].Content = content
				return
			}
		}
	}
	t.Fatalf("the document has no file %04X", id)
}

// strictly reads a document and lists every deviation.
func strictly(t *testing.T, d *inspecttest.Draft, pool *trust.Pool) *inspect.Report {
	t.Helper()
	// What is no error here is found in the report.
	r, err := inspect.Run(t.Context(), d.Card(t), d.Access(t), &inspect.Config{At: inspecttest.At, Trust: pool, Strict: true})
	if err != nil && r.Err() == nil {
		t.Errorf("verified, and broken off: %v", err)
	}
	return r
}

// unsigned are the bytes of a SignedData that no signature covers (RFC 5652,
// 5.4: a signature covers the content and the signed attributes; certificates
// have their own): the version, the list of digest algorithms, and the version
// and the name by which the signer is found. wrapped is the tag of the file
// around it, 0 for none. Nothing of what is verified depends on them: they help
// a reader to find its way, and one that does not find it verifies nothing. A
// change of them is a deviation.
func unsigned(t *testing.T, file []byte, wrapped tlv.Tag) map[int]bool {
	t.Helper()
	is := make(map[int]bool)
	s := tlv.String(file)
	end := len(file) // where s ends in file
	into := func(tag tlv.Tag) {
		var inner tlv.String
		if !s.ReadTag(&inner, tag) {
			t.Fatalf("no %v", tag)
		}
		end -= len(s)
		s = inner
	}
	skip := func(mark bool) {
		var value tlv.String
		var tag tlv.Tag
		from := end - len(s)
		if !s.Read(&value, &tag) {
			t.Fatal("malformed")
		}
		for i := from; mark && i < end-len(s); i++ {
			is[i] = true
		}
	}
	if wrapped != 0 {
		into(wrapped)
	}
	into(0x30)
	skip(false) // signedData
	into(0xA0)
	into(0x30)
	skip(true)  // version
	skip(true)  // digestAlgorithms
	skip(false) // encapContentInfo
	for tag, _ := s.PeekTag(); tag != 0x31; tag, _ = s.PeekTag() {
		skip(false) // certificates, revocation lists
	}
	into(0x31)
	into(0x30)
	skip(true) // version
	skip(true) // sid
	return is
}

// TestMutatedSecurityObject: no document is verified with another security
// object than its own, as far as anything in it is signed; and what is not makes
// the document a deviating one.
func TestMutatedSecurityObject(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		profile string
		file    uint16
		wrapped tlv.Tag
		content func(*inspecttest.Draft) []byte
	}{
		{"cccd", 0x011D, 0x77, func(d *inspecttest.Draft) []byte { return d.SOD }},
		{"passport-bac", 0x011D, 0x77, func(d *inspecttest.Draft) []byte { return d.SOD }},
		{"passport-full", 0x011D, 0x77, func(d *inspecttest.Draft) []byte { return d.SOD }},
		{"passport-pace-cam", 0x011D, 0x77, func(d *inspecttest.Draft) []byte { return d.SOD }},
		{"passport-pace-cam", 0x011D, 0, func(d *inspecttest.Draft) []byte { return d.CardSecurity }}, // which is its only proof
		{"passport-old", 0x011D, 0x77, func(d *inspecttest.Draft) []byte { return d.SOD }},
	} {
		name := tt.profile
		if tt.wrapped == 0 {
			name += ", EF.CardSecurity"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			genuine := inspecttest.New(t, tt.profile)
			pool := genuine.Pool(t)
			if r := strictly(t, genuine, pool); r.Err() != nil || r.Check(inspect.Conformity).Value != result.Successful {
				t.Fatalf("the document itself: %v, conformity %v %q", r.Err(), r.Check(inspect.Conformity), r.Deviations)
			}
			b := tt.content(genuine)
			free := unsigned(t, b, tt.wrapped)
			found := 0
			mutate(t, b, 67, func(at int, mask byte, changed []byte) {
				d := inspecttest.New(t, tt.profile)
				overwrite(t, d, tt.file, changed)
				r := strictly(t, d, pool)
				if r.Err() != nil {
					return
				}
				if found++; !free[at] {
					t.Errorf("verified with byte %d changed by %02x", at, mask)
				}
				if r.Check(inspect.Conformity).Value != result.Failed || len(r.Deviations) == 0 {
					t.Errorf("nothing is said of byte %d, changed by %02x", at, mask)
				}
			})
			t.Logf("%d changes of what is not signed were tolerated, and said", found)
		})
	}
}

// TestMutatedGroups: no document is verified with a data group changed.
func TestMutatedGroups(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		profile string
		groups  []int
	}{
		{"cccd", []int{1, 13, 15}},
		{"passport-bac", []int{1, 14, 15}},
		{"passport-ca-aes", []int{14}},
		{"passport-pace-cam", []int{14}},
	} {
		for _, dg := range tt.groups {
			t.Run(fmt.Sprintf("%s, DG%d", tt.profile, dg), func(t *testing.T) {
				t.Parallel()
				genuine := inspecttest.New(t, tt.profile)
				pool := genuine.Pool(t)
				mutate(t, genuine.Groups[dg], 19, func(at int, mask byte, changed []byte) {
					d := inspecttest.New(t, tt.profile)
					overwrite(t, d, 0x0100+uint16(dg), changed)
					r := strictly(t, d, pool)
					if r.Err() == nil || dg == 1 && r.TextVerified() {
						t.Errorf("verified with byte %d changed by %02x", at, mask)
					}
					// A DG13 that cannot be understood is not shown; DG1 may be.
					if dg == 13 && r.TextVerified() && r.DG13 != nil {
						t.Errorf("shown as verified with byte %d changed by %02x", at, mask)
					}
				})
			})
		}
	}
}

// TestMutatedAnchor: a changed CSCA certificate is not taken, or is not the
// document's issuer.
func TestMutatedAnchor(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"cccd", "passport-bac", "passport-old"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			d := inspecttest.New(t, profile)
			mutate(t, d.CSCA, 7, func(at int, mask byte, changed []byte) {
				c, err := cms.ParseCertificate(changed)
				if err != nil {
					return
				}
				pool := trust.NewPool()
				if err := pool.Add(c, "test"); err == nil {
					if r := strictly(t, d, pool); r.Err() == nil {
						t.Errorf("verified with byte %d changed by %02x", at, mask)
					} else {
						t.Errorf("taken with byte %d changed by %02x", at, mask)
					}
				}
			})
		})
	}
}

// TestMutatedMasterList: a list with one byte changed puts nothing into the pool,
// or just what it says unchanged; no certificate of it is ever another one.
func TestMutatedMasterList(t *testing.T) {
	t.Parallel()
	d := inspecttest.New(t, "cccd")
	other := inspecttest.New(t, "passport-bac")
	authority := d.PKI.CSCA
	signer, err := authority.NewMasterListSigner(issuer.Params{
		Algorithm: issuer.ECDSABrainpoolP384, Subject: issuer.Subject{Country: "VN", CommonName: "Master List Signer"},
		NotBefore: inspecttest.At.AddDate(-1, 0, 0), NotAfter: inspecttest.At.AddDate(1, 0, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := signer.SignMasterList([][]byte{d.CSCA, other.CSCA}, nil, issuer.CMSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	root, err := cms.ParseCertificate(d.CSCA)
	if err != nil {
		t.Fatal(err)
	}
	load := func(der []byte) (*trust.Pool, error) {
		ml, err := trust.ParseMasterList(der)
		if err != nil {
			return nil, err
		}
		pool := trust.NewPool()
		return pool, pool.AddMasterList(ml, root, inspecttest.At, "test")
	}
	pool, err := load(list)
	if err != nil || pool.Len() != 2 {
		t.Fatalf("the list itself: %v", err)
	}
	if r := strictly(t, other, pool); r.Err() != nil {
		t.Fatalf("the list itself: %v", r.Err())
	}
	free := unsigned(t, list, 0)
	mutate(t, list, 29, func(at int, mask byte, changed []byte) {
		pool, err := load(changed)
		if err != nil {
			if pool != nil && pool.Len() != 0 {
				t.Errorf("byte %d changed by %02x: refused, and taken", at, mask)
			}
			return
		}
		if !free[at] {
			t.Errorf("taken with byte %d changed by %02x", at, mask)
		}
		for _, a := range pool.Anchors() {
			if !bytes.Equal(a.Certificate.Raw, d.CSCA) && !bytes.Equal(a.Certificate.Raw, other.CSCA) {
				t.Errorf("byte %d changed by %02x: another certificate is trusted", at, mask)
			}
		}
	})
}
