package model_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/internal/scene"
	"github.com/chamthe/chamthe/ui/model"
)

const (
	hiQR  = "GD4010100000001|4E677579E1BB856E2056C4836E205468E1BBAD|31/01/1999|1|48C3A0204EE1BB9969|01 - 013|01/01/2026|31/12/2026|01/01/2026|01010100000001|-|4|01/01/2028|0123456789abcdef-0000|$"
	lines = "IDVNM0990000017001099000001<<8\n9901314M3901314VNM<<<<<<<<<<<4\nNGUYEN<<VAN<THU<<<<<<<<<<<<<<<"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		name        string
		scan        model.Scan
		wantKind    model.Kind
		wantSpoilt  model.Spoilt
		corrections int
	}{
		{name: "citizen card", scan: model.Scan{Text: scene.QR}, wantKind: model.KindCCCD},
		{name: "citizen card without marks", scan: model.Scan{Text: "001099000001||Nguyen Van Thu|31011999|Nam|So 1|15042021"}, wantKind: model.KindCCCD},
		// Names may be rewritten by an input method; nothing that opens the chip was.
		{name: "name rewritten", scan: model.Scan{Text: "001099000001||Nguyên Văn Thư|31011999|Nam|Sô 1|15042021", Corrections: 3}, wantKind: model.KindCCCD},
		{name: "date rewritten", scan: model.Scan{Text: "001099000001||Nguyen Van Thu|310á999|Nam|So 1|15042021"}, wantKind: model.KindCCCD, wantSpoilt: model.SpoiltVNI},
		{name: "digit lost", scan: model.Scan{Text: "00109900000a||Nguyen Van Thu|31011999|Nam|So 1|15042021"}, wantKind: model.KindCCCD, wantSpoilt: model.SpoiltMethod},
		{name: "insurance card", scan: model.Scan{Text: hiQR}, wantKind: model.KindHI},
		{name: "insurance card in VNI", scan: model.Scan{Text: strings.ReplaceAll(hiQR, "E1", "É")}, wantKind: model.KindHI, wantSpoilt: model.SpoiltVNI},
		{name: "insurance card in Telex or VNI", scan: model.Scan{Text: strings.ReplaceAll(hiQR, "E1BB", "Ê1BB")}, wantKind: model.KindHI, wantSpoilt: model.SpoiltMethod},
		{name: "insurance card with a digit lost", scan: model.Scan{Text: strings.Replace(hiQR, "4E67", "E67", 1)}, wantKind: model.KindHI, wantSpoilt: model.SpoiltMethod},
		{name: "lines", scan: model.Scan{Text: lines}, wantKind: model.KindMRZ},
		{name: "lines of a passport", scan: model.Scan{Text: "P<UTOTESTA<<MUSTER" + strings.Repeat("<", 26) + "\nUTO1234567" + strings.Repeat("0", 34)}, wantKind: model.KindMRZ},
		{name: "lines in Telex", scan: model.Scan{Text: strings.Replace(lines, "NGUYEN", "NGUYÊN", 1)}, wantKind: model.KindMRZ, wantSpoilt: model.SpoiltTelex},
		{name: "layout Vietnamese", scan: model.Scan{Text: "đđă\u0323\u0323đđđđđă|"}, wantSpoilt: model.SpoiltLayout},
		{name: "opaque", scan: model.Scan{Text: "https://example.org/q/AbCdEf0123456789"}},
		{name: "opaque, corrected on the way", scan: model.Scan{Text: "https://example.org/q/ÂbCdEf0123456789", Corrections: 1}, wantSpoilt: model.SpoiltMethod},
		{name: "broken off", scan: model.Scan{Text: "001099000001|"}, wantSpoilt: model.SpoiltShortly},
		{name: "empty", wantSpoilt: model.SpoiltShortly},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, spoilt := model.Classify(tt.scan)
			if kind != tt.wantKind || spoilt != tt.wantSpoilt {
				t.Errorf("got kind %d, spoilt %d, want %d, %d", kind, spoilt, tt.wantKind, tt.wantSpoilt)
			}
		})
	}
}

