package reader_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	firmwarenotes "github.com/chamthe/chamthe/firmware-notes"
	"github.com/chamthe/chamthe/reader"
)

// Names as they were seen; the pages say where.
var quirkNames = []struct {
	name     string
	vid, pid uint16
	want     string // the quirk's id; empty for none
}{
	// Linux
	{"ACS ACR122U PICC Interface 00 00", 0, 0, "acs-acr122u"},
	{"ACS ACR122U 01 00", 0, 0, "acs-acr122u"},
	{"ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00", 0, 0, "acs-acr1252u-picc"},
	{"ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM] 01 00", 0, 0, "acs-acr1252u-sam"},
	{"ACS ACR1281 1S Dual Reader 00 00", 0, 0, "acs-acr1281u-c1-icc"},
	{"ACS ACR1281 1S Dual Reader 00 01", 0, 0, "acs-acr1281u-c1-picc"},
	{"ACS ACR1281 1S Dual Reader 0A 02", 0, 0, "acs-acr1281u-c1-sam"},
	{"ACS ACR1581 1S Dual Reader [ACR1581 1S Dual Reader PICC] 00 00", 0, 0, "acs-acr1581u-picc"},
	{"ACS ACR1581 1S Dual Reader [ACR1581 1S Dual Reader ICC] 01 00", 0, 0, "acs-acr1581u-icc"},
	{"ACS ACR1581 1S Dual Reader [ACR1581 1S Dual Reader SAM] 02 00", 0, 0, "acs-acr1581u-sam"},
	{"HID Global OMNIKEY 5022 Smart Card Reader [OMNIKEY 5022 Smart Card Reader] 00 00", 0, 0, "hid-omnikey-5022"},
	{"HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] (KJ0K3P000916363685) 00 00", 0, 0, "hid-omnikey-5422-cl"},
	{"HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422 Smartcard Reader] (KJ0K3P000916363685) 01 00", 0, 0, "hid-omnikey-5422-contact"},
	{"Identiv uTrust 3700 F CL Reader [uTrust 3700 F CL Reader] (55021722297869) 00 00", 0, 0, "identiv-utrust-3700f"},
	{"Feitian R502 [R502 Contactless Reader] (CC82C9B810000719) 00 00", 0, 0, "feitian-r502-contactless"},
	{"Feitian R502 [R502 Contact Reader] (CC82C9B810000719) 01 00", 0, 0, "feitian-r502-contact"},
	{"Feitian R502 [R502 SAM2 Reader] (CC82C9B810000719) 03 00", 0, 0, "feitian-r502-sam"},
	{"SCM Micro SCL3711 Contactless Reader & NFC 00 00", 0, 0, "scm-scl3711"},
	{"Sony FeliCa Port/PaSoRi 4.0 00 00", 0, 0, "sony-pasori-4"},

	// Windows
	{"ACS ACR122 0", 0, 0, "acs-acr122u"},
	{"ACS ACR122U PICC Interface 0", 0, 0, "acs-acr122u"},
	{"ACS ACR1252 Dual Reader PICC 0", 0, 0, "acs-acr1252u-picc"},
	{"ACS ACR1252 Dual Reader SAM 0", 0, 0, "acs-acr1252u-sam"},
	{"ACS ACR1281 1S Dual Reader PICC 0", 0, 0, "acs-acr1281u-c1-picc"},
	{"ACS ACR1281 1S Dual Reader ICC 0", 0, 0, "acs-acr1281u-c1-icc"},
	{"ACS ACR1281 1S Dual Reader SAM 0", 0, 0, "acs-acr1281u-c1-sam"},
	{"ACS ACR1281 PICC Reader 0", 0, 0, "acs-acr1281u-c4"},
	{"ACS ACR1581 1S Dual Reader PICC 0", 0, 0, "acs-acr1581u-picc"},
	{"HID Global OMNIKEY 5022 Smart Card Reader 0", 0, 0, "hid-omnikey-5022"},
	{"HID Global OMNIKEY 5422CL Smartcard Reader 0", 0, 0, "hid-omnikey-5422-cl"},
	{"HID Global OMNIKEY 5422 Smartcard Reader 0", 0, 0, "hid-omnikey-5422-contact"},
	{"Identiv CLOUD 3700 F Contactless Reader 0", 0, 0, "identiv-utrust-3700f"},
	{"Identive CLOUD 3700 F Contactless Reader 1", 0, 0, "identiv-utrust-3700f"},
	{"Feitian R502 Contactless Reader 0", 0, 0, "feitian-r502-contactless"},
	{"SCM Microsystems SCL3711 reader & NFC device 0", 0, 0, "scm-scl3711"},
	{"SONY FeliCa Port/PaSoRi 4.0 0", 0, 0, "sony-pasori-4"},
	{"Sony FeliCa Port/PaSoRi 3.0 0", 0, 0, "sony-pasori-3"},
	{"Windows Hello for Business 1", 0, 0, "windows-hello"},
	{"Microsoft UICC ISO Reader 7861926a 0", 0, 0, "windows-uicc"},
	{"Microsoft Virtual Smart Card 0", 0, 0, "windows-virtual-smart-card"},

	// macOS
	{"ACS ACR122U PICC Interface", 0, 0, "acs-acr122u"},
	{"ACS ACR1252 1S CL Reader(1)", 0, 0, "acs-acr1252u-picc"},
	{"ACS ACR1252 1S CL Reader(2)", 0, 0, "acs-acr1252u-sam"},
	{"ACS ACR1252 1S CL Reader(2) 01", 0, 0, "acs-acr1252u-sam"},
	{"ACS ACR1252 1S CL Reader PICC 0", 0, 0, "acs-acr1252u-picc"},
	{"ACS ACR1281 1S Dual Reader (1)", 0, 0, "acs-acr1281u-c1"},
	{"ACS ACR1281 1S Dual Reader(3)", 0, 0, "acs-acr1281u-c1-sam"},
	{"ACS ACR1581 1S Dual Reader(1)", 0, 0, "acs-acr1581u-picc"},
	{"ACS ACR1581 1S Dual Reader(3)", 0, 0, "acs-acr1581u-sam"},
	{"Identiv uTrust 3700 F CL Reader", 0, 0, "identiv-utrust-3700f"},
	{"HID Global OMNIKEY Smartcard Reader (1)", 0x076B, 0x5422, "hid-omnikey-5422"},

	// By id, because the name says nothing or there is none.
	{"HID Global OMNIKEY Smartcard Reader (1)", 0, 0, ""},
	{"", 0x072F, 0x2200, "acs-acr122u"},
	{"", 0x072F, 0x223E, "acs-acr1252u"},
	{"", 0x072F, 0x2224, "acs-acr1281u-c1"},
	{"", 0x072F, 0x2301, "acs-acr1581u"},
	{"", 0x096E, 0x060D, "feitian-r502"},
	{"", 0x054C, 0x06C3, "sony-pasori-3"},
	{"ACS ACR1581 1S Dual Reader(2)", 0x072F, 0x2301, "acs-acr1581u"},
	// The name decides before the id.
	{"ACS ACR1252 Dual Reader SAM 0", 0x072F, 0x223B, "acs-acr1252u-sam"},

	// Near ones that are others.
	{"ACS ACR1222 1SAM PICC Reader", 0, 0, ""},
	{"ACS ACR1251 1S CL Reader(1)", 0, 0, ""},
	{"ACS ACR39U ICC Reader 0", 0x072F, 0xB100, ""},
	{"HID Global OMNIKEY 5427 CK (010100534E5634303104531E20192530) 00 00", 0, 0, ""},
	{"Identiv uTrust 3720 Contactless Reader 0", 0, 0, ""},
	{"Microsoft IFD 0", 0, 0, ""},
	{"Virtual PCD 00 00", 0, 0, ""},
	{"", 0, 0, ""},
	{"", 0x096E, 0x0608, ""}, // shared with readers of other makers
}

