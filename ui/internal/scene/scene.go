// Package scene is every state of the desk, reached as in life: by messages to a model.
// The golden images, the benchmarks and the pictures in the documentation are made of
// it. All people are made up.
package scene

import (
	"image"
	"image/color"
	"image/draw"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
	"github.com/chamthe/chamthe/ui/model"
)

// Now is when all scenes play.
var Now = time.Date(2026, 3, 2, 9, 12, 30, 0, time.FixedZone("ICT", 7*3600))

// QR is the code of the citizen in most scenes.
const QR = "001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Số 1, Phường X, Hà Nội|15042021"

// A Scene is a state of the desk.
type Scene struct {
	Name string
	What string // for the documentation
	// Settings are changed before the messages are sent.
	Settings func(*model.Settings)
	Messages []model.Message
}

// Model plays the scene.
func (s Scene) Model(l i18n.Lang) *model.Model {
	set := model.Defaults()
	set.Lang, set.Theme = l, "light"
	if s.Settings != nil {
		s.Settings(&set)
	}
	m := model.New(Now, set, "0.7.0")
	for i, msg := range s.Messages {
		// A second each: what Enter does has to stand for a moment before it does it.
		now := Now.Add(-time.Duration(len(s.Messages)-1-i) * time.Second)
		switch msg := msg.(type) {
		case scan:
			at := now
			for _, r := range msg.text {
				m.Type(at, r)
				at = at.Add(8 * time.Millisecond)
			}
			m.Update(at.Add(time.Second), model.Tick{})
			continue
		case pause:
			m.Update(Now.Add(msg.d), model.Tick{})
			continue
		}
		m.Update(now, msg)
	}
	return m
}

// A scan is a burst of keys. It embeds a message, so that it is one.
type scan struct {
	model.Tick
	text string
}

func typed(s string) model.Message { return scan{text: s} }

// Status is a desk that works.
func Status() wire.Status {
	return wire.Status{
		Version: "0.7.0", Now: Now, Ready: true, Facility: wire.Facility{Code: "01013", Name: "Trạm Y tế xã X"},
		Agent:   "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
		Readers: []wire.Reader{{Name: "ACS ACR1252 Dual Reader [PICC] 00 00", Kind: "contactless", Best: true}},
		Link:    wire.Link{State: "online"}, Queue: wire.Queue{Accepted: 41},
		Trust: &wire.Trust{Certificates: 12, States: 3}, Bundles: []wire.Bundle{{Kind: "population", Version: 8, Entries: 4210, AsOf: Now.AddDate(0, 0, -1)}},
		Store: wire.Store{Checked: true, Free: 1 << 36},
	}
}

func status(change func(*wire.Status)) model.Message {
	s := Status()
	if change != nil {
		change(&s)
	}
	return model.GotStatus{Status: s}
}

func entry(visit, name, number, means, state, reason string, ago time.Duration) wire.HistoryEntry {
	return wire.HistoryEntry{
		Visit: visit, At: Now.Add(-ago), Name: name, Number: number, Means: means, Verified: means == wire.MeansChip, Operator: "Lan",
		Entitlement: "valid", Delivery: &wire.Delivery{VisitID: visit, State: state, Reason: reason},
	}
}

// History is the visits of today before this one.
func History() wire.History {
	return wire.History{Day: "2026-03-02", Entries: []wire.HistoryEntry{
		entry("v4", "Trần Thị Mẫu", "0002", wire.MeansChip, "queued", "", 2*time.Minute),
		entry("v3", "Lê Thị Thử Nghiệm", "0003", wire.MeansChip, "accepted", "", 9*time.Minute),
		entry("v2", "Phạm Văn Mẫu", "0004", wire.MeansHIQR, "accepted", "", 14*time.Minute),
		entry("v1", "Hoàng Thị Ví Dụ", "0005", wire.MeansChip, "rejected", "card_holder", 31*time.Minute),
	}}
}

