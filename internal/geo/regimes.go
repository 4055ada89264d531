package geo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// Where the rows of optIn come from. Checked 2026-11-22, the territories 2026-11-29. An article is
// named only where its number is sure; else the act alone is. The README says how sure each row is.
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

	// The Union's law holds in the outermost regions as in the rest of their state.
	outermost = ePrivacy + "; TFEU Art. 349 and 355(1)"
	// An outermost region from its first day as one, and no longer an overseas territory.
	outermost2014 = outermost + "; European Council Decision 2012/419/EU"
	aland         = ePrivacy + "; TFEU Art. 355(4); Act of Accession 1994 Protocol No 2"
	// French law on electronic mail, where laws hold as in the rest of France unless a statute takes them out.
	cpce = "Code des postes et des communications électroniques Art. L34-5 (Act 2004-575 Art. 22)"
)

// optIn is the regime table: where marketing needs a yes first, since when, by what law.
// Every other country is opt-out. Codes are written out one by one: lists called "EU" in
// other packages hold GB still, or overseas territories. since is the year alone, or the
// date of the act, where the first day in force was not found.
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

	// Codes of their own, and the law of their state.
	{"AX", "2003-10-31", aland},
	{"GF", "2003-10-31", outermost},
	{"GP", "2003-10-31", outermost},
	{"MF", "2003-10-31", outermost}, // a part of Guadeloupe until 2007
	{"MQ", "2003-10-31", outermost},
	{"RE", "2003-10-31", outermost},
	{"YT", "2014-01-01", outermost2014},
	{"BL", "2004-06-21", cpce + "; Code général des collectivités territoriales Art. LO6213-1"},
	{"PM", "2004-06-21", cpce + "; Code général des collectivités territoriales Art. LO6413-1"},

	// Laws of their own.
	{"FO", "2008-05-08", "Løgtingslóg nr. 19 of 8 May 2008 um marknaðarføring § 6"},
	{"GG", "2004", "European Communities (Implementation of Privacy Directive) (Guernsey) Ordinance, 2004 s. 20"},
	{"GI", "2006-06-05", "Communications (Personal Data and Privacy) Regulations 2006 (LN 2006/074)"},
	{"GL", "2015-12-09", "Inatsisartutlov nr. 39 of 9 December 2015 om markedsføring og mærkning"},
	{"IM", "2005-10-01", "Unsolicited Communications Regulations 2005"},
	// Names no electronic mail. A legitimate interest may do as well as a yes; we take the stricter reading.
	{"JE", "2018-05-25", "Data Protection (Jersey) Law 2018"},
	{"MC", "2011-08-02", "Loi n° 1.383 du 2 août 2011 pour une Principauté numérique"},

	{consent.UnknownCountry, "", caution},
}

const (
	// PECR extend to the United Kingdom alone.
	notPECR = "SI 2003/2426 does not extend there; "
	// What was looked for is a rule that asks for a yes before marketing by electronic mail.
	noneFound = "no rule of its own was found"
)

