package service_test

import (
	"context"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// bySubject is an item about a person who is named by a subject's id.
func bySubject(id consent.ID) consent.Item {
	it := item(nil)
	it.Subject = id
	return it
}

// TestDecisionOfASubject: a decision may name its person by the id of a subject, also of one that was merged into
// somebody. Whoever is nobody of this organization is refused, and nobody is made.
func TestDecisionOfASubject(t *testing.T) {
	h := newHarness(t)
	a, other := h.organization(t), h.organization(t)
	ctx := context.Background()
	browser := consent.Identifier{Kind: consent.AnonymousID, Value: "0190aaaa-0000-7000-8000-000000000001"}
	h.record(t, a, item(user("ada")))
	anonymous := h.record(t, a, item([]consent.Identifier{browser})).Items[0].Subject
	ada := h.record(t, a, item(append(user("ada"), browser))).Items[0].Subject
	theirs := h.record(t, other, item(user("ada"))).Items[0].Subject
	if anonymous == ada {
		t.Fatal("nobody was merged")
	}
	for what, id := range map[string]consent.ID{"her id": ada, "the id of one merged into her": anonymous} {
		recorded := h.record(t, a, bySubject(id)).Items[0]
		event := recorded.Events[0]
		if recorded.Subject != ada || event.Subject != ada ||
			event.Identity.Identifiers[string(consent.SubjectID)] != id.String() {
			t.Errorf("%s: recorded for %s, by %v", what, recorded.Subject, event.Identity.Identifiers)
		}
	}
	before := len(h.events(t, a, user("ada")[0]))
	for _, id := range []consent.ID{ada, anonymous} {
		if got, _ := h.pages(t, a, consent.EventFilter{Subject: id, Limit: 2, Ascending: true}); len(got) != before {
			t.Errorf("%s has %d events, want %d", id, len(got), before)
		}
	}
	for what, id := range map[string]consent.ID{"nobody": {1}, "another organization's": theirs,
		"a browser's id": uuidOf(t, browser.Value)} {
		w := write(item(user("ada")), bySubject(id))
		_, err := h.svc.Record(ctx, a, w)
		if e := consent.AsError(err); !consent.IsKind(err, consent.Unprocessable) || e.Field != "items[1].subject_id" {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := h.svc.Person(ctx, a, consent.PersonQuery{Identifier: consent.Identifier{Kind: consent.AnonymousID,
			Value: id.String()}}); what != "a browser's id" && !consent.IsKind(err, consent.NotFound) {
			t.Errorf("%s: asked for afterwards: %v", what, err)
		}
	}
	if after := len(h.events(t, a, user("ada")[0])); after != before {
		t.Errorf("%d events became %d by writes that were refused", before, after)
	}
}

func uuidOf(t *testing.T, text string) consent.ID {
	t.Helper()
	id, ok := consent.ParseID(text)
	if !ok {
		t.Fatal(text)
	}
	return id
}