func TestQuirkOfKnownNames(t *testing.T) {
	won := make(map[string]bool)
	for _, tt := range quirkNames {
		t.Run(strings.ReplaceAll(fmt.Sprintf("%s %04X:%04X", tt.name, tt.vid, tt.pid), "/", "_"), func(t *testing.T) {
			q, ok := reader.QuirkOf(tt.name, tt.vid, tt.pid)
			if q.ID != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", q.ID, ok, tt.want)
			}
			won[q.ID] = true
			// What the name alone says never contradicts the quirk.
			if k := reader.KindOf(tt.name, nil); ok && tt.name != "" && k != reader.KindUnknown && q.Kind != reader.KindUnknown && k != q.Kind {
				t.Errorf("%v by its name, %v by the quirk", k, q.Kind)
			}
		})
	}
	for _, q := range reader.Quirks() {
		if !won[q.ID] {
			t.Errorf("no name above leads to %s: is it hidden by one before it?", q.ID)
		}
	}
}

// The file in the program is one that can be read. If it were not, every reader
// would be one of which nothing is known.
func TestQuirksOfThisProgram(t *testing.T) {
	if err := reader.QuirksError(); err != nil || len(reader.Quirks()) < 20 {
		t.Errorf("%d quirks, error %v", len(reader.Quirks()), err)
	}
}