var online = []model.Message{status(nil), model.GotHistory{History: History()}}

func after(more ...model.Message) []model.Message {
	return append(append([]model.Message{}, online...), more...)
}

// CheckIn is a check-in of the first citizen in the given state, as the agent reports
// it.
func CheckIn(state string, change func(*wire.CheckIn)) wire.CheckIn {
	c := wire.CheckIn{ID: "c1", State: state, Version: versions[state], Means: wire.MeansChip, Owner: "desk", Started: Now, TimingsMS: map[string]float64{}}
	switch state {
	case wire.StateReading:
		c.Progress = &wire.Progress{Step: "dg13", Done: 4, Total: 8, Bytes: 300, Size: 600, Elapsed: 420}
		c.TimingsMS = map[string]float64{"access": 180, "ef_sod": 96, "active_authentication": 71, "dg1": 22}
	case wire.StateText:
		c.Person, c.Report = Person(), Report("accept")
		c.Person.Verified = false
		c.Progress = &wire.Progress{Step: "dg2", Done: 6, Total: 8, Bytes: 6200, Size: 14210, Elapsed: 700}
	case wire.StateConfirm, wire.StateRecording, wire.StateRecorded:
		c.Person, c.Report, c.Entitlement = Person(), Report("accept"), Entitlement()
		c.Photo = &wire.Photo{Available: true, Signed: true, MediaType: "image/jpeg", Width: 480, Height: 640}
	}
	if state == wire.StateRecorded {
		c.Visit, c.Delivery = "v5", &wire.Delivery{VisitID: "v5", State: "queued"}
	}
	if change != nil {
		change(&c)
	}
	return c
}

var versions = map[string]uint64{
	wire.StateKey: 1, wire.StateCard: 2, wire.StateReading: 3, wire.StateText: 4, wire.StateConfirm: 5, wire.StateRecording: 6,
	wire.StateRecorded: 7, wire.StateRefused: 7, wire.StateFailed: 7, wire.StateCancelled: 7,
}

// at is a check-in in that state, having been through the ones before it.
func at(state string, change func(*wire.CheckIn)) []model.Message {
	out := []model.Message{model.GotCheckIn{CheckIn: CheckIn(wire.StateCard, nil)}, model.GotCheckIn{CheckIn: CheckIn(state, change)}}
	switch state {
	case wire.StateConfirm, wire.StateRecording, wire.StateRecorded, wire.StateRefused:
		out = append(out, model.GotPhoto{ID: "c1", Photo: Portrait()})
	}
	return out
}

// Person is the first citizen.
func Person() *wire.Person {
	return &wire.Person{
		Verified: true, SignedByIssuer: true, Name: "Nguyễn Văn Thử", NameMRZ: "NGUYEN VAN THU", Number: "001099000001", DocumentNumber: "099000001",
		BirthDate: "1999-01-31", Sex: "male", Nationality: "VNM", Expiry: "2039-01-31", Residence: "Số 1, Phường X, Hà Nội",
	}
}

// Entitlement is a valid one, just looked up.
func Entitlement() *wire.Entitlement {
	return &wire.Entitlement{
		Status: "valid", Code: "000", Source: "central", AsOf: Now.Format(time.RFC3339), CardNumber: "GD4010100000001",
		From: "2026-01-01", To: "2026-12-31", Facility: "01013", BenefitLevel: "4",
	}
}

var checkIDs = []string{
	"access_control", "sod_signature", "signer_validity", "trust_chain", "revocation", "issuing_state", "dg1_integrity", "dg13_integrity",
	"dg14_integrity", "dg15_integrity", "dg2_integrity", "passive_authentication", "pace_cam", "chip_authentication",
	"active_authentication", "chip_authenticity", "key_binding", "card_access", "data_consistency", "document_validity",
}

