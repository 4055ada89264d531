// Package native speaks consentd's own API under /api/v1: it knows that API's
// paths, words and errors, and nothing of how things are kept or of any other
// protocol.
//
// The law is the contract "The native API"; README.md lists the calls.
package native

import (
	"slices"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// base is the path before every organization's id, of an organization's paths and inProject of a project's.
const (
	base           = "/api/v1/organizations/"
	inOrganization = base + "{organizationId}"
	inProject      = inOrganization + "/projects/{project}"
)

type api struct {
	svc          *service.Service
	ledgerPublic bool
	cursors      cursors
}

// Options are what an operator may choose.
type Options struct {
	LedgerPublic bool // ledgers are read without a key
}

// New makes the protocol over a service.
func New(svc *service.Service, o Options) protocol.Protocol {
	a := &api{svc: svc, ledgerPublic: o.LedgerPublic, cursors: cursors{secret: svc.Secret}}
	access := protocol.Access{Authenticate: svc.Authenticate, Key: protocol.Bearer, Hint: "as Authorization: Bearer",
		Organization: protocol.InPath("organizationId")}
	return protocol.Protocol{
		Name:  "native",
		Roots: []string{"api"},
		Routes: slices.Concat(
			a.keyRoutes(access),
			a.purposeRoutes(access),
			a.eventRoutes(access),
			a.regimeRoutes(access),
			a.checkRoutes(access),
			a.subjectRoutes(access),
			a.personRoutes(access),
			a.suppressionRoutes(access),
			a.consentRoutes(access),
			a.ledgerRoutes(access),
			a.evidenceRoutes(access),
			a.jobRoutes(access),
			a.importRoutes(access),
			a.webhookRoutes(access),
		),
		Fail: fail,
	}
}
