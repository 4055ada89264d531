package store

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

// TestNothingReadsAllOfAnOrganization asks SQLite how it would run the statements that find people and their
// timelines: none may walk the organization's consents, events or identifiers.
func TestNothingReadsAllOfAnOrganization(t *testing.T) {
	path := emptyFile(t)
	q := consent.EventQuery{Subjects: []consent.ID{{1}, {2}}, Limit: 10, ByOccurredAt: true}
	by, with := eventSearch(&q)
	list, _ := eventPage(&q, by, with)
	count, _ := by.build(with+"SELECT count(*) FROM "+eventSource(&q), "")
	parts := []string{"SCAN chain", "SCAN m", "SCAN members", "SCAN claims", "SCAN page",
		"SCAN merges", "SCAN named", "SCAN few", "SCAN CONSTANT ROW"} // of a statement itself
	for name, statement := range map[string]string{
		"owner": selectOwner, "own id": selectOwnID, "consent": selectConsent,
		"consent by name": selectConsentByName,
		"consents":        selectConsentsOf,
		"person":          selectPerson, "persons": selectPersons, "history": selectHistory, "any event": selectAnyEvent,
		"events of people": list, "count of people": count,
		"claims": selectClaims, "merges": selectMerges, "delete claims": deleteClaims, "merged": markMerged,
		"delete subject": deleteSubject, "head": engine.SelectHead, "answer": selectIdempotency, "key": selectKey,
		"subject": selectSubject,
		"names":   selectNames, "timeline": selectTimeline, "undo merge": undoMerge, "move claims": moveClaims,
		"move claims back": moveClaimsBack, "count of merges": selectMergesCount, "delete claim": deleteClaim,
		"delete consent": deleteConsent, "version": selectVersion, "text of a subject": selectSubjectText,
		"holders of a text": selectTextHolders, "delete text": deleteTextOfSubject, "delete texts": deleteSubjectTexts,
		"unerased": selectUnerased, "job": selectJob, "claim": claimJob, "move job": moveJob, "webhook": selectWebhook,
		"delivery": selectDelivery, "deliveries": selectDeliveries,
		"due deliveries": selectDueDeliveries, "delete deliveries": deleteDeliveries,
		"import": selectImport, "imported line": selectImportLine,
		"errors of an import": selectImportErrors, "note": selectImportNote, "notes": selectImportNotes,
		"sweep of errors": deleteImportErrors, "sweep of notes": deleteImportNotes, "end of a sweep": endImportSweep,
	} {
		for _, step := range storetest.Plan(t, path, statement) {
			if strings.HasSuffix(step, "(organization_id=?)") && !strings.Contains(step, "ledger_heads") ||
				strings.HasPrefix(step, "SCAN ") && !slices.Contains(parts, step) {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}

// TestErasuresAreReadAlongTheirIndex: who was erased is found without a look at all others.
func TestErasuresAreReadAlongTheirIndex(t *testing.T) {
	steps := storetest.Plan(t, emptyFile(t), selectErasedAfter)
	if len(steps) != 1 || !strings.Contains(steps[0], "INDEX subjects_erased") {
		t.Errorf("%q", steps)
	}
}

// TestDueIsReadAlongItsIndex: jobs that are due, and decisions that expire, are found without a look at all others.
func TestDueIsReadAlongItsIndex(t *testing.T) {
	path := emptyFile(t)
	for statement, index := range map[string]string{selectDueJobs: "INDEX jobs_due",
		selectExpiries: "INDEX events_by_expiry", selectAnyExpiry: "COVERING INDEX events_by_expiry"} {
		if steps := storetest.Plan(t, path, statement); len(steps) != 1 || !strings.Contains(steps[0], index) {
			t.Errorf("%q", steps)
		}
	}
}

// TestWebhooksAreFoundAlongIndexes: whether a webhook is behind is seen by a look into the heads and one into what is
// due; and old deliveries are found without a look at the others.
func TestWebhooksAreFoundAlongIndexes(t *testing.T) {
	path := emptyFile(t)
	for statement, indexes := range map[string][]string{
		selectWebhooksBehind: {"SEARCH w USING PRIMARY KEY", "SEARCH h USING",
			"INDEX webhook_deliveries_due (organization_id=? " +
				"AND webhook_id=? AND next_try_at<?"},
		selectDueDeliveries:    {"INDEX webhook_deliveries_due (organization_id=? AND webhook_id=? AND next_try_at<?)"},
		deleteOldDeliveries:    {"INDEX webhook_deliveries_done (organization_id=? AND created_at<?)"},
		selectParkedDeliveries: {"INDEX webhook_deliveries_parked (organization_id=? AND delivery_id>?)"},
		selectParkedCount:      {"COVERING INDEX webhook_deliveries_parked"},
		selectOldDeliveries:    {"INDEX webhook_deliveries_done (organization_id=? AND created_at<?)"},
	} {
		steps := strings.Join(storetest.Plan(t, path, statement), "\n")
		for _, index := range indexes {
			if !strings.Contains(steps, index) {
				t.Errorf("%s\n%s: without %s", statement, steps, index)
			}
		}
	}
}

// TestListByTimeReadsItsPage asks how lists are read that are ordered by when events occurred: where only project and
// time narrow them, along an index that holds all that finding the page takes; else not by that index, behind which
// few may be left.
func TestListByTimeReadsItsPage(t *testing.T) {
	path := emptyFile(t)
	for name, tc := range map[string]struct {
		query consent.EventQuery
		along bool
	}{
		"all": {consent.EventQuery{}, true}, "ascending": {consent.EventQuery{Ascending: true}, true},
		"a project": {consent.EventQuery{Projects: []int{1}}, true},
		"a time":    {consent.EventQuery{From: time.Unix(1, 0), To: time.Unix(2, 0)}, true},
		"a state":   {consent.EventQuery{States: []consent.State{1}}, false},
	} {
		q := tc.query
		q.ByOccurredAt, q.Limit = true, 10
		s, with := eventSearch(&q)
		list, _ := eventPage(&q, s, with)
		steps := strings.Join(storetest.Plan(t, path, list), "\n")
		if along := strings.Contains(steps, "COVERING INDEX events_by_time"); along != tc.along || strings.Count(steps,
			"TEMP B-TREE") > 1 && along {
			t.Errorf("%s: %s", name, steps)
		}
	}
}

// emptyFile makes a database with the schema and gives its path.
func emptyFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	e, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, sqlite.FileName)
}