// Report is one in which all is well, but for the changes: check, result, reason.
func Report(decision string, changes ...[3]string) *wire.Report {
	r := &wire.Report{Decision: decision, Groups: map[string]string{}, Access: "BAC 3DES"}
	for _, id := range checkIDs {
		c := wire.Check{ID: id, Result: "successful", Millis: 12}
		switch id {
		case "dg14_integrity", "pace_cam", "chip_authentication", "card_access":
			c.Result, c.Millis = "not_supported", 0
		case "revocation":
			c.Result, c.Reason, c.Millis = "undetermined", "no_revocation_information", 0
		}
		for _, ch := range changes {
			if ch[0] == id {
				c.Result, c.Reason = ch[1], ch[2]
			}
		}
		r.Checks = append(r.Checks, c)
	}
	return r
}

// Fault is one as the agent sends it.
func Fault(code, kind string) *wire.Fault {
	return &wire.Fault{Code: code, Kind: kind, Cause: "cause of " + code, Remedy: "remedy of " + code}
}

// Portrait draws nobody: a figure.
func Portrait() image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 240, 320))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.RGBA{0xC9, 0xD8, 0xE6, 0xff}), image.Point{}, draw.Src)
	disc := func(cx, cy, rx, ry int, c color.Color) {
		for y := cy - ry; y <= cy+ry; y++ {
			for x := cx - rx; x <= cx+rx; x++ {
				dx, dy := float64(x-cx)/float64(rx), float64(y-cy)/float64(ry)
				if dx*dx+dy*dy <= 1 {
					img.Set(x, y, c)
				}
			}
		}
	}
	disc(120, 330, 105, 110, color.RGBA{0x3B, 0x5B, 0x7A, 0xff})
	disc(120, 140, 62, 78, color.RGBA{0x2A, 0x22, 0x1E, 0xff})
	disc(120, 152, 52, 66, color.RGBA{0xE3, 0xBC, 0x9A, 0xff})
	disc(98, 146, 6, 5, color.RGBA{0x2A, 0x22, 0x1E, 0xff})
	disc(142, 146, 6, 5, color.RGBA{0x2A, 0x22, 0x1E, 0xff})
	disc(120, 190, 16, 4, color.RGBA{0xA8, 0x5A, 0x50, 0xff})
	return img
}

