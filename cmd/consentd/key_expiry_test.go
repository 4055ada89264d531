package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	second := time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)
	for given, want := range map[string]time.Time{
		"": {}, "1d": now.AddDate(0, 0, 1), "+1d": now.AddDate(0, 0, 1), "90d": now.AddDate(0, 0, 90),
		"36500d": now.AddDate(0, 0, 36500), "2500000h": now.Add(2500000 * time.Hour),
		"12h": now.Add(12 * time.Hour), "1h30m": now.Add(90 * time.Minute), "1.5h": now.Add(90 * time.Minute),
		"2030-01-02T15:04:05Z": second, "2030-01-02t15:04:05z": second, "2030-01-02T15:04:05.5Z": second.Add(time.Second / 2),
		"2030-01-02T17:04:05+02:00": second, "2030-01-03T09:04:05+18:00": second,
		"9999-12-31T23:59:59Z": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		if got, err := expiry(given).time(now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v, want %v", given, got, err, want)
		}
	}
}

// TestExpiryMistakes tells for each mistake the one cause that it has.
func TestExpiryMistakes(t *testing.T) {
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	for cause, given := range map[error][]string{
		errNoTime: {"yesterday", "d", "h", "-", "1y", "1.5d", "90", "12 h", "2030-13-02T15:04:05Z", "2030-02-30",
			"2030-01-02T15:04:05,5Z", "2030-01-02T5:04:05Z", "2030-01-02 15:04:05Z", "12030-01-02T15:04:05Z"},
		errFarAway: {"2030-01-02T15:04:05+18:01", "2030-01-02T15:04:05+24:00"},
		errPast: {"0d", "-1d", "-99999999999999999999d", "0s", "-1h", "-9999999h", "-0.5s", "2026-02-01T11:59:59Z",
			"2026-02-01T12:00:00Z", "2026-02-01T13:00:00+02:00", "0000-01-01T00:00:00Z"},
		errTooFar:   {"36501d", "99999999999999999999d", "9999999h", "9999-12-31T23:59:59-01:00"},
		errNoOffset: {"2030-01-02T15:04:05", "2030-01-02T15:04"},
	} {
		for _, given := range given {
			if got, err := expiry(given).time(now); !errors.Is(err, cause) || !got.IsZero() {
				t.Errorf("%q: %v, %v; want %v", given, got, err, cause)
			}
		}
	}
	_, err := expiry("2030-01-02").time(now)
	if err == nil || !strings.HasSuffix(err.Error(), "give 2030-01-02T00:00:00Z") {
		t.Errorf("a date alone: %v", err)
	}
}
