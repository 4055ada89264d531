package slashid

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// result wraps every answer. meta and errors are absent on success: the vendor's
// client takes an empty array of errors for a failure (contract, "Answer").
type result[T any] struct {
	Result T `json:"result"`
}

type errorsBody struct {
	Errors []errorBody `json:"errors"`
}

type errorBody struct {
	HTTPCode int    `json:"httpcode"`
	Message  string `json:"message"`
}

type levelsRequest struct {
	ConsentLevels *[]string `json:"consent_levels"` // nil: absent or null
}

type levelsResult struct {
	Consents []levelBody `json:"consents"` // never null
}

type levelBody struct {
	ConsentLevel string `json:"consent_level"`
	CreatedAt    string `json:"created_at"`
}

// personRequest is the body of POST and PUT /persons. person_id is ours to make, so it is passed over.
type personRequest struct {
	Active     *bool          `json:"active"`
	PersonType *string        `json:"person_type"`
	Region     *string        `json:"region"`
	Handles    []handleBody   `json:"handles"`
	Groups     []string       `json:"groups"`
	Attributes jsontext.Value `json:"attributes"`
}

type handleBody struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type personResult struct {
	Active     bool           `json:"active"`
	PersonID   string         `json:"person_id"`
	PersonType string         `json:"person_type"`
	Region     string         `json:"region,omitzero"` // absent where nobody said one: there is no default region here
	Handles    []handleBody   `json:"handles"`
	Groups     []string       `json:"groups"`
	Attributes jsontext.Value `json:"attributes"`
}

// profile is what the core keeps of a person for this protocol alone (consent.Record.Profile).
type profile struct {
	Inactive   bool         `json:"inactive,omitzero"`
	PersonType string       `json:"person_type,omitzero"`
	Region     string       `json:"region,omitzero"`
	Handles    []handleBody `json:"handles,omitzero"` // normalised, in the order given
	Groups     []string     `json:"groups,omitzero"`
}

type mintRequest struct {
	CustomClaims map[string]jsontext.Value `json:"custom_claims"`
}

// jwkSet is a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037).
type jwkSet struct {
	Keys []jwk `json:"keys"`
}

type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// timestamp writes an instant as the vendor does: RFC 3339 in UTC, microseconds, trailing zeros trimmed.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z07:00") }
