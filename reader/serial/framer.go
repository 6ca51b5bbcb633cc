package serial

import "bytes"

// A framer cuts what a scanner sends into scans. It holds at most max bytes,
// and two lines of a machine readable zone.
type framer struct {
	terminator []byte // exact; empty: any CR or LF
	max        int

	buf      []byte
	skipping bool     // the scan was too long: its rest is thrown away
	lines    [][]byte // of a machine readable zone that is not complete

	oversized uint64 // scans that were too long
}

// pending reports whether a scan has begun that is not complete.
func (f *framer) pending() bool { return len(f.buf) > 0 || f.skipping || len(f.lines) > 0 }

// feed adds bytes and hands complete scans to emit, which owns them.
func (f *framer) feed(p []byte, emit func([]byte)) {
	for _, c := range p {
		f.buf = append(f.buf, c)
		body, ended := f.cut()
		if !ended {
			// The terminator does not count.
			if len(f.buf) > f.max+len(f.terminator) {
				f.tooLong()
			}
			continue
		}
		f.buf = f.buf[:0]
		if len(body) > f.max {
			f.tooLong()
		}
		if f.skipping {
			f.skipping = false
			continue
		}
		f.line(body, emit)
	}
}

// cut returns the scan if what has come ends with the terminator.
func (f *framer) cut() ([]byte, bool) {
	if len(f.terminator) > 0 {
		return bytes.CutSuffix(f.buf, f.terminator)
	}
	if n := len(f.buf) - 1; f.buf[n] == '\r' || f.buf[n] == '\n' {
		return f.buf[:n], true
	}
	return nil, false
}

// tooLong gives a scan up. What can be the beginning of the terminator stays.
func (f *framer) tooLong() {
	if !f.skipping {
		f.oversized++
		f.skipping = true
	}
	keep := max(len(f.terminator)-1, 0)
	f.buf = append(f.buf[:0], f.buf[max(len(f.buf)-keep, 0):]...)
}

// silence says that nothing has come for a while. If it ends a scan, what has
// come is one; else only lines that wait for the next are given out.
func (f *framer) silence(ends bool, emit func([]byte)) {
	if ends {
		body := f.buf
		skipped := f.skipping
		f.buf, f.skipping = f.buf[:0], false
		switch {
		case skipped:
		case len(body) > f.max: // the room of a terminator that has not come
			f.oversized++
		default:
			f.line(body, emit)
		}
	}
	f.giveUp(emit)
}

// reset forgets a scan that has begun: the scanner was unplugged.
func (f *framer) reset() { f.buf, f.skipping, f.lines = f.buf[:0], false, nil }

// line takes what one terminator ended. A scanner of machine readable zones
// sends each line like a scan of its own; they belong together.
func (f *framer) line(body []byte, emit func([]byte)) {
	body = bytes.Trim(body, "\x00\x02\x03\r\n") // STX and ETX around it; the other half of CR LF
	if len(body) == 0 {
		return
	}
	want := mrzLines(body)
	if len(f.lines) > 0 && len(body) != len(f.lines[0]) || want == 0 {
		f.giveUp(emit)
	}
	if want == 0 || len(f.lines) == 0 && !beginsMRZ(body[0]) {
		emit(bytes.Clone(body))
		return
	}
	f.lines = append(f.lines, bytes.Clone(body))
	if len(f.lines) == want {
		f.giveUp(emit)
	}
}

// giveUp hands out the lines that have come.
func (f *framer) giveUp(emit func([]byte)) {
	if len(f.lines) > 0 {
		emit(bytes.Join(f.lines, []byte{'\n'}))
		f.lines = nil
	}
}
