package store

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// conn is a connection to an engine, used by one goroutine. Statements number
// their parameters $1, $2, … in the order of their first appearance.
//
// Arguments: consent.ID, *consent.ID, int, int64, *int64, bool, string, *string,
// []byte, *time.Time (zero: NULL), *optional (zero: NULL), optionalText (nil: NULL).
//
// "CROSS JOIN t a ON (…)" means: for each row so far look up those of t, by an index. SQLite takes it so; another
// engine has it rewritten, since a planner that turns the join round reads all of an organization.
//
// A statement begins with its name in a comment, by which logs and the database's own views show it.
type conn interface {
	// query runs a statement that is one of few, and so is kept prepared. scan may be nil.
	query(ctx context.Context, statement string, args []any, scan func(row) error) error
	// each runs one statement for n lists of arguments, as a set or a pipelined group. fill puts the
	// i-th list into args, which it may reuse; it may be called again for the same i. Where scan is nil the group may
	// wait until the next statement that is scanned or the end of the transaction, and so may its error.
	each(ctx context.Context, statement string, n int, fill func(i int, args []any) []any, scan func(i int, r row) error) error
	// prefetch runs reads by each whose rows may come with the next round trip, at the latest when wait returns.
	prefetch(read func() error) (wait func() error, err error)
	// search runs a statement that was made for this call and may take long; it ends with ctx.
	search(ctx context.Context, statement string, args []any, scan func(row) error) error
}

// row is one row of an answer. Scan fills pointers of these types: *consent.ID,
// *int, *int64, *bool, *string, *[]byte, *time.Time. NULL gives zero.
type row interface {
	Scan(to ...any) error
}

// optional is an id that is NULL where it is zero.
type optional consent.ID
