package consent

import (
	"net/netip"
	"slices"
	"time"
)

// Regime is the legal regime of a place: whether marketing needs an active
// yes first, or may go ahead until the person objects.
type Regime string

const (
	// OptIn: nothing may happen before an active yes (GDPR Art. 4(11), ePrivacy Art. 13).
	OptIn Regime = "opt-in"
	// OptOut: implied consent holds until the person objects.
	OptOut Regime = "opt-out"
)

// UnknownCountry stands for a place that could not be told.
const UnknownCountry = "UNKNOWN"

// Places tells where an address is and which regime holds there.
// Implementations answer from memory and may be called at once from many goroutines.
type Places interface {
	// Country gives the ISO 3166-1 alpha-2 code in upper case, or UnknownCountry
	// where the address is invalid, private or in no table.
	Country(netip.Addr) string
	// Regime gives the regime of a country as Country names it; what it does not know is OptIn.
	Regime(country string) Regime
	// Rule tells why which regime holds in a country at an instant. Of now it gives the regime that Regime gives.
	Rule(country string, at time.Time) Rule
}

// Rule says why a regime holds in a country.
type Rule struct {
	Country string // as Places names it
	Regime  Regime
	Kind    RuleKind
	Law     string // the law or, where none asks for a yes, what was found of it; may be empty
	Since   string // the day from which the law is in force, or its year where no more is known; else empty
	Until   string // the day or year in which a law that asks for a yes comes into force; else empty
	Source  string // where this is written
}

// RuleKind is what kind of a reason a Rule is.
type RuleKind string

const (
	// LawInForce: a law asks for a yes.
	LawInForce RuleKind = "law"
	// LawToCome: a law asks for a yes, and was not in force yet.
	LawToCome RuleKind = "law_to_come"
	// NoneFound: the place was looked up, and no law was found that asks for a yes.
	NoneFound RuleKind = "none_found"
	// NotListed: the place was not looked up.
	NotListed RuleKind = "not_listed"
	// UnknownPlace: nobody knows which law holds, so the strictest one does.
	UnknownPlace RuleKind = "unknown_place"
	// OperatorsChoice: who runs the server decided so.
	OperatorsChoice RuleKind = "operator"
)

// RegimeQuery asks which regime holds somewhere.
type RegimeQuery struct {
	Country string     // as Places names it; empty: that of Address
	Address netip.Addr // asked for only where there is no Country; never kept
	At      time.Time  // zero: now
	OptOut  bool       // the browser sends the signal of Global Privacy Control
	Project string     // id or slug; empty: the default one
}

// PlaceRegime is what holds somewhere at an instant, and what follows for the purposes of a project.
type PlaceRegime struct {
	Rule
	At       time.Time
	Purposes []PurposeRegime
}

// PurposeRegime is what a regime means for a purpose.
type PurposeRegime struct {
	Purpose *Purpose
	// Regime is empty where nobody is asked for consent.
	Regime Regime
	// Signal is what Global Privacy Control makes of the purpose; 0: nothing.
	Signal State
}

// SalePurposes are what an opt-out signal switches off: whatever sells or shares data, or follows people with it.
var SalePurposes = []string{Marketing, Retargeting, Tracking}

// RegimesOf tells what a regime means for purposes, but for those that are closed. The regime is of those that stand on
// consent. What stands on legitimate interests holds everywhere until the person objects; of every other legal basis
// nobody is asked. Where a purpose holds until a no, an opt-out signal is one to the SalePurposes, and accepts
// DoNotSell, by which a person asks for it. Where a yes is needed, nothing was on that it could switch off.
func RegimesOf(regime Regime, purposes []Purpose, optOut bool) []PurposeRegime {
	out := make([]PurposeRegime, 0, len(purposes))
	for i := range purposes {
		p := &purposes[i]
		if p.closed() {
			continue
		}
		r := PurposeRegime{Purpose: p}
		switch p.LegalBasis {
		case BasisConsent:
			r.Regime = regime
		case BasisLegitimateInterests:
			r.Regime = OptOut
		}
		switch {
		case !optOut || r.Regime != OptOut:
		case p.Key == DoNotSell:
			r.Signal = Accepted
		case slices.Contains(SalePurposes, p.Key):
			r.Signal = Declined
		}
		out = append(out, r)
	}
	return out
}
