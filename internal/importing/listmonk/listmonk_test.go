package listmonk_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/importingtest"
	"github.com/consentd/consentd/internal/importing/listmonk"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, listmonk.Format, "subscribers.json",
		importing.Options{Map: &importing.Map{Purposes: map[string]string{"news": "newsletter", "offers": "offers"}}})
	importingtest.Golden(t, listmonk.Format, "subscribers.csv", importing.Options{Purpose: "newsletter"})
}

func FuzzListmonk(f *testing.F) {
	importingtest.Fuzz(f, listmonk.Format, importing.Options{Purpose: "newsletter"})
}
