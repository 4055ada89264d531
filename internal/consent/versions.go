package consent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// Rules about the versions of a purpose: which one held when, and which one makes a yes to an earlier one stale.

// LegalBasis is the ground on which a purpose may be served (GDPR, Article 6(1)).
type LegalBasis string

// The six of them.
const (
	BasisConsent             LegalBasis = "consent"
	BasisContract            LegalBasis = "contract"
	BasisLegalObligation     LegalBasis = "legal_obligation"
	BasisVitalInterests      LegalBasis = "vital_interests"
	BasisPublicTask          LegalBasis = "public_task"
	BasisLegitimateInterests LegalBasis = "legitimate_interests"
)

// LegalBases are all of them.
var LegalBases = []LegalBasis{BasisConsent, BasisContract, BasisLegalObligation, BasisVitalInterests, BasisPublicTask,
	BasisLegitimateInterests}

// Version is a version of a purpose, as far as the rules need it. It holds from an instant on until the next one does.
type Version struct {
	Number          int // from 1
	LegalBasis      LegalBasis
	RequireReaccept bool
	HeldFrom        time.Time
}

// PurposeVersion is a version of a purpose with what it said.
type PurposeVersion struct {
	Organization     ID
	Project, Purpose int
	Version
	Name, Description, URL  string
	DocumentHash, TextsHash []byte
}

// current gives the version that holds now.
func (p *Purpose) current() Version {
	return Version{Number: p.Version, LegalBasis: p.LegalBasis, RequireReaccept: p.RequireReaccept, HeldFrom: p.HeldFrom}
}

// CurrentVersion gives the version that holds now with what it says.
func (p *Purpose) CurrentVersion() PurposeVersion {
	return PurposeVersion{Organization: p.Organization, Project: p.Project, Purpose: p.Number, Version: p.current(),
		Name: p.Name, Description: p.Description, URL: p.URL, DocumentHash: p.DocumentHash, TextsHash: p.TextsHash}
}

// versionAt gives the version that held at an instant, 0 where none did yet; zero: the version of now.
func (p *Purpose) versionAt(at time.Time) int {
	if at.IsZero() || !at.Before(p.HeldFrom) {
		return p.Version
	}
	n, holds := slices.BinarySearchFunc(p.Earlier, at,
		func(v Version, at time.Time) int { return v.HeldFrom.Compare(at) })
	if holds {
		n++
	}
	return n
}

// HasVersion tells whether there is or was a version of that number.
func (p *Purpose) HasVersion(n int) bool { return n >= 1 && n <= p.Version }

// HeldTo gives the instant from which a version did not hold any more; zero: it holds now.
func (p *Purpose) HeldTo(version int) time.Time {
	switch {
	case version >= p.Version:
		return time.Time{}
	case version == p.Version-1:
		return p.HeldFrom
	}
	return p.Earlier[version].HeldFrom
}

// Stale tells whether a version newer than the given one was made with requireReaccept, so that a yes to the given one
// has to be said again.
func (p *Purpose) Stale(version int) bool { return p.ReacceptVersion() > version }

// AsOf gives the purpose as its versions had it at an instant: number, legal basis, and which yeses were stale. Before
// the first one it has number 0 and the legal basis of the held. Zero: now. What it said is not looked up.
func (p *Purpose) AsOf(at time.Time) Purpose {
	n, then := p.versionAt(at), *p
	if n == p.Version {
		return then
	}
	held := append(slices.Clone(p.Earlier), p.current())[max(n, 1)-1]
	then.Version, then.LegalBasis, then.HeldFrom = n, held.LegalBasis, held.HeldFrom
	then.RequireReaccept, then.Earlier = held.RequireReaccept && n > 0, p.Earlier[:max(n, 1)-1]
	return then
}

// ReacceptVersion gives the newest version that was made with requireReaccept, 0: none. A yes to an earlier one is
// stale.
func (p *Purpose) ReacceptVersion() int {
	if p.RequireReaccept {
		return p.Version
	}
	for _, v := range slices.Backward(p.Earlier) {
		if v.RequireReaccept {
			return v.Number
		}
	}
	return 0
}

// CheckVersions holds a purpose's versions against each other; nil: they are as they must be.
func (p *Purpose) CheckVersions() error {
	versions := append(slices.Clone(p.Earlier), p.current())
	for i, v := range versions {
		switch {
		case v.Number != i+1:
			return fmt.Errorf("version %d of %d is not there", i+1, p.Version)
		case i > 0 && !v.HeldFrom.After(versions[i-1].HeldFrom):
			return fmt.Errorf("version %d does not begin after the one before", v.Number)
		case i == 0 && !v.HeldFrom.Equal(p.CreatedAt):
			return fmt.Errorf("version 1 does not begin when the purpose was made")
		}
	}
	return nil
}

// LocalText is what a purpose says in one language; what is empty is said in that language as it is without one.
type LocalText struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	LegalText   string `json:"legalText,omitempty"`
}

// Texts are what a purpose says in other languages, by BCP 47 tags.
type Texts map[string]LocalText

const (
	maxLanguages = 100
	maxLanguage  = 35 // characters of a tag
	// maxTexts is how many bytes the texts of one version may take.
	maxTexts = 1 << 20
)

// JSON gives the texts as they are kept, the same bytes for the same texts; empty where there are none.
func (t Texts) JSON() (string, error) {
	if len(t) == 0 {
		return "", nil
	}
	text, err := json.Marshal(t)
	return string(text), err
}

// ParseTexts reads what JSON gave.
func ParseTexts(text string) (Texts, error) {
	if text == "" {
		return nil, nil
	}
	var t Texts
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("read a purpose's texts: %w", err)
	}
	return t, nil
}

var errLanguageTwice = Errorf(Invalid, "texts", "must have each language once, however it is spelled")

// parseLanguage gives a language as BCP 47 writes it. Errors: Invalid.
func parseLanguage(tag string) (string, error) {
	parsed, err := language.Raw.Parse(tag)
	if err != nil || len(tag) > maxLanguage || parsed == language.Und {
		return "", Errorf(Invalid, "texts", "must have languages by BCP 47, such as de or pt-BR")
	}
	return parsed.String(), nil
}

// checkTexts refuses texts in languages that nobody knows, and those that are too long, with Invalid. It gives them by
// the languages as BCP 47 writes them.
func checkTexts(given Texts) (Texts, error) {
	if len(given) > maxLanguages {
		return nil, Errorf(Invalid, "texts", "must have %d languages at most", maxLanguages)
	}
	out := make(Texts, len(given))
	for tag, text := range given {
		name, err := parseLanguage(tag)
		if _, twice := out[name]; err == nil && twice {
			err = errLanguageTwice
		}
		if err == nil {
			err = text.check("texts." + name)
		}
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	maps.DeleteFunc(out, func(_ string, text LocalText) bool { return text == (LocalText{}) })
	if text, err := out.JSON(); err != nil || len(text) > maxTexts {
		return nil, Errorf(Invalid, "texts", "must take %d bytes at most, as JSON", maxTexts)
	}
	return out, nil
}

// check refuses with Invalid what is too long.
func (t LocalText) check(field string) error {
	for _, member := range []struct {
		name, text string
		most       int
	}{{"name", t.Name, maxPurposeName}, {"description", t.Description, maxDescription},
		{"legalText", t.LegalText, MaxDocument}} {
		if utf8.RuneCountInString(member.text) > member.most {
			return Errorf(Invalid, field+"."+member.name, "must have %d characters at most", member.most)
		}
	}
	return nil
}
