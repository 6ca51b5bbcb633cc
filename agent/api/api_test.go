package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	his   = "https://his.example"
	other = "https://other.example"
)

// TestEveryOperation calls every operation of the document and checks each good
// answer against its schema.
func TestEveryOperation(t *testing.T) {
	rig := apitest.Start(t, nil)
	desk := deskToken(t, rig)
	call := func(token, method, path, body string) response {
		t.Helper()
		return do(t, rig, request{method: method, path: path, token: token, body: body})
	}
	for _, path := range []string{"/healthz", "/openapi.json", "/try", "/try.js", "/try.css", "/try.svg"} {
		if r := call("", "GET", path, ""); r.status != 200 || len(r.body) == 0 {
			t.Errorf("%s: status %d, %d bytes", path, r.status, len(r.body))
		}
	}

	p := decode[wire.Pairing](t, call("", "POST", "/api/v1/pairings", `{"name":"Test HIS"}`))
	if list := decode[[]wire.Pairing](t, call(desk, "GET", "/api/v1/pairings", "")); len(list) != 1 || len(list[0].Code) != 6 {
		t.Fatalf("the desk sees %d pairings", len(list))
	}
	code := decode[[]wire.Pairing](t, call(desk, "GET", "/api/v1/pairings", ""))[0].Code
	decode[wire.Pairing](t, call(desk, "POST", "/api/v1/pairings/"+p.ID+"/approve", ""))
	token := decode[wire.Token](t, call("", "POST", "/api/v1/pairings/"+p.ID+"/token", `{"code":"`+code+`"}`))
	denied := decode[wire.Pairing](t, call("", "POST", "/api/v1/pairings", `{"name":"Another"}`))
	if got := decode[wire.Pairing](t, call(desk, "POST", "/api/v1/pairings/"+denied.ID+"/deny", "{}")); got.State != "denied" {
		t.Errorf("denied pairing is %q", got.State)
	}

	program := token.Token
	decode[wire.Status](t, call(program, "GET", "/api/v1/status", ""))
	decode[[]wire.Reader](t, call(program, "GET", "/api/v1/readers", ""))
	c := decode[wire.CheckIn](t, call(program, "POST", "/api/v1/checkins", `{"photo":true,"reference":"K-17"}`))
	if c.State != wire.StateKey || c.Owner != "Test HIS" || c.Reference != "K-17" {
		t.Errorf("begun: state %q, owner %q, reference %q", c.State, c.Owner, c.Reference)
	}
	at := "/api/v1/checkins/" + c.ID
	decode[wire.CheckIn](t, call(program, "GET", "/api/v1/checkins/current", ""))
	c = decode[wire.CheckIn](t, call(program, "POST", at+"/key", `{"can":"123456"}`))
	if c.State != wire.StateConfirm || c.Person == nil {
		t.Fatalf("after the key: state %q", c.State)
	}
	if r := call(program, "GET", at+"/photo", ""); r.status != 200 || r.header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("photo: status %d", r.status)
	}
	c = decode[wire.CheckIn](t, call(program, "POST", at+"/confirm", `{"photo_matches":true}`))
	if c.State != wire.StateRecorded || c.Visit == "" {
		t.Errorf("after the confirmation: state %q", c.State)
	}
	if r := call(program, "GET", at+"/record.xml", ""); r.status != 200 || !strings.Contains(string(r.body), c.Visit) {
		t.Errorf("record: status %d", r.status)
	}
	decode[wire.CheckIn](t, call(program, "GET", at, ""))
	c = decode[wire.CheckIn](t, call(program, "POST", "/api/v1/checkins", `{}`))
	if c = decode[wire.CheckIn](t, call(program, "POST", "/api/v1/checkins/"+c.ID+"/cancel", "")); c.State != wire.StateCancelled {
		t.Errorf("after cancelling: state %q", c.State)
	}

	h := decode[wire.History](t, call(desk, "POST", "/api/v1/history/search", `{"day":"2026-11-22","q":"MẪU"}`))
	if h.Day != "2026-11-22" || len(h.Entries) != 1 {
		t.Errorf("history of %q has %d entries", h.Day, len(h.Entries))
	}
	if q := decode[wire.QueuePage](t, call(desk, "GET", "/api/v1/queue?state=rejected", "")); len(q.Entries) != 1 {
		t.Errorf("%d rejected visits", len(q.Entries))
	}
	if r := call(desk, "POST", "/api/v1/queue/"+h.Entries[0].Visit+"/retry", ""); r.status != 204 {
		t.Errorf("retry: status %d", r.status)
	}
	decode[wire.Operator](t, call(desk, "POST", "/api/v1/operator", `{"name":"lan","pin":"`+apitest.PIN+`"}`))
	if r := call(desk, "DELETE", "/api/v1/operator", ""); r.status != 204 {
		t.Errorf("signing out: status %d", r.status)
	}
	decode[wire.Diagnosis](t, call(desk, "GET", "/api/v1/doctor", ""))
	if r := call(desk, "POST", "/api/v1/support-bundle", ""); r.status != 200 || string(r.body[:2]) != "PK" {
		t.Errorf("support bundle: status %d", r.status)
	}
	if list := decode[[]wire.Client](t, call(desk, "GET", "/api/v1/clients", "")); len(list) != 1 || list[0].ID != token.ID || list[0].Used == nil {
		t.Errorf("clients: %+v", list)
	}
	streamOnce(t, rig, program)
	if r := call(desk, "DELETE", "/api/v1/clients/"+token.ID, ""); r.status != 204 {
		t.Errorf("revoking: status %d", r.status)
	}

	for _, op := range operations {
		if key := fmt.Sprintf("%s %s %d", op.method, op.path, op.status); !index().seen[key] {
			t.Errorf("%s was not answered in this test", key)
		}
	}
}

