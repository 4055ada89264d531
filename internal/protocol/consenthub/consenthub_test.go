package consenthub

import (
	"net/http"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

func TestCredential(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, ""},
		{"basic", []string{"Basic bWVAZXhhbXBsZS5jb206c2VjcmV0"}, "secret"},
		{"basic, no user name", []string{"Basic OnNlY3JldA=="}, "secret"},
		{"basic, a colon in the password", []string{"basic bWU6c2U6Y3JldA=="}, "se:cret"},
		{"basic, no colon", []string{"Basic c2VjcmV0"}, ""},
		{"basic, no base64", []string{"Basic !"}, ""},
		{"bearer", []string{"Bearer secret"}, "secret"},
		{"bearer, other case", []string{"bEARER  secret"}, "secret"},
		{"bearer, empty", []string{"Bearer"}, ""},
		{"another scheme", []string{"Digest secret"}, ""},
		{"twice", []string{"Bearer secret", "Bearer secret"}, ""},
	} {
		r := &http.Request{Header: http.Header{"Authorization": tc.headers}}
		if got := credential(r); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestFieldOf: no noun of the core's reaches a client.
func TestFieldOf(t *testing.T) {
	for noun, want := range map[string]string{
		"identifiers": "email", "email": "email", "project_user_id": "providerId", "locale": "locale",
		"form_url": "formUrl", "purpose": "consents", "state": "consents", "displayed_text": "consents",
		string(consent.Phone): "consents",
	} {
		if got := fieldOf(0, noun); got != want {
			t.Errorf("%s: got %s, want %s", noun, got, want)
		}
	}
}
