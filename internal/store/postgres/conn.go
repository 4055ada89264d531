package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// conn is an engine.Conn over one PostgreSQL connection. What need not be answered at once waits in a queue and
// goes out in one round trip with what must be.
type conn struct {
	pg          *pgconn.PgConn
	prepared    map[string]*pgconn.StatementDescription
	names       int        // given to prepared statements so far
	owner       consent.ID // whose the transaction is; NoID: the instance's
	toLock      bool       // the first statement has to take the owner's lock
	locked      bool       // the owner's row was there to be locked
	queue       []request
	columns     []column
	args        []any
	caller      context.Context // of the attempt
	timedOut    bool            // a statement did not end in time
	slow        func(statement string, took time.Duration, rows int)
	plannerFree bool // the planner is free for the rest of the transaction
	prefetching bool // rows may come with the next round trip
	noStandby   bool // a commit was done without its synchronous standby
}

// request is a statement that waits to be sent.
type request struct {
	statement string
	params    [][]byte
	oids      []uint32
	once      bool                   // it is not kept prepared
	scan      func(engine.Row) error // nil: nobody asks for rows
	writes    int64                  // how many rows it has to write; 0: that is not known
}

// failedAt is the error of a statement, by its place in its round trip.
type failedAt struct {
	at  int
	err error
}

func (f *failedAt) Error() string { return f.err.Error() }
func (f *failedAt) Unwrap() error { return f.err }

// Query implements engine.Conn.
func (c *conn) Query(_ context.Context, statement string, args []any, scan func(engine.Row) error) error {
	if err := c.put(statement, args, scan, false); err != nil {
		return err
	}
	return c.flush()
}

// Search implements engine.Conn.
func (c *conn) Search(ctx context.Context, statement string, args []any, scan func(engine.Row) error) error {
	if !c.plannerFree { // it was switched off for statements that are planned once, perhaps on empty tables
		c.plannerFree = true
		c.queue = append(c.queue, request{statement: freePlanner})
	}
	if err := c.put(statement, args, scan, true); err != nil {
		return err
	}
	return c.run(ctx)
}

// SearchPrepared implements engine.Conn.
func (c *conn) SearchPrepared(ctx context.Context, statement string, args []any, scan func(engine.Row) error) error {
	if err := c.put(statement, args, scan, false); err != nil {
		return err
	}
	return c.run(ctx)
}

// Each implements engine.Conn.
func (c *conn) Each(_ context.Context, statement string, n int, fill func(int, []any) []any,
	scan func(int, engine.Row) error) error {
	if n == 0 {
		return nil
	}
	set := false
	if form := setFormOf(statement); form != nil && n > 1 && (form.numbered || c.knowsOrganization()) {
		var err error
		if set, err = c.putSet(form, n, fill, scan); err != nil {
			return err
		}
	}
	for i := 0; i < n && !set; i++ {
		c.args = fill(i, c.args[:0])
		var scanRow func(engine.Row) error
		if scan != nil {
			scanRow = func(r engine.Row) error { return scan(i, r) }
		}
		if err := c.put(statement, c.args, scanRow, false); err != nil {
			return err
		}
	}
	if scan == nil || c.prefetching {
		return nil
	}
	return c.flush()
}

// Prefetch implements engine.Conn.
func (c *conn) Prefetch(read func() error) (wait func() error, err error) {
	c.prefetching = true
	defer func() { c.prefetching = false }()
	return c.flush, read()
}

// knowsOrganization tells whether the organization of rows that are written is sure to be there: it was locked. A
// transaction of the instance makes them, and looks what its statements wrote before it commits.
func (c *conn) knowsOrganization() bool { return c.locked || c.owner == consent.NoID }

// lock queues the statement that takes the owner's lock, where it has not been. It tells whether that is all that a
// statement asks for whose rows are scanned.
func (c *conn) lock(statement string, args []any, scan func(engine.Row) error) (done bool, err error) {
	if !c.toLock {
		return false, nil
	}
	c.toLock = false
	if c.owner == consent.NoID {
		return false, c.put(lockInstance, nil, nil, false)
	}
	if statement == engine.SelectHead {
		of, ok := idOf(args[0])
		done = ok && of == c.owner
	}
	return done, c.put(lockOrganization, []any{&c.owner}, func(r engine.Row) error {
		c.locked = true
		if !done || scan == nil {
			return nil
		}
		return scan(r)
	}, false)
}

