package store

import (
	"strconv"
	"strings"
)

// search gathers the conditions of a list. Values go into arguments only; the
// texts are ours.
type search struct {
	conditions []string
	args       []any
}

// where adds a condition; each ? in it stands for one of the values.
func (q *search) where(condition string, values ...any) {
	var out strings.Builder
	for _, part := range strings.SplitAfter(condition, "?") {
		head, ok := strings.CutSuffix(part, "?")
		out.WriteString(head)
		if ok {
			q.args = append(q.args, values[0])
			values = values[1:]
			out.WriteString("$" + strconv.Itoa(len(q.args)))
		}
	}
	q.conditions = append(q.conditions, out.String())
}

// anyOf narrows a column to some values; an empty list does not narrow.
func anyOf[T any](q *search, column string, values []T) {
	if len(values) == 0 {
		return
	}
	list := make([]any, len(values))
	for i := range values {
		list[i] = values[i]
	}
	q.where(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", list...)
}

// build gives the statement and its arguments.
func (q *search) build(head, tail string) (string, []any) {
	statement := head
	if len(q.conditions) > 0 {
		statement += " WHERE " + strings.Join(q.conditions, " AND ")
	}
	return statement + " " + tail, q.args
}

// page gives the statement of one part of the list. How long the part is and where it begins stand in the text:
// PostgreSQL plans for a tenth of the table where it does not know, and sorts all of it rather than to read a page
// along an index.
func (q *search) page(head, order string, limit, offset int) (string, []any) {
	return q.build(head, order+" LIMIT "+strconv.Itoa(limit)+" OFFSET "+strconv.Itoa(offset))
}
