package postgres

import (
	"regexp"
	"slices"
	"strings"
)

// rule is one thing that Citus refuses, or that this house does not want because of it. It looks at all nodes of some
// kinds (https://github.com/pganalyze/libpg_query/blob/15-latest/protobuf/pg_query.proto), or once at a statement, and
// says what is wrong; "": nothing. Each has statements in citus_bite_test.go that it must refuse.
type rule struct {
	name  string
	kinds string // with a space between them; "": the statement
	fault func(s *statement, n node) string
}

var citusRules = []rule{
	// Without a value for the column that a table is spread by a statement goes to every node, and a write or a lock
	// may be done by half. Of one statement, all has to be on one node.
	{"organization", "", everyNode},
	{"organization", "MergeStmt CopyStmt", always("its organizations cannot be told from the statement")},
	{"one organization", "", severalShards},
	{"lock", "", lockOnEveryNode},
	// What a SELECT makes up, Citus pulls to the coordinator and copies from there, in a commit of two phases. It goes
	// to the node where a table is that gives the organization.
	{"one phase", "InsertStmt", pulledToCoordinator},
	{"moved row", "UpdateStmt", setsShard("targetList")},
	{"moved row", "InsertStmt", setsShard("onConflictClause.targetList")},
	// A table that is not in the list is not distributed.
	{"known tables", "", func(s *statement, _ node) string { return strings.Join(s.unknown, ", ") }},
	{"known tables", "CreateStmt", unlistedTable},

	// Citus refuses what is not immutable in DO UPDATE, COALESCE, CASE, MERGE and RETURNING, and what each node computes
	// for itself differs. Times, ids and randomness are bound from Go, in reads too, and so are rows that are inserted.
	{"immutable", "FuncCall", mutableFunction},
	{"immutable", "SQLValueFunction", func(s *statement, n node) string {
		return s.ifOurs(n.text("op") + " is not immutable")
	}},
	{"upsert", "InsertStmt", subSelectInUpsert},
	// SQLite has no such thing, and statements are written for both.
	{"change in a query", "CommonTableExpr", func(_ *statement, n node) string {
		if has(n["ctequery"], "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt") {
			return "a CTE that changes rows"
		}
		return ""
	}},
	// Citus drops a CTE's list of columns when it inlines the CTE.
	{"columns of a CTE", "CommonTableExpr", renamedColumns},

	// Triggers are refused, rules are not carried out on the nodes, and functions would have to be on each. The settings
	// that policies look at do not reach the nodes. Sequences count on each node for itself.
	{"code", "CreateTrigStmt CreateEventTrigStmt RuleStmt CreateFunctionStmt DoStmt CallStmt", always("code")},
	{"row security", "CreatePolicyStmt AlterPolicyStmt", always("a policy")},
	{"row security", "AlterTableCmd", where("subtype", `RowSecurity$`, "row level security")},
	{"sequence", "CreateSeqStmt AlterSeqStmt", always("a sequence")},
	{"sequence", "Constraint", where("contype", `^CONSTR_IDENTITY$`, "an identity")},
	{"sequence", "AlterTableCmd", where("subtype", `Identity$`, "an identity")},
	{"sequence", "ColumnDef", where("typeName.names.String.sval", `serial`, "a column that a sequence fills")},
	{"sequence", "FuncCall", where("funcname.String.sval", `\b(next|curr|last|set)val$`, "a value of a sequence")},

	// A node can only tell what is unique among the rows that it has.
	{"key", "Constraint", keyWithoutShard},
	{"key", "Constraint", where("indexname", `.`, "a key made of an index: its columns are not told")},
	{"key", "Constraint", where("contype", `^CONSTR_EXCLUSION$`, "an exclusion")},
	{"key", "IndexStmt", uniqueIndexWithoutShard},
	// Both ends of a foreign key have to be on one node, and Citus refuses to set columns.
	{"foreign key", "Constraint", foreignKeyToElsewhere},
	{"foreign key", "Constraint", where("fk_del_action", `^[nd]$`, "ON DELETE sets columns")},
	{"foreign key", "Constraint", where("fk_upd_action", `^[nd]$`, "ON UPDATE sets columns")},

	// Citus takes one change of a table at a time, and constraints by name only.
	{"alter", "AlterTableStmt", func(_ *statement, n node) string {
		if len(n.nodes("cmds")) > 1 {
			return "several changes in one ALTER"
		}
		return ""
	}},
	{"alter", "AlterTableCmd", alteration},
	{"alter", "PartitionCmd", where("concurrent", `^true$`, "DETACH … CONCURRENTLY")},
	// There is no partition for whatever does not fit, and none of partitions.
	{"partition", "CreateStmt", where("partbound.is_default", `^true$`, "a default partition")},
	{"partition", "CreateStmt", func(_ *statement, n node) string {
		if n["partbound"] != nil && n["partspec"] != nil {
			return "partitions of a partition"
		}
		return ""
	}},
}

