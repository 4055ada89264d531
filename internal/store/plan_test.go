package store

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// TestNothingReadsAllOfAnOrganization asks SQLite how it would run the statements that find people and their
// timelines: none may walk the organization's consents, events or identifiers.
func TestNothingReadsAllOfAnOrganization(t *testing.T) {
	s, e := openEngine(t)
	q := consent.EventQuery{Subjects: []consent.ID{{1}, {2}}, Limit: 10, ByOccurredAt: true}
	by, with := eventSearch(&q)
	list, _ := eventPage(&q, by, with)
	count, _ := by.build(with+"SELECT count(*) FROM "+eventSource(&q), "")
	parts := []string{"SCAN chain", "SCAN m", "SCAN members", "SCAN claims", "SCAN page"} // of a statement itself
	for name, statement := range map[string]string{
		"owner": selectOwner, "own id": selectOwnID, "identifiers": selectIdentifiers, "consent": selectConsent, "consents": selectConsentsOf,
		"person": selectPerson, "persons": selectPersons, "history": selectHistory, "any event": selectAnyEvent,
		"events of people": list, "count of people": count,
		"claims": selectClaims, "merges": selectMerges, "delete claims": deleteClaims, "merged": markMerged,
		"delete merged": deleteMerged, "head": selectHead, "answer": selectAnswer, "key": selectKey, "subject": selectSubject,
	} {
		for _, step := range planOf(t, e, statement) {
			if strings.HasSuffix(step, "(organization_id=?)") && !strings.Contains(step, "ledger_heads") ||
				strings.HasPrefix(step, "SCAN ") && !slices.Contains(parts, step) {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
	_ = s
}

// TestListByTimeReadsItsPage asks how lists are read that are ordered by when events occurred: where only project and
// time narrow them, along an index that holds all that finding the page takes; else not by that index, behind which
// few may be left.
func TestListByTimeReadsItsPage(t *testing.T) {
	_, e := openEngine(t)
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
		steps := strings.Join(planOf(t, e, list), "\n")
		if along := strings.Contains(steps, "COVERING INDEX events_by_time"); along != tc.along || strings.Count(steps,
			"TEMP B-TREE") > 1 && along {
			t.Errorf("%s: %s", name, steps)
		}
	}
}

// TestNextOrganizationReadsOneRowOfATable looks for rows that are gathered: of a table that only its first one is wanted of, none are.
func TestNextOrganizationReadsOneRowOfATable(t *testing.T) {
	_, e := openEngine(t)
	gathers := 0
	for _, operation := range explained(t, e, "EXPLAIN "+nextOrganization, 1) {
		if operation == "AggStep" {
			gathers++
		}
	}
	if gathers != 1 { // the least of those
		t.Errorf("rows are gathered in %d places", gathers)
	}
}

func planOf(t *testing.T, e *sqliteEngine, statement string) (steps []string) {
	t.Helper()
	return explained(t, e, "EXPLAIN QUERY PLAN "+statement, 3)
}

// explained gives one column of what SQLite explains.
func explained(t *testing.T, e *sqliteEngine, statement string, column int) (lines []string) {
	t.Helper()
	e.writing.Lock()
	defer e.writing.Unlock()
	plan, _, err := e.writer.PrepareTransient(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plan.Finalize() }()
	for {
		more, err := plan.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return lines
		}
		lines = append(lines, plan.ColumnText(column))
	}
}

// openEngine opens a fresh store and gives its engine too.
func openEngine(t *testing.T) (*Store, *sqliteEngine) {
	t.Helper()
	s := openStore(t, t.TempDir())
	return s, s.engine.(*sqliteEngine)
}

// openStore opens a data folder until the test ends.
func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenSQLite(context.Background(), dir, SQLiteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

// closeAtEnd closes a store when the test ends.
func closeAtEnd(t *testing.T, s *Store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
