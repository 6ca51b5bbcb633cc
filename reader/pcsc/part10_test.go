package pcsc

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tlvProperties is the control code that the reader of these tests gives to
// FEATURE_GET_TLV_PROPERTIES: that of libccid, SCARD_CTL_CODE(0x12 + 0x330000).
const tlvProperties = 0x42330012

func TestFeatureRequestCode(t *testing.T) {
	// SCARD_CTL_CODE(3400); the other one is 0x310000 + 3400<<2.
	if featureRequest != 0x42000D48 && featureRequest != 0x00313520 {
		t.Errorf("CM_IOCTL_GET_FEATURE_REQUEST is %08x", featureRequest)
	}
}

func TestFeatureCode(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer string
		want   uint32 // 0: the feature is not there
	}{
		{"a reader without a PIN pad under libccid", "12 04 42 33 00 12", tlvProperties},
		{"a reader with one", "06 04 42 33 00 06 07 04 42 33 00 07 0A 04 42 33 00 0A 12 04 42 33 00 12", tlvProperties},
		{"nothing", "", 0},
		{"other features only", "13 04 42 33 00 13", 0},
		{"value too short", "12 02 00 12", 0},
		{"value too long", "12 05 42 33 00 12 00", 0},
		{"value cut off", "12 04 42 33 00", 0},
		{"tag alone", "12", 0},
		{"twice: the first counts", "12 04 42 33 00 12 12 04 00 00 00 01", tlvProperties},
		{"empty elements before", "01 00 02 00 12 04 42 33 00 12", tlvProperties},
		{"an element that reaches over the end before", "01 FF 12 04 42 33 00 12", 0},
		{"beyond what is looked at", strings.Repeat("01 00", maxFeatures/2) + "12 04 42 33 00 12", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := featureCode(unhex(t, tt.answer), featureTLVProperties)
			if got != tt.want || ok != (tt.want != 0) {
				t.Errorf("control code %08x, %v, want %08x", got, ok, tt.want)
			}
		})
	}
}

