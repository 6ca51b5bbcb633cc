package trust

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Limits of LDIF.
const (
	// maxValue bounds one value, in characters of base64: 8 MiB of DER.
	maxValue = 11 << 20
	// maxName bounds the name of a record that is remembered, and the name of an
	// attribute.
	maxName = 1 << 10
)

// Errors of LDIF records, of an [Item].
var (
	// ErrLDIFChange reports a record that modifies or deletes (RFC 2849,
	// changetype). A pool is made anew from full files; it does not forget on
	// somebody's word.
	ErrLDIFChange = errors.New("trust: LDIF record changes or deletes")
	// ErrLDIFReference reports a value that is to be fetched from a URL.
	ErrLDIFReference = errors.New("trust: LDIF value is a reference")
)

// ldifAttributes are the attributes that hold trust material, in lower case:
// those of RFC 4523 and of the ICAO PKD. What a value is, its bytes tell.
var ldifAttributes = map[string]bool{
	"usercertificate":           true,
	"cacertificate":             true,
	"certificaterevocationlist": true,
	"authorityrevocationlist":   true,
	"deltarevocationlist":       true,
	"cscamasterlistdata":        true,
	"pkdmasterlistcontent":      true,
}

// readLDIF reads content records and "add" changes of RFC 2849.
func readLDIF(r *bufio.Reader, yield func(Item, error) bool) {
	if head, _ := r.Peek(len(utf8BOM)); bytes.Equal(head, utf8BOM) {
		_, _ = r.Discard(len(utf8BOM)) // that much is buffered
	}
	l := ldifReader{r: r}
	for {
		item, err := l.next()
		switch {
		case err == io.EOF:
			return
		case err != nil:
			yield(Item{}, err)
			return
		}
		if len(item.der) == 0 {
			if !yield(Item{Where: item.where, Err: item.err}, nil) {
				return
			}
			continue
		}
		if !derItems(item.der, item.where, yield) {
			return
		}
	}
}

type ldifReader struct {
	r      *bufio.Reader
	line   int
	record string // name of the record
	skip   bool   // the rest of the record
}

type ldifItem struct {
	where string
	der   []byte // nil when err is set
	err   error
}

// next returns the next value that holds trust material, or io.EOF.
func (l *ldifReader) next() (ldifItem, error) {
	for {
		b, err := l.r.Peek(1)
		if err != nil {
			return ldifItem{}, err
		}
		switch b[0] {
		case '\n', '\r': // the end of a record
			l.record, l.skip = "", false
			if err := l.rest(nil, 0); err != nil {
				return ldifItem{}, err
			}
			continue
		case '#':
			if err := l.value(nil, 0); err != nil {
				return ldifItem{}, err
			}
			continue
		}
		item, found, err := l.attribute()
		if err != nil || found {
			return item, err
		}
	}
}

// attribute reads one attribute with its value (RFC 2849, attrval-spec).
func (l *ldifReader) attribute() (item ldifItem, found bool, err error) {
	var name bytes.Buffer
	for {
		c, err := l.r.ReadByte()
		if c == '-' && l.skip && name.Len() == 0 { // between the parts of a modification
			return ldifItem{}, false, l.rest(nil, 0)
		}
		if err != nil || c == '\n' || name.Len() == maxName {
			return ldifItem{}, false, fmt.Errorf("trust: malformed LDIF line %d", l.line+1)
		}
		if c == ':' {
			break
		}
		name.WriteByte(c)
	}
	// Options such as ";binary" say nothing about the bytes (RFC 4522).
	attribute, _, _ := strings.Cut(strings.ToLower(name.String()), ";")
	marker, _ := l.r.Peek(1)
	encoded, reference := string(marker) == ":", string(marker) == "<"
	if encoded || reference {
		_, _ = l.r.Discard(1)
	}

	var value bytes.Buffer
	switch {
	case attribute == "dn" || attribute == "changetype":
		if err := l.value(&value, maxName); err != nil && !errors.Is(err, ErrTooLarge) {
			return ldifItem{}, false, err
		}
		if attribute == "dn" {
			l.record = recordName(value.Bytes(), encoded)
			return ldifItem{}, false, nil
		}
		if text := strings.ToLower(strings.TrimSpace(value.String())); text != "add" {
			l.skip = true
			return ldifItem{where: l.record, err: ErrLDIFChange}, true, nil
		}
		return ldifItem{}, false, nil
	case l.skip || !ldifAttributes[attribute]:
		return ldifItem{}, false, l.value(nil, 0)
	}
	item.where = l.record
	err = l.value(&value, maxValue)
	switch {
	case errors.Is(err, ErrTooLarge):
		item.err = err
	case err != nil:
		return ldifItem{}, false, err
	case reference:
		item.err = ErrLDIFReference
	case !encoded:
		item.err = errKind // DER is never text
	default:
		text := bytes.TrimSpace(value.Bytes())
		item.der = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(item.der, text)
		if err != nil || n == 0 {
			item.der, item.err = nil, errors.New("trust: malformed base64 in LDIF")
			break
		}
		item.der = item.der[:n]
	}
	return item, true, nil
}

// value reads to the end of the line and of its continuations, which begin with
// a space, and appends the text to b if b is not nil. A text of more than limit
// characters is read to its end and gives [ErrTooLarge].
func (l *ldifReader) value(b *bytes.Buffer, limit int) error {
	err := l.rest(b, limit)
	for err == nil || errors.Is(err, ErrTooLarge) {
		next, peekErr := l.r.Peek(1)
		if peekErr != nil || next[0] != ' ' {
			return err
		}
		_, _ = l.r.Discard(1)
		if restErr := l.rest(b, limit); restErr != nil {
			err = restErr
		}
	}
	return err
}

// rest reads to the end of the line.
func (l *ldifReader) rest(b *bytes.Buffer, limit int) error {
	l.line++
	var tooLarge error
	for {
		part, err := l.r.ReadSlice('\n')
		if b != nil && tooLarge == nil {
			text := bytes.TrimRight(part, "\r\n")
			if b.Len()+len(text) > limit {
				tooLarge = fmt.Errorf("trust: LDIF value: %w", ErrTooLarge)
			} else {
				b.Write(text)
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF || err == nil:
			return tooLarge
		}
		return err
	}
}

// recordName returns the name of a record to be shown to a person: without
// characters that do not print, and not too long.
func recordName(value []byte, encoded bool) string {
	text := strings.TrimSpace(string(value))
	if encoded {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return ""
		}
		text = string(b)
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
