package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/wire"
)

// FuzzRequests decodes bodies as each of the types that come in. What is taken
// has to come back the same, and nothing of the body may be in the error.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"means":"chip","key":{"scan":"001190000001||TRAN THI MAU|03021990|Nu||01012021"},"photo":true,"reference":"K-17"}`,
		`{"means":"manual","person":{"name":"TRẦN THỊ MẪU","number":"001190000001","birth_date":"1990","child":true}}`,
		`{"mrz":"IDVNM1900000018001190000001<<8\n9002036F3002032VNM<<<<<<<<<<<6\nTRAN<<THI<MAU<<<<<<<<<<<<<<<<<"}`,
		`{"can":"123456","expiry":"2030-02-03"}`, `{"photo_matches":false,"reason":"x"}`, `{"name":"HIS"}`, `{"code":"123456"}`,
		`{"name":"lan","pin":"1234"}`, `{"day":"2026-11-22","q":"MẪU","after":""}`, `{}`, `null`, `{"a":1}`, `{} {}`, "{\"name\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		decodes[wire.Start](t, b)
		decodes[wire.Key](t, b)
		decodes[wire.Confirmation](t, b)
		decodes[wire.PairingRequest](t, b)
		decodes[wire.TokenRequest](t, b)
		decodes[wire.SignIn](t, b)
		decodes[wire.HistoryQuery](t, b)
	})
}

func decodes[T any](t *testing.T, b []byte) {
	t.Helper()
	var v, w T
	if err := api.DecodeJSON(b, &v); err != nil {
		if err.Error() != "api: bad_request" {
			t.Fatalf("the error says more than it may: %v", err)
		}
		return
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := api.DecodeJSON(again, &w); err != nil {
		t.Fatalf("what was taken is not taken again: %v", err)
	}
	if diff := cmp.Diff(v, w); diff != "" {
		t.Fatal(diff)
	}
}

// FuzzClients decodes files of clients.
func FuzzClients(f *testing.F) {
	f.Add([]byte(`{"version":1,"clients":[]}`))
	f.Add([]byte(`{"version":1,"clients":[{"id":"1","origin":"https://his.example","name":"HIS","added":"2026-01-01T00:00:00Z","added_by":"lan","used":"2026-01-01T00:00:00Z","token_sha256":"` + strings.Repeat("a1", 32) + `"}]}`))
	f.Add([]byte(`{"version":1,"clients":[{"token_sha256":"zz"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := api.DecodeClients(b)
		if err != nil && list != nil {
			t.Fatal("clients with an error")
		}
	})
}

// FuzzOrigin looks for an origin that is taken and is not one.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://his.example", "http://192.168.1.10:8080", "http://[::1]:9786", "https://his.example:443", "https://his.example/", "null", "https://*",
		"https://user@his.example", "https://his.example:", "https://his.example?x", "file://", "https://his.example\n", "https://HIS.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, o string) {
		if !api.ValidOrigin(o) {
			return
		}
		rest, ok := strings.CutPrefix(o, "https://")
		if !ok {
			rest, ok = strings.CutPrefix(o, "http://")
		}
		if !ok || rest == "" || len(o) > 200 || strings.ContainsAny(rest, "/?#@\\ \t\r\n*,;\"'<>") {
			t.Errorf("%q is taken for an origin", o)
		}
	})
}
