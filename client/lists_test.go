package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

// TestEvents reads lists by pages and as a stream: both have the same events.
func TestEvents(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	var decisions []client.Decision
	for i := range 700 {
		decisions = append(decisions, client.Decision{Identifiers: client.Identifiers{UserID: "many"}, Purpose: "tracking",
			State: client.Accepted, OccurredAt: time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)})
	}
	made := must[[]client.Event](t)(c.Record(ctx, decisions...))
	filter := client.EventFilter{Subject: made[0].SubjectID, Purpose: "tracking", State: client.Accepted,
		From: decisions[100].OccurredAt, To: decisions[650].OccurredAt}
	listed := collect(t, c.Events(ctx, filter))
	if d := cmp.Diff(made[100:650], listed); d != "" {
		t.Errorf("the list (-recorded +listed):\n%.2000s", d)
	}
	if d := cmp.Diff(listed, collect(t, c.ExportEvents(ctx, filter))); d != "" {
		t.Errorf("the stream (-listed +streamed):\n%.2000s", d)
	}
	filter.Newest = true
	if newest := collect(t, c.Events(ctx, filter)); len(newest) != 550 || newest[0].ID != made[649].ID {
		t.Errorf("the newest first: %d, from %+v", len(newest), newest[0])
	}
}
