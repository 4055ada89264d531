package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

// TestConsents reads everybody's consents by pages and as a stream: both have the same.
func TestConsents(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	made := must[[]client.Event](t)(c.Record(ctx,
		client.Decision{Identifiers: client.Identifiers{UserID: "cons-a"}, Purpose: "functional", State: client.Accepted},
		client.Decision{Identifiers: client.Identifiers{UserID: "cons-b"}, Purpose: "functional", State: client.Declined}))
	filter := client.ConsentFilter{Project: "default", Purpose: "functional"}
	listed := collect(t, c.Consents(ctx, filter))
	reasons := map[string]string{} // the list is in the order of the subjects' ids
	for _, consent := range listed {
		if consent.Granted != (consent.Reason == "accepted") || consent.Project != made[0].Project {
			t.Errorf("%+v", consent)
		}
		reasons[consent.SubjectID+" "+consent.EventID] = consent.Reason
	}
	want := map[string]string{made[0].SubjectID + " " + made[0].ID: "accepted",
		made[1].SubjectID + " " + made[1].ID: "declined"}
	if d := cmp.Diff(want, reasons); d != "" {
		t.Errorf("the list (-want +got):\n%s", d)
	}
	if d := cmp.Diff(listed, collect(t, c.ExportConsents(ctx, filter))); d != "" {
		t.Errorf("the stream (-listed +streamed):\n%s", d)
	}
	filter.State = client.Accepted
	if yes := collect(t, c.Consents(ctx, filter)); len(yes) != 1 || yes[0].SubjectID != made[0].SubjectID {
		t.Errorf("those who said yes: %+v", yes)
	}
}

// TestSubjectConsents reads what holds for a person now, and what held before they took it back.
func TestSubjectConsents(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	who := client.Identifiers{UserID: "cons-of"}
	first := must[[]client.Event](t)(c.Record(ctx, client.Decision{Identifiers: who, Purpose: "functional",
		State: client.Accepted}))[0]
	second := must[[]client.Event](t)(c.Record(ctx, client.Decision{Identifiers: who, Purpose: "functional",
		State: client.Withdrawn}))[0]
	now := must[client.SubjectConsents](t)(c.SubjectConsents(ctx, first.SubjectID, time.Time{}, false))
	then := must[client.SubjectConsents](t)(c.SubjectConsents(ctx, first.SubjectID, first.OccurredAt, true))
	if len(now.Items) != 1 || now.Items[0].Granted || now.Items[0].EventID != second.ID ||
		now.SubjectID != first.SubjectID {
		t.Errorf("now: %+v", now)
	}
	if len(then.Items) != 1 || !then.Items[0].Granted || then.Items[0].EventID != first.ID ||
		!then.At.Equal(first.OccurredAt) || then.Items[0].Project != first.Project {
		t.Errorf("then: %+v", then)
	}
	const nobody = "0190aaaa-0000-7000-8000-000000000000"
	if _, err := c.SubjectConsents(ctx, nobody, time.Time{}, false); !client.IsNotFound(err) {
		t.Errorf("nobody: %v", err)
	}
}