func always(fault string) func(*statement, node) string {
	return func(*statement, node) string { return fault }
}

// where finds fault with a node whose text at a path matches a pattern.
func where(path, pattern, fault string) func(*statement, node) string {
	matches := regexp.MustCompile(pattern)
	return func(_ *statement, n node) string {
		if text := n.text(path); matches.MatchString(text) {
			return fault + ": " + text
		}
		return ""
	}
}

// linter holds statements against the rules.
type linter struct {
	immutable map[string]bool // of each of PostgreSQL's functions, whether all of its forms are
}

// statement is one that is held against the rules.
type statement struct {
	*linter
	tables  []*tableRef
	unknown []string // names of tables that are not in the list
	ours    bool     // it is about tables of ours
	// What the node that is looked at stands in:
	table  string // a CREATE or ALTER TABLE
	column string // the definition of a column
}

func (s *statement) ifOurs(fault string) string {
	if s.ours {
		return fault
	}
	return ""
}

// finding is a fault by the rule that found it.
type finding struct{ rule, fault string }

func (l *linter) lint(sql string) (found []finding) {
	parsed, err := parseSQL(sql)
	if err != nil {
		return []finding{{"parse", err.Error()}}
	}
	for _, n := range parsed {
		s := &statement{linter: l}
		s.queries(n, nil)
		s.ours = len(s.tables) > 0 || has(n, "CreateStmt", "AlterTableStmt", "IndexStmt", "MergeStmt")
		found = append(found, s.check("", n)...)
		walk(n, func(kind string, n node) bool {
			switch kind {
			case "CreateStmt", "AlterTableStmt":
				s.table = n.text("relation.relname")
			case "ColumnDef":
				s.column = n.text("colname")
			}
			found = append(found, s.check(kind, n)...)
			return true
		})
	}
	return found
}

// check holds one node against the rules for its kind.
func (s *statement) check(kind string, n node) (found []finding) {
	for _, r := range citusRules {
		if kind != r.kinds && !slices.Contains(strings.Fields(r.kinds), kind) {
			continue
		}
		if fault := r.fault(s, n); fault != "" {
			found = append(found, finding{r.name, fault})
		}
	}
	return found
}

func everyNode(s *statement, _ node) string {
	for _, t := range s.tables {
		if t.shard == "" {
			return t.alias + " goes without its " + t.table.by + " = a parameter"
		}
	}
	return ""
}

func severalShards(s *statement, _ node) string {
	for _, t := range s.tables {
		first := s.tables[0]
		if t.table.by != first.table.by || !t.table.tenant() && t.table != first.table {
			return first.alias + " and " + t.alias + " are not kept together"
		}
		if t.shard != first.shard {
			return first.alias + " is of " + first.shard + ", " + t.alias + " of " + t.shard
		}
	}
	return ""
}

// pulledToCoordinator finds fault with rows of an INSERT whose organization no table gives.
func pulledToCoordinator(_ *statement, n node) string {
	at := slices.Index(n.texts("cols.ResTarget.name"), byOrganization)
	source := n.node("selectStmt.SelectStmt")
	if t := tableOf(n.text("relation.relname")); t == nil || source == nil || source["valuesLists"] != nil {
		return ""
	}
	if given := source.nodes("targetList.ResTarget.val"); at >= 0 && at < len(given) && given[at]["ColumnRef"] != nil {
		return ""
	}
	return "no table gives the organization that its SELECT has"
}

// lockOnEveryNode has a name of its own because, unlike a read, it cannot be excused.
func lockOnEveryNode(s *statement, _ node) string {
	for _, t := range s.tables {
		if t.locked && t.shard == "" {
			return "rows of " + t.alias + " are locked on every node"
		}
	}
	return ""
}

