package native

import (
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// identifiers name one person, by kind.
type identifiers struct {
	UserID        *string `json:"userId"`
	ProjectUserID *string `json:"projectUserId"`
	Email         *string `json:"email"`
	Phone         *string `json:"phone"`
	AnonymousID   *string `json:"anonymousId"`
}

// identifierNames are this API's names of the core's kinds of identifiers.
var identifierNames = protocol.Names{
	string(consent.UserID): "userId", string(consent.ProjectUserID): "projectUserId",
	string(consent.AnonymousID): "anonymousId",
}

// list gives those that were given.
func (i *identifiers) list() []consent.Identifier {
	if i == nil {
		return nil
	}
	var out []consent.Identifier
	for _, id := range [...]struct {
		kind  consent.IdentifierKind
		value *string
	}{{consent.UserID, i.UserID}, {consent.ProjectUserID, i.ProjectUserID}, {consent.Email, i.Email},
		{consent.Phone, i.Phone}, {consent.AnonymousID, i.AnonymousID}} {
		if id.value != nil {
			out = append(out, consent.Identifier{Kind: id.kind, Value: *id.value})
		}
	}
	return out
}
