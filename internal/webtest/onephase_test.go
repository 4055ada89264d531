package webtest

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
)

// citusForOne is as much of Citus as onePhase asks, for a database that is the only node.
const citusForOne = `CREATE TABLE pg_dist_transaction (gid text);
CREATE FUNCTION run_command_on_all_nodes(command text, OUT success boolean, OUT result text) RETURNS SETOF record
LANGUAGE plpgsql AS $$ BEGIN success := TRUE; EXECUTE command INTO result; RETURN NEXT; END $$`

// TestOnePhaseReports writes in one phase and in two, for an organization and for none.
func TestOnePhaseReports(t *testing.T) {
	ctx := context.Background()
	url := pgtest.Database(t, "", nil)
	inner, err := opener(url)()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(ctx) })
	execute := func(statement string) {
		t.Helper()
		if _, err := c.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	execute(citusForOne)
	execute("INSERT INTO pg_dist_transaction VALUES ('citus_0_1_1_0')")
	var reported []string
	s := newOnePhase(t, inner, url, func(fault string) { reported = append(reported, fault) })
	update := func(o consent.ID, meanwhile string) {
		t.Helper()
		err := s.Update(ctx, o, func(service.Tx) error {
			execute(meanwhile)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	o := consent.ID{1}
	update(o, "SELECT 1")
	update(o, "DELETE FROM pg_dist_transaction") // Citus has recovered what there was
	update(consent.NoID, "INSERT INTO pg_dist_transaction VALUES ('citus_0_1_2_0')")
	if len(reported) > 0 {
		t.Errorf("reported without a reason: %q", reported)
	}
	update(o, "INSERT INTO pg_dist_transaction VALUES ('citus_0_1_3_0')")
	if len(reported) != 1 || !strings.Contains(reported[0], "citus_0_1_3_0") {
		t.Errorf("reported %q, want the third transaction", reported)
	}
}
