package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/engine"
)

// A worker of Citus plans each statement anew, with the values at hand, by PostgreSQL's own settings: consentd's end at
// the coordinator. Its statistics may be older than nearly all that a shard holds, and then every index that begins
// with the organization looks as if one row were behind it. These tests plan as a worker does, on plain PostgreSQL, and
// look at what each statement of a request or a batch really read.

// plannedAsOnWorker are the settings of a session on a worker, and those by which auto_explain notes what was read.
var plannedAsOnWorker = url.Values{
	"enable_seqscan": {"on"}, "enable_hashjoin": {"on"}, "enable_mergejoin": {"on"},
	"plan_cache_mode":           {"force_custom_plan"},
	"session_preload_libraries": {"auto_explain"}, "auto_explain.log_min_duration": {"0"},
	"auto_explain.log_analyze": {"on"}, "auto_explain.log_timing": {"off"}, "auto_explain.log_buffers": {"on"},
	"auto_explain.log_format": {"json"}, "auto_explain.log_level": {"notice"},
}

// planNode is a step of a plan that was run. Its figures of rows are averages over its loops.
type planNode struct {
	Type    string     `json:"Node Type"`
	Index   string     `json:"Index Name"`
	Rows    int        `json:"Actual Rows"`
	Loops   int        `json:"Actual Loops"`
	Removed int        `json:"Rows Removed by Filter"`
	Joined  int        `json:"Rows Removed by Join Filter"`
	Hit     int        `json:"Shared Hit Blocks"` // with those of the steps below
	Read    int        `json:"Shared Read Blocks"`
	Plans   []planNode `json:"Plans"`
}

// asked is how many rows a statement gives, writes, or was asked about.
func (n *planNode) asked() int {
	most := 0
	if n.Type == "Function Scan" || n.Type == "ModifyTable" {
		most = n.Rows * n.Loops
	}
	for i := range n.Plans {
		if below := &n.Plans[i]; n.Type == "ModifyTable" {
			most = max(most, below.Rows*below.Loops, below.asked())
		} else {
			most = max(most, below.asked())
		}
	}
	return most
}

// removed is how many rows were read and then left out.
func (n *planNode) removed() int {
	sum := (n.Removed + n.Joined) * n.Loops
	for i := range n.Plans {
		sum += n.Plans[i].removed()
	}
	return sum
}

// plan is what auto_explain notes of a statement.
type plan struct {
	Statement string   `json:"Query Text"`
	Root      planNode `json:"Plan"`
	text      string
}

// planNotes gathers plans from what the server notes.
type planNotes struct {
	t     *testing.T
	mu    sync.Mutex
	plans []plan
}

func (p *planNotes) notice(message string) {
	_, text, found := strings.Cut(message, "plan:\n")
	if !found {
		return
	}
	made := plan{text: text}
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		p.t.Errorf("a plan that is no JSON: %v: %s", err, text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = append(p.plans, made)
}

// forget drops the plans so far.
func (p *planNotes) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = nil
}

// fault says what a statement read too much of, "" where all is well. What it may read depends on what it gives or is
// asked about: a few pages for each look-up in an index and in its table, and for each index of what it writes.
func (p *plan) fault() string {
	rows := max(p.Root.Rows*p.Root.Loops, p.Root.asked())
	blocks, removed := p.Root.Hit+p.Root.Read, p.Root.removed()
	if blocks > 80+25*rows || removed > 20+2*rows {
		return fmt.Sprintf("of %d rows it read %d pages, and left out %d rows", rows, blocks, removed)
	}
	return ""
}

