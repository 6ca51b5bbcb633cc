package contract

import (
	"encoding/json"
	"reflect"
	"slices"
)

// Schemas returns one JSON Schema document (draft 2020-12) per message, by file
// name ("visit.schema.json"). They are made from the Go types and from the very
// rules that the decoders execute. What a schema cannot say (that two members
// contradict each other, that a date is in the calendar, that a key's checksum
// holds) only the decoders check, so they refuse more than the schemas do,
// never less.
func Schemas() map[string][]byte {
	files := make(map[string][]byte)
	for name, t := range messageType {
		m := open
		if slices.Contains(fromAgents, t) {
			m = closed
		}
		root := schemaOf(t, m)
		root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		root["$id"] = "urn:chamthe:contract:v1:" + name
		root["title"] = t.Name()
		defs := make(map[string]any)
		define(defs, t, m)
		if len(defs) > 0 {
			root["$defs"] = defs
		}
		b, err := json.MarshalIndent(root, "", "  ")
		if err != nil { // maps of strings and numbers: it cannot happen
			continue
		}
		files[name+".schema.json"] = append(b, '\n')
	}
	return files
}

// define adds a definition for every struct type below t.
func define(defs map[string]any, t reflect.Type, m mode) {
	for _, f := range members[t] {
		u := f.typ
		for u.Kind() == reflect.Pointer || u.Kind() == reflect.Slice {
			u = u.Elem()
		}
		if members[u] == nil || defs[u.Name()] != nil {
			continue
		}
		defs[u.Name()] = schemaOf(u, m)
		define(defs, u, m)
	}
}

// fromAgents lists the messages in which the decoders take no unknown member.
var fromAgents = []reflect.Type{reflect.TypeFor[Visit](), reflect.TypeFor[LookupRequest](), reflect.TypeFor[Status](), reflect.TypeFor[BundleRequest](), reflect.TypeFor[EnrolRequest]()}

func schemaOf(t reflect.Type, m mode) map[string]any {
	properties := make(map[string]any)
	required := []string{}
	for _, f := range members[t] {
		properties[f.name] = property(f.typ, f.format)
		if f.required {
			required = append(required, f.name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if m == closed {
		s["additionalProperties"] = false
	}
	return s
}

func property(t reflect.Type, f *format) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := make(map[string]any)
	if f != nil && f.about != "" {
		s["description"] = f.about
	}
	switch {
	case t == timeType:
		s["type"], s["format"], s["pattern"], s["description"] = "string", "date-time", timeFormat.pattern, timeFormat.about
	case t == rndIFDType:
		s["type"], s["pattern"], s["description"] = "string", rndIFDFormat.pattern, rndIFDFormat.about
	case t == bytesType:
		s["type"], s["contentEncoding"], s["pattern"] = "string", "base64", base64Format.pattern
		s["minLength"], s["maxLength"] = base64Len(f.minBytes), base64Len(f.maxBytes)
	case t.Kind() == reflect.Struct:
		s["$ref"] = "#/$defs/" + t.Name()
	case t.Kind() == reflect.Slice:
		s["type"], s["items"], s["maxItems"] = "array", property(t.Elem(), nil), f.maxItems
	case t.Kind() == reflect.String:
		s["type"] = "string"
		if e, ok := reflect.Zero(t).Interface().(enumerated); ok {
			s["enum"] = e.values()
		} else {
			s["pattern"] = f.pattern
		}
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	default:
		s["type"], s["minimum"], s["maximum"] = "integer", f.minInt, f.maxInt
	}
	return s
}
