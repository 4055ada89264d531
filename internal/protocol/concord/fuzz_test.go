package concord

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// What is refused is refused with 400 or 422; what is taken is what the contract admits.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"email":"jsmith@example.com","category":"disclosure","subcategory":["privacy_policy"],"consentState":"implied","consentAction":"implied","consentDate":"2023-11-07T05:31:56Z"}]}`,
		`{"items":[{"concordId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","consentType":"3c90c3cc-0d44-4b50-8888-8dd25736052a","label":"\u002a","consentState":"viewed","consentAction":"import"}]}`,
		`{"items":[{}]}`, `{"items":[null]}`, `{"items":{}}`, `[]`, `{"items":[{"subcategory":[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := decodeEvents(body)
		if refusedWell(t, err) {
			return
		}
		if len(w.Items) < 1 || len(w.Items) > consent.MaxItems {
			t.Fatalf("%d items", len(w.Items))
		}
		for i := range w.Items {
			d := w.Items[i].Decisions[0]
			if d.State == 0 || d.Action == 0 || d.Purpose == (consent.PurposeRef{}) || len(d.Purpose.Taxonomy.Label) > maxLabel {
				t.Fatalf("item %d: %+v", i, d)
			}
			for _, identifier := range w.Items[i].Identifiers {
				if !utf8.ValidString(identifier.Value) {
					t.Fatalf("item %d: %q", i, identifier.Value)
				}
			}
		}
	})
}

// refusedWell tells whether err is there, and fails where it is no mistake of the client's.
func refusedWell(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	if status, _, msg := protocol.Status(err); status != 400 && status != 422 || msg == "" {
		t.Fatalf("status %d, message %q: %v", status, msg, err)
	}
	return true
}

// The details that an organization was made with are shown again as they were.
func FuzzOrganizations(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Example","primaryDomain":"localhost","privacyPolicyUrl":"https://example.com/privacy"}`,
		`{"name":"Example","primaryDomain":"::1","privacyPolicyUrl":"https://example.com","contactEmails":["a@b.c"],"coupons":["X"],
		  "regionTemplate":{"regions":"default","settings":{"consent":{"limitPii":false,"gcm":"basic","x":[1.0]}}},"subscription":{"test":true,"addons":{"users":1}}}`,
		`{"name":"Example","regionTemplate":null,"subscription":[]}`, `{`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b newOrganization
		err := protocol.Unmarshal(body, &b)
		if refusedWell(t, err) {
			return
		}
		input, err := b.input()
		if refusedWell(t, err) {
			return
		}
		view := &consent.OrganizationView{
			Organization: consent.Organization{Name: input.Name, Details: input.Details},
			Projects:     []consent.Project{{Number: 1, Details: input.Project.Details}},
		}
		shown := showOrganization(view)
		if (len(shown.RegionTemplate) > 0) != (len(b.RegionTemplate) > 0) ||
			(len(shown.Subscription) > 0) != (len(b.Subscription) > 0) {
			t.Fatalf("details are lost: %s", input.Details)
		}
		answer, err := protocol.JSON(201, shown)
		if err != nil || !json.Valid(answer.Body) {
			t.Fatalf("answer %q: %v", answer.Body, err)
		}
	})
}

// Whatever the query, the filter is within its limits.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "offset=0&limit=1000&sort=consentDate&order=asc",
		"consentState=declined&consentState=implied&consentAction=import",
		"startDate=2026-01-31T12:00:00Z&endDate=2026-01-31T12:00:00%2B02:00",
		"projectIds=3c90c3cc-0d44-4b50-8888-8dd25736052a,",
		"email=a%40b.c&userId=%00", "%zz", "a;b", "limit=+1&offset=-1",
		"geography=de&domain=A.B&label=*&category=custom&subcategory=%ff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		filter, err := parseEventFilter(raw)
		if !refusedWell(t, err) {
			if filter.Limit < 1 || filter.Limit > service.MaxPage || filter.Offset < 0 {
				t.Fatalf("page %d, %d", filter.Offset, filter.Limit)
			}
			for _, list := range [][]string{filter.Subcategories, filter.Domains, filter.Countries} {
				for _, word := range list {
					if word == "" || !utf8.ValidString(word) {
						t.Fatalf("word %q", word)
					}
				}
			}
		}
		_, err = parseOrganizationFilter(raw)
		refusedWell(t, err)
	})
}
