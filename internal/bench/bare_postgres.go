package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// bareLoop takes the rows that the server wrote and sends them again to an empty database of the same schema, by
// the statements that the server sends, in the same round trips and at the same batch size, one transaction
// after another on one connection, with nothing in between; it gives events a second.
func bareLoop(ctx context.Context, from, to string, batch int, phase time.Duration) (float64, error) {
	rows, err := readPostgresRows(ctx, from)
	if err != nil {
		return 0, fmt.Errorf("read the server's rows: %w", err)
	}
	batches := make([]*bareTransaction, 0, len(rows)/batch)
	seen := map[string]bool{}
	for at := 0; at+batch <= len(rows); at += batch {
		batches = append(batches, newBareTransaction(rows[at:at+batch], seen))
	}
	if len(batches) == 0 {
		return 0, fmt.Errorf("the server wrote only %d events: too few to compare", len(rows))
	}
	c, err := pgx.Connect(ctx, to)
	if err != nil {
		return 0, err
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(ctx, bareSettings); err != nil {
		return 0, err
	}
	if err := bareOrganizations(ctx, c, rows); err != nil {
		return 0, fmt.Errorf("make the organizations of the bare loop: %w", err)
	}
	before, err := countEvents(ctx, c) // the load generator's first write
	if err != nil {
		return 0, err
	}
	started, done := time.Now(), 0
	for _, b := range batches {
		if time.Since(started) > phase || ctx.Err() != nil {
			break
		}
		if err := b.write(ctx, c); err != nil {
			return 0, err
		}
		done += batch
	}
	took := time.Since(started)
	after, err := countEvents(ctx, c)
	if err != nil {
		return 0, err
	}
	if after-before != done {
		return 0, fmt.Errorf("the bare loop wrote %d of %d events", after-before, done)
	}
	return float64(done) / took.Seconds(), nil
}

func countEvents(ctx context.Context, c *pgx.Conn) (n int, err error) {
	err = c.QueryRow(ctx, "SELECT count(*) FROM events").Scan(&n)
	return n, err
}

// bareOrganizations makes the organizations that rows are of: each statement joins them.
func bareOrganizations(ctx context.Context, c *pgx.Conn, rows []barePostgresRow) error {
	made := map[[16]byte]bool{}
	for _, r := range rows {
		if made[r.organization] {
			continue
		}
		made[r.organization] = true
		_, err := c.Exec(ctx, `INSERT INTO organizations (organization_id, name, slug, primary_domain, status, test,
created_at, updated_at, details) VALUES ($1, 'bare', $2, '', 'active', false, $3, $3, '{}')`, r.organization,
			fmt.Sprintf("bare-%d", len(made)), r.recorded)
		if err == nil {
			_, err = c.Exec(ctx, `INSERT INTO ledger_heads (organization_id, sequence) VALUES ($1, 0)`, r.organization)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bareSettings are those of the server's own sessions.
const bareSettings = `SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;
SET enable_mergejoin = off; SET jit = off`

// barePostgresRow is what one event wrote.
type barePostgresRow struct {
	organization, event, subject, key [16]byte
	sequence                          int64
	project, purpose, state, action   int64
	version, weight                   int64
	grants                            bool
	occurred, recorded                time.Time
	expires                           *time.Time
	previous                          *[16]byte
	domain, country, protocol         string
	body, ident                       []byte
	name, sealed                      []byte
}

func readPostgresRows(ctx context.Context, from string) ([]barePostgresRow, error) {
	c, err := pgx.Connect(ctx, from)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.Background())
	rows, err := c.Query(ctx, `SELECT e.organization_id, e.event_id, e.subject_id, e.key_id, e.sequence, e.project_no,
e.purpose_no, e.purpose_version, e.state, e.action, e.weight, e.grants, e.occurred_at, e.recorded_at, e.expires_at,
e.previous_id, e.domain, e.country, e.protocol, e.body, e.ident, i.value_index, i.value_sealed
FROM events e JOIN identifiers i ON i.organization_id = e.organization_id AND i.subject_id = e.subject_id
ORDER BY e.organization_id, e.event_id LIMIT $1`, bareLimit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r barePostgresRow, err error) {
		err = row.Scan(&r.organization, &r.event, &r.subject, &r.key, &r.sequence, &r.project, &r.purpose, &r.version,
			&r.state, &r.action, &r.weight, &r.grants, &r.occurred, &r.recorded, &r.expires, &r.previous, &r.domain,
			&r.country, &r.protocol, &r.body, &r.ident, &r.name, &r.sealed)
		return r, err
	})
}

// bareTransaction is one transaction's parameters, made before the clock runs.
type bareTransaction struct {
	organization [16]byte
	load         []*pgx.Batch // a round trip each
	append       *pgx.Batch
}

// bareColumns are rows as the arrays that a statement for many rows takes.
type bareColumns struct {
	event, subject, key             [][16]byte
	sequence                        []int64
	project, purpose, state, action []int64
	version, weight                 []int64
	grants                          []bool
	occurred, recorded              []time.Time
	expires                         []*time.Time
	previous                        []*[16]byte
	domain, country, protocol       []string
	body, ident, name, sealed       [][]byte
}

func columnsOf(rows []barePostgresRow) (c bareColumns) {
	for i := range rows {
		r := &rows[i]
		c.event = append(c.event, r.event)
		c.subject = append(c.subject, r.subject)
		c.key = append(c.key, r.key)
		c.sequence = append(c.sequence, r.sequence)
		c.project = append(c.project, r.project)
		c.purpose = append(c.purpose, r.purpose)
		c.version = append(c.version, r.version)
		c.state = append(c.state, r.state)
		c.action = append(c.action, r.action)
		c.weight = append(c.weight, r.weight)
		c.grants = append(c.grants, r.grants)
		c.occurred = append(c.occurred, r.occurred)
		c.recorded = append(c.recorded, r.recorded)
		c.expires = append(c.expires, r.expires)
		c.previous = append(c.previous, r.previous)
		c.domain = append(c.domain, r.domain)
		c.country = append(c.country, r.country)
		c.protocol = append(c.protocol, r.protocol)
		c.body = append(c.body, r.body)
		c.ident = append(c.ident, r.ident)
		c.name = append(c.name, r.name)
		c.sealed = append(c.sealed, r.sealed)
	}
	return c
}

// repeated is a column that has one value in all rows.
func repeated[T any](value T, rows []barePostgresRow) []T {
	return slices.Repeat([]T{value}, len(rows))
}

func newBareTransaction(rows []barePostgresRow, seen map[string]bool) *bareTransaction {
	t := &bareTransaction{organization: rows[0].organization}
	var fresh, known, last []barePostgresRow
	at := map[string]int{}
	for _, r := range rows {
		if person := string(r.subject[:]); !seen[person] {
			seen[person] = true
			fresh = append(fresh, r)
		}
		key := string(r.subject[:]) + string(rune(r.purpose))
		if i, ok := at[key]; ok {
			last[i] = r
			continue
		}
		at[key] = len(last)
		last = append(last, r)
	}
	made := map[[16]byte]bool{}
	for _, r := range fresh {
		made[r.subject] = true
	}
	for _, r := range last { // of people whom the transaction makes the server need not ask
		if !made[r.subject] {
			known = append(known, r)
		}
	}
	head := &pgx.Batch{}
	head.Queue("BEGIN")
	head.Queue(`SELECT sequence, last_event_id FROM ledger_heads WHERE organization_id = $1 FOR NO KEY UPDATE`,
		t.organization)
	head.Queue(bareOwners, t.organization, repeated("user_id", rows), repeated(int64(0), rows), columnsOf(rows).name)
	consents, c := &pgx.Batch{}, columnsOf(known)
	consents.Queue(bareConsents, t.organization, c.subject, c.project, c.purpose)
	t.load = []*pgx.Batch{head, consents}
	t.append = bareAppend(t.organization, rows, fresh, last)
	return t
}

// The store's statements in the form for many rows.
const (
	bareOwners = `SELECT many.n, found.*
FROM unnest($2::text[], $3::int8[], $4::bytea[]) WITH ORDINALITY AS many (p2, p3, p4, n)
CROSS JOIN LATERAL (SELECT subject_id FROM identifiers WHERE organization_id = $1::uuid AND kind = many.p2
AND project_no = many.p3 AND value_index = many.p4 OFFSET 0) AS found`
	bareConsents = `SELECT many.n, found.*
FROM unnest($2::uuid[], $3::int8[], $4::int8[]) WITH ORDINALITY AS many (p2, p3, p4, n)
CROSS JOIN LATERAL (SELECT * FROM consents WHERE organization_id = $1::uuid AND subject_id = many.p2
AND project_no = many.p3 AND purpose_no = many.p4 OFFSET 0) AS found`
	bareSubjects = `INSERT INTO subjects (organization_id, subject_id, type, created_at, version, changed_at,
changed_by, data)
SELECT o.organization_id, many.* FROM organizations o
CROSS JOIN unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::int8[], $6::timestamptz[],
$7::uuid[], $8::bytea[]) AS many
WHERE o.organization_id = $1
ON CONFLICT (organization_id, subject_id) DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at,
changed_by = excluded.changed_by, data = excluded.data, profile = excluded.profile`
	bareIdentifiers = `INSERT INTO identifiers (organization_id, kind, project_no, value_index, subject_id, value_sealed)
SELECT o.organization_id, many.* FROM organizations o
CROSS JOIN unnest($2::text[], $3::int8[], $4::bytea[], $5::uuid[], $6::bytea[]) AS many
WHERE o.organization_id = $1
ON CONFLICT (organization_id, kind, project_no, value_index) DO UPDATE SET subject_id = excluded.subject_id`
	bareEvents = `INSERT INTO events (organization_id, event_id, sequence, subject_id, project_no, purpose_no,
purpose_version, state, action, weight, grants, occurred_at, recorded_at, expires_at, previous_id, key_id, domain,
country, protocol, body, ident)
SELECT o.organization_id, many.* FROM organizations o
CROSS JOIN unnest($2::uuid[], $3::int8[], $4::uuid[], $5::int8[], $6::int8[], $7::int8[], $8::int8[],
$9::int8[], $10::int8[], $11::bool[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::uuid[],
$16::uuid[], $17::text[], $18::text[], $19::text[], $20::bytea[], $21::bytea[]) AS many
WHERE o.organization_id = $1`
	bareUpserts = `INSERT INTO consents (organization_id, subject_id, project_no, purpose_no, event_id, last_event_id,
purpose_version, state, weight, grants, active, occurred_at, expires_at, since)
SELECT o.organization_id, many.* FROM organizations o
CROSS JOIN unnest($2::uuid[], $3::int8[], $4::int8[], $5::uuid[], $6::uuid[], $7::int8[], $8::int8[],
$9::int8[], $10::bool[], $11::bool[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[]) AS many
WHERE o.organization_id = $1
ON CONFLICT (organization_id, subject_id, project_no, purpose_no) DO UPDATE SET event_id = excluded.event_id,
last_event_id = excluded.last_event_id, purpose_version = excluded.purpose_version, state = excluded.state,
weight = excluded.weight, grants = excluded.grants, active = excluded.active, occurred_at = excluded.occurred_at,
expires_at = excluded.expires_at, since = excluded.since`
	bareHead  = `UPDATE ledger_heads SET sequence = $2, last_event_id = $3 WHERE organization_id = $1`
	bareCount = `INSERT INTO counts (organization_id, name, amount) VALUES ($1, 'events/1', $2)
ON CONFLICT (organization_id, name) DO UPDATE SET amount = counts.amount + excluded.amount`
)

func bareAppend(organization [16]byte, rows, fresh, last []barePostgresRow) *pgx.Batch {
	b := &pgx.Batch{}
	if len(fresh) > 0 {
		c := columnsOf(fresh)
		b.Queue(bareSubjects, organization, c.subject, repeated("user", fresh), c.occurred, repeated(int64(1), fresh),
			c.occurred, c.key, repeated([]byte(nil), fresh))
		b.Queue(bareIdentifiers, organization, repeated("user_id", fresh), repeated(int64(0), fresh), c.name, c.subject,
			c.sealed)
	}
	c := columnsOf(rows)
	b.Queue(bareEvents, organization, c.event, c.sequence, c.subject, c.project, c.purpose, c.version, c.state, c.action,
		c.weight, c.grants, c.occurred, c.recorded, c.expires, c.previous, c.key, c.domain, c.country, c.protocol,
		c.body, c.ident)
	c = columnsOf(last)
	b.Queue(bareUpserts, organization, c.subject, c.project, c.purpose, c.event, c.event, c.version, c.state, c.weight,
		c.grants, repeated(true, last), c.occurred, c.expires, c.occurred)
	end := rows[len(rows)-1]
	b.Queue(bareHead, organization, end.sequence, end.event)
	b.Queue(bareCount, organization, int64(len(rows)))
	b.Queue("COMMIT")
	return b
}

func (t *bareTransaction) write(ctx context.Context, c *pgx.Conn) error {
	for _, b := range append(t.load, t.append) {
		if err := c.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
	}
	return nil
}
