package consent

import "strings"

// IdentifierKind says what sort of name an identifier is.
type IdentifierKind string

const (
	UserID        IdentifierKind = "user_id"
	ProjectUserID IdentifierKind = "project_user_id" // scoped to a project
	Username      IdentifierKind = "username"
	Email         IdentifierKind = "email"
	Phone         IdentifierKind = "phone"
	AnonymousID   IdentifierKind = "anonymous_id" // a browser's; mostly a UUID
	SubjectID     IdentifierKind = "subject_id"   // a subject's own id, see Item.Subject; nobody gets one
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

// Naming tells whether an organization names a subject by the kind: UserID or a typed one.
func (k IdentifierKind) Naming() bool { return k.Strength() == 0 }

// OwnID tells whether an identifier of the kind may be a subject's own id.
func (k IdentifierKind) OwnID() bool { return k == AnonymousID || k == SubjectID }

// Identifier names one subject of an organization.
type Identifier struct {
	Kind IdentifierKind
	// Project is the project's number for ProjectUserID, else 0. The service fills it in.
	Project int
	Value   string // normalised
}

// PrepareIdentifiers normalises identifiers, scopes them to the project and ranks them.
// The error's Field is the kind.
func PrepareIdentifiers(given []Identifier, project int, emailFirst bool) ([]Identifier, error) {
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
