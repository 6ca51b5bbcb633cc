package fault

import (
	"fmt"
	"strings"
)

// PageDir is the folder of the pages below the repository's root.
const PageDir = "agent/fault/docs"

// PagePath returns where the page of a code lies below the repository's root, and in
// the packages below the folder of documents: "agent/fault/docs/no_reader.md".
func PagePath(c Code) string { return PageDir + "/" + string(c) + ".md" }

// kindTexts say what a kind means, for the desk and for the visit.
var kindTexts = map[Kind]struct{ title, desk, visit string }{
	Refuse: {
		"refuse", "The desk must not accept this document, or this visit, as it is.",
		"Nothing is recorded as verified. The person can still be checked in without a chip, where the site allows it; the visit then says so.",
	},
	Unsure: {
		"unsure", "The program cannot tell: the document is neither verified nor forged. Do not treat the holder as a suspect.",
		"Nothing is recorded as verified. Read again after the remedy, or check in without a chip.",
	},
	Retry: {
		"retry", "The same again may work. If it stays so on several cards it is the reader; if it is one card on several readers it is the card.",
		"Nothing was recorded yet, unless the desk said \"recorded\".",
	},
	Input: {
		"input", "What was given has to be corrected.",
		"Nothing was recorded yet, and nothing that was recorded before is touched.",
	},
	System: {
		"system", "IT has to look at it; the desk cannot do anything about it but use another computer.",
		"Nothing that the desk called \"recorded\" is lost by it. A visit of this moment is recorded only if the desk says so.",
	},
	Wait: {
		"waiting", "Nothing needs doing. The desk goes on.",
		"Visits are kept on this computer and sent when the link is back.",
	},
}

// more is what IT can do to find out, beyond the remedy; without an entry the
// general advice has to do.
var more = map[Code]string{
	NoService:          "`systemctl status pcscd.socket pcscd` on Linux, `sc query SCardSvr` on Windows. `chamthe readers --watch` shows at once when it is back: nothing has to be restarted.",
	NoReader:           "`chamthe doctor` compares what is plugged in (USB) with what the smart card service lists: a reader that is in the first list only lacks its driver, and the finding names the maker's page.",
	ReaderBusy:         "`chamthe doctor` and `chamthe readers` name the program where the system tells. GnuPG's scdaemon and browsers with a smart card module are the usual ones.",
	ReaderHung:         "A reader behind a USB hub without power of its own is the usual cause. `chamthe readers test` measures a reader.",
	ReaderShort:        "`firmware-notes` says which readers carry extended length.",
	LongAnswers:        "`chamthe readers limits` shows what was learned of the reader; `--forget` learns it anew after a new driver.",
	IssuerUnknown:      "`chamthe trust list` shows whose certificates are loaded and how old they are; `chamthe trust import` loads a master list or a certificate.",
	SignerExpired:      "`chamthe doctor` compares this computer's clock with the central service's.",
	StoreLocked:        "On Linux `systemctl status chamthe`; a command that needs the directory runs while the service is stopped, or asks the service through its API.",
	StoreDamaged:       "`chamthe queue check --data DIR` reads everything and says what is damaged. Do not delete anything: what can be read is still sent.",
	CannotRecord:       "`chamthe doctor` shows the free space and how long the disk takes for one write.",
	CentralUnreachable: "`chamthe doctor` tries the name, the port and TLS one after the other, and says which of them fails. Port 4222 (or the WebSocket's) has to be open to the outside; nothing has to be open to the inside.",
	CentralUntrusted:   "A firewall that opens TLS shows its own certificate: the link must be let through unopened. A clock that is wrong by days has the same effect.",
	CentralRefuses:     "`chamthe-central agents list` shows whether the agent's key is known there, and whether it was revoked.",
	VisitRejected:      "`chamthe queue show` has the reason. Visits that were rejected because of something that has been mended at the central service are sent again by `chamthe queue requeue`.",
	VisitForeign:       "It happens after a directory was enrolled for another facility, or after its key was replaced.",
	AuditBroken:        "`chamthe audit verify` names the first entry that does not fit. Somebody changed the file from outside, or the disk did.",
	KeyringTrouble:     "A service has no keyring of a session: use a key file, which is the default.",
	ConfigInvalid:      "Every key is in agent/docs/config.md. `chamthe config show` says what is in force and where each value came from.",
	PortInUse:          "`chamthe doctor` names the program where the system tells; on Linux `ss -ltnp`, on Windows `netstat -abno`.",
	ServiceTrouble:     "On Linux `systemctl status chamthe` and `journalctl -u chamthe`; on Windows the event log, source chamthe.",
	TrustAttention:     "`chamthe trust check` lists what is due.",
	Internal:           "Send `chamthe support-bundle`: it holds no personal data.",
}

// Page returns the documentation page of a code as Markdown. It is what
// agent/fault/docs holds; a test compares them.
func (i Info) Page() string {
	k := kindTexts[i.Kind]
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", i.Code, i.Cause)
	fmt.Fprintf(&b, "| | |\n|---|---|\n| kind | %s |\n| exit status of a command | %d |\n| in JSON | `\"code\": \"%s\"` |\n\n", k.title, i.Exit, i.Code)
	fmt.Fprintf(&b, "## What to do\n\n%s\n", i.Remedy)
	if m := more[i.Code]; m != "" {
		fmt.Fprintf(&b, "\n%s\n", m)
	}
	fmt.Fprintf(&b, "\n## At the desk\n\n%s\n\n## The visit\n\n%s\n", k.desk, k.visit)
	return b.String()
}

// Index returns the list of all pages as Markdown.
func Index() string {
	var b strings.Builder
	b.WriteString("# What can go wrong\n\nEvery failure has one code, the same at the desk, in the API, on the command line and in the logs.\nThese pages are made from `agent/fault` by `go generate ./agent/fault`.\n\n| code | exit | kind | what happened |\n|---|---|---|---|\n")
	for _, i := range infos {
		fmt.Fprintf(&b, "| [%s](%s.md) | %d | %s | %s |\n", i.Code, i.Code, i.Exit, i.Kind, i.Cause)
	}
	return b.String()
}