// streamOnce opens the event stream, makes something happen and checks what comes.
func streamOnce(t *testing.T, rig *apitest.Rig, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", rig.URL+"/api/v1/events", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	fits(t, "GET", "/api/v1/events", resp.StatusCode, resp.Header.Get("Content-Type"), nil)
	rig.Bus.Publish(wire.Event{Type: wire.EventReaders, Readers: []wire.Reader{{Name: "X", Kind: "virtual"}}}, "")
	var b strings.Builder
	buf := make([]byte, 1)
	for strings.Count(b.String(), "\n\n") < 2 {
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			t.Fatal(err)
		}
		b.Write(buf)
	}
	_, event, _ := strings.Cut(b.String(), "\n\n")
	lines := strings.Split(strings.TrimSpace(event), "\n")
	if len(lines) != 3 || lines[0] != "event: readers" || !strings.HasPrefix(lines[1], "id: ") || !strings.HasPrefix(lines[2], "data: {") {
		t.Fatalf("event %q", event)
	}
	valid(t, index().schema(t, "/components/schemas/Event"), "event", []byte(strings.TrimPrefix(lines[2], "data: ")))
}

// TestWhoMayCall is the table of the guard: host, origin, token, traces of a
// browser, route.
func TestWhoMayCall(t *testing.T) {
	const desk, page, program, ownPage, own, port = "$desk", "$page", "$program", "$ownpage", "$own", "$port" // see below
	status := func(q request) request { q.method, q.path = "GET", "/api/v1/status"; return q }
	hdr := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	type row struct {
		name   string
		q      request
		want   int
		code   string
		opened bool // the page may read the answer
	}
	rows := []row{
		{"desk", status(request{token: desk}), 200, "", false},
		{"program", status(request{token: program}), 200, "", false},
		{"page", status(request{token: page, origin: his}), 200, "", true},
		{"page of our own, GET without origin", status(request{token: ownPage, header: hdr("Sec-Fetch-Site", "same-origin")}), 200, "", false},
		{"page of our own, with origin", status(request{token: ownPage, origin: own}), 200, "", false},
		{"host localhost", status(request{token: desk, host: "localhost:" + port}), 200, "", false},
		{"host ::1", status(request{token: desk, host: "[::1]:" + port}), 200, "", false},

		{"host rebound", status(request{token: desk, host: "his.example:" + port}), 403, "host_refused", false},
		{"host rebound, origin same as host", status(request{token: page, host: "his.example:" + port, origin: "http://his.example:" + port}), 403, "host_refused", false},
		{"host without port", status(request{token: desk, host: "127.0.0.1"}), 403, "host_refused", false},
		{"host of another port", status(request{token: desk, host: "127.0.0.1:1"}), 403, "host_refused", false},
		{"host with a dot behind", status(request{token: desk, host: "localhost.:" + port}), 403, "host_refused", false},
		{"host in capitals", status(request{token: desk, host: "LOCALHOST:" + port}), 403, "host_refused", false},
		{"host of another loopback address", status(request{token: desk, host: "127.0.0.2:" + port}), 403, "host_refused", false},
		{"host rebound, on a page", request{method: "GET", path: "/try", host: "evil.example:" + port}, 403, "host_refused", false},
		{"host rebound, on a preflight", request{method: "OPTIONS", path: "/api/v1/status", host: "evil.example:" + port, origin: his, header: hdr("Access-Control-Request-Method", "GET")}, 403, "host_refused", false},

		{"no token", status(request{}), 401, "no_token", false},
		{"unknown token", status(request{token: "chamthe_AAAA"}), 401, "no_token", false},
		{"token in the address", request{method: "GET", path: "/api/v1/status?token=" + desk}, 401, "no_token", false},
		{"other scheme", status(request{header: hdr("Authorization", "Basic "+desk)}), 401, "no_token", false},
		{"token that is too long", status(request{token: strings.Repeat("a", 5000)}), 401, "no_token", false},
		{"unknown token of a known page", status(request{token: "chamthe_AAAA", origin: his}), 401, "no_token", true},

		{"foreign origin", status(request{token: page, origin: other}), 403, "origin_refused", false},
		{"foreign origin without token", status(request{origin: other}), 403, "origin_refused", false},
		{"stolen by our own page", status(request{token: page, origin: own}), 403, "origin_refused", false},
		{"page's token in a program", status(request{token: page}), 403, "origin_refused", false},
		{"program's token in a page", status(request{token: program, origin: his}), 403, "origin_refused", true},
		{"desk's token in a page", status(request{token: desk, origin: his}), 403, "origin_refused", true},
		{"origin null", status(request{token: page, origin: "null"}), 403, "origin_refused", false},
		{"origin with a path", status(request{token: page, origin: his + "/"}), 403, "origin_refused", false},
		{"origin in capitals", status(request{token: page, origin: "https://HIS.example"}), 403, "origin_refused", false},
		{"origin with other scheme", status(request{token: page, origin: "http://his.example"}), 403, "origin_refused", false},
		{"origin with port", status(request{token: page, origin: his + ":8443"}), 403, "origin_refused", false},
		{"origin below", status(request{token: page, origin: "https://a.his.example"}), 403, "origin_refused", false},
		{"origin of an extension", status(request{token: page, origin: "chrome-extension://abcdef"}), 403, "origin_refused", false},

		{"browser without origin", status(request{token: page, header: hdr("Sec-Fetch-Site", "cross-site")}), 403, "origin_refused", false},
		{"browser without origin, desk's token", status(request{token: desk, header: hdr("Sec-Fetch-Site", "none")}), 403, "origin_refused", false},
		{"browser without origin, same site", status(request{token: desk, header: hdr("Sec-Fetch-Site", "same-site")}), 403, "origin_refused", false},
		{"browser without origin, other trace", status(request{token: program, header: hdr("Sec-Fetch-Mode", "no-cors")}), 403, "origin_refused", false},
		{"browser without origin, referer", status(request{token: program, header: hdr("Referer", his+"/x")}), 403, "origin_refused", false},
		{"desk's token in our own page", status(request{token: desk, header: hdr("Sec-Fetch-Site", "same-origin")}), 403, "origin_refused", false},

		{"desk only, program", request{method: "POST", path: "/api/v1/history/search", token: program, body: "{}"}, 403, "desk_only", false},
		{"desk only, page", request{method: "GET", path: "/api/v1/clients", token: page, origin: his}, 403, "desk_only", true},
		{"desk only, approving oneself", request{method: "POST", path: "/api/v1/pairings/x/approve", token: page, origin: his}, 403, "desk_only", true},

		{"page opened from elsewhere", request{method: "GET", path: "/try", header: hdr("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")}, 200, "", false},
		{"page read by a foreign page", request{method: "GET", path: "/try", origin: other}, 403, "origin_refused", false},
		{"life asked by a foreign page", request{method: "GET", path: "/healthz", origin: other}, 403, "origin_refused", false},
		{"life asked by a known page", request{method: "GET", path: "/healthz", origin: his}, 200, "", true},

		{"no such path", request{method: "GET", path: "/api/v1/nothing", token: desk}, 404, "not_found", false},
		{"no such path, foreign page", request{method: "GET", path: "/api/v1/nothing", origin: other}, 403, "origin_refused", false},
		{"path that would be cleaned", request{method: "GET", path: "/api/v1//status", token: desk}, 404, "not_found", false},
		{"path with a coded slash", request{method: "GET", path: "/api/v1/checkins/a%2Fphoto", token: desk}, 404, "not_found", false},
		{"other method", request{method: "DELETE", path: "/api/v1/status", token: desk}, 405, "method_not_allowed", false},
		{"method that nobody takes", request{method: "TRACE", path: "/api/v1/status", token: desk}, 405, "method_not_allowed", false},
		{"another method", request{method: "PUT", path: "/api/v1/checkins", token: desk, body: "{}"}, 405, "method_not_allowed", false},
	}
	// A server lets strangers ask so often only.
	var servers []*apitest.Rig
	var words []*strings.Replacer
	for range (len(rows) + 19) / 20 {
		rig := apitest.Start(t, nil)
		_, lab := rig.Program(t, "Lab")
		_, number, _ := net.SplitHostPort(strings.TrimPrefix(rig.URL, "http://"))
		servers = append(servers, rig)
		words = append(words, strings.NewReplacer("$desk", deskToken(t, rig), "$page", pairPage(t, rig, his).Token, "$program", lab.Token,
			"$ownpage", pairPage(t, rig, rig.URL).Token, "$own", rig.URL, "$port", number))
	}
	for i, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			q, w := tt.q, words[i/20]
			q.token, q.path, q.host, q.origin = w.Replace(q.token), w.Replace(q.path), w.Replace(q.host), w.Replace(q.origin)
			q.header = map[string]string{}
			for k, v := range tt.q.header {
				q.header[k] = w.Replace(v)
			}
			r := do(t, servers[i/20], q)
			code := ""
			if r.status >= 400 {
				code = r.fault(t).Code
			}
			if r.status != tt.want || code != tt.code {
				t.Errorf("status %d %q, want %d %q", r.status, code, tt.want, tt.code)
			}
			if got := r.header.Get("Access-Control-Allow-Origin") != ""; got != tt.opened {
				t.Errorf("page may read the answer: %v, want %v", got, tt.opened)
			}
		})
	}
}

