package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/consentd/consentd/internal/store/engine"
)

// A statement is written once, for one row. Where it runs for many rows of one organization, it is turned into one
// that takes the other parameters as arrays, so that the rows cost one statement. Citus keeps a query on one node, since
// $1, the organization, stays a constant. It does so with an INSERT only where the organization of the new rows comes
// from a table that is spread as they are: else the rows go through the coordinator, and the commit takes two phases,
// after which a node that crashes shows them only when Citus has recovered them. So they are joined to their
// organization. It has to be there, or nothing is written: see conn.knowsOrganization and conn.commit.

// setForm is what is known of a statement's form for many rows.
type setForm struct {
	statement string
	params    int  // how many parameters the statement has, $1 among them
	numbered  bool // it is a query, whose rows tell to which list of arguments they belong
	all       bool // it writes a row for each list: its conflicts are not passed over
}

var (
	insertForm = regexp.MustCompile(`(?s)^((?:/\*.*?\*/ )?INSERT INTO \w+ \(organization_id, [^)]*\))` +
		`\s+VALUES \((\$1(?:, \$\d+)+)\)(.*)$`)
	selectForm = regexp.MustCompile(`(?s)^(?:/\*.*?\*/ )?(?:SELECT|WITH RECURSIVE) .*organization_id = \$1\b`)
	parameter  = regexp.MustCompile(`\$(\d+)`)
	setForms   sync.Map // statement → *setForm; nil: it has none
)

// setFormOf tells how a statement runs for many rows; nil: one by one.
func setFormOf(statement string) *setForm {
	if known, ok := setForms.Load(statement); ok {
		return known.(*setForm)
	}
	form := &setForm{statement: statement, params: countParams(statement)}
	switch {
	case form.params < 2:
		form = nil
	case insertForm.MatchString(statement):
		form.all = !strings.Contains(statement, "DO NOTHING") && !strings.Contains(statement, "\nWHERE ")
	case selectForm.MatchString(statement):
		form.numbered = true
	default:
		form = nil
	}
	setForms.Store(statement, form)
	return form
}

func countParams(statement string) (most int) {
	for _, found := range parameter.FindAllStringSubmatch(statement, -1) {
		n, _ := strconv.Atoi(found[1]) // digits alone
		most = max(most, n)
	}
	return most
}

// lookup and outerLookup are joins that must stay in their order, see engine.Conn.
var (
	lookup      = regexp.MustCompile(`CROSS JOIN (\w+) (\w+) ON \(([^()]*)\)`)
	outerLookup = regexp.MustCompile(`LEFT JOIN (\w+) (\w+) ON \(([^()]*)\)`)
)

// inOrder writes the look-ups of a statement so that PostgreSQL keeps their order: OFFSET 0 is what its planner does
// not look through (https://www.postgresql.org/docs/15/queries-limit.html; src/backend/optimizer/prep/prepjointree.c).
func inOrder(statement string) string {
	const row = "LATERAL (SELECT * FROM $1 $2 WHERE $3 OFFSET 0) AS $2"
	statement = lookup.ReplaceAllString(statement, "CROSS JOIN "+row)
	return outerLookup.ReplaceAllString(statement, "LEFT JOIN "+row+" ON TRUE")
}

// text gives the statement for many rows, where columns are those of $2 and on.
func (f *setForm) text(columns []column) string {
	arrays, names := make([]string, len(columns)), make([]string, len(columns))
	for i := range columns {
		arrays[i], names[i] = fmt.Sprintf("$%d::%s[]", i+2, sqlTypes[columns[i].oid]), fmt.Sprintf("p%d", i+2)
	}
	from := "unnest(" + strings.Join(arrays, ", ") + ")"
	if !f.numbered {
		part := insertForm.FindStringSubmatch(f.statement)
		return part[1] + " SELECT o." + byOrganization + ", many.* FROM " + tenantsRoot + " o CROSS JOIN " + from +
			" AS many WHERE o." + byOrganization + " = $1" + part[3]
	}
	row := parameter.ReplaceAllStringFunc(f.statement, func(p string) string {
		if p == "$1" {
			return "$1::uuid"
		}
		return "many.p" + p[1:]
	})
	return engine.Comment(f.statement) + "SELECT many.n, found.* FROM " + from +
		" WITH ORDINALITY AS many (" + strings.Join(names, ", ") + ", n) CROSS JOIN LATERAL (" +
		strings.TrimPrefix(row, engine.Comment(f.statement)) + " OFFSET 0) AS found"
}
