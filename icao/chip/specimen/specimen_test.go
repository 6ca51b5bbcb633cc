package specimen_test

import (
	"bytes"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

// TestVectorsMRZ: the two citizens of the published sample zones print exactly
// these.
func TestVectorsMRZ(t *testing.T) {
	var all struct {
		Valid []struct {
			ID    string
			Lines []string
		}
	}
	vectortest.JSON(t, "../testdata/mrz.json", &all)
	want := map[string]string{"vn-td1-synthetic-1": "nguyen-van-thu", "vn-td1-synthetic-2": "tran-thi-mau"}
	seen := 0
	for _, e := range all.Valid {
		id, ok := want[e.ID]
		if !ok {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			p, ok := specimen.Find(id)
			if !ok {
				t.Fatal("no such person")
			}
			if got := strings.Join(p.MRZ(), "\n"); got != strings.Join(e.Lines, "\n") {
				t.Errorf("MRZ\n%s\nwant\n%s", got, strings.Join(e.Lines, "\n"))
			}
		})
	}
	if seen != len(want) {
		t.Errorf("%d of %d examples found", seen, len(want))
	}
}

// TestPeople: every zone parses with all check digits right and says what the
// table says, every number fits its person, every expiry is the birthday
// that its note names, and no two people share a document.
func TestPeople(t *testing.T) {
	people := specimen.People()
	if len(people) < 6 {
		t.Fatalf("%d people", len(people))
	}
	ids, numbers := map[string]bool{}, map[string]bool{}
	ages := map[string]int{"25th": 25, "40th birthday": 40, "on the 60th": 60, "60th birthday": 60, "14th": 14}
	for _, p := range people {
		t.Run(p.ID, func(t *testing.T) {
			if ids[p.ID] || numbers[p.Number] {
				t.Error("not the only one")
			}
			ids[p.ID], numbers[p.Number] = true, true
			m, err := mrz.Parse(strings.Join(p.MRZ(), "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if m.PrimaryIdentifier != p.Surname || m.SecondaryIdentifier != p.Given || m.IssuingState != p.State ||
				m.DateOfBirth != p.Birth.Format("060102") {
				t.Errorf("the MRZ names somebody else")
			}
			fromMRZ, err := m.Key()
			if err != nil {
				t.Fatal(err)
			}
			own, err := p.AccessKey()
			if err != nil || own.Hash() != fromMRZ.Hash() {
				t.Errorf("access key: %v", err)
			}
			for text, age := range ages {
				if strings.Contains(p.Note, "expires on the "+text) && !p.Expiry.Equal(p.Birth.AddDate(age, 0, 0)) {
					t.Errorf("expiry %s is not the birthday at %d", p.Expiry.Format(time.DateOnly), age)
				}
			}
			if p.Kind == specimen.Passport {
				if p.QR() != "" || p.CAN() != "" {
					t.Error("a passport with a QR code or a CAN")
				}
				return
			}
			century := (p.Birth.Year()-1900)/100*2 + map[byte]int{'M': 0, 'F': 1}[p.Sex]
			if len(p.Number) != 12 || int(p.Number[3]-'0') != century || p.Number[4:6] != p.Birth.Format("06") {
				t.Errorf("number does not fit sex and year of birth")
			}
			if want := p.Number[6:]; p.CAN() != want {
				t.Errorf("CAN of %d characters", len(p.CAN()))
			}
			if !strings.HasPrefix(p.QR(), p.Number+"|"+p.Old+"|"+p.Name+"|"+p.Birth.Format("02012006")+"|") {
				t.Error("QR text does not begin with number, old number, name and birth")
			}
		})
	}
}

func TestFind(t *testing.T) {
	if p, ok := specimen.Find("nobody"); ok || p.ID != "" {
		t.Error("found nobody")
	}
}

// TestQR: the sample of public sources, for the standard citizen, with another
// day of issue.
func TestQR(t *testing.T) {
	p, _ := specimen.Find("nguyen-van-thu")
	const want = "001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Số 1, Phường X, Quận Y, Hà Nội|15082022"
	if got := p.QR(); got != want {
		t.Errorf("QR %q, want %q", got, want)
	}
}

// TestPortrait: a JPEG of the right size, as large as real ones, the same at
// every call, another for each person.
func TestPortrait(t *testing.T) {
	seen := map[string]string{}
	for _, p := range specimen.People() {
		b, err := specimen.Portrait(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := specimen.Portrait(p)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s: two drawings differ, error %v", p.ID, err)
		}
		if len(b) < 12<<10 || len(b) > 18<<10 {
			t.Errorf("%s: %d bytes, want 12 to 18 KB", p.ID, len(b))
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil || c.Width != specimen.PortraitWidth || c.Height != specimen.PortraitHeight {
			t.Errorf("%s: %dx%d, error %v", p.ID, c.Width, c.Height, err)
		}
		if other, ok := seen[string(b)]; ok {
			t.Errorf("%s looks like %s", p.ID, other)
		}
		seen[string(b)] = p.ID
	}
}

// TestSignature: a JPEG of the stated size, the same at every call and different
// for each person.
func TestSignature(t *testing.T) {
	seen := map[string]string{}
	for _, p := range specimen.People() {
		a, err := specimen.Signature(p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := specimen.Signature(p)
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: two calls differ, %v", p.ID, err)
		}
		if other, ok := seen[string(a)]; ok {
			t.Errorf("%s signs like %s", p.ID, other)
		}
		seen[string(a)] = p.ID
		cfg, err := jpeg.DecodeConfig(bytes.NewReader(a))
		if err != nil || cfg.Width != specimen.SignatureWidth || cfg.Height != specimen.SignatureHeight {
			t.Errorf("%s: %dx%d, %v", p.ID, cfg.Width, cfg.Height, err)
		}
	}
}
