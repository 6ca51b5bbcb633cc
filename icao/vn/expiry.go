package vn

// NoExpiry is the date of expiry in the machine readable zone of a card that
// does not expire.
const NoExpiry = "991231"

// changeAges are the ages at which a card has to be changed: 25, 40 and 60 by
// article 21 of Law 59/2014/QH13; also 14 by article 21 of Law 26/2023/QH15,
// which came with cards for children on 1 July 2024. (Before that nobody under
// 14 had a card, so one list serves both laws.) After 60 a card does not
// expire.
var changeAges = [...]int{14, 25, 40, 60}

// renewalYears is how long before such an age a card may be issued and remain
// valid until the next one (second paragraph of both articles).
const renewalYears = 2

// ExpiryCandidates returns the dates of expiry, as YYMMDD, that a card issued
// on that day to a person born on that day can have, the most likely first. It
// returns one to three; none unless both dates are full and in order.
//
// The law gives one: the first birthday in the list that is still to come, or
// the one after it if the card was issued in the last two years before. The
// others are for what clerks do: a card issued in those two years whose date
// was not moved on, one issued before them whose date was, and people born on
// 29 February, whose birthday in other years may be taken for the 28th or for
// 1 March.
//
// Each candidate that is tried and wrong is a failed authentication, after
// which a chip may take longer to answer.
func ExpiryCandidates(birth, issue Date) []string {
	if !birth.Full() || !issue.Full() || !birth.valid() || !issue.valid() || issue.Before(birth) {
		return nil
	}
	for i, age := range changeAges {
		at := birthday(birth, age)
		if !issue.Before(at) {
			continue // that birthday is past
		}
		early := Date{Year: at.Year - renewalYears, Month: at.Month, Day: at.Day}
		next := []string{NoExpiry}
		if i+1 < len(changeAges) {
			next = expiries(birth, changeAges[i+1])
		}
		if issue.Before(early) {
			return append(expiries(birth, age), next[0])
		}
		return append(next, expiries(birth, age)[0])
	}
	return []string{NoExpiry}
}

// expiries returns the birthday at an age, in both forms if it has two.
func expiries(birth Date, age int) []string {
	at := birthday(birth, age)
	first, _ := at.MRZ()
	if at.Day == birth.Day {
		return []string{first}
	}
	second, _ := Date{Year: at.Year, Month: 3, Day: 1}.MRZ()
	return []string{first, second}
}

// birthday is the day on which a person reaches an age; that of 29 February is
// the last of the month in other years.
func birthday(birth Date, age int) Date {
	d := Date{Year: birth.Year + age, Month: birth.Month, Day: birth.Day}
	d.Day = min(d.Day, daysIn(d.Year, d.Month))
	return d
}
