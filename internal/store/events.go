package store

import (
	"context"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const eventColumns = `e.organization_id, e.event_id, e.sequence, e.subject_id, e.project_no, e.purpose_no,
e.purpose_version, e.state, e.action, e.weight, e.grants, e.occurred_at, e.recorded_at, e.expires_at, e.previous_id,
e.key_id, e.domain, e.country, e.protocol`

// scanEvent reads a row of eventColumns and what blobs follow.
func scanEvent(r engine.Row, e *consent.Event, blobs ...any) error {
	return r.Scan(append([]any{&e.Organization, &e.ID, &e.Sequence, &e.Subject, &e.Project, &e.Purpose,
		&e.PurposeVersion, (*uint8)(&e.State), (*uint8)(&e.Action), (*uint8)(&e.Weight), &e.Grants,
		&e.OccurredAt, &e.RecordedAt, &e.ExpiresAt, &e.Previous, &e.Key, &e.Domain, &e.Country,
		&e.Protocol}, blobs...)...)
}

// chain walks the timelines of members backwards from their heads. A CTE's columns are named in its first SELECT: Citus
// drops a list of them behind the CTE's name.
const chain = `chain AS (
  SELECT c.last_event_id AS event_id FROM members m
  CROSS JOIN consents c ON (c.organization_id = $1 AND c.subject_id = m.subject_id AND c.last_event_id IS NOT NULL)
  UNION ALL
  SELECT e.previous_id FROM chain CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = chain.event_id
    AND e.previous_id IS NOT NULL))`

// historyColumns are what is wanted of each event of a timeline.
const historyColumns = `e.event_id, e.previous_id, e.subject_id, e.sequence, e.purpose_version, e.state, e.weight,
e.grants, e.occurred_at, e.recorded_at, e.expires_at`

// selectHistory walks a timeline like chain, and takes along what is wanted of each event: to find it again costs as
// much as to find it.
const selectHistory = `/* select_history */ WITH RECURSIVE ` + members + `,
chain AS (
  SELECT ` + historyColumns + `, TRUE AS last FROM members m
  CROSS JOIN consents c ON (c.organization_id = $1 AND c.subject_id = m.subject_id AND c.project_no = $3
    AND c.purpose_no = $4)
  CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = c.last_event_id)
  UNION ALL
  SELECT ` + historyColumns + `, FALSE FROM chain
  CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = chain.previous_id))
SELECT event_id, subject_id, sequence, purpose_version, state, weight, grants, occurred_at, recorded_at, expires_at,
last, previous_id IS NULL FROM chain`

// History implements service.Reader.
func (t *tx) History(ctx context.Context, keys []consent.ConsentKey) (map[consent.ConsentKey][]consent.Step, error) {
	found := make(map[consent.ConsentKey][]consent.Step, len(keys))
	var s consent.Step
	var recordedAt time.Time
	err := t.conn.Each(ctx, selectHistory, len(keys), func(i int, args []any) []any {
		k := &keys[i]
		return append(args, &k.Organization, &k.Subject, k.Project, k.Purpose)
	}, func(i int, r engine.Row) error {
		err := r.Scan(&s.Event, &s.Subject, &s.Sequence, &s.PurposeVersion, (*uint8)(&s.State), (*uint8)(&s.Weight),
			&s.Grants, &s.OccurredAt, &recordedAt, &s.ExpiresAt, &s.Last, &s.First)
		s.OccurredAt, s.RecordedAt = consent.Effective(s.OccurredAt, recordedAt), recordedAt
		found[keys[i]] = append(found[keys[i]], s)
		return err
	})
	return found, err
}

// HasEvents implements service.Reader.
func (t *tx) HasEvents(ctx context.Context, organization, subject consent.ID) (bool, error) {
	var id consent.ID
	return t.one(ctx, selectAnyEvent, []any{organization, subject}, &id)
}

const selectAnyEvent = `/* select_any_event */ WITH RECURSIVE ` + members + ` SELECT c.event_id FROM members m
CROSS JOIN consents c ON (c.organization_id = $1 AND c.subject_id = m.subject_id) LIMIT 1`

const selectEvent = `/* select_event */ SELECT ` + eventColumns + `, e.body, e.ident FROM events e
WHERE e.organization_id = $1 AND e.event_id = $2`

// Event implements service.Reader.
func (t *tx) Event(ctx context.Context, organization, id consent.ID) (event *consent.Event, err error) {
	err = t.conn.Query(ctx, selectEvent, []any{organization, id}, func(r engine.Row) error {
		event = &consent.Event{}
		return scanEvent(r, event, &event.BodyJSON, &event.IdentityJSON)
	})
	return event, err
}

// Events implements service.Reader.
func (t *tx) Events(ctx context.Context, q consent.EventQuery) ([]consent.Event, int64, error) {
	if q.Subjects != nil && len(q.Subjects) == 0 || q.Purposes != nil && len(q.Purposes) == 0 {
		return nil, 0, nil
	}
	s, with := eventSearch(&q)
	total, err := t.countEvents(ctx, &q, s, with)
	if err != nil {
		return nil, 0, err
	}
	var events []consent.Event
	list, args := eventPage(&q, s, with)
	err = t.conn.Search(ctx, list, args, func(r engine.Row) error {
		events = append(events, consent.Event{})
		e := &events[len(events)-1]
		return scanEvent(r, e, &e.BodyJSON, &e.IdentityJSON)
	})
	return events, total, err
}

// eventPage gives the statement of a part of a list: which events it shows, then all of those alone, since the blobs
// of those that are sorted or passed over would cost more than all else.
func eventPage(q *consent.EventQuery, s *search, with string) (statement string, args []any) {
	direction := " DESC"
	if q.Ascending {
		direction = ""
	}
	key, order := "e.event_id", "ORDER BY e.event_id"+direction
	if q.ByOccurredAt {
		// An index knows the order, and nothing else that a list may be narrowed by: what is, is read once and sorted,
		// since few may be left.
		key = "e.occurred_at"
		if q.Narrowed() {
			key = "coalesce(e.occurred_at, e.recorded_at)" // the same, and no index has it
		}
		key, order = key+direction+", e.event_id", "ORDER BY e.occurred_at"+direction+", e.event_id"+direction
	}
	page, args := s.page("SELECT e.event_id FROM "+eventSource(q), "ORDER BY "+key+direction, q.Limit, q.Offset)
	return "/* list_events */ " + with + "SELECT " + eventColumns + ", e.body, e.ident FROM (" + page + `) AS page
CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = page.event_id) ` + order, args
}

func eventSource(q *consent.EventQuery) string {
	if q.Subjects == nil {
		return "events e"
	}
	return "chain CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = chain.event_id)"
}

// eventSearch makes the conditions of a list of events, and the chain of the people it is about.
func eventSearch(q *consent.EventQuery) (s *search, with string) {
	s, with = eventsOf(q)
	if q.Subjects == nil {
		s.where("e.project_no >= 0") // all are, and it is what events_by_time asks for
	}
	eventFilters(s, q)
	return s, with
}

// eventsOf begins the conditions of events, of an organization or of some people.
func eventsOf(q *consent.EventQuery) (s *search, with string) {
	s = &search{}
	s.where("e.organization_id = ?", q.Organization)
	if q.Subjects != nil {
		people := &search{args: s.args}
		anyOf(people, "subject_id", q.Subjects)
		selected := people.conditions[0]
		with = `WITH RECURSIVE members AS (
  SELECT subject_id FROM subjects WHERE organization_id = $1 AND ` + selected + `
  ` + mergedIntoMembers + `),
` + chain + ` `
		s.args = people.args
	}
	return s, with
}

// eventFilters adds the conditions of what a query asks for of each event.
func eventFilters(s *search, q *consent.EventQuery) {
	anyOf(s, "e.project_no", q.Projects)
	if len(q.Purposes) > 0 {
		args := make([]any, 0, 2*len(q.Purposes))
		for _, p := range q.Purposes {
			args = append(args, p.Project, p.Purpose)
		}
		s.where("(e.project_no, e.purpose_no) IN (VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(q.Purposes)-1)+")", args...)
	}
	anyOf(s, "e.state", numbers(q.States))
	anyOf(s, "e.action", numbers(q.Actions))
	anyOf(s, "e.key_id", q.Keys)
	anyOf(s, "e.domain", q.Domains)
	anyOf(s, "e.country", q.Countries)
	anyOf(s, "e.protocol", q.Protocols)
	if !q.RecordedFrom.IsZero() {
		s.where("e.recorded_at >= ?", &q.RecordedFrom)
	}
	if !q.RecordedTo.IsZero() {
		s.where("e.recorded_at < ?", &q.RecordedTo)
	}
	if !q.From.IsZero() {
		s.where("e.occurred_at >= ?", &q.From)
	}
	if !q.To.IsZero() {
		s.where("e.occurred_at < ?", &q.To)
	}
}

func numbers[T ~uint8](list []T) []int {
	out := make([]int, len(list))
	for i, n := range list {
		out[i] = int(n)
	}
	return out
}

// countEvents takes the kept count where the list is narrowed by project at most.
func (t *tx) countEvents(ctx context.Context, q *consent.EventQuery, s *search, with string) (total int64, err error) {
	scan := func(r engine.Row) error { return r.Scan(&total) }
	if q.Narrowed() || !q.From.IsZero() || !q.To.IsZero() {
		count, args := s.build("/* count_events */ "+with+"SELECT count(*) FROM "+eventSource(q), "")
		return total, t.conn.Search(ctx, count, args, scan)
	}
	var counts search
	counts.where("organization_id = ?", q.Organization)
	if len(q.Projects) == 0 {
		counts.where("name LIKE ?", "events/%")
	}
	names := make([]string, len(q.Projects))
	for i, number := range q.Projects {
		names[i] = consent.EventCount(number)
	}
	anyOf(&counts, "name", names)
	statement, args := counts.build("/* sum_counts */ SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM counts", "")
	return total, t.conn.Search(ctx, statement, args, scan)
}

const insertEvent = `/* insert_event */ INSERT INTO events (organization_id, event_id, sequence, subject_id, project_no,
purpose_no, purpose_version, state, action, weight, grants, occurred_at, recorded_at, expires_at, previous_id, key_id,
domain, country, protocol, body, ident)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`

func (t *tx) appendEvents(ctx context.Context, c *consent.Changes) error {
	return insert(ctx, t.conn, insertEvent, c.Events, func(e *consent.Event, args []any) []any {
		return append(args, &e.Organization, &e.ID, &e.Sequence, &e.Subject, e.Project, e.Purpose, e.PurposeVersion,
			int(e.State), int(e.Action), int(e.Weight), e.Grants, &e.OccurredAt, &e.RecordedAt, &e.ExpiresAt,
			(*engine.OptionalID)(&e.Previous), &e.Key, &e.Domain, &e.Country, &e.Protocol, e.BodyJSON, e.IdentityJSON)
	})
}
