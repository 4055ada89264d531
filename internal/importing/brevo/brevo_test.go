package brevo_test

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/brevo"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, brevo.Format, "contacts.csv",
		importing.Options{Purpose: "newsletter", Dates: importing.Dates{Zone: time.UTC, Order: importing.DayFirst}})
	importingtest.Golden(t, brevo.Format, "both.csv", importing.Options{Purpose: "newsletter"})
}

func FuzzBrevo(f *testing.F) {
	importingtest.Fuzz(f, brevo.Format, importing.Options{Purpose: "newsletter"})
}
