package consenthub_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webtest"
)

func TestTranscripts(t *testing.T) {
	webtest.Run(t, "testdata/*.txt")
}

// TestEvidence proves consenthub.md, POST /consent-hub/consent: displayedText, formUrl,
// locale and providerId are kept with each event. No call shows them, so it looks at the ledger.
func TestEvidence(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) { testEvidence(t, e.Open(t)) })
}

func testEvidence(t *testing.T, store service.Store) {
	site := webtest.NewSite(t, store)
	res := webtest.Do(t, site.Handler, "POST", "/consent-hub/consent", map[string]string{
		"Authorization": "Bearer " + site.Vars["key"],
		"Content-Type":  "application/json",
		"User-Agent":    "a browser",
		"Referer":       "https://Shop.example/form?email=ada%40example.com",
	}, `{"email":"Ada@example.com","locale":"us","providerId":"12345","formUrl":"https://shop.example/form",
		"consents":[{"key":"generalMarketingOptIn","granted":true,"displayedText":"Yes"},{"key":"beta","granted":false}]}`)
	if res.Status != 202 {
		t.Fatal(res)
	}
	events := eventsOf(t, store, site.Vars["key"])
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	text := sha256.Sum256([]byte("Yes"))
	for i, want := range []struct{ purpose, state, text string }{
		{consent.GeneralMarketingOptIn, "accepted", "sha256:" + hex.EncodeToString(text[:])},
		{"beta", "declined", ""},
	} {
		decided, who := events[i].Body, events[i].Identity
		if decided.Purpose != want.purpose || decided.State != want.state || decided.DisplayedText != want.text ||
			decided.Locale != "US" || decided.Action != "user_click" || decided.Regime != consent.OptOut {
			t.Errorf("event %d: %+v", i, decided)
		}
		if d := cmp.Diff(map[string]string{"email": "ada@example.com", "project_user_id": "12345"},
			who.Identifiers); d != "" {
			t.Errorf("event %d: identifiers -want +got\n%s", i, d)
		}
		if who.FormURL != "https://shop.example/form" || who.Protocol != "consent-hub" || who.Country != "US" ||
			who.Domain != "shop.example" || who.UserAgent != "a browser" || who.IP != "127.0.0.0" {
			t.Errorf("event %d: %+v", i, who)
		}
	}
}

// TestLocaleAsSaid proves common.md, Places: the event's country and regime are those of the country that is meant,
// and the evidence keeps what was said.
func TestLocaleAsSaid(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) { testLocaleAsSaid(t, e.Open(t)) })
}

func testLocaleAsSaid(t *testing.T, store service.Store) {
	site := webtest.NewSite(t, store)
	cases := []struct {
		said, kept, country string
		regime              consent.Regime
	}{
		{"UK", "UK", "GB", consent.OptIn},
		{"el", "EL", "GR", consent.OptIn},
		{"gr", "GR", "GR", consent.OptIn},
		{"RE", "RE", "RE", consent.OptIn},
		{"zz", "ZZ", "UNKNOWN", consent.OptIn},
		{"US", "US", "US", consent.OptOut},
	}
	for i, c := range cases {
		res := webtest.Do(t, site.Handler, "POST", "/consent-hub/consent", map[string]string{
			"Authorization": "Bearer " + site.Vars["key"], "Content-Type": "application/json",
		}, fmt.Sprintf(`{"email":"p%d@example.com","locale":%q,"consents":[{"key":"news","granted":true}]}`, i, c.said))
		if res.Status != 202 {
			t.Fatal(res)
		}
	}
	events := eventsOf(t, store, site.Vars["key"])
	if len(events) != len(cases) {
		t.Fatalf("%d events, want %d", len(events), len(cases))
	}
	for i, c := range cases {
		e := events[i]
		if e.Body.Locale != c.kept || e.Identity.Country != c.country || e.Body.Regime != c.regime {
			t.Errorf("%s: locale %s, country %s, %s", c.said, e.Body.Locale, e.Identity.Country, e.Body.Regime)
		}
	}
}

// eventsOf reads the history of a key's organization, the oldest event first.
func eventsOf(t *testing.T, store service.Store, key string) []consent.EventView {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	svc := service.New(service.Options{Store: store, Keys: sealingtest.Ring(), Places: places})
	defer svc.Close()
	actor, err := svc.Authenticate(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	page, err := svc.Events(context.Background(), actor, consent.EventFilter{Ascending: true, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return page.Items
}
