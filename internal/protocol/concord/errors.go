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
var fieldNames = map[string]string{
	"slug":                        "organizationSlug",
	"duration":                    "consentDuration",
	string(consent.ProjectUserID): "projectUserId",
	string(consent.UserID):        "userId",
	string(consent.Phone):         "phoneNumber",
	string(consent.AnonymousID):   "concordId",
}

// inOurWords gives an error of the core this protocol's name of the field.
func inOurWords(err error) error {
	e := consent.AsError(err)
	if e == nil || fieldNames[e.Field] == "" {
		return err
	}
	return &consent.Error{Kind: e.Kind, Field: fieldNames[e.Field], Msg: e.Msg, Err: e.Err}
}
