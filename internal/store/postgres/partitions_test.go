package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

func date(year int, month time.Month) time.Time {
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// apply gives the partitions after a plan, and fails where they leave a gap or overlap.
func apply(t *testing.T, have []partition, plan partitionPlan) []partition {
	t.Helper()
	gone := map[string]bool{}
	for _, p := range append(append([]partition{}, plan.drop...), plan.join...) {
		gone[p.name] = true
	}
	var after []partition
	for _, p := range have {
		if !gone[p.name] {
			after = append(after, p)
		}
		if len(plan.join) > 0 && p.name == plan.join[0].name {
			after = append(after, plan.joined)
		}
	}
	after = append(after, plan.create...)
	for i := 1; i < len(after); i++ {
		if !after[i].from.Equal(after[i-1].to) {
			t.Fatalf("%s ends at %s, and %s begins at %s", after[i-1].name, after[i-1].to, after[i].name, after[i].from)
		}
	}
	return after
}

// TestPartitionPlan lets the months go by for forty years, with and without retention: there is always room for three
// months to come, never a gap, and never more partitions than queries can bear.
func TestPartitionPlan(t *testing.T) {
	for _, retention := range []int{0, 1, 30, 120} {
		t.Run(fmt.Sprint(retention), func(t *testing.T) {
			var have []partition
			for n := range 480 {
				now := date(2026, time.Month(11+n)).Add(36 * time.Hour)
				for range 2 { // a second look changes nothing, but may join another year
					have = apply(t, have, planPartitions(have, now, time.Time{}, retention))
				}
				if last := have[len(have)-1].to; last.Before(monthOf(now).AddDate(0, 4, 0)) {
					t.Fatalf("in %s the last partition ends at %s", now, last)
				}
				if len(have) > maxPartitions {
					t.Fatalf("in %s there are %d partitions", now, len(have))
				}
				first := have[0].to
				if retention > 0 && n > retention+14 && first.Before(monthOf(now).AddDate(0, -retention-12, 0)) {
					t.Fatalf("in %s the first partition ends at %s", now, first)
				}
				if retention > 0 && have[0].from.After(monthOf(now).AddDate(0, -retention, 0)) {
					t.Fatalf("in %s events from %s on are left, %d months are to be kept", now, have[0].from, retention)
				}
			}
		})
	}
	plan := planPartitions(nil, date(2026, 11), date(2010, 5), 0)
	if n := len(plan.create); n > maxPartitions || n < 30 || plan.create[0].name != "events_before" {
		t.Errorf("old events get %d partitions, the first %v", n, plan.create[0])
	}
	plan = planPartitions(nil, date(2026, 11), date(2026, 9).Add(time.Hour), 0)
	if got := plan.create[1].name; got != "events_2026_09" {
		t.Errorf("the first month of events that are taken in is %s", got)
	}
}

// admin connects to the database of a store.
func admin(t *testing.T, e *Engine) *pgx.Conn {
	t.Helper()
	c, err := e.admin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// TestPartitionsInTime keeps events of many months: joining months changes nothing that is read, and retention drops
// the old ones out of lists, counts and the checks of the ledger alike.
func TestPartitionsInTime(t *testing.T) {
	s, e := openPostgres(t)
	ctx := context.Background()
	c := admin(t, e)
	if _, err := c.Exec(ctx, "DROP TABLE "+partitionNames(t, c)); err != nil { // so that they begin long ago
		t.Fatal(err)
	}
	o := consent.Organization{ID: consent.ID{1, 15: 1}, Name: "Shop", Slug: "shop", Status: "active",
		CreatedAt: date(2026, 1), UpdatedAt: date(2026, 1), Details: []byte(`{}`)}
	project := consent.Project{Organization: o.ID, ID: consent.ID{2, 15: 1}, Number: 1, Name: "Site", Slug: "site",
		CreatedAt: o.CreatedAt, UpdatedAt: o.CreatedAt, Details: []byte(`{}`)}
	write := func(changes consent.Changes) {
		t.Helper()
		of := o.ID
		if len(changes.Organizations) > 0 {
			of = consent.NoID
		}
		if err := s.Update(ctx, of, func(tx service.Tx) error { return tx.Append(ctx, &changes) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.makePartitions(ctx, c, date(2020, 1), time.Time{}); err != nil {
		t.Fatal(err)
	}
	write(consent.Changes{Organizations: []consent.Organization{o}, Projects: []consent.Project{project},
		Heads: []consent.Head{{Organization: o.ID}}})
	subject := consent.Subject{Organization: o.ID, ID: consent.ID{3, 15: 1}, Type: "user", CreatedAt: o.CreatedAt,
		Record: consent.Record{Version: 1, ChangedAt: o.CreatedAt, Data: []byte(`{}`)}}
	write(consent.Changes{Subjects: []consent.Subject{subject}, SubjectSecrets: []consent.SubjectSecret{{
		SubjectKey: consent.SubjectKey{Organization: o.ID, Subject: subject.ID}, Wrapped: []byte{1}}, // as events have it
		{SubjectKey: consent.SubjectKey{Organization: o.ID}, Wrapped: []byte{1}}},
		LedgerRows: []consent.LedgerRow{{Organization: o.ID, Hashes: []byte{1}}, // and 64 of the entries to come
			{Organization: o.ID, Number: 1, Hashes: []byte{1}}}})
	last := consent.NoID
	sequence := int64(0)
	const months = 40
	for n := range months {
		at := date(2020, time.Month(1+n)).Add(time.Hour)
		if err := e.makePartitions(ctx, c, at, time.Time{}); err != nil {
			t.Fatal(err)
		}
		event := consent.Event{Organization: o.ID, ID: firstID(at), Sequence: sequence + 1, Subject: subject.ID, Project: 1,
			Purpose: 1, State: consent.Accepted,
			OccurredAt: at, RecordedAt: at, Previous: last, BodyJSON: []byte(`{}`), IdentityJSON: []byte(`{}`)}
		last = event.ID
		entry := consent.LedgerEntry{Organization: o.ID, ID: firstID(at.Add(time.Hour)), Sequence: sequence + 2,
			Kind: consent.ErasureEntry, RecordedAt: at.Add(time.Hour), BodyJSON: []byte(`{}`), IdentityJSON: []byte(`{}`)}
		sequence += 2
		write(consent.Changes{Events: []consent.Event{event}, Entries: []consent.LedgerEntry{entry},
			Heads: []consent.Head{{Organization: o.ID, Sequence: sequence, LastID: entry.ID}},
			Consents: []consent.Consent{{Organization: o.ID, Subject: subject.ID, Project: 1, Purpose: 1, Event: event.ID,
				Last: event.ID, State: consent.Accepted, OccurredAt: at}},
			Counts: []consent.Count{{Organization: o.ID, Name: consent.EventCount(1), Add: 1}}})
	}
	have, err := partitionsOf(ctx, c)
	if err != nil || len(have) > maxPartitions {
		t.Fatalf("%d partitions, %v", len(have), err)
	}
	checkEvents(t, s, e, o.ID, months, 0)
	e.o.Retention = 12
	if err := e.makePartitions(ctx, c, date(2020, months), time.Time{}); err != nil {
		t.Fatal(err)
	}
	checkEvents(t, s, e, o.ID, 13, 2*(months-13)) // the month that runs, and the twelve before
}

func partitionNames(t *testing.T, c *pgx.Conn) string {
	t.Helper()
	have, err := partitionsOf(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(have))
	for i, p := range have {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// checkEvents reads the events by list, by timeline and by the doctor's checks.
func checkEvents(t *testing.T, s *store.Store, e *Engine, o consent.ID, want int, dropped int64) {
	t.Helper()
	ctx := context.Background()
	i := store.Inspect(e)
	ledger, err := i.Ledger(ctx, o)
	if err != nil || len(ledger.Faults) > 0 || ledger.Events != int64(want) || ledger.Dropped != dropped {
		t.Errorf("the ledger has %d events and %d dropped, want %d and %d; faults %q, %v", ledger.Events, ledger.Dropped,
			want, dropped, ledger.Faults, err)
	}
	err = s.View(ctx, func(r service.Reader) error {
		list, total, err := r.Events(ctx, consent.EventQuery{Organization: o, Limit: 100})
		if len(list) != want || total != int64(want) {
			t.Errorf("%d events of %d are listed, want %d", len(list), total, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	err = s.View(ctx, func(r service.Reader) error {
		key := consent.ConsentKey{Organization: o, Subject: consent.ID{3, 15: 1}, Project: 1, Purpose: 1}
		history, err := r.History(ctx, []consent.ConsentKey{key})
		if len(history[key]) != want {
			t.Errorf("the timeline has %d events, want %d", len(history[key]), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
