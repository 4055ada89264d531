package importing

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// Dates say how dates are read that do not say it themselves.
type Dates struct {
	Zone  *time.Location // of dates without one; nil: they are refused
	Order string         // dmy or mdy, of dates such as 01/02/2026; empty: they are refused
}

// The orders of day, month and year where the year is last.
const (
	DayFirst   = "dmy"
	MonthFirst = "mdy"
)

// The forms of a date. Between date and time a T, a space or both with a comma; the zone is Z, UTC, GMT or an offset,
// behind which Go's time.Time.String says it again ("+0200 CEST"), and what its clock had run.
var (
	clockForm = `(?:(?:[Tt]|,? +)(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?: *([AaPp])\.?[Mm]\.?)?)?`
	zoneForm  = `(?: *([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)(?: (?:[A-Z]{2,5}|[+-]\d\d(?:\d\d)?))?(?: m=[+-][\d.]+)?)?$`
	yearFirst = regexp.MustCompile(`^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})` + clockForm + zoneForm)
	yearLast  = regexp.MustCompile(`^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})` + clockForm + zoneForm)
	shortYear = regexp.MustCompile(`^\d{1,2}[-/.]\d{1,2}[-/.]\d{2}(?:\D|$)`)
	number    = regexp.MustCompile(`^(\d+)(?:\.(\d+))?$`)
)

// Parse reads a date: RFC 3339; the same with a space, or without a zone; day, month and year, or month, day and year,
// as Order says; a number of seconds or milliseconds since 1970, told apart by how large it is. A date without a time
// is the start of that day: the end would prolong a yes. A second 60 is the last microsecond of the 59th. The error is
// a *Refusal that says what to do. It may be called at once.
func (d Dates) Parse(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return time.Time{}, Refuse("", "there is no date")
	case number.MatchString(text):
		return sinceEpoch(number.FindStringSubmatch(text))
	case shortYear.MatchString(text):
		return time.Time{}, Refuse("", "a year of two digits is not read: write four")
	}
	if at, err := consent.ParseInstant(text); err == nil && at.UnixMicro() >= 0 {
		return at.Truncate(time.Microsecond), nil // most are of this form
	}
	if m := yearFirst.FindStringSubmatch(text); m != nil {
		return d.civil(m[1], m[2], m[3], m[4:])
	}
	m := yearLast.FindStringSubmatch(text)
	switch {
	case m == nil:
		return time.Time{}, Refuse("", "it is no date that is known: write it as 2026-01-31T12:00:00Z")
	case d.Order == DayFirst:
		return d.civil(m[3], m[2], m[1], m[4:])
	case d.Order == MonthFirst:
		return d.civil(m[3], m[1], m[2], m[4:])
	}
	return time.Time{}, Refuse("", "it may be day or month that is first: give --dates dmy or --dates mdy")
}

// sinceEpoch reads seconds or milliseconds since 1970. Each span of sizes has one reading: seconds from 1973 to 2286,
// milliseconds from 1973 to 2286.
func sinceEpoch(m []string) (time.Time, error) {
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	fraction := m[2] + "000000"
	switch {
	case n >= 1e8 && n < 1e10:
		return time.UnixMicro(n*1e6 + int64(atoi(fraction[:6]))).UTC(), nil
	case n >= 1e11 && n < 1e13:
		return time.UnixMicro(n*1e3 + int64(atoi(fraction[:3]))).UTC(), nil
	case n >= 1e14:
		return time.Time{}, Refuse("", "a number this large may be microseconds: write it as seconds or milliseconds")
	case n >= 1e7 && n < 1e8:
		return time.Time{}, Refuse("", "it may be a date without hyphens: write it as 2026-01-31")
	}
	return time.Time{}, Refuse("", "it is no number of seconds or milliseconds since 1970, of 1973 to 2286")
}

// clock is what a date says of a time of day.
type clock struct {
	hour, minute, second, nano int
	dated                      bool // nothing: it is a date alone
}

