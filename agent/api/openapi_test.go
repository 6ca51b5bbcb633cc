package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/wire"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// The OpenAPI document is made from the types of package wire and their comments,
// and from the list of operations below. Whether that list tells the truth is for
// the other tests here and for the recorder of answers (see exchange_test.go).

// An operation is one method of one path, as the document has it.
type operation struct {
	method, path string
	who          string // everybody, pairing, client, desk
	summary      string
	in, out      reflect.Type // nil: no body, no JSON
	status       int
	media        []string          // of an answer that is not JSON
	also         []int             // statuses of faults that are this operation's own
	query        map[string]string // name -> description
}

func typ[T any]() reflect.Type { return reflect.TypeFor[T]() }

var operations = []operation{
	{method: "GET", path: "/healthz", who: "everybody", summary: "Is an agent there?", out: typ[struct {
		Status string `json:"status"`
	}](), status: 200},
	{method: "GET", path: "/openapi.json", who: "everybody", summary: "This document.", out: typ[map[string]any](), status: 200},
	{method: "GET", path: "/try", who: "everybody", summary: "The page for integrators.", media: []string{"text/html; charset=utf-8"}, status: 200},
	{method: "GET", path: "/try.js", who: "everybody", summary: "The page's script.", media: []string{"text/javascript; charset=utf-8"}, status: 200},
	{method: "GET", path: "/try.css", who: "everybody", summary: "The page's style.", media: []string{"text/css; charset=utf-8"}, status: 200},
	{method: "GET", path: "/try.svg", who: "everybody", summary: "The page's icon.", media: []string{"image/svg+xml"}, status: 200},

	{method: "GET", path: "/api/v1/status", who: "client", summary: "What the desk shows in its bar.", out: typ[wire.Status](), status: 200},
	{method: "GET", path: "/api/v1/readers", who: "client", summary: "The card readers as they are now.", out: typ[[]wire.Reader](), status: 200},
	{method: "POST", path: "/api/v1/checkins", who: "client", summary: "Begin a check-in. There is one at a time on a computer.", in: typ[wire.Start](), out: typ[wire.CheckIn](), status: 201, also: []int{409}},
	{method: "GET", path: "/api/v1/checkins/current", who: "client", summary: "The check-in that is running, if it is the caller's.", out: typ[wire.CheckIn](), status: 200, also: []int{404}},
	{method: "GET", path: "/api/v1/checkins/{id}", who: "client", summary: "One of the caller's check-ins, running or ended not long ago.", out: typ[wire.CheckIn](), status: 200, also: []int{404}},
	{method: "POST", path: "/api/v1/checkins/{id}/key", who: "client", summary: "Give what opens the chip, in state key or card.", in: typ[wire.Key](), out: typ[wire.CheckIn](), status: 200, also: []int{404, 409}},
	{method: "POST", path: "/api/v1/checkins/{id}/confirm", who: "client", summary: "Give the operator's word that this is the person; with it the visit is recorded.", in: typ[wire.Confirmation](), out: typ[wire.CheckIn](), status: 200, also: []int{404, 409}},
	{method: "POST", path: "/api/v1/checkins/{id}/cancel", who: "client", summary: "Give the check-in up; nothing is recorded.", out: typ[wire.CheckIn](), status: 200, also: []int{404, 409}},
	{method: "GET", path: "/api/v1/checkins/{id}/photo", who: "client", summary: "The photo, when it was asked for at the start.", media: []string{"image/jpeg", "image/png"}, status: 200, also: []int{404}},
	{method: "GET", path: "/api/v1/checkins/{id}/record.xml", who: "client", summary: "The check-in record (XML0) with what reception can know; the information system adds the rest.", media: []string{"application/xml"}, status: 200, also: []int{404, 409}},
	{method: "GET", path: "/api/v1/events", who: "client", summary: "What happens, as it happens: each data line is an Event. Read the state after opening it. A comment comes each 15 seconds.", media: []string{"text/event-stream"}, status: 200, also: []int{429}},

	{method: "POST", path: "/api/v1/pairings", who: "pairing", summary: "Ask for a token. The desk shows the origin, the name and a code.", in: typ[wire.PairingRequest](), out: typ[wire.Pairing](), status: 201, also: []int{403, 409, 429}},
	{method: "POST", path: "/api/v1/pairings/{id}/token", who: "pairing", summary: "Turn an approved pairing and the desk's code into a token. Three tries.", in: typ[wire.TokenRequest](), out: typ[wire.Token](), status: 201, also: []int{403, 404, 409}},
	{method: "GET", path: "/api/v1/pairings", who: "desk", summary: "Those who ask, with their codes.", out: typ[[]wire.Pairing](), status: 200},
	{method: "POST", path: "/api/v1/pairings/{id}/approve", who: "desk", summary: "Let the one who asked have a token.", out: typ[wire.Pairing](), status: 200, also: []int{404}},
	{method: "POST", path: "/api/v1/pairings/{id}/deny", who: "desk", summary: "Refuse it.", out: typ[wire.Pairing](), status: 200, also: []int{404}},
	{method: "GET", path: "/api/v1/clients", who: "desk", summary: "Who may call.", out: typ[[]wire.Client](), status: 200},
	{method: "DELETE", path: "/api/v1/clients/{id}", who: "desk", summary: "Take a token back, at once.", status: 204, also: []int{404}},

	{method: "POST", path: "/api/v1/history/search", who: "desk", summary: "What was recorded on a day. A body, because a person's name has no place in an address.", in: typ[wire.HistoryQuery](), out: typ[wire.History](), status: 200},
	{method: "GET", path: "/api/v1/queue", who: "desk", summary: "The visits on this computer.", out: typ[wire.QueuePage](), status: 200, query: map[string]string{"state": "queued, stored, accepted or rejected; all without", "after": "next of the page before"}},
	{method: "POST", path: "/api/v1/queue/{visit}/retry", who: "desk", summary: "Send a rejected visit again.", status: 204, also: []int{404}},
	{method: "POST", path: "/api/v1/operator", who: "desk", summary: "Name who sits at the desk.", in: typ[wire.SignIn](), out: typ[wire.Operator](), status: 200},
	{method: "DELETE", path: "/api/v1/operator", who: "desk", summary: "Nobody sits there any more.", status: 204},
	{method: "GET", path: "/api/v1/doctor", who: "desk", summary: "Look at everything that a check-in needs. It takes seconds.", out: typ[wire.Diagnosis](), status: 200},
	{method: "POST", path: "/api/v1/support-bundle", who: "desk", summary: "An archive for those who help, without personal data.", media: []string{"application/zip"}, status: 200},
}