// put queues a statement for one row.
func (c *conn) put(statement string, args []any, scan func(engine.Row) error, once bool) error {
	if done, err := c.lock(statement, args, scan); done || err != nil {
		return err
	}
	r := request{statement: statement, params: make([][]byte, len(args)), oids: make([]uint32, len(args)), once: once,
		scan: scan}
	b := make([]byte, 0, 24*len(args))
	for i, arg := range args {
		from := len(b)
		var null bool
		var err error
		if b, r.oids[i], null, err = appendValue(b, arg); err != nil {
			return fmt.Errorf("parameter %d of %s: %w", i+1, engine.Name(statement), err)
		}
		if !null {
			r.params[i] = b[from:len(b):len(b)]
		}
	}
	if err := c.guard(statement, args); err != nil {
		return err
	}
	c.queue = append(c.queue, r)
	return nil
}

// putSet queues a statement for many rows; false: they are not all of one organization, or the instance's.
func (c *conn) putSet(form *setForm, n int, fill func(int, []any) []any,
	scan func(int, engine.Row) error) (bool, error) {
	if _, err := c.lock("", nil, nil); err != nil {
		return false, err
	}
	for len(c.columns) < form.params-1 {
		c.columns = append(c.columns, column{})
	}
	columns := c.columns[:form.params-1]
	for i := range columns {
		columns[i].reset()
	}
	var organization consent.ID
	for i := range n {
		c.args = fill(i, c.args[:0])
		of, ok := idOf(c.args[0])
		if i == 0 {
			organization = of
		}
		if !ok || of != organization || of == consent.NoID { // the instance is in no table of organizations
			return false, nil
		}
		for j := range columns {
			if err := columns[j].add(c.args[j+1]); err != nil {
				return false, fmt.Errorf("parameter %d of %s: %w", j+2, engine.Name(form.statement), err)
			}
		}
	}
	if err := c.guard(form.statement, c.args); err != nil {
		return false, err
	}
	r := request{statement: form.text(columns), params: [][]byte{append([]byte(nil), organization[:]...)},
		oids: []uint32{pgtype.UUIDOID}}
	for i := range columns {
		r.params = append(r.params, append([]byte(nil), columns[i].array(n)...))
		r.oids = append(r.oids, arrayTypes[columns[i].oid])
	}
	if form.all {
		r.writes = int64(n)
	}
	if scan != nil {
		r.scan = func(found engine.Row) error {
			numbered := found.(*row)
			at, err := integer(pgtype.Int8OID, numbered.values[0])
			if err != nil {
				return err
			}
			return scan(int(at)-1, &row{numbered.fields[1:], numbered.values[1:]})
		}
	}
	c.queue = append(c.queue, r)
	return true, nil
}

// guard refuses a write for another organization than the transaction's: it would not wait for that one's own.
func (c *conn) guard(statement string, args []any) error {
	if c.owner == consent.NoID || !strings.HasPrefix(strings.TrimPrefix(statement, engine.Comment(statement)), "INSERT") {
		return nil
	}
	if of, ok := idOf(args[0]); !ok || of != c.owner {
		return fmt.Errorf("%s writes for another organization than the transaction's", engine.Name(statement))
	}
	return nil
}

func idOf(arg any) (consent.ID, bool) {
	switch v := arg.(type) {
	case consent.ID:
		return v, true
	case *consent.ID:
		return *v, true
	}
	return consent.NoID, false
}

var binaryFormat = []int16{1}

// flush sends what waits in one round trip, which must end in time.
func (c *conn) flush() error {
	if len(c.queue) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.caller, statementTimeout)
	defer cancel()
	err := c.run(ctx)
	c.timedOut = err != nil && ctx.Err() != nil && c.caller.Err() == nil
	return err
}

