package service_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// others are the entries of a ledger that are no decisions.
func (h *harness) others(t tester, a consent.Actor) (found []consent.ExportedEvent) {
	t.Helper()
	h.view(t, func(r service.Reader) error {
		heads, err := r.Heads(context.Background(), []consent.ID{a.Organization})
		if err != nil {
			return err
		}
		span := consent.EventSpan{To: heads[a.Organization].LastID}
		found, _, err = r.OtherEntries(context.Background(), a.Organization, span, 100_000)
		return err
	})
	return found
}

// size is how many entries a ledger has.
func (h *harness) size(t tester, a consent.Actor) (size int64) {
	t.Helper()
	h.view(t, func(r service.Reader) error {
		heads, err := r.Heads(context.Background(), []consent.ID{a.Organization})
		size = heads[a.Organization].Sequence
		return err
	})
	return size
}

// ofKinds are those of some kinds.
func (h *harness) ofKinds(t tester, a consent.Actor, kinds ...consent.EntryKind) []consent.ExportedEvent {
	t.Helper()
	return slices.DeleteFunc(h.others(t, a), func(e consent.ExportedEvent) bool {
		return !slices.Contains(kinds, e.Kind)
	})
}

// audit gives what an audit of a ledger tells.
func (h *harness) audit(t tester, a consent.Actor) string {
	t.Helper()
	var faults []string
	auditor := service.Auditor{View: h.store.View, Keys: sealingtest.Ring(), Fault: func(f service.AuditFault) {
		faults = append(faults, fmt.Sprintf("%d %s: %s", f.Sequence, f.Field, f.What))
	}}
	ledger, err := auditor.Ledger(context.Background(), a.Organization)
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	if _, err := ledger.Run(context.Background(), 0, nil); err != nil {
		t.Fatalf("audit: %v", err)
	}
	slices.Sort(faults)
	return strings.Join(faults, "\n")
}

// allMerges are those that stand and those that do not.
func (h *harness) allMerges(t tester, a consent.Actor) (found []consent.SubjectMerge) {
	t.Helper()
	h.view(t, func(r service.Reader) (err error) {
		found, err = r.AllMerges(context.Background(), a.Organization, consent.SubjectMerge{}, 100_000)
		return err
	})
	slices.SortFunc(found, func(a, b consent.SubjectMerge) int { return int(a.Number - b.Number) })
	return found
}

// TestMergesAreEntries: who turns out to be somebody else, by a write or by a call, is an entry right before what is
// decided on then, and so is what undoes it.
func TestMergesAreEntries(t *testing.T) {
	h := newHarness(t)
	a, _ := h.key(t, h.organization(t))
	browser := named(consent.AnonymousID, valueOf(consent.AnonymousID, 1))
	from := h.record(t, a, item(browser), item(user("ada"))).Items[0].Subject
	h.clock.add(time.Minute)
	signedIn := h.record(t, a, item(slices.Concat(user("ada"), browser))).Items[0]
	h.clock.add(time.Minute)
	other := h.record(t, a, item(named(consent.Email, "ada@example.org"))).Items[0].Subject
	h.merge(t, a, signedIn.Subject, other)
	h.clock.add(time.Minute)
	h.unmerge(t, a, signedIn.Subject, other)

	merges := h.allMerges(t, a)
	entries := h.ofKinds(t, a, consent.MergeEntry, consent.UnmergeEntry)
	if len(merges) != 2 || len(entries) != 3 || entries[2].Kind != consent.UnmergeEntry {
		t.Fatalf("%d merges, %d entries", len(merges), len(entries))
	}
	if decided := signedIn.Events[0].Sequence; merges[0].Entry() != decided-1 {
		t.Errorf("the merge is entry %d, and what was decided then entry %d", merges[0].Entry(), decided)
	}
	for i := range entries {
		e := &entries[i]
		m := merges[min(i, 1)]
		if e.Subject != signedIn.Subject || m.Into != signedIn.Subject || m.From != []consent.ID{from, other, other}[i] ||
			e.Sequence != []int64{m.Entry(), m.Entry(), m.UndoneEntry()}[i] {
			t.Errorf("entry %d, committed as %s, is of %+v", e.Sequence, e.Subject, m)
		}
		if !bytes.Contains(e.IdentityJSON, []byte(a.Key.String())) || bytes.Contains(e.BodyJSON, []byte(m.From.String())) {
			t.Errorf("it says %s of %s", e.BodyJSON, e.IdentityJSON)
		}
	}
	h.merge(t, a, signedIn.Subject, other)
	h.merge(t, a, signedIn.Subject, other) // they are one already
	if n := len(h.ofKinds(t, a, consent.MergeEntry)); n != 3 {
		t.Errorf("%d entries of merges, want 3", n)
	}
	if faults := h.audit(t, a); faults != "" {
		t.Errorf("an audit tells\n%s", faults)
	}
}