// enums are the closed sets of values, by type and field.
var enums = map[string][]string{
	"CheckIn.state": {
		wire.StateKey, wire.StateCard, wire.StateReading, wire.StateText, wire.StateConfirm, wire.StateRecording,
		wire.StateRecorded, wire.StateRefused, wire.StateFailed, wire.StateCancelled,
	},
	"CheckIn.means":      means,
	"Start.means":        means,
	"HistoryEntry.means": means,
	"CheckIn.wants":      {wire.WantsKey, wire.WantsExpiry},
	"Event.type":         {wire.EventCheckIn, wire.EventReaders, wire.EventLink, wire.EventScan, wire.EventPairing, wire.EventOperator, wire.EventMissed},
	"Diagnosis.level":    levels,
	"Diagnosed.level":    levels,
	"Pairing.state":      {"waiting", "approved", "denied", "expired", "done"},
	"Fault.kind":         {"refuse", "unsure", "retry", "input", "system", "waiting"},
	"Link.state":         {"online", "offline", "connecting", "refused", "untrusted", "not_configured"},
}

var (
	means  = []string{wire.MeansChip, wire.MeansCCCDQR, wire.MeansHIQR, wire.MeansVNeID, wire.MeansManual}
	levels = []string{wire.LevelOK, wire.LevelInfo, wire.LevelWarning, wire.LevelError, wire.LevelSkipped}
)

// requests are the types that only come in; their unknown fields are refused.
var requests = []reflect.Type{
	typ[wire.Start](), typ[wire.Key](), typ[wire.TypedPerson](), typ[wire.Confirmation](),
	typ[wire.PairingRequest](), typ[wire.TokenRequest](), typ[wire.SignIn](), typ[wire.HistoryQuery](),
}

// comments are those of package wire: "Type" and "Type.Field" -> text.
func comments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../wire/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources of package wire")
	}
	out := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				doc := ts.Doc
				if doc == nil {
					doc = g.Doc
				}
				out[ts.Name.Name] = plain(doc.Text())
				st, ok := ts.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range st.Fields.List {
					text := field.Doc.Text() + " " + field.Comment.Text()
					for _, name := range field.Names {
						out[ts.Name.Name+"."+name.Name] = plain(text)
					}
				}
			}
		}
	}
	return out
}

var (
	link   = regexp.MustCompile(`\[\*?([A-Za-z.]+)\]`)
	spaces = regexp.MustCompile(`\s+`)
)

func plain(s string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(link.ReplaceAllString(s, "$1"), " "))
}

// A generator makes schemas.
type generator struct {
	doc     map[string]string
	schemas map[string]any
}

func (g *generator) schema(t reflect.Type) map[string]any {
	switch {
	case t == typ[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == typ[json.RawMessage]():
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Interface:
		return map[string]any{}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": g.schema(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return g.object(t)
		}
		if g.schemas[t.Name()] == nil {
			g.schemas[t.Name()] = true // it may refer to itself
			g.schemas[t.Name()] = g.object(t)
		}
		return map[string]any{"$ref": "#/components/schemas/" + t.Name()}
	}
	panic("wire has a type that the document cannot say: " + t.String())
}

