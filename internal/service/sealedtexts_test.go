package service_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// told is an item of somebody who was shown a text.
func told(text string, names []consent.Identifier) consent.Item {
	return item(names, shown(consent.Analytics, text, consent.Accepted))
}

// texts gives what the decisions of somebody show.
func (h *harness) texts(t tester, a consent.Actor, subject consent.ID) (texts []string) {
	t.Helper()
	shown, _, err := h.svc.EventsAfter(context.Background(), a, consent.EventFilter{Subject: subject, Ascending: true,
		Limit: 100})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i := range shown {
		texts = append(texts, shown[i].Text)
	}
	slices.Sort(texts)
	return texts
}

// TestTextsOfOnePerson: a text that one person alone was shown can be read by nobody who has the files, and is gone
// with the person; one that several were shown stays, whoever goes.
func TestTextsOfOnePerson(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.organization(t)
	const own, both, together = "Dear Canary, may we?", "May we tell you?", "May we count?"
	made := h.record(t, a, told(own, user("ada")), told(both, user("ada")), told(together, user("ada")),
		told(together, user("bob")))
	ada, bob := made.Items[0].Subject, made.Items[3].Subject
	if found := filesHold(t, h.folder, []string{own, both}); len(found) > 0 {
		t.Errorf("these can be read: %q", found)
	}
	h.record(t, a, told(both, user("bob")), told(both, user("bob")), told(own, user("ada")))
	h.record(t, a, told(both, user("ada")))
	for _, text := range []string{both, together} { // once for all, however many are shown it
		if held := h.holders(t, a, text, bob); held != (consent.TextHolders{Everybody: true}) {
			t.Errorf("%q is held: %+v", text, held)
		}
	}
	want := []string{together, both, both}
	if got := h.texts(t, a, bob); !slices.Equal(got, want) {
		t.Errorf("Bob was shown %q", got)
	}
	if got := h.texts(t, a, ada); !slices.Equal(got, []string{own, own, together, both, both}) {
		t.Errorf("Ada was shown %q", got)
	}
	h.erase(t, a, ada)
	if got := h.texts(t, a, bob); !slices.Equal(got, want) {
		t.Errorf("after the erasure Bob was shown %q", got)
	}
	if held := h.holders(t, a, own, ada); held != (consent.TextHolders{}) {
		t.Errorf("after the erasure the text is held: %+v", held)
	}
	again := h.record(t, a, told(own, user("carol"))).Items[0].Subject
	if got := h.texts(t, a, again); !slices.Equal(got, []string{own}) {
		t.Errorf("somebody else was shown %q", got)
	}
	if found := filesHold(t, h.folder, []string{own}); len(found) > 0 {
		t.Errorf("these can be read: %q", found)
	}
}

// holders tells who was shown a text, as the store has it.
func (h *harness) holders(t tester, a consent.Actor, text string, subject consent.ID) (held consent.TextHolders) {
	t.Helper()
	hash := sha256.Sum256([]byte(text))
	err := h.store.View(context.Background(), func(r service.Reader) error {
		found, err := r.TextHolders(context.Background(), []consent.Text{{Organization: a.Organization, Hash: hash[:],
			Subject: subject}})
		if err == nil {
			held = found[0]
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return held
}

// TestTextsOfMergedPeople: who was merged with somebody keeps the texts that both were shown, and stays one person for
// whom nothing is shared; taken apart again, each is erased alone.
func TestTextsOfMergedPeople(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.organization(t)
	const own = "Dear Canary, may we?"
	browser := h.record(t, a, told(own, []consent.Identifier{email("browser@example.org")})).Items[0].Subject
	ada := h.record(t, a, item(user("ada"))).Items[0].Subject
	h.merge(t, a, ada, browser)
	h.record(t, a, told(own, user("ada")))
	if found := filesHold(t, h.folder, []string{own}); len(found) > 0 {
		t.Errorf("these can be read: %q", found)
	}
	if _, err := h.svc.UnmergeSubjects(context.Background(), a, consent.UnmergeSubjects{Subject: ada,
		Other: browser}); err != nil {
		t.Fatal(err)
	}
	h.erase(t, a, browser)
	if got := strings.Join(h.texts(t, a, ada), ""); got != own {
		t.Errorf("after the erasure of the browser Ada was shown %q", got)
	}
}
