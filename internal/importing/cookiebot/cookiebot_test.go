package cookiebot_test

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/cookiebot"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, cookiebot.Format, "log.csv", importing.Options{})
	importingtest.Golden(t, cookiebot.Format, "text.csv",
		importing.Options{Dates: importing.Dates{Zone: time.UTC, Order: importing.DayFirst}})
}

func FuzzCookiebot(f *testing.F) {
	importingtest.Fuzz(f, cookiebot.Format, importing.Options{Dates: importing.Dates{Zone: time.UTC,
		Order: importing.DayFirst}})
}
