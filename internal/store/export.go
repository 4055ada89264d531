package store

import (
	"context"
	"strconv"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// exportWindow is how many events are looked at for those few that a query may match: to look for as many as fit into a
// part could take as long as to read the whole ledger.
const exportWindow = 5000

// ExportEvents implements service.Reader.
func (t *tx) ExportEvents(ctx context.Context, q *consent.EventQuery, part consent.EventSpan, limit int,
	into *consent.ExportedEvents) (last consent.ID, err error) {
	into.Reset() // a view may run again
	if q.Subjects != nil && len(q.Subjects) == 0 || q.Purposes != nil && len(q.Purposes) == 0 {
		return part.To, nil
	}
	tail := "ORDER BY e.event_id" + direction(q.Ascending)
	if q.All() || q.Subjects != nil {
		tail += " LIMIT " + strconv.Itoa(limit)
	} else if part.To, err = t.windowEnd(ctx, q, part); err != nil {
		return part.To, err
	} else {
		limit = exportWindow + 1 // which it cannot reach
	}
	s, with := eventsOf(q)
	spanned(s, q.Ascending, part)
	eventFilters(s, q)
	list, args := s.build("/* export_events */ "+with+`SELECT e.event_id, e.subject_id, e.sequence, e.occurred_at,
e.recorded_at, e.expires_at, e.body, e.ident FROM `+eventSource(q), tail)
	if err := t.conn.Search(ctx, list, args, scanExported(into)); err != nil || len(into.Rows) < limit {
		return part.To, err
	}
	return into.Rows[len(into.Rows)-1].ID, nil
}

// EventsAfter implements service.Reader.
func (t *tx) EventsAfter(ctx context.Context, q *consent.EventQuery, part consent.EventSpan) (events []consent.Event,
	last consent.ID, err error) {
	if q.Subjects != nil && len(q.Subjects) == 0 || q.Purposes != nil && len(q.Purposes) == 0 {
		return nil, part.To, nil
	}
	if !q.All() && q.Subjects == nil {
		if part.To, err = t.windowEnd(ctx, q, part); err != nil {
			return nil, part.To, err
		}
	}
	s, with := eventsOf(q)
	spanned(s, q.Ascending, part)
	eventFilters(s, q)
	list, args := s.build("/* list_events_after */ "+with+"SELECT "+eventColumns+", e.body, e.ident FROM "+eventSource(q),
		"ORDER BY e.event_id"+direction(q.Ascending)+" LIMIT "+strconv.Itoa(q.Limit))
	err = t.conn.Search(ctx, list, args, func(r engine.Row) error {
		events = append(events, consent.Event{})
		e := &events[len(events)-1]
		return scanEvent(r, e, &e.BodyJSON, &e.IdentityJSON)
	})
	if err != nil || len(events) < q.Limit {
		return events, part.To, err
	}
	return events, events[len(events)-1].ID, nil
}

// scanExported adds a row to a part.
func scanExported(into *consent.ExportedEvents) func(engine.Row) error {
	var e consent.ExportedEvent
	var body, ident engine.Appended
	body.To, ident.To = &into.Blobs, &into.Blobs
	to := []any{&e.ID, &e.Subject, &e.Sequence, &e.OccurredAt, &e.RecordedAt, &e.ExpiresAt, &body, &ident}
	return func(r engine.Row) error {
		err := r.Scan(to...)
		e.BodyJSON, e.IdentityJSON = body.Value, ident.Value
		into.Rows = append(into.Rows, e)
		return err
	}
}

// windowEnd gives the last of the next exportWindow events, matched or not; the end of the span where there are fewer.
func (t *tx) windowEnd(ctx context.Context, q *consent.EventQuery, part consent.EventSpan) (consent.ID, error) {
	var s search
	s.where("e.organization_id = ?", q.Organization)
	spanned(&s, q.Ascending, part)
	find, args := s.page("/* export_window */ SELECT e.event_id FROM events e",
		"ORDER BY e.event_id"+direction(q.Ascending), 1, exportWindow-1)
	end := part.To
	return end, t.conn.Search(ctx, find, args, func(r engine.Row) error { return r.Scan(&end) })
}

func spanned(s *search, ascending bool, part consent.EventSpan) {
	after, to := "e.event_id > ?", "e.event_id <= ?"
	if !ascending {
		after, to = "e.event_id < ?", "e.event_id >= ?"
	}
	s.where(after, part.After)
	s.where(to, part.To)
}

func direction(ascending bool) string {
	if ascending {
		return ""
	}
	return " DESC"
}

// exportConsents gives the next consents whoever they are of, since of whom they are takes a look-up each; NULL: of
// somebody who was merged into another, or who is gone.
const exportConsents = `/* export_consents */ SELECT s.subject_id, (SELECT r.restricted_at FROM restrictions r
WHERE r.organization_id = $1 AND r.subject_id = c.subject_id), ` + consentColumns + ` FROM consents c
LEFT JOIN subjects s ON (s.organization_id = $1 AND s.subject_id = c.subject_id AND s.merged_into IS NULL)
WHERE c.organization_id = $1 AND (c.subject_id, c.project_no, c.purpose_no) > ($2, $3, $4)
ORDER BY c.subject_id, c.project_no, c.purpose_no LIMIT $5`

// ExportConsents implements service.Reader.
func (t *tx) ExportConsents(ctx context.Context, after consent.ConsentKey, limit int,
	into *consent.ExportedConsents) (last consent.ConsentKey, more bool, err error) {
	into.Rows, into.Restricted = into.Rows[:0], into.Restricted[:0] // a view may run again
	last = after
	var c consent.Consent
	var person consent.ID
	var restricted time.Time
	read := 0
	args := []any{after.Organization, after.Subject, after.Project, after.Purpose, limit}
	err = t.conn.SearchPrepared(ctx, exportConsents, args, func(r engine.Row) error {
		if err := scanConsent(r, &c, &person, &restricted); err != nil {
			return err
		}
		last.Subject, last.Project, last.Purpose = c.Subject, c.Project, c.Purpose
		read++
		if person != consent.NoID {
			into.Rows, into.Restricted = append(into.Rows, c), append(into.Restricted, restricted)
		}
		return nil
	})
	return last, read == limit, err
}
