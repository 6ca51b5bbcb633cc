package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
)

// A Dialer opens connections: directly, or through a proxy.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dialLimit bounds each step towards one server.
const dialLimit = 5 * time.Second

// certificateSoon is how long before its end a server's certificate is spoken of.
const certificateSoon = 30 * 24 * time.Hour

// Server tries to reach the servers at urls (nats://, tls://, ws://, wss://), one step
// after the other, so that it can say which one fails: the name, the port, the
// server's greeting, TLS. It does not log in; that is for [Link]. conf is what the
// agent uses, nil for the system's certificates; dial may be nil.
func Server(urls []string, conf *tls.Config, dial Dialer) Check {
	return Check{ID: "central.server", Title: "Way to the central server", Run: func(ctx context.Context) []wire.Diagnosed {
		if len(urls) == 0 {
			return one(wire.Diagnosed{
				Level: wire.LevelWarning, What: "No central server is known.", Why: "Visits stay on this computer.",
				Remedy: "Enrol this computer with the code that the insurer gave: `chamthe enrol`.",
			})
		}
		var found []wire.Diagnosed
		for _, raw := range urls {
			f := server(ctx, raw, conf, dial)
			f.ID = "central.server"
			found = append(found, f)
		}
		return found
	}}
}

func server(ctx context.Context, raw string, conf *tls.Config, dial Dialer) wire.Diagnosed {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return of(wire.LevelError, fault.New(fault.BadAddress, nil))
	}
	port := u.Port()
	websocket := u.Scheme == "ws" || u.Scheme == "wss"
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
		if port == "" {
			port = "4222"
		}
	}
	address := net.JoinHostPort(u.Hostname(), port)
	values := []string{"server", u.Scheme + "://" + address}
	fail := func(code fault.Code, what, why, remedy string) wire.Diagnosed {
		d := of(wire.LevelError, fault.New(code, nil))
		d.What, d.Why = what, why
		if remedy != "" {
			d.Remedy = remedy
		}
		for k, v := range pairs(values) {
			d.Values[k] = v
		}
		return d
	}
	const waits = "Visits wait on this computer, and nothing is lost."
	if dial == nil {
		// The name apart, because it fails for reasons of its own.
		if net.ParseIP(u.Hostname()) == nil {
			rctx, cancel := context.WithTimeout(ctx, dialLimit)
			_, err := net.DefaultResolver.LookupHost(rctx, u.Hostname())
			cancel()
			if err != nil {
				return fail(fault.CentralUnreachable, "The server's name cannot be resolved.", waits, "Look at the network cable, and at this computer's DNS server.")
			}
		}
		dial = (&net.Dialer{}).DialContext
	}
	dctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	began := time.Now()
	conn, err := dial(dctx, "tcp", address)
	if err != nil {
		return fail(fault.CentralUnreachable, "The server's port cannot be reached.", waits,
			"Ask those who run the network to open TCP port "+port+" to "+u.Hostname()+" (outwards only).")
	}
	defer conn.Close()
	values = append(values, "connect_ms", strconv.FormatInt(time.Since(began).Milliseconds(), 10))
	_ = conn.SetDeadline(time.Now().Add(dialLimit))
	if !websocket {
		// A NATS server greets in the clear, and TLS begins after that.
		line, err := bufio.NewReaderSize(oneByte{conn}, 16).ReadSlice(' ')
		if err != nil || !strings.EqualFold(strings.TrimSpace(string(line)), "INFO") {
			return fail(fault.CentralUnreachable, "Something else than the central server answers at that address.", waits,
				"Look whether a proxy or a login page of the network stands between, and at the address.")
		}
		if err := restOfLine(conn); err != nil {
			return fail(fault.CentralUnreachable, "The central server's greeting breaks off.", waits, "")
		}
	}
	if u.Scheme == "tls" || u.Scheme == "wss" {
		if conf == nil {
			conf = &tls.Config{MinVersion: tls.VersionTLS12}
		} else {
			conf = conf.Clone()
		}
		if conf.ServerName == "" {
			conf.ServerName = u.Hostname()
		}
		t := tls.Client(conn, conf)
		if err := t.HandshakeContext(dctx); err != nil {
			return fail(fault.CentralUntrusted, "The server could not prove who it is: "+tlsReason(err)+".", waits, "")
		}
		state := t.ConnectionState()
		values = append(values, "tls", tls.VersionName(state.Version))
		if len(state.PeerCertificates) > 0 {
			end := state.PeerCertificates[0].NotAfter
			values = append(values, "certificate_until", end.UTC().Format(time.DateOnly))
			if left := time.Until(end); left < certificateSoon {
				return wire.Diagnosed{
					Level: wire.LevelWarning, What: fmt.Sprintf("The server's certificate ends in %d days.", int(left.Hours()/24)),
					Why: "Then no agent can reach it.", Remedy: "Tell those who run the central service.", Values: pairs(values),
				}
			}
		}
	}
	return ok("It can be reached.", values...)
}

