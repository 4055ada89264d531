package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

func (h *harness) erase(t tester, a consent.Actor, subject consent.ID) *consent.Erased {
	t.Helper()
	erased, err := h.svc.EraseSubject(context.Background(), a, consent.EraseSubject{Subject: subject})
	if err != nil {
		t.Fatalf("erase: %v", err)
	}
	return erased
}

func email(value string) consent.Identifier {
	return consent.Identifier{Kind: consent.Email, Value: value}
}

// granted asks whether a consent to analytics is in force, and of whom.
func (h *harness) granted(t tester, a consent.Actor, names ...consent.Identifier) (consent.ID, bool) {
	t.Helper()
	checked, err := h.svc.Check(context.Background(), a, consent.CheckQuery{People: [][]consent.Identifier{names},
		Purposes: []string{consent.Analytics}})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return checked[0].Subject, checked[0].Results[0].Granted
}

// TestErase: nothing is left of who was erased but the id; who comes back with the same identifiers is somebody new.
func TestErase(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.bare(t)
	ada := []consent.Identifier{{Kind: consent.UserID, Value: "ada"}, email("ada@example.org")}
	first := h.record(t, a, item(ada), item(user("bob")))
	id, bob := first.Items[0].Subject, first.Items[1].Subject
	h.record(t, a, item(ada, decided(consent.Marketing, consent.Declined), decided(consent.Analytics, consent.Accepted)))
	known := append(ada[:2:2], consent.Identifier{Kind: consent.AnonymousID, Value: id.String()})
	for _, name := range known { // from now on the answers may come from memory
		if who, yes := h.granted(t, a, name); who != id || !yes {
			t.Fatalf("%v is %s with consent %t", name, who, yes)
		}
	}
	erased := h.erase(t, a, id)
	want := consent.Erased{Subject: id, Erasure: consent.Erasure{At: noon, Sequence: 5, Events: 3}}
	if diff := cmp.Diff(want, *erased); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h.clock.add(time.Hour)
	if diff := cmp.Diff(want, *h.erase(t, a, id)); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	for what, call := range map[string]func() error{
		"record":   func() error { _, err := h.svc.SubjectByID(ctx, a, id); return err },
		"timeline": func() error { _, err := h.svc.Timeline(ctx, a, id, consent.NoID, 10); return err },
		"consents": func() error {
			_, err := h.svc.ConsentsOfSubject(ctx, a, id, "", consent.Instant{})
			return err
		},
		"attach": func() error {
			_, err := h.svc.AttachIdentifier(ctx, a, consent.IdentifierChange{Subject: id, Identifier: email("x@example.org")})
			return err
		},
		"merge": func() error {
			_, err := h.svc.MergeSubjects(ctx, a, consent.MergeSubjects{Subject: id, Other: bob})
			return err
		},
		"unmerge": func() error {
			_, err := h.svc.UnmergeSubjects(ctx, a, consent.UnmergeSubjects{Subject: id, Other: bob})
			return err
		},
	} {
		err := call()
		isKind(t, what, err, consent.Gone, "")
		if at := consent.AsError(err).ErasedAt; !at.Equal(noon) {
			t.Errorf("%s: erased at %s", what, at)
		}
	}
	_, err := h.svc.MergeSubjects(ctx, a, consent.MergeSubjects{Subject: bob, Other: id})
	isKind(t, "merged into another", err, consent.Unprocessable, "subject_id")
	_, err = h.svc.LookUpSubject(ctx, a, consent.NoID, ada)
	isKind(t, "look-up", err, consent.NotFound, "")
	for _, name := range known {
		if who, yes := h.granted(t, a, name); who != consent.NoID || yes {
			t.Errorf("%v is %s with consent %t", name, who, yes)
		}
	}
	if got := h.events(t, a); len(got) != 1 || got[0].Subject != bob {
		t.Errorf("%d events are listed", len(got))
	}
	again := h.record(t, a, item(ada), item(named(consent.AnonymousID, id.String())))
	for i := range again.Items {
		if got := again.Items[i].Subject; got == id || got == consent.NoID {
			t.Errorf("who came back is %s, as before", got)
		}
	}
	if who, yes := h.granted(t, a, ada[1]); who != again.Items[0].Subject || !yes {
		t.Errorf("who came back is %s with consent %t", who, yes)
	}
	if _, yes := h.granted(t, a, user("bob")...); !yes {
		t.Error("somebody else lost a consent")
	}
}

