package mailchimp_test

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/importingtest"
	"github.com/consentd/consentd/internal/importing/mailchimp"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, mailchimp.Format, "audience.zip",
		importing.Options{Purpose: "newsletter", Dates: importing.Dates{Zone: time.UTC}})
	importingtest.Golden(t, mailchimp.Format, "members.csv", importing.Options{Purpose: "newsletter"})
}

func FuzzMailchimp(f *testing.F) {
	importingtest.Fuzz(f, mailchimp.Format, importing.Options{Purpose: "newsletter"})
}
