package move

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/consentd/consentd/internal/consent"
)

// Differences is the error of a move whose copy is not the same as the source.
type Differences struct {
	Found []Difference // the first of them
	More  int
}

// Difference is a table of an organization that is not the same on both sides.
type Difference struct {
	Organization   consent.ID // all zeros: the instance
	Table          string
	Source, Target int64 // rows
}

// shownDifferences is how many are told one by one.
const shownDifferences = 20

// Error has a line for each difference.
func (d *Differences) Error() string {
	var b strings.Builder
	b.WriteString("the database does not hold what the data folder holds:\n")
	for _, one := range d.Found {
		fmt.Fprintf(&b, "  organization %s, table %s: ", one.Organization, one.Table)
		if one.Source == one.Target {
			fmt.Fprintf(&b, "%d rows on both sides, of which some differ\n", one.Source)
		} else {
			fmt.Fprintf(&b, "%d rows in the data folder, %d in the database\n", one.Source, one.Target)
		}
	}
	if d.More > 0 {
		fmt.Fprintf(&b, "  and %d more\n", d.More)
	}
	b.WriteString("Something else wrote into the database, a disk is failing, or it is a fault of consentd's. The data " +
		"folder is as it was: " +
		"drop the database, create it anew, and run the same command again; report it where it happens twice")
	return b.String()
}

func (d *Differences) add(one Difference) {
	if len(d.Found) == shownDifferences {
		d.More++
		return
	}
	d.Found = append(d.Found, one)
}

// compare reads both sides again, whole, and holds them against each other.
func (m *mover) compare(ctx context.Context) error {
	m.step(Comparing, 0)
	found := &Differences{}
	// rows of the folder and of the database, by table
	read, seen := make([]int64, len(moveTables)), make([]int64, len(moveTables))
	n := 0
	err := m.source.organizations(ctx, func(organization consent.ID) error {
		for i, t := range moveTables {
			if t.shared() && organization != consent.NoID {
				continue
			}
			began := time.Now()
			source, target, err := m.tallies(ctx, t, organization, n)
			if err != nil {
				return fmt.Errorf("compare %s of organization %s: %w", t.name, organization, err)
			}
			if source != target {
				found.add(Difference{organization, t.name, source.rows, target.rows})
			}
			read[i], seen[i] = read[i]+source.rows, seen[i]+target.rows
			m.report.Tables[i].Compared += time.Since(began)
		}
		n++
		return nil
	})
	if err != nil {
		return err
	}
	for i, t := range moveTables {
		if read[i] != m.known.counts[i] {
			return fmt.Errorf("%d rows of %s in the data folder belong to something that is no organization's id, so they "+
				"were not moved: the folder is damaged; consentd doctor --data tells more", m.known.counts[i]-read[i], t.name)
		}
	}
	if err := m.findMore(ctx, seen, found); err != nil {
		return err
	}
	if len(found.Found) > 0 {
		return found
	}
	return nil
}

// tallies reads a table of an organization on both sides, at the same time.
func (m *mover) tallies(ctx context.Context, t *moveTable, organization consent.ID,
	n int) (source, target tally, err error) {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		source, err = m.tally(ctx, m.source.rows, t, organization, func(rows int) { m.progress(n, t.name, rows) })
		return err
	})
	both.Go(func() (err error) {
		target, err = m.tally(ctx, m.target.rows, t, organization, func(int) {})
		return err
	})
	return source, target, both.Wait()
}

// readRows is how either side reads a page.
type readRows func(ctx context.Context, t *moveTable, organization consent.ID, after []byte, limit int,
	visit func(row []byte) error) error

// tally reads all rows of an organization in a table, page by page.
func (m *mover) tally(ctx context.Context, read readRows, t *moveTable, organization consent.ID,
	progress func(rows int)) (sum tally, err error) {
	var last, key []byte // nil: from the beginning
	for {
		before := sum.rows
		err := read(ctx, t, organization, key, m.o.Rows, func(row []byte) error {
			sum.add(row)
			last = append(last[:0], row...)
			return nil
		})
		if err != nil {
			return sum, err
		}
		rows := int(sum.rows - before)
		if rows > 0 {
			progress(rows)
		}
		if rows < m.o.Rows {
			return sum, nil
		}
		_, size, err := split(last, t.key)
		if err != nil {
			return sum, err
		}
		key = append(key[:0], last[:size]...)
	}
}

// findMore finds rows of organizations that the source does not have. seen is how many rows were compared.
func (m *mover) findMore(ctx context.Context, seen []int64, found *Differences) error {
	for i, t := range moveTables {
		m.progress(m.known.organizations, t.name, 0)
		var n int64
		if err := m.target.c.QueryRow(ctx, t.count()).Scan(&n); err != nil {
			return fmt.Errorf("count %s in the database: %w", t.name, err)
		}
		if n == seen[i] {
			continue
		}
		if err := m.unknownOrganizations(ctx, t, found, n-seen[i]); err != nil {
			return fmt.Errorf("look for other organizations in %s: %w", t.name, err)
		}
	}
	return nil
}

// unknownOrganizations names the organizations of some rows that are too many.
func (m *mover) unknownOrganizations(ctx context.Context, t *moveTable, found *Differences, many int64) error {
	if t.shared() {
		return errChanging
	}
	rows, err := m.target.c.Query(ctx, "SELECT organization_id, count(*) FROM "+t.name+" GROUP BY organization_id")
	if err != nil {
		return err
	}
	var organization consent.ID
	var n int64
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&organization), &n}, func() error {
		known, err := m.source.has(ctx, organization)
		if err == nil && !known {
			found.add(Difference{organization, t.name, 0, n})
			many -= n
		}
		return err
	})
	if err == nil && many != 0 {
		err = errChanging
	}
	return err
}

var errChanging = errors.New("something writes into the table while it is compared; stop it, and run the same " +
	"command again")
