package consent

import "net/netip"

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
}
