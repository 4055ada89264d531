package native

import (
	"cmp"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) regimeRoutes(access protocol.Access) []protocol.Route {
	return []protocol.Route{
		{Method: http.MethodGet, Pattern: inOrganization + "/regime", Handle: access.Handle(a.getRegime)},
	}
}

// regime is which regime holds in a place at an instant, and why.
type regime struct {
	Country string `json:"country"`
	Region  string `json:"region,omitzero"` // as asked for
	// Level is what the rule was looked up for: no rule of a region is known yet.
	Level    string           `json:"level"`
	At       instant          `json:"at"`
	Regime   consent.Regime   `json:"regime"`
	Rule     consent.RuleKind `json:"rule"`
	Law      string           `json:"law,omitzero"`
	Since    string           `json:"since,omitzero"`
	Until    string           `json:"until,omitzero"`
	Source   string           `json:"source"`
	GPC      string           `json:"gpc,omitzero"`
	Purposes []purposeRegime  `json:"purposes"`
}

// purposeRegime is what the regime means for a purpose; GPC is what the signal does to it.
type purposeRegime struct {
	Purpose    string             `json:"purpose"`
	LegalBasis consent.LegalBasis `json:"legalBasis"`
	Regime     consent.Regime     `json:"regime"`
	GPC        string             `json:"gpc,omitzero"`
}

// noRegime is the regime of a purpose for which nobody is asked.
const noRegime = "none"

// getRegime answers GET {org}/regime: which regime holds there, and why.
func (a *api) getRegime(c *protocol.Call) error {
	question, region, err := regimeQuery(c)
	if err != nil {
		return err
	}
	found, err := a.svc.Regime(c.Request.Context(), c.Actor, question)
	if err != nil {
		return err
	}
	answer := regime{Country: found.Country, Region: region, Level: "country", At: instant(found.At),
		Regime: found.Rule.Regime, Rule: found.Kind, Law: found.Law, Since: found.Since, Until: found.Until,
		Source: found.Source, Purposes: make([]purposeRegime, len(found.Purposes))}
	if question.OptOut {
		answer.GPC = "without_effect"
	}
	for i, p := range found.Purposes {
		answer.Purposes[i] = purposeRegime{Purpose: p.Purpose.Key, LegalBasis: p.Purpose.LegalBasis,
			Regime: cmp.Or(p.Regime, noRegime)}
		if p.Signal != 0 {
			answer.GPC, answer.Purposes[i].GPC = "honoured", p.Signal.String()
		}
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// regimeQuery reads the query of getRegime. No mistake repeats the address.
func regimeQuery(c *protocol.Call) (question consent.RegimeQuery, region string, err error) {
	q := query(c, "country", "region", "ip", "gpc", "at", "project")
	question = consent.RegimeQuery{
		Country: protocol.Parsed(q, "", parseCountry, "country"),
		Address: protocol.Parsed(q, netip.Addr{}, parseAddress, "ip"),
		OptOut:  protocol.Parsed(q, false, zeroOrOne, "gpc"),
		At:      protocol.Parsed(q, time.Time{}, parseDay, "at"),
		Project: q.One("project"),
	}
	region = protocol.Parsed(q, "", parseRegion, "region")
	if region != "" {
		of := consent.CountryCode(region[:2])
		if question.Country != "" && question.Country != of {
			q.Fail(consent.Errorf(consent.Invalid, "", "must be a region of the country that is given"), "region")
		}
		question.Country = of
	}
	if (question.Country == "") == !question.Address.IsValid() {
		q.Fail(consent.Errorf(consent.Invalid, "", "must be given, or region, or ip alone"), "country")
	}
	return question, region, q.Err
}

var zeroOrOne = protocol.Choice("must be 1 or 0", map[string]bool{"1": true, "0": false})

// parseCountry takes a code that no country has for none (contracts, "Places").
func parseCountry(given string) (string, error) {
	code := consent.CountryCode(given)
	if code == consent.UnknownCountry && given != code && (len(given) != 2 || strings.ContainsFunc(given, notLetter)) {
		return "", consent.Errorf(consent.Invalid, "", "must be an ISO 3166-1 code of two letters, or UNKNOWN")
	}
	return code, nil
}

func notLetter(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }

// regionForm is that of ISO 3166-2. Which regions there are, nobody here knows.
var regionForm = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)

func parseRegion(given string) (string, error) {
	region := strings.ToUpper(given)
	if len(region) != len(given) || !regionForm.MatchString(region) ||
		consent.CountryCode(region[:2]) == consent.UnknownCountry {
		return "", consent.Errorf(consent.Invalid, "", "must be an ISO 3166-2 code, such as US-CA")
	}
	return region, nil
}

func parseAddress(given string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(given)
	if err != nil { // which says what was given
		return addr, consent.Errorf(consent.Invalid, "", "must be an IP address")
	}
	return addr, nil
}

// parseDay reads an instant, or a day, which stands for its beginning in UTC.
func parseDay(given string) (time.Time, error) {
	at, err := time.Parse(time.DateOnly, given)
	if err != nil {
		if at, err = consent.ParseInstant(given); err != nil {
			return at, consent.Errorf(consent.Invalid, "", "must be a date, or an RFC 3339 date and time with an offset")
		}
	}
	if at.Year() < 1900 || at.Year() > 9999 {
		err = consent.Errorf(consent.Invalid, "", "must be in the years 1900 to 9999")
	}
	return at, err
}
