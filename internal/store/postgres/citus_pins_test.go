package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// touch is a place in a statement that reads or writes a table of ours.
type touch struct {
	table table
	alias string
	// pin is what the statement holds the table's column equal to, a parameter (or, of the instance's tables, a
	// constant); "": nothing, so the statement goes to every node.
	pin    string
	locked bool // by FOR UPDATE or the like
}

// pinned finds out what holds the columns of a statement's tables. Each query, sub-select, arm of a UNION and CTE is a
// level of its own: what is held in one says nothing of another, unless a condition of the inner one says that its
// column equals that of the outer one.
type pinned struct {
	touches []*touch
	unknown []string // tables that are not in the list
	unread  []string // what this does not understand
}

// level is one query with the tables that it names itself.
type level struct {
	outer      *level
	hidden     []string // names of CTEs, which hide tables
	touches    []*touch
	conditions []condition
}

// condition is one that every row fulfils which the tables in scope give.
type condition struct {
	is    node
	scope []*touch
}

// pinsOf looks at one statement.
func pinsOf(statement node) *pinned {
	p := &pinned{}
	p.statement(statement, nil, nil)
	return p
}

func (p *pinned) statement(wrapped node, outer *level, hidden []string) {
	if n := wrapped.of("SelectStmt"); n != nil {
		p.query(n, outer, hidden)
		return
	}
	for _, kind := range []string{"InsertStmt", "UpdateStmt", "DeleteStmt"} {
		if n := wrapped.of(kind); n != nil {
			p.change(n, outer, hidden)
			return
		}
	}
	if has(wrapped, "MergeStmt", "CopyStmt") {
		p.unread = append(p.unread, "a MERGE or COPY: its organizations cannot be told from the statement")
	}
}

func (p *pinned) query(n node, outer *level, hidden []string) {
	hidden = p.ctes(n, outer, hidden)
	if n.text("op") != "SETOP_NONE" {
		p.query(n.child("larg"), outer, hidden)
		p.query(n.child("rarg"), outer, hidden)
		return
	}
	l := &level{outer: outer, hidden: hidden}
	p.from(l, n.list("fromClause"))
	if len(n.list("lockingClause")) > 0 {
		for _, t := range l.touches {
			t.locked = true
		}
	}
	p.finish(l, n)
}

// change is an INSERT, UPDATE or DELETE.
func (p *pinned) change(n node, outer *level, hidden []string) {
	l := &level{outer: outer, hidden: p.ctes(n, outer, hidden)}
	target := p.add(l, n.child("relation"))
	p.from(l, n.list("fromClause"))
	p.from(l, n.list("usingClause"))
	if len(target) > 0 && n["selectStmt"] != nil {
		target[0].pin = insertPin(n, target[0].table)
	}
	p.finish(l, n)
}

// ctes looks at the queries before a statement, and gives the names that it does not mean tables by.
func (p *pinned) ctes(n node, outer *level, hidden []string) []string {
	with := n.child("withClause")
	all := slices.Clone(hidden)
	recursive, _ := with["recursive"].(bool)
	for _, each := range with.list("ctes") {
		if recursive {
			all = append(all, each.of("CommonTableExpr").text("ctename"))
		}
	}
	for _, each := range with.list("ctes") {
		cte := each.of("CommonTableExpr")
		p.statement(cte.child("ctequery"), outer, all)
		all = append(all, cte.text("ctename"))
	}
	return all
}

// from adds the tables of a FROM, with the conditions of its joins.
func (p *pinned) from(l *level, items []node) (touches []*touch) {
	for _, item := range items {
		if table := item.of("RangeVar"); table != nil {
			touches = append(touches, p.add(l, table)...)
		}
		join := item.of("JoinExpr")
		if join == nil {
			continue
		}
		left, right := p.from(l, []node{join.child("larg")}), p.from(l, []node{join.child("rarg")})
		both := slices.Concat(left, right)
		// An outer join keeps rows of one side that do not fulfil its condition.
		scope := map[string][]*touch{"JOIN_INNER": both, "JOIN_LEFT": right, "JOIN_RIGHT": left}[join.text("jointype")]
		l.conditions = append(l.conditions, conditionsOf(join.child("quals"), scope)...)
		touches = append(touches, both...)
	}
	return touches
}

// partitionName is what partitions are called, which are the events too.
var partitionName = regexp.MustCompile(`^events_(before|\d{4}(_\d\d)?)$`)