// optOut are the territories of opt-in states and their neighbours that were looked up and stay
// opt-out, with the reason: a law that says so, or that none which asks for a yes was found.
// They would be opt-out without a row; the rows keep them from being taken for forgotten.
var optOut = []struct{ country, reason string }{
	// Norway: on Svalbard and the dependencies its public law holds only where it says so.
	{"BV", "Act of 27 February 1930 No 3; nobody lives there"},
	{"SJ", "Svalbard Act (17 July 1925 No 11) § 2; not found that the Marketing Control Act holds there"},

	// France: laws hold only where they say so, or the matter is the territory's own.
	{"NC", "Organic Act 99-209 Art. 22 (posts and telecommunications are its own); " + noneFound},
	{"PF", "Organic Act 2004-192; " + noneFound},
	{"TF", "Act 55-1052; not found that CPCE Art. L34-5 holds there; no residents"},
	{"WF", "Act 61-814; not found that CPCE Art. L34-5 holds there"},

	// The Kingdom of the Netherlands: Telecommunicatiewet Art. 11.7 holds in Europe alone.
	{"AW", noneFound},
	{"BQ", "Wet telecommunicatievoorzieningen BES holds in place of the Telecommunicatiewet; " + noneFound},
	{"CW", "Landsverordening overeenkomsten langs elektronische weg, since 2001: until the receiver objects"},
	{"SX", "Landsverordening overeenkomsten langs elektronische weg, since 2001: until the receiver objects"},

	{"AI", notPECR + noneFound},
	{"BM", notPECR + "Personal Information Protection Act 2016; " + noneFound},
	{"FK", notPECR + "the text of the Communications Ordinance 2017 was not found"},
	{"GS", notPECR + noneFound},
	{"IO", notPECR + noneFound},
	{"KY", notPECR + "Data Protection Act; " + noneFound},
	{"MS", notPECR + noneFound},
	{"PN", notPECR + noneFound},
	{"SH", notPECR + "Telecommunications Ordinance 1989; " + noneFound},
	{"TC", notPECR + noneFound},
	{"VG", notPECR + "Data Protection Act 2021; " + noneFound},

	{"AD", "Llei 20/2014 on electronic contracting: what it says of commercial communications was not found"},
	{"SM", "Legge 58/2013 on electronic communications and commerce; " + noneFound},
	{"VA", noneFound},
	{"XK", "Law No 04/L-109 on Electronic Communications: what it says of unsolicited mail was not found"},
}

// What an answer says of where its rule is written.
const (
	ourTable      = "consentd's table of countries, as of 2026-11-29"
	operatorTable = "the setting regimes of the server"
)

// Regime implements consent.Places. A code that is no country's has the regime of consent.UnknownCountry.
func (p *Places) Regime(country string) consent.Regime {
	if rule := p.rules[consent.CountryCode(country)]; rule != nil {
		return rule.Regime
	}
	return consent.OptOut
}

// Rule implements consent.Places. A law is in force from the beginning of its day or year, in UTC. What the operator
// chose has no date, so it holds at every instant.
func (p *Places) Rule(country string, at time.Time) consent.Rule {
	country = consent.CountryCode(country)
	found := p.rules[country]
	if found == nil {
		return consent.Rule{Country: country, Regime: consent.OptOut, Kind: consent.NotListed, Source: ourTable}
	}
	rule := *found
	if rule.Since != "" && at.Before(dayOf(rule.Since)) {
		rule.Regime, rule.Kind, rule.Since, rule.Until = consent.OptOut, consent.LawToCome, "", rule.Since
	}
	return rule
}

// dayOf is when a day or a year begins. A test reads every row of the table.
func dayOf(since string) time.Time {
	day, err := time.Parse(time.DateOnly, since)
	if err != nil {
		day, _ = time.Parse("2006", since)
	}
	return day
}

// newRules is the regime table with the operator's rows in place of ours.
func newRules(overrides map[string]consent.Regime) (map[string]*consent.Rule, error) {
	rules := make(map[string]*consent.Rule, len(optIn)+len(optOut)+len(overrides))
	for _, row := range optIn {
		rules[row.country] = &consent.Rule{Country: row.country, Regime: consent.OptIn, Kind: consent.LawInForce,
			Law: row.source, Since: row.since, Source: ourTable}
	}
	rules[consent.UnknownCountry].Kind = consent.UnknownPlace
	for _, row := range optOut {
		rules[row.country] = &consent.Rule{Country: row.country, Regime: consent.OptOut, Kind: consent.NoneFound,
			Law: row.reason, Source: ourTable}
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
		given[country] = key
		rules[country] = &consent.Rule{Country: country, Regime: regime, Kind: consent.OperatorsChoice,
			Source: operatorTable}
	}
	return rules, nil
}