// All returns every scene.
func All() []Scene {
	offline := func(s *wire.Status) {
		since := Now.Add(-26 * time.Hour)
		s.Link = wire.Link{State: "offline", Since: &since}
		s.Queue.Queued, s.Queue.Oldest = 37, &since
	}
	refused := func(code, kind string, r *wire.Report) func(*wire.CheckIn) {
		return func(c *wire.CheckIn) {
			c.Fault, c.Report, c.Person = Fault(code, kind), r, Person()
			c.Person.Verified = false
			c.Photo = &wire.Photo{Available: true}
		}
	}
	delivered := func(d wire.Delivery) func(*wire.CheckIn) {
		return func(c *wire.CheckIn) { d.VisitID = "v5"; c.Delivery = &d }
	}
	used := Now.Add(-3 * time.Hour)
	return []Scene{
		{Name: "starting", What: "before the agent has answered"},
		{Name: "ready", What: "nobody is there", Messages: online},
		{Name: "ready-dark", What: "the same in a dark room", Messages: online, Settings: func(s *model.Settings) { s.Theme = "dark" }},
		{Name: "no-reader", What: "the reader is not plugged in", Messages: after(status(func(s *wire.Status) { s.Readers = nil }))},
		{Name: "offline", What: "no link since yesterday: a normal state", Messages: after(status(offline))},
		{Name: "scan-mangled", What: "an input method has spoilt a scan", Messages: after(typed("GD4010100000001|4E677579ÉBB8Ê|31/01/1999|1|48|01 - 013|01/01/2026|31/12/2026|01/01/2026|0101|-|4|"))},
		{Name: "card", What: "the code was scanned, the card is still to come", Messages: after(model.GotCheckIn{CheckIn: CheckIn(wire.StateCard, nil)})},
		{Name: "card-torn", What: "the card was lifted too early", Messages: after(model.GotCheckIn{CheckIn: CheckIn(wire.StateCard, func(c *wire.CheckIn) { c.Fault = Fault("card_removed", "retry") })})},
		{Name: "expiry", What: "no key fits: the expiry date is asked for", Messages: after(
			typed(QR), model.GotCheckIn{CheckIn: CheckIn(wire.StateKey, func(c *wire.CheckIn) { c.Fault = Fault("wrong_key", "input") })}, model.Edit{Field: model.FieldExpiry, Text: "31/02/2039"})},
		{Name: "reading", What: "nothing is verified yet", Messages: after(at(wire.StateReading, nil)...)},
		{Name: "text", What: "the text is verified, the photo is coming", Messages: after(at(wire.StateText, nil)...)},
		{Name: "confirm", What: "everything is there: the operator's word is wanted", Messages: after(at(wire.StateConfirm, nil)...)},
		{Name: "confirm-dark", What: "the same in a dark room", Messages: after(at(wire.StateConfirm, nil)...), Settings: func(s *model.Settings) { s.Theme = "dark" }},
		{Name: "confirm-large", What: "the same with large text", Messages: after(at(wire.StateConfirm, nil)...), Settings: func(s *model.Settings) { s.Large = true }},
		{Name: "confirm-warn", What: "genuine, with something to look at", Messages: after(at(wire.StateConfirm, func(c *wire.CheckIn) {
			c.Report = Report("warn", [3]string{"chip_authenticity", "not_supported", ""}, [3]string{"active_authentication", "not_supported", "file_absent"})
			c.Report.Reasons = []string{"warn: chip_authenticity not_supported", "warn: revocation undetermined (revocation_list_outdated)"}
		})...)},
		{Name: "confirm-mismatch", What: "the insurer's record differs", Messages: after(at(wire.StateConfirm, func(c *wire.CheckIn) {
			c.Entitlement.Status = "mismatch"
			c.Entitlement.Findings = []wire.Finding{{Field: "birth_date", Document: "1999-01-31", Insurer: "1999-01-13"}}
		})...)},
		{Name: "confirm-notinsured", What: "genuine, and not insured", Messages: after(at(wire.StateConfirm, func(c *wire.CheckIn) {
			c.Entitlement = &wire.Entitlement{Status: "not_entitled", Code: "010", Source: "central", CardNumber: "GD4010100000001", From: "2025-01-01", To: "2025-12-31", Facility: "01013", BenefitLevel: "4"}
		})...)},
		{Name: "confirm-offline", What: "offline: the answer is of yesterday", Messages: append(after(status(offline)), at(wire.StateConfirm, func(c *wire.CheckIn) {
			c.Entitlement.Source, c.Entitlement.AgeSeconds, c.Entitlement.Stale = "cache", 27*3600, true
		})...)},
		{Name: "confirm-unknown", What: "offline: nobody knows", Messages: append(after(status(offline)), at(wire.StateConfirm, func(c *wire.CheckIn) {
			c.Entitlement = &wire.Entitlement{Status: "unknown", Source: "none"}
		})...)},
		{Name: "confirm-longname", What: "a long name, a foreign passport, no photo", Messages: after(
			model.GotCheckIn{CheckIn: CheckIn(wire.StateCard, nil)}, model.GotCheckIn{CheckIn: CheckIn(wire.StateConfirm, func(c *wire.CheckIn) {
				c.Person.Name, c.Person.Number, c.Person.DocumentNumber = "TESTA-MUSTERMANN ANNA MARIA ALEXANDRA", "", "UTO1234567"
				c.Person.Nationality, c.Person.Residence, c.Person.Sex = "UTO", "", "female"
				c.Photo = &wire.Photo{Reason: "not_decodable"}
				c.Entitlement = &wire.Entitlement{Status: "not_entitled", Source: "central"}
			})})},
		{Name: "details", What: "every check", Messages: after(append(at(wire.StateConfirm, nil), model.Press{Action: model.ActDetails})...)},
		{Name: "veil", What: "a check-in waits, nobody is at the desk: covered", Messages: after(append(at(wire.StateConfirm, nil), later(2*time.Minute))...)},
		{Name: "mismatch", What: "the photo is not the person's: why?", Messages: after(append(at(wire.StateConfirm, nil), model.Press{Action: model.ActMismatch}, model.Press{Action: model.ActReason.With(1)})...)},
		{Name: "recorded", What: "on disk", Messages: after(at(wire.StateRecorded, nil)...)},
		{Name: "accepted", What: "the insurer has it and verified the chip itself", Messages: after(at(wire.StateRecorded, delivered(wire.Delivery{State: "accepted", Assurance: "chip-verified"}))...)},
		{Name: "visit-rejected", What: "the insurer rejects it", Messages: after(at(wire.StateRecorded, delivered(wire.Delivery{State: "rejected", Reason: "card_holder"}))...)},
		{Name: "recorded-nochip", What: "typed, recorded as not verified", Messages: after(
			model.GotCheckIn{CheckIn: CheckIn(wire.StateConfirm, func(c *wire.CheckIn) {
				c.Means, c.Report, c.Photo = wire.MeansManual, nil, nil
				c.Person = &wire.Person{Name: "Đặng Thu Nhi", BirthDate: "2023-05-09", Sex: "female"}
			})})},
		{Name: "refused-cloned", What: "the chip is a copy", Messages: after(at(wire.StateRefused, refused("chip_copied", "refuse", Report("refuse",
			[3]string{"active_authentication", "failed", "aa_signature_invalid"}, [3]string{"chip_authenticity", "failed", ""})))...)},
		{Name: "refused-cloned-dark", What: "the same in a dark room", Messages: after(at(wire.StateRefused, refused("chip_copied", "refuse", Report("refuse",
			[3]string{"active_authentication", "failed", "aa_signature_invalid"}, [3]string{"chip_authenticity", "failed", ""})))...), Settings: func(s *model.Settings) { s.Theme = "dark" }},
		{Name: "refused-altered", What: "the data was altered", Messages: after(at(wire.StateRefused, refused("dg13_altered", "refuse", Report("refuse",
			[3]string{"dg13_integrity", "failed", "hash_mismatch"}, [3]string{"passive_authentication", "failed", "hash_mismatch"})))...)},
		{Name: "refused-issuer", What: "the issuer is not known: neither genuine nor forged", Messages: after(at(wire.StateRefused, refused("issuer_unknown", "unsure", Report("refuse",
			[3]string{"trust_chain", "undetermined", "no_trust_anchor"}, [3]string{"passive_authentication", "undetermined", ""})))...)},
		{Name: "refused-expired", What: "the card has expired", Messages: after(at(wire.StateRefused, func(c *wire.CheckIn) {
			refused("document_expired", "refuse", Report("refuse", [3]string{"document_validity", "failed", "document_expired"}))(c)
			c.Person.Expiry = "2024-01-31"
		})...)},
		{Name: "failed", What: "the card could not be read", Messages: after(at(wire.StateFailed, func(c *wire.CheckIn) { c.Fault = Fault("card_unreadable", "retry") })...)},
		{Name: "other", What: "ways without the code: machine readable lines", Messages: after(model.Press{Action: model.ActOther}, model.Edit{Field: model.FieldLines, Text: "IDVNM0990000017001099000001<<8"})},
		{Name: "other-typed", What: "no chip: typed, checked as it is typed", Messages: after(model.Press{Action: model.ActOther}, model.Press{Action: model.ActWay.With(1)},
			model.Edit{Field: model.FieldName, Text: "Nguyễn Văn Thử"}, model.Edit{Field: model.FieldBirth, Text: "31/13/1999"}, model.Edit{Field: model.FieldNumber, Text: "001 099 000"}, model.Press{Action: model.ActSex.With("male")})},
		{Name: "other-code", What: "a code that only its issuer can read: the person is typed with it", Messages: after(typed("https://example.org/q/AbCdEf0123456789"))},
		{Name: "other-child", What: "a child without a card", Messages: after(model.Press{Action: model.ActOther}, model.Press{Action: model.ActWay.With(2)}, model.Edit{Field: model.FieldName, Text: "Đặng Thu Nhi"})},
		{Name: "today", What: "today's visits, with search", Messages: after(model.Press{Action: model.ActToday}, model.GotHistory{History: History()})},
		{Name: "rejected", What: "rejected visits, to be looked at", Messages: after(
			status(func(s *wire.Status) { s.Queue.Rejected = 2 }), model.Press{Action: model.ActRejected}, model.GotRejected{Entries: []wire.HistoryEntry{
				entry("v1", "Hoàng Thị Ví Dụ", "0005", wire.MeansChip, "rejected", "card_holder", 31*time.Minute),
				entry("v0", "Vũ Văn Ví Dụ", "0006", wire.MeansChip, "rejected", "no_trust_anchor", 26*time.Hour),
			}})},
		{Name: "doctor", What: "what is wrong, and what to do", Messages: after(model.Press{Action: model.ActDiagnosis}, model.GotDiagnosis{Diagnosis: wire.Diagnosis{
			At: Now, Level: wire.LevelWarning, Findings: []wire.Diagnosed{
				{ID: "readers.service", Title: "Smart card service", Level: wire.LevelOK, What: "pcscd 1.9.9"},
				{ID: "clock", Title: "Clock", Level: wire.LevelWarning, What: "43 s behind", Remedy: "Let the computer set its clock by the network."},
				{ID: "disk", Title: "Disk", Level: wire.LevelOK, What: "64 GB free"},
				{ID: "readers.reader", Title: "Reader ACS ACR1252", Level: wire.LevelOK, What: "long commands, 65,535 bytes"},
				{ID: "bundles", Title: "The insurer's lists", Level: wire.LevelSkipped, What: "not enrolled"},
			},
		}})},
		{Name: "settings", What: "settings, and who may use the reader", Messages: after(model.Press{Action: model.ActSettings}, model.GotClients{Clients: []wire.Client{
			{ID: "k1", Name: "HIS bệnh viện X", Origin: "https://his.example", AddedBy: "Lan", Added: Now.AddDate(0, -1, 0), Used: &used},
			{ID: "k2", Name: "kiosk", AddedBy: "config", Added: Now.AddDate(0, -1, 0)},
		}})},
		{Name: "about", What: "version, desk, trust", Messages: after(model.Press{Action: model.ActAbout})},
		{Name: "signin", What: "nobody is signed in", Messages: after(status(func(s *wire.Status) { s.OperatorRequired = true }), model.Press{Action: model.ActPrimary}, model.Edit{Field: model.FieldOperator, Text: "Lan"})},
		{Name: "pairing", What: "a hospital's program asks to use the reader", Messages: after(model.GotPairings{Pairings: []wire.Pairing{
			{ID: "p1", Name: "HIS bệnh viện X", Origin: "https://his.example", Code: "482 913", State: "waiting", Expires: Now.Add(time.Minute)},
		}})},
		{Name: "training", What: "sample cards, nothing reaches an insurer", Messages: after(status(func(s *wire.Status) { s.Training = true }))},
		{Name: "agent-lost", What: "the agent does not answer", Messages: after(model.Lost{})},
	}
}

// later lets time pass.
func later(d time.Duration) model.Message { return pause{d: d} }

type pause struct {
	model.Tick
	d time.Duration
}
