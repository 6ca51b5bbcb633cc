package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chamthe/chamthe/sync/contract"
)

// verify says what is wrong with a value, without repeating it, and in a list with
// which element; -1: with the whole.
func verify(k Key, v reflect.Value) (text string, element int) {
	if v.Kind() != reflect.Slice {
		return verifyOne(k, v), -1
	}
	const most = 64
	if v.Len() > most {
		return "too many", -1
	}
	for i := range v.Len() {
		if c, ok := v.Index(i).Interface().(Client); ok {
			text = verifyClient(c)
		} else {
			text = verifyText(k, v.Index(i).String())
		}
		if text != "" {
			return text, i
		}
	}
	return "", -1
}

func verifyOne(k Key, v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		if low, err := parseDuration(k.min); k.min != "" && err == nil && d < low {
			return "at least " + k.min
		}
		return ""
	}
	switch v.Kind() {
	case reflect.Int:
		low, lowErr := strconv.ParseInt(k.min, 10, 64)
		high, highErr := strconv.ParseInt(k.max, 10, 64)
		if lowErr == nil && v.Int() < low || highErr == nil && v.Int() > high {
			return "want a number from " + k.min + " to " + k.max
		}
	case reflect.String:
		return verifyText(k, v.String())
	}
	return ""
}

// longest bounds every text that has no bound of its own.
const longest = 1024

func verifyText(k Key, s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "a text has no control characters"
	}
	most := longest
	if n, err := strconv.Atoi(k.max); err == nil {
		most = n
	}
	if len(s) > most {
		return "too long"
	}
	if k.OneOf != nil {
		for _, one := range k.OneOf {
			if s == one {
				return ""
			}
		}
		return "want one of " + strings.Join(k.OneOf, ", ")
	}
	if k.check == "" || s == "" && k.Default == "" && k.Type == "text" {
		return ""
	}
	return checks[k.check](s)
}

var facilityCode = regexp.MustCompile(`^[0-9A-Za-z_-]{1,32}$`)

// checks are the kinds of text.
var checks = map[string]func(string) string{
	"path": func(s string) string {
		if !filepath.IsAbs(s) {
			return "want a whole path, from the root of the disk"
		}
		return ""
	},
	"pathornone": func(s string) string {
		if s != "none" && !filepath.IsAbs(s) {
			return "want a whole path, from the root of the disk, or none"
		}
		return ""
	},
	"facility": func(s string) string {
		if !facilityCode.MatchString(s) {
			return "want up to 32 letters and digits"
		}
		return ""
	},
	"nkey": func(s string) string {
		if contract.CheckAgent(s) != nil {
			return "want a public key: U and 55 more letters and digits, of which the last are a check"
		}
		return ""
	},
	"server":   checkServer,
	"proxy":    checkProxy,
	"loopback": checkLoopback,
	"port": func(s string) string {
		if s == "" || strings.ContainsFunc(s, unicode.IsSpace) {
			return "want the name of a serial port: /dev/ttyUSB0, COM3"
		}
		return ""
	},
	"urlpath": func(s string) string {
		if u, err := url.Parse(s); err != nil || !strings.HasPrefix(s, "/") || u.Path != s {
			return "want a path that begins with /"
		}
		return ""
	},
}

// loopback reports whether a host never leaves the computer.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func checkServer(s string) string {
	const want = "want nats://, tls://, ws:// or wss:// and host:port"
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.Contains(s, ",") {
		return want
	}
	if u.User != nil {
		return "no name or password in the address: the agent's key proves who it is"
	}
	switch strings.ToLower(u.Scheme) {
	case "nats", "ws":
		if !loopback(u.Hostname()) {
			return "without TLS only on this computer: use tls:// or wss://"
		}
	case "tls", "wss":
	default:
		return want
	}
	return ""
}

func checkProxy(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return "want http://host:port"
	}
	if u.User != nil {
		return "name and password go into proxy_user and proxy_password"
	}
	return ""
}

func checkLoopback(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "want host:port"
	}
	if !loopback(host) {
		return "only on this computer: 127.0.0.1, [::1] or localhost"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "want a port from 0 to 65535"
	}
	return ""
}

// verifyClient has the rules of package api, which does not start with a client that
// breaks them; a test compares the two.
func verifyClient(c Client) string {
	switch {
	case !validName(c.Name):
		return "name: want 1 to 64 letters that can be seen, and no blank before or behind them"
	case c.Origin == "" && (strings.EqualFold(c.Name, deskName) || strings.ContainsAny(c.Name, `:/\`)):
		return "name: a program is not called desk, and has none of : / \\ in its name"
	case c.Origin != "" && !validOrigin(c.Origin):
		return "origin: want https://host or https://host:port, as a browser sends it: in lower case, nothing behind it, and no port that is the usual one (443, with http 80)"
	}
	if b, err := hex.DecodeString(c.TokenSHA256); err != nil || len(b) != sha256.Size || [sha256.Size]byte(b) == [sha256.Size]byte{} {
		return "token_sha256: want 64 hexadecimal digits"
	}
	return ""
}

// deskName is the name of the desk among those who call.
const deskName = "desk"

// validName reports whether a name can be shown at the desk as what it is.
func validName(s string) bool {
	n := 0
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' {
			return false
		}
		n++
	}
	return n >= 1 && n <= 64 && strings.TrimSpace(s) == s
}

// validOrigin reports whether s is an origin as browsers send it.
func validOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > 200 || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != s || strings.HasSuffix(s, ":") {
		return false
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._:[]", r) }) {
		return false
	}
	return u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80"
}
