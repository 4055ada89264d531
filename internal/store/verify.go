package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/migrations"
)

// Inspection is a store opened to be checked. It changes nothing, and may run beside a server: each method looks at one
// state of its own, so that none is held for long.
type Inspection struct {
	engine engine.Viewer
	within *tx // the state that is looked at; nil: each look takes one
}

// Inspect gives the inspection of what an engine shows; they are closed together.
func Inspect(e engine.Viewer) *Inspection { return &Inspection{engine: e} }

// Close ends the inspection.
func (i *Inspection) Close() error { return i.engine.Close() }

// Schema gives the version of the schema and the one that this program wants. migrations.ErrEarlier says that it wants
// another one from the beginning.
func (i *Inspection) Schema(ctx context.Context) (have, want int64, err error) {
	if want, err = migrations.Newest(); err != nil {
		return 0, 0, err
	}
	const selectVersion = "/* select_schema */ SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied"
	err = i.view(ctx, func(t *tx) error {
		err := t.conn.Search(ctx, migrations.SelectLatest, []any{consent.NoID}, func(engine.Row) error { return nil })
		if err != nil {
			return migrations.Explain(err)
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	view := i.engine.View
	if e, ok := i.engine.(engine.AdminViewer); ok {
		view = e.ViewAdmin
	}
	err = view(ctx, func(c engine.Conn) error {
		return c.Search(ctx, selectVersion, nil, func(r engine.Row) error { return r.Scan(&have) })
	})
	return have, want, err
}

// View reads one consistent state.
func (i *Inspection) View(ctx context.Context, read func(service.Reader) error) error {
	return i.view(ctx, func(t *tx) error { return read(t) })
}

// Together runs several looks on one state, which costs less than a state for each. It is for what takes little time.
func (i *Inspection) Together(ctx context.Context, look func(*Inspection) error) error {
	return i.view(ctx, func(t *tx) error {
		return look(&Inspection{engine: i.engine, within: t})
	})
}

func (i *Inspection) view(ctx context.Context, read func(*tx) error) error {
	if i.within != nil {
		return read(i.within)
	}
	return i.engine.View(ctx, func(c engine.Conn) error { return read(&tx{c}) })
}

// Ledger is what is known of an organization's ledger.
type Ledger struct {
	Events  int64
	Dropped int64     // by retention
	Last    time.Time // when the last entry was recorded
	Few     bool      // events and consents are few enough for Together
	Faults  []string
}

// Parts of the checks. Events that retention dropped are counted, and what refers to one from before the first that
// is left is as it should be.
const (
	eventsDropped = `(SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM counts
WHERE organization_id = $1 AND name = '` + engine.DroppedCount + `')`
	firstEvent  = `(SELECT event_id FROM events WHERE organization_id = $1 ORDER BY event_id LIMIT 1)`
	countEvents = `(SELECT count(*) FROM events WHERE organization_id = $1)`
	// entries are the whole ledger.
	entries = `(SELECT event_id, sequence FROM events WHERE organization_id = $1
UNION ALL SELECT event_id, sequence FROM ledger_entries WHERE organization_id = $1) AS entries`
)

// ledgerChecks are those of a ledger's own rows. They are parts of one statement.
var ledgerChecks = []check{
	{"entries whose sequence is not one more than that of the entry before", `SELECT count(*) FROM (
SELECT sequence - coalesce(lag(sequence) OVER (ORDER BY event_id), ` + eventsDropped + `) AS step FROM ` + entries +
		`) AS steps WHERE step <> 1`},
	{"heads that are not the last entry", `SELECT count(*) FROM ledger_heads h WHERE h.organization_id = $1
AND NOT (h.sequence = ` + eventsDropped + ` AND NOT EXISTS (SELECT 1 FROM ` + entries + `))
AND NOT ((EXISTS (SELECT 1 FROM events e WHERE e.organization_id = $1 AND e.event_id = h.last_event_id
AND e.sequence = h.sequence)
OR EXISTS (SELECT 1 FROM ledger_entries e WHERE e.organization_id = $1 AND e.event_id = h.last_event_id
AND e.sequence = h.sequence))
AND NOT EXISTS (SELECT 1 FROM events l WHERE l.organization_id = $1 AND l.event_id > h.last_event_id)
AND NOT EXISTS (SELECT 1 FROM ledger_entries l WHERE l.organization_id = $1 AND l.event_id > h.last_event_id))`},
	{"organizations without a head", `SELECT count(*) FROM organizations o WHERE o.organization_id = $1
AND NOT EXISTS (SELECT 1 FROM ledger_heads h WHERE h.organization_id = $1)`},
	{"events whose predecessor is not there",
		`SELECT count(*) FROM events e WHERE e.organization_id = $1 AND e.previous_id >= ` + firstEvent + `
AND NOT EXISTS (SELECT 1 FROM events p WHERE p.organization_id = $1 AND p.event_id = e.previous_id
AND p.event_id < e.event_id
AND p.subject_id = e.subject_id AND p.project_no = e.project_no AND p.purpose_no = e.purpose_no)`},
	{"consents whose last event is not there",
		`SELECT count(*) FROM consents c WHERE c.organization_id = $1 AND c.last_event_id >= ` + firstEvent + `
AND NOT EXISTS (SELECT 1 FROM events e WHERE e.organization_id = $1 AND e.event_id = c.last_event_id
AND e.subject_id = c.subject_id AND e.project_no = c.project_no AND e.purpose_no = c.purpose_no)`},
	{"events that no timeline leads to, or several", `SELECT abs(` + countEvents + `
- (SELECT count(DISTINCT previous_id) FROM events WHERE organization_id = $1 AND previous_id >= ` + firstEvent + `)
- (SELECT count(*) FROM consents WHERE organization_id = $1 AND last_event_id >= ` + firstEvent + `))`},
	{"rows that the ledger's tree lacks, or has too many",
		`SELECT ` + rowsAmiss("0", "32") + ` + ` + rowsAmiss("1", "1024")},
	{"entries that are not what entries of their kind are", `SELECT count(*) FROM ledger_entries e
WHERE e.organization_id = $1 AND NOT (e.kind > 1 AND e.leaf IS NULL AND e.subject_id IS NOT NULL
AND e.body IS NOT NULL AND e.ident IS NOT NULL OR e.kind = 1 AND coalesce(octet_length(e.leaf), 0) = 105
AND e.subject_id IS NULL AND e.body IS NULL AND e.ident IS NULL)`},
	somethingLeft,
	{"suppressions by which the head's count is wrong", `SELECT abs((SELECT count(*) FROM suppressions
WHERE organization_id = $1) - coalesce((SELECT suppressed FROM ledger_heads WHERE organization_id = $1), 0))`},
	{"subjects with events and without what these are committed with", `SELECT count(*) FROM (
SELECT e.subject_id FROM events e WHERE e.organization_id = $1
UNION SELECT e.subject_id FROM ledger_entries e WHERE e.organization_id = $1 AND e.subject_id IS NOT NULL) AS told
WHERE NOT EXISTS (SELECT 1 FROM subject_keys k WHERE k.organization_id = $1 AND k.subject_id = told.subject_id)`},
	{"purposes whose versions are not those before the current one", `SELECT count(*) FROM purposes p
WHERE p.organization_id = $1 AND (p.version - 1 <> (SELECT count(*) FROM purpose_versions v
WHERE v.organization_id = $1 AND v.project_no = p.project_no AND v.purpose_no = p.purpose_no AND v.version > 0)
OR EXISTS (SELECT 1 FROM purpose_versions v WHERE v.organization_id = $1 AND v.project_no = p.project_no
AND v.purpose_no = p.purpose_no AND v.version >= p.version))`},
	{"versions of purposes whose texts are not there", `SELECT count(*) FROM (
SELECT p.document_hash AS hash FROM purposes p WHERE p.organization_id = $1
UNION SELECT p.texts_hash FROM purposes p WHERE p.organization_id = $1
UNION SELECT v.document_hash FROM purpose_versions v WHERE v.organization_id = $1
UNION SELECT v.texts_hash FROM purpose_versions v WHERE v.organization_id = $1) AS said
WHERE said.hash IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM texts x WHERE x.organization_id = $1 AND x.hash = said.hash)`},
	{"events by which the kept count is wrong", `SELECT abs(` + countEvents + `
- (SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM counts WHERE organization_id = $1 AND name LIKE 'events/%'))`},
}

// rowsAmiss counts by how many complete rows a level of the tree differs from what its entries make, so many a row.
func rowsAmiss(level, entries string) string {
	return `abs((SELECT count(*) FROM ledger_rows WHERE organization_id = $1 AND level = ` + level + `)
- coalesce((SELECT sequence / ` + entries + ` FROM ledger_heads WHERE organization_id = $1), 0))`
}

// checkLedger gives what is known of a ledger, and what each of the checks counts.
var checkLedger = func() string {
	columns := []string{countEvents, eventsDropped,
		`(SELECT max(recorded_at) FROM (SELECT recorded_at FROM (SELECT recorded_at FROM events
WHERE organization_id = $1 ORDER BY event_id DESC LIMIT 1) AS decision
UNION ALL SELECT recorded_at FROM (SELECT recorded_at FROM ledger_entries
WHERE organization_id = $1 ORDER BY event_id DESC LIMIT 1) AS other) AS newest)`}
	for _, check := range ledgerChecks {
		columns = append(columns, "("+check.count+")")
	}
	return "/* check_ledger */ SELECT " + strings.Join(columns, ", ")
}()

// selectFew counts up to as many as are too many to be few.
const selectFew = `/* select_few */ SELECT 
(SELECT count(*) FROM (SELECT 1 FROM events WHERE organization_id = $1 LIMIT $2) AS e),
(SELECT count(*) FROM (SELECT 1 FROM consents WHERE organization_id = $1 LIMIT $2) AS c)`

// Ledger checks that a ledger is whole: sequence without gaps in the order of ids, every event on
// exactly one timeline, head and count right.
func (i *Inspection) Ledger(ctx context.Context, organization consent.ID) (found Ledger, err error) {
	counted := make([]int64, len(ledgerChecks))
	to := []any{&found.Events, &found.Dropped, &found.Last}
	for n := range counted {
		to = append(to, &counted[n])
	}
	err = i.view(ctx, func(t *tx) error {
		var events, consents int
		err := t.conn.SearchPrepared(ctx, selectFew, []any{organization, inspectPage},
			func(r engine.Row) error { return r.Scan(&events, &consents) })
		if err != nil {
			return fmt.Errorf("count a few events: %w", err)
		}
		check := t.conn.Search // with a plan of its own
		if found.Few = max(events, consents) < inspectPage; found.Few {
			check = t.conn.SearchPrepared
		}
		if err := check(ctx, checkLedger, []any{organization},
			func(r engine.Row) error { return r.Scan(to...) }); err != nil {
			return fmt.Errorf("check the ledger: %w", err)
		}
		return nil
	})
	for n, check := range ledgerChecks {
		if counted[n] != 0 {
			found.Faults = append(found.Faults, fmt.Sprintf("%d %s", counted[n], check.what))
		}
	}
	return found, err
}

// Dropped gives how many events of a ledger retention has dropped.
func (i *Inspection) Dropped(ctx context.Context, organization consent.ID) (dropped int64, err error) {
	err = i.view(ctx, func(t *tx) error {
		return t.conn.SearchPrepared(ctx, "/* select_dropped */ SELECT "+eventsDropped, []any{organization},
			func(r engine.Row) error { return r.Scan(&dropped) })
	})
	return dropped, err
}

// inspectPage is how many rows are read in one state.
const inspectPage = 500

// OpenEvents decrypts what events of an organization say of people (service.Opener).
type OpenEvents func(ctx context.Context, r service.Reader, organization consent.ID, events []consent.Event) error

// Events calls visit for the events of an organization with their blobs, in order; some is how many at either end of
// the ledger, 0 all. open decrypts them; nil: they stay as they are stored.
func (i *Inspection) Events(ctx context.Context, organization consent.ID, some int, open OpenEvents,
	visit func(*consent.Event) error) error {
	page := func(condition string, args []any, limit int) (last consent.ID, n int, err error) {
		statement := "/* inspect_events */ SELECT " + eventColumns +
			", e.body, e.ident FROM events e WHERE e.organization_id = $1 AND " + condition + " LIMIT " + strconv.Itoa(limit)
		var events []consent.Event
		err = i.view(ctx, func(t *tx) error {
			events = events[:0]
			err := t.conn.SearchPrepared(ctx, statement, args, func(r engine.Row) error {
				events = append(events, consent.Event{})
				e := &events[len(events)-1]
				return scanEvent(r, e, &e.BodyJSON, &e.IdentityJSON)
			})
			if err != nil || open == nil {
				return err
			}
			return open(ctx, t, organization, events)
		})
		for n = 0; n < len(events) && err == nil; n++ {
			last = events[n].ID
			err = visit(&events[n])
		}
		return last, n, err
	}
	if some > 0 {
		if _, n, err := page("TRUE ORDER BY e.event_id", []any{organization}, some); err != nil || n < some {
			return err
		}
		_, _, err := page("TRUE ORDER BY e.event_id DESC", []any{organization}, some)
		return err
	}
	for after, n := consent.NoID, inspectPage; n == inspectPage; {
		var err error
		if after, n, err = page("e.event_id > $2 ORDER BY e.event_id", []any{organization, after}, inspectPage); err != nil {
			return err
		}
	}
	return nil
}

// selectWholeHistory gives all events that led to a consent, whether or not the subject's record is still there.
const selectWholeHistory = `/* select_whole_history */ WITH RECURSIVE members AS (
  SELECT c.subject_id AS member_id FROM consents c WHERE c.organization_id = $1 AND c.subject_id = $2
    AND c.project_no = $3 AND c.purpose_no = $4
  UNION SELECT m.from_id FROM members n
  CROSS JOIN subject_merges m ON (m.organization_id = $1 AND m.into_id = n.member_id AND m.undone_at IS NULL)),
chain AS (
  SELECT c.last_event_id AS event_id FROM members m
  CROSS JOIN consents c ON (c.organization_id = $1 AND c.subject_id = m.member_id AND c.project_no = $3
    AND c.purpose_no = $4 AND c.last_event_id IS NOT NULL)
  UNION
  SELECT e.previous_id FROM chain h
  CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = h.event_id AND e.previous_id IS NOT NULL))
SELECT ` + eventColumns + ` FROM chain h CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = h.event_id)`

// Consents calls visit for the consents of an organization; some is how many at either end of the table, 0 all.
func (i *Inspection) Consents(ctx context.Context, organization consent.ID, some int, visit visitConsent) error {
	page := func(condition string, args []any, limit int) (last consent.Consent, n int, err error) {
		var consents []consent.Consent
		statement := "/* inspect_consents */ SELECT " + consentColumns +
			" FROM consents c WHERE c.organization_id = $1 AND " + condition + " LIMIT " + strconv.Itoa(limit)
		err = i.view(ctx, func(t *tx) error {
			err := t.conn.SearchPrepared(ctx, statement, args, func(r engine.Row) error {
				consents = append(consents, consent.Consent{})
				return scanConsent(r, &consents[len(consents)-1])
			})
			if n = len(consents); err != nil || n == 0 {
				return err
			}
			last = consents[n-1]
			return t.histories(ctx, consents, visit)
		})
		return last, n, err
	}
	const order, back = " ORDER BY c.subject_id, c.project_no, c.purpose_no",
		" ORDER BY c.subject_id DESC, c.project_no DESC, c.purpose_no DESC"
	if some > 0 {
		if _, n, err := page("TRUE"+order, []any{organization}, some); err != nil || n < some {
			return err
		}
		_, _, err := page("TRUE"+back, []any{organization}, some)
		return err
	}
	var last consent.Consent
	for n := inspectPage; n == inspectPage; {
		var err error
		last, n, err = page("(c.subject_id, c.project_no, c.purpose_no) > ($2, $3, $4)"+order,
			[]any{organization, last.Subject, last.Project, last.Purpose}, inspectPage)
		if err != nil {
			return err
		}
	}
	return nil
}

// History is a consent with what led to it.
type History struct {
	Consent *consent.Consent
	Events  []consent.Event        // without blobs
	Merges  []consent.SubjectMerge // of its subject
	// Cut tells that an event is missing to which it, or one of the events, refers: retention may have dropped it.
	Cut bool
}

type visitConsent = func(*History) error

// walkedTimeline is how far the timelines of a page are walked together, which bounds the memory. A longer one, or one
// of people who were merged, is read by itself.
const walkedTimeline = 64

// histories calls visit for each of some consents with its history. The consents are neighbours, in order or in the
// reverse of it; they are visited in order.
func (t *tx) histories(ctx context.Context, consents []consent.Consent, visit visitConsent) error {
	if compareConsents(&consents[0], &consents[len(consents)-1]) > 0 {
		slices.Reverse(consents)
	}
	merges, err := t.mergesOf(ctx, &consents[0], &consents[len(consents)-1])
	if err != nil {
		return err
	}
	walks := make([]walk, len(consents))
	for i := range consents {
		if walks[i].next = consents[i].Last; merges[consents[i].Subject] != nil {
			walks[i].next = consent.NoID
		}
	}
	if err := t.walk(ctx, consents[0].Organization, walks); err != nil {
		return err
	}
	for i := range consents {
		h := History{Consent: &consents[i], Events: walks[i].events, Merges: merges[consents[i].Subject]}
		if h.Merges != nil || walks[i].next != consent.NoID && !walks[i].missing {
			if h.Events, err = t.history(ctx, h.Consent); err != nil {
				return err
			}
		}
		h.Cut = cut(h.Consent, h.Events)
		if err := visit(&h); err != nil {
			return err
		}
	}
	return nil
}

// walk is a timeline that is walked backwards.
type walk struct {
	next    consent.ID // NoID: it is at its beginning
	missing bool       // next is not there
	events  []consent.Event
}

const walkEvents = "/* walk_events */ SELECT " + eventColumns + ` FROM events e
WHERE e.organization_id = $1 AND e.event_id = $2`

// walk goes back on timelines, an event of each at a time, as far as walkedTimeline.
func (t *tx) walk(ctx context.Context, organization consent.ID, walks []walk) error {
	for range walkedTimeline {
		var going []*walk
		for i := range walks {
			if w := &walks[i]; w.next != consent.NoID && !w.missing {
				w.missing = true
				going = append(going, w)
			}
		}
		err := t.conn.Each(ctx, walkEvents, len(going), func(i int, args []any) []any {
			return append(args, &organization, &going[i].next)
		}, func(i int, r engine.Row) error {
			w := going[i]
			w.events = append(w.events, consent.Event{})
			e := &w.events[len(w.events)-1]
			err := scanEvent(r, e)
			w.next, w.missing = e.Previous, false
			return err
		})
		if err != nil || len(going) == 0 {
			return err
		}
	}
	return nil
}

// history reads all events that led to a consent.
func (t *tx) history(ctx context.Context, c *consent.Consent) (events []consent.Event, err error) {
	args := []any{c.Organization, c.Subject, c.Project, c.Purpose}
	err = t.conn.SearchPrepared(ctx, selectWholeHistory, args, func(r engine.Row) error {
		events = append(events, consent.Event{})
		return scanEvent(r, &events[len(events)-1])
	})
	return events, err
}

// cut tells whether a history refers to events that are no longer there.
func cut(c *consent.Consent, history []consent.Event) bool {
	if len(history) == 0 {
		return true
	}
	there := make(map[consent.ID]bool, len(history))
	for i := range history {
		there[history[i].ID] = true
	}
	return c.Last != consent.NoID && !there[c.Last] || slices.ContainsFunc(history, func(e consent.Event) bool {
		return e.Previous != consent.NoID && !there[e.Previous]
	})
}

const selectMergesBetween = `/* select_merges_between */ WITH RECURSIVE merges AS (
  SELECT m.into_id AS subject_id, m.into_id, m.from_id, m.merge_no, m.merged_at, m.recorded_at,
  m.after_sequence FROM subject_merges m
  WHERE m.organization_id = $1 AND m.into_id >= $2 AND m.into_id <= $3 AND m.undone_at IS NULL
  UNION SELECT n.subject_id, m.into_id, m.from_id, m.merge_no, m.merged_at, m.recorded_at, m.after_sequence
  FROM merges n
  CROSS JOIN subject_merges m ON (m.organization_id = $1 AND m.into_id = n.from_id AND m.undone_at IS NULL))
SELECT subject_id, into_id, from_id, merge_no, merged_at, recorded_at, after_sequence FROM merges`

// mergesOf gives the merges that led to the subjects of a range of consents.
func (t *tx) mergesOf(ctx context.Context, first, last *consent.Consent) (map[consent.ID][]consent.SubjectMerge,
	error) {
	found := map[consent.ID][]consent.SubjectMerge{}
	err := t.conn.SearchPrepared(ctx, selectMergesBetween, []any{first.Organization, first.Subject, last.Subject},
		func(r engine.Row) error {
			var of consent.ID
			m := consent.SubjectMerge{Organization: first.Organization}
			err := scanMerge(r, &m, &of)
			found[of] = append(found[of], m)
			return err
		})
	return found, err
}

func compareConsents(a, b *consent.Consent) int {
	return cmp.Or(bytes.Compare(a.Subject[:], b.Subject[:]), cmp.Compare(a.Project, b.Project),
		cmp.Compare(a.Purpose, b.Purpose))
}
