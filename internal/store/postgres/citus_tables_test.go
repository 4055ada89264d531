package postgres

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// tableRef is a place in a statement that reads or writes a table of ours.
type tableRef struct {
	table table
	alias string
	// shard is what the statement holds the table's column equal to, a parameter (or, of the instance's tables, a
	// constant); "": nothing, so the statement goes to every node.
	shard  string
	locked bool // by FOR UPDATE or the like
}

// scope is one query with the tables that it names itself. Each query, sub-select, arm of a UNION and CTE is one: what
// is held in one says nothing of another, unless a condition of the inner one says that its column equals that of the
// outer one.
type scope struct {
	outer      *scope
	ctes       []string // names that mean no tables
	tables     []*tableRef
	conditions []condition
}

// condition is one that every row fulfils which some tables give.
type condition struct {
	is node
	of []*tableRef
}

// queries reads the queries that stand in a part of a statement; what is in them, they read themselves.
func (s *statement) queries(part any, outer *scope) {
	walk(part, func(kind string, n node) bool {
		switch kind {
		case "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt":
			s.query(n, outer)
			return false
		}
		return true
	})
}

// query finds out what holds the columns of a query's tables, and of those of the queries in it. It gives the query's
// scope.
func (s *statement) query(n node, outer *scope) *scope {
	q := &scope{outer: outer, ctes: s.ctes(n, outer)}
	for _, arm := range append(n.nodes("larg"), n.nodes("rarg")...) { // of a UNION
		s.query(arm, q)
	}
	into := s.from(q, node{"RangeVar": n["relation"]})
	s.from(q, append(n.nodes("fromClause"), n.nodes("usingClause")...)...)
	if source := n.node("selectStmt.SelectStmt"); len(into) > 0 && source != nil {
		into[0].shard = insertedShard(n, into[0].table, s.query(source, q))
	}
	q.conditions = append(q.conditions, conditionsOf(n.node("whereClause"), q.tables)...)
	for range q.conditions { // one may hold what another one needs
		for _, c := range q.conditions {
			q.hold(c)
		}
	}
	for _, t := range q.tables {
		t.locked = n["lockingClause"] != nil
	}
	s.tables = append(s.tables, q.tables...)
	rest := maps.Clone(n)
	for _, read := range []string{"withClause", "larg", "rarg", "selectStmt"} {
		delete(rest, read)
	}
	s.queries(rest, q)
	return q
}

// ctes reads the queries before another one, and gives the names that mean no tables in it.
func (s *statement) ctes(n node, outer *scope) (names []string) {
	if outer != nil {
		names = slices.Clone(outer.ctes)
	}
	if n["withClause"] != nil && n.text("withClause.recursive") == "true" {
		names = append(names, n.texts("withClause.ctes.CommonTableExpr.ctename")...)
	}
	for _, cte := range n.nodes("withClause.ctes.CommonTableExpr") {
		s.queries(cte["ctequery"], &scope{outer: outer, ctes: slices.Clone(names)})
		names = append(names, cte.text("ctename"))
	}
	return names
}

// from adds the tables of a FROM, with the conditions of its joins.
func (s *statement) from(q *scope, items ...node) (found []*tableRef) {
	for _, item := range items {
		if named := item.node("RangeVar"); named != nil {
			found = append(found, s.add(q, named)...)
		}
		join := item.node("JoinExpr")
		if join == nil {
			continue
		}
		left, right := s.from(q, join.node("larg")), s.from(q, join.node("rarg"))
		both := slices.Concat(left, right)
		// An outer join keeps rows of one side that do not fulfil its condition.
		of := map[string][]*tableRef{"JOIN_INNER": both, "JOIN_LEFT": right, "JOIN_RIGHT": left}[join.text("jointype")]
		q.conditions = append(q.conditions, conditionsOf(join.node("quals"), of)...)
		found = append(found, both...)
	}
	return found
}

// partitionName is what partitions are called, which are the events too.
var partitionName = regexp.MustCompile(`^events_(before|\d{4}(_\d\d)?)$`)

