package consenthub

import (
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestFieldNames: no noun of the core's reaches a client.
func TestFieldNames(t *testing.T) {
	for noun, want := range map[string]string{
		"identifiers": "email", "email": "email", "project_user_id": "providerId", "locale": "locale",
		"form_url": "formUrl", "purpose": "consents", "state": "consents", "displayed_text": "consents",
		string(consent.Phone): "consents",
	} {
		if got := fieldNames.Field(0, noun); got != want {
			t.Errorf("%s: got %s, want %s", noun, got, want)
		}
	}
}