func TestParseProperties(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer string
		want   reader.Capabilities
	}{
		{"nothing", "", reader.Capabilities{}},
		{
			"extended length, as libccid puts it",
			"01 02 00 00 03 01 00 09 01 00 0B 02 2F 07 0C 02 1A 22 0A 04 00 00 01 00",
			reader.Capabilities{MaxAPDU: 0x10000, VendorID: 0x072F, ProductID: 0x221A},
		},
		{"short commands only", "0A 04 00 00 00 00", reader.Capabilities{MaxAPDU: 256}},
		{"short commands only, other words", "0A 04 00 01 00 00", reader.Capabilities{MaxAPDU: 256}},
		{"a limit in between", "0A 04 FF 0F 00 00", reader.Capabilities{MaxAPDU: 4095}},
		{"not defined: too small", "0A 04 01 00 00 00", reader.Capabilities{}},
		{"more than there is", "0A 04 FF FF FF FF", reader.Capabilities{MaxAPDU: 0x10000}},
		{"wrong lengths", "0A 02 00 01 0B 01 2F 0C 03 1A 22 00", reader.Capabilities{}},
		{"cut off", "0B 02 2F 07 0A 04 00 00 01", reader.Capabilities{VendorID: 0x072F}},
		{"firmware", "08 05 31 2E 30 34 00", reader.Capabilities{Firmware: "1.04"}},
		{"firmware with rubbish", "08 0A 1B 5B 33 31 6D FF 0A 76 31 20", reader.Capabilities{Firmware: "[31mv1"}},
		{"unknown tags", "00 00 FF 01 00 0B 02 2F 07 7F 03 01 02 03", reader.Capabilities{VendorID: 0x072F}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got reader.Capabilities
			parseProperties(unhex(t, tt.answer), &got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzPart10 gives both parsers what no honest driver says.
func FuzzPart10(f *testing.F) {
	for _, seed := range []string{
		"12 04 42 33 00 12",
		"06 04 42 33 00 06 07 04 42 33 00 07 0A 04 42 33 00 0A 12 04 42 33 00 12",
		"01 02 00 00 03 01 00 09 01 00 0B 02 2F 07 0C 02 1A 22 0A 04 00 00 01 00",
		"08 05 31 2E 30 34 00 0A 04 FF FF FF FF", "12 FF", "0A", "",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		before := bytes.Clone(answer)
		if ioctl, ok := featureCode(answer, featureTLVProperties); ok && !bytes.Contains(answer, binary.BigEndian.AppendUint32([]byte{featureTLVProperties, 4}, ioctl)) {
			t.Errorf("control code %08x is not in the answer", ioctl)
		}
		var c reader.Capabilities
		parseProperties(answer, &c)
		if !bytes.Equal(answer, before) {
			t.Error("a parser changed its input")
		}
		if c.MaxAPDU != 0 && (c.MaxAPDU < shortAPDU || c.MaxAPDU > longestAPDU) || c.Extended {
			t.Errorf("largest APDU %d, known to work: %v", c.MaxAPDU, c.Extended)
		}
		if len(c.Firmware) > maxText || strings.ContainsFunc(c.Firmware, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("firmware %q", c.Firmware)
		}
		if version := parseVersion(answer); len(version) > 16 {
			t.Errorf("version %q", version)
		}
		if data := pseudoData(answer, maxUID); len(data) > maxUID || len(data) > 0 && !bytes.HasPrefix(answer, data) {
			t.Errorf("pseudo data of %d bytes", len(data))
		}
	})
}

func TestPseudoData(t *testing.T) {
	for _, tt := range []struct {
		name, answer, want string
	}{
		{"four bytes", "04 11 22 33 90 00", "04 11 22 33"},
		{"ten bytes", "01 02 03 04 05 06 07 08 09 0A 90 00", "01 02 03 04 05 06 07 08 09 0A"},
		{"function not supported", "6A 81", ""},
		{"no data", "90 00", ""},
		{"warning", "04 11 22 33 62 82", ""},
		{"too long", "01 02 03 04 05 06 07 08 09 0A 0B 90 00", ""},
		{"not even a status", "90", ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pseudoData(unhex(t, tt.answer), maxUID); !bytes.Equal(got, unhex(t, tt.want)) {
				t.Errorf("% X, want %s", got, tt.want)
			}
		})
	}
}

func version(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func TestCapabilities(t *testing.T) {
	honest := func(_ *fake, r *fakeReader) {
		r.features = []byte{0x12, 0x04, 0x42, 0x33, 0x00, 0x12}
		r.properties = map[uint32][]byte{tlvProperties: {0x0B, 2, 0x2F, 0x07, 0x0C, 2, 0x1A, 0x22, 0x0A, 4, 0, 0, 1, 0}}
		r.attributes = map[uint32][]byte{
			attrVendorName: []byte("ACME\x00"), attrVendorType: []byte("Tap 3000\x00junk"), attrVendorVersion: version(0x02140000),
		}
	}
	for _, tt := range []struct {
		name string
		prep func(f *fake, r *fakeReader)
		want reader.Capabilities
		err  error
	}{
		{"a reader that tells nothing", func(*fake, *fakeReader) {}, reader.Capabilities{}, nil},
		{"a reader that tells everything", honest, reader.Capabilities{
			Name: "ACME Tap 3000", Firmware: "2.14", VendorID: 0x072F, ProductID: 0x221A, MaxAPDU: 0x10000,
		}, nil},
		{"features without the properties", func(_ *fake, r *fakeReader) { r.features = []byte{0x13, 4, 0, 0, 0, 1} }, reader.Capabilities{}, nil},
		{"a feature that is then refused", func(_ *fake, r *fakeReader) { r.features = []byte{0x12, 4, 0, 0, 0, 1} }, reader.Capabilities{}, nil},
		{"rubbish", func(_ *fake, r *fakeReader) {
			r.features = bytes.Repeat([]byte{0x12}, 0xFFFF)
			r.attributes = map[uint32][]byte{attrVendorName: bytes.Repeat([]byte{0xFF}, 1<<16), attrVendorVersion: {1}}
		}, reader.Capabilities{}, nil},
		{"Windows refuses the control code", func(f *fake, _ *fakeReader) { f.refuse["control"] = sysInvalidFunction }, reader.Capabilities{}, nil},
		{"no answer", func(f *fake, _ *fakeReader) { f.refuse["control"] = codeNotTransacted }, reader.Capabilities{}, nil},
		{"card gone", func(f *fake, _ *fakeReader) { f.refuse["control"] = codeRemovedCard }, reader.Capabilities{}, reader.ErrCardRemoved},
		{"reader gone", func(f *fake, _ *fakeReader) { f.refuse["attribute"] = codeReaderUnavailable }, reader.Capabilities{}, reader.ErrNoReader},
		{"service gone", func(f *fake, _ *fakeReader) { f.refuse["control"] = codeNoService }, reader.Capabilities{}, reader.ErrNoService},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := setUp(t, quick())
				chip := readertest.NewChip()
				f.insert(name, chip)
				card := open(t, d)
				seen := chip.Seen()
				f.do(func() { tt.prep(f, f.reader(name)) })
				got, err := reader.CapabilitiesOf(t.Context(), card)
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("capabilities (-want +got):\n%s", diff)
				}
				if chip.Seen() != seen {
					t.Error("the question reached the chip")
				}
			})
		})
	}
}

