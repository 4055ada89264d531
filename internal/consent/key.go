package consent

import (
	"slices"
	"strings"
	"time"
)

// Scope is one permission of a key.
type Scope string

const (
	OrganizationsWrite Scope = "organizations:write"
	OrganizationsRead  Scope = "organizations:read"
	ConsentsWrite      Scope = "consents:write"
	ConsentsRead       Scope = "consents:read"
	SubjectsWrite      Scope = "subjects:write"
	SubjectsRead       Scope = "subjects:read"
	SubjectsErase      Scope = "subjects:erase"
	// ManageHub is named by a vendor's document; it allows what an e-mail based
	// preference form needs: to record consents of a person and to read them back.
	ManageHub    Scope = "manage:consent-hub-consent"
	LedgerRead   Scope = "ledger:read"
	ImportsWrite Scope = "imports:write"
	// WebhooksWrite allows to have other systems told of everything that happens, and to see who is.
	WebhooksWrite Scope = "webhooks:write"
)

// AllScopes lists every scope, in the order in which they are shown.
var AllScopes = []Scope{OrganizationsWrite, OrganizationsRead, ConsentsWrite, ConsentsRead,
	SubjectsWrite, SubjectsRead, SubjectsErase, ManageHub, LedgerRead, ImportsWrite, WebhooksWrite}

// Key is an API key as it is kept: the secret itself is not here.
type Key struct {
	Organization ID // zero: the root key
	ID           ID
	Name         string
	Scopes       []Scope
	SecretHash   [32]byte // SHA-256 of the secret part
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	RevokedAt    time.Time // zero: not revoked
}

// Live tells whether the key may be used at that instant.
func (k *Key) Live(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Actor is who calls: which key, for which organization, with which scopes.
// Authenticate makes one; In points it at the organization that a path or
// header names.
type Actor struct {
	Organization ID
	Key          ID
	Root         bool
	Scopes       []Scope
	// Person, where set, is the normalised user_id that this actor speaks for and is confined to.
	Person string
	Seal   [32]byte // encrypts idempotency records: only who has the credential can read them
}

// In points the actor at an organization. For another tenant's the answer is
// NotFound, the same as for one that does not exist.
func (a Actor) In(organization ID) (Actor, error) {
	if a.Root && organization != NoID {
		a.Organization = organization
		return a, nil
	}
	if a.Organization != organization || organization == NoID {
		return Actor{}, ErrNoOrganization
	}
	return a, nil
}

// ErrNoOrganization is said of an organization that is not there, and of another tenant's.
var ErrNoOrganization = &Error{Kind: NotFound, Msg: "organization not found"}

// Has tells whether the actor has a scope; the root key has all.
func (a Actor) Has(s Scope) bool { return a.Root || slices.Contains(a.Scopes, s) }

// Require refuses an actor that lacks a scope.
func (a Actor) Require(s Scope) error { return a.RequireAll(s) }

// RequireAll refuses who lacks some of the scopes, and names all that are missing. Errors: Forbidden.
func (a Actor) RequireAll(scopes ...Scope) error {
	var missing []string
	for _, s := range scopes {
		if !a.Has(s) {
			missing = append(missing, string(s))
		}
	}
	switch last := len(missing) - 1; last {
	case -1:
		return nil
	case 0:
		return Errorf(Forbidden, "", "the key lacks the scope %s", missing[0])
	default:
		return Errorf(Forbidden, "", "the key lacks the scopes %s and %s", strings.Join(missing[:last], ", "),
			missing[last])
	}
}

// NewKey asks for a key.
type NewKey struct {
	Name      string    // 1 to 256 characters
	Scopes    []Scope   // at least one; none that the maker lacks
	ExpiresAt time.Time // zero: never
}

// CreatedKey is a new key with its text, which is shown once and kept nowhere.
type CreatedKey struct {
	Key
	Text string
}

// Confined refuses an actor who speaks for one person and asks for another.
func (a Actor) Confined(given []Identifier) error {
	if a.Person == "" || len(given) == 1 && given[0].Kind == UserID && given[0].Value == a.Person {
		return nil
	}
	return Errorf(Forbidden, "", "this token reaches its own person only")
}
