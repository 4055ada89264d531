package native

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/consentd/consentd/internal/consent"
)

// newPurpose is the body of POST {org}/projects/{p}/purposes.
type newPurpose struct {
	Key             string             `json:"key"`
	Name            string             `json:"name"`
	Description     string             `json:"description"`
	LegalText       string             `json:"legalText"`
	URL             string             `json:"url"`
	Category        string             `json:"category"`
	Subcategory     string             `json:"subcategory"`
	Label           string             `json:"label"`
	Duration        member[string]     `json:"duration"`
	LegalBasis      member[string]     `json:"legalBasis"`
	RequireReaccept bool               `json:"requireReaccept"`
	Required        bool               `json:"required"`
	Status          member[string]     `json:"status"`
	Texts           map[string]newText `json:"texts"`
}

// newText is what a purpose says in a language.
type newText struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	LegalText   string `json:"legalText"`
}

// input makes the core's input, which checks it. Errors: Invalid.
func (r *newPurpose) input() (consent.NewPurpose, error) {
	in := consent.NewPurpose{Key: r.Key, Name: r.Name, Description: r.Description, Document: r.LegalText, URL: r.URL,
		Taxonomy:   consent.Taxonomy{Category: r.Category, Subcategory: r.Subcategory, Label: r.Label},
		Duration:   consent.Duration(r.Duration.value),
		LegalBasis: consent.LegalBasis(r.LegalBasis.value), Status: r.Status.value, Required: r.Required,
		RequireReaccept: r.RequireReaccept, Texts: consent.Texts{}}
	for _, empty := range []struct {
		name string
		of   member[string]
	}{{"duration", r.Duration}, {"legalBasis", r.LegalBasis}, {"status", r.Status}} {
		if empty.of.given && !empty.of.null && empty.of.value == "" { // which the core would fill in
			return in, consent.Errorf(consent.Invalid, empty.name, "cannot be empty")
		}
	}
	if r.Key == "" { // which the core would make up
		return in, consent.Errorf(consent.Invalid, "key", "is required")
	}
	for tag, text := range r.Texts {
		in.Texts[tag] = consent.LocalText(text)
	}
	return in, nil
}

// purposePatch is the body of PATCH {org}/projects/{p}/purposes/{key}, a JSON merge patch.
type purposePatch struct {
	Name            member[string]                       `json:"name"`
	Description     member[string]                       `json:"description"`
	LegalText       member[string]                       `json:"legalText"`
	URL             member[string]                       `json:"url"`
	Category        member[string]                       `json:"category"`
	Subcategory     member[string]                       `json:"subcategory"`
	Label           member[string]                       `json:"label"`
	Duration        member[consent.Duration]             `json:"duration"`
	LegalBasis      member[consent.LegalBasis]           `json:"legalBasis"`
	RequireReaccept member[bool]                         `json:"requireReaccept"`
	Required        member[bool]                         `json:"required"`
	Status          member[string]                       `json:"status"`
	Texts           member[map[string]member[textPatch]] `json:"texts"`

	Key       fixed `json:"key"`
	Project   fixed `json:"project"`
	Version   fixed `json:"version"`
	CreatedAt fixed `json:"createdAt"`
	UpdatedAt fixed `json:"updatedAt"`
}

// textPatch is a merge patch of what a purpose says in a language.
type textPatch struct {
	Name        member[string] `json:"name"`
	Description member[string] `json:"description"`
	LegalText   member[string] `json:"legalText"`
}

// change makes the core's change, which checks it. What cannot be empty cannot be null. Errors: Invalid.
func (r *purposePatch) change() (consent.PurposeChange, error) {
	for _, m := range []struct {
		name string
		null bool
	}{{"requireReaccept", r.RequireReaccept.null}, {"required", r.Required.null}} {
		if m.null {
			return consent.PurposeChange{}, consent.Errorf(consent.Invalid, m.name, "must be true or false")
		}
	}
	change := consent.PurposeChange{Name: r.Name.orEmpty(), Description: r.Description.orEmpty(),
		Document: r.LegalText.orEmpty(), URL: r.URL.orEmpty(), LegalBasis: r.LegalBasis.orEmpty(),
		RequireReaccept: r.RequireReaccept.orEmpty(), Category: r.Category.orEmpty(), Subcategory: r.Subcategory.orEmpty(),
		Label: r.Label.orEmpty(), Status: r.Status.orEmpty(), Duration: r.Duration.orEmpty(), Required: r.Required.orEmpty(),
		RemoveTexts: r.Texts.null, Texts: map[string]*consent.TextChange{}}
	for tag, text := range r.Texts.value {
		if text.null {
			change.Texts[tag] = nil
			continue
		}
		change.Texts[tag] = &consent.TextChange{Name: text.value.Name.orEmpty(),
			Description: text.value.Description.orEmpty(), LegalText: text.value.LegalText.orEmpty()}
	}
	return change, nil
}