// FuzzClassify: no text from a keyboard makes it fail, and what was taken for a citizen
// card's intact code opens with twelve digits.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{scene.QR, hiQR, lines, "", "|", "|||||||||||", "đđăđđăđ", "\x00\xff|"} {
		f.Add(s, 0)
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, corrections int) {
		kind, spoilt := model.Classify(model.Scan{Text: s, Corrections: corrections})
		if kind == model.KindCCCD && spoilt == model.Intact {
			first, _, _ := strings.Cut(s, "|")
			if model.CheckNumber(first).State == model.Wrong {
				t.Errorf("%q is taken for a number", first)
			}
		}
	})
}

// A stroke is a key and the time since the one before.
type stroke struct {
	after time.Duration
	key   rune
}

func burst(s string, gap time.Duration) []stroke {
	var out []stroke
	for _, r := range s {
		out = append(out, stroke{gap, r})
	}
	return out
}

func join(parts ...[]stroke) (all []stroke) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// TestScans types with the times between keys as they are with scanners and with hands.
func TestScans(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name string
		keys []stroke
		// want is the code that is sent to the agent; empty: none.
		want string
		// swallowed is how many keys reach nothing else.
		swallowed int
		notice    string
	}{
		{"fast scanner with Enter", burst(scene.QR+"\n", 2*ms), scene.QR, len([]rune(scene.QR)) + 1 - 7, ""},
		{"slow scanner", burst(scene.QR+"\n", 35*ms), scene.QR, len([]rune(scene.QR)) + 1 - 7, ""},
		{"scanner without Enter", burst(scene.QR, 5*ms), scene.QR, len([]rune(scene.QR)) - 7, ""},
		{"scanner with Tab", burst(scene.QR+"\t", 5*ms), scene.QR, len([]rune(scene.QR)) + 1 - 7, ""},
		{"lines, each with Enter and a pause", join(burst("IDVNM0990000017001099000001<<8\n", 5*ms),
			[]stroke{{90 * ms, '9'}}, burst("901314M3901314VNM<<<<<<<<<<<4\n", 5*ms),
			[]stroke{{90 * ms, 'N'}}, burst("GUYEN<<VAN<THU<<<<<<<<<<<<<<<\n", 5*ms)), lines, 93 - 7, ""},
		{
			"two scans one after the other", join(burst(scene.QR+"\n", 5*ms), []stroke{{900 * ms, '0'}}, burst(scene.QR[1:]+"\n", 5*ms)),
			scene.QR, 2 * (len([]rune(scene.QR)) + 1 - 7), "",
		},
		{"a hand", burst("Nguyễn Văn Thử\n", 130*ms), "", 0, ""},
		{"a fast hand with fast pairs", join(burst("Ngu", 40*ms), []stroke{{80 * ms, 'y'}}, burst("ễn", 40*ms), []stroke{{80 * ms, ' '}}, burst("Vă", 44*ms)), "", 0, ""},
		{"a key held down", burst(strings.Repeat("0", 40), 30*ms), "", 0, ""},
		{"backspace held down", burst(strings.Repeat("\b", 40), 30*ms), "", 0, ""},
		{"a word pasted by an input method", burst("Nguyễn", 1*ms), "", 0, ""},
		{"spoilt by VNI", burst(strings.ReplaceAll(hiQR, "E1", "É"), 5*ms), "", len([]rune(strings.ReplaceAll(hiQR, "E1", "É"))) - 7, "VNI"},
		{"spoilt with corrections", burst("https://example.org/qAA\b\bÂ0123456789", 5*ms), "", 36 - 7, "Unikey"},
		{"broken off", burst("001099000001", 5*ms), "", 5, "thiếu"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := scene.Scene{Messages: []model.Message{model.GotStatus{Status: scene.Status()}}}.Model(0)
			now := scene.Now.Add(time.Minute)
			var todo []model.Effect
			swallowed := 0
			for _, k := range tt.keys {
				now = now.Add(k.after)
				// The desk's own ticks come at any time and must break nothing.
				todo = append(todo, m.Update(now.Add(-k.after/2), model.Tick{})...)
				s, more := m.Type(now, k.key)
				todo = append(todo, more...)
				if s {
					swallowed++
				}
			}
			if at, ok := m.Due(); ok {
				todo = append(todo, m.Update(at, model.Tick{})...)
			} else if swallowed > 0 {
				t.Error("nothing is due at the end of a scan")
			}
			got := ""
			for _, e := range todo {
				if b, ok := e.(model.Begin); ok {
					if got != "" {
						t.Error("one scan began two check-ins")
					}
					got = b.Start.Key.Scan
				}
			}
			if got != tt.want {
				t.Errorf("sent %q, want %q", got, tt.want)
			}
			if swallowed != tt.swallowed {
				t.Errorf("swallowed %d keys, want %d", swallowed, tt.swallowed)
			}
			v := m.View(now)
			notice := ""
			if v.Notice != nil {
				notice = v.Notice.Text
			}
			if (tt.notice == "") != (notice == "") || !strings.Contains(notice, tt.notice) {
				t.Errorf("notice %q, want one with %q", notice, tt.notice)
			}
		})
	}
}