func (g *generator) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		s := g.schema(f.Type)
		optional := strings.Contains(options, "omit")
		if !optional {
			required = append(required, name)
			if f.Type.Kind() == reflect.Pointer {
				s = map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
			}
		}
		if values := enums[t.Name()+"."+name]; values != nil {
			s["enum"] = values
		}
		if text := g.doc[t.Name()+"."+f.Name]; text != "" {
			s["description"] = text
		}
		properties[name] = s
	}
	o := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	if text := g.doc[t.Name()]; t.Name() != "" && text != "" {
		o["description"] = text
	}
	if slices.Contains(requests, t) {
		o["additionalProperties"] = false
	}
	return o
}

var tags = map[string]string{
	"everybody": "No token. A page of an origin that is not known is refused.",
	"pairing":   "No token. For who wants to have one.",
	"client":    "With a token. From a web page, only from the origin that it was given to.",
	"desk":      "With the token of this computer's desk.",
}

// document makes the OpenAPI document.
func document(t *testing.T) []byte {
	g := &generator{doc: comments(t), schemas: map[string]any{}}
	failure := map[string]any{"application/json": map[string]any{"schema": g.schema(typ[wire.Error]())}}
	g.schema(typ[wire.Event]()) // of the event stream
	paths := map[string]any{}
	for _, op := range operations {
		item, _ := paths[op.path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths[op.path] = item
		}
		content := map[string]any{}
		if op.out != nil {
			content["application/json"] = map[string]any{"schema": g.schema(op.out)}
		}
		for _, m := range op.media {
			content[m] = map[string]any{}
		}
		good := map[string]any{"description": "Good."}
		if len(content) > 0 {
			good["content"] = content
		}
		responses := map[string]any{
			strconv.Itoa(op.status): good,
			"default":               map[string]any{"description": "Not good: the fault says why, and what to do.", "content": failure},
		}
		for _, status := range op.also {
			responses[strconv.Itoa(status)] = map[string]any{"description": reasons[status], "content": failure}
		}
		o := map[string]any{
			"operationId": operationID(op), "summary": op.summary, "tags": []string{op.who}, "responses": responses,
			"security": []any{},
		}
		if op.who == "client" || op.who == "desk" {
			o["security"] = []any{map[string]any{"token": []string{}}}
		}
		if op.in != nil {
			o["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": g.schema(op.in)}}}
		}
		parameters := []any{}
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(op.path, -1) {
			parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
		for _, name := range slices.Sorted(mapKeys(op.query)) {
			parameters = append(parameters, map[string]any{"name": name, "in": "query", "description": op.query[name], "schema": map[string]any{"type": "string"}})
		}
		if len(parameters) > 0 {
			o["parameters"] = parameters
		}
		item[strings.ToLower(op.method)] = o
	}
	list := []any{}
	for _, name := range slices.Sorted(mapKeys(tags)) {
		list = append(list, map[string]any{"name": name, "description": tags[name]})
	}
	doc := map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "chamthe local API", "version": "1",
			"description": "Check a person in with a chip ID card, from a page or program on the same computer. Fields may be added; none is renamed or taken away within version 1. agent/api/README.md says how to begin.",
			"license":     map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{map[string]any{"url": "http://127.0.0.1:9786", "description": "This computer; the port can be configured."}},
		"tags":    list,
		"paths":   paths,
		"components": map[string]any{
			"schemas":         g.schemas,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var reasons = map[int]string{
	403: "Refused: by origin, by the desk or by the configuration.",
	404: "There is none, or it is not the caller's.",
	409: "Not now: another one is running, or this one is in another state.",
	429: "Too many; Retry-After says for how many seconds.",
}

func operationID(op operation) string {
	words := regexp.MustCompile(`[A-Za-z]+`).FindAllString(strings.TrimPrefix(op.path, "/api/v1"), -1)
	id := strings.ToLower(op.method)
	for _, w := range words {
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	return id
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestOpenAPIIsUpToDate compares the document with what package wire says.
func TestOpenAPIIsUpToDate(t *testing.T) {
	got := document(t)
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(api.OpenAPI()), string(got)); diff != "" {
		t.Errorf("openapi.json is not up to date (go test ./agent/api -update):\n%s", diff)
	}
}

// parsed is the document as a reader without our generator sees it.
func parsed(t testing.TB) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestOpenAPIHasEveryRoute compares the document's operations with the handlers.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	s, err := api.New(api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, item := range parsed(t)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(api.Patterns(s), documented); diff != "" {
		t.Errorf("routes (-) and document (+):\n%s", diff)
	}
}

// TestOpenAPIDescribes asks that each type says what it is, and each field of it
// whose name does not say it.
func TestOpenAPIDescribes(t *testing.T) {
	schemas := parsed(t)["components"].(map[string]any)["schemas"].(map[string]any)
	for name, s := range schemas {
		if text, _ := s.(map[string]any)["description"].(string); text == "" {
			t.Errorf("type %s has no description", name)
		}
	}
	for key := range enums {
		typ, field, _ := strings.Cut(key, ".")
		s, _ := schemas[typ].(map[string]any)
		if s == nil || s["properties"].(map[string]any)[field] == nil {
			t.Errorf("the set of values of %s belongs to no field", key)
		}
	}
}
