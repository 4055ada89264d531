package concord

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// createOrganization: POST /privacy-v1/organizations, 201. The root key only.
func (a *api) createOrganization(c *protocol.Call) error {
	var body newOrganization
	if err := protocol.ReadJSON(c, &body); err != nil {
		return err
	}
	input, err := body.input()
	if err != nil {
		return err
	}
	return fieldNames.Rename(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.OrganizationView, error) {
		return a.svc.CreateOrganization(c.Request.Context(), c.Actor, input, idempotency)
	}, func(made *consent.OrganizationView) (protocol.Answer, error) {
		return protocol.JSON(http.StatusCreated, showOrganization(made))
	}))
}

// listOrganizations: GET /privacy-v1/organizations. The root key sees all, another its own.
func (a *api) listOrganizations(c *protocol.Call) error {
	filter, err := parseOrganizationFilter(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := a.svc.Organizations(c.Request.Context(), c.Actor, filter)
	if err != nil {
		return err
	}
	items := make([]organization, len(page.Items))
	for i := range page.Items {
		items[i] = showOrganization(&page.Items[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, newList(filter.Offset, page.Total, items))
}

// getOrganization: GET /privacy-v1/organizations/{organizationId}.
func (a *api) getOrganization(c *protocol.Call) error {
	found, err := a.svc.Organization(c.Request.Context(), c.Actor)
	if err != nil {
		return err
	}
	return protocol.WriteJSON(c, http.StatusOK, showOrganization(found))
}

// organizationStatuses are the documented values of an organization's status.
var organizationStatuses = []named[string]{
	{"active", "active"}, {"suspended", "suspended"}, {"disabled", "disabled"}, {"deleted", "deleted"},
}

func parseStatus(s []byte) (string, error) { return find(organizationStatuses, s) }

func parseOrganizationFilter(raw string) (consent.OrganizationFilter, error) {
	q := queryRules.ParseQuery(raw)
	f := consent.OrganizationFilter{
		Names:          q.All("name"),
		PrimaryDomains: convert(q.All("primaryDomain"), strings.ToLower),
		Statuses:       protocol.Each(q, parseStatus, "status"),
	}
	f.Offset, f.Limit = pageOf(q)
	return f, q.Err
}

// input checks the body and makes the core's input of it.
func (o *newOrganization) input() (consent.NewOrganization, error) {
	domain := strings.ToLower(o.PrimaryDomain.value)
	err := firstOf(
		required("name", o.Name),
		required("primaryDomain", o.PrimaryDomain),
		required("privacyPolicyUrl", o.PrivacyPolicyURL),
		checkDomain("primaryDomain", domain),
		o.siteDetails.check(),
		checkStrings("coupons", o.Coupons),
		check(o.Subscription, "subscription", subscriptionRule),
	)
	if err != nil {
		return consent.NewOrganization{}, err
	}
	details, err := keep(o.organizationDetails)
	if err != nil {
		return consent.NewOrganization{}, err
	}
	project, err := keep(projectDetails{siteDetails: siteDetails{ContactEmails: o.ContactEmails}})
	return consent.NewOrganization{Name: o.Name.value, Slug: o.OrganizationSlug.value, PrimaryDomain: domain,
		Details: details,
		Test:    isTrue(o.Subscription, "test"),
		Project: consent.NewProject{Name: o.Name.value, WholeAddress: o.wantsWholeAddress(), Details: project}}, err
}

// firstOf gives the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func required(field string, given text) error {
	if !given.given {
		return invalid(field, "is required")
	}
	return nil
}

// checkStrings refuses null among strings.
func checkStrings(field string, given []text) error {
	for i := range given {
		if !given[i].given {
			return invalid(fmt.Sprintf("%s[%d]", field, i), "must be a string")
		}
	}
	return nil
}

// checkDomain admits a host name and the three documented values that are none.
func checkDomain(field, domain string) error {
	if isHostname(domain) || domain == "127.0.0.1" || domain == "::1" {
		return nil
	}
	return invalid(field, "must be a host name in ASCII, such as www.example.com, or localhost, 127.0.0.1 or ::1")
}

// maxURL is the most bytes of a URL [ours].
const maxURL = 2048

// checkURL admits what the vendor does, which is any text (its own sample is "<string>"), of a bounded size
// [ours]; an absent one passes. Whoever shows it as a link has to look at its scheme.
func checkURL(field string, given text) error {
	if given.given && (given.value == "" || len(given.value) > maxURL) {
		return invalid(field, "must have 1 to 2048 bytes")
	}
	return nil
}
