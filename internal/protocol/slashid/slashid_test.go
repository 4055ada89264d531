package slashid_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/consentd/consentd/internal/webtest"
)

func TestTranscripts(t *testing.T) { webtest.Run(t, "testdata/*.txt") }

// slashid.md, Meaning in the ledger: two overwrites of one person at once end as one of the two, never a mixture.
func TestOverwritesAtOnce(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		testOverwritesAtOnce(t, webtest.NewSite(t, e.OpenAll(t)...))
	})
}

func testOverwritesAtOnce(t *testing.T, site *webtest.Site) {
	send := func(method, path, body string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("SlashID-OrgID", site.Vars["org"])
		r.Header.Set("SlashID-API-Key", site.Vars["key"])
		rec := httptest.NewRecorder()
		site.Handler.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	status, created := send(http.MethodPost, "/persons", `{"handles":[{"type":"username","value":"busy"}]}`)
	_, rest, _ := strings.Cut(created, `"person_id":"`)
	if status != http.StatusCreated || len(rest) < 36 {
		t.Fatalf("create: %d %s", status, created)
	}
	path := "/persons/" + rest[:36] + "/consent/gdpr"
	bodies := []string{`{"consent_levels":["analytics","marketing"]}`, `{"consent_levels":["none","tracking"]}`,
		`{"consent_levels":["marketing","retargeting"]}`}
	ends := []string{"analytics+marketing", "none+tracking", "marketing+retargeting"}
	shown := func(body string) string {
		var names []string
		for _, level := range []string{"none", "necessary", "analytics", "marketing", "retargeting", "tracking"} {
			if strings.Contains(body, fmt.Sprintf(`"consent_level":%q`, level)) {
				names = append(names, level)
			}
		}
		return strings.Join(names, "+")
	}
	for range 20 {
		var all sync.WaitGroup
		for i := range bodies {
			all.Go(func() {
				if status, body := send(http.MethodPut, path, bodies[i]); status != http.StatusOK || shown(body) != ends[i] {
					t.Errorf("PUT %s: %d %s", bodies[i], status, body)
				}
			})
		}
		all.Wait()
		status, body := send(http.MethodGet, path, "")
		if end := shown(body); status != http.StatusOK || end != ends[0] && end != ends[1] && end != ends[2] {
			t.Fatalf("ended as %q: %d %s", end, status, body)
		}
	}
}
