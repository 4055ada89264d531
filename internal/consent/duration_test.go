package consent

import (
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
	for _, s := range []string{"", "P", "PT", "P1", "1Y", "p1y", "P1YT", "P1D1M", "P1M1Y", "P1Y1Y", "PT1H1H", "P1H", "PT1D",
		"PT1M1H", "P-1D", "P+1D", "P1.5D", "P1,5D", "P 1D", "P1D ", " P1D", "P0D", "PT0S", "P0Y0M", "P101Y", "P100Y1D", "P1201M",
		"P99999Y", "P999999D", "P99999999999999999999D", "P1DTT1H", "PTT1H", "P１D", "P1\x00D", "P1DT"} {
		if d, err := ParseDuration(s); err == nil {
			t.Errorf("%q is taken as %s", s, d)
		}
	}
}

// TestDurationEndsOfMonths shows what the calendar does with days that are not there.
func TestDurationEndsOfMonths(t *testing.T) {
	leap := time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)
	if got := Duration("P1Y").After(leap); !got.Equal(time.Date(2029, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("a year after 29 February is %v", got)
	}
	zone := time.FixedZone("east", 9*3600)
	if got := Duration("P1M").After(leap.In(zone)); !got.Equal(leap.AddDate(0, 1, 0)) || got.Location() != time.UTC {
		t.Errorf("the calendar is not that of UTC: %v", got)
	}
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
