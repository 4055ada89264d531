package geo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func TestRule(t *testing.T) {
	p := newPlaces(t, Options{Regimes: map[string]consent.Regime{"CA": consent.OptIn, "NO": consent.OptOut}})
	const source, set = ourTable, operatorTable
	for _, c := range []struct {
		country string
		at      time.Time
		want    consent.Rule
	}{
		{"DE", day("2003-10-31"), consent.Rule{Country: "DE", Regime: consent.OptIn, Kind: consent.LawInForce,
			Law: ePrivacy, Since: "2003-10-31", Source: source}},
		{"de", day("2003-10-31").Add(-time.Nanosecond), consent.Rule{Country: "DE", Regime: consent.OptOut,
			Kind: consent.LawToCome, Law: ePrivacy, Until: "2003-10-31", Source: source}},
		{"UK", day("2026-01-01"), consent.Rule{Country: "GB", Regime: consent.OptIn, Kind: consent.LawInForce, Law: pecr,
			Since: "2003-12-11", Source: source}},
		{"HR", day("2013-06-30"), consent.Rule{Country: "HR", Regime: consent.OptOut, Kind: consent.LawToCome,
			Law: ePrivacy2013, Until: "2013-07-01", Source: source}},
		{"YT", day("2014-01-01"), consent.Rule{Country: "YT", Regime: consent.OptIn, Kind: consent.LawInForce,
			Law: outermost2014, Since: "2014-01-01", Source: source}},
		{"FO", day("2008-05-07"), consent.Rule{Country: "FO", Regime: consent.OptOut, Kind: consent.LawToCome,
			Law: "Løgtingslóg nr. 19 of 8 May 2008 um marknaðarføring § 6", Until: "2008-05-08", Source: source}},
		{"UNKNOWN", day("1950-01-01"), consent.Rule{Country: consent.UnknownCountry, Regime: consent.OptIn,
			Kind: consent.UnknownPlace, Law: caution, Source: source}},
		{"AW", day("2026-01-01"), consent.Rule{Country: "AW", Regime: consent.OptOut, Kind: consent.NoneFound,
			Law: noneFound, Source: source}},
		{"US", day("2026-01-01"), consent.Rule{Country: "US", Regime: consent.OptOut, Kind: consent.NotListed,
			Source: source}},
		{"CA", day("1990-01-01"), consent.Rule{Country: "CA", Regime: consent.OptIn, Kind: consent.OperatorsChoice,
			Source: set}},
		{"NO", day("2026-01-01"), consent.Rule{Country: "NO", Regime: consent.OptOut, Kind: consent.OperatorsChoice,
			Source: set}},
	} {
		if d := cmp.Diff(c.want, p.Rule(c.country, c.at)); d != "" {
			t.Errorf("%s at %s (-want +got):\n%s", c.country, c.at, d)
		}
	}
}

// TestRuleOfNow: of now every country's rule gives the regime by which decisions are judged.
func TestRuleOfNow(t *testing.T) {
	for _, p := range []*Places{newPlaces(t, Options{}),
		newPlaces(t, Options{Regimes: map[string]consent.Regime{"US": consent.OptIn, "DE": consent.OptOut}})} {
		for _, code := range append(allCountries(), consent.UnknownCountry, "", "ZZ", "uk") {
			rule := p.Rule(code, time.Now())
			if rule.Regime != p.Regime(code) || rule.Source == "" || rule.Country != consent.CountryCode(code) {
				t.Errorf("%s is %s, and its rule %+v", code, p.Regime(code), rule)
			}
		}
	}
}
