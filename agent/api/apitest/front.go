package apitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

// ErrInput is what the fake calls a key that is none.
var ErrInput = errors.New("apitest: no key")

// A Front is a front desk with state: it obeys what checkin.Front promises, as far
// as a caller of the API can tell, and reads a person that it was given.
type Front struct {
	bus *event.Bus

	mu     sync.Mutex
	manual bool
	person wire.Person
	list   []*wire.CheckIn
	asked  map[string]bool // for a photo
}

// NewFront returns a front desk that publishes on bus.
func NewFront(bus *event.Bus) *Front {
	return &Front{bus: bus, asked: map[string]bool{}, person: wire.Person{
		Verified: true, SignedByIssuer: true, Name: "TRẦN THỊ MẪU", NameMRZ: "TRAN THI MAU", Number: "001190000001",
		DocumentNumber: "190000001", BirthDate: "1990-02-03", Sex: "female", Nationality: "VNM", Expiry: "2030-02-03",
		Residence: "1 Đường Thử, Hà Nội", Photo: "image/jpeg 30x40",
	}}
}

// SetName has the next person be called so.
func (f *Front) SetName(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.person.Name = name
}

// SetManual keeps check-ins waiting for the card until [Front.Tap].
func (f *Front) SetManual(manual bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manual = manual
}

// Start begins a check-in.
func (f *Front) Start(_ context.Context, owner string, s wire.Start) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current() != nil {
		return wire.CheckIn{}, checkin.ErrBusy
	}
	if s.Key != nil && !good(*s.Key) {
		return wire.CheckIn{}, ErrInput
	}
	c := &wire.CheckIn{
		ID: fmt.Sprintf("0198d7a0-0000-7000-8000-%012d", len(f.list)+1), State: wire.StateKey, Means: wire.MeansChip, Owner: owner,
		Reference: s.Reference, Started: time.Now(), TimingsMS: map[string]float64{}, Wants: wire.WantsKey, Warnings: []string{},
	}
	f.list = append(f.list, c)
	f.asked[c.ID] = s.Photo
	f.publish(c)
	if s.Key != nil {
		f.take(c)
	}
	return *c, nil
}

func good(k wire.Key) bool {
	n := 0
	for _, s := range []string{k.Scan, k.MRZ, k.CAN} {
		if s != "" {
			n++
		}
	}
	return n == 1 && !strings.Contains(k.MRZ+k.Scan+k.CAN, "wrong")
}

// take goes on with a key.
func (f *Front) take(c *wire.CheckIn) {
	c.State, c.Wants, c.Fault = wire.StateCard, "", nil
	f.publish(c)
	if !f.manual {
		f.read(c)
	}
}

// Tap lays the card on the reader.
func (f *Front) Tap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.current(); c != nil && c.State == wire.StateCard {
		f.read(c)
	}
}

func (f *Front) read(c *wire.CheckIn) {
	for i, step := range []string{"access", "security_object", "text"} {
		c.State, c.Reader = wire.StateReading, "Virtual 00"
		c.Progress = &wire.Progress{Step: step, Done: i, Total: 4, Bytes: 100 * i, Size: 400, Elapsed: float64(20 * i)}
		f.publish(c)
	}
	p := f.person
	p.Verified = false
	c.State, c.Person = wire.StateText, &p
	f.publish(c)
	q := f.person
	c.State, c.Progress, c.Person = wire.StateConfirm, nil, &q
	c.Report = &wire.Report{
		Checks: []wire.Check{{ID: "passive_authentication", Result: "successful", Algorithm: "ECDSA", Millis: 1.5}}, Decision: "accept",
		Access: "PACE", Groups: map[string]string{"DG1": "identical"},
		Signer: &wire.Signer{Country: "VN", NotBefore: "2020-01-01T00:00:00Z", NotAfter: "2035-01-01T00:00:00Z"},
	}
	c.Photo = &wire.Photo{Reason: "not_asked"}
	if f.asked[c.ID] {
		c.Photo = &wire.Photo{Available: true, Signed: true, MediaType: "image/jpeg", Width: 30, Height: 40}
	}
	c.Entitlement = &wire.Entitlement{
		Status: "valid", Source: "central", AsOf: time.Now().Format(time.RFC3339), CardNumber: "DN4010100000001", From: "2026-01-01", To: "2026-12-31",
		Facility: "01013", Findings: []wire.Finding{{Field: "name", Document: "TRẦN THỊ MẪU", Insurer: "TRẦN THỊ MẨU"}},
		Next: &wire.NextCard{CardNumber: "DN4010100000002"},
	}
	c.TimingsMS = map[string]float64{"total": 812.5}
	f.publish(c)
}