// TestPreflight asks as a browser does before a page's request.
func TestPreflight(t *testing.T) {
	rig := apitest.Start(t, nil)
	pairPage(t, rig, his)
	ask := func(origin, path, method, headers string) response {
		t.Helper()
		h := map[string]string{"Access-Control-Request-Method": method, "Access-Control-Request-Private-Network": "true", "Sec-Fetch-Mode": "cors"}
		if headers != "" {
			h["Access-Control-Request-Headers"] = headers
		}
		return do(t, rig, request{method: "OPTIONS", path: path, origin: origin, header: h})
	}
	for _, tt := range []struct {
		name, origin, path, method, headers string
		want                                bool
	}{
		{"known page", his, "/api/v1/checkins", "POST", "authorization,content-type", true},
		{"known page, stream", his, "/api/v1/events", "GET", "authorization", true},
		{"foreign page", other, "/api/v1/checkins", "POST", "authorization,content-type", false},
		{"foreign page asks to be paired", other, "/api/v1/pairings", "POST", "content-type", true},
		{"foreign page lists pairings", other, "/api/v1/pairings", "GET", "authorization", false},
		{"other header", his, "/api/v1/checkins", "POST", "x-forwarded-for", false},
		{"other method", his, "/api/v1/checkins", "DELETE", "", false},
		{"no path", his, "/nothing", "GET", "", false},
		{"null", "null", "/api/v1/pairings", "POST", "content-type", false},
		{"none", "", "/api/v1/pairings", "POST", "content-type", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(tt.origin, tt.path, tt.method, tt.headers)
			got := r.status == 204 && r.header.Get("Access-Control-Allow-Origin") == tt.origin && r.header.Get("Access-Control-Allow-Methods") == tt.method &&
				r.header.Get("Access-Control-Allow-Private-Network") == "true"
			if got != tt.want {
				t.Errorf("status %d, header %v: allowed %v, want %v", r.status, r.header, got, tt.want)
			}
			if !tt.want && (r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Access-Control-Allow-Private-Network") != "") {
				t.Error("a refusal allows something")
			}
		})
	}
}

