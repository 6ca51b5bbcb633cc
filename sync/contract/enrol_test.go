package contract_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/sync/contract"
)

func newCode(t testing.TB) contract.EnrolCode {
	t.Helper()
	c, err := contract.NewEnrolCode(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEnrolCodeIsReadAsPeopleType(t *testing.T) {
	c, err := contract.NewEnrolCode(bytes.NewReader(make([]byte, 17))) // zeros
	if err != nil {
		t.Fatal(err)
	}
	text := c.Text()
	if !strings.HasPrefix(text, "0000-0000-0000-0000-0") || len(text) != 24 {
		t.Fatalf("code %q", text)
	}
	for _, typed := range []string{
		text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(text, "-", " "), " " + text + "\n",
		"OOOO-oooo" + text[9:],
	} {
		got, err := contract.ParseEnrolCode(typed)
		if err != nil || got.Text() != text {
			t.Errorf("%q: %q, %v", typed, got.Text(), err)
		}
	}
}

// TestEnrolCodeCheckFindsTypingErrors changes every character and swaps every
// neighbouring two: what is left undetected must be about one in 2^15.
func TestEnrolCodeCheckFindsTypingErrors(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	c, err := contract.NewEnrolCode(bytes.NewReader([]byte("seventeen letters")))
	if err != nil {
		t.Fatal(err)
	}
	chars := strings.ReplaceAll(c.Text(), "-", "")
	tried, missed := 0, 0
	try := func(s string) {
		if s == chars {
			return
		}
		tried++
		if _, err := contract.ParseEnrolCode(s); err == nil {
			missed++
		} else if !errors.Is(err, contract.Invalid) {
			t.Fatalf("error %v", err)
		}
	}
	for i := range chars {
		for _, r := range alphabet {
			try(chars[:i] + string(r) + chars[i+1:])
		}
		if i > 0 {
			try(chars[:i-1] + chars[i:i+1] + chars[i-1:i] + chars[i+1:])
		}
	}
	if missed > 0 || tried < 600 {
		t.Errorf("%d of %d typing errors not found", missed, tried)
	}
	for _, s := range []string{"", "0", chars + "0", chars[1:], "UUUU-UUUU-UUUU-UUUU-UUUU", strings.Repeat("é", 20)} {
		if _, err := contract.ParseEnrolCode(s); !errors.Is(err, contract.Invalid) {
			t.Errorf("%q: %v, want %v", s, err, contract.Invalid)
		}
	}
}

func TestEnrolCodeIsNotPrinted(t *testing.T) {
	c := newCode(t)
	r := contract.EnrolRequest{Code: c.Text()}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "code", c, "request", r)
	all := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", c, c, c, c, r, &r, r) + log.String()
	for _, group := range strings.Split(c.Text(), "-") {
		if strings.Contains(all, group) {
			t.Fatal("a part of the code was printed")
		}
	}
}

func TestOpenEnrol(t *testing.T) {
	request := func() *contract.EnrolRequest {
		return &contract.EnrolRequest{
			Version: contract.Version, Agent: newSigner(1).name(t), Code: newCode(t).Text(), Seal: exampleEnrolRequest(t).Seal,
		}
	}
	m, err := contract.NewEnrolMessage(newSigner(1), request())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := contract.OpenEnrol(m.Header, m.Payload); err != nil || got.Agent != newSigner(1).name(t) {
		t.Fatalf("open: %v", err)
	}
	if _, err := contract.NewEnrolMessage(newSigner(2), request()); !errors.Is(err, contract.WrongSubject) {
		t.Errorf("signed for another: %v", err)
	}
	// Signed by one, for the name of another.
	payload, err := contract.EncodeEnrolRequest(request())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		key    signer
		domain contract.Domain
		want   error
	}{
		{"other key", newSigner(2), contract.DomainEnrol, contract.WrongSubject},
		{"other domain", newSigner(1), contract.DomainStatus, contract.BadSignature},
	} {
		h, err := contract.Sign(tt.key, tt.domain, payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := contract.OpenEnrol(h, payload); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := contract.OpenEnrol(m.Header, append(m.Payload, ' ')); !errors.Is(err, contract.BadSignature) {
		t.Errorf("altered: %v", err)
	}
	if _, err := contract.OpenEnrol(m.Header, make([]byte, contract.MaxMessage+1)); !errors.Is(err, contract.TooLarge) {
		t.Errorf("too large: %v", err)
	}
}

func FuzzParseEnrolCode(f *testing.F) {
	f.Add("0000-0000-0000-0000-0000")
	f.Add("OIL- o")
	f.Add(newCode(f).Text())
	f.Fuzz(func(t *testing.T, s string) {
		c, err := contract.ParseEnrolCode(s)
		if err != nil {
			return
		}
		if again, err := contract.ParseEnrolCode(c.Text()); err != nil || again.Text() != c.Text() {
			t.Errorf("%v", err)
		}
	})
}
