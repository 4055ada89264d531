package slashid_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/importingtest"
	"github.com/consentd/consentd/internal/importing/slashid"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, slashid.Format, "persons.ndjson", importing.Options{})
}

func FuzzSlashid(f *testing.F) { importingtest.Fuzz(f, slashid.Format, importing.Options{}) }
