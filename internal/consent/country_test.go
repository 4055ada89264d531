package consent_test

import (
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

func TestCountryCode(t *testing.T) {
	for given, want := range map[string]string{
		"DE": "DE", "de": "DE", "gB": "GB", "RE": "RE", "XK": "XK",
		"UK": "GB", "uk": "GB", "Uk": "GB", "EL": "GR", "eL": "GR",
		"UNKNOWN": "UNKNOWN", "unknown": "UNKNOWN", "": "UNKNOWN", "D": "UNKNOWN", "DEU": "UNKNOWN", " DE": "UNKNOWN",
		"ZZ": "UNKNOWN", "EU": "UNKNOWN", "AN": "UNKNOWN", "XX": "UNKNOWN",
		"T1": "UNKNOWN", "AP": "UNKNOWN", "A\x00": "UNKNOWN",
		// Upper case must not make them ASCII.
		"ıE": "UNKNOWN", "ſE": "UNKNOWN", "Kı": "UNKNOWN", "ß": "UNKNOWN", "\xff\xfe": "UNKNOWN",
	} {
		if got := consent.CountryCode(given); got != want {
			t.Errorf("CountryCode(%q) = %q, want %q", given, got, want)
		}
	}
}

// ISO 3166-1 assigns 249 codes; XK is the one that we add.
func TestCountryCodesAssigned(t *testing.T) {
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			got := consent.CountryCode(code)
			if got == code {
				n++
			} else if got != consent.UnknownCountry && code != "UK" && code != "EL" {
				t.Errorf("CountryCode(%s) = %s", code, got)
			}
			if again := consent.CountryCode(got); again != got {
				t.Errorf("CountryCode(%s) = %s, and of that %s", code, got, again)
			}
		}
	}
	if n != 250 {
		t.Errorf("%d codes, want 249 of ISO 3166-1 and XK", n)
	}
}
