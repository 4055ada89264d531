package store

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// selectTimeline gives a part of what is on record for a subject. The chain ends at events that retention has dropped,
// so they are left out before the part is cut.
const selectTimeline = `/* select_timeline */ WITH RECURSIVE ` + members + `,
` + chain + ` SELECT ` + eventColumns + `, e.body, e.ident FROM (SELECT e.event_id FROM chain
  CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = chain.event_id)
  WHERE e.event_id > $3 ORDER BY e.event_id LIMIT $4) AS page
CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = page.event_id) ORDER BY e.event_id`

// Timeline implements service.Reader.
func (t *tx) Timeline(ctx context.Context, subject consent.SubjectKey, after consent.ID,
	limit int) (events []consent.Event, err error) {
	args := []any{subject.Organization, subject.Subject, after, limit}
	err = t.conn.SearchPrepared(ctx, selectTimeline, args, func(r engine.Row) error {
		events = append(events, consent.Event{})
		e := &events[len(events)-1]
		return scanEvent(r, e, &e.BodyJSON, &e.IdentityJSON)
	})
	return events, err
}
