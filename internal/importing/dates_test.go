package importing

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestDates(t *testing.T) {
	berlin, beirut := zone(t, "Europe/Berlin"), zone(t, "Asia/Beirut")
	none, utc := Dates{}, Dates{Zone: time.UTC}
	for _, tc := range []struct {
		text  string
		dates Dates
		want  string // or what is wrong
	}{
		{"2026-01-31T12:00:00Z", none, "2026-01-31T12:00:00Z"},
		{" 2026-01-31t12:00:00.123456789+01:00 ", none, "2026-01-31T11:00:00.123456Z"},
		{"2026-01-31 12:00:00+0100", none, "2026-01-31T11:00:00Z"},
		{"2026-01-31 12:00:00.5+02", none, "2026-01-31T10:00:00.5Z"},
		{"2026-01-31 12:00:00 UTC", none, "2026-01-31T12:00:00Z"},
		{"2019-06-25 10:14:39.123456 +0000 UTC", none, "2019-06-25T10:14:39.123456Z"},
		{"2019-06-25 10:14:39.5 +0200 CEST m=+0.01", none, "2019-06-25T08:14:39.5Z"},
		{"2019-06-25 10:14:39.5 +0000 +0000", none, "2019-06-25T10:14:39.5Z"},
		{"2026-01-31T12:00:00", none, "it does not say its zone: give --timezone, such as Europe/Berlin or UTC"},
		{"2026-01-31T12:00:00", Dates{Zone: berlin}, "2026-01-31T11:00:00Z"},
		{"2026-07-31 12:00", Dates{Zone: berlin}, "2026-07-31T10:00:00Z"},
		{"2026-07-31", Dates{Zone: berlin}, "2026-07-30T22:00:00Z"},
		{"2026/7/1", utc, "2026-07-01T00:00:00Z"},
		{"1706700000", none, "2024-01-31T11:20:00Z"},
		{"1706700000.25", none, "2024-01-31T11:20:00.25Z"},
		{"1706700000250", none, "2024-01-31T11:20:00.25Z"},
		{"1706700000250123", none, "a number this large may be microseconds: write it as seconds or milliseconds"},
		{"17067000000", none, "it is no number of seconds or milliseconds since 1970, of 1973 to 2286"},
		{"20260131", none, "it may be a date without hyphens: write it as 2026-01-31"},
		{"0", none, "it is no number of seconds or milliseconds since 1970, of 1973 to 2286"},
		{"99999999999999999999", none, "a number this large may be microseconds: write it as seconds or milliseconds"},
		{"-1706700000", none, "it is no date that is known: write it as 2026-01-31T12:00:00Z"},
		{"31/01/2026", utc, "it may be day or month that is first: give --dates dmy or --dates mdy"},
		{"01/02/2026", utc, "it may be day or month that is first: give --dates dmy or --dates mdy"},
		{"01/02/2026", Dates{Zone: time.UTC, Order: DayFirst}, "2026-02-01T00:00:00Z"},
		{"01/02/2026", Dates{Zone: time.UTC, Order: MonthFirst}, "2026-01-02T00:00:00Z"},
		{"09-06-2021 12:33:19", Dates{Zone: time.UTC, Order: DayFirst}, "2021-06-09T12:33:19Z"},
		{"1.2.2026, 3:04 PM", Dates{Zone: time.UTC, Order: DayFirst}, "2026-02-01T15:04:00Z"},
		{"1/31/2026 12:05 a.m.", Dates{Zone: time.UTC, Order: MonthFirst}, "2026-01-31T00:05:00Z"},
		{"1/31/2026 13:05 AM", Dates{Zone: time.UTC, Order: MonthFirst}, "with am or pm the hour must be 1 to 12"},
		{"31/01/2026", Dates{Zone: time.UTC, Order: MonthFirst}, "there is no such month; is it the day? see --dates"},
		{"29.02.2026", Dates{Zone: time.UTC, Order: DayFirst}, "the month has no such day"},
		{"29.02.2024", Dates{Zone: time.UTC, Order: DayFirst}, "2024-02-29T00:00:00Z"},
		{"01/02/26", Dates{Zone: time.UTC, Order: DayFirst}, "a year of two digits is not read: write four"},
		{"2016-12-31T23:59:60Z", none, "2016-12-31T23:59:59.999999Z"},
		{"2016-12-31T23:59:61Z", none, "there is no such time of day"},
		{"2026-01-31T24:00:00Z", none, "there is no such time of day"},
		{"1969-12-31T23:59:59Z", none, "must be in the years 1970 to 9999"},
		{"1970-01-01T00:00:00Z", none, "1970-01-01T00:00:00Z"},
		{"1970-01-01T00:00:00+01:00", none, "must be in the years 1970 to 9999"},
		{"9999-12-31T23:59:59Z", none, "9999-12-31T23:59:59Z"},
		{"2026-01-31T12:00:00+18:01", none, "there is no such offset"},
		{"2026-03-29T02:30:00", Dates{Zone: berlin}, "the clocks were put forward over it there; is --timezone right?"},
		{"2026-10-25T02:30:00", Dates{Zone: berlin}, "2026-10-25T00:30:00Z"}, // it was so twice: the earlier
		{"2022-03-27", Dates{Zone: beirut}, "2022-03-26T22:00:00Z"},          // there was no midnight: 01:00
		{"2022-03-27T00:30:00", Dates{Zone: beirut}, "the clocks were put forward over it there; is --timezone right?"},
		{"", utc, "there is no date"},
		{"yesterday", utc, "it is no date that is known: write it as 2026-01-31T12:00:00Z"},
		{"2026-01-31 EST", utc, "it is no date that is known: write it as 2026-01-31T12:00:00Z"},
	} {
		at, err := tc.dates.Parse(tc.text)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = Time(at)
		}
		if got != tc.want {
			t.Errorf("%q: %s, want %s", tc.text, got, tc.want)
		}
	}
}

