package concord

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// list is the envelope of every list: [doc] for consent events, [ours] for the others.
type list[T any] struct {
	Offset int   `json:"offset"`
	Count  int   `json:"count"`
	Total  int64 `json:"total"`
	Items  []T   `json:"items"`
}

func newList[T any](offset int, total int64, items []T) *list[T] {
	return &list[T]{Offset: offset, Count: len(items), Total: total, Items: items}
}

// newEvents is the body of Create consent events.
type newEvents struct {
	Items newItems `json:"items"`
}

// newItems are 1 to consent.MaxItems items.
type newItems []newEvent

// newEvent is one item; the tables of the contract, "Consent events", say what may be in it.
type newEvent struct {
	ProjectUserID  text     `json:"projectUserId"`
	UserID         text     `json:"userId"`
	Email          text     `json:"email"`
	PhoneNumber    text     `json:"phoneNumber"`
	ConcordID      id       `json:"concordId"`
	ConsentType    id       `json:"consentType"`
	Category       category `json:"category"`
	Subcategory    word     `json:"subcategory"`
	Label          label    `json:"label"`
	ConsentState   state    `json:"consentState"`
	ConsentAction  action   `json:"consentAction"`
	ConsentDate    instant  `json:"consentDate"`
	ExpirationDate instant  `json:"expirationDate"`
}

var itemsRange = "must have 1 to " + strconv.Itoa(consent.MaxItems) + " items"

// UnmarshalJSONFrom reads the items one by one, so that a body of a million empty ones
// ends at the first too many, and the first bad one is the one that is named.
func (n *newItems) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '[' {
		return wrongKind(dec, "items", "must be an array")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	items := make(newItems, 0, 1)
	for dec.PeekKind() != ']' {
		if len(items) == consent.MaxItems {
			return invalid("items", itemsRange)
		}
		items = append(items, newEvent{})
		if err := items[len(items)-1].read(dec, len(items)-1); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return invalid("items", itemsRange)
	}
	*n = items
	_, err := dec.ReadToken()
	return err
}

// read reads the item and asks for what is required.
func (e *newEvent) read(dec *jsontext.Decoder, i int) error {
	if dec.PeekKind() != '{' {
		return wrongKind(dec, fmt.Sprintf("items[%d]", i), "must be an object")
	}
	if err := json.UnmarshalDecode(dec, e); err != nil {
		return err
	}
	switch {
	case e.ConsentState == 0:
		return invalid(itemField(i, "consentState"), "is required")
	case e.ConsentAction == 0:
		return invalid(itemField(i, "consentAction"), "is required")
	}
	return nil
}

// newOrganization is the body of Create organization.
type newOrganization struct {
	Name             text `json:"name"`
	PrimaryDomain    text `json:"primaryDomain"`
	OrganizationSlug text `json:"organizationSlug"`
	organizationDetails
}

// newProject is the body of Create project.
type newProject struct {
	Name text `json:"name"`
	Type text `json:"type"`
	projectDetails
}

// siteDetails are what organizations and projects have in common of that which the core keeps for us.
type siteDetails struct {
	ContactEmails     []text         `json:"contactEmails,omitempty"`
	PrivacyPolicyURL  text           `json:"privacyPolicyUrl,omitzero"`
	TermsOfServiceURL text           `json:"termsOfServiceUrl,omitzero"`
	RegionTemplate    jsontext.Value `json:"regionTemplate,omitzero"`
}

// organizationDetails and projectDetails are kept as the Details of the core's Organization and Project.
type organizationDetails struct {
	siteDetails
	Coupons      []text         `json:"coupons,omitempty"`
	Subscription jsontext.Value `json:"subscription,omitzero"`
}

type projectDetails struct {
	siteDetails
	Domains []text `json:"domains,omitempty"`
}

// kept is how details are kept: under our name, since another protocol may have made the thing.
type kept[T any] struct {
	Details T `json:"concord"`
}

func keep[T any](details T) ([]byte, error) { return json.Marshal(&kept[T]{details}) }

// keptIn gives the details that were kept; zero where another protocol made the thing.
func keptIn[T any](raw []byte) T {
	var k kept[T]
	if len(raw) == 0 || json.Unmarshal(raw, &k) != nil {
		return *new(T)
	}
	return k.Details
}

// null is a member that is always null.
type null *struct{}

// organization is an organization as it is shown.
type organization struct {
	CreatedAt          instant        `json:"createdAt"`
	UpdatedAt          instant        `json:"updatedAt"`
	DefaultProjectID   id             `json:"defaultProjectId"`
	BillingEmails      null           `json:"billingEmails"`
	BillingPhoneNumber null           `json:"billingPhoneNumber"`
	BillingAddress     null           `json:"billingAddress"`
	Subscription       jsontext.Value `json:"subscription"`
	ID                 id             `json:"id"`
	Name               string         `json:"name"`
	DateCreated        epoch          `json:"dateCreated"`
	DateUpdated        epoch          `json:"dateUpdated"`
	PrimaryDomain      string         `json:"primaryDomain"`
	Slug               string         `json:"slug"`
	Projects           []project      `json:"projects"`
	Status             string         `json:"status"`
	StatusDate         epoch          `json:"statusDate"`
	StatusFlags        statusFlags    `json:"statusFlags"`
	Features           id             `json:"features"`
	Stripe             null           `json:"stripe"`
	RegionTemplate     jsontext.Value `json:"regionTemplate,omitzero"`
}

type statusFlags struct {
	IsActive bool `json:"isActive"`
	IsTest   bool `json:"isTest"`
}

const (
	active      = "active"
	projectType = "website"
	senderID    = "default"
)

