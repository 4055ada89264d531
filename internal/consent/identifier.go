package consent

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
)

// IdentifierKind says what sort of name an identifier is.
type IdentifierKind string

const (
	UserID        IdentifierKind = "user_id"
	ProjectUserID IdentifierKind = "project_user_id" // scoped to a project
	Username      IdentifierKind = "username"
	Email         IdentifierKind = "email"
	Phone         IdentifierKind = "phone"
	AnonymousID   IdentifierKind = "anonymous_id" // a browser's, a UUID
	typedPrefix                  = "subject:"     // and the type: a subject that is no user
)

// TypedKind is the kind by which subjects of a type are named: UserID for "user".
func TypedKind(subjectType string) IdentifierKind {
	if subjectType == DefaultSubjectType {
		return UserID
	}
	return IdentifierKind(typedPrefix + subjectType)
}

// SubjectType is the type of subjects that are named by the kind.
func (k IdentifierKind) SubjectType() string {
	if t, ok := strings.CutPrefix(string(k), typedPrefix); ok {
		return t
	}
	return DefaultSubjectType
}

// Strength ranks the kinds, the strongest first; a typed one is as strong as UserID.
func (k IdentifierKind) Strength() int {
	switch k {
	case ProjectUserID:
		return 1
	case Username:
		return 2
	case Email:
		return 3
	case Phone:
		return 4
	case AnonymousID:
		return 5
	default:
		return 0
	}
}

// single tells whether a subject has at most one of the kind (one a project for ProjectUserID).
func (k IdentifierKind) single() bool { return k.Strength() <= 1 }

// naming tells whether an organization names a subject by the kind: UserID or a typed one.
func (k IdentifierKind) naming() bool { return k.Strength() == 0 }

// Identifier names one subject of an organization.
type Identifier struct {
	Kind IdentifierKind
	// Project is the project's number for ProjectUserID, else 0. The service fills it in.
	Project int
	Value   string // normalised
}

// MaxIdentifier is the most bytes an identifier may have.
const MaxIdentifier = 256

// Normalize brings a value to the one form that is looked up (contracts,
// "Identity"). The error's message does not repeat the value.
func Normalize(kind IdentifierKind, value string) (string, error) {
	switch kind {
	case Email:
		return normalizeEmail(value)
	case Phone:
		return normalizePhone(value)
	case AnonymousID:
		id, ok := ParseID(value)
		if !ok || id == NoID { // all zeros means "unset" to many clients: they are not one person
			return "", Errorf(Invalid, "", "must be a UUID that is not all zeros")
		}
		return id.String(), nil
	default:
		if id, ok := ParseID(value); ok {
			value = id.String() // lower case
		}
		return value, checkIdentifier(value)
	}
}

func checkIdentifier(value string) error {
	switch {
	case value == "":
		return Errorf(Invalid, "", "must not be empty")
	case len(value) > MaxIdentifier:
		return Errorf(Invalid, "", "must have %d bytes at most", MaxIdentifier)
	case !utf8.ValidString(value):
		return Errorf(Invalid, "", "must be valid UTF-8")
	case strings.ContainsFunc(value, unicode.IsControl):
		return Errorf(Invalid, "", "must not contain control characters")
	}
	return nil
}

var errEmail = &Error{Kind: Invalid, Msg: "must be an e-mail address"}

// normalizeEmail trims, lower-cases and turns the domain to ASCII (IDNA, RFC 5891).
func normalizeEmail(value string) (string, error) {
	value = strings.TrimSpace(value)
	if err := checkIdentifier(value); err != nil {
		return "", err
	}
	at := strings.LastIndexByte(value, '@')
	if at < 1 || at == len(value)-1 {
		return "", errEmail
	}
	local, domain := strings.Map(lowerLetter, value[:at]), value[at+1:]
	if strings.ContainsFunc(local, unicode.IsSpace) || strings.ContainsAny(local, "<>,;") ||
		strings.Contains(local, "@") && !strings.HasPrefix(local, `"`) {
		return "", errEmail
	}
	domain, ok := normalizeDomain(domain)
	if !ok {
		return "", errEmail
	}
	email := local + "@" + domain
	return email, checkIdentifier(email)
}

// lowerLetter lower-cases a letter; not one that would become another alphabet's (the Kelvin sign is no k).
func lowerLetter(r rune) rune {
	if lower := unicode.ToLower(r); r < utf8.RuneSelf || lower >= utf8.RuneSelf {
		return lower
	}
	return r
}

// normalizeDomain lower-cases a domain; what is not plain ASCII goes through IDNA.
func normalizeDomain(domain string) (string, bool) {
	plain := true
	for i := range len(domain) {
		c := domain[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-':
		default:
			plain = false
		}
	}
	if !plain || strings.Contains(domain, "xn--") {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", false
		}
		domain = strings.ToLower(ascii)
	}
	if len(domain) > 253 || domain == "" {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	return domain, true
}

// normalizePhone brings a number to E.164 where it parses as an international
// one, else trims it.
func normalizePhone(value string) (string, error) {
	value = strings.TrimSpace(value)
	if err := checkIdentifier(value); err != nil {
		return "", err
	}
	if e164, ok := toE164(value); ok {
		// What no country has dialled may lose a digit each time it is parsed: then it has no one form.
		if again, ok := toE164(e164); ok && again == e164 {
			return e164, nil
		}
	}
	return value, nil
}

// toE164 reads a number that is nothing but a number: who shares it with others at an extension is not the others.
func toE164(value string) (string, bool) {
	if strings.ContainsFunc(value, func(r rune) bool { return (r < '0' || r > '9') && !strings.ContainsRune("+ ().-/", r) }) {
		return "", false
	}
	n, err := phonenumbers.Parse(value, "")
	if err != nil || n.GetExtension() != "" {
		return "", false
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	return e164, len(e164) > 1
}

// prepare normalises identifiers, scopes them to the project and ranks them.
// The error's Field is the kind.
func prepare(given []Identifier, project int, emailFirst bool) ([]Identifier, error) {
	out := make([]Identifier, 0, len(given))
	for _, id := range given {
		value, err := Normalize(id.Kind, id.Value)
		if err != nil {
			return nil, &Error{Kind: Invalid, Field: string(id.Kind), Msg: AsError(err).Msg}
		}
		id = Identifier{Kind: id.Kind, Value: value}
		if id.Kind == ProjectUserID {
			id.Project = project
		}
		at := len(out)
		for at > 0 && rank(id.Kind, emailFirst) < rank(out[at-1].Kind, emailFirst) {
			at--
		}
		out = append(out, Identifier{})
		copy(out[at+1:], out[at:])
		out[at] = id
	}
	return out, nil
}

func rank(k IdentifierKind, emailFirst bool) int {
	if emailFirst && k == Email {
		return -1
	}
	return k.Strength()
}
