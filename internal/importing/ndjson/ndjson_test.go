package ndjson_test

import (
	"testing"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/importingtest"
	"github.com/consentd/consentd/internal/importing/ndjson"
)

func TestSamples(t *testing.T) {
	importingtest.Golden(t, ndjson.Format, "lines.ndjson", importing.Options{})
	importingtest.Golden(t, ndjson.Format, "events.ndjson", importing.Options{})
}

// TestOnlyProject takes the other project's event of the export alone.
func TestOnlyProject(t *testing.T) {
	in, err := importing.Open("testdata/events.ndjson", "")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got, err := importingtest.Said(in, ndjson.Format, importing.Options{OnlyProject: "019ad000-0000-7000-8000-0000000000fe"})
	const want = `# record 1, line 1, left out: it is of another project
# record 2, line 2, left out: it is of another project
{"externalId":"019ad000-0000-7000-8000-000000000003","identifiers":{"anonymousId":"019ad000-0000-7000-8000-0000000000ab"},"purpose":"analytics","state":"declined","occurredAt":"2026-01-31T12:00:00.000000Z"}
# record 4, line 4, refused: its store could not decrypt whom it is about
# record 5, line 5, left out: it ends an export
`
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func FuzzNDJSON(f *testing.F) { importingtest.Fuzz(f, ndjson.Format, importing.Options{}) }
