package consenthub

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// consentRequest is the body of POST /consent-hub/consent.
type consentRequest struct {
	Consents   []consentEntry `json:"consents"`
	Email      *string        `json:"email"`
	FormURL    *string        `json:"formUrl"`
	Locale     *string        `json:"locale"`
	ProviderID *string        `json:"providerId"`
}

// consentEntry is one decision.
type consentEntry struct {
	Key           *string `json:"key"`
	Granted       *bool   `json:"granted"`
	DisplayedText *string `json:"displayedText"`
}

// configRequest is the body of POST /consent-hub/consent-config/get.
type configRequest struct {
	Email  *string `json:"email"`
	UserIP *string `json:"userIp"`
}

// configuration is the vendor's ConsentConfiguration: exactly these four members, always.
type configuration struct {
	Locale        string `json:"locale"`
	RequiresOptIn bool   `json:"localeRequiresMarketingCommunicationOptIn"`
	HasChosen     bool   `json:"hasUserMadeChoiceOnMarketingCommunicationOptIn"`
	Choice        bool   `json:"usersChoiceOnMarketingCommunicationOptIn"`
}

// Limits in bytes.
const (
	maxKey           = 128
	maxDisplayedText = 64 << 10
	maxFormURL       = 2048
)

// generalMarketingOptIn is the vendor's name of consent.GeneralMarketingOptIn.
const generalMarketingOptIn = "generalMarketingOptIn"

var errNoObject = &consent.Error{Kind: consent.Invalid, Msg: "the request body must be a JSON object"}

// write makes the core's write of the request: one item. Its country is the one that the locale
// stands for; the evidence keeps the locale itself.
// Errors: Invalid, with the field.
func (r *consentRequest) write() (consent.Write, error) {
	if r == nil {
		return consent.Write{}, errNoObject
	}
	identifiers, err := r.identifiers()
	if err != nil {
		return consent.Write{}, err
	}
	locale, err := localeOf(r.Locale)
	if err != nil {
		return consent.Write{}, err
	}
	formURL := valueOf(r.FormURL)
	if err := checkFormURL(formURL); err != nil {
		return consent.Write{}, err
	}
	decisions, err := decisionsOf(r.Consents)
	if err != nil {
		return consent.Write{}, err
	}
	return consent.Write{
		Items: []consent.Item{{
			Identifiers: identifiers,
			EmailFirst:  true,
			Decisions:   decisions,
			Evidence:    consent.Evidence{FormURL: formURL, Locale: locale},
		}},
		Origin: consent.Origin{Country: consent.CountryCode(locale)},
		Field:  fieldNames.Field,
	}, nil
}

// fieldNames are our names of the places that the core speaks of.
var fieldNames = protocol.Names{
	"identifiers":                 "email",
	string(consent.Email):         "email",
	string(consent.ProjectUserID): "providerId",
	"locale":                      "locale",
	"form_url":                    "formUrl",
	"":                            "consents",
}

func (r *consentRequest) identifiers() ([]consent.Identifier, error) {
	if r.Email == nil {
		return nil, consent.Errorf(consent.Invalid, "email", "is required")
	}
	email, err := identifier(consent.Email, "email", *r.Email)
	if err != nil || r.ProviderID == nil {
		return []consent.Identifier{email}, err
	}
	provider, err := identifier(consent.ProjectUserID, "providerId", *r.ProviderID)
	return []consent.Identifier{email, provider}, err
}

// identifier checks and normalises an identifier here, because a request without decisions
// is checked as well and the core never sees it.
func identifier(kind consent.IdentifierKind, field, value string) (consent.Identifier, error) {
	normal, err := consent.Normalize(kind, value)
	if err != nil {
		return consent.Identifier{}, protocol.At(field, err)
	}
	return consent.Identifier{Kind: kind, Value: normal}, nil
}

