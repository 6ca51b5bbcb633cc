package contract

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// mode says what becomes of members that a message type does not have.
type mode bool

const (
	closed mode = false // refused: what agents send
	open   mode = true  // skipped: what the central service sends
)

// encode validates and marshals a message.
func encode(message any, limit int, consistent func() error) ([]byte, error) {
	if err := valid(reflect.ValueOf(message).Elem(), ""); err != nil {
		return nil, err
	}
	if consistent != nil {
		if err := consistent(); err != nil {
			return nil, err
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(message); err != nil {
		return nil, fail(Malformed, "")
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(b) > limit {
		return nil, fail(TooLarge, "")
	}
	return b, nil
}

// decode reads a message. encoding/json alone would take the last of two equal
// members, match names in any case, replace what is not UTF-8, and let null
// stand for anything; two readers could then see two different messages in the
// same signed bytes. So the shape is checked first, and nothing that two
// readers could take differently gets through.
func decode[T any](b []byte, limit int, m mode, consistent func(*T) error) (T, error) {
	var message, zero T
	if len(b) > limit {
		return zero, fail(TooLarge, "")
	}
	if !utf8.Valid(b) {
		return zero, fail(NotUTF8, "")
	}
	// A message of another version is reported as such, whatever else is new
	// in it.
	var head struct {
		Version *int `json:"version"`
	}
	if json.Unmarshal(b, &head) == nil && head.Version != nil && *head.Version != Version {
		return zero, fail(UnsupportedVersion, "version")
	}
	w := walker{dec: json.NewDecoder(bytes.NewReader(b)), mode: m}
	w.dec.UseNumber()
	t, err := w.next("")
	if err != nil {
		return zero, err
	}
	if err := w.value(t, reflect.TypeFor[T](), "", 1); err != nil {
		return zero, err
	}
	if _, err := w.dec.Token(); err != io.EOF {
		return zero, fail(TrailingData, "")
	}
	if err := json.Unmarshal(b, &message); err != nil {
		return zero, fail(Malformed, "")
	}
	if err := valid(reflect.ValueOf(&message).Elem(), ""); err != nil {
		return zero, err
	}
	if consistent != nil {
		if err := consistent(&message); err != nil {
			return zero, err
		}
	}
	return message, nil
}

// walker compares the shape of a JSON text with that of a Go type.
type walker struct {
	dec  *json.Decoder
	mode mode
}

func (w *walker) next(path string) (json.Token, error) {
	t, err := w.dec.Token()
	if err != nil {
		return nil, fail(Malformed, path)
	}
	return t, nil
}

// value checks the value that begins with token t.
func (w *walker) value(t json.Token, typ reflect.Type, path string, depth int) error {
	if depth > maxDepth {
		return fail(TooDeep, path)
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	ok := false
	switch {
	case typ == timeType:
		ok = isString(t, timeFormat)
	case typ == rndIFDType:
		ok = isString(t, rndIFDFormat)
	case typ == bytesType:
		ok = isString(t, base64Format) && t != ""
	case typ.Kind() == reflect.Struct:
		if t == json.Delim('{') {
			return w.object(typ, path, depth)
		}
	case typ.Kind() == reflect.Slice:
		if t == json.Delim('[') {
			return w.array(typ.Elem(), path, depth)
		}
	case typ.Kind() == reflect.String:
		// What is not known is left out; no member is ever empty.
		var s string
		s, ok = t.(string)
		ok = ok && s != ""
	case typ.Kind() == reflect.Bool:
		_, ok = t.(bool)
	default: // int, int64
		_, ok = t.(json.Number)
	}
	if !ok {
		return fail(Invalid, path)
	}
	return nil
}

func isString(t json.Token, f *format) bool {
	s, ok := t.(string)
	return ok && f.matches(s)
}

// object checks the members of an object whose brace has been read.
func (w *walker) object(typ reflect.Type, path string, depth int) error {
	list := members[typ]
	seen := make([]bool, len(list))
	var others map[string]bool
	for w.dec.More() {
		key, err := w.next(path)
		if err != nil {
			return err
		}
		name, _ := key.(string)
		i := find(list, name)
		if i < 0 {
			// The name is the sender's: it is not repeated in the error.
			if w.mode == closed || foldsToKnown(list, name) {
				return fail(UnknownMember, path)
			}
			if others == nil {
				others = make(map[string]bool)
			}
			if others[name] {
				return fail(DuplicateMember, path)
			}
			others[name] = true
			if err := w.skip(path, depth+1); err != nil {
				return err
			}
			continue
		}
		at := join(path, name)
		if seen[i] {
			return fail(DuplicateMember, at)
		}
		seen[i] = true
		t, err := w.next(at)
		if err != nil {
			return err
		}
		if err := w.value(t, list[i].typ, at, depth+1); err != nil {
			return err
		}
	}
	if _, err := w.next(path); err != nil { // the closing brace
		return err
	}
	for i, f := range list {
		if f.required && !seen[i] {
			return fail(Missing, join(path, f.name))
		}
	}
	return nil
}

func (w *walker) array(elem reflect.Type, path string, depth int) error {
	for w.dec.More() {
		t, err := w.next(path)
		if err != nil {
			return err
		}
		if err := w.value(t, elem, path, depth+1); err != nil {
			return err
		}
	}
	_, err := w.next(path) // the closing bracket
	return err
}

// skip reads a value that nobody here knows; it too must be sound.
func (w *walker) skip(path string, depth int) error {
	t, err := w.next(path)
	if err != nil {
		return err
	}
	d, nested := t.(json.Delim)
	if !nested {
		return nil
	}
	if depth > maxDepth {
		return fail(TooDeep, path)
	}
	keys := make(map[string]bool)
	for w.dec.More() {
		if d == '{' {
			key, err := w.next(path)
			if err != nil {
				return err
			}
			name, _ := key.(string)
			if keys[name] {
				return fail(DuplicateMember, path)
			}
			keys[name] = true
		}
		if err := w.skip(path, depth+1); err != nil {
			return err
		}
	}
	_, err = w.next(path)
	return err
}

func find(list []member, name string) int {
	for i, f := range list {
		if f.name == name {
			return i
		}
	}
	return -1
}

// foldsToKnown reports whether encoding/json would take name for a known
// member although it is written in another case.
func foldsToKnown(list []member, name string) bool {
	for _, f := range list {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}
