package klaro_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/importingtest"
	"github.com/consentd/consentd/internal/importing/klaro"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, klaro.Format, "log.ndjson",
		importing.Options{Map: &importing.Map{Purposes: map[string]string{"matomo": "analytics",
			"googleads": "marketing", "facebook": "marketing"}}})
}

func FuzzKlaro(f *testing.F) {
	importingtest.Fuzz(f, klaro.Format,
		importing.Options{Map: &importing.Map{Purposes: map[string]string{"matomo": "analytics",
			"googleads": "marketing", "facebook": "marketing"}}})
}
