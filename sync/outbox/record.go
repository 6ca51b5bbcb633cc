package outbox

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/store"
)

const (
	seqSize  = 8
	timeSize = 8
)

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// order watches the keys of an iteration: each of eight bytes and above the
// last. On a damaged page a cursor may go on for ever.
type order struct{ last uint64 }

func (o *order) step(k []byte) error {
	if len(k) != seqSize || binary.BigEndian.Uint64(k) <= o.last {
		return store.ErrCorrupt
	}
	o.last = binary.BigEndian.Uint64(k)
	return nil
}

// timeKey orders times as bytes. Times before 1970 become 1970: a clock without
// a battery starts there.
func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(0, t.UnixMilli())))
}

func timeOf(b []byte) time.Time {
	if len(b) != timeSize {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
}

// counts holds the number of entries per state, indexed by State. It is written
// in the transaction that changes it.
type counts [Rejected + 1]uint64

func readCounts(b *bbolt.Bucket) counts {
	var c counts
	if v := b.Get(countsKey); len(v) == 8*len(c) {
		for i := range c {
			c[i] = binary.BigEndian.Uint64(v[8*i:])
		}
	}
	return c
}

func (c counts) write(b *bbolt.Bucket) error {
	v := make([]byte, 0, 8*len(c))
	for _, n := range c {
		v = binary.BigEndian.AppendUint64(v, n)
	}
	return b.Put(countsKey, v)
}

// head is the part of an entry before the payload.
type head struct {
	ID         string              `json:"id"`
	Subject    string              `json:"subject"`
	Header     map[string][]string `json:"header,omitempty"`
	RecordedAt time.Time           `json:"recordedAt"`
}

// An entry is, before it is sealed: version (1 byte), length of the head (4
// bytes), the head as JSON, the payload.
const recordVersion = 1

func encodeEntry(e Entry, at time.Time) ([]byte, error) {
	h, err := json.Marshal(head{ID: e.ID, Subject: e.Subject, Header: e.Header, RecordedAt: at.Round(0).UTC()})
	if err != nil || len(h) > maxHeader {
		return nil, ErrInvalid
	}
	b := make([]byte, 0, 1+4+len(h)+len(e.Payload))
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = append(b, h...)
	return append(b, e.Payload...), nil
}

func decodeEntry(b []byte) (Entry, error) {
	const fixed = 1 + 4
	if len(b) < fixed || b[0] != recordVersion {
		return Entry{}, ErrDamaged
	}
	n := binary.BigEndian.Uint32(b[1:fixed])
	rest := b[fixed:]
	if uint64(n) > uint64(len(rest)) {
		return Entry{}, ErrDamaged
	}
	var h head
	if err := json.Unmarshal(rest[:n], &h); err != nil {
		return Entry{}, ErrDamaged
	}
	return Entry{ID: h.ID, Subject: h.Subject, Header: h.Header, Payload: rest[n:], RecordedAt: h.RecordedAt}, nil
}
