package concord

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// failure is the body of every error [doc].
type failure struct {
	StatusCode int    `json:"statusCode"`
	Error      string `json:"error"`
	Message    string `json:"message"`
}

// fail answers an error in the protocol's one shape (contract, head of the page).
func fail(c *protocol.Call, err error) {
	status, field, msg := protocol.Status(err)
	_ = protocol.WriteJSON(c, status, failure{ // it has nothing that JSON cannot say
		StatusCode: status,
		Error:      http.StatusText(status),
		Message:    protocol.Message(field, msg),
	})
}

// invalid is a mistake in the form of a call: 400.
func invalid(field, msg string) error {
	return &consent.Error{Kind: consent.Invalid, Field: field, Msg: msg}
}

// fieldNames are the core's names of fields that have another one here.
var fieldNames = protocol.Names{
	"slug":                        "organizationSlug",
	"duration":                    "consentDuration",
	"purpose":                     "consentType",
	"state":                       "consentState",
	"action":                      "consentAction",
	"occurred_at":                 "consentDate",
	"expires_at":                  "expirationDate",
	string(consent.ProjectUserID): "projectUserId",
	string(consent.UserID):        "userId",
	string(consent.Phone):         "phoneNumber",
	string(consent.AnonymousID):   "concordId",
}