// A driver that never returns from a question and exchanges well costs the time
// of one question, once; it keeps nobody from the card.
func TestQuestionWithoutAnswer(t *testing.T) {
	for _, op := range []string{"attribute", "control"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := setUp(t, quick())
				chip := readertest.NewChip()
				f.insert(name, chip)
				let := make(chan struct{})
				f.do(func() {
					f.hang[op] = let
					f.reader(name).attributes = map[uint32][]byte{attrVendorName: []byte("ACME")}
				})
				h, err := reader.OpenHub(reader.HubConfig{Sources: []reader.Source{{Name: "pcsc", Driver: d}}})
				if err != nil {
					t.Fatal(err)
				}
				defer h.Close()
				read := func(most time.Duration) {
					t.Helper()
					began := time.Now()
					l, err := h.Take(t.Context(), name)
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					if d := time.Since(began); d > most {
						t.Errorf("Take took %v, want at most %v", d, most)
					}
					if _, err := l.Transmit(t.Context(), recall); err != nil {
						t.Error(err)
					}
				}
				read(time.Second)
				read(0)
				// Plugged in anew it is still that model.
				f.unplug(name)
				time.Sleep(time.Minute)
				f.plug(name)
				f.insert(name, chip)
				time.Sleep(time.Minute)
				read(0)
				if n := d.Stuck(); n != 1 {
					t.Errorf("%d calls left behind, want the question alone", n)
				}

				// The question comes back while somebody has the card.
				l, err := h.Take(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				resets := chip.Resets()
				f.do(func() { delete(f.hang, op) })
				close(let)
				synctest.Wait()
				if n := d.Stuck(); n != 0 || chip.Resets() != resets {
					t.Errorf("after the question came back: %d left behind, %d resets of a card that somebody has", n, chip.Resets()-resets)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An answer that comes late is one all the same.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		f.insert(name, readertest.NewChip())
		let := make(chan struct{})
		f.do(func() {
			f.hang["attribute"] = let
			f.reader(name).attributes = map[uint32][]byte{attrVendorName: []byte("ACME")}
		})
		card := open(t, d)
		if caps, err := reader.CapabilitiesOf(t.Context(), card); err != nil || caps.Name != "" {
			t.Errorf("before it: %q, %v", caps.Name, err)
		}
		f.do(func() { delete(f.hang, "attribute") })
		close(let)
		synctest.Wait()
		if caps, err := reader.CapabilitiesOf(t.Context(), card); err != nil || caps.Name != "ACME" {
			t.Errorf("after it: %q, %v", caps.Name, err)
		}
	})
}

type identifier interface {
	Identify(ctx context.Context) (reader.Capabilities, error)
}

func TestIdentify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := setUp(t, quick())
		chip := readertest.NewChip()
		f.insert(name, chip)
		card := open(t, d)
		ask := func() reader.Capabilities {
			t.Helper()
			c, err := card.(identifier).Identify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		// A reader without pseudo-APDUs hands them to the chip, which refuses.
		if c := ask(); c.UID != nil || c.ATS != nil {
			t.Errorf("UID and ATS of %d and %d bytes from a chip that has none", len(c.UID), len(c.ATS))
		}
		f.do(func() {
			f.reader(name).pseudo = map[string][]byte{
				string(getUID): {0x08, 1, 2, 3, 0x90, 0x00},
				string(getATS): {0x78, 0x80, 0x90, 0x00},
			}
		})
		seen := chip.Seen()
		c := ask()
		if !bytes.Equal(c.UID, []byte{0x08, 1, 2, 3}) || !bytes.Equal(c.ATS, []byte{0x78, 0x80}) || chip.Seen() != seen {
			t.Errorf("UID and ATS of %d and %d bytes", len(c.UID), len(c.ATS))
		}
		// Nobody gets them who did not ask.
		if c, err := reader.CapabilitiesOf(t.Context(), card); err != nil || c.UID != nil || c.ATS != nil {
			t.Errorf("capabilities with a UID, or error %v", err)
		}
		chip.LeaveAt(1)
		f.do(func() { f.reader(name).pseudo = nil })
		if c, err := card.(identifier).Identify(t.Context()); !errors.Is(err, reader.ErrCardRemoved) || c.UID != nil {
			t.Errorf("torn: %v", err)
		}
	})
}