// localeOf reads the two-letter country code, in either case, or UNKNOWN.
func localeOf(given *string) (string, error) {
	if given == nil {
		return "", consent.Errorf(consent.Invalid, "locale", "is required")
	}
	locale := *given
	letter := func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
	switch {
	case locale == consent.UnknownCountry:
		return locale, nil
	case len(locale) == 2 && letter(locale[0]) && letter(locale[1]):
		return strings.ToUpper(locale), nil
	}
	return "", consent.Errorf(consent.Invalid, "locale", "must be a two-letter country code or %s", consent.UnknownCountry)
}

// checkFormURL takes any text, since the vendor's own sample is no URL.
func checkFormURL(formURL string) error {
	if len(formURL) > maxFormURL {
		return consent.Errorf(consent.Invalid, "formUrl", "must have %d bytes at most", maxFormURL)
	}
	if strings.ContainsFunc(formURL, unicode.IsControl) {
		return consent.Errorf(consent.Invalid, "formUrl", "must not contain control characters")
	}
	return nil
}

func decisionsOf(entries []consentEntry) ([]consent.Decision, error) {
	if len(entries) > consent.MaxItems {
		return nil, consent.Errorf(consent.Invalid, "consents", "may have %d entries at most", consent.MaxItems)
	}
	decisions := make([]consent.Decision, len(entries))
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		var err error
		if decisions[i], err = entries[i].decision(fmt.Sprintf("consents[%d].", i)); err != nil {
			return nil, err
		}
		key := decisions[i].Purpose.Key
		if seen[key] {
			return nil, consent.Errorf(consent.Invalid, fmt.Sprintf("consents[%d].key", i),
				"names the same consent as an entry before it")
		}
		seen[key] = true
	}
	return decisions, nil
}

// decision reads one entry; at is the place of its members in the request.
func (e *consentEntry) decision(at string) (consent.Decision, error) {
	if e.Key == nil {
		return consent.Decision{}, consent.Errorf(consent.Invalid, at+"key", "is required")
	}
	if n := len(*e.Key); n < 1 || n > maxKey || strings.ContainsFunc(*e.Key, unicode.IsControl) {
		return consent.Decision{}, consent.Errorf(consent.Invalid, at+"key",
			"must have 1 to %d bytes and no control characters", maxKey)
	}
	if e.Granted == nil {
		return consent.Decision{}, consent.Errorf(consent.Invalid, at+"granted", "is required and must be true or false")
	}
	text := valueOf(e.DisplayedText)
	if len(text) > maxDisplayedText {
		return consent.Decision{}, consent.Errorf(consent.Invalid, at+"displayedText", "must have %d KiB at most",
			maxDisplayedText>>10)
	}
	state := consent.Declined // an active no, also where a yes is on record
	if *e.Granted {
		state = consent.Accepted
	}
	return consent.Decision{
		Purpose:       consent.PurposeRef{Key: purposeKey(*e.Key), Create: true},
		State:         state,
		Action:        consent.UserClick,
		DisplayedText: text,
	}, nil
}

// purposeKey gives the purpose that a key means (contracts, "Purposes").
func purposeKey(key string) string {
	if key == generalMarketingOptIn {
		return consent.GeneralMarketingOptIn
	}
	return key
}

// configQuery is what a configRequest asks for: email is normalised, or empty where none was
// given; address is invalid where none was given.
type configQuery struct {
	email   string
	address netip.Addr
}

// query checks the request. Errors: Invalid, with the field.
func (r *configRequest) query() (q configQuery, err error) {
	if r == nil {
		return q, errNoObject
	}
	if r.Email != nil {
		id, err := identifier(consent.Email, "email", *r.Email)
		if err != nil {
			return q, err
		}
		q.email = id.Value
	}
	if r.UserIP != nil {
		q.address, err = netip.ParseAddr(*r.UserIP)
		if err != nil || q.address.Zone() != "" {
			return q, consent.Errorf(consent.Invalid, "userIp", "must be an IPv4 or IPv6 address, without a port or zone")
		}
		q.address = q.address.Unmap()
	}
	return q, nil
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
