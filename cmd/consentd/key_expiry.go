package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/consentd/consentd/internal/consent"
)

// expiry is the value of --expires as it was given.
type expiry string

// Decode implements kong.MapperValue. kong takes what begins with a dash for a flag; -1d is a wrong time, and so it is
// told.
func (e *expiry) Decode(ctx *kong.DecodeContext) error {
	if next, ok := ctx.Scan.Peek().Value.(string); ok && negative.MatchString(next) {
		ctx.Scan.Pop()
		*e = expiry(next)
		return nil
	}
	return ctx.Scan.PopValueInto("time", (*string)(e))
}

var (
	negative  = regexp.MustCompile(`^-[0-9.]`)
	countDays = regexp.MustCompile(`^[+-]?[0-9]+d$`)
	farAway   = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$`)
	units     = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+$`)
)

// mostDays is how far away an expiry may be that is given in days.
const mostDays = 36500

// The mistakes that a time can be, each with what to give in place of it.
var (
	errNoTime = errors.New("is not a time: give days such as 90d, hours such as 12h, or an RFC 3339 time " +
		"such as 2030-01-02T15:04:05Z")
	errPast   = errors.New("is not in the future: give a time to come, such as 90d, 12h or 2030-01-02T15:04:05Z")
	errTooFar = fmt.Errorf("is too far in the future: give %dd at most, or leave --expires away for a key "+
		"that does not end", mostDays)
	errFarAway = errors.New("has an offset from UTC of more than 18:00: end it with Z for UTC, or with one such as " +
		"+02:00")
	errNoOffset = errors.New("does not say its offset from UTC: end it with Z for UTC, or with one such as +02:00")
)

// time gives the instant that was meant; zero, which is never, where nothing was given. Its error names one cause.
func (e expiry) time(now time.Time) (at time.Time, err error) {
	s := string(e)
	switch {
	case s == "":
		return time.Time{}, nil
	case countDays.MatchString(s):
		at, err = afterDays(now, strings.TrimSuffix(s, "d"))
	case units.MatchString(s):
		at, err = afterDuration(now, s)
	default:
		at, err = parseInstant(s)
	}
	if err == nil && !at.After(now) {
		err = errPast
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("--expires %q %w", s, err)
	}
	return at, nil
}

func afterDays(now time.Time, days string) (time.Time, error) {
	n, err := strconv.Atoi(days) // a number too large becomes the largest, or the least, there is
	switch {
	case n <= 0:
		return time.Time{}, errPast
	case err != nil || n > mostDays:
		return time.Time{}, errTooFar
	}
	return now.AddDate(0, 0, n), nil
}

func afterDuration(now time.Time, s string) (time.Time, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil && strings.HasPrefix(s, "-"):
		return time.Time{}, errPast
	case err != nil: // the form is right, so it is the size
		return time.Time{}, errTooFar
	}
	return now.Add(d), nil
}

// parseInstant reads an RFC 3339 time, to the year 9999.
func parseInstant(s string) (at time.Time, err error) {
	if at, err = consent.ParseInstant(s); err != nil {
		if farAway.MatchString(s) {
			return time.Time{}, errFarAway
		}
		return time.Time{}, instantMistake(strings.ToUpper(s))
	}
	if at.Year() > 9999 {
		return time.Time{}, errTooFar
	}
	return at, nil
}

// instantMistake says what is wrong with what is almost a time.
func instantMistake(s string) error {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return fmt.Errorf("is a date without a time of day: give %s", day.Format(time.RFC3339))
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if _, err := time.Parse(layout, s); err == nil {
			return errNoOffset
		}
	}
	return errNoTime
}
