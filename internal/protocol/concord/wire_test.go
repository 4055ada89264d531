package concord

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// A wrong member is named by its place; what it may be is said, what it was is not.
func TestEventMistakes(t *testing.T) {
	good := `{"email":"a@b.c","category":"disclosure","subcategory":"x","consentState":"accepted","consentAction":"import"}`
	for _, tc := range []struct{ body, want string }{
		{`{}`, "items: is required"},
		{`[]`, "the request body must be an object"},
		{`{"items":null}`, "items: must be an array"},
		{`{"items":{}}`, "items: must be an array"},
		{`{"items":[]}`, "items: must have 1 to 1000 items"},
		{`{"items":[` + strings.Repeat("{},", 5) + `{}]}`, "items[0].consentState: is required"},
		{`{"items":[` + strings.Repeat(good+",", 1000) + `{}]}`, "items: must have 1 to 1000 items"},
		{`{"items":[1]}`, "items[0]: must be an object"},
		{`{"items":[` + good + `,null]}`, "items[1]: must be an object"},
		{`{"items":[{"consentState":"x"}]}`, "items[0].consentState: must be one of implied, viewed, accepted, declined"},
		{`{"items":[` + good + `,{"consentState":"Accepted"}]}`,
			"items[1].consentState: must be one of implied, viewed, accepted, declined"},
		{`{"items":[{"consentState":null,"consentAction":"import"}]}`, "items[0].consentState: is required"},
		{`{"items":[{"consentState":"accepted"}]}`, "items[0].consentAction: is required"},
		{`{"items":[{"consentAction":"system"}]}`, "items[0].consentAction: must be one of implied, user_click, import"},
		{`{"items":[{"consentState":["accepted"]}]}`, "items[0].consentState: must be a string"},
		{`{"items":[{"email":1}]}`, "items[0].email: must be a string"},
		{`{"items":[{"consentType":"x"}]}`, "items[0].consentType: must be a UUID, and not the nil one"},
		{`{"items":[{"category":"other"}]}`,
			"items[0].category: must be one of disclosure, communication, privacy_setting, custom"},
		{`{"items":[{"label":"A"}]}`, "items[0].label: must be 1 to 128 of a-z, 0-9, _ and *"},
		{`{"items":[{"label":""}]}`, "items[0].label: must be 1 to 128 of a-z, 0-9, _ and *"},
		{`{"items":[{"label":"` + strings.Repeat("a", 129) + `"}]}`, "items[0].label: must be 1 to 128 of a-z, 0-9, _ and *"},
		{`{"items":[{"subcategory":[]}]}`, "items[0].subcategory: must be a string or an array of one string"},
		{`{"items":[{"subcategory":["a","b"]}]}`, "items[0].subcategory: must be a string or an array of one string"},
		{`{"items":[{"subcategory":[1]}]}`, "items[0].subcategory: must be a string or an array of one string"},
		{`{"items":[{"subcategory":{}}]}`, "items[0].subcategory: must be a string"},
		{`{"items":[{"consentDate":"2024-01-01"}]}`,
			"items[0].consentDate: must be an RFC 3339 date and time, such as 2026-01-31T12:00:00Z"},
		{`{"items":[{"consentDate":"0001-01-01T00:00:00Z"}]}`, "items[0].consentDate: must be in the years 1970 to 9999"},
		{`{"items":[{"expirationDate":"9999-12-31T23:59:59-01:00"}]}`,
			"items[0].expirationDate: must be in the years 1970 to 9999"},
		{`{"items":[{"consentState":"accepted","consentAction":"import"}]}`,
			"items[0].consentType: is required, or else category, subcategory and label"},
		{`{"items":[{"email":"a","email":"b"}]}`, "items[0].email: stands twice in its object"},
		{`{"items":[{"email":"a`, "the request body is not valid JSON: it ends too early"},
		{`{"items":[{"email":`, "the request body is not valid JSON: it ends too early"},
		{`{"items":[{"email":"\ud800"}]}`, "the request body is not valid JSON at byte 20"},
	} {
		_, err := decodeEvents([]byte(tc.body))
		if got := shown(err); got != tc.want {
			t.Errorf("%.80s: got %q, want %q", tc.body, got, tc.want)
		}
	}
}

func shown(err error) string {
	if err == nil {
		return ""
	}
	_, field, msg := protocol.Status(err)
	return protocol.Message(field, msg)
}

func decodeEvents(body []byte) (consent.Write, error) {
	var b newEvents
	if err := protocol.Unmarshal(body, &b); err != nil {
		return consent.Write{}, err
	}
	return b.write(consent.NoID)
}

