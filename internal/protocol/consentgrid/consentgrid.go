// Package consentgrid speaks ConsentGrid's subjects API: it knows that API's
// paths, words and errors, and nothing of how subjects are kept or of any
// other protocol.
//
// The law is the contract "ConsentGrid subjects" and the vendor's pages
// https://aws.consentgrid.io/apidoc/ (subjects); README.md says which of the
// two says what.
package consentgrid

import (
	"net/http"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

type api struct{ svc *service.Service }

// New makes the protocol over a service.
func New(svc *service.Service) protocol.Protocol {
	a := &api{svc: svc}
	access := protocol.Access{Authenticate: svc.Authenticate, Key: protocol.Bearer, Hint: "as Authorization: Bearer",
		Organization: protocol.OfKey} // no path here names one
	const one = "/v1/subjects/{type}/{subjectId}"
	return protocol.Protocol{
		Name:  "consentgrid",
		Roots: []string{"v1"},
		Routes: []protocol.Route{
			{Method: http.MethodGet, Pattern: "/v1/subjects", Handle: access.Handle(a.listSubjects)},
			{Method: http.MethodPost, Pattern: "/v1/subjects/{type}", Handle: access.Handle(a.save(false))},
			{Method: http.MethodPost, Pattern: one, Handle: access.Handle(a.save(false))},
			{Method: http.MethodPatch, Pattern: one, Handle: access.Handle(a.save(true))},
			{Method: http.MethodGet, Pattern: one, Handle: access.Handle(a.getSubject)},
			{Method: http.MethodDelete, Pattern: one, Handle: access.Handle(a.deleteSubject)},
		},
		Fail: fail,
	}
}
