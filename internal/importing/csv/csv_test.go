package csv_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/csv"
	"github.com/consentd/consentd/internal/importing/importingtest"
)

func wide(t testing.TB) importing.Options {
	t.Helper()
	file, err := os.Open("testdata/wide.map")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := importing.ReadMap(file)
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return importing.Options{Map: m, Dates: importing.Dates{Zone: berlin, Order: importing.DayFirst}}
}

func TestSamples(t *testing.T) {
	importingtest.Golden(t, csv.Format, "native.csv", importing.Options{})
	importingtest.Golden(t, csv.Format, "wide.csv", wide(t))
	importingtest.Golden(t, csv.Format, "export.csv", importing.Options{})
}

func TestFileIsRefused(t *testing.T) {
	for _, tc := range []struct{ header, m, fails string }{
		{"email,purpose,state,occurredAt", "", "column 1 of the header is no member of a line; name it in columns of a map"},
		{"identifiers.email,purpose,state", "", "no column is occurredAt"},
		{"identifiers.email,purpose,occurredAt", "", "no column is state"},
		{"identifiers.email,state,occurredAt", "", "no column is purpose"},
		{"identifiers.email,state,occurredAt", "constants: {purpose: news}", ""},
		{"identifiers.email,occurredAt", "wide: {news: news}", `wide of the map names a column that the header has not: "news"`},
		{"identifiers.email,occurredAt,news,state", "wide: {news: news}", "wide columns go without a purpose and a state"},
		{"identifiers.email,state,occurredAt", "columns: {x: purpose}", `columns of the map name one that the header has not: "x"`},
		{"identifiers.email,purpose,state,occurredAt", "states: {no: accepted}", `"no" is no yes, and cannot be made one`},
	} {
		m, err := importing.ReadMap(strings.NewReader(tc.m))
		if err != nil {
			t.Fatal(err)
		}
		_, err = importingtest.Said(importingtest.Text(tc.header+"\n"), csv.Format, importing.Options{Map: m})
		if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
			t.Errorf("%s: %v, want %s", tc.header, err, tc.fails)
		}
	}
}

func FuzzCSV(f *testing.F) { importingtest.Fuzz(f, csv.Format, wide(f)) }
