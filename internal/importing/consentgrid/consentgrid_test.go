package consentgrid_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/consentgrid"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, consentgrid.Format, "subjects.json",
		importing.Options{Map: &importing.Map{Wide: map[string]string{
			"data.consents.newsletter": "newsletter", "data.consents.phone": "phone"},
			Columns: map[string]string{"data.email": "identifiers.email"}}})
}

func FuzzConsentgrid(f *testing.F) {
	importingtest.Fuzz(f, consentgrid.Format,
		importing.Options{Map: &importing.Map{Wide: map[string]string{
			"data.consents.newsletter": "newsletter", "data.consents.phone": "phone"},
			Columns: map[string]string{"data.email": "identifiers.email"}}})
}
