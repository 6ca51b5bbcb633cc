package mrz

// CheckDigit returns the check digit of s as an ASCII digit: the sum of the
// characters' values with weights 7, 3, 1, modulo 10 (Doc 9303-3, 4.9). It
// reports false when s holds anything but A-Z, 0-9 and <.
func CheckDigit(s string) (byte, bool) {
	weights := [3]int{7, 3, 1}
	sum := 0
	for i := range len(s) {
		v, ok := value(s[i])
		if !ok {
			return 0, false
		}
		sum = (sum + v*weights[i%3]) % 10
	}
	return '0' + byte(sum), true
}

// value returns the number that a character stands for in a check digit.
func value(c byte) (int, bool) {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0'), true
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10, true
	case c == '<':
		return 0, true
	}
	return 0, false
}

// validDate reports whether s is a date YYMMDD. Where partial is set, any part of it
// may be unknown: fillers (Doc 9303-3, 4.8; BSI TR-03105-5.1, LDS_B_25 to LDS_B_28).
// So may a day, or a day and a month, be that are 00, which Doc 9303-10 has in DG11
// and which issuers also print.
//
// The century is not in the MRZ, so 29 February is valid in every year that
// is a leap year in some century: those divisible by four.
func validDate(s string, partial bool) bool {
	if len(s) != 6 {
		return false
	}
	var part [3]int
	var unknown [3]bool
	for i := range part {
		a, b := s[2*i], s[2*i+1]
		if partial && a == '<' && b == '<' {
			unknown[i] = true
			continue
		}
		if a < '0' || a > '9' || b < '0' || b > '9' {
			return false
		}
		part[i] = int(a-'0')*10 + int(b-'0')
	}
	year, month, day := part[0], part[1], part[2]
	if day == 0 && !unknown[2] && !partial || month == 0 && !unknown[1] && (day != 0 || !partial) {
		return false
	}
	if month > 12 {
		return false
	}
	days := [13]int{31, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	if month == 2 && !unknown[0] && year%4 != 0 {
		return day <= 28
	}
	return day <= days[month]
}
