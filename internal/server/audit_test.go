package server_test

import (
	"context"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// audits count what must not be there, beside what an inspection looks for.
var audits = []struct{ what, count string }{
	{"counts of names are wrong", `SELECT count(*) FROM (SELECT organization_id, sum(n) AS n FROM (
SELECT organization_id, amount AS n FROM counts WHERE name LIKE 'named/%'
UNION ALL SELECT organization_id, -1 FROM identifiers WHERE kind = 'user_id' OR kind LIKE 'subject:%') a
GROUP BY organization_id) b WHERE n <> 0`},
	{"records lack earlier versions", `SELECT count(*) FROM (SELECT 1 AS lack FROM subjects s LEFT JOIN subject_archive a
ON (a.organization_id = s.organization_id AND a.subject_id = s.subject_id AND a.version < s.version)
GROUP BY s.organization_id, s.subject_id, s.version HAVING count(a.version) <> s.version - 1) b`},
	{"identifiers are nobody's", `SELECT count(*) FROM identifiers i WHERE NOT EXISTS (SELECT 1 FROM subjects s
WHERE s.organization_id = i.organization_id AND s.subject_id = i.subject_id)`},
	{"people have two user ids", `SELECT count(*) FROM (SELECT 1 AS two FROM identifiers WHERE kind = 'user_id'
GROUP BY organization_id, subject_id HAVING count(*) > 1) a`},
	{"projects have gaps in the numbers of their purposes", `SELECT count(*) FROM (SELECT 1 AS gap FROM purposes
GROUP BY organization_id, project_no HAVING max(purpose_no) <> count(*)) a`},
	{"organizations have gaps in the numbers of their projects", `SELECT count(*) FROM (SELECT 1 AS gap FROM projects
GROUP BY organization_id HAVING max(project_no) <> count(*)) a`},
}

// audit looks at the database itself: whatever was written together fits together, as the doctor sees it and beyond,
// and no transaction was in another's way.
func (w *harness) audit() {
	w.Helper()
	for _, a := range audits {
		n, err := w.database.count(a.count)
		w.must(err)
		if n != 0 {
			w.Errorf("%d %s", n, a.what)
		}
	}
	i, err := w.database.inspect()
	w.must(err)
	defer i.Close()
	var organizations []consent.OrganizationView
	w.must(i.View(context.Background(), func(r service.Reader) (err error) {
		organizations, _, err = r.Organizations(context.Background(), consent.NoID, consent.OrganizationFilter{Limit: 1000})
		return err
	}))
	if len(organizations) < 2 {
		w.Fatalf("there are %d organizations to look at", len(organizations))
	}
	for _, o := range organizations {
		w.auditLedger(i, o.ID)
	}
	for _, s := range w.stores {
		counting, ok := s.(postgresStore)
		if !ok {
			continue
		}
		for _, f := range counting.engine.Figures() {
			if (strings.Contains(f.Name, "retries") || strings.Contains(f.Name, "unknown")) && f.Value != 0 {
				w.Errorf("%s is %v: transactions were in each other's way", f.Name, f.Value)
			}
		}
	}
}

// auditLedger looks at every event and every consent of an organization.
func (w *harness) auditLedger(i *store.Inspection, organization consent.ID) {
	w.Helper()
	ctx := context.Background()
	ledger, err := i.Ledger(ctx, organization)
	w.must(err)
	for _, fault := range ledger.Faults {
		w.Errorf("organization %s: %s", organization, fault)
	}
	var catalog *consent.Catalog
	w.must(i.View(ctx, func(r service.Reader) (err error) {
		catalog, err = r.Catalog(ctx, organization)
		return err
	}))
	w.must(i.Events(ctx, organization, 0, service.NewOpener(sealingtest.Ring(), nil).Events, func(e *consent.Event) error {
		if fault := consent.CheckEvent(catalog, e); fault != nil {
			w.Errorf("event %s: %v", e.ID, fault)
		}
		return nil
	}))
	w.must(i.Consents(ctx, organization, 0, func(h *store.History) error {
		if fault := consent.CheckConsent(h.Consent, h.Events, h.Merges); fault != nil && !h.Cut {
			w.Errorf("subject %s, purpose %d: %v", h.Consent.Subject, h.Consent.Purpose, fault)
		}
		return nil
	}))
}