// purpose is a purpose as it is shown.
type purpose struct {
	Key             string               `json:"key"`
	Project         string               `json:"project"`
	Name            string               `json:"name"`
	Description     string               `json:"description,omitzero"`
	LegalText       string               `json:"legalText,omitzero"`
	URL             string               `json:"url,omitzero"`
	Category        string               `json:"category"`
	Subcategory     string               `json:"subcategory"`
	Label           string               `json:"label"`
	Duration        consent.Duration     `json:"duration"`
	LegalBasis      consent.LegalBasis   `json:"legalBasis"`
	RequireReaccept bool                 `json:"requireReaccept"`
	Required        bool                 `json:"required"`
	Status          string               `json:"status"`
	Version         int                  `json:"version"`
	CreatedAt       instant              `json:"createdAt"`
	UpdatedAt       instant              `json:"updatedAt"`
	Texts           map[string]shownText `json:"texts,omitzero"`
}

// shownText is what a purpose says in a language. SHA256 is of its legal text, and shown of versions alone.
type shownText struct {
	Name        string `json:"name,omitzero"`
	Description string `json:"description,omitzero"`
	LegalText   string `json:"legalText,omitzero"`
	SHA256      string `json:"sha256,omitzero"`
}

// purposeList is a page of purposes; NextCursor is absent on the last one.
type purposeList struct {
	Items      []purpose `json:"items"`
	NextCursor string    `json:"nextCursor,omitzero"`
}

func purposeOf(v *consent.PurposeView) purpose {
	return purpose{
		Key:             v.Key,
		Project:         v.ProjectID.String(),
		Name:            v.Name,
		Description:     v.Description,
		LegalText:       v.Wording.Document,
		URL:             v.URL,
		Category:        v.Taxonomy.Category,
		Subcategory:     v.Taxonomy.Subcategory,
		Label:           v.Taxonomy.Label,
		Duration:        v.Duration,
		LegalBasis:      v.LegalBasis,
		RequireReaccept: v.RequireReaccept,
		Required:        v.Required,
		Status:          v.Status,
		Version:         v.Version,
		CreatedAt:       instant(v.CreatedAt),
		UpdatedAt:       instant(v.UpdatedAt),
		Texts:           textsOf(v.Wording.Texts, false),
	}
}

func textsOf(texts consent.Texts, hashed bool) map[string]shownText {
	var shown map[string]shownText
	for tag, text := range texts {
		if shown == nil {
			shown = make(map[string]shownText, len(texts))
		}
		one := shownText{Name: text.Name, Description: text.Description, LegalText: text.LegalText}
		if hashed && text.LegalText != "" {
			hash := sha256.Sum256([]byte(text.LegalText))
			one.SHA256 = hex.EncodeToString(hash[:])
		}
		shown[tag] = one
	}
	return shown
}

// purposeVersion is a version of a purpose as it is shown. A list has no texts. SHA256 is that of LegalText, absent
// where there is none; To is absent on the version of now.
type purposeVersion struct {
	Version         int                  `json:"version"`
	Name            string               `json:"name"`
	Description     string               `json:"description,omitzero"`
	LegalText       string               `json:"legalText,omitzero"`
	URL             string               `json:"url,omitzero"`
	LegalBasis      consent.LegalBasis   `json:"legalBasis"`
	RequireReaccept bool                 `json:"requireReaccept"`
	SHA256          string               `json:"sha256,omitzero"`
	From            instant              `json:"from"`
	To              instant              `json:"to,omitzero"`
	Texts           map[string]shownText `json:"texts,omitzero"`
}

// versionList is a page of versions; NextCursor is absent on the last one.
type versionList struct {
	Items      []purposeVersion `json:"items"`
	NextCursor string           `json:"nextCursor,omitzero"`
}

func versionOf(v *consent.PurposeVersionView) purposeVersion {
	return purposeVersion{
		Version:         v.Number,
		Name:            v.Name,
		Description:     v.Description,
		LegalText:       v.Wording.Document,
		URL:             v.URL,
		LegalBasis:      v.LegalBasis,
		RequireReaccept: v.RequireReaccept,
		SHA256:          hex.EncodeToString(v.DocumentHash),
		From:            instant(v.HeldFrom),
		To:              instant(v.HeldTo),
		Texts:           textsOf(v.Wording.Texts, true),
	}
}
