package onetrust_test

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/importingtest"
	"github.com/consentd/consentd/internal/importing/onetrust"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, onetrust.Format, "receipts.csv", importing.Options{Dates: importing.Dates{Zone: time.UTC},
		Map: &importing.Map{Purposes: map[string]string{"newsletter": "newsletter", "surveys": ""}}})
}

func FuzzOnetrust(f *testing.F) {
	importingtest.Fuzz(f, onetrust.Format, importing.Options{Dates: importing.Dates{Zone: time.UTC},
		Map: &importing.Map{Purposes: map[string]string{"newsletter": "newsletter", "surveys": ""}}})
}
