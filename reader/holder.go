package reader

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Limits of the search: who waits for a card waits for the answer too.
const (
	maxProcesses = 4096
	maxMaps      = 4 << 20
	maxHolders   = 3
)

// knownHolders are programs that take cards for themselves, by the name under
// which Linux lists them (15 characters at most), and what people call them.
var knownHolders = map[string]string{
	"scdaemon":        "scdaemon (GnuPG)",
	"pcsc_scan":       "pcsc_scan",
	"opensc-tool":     "opensc-tool (OpenSC)",
	"opensc-explorer": "opensc-explorer (OpenSC)",
	"opensc-notify":   "opensc-notify (OpenSC)",
	"pkcs11-tool":     "pkcs11-tool (OpenSC)",
	"pkcs15-tool":     "pkcs15-tool (OpenSC)",
	"firefox":         "Firefox",
	"firefox-bin":     "Firefox",
	"firefox-esr":     "Firefox",
	"chrome":          "Chrome",
	"chromium":        "Chromium",
	"AusweisApp":      "AusweisApp",
	"web-eid":         "Web eID",
	"ykman":           "ykman (YubiKey Manager)",
}

// clientLibraries are what a program on Linux has in its memory when it uses
// the smart card service.
var clientLibraries = [][]byte{[]byte("/libpcsclite.so"), []byte("/libpcsclite_real.so")}

// holders returns the programs that use the smart card service, as far as the
// list of processes under proc shows. Which of them has the card, pcscd does
// not tell, so this is a guess to be called one. Processes of other users show
// their names only; of those the well-known are named. It is empty where there
// is no such list: Windows and macOS tell nobody.
func holders(proc string) []string {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	self := strconv.Itoa(os.Getpid())
	var sure, perhaps []string
	for _, e := range entries[:min(len(entries), maxProcesses)] {
		pid := e.Name()
		if _, err := strconv.Atoi(pid); err != nil || pid == self {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(proc, pid, "comm"))
		if err != nil {
			continue // it has ended
		}
		name := plain(strings.TrimSpace(string(comm)))
		title, known := knownHolders[name]
		if name == "" || name == "pcscd" {
			continue
		}
		switch uses, err := usesService(filepath.Join(proc, pid, "maps")); {
		case uses && known:
			sure = append(sure, title)
		case uses:
			sure = append(sure, name)
		case err != nil && known && !browsers[title]:
			perhaps = append(perhaps, title)
		}
	}
	if len(sure) == 0 {
		sure = perhaps
	}
	slices.Sort(sure)
	sure = slices.Compact(sure)
	return sure[:min(len(sure), maxHolders)]
}

// browsers use cards on some computers only: their name alone says nothing.
var browsers = map[string]bool{"Firefox": true, "Chrome": true, "Chromium": true}

// usesService reports whether the list of a process's memory names the client
// library of the service. The error is that we may not look.
func usesService(maps string) (bool, error) {
	f, err := os.Open(maps)
	if err != nil {
		return false, err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	var tail []byte // of what came before: a name may lie across two reads
	for total := 0; total < maxMaps; {
		n, err := f.Read(buf)
		text := append(tail, buf[:n]...)
		for _, lib := range clientLibraries {
			if bytes.Contains(text, lib) {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		total += n
		tail = slices.Clone(text[max(0, len(text)-64):])
	}
	return false, nil
}

// plain drops what does not belong in a line of text: a program names itself
// as it likes.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
}
