package concord

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// createProject: POST …/organizations/{organizationId}/projects, 201.
func (a *api) createProject(c *protocol.Call) error {
	catalog, err := a.svc.Catalog(c.Request.Context(), c.Actor)
	if err != nil {
		return err
	}
	var body newProject
	if err := protocol.ReadJSON(c, &body); err != nil {
		return err
	}
	input, err := body.input()
	if err != nil {
		return err
	}
	return fieldNames.Rename(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Project, error) {
		return a.svc.CreateProject(c.Request.Context(), c.Actor, input, idempotency)
	}, func(made *consent.Project) (protocol.Answer, error) {
		return protocol.JSON(http.StatusCreated, showProject(&catalog.Organization, made))
	}))
}

// listProjects: GET …/organizations/{organizationId}/projects, the default project first.
func (a *api) listProjects(c *protocol.Call) error {
	q := queryRules.ParseQuery(c.Request.URL.RawQuery)
	offset, limit := pageOf(q)
	if q.Err != nil {
		return q.Err
	}
	found, err := a.svc.Organization(c.Request.Context(), c.Actor)
	if err != nil {
		return err
	}
	shown := page(found.Projects, offset, limit)
	items := make([]project, len(shown))
	for i := range shown {
		items[i] = showProject(&found.Organization, &shown[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, newList(offset, int64(len(found.Projects)), items))
}

// page gives a part of a list that is in memory.
func page[T any](all []T, offset, limit int) []T {
	offset = min(offset, len(all))
	return all[offset:min(offset+limit, len(all))]
}

// input checks the body and makes the core's input of it.
func (p *newProject) input() (consent.NewProject, error) {
	if err := firstOf(required("name", p.Name), p.siteDetails.check(), checkType(p.Type)); err != nil {
		return consent.NewProject{}, err
	}
	for i, domain := range p.Domains {
		if err := checkDomain(fmt.Sprintf("domains[%d]", i), strings.ToLower(domain.value)); err != nil {
			return consent.NewProject{}, err
		}
	}
	details, err := keep(p.projectDetails)
	return consent.NewProject{Name: p.Name.value, WholeAddress: p.wantsWholeAddress(), Details: details}, err
}

func checkType(given text) error {
	if !given.given {
		return nil
	}
	return oneOf("type", given.value, projectType)
}

// check checks what organizations and projects have in common.
func (d *siteDetails) check() error {
	for i, email := range d.ContactEmails {
		if _, err := consent.Normalize(consent.Email, email.value); err != nil {
			return protocol.At(fmt.Sprintf("contactEmails[%d]", i), err)
		}
	}
	return firstOf(
		checkURL("privacyPolicyUrl", d.PrivacyPolicyURL),
		checkURL("termsOfServiceUrl", d.TermsOfServiceURL),
		check(d.RegionTemplate, "regionTemplate", regionTemplateRule),
	)
}

// wantsWholeAddress tells whether settings.consent.limitPii is false in so many words.
func (d *siteDetails) wantsWholeAddress() bool {
	return isFalse(d.RegionTemplate, "settings", "consent", "limitPii")
}
