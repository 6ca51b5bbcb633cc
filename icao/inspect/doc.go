// Package inspect performs the inspection procedure on one chip: access, the
// document security object, chip authenticity, the verified text, and last the
// photo. It answers with a [Report]: one entry for every check, in the
// vocabulary of BSI TR-03135-1 v2.5 (package result).
//
// It follows the order of BSI TR-03135-1, 5.6.2: EF.SOD first, then proof that
// the chip is no copy, then personal data. It judges nothing: which checks a
// site requires is policy (agent/policy). A check that nobody made stays
// [result.NotPerformed], and data that the security object does not cover is
// never the basis of anything.
//
// The package is pure: it starts no goroutine, reads no clock and opens no
// device. Time and randomness are parameters, the chip is an
// [apdu.Transceiver].
//
// A chip that is lost in the middle is reset, opened anew and read on where it
// stopped, if the transceiver is a [Resetter]. What one inspection finds out about
// chips and readers serves the next ([Config.Learned]), and work of the host may be
// done beside the exchanges ([Config.Overlap]). EF.COM and the optional data groups
// are read on request ([Config.All]), and a strict mode ([Config.Strict]) judges
// what is tolerated otherwise. [Report.StrictErr] is the verdict of an inspection
// that tolerates nothing; package conformitytest has it judged by the cases of BSI
// TR-03105 Part 5.1.
//
// Not here: terminal authentication, and with it the content of DG3 and DG4;
// resuming within the access protocol or chip authentication, where there is nothing
// to resume.
package inspect
