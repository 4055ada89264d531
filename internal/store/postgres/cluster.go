package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Cluster is what a cluster of Citus looks like from the database.
type Cluster struct {
	Local      []string // tables of ours that are on the coordinator alone
	OtherNodes bool     // the URL for requests leads to more nodes than the admin's
	Workers    int
	Down       []string // workers that do not answer, each with why
	JIT        []string // for each role whose sessions on a worker use JIT, the statement that ends that
}

// Cluster looks at the cluster; nil where the database has no Citus. With an error it gives what it knows, if anything.
func (e *Engine) Cluster(ctx context.Context) (*Cluster, error) {
	c, err := e.admin(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", advised(err))
	}
	defer func() { _ = c.Close(context.Background()) }()
	if installed, _, err := extension(ctx, c, "citus"); err != nil || !installed {
		return nil, err
	}
	found := &Cluster{}
	if found.Local, err = localTables(ctx, c); err != nil {
		return nil, err
	}
	if found.OtherNodes, err = e.otherNodes(); err != nil {
		return nil, err
	}
	if err := found.askWorkers(ctx, c); err != nil {
		return nil, err
	}
	requests, err := e.connect(ctx, e.o.URL)
	if err != nil {
		return found, fmt.Errorf("connect to the database for requests: %w", advised(err))
	}
	defer func() { _ = requests.Close(context.Background()) }()
	if requests.Config().User != c.Config().User { // a role's settings are asked for by the role itself
		err = found.askWorkers(ctx, requests)
	}
	return found, err
}

// askWorkers has Citus ask each worker, as the role of a connection, whether it uses JIT.
func (f *Cluster) askWorkers(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, `SELECT nodename::text, nodeport::int, success, coalesce(result, '')
FROM run_command_on_workers('SHOW jit')`)
	if err != nil {
		return fmt.Errorf("ask the workers of Citus: %w", err)
	}
	var host, said string
	var port int
	var up bool
	var workers int
	var down []string
	_, err = pgx.ForEachRow(rows, []any{&host, &port, &up, &said}, func() error {
		workers++
		statement := withoutJIT(c.Config().User)
		switch {
		case !up:
			down = append(down, net.JoinHostPort(host, strconv.Itoa(port))+": "+strings.Join(strings.Fields(said), " "))
		case said != "off" && !slices.Contains(f.JIT, statement):
			f.JIT = append(f.JIT, statement)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask the workers of Citus: %w", err)
	}
	f.Workers, f.Down = workers, down
	return nil
}

// workersUp refuses a cluster of which a worker is down. It is asked before what needs all of them, and locks tables on
// the coordinator while Citus waits for one that does not answer.
func workersUp(ctx context.Context, c *pgx.Conn) error {
	var found Cluster
	if err := found.askWorkers(ctx, c); err == nil && len(found.Down) > 0 { // an error says nothing of the workers
		return errors.New("a worker of Citus does not answer: " + strings.Join(found.Down, "; "))
	}
	return nil
}

// localTables gives those of our tables that Citus does not know.
func localTables(ctx context.Context, c *pgx.Conn) (local []string, err error) {
	rows, err := c.Query(ctx, "SELECT logicalrelid::text FROM pg_dist_partition")
	if err != nil {
		return nil, fmt.Errorf("ask Citus for the distributed tables: %w", err)
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("ask Citus for the distributed tables: %w", err)
	}
	for _, t := range tables {
		if !slices.Contains(known, t.name) {
			local = append(local, t.name)
		}
	}
	return local, nil
}

// checkDistribution looks for tables that are on the coordinator alone. Where requests go to other nodes too, which do
// not have them, that is an error, and else a warning.
func (e *Engine) checkDistribution(ctx context.Context, c *pgx.Conn) error {
	if !e.citus || e.distributing {
		return nil
	}
	local, err := localTables(ctx, c)
	if err != nil || len(local) == 0 {
		return err
	}
	other, err := e.otherNodes()
	if err != nil {
		return err
	}
	what := "its tables are not distributed"
	if len(local) < len(tables) {
		what = "these tables are not distributed: " + strings.Join(local, ", ")
	}
	if other {
		return fmt.Errorf("the database has Citus, and %s, so that the other nodes which the URL for requests names do not "+
			"have them: run consentd citus init with the same URLs, or name the coordinator alone in --database "+
			"(docs/scaling.md)", what)
	}
	e.log.Warn("the database has Citus, and " + what + ": they are on the coordinator alone; run consentd citus init")
	return nil
}

// otherNodes tells whether the URL for requests names servers that the admin's does not.
func (e *Engine) otherNodes() (bool, error) {
	if e.o.URL == e.o.AdminURL {
		return false, nil
	}
	requests, err := ParseURL(e.o.URL)
	if err != nil {
		return false, err
	}
	admin, err := ParseURL(e.o.AdminURL)
	if err != nil {
		return false, err
	}
	known := serversOf(admin)
	return slices.ContainsFunc(serversOf(requests), func(s string) bool { return !slices.Contains(known, s) }), nil
}

// serversOf gives host and port of each server that a URL names.
func serversOf(c *pgx.ConnConfig) []string {
	servers := []string{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))}
	for _, f := range c.Fallbacks {
		servers = append(servers, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	return servers
}

// NodeUnreachable tells whether an error is what a node of Citus says when it cannot reach another one, or what that
// one said when it ended. On a database without Citus it has no meaning.
func NodeUnreachable(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case "08000", "08001", "08003", "08004", "08006", "08007", "57P01", "57P02", "57P03":
		return true
	}
	return strings.HasPrefix(refused.Message, "failure on connection marked as essential")
}

// NodeDown is NodeUnreachable where the database has Citus.
func (e *Engine) NodeDown(err error) bool { return e.citus && NodeUnreachable(err) }
