package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/consentd/consentd/internal/store/migrations"
)

const (
	connectTimeout = 2 * time.Second
	openTimeout    = 15 * time.Second // how long a server that starts waits for its database
	// schemaLock is the advisory lock of whoever changes the schema or its partitions.
	schemaLock = 0x636f6e73656e7464 // "consentd"
)

// sessionSettings are those of every connection for requests. Statements are planned once a connection, perhaps when
// the tables are still empty; so the planner may take indexes only, and search frees it again. What a server
// that froze left behind ends by itself.
var sessionSettings = map[string]string{
	"application_name": Application, "jit": "off", "plan_cache_mode": "force_generic_plan",
	"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	// below statementTimeout: a lock that is held for long says nothing of the database
	"statement_timeout": "15s", "idle_in_transaction_session_timeout": "8s", "lock_timeout": "4s",
}

// newPool makes a pool for requests; it connects when it is used.
func (e *Engine) newPool(ctx context.Context) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(e.o.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	cfg.MaxConns = int32(e.o.MaxConns)
	cfg.MaxConnIdleTime, cfg.MaxConnLifetime, cfg.MaxConnLifetimeJitter = 5*time.Minute, 30*time.Minute, 5*time.Minute
	for name, value := range sessionSettings {
		if _, given := cfg.ConnConfig.RuntimeParams[name]; !given {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	// it plans some statements with their values at hand only, and refuses them otherwise (distributed_planner.c)
	if e.citus {
		delete(cfg.ConnConfig.RuntimeParams, "plan_cache_mode")
	}
	if e.noStatementTimeout {
		cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	}
	limitConnectTime(cfg.ConnConfig)
	cfg.ConnConfig.OnNotice = onNotice
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { // it may have changed since the server started
		faults, err := durabilityFaults(ctx, c)
		if len(faults) > 0 {
			return errUndurable
		}
		return err
	}
	if cfg.ConnConfig.ValidateConnect == nil { // no target_session_attrs: every host takes writes, so the load is spread
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			spread(c, int(e.hosts.Add(1)))
			return nil
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make the pool of database connections: %w", err)
	}
	return pool, nil
}

func limitConnectTime(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
}

// ParseURL gives how to connect to a database by a URL: quickly, and to a server that takes writes, unless the URL says
// otherwise.
func ParseURL(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	limitConnectTime(cfg)
	if cfg.ValidateConnect == nil {
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return cfg, nil
}

// spread makes a connection look at the hosts from another one on each time (pgx has no load_balance_hosts).
func spread(c *pgx.ConnConfig, n int) {
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	var starts []int // of each host: one may stand there twice, with TLS and without
	for i, f := range all {
		if i == 0 || f.Host != all[i-1].Host || f.Port != all[i-1].Port {
			starts = append(starts, i)
		}
	}
	from := starts[n%len(starts)]
	all = slices.Concat(all[from:], all[:from])
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

// admin connects to the database for migrations, locks and partitions.
func (e *Engine) admin(ctx context.Context) (*pgx.Conn, error) {
	return e.connect(ctx, e.o.AdminURL)
}

// connectOnce makes one connection for maintenance, if the database is there.
func connectOnce(ctx context.Context, url string) (*pgx.Conn, error) {
	cfg, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "consentd admin"
	return pgx.ConnectConfig(ctx, cfg)
}

// connect makes one connection; it waits for a database that is not there yet.
func (e *Engine) connect(ctx context.Context, url string) (*pgx.Conn, error) {
	for began, said := time.Now(), false; ; {
		c, err := connectOnce(ctx, url)
		var connect *pgconn.ConnectError
		if err == nil || !errors.As(err, &connect) || !transientConnect(err) || time.Since(began) > openTimeout {
			return c, err
		}
		if !said {
			said = true
			e.log.Warn("the database does not answer yet; waiting for it for up to 15 s", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// transientConnect tells whether a server that does not accept connections now may do so later: it is not there yet, or
// starts.
func transientConnect(err error) bool {
	var refused *pgconn.PgError
	return !errors.As(err, &refused) || transientCode(refused.Code)
}

// prepareDatabase checks the database, brings its schema up to date, and makes its partitions, while no other server
// does. It refuses a move that is not finished (ErrUnfinishedMove). What cannot be done since a node of Citus is down,
// and can safely wait, is left to keepPartitions.
func (e *Engine) prepareDatabase(ctx context.Context) error {
	c, err := e.lockSchema(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	if err := e.settleMove(ctx, c); err != nil {
		return err
	}
	err = e.makePartitions(ctx, c, time.Now(), time.Time{})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("make the partitions of events: %w", err)
	if !e.citus || e.distributing {
		return err
	}
	if missing := checkPartitions(ctx, c, time.Now()); missing != nil {
		return fmt.Errorf("%w; without them the events of this month or the next could not be written: see that all nodes "+
			"of Citus are up, and start it again", err)
	}
	e.log.Warn("the partitions of later months are missing, or old ones could not be dropped; it is tried again",
		"error", err)
	e.behind.Store(true)
	return nil
}

// lockSchema checks the database and brings its schema up to date. The lock of the schema is let go with the
// connection that it gives.
func (e *Engine) lockSchema(ctx context.Context) (*pgx.Conn, error) {
	c, err := e.checked(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.updateSchema(ctx, c); err != nil {
		_ = c.Close(context.Background())
		return nil, err
	}
	return c, nil
}

func (e *Engine) updateSchema(ctx context.Context, c *pgx.Conn) (err error) {
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(schemaLock)); err != nil {
		return fmt.Errorf("wait for the lock of the schema: %w", err)
	}
	if err := e.sameDatabase(ctx); err != nil {
		return err
	}
	if e.o.Tool {
		if err := hasSchema(ctx, c); err != nil {
			return err
		}
	}
	if e.citus, _, err = extension(ctx, c, "citus"); err != nil {
		return err
	}
	if err := e.migrate(ctx, c.Config()); err != nil {
		return err
	}
	if err := e.checkDistribution(ctx, c); err != nil {
		return err
	}
	return e.checkRights(ctx)
}

// hasSchema refuses a database without our tables: a mistyped name must not become a new store.
func hasSchema(ctx context.Context, c *pgx.Conn) error {
	var has bool
	err := c.QueryRow(ctx, "/* has_schema */ SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&has)
	if err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if !has {
		return errors.New("it has no data of consentd's: start consentd serve on it first, or name another with " +
			"--database (CONSENTD_DATABASE_URL)")
	}
	return nil
}

// migrate brings the schema up to date, over database/sql as goose wants it.
func (e *Engine) migrate(ctx context.Context, cfg *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	provider, err := migrations.Provider(goose.DialectPostgres, db)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", advised(err))
	}
	err = migrations.Check(ctx, provider, db, e.log)
	if e.NodeDown(err) { // nothing was to be migrated, or it would have failed before
		e.log.Warn("a node of Citus does not answer, so the schema was not checked", "error", err)
		return nil
	}
	return err
}

// leastVersion is PostgreSQL 15: NULLS and partitioning behave as the schema expects, and Citus 13 begins there.
const leastVersion = 150000

// durability names what must be on for an acknowledged write to be on disk, and how to turn it on.
var durability = []struct{ setting, mend string }{
	{"fsync", "set fsync = on in postgresql.conf and reload; then restart, since what was written before may not be on " +
		"disk"},
	{"full_page_writes", "set full_page_writes = on in postgresql.conf and reload"},
	{"synchronous_commit", "set synchronous_commit = on in postgresql.conf and reload, and see that neither the role " +
		"nor the database nor the URL sets it (ALTER ROLE … RESET synchronous_commit; ALTER DATABASE … RESET " +
		"synchronous_commit)"},
}

// checked connects as admin does, to a database that will do.
func (e *Engine) checked(ctx context.Context) (*pgx.Conn, error) {
	c, err := e.admin(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", advised(err))
	}
	if err := e.check(ctx, c); err != nil {
		_ = c.Close(context.Background())
		return nil, err
	}
	return c, nil
}

// advice tells what to do about what a server says to those who may not come in, by code.
var advice = map[string]string{
	"28P01": "see that user and password are right; special characters in them are written as %40 and so on",
	"28000": "see that the role exists, and that pg_hba.conf lets it in from here",
	"3D000": "make it: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
	"42501": "let the role own the database: ALTER DATABASE … OWNER TO …",
	"42P07": "the database holds tables of others with consentd's names: give consentd a database of its own",
	"53300": "raise max_connections, or give consentd fewer connections (--database-connections)",
}

// advised adds what to do, and says in one line what pgx says in several.
func advised(err error) error {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), " ")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && advice[refused.Code] != "" {
		text = refused.Message + " (" + refused.Code + "): " + advice[refused.Code]
	}
	return &advisedError{text, err}
}

// advisedError is an error in other words.
type advisedError struct {
	text string
	err  error
}

func (a *advisedError) Error() string { return a.text }
func (a *advisedError) Unwrap() error { return a.err }

// sameDatabase refuses two URLs that lead to two databases. Whoever calls it has the schema's lock, which nobody else
// can take in the same database. On Citus the nodes have locks of their own, so there it cannot tell.
func (e *Engine) sameDatabase(ctx context.Context) error {
	if e.o.URL == e.o.AdminURL {
		return nil
	}
	c, err := e.connect(ctx, e.o.URL)
	if err != nil {
		return fmt.Errorf("connect to the database for requests: %w", advised(err))
	}
	defer func() { _ = c.Close(context.Background()) }()
	other, err := false, error(nil)
	if installed, _, failed := extension(ctx, c, "citus"); failed == nil && !installed {
		err = c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(schemaLock)).Scan(&other)
	}
	if err != nil {
		return fmt.Errorf("look whether database and admin-database are the same: %w", err)
	}
	if other {
		return errors.New("database and admin-database lead to two different databases: the second is another way to the " +
			"first, on Citus its coordinator")
	}
	return nil
}

// selectForbidden names the role of a connection, and which of some tables it may not read or not write. One that is
// not there is not among them.
const selectForbidden = `/* select_forbidden */ SELECT quote_ident(current_user), coalesce(string_agg(name, ', '), '')
FROM unnest($1::text[]) AS name WHERE NOT (has_table_privilege(to_regclass(name), 'SELECT')
AND has_table_privilege(to_regclass(name), 'INSERT'))`

// checkRights refuses a role for requests that may not use the tables, which the admin's role has made: a server would
// be ready, and every request would fail.
func (e *Engine) checkRights(ctx context.Context) error {
	if e.o.URL == e.o.AdminURL || e.distributing { // before it can be given rights, somebody makes the tables
		return nil
	}
	c, err := e.connect(ctx, e.o.URL)
	if err != nil {
		return fmt.Errorf("connect to the database for requests: %w", advised(err))
	}
	defer func() { _ = c.Close(context.Background()) }()
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.name
	}
	var role, forbidden string
	if err := c.QueryRow(ctx, selectForbidden, names).Scan(&role, &forbidden); err != nil {
		return fmt.Errorf("look what the role for requests may do: %w", err)
	}
	if forbidden != "" {
		return fmt.Errorf("the role of the URL for requests may not use the tables of the admin's: run GRANT SELECT, "+
			"INSERT, UPDATE, DELETE ON %s TO %s; as their owner, or name the owner in --database", forbidden, role)
	}
	return nil
}

// check looks at the database by a connection of admin's, and by one that is made as those for requests are: their
// URL, role and server may set other things.
func (e *Engine) check(ctx context.Context, admin *pgx.Conn) error {
	if err := checkDatabase(ctx, admin); err != nil || e.o.URL == e.o.AdminURL {
		return err
	}
	c, err := e.connect(ctx, e.o.URL)
	if err != nil {
		return fmt.Errorf("connect to the database for requests: %w", advised(err))
	}
	defer func() { _ = c.Close(context.Background()) }()
	return checkDatabase(ctx, c)
}

// checkDatabase refuses a database that would lose writes, or that the schema does not fit.
func checkDatabase(ctx context.Context, c *pgx.Conn) error {
	show := func(setting string) (value string, err error) {
		if err := c.QueryRow(ctx, "SELECT current_setting($1)", setting).Scan(&value); err != nil {
			return "", fmt.Errorf("read the database's %s: %w", setting, err)
		}
		return value, nil
	}
	version, err := show("server_version_num")
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(version); err != nil || n < leastVersion {
		return fmt.Errorf("the database is PostgreSQL %d; consentd needs 15 or newer: upgrade it (pg_upgrade)", n/10000)
	}
	encoding, err := show("server_encoding")
	if err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database has the encoding %s; consentd needs UTF8: CREATE DATABASE … ENCODING 'UTF8' "+
			"TEMPLATE template0", encoding)
	}
	faults, err := durabilityFaults(ctx, c)
	return errors.Join(append(faults, err)...)
}

// durabilityFaults tells what of a session's settings would let commits be lost.
func durabilityFaults(ctx context.Context, c *pgx.Conn) (faults []error, err error) {
	for _, d := range durability {
		var value string
		if err := c.QueryRow(ctx, "SELECT current_setting($1)", pgx.QueryExecModeSimpleProtocol,
			d.setting).Scan(&value); err != nil {
			return nil, fmt.Errorf("read the database's %s: %w", d.setting, err)
		}
		if strings.EqualFold(value, "off") {
			faults = append(faults, fmt.Errorf("the database has %s = off, so acknowledged writes could be lost: %s", d.setting,
				d.mend))
		}
	}
	return faults, nil
}