// TestBodies sends what is no good request.
func TestBodies(t *testing.T) {
	rig := apitest.Start(t, nil)
	desk := deskToken(t, rig)
	for _, tt := range []struct {
		name, kind, body string
		want             int
		code             string
	}{
		{"form", "application/x-www-form-urlencoded", "a=b", 415, "not_json"},
		{"text", "text/plain", "{}", 415, "not_json"},
		{"almost", "application/json-patch+json", "{}", 415, "not_json"},
		{"other coding", "application/json; charset=utf-16", "{}", 415, "not_json"},
		{"unknown field", "", `{"photos":true}`, 400, "bad_request"},
		{"wrong type", "", `{"photo":"yes"}`, 400, "bad_request"},
		{"broken", "", `{"photo":`, 400, "bad_request"},
		{"two values", "", `{} {}`, 400, "bad_request"},
		{"not an object", "", `[]`, 400, "bad_request"},
		{"bad key", "", `{"key":{"mrz":"wrong"}}`, 400, "bad_mrz"},
		{"too large", "", `{"reference":"` + strings.Repeat("a", api.MaxBody) + `"}`, 413, "too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := do(t, rig, request{method: "POST", path: "/api/v1/checkins", token: desk, kind: tt.kind, body: tt.body})
			if got := r.fault(t); r.status != tt.want || got.Code != tt.code {
				t.Errorf("status %d %q, want %d %q", r.status, got.Code, tt.want, tt.code)
			}
			if strings.Contains(string(r.body), "photos") {
				t.Error("the answer quotes the request")
			}
		})
	}
	if r := do(t, rig, request{method: "GET", path: "/api/v1/status", token: desk, body: "{}"}); r.status != 400 {
		t.Errorf("GET with a body: status %d", r.status)
	}
	if rig.Front.Busy() {
		t.Error("one of these began a check-in")
	}
}