func showOrganization(v *consent.OrganizationView) organization {
	details := keptIn[organizationDetails](v.Details)
	created, updated := v.CreatedAt.Truncate(time.Millisecond), v.UpdatedAt.Truncate(time.Millisecond)
	o := organization{
		CreatedAt: instant{created}, UpdatedAt: instant{updated},
		DateCreated: epoch{created}, DateUpdated: epoch{updated}, StatusDate: epoch{created},
		DefaultProjectID: id(v.DefaultProject().ID),
		Subscription:     details.Subscription,
		RegionTemplate:   details.RegionTemplate,
		ID:               id(v.ID),
		Features:         id(v.ID),
		Name:             v.Name,
		PrimaryDomain:    v.PrimaryDomain,
		Slug:             v.Slug,
		Status:           v.Status,
		StatusFlags:      statusFlags{IsActive: v.Status == active, IsTest: v.Test},
		Projects:         make([]project, len(v.Projects)),
	}
	for i := range v.Projects {
		o.Projects[i] = showProject(&v.Organization, &v.Projects[i])
	}
	return o
}

// project is a project as it is shown.
type project struct {
	Default         bool           `json:"default"`
	ContactEmail    text           `json:"contactEmail,omitzero"`
	ContactEmails   []text         `json:"contactEmails"`
	DateCreated     epoch          `json:"dateCreated"`
	DateUpdated     epoch          `json:"dateUpdated"`
	ID              id             `json:"id"`
	Mode            null           `json:"mode"`
	Name            string         `json:"name"`
	OrganizationID  id             `json:"organizationId"`
	Organization    owner          `json:"organization"`
	SendFromEmailID string         `json:"sendFromEmailId"`
	SendFromEmail   sender         `json:"sendFromEmail"`
	Slug            string         `json:"slug"`
	Status          string         `json:"status"`
	StatusFlags     statusFlags    `json:"statusFlags"`
	Type            string         `json:"type"`
	RegionTemplate  jsontext.Value `json:"regionTemplate,omitzero"`
}

type owner struct {
	ID     id     `json:"id"`
	Name   string `json:"name"`
	Slug   string `json:"slug"`
	Status string `json:"status"`
}

// sender is from whom a project's mail would come; consentd sends none.
type sender struct {
	ID    string `json:"id"`
	Email text   `json:"email,omitzero"`
	Name  string `json:"name"`
}

func showProject(o *consent.Organization, v *consent.Project) project {
	details := keptIn[projectDetails](v.Details)
	p := project{
		Default:         v.Default(),
		ContactEmails:   details.ContactEmails,
		DateCreated:     epoch{v.CreatedAt},
		DateUpdated:     epoch{v.UpdatedAt},
		ID:              id(v.ID),
		Name:            v.Name,
		OrganizationID:  id(o.ID),
		Organization:    owner{ID: id(o.ID), Name: o.Name, Slug: o.Slug, Status: o.Status},
		SendFromEmailID: senderID,
		SendFromEmail:   sender{ID: senderID, Name: v.Name},
		Slug:            v.Slug,
		Status:          active,
		StatusFlags:     statusFlags{IsActive: o.Status == active, IsTest: o.Test},
		Type:            projectType,
		RegionTemplate:  details.RegionTemplate,
	}
	if len(details.ContactEmails) > 0 {
		p.ContactEmail = details.ContactEmails[0]
		p.SendFromEmail.Email = details.ContactEmails[0]
	}
	return p
}

// newType is the body of Create consent type.
type newType struct {
	Category        category `json:"category"`
	Subcategory     word     `json:"subcategory"`
	Label           label    `json:"label"`
	Name            text     `json:"name"`
	Description     string   `json:"description"`
	Document        string   `json:"document"`
	URL             text     `json:"url"`
	ValidStates     []state  `json:"validStates"`
	Status          text     `json:"status"`
	ConsentDuration text     `json:"consentDuration"`
	Required        bool     `json:"required"`
	RequireReaccept bool     `json:"requireReaccept"`
}

// consentType is a purpose as it is shown.
type consentType struct {
	ID                     id       `json:"id"`
	Organization           id       `json:"organization"`
	Project                id       `json:"project"`
	Category               string   `json:"category"`
	Subcategory            string   `json:"subcategory"`
	Label                  string   `json:"label"`
	Version                int      `json:"version"`
	Name                   string   `json:"name"`
	Description            string   `json:"description,omitzero"`
	Document               string   `json:"document,omitzero"`
	URL                    string   `json:"url,omitzero"`
	ReadOnly               bool     `json:"readOnly"`
	ValidStates            []string `json:"validStates"`
	Status                 string   `json:"status"`
	ConsentDuration        string   `json:"consentDuration"`
	Required               bool     `json:"required"`
	RequireReacceptVersion int      `json:"requireReacceptVersion"`
}

func showType(project consent.ID, p *consent.Purpose, document string) consentType {
	t := consentType{
		ID:              id(p.ID),
		Organization:    id(p.Organization),
		Project:         id(project),
		Category:        p.Taxonomy.Category,
		Subcategory:     p.Taxonomy.Subcategory,
		Label:           p.Taxonomy.Label,
		Version:         p.Version,
		Name:            p.Name,
		Description:     p.Description,
		Document:        document,
		URL:             p.URL,
		ReadOnly:        p.ReadOnly,
		Status:          p.Status,
		ConsentDuration: string(p.Duration),
		Required:        p.Required,
	}
	for _, s := range p.ValidStates {
		if name := showState(s); !slices.Contains(t.ValidStates, name) {
			t.ValidStates = append(t.ValidStates, name)
		}
	}
	t.RequireReacceptVersion = p.ReacceptVersion()
	return t
}
