package consenthub

import (
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

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
