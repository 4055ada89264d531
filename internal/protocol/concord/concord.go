// Package concord knows Concord's privacy-v1 protocol: its calls, words, envelopes and
// errors. It does not know what a consent means, nor how anything is kept.
//
// Source: the contract concord.md ("Concord privacy-v1") and the vendor's public
// reference of privacy-v1 (Create organization, Create consent events). README.md lists
// the calls, what is the vendor's and what is ours.
package concord

import (
	"net/http"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

const (
	name = "concord"
	root = "privacy-v1"

	organizationsPath = "/" + root + "/organizations"
	organizationPath  = organizationsPath + "/{organizationId}"
	projectsPath      = organizationPath + "/projects"
	projectPath       = projectsPath + "/{projectId}"
)

// api answers the protocol's calls. Its methods may be called at once.
type api struct{ svc *service.Service }

// New makes the protocol over a service, which it does not close.
func New(svc *service.Service) protocol.Protocol {
	a := &api{svc: svc}
	return protocol.Protocol{Name: name, Roots: []string{root}, Routes: a.routes(), Fail: fail}
}

func (a *api) routes() []protocol.Route {
	access := protocol.Access{Authenticate: a.svc.Authenticate, Key: protocol.Header("x-api-key"),
		Hint: "in the header x-api-key"}
	all := access.Handle
	access.Organization = protocol.InPath("organizationId")
	own := access.Handle
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: organizationsPath, Handle: all(a.createOrganization)},
		{Method: http.MethodGet, Pattern: organizationsPath, Handle: all(a.listOrganizations)},
		{Method: http.MethodGet, Pattern: organizationPath, Handle: own(a.getOrganization)},
		{Method: http.MethodPost, Pattern: projectsPath, Handle: own(a.createProject)},
		{Method: http.MethodGet, Pattern: projectsPath, Handle: own(a.listProjects)},
		{Method: http.MethodPost, Pattern: projectPath + "/consent-types", Handle: own(a.createType)},
		{Method: http.MethodGet, Pattern: projectPath + "/consent-types", Handle: own(a.listTypes)},
		{Method: http.MethodPost, Pattern: projectPath + "/consent-events", Handle: own(a.createEvents)},
		{Method: http.MethodGet, Pattern: projectPath + "/consent-events", Handle: own(a.listProjectEvents)},
		{Method: http.MethodGet, Pattern: organizationPath + "/consent-events", Handle: own(a.listOrganizationEvents)},
	}
}

// project gives the project of the path, so that a write tells before it looks at the body that there is no such place.
func (a *api) project(c *protocol.Call) (consent.ID, error) {
	id, err := c.IDParam("projectId")
	if err != nil {
		return id, err
	}
	_, err = a.svc.CatalogWith(c.Request.Context(), c.Actor, id)
	return id, err
}

// isHostname tells whether s is a host name in lower-case ASCII (RFC 1123, section 2.1):
// its last label is not all digits, so that no IPv4 address is one.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, notInLabel) {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

func notInLabel(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