// plansExcused are the statements of the store that no request about a person or a batch sends.
var plansExcused = []excuse{
	{"/* count_organizations */", "the root key's list of organizations"},
	{"/* list_organizations */", "the root key's list of organizations"},
	{"/* count_subjects */", "a search by text reads all that it searches"},
	{"/* count_events */", "counts what a list is narrowed to"},
	{"/* list_subjects */", "a list may read and sort what it is a page of"},
	{"/* list_events */ SELECT", "a list may read and sort what it is a page of"}, // but not one of some people
	{"/* list_events_after */ SELECT", "looks at a bounded number of events for what a list is narrowed to"},
	{"/* export_window */", "passes over a bounded number of events"},
	{"/* select_entry_after */", "finds where an auditor's bundle of entries begins; without statistics it may sort"},
	{"/* delete_expired_idempotency */", "reads an organization's records once, every 10 minutes"},
	{"/* select_expired_idempotency */", "finds the organizations that have records to drop, now and then"},
	{"/* select_webhooks_behind */", "finds the webhooks that something is to be done for, of all organizations"},
	{"/* select_old_deliveries */", "finds the organizations that have deliveries to drop, now and then"},
	{"/* delete_old_deliveries */", "drops an organization's old deliveries, now and then"},
	{"/* delete_deliveries */", "drops a part of the deliveries of a webhook that was removed"},
	{"/* free_jobs */", "is sent where one server alone can have the store open"},
	{"/* select_parked_deliveries */", "an operator lists what was given up"},
	{"/* select_webhook_counts */", "counts all webhooks, of which there are few, for metrics"},
	{"/* select_parked_count */", "counts the deliveries that were given up, along their index, for metrics"},
	{"/* list_imports */", "a list of imports, of which there are few, may read all of them"},
	{"/* select_imports_to_sweep */", "finds the imports of which something is to be removed, now and then"},
	{"/* delete_import_errors */", "removes a part of what an import kept, now and then"},
	{"/* delete_import_notes */", "removes a part of what a dry run noted, now and then"},
	{"/* select_unsigned */", "finds the organizations whose checkpoint is behind, now and then"},
	{"/* select_due_jobs */", "finds what is due, of all organizations, once a second"},
	{"/* select_job_counts */", "counts all jobs, of which there are few, for metrics"},
	{"/* select_jobs */", "an operator lists an organization's jobs, of which there are few"},
	{"/* select_uncosigned */", "finds the organizations whose checkpoint a witness has not cosigned, now and then"},
	{"/* select_witness_lag */", "tells how far behind a witness is, of all organizations, now and then"},
	{"/* select_merged_into */", "looks through an organization's merges, once an erasure of a removed record"},
	{"/* select_undone_merges */", "looks through an organization's merges, once an erasure"},
	{"/* select_all_merges */", "an audit reads all merges, page by page"},
	{"/* select_own_entries */", "looks through an organization's own entries, once a bundle of evidence"},
	{"/* delete_merged */", "looks through an organization's merges, once an erasure"},
	{"/* select_answers_about */", "looks through an organization's kept answers, once an erasure"},
	{"/* select_root_key */", "the instance's own"},
	{"/* select_secret */", "the instance's own"}, {"/* insert_secret */", "the instance's own"},
}

// The organizations of the plan tests.
var (
	firstOrganization = consent.ID{15: 1} // had its few rows when the statistics were made
	largeOrganization = consent.ID{0: 0x40, 15: 2}
	newOrganization   = consent.ID{0: 0x80, 15: 3}
)

// TestPlansOfWorkers runs every statement that is on the path of a request or a batch, for one row and for many, on a
// shard that was filled after its statistics were made.
func TestPlansOfWorkers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		analyze func(c *pgx.Conn, fill func(o consent.ID, rows int)) // when statistics are made
	}{
		{"never analyzed", func(*pgx.Conn, func(consent.ID, int)) {}},
		{"analyzed while empty", func(c *pgx.Conn, _ func(consent.ID, int)) { execute(t, c, "ANALYZE") }},
		{"analyzed with few rows", func(c *pgx.Conn, fill func(consent.ID, int)) {
			fill(firstOrganization, 100)
			execute(t, c, "ANALYZE")
		}},
		{"analyzed with the large organization", func(c *pgx.Conn, fill func(consent.ID, int)) {
			fill(largeOrganization, largeRows)
			execute(t, c, "ANALYZE")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address := postgresURL(t)
			c := connect(t, address)
			for _, table := range textsOf(t, c, `SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`) {
				execute(t, c, "ALTER TABLE "+table+" SET (autovacuum_enabled = off)")
			}
			filled := map[consent.ID]bool{}
			fill := func(o consent.ID, rows int) {
				if !filled[o] {
					fillShard(t, c, o, rows)
				}
				filled[o] = true
			}
			tc.analyze(c, fill)
			fill(largeOrganization, largeRows)
			fill(newOrganization, largeRows/5)
			checkPlans(t, c, address)
		})
	}
}

