package protocol

import (
	"net/http"
	"net/netip"

	"github.com/consentd/consentd/internal/consent"
)

// Limits says how often clients may call. Implementations may be used at once from many goroutines.
type Limits interface {
	// Admit says whether a credential is looked at. Errors: *StatusError 429, with Retry-After set in the header,
	// where too many from that address were wrong lately and this one has not been good lately.
	Admit(header http.Header, client netip.Addr, credential string) error
	// Wrong notes that a credential from an address was wrong.
	Wrong(client netip.Addr)
	// Good notes that a credential was good.
	Good(credential string)
	// Count counts a call for the actor's key, CountOrganization for the organization that it is about. Both say in
	// the header how that stands. Errors: *StatusError 429, with Retry-After set.
	Count(header http.Header, actor consent.Actor) error
	CountOrganization(header http.Header, actor consent.Actor) error
}

// unlimited are the Limits of a call that has none.
type unlimited struct{}

func (unlimited) Admit(http.Header, netip.Addr, string) error        { return nil }
func (unlimited) Wrong(netip.Addr)                                   {}
func (unlimited) Good(string)                                        {}
func (unlimited) Count(http.Header, consent.Actor) error             { return nil }
func (unlimited) CountOrganization(http.Header, consent.Actor) error { return nil }