// TestSlowBody sends a body that never ends, and sees the connection closed.
func TestSlowBody(t *testing.T) {
	t.Parallel() // it waits
	rig := apitest.Start(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(rig.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "POST /api/v1/checkins HTTP/1.1\r\nHost: " + strings.TrimPrefix(rig.URL, "http://") + "\r\nAuthorization: Bearer " + deskToken(t, rig) +
		"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute)) // patience, not a limit that is tested
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("the connection was not closed: %v", err)
	}
	if !strings.HasPrefix(string(b), "HTTP/1.1 400 ") || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("answer %q", b)
	}
	if rig.Front.Busy() {
		t.Error("half a request began a check-in")
	}
}

// TestOneAtATime has two clients begin a check-in, and look at each other's.
func TestOneAtATime(t *testing.T) {
	rig := apitest.Start(t, nil)
	rig.Front.SetManual(true)
	page := pairPage(t, rig, his).Token
	_, lab := rig.Program(t, "Lab")
	c := decode[wire.CheckIn](t, do(t, rig, request{method: "POST", path: "/api/v1/checkins", token: page, origin: his, body: `{"key":{"can":"123456"},"photo":true}`}))
	r := do(t, rig, request{method: "POST", path: "/api/v1/checkins", token: lab.Token, body: `{}`})
	if r.status != 409 || r.fault(t).Code != "checkin_busy" {
		t.Errorf("second check-in: status %d", r.status)
	}
	at := "/api/v1/checkins/" + c.ID
	rig.Front.Tap()
	for _, q := range []request{
		{method: "GET", path: at},
		{method: "GET", path: at + "/photo"},
		{method: "GET", path: at + "/record.xml"},
		{method: "GET", path: "/api/v1/checkins/current"},
		{method: "POST", path: at + "/confirm", body: `{"photo_matches":true}`},
		{method: "POST", path: at + "/cancel"},
		{method: "POST", path: at + "/key", body: `{"can":"1"}`},
	} {
		q.token = lab.Token
		if r := do(t, rig, q); r.status != 404 {
			t.Errorf("%s %s of another client: status %d", q.method, q.path, r.status)
		}
	}
	// The desk sees all of them.
	if got := decode[wire.CheckIn](t, do(t, rig, request{method: "GET", path: at, token: deskToken(t, rig)})); got.Owner != his || got.Person == nil {
		t.Errorf("the desk sees owner %q", got.Owner)
	}
	if r := do(t, rig, request{method: "GET", path: at + "/record.xml", token: page, origin: his}); r.status != 409 {
		t.Errorf("record before the recording: status %d", r.status)
	}
}