// largeRows are enough for the height of an index to count: of 20,000, events_by_time as it was before did no harm.
const largeRows = 100_000

// manyPeople are how many one statement is about, where it can be about many.
const manyPeople = 200

// checkPlans runs the statements and looks at their plans.
func checkPlans(t *testing.T, c *pgx.Conn, address string) {
	t.Helper()
	notes := &planNotes{t: t}
	r := &recorder{sent: map[string]bool{}, notice: notes.notice}
	s := store.New(open(t, Options{URL: r.through(t, address) + "&" + plannedAsOnWorker.Encode()}))
	notes.forget() // what a start asks
	for _, o := range []consent.ID{largeOrganization, newOrganization} {
		for _, n := range []int{1, manyPeople} {
			runStatements(t, s, shardPeople(t, c, o, n))
		}
	}
	notes.mu.Lock()
	defer notes.mu.Unlock()
	faults, planned := map[string]bool{}, map[string]int{}
	for i := range notes.plans {
		p := &notes.plans[i]
		name := engine.Comment(p.Statement)
		if name == "" {
			continue // not the store's
		}
		planned[name]++
		if fault := p.fault(); fault != "" && !faults[name] && excuseFor(plansExcused, p.Statement) == "" {
			faults[name] = true
			t.Errorf("%s: %s\n%s", name, fault, p.text)
		}
	}
	for name, n := range planned {
		if strings.HasPrefix(name, "/* select_") && n > manyPeople/2 {
			t.Errorf("%s ran %d times: of many rows each costs a round trip, and is planned anew", name, n)
		}
	}
	for _, w := range writtenStatements(t) {
		name := engine.Comment(w.text)
		if strings.HasPrefix(w.place, "../") && strings.Count(w.place, "/") == 1 && name != "" &&
			!strings.HasPrefix(w.place, "../verify") && planned[name] == 0 && excuseFor(plansExcused, name) == "" {
			t.Errorf("%s: %s was not run: have runStatements run it, or excuse it", w.place, name)
		}
	}
}

