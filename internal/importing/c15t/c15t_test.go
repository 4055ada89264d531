package c15t_test

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/c15t"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, c15t.Format, "tables", importing.Options{Dates: importing.Dates{Zone: time.UTC}})
}

func FuzzC15t(f *testing.F) {
	importingtest.Fuzz(f, c15t.Format, importing.Options{Dates: importing.Dates{Zone: time.UTC}})
}
