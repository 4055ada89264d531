package move

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// movedStore is a data folder with some of everything.
type movedStore struct {
	*storetest.Data
	dir string
}

var _ [storetest.LongText - pageBytes - 1]struct{} // one text is longer than a page

// fillFolder makes a data folder with so many events of one organization.
func fillFolder(t testing.TB, events int) *movedStore {
	t.Helper()
	f := &movedStore{dir: t.TempDir()}
	s, err := openSQLite(context.Background(), f.dir, sqlite.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	f.Data = storetest.Fill(t, s, events)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

func openSQLite(ctx context.Context, dir string, o sqlite.Options) (*store.Store, error) {
	e, err := sqlite.Open(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	return store.New(e), nil
}

func openPostgres(ctx context.Context, o postgres.Options) (*store.Store, error) {
	e, err := postgres.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return store.New(e), nil
}

// postgresURL gives the URL of a fresh database with the schema.
func postgresURL(t testing.TB) string {
	t.Helper()
	return pgtest.Database(t, "consentd_store", func(url string) error {
		e, err := postgres.Open(context.Background(), postgres.Options{URL: url})
		if err != nil {
			return err
		}
		return e.Close()
	})
}

// emptyURL gives the URL of a fresh database without anything.
func emptyURL(t testing.TB) string {
	t.Helper()
	return pgtest.Database(t, "", nil)
}

// many is how many events a test moves: thousands, but for the race detector.
func many(events int) int {
	if testing.Short() {
		return events / 5
	}
	return events
}

// moveTo moves a folder in small pages.
func moveTo(ctx context.Context, dir, url string, progress func(Progress)) (Report, error) {
	return Run(ctx, Options{From: dir, URL: url, Rows: 97, Progress: progress})
}

func mustMove(t *testing.T, f *movedStore, url string) Report {
	t.Helper()
	report, err := moveTo(context.Background(), f.dir, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// inDatabase runs statements in a database.
func inDatabase(t *testing.T, url string, statements ...string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for _, statement := range statements {
		if done, err := c.Exec(ctx, statement); err != nil || strings.HasPrefix(statement, "UPDATE") &&
			done.RowsAffected() == 0 {
			t.Fatalf("%s: %v, %v", statement, done, err)
		}
	}
}

// ofDatabase gives the one value of a statement.
func ofDatabase[T any](t *testing.T, url, statement string) (value T) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, statement).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// says holds an error against what it must say.
func says(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error lacks %q: %v", what, word, err)
		}
	}
}

// TestMove moves a folder with some of everything and asks both stores everything that can be asked.
func TestMove(t *testing.T) {
	f := fillFolder(t, many(2500))
	url := emptyURL(t)
	var steps []string
	var last Progress
	report, err := moveTo(context.Background(), f.dir, url, func(p Progress) {
		if p.Step != last.Step {
			steps = append(steps, p.Step)
			last = Progress{}
		}
		if p.Rows < last.Rows || p.Step != Counting && p.Rows > p.Total {
			t.Errorf("progress went from %+v to %+v", last, p)
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{Counting, Copying, Analyzing, Comparing}; !slices.Equal(steps, want) || last.Rows != last.Total {
		t.Errorf("steps %v, and at last %+v", steps, last)
	}
	if report.Organizations != 3 || report.Before != 0 || report.Rows < int64(many(8000)) ||
		len(report.Tables) != len(tables) {
		t.Errorf("report: %+v", report)
	}
	for _, table := range report.Tables {
		if table.Rows == 0 {
			t.Errorf("the folder has nothing in %s, so that nothing is proved", table.Name)
		}
	}
	sameAnswers(t, f, url)
	_, err = moveTo(context.Background(), f.dir, url, nil)
	says(t, "a move that is done", err, "already", "nothing left to do")
}

// TestMovedMonths: each month that has events gets a partition of its own, also where the tables were there before.
func TestMovedMonths(t *testing.T) {
	f := fillFolder(t, 3000)
	for name, url := range map[string]string{"empty": emptyURL(t), "with the schema": postgresURL(t)} {
		mustMove(t, f, url)
		const tally = `SELECT string_agg(p || ' ' || n, ', ' ORDER BY p) FROM (SELECT tableoid::regclass::text p, count(*) n
FROM events GROUP BY 1) x`
		months := ofDatabase[string](t, url, tally)
		if !strings.HasPrefix(months, "events_2024_11 ") || strings.Count(months, ",") < 2 ||
			strings.Contains(months, "before") {
			t.Errorf("%s: the events are in %s", name, months)
		}
	}
}

// TestMoveOfAClockAhead: events whose ids are of a time to come have a partition too.
func TestMoveOfAClockAhead(t *testing.T) {
	f := fillFolder(t, 10)
	s, err := openSQLite(context.Background(), f.dir, sqlite.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	f.Later(156)
	c := f.Events(f.Organizations[1], 20)
	err = s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
		return tx.Append(context.Background(), &c)
	})
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	if last := timeOf(c.Heads[0].LastID); last.Before(time.Now().AddDate(1, 0, 0)) {
		t.Fatalf("the last event is of %s, which proves nothing", last)
	}
	url := postgresURL(t)
	mustMove(t, f, url)
	sameAnswers(t, f, url)
}

// TestMoveOfNothing: an instance without organizations is moved too.
func TestMoveOfNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := openSQLite(context.Background(), dir, sqlite.Options{Moving: true})
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	url := emptyURL(t)
	if report, err := moveTo(context.Background(), dir, url, nil); err != nil || report.Rows != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	opened, err := openPostgres(context.Background(), postgres.Options{URL: url})
	if err != nil || opened.Close() != nil {
		t.Error(err)
	}
}

// TestMoveInterrupted cancels moves after some pages, again and again, until one comes to its end.
func TestMoveInterrupted(t *testing.T) {
	f := fillFolder(t, 900)
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 2 {
		url := emptyURL(t)
		runs, most, before := 0, int64(0), int64(-1)
		for done := false; !done; runs++ {
			ctx, cancel := context.WithCancel(context.Background())
			pages := 1 + random.IntN(25)
			report, err := moveTo(ctx, f.dir, url, func(p Progress) {
				if p.Step == Copying {
					most = max(most, p.Rows)
				}
				if p.Step == Copying || p.Step == Comparing && runs%4 == 3 {
					if pages--; pages == 0 {
						cancel()
					}
				}
			})
			done = err == nil
			cancelled := ctx.Err() != nil
			cancel()
			if !done && (!errors.Is(err, context.Canceled) || !cancelled) {
				t.Fatalf("round %d, run %d: %v", round, runs, err)
			}
			if report.Before > most || report.Before < before {
				t.Errorf("run %d goes on at row %d, when an earlier one began at %d and came to %d", runs, report.Before, before,
					most)
			}
			before = report.Before
			if done {
				continue
			}
			if _, err := openPostgres(context.Background(), postgres.Options{URL: url}); !errors.Is(err,
				postgres.ErrUnfinishedMove) {
				t.Fatalf("run %d: a server starts on half of the rows: %v", runs, err)
			}
		}
		if runs < 5 || before == 0 {
			t.Errorf("round %d: %d runs, the last from row %d: that proves nothing", round, runs, before)
		}
		sameAnswers(t, f, url)
	}
}

// TestMoveAfterHalfACommit: on Citus a row without a tenant may be there although its transaction's position is not.
func TestMoveAfterHalfACommit(t *testing.T) {
	f := fillFolder(t, 10)
	url := postgresURL(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := moveTo(ctx, f.dir, url, func(p Progress) {
		if p.Step == Copying {
			cancel()
		}
	})
	if rows := ofDatabase[int](t, url, "SELECT count(*) FROM slugs"); !errors.Is(err, context.Canceled) || rows != 0 {
		t.Fatalf("%d slugs, %v", rows, err)
	}
	inDatabase(t, url, "INSERT INTO slugs VALUES ('"+strings.ReplaceAll(f.Slugs[0], "'", "''")+"', '"+
		f.Organizations[0].String()+"')")
	mustMove(t, f, url)
	sameAnswers(t, f, url)
}

// TestMoveFindsDamage changes a row in the copy before it is compared: the move says where, stays unfinished, and comes
// to its end when the row is mended.
func TestMoveFindsDamage(t *testing.T) {
	f := fillFolder(t, 300)
	small, large := f.Organizations[0], f.Organizations[1]
	for _, tc := range []struct {
		name         string
		organization consent.ID // $o in the statements
		damage, mend string
		says         string
	}{
		{"a byte", large, `UPDATE events SET body = 'x' WHERE organization_id = $o AND sequence IN (SELECT max(sequence)
FROM events WHERE organization_id = $o)`,
			`UPDATE events SET body = '{"b":1}' WHERE organization_id = $o AND body = 'x'`,
			"table events: 300 rows on both sides, of which some differ"},
		{"a microsecond", small, `UPDATE consents SET occurred_at = occurred_at + interval '1 microsecond'
WHERE organization_id = $o`,
			`UPDATE consents SET occurred_at = occurred_at - interval '1 microsecond' WHERE organization_id = $o`,
			"table consents: "},
		{"nothing for NULL", large, `UPDATE subjects SET profile = '' WHERE organization_id = $o AND profile IS NULL`, "",
			"table subjects: "},
		{"a row less", large, `DELETE FROM ledger_heads WHERE organization_id = $o`,
			`INSERT INTO ledger_heads SELECT organization_id, sequence, event_id, uuid_send(event_id),
(SELECT count(*) FROM suppressions WHERE organization_id = $o) FROM ledger_entries
WHERE organization_id = $o ORDER BY event_id DESC LIMIT 1`,
			"table ledger_heads: 1 rows in the data folder, 0 in the database"},
		{"a row more", large, `INSERT INTO texts VALUES ($o, 'x', 'x')`, `DELETE FROM texts WHERE hash = 'x'`,
			"table texts: 9 rows in the data folder, 10 in the database"},
		{"another organization", consent.ID{0x12, 0x34}, `INSERT INTO counts VALUES ($o, 'x', 1)`,
			`DELETE FROM counts WHERE name = 'x'`, "table counts: 0 rows in the data folder, 1 in the database"},
		{"a secret of the instance", consent.NoID, `INSERT INTO instance_secrets VALUES ('x', 'x')`,
			`DELETE FROM instance_secrets WHERE name = 'x'`,
			"table instance_secrets: 2 rows in the data folder, 3 in the database"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := postgresURL(t)
			of := "'" + tc.organization.String() + "'"
			_, err := moveTo(context.Background(), f.dir, url, damageOnce(t, url, strings.ReplaceAll(tc.damage, "$o", of)))
			says(t, "damage", err, tc.says, "organization "+tc.organization.String())
			var differences *Differences
			if !errors.As(err, &differences) || len(differences.Found) != 1 || differences.More != 0 {
				t.Errorf("it finds %+v", differences)
			}
			if _, err := openPostgres(context.Background(), postgres.Options{URL: url}); !errors.Is(err,
				postgres.ErrUnfinishedMove) {
				t.Errorf("a server starts on what is damaged: %v", err)
			}
			if tc.mend != "" {
				inDatabase(t, url, strings.ReplaceAll(tc.mend, "$o", of))
				mustMove(t, f, url)
			}
		})
	}
}

// damageOnce runs a statement in the database when the comparison begins.
func damageOnce(t *testing.T, url, statement string) func(Progress) {
	done := false
	return func(p Progress) {
		if p.Step == Comparing && !done {
			done = true
			inDatabase(t, url, statement)
		}
	}
}

// TestMoveSeesLateRows: a row that somebody writes into a table after its comparison is seen too.
func TestMoveSeesLateRows(t *testing.T) {
	f := fillFolder(t, 10)
	url := postgresURL(t)
	late := false
	_, err := moveTo(context.Background(), f.dir, url, func(p Progress) {
		if p.Step == Comparing && p.Rows == p.Total && p.Table == tables[0].name { // the counts at the end begin
			late = true
			inDatabase(t, url, "INSERT INTO texts VALUES ('"+f.Organizations[1].String()+"', 'late', 'late')")
		}
	})
	if says(t, "a late row", err, "texts", "writes into the table while it is compared"); !late {
		t.Error("no row was written late")
	}
}

// BenchmarkMove moves 200,000 events with what belongs to them.
func BenchmarkMove(b *testing.B) { benchmarkMove(b, fillFolder(b, 200_000).dir) }

// benchmarkMove measures copying and comparing, in rows a second.
func benchmarkMove(b *testing.B, dir string) {
	for b.Loop() {
		began := time.Now()
		var compares time.Time
		report, err := Run(context.Background(), Options{From: dir, URL: emptyURL(b), Progress: func(p Progress) {
			if p.Step == Comparing && compares.IsZero() {
				compares = time.Now()
			}
		}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(report.Rows)/compares.Sub(began).Seconds(), "copied/s")
		b.ReportMetric(float64(report.Rows)/time.Since(compares).Seconds(), "compared/s")
		b.ReportMetric(float64(report.Rows), "rows")
	}
}

func TestMoveDifferencesStayFew(t *testing.T) {
	var d Differences
	for range 2000 {
		d.add(Difference{Table: "events", Source: 1})
	}
	if lines := strings.Count(d.Error(), "\n"); lines > shownDifferences+3 ||
		!strings.Contains(d.Error(), "and 1980 more") {
		t.Errorf("%d lines:\n%s", lines, &d)
	}
}

// BenchmarkMoveOrganizations moves 5,000 small organizations.
func BenchmarkMoveOrganizations(b *testing.B) {
	f := fillFolder(b, 10)
	s, err := openSQLite(context.Background(), f.dir, sqlite.Options{Moving: true})
	if err != nil {
		b.Fatal(err)
	}
	for n := range 5000 {
		id := consent.ID{0: 0x40, 1: byte(n >> 8), 2: byte(n)}
		c := f.Events(id, 3)
		c.Organizations = []consent.Organization{{ID: id, Slug: id.String(), Details: []byte("{}"),
			CreatedAt: storetest.FirstEvent, UpdatedAt: storetest.FirstEvent}}
		if err := s.Update(context.Background(), id, func(tx service.Tx) error {
			return tx.Append(context.Background(), &c)
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	benchmarkMove(b, f.dir)
}