// TestEveryLookIsAudited counts the entries of looks at a person.
func TestEveryLookIsAudited(t *testing.T) {
	rig := apitest.Start(t, nil)
	desk := deskToken(t, rig)
	if _, err := rig.SignIn(t.Context(), wire.SignIn{Name: "lan", PIN: apitest.PIN}); err != nil {
		t.Fatal(err)
	}
	page := pairPage(t, rig, his).Token
	c := decode[wire.CheckIn](t, do(t, rig, request{method: "POST", path: "/api/v1/checkins", token: page, origin: his, body: `{"photo":true}`}))
	at := "/api/v1/checkins/" + c.ID
	shown := func() (list []string) {
		for _, e := range rig.Trail() {
			if e.Action == audit.VisitShown {
				list = append(list, e.Actor+" "+e.Note)
			}
		}
		return list
	}
	if got := shown(); len(got) != 0 {
		t.Fatalf("before there is a person: %v", got)
	}
	do(t, rig, request{method: "POST", path: at + "/key", token: page, origin: his, body: `{"can":"123456"}`})
	for range 3 { // as a page does that polls
		do(t, rig, request{method: "GET", path: at, token: page, origin: his})
		do(t, rig, request{method: "GET", path: at + "/photo", token: page, origin: his})
		do(t, rig, request{method: "GET", path: at, token: desk})
	}
	do(t, rig, request{method: "POST", path: "/api/v1/history/search", token: desk, body: "{}"})
	const visit = "0198d7a0-0000-7000-8000-00000000a001"
	want := []string{his + " check-in", his + " photo", "lan check-in", "lan history: " + visit}
	if got := shown(); !slices.Equal(got, want) {
		t.Errorf("trail %q, want %q", got, want)
	}
	// Who takes over at the desk is another person, who sees it as well.
	for _, name := range []string{"mai", "lan", "mai"} {
		if _, err := rig.SignIn(t.Context(), wire.SignIn{Name: name, PIN: apitest.PIN}); err != nil {
			t.Fatal(err)
		}
		do(t, rig, request{method: "GET", path: at, token: desk})
		do(t, rig, request{method: "POST", path: "/api/v1/history/search", token: desk, body: `{"q":"MẪU"}`})
		do(t, rig, request{method: "GET", path: "/api/v1/queue?state=rejected", token: desk})
	}
	want = append(want, "mai check-in", "mai search: "+visit, "mai queue rejected: "+visit, "lan search: "+visit, "lan queue rejected: "+visit)
	if got := shown(); !slices.Equal(got, want) {
		t.Errorf("trail %q, want %q", got, want)
	}
	for _, e := range rig.Trail() {
		if text := e.Actor + e.Object + e.Note; strings.Contains(text, "MẪU") || strings.Contains(text, "001190000001") {
			t.Error("the trail names a person")
		}
	}

	// What cannot be written is not shown.
	rig.BreakTrail(errors.New("disk full"))
	if r := do(t, rig, request{method: "GET", path: at + "/photo", token: desk}); r.status != 500 {
		t.Errorf("a photo without an entry: status %d", r.status)
	}
	if r := do(t, rig, request{method: "POST", path: "/api/v1/history/search", token: desk, body: `{"day":"2026-01-01"}`}); r.status != 500 || strings.Contains(string(r.body), "MẪU") {
		t.Errorf("a history without an entry: status %d", r.status)
	}
}

