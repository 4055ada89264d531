package consent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]string{ // after noon of 1 March 2026
		"P12M": "2027-03-01T12:00:00Z", "P1Y": "2027-03-01T12:00:00Z", "P30D": "2026-03-31T12:00:00Z",
		"P2W": "2026-03-15T12:00:00Z", "PT36H": "2026-03-03T00:00:00Z", "PT90M": "2026-03-01T13:30:00Z",
		"PT1S": "2026-03-01T12:00:01Z", "P1Y2M10DT2H30M5S": "2027-05-11T14:30:05Z", "P100Y": "2126-03-01T12:00:00Z",
		"P1M1D": "2026-04-02T12:00:00Z", "P0Y1D": "2026-03-02T12:00:00Z", "P00001D": "2026-03-02T12:00:00Z",
	} {
		d, err := ParseDuration(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if got := d.After(noon).Format(time.RFC3339); got != want {
			t.Errorf("%s after noon is %s, want %s", s, got, want)
		}
	}
	for _, s := range []string{"", "P", "PT", "P1", "1Y", "p1y", "P1YT", "P1D1M", "P1M1Y", "P1Y1Y", "PT1H1H", "P1H",
		"PT1D",
		"PT1M1H", "P-1D", "P+1D", "P1.5D", "P1,5D", "P 1D", "P1D ", " P1D", "P0D", "PT0S", "P0Y0M",
		"P101Y", "P100Y1D", "P1201M",
		"P99999Y", "P999999D", "P99999999999999999999D", "P1DTT1H", "PTT1H", "P１D", "P1\x00D", "P1DT"} {
		if d, err := ParseDuration(s); err == nil {
			t.Errorf("%q is taken as %s", s, d)
		}
	}
}

// TestDurationEndsOfMonths shows what the calendar does with days that are not there.
func TestDurationEndsOfMonths(t *testing.T) {
	for _, tc := range []struct {
		from string
		d    Duration
		want string
	}{
		{"2026-01-31T10:00:00Z", "P1M", "2026-02-28T10:00:00Z"},
		{"2028-01-31T10:00:00Z", "P1M", "2028-02-29T10:00:00Z"},
		{"2026-01-30T10:00:00Z", "P1M", "2026-02-28T10:00:00Z"},
		{"2026-01-28T10:00:00Z", "P1M", "2026-02-28T10:00:00Z"},
		{"2026-02-28T10:00:00Z", "P1M", "2026-03-28T10:00:00Z"},
		{"2026-03-31T23:59:59.999999Z", "P1M", "2026-04-30T23:59:59.999999Z"},
		{"2026-12-31T10:00:00Z", "P2M", "2027-02-28T10:00:00Z"},
		{"2028-02-29T00:00:00Z", "P1Y", "2029-02-28T00:00:00Z"},
		{"2028-02-29T00:00:00Z", "P4Y", "2032-02-29T00:00:00Z"},
		{"2028-02-29T00:00:00Z", "P12M", "2029-02-28T00:00:00Z"},
		{"2026-01-31T10:00:00Z", "P1Y1M", "2027-02-28T10:00:00Z"}, // once for both,
		{"2027-02-28T10:00:00Z", "P1Y", "2028-02-28T10:00:00Z"},
		{"2028-02-29T10:00:00Z", "P1Y1M", "2029-03-29T10:00:00Z"}, // not first to the 28th
		{"2026-01-31T10:00:00Z", "P1M10D", "2026-03-10T10:00:00Z"},
		{"2026-01-31T23:30:00Z", "P1MT45M", "2026-03-01T00:15:00Z"},
		{"2026-01-31T10:00:00Z", "P30D", "2026-03-02T10:00:00Z"},
		{"2028-02-29T00:00:00+09:00", "P1M", "2028-03-28T15:00:00Z"}, // 28 February in UTC
	} {
		from, err := time.Parse(time.RFC3339, tc.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := tc.d.After(from); got.Format(time.RFC3339Nano) != tc.want {
			t.Errorf("%s after %s is %v, want %s", tc.d, tc.from, got, tc.want)
		}
	}
}

// TestDurationMonths holds months and years against a count of months: never in a later one than asked for, on the
// same day or on the last, at the same time; and what begins on a later day does not end on an earlier one.
func TestDurationMonths(t *testing.T) {
	day := func(at time.Time) int64 { return at.Unix() / (24 * 3600) }
	calendar := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	rapid.Check(t, func(t *rapid.T) {
		years, months := rapid.IntRange(0, 99).Draw(t, "years"), rapid.SampledFrom(calendar).Draw(t, "months")
		d, err := ParseDuration(fmt.Sprintf("P%dY%dM", years, months))
		if err != nil {
			t.Fatal(err)
		}
		// Sampled, because ranges are drawn near their lower ends, and what matters is at the end of a month.
		ends := rapid.SampledFrom([]int{1, 27, 28, 29, 30, 31})
		month := time.Month(rapid.SampledFrom(calendar).Draw(t, "month"))
		from := time.Date(2000+rapid.IntRange(0, 100).Draw(t, "year"), month, ends.Draw(t, "day"), 0, 0, 0,
			1000*rapid.IntRange(0, 24*3600*1e6-1).Draw(t, "microsecond"), time.UTC)
		to := d.After(from)
		if want := 12*(from.Year()+years) + int(from.Month()) + months; 12*to.Year()+int(to.Month()) != want {
			t.Fatalf("%s after %v is %v, in another month", d, from, to)
		}
		if last := to.AddDate(0, 0, 1).Day() == 1; to.Day() != from.Day() && (!last || to.Day() > from.Day()) {
			t.Fatalf("%s after %v is %v, on another day", d, from, to)
		}
		if to.Format("15:04:05.000000") != from.Format("15:04:05.000000") || to.Location() != time.UTC {
			t.Fatalf("%s after %v is %v, at another time", d, from, to)
		}
		later := from.AddDate(0, 0, rapid.IntRange(0, 400).Draw(t, "days later"))
		if day(d.After(later)) < day(to) || d.After(later).Before(to) {
			t.Fatalf("%s after %v is %v, and after %v it is %v", d, from, to, later, d.After(later))
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"P12M", "P1Y2M10DT2H30M5S", "PT", "P1YT", "P99999Y", "P0D", "P1D1M", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if string(d) != s || !strings.HasPrefix(s, "P") || len(s) > 60 {
			t.Errorf("%q is taken as %q", s, d)
		}
		to := d.After(noon)
		if !to.After(noon) || to.After(noon.AddDate(101, 0, 0)) {
			t.Errorf("%q after noon is %v", s, to)
		}
	})
}

func TestDurationGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]string{"P%Y", "P%M", "P%W", "P%D", "PT%H", "PT%M", "PT%S"}).Draw(t, "unit")
		n := rapid.StringMatching(`[1-9][0-9]{0,1}`).Draw(t, "n")
		at := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at"))
		d, err := ParseDuration(strings.Replace(unit, "%", n, 1))
		if err != nil || !d.After(at).After(at) {
			t.Fatalf("%s: %v", d, err)
		}
	})
}
