// Package config reads the agent's configuration: one YAML file with defaults that
// work, settings from the environment and from flags over it, and the machine's
// policy file over everything.
//
// Every mistake is reported with file, line and key, several at once, and without
// the value: a password that stands in the wrong place must not come out in a log.
// The keys are the fields of [Config]; their tags are what the documentation
// (agent/docs/config.md), the commented file of [Template] and the checks are made
// of, so that there is one place to change.
//
// Left out on purpose: files that include others, anchors and merge keys, and a
// configuration that changes while the agent runs. A restart takes less than a
// second and loses nothing.
package config

//go:generate go run ./gen ../docs/config.md

import (
	"log/slog"
	"time"
)

// Config is the whole configuration. Make one with [Load]; the zero value lacks the
// defaults. It is read-only afterwards and then safe for concurrent use. Printed or
// logged, its secrets are "[redacted]".
type Config struct {
	Data     Data     `key:"data" doc:"Where and for how long data is kept."`
	Facility Facility `key:"facility" doc:"Whom the agent works for. An enrolment says so too, and then wins."`
	Central  Central  `key:"central" doc:"The way to the central insurance service. An enrolled agent needs none of it, unless there is a proxy."`
	Readers  Readers  `key:"readers" doc:"Card readers and scanners."`
	Trust    Trust    `key:"trust" doc:"Which issuers of cards are known."`
	Policy   Policy   `key:"policy" doc:"Which cards are accepted at this site. A change is written into the audit trail."`
	API      API      `key:"api" doc:"The local API for the desk and for hospital systems."`
	Handoff  Handoff  `key:"handoff" doc:"Finished check-ins as files, for a hospital system that cannot call the local API."`
	Operator Operator `key:"operator" doc:"Who sits at the desk."`
	Log      Log      `key:"log" doc:"The log. It holds no personal data at any level."`
	Metrics  Metrics  `key:"metrics" doc:"Figures for Prometheus."`
	Training Training `key:"training" doc:"Working with a software chip in place of cards."`

	sources map[string]Source
}

// Data is where and for how long data is kept.
type Data struct {
	Dir         string        `key:"dir" default:"{state}" check:"path" doc:"Directory of visits, keys and the audit trail. It belongs to the account that runs the agent, and one agent uses it at a time. Where it, the log, the desk's token or the hand-off is elsewhere than by default, \"chamthe service install\" lets the service in."`
	Key         string        `key:"key" default:"file" oneof:"file,keyring" doc:"Where the key of a new directory is kept: in a file beside the data or in the system's keyring. An existing directory remembers; see agent/docs/at-rest.md."`
	KeepVisits  time.Duration `key:"keep_visits" default:"30d" min:"1h" doc:"How long visits stay that the insurer has accepted. Others stay until it has."`
	KeepAnswers time.Duration `key:"keep_answers" default:"60d" min:"1h" doc:"How long answers about entitlements are remembered."`
	KeepBackups time.Duration `key:"keep_backups" default:"30d" min:"1h" doc:"How long a copy of the data stays that an upgrade has left."`
}

// Facility is whom the agent works for.
type Facility struct {
	Code string `key:"code" example:"01013" check:"facility" doc:"Code of the facility (cơ sở khám chữa bệnh). Required unless the agent is enrolled."`
	Name string `key:"name" example:"Trạm y tế phường 1" max:"128" doc:"Name of the facility, shown at the desk."`
}