// Key gives the key.
func (f *Front) Key(_ context.Context, owner, id string, k wire.Key) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(owner, id)
	switch {
	case err != nil:
		return wire.CheckIn{}, err
	case c.State != wire.StateKey && c.State != wire.StateCard:
		return *c, checkin.ErrState
	case !good(k):
		return *c, ErrInput
	}
	f.take(c)
	return *c, nil
}

// Confirm records.
func (f *Front) Confirm(_ context.Context, owner, id string, w wire.Confirmation) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(owner, id)
	switch {
	case err != nil:
		return wire.CheckIn{}, err
	case c.State == wire.StateRecorded && w.PhotoMatches:
		return *c, nil
	case c.State != wire.StateConfirm:
		return *c, checkin.ErrState
	case !w.PhotoMatches && w.Reason == "":
		return *c, ErrInput
	case !w.PhotoMatches:
		c.State, c.Person, c.Photo, c.Entitlement, c.Report = wire.StateCancelled, nil, nil, nil, nil
		f.publish(c)
		return *c, nil
	}
	c.State = wire.StateRecording
	f.publish(c)
	c.State, c.Visit = wire.StateRecorded, "0198d7a0-0000-7000-8000-00000000a001"
	c.Delivery = &wire.Delivery{VisitID: c.Visit, State: "queued", Waiting: 1}
	f.publish(c)
	return *c, nil
}

// Cancel gives up.
func (f *Front) Cancel(_ context.Context, owner, id string) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(owner, id)
	switch {
	case err != nil:
		return wire.CheckIn{}, err
	case c.State == wire.StateCancelled:
		return *c, nil
	case wire.Ended(c.State):
		return *c, checkin.ErrState
	}
	c.State, c.Person, c.Photo, c.Entitlement, c.Report = wire.StateCancelled, nil, nil, nil, nil
	f.publish(c)
	return *c, nil
}

// Current returns the check-in that is running.
func (f *Front) Current(_ context.Context, owner string) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.current(); c != nil && may(owner, c) {
		return *c, nil
	}
	return wire.CheckIn{}, checkin.ErrNone
}

// Get returns a check-in.
func (f *Front) Get(_ context.Context, owner, id string) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(owner, id)
	if err != nil {
		return wire.CheckIn{}, err
	}
	return *c, nil
}

// Photo returns a grey picture.
func (f *Front) Photo(_ context.Context, owner, id string) (picture []byte, mediaType string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(owner, id)
	if err != nil {
		return nil, "", err
	}
	if c.Photo == nil || !c.Photo.Available {
		return nil, "", checkin.ErrNone
	}
	img := image.NewGray(image.Rect(0, 0, 30, 40))
	for i := range img.Pix {
		img.Pix[i] = color.Gray{Y: uint8(i)}.Y
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		return nil, "", err
	}
	return b.Bytes(), "image/jpeg", nil
}

// Record returns a check-in record.
func (f *Front) Record(_ context.Context, owner, id string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(owner, id)
	if err != nil {
		return nil, err
	}
	if c.State != wire.StateRecorded {
		return nil, checkin.ErrState
	}
	return []byte("<CHI_TIEU_TRANG_THAI_KCB><DSACH_TRANG_THAI_KCB><TRANG_THAI_KCB><MA_LK>" + c.Visit + "</MA_LK></TRANG_THAI_KCB></DSACH_TRANG_THAI_KCB><CHUKYDONVI/></CHI_TIEU_TRANG_THAI_KCB>"), nil
}

// Busy reports whether a check-in is running.
func (f *Front) Busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current() != nil
}

func (f *Front) current() *wire.CheckIn {
	if n := len(f.list); n > 0 && !wire.Ended(f.list[n-1].State) {
		return f.list[n-1]
	}
	return nil
}

func (f *Front) find(owner, id string) (*wire.CheckIn, error) {
	for _, c := range f.list {
		if c.ID == id && may(owner, c) {
			return c, nil
		}
	}
	return nil, checkin.ErrNone
}

func may(owner string, c *wire.CheckIn) bool { return owner == api.OwnerDesk || owner == c.Owner }

func (f *Front) publish(c *wire.CheckIn) {
	c.Version++
	e := *c
	f.bus.Publish(wire.Event{Type: wire.EventCheckIn, CheckIn: &e}, c.Owner)
}