// TestDatesAreReadBack writes instants in every form that is read, in zones with all their changes of clocks. Where a
// clock showed a time twice, the earlier instant is read.
func TestDatesAreReadBack(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Europe/Berlin"), zone(t, "America/New_York"), zone(t, "Asia/Beirut"),
		zone(t, "Australia/Lord_Howe"), zone(t, "Asia/Kathmandu"), zone(t, "America/Sao_Paulo"), zone(t, "Pacific/Apia")}
	layouts := []struct {
		layout, order string
		unit          time.Duration
		zoned         bool
	}{
		{time.RFC3339Nano, "", time.Microsecond, true}, {"2006-01-02 15:04:05.999999 -0700", "", time.Microsecond, true},
		{"2006-01-02T15:04:05.999999", "", time.Microsecond, false}, {"2006-01-02 15:04:05", "", time.Second, false},
		{"2006-01-02 15:04", "", time.Minute, false}, {"02/01/2006 15:04:05", DayFirst, time.Second, false},
		{"01/02/2006 3:04:05 PM", MonthFirst, time.Second, false}, {"2.1.2006, 15:04", DayFirst, time.Minute, false},
	}
	rapid.Check(t, func(t *rapid.T) {
		in := zones[rapid.IntRange(0, len(zones)-1).Draw(t, "zone")]
		as := layouts[rapid.IntRange(0, len(layouts)-1).Draw(t, "layout")]
		at := time.UnixMicro(rapid.Int64Range(2e14, 4e15).Draw(t, "at")).Truncate(as.unit).In(in)
		text := at.Format(as.layout)
		got, err := Dates{Zone: in, Order: as.order}.Parse(text)
		if err != nil {
			t.Fatalf("%s in %s: %v", text, in, err)
		}
		earlier := got.Before(at) && got.In(in).Format(as.layout) == text && at.Sub(got) <= 24*time.Hour
		if !got.Equal(at) && (as.zoned || !earlier) {
			t.Fatalf("%s in %s was read as %s, want %s", text, in, got, at)
		}
	})
}

// TestNumbersAreToldApart: seconds and milliseconds of the same instant are read as it, and nothing else is.
func TestNumbersAreToldApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		for _, text := range []string{fmt.Sprint(n), fmt.Sprint(n % 1e10), fmt.Sprint(n % 1e13)} {
			at, err := Dates{}.Parse(text)
			if err != nil {
				continue
			}
			if text != fmt.Sprint(at.Unix()) && text != fmt.Sprint(at.UnixMilli()) || at.Year() < 1973 || at.Year() > 2286 {
				t.Fatalf("%s was read as %s", text, at)
			}
		}
		at := time.UnixMilli(rapid.Int64Range(1e11, 1e13-1).Draw(t, "at"))
		for _, text := range []string{fmt.Sprint(at.UnixMilli()), fmt.Sprintf("%d.%03d", at.Unix(), at.UnixMilli()%1000)} {
			if got, err := (Dates{}).Parse(text); err != nil || !got.Equal(at) {
				t.Fatalf("%s: %s, %v; want %s", text, got, err, at)
			}
		}
	})
}

func FuzzDates(f *testing.F) {
	for _, text := range []string{"2026-01-31T12:00:00Z", "1.2.2026, 3:04 PM", "1706700000.25", "2026-03-29T02:30:00"} {
		f.Add(text)
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := Dates{Zone: berlin, Order: DayFirst}.Parse(text)
		if err == nil && (at.Year() < 1970 || at.Year() > 9999) {
			t.Errorf("%q is of the year %d", text, at.Year())
		}
	})
}