func execute(t *testing.T, c *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// fillShard gives an organization so many rows in each table that grows with its people, in the order of time, and some
// in the others. A table that the schema does not have yet is passed over.
func fillShard(t *testing.T, c *pgx.Conn, o consent.ID, rows int) {
	t.Helper()
	values := strings.NewReplacer("@org", "'"+o.String()+"'::uuid",
		"@rows", fmt.Sprintf(" FROM generate_series(1, %d) AS i", rows), "@few", " FROM generate_series(1, 3) AS i",
		"@some", fmt.Sprintf(" FROM generate_series(1, %d) AS i", min(rows, 1000)),
		"@other", "md5('other' || i)::uuid", "@hash", "sha256(i::text::bytea)",
		"@id", fmt.Sprintf("(lpad(to_hex(%d + i), 12, '0') || '70008000' || right(md5('%s' || i), 12))::uuid",
			time.Now().UnixMilli(), o))
	for _, insert := range []string{
		"organizations VALUES (@org, '', @org::text, '', 'active', FALSE, now(), now(), '{}')",
		"projects SELECT @org, i, @id, '', i::text, FALSE, now(), now(), '{}'@few",
		"purposes SELECT @org, 1, i, @id, i::text, i::text, '', '', 2, '', '', '', 'consent', NULL, NULL, FALSE, " +
			"'', 'active', '', FALSE, FALSE, now(), 1, now(), now()@few",
		"purpose_versions SELECT @org, 1, 1, i, '', '', '', 'consent', NULL, NULL, FALSE, now()@some",
		"restrictions SELECT @org, @id, now(), i@some",
		"suppressions SELECT @org, @hash, now()@some",
		"ledger_heads VALUES (@org, 1, NULL)",
		"subject_keys SELECT @org, @id, @hash@rows",
		"ledger_rows SELECT @org, 0, i, @hash@rows",
		"ledger_checkpoints VALUES (@org, 1, @org, '', '', 0, now())",
		"ledger_keys SELECT @org, i, '', now()@few",
		"ledger_cosignatures SELECT @org, i::text, 1, '', '', now()@few",
		"counts SELECT @org, 'events/' || i, 1@few",
		"slugs SELECT @org::text || i, @org@some",
		"api_keys SELECT @org, @id, '', '', @hash, now()@some",
		"texts SELECT @org, @hash, ''@some",
		"subject_texts SELECT @org, @hash, @id, ''@rows",
		"subjects SELECT @org, @id, 'user', NULL, now(), 1, now(), @other, NULL@rows",
		"subject_archive SELECT @org, @id, 1, now(), @other, NULL@some",
		"identifiers SELECT @org, 'user_id', 0, convert_to('u' || i, 'UTF8'), @id, NULL, ''@rows",
		"identifier_claims SELECT @org, 'email', 0, convert_to('c' || i, 'UTF8'), @id, @id@rows",
		"subject_merges SELECT @org, @id, @other, i, now(), now(), 1@rows",
		"events SELECT @org, @id, i, @id, 1, 1, 1, 1, 1, 1, TRUE, now(), now(), CASE WHEN i % 10 = 0 THEN now() + i * INTERVAL '1 s' END, NULL, @other, " +
			"'', '', '', '', ''@rows",
		"ledger_entries SELECT @org, @id, i, 1, now(), NULL, @hash@rows",
		"consents SELECT @org, @id, 1, 1, @id, @id, 1, 1, 1, TRUE, TRUE, now()@rows",
		"kept_answers SELECT @org, @org, @hash, '', '', now() - i * INTERVAL '1 ms'@rows",
		"jobs SELECT @org, @id, 'tidy', now() + INTERVAL '1 h', 0, NULL, '', now(), NULL, ''@some",
		"webhooks SELECT @org, md5(@org || 'hook' || i)::uuid, '', '*', '', '', '', NULL, NULL, now(), now(), 1, i, @org, now()@few",
		// all of one webhook's: a tenth waits for another try, a hundredth was given up
		"webhook_deliveries SELECT @org, md5(@org || 'hook1')::uuid, @id, 'consent.recorded', @id, i, now(), 1, " +
			"CASE WHEN i % 10 = 0 THEN now() + i * INTERVAL '1 s' END, CASE WHEN i % 100 = 1 THEN 2 ELSE 1 END, 500, " +
			"'answered', 1, now()@rows",
		"imports SELECT @org, @id, '', 1, '', FALSE, FALSE, 1, 1, 1, 1, 1, '', now(), now(), NULL, 0, NULL@some",
		"import_lines SELECT @org, substr(@hash, 1, 16)@rows",
		"import_errors SELECT @org, @org, i, '', ''@rows",
		"import_notes SELECT @org, @org, @hash, ''@rows",
	} {
		name, _, _ := strings.Cut(insert, " ")
		if textsOf(t, c, "SELECT coalesce(to_regclass('"+name+"')::text, '')")[0] != "" {
			execute(t, c, values.Replace("INSERT INTO "+insert))
		}
	}
}

// people are some of whom an organization knows.
type people struct {
	organization consent.ID
	names        []consent.OwnedName // by which they are known
	claims       []consent.OwnedName // that they claim
	subjects     []consent.SubjectKey
	consents     []consent.ConsentKey
	answers      []consent.IdempotencyKey
}

// shardPeople gives n of those that fillShard made.
func shardPeople(t *testing.T, c *pgx.Conn, o consent.ID, n int) *people {
	t.Helper()
	p := &people{organization: o}
	rows, err := c.Query(context.Background(), `SELECT convert_from(value_index, 'UTF8'), subject_id FROM identifiers
WHERE organization_id = $1 AND kind = 'user_id' ORDER BY subject_id LIMIT $2`, o.String(), n)
	if err != nil {
		t.Fatal(err)
	}
	var value string
	var id [16]byte
	_, err = pgx.ForEachRow(rows, []any{&value, &id}, func() error {
		number := value[1:]
		p.names = append(p.names, nameOf(o, consent.UserID, value))
		p.claims = append(p.claims, nameOf(o, consent.Email, "c"+number))
		p.subjects = append(p.subjects, consent.SubjectKey{Organization: o, Subject: id})
		p.consents = append(p.consents, consent.ConsentKey{Organization: o, Subject: id, Project: 1, Purpose: 1})
		p.answers = append(p.answers, consent.IdempotencyKey{Organization: o, Key: o, Hash: sha256.Sum256([]byte(number))})
		return nil
	})
	if err != nil || len(p.names) != n {
		t.Fatalf("%d of %d people: %v", len(p.names), n, err)
	}
	return p
}

func nameOf(o consent.ID, kind consent.IdentifierKind, value string) consent.OwnedName {
	return consent.OwnedName{Organization: o, Identifier: consent.Identifier{Kind: kind, Value: value}}
}

// runStatements does with some people what requests and batches do.
func runStatements(t *testing.T, s *store.Store, p *people) {
	t.Helper()
	ctx := context.Background()
	for _, name := range []consent.OwnedName{p.names[0], p.claims[0],
		nameOf(p.organization, consent.AnonymousID, p.subjects[0].Subject.String())} {
		if _, err := s.Person(ctx, name, 1, nil); err != nil {
			t.Error(err)
		}
	}
	err := s.View(ctx, func(r service.Reader) error {
		return errors.Join(p.readSets(ctx, r), p.readOnes(ctx, r), p.readExports(ctx, r), p.readLedger(ctx, r),
			p.readJobs(ctx, r), p.readWebhooks(ctx, r),
			p.readImports(ctx, r))
	})
	if err != nil {
		t.Error(err)
	}
	c := newOrganizationChanges()
	if err := s.Update(ctx, consent.NoID, func(tx service.Tx) error { return tx.Append(ctx, &c) }); err != nil {
		t.Error(err)
	}
	for _, c := range []consent.Changes{p.changedPurpose(), p.newcomers(), p.again(), p.merged(), p.undone(), p.signed(),
		p.told(), p.erased(), p.gone(), p.worked()} {
		err := s.Update(ctx, p.organization, func(tx service.Tx) error { return tx.Append(ctx, &c) })
		if err != nil {
			t.Error(err)
		}
	}
}

// readExports reads parts of exports: of all events, of a project's, and of the consents of everybody.
func (p *people) readExports(ctx context.Context, r service.Reader) error {
	const part = 100
	var events consent.ExportedEvents
	var consents consent.ExportedConsents
	whole := consent.EventSpan{To: consent.ID{0: 0xff}}
	_, err := r.ExportEvents(ctx, &consent.EventQuery{Organization: p.organization, Ascending: true}, whole, part, &events)
	if err == nil && len(events.Rows) == 0 {
		err = errors.New("an export has no events")
	}
	_, err2 := r.ExportEvents(ctx, &consent.EventQuery{Organization: p.organization, Ascending: true,
		Projects: []int{1}}, whole, part, &events)
	_, _, err3 := r.ExportConsents(ctx, consent.ConsentKey{Organization: p.organization}, part, &consents)
	if err3 == nil && len(consents.Rows) == 0 {
		err3 = errors.New("an export has no consents")
	}
	return errors.Join(err, err2, err3)
}

// readSets asks about all of them at once.
func (p *people) readSets(ctx context.Context, r service.Reader) error {
	own := make([]consent.OwnedName, len(p.subjects))
	for i := range own {
		own[i] = nameOf(p.organization, consent.AnonymousID, "nobody's")
		own[i].Own = p.subjects[i].Subject
	}
	owners, err := r.Owners(ctx, append(own, p.names...))
	if err == nil && slices.Contains(owners, consent.NoID) {
		err = errors.New("somebody is not known")
	}
	named := make([]consent.NamedConsent, len(p.names))
	for i := range named {
		named[i] = consent.NamedConsent{Name: p.names[i], Project: 1, Purpose: 1}
	}
	byName, err10 := r.ConsentsByName(ctx, named)
	persons, err11 := r.Persons(ctx, p.names, 1, nil)
	sharing, err12 := r.Persons(ctx, p.claims, 1, nil)
	claimants, err2 := r.Claimants(ctx, p.claims)
	identifiers, err3 := r.Names(ctx, p.subjects)
	consents, err4 := r.Consents(ctx, p.consents)
	consentsOf, err5 := r.ConsentsOf(ctx, p.subjects)
	histories, err6 := r.History(ctx, p.consents)
	merges, err7 := r.Merges(ctx, p.subjects)
	_, err8 := r.Heads(ctx, []consent.ID{p.organization})
	secrets, err13 := r.SubjectSecrets(ctx, p.subjects)
	rows := make([]consent.LedgerRow, len(p.subjects))
	for i := range rows {
		rows[i] = consent.LedgerRow{Organization: p.organization, Number: int64(i) + 1}
	}
	err14 := r.LedgerRows(ctx, rows)
	answers, err9 := r.IdempotencyRecords(ctx, p.answers)
	for _, found := range []int{len(claimants), len(identifiers), len(consents), len(consentsOf), len(histories),
		len(merges), len(answers), len(byName), len(persons), len(sharing), len(secrets)} {
		if found != len(p.subjects) {
			err = errors.Join(err, fmt.Errorf("%d found of %d", found, len(p.subjects)))
		}
	}
	return errors.Join(err, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13, err14)
}

// readImports asks about lines, imports and what helps with one.
func (p *people) readImports(ctx context.Context, r service.Reader) error {
	of := consent.ImportKey{Organization: p.organization, Import: p.organization}
	var lines []consent.ImportedLine
	var imports []consent.ImportKey
	var notes, prefixes [][]byte
	for i := range p.answers {
		lines = append(lines, consent.ImportedLine{Organization: p.organization,
			Key: consent.LineKey(p.answers[i].Hash[:16])})
		imports = append(imports, consent.ImportKey{Organization: p.organization, Import: p.subjects[i].Subject})
		notes, prefixes = append(notes, p.answers[i].Hash[:]), append(prefixes, p.answers[i].Hash[:24])
	}
	taken, err := r.ImportedLines(ctx, lines)
	_, err2 := r.Imports(ctx, imports)
	_, err3 := r.ImportNotes(ctx, of, notes)
	under, err4 := r.ImportNotesUnder(ctx, of, prefixes)
	_, err5 := r.ImportErrors(ctx, of, 50, 10)
	if err == nil && err4 == nil && (slices.Contains(taken, false) || len(under[0]) != 1) {
		err = errors.New("a line or a note is not found")
	}
	return errors.Join(err, err2, err3, err4, err5)
}

// readOnes asks about one of them.
func (p *people) readOnes(ctx context.Context, r service.Reader) error {
	o, subject := p.organization, p.subjects[0].Subject
	_, err := r.Catalog(ctx, o)
	_, err2 := r.SlugTaken(ctx, o.String()+"1")
	_, err3 := r.Key(ctx, o, subject)
	_, err4 := r.Keys(ctx, o, subject, 10)
	_, err5 := r.Text(ctx, o, p.answers[0].Hash[:])
	_, err6 := r.Subject(ctx, o, subject)
	_, err7 := r.ArchivedRecord(ctx, o, subject, 1)
	_, err8 := r.HasEvents(ctx, o, subject)
	_, _, err9 := r.NamedSubjects(ctx, o, consent.SubjectFilter{Limit: 10})
	_, err13 := r.Event(ctx, o, subject)
	names, err10 := r.NamedAfter(ctx, consent.SubjectFilter{Limit: 1}, consent.OwnedName{Organization: o})
	if _, failed := r.Timeline(ctx, p.subjects[0], consent.NoID, 10); failed != nil {
		err = errors.Join(err, failed)
	}
	if len(names) != 1 {
		err = errors.Join(err, fmt.Errorf("%d names found of 1", len(names)))
	}
	_, err11 := r.Texts(ctx, o, [][]byte{p.answers[0].Hash[:]})
	_, err15 := r.SubjectTexts(ctx, o, [][]byte{p.answers[0].Hash[:]})
	_, err16 := r.TextHolders(ctx, []consent.Text{{Organization: o, Hash: p.answers[0].Hash[:], Subject: subject}})
	_, err12 := r.PurposeVersions(ctx, consent.PurposeKey{Organization: o, Project: 1, Purpose: 1}, 10, 10)
	_, err14 := r.NamedVersions(ctx, []consent.VersionKey{{PurposeKey: consent.PurposeKey{Organization: o, Project: 1,
		Purpose: 1}, Version: 1}})
	err = errors.Join(err, err15, err16, err14, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13)
	for _, q := range []consent.EventQuery{{Subjects: []consent.ID{subject}}, {Subjects: []consent.ID{subject},
		ByOccurredAt: true}, {}, {ByOccurredAt: true}, {ByOccurredAt: true, Ascending: true}} {
		q.Organization, q.Limit = o, 10
		_, _, failed := r.Events(ctx, q)
		_, _, failed2 := r.EventsAfter(ctx, &q, consent.WholeLedger(consent.ID(bytes.Repeat([]byte{0xfe}, 16)), q.Ascending))
		err = errors.Join(err, failed, failed2)
	}
	return err
}

// newOrganizationChanges makes one more organization.
func newOrganizationChanges() consent.Changes {
	id, now := consent.ID(uuid.New()), time.Now()
	return consent.Changes{
		Organizations: []consent.Organization{{ID: id, Slug: id.String(), CreatedAt: now, UpdatedAt: now}},
		Projects:      []consent.Project{{Organization: id, ID: id, Number: 1, CreatedAt: now, UpdatedAt: now}},
		Purposes: []consent.Purpose{{Organization: id, ID: id, Project: 1, Number: 1, HeldFrom: now, CreatedAt: now,
			UpdatedAt: now}},
	}
}

// changedPurpose ends a version of a purpose.
func (p *people) changedPurpose() consent.Changes {
	now := time.Now()
	of := consent.Purpose{Organization: p.organization, Project: 1, Number: 2, Version: 10 + len(p.subjects),
		Taxonomy: consent.Taxonomy{Category: "x"}, HeldFrom: now, CreatedAt: now, UpdatedAt: now}
	return consent.Changes{ChangedPurposes: []consent.Purpose{of},
		PurposeVersions: []consent.PurposeVersion{of.CurrentVersion()}}
}

// newcomers are as many people more, with something of everything.
func (p *people) newcomers() (c consent.Changes) {
	now := time.Now()
	for i := range p.subjects {
		n := strconv.Itoa(len(p.subjects)) + "/" + strconv.Itoa(i)
		id, hash := consent.ID(uuid.Must(uuid.NewV7())), sha256.Sum256([]byte(n))
		record := consent.Record{Version: 1, ChangedAt: now, Data: []byte("{}")}
		c.Subjects = append(c.Subjects, consent.Subject{Organization: p.organization, ID: id, CreatedAt: now, Record: record})
		c.Archive = append(c.Archive, consent.ArchivedRecord{Organization: p.organization, Subject: id, Record: record})
		c.Identifiers = append(c.Identifiers, consent.OwnedIdentifier{OwnedName: nameOf(p.organization, consent.UserID, n),
			Subject: id})
		c.Claims = append(c.Claims, consent.OwnedIdentifier{OwnedName: p.claims[i], Subject: id})
		c.Texts = append(c.Texts, consent.Text{Organization: p.organization, Hash: hash[:], Text: n})
		c.SubjectTexts = append(c.SubjectTexts, consent.SubjectText{SubjectKey: consent.SubjectKey{
			Organization: p.organization, Subject: id}, Hash: hash[:], Sealed: hash[:]})
		c.SharedTexts = append(c.SharedTexts, consent.Text{Organization: p.organization, Hash: id[:]})
		c.Keys = append(c.Keys, consent.Key{Organization: p.organization, ID: id, SecretHash: hash, CreatedAt: now})
		c.Events = append(c.Events, consent.Event{Organization: p.organization, ID: id, Sequence: int64(i), Subject: id,
			Project: 1, Purpose: 1, OccurredAt: now, RecordedAt: now, BodyJSON: []byte{}, IdentityJSON: []byte{}})
		c.Consents = append(c.Consents, consent.Consent{Organization: p.organization, Subject: id, Project: 1, Purpose: 1,
			Event: id, Last: id, OccurredAt: now})
		c.SubjectSecrets = append(c.SubjectSecrets, consent.SubjectSecret{SubjectKey: consent.SubjectKey{
			Organization: p.organization, Subject: id}, Wrapped: hash[:]})
		c.LedgerRows = append(c.LedgerRows, consent.LedgerRow{Organization: p.organization, Level: 4, Number: now.UnixNano() +
			int64(i), Hashes: hash[:]})
		c.Counts = append(c.Counts, consent.Count{Organization: p.organization, Name: consent.EventCount(1), Add: 1})
		c.IdempotencyRecords = append(c.IdempotencyRecords, consent.IdempotencyRecord{IdempotencyKey: consent.IdempotencyKey{
			Organization: p.organization, Key: id, Hash: hash}, Sealed: []byte{}, ExpiresAt: now})
		run := consent.ImportRun{Organization: p.organization, ID: id, Project: 1, CreatedAt: now, UpdatedAt: now}
		c.Imports = append(c.Imports, run)
		c.ImportedLines = append(c.ImportedLines, consent.ImportedLine{Organization: p.organization,
			Key: consent.LineKey(id)})
		c.ImportErrors = append(c.ImportErrors, consent.KeptLineError{ImportKey: run.Key()})
		c.ImportNotes = append(c.ImportNotes, consent.ImportNote{ImportKey: run.Key(), Name: hash[:], Value: hash[:]})
	}
	last := c.Events[len(c.Events)-1]
	c.Heads = []consent.Head{{Organization: p.organization, Sequence: last.Sequence, LastID: last.ID}}
	return c
}

// again is the same of people who are known.
func (p *people) again() (c consent.Changes) {
	now := time.Now()
	for i, key := range p.subjects {
		c.Subjects = append(c.Subjects, consent.Subject{Organization: key.Organization, ID: key.Subject, CreatedAt: now,
			Record: consent.Record{Version: 2, ChangedAt: now, Data: []byte("{}")}})
		c.Identifiers = append(c.Identifiers, consent.OwnedIdentifier{OwnedName: p.names[i], Subject: key.Subject})
		c.Consents = append(c.Consents, consent.Consent{Organization: key.Organization, Subject: key.Subject, Project: 1,
			Purpose: 1, Event: key.Subject, Last: key.Subject, OccurredAt: now})
		c.IdempotencyRecords = append(c.IdempotencyRecords, consent.IdempotencyRecord{IdempotencyKey: p.answers[i],
			Sealed: []byte{}, ExpiresAt: now.Add(time.Hour), About: []consent.ID{key.Subject}})
	}
	return c
}

// merged merges somebody else into each of them.
func (p *people) merged() (c consent.Changes) {
	for _, into := range p.subjects {
		from := consent.ID(uuid.Must(uuid.NewV7()))
		c.Subjects = append(c.Subjects, consent.Subject{Organization: p.organization, ID: from, CreatedAt: time.Now(),
			Record: consent.Record{ChangedAt: time.Now()}})
		c.Merges = append(c.Merges, consent.SubjectMerge{Organization: p.organization, Into: into.Subject, From: from,
			MergedAt: time.Now()})
	}
	return c
}

// undone undoes the first merge of the first of them.
func (p *people) undone() consent.Changes {
	return consent.Changes{Unmerges: []consent.SubjectMerge{{Organization: p.organization, Into: p.subjects[0].Subject,
		From: p.subjects[0].Subject, Number: 1, UndoneAt: time.Now()}}}
}

// gone removes them all.
func (p *people) gone() consent.Changes {
	return consent.Changes{RemovedIdentifiers: p.names, RemovedSubjects: p.subjects, RemovedConsents: p.consents,
		RemovedClaims: []consent.OwnedIdentifier{{OwnedName: p.claims[0], Subject: p.subjects[0].Subject}},
		SweptImports: []consent.SweptImport{{ImportKey: consent.ImportKey{Organization: p.organization,
			Import: p.organization}, Limit: 100}},
		DropExpired: []consent.ExpiredRecords{{Organization: p.organization, Before: time.Now(), Limit: 100}}}
}
