package native

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

// TestMessages renders one of each type.
func TestMessages(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	one, two := consent.ID{15: 1}, consent.ID{15: 2}
	event := &consent.EventView{Event: consent.Event{ID: one, Sequence: 7, Subject: two, PurposeVersion: 3,
		State: consent.Withdrawn, Action: consent.UserClick, OccurredAt: at, RecordedAt: at, Protocol: "native"},
		Text: "the text that was shown"}
	event.Body.Purpose, event.Identity.IP = "marketing", "192.0.2.0"
	event.Identity.Identifiers = map[string]string{string(consent.Email): "ada@example.org"}
	const told = `{"id":"00000000-0000-0000-0000-000000000001","sequence":7,"subjectId":"00000000-0000-0000-0000-000000000002",` +
		`"project":"00000000-0000-0000-0000-000000000000","identifiers":{"email":"ada@example.org"},"purpose":"marketing",` +
		`"purposeVersion":3,"state":"withdrawn","action":"user_click","occurredAt":"2026-03-01T12:00:00.123456Z",` +
		`"recordedAt":"2026-03-01T12:00:00.123456Z","regime":"","source":{"protocol":"native",` +
		`"keyId":"00000000-0000-0000-0000-000000000000"}}`
	for _, tc := range []struct {
		notice consent.Notice
		data   string
	}{
		{consent.Notice{Type: consent.ConsentRecorded, Event: event}, told},
		{consent.Notice{Type: consent.ConsentWithdrawn, Event: event}, told},
		{consent.Notice{Type: consent.ConsentExpired, Event: event}, told},
		{consent.Notice{Type: consent.SubjectMerged, Subject: one, Merged: two, Sequence: 8},
			`{"subjectId":"` + one.String() + `","mergedSubjectId":"` + two.String() +
				`","sequence":8,"at":"2026-03-01T12:00:00.123456Z"}`},
		{consent.Notice{Type: consent.SubjectUnmerged, Subject: one, Merged: two, Sequence: 9},
			`{"subjectId":"` + one.String() + `","mergedSubjectId":"` + two.String() +
				`","sequence":9,"at":"2026-03-01T12:00:00.123456Z"}`},
		{consent.Notice{Type: consent.SubjectErased, Subject: one, Sequence: 10},
			`{"subjectId":"` + one.String() + `","sequence":10,"at":"2026-03-01T12:00:00.123456Z"}`},
		{consent.Notice{Type: consent.PurposeVersioned, Project: one, Purpose: "marketing", Version: 4, Sequence: 11},
			`{"project":"` + one.String() + `","purpose":"marketing","version":4,"sequence":11,` +
				`"at":"2026-03-01T12:00:00.123456Z"}`},
		{consent.Notice{Type: consent.WebhookPing, Webhook: two}, `{"webhookId":"` + two.String() + `"}`},
	} {
		tc.notice.At = at
		got, err := Message(&tc.notice)
		want := `{"type":"` + string(tc.notice.Type) + `","timestamp":"2026-03-01T12:00:00.123456Z","data":` + tc.data + "}"
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tc.notice.Type, err, diff)
		}
	}
	for _, bad := range []consent.Notice{{}, {Type: consent.ConsentRecorded}, {Type: "subject.merge"}} {
		if got, err := Message(&bad); err == nil {
			t.Errorf("%+v is rendered as %s", bad, got)
		}
	}
	for _, known := range consent.EventTypes {
		if _, err := Message(&consent.Notice{Type: known, Event: event}); err != nil {
			t.Errorf("%s: %v", known, err)
		}
	}
}

// TestMessagesHaveWhatEventsHave: a message about a consent has each member of an event but its evidence, with the same
// value.
func TestMessagesHaveWhatEventsHave(t *testing.T) {
	names := func(of any) (list []string) {
		for field := range reflect.TypeOf(of).Fields() {
			list = append(list, field.Tag.Get("json"))
		}
		return list
	}
	shown := slices.DeleteFunc(names(event{}), func(name string) bool { return name == "evidence" })
	if diff := cmp.Diff(shown, names(toldEvent{})); diff != "" {
		t.Errorf("members (-event +message):\n%s", diff)
	}
	v := &consent.EventView{Event: consent.Event{ID: consent.ID{1}, Sequence: 2, Subject: consent.ID{3}, PurposeVersion: 4,
		State: consent.Accepted, Action: consent.Import, OccurredAt: time.Unix(5, 0), ExpiresAt: time.Unix(6, 0),
		RecordedAt: time.Unix(7, 0), Protocol: "p", Key: consent.ID{8}}, ProjectID: consent.ID{9}}
	v.Unreadable = true
	v.Body.Purpose, v.Body.Regime = "purpose", consent.OptIn
	members := func(of any) map[string]jsontext.Value {
		raw, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]jsontext.Value{}
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		delete(all, "evidence")
		return all
	}
	if diff := cmp.Diff(members(eventOf(v)), members(toldEventOf(v))); diff != "" {
		t.Errorf("values (-event +message):\n%s", diff)
	}
}