// civil makes an instant of year, month and day, and of what may follow: hour, minute, second, fraction, a or p, zone.
func (d Dates) civil(year, month, day string, rest []string) (time.Time, error) {
	y, mo, da := atoi(year), atoi(month), atoi(day)
	c, err := clockOf(rest)
	if err != nil {
		return time.Time{}, err
	}
	midday := time.Date(y, time.Month(mo), da, 12, 0, 0, 0, time.UTC)
	switch {
	case mo < 1 || mo > 12:
		return time.Time{}, Refuse("", "there is no such month; is it the day? see --dates")
	case da < 1 || midday.Day() != da:
		return time.Time{}, Refuse("", "the month has no such day")
	case y < 1970:
		return time.Time{}, Refuse("", "must be in the years 1970 to 9999")
	}
	zone, err := d.zoneOf(rest[5])
	if err != nil {
		return time.Time{}, err
	}
	at, ok := inZone(y, time.Month(mo), da, c, zone)
	switch {
	case !ok:
		return time.Time{}, Refuse("", "the clocks were put forward over it there; is --timezone right?")
	case at.Before(time.Unix(0, 0)) || at.Year() > 9999:
		return time.Time{}, Refuse("", "must be in the years 1970 to 9999")
	}
	return at, nil
}

func clockOf(rest []string) (clock, error) {
	if rest[0] == "" {
		return clock{dated: true}, nil
	}
	c := clock{hour: atoi(rest[0]), minute: atoi(rest[1]), second: atoi("0" + rest[2])}
	c.nano = 1000 * atoi((rest[3] + "000000")[:6])
	if rest[4] != "" { // a or p
		if c.hour < 1 || c.hour > 12 {
			return c, Refuse("", "with am or pm the hour must be 1 to 12")
		}
		c.hour %= 12
		if strings.EqualFold(rest[4], "p") {
			c.hour += 12
		}
	}
	if c.second == 60 { // which no clock of ours has
		c.second, c.nano = 59, 999_999_000
	}
	if c.hour > 23 || c.minute > 59 || c.second > 59 {
		return c, Refuse("", "there is no such time of day")
	}
	return c, nil
}

// maxOffset is the largest offset that is read (contracts: RFC 3339 offsets beyond ±18:00 are refused).
const maxOffset = 18 * 60 * 60

func (d Dates) zoneOf(said string) (*time.Location, error) {
	switch said {
	case "Z", "z", "UTC", "GMT":
		return time.UTC, nil
	case "":
		if d.Zone == nil {
			return nil, Refuse("", "it does not say its zone: give --timezone, such as Europe/Berlin or UTC")
		}
		return d.Zone, nil
	}
	digits := strings.ReplaceAll(said[1:], ":", "") + "00" // PostgreSQL writes hours alone
	minutes := atoi(digits[2:4])
	offset := 3600*atoi(digits[:2]) + 60*minutes
	if offset > maxOffset || minutes > 59 {
		return nil, Refuse("", "there is no such offset")
	}
	if said[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), nil
}

// inZone finds the instant at which a clock somewhere showed a time: the earlier one where it did so twice. ok is false
// where it never did; a day that does not begin at midnight begins when it does.
func inZone(y int, mo time.Month, day int, c clock, zone *time.Location) (at time.Time, ok bool) {
	wall := time.Date(y, mo, day, c.hour, c.minute, c.second, c.nano, time.UTC)
	const around = 24 * time.Hour // no zone changes twice within
	_, before := wall.Add(-around).In(zone).Zone()
	_, after := wall.Add(around).In(zone).Zone()
	for _, offset := range []int{max(before, after), min(before, after)} {
		at = wall.Add(-time.Duration(offset) * time.Second)
		if _, there := at.In(zone).Zone(); there == offset {
			return at, true
		}
	}
	// Between both the clocks went forward: by the offset before, the clock shows the first time behind.
	return wall.Add(-time.Duration(before) * time.Second), c.dated
}

// atoi reads digits, of which there are few.
func atoi(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
