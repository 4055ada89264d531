package consenthub_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/consenthub"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, consenthub.Format, "calls.ndjson", importing.Options{})
}

func FuzzConsenthub(f *testing.F) { importingtest.Fuzz(f, consenthub.Format, importing.Options{}) }
