package consent

import "time"

// maxOffset is the greatest offset from UTC, in seconds: more than any that a clock on a wall has had.
const maxOffset = 18 * 60 * 60

var (
	errInstant = &Error{Kind: Invalid, Msg: "must be an RFC 3339 date and time, such as 2026-01-31T12:00:00Z"}
	errOffset  = &Error{Kind: Invalid, Msg: "must have an offset from UTC of 18:00 at most"}
)

// ParseInstant reads a date and time that came from outside: RFC 3339, section 5.6, with t and z in either case, any
// number of digits in the fraction (those past nanoseconds are dropped) and an offset of at most 18:00. A leap second
// is refused, as by package time, which on the other hand takes a comma, an hour of one digit and an offset of a day.
// The result is in UTC; its year may lie one outside 0 to 9999. Errors: Invalid, without a field.
func ParseInstant[Text string | []byte](s Text) (time.Time, error) {
	const shortest = len("2026-01-31T12:00:00Z")
	if len(s) < shortest || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, errInstant
	}
	year, month, day := 100*twoDigits(s, 0)+twoDigits(s, 2), twoDigits(s, 5), twoDigits(s, 8)
	hour, minute, second := twoDigits(s, 11), twoDigits(s, 14), twoDigits(s, 17)
	nano, rest := parseFraction(s[19:])
	offset, ok := parseOffset(rest)
	switch {
	case !ok, year < 0 || twoDigits(s, 2) < 0, month < 1 || month > 12, day < 1, hour < 0 || hour > 23,
		minute < 0 || minute > 59, second < 0 || second > 59, nano < 0:
		return time.Time{}, errInstant
	case offset < -maxOffset || offset > maxOffset:
		return time.Time{}, errOffset
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC)
	if t.Day() != day { // 31 April is no day: package time made 1 May of it
		return time.Time{}, errInstant
	}
	return t.Add(-time.Duration(offset) * time.Second), nil
}

// twoDigits reads the number at a place, or gives one far below 0.
func twoDigits[Text string | []byte](s Text, at int) int {
	tens, ones := s[at]-'0', s[at+1]-'0'
	if tens > 9 || ones > 9 {
		return -1000
	}
	return 10*int(tens) + int(ones)
}

// parseFraction reads the fraction of a second where there is one, as nanoseconds, and gives what is behind it; -1
// where it has no digit.
func parseFraction[Text string | []byte](s Text) (nano int, rest Text) {
	if s[0] != '.' {
		return 0, s
	}
	const digits = 9
	i := 1
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if i <= digits {
			nano = 10*nano + int(s[i]-'0')
		}
	}
	if i == 1 {
		return -1, s
	}
	for n := i; n <= digits; n++ {
		nano *= 10
	}
	return nano, s[i:]
}

// parseOffset reads z or ±hh:mm to the end, in seconds.
func parseOffset[Text string | []byte](s Text) (seconds int, ok bool) {
	if len(s) == 1 {
		return 0, s[0]|0x20 == 'z'
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	hours, minutes := twoDigits(s, 1), twoDigits(s, 4)
	if hours < 0 || minutes < 0 || minutes > 59 {
		return 0, false
	}
	seconds = (60*hours + minutes) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}