// run sends what waits in one round trip and reads the answers. After an error nothing that stood behind was done.
func (c *conn) run(ctx context.Context) error {
	queue := c.queue
	defer func() {
		clear(queue)
		c.queue = queue[:0]
	}()
	began := time.Now()
	p := c.pg.StartPipeline(ctx)
	preparing := map[string]string{}
	for i := range queue {
		c.send(p, &queue[i], preparing)
	}
	err := p.Sync()
	rows := 0
	if err == nil {
		rows, err = c.receive(p, queue, preparing)
	}
	if end := p.Close(); err == nil {
		err = end
	}
	if took := time.Since(began); c.slow != nil && took > slowRoundTrip {
		c.slow(namesOf(queue), took, rows)
	}
	return err
}

// send puts a request on the wire, and has it prepared where it is new.
func (c *conn) send(p *pgconn.Pipeline, r *request, preparing map[string]string) {
	known, name := c.prepared[r.statement], preparing[r.statement]
	switch {
	case r.once:
		p.SendQueryParams(inOrder(r.statement), r.params, r.oids, binaryFormat, binaryFormat)
	case known != nil:
		p.SendQueryStatement(known, r.params, binaryFormat, binaryFormat)
	case name != "":
		p.SendQueryPrepared(name, r.params, binaryFormat, binaryFormat)
	default:
		c.names++
		name = "s" + strconv.Itoa(c.names)
		preparing[r.statement] = name
		p.SendPrepare(name, inOrder(r.statement), r.oids)
		p.SendQueryPrepared(name, r.params, binaryFormat, binaryFormat)
	}
}

// receive reads the answers to the requests, in their order.
func (c *conn) receive(p *pgconn.Pipeline, queue []request, preparing map[string]string) (rows int, first error) {
	for at := 0; ; {
		result, err := p.GetResults()
		if err != nil {
			if first == nil {
				first = &failedAt{at, err}
			}
			var refused *pgconn.PgError
			if errors.As(err, &refused) {
				continue // to the point where the connection is in order again
			}
			return rows, first
		}
		switch result := result.(type) {
		case nil:
			return rows, first
		case *pgconn.StatementDescription:
			result.Name, result.SQL = preparing[queue[at].statement], queue[at].statement
			c.prepared[queue[at].statement] = result
		case *pgconn.ResultReader:
			n, tag, err := scanAll(result, queue[at].scan)
			rows += n
			switch {
			case err != nil:
			case queue[at].statement == commit && tag.String() != commit:
				err = errRolledBack
			case queue[at].writes > 0 && tag.RowsAffected() != queue[at].writes:
				err = errMissingRows
			}
			if err != nil && first == nil {
				first = &failedAt{at, err}
			}
			at++
		}
	}
}

// scanAll reads the rows of one answer to their end, also where scan fails.
func scanAll(result *pgconn.ResultReader, scan func(engine.Row) error) (n int, tag pgconn.CommandTag, err error) {
	r := row{}
	for result.NextRow() {
		if n++; scan == nil || err != nil {
			continue
		}
		r.fields, r.values = result.FieldDescriptions(), result.Values()
		err = scan(&r)
	}
	tag, end := result.Close()
	if end != nil {
		err = end
	}
	return n, tag, err
}

// row is an engine.Row over the values of an answer.
type row struct {
	fields []pgconn.FieldDescription
	values [][]byte
}

// Scan implements engine.Row.
func (r *row) Scan(to ...any) error {
	if len(to) != len(r.values) {
		return fmt.Errorf("%d values for %d targets", len(r.values), len(to))
	}
	for i, target := range to {
		if err := scanValue(r.fields[i].DataTypeOID, r.values[i], target); err != nil {
			return err
		}
	}
	return nil
}

// namesOf tells what a round trip held; what stands there again is counted.
func namesOf(queue []request) string {
	var names []string
	for i := 0; i < len(queue); {
		name, from := engine.Name(queue[i].statement), i
		for i < len(queue) && engine.Name(queue[i].statement) == name {
			i++
		}
		if i-from > 1 {
			name += "*" + strconv.Itoa(i-from)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}
