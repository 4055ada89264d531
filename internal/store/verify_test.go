package store

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// inspectEngines runs a test on a data folder and on a database with the same data, with some events missing.
func inspectEngines(t *testing.T, events int,
	test func(t *testing.T, i *Inspection, organizations []consent.ID)) {
	t.Parallel()
	ctx := context.Background()
	const damage = `DELETE FROM events WHERE sequence % 11 = 0`
	fill := func(t *testing.T, e engine.Engine) []consent.ID {
		t.Helper()
		s := New(e)
		organizations := storetest.Fill(t, s, events).Organizations
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return organizations
	}
	t.Run("sqlite", func(t *testing.T) {
		dir := t.TempDir()
		e, err := sqlite.Open(ctx, dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		organizations := fill(t, e)
		c, err := zombiezen.OpenConn(filepath.Join(dir, sqlite.FileName), zombiezen.OpenReadWrite)
		if err == nil {
			err = errors.Join(sqlitex.ExecuteTransient(c, damage, nil), c.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		file, err := sqlite.Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		i := Inspect(file)
		defer i.Close()
		test(t, i, organizations)
	})
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.Database(t, "", nil)
		e, err := postgres.Open(ctx, postgres.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		organizations := fill(t, e)
		c, err := pgx.Connect(ctx, url)
		if err == nil {
			_, err = c.Exec(ctx, damage)
			err = errors.Join(err, c.Close(ctx))
		}
		if err != nil {
			t.Fatal(err)
		}
		e, err = postgres.Inspect(ctx, postgres.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		i := Inspect(e)
		defer i.Close()
		test(t, i, organizations)
	})
}

// seen is a consent with the history that an inspection gave.
type seen struct {
	Consent consent.Consent
	Events  []consent.Event
	Merges  []consent.SubjectMerge
}

func sortEvents(events []consent.Event) []consent.Event {
	slices.SortFunc(events, func(a, b consent.Event) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return events
}

// TestInspectionOfConsents holds what an inspection gives against what a walk through the tables finds.
func TestInspectionOfConsents(t *testing.T) {
	inspectEngines(t, 2000, func(t *testing.T, i *Inspection, organizations []consent.ID) {
		for _, o := range organizations {
			want := walked(t, i, o)
			if o == organizations[1] && len(want) < 2*inspectPage {
				t.Fatalf("%d consents are too few to be read in pages", len(want))
			}
			all := func(i *Inspection, some int) (got []seen) {
				err := i.Consents(context.Background(), o, some, func(h *History) error {
					if h.Cut {
						return nil
					}
					slices.SortFunc(h.Merges, func(a, b consent.SubjectMerge) int { return slices.Compare(a.From[:], b.From[:]) })
					got = append(got, seen{*h.Consent, sortEvents(slices.Clone(h.Events)), slices.Clone(h.Merges)})
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			same(t, "all", all(i, 0), want)
			some := all(i, 100)
			if n := len(some); n > 0 && len(want) > inspectPage {
				// of the sample's beginning
				first := slices.IndexFunc(some[1:], func(s seen) bool { return compareConsents(&s.Consent, &some[0].Consent) > 0 })
				if first != 0 || n > 200 || n < 20 {
					t.Errorf("a sample has %d consents", n)
				}
				same(t, "the end of a sample", some[n-5:], want[len(want)-5:])
				same(t, "the beginning of a sample", some[:5], want[:5])
			}
			var together []seen
			err := i.Together(context.Background(), func(one *Inspection) error {
				together = all(one, 0)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			same(t, "together", together, want)
		}
	})
}

func same(t *testing.T, what string, got, want []seen) {
	t.Helper()
	if reflect.DeepEqual(got, want) { // which is quicker
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(consent.Event{})); diff != "" {
		t.Errorf("%s (-want +got):\n%.3000s", what, diff)
	}
}

// walked follows every timeline in memory, and leaves out those that are cut.
func walked(t *testing.T, i *Inspection, o consent.ID) (want []seen) {
	t.Helper()
	ctx := context.Background()
	events := map[consent.ID]consent.Event{}
	var consents []consent.Consent
	merged := map[consent.ID][]consent.SubjectMerge{}
	err := i.Events(ctx, o, 0, nil, func(e *consent.Event) error {
		one := *e
		one.BodyJSON, one.IdentityJSON = nil, nil
		events[e.ID] = one
		return nil
	})
	err2 := i.view(ctx, func(t *tx) error {
		err := t.conn.Search(ctx, "SELECT "+consentColumns+" FROM consents c WHERE c.organization_id = $1 ORDER BY "+
			"subject_id, project_no, purpose_no", []any{o}, func(r engine.Row) error {
			consents = append(consents, consent.Consent{})
			return scanConsent(r, &consents[len(consents)-1])
		})
		return errors.Join(err, t.conn.Search(ctx,
			`SELECT into_id, from_id, merge_no, merged_at, recorded_at, after_sequence
FROM subject_merges WHERE organization_id = $1 AND undone_at IS NULL ORDER BY from_id`, []any{o},
			func(r engine.Row) error {
				m := consent.SubjectMerge{Organization: o}
				err := r.Scan(&m.Into, &m.From, &m.Number, &m.MergedAt, &m.RecordedAt, &m.After)
				merged[m.Into] = append(merged[m.Into], m)
				return err
			}))
	})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	last := map[consent.ConsentKey]consent.ID{}
	for _, c := range consents {
		last[consent.ConsentKey{Organization: o, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose}] = c.Last
	}
	for _, c := range consents {
		history, whole := []consent.Event{}, true
		people := []consent.ID{c.Subject}
		for _, m := range merged[c.Subject] {
			people = append(people, m.From)
		}
		for _, who := range people {
			id := last[consent.ConsentKey{Organization: o, Subject: who, Project: c.Project, Purpose: c.Purpose}]
			for n := 0; id != consent.NoID; n++ {
				e, there := events[id]
				if whole = whole && (there || n == 0 && who != c.Subject); !there {
					break
				}
				history = append(history, e)
				id = e.Previous
			}
		}
		if whole && len(history) > 0 {
			want = append(want, seen{c, sortEvents(history), merged[c.Subject]})
		}
	}
	return want
}

// TestInspectionStops: each look ends with its context, and the next goes on.
func TestInspectionStops(t *testing.T) {
	inspectEngines(t, 1000, func(t *testing.T, i *Inspection, organizations []consent.ID) {
		o := organizations[1]
		few, err := i.Ledger(context.Background(), organizations[0])
		if err != nil || !few.Few {
			t.Errorf("few events: %+v, %v", few, err)
		}
		many, err := i.Ledger(context.Background(), o)
		if err != nil || many.Few || len(many.Faults) == 0 {
			t.Errorf("many events: %+v, %v", many, err)
		}
		for name, look := range map[string]func(ctx context.Context, stop func()) error{
			"ledger": func(ctx context.Context, stop func()) error {
				stop()
				_, err := i.Ledger(ctx, o)
				return err
			},
			"events": func(ctx context.Context, stop func()) error {
				return i.Events(ctx, o, 0, nil, func(*consent.Event) error { stop(); return nil })
			},
			"consents": func(ctx context.Context, stop func()) error {
				return i.Consents(ctx, o, 0, func(*History) error { stop(); return nil })
			},
			"together": func(ctx context.Context, stop func()) error {
				return i.Together(ctx, func(one *Inspection) error {
					stop()
					_, err := one.Ledger(ctx, o)
					return err
				})
			},
		} {
			ctx, stop := context.WithCancel(context.Background())
			if err := look(ctx, stop); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: stopped, it ends with %v", name, err)
			}
			stop()
			again, err := i.Ledger(context.Background(), o)
			if err != nil || again.Events != many.Events {
				t.Errorf("%s: after it the ledger has %d events, %v", name, again.Events, err)
			}
		}
	})
}