func (p *pinned) add(l *level, named node) []*touch {
	name := named.text("relname")
	if named.text("schemaname") == "" && slices.Contains(l.hidden, name) || ofPostgres(name) {
		return nil
	}
	known := name
	if partitionName.MatchString(name) {
		known = "events"
	}
	at := slices.IndexFunc(tables, func(t table) bool { return t.name == known })
	if at < 0 {
		p.unknown = append(p.unknown, name)
		return nil
	}
	t := &touch{table: tables[at], alias: name}
	if alias := named.child("alias").text("aliasname"); alias != "" {
		t.alias = alias
	}
	l.touches = append(l.touches, t)
	return []*touch{t}
}

// ofPostgres tells whether a table is one of the server's, of Citus or of goose, which stay on the coordinator.
func ofPostgres(name string) bool {
	return strings.HasPrefix(name, "pg_") || name == "goose_db_version"
}

// finish holds the tables of a level, and then looks at the queries within it, which may refer to them.
func (p *pinned) finish(l *level, n node) {
	l.conditions = append(l.conditions, conditionsOf(n.child("whereClause"), l.touches)...)
	for more := true; more; {
		more = false
		for _, c := range l.conditions {
			more = l.hold(c) || more
		}
	}
	p.touches = append(p.touches, l.touches...)
	for field, in := range n {
		if field == "withClause" {
			continue // they were looked at
		}
		walk(map[string]any{field: in}, func(kind string, inner node) bool {
			if kind == "SelectStmt" {
				p.query(inner, l, l.hidden)
			}
			return kind != "SelectStmt"
		})
	}
}

// conditionsOf takes apart what AND joins.
func conditionsOf(n node, scope []*touch) (all []condition) {
	if and := n.of("BoolExpr"); and.text("boolop") == "AND_EXPR" {
		for _, each := range and.list("args") {
			all = append(all, conditionsOf(each, scope)...)
		}
		return all
	}
	if n == nil {
		return nil
	}
	return []condition{{n, scope}}
}

// hold uses a condition, and tells whether it held a table that nothing did before.
func (l *level) hold(c condition) bool {
	equal := c.is.of("A_Expr")
	if equal.text("kind") != "AEXPR_OP" || !slices.Equal(equal.names("name"), []string{"="}) {
		return false
	}
	sides := [2]node{equal.child("lexpr"), equal.child("rexpr")}
	for i := range sides {
		t := l.column(sides[i])
		if t == nil || t.pin != "" || !slices.Contains(c.scope, t) {
			continue
		}
		if t.pin = valuePin(sides[1-i], t.table); t.pin != "" {
			return true
		}
		if other := l.visible(sides[1-i]); other != nil && other.table.by == t.table.by && other.pin != "" {
			t.pin = other.pin
			return true
		}
	}
	return false
}

// column gives the table of the level whose column n is the one that it is spread by.
func (l *level) column(n node) *touch {
	names := n.of("ColumnRef").names("fields")
	var found []*touch
	for _, t := range l.touches {
		if len(names) > 0 && names[len(names)-1] == t.table.by && (len(names) == 1 || names[0] == t.alias) {
			found = append(found, t)
		}
	}
	if len(found) != 1 || len(names) == 1 && len(l.touches) != 1 {
		return nil
	}
	return found[0]
}

// visible is column, of this level or of one around it.
func (l *level) visible(n node) *touch {
	for ; l != nil; l = l.outer {
		if t := l.column(n); t != nil {
			return t
		}
	}
	return nil
}

// valuePin gives what a value holds a column by. The organization has to be a parameter.
func valuePin(n node, t table) string {
	for n.of("TypeCast") != nil {
		n = n.of("TypeCast").child("arg")
	}
	if p := n.of("ParamRef"); p != nil {
		return fmt.Sprint("$", p["number"])
	}
	if n.of("A_Const") != nil && !t.tenant() {
		return "a constant"
	}
	return ""
}

// insertPin tells what an INSERT puts into the column, the same in all rows.
func insertPin(n node, t table) (pin string) {
	at := slices.IndexFunc(n.list("cols"), func(c node) bool { return c.of("ResTarget").text("name") == t.by })
	source := n.child("selectStmt").of("SelectStmt")
	if at < 0 || source.text("op") != "SETOP_NONE" {
		return ""
	}
	if targets := source.list("targetList"); len(targets) > 0 {
		for i, target := range targets {
			value := target.of("ResTarget").child("val")
			if has(value.of("ColumnRef"), "A_Star") {
				return "" // which columns stand behind it cannot be told
			}
			if i == at {
				return valuePin(value, t)
			}
		}
		return ""
	}
	for i, row := range source.list("valuesLists") {
		items := row.of("List").list("items")
		if at >= len(items) {
			return ""
		}
		if held := valuePin(items[at], t); i > 0 && held != pin {
			return ""
		} else {
			pin = held
		}
	}
	return pin
}