// TestEraseRefuses: who may not, who is not there, another's, and a reason that cannot be kept.
func TestEraseRefuses(t *testing.T) {
	h := newHarness(t)
	a, other := h.organization(t), h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	without, _ := h.key(t, a, consent.SubjectsWrite, consent.SubjectsRead, consent.OrganizationsWrite)
	for what, tc := range map[string]struct {
		actor consent.Actor
		in    consent.EraseSubject
		kind  consent.Kind
		field string
	}{
		"without the scope": {without, consent.EraseSubject{Subject: id}, consent.Forbidden, ""},
		"nobody":            {a, consent.EraseSubject{Subject: consent.ID{7}}, consent.NotFound, ""},
		"the organization":  {a, consent.EraseSubject{}, consent.NotFound, ""},
		"another's":         {other, consent.EraseSubject{Subject: id}, consent.NotFound, ""},
		"a long reason": {a, consent.EraseSubject{Subject: id, Reason: string(make([]byte, 501))}, consent.Unprocessable,
			"reason"},
		"no text": {a, consent.EraseSubject{Subject: id, Reason: "\xff"}, consent.Unprocessable, "reason"},
	} {
		_, err := h.svc.EraseSubject(context.Background(), tc.actor, tc.in)
		isKind(t, what, err, tc.kind, tc.field)
	}
	if _, yes := h.granted(t, a, user("ada")...); !yes {
		t.Error("a refused erasure took a consent")
	}
	only, _ := h.key(t, a, consent.SubjectsErase)
	h.erase(t, only, id)
}

// TestEraseMerged: by whatever id of a person, all that are one go, and who was taken apart stays.
func TestEraseMerged(t *testing.T) {
	for _, by := range []int{0, 1, 2} {
		h := newHarness(t)
		a := h.organization(t)
		ids := make([]consent.ID, 4)
		for i, name := range []string{"into", "middle", "browser", "apart"} {
			ids[i] = h.record(t, a, item([]consent.Identifier{email(name + "@example.org")})).Items[0].Subject
		}
		h.merge(t, a, ids[1], ids[2])
		h.merge(t, a, ids[0], ids[1])
		h.merge(t, a, ids[0], ids[3])
		if _, err := h.svc.UnmergeSubjects(context.Background(), a, consent.UnmergeSubjects{Subject: ids[0],
			Other: ids[3]}); err != nil {
			t.Fatal(err)
		}
		got := h.erase(t, a, ids[by])
		if got.Subject != ids[by] || got.Events != 3 {
			t.Errorf("by %d: %+v", by, got)
		}
		for i, id := range ids {
			_, err := h.svc.SubjectByID(context.Background(), a, id)
			if gone := consent.IsKind(err, consent.Gone); gone != (i < 3) || err != nil && !gone {
				t.Errorf("by %d, of %d: %v", by, i, err)
			}
			if i < 3 {
				again := h.erase(t, a, id)
				if again.Subject != id || again.Erasure != got.Erasure {
					t.Errorf("by %d, again by %d: %+v", by, i, again)
				}
			}
		}
		if left := h.events(t, a); len(left) != 1 || left[0].Subject != ids[3] {
			t.Errorf("by %d: %d events are left", by, len(left))
		}
		if who, yes := h.granted(t, a, email("apart@example.org")); who != ids[3] || !yes {
			t.Errorf("by %d: who was taken apart is %s with consent %t", by, who, yes)
		}
	}
}

func (h *harness) merge(t tester, a consent.Actor, into, from consent.ID) {
	t.Helper()
	if _, err := h.svc.MergeSubjects(context.Background(), a, consent.MergeSubjects{Subject: into,
		Other: from}); err != nil {
		t.Fatalf("merge: %v", err)
	}
}