// TestQuirkValues spells two quirks out, so that a change of the file shows.
func TestQuirkValues(t *testing.T) {
	for _, tt := range []struct {
		name string
		want reader.Quirk
	}{
		{"ACS ACR122U PICC Interface 00 00", reader.Quirk{
			ID: "acs-acr122u", Page: "readers/acs-acr122u.md",
			Match: `^ACS ACR122U?\b`, USB: []reader.USBID{{Vendor: 0x072F, Product: 0x2200}},
			Kind: reader.Contactless, MaxShort: 256, Extended: reader.ExtendedUnsafe,
			Escape: []reader.EscapeCommand{
				{Name: "firmware", Command: []byte{0xFF, 0x00, 0x48, 0x00, 0x00}},
				{Name: "buzzer-off", Command: []byte{0xFF, 0x00, 0x52, 0x00, 0x00}, Sets: true},
				{Name: "buzzer-on", Command: []byte{0xFF, 0x00, 0x52, 0xFF, 0x00}, Sets: true},
			},
			Driver: "https://www.acs.com.hk/en/products/3/acr122u-usb-nfc-reader/",
		}},
		{"Windows Hello for Business 1", reader.Quirk{
			ID: "windows-hello", Page: "os/windows-hello.md", Match: `^Windows Hello`, Kind: reader.Virtual,
		}},
	} {
		got, _ := reader.QuirkOf(tt.name, 0, 0)
		if d := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(reader.Quirk{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

func TestQuirkLimits(t *testing.T) {
	for _, tt := range []struct {
		name  string
		quirk reader.Quirk
		want  reader.Limits
	}{
		{"nothing known", reader.Quirk{}, reader.Limits{}},
		{"unknown stays within one message", reader.Quirk{MaxShort: 256, MaxExtended: 508}, reader.Limits{MaxNe: 508}},
		{"unsafe is short", reader.Quirk{MaxShort: 256, Extended: reader.ExtendedUnsafe}, reader.Limits{MaxNe: 256, NoExtended: true}},
		{"unsafe, and nothing else known", reader.Quirk{Extended: reader.ExtendedUnsafe}, reader.Limits{NoExtended: true}},
		{"safe is not limited by one message", reader.Quirk{MaxExtended: 508, Extended: reader.ExtendedSafe}, reader.Limits{}},
		{"pause", reader.Quirk{DelayBetween: time.Millisecond, DelayAfterReset: time.Second}, reader.Limits{Delay: time.Millisecond}},
	} {
		if got := tt.quirk.Limits(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestQuirksAreNobodysToChange: what a caller does to what it got stays with it.
func TestQuirksAreNobodysToChange(t *testing.T) {
	spoil := func(q *reader.Quirk) {
		q.ID, q.Kind = "spoiled", reader.Token
		q.USB[0] = reader.USBID{Vendor: 1, Product: 1}
		q.Escape[0].Name, q.Escape[0].Command[0] = "spoiled", 0
	}
	before, err := reader.ParseQuirks(firmwarenotes.YAML())
	if err != nil {
		t.Fatal(err)
	}
	q, ok := reader.QuirkOf("ACS ACR122U PICC Interface 00 00", 0, 0)
	if !ok {
		t.Fatal("no quirk")
	}
	spoil(&q)
	for i := range before {
		if all := reader.Quirks(); len(all[i].USB) > 0 && len(all[i].Escape) > 0 {
			spoil(&all[i])
		}
	}
	if d := cmp.Diff(before, reader.Quirks(), cmpopts.IgnoreUnexported(reader.Quirk{})); d != "" {
		t.Error(d)
	}
}

// quirkFile wraps one quirk into a file; its first line is line 3.
func quirkFile(lines ...string) string {
	return "version: 1\nquirks:\n  - " + strings.Join(lines, "\n    ") + "\n"
}

// TestQuirkFilesAreRead covers what the file in the program does not use.
func TestQuirkFilesAreRead(t *testing.T) {
	got, err := reader.ParseQuirks([]byte(quirkFile("id: a-1", "page: os/x.md", "match: '^A\\b'", "usb: ['0001:FFFF', 'AAAA:BBBB']", "kind: token",
		"max_short: 1", "max_extended: 65536", "extended: safe", "delay_after_reset: 2s", "delay_between: 1500us",
		"escape:", "  - name: card-info", "    command: '11'", "driver: https://example.org/d?x=1")))
	if err != nil {
		t.Fatal(err)
	}
	want := []reader.Quirk{{
		ID: "a-1", Page: "os/x.md", Match: `^A\b`, USB: []reader.USBID{{Vendor: 1, Product: 0xFFFF}, {Vendor: 0xAAAA, Product: 0xBBBB}}, Kind: reader.Token,
		MaxShort: 1, MaxExtended: 65536, Extended: reader.ExtendedSafe, DelayAfterReset: 2 * time.Second, DelayBetween: 1500 * time.Microsecond,
		Escape: []reader.EscapeCommand{{Name: "card-info", Command: []byte{0x11}}}, Driver: "https://example.org/d?x=1",
	}}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(reader.Quirk{})); d != "" {
		t.Error(d)
	}
	if got, err := reader.ParseQuirks([]byte("version: 1\nquirks: []\n")); err != nil || len(got) != 0 {
		t.Errorf("no quirks: %v, %v", got, err)
	}
}

func TestQuirkFilesAreStrict(t *testing.T) {
	with := func(lines ...string) string {
		return quirkFile(append([]string{"id: a", "page: readers/a.md", "match: A"}, lines...)...)
	}
	for _, tt := range []struct {
		name, file string
		line       int
		want       string
	}{
		{"empty", "", 0, "not YAML"},
		{"not YAML", "version: 1\nquirks: [\n", 2, "not YAML"},
		{"tabs", "version: 1\nquirks:\n\t- id: a\n", 3, "not YAML"},
		{"too long", strings.Repeat("#", 256<<10) + "\n", 0, "longer"},
		{"no mapping", "- a\n", 1, "keys and values"},
		{"no version", "quirks: []\n", 1, "version 1"},
		{"other version", "version: 2\nquirks: []\n", 1, "version 1"},
		{"no list", "version: 1\nquirks: {}\n", 1, "has to be a list"},
		{"nothing", "version: 1\n", 1, "has to be a list"},
		{"unknown key above", "version: 1\nquirks: []\nmore: 1\n", 3, `unknown key "more"`},
		{"second document", "version: 1\nquirks: []\n---\nversion: 1\n", 3, "second document"},
		{"alias", "version: 1\nquirks: [&q {id: a, page: os/a.md, match: A}, *q]\n", 2, "keys and values"},
		{"merge", with("<<: {kind: sam}"), 6, `unknown key "<<"`},
		{"many", "version: 1\nquirks:\n" + strings.Repeat("  - {}\n", 513), 3, "more than 512"},
		{"same id", quirkFile("id: a", "page: os/a.md", "match: A") + "  - {id: a, page: os/b.md, match: B}\n", 6, "twice"},
		{"key twice", with("kind: sam", "kind: sam"), 7, `key "kind" is there twice`},
		{"unknown key", with("speed: 424"), 6, `unknown key "speed"`},
		{"no id", quirkFile("page: os/a.md", "match: A"), 3, "id is missing"},
		{"bad id", quirkFile("id: A B", "page: os/a.md", "match: A"), 3, "hyphens"},
		{"no page", quirkFile("id: a", "match: A"), 3, "page is missing"},
		{"page elsewhere", quirkFile("id: a", "page: readers/../../etc/a.md", "match: A"), 4, "readers/model.md"},
		{"page absolute", quirkFile("id: a", "page: /readers/a.md", "match: A"), 4, "readers/model.md"},
		{"page no text", quirkFile("id: a", "page: readers/a.txt", "match: A"), 4, "readers/model.md"},
		{"nothing to match", quirkFile("id: a", "page: os/a.md"), 3, "neither match nor usb"},
		{"no expression", quirkFile("id: a", "page: os/a.md", "match: '('"), 5, "no regular expression"},
		{"every name", quirkFile("id: a", "page: os/a.md", "match: '.*'"), 5, "fits every name"},
		{"long expression", quirkFile("id: a", "page: os/a.md", "match: "+strings.Repeat("a", 201)), 5, "longer than 200"},
		{"no word", with("kind: ''"), 6, "a word"},
		{"list for a word", with("kind: [sam]"), 6, "a word"},
		{"other kind", with("kind: unknown"), 6, "kind has to be"},
		{"usb no list", with("usb: '072F:2200'"), 6, "has to be a list"},
		{"usb empty", with("usb: []"), 6, "1 to 32"},
		{"usb lower case", with("usb: ['072f:2200']"), 6, "072F:2200"},
		{"usb twice", with("usb: ['072F:2200', '072F:2200']"), 6, "twice"},
		{"usb zero", with("usb: ['0000:0000']"), 6, "no id"},
		{"short none", with("max_short: 0"), 6, "1 to 256"},
		{"short too much", with("max_short: 257"), 6, "1 to 256"},
		{"short in octal", with("max_short: 0100"), 6, "1 to 256"},
		{"extended too little", with("max_extended: 256"), 6, "257 to 65536"},
		{"extended too much", with("max_extended: 65537"), 6, "257 to 65536"},
		{"extended word", with("extended: 'yes'"), 6, "safe, unsafe or unknown"},
		{"unsafe with a length", with("extended: unsafe", "max_extended: 510"), 3, "is unsafe"},
		{"pause without unit", with("delay_between: 20"), 6, "a pause"},
		{"pause negative", with("delay_between: -1ms"), 6, "a pause"},
		{"pause too long", with("delay_after_reset: 2001ms"), 6, "a pause"},
		{"escape unknown", with("escape:", "  - {name: reboot, command: '00'}"), 7, `"reboot" is unknown`},
		{"escape twice", with("escape:", "  - {name: firmware, command: '00'}", "  - {name: firmware, command: '01'}"), 8, "twice"},
		{"escape half", with("escape: [{name: firmware}]"), 6, "name and command"},
		{"escape odd", with("escape: [{name: firmware, command: FF0}]"), 6, "upper-case hex"},
		{"escape lower case", with("escape: [{name: firmware, command: ff}]"), 6, "upper-case hex"},
		{"escape too long", with("escape: [{name: firmware, command: '" + strings.Repeat("00", 65) + "'}]"), 6, "64 bytes"},
		{"driver without TLS", with("driver: http://example.org/"), 6, "https"},
		{"driver a script", with("driver: 'javascript:alert(1)'"), 6, "https"},
		{"driver with a password", with("driver: https://a:b@example.org/"), 6, "https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := reader.ParseQuirks([]byte(tt.file))
			e, ok := errors.AsType[*reader.QuirkError](err)
			if !ok {
				t.Fatalf("%v, %v; want a QuirkError", got, err)
			}
			if got != nil || e.Line != tt.line || !strings.Contains(e.Problem, tt.want) {
				t.Errorf("%v with %d quirks; want line %d: ...%s...", err, len(got), tt.line, tt.want)
			}
			if tt.line > 0 && !strings.Contains(err.Error(), fmt.Sprintf("line %d: ", tt.line)) {
				t.Errorf("%q does not say the line", err)
			}
		})
	}
}

func FuzzQuirkOf(f *testing.F) {
	for _, tt := range quirkNames {
		f.Add(tt.name, tt.vid, tt.pid)
	}
	f.Fuzz(func(t *testing.T, name string, vid, pid uint16) {
		q, ok := reader.QuirkOf(name, vid, pid)
		again, _ := reader.QuirkOf(name, vid, pid)
		if q.ID != again.ID || ok != (q.ID != "") {
			t.Fatalf("%q %04X:%04X: %q, then %q, %v", name, vid, pid, q.ID, again.ID, ok)
		}
		if byID, found := reader.QuirkOf("", vid, pid); found && !ok {
			t.Fatalf("%q hides %s", name, byID.ID)
		}
		if l := q.Limits(); l.MaxNe < 0 || l.NoExtended && l.MaxNe > 256 {
			t.Fatalf("%s: %+v", q.ID, l)
		}
	})
}

func FuzzQuirkFile(f *testing.F) {
	f.Add(firmwarenotes.YAML())
	f.Add([]byte(quirkFile("id: a", "page: os/a.md", "match: A", "usb: ['0001:0002']", "extended: safe", "delay_between: 1ms", "escape: [{name: firmware, command: '00'}]")))
	f.Add([]byte("version: 1\nquirks: [&a [*a]]\n"))
	f.Add([]byte("version: 1\nquirks: []\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := reader.ParseQuirks(data)
		if err != nil {
			if _, ok := errors.AsType[*reader.QuirkError](err); !ok || got != nil {
				t.Fatalf("%v with %d quirks", err, len(got))
			}
			return
		}
		for _, q := range got {
			switch {
			case q.ID == "", q.Page == "", q.Match == "" && len(q.USB) == 0,
				q.MaxShort < 0 || q.MaxShort > 256, q.MaxExtended != 0 && q.MaxExtended <= 256, q.MaxExtended > 65536,
				q.DelayBetween < 0 || q.DelayAfterReset < 0 || q.DelayBetween > 2*time.Second || q.DelayAfterReset > 2*time.Second:
				t.Fatalf("out of bounds: %+v", q)
			}
		}
	})
}
