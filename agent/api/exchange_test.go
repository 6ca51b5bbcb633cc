package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/wire"
)

// A request is one that a test sends, byte for byte.
type request struct {
	method, path string
	token        string
	origin       string
	host         string // empty: as in the address
	kind         string // of body; empty: application/json
	body         string
	header       map[string]string
}

// A response is its answer.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r response) fault(t testing.TB) wire.Fault {
	t.Helper()
	var e wire.Error
	if err := json.Unmarshal(r.body, &e); err != nil {
		t.Fatalf("status %d without a fault", r.status)
	}
	return e.Fault
}

func decode[T any](t testing.TB, r response) (v T) {
	t.Helper()
	if r.status >= 300 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// direct sends no Accept-Encoding and follows nothing.
var direct = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request. Every answer in these tests has to fit the document.
func do(t testing.TB, rig *apitest.Rig, q request) response {
	t.Helper()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), q.method, rig.URL+q.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if q.body != "" {
		kind := q.kind
		if kind == "" {
			kind = "application/json"
		}
		r.Header.Set("Content-Type", kind)
	}
	if q.host != "" {
		r.Host = q.host
	}
	if q.origin != "" {
		r.Header.Set("Origin", q.origin)
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	resp, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkHeaders(t, q, resp)
	fits(t, q.method, q.path, resp.StatusCode, resp.Header.Get("Content-Type"), b)
	return response{resp.StatusCode, resp.Header, b}
}

// checkHeaders looks at what every answer has.
func checkHeaders(t testing.TB, q request, resp *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s %s: %s is %q, want %q", q.method, q.path, name, got, want)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("%s %s: content security policy %q", q.method, q.path, csp)
	}
	if !slices.Contains(resp.Header.Values("Vary"), "Origin") {
		t.Errorf("%s %s: a cache may mix up origins", q.method, q.path)
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" && (got != q.origin || got == "*") {
		t.Errorf("%s %s: allows origin %q", q.method, q.path, got)
	}
	if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s %s: allows credentials", q.method, q.path)
	}
	if resp.Header.Get("Server") != "" {
		t.Errorf("%s %s: says who serves", q.method, q.path)
	}
}

// A docIndex finds the schema of an answer in the document.
type docIndex struct {
	paths    map[string]any
	compiler *jsonschema.Compiler

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
	seen    map[string]bool // "GET /path 200"
}

var index = sync.OnceValue(func() *docIndex {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		panic(err)
	}
	strict(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem:///openapi.json", doc); err != nil {
		panic(err)
	}
	return &docIndex{
		paths: doc.(map[string]any)["paths"].(map[string]any), compiler: c,
		schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{},
	}
})

// strict closes every object of the document: here a field that it does not
// describe is a mistake, though callers have to live with new ones.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["type"] == "object" && v["properties"] != nil {
			v["additionalProperties"] = false
		}
		for _, e := range v {
			strict(e)
		}
	case []any:
		for _, e := range v {
			strict(e)
		}
	}
}

// operationOf finds the path of the document that a request's path fits.
func (d *docIndex) operationOf(method, path string) (string, map[string]any) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	best := ""
	for p := range d.paths {
		want := strings.Split(p, "/")
		if len(want) != len(parts) {
			continue
		}
		fit := true
		for i := range want {
			if want[i] != parts[i] && !strings.HasPrefix(want[i], "{") {
				fit = false
			}
		}
		if fit && (best == "" || strings.Contains(best, "{")) {
			best = p
		}
	}
	if best == "" {
		return "", nil
	}
	op, _ := d.paths[best].(map[string]any)[strings.ToLower(method)].(map[string]any)
	return best, op
}

// schema returns the schema at a place of the document.
func (d *docIndex) schema(t testing.TB, place string) *jsonschema.Schema {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[place]; s != nil {
		return s
	}
	s, err := d.compiler.Compile("mem:///openapi.json#" + place)
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	d.schemas[place] = s
	return s
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// fits checks an answer against the document.
func fits(t testing.TB, method, path string, status int, kind string, body []byte) {
	t.Helper()
	d := index()
	p, op := d.operationOf(method, path)
	if op == nil { // no route: the fault of 404, 405 and of preflights
		if status < 400 && method != http.MethodOptions {
			t.Errorf("%s %s: status %d, and the document does not know it", method, path, status)
		}
		if status != http.StatusNoContent {
			valid(t, d.schema(t, "/components/schemas/Error"), method+" "+path, body)
		}
		return
	}
	key := strconv.Itoa(status)
	responses := op["responses"].(map[string]any)
	if responses[key] == nil {
		if status < 400 {
			t.Errorf("%s %s: status %d is not in the document", method, p, status)
			return
		}
		key = "default"
	}
	d.mu.Lock()
	d.seen[method+" "+p+" "+key] = true
	d.mu.Unlock()
	content, _ := responses[key].(map[string]any)["content"].(map[string]any)
	if content == nil {
		if len(body) > 0 {
			t.Errorf("%s %s: status %d has a body", method, p, status)
		}
		return
	}
	if content[kind] == nil {
		t.Errorf("%s %s: status %d of type %q is not in the document", method, p, status, kind)
		return
	}
	if kind == "application/json" {
		valid(t, d.schema(t, "/paths/"+escape.Replace(p)+"/"+strings.ToLower(method)+"/responses/"+key+"/content/application~1json/schema"), method+" "+p, body)
	}
}

func valid(t testing.TB, s *jsonschema.Schema, what string, body []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s: answer is no JSON", what)
		return
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%s: %v\n%s", what, err, body)
	}
}

// deskToken is what the desk would read from its file.
func deskToken(t testing.TB, rig *apitest.Rig) string {
	t.Helper()
	b, err := os.ReadFile(rig.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// pairPage pairs a page of an origin and returns its token.
func pairPage(t testing.TB, rig *apitest.Rig, origin string) wire.Token {
	t.Helper()
	p := decode[wire.Pairing](t, do(t, rig, request{method: "POST", path: "/api/v1/pairings", origin: origin, body: `{"name":"HIS"}`}))
	code := rig.Approve(t, p.ID)
	return decode[wire.Token](t, do(t, rig, request{method: "POST", path: "/api/v1/pairings/" + p.ID + "/token", origin: origin, body: `{"code":"` + code + `"}`}))
}
