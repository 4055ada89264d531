package service_test

import (
	"context"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestMergedAtAnyRemove: what somebody decided who was merged into somebody who was merged is the last one's history,
// whichever name is asked for, the next decision folds all of it, and who is deleted is gone under all own ids.
func TestMergedAtAnyRemove(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	mail := func(n int) consent.Identifier {
		return consent.Identifier{Kind: consent.Email, Value: valueOf(consent.Email, n)}
	}
	own := func(id consent.ID) consent.Identifier {
		return consent.Identifier{Kind: consent.AnonymousID, Value: id.String()}
	}
	second := h.record(t, a, item([]consent.Identifier{mail(2)}, decided(consent.Marketing,
		consent.Declined))).Items[0].Subject
	first := h.record(t, a, item([]consent.Identifier{mail(1)})).Items[0].Subject
	ada := h.record(t, a, item(user("ada"), decided(consent.Marketing, consent.Accepted))).Items[0].Subject
	for _, pair := range [][2]consent.ID{{first, second}, {ada, first}} {
		if _, err := h.svc.MergeSubjects(ctx, a, consent.MergeSubjects{Subject: pair[0], Other: pair[1]}); err != nil {
			t.Fatal(err)
		}
	}
	for what, id := range map[string]consent.Identifier{"user id": user("ada")[0], "first": mail(1), "second": mail(2),
		"own id": own(ada), "first own id": own(first), "second own id": own(second)} {
		p := h.person(t, a, id)
		if c := p.Consents[consent.Marketing]; p.Subject != ada || c.State != consent.Declined {
			t.Errorf("%s: %s says %s", what, p.Subject, c.State)
		}
		if n := len(h.events(t, a, id)); n != 3 {
			t.Errorf("%s: the history has %d events of 3", what, n)
		}
	}
	view, err := h.svc.SubjectByID(ctx, a, second)
	if err != nil || view.ID != ada || len(view.Identifiers) != 3 || len(view.Merged) != 1 {
		t.Errorf("by the second own id: %+v, %v", view, err)
	}
	h.checkConsents(t, a.Organization)
	h.record(t, a, item([]consent.Identifier{own(second)}, decided(consent.Marketing, consent.Accepted)))
	if c := h.person(t, a, user("ada")[0]).Consents[consent.Marketing]; c.State != consent.Accepted {
		t.Errorf("decided again by the second own id, it says %s", c.State)
	}
	h.checkConsents(t, a.Organization)
	err = h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: consent.DefaultSubjectType, Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []consent.ID{ada, first, second} {
		if _, err := h.svc.SubjectByID(ctx, a, id); !consent.IsKind(err, consent.NotFound) {
			t.Errorf("%s is there once the person is deleted: %v", id, err)
		}
	}
}

// TestDeletedAfterUnmerge: who was taken apart again stays when the other one is deleted.
func TestDeletedAfterUnmerge(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	mail := named(consent.Email, valueOf(consent.Email, 1))
	other := h.record(t, a, item(mail)).Items[0].Subject
	ada := h.record(t, a, item(user("ada"))).Items[0].Subject
	if _, err := h.svc.MergeSubjects(ctx, a, consent.MergeSubjects{Subject: ada, Other: other}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.svc.UnmergeSubjects(ctx, a, consent.UnmergeSubjects{Subject: ada, Other: other}); err != nil {
		t.Fatal(err)
	}
	err := h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: consent.DefaultSubjectType, Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	p := h.person(t, a, mail[0])
	if c := p.Consents[consent.Analytics]; p.Subject != other || !c.InForce(h.clock.now()) {
		t.Errorf("the other one is %+v", p)
	}
	h.checkConsents(t, a.Organization)
}
