package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
)

// patience is how long a browser on a busy machine may take for one step.
const patience = 90 * time.Second

// browser starts Chromium without a screen. Names below .example lead to this
// computer, as an attacker's name server would have them. It ends with the test.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed (package chromium)")
		}
		t.Skip("chromium is not installed (package chromium)")
	}
	var cmd *exec.Cmd
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program),
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-US"),
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"), chromedp.Flag("no-proxy-server", true),
		chromedp.WSURLReadTimeout(patience),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			cmd = c
		}),
	}, flags...)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		cancelTab()
		cancel()
		if cmd != nil && cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its own group, with all of its children
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return ctx
}

// A tab is one page.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	console []string // exceptions, and what the browser itself complains about
}

func newTab(t *testing.T, browser context.Context, address string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, func(ev any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			p.console = append(p.console, ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			p.console = append(p.console, ev.Entry.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.open(address)
	return p
}

func (p *tab) open(address string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		p.t.Fatal(err)
	}
}

// eval returns what an expression, which may be a promise, comes to as text.
func (p *tab) eval(js string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string]("(async () => String(await ("+js+")))()", chromedp.EvalAwaitPromise))
	if err != nil {
		return "error: " + err.Error()
	}
	return out
}

// fetch returns "status code" of a fetch by the page, or "error: TypeError".
func (p *tab) fetch(address, options string) string {
	p.t.Helper()
	return p.eval(fmt.Sprintf(`fetch(%q, %s).then(async (r) => r.type === 'opaque' ? 'opaque' : r.status + ' ' + ((await r.text()).match(/"code":"(\w+)"/)?.[1] ?? ''), (e) => 'error: ' + e.name)`, address, options))
}

func (p *tab) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.console, "\n")
}

// waitFor waits until an expression is true.
func (p *tab) waitFor(js string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got := p.eval(js)
		if got == "true" {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s: %s; message %q, console %q", js, got, p.eval(`document.getElementById('message')?.textContent`), p.said())
		}
	}
}

func (p *tab) click(id string) {
	p.t.Helper()
	if got := p.eval("document.getElementById('" + id + "').click()"); got != "undefined" {
		p.t.Fatalf("clicking %s: %s", id, got)
	}
}

func (p *tab) state(want string) {
	p.t.Helper()
	p.waitFor(fmt.Sprintf(`document.getElementById('state').dataset.state === %q`, want))
}

// pair pairs the page by its own buttons, with the desk's help.
func (p *tab) pair(desk *client.Client) {
	p.t.Helper()
	p.click("request")
	p.waitFor(`!document.getElementById('redeem').hidden`)
	list, err := desk.Pairings(p.t.Context())
	if err != nil || len(list) != 1 {
		p.t.Fatalf("the desk sees %d pairings: %v", len(list), err)
	}
	if got := p.eval("location.origin"); list[0].Origin != got {
		p.t.Fatalf("the desk is asked about %q by a page of %q", list[0].Origin, got)
	}
	// The page was never told the code.
	if body := p.eval("document.documentElement.outerHTML"); strings.Contains(body, list[0].Code) {
		p.t.Error("the page knows the code before anybody typed it")
	}
	if _, err := desk.Approve(p.t.Context(), list[0].ID); err != nil {
		p.t.Fatal(err)
	}
	p.eval("document.getElementById('code').value = '" + list[0].Code + "'")
	p.click("send-code")
	p.waitFor(`!document.getElementById('work').hidden`)
}

func (p *tab) token() string {
	return p.eval("Object.entries(sessionStorage).find(([k]) => k.startsWith('chamthe-token'))[1]")
}