// days is a journal with as many visits as a test wants.
type days struct {
	api.Journal
	n *atomic.Int64
}

func (d days) History(context.Context, wire.HistoryQuery) (wire.History, error) {
	h := wire.History{Day: "2026-11-22", Entries: []wire.HistoryEntry{}}
	for i := d.n.Load(); i > 0; i-- { // newest first
		h.Entries = append(h.Entries, wire.HistoryEntry{
			Visit: fmt.Sprintf("0198d7a0-0000-7000-8000-%012d", i), Means: wire.MeansChip, Entitlement: "valid",
		})
	}
	return h, nil
}

// TestListsAreAuditedAnew: a list with another visit in it is another look, and so is
// one an hour later; what a search finds is named visit by visit.
func TestListsAreAuditedAnew(t *testing.T) {
	var n, hours atomic.Int64
	began := time.Now()
	rig := apitest.Start(t, func(c *api.Config) {
		c.Journal = days{c.Journal, &n}
		c.Now = func() time.Time { return began.Add(time.Duration(hours.Load()) * time.Hour) }
	})
	desk := deskToken(t, rig)
	look := func(body string) (list []string) {
		before := len(rig.Trail())
		for range 2 {
			if r := do(t, rig, request{method: "POST", path: "/api/v1/history/search", token: desk, body: body}); r.status != 200 {
				t.Fatalf("status %d", r.status)
			}
		}
		for _, e := range rig.Trail()[before:] {
			if e.Actor != "desk" || e.Object != "2026-11-22" || len(e.Note) > 256 {
				t.Errorf("entry %+v", e)
			}
			list = append(list, strings.ReplaceAll(e.Note, "0198d7a0-0000-7000-8000-0000000000", ""))
		}
		return list
	}
	for _, step := range []struct {
		visits, hours int64
		body          string
		want          []string
	}{
		{0, 0, `{}`, nil},
		{1, 0, `{}`, []string{"history: 01"}},
		{2, 0, `{}`, []string{"history: 02 01"}},
		{7, 0, `{}`, []string{"history: 7 visits, 07 to 01"}},
		{7, 0, `{"q":"a"}`, []string{"search: 07 06 05 04 03", "search: 02 01"}},
		{7, 0, `{"q":"b"}`, nil}, // the same visits
		{7, 1, `{}`, []string{"history: 7 visits, 07 to 01"}},
	} {
		n.Store(step.visits)
		hours.Store(step.hours)
		if got := look(step.body); !slices.Equal(got, step.want) {
			t.Errorf("%d visits, %s: %q, want %q", step.visits, step.body, got, step.want)
		}
	}
}

// TestOperatorIsTheDesks: clients hear of readers and link, and not who sits at the
// desk.
func TestOperatorIsTheDesks(t *testing.T) {
	rig := apitest.Start(t, nil)
	if _, err := rig.SignIn(t.Context(), wire.SignIn{Name: "lan", PIN: apitest.PIN}); err != nil {
		t.Fatal(err)
	}
	lab, _ := rig.Program(t, "Lab")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for who, c := range map[string]*client.Client{"lan": rig.Desk, "": lab} {
		st, err := c.Status(ctx)
		if err != nil || !st.Ready || (st.Operator != nil) != (who != "") {
			t.Errorf("status, operator %q: %+v, %v", who, st.Operator, err)
		}
		full, err := rig.Desk.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for e, err := range c.Events(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == wire.EventMissed { // the stream is open
				rig.Bus.Publish(wire.Event{Type: wire.EventOperator, Status: &full}, event.Everybody)
				rig.Bus.Publish(wire.Event{Type: wire.EventLink, Status: &full}, event.Everybody)
				continue
			}
			got = append(got, e.Type)
			if e.Status == nil || (e.Status.Operator != nil) != (who != "") {
				t.Errorf("%s event, operator %q: %+v", e.Type, who, e.Status)
			}
			if e.Type == wire.EventLink {
				break
			}
		}
		want := []string{wire.EventLink}
		if who != "" {
			want = []string{wire.EventOperator, wire.EventLink}
		}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if full.Operator == nil {
			t.Error("what others share was changed")
		}
	}
}
