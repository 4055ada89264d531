// Package engine is what the store and its engines share: the interfaces by which the store's SQL runs, and the types
// of its arguments. It knows no database, and of the tables the heads and the kept counts alone.
package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// Engine is what tells one database from another. It may be used at once from many goroutines.
type Engine interface {
	Viewer
	// ViewOnce is View for a read of which each statement may see a state of its own.
	ViewOnce(ctx context.Context, read func(Conn) error) error
	// Update runs write in a transaction, alone within the organization, and returns nil when it is durable. Its error is
	// consent.ErrUnknown where nobody can say whether it was done, and else certain: nothing was.
	Update(ctx context.Context, organization consent.ID, write func(Conn) error) error
	// BatchesAcrossTenants tells whether one transaction may write for several organizations.
	BatchesAcrossTenants() bool
	// Shared tells whether other servers may serve from the same database.
	Shared() bool
	// Ready gives nil, or why writes are refused.
	Ready() error
}

// Viewer is what an engine, or a database that was opened to be checked, has to read by.
type Viewer interface {
	// View runs read on a connection that shows one consistent state.
	View(ctx context.Context, read func(Conn) error) error
	// Close ends all; nothing else may be running.
	Close() error
}

// AdminViewer is a Viewer of a database on several nodes, of which one alone has the version of the schema.
type AdminViewer interface {
	Viewer
	// ViewAdmin runs read on a connection to that node. Each statement may see a state of its own.
	ViewAdmin(ctx context.Context, read func(Conn) error) error
}

// Conn is a connection to an engine, used by one goroutine. Statements number their parameters $1, $2, … in the order
// of their first appearance.
//
// Arguments: consent.ID, *consent.ID, int, int64, *int64, bool, string, *string, []byte, *time.Time (zero: NULL),
// *OptionalID (zero: NULL), OptionalText (nil: NULL).
//
// "CROSS JOIN t a ON (…)" means: for each row so far look up those of t, by an index; so does "LEFT JOIN t a ON (…)",
// with the brackets. SQLite takes it so. PostgreSQL's
// engine rewrites it, since a planner that changes the order of the join reads all of an organization.
//
// A statement begins with its name in a comment, by which logs and the database's own views show it.
type Conn interface {
	// Query runs a statement that is one of few, and so is kept prepared. scan may be nil.
	Query(ctx context.Context, statement string, args []any, scan func(Row) error) error
	// Each runs one statement for n lists of arguments, as a set or a pipelined group. fill puts the i-th list into args,
	// which it may reuse; it may be called again for the same i. Where scan is nil the group may wait until the next
	// statement that is scanned or the end of the transaction, and so may its error.
	Each(ctx context.Context, statement string, n int, fill func(i int, args []any) []any,
		scan func(i int, r Row) error) error
	// Prefetch runs reads by Each whose rows may come with the next round trip, at the latest when wait returns.
	Prefetch(read func() error) (wait func() error, err error)
	// Search runs a statement that was made for this call and may take long; it ends with ctx.
	Search(ctx context.Context, statement string, args []any, scan func(Row) error) error
	// SearchPrepared is Search for a statement that is kept prepared: it runs for each of many organizations, and to plan
	// it takes longer than to run it.
	SearchPrepared(ctx context.Context, statement string, args []any, scan func(Row) error) error
}

// Forgetter is a Conn of an engine that keeps what was deleted for a while, beside the tables.
type Forgetter interface {
	// Forget has that go soon after the transaction, since it is about somebody who wants to be forgotten.
	Forget()
}

// Row is one row of an answer. Scan fills pointers of these types: *consent.ID, *int, *uint8, *int64, *bool, *string,
// *[]byte, *time.Time, *Appended. NULL gives zero.
type Row interface {
	Scan(to ...any) error
}

// Appended is a blob of a row that is put behind those of the rows before, so that many rows take no memory of their
// own. Value is the part of To that it is.
type Appended struct {
	To    *[]byte
	Value []byte
}

// Append makes Value of size bytes at the end of To, which are still to be filled in.
func (a *Appended) Append(size int) {
	at := len(*a.To)
	*a.To = slices.Grow(*a.To, size)[:at+size]
	a.Value = (*a.To)[at : at+size : at+size]
}

// OptionalID is an id that is NULL where it is zero.
type OptionalID consent.ID

// OptionalText is a text that is NULL where it is nil.
type OptionalText []byte

// Comment gives the comment with which a statement begins, with the space behind it; "" where there is none.
func Comment(statement string) string {
	if end := strings.Index(statement, "*/ "); strings.HasPrefix(statement, "/* ") && end > 0 {
		return statement[:end+3]
	}
	return ""
}

// Name is a statement's name as its comment gives it, else its first word.
func Name(statement string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(Comment(statement), "/* "), " */ ")
	if name == "" {
		return strings.Fields(statement)[0]
	}
	return name
}

// Watcher is an engine that others may write to beside it and that finds out when they did.
type Watcher interface {
	// Watch has checked called after each look for commits of other processes: at says when it began, and foreign that
	// there were some. A look comes before each transaction of Update, and every CheckEvery. At foreign commits checked is
	// called before anything is read that shows them in the transaction; it must not call the engine.
	Watch(checked func(at time.Time, foreign bool))
}

// CheckEvery is how often a Watcher looks for commits of other processes while nobody writes.
const CheckEvery = 100 * time.Millisecond

// Figure is what an engine says of itself at the moment, for metrics.
type Figure struct {
	Name, Help string
	Counts     bool // it only goes up
	Value      float64
}
