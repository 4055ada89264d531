package consent

import "net/netip"

// Places tells where an address is and which regime holds there.
// Implementations answer from memory and may be called at once from many goroutines.
type Places interface {
	// Country gives the ISO 3166-1 alpha-2 code in upper case, or UnknownCountry
	// where the address is invalid, private or in no table.
	Country(netip.Addr) string
	// Regime gives the regime of a country as Country names it; what it does not know is OptIn.
	Regime(country string) Regime
}
