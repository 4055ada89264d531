package consent

import (
	"slices"
	"time"
	"unicode/utf8"
)

// Purpose is what a consent is for.
type Purpose struct {
	Organization ID
	Project      int // number within the organization
	Number       int // within the project
	ID           ID
	Key          string   // unique within the project
	Taxonomy     Taxonomy // unique within the project
	Version      int      // of the legal text, from 1
	Name         string
	Description  string
	URL          string
	DocumentHash []byte // SHA-256 of the legal text, kept once; empty: none
	ReadOnly     bool   // one of those a project starts with
	ValidStates  []State
	Status       string // active, test, archived, obsolete
	Duration     Duration
	Required     bool
	// RequireReaccept is kept and shown. No rule asks for it yet: purposes have one version so far.
	RequireReaccept bool
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// versionAt gives the version that held at an instant, 0 where none did; zero: the version of now.
func (p *Purpose) versionAt(at time.Time) int {
	if !at.IsZero() && at.Before(p.CreatedAt) {
		return 0
	}
	return p.Version
}

// closed tells whether a purpose takes no yes any more.
func (p *Purpose) closed() bool { return p.Status == "archived" || p.Status == "obsolete" }

// admits tells whether a decision may be recorded.
func (p *Purpose) admits(d *Decision) error {
	if err := p.admitsState(d.State); err != nil {
		return err
	}
	if d.PurposeVersion < 0 || d.PurposeVersion > p.Version {
		return Errorf(Unprocessable, "purpose_version", "is no version of this purpose: the newest is %d", p.Version)
	}
	return nil
}

// admitsState tells whether somebody may be in a state on a purpose. A no is always possible.
func (p *Purpose) admitsState(s State) error {
	switch {
	case s.No():
		return nil
	case p.closed() && s != Viewed:
		return Errorf(Unprocessable, "state", "must be a no: this purpose is %s and takes no yes", p.Status)
	case !slices.Contains(p.ValidStates, s):
		return Errorf(Unprocessable, "state", "is not among the valid states of this purpose: %s", Listed(p.ValidStates))
	}
	return nil
}

// Taxonomy files a purpose under three words; AnyLabel where the third is absent.
type Taxonomy struct{ Category, Subcategory, Label string }

// AnyLabel is the label of a purpose that is a whole subcategory.
const AnyLabel = "*"

// PurposeRef names a purpose of a project by id, by taxonomy or by key. Where
// both id and taxonomy are given they must agree.
type PurposeRef struct {
	ID       ID
	Taxonomy Taxonomy
	Key      string
	// Create makes a purpose with that key on first use.
	Create bool
}

// NewPurpose asks for a purpose.
type NewPurpose struct {
	Key             string // empty: made from the taxonomy
	Taxonomy        Taxonomy
	Name            string
	Description     string
	Document        string // the legal text
	URL             string
	ValidStates     []State // empty: accepted, declined, implied, viewed
	Status          string  // empty: active
	Duration        Duration
	Required        bool
	RequireReaccept bool
}

// Keys of the purposes that every new project starts with.
const (
	StrictlyNecessary     = "strictly_necessary"
	Functional            = "functional"
	Analytics             = "analytics"
	Marketing             = "marketing"
	Retargeting           = "retargeting"
	Tracking              = "tracking"
	NonePurpose           = "none"
	GeneralMarketingOptIn = "general_marketing_opt_in"
	DoNotSell             = "do_not_sell"
	PrivacyPolicy         = "privacy_policy"
	TermsOfService        = "terms_of_service"
)

// BuiltInPurposes are those that every new project starts with (contracts, "Purposes").
func BuiltInPurposes() []NewPurpose {
	return []NewPurpose{
		{Key: StrictlyNecessary, Taxonomy: Taxonomy{"privacy_setting", "strictly_necessary", AnyLabel},
			Name: "Strictly necessary"},
		{Key: Functional, Taxonomy: Taxonomy{"privacy_setting", "functional", AnyLabel}, Name: "Functional"},
		{Key: Analytics, Taxonomy: Taxonomy{"privacy_setting", "analytics", AnyLabel}, Name: "Analytics"},
		{Key: Marketing, Taxonomy: Taxonomy{"privacy_setting", "marketing", AnyLabel}, Name: "Marketing"},
		{Key: Retargeting, Taxonomy: Taxonomy{"custom", "unclassified", "retargeting"}, Name: "Retargeting"},
		{Key: Tracking, Taxonomy: Taxonomy{"custom", "unclassified", "tracking"}, Name: "Tracking"},
		{Key: NonePurpose, Taxonomy: Taxonomy{"custom", "unclassified", "none"}, Name: "Refusal of all"},
		{Key: GeneralMarketingOptIn, Taxonomy: Taxonomy{"communication", "email", "general_marketing"},
			Name: "General marketing by e-mail"},
		{Key: DoNotSell, Taxonomy: Taxonomy{"privacy_setting", "do_not_sell", AnyLabel}, Name: "Do not sell my data"},
		{Key: PrivacyPolicy, Taxonomy: Taxonomy{"disclosure", "privacy_policy", AnyLabel}, Name: "Privacy policy"},
		{Key: TermsOfService, Taxonomy: Taxonomy{"disclosure", "terms_of_service", AnyLabel}, Name: "Terms of service"},
	}
}

var defaultStates = []State{Accepted, Declined, Implied, Viewed}

// maxPurposes is the most purposes of a project.
const maxPurposes = 1000

// MaxDocument is the most characters of a purpose's legal text.
const MaxDocument = 5_000_000

// CheckNewPurpose refuses with Invalid what no purpose can be like, whatever a project has.
func CheckNewPurpose(in NewPurpose) error {
	if err := CheckLength("name", in.Name, 5, 100); err != nil {
		return err
	}
	if utf8.RuneCountInString(in.Description) > 2000 {
		return Errorf(Invalid, "description", "must have 2000 characters at most")
	}
	if utf8.RuneCountInString(in.Document) > MaxDocument {
		return Errorf(Invalid, "document", "must have %d characters at most", MaxDocument)
	}
	if in.Duration != "" {
		if _, err := ParseDuration(string(in.Duration)); err != nil {
			return Errorf(Invalid, "duration", "%s", err)
		}
	}
	return nil
}

// Admits tells whether a project can have one more purpose like this.
func (d *Catalog) Admits(project int, in NewPurpose) error {
	of := d.PurposesOf(project)
	if len(of) >= maxPurposes {
		return Errorf(Conflict, "", "a project may have %d purposes at most", maxPurposes)
	}
	for i := range of {
		if of[i].Taxonomy == in.Taxonomy {
			return Errorf(Conflict, "", "this category, subcategory and label are taken and cannot be changed")
		}
		if in.Key != "" && of[i].Key == in.Key {
			return Errorf(Conflict, "", "this key is taken")
		}
	}
	return nil
}
