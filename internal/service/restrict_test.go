package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

func (h *harness) restrict(t tester, a consent.Actor, id consent.ID) *consent.Restricted {
	t.Helper()
	r, err := h.svc.RestrictSubject(context.Background(), a, consent.RestrictSubject{Subject: id})
	if err != nil {
		t.Fatalf("restrict: %v", err)
	}
	return r
}

func (h *harness) unrestrict(t tester, a consent.Actor, id consent.ID) {
	t.Helper()
	r, err := h.svc.UnrestrictSubject(context.Background(), a, consent.RestrictSubject{Subject: id})
	if err != nil || !r.At.IsZero() {
		t.Fatalf("unrestrict: %+v, %v", r, err)
	}
}

// reason asks why analytics is granted or not.
func (h *harness) reason(t tester, a consent.Actor, at time.Time, names ...consent.Identifier) consent.Reason {
	t.Helper()
	checked, err := h.svc.Check(context.Background(), a, consent.CheckQuery{People: [][]consent.Identifier{names},
		Purposes: []string{consent.Analytics}, Instant: consent.Instant{At: at}})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	r := checked[0].Results[0]
	if yes := r.Reason == consent.ReasonAccepted; r.Granted != yes {
		t.Errorf("granted %t because %s", r.Granted, r.Reason)
	}
	return r.Reason
}

// TestRestrict: whoever asks, by whatever name, gets a no from the restriction on until it ends; writes are kept, and
// entries of the ledger say so.
func TestRestrict(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.bare(t)
	g := h.signing(t, h.store)
	ada := []consent.Identifier{{Kind: consent.UserID, Value: "ada"}, email("ada@example.org")}
	id := h.record(t, a, item(ada)).Items[0].Subject
	own := consent.Identifier{Kind: consent.AnonymousID, Value: id.String()}
	ask := func(want consent.Reason) {
		t.Helper()
		for _, names := range [][]consent.Identifier{ada, ada[:1], ada[1:], {own}} {
			if got := h.reason(t, a, time.Time{}, names...); got != want {
				t.Errorf("%v: %s, want %s", names, got, want)
			}
		}
		list, err := h.svc.ConsentsOfSubject(ctx, a, id, "", consent.Instant{})
		if err != nil || list.Items[0].Reason != want {
			t.Errorf("of the subject: %+v, %v", list, err)
		}
		all, _, _, err := h.svc.Consents(ctx, a, consent.ConsentFilter{}, consent.ConsentKey{}, 10)
		if err != nil || len(all) != 1 || all[0].Reason != want {
			t.Errorf("of everybody: %+v, %v", all, err)
		}
	}
	ask(consent.ReasonAccepted)
	h.clock.add(time.Hour)
	made := h.restrict(t, a, id)
	want := consent.Restricted{Subject: id, Restriction: consent.Restriction{At: noon.Add(time.Hour), Sequence: 2}}
	if diff := cmp.Diff(want, *made); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ask(consent.ReasonRestricted)
	h.clock.add(time.Hour)
	if diff := cmp.Diff(made, h.restrict(t, a, id)); diff != "" {
		t.Errorf("again (-first +again):\n%s", diff)
	}
	for at, reason := range map[time.Time]consent.Reason{noon.Add(time.Minute): consent.ReasonAccepted,
		noon.Add(time.Hour): consent.ReasonRestricted} {
		if got := h.reason(t, a, at, ada[0]); got != reason {
			t.Errorf("at %s: %s", at, got)
		}
	}
	h.record(t, a, item(ada))
	ask(consent.ReasonRestricted)
	h.unrestrict(t, a, id)
	ask(consent.ReasonAccepted)
	h.unrestrict(t, a, id)
	g.checkpointAfter(t, a, 4)
	if text := g.log.String(); text != "" {
		t.Error(text)
	}
}

