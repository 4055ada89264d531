package geo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Where the rows of optIn come from. Checked 2026-11-22.
const (
	// The states that were members on the last day for transposition, 31 October 2003 (Art. 17).
	ePrivacy = "Directive 2002/58/EC Art. 13, as transposed"
	// States that joined later are bound from their first day.
	ePrivacy2004 = ePrivacy + "; Act of Accession 2003 Art. 2"
	ePrivacy2007 = ePrivacy + "; Act of Accession 2005 Art. 2"
	ePrivacy2013 = ePrivacy + "; Act of Accession 2012 Art. 2"
	// Dated by the decision; national law followed.
	ePrivacyEEA = ePrivacy + "; EEA Joint Committee Decision No 80/2003 (EEA Agreement, Annex XI)"
	pecr        = "Privacy and Electronic Communications (EC Directive) Regulations 2003 (SI 2003/2426) reg. 22"
	uwg         = "Federal Act against Unfair Competition (UWG, SR 241) Art. 3(1)(o)"
	caution     = "Nobody knows which law holds, so the stricter one does"
)

// optIn is the regime table: where marketing needs a yes first, since when, by what law.
// Every other country is opt-out. Codes are written out one by one: lists called "EU" in
// other packages hold GB still, or overseas territories.
var optIn = []struct{ country, since, source string }{
	{"AT", "2003-10-31", ePrivacy},
	{"BE", "2003-10-31", ePrivacy},
	{"BG", "2007-01-01", ePrivacy2007},
	{"CY", "2004-05-01", ePrivacy2004},
	{"CZ", "2004-05-01", ePrivacy2004},
	{"DE", "2003-10-31", ePrivacy},
	{"DK", "2003-10-31", ePrivacy},
	{"EE", "2004-05-01", ePrivacy2004},
	{"ES", "2003-10-31", ePrivacy},
	{"FI", "2003-10-31", ePrivacy},
	{"FR", "2003-10-31", ePrivacy},
	{"GR", "2003-10-31", ePrivacy},
	{"HR", "2013-07-01", ePrivacy2013},
	{"HU", "2004-05-01", ePrivacy2004},
	{"IE", "2003-10-31", ePrivacy},
	{"IT", "2003-10-31", ePrivacy},
	{"LT", "2004-05-01", ePrivacy2004},
	{"LU", "2003-10-31", ePrivacy},
	{"LV", "2004-05-01", ePrivacy2004},
	{"MT", "2004-05-01", ePrivacy2004},
	{"NL", "2003-10-31", ePrivacy},
	{"PL", "2004-05-01", ePrivacy2004},
	{"PT", "2003-10-31", ePrivacy},
	{"RO", "2007-01-01", ePrivacy2007},
	{"SE", "2003-10-31", ePrivacy},
	{"SI", "2004-05-01", ePrivacy2004},
	{"SK", "2004-05-01", ePrivacy2004},

	{"IS", "2003-06-20", ePrivacyEEA},
	{"LI", "2003-06-20", ePrivacyEEA},
	{"NO", "2003-06-20", ePrivacyEEA},

	{"GB", "2003-12-11", pecr},
	{"CH", "2007-04-01", uwg},

	{consent.UnknownCountry, "", caution},
}

// Regime implements consent.Places. A code that is no country's has the regime of consent.UnknownCountry.
func (p *Places) Regime(country string) consent.Regime {
	if regime, ok := p.regimes[consent.CountryCode(country)]; ok {
		return regime
	}
	return consent.OptOut
}

// newRegimes is the regime table with the operator's rows in place of ours.
func newRegimes(overrides map[string]consent.Regime) (map[string]consent.Regime, error) {
	regimes := make(map[string]consent.Regime, len(optIn)+len(overrides))
	for _, row := range optIn {
		regimes[row.country] = consent.OptIn
	}
	given := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		country, regime := consent.CountryCode(key), overrides[key]
		if country == consent.UnknownCountry && !strings.EqualFold(key, consent.UnknownCountry) {
			return nil, fmt.Errorf("regimes: %q is no country; use a two-letter ISO 3166-1 code "+
				"(no groups such as EU) or %s", key, consent.UnknownCountry)
		}
		if regime != consent.OptIn && regime != consent.OptOut {
			return nil, fmt.Errorf("regimes: %s is %q; use %q or %q", key, regime, consent.OptIn, consent.OptOut)
		}
		if other, ok := given[country]; ok {
			return nil, fmt.Errorf("regimes: %s and %s are one country; keep one of them", other, key)
		}
		given[country], regimes[country] = key, regime
	}
	return regimes, nil
}
