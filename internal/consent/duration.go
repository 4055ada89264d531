package consent

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is an ISO 8601 duration of whole years, months, weeks, days, hours,
// minutes and seconds, kept in its text form ("P12M", "P1Y2M10DT2H").
type Duration string

// DefaultDuration is how long a consent holds where a purpose says nothing.
const DefaultDuration Duration = "P12M"

// ParseDuration checks a duration; at most 100 years, more than nothing.
func ParseDuration(s string) (Duration, error) {
	from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	to, err := addDuration(from, s)
	if err == nil && !to.After(from) {
		err = fmt.Errorf("a duration must be longer than nothing")
	}
	if err == nil && to.After(from.AddDate(100, 0, 0)) {
		err = fmt.Errorf("a duration may be 100 years at most")
	}
	return Duration(s), err
}

// After gives the instant that lies the duration after t, by the calendar in UTC. Months and years end on the same day
// of the month or, where it has none, on its last day, at the same time (Regulation (EEC, Euratom) No 1182/71,
// Article 3(2)(c)): a month after 31 January is the last of February. Days and times are counted from there.
func (d Duration) After(t time.Time) time.Time {
	to, err := addDuration(t.UTC(), string(d))
	if err != nil { // it was checked when it was made
		return addMonths(t.UTC(), 12)
	}
	return to
}

var errNoDuration = errors.New("must be an ISO 8601 duration such as P12M or P30D")

// span is a duration taken apart: the units that the calendar counts alike are one.
type span struct {
	months, days int
	clock        time.Duration
}

func addDuration(t time.Time, s string) (time.Time, error) {
	by, err := parseSpan(s)
	if err != nil {
		return t, err
	}
	return addMonths(t, by.months).AddDate(0, 0, by.days).Add(by.clock), nil
}

// addMonths goes to the same day of another month of the calendar, or to its last day where that comes first.
func addMonths(t time.Time, months int) time.Time {
	to := t.AddDate(0, months, 0)
	if to.Day() == t.Day() {
		return to
	}
	return to.AddDate(0, 0, -to.Day()) // it ran over into the next month: back to the day before its first
}

func parseSpan(s string) (by span, err error) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return by, errNoDuration
	}
	units, inTime := "YMWD", false
	for rest != "" {
		if rest[0] == 'T' && !inTime {
			units, inTime, rest = "HMS", true, rest[1:]
			continue
		}
		digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if digits < 1 || digits > 5 {
			return by, errNoDuration
		}
		n, _ := strconv.Atoi(rest[:digits])
		at := strings.IndexByte(units, rest[digits])
		if at < 0 {
			return by, errNoDuration
		}
		by.count(inTime, units[at], n)
		units, rest = units[at+1:], rest[digits+1:]
	}
	return by, nil
}

func (by *span) count(inTime bool, unit byte, n int) {
	switch unit {
	case 'Y':
		by.months += 12 * n
	case 'M':
		if !inTime {
			by.months += n
			return
		}
		by.clock += time.Duration(n) * time.Minute
	case 'W':
		by.days += 7 * n
	case 'D':
		by.days += n
	case 'H':
		by.clock += time.Duration(n) * time.Hour
	default:
		by.clock += time.Duration(n) * time.Second
	}
}