// TestScanIntoField: the first keys of a scan reach the field that has the focus, before
// anybody can know; they are taken out again.
func TestScanIntoField(t *testing.T) {
	m := scene.Scene{Messages: []model.Message{
		model.GotStatus{Status: scene.Status()}, model.Press{Action: model.ActToday}, model.Edit{Field: model.FieldSearch, Text: "Tr"},
	}}.Model(0)
	now := scene.Now.Add(time.Minute)
	text := "Tr"
	// A hand has typed just before, and no tick came between.
	for _, r := range "ần" {
		now = now.Add(90 * time.Millisecond)
		m.Type(now, r)
		text += string(r)
		m.Update(now, model.Edit{Field: model.FieldSearch, Text: text})
	}
	now = now.Add(60 * time.Millisecond)
	for _, r := range scene.QR + "\n" {
		now = now.Add(5 * time.Millisecond)
		swallow, _ := m.Type(now, r)
		if !swallow {
			text += string(r)
			m.Update(now, model.Edit{Field: model.FieldSearch, Text: text})
		} else if !m.Pending(now) {
			t.Fatal("a key of a scan would press a button")
		}
	}
	if got := m.View(now).Body[0].Input.Text; got != "Trần" {
		t.Errorf("the field has %q, want what was typed by hand", got)
	}
	todo := m.Update(now.Add(model.ScanQuiet), model.Tick{})
	if len(todo) != 1 {
		t.Fatalf("got %v, want the beginning of a check-in", todo)
	}
	if b, ok := todo[0].(model.Begin); !ok || b.Start.Key.Scan != scene.QR || b.Start.Means != wire.MeansChip || !b.Start.Photo {
		t.Error("the check-in is not that of the code")
	}
	if m.Pending(now.Add(time.Second)) {
		t.Error("a scan is pending for ever")
	}
}

// TestHandIntoField: what a hand types stays, and Enter presses.
func TestHandIntoField(t *testing.T) {
	m := scene.Scene{Messages: []model.Message{model.GotStatus{Status: scene.Status()}, model.Press{Action: model.ActToday}}}.Model(0)
	now := scene.Now.Add(time.Minute)
	text := ""
	for _, r := range "Nguyễn" {
		now = now.Add(90 * time.Millisecond)
		if swallow, _ := m.Type(now, r); swallow {
			t.Fatal("a key of a hand is swallowed")
		}
		text += string(r)
		m.Update(now, model.Edit{Field: model.FieldSearch, Text: text})
		m.Update(now.Add(40*time.Millisecond), model.Tick{})
	}
	now = now.Add(200 * time.Millisecond)
	if swallow, _ := m.Type(now, model.Enter); swallow || m.Pending(now) {
		t.Error("Enter of a hand presses nothing")
	}
	if got := m.View(now).Body[0].Input.Text; got != "Nguyễn" {
		t.Errorf("the field has %q", got)
	}
}