// oneByte hands out one byte at a time: nothing that belongs to TLS is taken too early.
type oneByte struct{ net.Conn }

func (c oneByte) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return c.Conn.Read(p)
}

// maxGreeting bounds the server's first line.
const maxGreeting = 64 << 10

func restOfLine(c net.Conn) error {
	var b [1]byte
	for range maxGreeting {
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		if b[0] == '\n' {
			return nil
		}
	}
	return errors.New("doctor: endless greeting")
}

// tlsReason says in words why a handshake failed, without repeating what the other
// side sent.
func tlsReason(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "its certificate is not from the authority that this computer knows (a firewall that opens TLS has this effect)"
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet (or this computer's clock is wrong)"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	}
	return "the handshake failed"
}

// Link says how the agent's own connection stands: logged in, refused, away.
func Link(state func(ctx context.Context) wire.Link) Check {
	return Check{ID: "central.link", Title: "Link to the central service", Run: func(ctx context.Context) []wire.Diagnosed {
		l := state(ctx)
		values := []string{"state", l.State}
		if l.Since != nil {
			values = append(values, "since", l.Since.UTC().Format(time.RFC3339))
		}
		switch {
		case l.State == "online" && l.Fault == nil:
			return one(ok("Logged in; the central service answers.", values...))
		case l.State == "not_configured":
			return one(wire.Diagnosed{
				Level: wire.LevelWarning, What: "This computer is not enrolled.", Why: "Visits stay on it.",
				Remedy: "Enrol it with the code that the insurer gave: `chamthe enrol`.", Values: pairs(values),
			})
		}
		d := wire.Diagnosed{
			Level: wire.LevelWarning, What: "There is no link just now.", Why: "Visits wait on this computer, and nothing is lost.",
			Remedy: "Nothing needs doing if the network is down.", Page: fault.PagePath(fault.CentralUnreachable), Values: pairs(values),
		}
		if l.Fault != nil {
			d.What, d.Remedy = l.Fault.Cause, l.Fault.Remedy
			d.Page = fault.PagePath(fault.Code(l.Fault.Code))
			d.Values["code"] = l.Fault.Code
			if l.Fault.Kind == string(fault.System) || l.Fault.Kind == string(fault.Input) {
				d.Level = wire.LevelError
			}
		}
		return one(d)
	}}
}

// How far a clock may be off: certificates and evidence bear minutes, verdicts name
// the day.
const (
	clockWarn  = 2 * time.Minute
	clockError = 30 * time.Minute
)

// Clock compares this computer's clock with the central service's. offset is how far it is
// ahead; it reports false when there was nothing to compare with.
func Clock(offset func(ctx context.Context) (time.Duration, bool)) Check {
	return Check{ID: "clock", Title: "Clock", Run: func(ctx context.Context) []wire.Diagnosed {
		off, known := offset(ctx)
		if !known {
			if now := time.Now(); now.Before(earliest) {
				return one(clockWrong(wire.LevelError, "The clock says "+now.UTC().Format(time.DateOnly)+", which cannot be.", nil))
			}
			return one(Skipped("There is no link to compare the clock with."))
		}
		values := []string{"ahead_s", strconv.FormatFloat(off.Seconds(), 'f', 1, 64)}
		what := fmt.Sprintf("The clock is %s off.", off.Abs().Round(time.Second))
		switch {
		case off.Abs() > clockError:
			return one(clockWrong(wire.LevelError, what, pairs(values)))
		case off.Abs() > clockWarn:
			return one(clockWrong(wire.LevelWarning, what, pairs(values)))
		}
		return one(ok("It is right.", values...))
	}}
}

// earliest is a moment that has passed for everybody who runs this program.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func clockWrong(level, what string, values map[string]string) wire.Diagnosed {
	return wire.Diagnosed{
		Level: level, What: what,
		Why:    "Good cards may look expired and expired ones good, and visits carry the wrong time.",
		Remedy: "Set date and time, and let the system keep them (NTP; Windows: \"Set time automatically\").", Page: fault.PagePath(fault.SignerExpired), Values: values,
	}
}