// hospital serves the page's files as a hospital's own server would, with a policy
// as strict as ours, and returns its port.
func hospital(t *testing.T) int {
	t.Helper()
	files := http.FileServer(http.Dir("page"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/empty" {
			w.Header().Set("Content-Type", "text/html")
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src http://127.0.0.1:*")
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

func at(host string, port int, path string) string {
	return "http://" + host + ":" + strconv.Itoa(port) + path
}

// TestBrowser is what browsers do to the API: a page of our own, a hospital's
// page, and pages that mean harm.
func TestBrowser(t *testing.T) {
	t.Parallel()
	b := browser(t)
	port := hospital(t)

	t.Run("our own page", func(t *testing.T) {
		rig := apitest.Start(t, nil)
		evil := `<script>window.harm=1</script><img src=x onerror="window.harm=1">`
		rig.Front.SetName(evil)
		p := newTab(t, b, rig.URL+"/try")
		p.pair(rig.Desk)
		p.click("sample")
		p.state(wire.StateConfirm)
		if got := p.eval(`document.querySelector('#person dd').textContent`); got != evil {
			t.Errorf("name is shown as %q", got)
		}
		p.waitFor(`document.getElementById('picture').naturalWidth === 30`)
		p.click("confirm")
		p.state(wire.StateRecorded)
		if got := p.eval("window.harm") + p.eval("document.querySelectorAll('#person script, #person img').length"); got != "undefined0" {
			t.Errorf("a name ran as a program: %s", got)
		}
		p.click("vi")
		if got := p.eval("document.documentElement.lang + document.getElementById('begin').textContent"); got != "viBắt đầu" {
			t.Errorf("in Vietnamese: %q", got)
		}
		if said := p.said(); said != "" {
			t.Errorf("the console says %q", said)
		}
	})

	t.Run("a hospital's page", func(t *testing.T) {
		rig := apitest.Start(t, nil)
		p := newTab(t, b, at("his.example", port, "/try.html?base="+rig.URL))
		p.pair(rig.Desk)
		rig.Front.SetManual(true)
		p.click("sample")
		p.state(wire.StateCard)
		rig.Front.Tap() // what follows comes by the event stream alone
		p.state(wire.StateConfirm)
		p.click("cancel")
		p.state(wire.StateCancelled)
		if said := p.said(); said != "" {
			t.Errorf("the console says %q", said)
		}

		// A second session: the desk has begun one of its own.
		c, err := rig.Desk.Start(t.Context(), wire.Start{})
		if err != nil {
			t.Fatal(err)
		}
		p.click("begin")
		p.waitFor(`document.getElementById('message').textContent.startsWith('checkin_busy')`)
		auth := "{headers: {Authorization: 'Bearer " + p.token() + "'}}"
		if got := p.fetch(rig.URL+"/api/v1/checkins/"+c.ID, auth); got != "404 not_found" {
			t.Errorf("the desk's check-in: %s", got)
		}

		// A token that was taken back ends the stream that is open, at once.
		list, err := rig.Desk.Clients(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%d clients: %v", len(list), err)
		}
		if err := rig.Desk.Revoke(t.Context(), list[0].ID); err != nil {
			t.Fatal(err)
		}
		if got := p.fetch(rig.URL+"/api/v1/status", auth); got != "error: TypeError" {
			t.Errorf("after it was taken back: %s", got)
		}
	})

	t.Run("a stolen token", func(t *testing.T) {
		rig := apitest.Start(t, nil)
		good := newTab(t, b, at("his.example", port, "/try.html?base="+rig.URL))
		good.pair(rig.Desk)
		bad := newTab(t, b, at("pharmacy.example", port, "/try.html?base="+rig.URL))
		bad.pair(rig.Desk)
		for name, token := range map[string]string{"of another page": good.token(), "of the desk": deskToken(t, rig)} {
			got := bad.fetch(rig.URL+"/api/v1/checkins", "{method: 'POST', body: '{}', headers: {'Content-Type': 'application/json', Authorization: 'Bearer "+token+"'}}")
			if got != "403 origin_refused" {
				t.Errorf("token %s: %s", name, got)
			}
		}
		if rig.Front.Busy() {
			t.Error("a stolen token began a check-in")
		}
	})

	t.Run("a foreign page", func(t *testing.T) {
		rig := apitest.Start(t, nil)
		token := pairPage(t, rig, at("his.example", port, "")).Token
		p := newTab(t, b, at("evil.example", port, "/empty"))
		for _, tt := range []struct{ name, path, options, want string }{
			{"reading", "/api/v1/status", "{headers: {Authorization: 'Bearer " + token + "'}}", "error: TypeError"},
			{"is there an agent", "/healthz", "{}", "error: TypeError"},
			{"the document", "/openapi.json", "{}", "error: TypeError"},
			{"beginning", "/api/v1/checkins", "{method: 'POST', body: '{}', headers: {'Content-Type': 'application/json', Authorization: 'Bearer " + token + "'}}", "error: TypeError"},
			{"beginning without asking for leave", "/api/v1/checkins", "{method: 'POST', mode: 'no-cors', body: '{}', headers: {'Content-Type': 'text/plain'}}", "opaque"},
			{"reading without asking for leave", "/api/v1/status", "{mode: 'no-cors'}", "error: TypeError"}, // Cross-Origin-Resource-Policy
		} {
			got := p.fetch(rig.URL+tt.path, tt.options)
			if got != tt.want && (tt.want != "opaque" || got != "error: TypeError") {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
		// In a frame the page would be there to be clicked by somebody who sees another.
		p.eval(`new Promise((r) => { const f = document.createElement('iframe'); f.onload = r; f.src = '` + rig.URL + `/try'; document.body.append(f); })`)
		if said := p.said(); !strings.Contains(said, "frame-ancestors") && !strings.Contains(said, "X-Frame-Options") {
			t.Errorf("the page can be framed: console %q", said)
		}
		// A form needs no leave either, and takes the browser to the answer.
		p.eval(`(() => { const f = document.createElement('form'); f.method = 'post'; f.enctype = 'text/plain'; f.action = '` + rig.URL +
			`/api/v1/checkins'; const i = document.createElement('input'); i.name = '{"reference":"'; i.value = '"}'; f.append(i); document.body.append(f); f.submit(); })()`)
		p.waitFor(`location.href.endsWith('/api/v1/checkins') && document.readyState === 'complete'`)
		if got := p.eval("document.body.textContent"); !strings.Contains(got, `"code":"origin_refused"`) {
			t.Errorf("a form is answered with %q", got)
		}
		if rig.Front.Busy() {
			t.Error("a foreign page began a check-in")
		}
	})

	t.Run("a name that leads here", func(t *testing.T) {
		rig := apitest.Start(t, nil)
		token := deskToken(t, rig)
		p := newTab(t, b, at("rebind.example", rig.Port, "/try"))
		if got := p.eval("document.body.textContent"); !strings.Contains(got, `"code":"host_refused"`) {
			t.Errorf("our page under a foreign name: %q", got)
		}
		// To the browser this is the same origin: it asks for no leave.
		if got := p.fetch("/api/v1/status", "{headers: {Authorization: 'Bearer "+token+"'}}"); got != "403 host_refused" && got != "error: TypeError" {
			t.Errorf("same origin under a foreign name: %s", got)
		}
		p = newTab(t, b, at("localhost", rig.Port, "/try"))
		if got := p.eval("document.title"); !strings.HasPrefix(got, "chamthe") {
			t.Errorf("our page as localhost: %q", got)
		}
	})

	t.Run("an origin that IT approved", func(t *testing.T) {
		origin := at("his.example", port, "")
		rig := apitest.Start(t, func(cfg *api.Config) {
			cfg.Grants = []api.Grant{{Origin: origin, Name: "HIS of IT"}}
			cfg.NoPairing = true
		})
		p := newTab(t, b, at("his.example", port, "/try.html?base="+rig.URL))
		p.click("request") // no code, no desk
		p.waitFor(`!document.getElementById('work').hidden`)
		p.click("sample")
		p.state(wire.StateConfirm)
		bad := newTab(t, b, at("evil.example", port, "/try.html?base="+rig.URL))
		bad.click("request")
		bad.waitFor(`document.getElementById('message').textContent.startsWith('unreachable')`)
	})

	t.Run("the agent itself", func(t *testing.T) {
		rig := startAgent(t)
		p := newTab(t, b, at("his.example", port, "/try.html?base="+rig.URL))
		p.pair(rig.Desk)
		p.click("sample") // the software chip is read
		p.state(wire.StateConfirm)
		p.waitFor(`document.getElementById('picture').naturalWidth === 480`)
		if got := p.eval(`document.getElementById('person').textContent`); !strings.Contains(got, "Nguyễn Văn Thử") || !strings.Contains(got, "Verifiedyes") {
			t.Errorf("the page shows %q", got)
		}
		p.click("confirm")
		p.state(wire.StateRecorded)
		if said := p.said(); said != "" {
			t.Errorf("the console says %q", said)
		}
	})

	t.Run("an address elsewhere", func(t *testing.T) {
		rig := apitest.Start(t, nil)
		p := newTab(t, b, rig.URL+"/try?base="+at("evil.example", port, ""))
		if got := p.eval("document.getElementById('base').textContent"); got != "" {
			t.Errorf("a link has our page speak to %q", got)
		}
	})
}

// TestBrowserLocalNetworkAccess has Chromium believe that the hospital's server
// is on the internet. What README.md says of that is what is seen here.
func TestBrowserLocalNetworkAccess(t *testing.T) {
	port := hospital(t)
	secure, plain := at("his.example", port, ""), at("plain.example", port, "")
	b := browser(t, chromedp.Flag("ip-address-space-overrides", fmt.Sprintf("127.0.0.1:%d=public", port)),
		chromedp.Flag("unsafely-treat-insecure-origin-as-secure", secure)) // in place of a certificate
	rig := apitest.Start(t, nil)
	status := func(p *tab, origin string) string {
		return p.fetch(rig.URL+"/api/v1/status", "{headers: {Authorization: 'Bearer "+pairPage(t, rig, origin).Token+"'}}")
	}
	p := newTab(t, b, plain+"/empty")
	if got := status(p, plain); got != "error: TypeError" || !strings.Contains(p.said(), "secure context") {
		t.Errorf("over http: %s; %q", got, p.said())
	}
	p = newTab(t, b, secure+"/empty")
	if got := status(p, secure); got != "error: TypeError" || !strings.Contains(p.said(), "Permission was denied") {
		t.Errorf("without leave: %s; %q", got, p.said())
	}
	_, err := chromedp.CallBrowser(p.ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "loopback-network"}, Setting: cdpbrowser.PermissionSettingGranted, Origin: secure,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := status(p, secure); !strings.HasPrefix(got, "200 ") {
		t.Errorf("with leave: %s; %q", got, p.said())
	}
}
