package service_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestListsGoOnPastDamagedRows: a row that cannot be decrypted is in every list, without what it said and marked; the
// others are shown, and who asks for that one alone is told of an error.
func TestListsGoOnPastDamagedRows(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	made := h.record(t, a, item(user("ada")), item(user("bob")), item(user("eve")))
	for _, name := range []string{"ada", "bob", "eve"} {
		save(t, h, a, consent.SaveSubject{Type: "user", Name: name, Data: fmt.Appendf(nil, `{"note":"of %s"}`, name)})
	}
	bob, event := made.Items[1].Subject, made.Items[1].Events[0].ID
	h.damage(t, `UPDATE events SET ident = zeroblob(60) WHERE event_id = `+blob(event))
	var given taken
	if err := h.svc.ExportSubject(ctx, a, bob, &given); err != nil || len(given.events) != 1 ||
		!given.events[0].Unreadable {
		t.Errorf("what a person is given: %+v, %v", given.events, err)
	}
	h.damage(t, `UPDATE subjects SET data = zeroblob(60) WHERE subject_id = `+blob(bob))

	marked := func(what string, id consent.ID, unreadable bool, who string) {
		t.Helper()
		if unreadable != (id == event) || (who == "") != (id == event) {
			t.Errorf("%s: event %s is unreadable %t, of %q", what, id, unreadable, who)
		}
	}
	views, _, err := h.svc.EventsAfter(ctx, a, consent.EventFilter{Limit: 10, Ascending: true})
	if err != nil || len(views) != 3 {
		t.Fatalf("a page: %d events, %v", len(views), err)
	}
	page, err := h.svc.Events(ctx, a, consent.EventFilter{Limit: 10})
	if err != nil || len(page.Items) != 3 || page.Total != 3 {
		t.Fatalf("a list: %+v, %v", page, err)
	}
	timeline, err := h.svc.Timeline(ctx, a, bob, consent.NoID, 10)
	if err != nil || len(timeline) != 1 {
		t.Fatalf("a timeline: %+v, %v", timeline, err)
	}
	for _, v := range slices.Concat(views, page.Items, timeline) {
		marked("a list", v.ID, v.Unreadable, v.Identity.Identifiers["user_id"])
	}
	rows := 0
	err = h.svc.ExportEvents(ctx, a, consent.EventFilter{Ascending: true}, func(part *consent.ExportedEvents) error {
		for _, row := range part.Rows {
			marked("an export", row.ID, row.Unreadable, string(row.IdentityJSON))
			rows++
		}
		return nil
	})
	if err != nil || rows != 3 {
		t.Errorf("an export: %d rows, %v", rows, err)
	}
	if _, err := h.svc.Event(ctx, a, event); consent.AsError(err).Kind != consent.Internal {
		t.Errorf("the event alone: %v", err)
	}
	h.damage(t, `UPDATE identifiers SET value_sealed = zeroblob(60) WHERE subject_id = `+blob(made.Items[2].Subject))
	want := map[string]string{"ada": `{"note":"of ada"}`, "bob": "{}", "": `{"note":"of eve"}`}
	subjects, err := h.svc.Subjects(ctx, a, consent.SubjectFilter{Limit: 10})
	if err != nil || len(subjects.Items) != 3 {
		t.Fatalf("subjects: %+v, %v", subjects, err)
	}
	for _, s := range subjects.Items {
		if want[s.Name] != string(s.Record.Data) {
			t.Errorf("subject %q has the data %s", s.Name, s.Record.Data)
		}
	}
	found, err := h.svc.Subjects(ctx, a, consent.SubjectFilter{Limit: 10, Text: "OF "})
	if err != nil || found.Total != 2 {
		t.Errorf("a search: %+v, %v", found, err)
	}
	if err := h.svc.ExportSubject(ctx, a, bob, &taken{}); consent.AsError(err).Kind != consent.Internal {
		t.Errorf("a person without their record: %v", err)
	}
	if err := readRecord(h, a, []consent.ID{bob}); consent.AsError(err).Kind != consent.Internal {
		t.Errorf("the record alone: %v", err)
	}
}
