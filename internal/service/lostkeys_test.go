package service_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestLostKeyIsNotReplaced: who has something on record that needs their key gets no second one where its row is gone:
// whatever writes about them ends with an error that says so, and writes of the same batch about others go on.
func TestLostKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	known := h.record(t, a, item(user("ada"))).Items[0].Subject
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "bob"})
	named, err := h.svc.LookUpSubject(ctx, a, consent.NoID, user("bob"))
	if err != nil {
		t.Fatal(err)
	}
	keys := func() int64 { return h.rows(t, "subject_keys", a.Organization) }
	before := keys()
	h.damage(t, fmt.Sprintf(`DELETE FROM subject_keys WHERE subject_id IN (%s, %s)`, blob(known), blob(named.ID)))
	record := func(item consent.Item) error {
		_, err := h.svc.Record(ctx, a, write(item))
		return err
	}
	for what, change := range map[string]func() error{
		"a decision":    func() error { return record(item(user("ada"))) },
		"an identifier": func() error { return record(item(append(user("bob"), email("bob@example.org")))) },
		"a restriction": func() error {
			_, err := h.svc.RestrictSubject(ctx, a, consent.RestrictSubject{Subject: known})
			return err
		},
		"data": func() error {
			_, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "bob", Data: []byte(`{"a":1}`)})
			return err
		},
	} {
		err := change()
		if err == nil || consent.AsError(err).Kind != consent.Internal ||
			!strings.Contains(err.Error(), "is gone") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := keys(); after != before-2 {
		t.Errorf("%d keys, want %d", after, before-2)
	}
	h.record(t, a, item(user("eve")))
}

// TestLostKeyOfOrganization: an organization whose own key is gone gets no second one, by which nobody would be found.
func TestLostKeyOfOrganization(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.organization(t)
	h.record(t, a, item(user("ada")))
	h.damage(t, `DELETE FROM subject_keys WHERE subject_id = zeroblob(16)`)
	_, err := h.svc.CreatePurpose(context.Background(), a, consent.NoID, consent.NewPurpose{Key: "more", Name: "More"},
		consent.Idempotency{})
	if err == nil || consent.AsError(err).Kind != consent.Internal {
		t.Errorf("a purpose: %v", err)
	}
	if n := h.rows(t, "subject_keys", a.Organization); n != 1 {
		t.Errorf("%d keys", n)
	}
}

// TestKeyOfWhoHasNone: who is on record and has nothing that needs a key gets one when it is needed.
func TestKeyOfWhoHasNone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada"})
	ada, err := h.svc.LookUpSubject(ctx, a, consent.NoID, user("ada"))
	if err != nil {
		t.Fatal(err)
	}
	h.damage(t, `DELETE FROM identifiers WHERE subject_id = `+blob(ada.ID))
	h.damage(t, `DELETE FROM subject_keys WHERE subject_id = `+blob(ada.ID))
	if _, err = h.svc.RestrictSubject(ctx, a, consent.RestrictSubject{Subject: ada.ID}); err != nil {
		t.Error(err)
	}
}

func blob(id consent.ID) string { return fmt.Sprintf("x'%x'", id[:]) }