// TestEraseAfterRemoval: whose record was removed is still in the ledger, and is erased there.
func TestEraseAfterRemoval(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	err := h.svc.DeleteSubject(context.Background(), a, consent.DeleteSubject{Type: "user", Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.erase(t, a, id); got.Events != 1 {
		t.Errorf("%+v", got)
	}
	_, err = h.svc.SubjectByID(context.Background(), a, id)
	isKind(t, "record", err, consent.Gone, "")
}

// TestErasedAnswers: an answer that told of somebody who was erased is not given again, and its request is not done
// TestEraseAfterRemovalOfMerged: who was merged, and whose record was removed then, is erased whole, by either id.
func TestEraseAfterRemovalOfMerged(t *testing.T) {
	for name, of := range map[string]func(kept, gone consent.ID) consent.ID{
		"who stayed":     func(kept, _ consent.ID) consent.ID { return kept },
		"who was merged": func(_, gone consent.ID) consent.ID { return gone },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			a := h.organization(t)
			made := h.record(t, a, item(user("ada")), item([]consent.Identifier{email("ada@example.org")}))
			kept, gone := made.Items[0].Subject, made.Items[1].Subject
			h.merge(t, a, kept, gone)
			err := h.svc.DeleteSubject(context.Background(), a, consent.DeleteSubject{Type: "user", Name: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			if got := h.erase(t, a, of(kept, gone)); got.Events != 2 {
				t.Errorf("%+v", got)
			}
			if n := h.rows(t, "events", a.Organization) + h.rows(t, "consents", a.Organization); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			_, err = h.svc.EraseSubject(context.Background(), a, consent.EraseSubject{Subject: kept, Suppress: true})
			if err != nil {
				t.Errorf("erased before: %v", err)
			}
		})
	}
	h := newHarness(t)
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	err := h.svc.DeleteSubject(context.Background(), a, consent.DeleteSubject{Type: "user", Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.svc.EraseSubject(context.Background(), a, consent.EraseSubject{Subject: id, Suppress: true})
	isKind(t, "nothing to suppress", err, consent.Unprocessable, "suppress")
}

// again; others' answers stay.
func TestErasedAnswers(t *testing.T) {
	h := newHarness(t)
	root := h.organization(t)
	a, _ := h.key(t, root)
	keyed := func(key string, names ...string) consent.Write {
		var items []consent.Item
		for _, name := range names {
			items = append(items, item(user(name)))
		}
		w := write(items...)
		w.Idempotency = consent.Idempotency{Key: key, Fingerprint: [32]byte{1}, Render: func(any) ([]byte, error) {
			return []byte("answer"), nil
		}}
		return w
	}
	calls := map[string]consent.Write{"ada": keyed("1", "ada"), "both": keyed("2", "bob", "ada"), "bob": keyed("3", "bob")}
	var id consent.ID
	for name, call := range calls {
		made, err := h.svc.Record(context.Background(), a, call)
		if err != nil {
			t.Fatal(err)
		}
		if name == "ada" {
			id = made.Items[0].Subject
		}
	}
	h.erase(t, a, id)
	for name, call := range calls {
		_, err := h.svc.Record(context.Background(), a, call)
		var replayed *consent.Replayed
		if name == "bob" && !errors.As(err, &replayed) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "bob" {
			isKind(t, name, err, consent.Conflict, "Idempotency-Key")
		}
	}
	if n := len(h.events(t, a)); n != 2 {
		t.Errorf("%d events, want 2 of bob", n)
	}
}

// TestEraseProves: after an erasure the checkpoints go on, old and new proofs verify, and so do the tiles.
func TestEraseProves(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	g := h.signing(t, h.store)
	events := h.people(t, a, 0, 300) // of seven people
	before := g.checkpointAfter(t, a, 300)
	id, _ := h.granted(t, a, user("user-3")...)
	old, err := g.LedgerProof(context.Background(), a, events[3], 0)
	if err != nil {
		t.Fatal(err)
	}
	erased, err := g.EraseSubject(context.Background(), a, consent.EraseSubject{Subject: id})
	if err != nil {
		t.Fatal(err)
	}
	after := g.checkpoint(t, a, 301)
	h.damage(t, "DELETE FROM ledger_checkpoints") // so that all is hashed again
	h.people(t, a, 0, 1)
	g.checkpointAfter(t, a, 302)
	grown, err := g.Consistency(context.Background(), a, before.Size, after.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := grown.Verify(before, after); err != nil {
		t.Error(err)
	}
	if erased.Sequence != 301 || erased.Events != 43 {
		t.Errorf("%+v", erased)
	}
	again, err := g.LedgerProof(context.Background(), a, events[3], 300)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(old, again); diff != "" {
		t.Errorf("the proof of an erased decision (-before +after):\n%s", diff)
	}
	for _, path := range []string{"tile/entries/000", "tile/entries/001.p/46", "tile/0/000", "tile/entries/001.p/44"} {
		if _, _, err := g.LedgerTile(context.Background(), a, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text := g.log.String(); text != "" {
		t.Error(text)
	}
}