// setsShard finds fault with assignments to the column that tells the node of a row.
func setsShard(path string) func(*statement, node) string {
	return func(_ *statement, n node) string {
		t := tableOf(n.text("relation.relname"))
		if t != nil && slices.Contains(n.texts(path+".ResTarget.name"), t.by) {
			return t.name + "." + t.by + " is set"
		}
		return ""
	}
}

func unlistedTable(_ *statement, n node) string {
	if name := n.text("relation.relname"); n["partbound"] == nil && tableOf(name) == nil {
		return name
	}
	return ""
}

func mutableFunction(s *statement, n node) string {
	names := n.texts("funcname.String.sval")
	name := names[len(names)-1]
	immutable, known := s.immutable[name]
	switch {
	case !known:
		return s.ifOurs(name + "() is no function of PostgreSQL's")
	case !immutable:
		return s.ifOurs(name + "() is not immutable")
	}
	return ""
}

func subSelectInUpsert(_ *statement, n node) string {
	if has(n.at("selectStmt.SelectStmt.valuesLists"), "SubLink") || has(n["onConflictClause"], "SubLink") {
		return "a sub-select in VALUES or DO UPDATE"
	}
	return ""
}

// renamedColumns finds fault with a CTE whose list of columns says more than its first SELECT.
func renamedColumns(_ *statement, n node) string {
	list := n.texts("aliascolnames.String.sval")
	if len(list) == 0 {
		return ""
	}
	first := n.node("ctequery.SelectStmt")
	for first.node("larg") != nil { // the first arm of a UNION
		first = first.node("larg")
	}
	var names []string
	for _, target := range first.nodes("targetList.ResTarget") {
		name := target.text("name")
		if fields := target.texts("val.ColumnRef.fields.String.sval"); name == "" && len(fields) > 0 {
			name = fields[len(fields)-1]
		}
		names = append(names, name)
	}
	if slices.Equal(list, names) {
		return ""
	}
	return n.text("ctename") + " lists " + strings.Join(list, ", ") + ", its first SELECT " + strings.Join(names, ", ")
}

// columnsOf gives the columns that a constraint is about, wherever it was written.
func (s *statement) columnsOf(constraint node) []string {
	columns := append(constraint.texts("keys.String.sval"), constraint.texts("fk_attrs.String.sval")...)
	if len(columns) == 0 {
		return []string{s.column}
	}
	return columns
}

func keyWithoutShard(s *statement, n node) string {
	kind := n.text("contype")
	if kind == "CONSTR_PRIMARY" || kind == "CONSTR_UNIQUE" {
		return withoutShard(s.table, s.columnsOf(n))
	}
	return ""
}

func uniqueIndexWithoutShard(_ *statement, n node) string {
	if n.text("unique") == "true" {
		return withoutShard(n.text("relation.relname"), n.texts("indexParams.IndexElem.name"))
	}
	return ""
}

func withoutShard(name string, columns []string) string {
	if t := tableOf(name); t == nil || !slices.Contains(columns, t.by) {
		return "a key of " + name + " over " + strings.Join(columns, ", ") + " alone"
	}
	return ""
}

func foreignKeyToElsewhere(s *statement, n node) string {
	if n.text("contype") != "CONSTR_FOREIGN" {
		return ""
	}
	name := n.text("pktable.relname")
	at, theirs := slices.Index(s.columnsOf(n), byOrganization), n.texts("pk_attrs.String.sval")
	if at < 0 || at >= len(theirs) || theirs[at] != byOrganization {
		return "from " + s.table + " to " + name + " without " + byOrganization
	}
	if from, to := tableOf(s.table), tableOf(name); from == nil || to == nil || !from.tenant() || !to.tenant() {
		return "from " + s.table + " to " + name + ", which are not kept together"
	}
	return ""
}

func alteration(s *statement, n node) string {
	switch n.text("subtype") {
	case "AT_AddColumn":
		for _, kind := range n.texts("def.ColumnDef.constraints.Constraint.contype") {
			if !slices.Contains([]string{"CONSTR_NOTNULL", "CONSTR_NULL", "CONSTR_DEFAULT"}, kind) {
				return "a column is added with a constraint (" + kind + "): add that on its own"
			}
		}
	case "AT_AddConstraint":
		if n.text("def.Constraint.conname") == "" {
			return "a constraint without a name"
		}
	case "AT_AlterColumnType", "AT_DropColumn":
		if t := tableOf(s.table); t != nil && n.text("name") == t.by {
			return t.name + "." + t.by + " is changed"
		}
	}
	return ""
}
