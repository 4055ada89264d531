package service_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestEvidenceOfChangedNames: a bundle holds whatever became of a person's names since, and it is told which decisions
// name what the person has not any more.
func TestEvidenceOfChangedNames(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.bare(t), context.Background()
	mail := consent.Identifier{Kind: consent.Email, Value: "ada@shop.example"}
	ada := h.record(t, a, item(append(slices.Clone(user("ada")), mail))).Items[0].Subject
	h.record(t, a, item([]consent.Identifier{mail}))
	if _, err := h.svc.DetachIdentifier(ctx, a, consent.IdentifierChange{Subject: ada, Identifier: mail}); err != nil {
		t.Fatal(err)
	}
	g := h.signing(t, h.store)
	b, err := g.Evidence(ctx, a, ada, "", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := verified(t, a, b, nil)
	if told := strings.Join(r.Notes, "\n"); !r.Holds() ||
		!strings.Contains(told, `Decisions 2 name email "ada@shop.example", which is not among`) {
		t.Errorf("%s\n%+v", told, r.Checks)
	}
}