// Central is the way to the central service.
type Central struct {
	URLs          []string `key:"urls" example:"[wss://central.example:443]" check:"server" doc:"Addresses of the NATS servers: nats:// or tls:// or, where only web traffic passes, ws:// or wss://. Without TLS only on this computer. They take the place of those of the enrolment."`
	CAFile        string   `key:"ca_file" example:"/etc/chamthe/ca.pem" check:"path" doc:"Certificates (PEM) of the authorities that the servers' certificates must come from. Empty: those of the enrolment, else those of the system."`
	BundleKey     string   `key:"bundle_key" check:"nkey" doc:"The insurer's public key for its signed lists. Empty: that of the enrolment; without either there are no lists."`
	Proxy         string   `key:"proxy" example:"http://proxy.hospital.lan:3128" check:"proxy" doc:"HTTP proxy that connects to the servers (CONNECT). A server on this computer is reached without it. TLS goes through to the server: the proxy sees nothing."`
	ProxyUser     string   `key:"proxy_user" max:"128" doc:"Name for the proxy (Basic authentication)."`
	ProxyPassword string   `key:"proxy_password" secret:"true" max:"256" doc:"Password for the proxy. A file with it must not be readable by everybody: the package's lets in the agent and who uses the desk. Or give it in the environment."`
	Path          string   `key:"path" example:"/nats" check:"urlpath" doc:"Path of the WebSocket at the servers, where a gateway in front of them wants one."`
}

// Readers are the devices of the desk.
type Readers struct {
	PCSC        bool     `key:"pcsc" default:"true" doc:"Use the readers of the system's smart card service."`
	Prefer      string   `key:"prefer" example:"ACR1252" max:"128" doc:"Name, or a part of it, of the reader to use first."`
	PN532       []string `key:"pn532" example:"[/dev/ttyUSB0]" check:"port" doc:"Serial ports with a PN532 module as card reader."`
	Scanners    []string `key:"scanners" example:"[/dev/ttyACM0]" check:"port" doc:"Serial ports with a scanner of QR codes or machine readable lines."`
	ScanStarts  bool     `key:"scan_starts" default:"true" doc:"A scan begins a check-in of the desk when none is running."`
	ScannerBaud int      `key:"scanner_baud" default:"9600" min:"300" max:"4000000" doc:"Speed of scanners with a serial cable."`
}

// Trust is which issuers are known.
type Trust struct {
	Dir string `key:"dir" default:"{trust}" check:"path" doc:"Directory of \"chamthe trust import\"."`
}

// Policy is which cards are accepted: the settings of package policy, in their order
// and their words.
type Policy struct {
	ChipAuthenticity string `key:"chip_authenticity" default:"warn" oneof:"warn,refuse" doc:"A document that cannot prove that its chip is no copy."`
	Revocation       string `key:"revocation" default:"warn_outdated" oneof:"warn_outdated,refuse,warn,accept" doc:"Nobody can tell whether the signer was revoked: warn only when the issuer's list is outdated (warn_outdated), refuse, always warn, or accept. A signer that is revoked is always refused."`
	Weak             string `key:"weak" default:"warn" oneof:"warn,refuse,accept" doc:"A result that rests on an algorithm or a key that is weak today."`
	Expired          string `key:"expired" default:"refuse" oneof:"refuse,warn" doc:"A document past its date."`
	BACAfterPACE     string `key:"bac_after_pace" default:"refuse" oneof:"refuse,warn" doc:"Basic access control after the PACE that the chip offers has failed."`
	NoPhoto          string `key:"no_photo" default:"warn" oneof:"warn,refuse" doc:"A document without a photo, as those of small children."`
	CardQR           string `key:"card_qr" default:"warn" oneof:"warn,refuse" doc:"Somebody who shows the QR code of a citizen card, and no chip."`
	InsuranceQR      string `key:"insurance_qr" default:"warn" oneof:"warn,refuse" doc:"Somebody who shows the QR code of a health-insurance card."`
	VNeID            string `key:"vneid" default:"warn" oneof:"warn,refuse" doc:"Somebody who shows VNeID on a telephone."`
	Manual           string `key:"manual" default:"warn" oneof:"warn,refuse" doc:"Somebody whose data the desk types in."`
}