// TestDryMergeIsNoEntry: what was only asked for leaves no trace.
func TestDryMergeIsNoEntry(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	ids := h.subjects(t, a, 2)
	_, err := h.svc.MergeSubjects(t.Context(), a, consent.MergeSubjects{Subject: ids[0], Other: ids[1], DryRun: true})
	if n := len(h.ofKinds(t, a, consent.MergeEntry)); n != 0 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
}

// TestMergedInOneBatch: of the merges of one write each has an entry of its own, in its place.
func TestMergedInOneBatch(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	browser := func(n int) []consent.Identifier {
		return named(consent.AnonymousID, valueOf(consent.AnonymousID, n))
	}
	h.record(t, a, item(browser(1)), item(browser(2)), item(browser(3)), item(user("ada")), item(user("eve")))
	h.record(t, a, item(slices.Concat(user("ada"), browser(1))), item(slices.Concat(user("ada"), browser(2))),
		item(slices.Concat(user("eve"), browser(3))))
	entries := h.ofKinds(t, a, consent.MergeEntry)
	rows := map[int64]bool{}
	for _, m := range h.allMerges(t, a) {
		rows[m.Entry()] = true
	}
	if len(entries) != 3 || len(rows) != 3 {
		t.Fatalf("%d entries, %d merges", len(entries), len(rows))
	}
	for _, e := range entries {
		if !rows[e.Sequence] {
			t.Errorf("entry %d is that of no merge", e.Sequence)
		}
	}
	if faults := h.audit(t, a); faults != "" {
		t.Errorf("an audit tells\n%s", faults)
	}
}

// subjects are so many people with a decision each.
func (h *harness) subjects(t tester, a consent.Actor, n int) (ids []consent.ID) {
	t.Helper()
	for i := range n {
		phone := named(consent.Phone, fmt.Sprintf("+3161234567%d", i))
		ids = append(ids, h.record(t, a, item(phone)).Items[0].Subject)
	}
	return ids
}

// names tells which entries name somebody.
func (h *harness) names(t tester, a consent.Actor, id consent.ID) (found []string) {
	t.Helper()
	for _, e := range h.others(t, a) {
		if e.Subject == id || bytes.Contains(e.IdentityJSON, []byte(id.String())) {
			found = append(found, e.Kind.String())
		}
	}
	return found
}

// TestEraseOneOfTwo: where two were taken apart, no entry about the one who is left names the other, who was erased;
// what else is told of the one who is left stays.
func TestEraseOneOfTwo(t *testing.T) {
	for name, tc := range map[string]struct {
		erase int // index of: who stayed, who went, who had been merged into the latter
		kept  []string
	}{
		"who stayed":                {0, []string{"merge"}},
		"who went":                  {1, nil},
		"who was merged into those": {2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			a := h.organization(t)
			ids := h.subjects(t, a, 5)
			for _, id := range ids[:4] {
				h.restrict(t, a, id)
			}
			h.merge(t, a, ids[1], ids[2])
			h.merge(t, a, ids[0], ids[1])
			h.unmerge(t, a, ids[0], ids[1])
			h.merge(t, a, ids[3], ids[4])
			erased := h.erase(t, a, ids[tc.erase])
			gone := []consent.ID{ids[0]}
			if tc.erase > 0 {
				gone = ids[1:3]
			}
			for _, id := range gone {
				if left := h.names(t, a, id); len(left) > 1 || len(left) == 1 && left[0] != "erasure" {
					t.Errorf("%s is named by %v", id, left)
				}
			}
			if left := h.ofKinds(t, a, consent.MergeEntry, consent.UnmergeEntry); len(left) != len(tc.kept)+1 {
				t.Errorf("left are %+v", left)
			}
			if tc.erase > 0 {
				if left := h.names(t, a, ids[0]); !slices.Equal(left, []string{"restriction"}) {
					t.Errorf("of who is left: %v", left)
				}
			}
			if left := h.names(t, a, ids[3]); !slices.Equal(left, []string{"restriction", "merge"}) {
				t.Errorf("of somebody else: %v", left)
			}
			if faults := h.audit(t, a); faults != "" {
				t.Errorf("an audit tells\n%s", faults)
			}
			if again := h.erase(t, a, ids[tc.erase]); *again != *erased {
				t.Errorf("again: %+v, first %+v", again, erased)
			}
		})
	}
}

