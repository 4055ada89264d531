package consent

import (
	"time"
	"unicode/utf8"
)

// Organization is a tenant: the data controller. Everything belongs to exactly one.
type Organization struct {
	ID            ID
	Name          string
	Slug          string // unique over all organizations
	PrimaryDomain string
	Status        string // "active"
	Test          bool   // its keys read cd_test_
	CreatedAt     time.Time
	UpdatedAt     time.Time
	// Details is a JSON object that the protocol which made the organization
	// keeps for itself and gives back; the core does not look inside.
	Details []byte
}

// Project is a site or app of an organization.
type Project struct {
	Organization ID
	ID           ID
	Number       int // within the organization; 1 is the default project
	Name         string
	Slug         string // unique within the organization
	// WholeAddress keeps a client's IP address whole; else it is cut to
	// IPv4 /24, IPv6 /48 before it is kept.
	WholeAddress bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Details      []byte // as in Organization
}

// Default tells whether it is the organization's default project.
func (p *Project) Default() bool { return p.Number == 1 }

// NewOrganization asks for an organization. Its default project is made with it.
type NewOrganization struct {
	Name          string
	Slug          string // empty: made from the name
	PrimaryDomain string
	Test          bool
	Details       []byte
	Project       NewProject // the default project; without a name it takes the organization's
}

// NewProject asks for a project.
type NewProject struct {
	Name         string
	WholeAddress bool
	Details      []byte
}

// OrganizationFilter narrows a list; zero members do not.
type OrganizationFilter struct {
	Names, PrimaryDomains, Statuses []string // any of; exact
	Offset, Limit                   int
}

// OrganizationPage is a part of a list and the size of the whole.
type OrganizationPage struct {
	Items []OrganizationView
	Total int64
}

// OrganizationView is an organization with its projects, the default one first.
type OrganizationView struct {
	Organization
	Projects []Project
}

// DefaultProject gives the default project.
func (v *OrganizationView) DefaultProject() *Project { return &v.Projects[0] }

// CheckLength refuses with Invalid a name that has not so many characters.
func CheckLength(field, name string, least, most int) error {
	if n := utf8.RuneCountInString(name); n < least || n > most {
		return Errorf(Invalid, field, "must have %d to %d characters", least, most)
	}
	return nil
}