// API is the local API.
type API struct {
	Port          int      `key:"port" default:"9786" min:"0" max:"65535" doc:"Port on this computer (127.0.0.1 and ::1). 0 takes any that is free: see --port-file."`
	DeskTokenFile string   `key:"desk_token_file" default:"{run}/desk.token" check:"path" doc:"File with the token of the desk, written anew at each start. Who can read it can check people in, and see who was."`
	DeskGroup     string   `key:"desk_group" default:"chamthe-desk" max:"64" doc:"Group that may read that file (mode 0640), if there is one of this name. On Windows the permissions of the directory decide."`
	Clients       []Client `key:"clients" example:"[{name: HIS, origin: 'https://his.hospital.lan', token_sha256: '…'}]" doc:"Hospital systems that may call, besides those paired at the desk: name, origin of the page (none for a program), and SHA-256 of the token in hexadecimal."`
	Pairing       bool     `key:"pairing" default:"true" doc:"Let hospital systems ask to be paired at the desk."`
}

// A Client is a hospital system that may call the local API.
type Client struct {
	Name        string `key:"name" json:"name"`
	Origin      string `key:"origin" json:"origin,omitempty"`
	TokenSHA256 string `key:"token_sha256" json:"token_sha256"`
}

// Handoff is the folder for a hospital system that cannot call.
type Handoff struct {
	Dir    string        `key:"dir" example:"/srv/chamthe/handoff" check:"path" doc:"Folder that the hospital system watches and empties: each recorded check-in becomes one file, whole when it appears. It must exist, and others than its owner and group must not be able to look into it. Empty: none."`
	Format string        `key:"format" default:"json" oneof:"json,xml" doc:"What is in a file: the check-in as the local API gives it (json), or the check-in record (xml)."`
	Keep   time.Duration `key:"keep" default:"12h" min:"1m" doc:"How long a file stays that nobody fetches."`
	Shared bool          `key:"shared" default:"false" doc:"Let the folder's group read the files (mode 0640), when the hospital system runs under another account; give the folder the mode 2770. On Windows the folder's permissions decide."`
}

// Operator is who sits at the desk.
type Operator struct {
	Required bool          `key:"required" default:"false" doc:"Record nothing before an operator has signed in."`
	Logins   bool          `key:"logins" default:"true" doc:"Sign in by the login name of the computer, which the desk program gives. Otherwise only with a PIN."`
	Shift    time.Duration `key:"shift" default:"12h" min:"1m" doc:"How long somebody stays signed in."`
}

// Log is the log.
type Log struct {
	Level   string `key:"level" default:"info" oneof:"debug,info,warn,error" doc:"What is logged: everything for programmers, normal life, what will be tried again, or what needs a person."`
	Dir     string `key:"dir" default:"{log}" check:"pathornone" doc:"Directory of the log files; \"none\" logs to standard error only."`
	MaxSize int    `key:"max_size_mb" default:"10" min:"1" max:"1024" doc:"Size in MB at which a new file is begun."`
	Keep    int    `key:"keep" default:"5" min:"1" max:"100" doc:"How many old files stay."`
	Stderr  bool   `key:"stderr" default:"false" doc:"Log to standard error as well; a service manager keeps that."`
}

// Metrics are figures for Prometheus.
type Metrics struct {
	Listen string `key:"listen" example:"127.0.0.1:9787" check:"loopback" doc:"Address on this computer for /metrics, host:port. Empty: none."`
}

// Training is about software chips.
type Training struct {
	Allowed bool `key:"allowed" default:"false" doc:"Let \"chamthe run --chip\" work together with a central service. Visits of a software chip are visits like others to it: for test systems only."`
}

// redacted stands in the place of a secret.
const redacted = "[redacted]"

// String returns no value.
func (c *Config) String() string { return "[configuration]" }

// GoString returns no value.
func (c *Config) GoString() string { return "[configuration]" }

// LogValue keeps values out of logs.
func (c *Config) LogValue() slog.Value { return slog.StringValue("[configuration]") }
