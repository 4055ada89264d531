package geo

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// Written out again, and not taken from the table, so that a slip there shows.
const (
	eu27      = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
	notEU     = "IS LI NO GB CH"
	unionLaw  = "AX GF GP MF MQ RE YT" // the Union's law holds there
	frenchLaw = "BL PM"                // French law holds there
	ownLaw    = "FO GG GI GL IM JE MC"
	someOther = "US CA AU BR JP CN IN RU UA TR RS AL BA MD ZA NZ"

	// Territories of opt-in states, and neighbours of them, that were looked up and stay opt-out.
	ofNorway      = "BV SJ"
	ofFrance      = "NC PF TF WF"
	ofNetherlands = "AW BQ CW SX"
	ofUK          = "AI BM FK GS IO KY MS PN SH TC VG"
	neighbours    = "AD SM VA XK"
)

var (
	allOptIn = strings.Fields(strings.Join([]string{eu27, notEU, unionLaw, frenchLaw, ownLaw}, " "))
	lookedUp = strings.Fields(strings.Join([]string{ofNorway, ofFrance, ofNetherlands, ofUK, neighbours}, " "))
)

func TestRegimes(t *testing.T) {
	p := newPlaces(t, Options{})
	if n := len(strings.Fields(eu27)); n != 27 {
		t.Fatalf("%d states", n)
	}
	strict := slices.Concat(allOptIn, []string{"", "UNKNOWN", "unknown", "de", "Gb", "re"},
		[]string{"EU", "UK", "EL", "AN", "ZZ", "A", "USA", "u\x00", "Ünited"})
	for _, code := range strict {
		if got := p.Regime(code); got != consent.OptIn {
			t.Errorf("Regime(%q) = %s, want opt-in", code, got)
		}
	}
	for _, code := range slices.Concat(strings.Fields(someOther), lookedUp, []string{"us", "Us"}) {
		if got := p.Regime(code); got != consent.OptOut {
			t.Errorf("Regime(%q) = %s, want opt-out", code, got)
		}
	}
	optIns := 0
	for _, code := range allCountries() {
		if p.Regime(code) == consent.OptIn {
			optIns++
		}
	}
	if optIns != 48 || len(allOptIn) != 48 {
		t.Errorf("%d countries are opt-in, want 48", optIns)
	}
}

// The embedded table must know the territories by their own codes, or their rows would never be asked.
func TestRegimeOfRealAddresses(t *testing.T) {
	p := newPlaces(t, Options{})
	first := map[string]netip.Addr{}
	for addr, code := range p.table.All() {
		if _, ok := first[code]; !ok && public(addr) {
			first[code] = addr
		}
	}
	for _, code := range slices.Concat(allOptIn, lookedUp) {
		addr, ok := first[code]
		if !ok {
			t.Errorf("no address is in %s", code)
			continue
		}
		want := consent.OptIn
		if slices.Contains(lookedUp, code) {
			want = consent.OptOut
		}
		if country := p.Country(addr); country != code || p.Regime(country) != want {
			t.Errorf("%s is in %s, %s; want %s, %s", addr, country, p.Regime(country), code, want)
		}
	}
}

func TestRegimeTable(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range optIn {
		if seen[row.country] {
			t.Errorf("%s stands there twice", row.country)
		}
		seen[row.country] = true
		if row.source == "" {
			t.Errorf("%s has no source", row.country)
		}
		_, noDay := time.Parse(time.DateOnly, row.since)
		_, noYear := time.Parse("2006", row.since) // where no more is known
		if noDay != nil && noYear != nil && row.country != consent.UnknownCountry {
			t.Errorf("%s: %v", row.country, noDay)
		}
	}
}

// Each place that was looked up says why it stays opt-out, and none that was is missing.
func TestLookedUp(t *testing.T) {
	var rows []string
	for _, row := range optOut {
		rows = append(rows, row.country)
		if row.reason == "" {
			t.Errorf("%s has no reason", row.country)
		}
		if consent.CountryCode(row.country) != row.country {
			t.Errorf("%s is no country", row.country)
		}
	}
	slices.Sort(rows)
	if want := slices.Sorted(slices.Values(lookedUp)); !slices.Equal(rows, want) {
		t.Errorf("looked up are %q, want %q", rows, want)
	}
}

func TestRegimeOverrides(t *testing.T) {
	p := newPlaces(t, Options{Regimes: map[string]consent.Regime{"us": consent.OptIn, "DE": consent.OptOut}})
	for code, want := range map[string]consent.Regime{
		"US": consent.OptIn, "DE": consent.OptOut, "FR": consent.OptIn, "CA": consent.OptOut, "": consent.OptIn,
	} {
		if got := p.Regime(code); got != want {
			t.Errorf("Regime(%q) = %s, want %s", code, got, want)
		}
	}
	euWords := newPlaces(t, Options{Regimes: map[string]consent.Regime{"uk": consent.OptOut, "EL": consent.OptOut}})
	for _, code := range []string{"GB", "UK", "uk", "GR", "EL", "el"} {
		if got := euWords.Regime(code); got != consent.OptOut {
			t.Errorf("Regime(%s) = %s, want that of its override", code, got)
		}
	}
	if got := newPlaces(t, Options{}).Regime("US"); got != consent.OptOut {
		t.Errorf("one Places changed another: US is %s", got)
	}
	lax := newPlaces(t, Options{Regimes: map[string]consent.Regime{"unknown": consent.OptOut}})
	if got := lax.Regime("ZZ"); got != consent.OptOut {
		t.Errorf("Regime(ZZ) = %s, want that of UNKNOWN", got)
	}
}

func TestBadRegimeOverrides(t *testing.T) {
	for _, c := range []struct {
		regimes map[string]consent.Regime
		want    []string
	}{
		{map[string]consent.Regime{"": consent.OptIn}, []string{`""`, "ISO 3166-1", "UNKNOWN"}},
		{map[string]consent.Regime{"USA": consent.OptIn}, []string{`"USA"`, "ISO 3166-1", "UNKNOWN"}},
		{map[string]consent.Regime{"EU": consent.OptOut}, []string{`"EU"`, "no groups"}},
		{map[string]consent.Regime{"UK": consent.OptOut, "GB": consent.OptOut}, []string{"UK", "GB", "one country"}},
		{map[string]consent.Regime{"EL": consent.OptOut, "gr": consent.OptOut}, []string{"EL", "gr", "one country"}},
		{map[string]consent.Regime{"ZZ": consent.OptOut}, []string{`"ZZ"`, "ISO 3166-1", "UNKNOWN"}},
		{map[string]consent.Regime{"U1": consent.OptOut}, []string{`"U1"`}},
		{map[string]consent.Regime{"US": "optin"}, []string{"US", `"optin"`, `"opt-in"`, `"opt-out"`}},
		{map[string]consent.Regime{"US": ""}, []string{"US", `""`, `"opt-in"`, `"opt-out"`}},
		{map[string]consent.Regime{"US": "opt-in", "us": "opt-out"}, []string{"US", "us", "one country"}},
	} {
		_, err := New(Options{Regimes: c.regimes})
		if err == nil {
			t.Errorf("%v: no error", slices.Collect(maps.Keys(c.regimes)))
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
}
