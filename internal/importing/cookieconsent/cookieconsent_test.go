package cookieconsent_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/cookieconsent"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, cookieconsent.Format, "cookies.ndjson", importing.Options{Map: &importing.Map{}})
}

func FuzzCookieconsent(f *testing.F) {
	importingtest.Fuzz(f, cookieconsent.Format, importing.Options{Map: &importing.Map{}})
}
