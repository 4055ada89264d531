package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

// TestCheck asks about one person and about several, known and unknown.
func TestCheck(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	ada := client.Identifiers{UserID: "check-ada", Email: "check-ada@shop.example"}
	bob := client.Identifiers{UserID: "check-bob"}
	made := must[[]client.Event](t)(c.Record(ctx,
		client.Decision{Identifiers: ada, Purpose: "marketing", State: client.Accepted},
		client.Decision{Identifiers: bob, Purpose: "marketing", State: client.Declined}))
	got := must[client.Check](t)(c.Check(ctx, client.Question{Identifiers: client.Identifiers{Email: ada.Email},
		Purposes: []string{"marketing", "analytics"}}))
	if got.SubjectID != made[0].SubjectID || got.At.IsZero() || len(got.Results) != 2 {
		t.Fatalf("%+v", got)
	}
	yes, never := got.Results[0], got.Results[1]
	if !yes.Granted || yes.State != client.Accepted || yes.Reason != "accepted" || yes.EventID != made[0].ID ||
		!yes.DecidedAt.Equal(made[0].OccurredAt) || yes.ExpiresAt.IsZero() || yes.PurposeVersion != 1 {
		t.Errorf("%+v", yes)
	}
	if never.Granted || never.State != client.Unknown || never.Reason != "never_asked" || never.EventID != "" {
		t.Errorf("%+v", never)
	}
	all := must[[]client.Check](t)(c.CheckAll(ctx, []client.Identifiers{bob, {UserID: "check-nobody"}, ada},
		client.Question{Purposes: []string{"marketing"}}))
	if len(all) != 3 || all[0].Results[0].Reason != "declined" || all[1].SubjectID != "" ||
		all[1].Results[0].State != client.Unknown || !all[2].Results[0].Granted {
		t.Errorf("%+v", all)
	}
	for who, want := range map[client.Identifiers]bool{ada: true, bob: false, {UserID: "check-nobody"}: false} {
		if may := must[bool](t)(c.May(ctx, who, "marketing")); may != want {
			t.Errorf("%+v: %v", who, may)
		}
	}
	if may, err := c.May(ctx, ada, "no such purpose"); may || !client.IsInvalid(err) {
		t.Errorf("%v, %v", may, err)
	}
}

// TestCheckOfThePast asks how it was: by what had occurred, and by what was recorded.
func TestCheckOfThePast(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	who, said := client.Identifiers{UserID: "check-past"}, time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	must[[]client.Event](t)(c.Record(ctx, client.Decision{Identifiers: who, Purpose: "marketing", State: client.Accepted,
		OccurredAt: said}))
	for _, tc := range []struct {
		at         time.Time
		asRecorded bool
		reason     string
	}{{said.Add(-time.Second), false, "never_asked"}, {said.Add(time.Second), false, "accepted"},
		{said.Add(time.Second), true, "never_asked"}} {
		got := must[client.Check](t)(c.Check(ctx, client.Question{Identifiers: who, Purposes: []string{"marketing"},
			At: tc.at, AsRecorded: tc.asRecorded}))
		if len(got.Results) != 1 || got.Results[0].Reason != tc.reason || !got.At.Equal(tc.at) {
			t.Errorf("at %s, as recorded %v: %+v", tc.at, tc.asRecorded, got)
		}
	}
}

// TestSubjects finds a person, and gives and takes an identifier under the version that was read.
func TestSubjects(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	who := client.Identifiers{UserID: "subject-eve"}
	must[[]client.Event](t)(c.Record(ctx,
		client.Decision{Identifiers: who, Purpose: "marketing", State: client.Accepted},
		client.Decision{Identifiers: client.Identifiers{Email: "taken@shop.example"}, Purpose: "marketing",
			State: client.Accepted}))
	found := must[client.Subject](t)(c.LookUp(ctx, who))
	if found.ID == "" || found.ETag == "" || len(found.Identifiers) == 0 || found.CreatedAt.IsZero() {
		t.Fatalf("%+v", found)
	}
	phone := client.Identifier{Kind: "phone", Value: "+31687654321"}
	etag := must[string](t)(c.Attach(ctx, found.ID, phone, found.ETag))
	with := must[client.Subject](t)(c.Subject(ctx, found.ID))
	if len(with.Identifiers) != len(found.Identifiers)+1 || with.ETag != etag || etag == found.ETag {
		t.Errorf("%+v, and %s", with, etag)
	}
	if by := must[client.Subject](t)(c.LookUp(ctx, client.Identifiers{Phone: phone.Value})); by.ID != found.ID {
		t.Errorf("by the phone: %+v", by)
	}
	if _, err := c.Detach(ctx, found.ID, phone, `"old"`); !client.IsChanged(err) {
		t.Errorf("with an old ETag: %v", err)
	}
	must[string](t)(c.Detach(ctx, found.ID, phone, ""))
	if again := must[client.Subject](t)(c.Subject(ctx, found.ID)); len(again.Identifiers) != len(found.Identifiers) {
		t.Errorf("%+v", again)
	}
	if _, err := c.LookUp(ctx, client.Identifiers{Phone: phone.Value}); !client.IsNotFound(err) {
		t.Errorf("by the phone that was taken away: %v", err)
	}
	taken := client.Identifier{Kind: "email", Value: "taken@shop.example"}
	if _, err := c.Attach(ctx, found.ID, taken, ""); !client.IsConflict(err) {
		t.Errorf("somebody else's: %v", err)
	}
}

// TestTimeline goes through more than a page of what one person decided.
func TestTimeline(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	var decisions []client.Decision
	for i := range 700 {
		decisions = append(decisions, client.Decision{Identifiers: client.Identifiers{UserID: "timeline"},
			Purpose: "tracking", State: client.Accepted, OccurredAt: time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)})
	}
	made := must[[]client.Event](t)(c.Record(ctx, decisions...))
	if d := cmp.Diff(made, collect(t, c.SubjectEvents(ctx, made[0].SubjectID))); d != "" {
		t.Errorf("(-recorded +listed):\n%.2000s", d)
	}
}
