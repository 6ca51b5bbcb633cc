// Package client calls the agent's local HTTP API, version 1, from Go: the desk
// does, and so may a hospital's own program.
//
// A [Client] speaks to this computer only. It follows no redirect and uses no
// proxy, because each request carries the token. An answer that is not good
// arrives as [*Error], which has the agent's fault; anything else that went
// wrong, such as no agent running, comes as it is.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

// Errors that callers branch on.
var (
	// ErrAddress reports an address that is not on this computer. No request was
	// sent.
	ErrAddress = errors.New("client: address of the agent is not a loopback address")
	// ErrAnswer reports an answer that is not what the API says: something else may
	// listen there.
	ErrAnswer = errors.New("client: answer is not one of the agent")
	// ErrNoToken reports a token file that is absent, unreadable or holds no token.
	ErrNoToken = errors.New("client: no token to be had")
)

// An Error is an answer of the agent that is not good.
type Error struct {
	Status int        // of HTTP
	Fault  wire.Fault // what it says; its texts hold no personal data
	// RetryAfter is how long to wait before the same again, when the agent said so.
	RetryAfter time.Duration
}

// Error gives the status and the code.
func (e *Error) Error() string { return fmt.Sprintf("client: status %d: %s", e.Status, e.Fault.Code) }

// Limits of what is read of an answer. The agent sends less.
const (
	maxJSON   = 8 << 20
	maxPhoto  = 4 << 20
	maxRecord = 1 << 20
	maxToken  = 4096
)

// answerTime bounds one request with its answer, unless the context does so
// sooner. The doctor and the support bundle have longTime.
const (
	answerTime = 30 * time.Second
	longTime   = 5 * time.Minute
)

// A Client calls one agent. It may be used concurrently and holds nothing that
// needs closing but idle connections: see [Client.CloseIdle].
type Client struct {
	base string // without slash at the end
	err  error  // what is wrong with base
	http *http.Client
	file string // token file, or empty

	mu    sync.Mutex
	token string
}

// New returns a client of the agent at baseURL, such as "http://127.0.0.1:9786",
// that shows the given token. An empty token will do for [Client.Healthy] and
// for pairing. An address that is not on this computer is found out by the first
// call, which returns [ErrAddress].
func New(baseURL, token string) *Client {
	c := &Client{token: token, http: &http.Client{
		Transport: &http.Transport{
			Proxy:               nil, // a token is for this computer only
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.base, c.err = checkBase(baseURL)
	return c
}

// NewWithTokenFile returns a client that shows the token in a file, which it
// reads when it needs it and again when the agent does not know the token: the
// agent writes a new one whenever it starts.
func NewWithTokenFile(baseURL, file string) *Client {
	c := New(baseURL, "")
	c.file = file
	return c
}

// checkBase returns the address without a slash at its end.
func checkBase(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return "", ErrAddress
	}
	if host := u.Hostname(); host != "localhost" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return "", ErrAddress
		}
	}
	return strings.TrimSuffix(base, "/"), nil
}

// CloseIdle closes the connections that nothing uses at the moment.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Healthy returns nil when an agent answers. It needs no token.
func (c *Client) Healthy(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/healthz", nil, nil)
}

// Status returns what the desk shows in its bar.
func (c *Client) Status(ctx context.Context) (wire.Status, error) {
	return ask[wire.Status](ctx, c, http.MethodGet, "/api/v1/status", nil)
}

// Readers returns the card readers as they are now.
func (c *Client) Readers(ctx context.Context) ([]wire.Reader, error) {
	return ask[[]wire.Reader](ctx, c, http.MethodGet, "/api/v1/readers", nil)
}

// Start begins a check-in. Another one that is running gives an [*Error] with
// status 409.
func (c *Client) Start(ctx context.Context, s wire.Start) (wire.CheckIn, error) {
	return ask[wire.CheckIn](ctx, c, http.MethodPost, "/api/v1/checkins", s)
}

// Current returns the check-in that is running, or an [*Error] with status 404.
func (c *Client) Current(ctx context.Context) (wire.CheckIn, error) {
	return ask[wire.CheckIn](ctx, c, http.MethodGet, "/api/v1/checkins/current", nil)
}

// Get returns a check-in by its id.
func (c *Client) Get(ctx context.Context, id string) (wire.CheckIn, error) {
	return ask[wire.CheckIn](ctx, c, http.MethodGet, checkIn(id, ""), nil)
}