// TestRestrictedAndMerged: who stays is restricted where who goes was, and after they were taken apart both are. What
// ends it for one person ends it for all whom they are.
func TestRestrictedAndMerged(t *testing.T) {
	for _, restricted := range []int{0, 1} {
		h := newHarness(t)
		a := h.organization(t)
		var ids []consent.ID
		names := []consent.Identifier{email("one@example.org"), email("two@example.org")}
		for _, name := range names {
			ids = append(ids, h.record(t, a, item([]consent.Identifier{name})).Items[0].Subject)
		}
		ask := func(when string, want consent.Reason) {
			t.Helper()
			for _, name := range names {
				if got := h.reason(t, a, time.Time{}, name); got != want {
					t.Errorf("%d restricted, %s: %v is %s, want %s", restricted, when, name, got, want)
				}
			}
		}
		apart := func() {
			t.Helper()
			if _, err := h.svc.UnmergeSubjects(context.Background(), a, consent.UnmergeSubjects{Subject: ids[0],
				Other: ids[1]}); err != nil {
				t.Fatal(err)
			}
		}
		h.restrict(t, a, ids[restricted])
		h.merge(t, a, ids[0], ids[1])
		ask("merged", consent.ReasonRestricted)
		apart()
		ask("taken apart", consent.ReasonRestricted)
		h.merge(t, a, ids[0], ids[1])
		h.unrestrict(t, a, ids[1])
		ask("ended", consent.ReasonAccepted)
		apart()
		ask("taken apart after its end", consent.ReasonAccepted)
	}
}

// TestRestrictedAndShared: where an address is two people's, the restriction of one is heard; and who is erased takes
// it with them.
func TestRestrictedAndShared(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	inbox := email("us@example.org")
	mother := h.record(t, a, item([]consent.Identifier{{Kind: consent.UserID, Value: "mother"}, inbox})).Items[0].Subject
	son := h.record(t, a, item([]consent.Identifier{{Kind: consent.UserID, Value: "son"}, inbox})).Items[0].Subject
	if mother == son {
		t.Fatal("they are one")
	}
	h.restrict(t, a, son)
	for name, want := range map[consent.Identifier]consent.Reason{inbox: consent.ReasonRestricted,
		user("son")[0]: consent.ReasonRestricted, user("mother")[0]: consent.ReasonAccepted} {
		if got := h.reason(t, a, time.Time{}, name); got != want {
			t.Errorf("%v is %s, want %s", name, got, want)
		}
	}
	h.erase(t, a, son)
	if got := h.reason(t, a, time.Time{}, inbox); got != consent.ReasonAccepted {
		t.Errorf("after the erasure the inbox is %s", got)
	}
	h.record(t, a, item(user("son")))
	if got := h.reason(t, a, time.Time{}, user("son")...); got != consent.ReasonAccepted {
		t.Errorf("who came back is %s", got)
	}
}

// TestRestrictRefuses: who may not, who is not there, and who is gone.
func TestRestrictRefuses(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	without, _ := h.key(t, a, consent.SubjectsErase, consent.SubjectsRead)
	calls := []func(context.Context, consent.Actor, consent.RestrictSubject) (*consent.Restricted, error){
		h.svc.RestrictSubject, h.svc.UnrestrictSubject}
	refused := func(what string, actor consent.Actor, in consent.RestrictSubject, kind consent.Kind, field string) {
		t.Helper()
		for _, call := range calls {
			_, err := call(context.Background(), actor, in)
			isKind(t, what, err, kind, field)
		}
	}
	refused("without the scope", without, consent.RestrictSubject{Subject: id}, consent.Forbidden, "")
	refused("nobody", a, consent.RestrictSubject{Subject: consent.ID{7}}, consent.NotFound, "")
	refused("another's", h.organization(t), consent.RestrictSubject{Subject: id}, consent.NotFound, "")
	refused("a long reason", a, consent.RestrictSubject{Subject: id, Reason: string(make([]byte, 501))},
		consent.Unprocessable, "reason")
	h.erase(t, a, id)
	refused("the erased", a, consent.RestrictSubject{Subject: id}, consent.Gone, "")
}