func (s *statement) add(q *scope, named node) []*tableRef {
	name := named.text("relname")
	if named["schemaname"] == nil && slices.Contains(q.ctes, name) {
		return nil
	}
	if strings.HasPrefix(name, "pg_") || name == "goose_db_version" {
		return nil // the server's own tables, Citus' and goose's, which stay on the coordinator
	}
	known := tableOf(partitionName.ReplaceAllString(name, "events"))
	if known == nil {
		s.unknown = append(s.unknown, name)
		return nil
	}
	t := &tableRef{table: *known, alias: name}
	if alias := named.text("alias.aliasname"); alias != "" {
		t.alias = alias
	}
	q.tables = append(q.tables, t)
	return []*tableRef{t}
}

func tableOf(name string) *table {
	at := slices.IndexFunc(tables, func(t table) bool { return t.name == name })
	if at < 0 {
		return nil
	}
	return &tables[at]
}

// conditionsOf takes apart what AND joins.
func conditionsOf(n node, of []*tableRef) (all []condition) {
	if n.text("BoolExpr.boolop") == "AND_EXPR" {
		for _, each := range n.nodes("BoolExpr.args") {
			all = append(all, conditionsOf(each, of)...)
		}
		return all
	}
	return []condition{{n, of}}
}

// hold uses a condition: whatever equals a known value is known.
func (q *scope) hold(c condition) {
	equal := c.is.node("A_Expr")
	if equal.text("kind") != "AEXPR_OP" || equal.text("name.String.sval") != "=" {
		return
	}
	left, right := equal.node("lexpr"), equal.node("rexpr")
	for _, side := range [][2]node{{left, right}, {right, left}} {
		t := q.column(side[0])
		if t == nil || t.shard != "" || !slices.Contains(c.of, t) {
			continue
		}
		t.shard = shardOf(side[1], t.table)
		for outer := q; t.shard == "" && outer != nil; outer = outer.outer {
			if other := outer.column(side[1]); other != nil {
				if other.table.by == t.table.by {
					t.shard = other.shard
				}
				break
			}
		}
	}
}

// column gives the table of the query whose column n is the one that it is spread by.
func (q *scope) column(n node) *tableRef {
	names := n.texts("ColumnRef.fields.String.sval")
	var found []*tableRef
	for _, t := range q.tables {
		if len(names) > 0 && names[len(names)-1] == t.table.by && (len(names) == 1 || names[0] == t.alias) {
			found = append(found, t)
		}
	}
	if len(found) != 1 || len(names) == 1 && len(q.tables) != 1 {
		return nil
	}
	return found[0]
}

// shardOf gives what a value holds a column by. The organization has to be a parameter.
func shardOf(value node, t table) string {
	for value["TypeCast"] != nil {
		value = value.node("TypeCast.arg")
	}
	switch {
	case value["ParamRef"] != nil:
		return "$" + value.text("ParamRef.number")
	case value["A_Const"] != nil && !t.tenant():
		return "a constant"
	}
	return ""
}

// insertedShard tells what an INSERT puts into the column; "" where that cannot be told or is not the same in all rows.
// from is the scope of its VALUES or SELECT.
func insertedShard(n node, t table, from *scope) (shard string) {
	at := slices.Index(n.texts("cols.ResTarget.name"), t.by)
	source := n.node("selectStmt.SelectStmt")
	rows := [][]node{source.nodes("targetList.ResTarget.val")}
	if source["valuesLists"] != nil {
		rows = nil
		for _, row := range source.nodes("valuesLists.List") {
			rows = append(rows, row.nodes("items"))
		}
	}
	for _, row := range rows {
		if at < 0 || at >= len(row) || source.text("op") != "SETOP_NONE" || has(row[:at+1], "A_Star") {
			return "" // of a star, which columns stand behind it is unknown
		}
		held := shardOf(row[at], t)
		if read := from.column(row[at]); read != nil && read.table.by == t.by {
			held = read.shard
		}
		if held == "" || shard != "" && held != shard {
			return ""
		}
		shard = held
	}
	return shard
}
