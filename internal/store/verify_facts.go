package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// check counts what must not be there; $1 is the organization.
type check struct{ what, count string }

// factChecks hold tables by which people are answered against the entries and merges that tell of the same.
var factChecks = []check{
	{"subjects that are told to be somebody else, and nobody merged them so", `SELECT count(*) FROM subjects s
WHERE s.organization_id = $1 AND s.merged_into IS NOT NULL AND NOT EXISTS (SELECT 1 FROM subject_merges m
WHERE m.organization_id = $1 AND m.from_id = s.subject_id AND m.undone_at IS NULL
AND s.merged_into = coalesce((SELECT p.merged_into FROM subjects p
WHERE p.organization_id = $1 AND p.subject_id = m.into_id), m.into_id))`},
	{"subjects that were merged, and are told to be themselves", `SELECT count(*) FROM subject_merges m
WHERE m.organization_id = $1 AND m.undone_at IS NULL AND EXISTS (SELECT 1 FROM subjects s
WHERE s.organization_id = $1 AND s.subject_id = m.from_id AND s.merged_into IS NULL)`},
	{"restrictions that no entry of the ledger tells of", `SELECT count(*) FROM restrictions r
WHERE r.organization_id = $1 AND r.sequence > ` + eventsDropped + ` AND NOT EXISTS (SELECT 1 FROM ledger_entries e
WHERE e.organization_id = $1 AND e.sequence = r.sequence AND e.kind = 3)`},
	{"restrictions that the ledger tells of, and that are not in force", `SELECT count(*) FROM ledger_entries e
WHERE e.organization_id = $1 AND e.kind = 3 AND NOT EXISTS (SELECT 1 FROM ledger_entries u
WHERE u.organization_id = $1 AND u.kind = 4 AND u.sequence > e.sequence AND u.subject_id IN (` + whoIs + `))
AND NOT EXISTS (SELECT 1 FROM restrictions r WHERE r.organization_id = $1 AND r.subject_id IN (` + whoIs + `))`},
	{"subjects that are told to be erased, and no entry of the ledger tells of it", `SELECT count(*) FROM subjects s
WHERE s.organization_id = $1 AND s.erased_at IS NOT NULL
AND coalesce(s.erased_sequence, 0) NOT BETWEEN 1 AND ` + eventsDropped + `
AND NOT EXISTS (SELECT 1 FROM ledger_entries e
WHERE e.organization_id = $1 AND e.sequence = s.erased_sequence AND e.kind = 2)`},
	{"erasures of which no subject tells", `SELECT count(*) FROM ledger_entries e
WHERE e.organization_id = $1 AND e.kind = 2 AND NOT EXISTS (SELECT 1 FROM subjects s
WHERE s.organization_id = $1 AND s.erased_sequence = e.sequence)`},
	somethingLeft,
}

// somethingLeft counts people of whom an erasure left more than the id.
var somethingLeft = check{"subjects that were erased and of whom something is left", `SELECT count(*) FROM subjects s
WHERE s.organization_id = $1 AND s.erased_at IS NOT NULL AND (s.data IS NOT NULL OR s.profile IS NOT NULL
OR EXISTS (SELECT 1 FROM identifiers i WHERE i.organization_id = $1 AND i.subject_id = s.subject_id)
OR EXISTS (SELECT 1 FROM consents c WHERE c.organization_id = $1 AND c.subject_id = s.subject_id)
OR EXISTS (SELECT 1 FROM subject_keys k WHERE k.organization_id = $1 AND k.subject_id = s.subject_id)
OR EXISTS (SELECT 1 FROM subject_archive v WHERE v.organization_id = $1 AND v.subject_id = s.subject_id)
OR EXISTS (SELECT 1 FROM subject_texts x WHERE x.organization_id = $1 AND x.subject_id = s.subject_id)
OR EXISTS (SELECT 1 FROM restrictions r WHERE r.organization_id = $1 AND r.subject_id = s.subject_id)
OR EXISTS (SELECT 1 FROM identifier_claims m WHERE m.organization_id = $1 AND m.subject_id = s.subject_id))`}

// whoIs are the subject of an entry e and those who were ever merged with it.
const whoIs = `SELECT e.subject_id UNION ALL SELECT m.into_id FROM subject_merges m
WHERE m.organization_id = $1 AND m.from_id = e.subject_id
UNION ALL SELECT m.from_id FROM subject_merges m WHERE m.organization_id = $1 AND m.into_id = e.subject_id`

// checkFacts gives what each of factChecks counts.
var checkFacts = func() string {
	columns := make([]string, len(factChecks))
	for i, check := range factChecks {
		columns[i] = "(" + check.count + ")"
	}
	return "/* check_facts */ SELECT " + strings.Join(columns, ", ")
}()

// Facts tells where tables by which people are answered say other than the ledger's entries and merges.
func (i *Inspection) Facts(ctx context.Context, organization consent.ID) (faults []string, err error) {
	counted, to := make([]int64, len(factChecks)), make([]any, len(factChecks))
	for n := range counted {
		to[n] = &counted[n]
	}
	err = i.view(ctx, func(t *tx) error {
		return t.conn.Search(ctx, checkFacts, []any{organization}, func(r engine.Row) error { return r.Scan(to...) })
	})
	for n, check := range factChecks {
		if counted[n] != 0 {
			faults = append(faults, fmt.Sprintf("%d %s", counted[n], check.what))
		}
	}
	return faults, err
}