// Key gives what opens the chip.
func (c *Client) Key(ctx context.Context, id string, k wire.Key) (wire.CheckIn, error) {
	return ask[wire.CheckIn](ctx, c, http.MethodPost, checkIn(id, "/key"), k)
}

// Confirm gives the operator's word.
func (c *Client) Confirm(ctx context.Context, id string, w wire.Confirmation) (wire.CheckIn, error) {
	return ask[wire.CheckIn](ctx, c, http.MethodPost, checkIn(id, "/confirm"), w)
}

// Cancel gives the check-in up.
func (c *Client) Cancel(ctx context.Context, id string) (wire.CheckIn, error) {
	return ask[wire.CheckIn](ctx, c, http.MethodPost, checkIn(id, "/cancel"), nil)
}

// Photo returns the picture and its media type, "image/jpeg" or "image/png".
// The slice is the caller's.
func (c *Client) Photo(ctx context.Context, id string) (picture []byte, mediaType string, err error) {
	return c.bytes(ctx, checkIn(id, "/photo"), maxPhoto, "image/jpeg", "image/png")
}

// Record returns the check-in record (XML0) for the insurance portal. The slice
// is the caller's.
func (c *Client) Record(ctx context.Context, id string) ([]byte, error) {
	b, _, err := c.bytes(ctx, checkIn(id, "/record.xml"), maxRecord, "application/xml")
	return b, err
}

// History returns what was recorded on a day. For the desk only.
func (c *Client) History(ctx context.Context, q wire.HistoryQuery) (wire.History, error) {
	return ask[wire.History](ctx, c, http.MethodPost, "/api/v1/history/search", q)
}

// Queue returns visits on this computer: those in the given state, or with an
// empty one all; after is Next of the page before. For the desk only.
func (c *Client) Queue(ctx context.Context, state, after string) (wire.QueuePage, error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	if after != "" {
		q.Set("after", after)
	}
	path := "/api/v1/queue"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return ask[wire.QueuePage](ctx, c, http.MethodGet, path, nil)
}

// Retry sends a rejected visit again. For the desk only.
func (c *Client) Retry(ctx context.Context, visit string) error {
	return c.call(ctx, http.MethodPost, "/api/v1/queue/"+url.PathEscape(visit)+"/retry", nil, nil)
}

// Doctor looks at everything, which takes seconds. For the desk only.
func (c *Client) Doctor(ctx context.Context) (wire.Diagnosis, error) {
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	return ask[wire.Diagnosis](ctx, c, http.MethodGet, "/api/v1/doctor", nil)
}

// SignIn names the operator. For the desk only.
func (c *Client) SignIn(ctx context.Context, s wire.SignIn) (wire.Operator, error) {
	return ask[wire.Operator](ctx, c, http.MethodPost, "/api/v1/operator", s)
}

// SignOut says that nobody sits at the desk. For the desk only.
func (c *Client) SignOut(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/operator", nil, nil)
}

// RequestPairing asks for a token, which needs none. The answer holds no code:
// the desk shows it.
func (c *Client) RequestPairing(ctx context.Context, r wire.PairingRequest) (wire.Pairing, error) {
	return ask[wire.Pairing](ctx, c, http.MethodPost, "/api/v1/pairings", r)
}

// Token turns an approved pairing and the code that the desk shows into a token,
// with which [New] makes the client to go on with. An [*Error] with status 409
// says that the desk has not approved it yet.
func (c *Client) Token(ctx context.Context, id, code string) (wire.Token, error) {
	return ask[wire.Token](ctx, c, http.MethodPost, "/api/v1/pairings/"+url.PathEscape(id)+"/token", wire.TokenRequest{Code: code})
}

// Pairings returns those that wait, with their codes. For the desk only.
func (c *Client) Pairings(ctx context.Context) ([]wire.Pairing, error) {
	return ask[[]wire.Pairing](ctx, c, http.MethodGet, "/api/v1/pairings", nil)
}

// Approve lets the one who asked have a token. For the desk only.
func (c *Client) Approve(ctx context.Context, id string) (wire.Pairing, error) {
	return ask[wire.Pairing](ctx, c, http.MethodPost, "/api/v1/pairings/"+url.PathEscape(id)+"/approve", nil)
}

// Deny refuses a pairing. For the desk only.
func (c *Client) Deny(ctx context.Context, id string) (wire.Pairing, error) {
	return ask[wire.Pairing](ctx, c, http.MethodPost, "/api/v1/pairings/"+url.PathEscape(id)+"/deny", nil)
}

