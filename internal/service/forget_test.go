package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/ledger"
)

// filesHold tells which of some words stand in the files of a data folder, byte for byte.
func filesHold(t tester, folder string, words []string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, sqlite.FileName+"*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, word := range words {
			if bytes.Contains(content, []byte(word)) {
				found = append(found, word+" in "+filepath.Base(path))
			}
		}
	}
	return found
}

// TestErasedLeaveNoBytes: soon after an erasure nothing that was said of the person stands in the database or in its
// write-ahead log, neither as text nor as the id of a row that is gone.
func TestErasedLeaveNoBytes(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	h.people(t, a, 0, 50)
	words := []string{"canary-user", "canary@example.org", "canary-agent", "canary-page.example", "canary-data",
		"canary-old-data", "canary-browser", "203.0.113.0"}
	ada := []consent.Identifier{{Kind: consent.UserID, Value: words[0]}, email(words[1])}
	w := write(item(ada), item(append(ada[:2:2], consent.Identifier{Kind: consent.AnonymousID, Value: words[6]})))
	for i := range w.Items {
		w.Items[i].Evidence = consent.Evidence{NoticeURL: "https://" + words[3] + "/", UserAgent: words[2],
			Address: netip.MustParseAddr("203.0.113.77")}
	}
	made, err := h.svc.Record(ctx, a, w)
	if err != nil {
		t.Fatal(err)
	}
	id := made.Items[0].Subject
	for _, data := range []string{words[5], words[4]} {
		if _, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: words[0], Mode: consent.Rewrite,
			Data: []byte(`{"note":"` + data + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	event := made.Items[0].Events[0].ID
	if found := filesHold(t, h.folder, words); len(found) > 0 {
		t.Fatalf("what tells of people can be read in the files: %v", found)
	}
	words = append(words, h.stored(t, a, id)...)
	if found := filesHold(t, h.folder, words); len(found) < 4 {
		t.Fatalf("before the erasure only these are found: %v", found)
	}
	h.erase(t, a, id)
	var left []string
	await(t, "nothing of who was erased in the files", func() bool {
		left = filesHold(t, h.folder, words)
		return len(left) == 0 && len(filesHold(t, h.folder, words)) == 0 // they may have moved between the files meanwhile
	})
	if found := filesHold(t, h.folder, []string{string(event[:])}); len(found) == 0 {
		t.Error("the entry is gone too") // its id is what the leaf stands under
	}
	if other := h.events(t, a)[0]; h.stored(t, a, other.Subject) == nil {
		t.Error("somebody else is gone too")
	}
}

// stored gives what the store has of a subject that can be looked for: key, idents, and how identifiers are found and
// shown.
func (h *harness) stored(t tester, a consent.Actor, id consent.ID) (texts []string) {
	t.Helper()
	key := consent.SubjectKey{Organization: a.Organization, Subject: id}
	err := h.store.View(context.Background(), func(r service.Reader) error {
		secrets, err := r.SubjectSecrets(context.Background(), []consent.SubjectKey{key})
		names, err2 := r.Names(context.Background(), []consent.SubjectKey{key})
		events, err3 := r.Timeline(context.Background(), key, consent.NoID, 10)
		if err := errors.Join(err, err2, err3); err != nil {
			return err
		}
		for _, secret := range secrets {
			texts = append(texts, string(secret))
		}
		for _, n := range names[key] {
			texts = append(texts, n.Value, string(n.Sealed))
		}
		for _, e := range events {
			texts = append(texts, string(e.IdentityJSON))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return texts
}

// TestHistoriesWithErasures: whatever is written, merged, taken apart, restricted and erased, the next checkpoint is
// signed after all was hashed again, it goes on from each before it, and what was proved before is proved still.
func TestHistoriesWithErasures(t *testing.T) {
	h := newHarness(t)
	g := h.signing(t, h.store)
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		a := h.organization(t)
		trusted := verifiers(outer, a)
		type proved struct {
			event consent.ID
			leaf  []byte
		}
		var proofs []proved
		var checkpoints []*ledger.Checkpoint
		var people []consent.ID
		verify := func() {
			size := h.size(t, a)
			if size == 0 {
				return
			}
			if !g.AwaitCheckpoint(ctx, a, size, 10*time.Second) {
				t.Fatalf("no checkpoint of %d entries; log: %s", size, g.log.String())
			}
			newest, err := g.Checkpoint(ctx, a)
			if err != nil {
				t.Fatalf("%v", err)
			}
			now, _, err := ledger.Open(newest.Note, origin(a), trusted)
			if err != nil || now.Size != size {
				t.Fatalf("the checkpoint is of %d entries, want %d: %v", now.Size, size, err)
			}
			for _, before := range checkpoints {
				grown, err := g.Consistency(ctx, a, before.Size, now.Size)
				if err == nil {
					err = grown.Verify(before, now)
				}
				if err != nil {
					t.Fatalf("from %d to %d: %v", before.Size, now.Size, err)
				}
			}
			checkpoints = append(checkpoints, now)
			for _, p := range proofs {
				again, err := g.LedgerProof(ctx, a, p.event, 0)
				if err != nil {
					t.Fatalf("proof of %s: %v", p.event, err)
				}
				if !bytes.Equal(again.Leaf, p.leaf) && p.leaf != nil {
					t.Fatalf("the leaf of %s is another", p.event)
				}
			}
			for i := range proofs {
				again, err := g.LedgerProof(ctx, a, proofs[i].event, 0)
				if err != nil {
					t.Fatalf("%v", err)
				}
				proofs[i].leaf = again.Leaf
			}
		}
		for range rapid.IntRange(3, 14).Draw(t, "steps") {
			someone := func(name string) consent.ID {
				return people[rapid.IntRange(0, len(people)-1).Draw(t, name)]
			}
			switch do := rapid.IntRange(0, 5).Draw(t, "do"); {
			case do <= 1 || len(people) == 0:
				who := fmt.Sprintf("p%d@example.org", rapid.IntRange(0, 4).Draw(t, "who"))
				made := h.record(t, a, item([]consent.Identifier{email(who)}, decided(consent.Analytics, consent.Accepted),
					decided(consent.Marketing, consent.Declined)))
				people = append(people, made.Items[0].Subject)
				for _, e := range made.Items[0].Events {
					proofs = append(proofs, proved{event: e.ID})
				}
			case do == 2: // it may be refused: they are one already, or gone
				_, _ = h.svc.MergeSubjects(ctx, a, consent.MergeSubjects{Subject: someone("into"), Other: someone("from")})
			case do == 3:
				_, _ = h.svc.RestrictSubject(ctx, a, consent.RestrictSubject{Subject: someone("restricted")})
			default:
				h.erase(t, a, someone("erased"))
				verify()
			}
		}
		verify()
		if faults := h.audit(t, a); faults != "" {
			t.Fatalf("an audit tells\n%s", faults)
		}
	})
	if text := g.log.String(); text != "" {
		t.Error(text)
	}
}