// TestExportOfMerges: what a person is given names who was merged, and nobody who was taken apart again.
func TestExportOfMerges(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	ids := h.subjects(t, a, 3)
	h.merge(t, a, ids[0], ids[1])
	h.merge(t, a, ids[0], ids[2])
	h.unmerge(t, a, ids[0], ids[2])
	var got []string
	for _, r := range h.take(t, a, ids[0]).requests {
		if r.From == ids[2] || r.From != consent.NoID && (r.From != ids[1] || r.Into != ids[0]) {
			t.Errorf("%s names %s", r.Kind, r.From)
		}
		got = append(got, fmt.Sprint(r.Kind, " ", r.From != consent.NoID))
	}
	if want := []string{"merge true", "merge false", "unmerge false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if x := h.take(t, a, ids[2]); len(x.requests) != 0 {
		t.Errorf("who went is given %+v", x.requests)
	}
}

// TestAuditOfMerges: whoever changes who was merged into whom is found, with the entry and the field.
func TestAuditOfMerges(t *testing.T) {
	for name, tc := range map[string]struct{ statement, says string }{
		"as committed": {"UPDATE subject_merges SET merge_no = merge_no", ""},
		"into whom": {"UPDATE subject_merges SET into_id = from_id WHERE merge_no = 1",
			"first into_id: the merge has another"},
		"when":          {"UPDATE subject_merges SET merged_at = merged_at - 1 WHERE merge_no = 1", "first merged_at: "},
		"when recorded": {"UPDATE subject_merges SET recorded_at = 7 WHERE merge_no = 1", "first recorded_at: "},
		"after what": {"UPDATE subject_merges SET after_sequence = 1 WHERE merge_no = 1",
			"0 : no entry tells that subject "},
		"taken away": {"DELETE FROM subject_merges WHERE merge_no = 1", "first : it tells that subject "},
		"made up": {`INSERT INTO subject_merges SELECT organization_id, from_id, into_id, 9, merged_at, recorded_at,
			after_sequence, NULL, NULL FROM subject_merges WHERE merge_no = 1`, "0 : no entry tells that subject "},
		"undone by nobody": {"UPDATE subject_merges SET undone_at = 7, undone_after = 4 WHERE merge_no = 1",
			"0 : no entry tells that the merge of subject "},
		"stands again": {"UPDATE subject_merges SET undone_at = NULL, undone_after = NULL WHERE merge_no = 2",
			"third undone_at: it tells that the merge of subject "},
		"undone then": {"UPDATE subject_merges SET undone_at = undone_at - 1 WHERE merge_no = 2",
			"third undone_at: the merge has"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			a := h.organization(t)
			ids := h.subjects(t, a, 3)
			h.merge(t, a, ids[0], ids[1])
			h.merge(t, a, ids[0], ids[2])
			h.unmerge(t, a, ids[0], ids[2])
			h.damage(t, tc.statement)
			entries := h.ofKinds(t, a, consent.MergeEntry, consent.UnmergeEntry)
			if len(entries) != 3 {
				t.Fatalf("%d entries", len(entries))
			}
			says := strings.NewReplacer("first", fmt.Sprint(entries[0].Sequence), "third",
				fmt.Sprint(entries[2].Sequence)).Replace(tc.says)
			faults := h.audit(t, a)
			if says == "" && faults != "" || !strings.Contains(faults, says) {
				t.Errorf("it tells\n%s", faults)
			}
		})
	}
}