// Clients returns who may call the agent. For the desk only.
func (c *Client) Clients(ctx context.Context) ([]wire.Client, error) {
	return ask[[]wire.Client](ctx, c, http.MethodGet, "/api/v1/clients", nil)
}

// Revoke takes a client's token back, at once. For the desk only.
func (c *Client) Revoke(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/clients/"+url.PathEscape(id), nil, nil)
}

// SupportBundle writes an archive (zip) without personal data to w. For the desk
// only. What was written before an error is not to be used.
func (c *Client) SupportBundle(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	resp, err := c.send(ctx, http.MethodPost, "/api/v1/support-bundle", nil, "application/zip")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if mediaType(resp) != "application/zip" {
		return ErrAnswer
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

func checkIn(id, rest string) string { return "/api/v1/checkins/" + url.PathEscape(id) + rest }

// ask calls and returns the answer.
func ask[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out, zero T
	if err := c.call(ctx, method, path, in, &out); err != nil {
		return zero, err
	}
	return out, nil
}

// call sends in, unless nil, and reads the answer into out, unless nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	resp, err := c.send(ctx, method, path, in, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		if out != nil {
			return ErrAnswer
		}
		return nil
	}
	if mediaType(resp) != "application/json" {
		return ErrAnswer
	}
	b, err := read(resp.Body, maxJSON)
	if err != nil || out == nil {
		return err
	}
	// Fields that this version does not know are those of a newer agent.
	if err := json.Unmarshal(b, out); err != nil {
		return ErrAnswer // its text would quote the answer
	}
	return nil
}

// bytes returns an answer that is not JSON, of one of the given media types.
func (c *Client) bytes(ctx context.Context, path string, limit int64, types ...string) ([]byte, string, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	resp, err := c.send(ctx, http.MethodGet, path, nil, strings.Join(types, ", "))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	got := mediaType(resp)
	for _, t := range types {
		if t == got {
			b, err := read(resp.Body, limit)
			return b, got, err
		}
	}
	return nil, "", ErrAnswer
}

// send sends a request and returns an answer that is 2xx, whose body the caller
// closes. A token that the agent does not know is read from its file once more.
func (c *Client) send(ctx context.Context, method, path string, in any, accept string) (*http.Response, error) {
	if c.err != nil {
		return nil, c.err
	}
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, errors.New("client: request is no JSON")
		}
	}
	for again := false; ; again = true {
		token, err := c.current(again)
		if err != nil {
			return nil, err
		}
		var r io.Reader
		if in != nil {
			r = bytes.NewReader(body)
		}
		req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
		if err != nil {
			return nil, errors.New("client: malformed request")
		}
		if in != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		req.Header.Set("Accept", accept)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, withoutURL(err)
		}
		if resp.StatusCode >= 200 && resp.StatusCode < 300 {
			return resp, nil
		}
		err = answered(resp)
		// A wrong PIN is 401 too: sent again it would count twice.
		if e, ok := errors.AsType[*Error](err); ok && c.file != "" && !again && e.Status == http.StatusUnauthorized && e.Fault.Code == "no_token" {
			continue
		}
		return nil, err
	}
}

// withoutURL takes the address, which has an id in it, out of an error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// current returns the token; fresh reads its file again.
func (c *Client) current(fresh bool) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == "" || (c.token != "" && !fresh) {
		return c.token, nil
	}
	f, err := os.Open(c.file)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoToken, err)
	}
	defer f.Close()
	b, err := read(f, maxToken)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoToken, err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", ErrNoToken
	}
	c.token = token
	return token, nil
}

// answered makes an error of an answer that is not good, and closes it.
func answered(resp *http.Response) error {
	defer resp.Body.Close()
	if mediaType(resp) != "application/json" {
		return ErrAnswer
	}
	b, err := read(resp.Body, maxJSON)
	if err != nil {
		return err
	}
	var e wire.Error
	if err := json.Unmarshal(b, &e); err != nil || e.Fault.Code == "" {
		return ErrAnswer
	}
	after, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s")
	if err != nil {
		after = 0
	}
	return &Error{Status: resp.StatusCode, Fault: e.Fault, RetryAfter: after}
}

func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// read reads all of r, which is at most limit bytes.
func read(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, ErrAnswer
	}
	return b, nil
}
