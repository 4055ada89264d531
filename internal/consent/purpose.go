package consent

import (
	"cmp"
	"slices"
	"strings"
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
	Version      int      // the one that holds now, from 1
	Name         string
	Description  string
	URL          string
	LegalBasis   LegalBasis
	DocumentHash []byte // SHA-256 of the legal text, kept once; empty: none
	TextsHash    []byte // SHA-256 of what Texts.JSON gives, kept once; empty: none
	ReadOnly     bool   // one of those a project starts with
	ValidStates  []State
	Status       string // active, test, archived, obsolete
	Duration     Duration
	Required     bool
	// RequireReaccept is the current version's: a yes to an earlier one is stale.
	RequireReaccept bool
	HeldFrom        time.Time // since when the current version holds
	Earlier         []Version // from 1, all before the current one
	Revision        int       // counts the changes, from 1: those too that make no version
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// closed tells whether a purpose takes no yes any more.
func (p *Purpose) closed() bool { return p.Status == "archived" || p.Status == "obsolete" }

// admits tells whether a decision may be recorded.
func (p *Purpose) admits(d *Decision) error {
	if err := p.admitsState(d.State); err != nil {
		return err
	}
	if d.PurposeVersion != 0 && !p.HasVersion(d.PurposeVersion) {
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
	Texts           Texts  // in other languages
	URL             string
	LegalBasis      LegalBasis // empty: consent
	ValidStates     []State    // empty: accepted, declined, implied, viewed
	Status          string     // empty: active
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
	Experience            = "experience"
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
		{Key: Experience, Taxonomy: Taxonomy{"privacy_setting", "experience", AnyLabel}, Name: "Experience"},
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

const (
	// maxPurposes is the most purposes of a project.
	maxPurposes = 1000
	// MaxDocument is the most characters of a purpose's legal text.
	MaxDocument    = 5_000_000
	maxPurposeName = 128
	maxDescription = 2000
	maxPurposeURL  = 2048 // bytes
)

// Prepare gives what is asked for with what is implied: languages as BCP 47 writes them, and a label. A purpose that is
// filed under nothing must have a key. Errors: Invalid, for what no purpose can be like whatever a project has.
func (in NewPurpose) Prepare() (NewPurpose, error) {
	p := Purpose{Name: in.Name, Description: in.Description, URL: in.URL, LegalBasis: in.LegalBasis, Status: in.Status,
		Duration: in.Duration}
	if err := p.check(in.Document); err != nil {
		return in, err
	}
	switch filed := in.Taxonomy != (Taxonomy{}); {
	case filed:
		in.Taxonomy.Label = cmp.Or(in.Taxonomy.Label, AnyLabel)
		if err := in.Taxonomy.check(); err != nil {
			return in, err
		}
	case in.Key == "":
		return in, Errorf(Invalid, "key", "is required")
	}
	if in.Key != "" && (checkIdentifier(in.Key) != nil || len(in.Key) > 128) {
		return in, Errorf(Invalid, "key", "must be 1 to 128 bytes without control characters")
	}
	var err error
	in.Texts, err = checkTexts(in.Texts)
	return in, err
}

// purposeStatuses are those that a purpose may have.
var purposeStatuses = []string{"active", "test", "archived", "obsolete"}

// check refuses with Invalid what no purpose with that legal text can be like. An empty legal basis, status or duration
// is one to be filled in.
func (p *Purpose) check(document string) error {
	if err := CheckLength("name", p.Name, 1, maxPurposeName); err != nil {
		return err
	}
	if utf8.RuneCountInString(p.Description) > maxDescription {
		return Errorf(Invalid, "description", "must have %d characters at most", maxDescription)
	}
	if utf8.RuneCountInString(document) > MaxDocument {
		return Errorf(Invalid, "document", "must have %d characters at most", MaxDocument)
	}
	if len(p.URL) > maxPurposeURL {
		return Errorf(Invalid, "url", "must have %d bytes at most", maxPurposeURL)
	}
	if p.LegalBasis != "" && !slices.Contains(LegalBases, p.LegalBasis) {
		return Errorf(Invalid, "legal_basis", "must be one of %s", Listed(LegalBases))
	}
	if p.Status != "" && !slices.Contains(purposeStatuses, p.Status) {
		return Errorf(Invalid, "status", "must be one of %s", strings.Join(purposeStatuses, ", "))
	}
	if p.Duration != "" {
		if _, err := ParseDuration(string(p.Duration)); err != nil {
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
			return Errorf(Conflict, "", "this category, subcategory and label are another purpose's")
		}
		if in.Key != "" && of[i].Key == in.Key {
			return Errorf(Conflict, "", "this key is taken")
		}
	}
	return nil
}
