package api_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
)

// startAgent runs the agent itself, with a software chip on a software reader, until
// the test ends. Of the rig there is what calls it from outside, and no fakes.
func startAgent(t *testing.T) *apitest.Rig {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	var out lockedBuffer
	go func() {
		done <- cli.Main(ctx, []string{"run", "--data", dir, "--chip", "cccd", "--port", "0", "--port-file", filepath.Join(dir, "port")}, strings.NewReader(""), &out, &out)
	}()
	t.Cleanup(func() {
		cancel()
		if status := <-done; status != 0 && status != 130 {
			t.Errorf("the agent ended with status %d: %s", status, out.String())
		}
	})
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		port, err := os.ReadFile(filepath.Join(dir, "port"))
		if err == nil && len(bytes.TrimSpace(port)) > 0 {
			r := &apitest.Rig{URL: "http://127.0.0.1:" + strings.TrimSpace(string(port)), TokenFile: filepath.Join(dir, "desk.token")}
			r.Desk = client.NewWithTokenFile(r.URL, r.TokenFile)
			t.Cleanup(r.Desk.CloseIdle)
			return r
		}
		select {
		case status := <-done:
			done <- status
			t.Fatalf("the agent ended with status %d: %s", status, out.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("the agent is not ready: %s", out.String())
		}
	}
}

// TestAgentFitsTheDocument takes a person in with the agent itself and compares
// what it says with the document: the fakes of the other tests could be kinder.
func TestAgentFitsTheDocument(t *testing.T) {
	rig := startAgent(t)
	desk := deskToken(t, rig)
	call := func(method, path, body string) response {
		t.Helper()
		return do(t, rig, request{method: method, path: path, token: desk, body: body})
	}
	status := decode[wire.Status](t, call("GET", "/api/v1/status", ""))
	if !status.Training || status.Sample == nil {
		t.Fatal("the agent does not say what opens its chip")
	}
	decode[[]wire.Reader](t, call("GET", "/api/v1/readers", ""))
	fails(t, call("POST", "/api/v1/checkins", `{"key":{"mrz":"XX"}}`), 400, "bad_mrz")
	fails(t, call("POST", "/api/v1/checkins", `{"key":{"can":"12"}}`), 400, "bad_request")
	fails(t, call("POST", "/api/v1/checkins", `{"key":{"scan":"|||"}}`), 400, "bad_qr")
	fails(t, call("POST", "/api/v1/checkins", `{"means":"palm"}`), 400, "bad_request")
	fails(t, call("GET", "/api/v1/checkins/current", ""), 404, "not_found")
	c := decode[wire.CheckIn](t, call("POST", "/api/v1/checkins", `{"photo":true,"key":{"scan":`+quote(status.Sample.Scan)+`}}`))
	fails(t, call("POST", "/api/v1/checkins", `{}`), 409, "checkin_busy")
	at := "/api/v1/checkins/" + c.ID
	for end := time.Now().Add(2 * time.Minute); c.State != wire.StateConfirm; time.Sleep(50 * time.Millisecond) {
		c = decode[wire.CheckIn](t, call("GET", at, ""))
		if wire.Ended(c.State) || time.Now().After(end) {
			t.Fatalf("state %q, fault %+v", c.State, c.Fault)
		}
	}
	if !c.Person.Verified {
		t.Error("the person is not verified")
	}
	if r := call("GET", at+"/photo", ""); r.status != 200 {
		t.Errorf("photo: status %d", r.status)
	}
	c = decode[wire.CheckIn](t, call("POST", at+"/confirm", `{"photo_matches":true}`))
	if c.State != wire.StateRecorded || c.Visit == "" {
		t.Fatalf("state %q, fault %+v", c.State, c.Fault)
	}
	if r := call("GET", at+"/record.xml", ""); r.status != 200 || !strings.Contains(string(r.body), "<HO_TEN>") {
		t.Errorf("record: status %d: %s", r.status, r.body)
	}
	h := decode[wire.History](t, call("POST", "/api/v1/history/search", `{}`))
	if len(h.Entries) != 1 || h.Entries[0].Visit != c.Visit {
		t.Errorf("history: %d entries", len(h.Entries))
	}
	q := decode[wire.QueuePage](t, call("GET", "/api/v1/queue?state=queued", ""))
	if len(q.Entries) != 1 {
		t.Errorf("queue: %d entries", len(q.Entries))
	}
	fails(t, call("POST", "/api/v1/queue/nothing/retry", ""), 404, "not_found")
	call("GET", "/api/v1/doctor", "") // it fits, whether or not there is a doctor
}
