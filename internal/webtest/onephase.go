package webtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// onePhase is a store over Citus that reports each write of an organization that was prepared before it was committed.
// Such a write was on more than one connection to the workers: it is slower, and a worker that crashes after the answer
// shows it only when Citus has recovered its transactions.
//
// It looks before and after each write at what Citus records of two-phase commits, on every node, and at what is
// prepared there; what is new is reported. Citus deletes its records every minute (citus.recover_2pc_interval), so one
// that goes proves nothing, and one may be missed. Nobody else may write to the cluster meanwhile.
type onePhase struct {
	service.Store
	mu     sync.Mutex // one write at a time is looked at
	c      *pgx.Conn  // to the coordinator
	report func(fault string)
}

// newOnePhase watches a store until the test ends. url leads to the coordinator.
func newOnePhase(t testing.TB, s service.Store, url string, report func(fault string)) *onePhase {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return &onePhase{Store: s, c: c, report: report}
}

// Update implements service.Store. What is written for no organization is not looked at: an organization that is made
// has its slug on a shard of its own.
func (s *onePhase) Update(ctx context.Context, organization consent.ID, write func(service.Tx) error) error {
	if organization == consent.NoID {
		return s.Store.Update(ctx, organization, write)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := s.prepared()
	if err != nil {
		return err
	}
	wrote := s.Store.Update(ctx, organization, write)
	after, err := s.prepared()
	if err != nil {
		return err
	}
	for _, gid := range after {
		if !slices.Contains(before, gid) {
			s.report(fmt.Sprintf("a write of organization %s was committed in two phases: %s", organization, gid))
		}
	}
	return wrote
}

// preparedHere gives the global ids of the transactions of two phases that a node knows, in one text.
const preparedHere = `SELECT coalesce(string_agg(gid, ' '), '') FROM (SELECT gid FROM pg_dist_transaction
UNION SELECT gid FROM pg_prepared_xacts WHERE database = current_database()) AS known`

// prepared gives the global ids that are known on any node, the coordinator included.
func (s *onePhase) prepared() ([]string, error) {
	var success bool
	var gids string
	err := s.c.QueryRow(context.Background(), `SELECT coalesce(bool_and(success), FALSE),
coalesce(string_agg(result, ' '), '') || ' ' || (`+preparedHere+`) FROM run_command_on_all_nodes($1)`,
		preparedHere).Scan(&success, &gids)
	if err == nil && !success {
		err = fmt.Errorf("a node does not answer: %s", gids)
	}
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	known := strings.Fields(gids)
	slices.Sort(known)
	return slices.Compact(known), nil // the coordinator may be one of the nodes, and answers twice then
}