// Every documented field of an item reaches the core.
func TestEventItem(t *testing.T) {
	w, err := decodeEvents([]byte(`{"more":1,"items":[
		{"projectUserId":"p","userId":"u","email":"a@b.c","phoneNumber":"+1","concordId":"3c90c3cc-0d44-4b50-8888-8dd25736052a",
		 "consentType":"3C90C3CC-0d44-4b50-8888-8dd25736052b","category":"custom","subcategory":["s\u0041"],"label":"l","consentState":"viewed",
		 "consentAction":"user_click","consentDate":"2023-11-07T06:31:56.1234567+01:00","expirationDate":"2024-11-07T05:31:56Z","more":[]},
		{"userId":null,"email":"","consentType":null,"category":"custom","subcategory":"s","label":null,"consentState":"declined",
		 "consentAction":"implied","consentDate":null,"expirationDate":null},
		{"userId":"v","consentType":"3c90c3cc-0d44-4b50-8888-8dd25736052b","consentState":"implied","consentAction":"import"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	typeID, _ := consent.ParseID("3c90c3cc-0d44-4b50-8888-8dd25736052b")
	id := func(kind consent.IdentifierKind, value string) consent.Identifier {
		return consent.Identifier{Kind: kind, Value: value}
	}
	want := []consent.Item{
		{Identifiers: []consent.Identifier{id(consent.UserID, "u"), id(consent.ProjectUserID, "p"),
			id(consent.Email, "a@b.c"),
			id(consent.Phone, "+1"), id(consent.AnonymousID, "3c90c3cc-0d44-4b50-8888-8dd25736052a")},
			Decisions: []consent.Decision{{Purpose: consent.PurposeRef{ID: typeID,
				Taxonomy: consent.Taxonomy{Category: "custom", Subcategory: "sA", Label: "l"}},
				State: consent.Viewed, Action: consent.UserClick,
				OccurredAt: time.Date(2023, 11, 7, 5, 31, 56, 123456700, time.UTC),
				ExpiresAt:  time.Date(2024, 11, 7, 5, 31, 56, 0, time.UTC)}}},
		{Identifiers: []consent.Identifier{id(consent.Email, "")},
			Decisions: []consent.Decision{{Purpose: consent.PurposeRef{Taxonomy: consent.Taxonomy{Category: "custom",
				Subcategory: "s", Label: "*"}},
				State: consent.Declined, Action: consent.ImpliedAction}}},
		{Identifiers: []consent.Identifier{id(consent.UserID, "v")},
			Decisions: []consent.Decision{{Purpose: consent.PurposeRef{ID: typeID}, State: consent.Implied,
				Action: consent.Import}}},
	}
	if diff := cmp.Diff(want, w.Items, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	for noun, field := range map[string]string{
		"identifiers": "items[1]", "email": "items[1].email", "phone": "items[1].phoneNumber", "user_id": "items[1].userId",
		"project_user_id": "items[1].projectUserId", "anonymous_id": "items[1].concordId", "state": "items[1].consentState",
		"action": "items[1].consentAction", "occurred_at": "items[1].consentDate", "expires_at": "items[1].expirationDate",
		"purpose": "items[1].category, subcategory, label",
	} {
		if got := w.Field(1, noun); got != field {
			t.Errorf("field %s: got %s, want %s", noun, got, field)
		}
	}
	if got := w.Field(0, "purpose"); got != "items[0].consentType" {
		t.Errorf("purpose by id: %s", got)
	}
}

// Who made an organization by another protocol kept other details.
func TestForeignDetails(t *testing.T) {
	for _, raw := range []string{``, `null`, `[]`, `{"subscription":1}`, `{"concord":{"coupons":3}}`, `{`} {
		if got := keptIn[organizationDetails]([]byte(raw)); got.Subscription != nil || got.Coupons != nil {
			t.Errorf("%q: got %+v", raw, got)
		}
	}
}

func sampleView() consent.EventView {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	id, _ := consent.ParseID("3c90c3cc-0d44-4b50-8888-8dd25736052a")
	purpose := consent.Purpose{ID: id, Taxonomy: consent.Taxonomy{Category: "privacy_setting",
		Subcategory: "analytics", Label: "*"}}
	return consent.EventView{
		Event: consent.Event{Organization: id, ID: id, State: consent.Withdrawn, Action: consent.System, OccurredAt: at,
			RecordedAt: at, ExpiresAt: at.AddDate(1, 0, 0), Key: id},
		ProjectID: id, PurposeOf: &purpose, Body: consent.Body{PurposeVersion: 1},
		Identity: consent.Identity{AnonymousID: id.String(), Country: "DE", Domain: "shop.example.com",
			IP: netip.MustParseAddr("192.0.2.0").String(), Session: id.String(), UserAgent: "Mozilla/5.0"},
	}
}

func TestShowEvent(t *testing.T) {
	view := sampleView()
	answer, err := protocol.JSON(200, newList(0, 1, []event{{&view}}))
	if err != nil {
		t.Fatal(err)
	}
	const id, at = `"3c90c3cc-0d44-4b50-8888-8dd25736052a"`, `"2026-01-31T12:00:00.123456Z"`
	want := `{"offset":0,"count":1,"total":1,"items":[{"createdAt":` + at + `,"updatedAt":` + at + `,"id":` + id +
		`,"concordId":` + id +
		`,"consentAction":"import","consentDate":` + at + `,"consentState":"declined","dateCreated":` + at +
		`,"dateUpdated":` + at +
		`,"consentType":` + id + `,"expirationDate":"2027-01-31T12:00:00.123456Z","organization":` + id + `,"project":` + id +
		`,"session":{"id":` + id +
		`,"ipAddress":"192.0.2.0","domain":"shop.example.com","geography":"DE","userAgent":"Mozilla/5.0"}` +
		`,"submitter":` + id + `,"category":"privacy_setting","subcategory":"analytics","label":"*","version":1}]}`
	if diff := cmp.Diff(want, string(answer.Body)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// A list shows an event whose type another process made a moment ago.
func TestTypeOfAnotherProcess(t *testing.T) {
	view := sampleView()
	view.PurposeOf = nil
	if b := appendEvent(nil, &view); !json.Valid(b) {
		t.Errorf("got %s", b)
	}
}
