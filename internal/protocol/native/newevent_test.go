package native

import (
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// FuzzNewEvents: a body is refused with places that are JSON pointers, or makes a batch of as many items, which the
// core can be asked about.
func FuzzNewEvents(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"identifiers":{"userId":"u"},"purpose":"marketing","state":"accepted"}]}`,
		`{"items":[{"subjectId":"0190aaaa-0000-7000-8000-000000000001","purpose":"p","purposeVersion":2,"state":"declined",` +
			`"action":"import","occurredAt":"2028-02-29T00:00:00+18:00","expiresAt":"2030-01-01t00:00:00.5z"}]}`,
		`{"items":[{"purpose":"p","state":"viewed","evidence":{"ip":"::1%eth0","country":"UK","displayedText":"x"},` +
			`"metadata":{"a":1e3,"é":"\ud834\udd1e","t":true}}]}`,
		`{"items":[{"metadata":{"a":[]}},5,null,{"x":1}]}`, `{"items":null}`, `{"items":{}}`, `null`, `[]`,
		`{"items":[{"purposeVersion":99999999999999999999}]}`, `{"items":[{"evidence":{"ip":7}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var body *newEvents
		if err := protocol.UnmarshalStrict(raw, &body); err != nil || body == nil {
			return // which readBody refuses, see FuzzNewKey
		}
		w, err := body.write()
		if err == nil {
			if len(w.Items) != len(body.Items) || len(w.Items) < 1 || len(w.Items) > consent.MaxItems {
				t.Fatalf("%d items became %d", len(body.Items), len(w.Items))
			}
			for i := range w.Items {
				if len(w.Items[i].Decisions) != 1 || w.Items[i].Decisions[0].State == 0 || w.Items[i].Decisions[0].Action == 0 {
					t.Fatalf("item %d became %+v", i, w.Items[i])
				}
			}
			return
		}
		e := consent.AsError(err)
		if len(e.More) >= maxFaults {
			t.Fatalf("%d mistakes", 1+len(e.More))
		}
		for _, e := range append([]*consent.Error{e}, e.More...) {
			if p := pointerTo(e.Field); e.Kind != consent.Unprocessable || !strings.HasPrefix(p, "/items") {
				t.Fatalf("%v at %q", e, p)
			}
		}
	})
}
