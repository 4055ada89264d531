package consent

import (
	"slices"
	"time"
)

// PurposeChange says what to change of a purpose. A member that is nil stays as it is.
type PurposeChange struct {
	Name, Description, Document, URL *string
	LegalBasis                       *LegalBasis
	Texts                            map[string]*TextChange // by language; nil: what it says in that one is removed
	RemoveTexts                      bool                   // all of them, before Texts
	RequireReaccept                  *bool
	Category, Subcategory, Label     *string
	Status                           *string
	Duration                         *Duration
	Required                         *bool
}

// TextChange says what to change of what a purpose says in one language.
type TextChange struct{ Name, Description, LegalText *string }

// Wording is what a purpose says beyond its own row.
type Wording struct {
	Document string // the legal text
	Texts    Texts
}

// PurposeView is a purpose with all that it says.
type PurposeView struct {
	Purpose
	ProjectID ID
	Wording   Wording
}

// PurposeVersionView is a version of a purpose with all that it said.
type PurposeVersionView struct {
	PurposeVersion
	HeldTo   time.Time // zero: it holds now
	Revision int       // of the purpose, where the version holds now
	Wording  Wording
}

// UpdatePurpose asks to change a purpose.
type UpdatePurpose struct {
	Project     ID
	Key         string
	Change      PurposeChange
	If          IfMatch // on the purpose's revision
	Idempotency Idempotency
}

// maxVersions is the most versions of a purpose.
const maxVersions = 1000

// Change gives the purpose as a change makes it at an instant, and its wording; the hashes of the new wording are yet
// to be set. changed is false where nothing is other than before. A change of what the purpose says (name, description,
// document, url, legal basis, texts) makes a new version, which holds from the instant on, and requires acceptance
// again where this change says so. What a change says of that alone is about the current version.
// Errors: Invalid, Unprocessable, Conflict.
func (p *Purpose) Change(c *PurposeChange, was Wording, at time.Time) (to Purpose, now Wording, changed bool,
	err error) {
	to, now = *p, was
	set(&to.Name, c.Name)
	set(&to.Description, c.Description)
	set(&to.URL, c.URL)
	set(&to.LegalBasis, c.LegalBasis)
	set(&now.Document, c.Document)
	set(&to.Status, c.Status)
	set(&to.Duration, c.Duration)
	set(&to.Required, c.Required)
	set(&to.Taxonomy.Category, c.Category)
	set(&to.Taxonomy.Subcategory, c.Subcategory)
	set(&to.Taxonomy.Label, c.Label)
	if now.Texts, err = was.Texts.change(c); err != nil {
		return to, now, false, err
	}
	if err := to.checkChange(p, now.Document); err != nil {
		return to, now, false, err
	}
	says := to.Name != p.Name || to.Description != p.Description || to.URL != p.URL || to.LegalBasis != p.LegalBasis ||
		now.Document != was.Document || !sameTexts(now.Texts, was.Texts)
	if says {
		if p.Version >= maxVersions {
			return to, now, false, Errorf(Conflict, "", "a purpose may have %d versions at most", maxVersions)
		}
		to.begin(p, at)
	}
	set(&to.RequireReaccept, c.RequireReaccept)
	changed = says || to.Status != p.Status || to.Duration != p.Duration || to.Required != p.Required ||
		to.Taxonomy != p.Taxonomy || to.RequireReaccept != p.RequireReaccept
	if changed {
		to.Revision, to.UpdatedAt = p.Revision+1, at
	}
	return to, now, changed, nil
}

// set sets what a change gives.
func set[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

// begin ends the version that held, and begins the next one: at an instant, but later than the one before began.
func (p *Purpose) begin(was *Purpose, at time.Time) {
	if !at.After(was.HeldFrom) {
		at = was.HeldFrom.Add(time.Microsecond)
	}
	p.Earlier = append(slices.Clone(was.Earlier), was.current())
	p.Version, p.RequireReaccept, p.HeldFrom = was.Version+1, false, at
}

// checkChange refuses what a purpose cannot become.
func (p *Purpose) checkChange(was *Purpose, document string) error {
	if was.ReadOnly && p.Taxonomy != was.Taxonomy {
		return Errorf(Unprocessable, "category", "and its other words cannot change: every project has this purpose")
	}
	if p.Taxonomy != was.Taxonomy {
		if err := p.Taxonomy.check(); err != nil {
			return err
		}
	}
	for _, one := range []struct{ field, value string }{{"legal_basis", string(p.LegalBasis)}, {"status", p.Status},
		{"duration", string(p.Duration)}} {
		if one.value == "" {
			return Errorf(Invalid, one.field, "cannot be empty")
		}
	}
	return p.check(document)
}

// maxWord is how many characters each word of a taxonomy may have.
const maxWord = 128

// check refuses with Invalid words that are empty or too long.
func (t Taxonomy) check() error {
	for _, word := range []struct{ field, value string }{{"category", t.Category}, {"subcategory", t.Subcategory},
		{"label", t.Label}} {
		if err := CheckLength(word.field, word.value, 1, maxWord); err != nil {
			return err
		}
	}
	return nil
}

// change gives the texts as a change makes them.
func (t Texts) change(c *PurposeChange) (Texts, error) {
	to := Texts{}
	for tag, text := range t {
		if !c.RemoveTexts {
			to[tag] = text
		}
	}
	given := map[string]bool{}
	for tag, change := range c.Texts {
		name, err := parseLanguage(tag)
		if err == nil && given[name] {
			err = errLanguageTwice
		}
		if err != nil {
			return nil, err
		}
		given[name] = true
		text := to[name]
		if change == nil {
			delete(to, name)
			continue
		}
		set(&text.Name, change.Name)
		set(&text.Description, change.Description)
		set(&text.LegalText, change.LegalText)
		to[name] = text
	}
	return checkTexts(to)
}

func sameTexts(a, b Texts) bool {
	as, err := a.JSON()
	bs, err2 := b.JSON()
	return err == nil && err2 == nil && as == bs
}

// AdmitsChange tells whether a purpose may become another: its words are those of no other purpose of the project.
func (c *Catalog) AdmitsChange(to *Purpose) error {
	of := c.PurposesOf(to.Project)
	for i := range of {
		if of[i].Number != to.Number && of[i].Taxonomy == to.Taxonomy {
			return Errorf(Conflict, "", "this category, subcategory and label are taken")
		}
	}
	return nil
}
