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

// After gives the instant that lies the duration after t, by the calendar in UTC.
func (d Duration) After(t time.Time) time.Time {
	to, err := addDuration(t.UTC(), string(d))
	if err != nil { // it was checked when it was made
		return t.UTC().AddDate(1, 0, 0)
	}
	return to
}

var errNoDuration = errors.New("must be an ISO 8601 duration such as P12M or P30D")

func addDuration(t time.Time, s string) (time.Time, error) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return t, errNoDuration
	}
	units, inTime := "YMWD", false
	for rest != "" {
		if rest[0] == 'T' && !inTime {
			units, inTime, rest = "HMS", true, rest[1:]
			continue
		}
		digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if digits < 1 || digits > 5 {
			return t, errNoDuration
		}
		n, _ := strconv.Atoi(rest[:digits])
		at := strings.IndexByte(units, rest[digits])
		if at < 0 {
			return t, errNoDuration
		}
		t = addUnit(t, inTime, units[at], n)
		units, rest = units[at+1:], rest[digits+1:]
	}
	return t, nil
}

func addUnit(t time.Time, inTime bool, unit byte, n int) time.Time {
	switch unit {
	case 'Y':
		return t.AddDate(n, 0, 0)
	case 'M':
		if !inTime {
			return t.AddDate(0, n, 0)
		}
		return t.Add(time.Duration(n) * time.Minute)
	case 'W':
		return t.AddDate(0, 0, 7*n)
	case 'D':
		return t.AddDate(0, 0, n)
	case 'H':
		return t.Add(time.Duration(n) * time.Hour)
	default:
		return t.Add(time.Duration(n) * time.Second)
	}
}
