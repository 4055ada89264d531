package concord_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/concord"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, concord.Format, "pages.json", importing.Options{})
}

func FuzzConcord(f *testing.F) { importingtest.Fuzz(f, concord.Format, importing.Options{}) }
