package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// rule is one thing that Citus refuses, or that this house does not want because of it. Each has statements in
// citus_rules_bite_test.go that it must refuse.
type rule struct {
	name   string
	faults func(l *linter, statement node) []string
}

var citusRules = []rule{
	{"organization", unpinnedTables}, {"one organization", severalOrganizations}, {"lock", unpinnedLocks}, {"known tables", unknownTables},
	{"moved row", movedRows}, {"immutable", mutableFunctions}, {"upsert", selectsInUpserts}, {"code", serverCode}, {"row security", rowSecurity},
	{"sequence", sequences}, {"key", keysWithoutColumn}, {"foreign key", foreignKeys}, {"alter", alterations}, {"partition", partitions},
}

// linter holds statements against the rules.
type linter struct {
	immutable map[string]bool // of each of PostgreSQL's functions, whether all of its forms are
}

// finding is a fault by the rule that found it.
type finding struct{ rule, fault string }

func (l *linter) lint(sql string) (found []finding) {
	statements, err := parseSQL(sql)
	if err != nil {
		return []finding{{"parse", err.Error()}}
	}
	for _, statement := range statements {
		for _, rule := range citusRules {
			for _, fault := range rule.faults(l, statement) {
				found = append(found, finding{rule.name, fault})
			}
		}
	}
	return found
}

// unpinnedTables: without a value for the column that a table is spread by a statement goes to every node, and a write
// to all of them.
func unpinnedTables(_ *linter, statement node) (faults []string) {
	p := pinsOf(statement)
	for _, t := range p.touches {
		if t.pin == "" {
			faults = append(faults, fmt.Sprintf("%s is touched without its %s = a parameter", t.alias, t.table.by))
		}
	}
	return append(faults, p.unread...)
}

// severalOrganizations: what a statement touches has to be on one node.
func severalOrganizations(_ *linter, statement node) (faults []string) {
	first := (*touch)(nil)
	for _, t := range pinsOf(statement).touches {
		switch {
		case first == nil:
			first = t
		case t.table.by != first.table.by || !t.table.tenant() && t.table != first.table:
			faults = append(faults, fmt.Sprintf("%s and %s are not kept together", first.table.name, t.table.name))
		case t.pin != first.pin:
			faults = append(faults, fmt.Sprintf("%s is of organization %s, %s of %s", first.alias, first.pin, t.alias, t.pin))
		}
	}
	return faults
}

// unpinnedLocks: rows are locked on one node only. Unlike a read, that cannot be excused.
func unpinnedLocks(_ *linter, statement node) (faults []string) {
	for _, t := range pinsOf(statement).touches {
		if t.locked && t.pin == "" {
			faults = append(faults, "rows of "+t.alias+" are locked on every node")
		}
	}
	return faults
}

// unknownTables: a table that is not in the list is not distributed.
func unknownTables(_ *linter, statement node) (faults []string) {
	for _, name := range pinsOf(statement).unknown {
		faults = append(faults, "the list of tables has no "+name)
	}
	if create := statement.of("CreateStmt"); create != nil && create["partbound"] == nil {
		if name := create.child("relation").text("relname"); tableOf(name) == nil {
			faults = append(faults, "the list of tables has no "+name)
		}
	}
	return faults
}

func tableOf(name string) *table {
	at := slices.IndexFunc(tables, func(t table) bool { return t.name == name })
	if at < 0 {
		return nil
	}
	return &tables[at]
}

// movedRows: the column that tells the node of a row cannot change.
func movedRows(_ *linter, statement node) (faults []string) {
	set := func(n node, name string) {
		for _, target := range n.list("targetList") {
			if t := tableOf(name); t != nil && target.of("ResTarget").text("name") == t.by {
				faults = append(faults, name+"."+t.by+" is set")
			}
		}
	}
	walk(statement, func(kind string, n node) bool {
		switch kind {
		case "UpdateStmt":
			set(n, n.child("relation").text("relname"))
		case "InsertStmt":
			set(n.child("onConflictClause"), n.child("relation").text("relname"))
		}
		return true
	})
	return faults
}

// mutableFunctions: Citus refuses what is not immutable in DO UPDATE, COALESCE, CASE, MERGE and RETURNING, and what
// each node computes for itself differs. Times, ids and randomness are bound from Go, in reads too.
func mutableFunctions(l *linter, statement node) (faults []string) {
	ours := len(pinsOf(statement).touches) > 0 || has(statement, "CreateStmt", "AlterTableStmt", "IndexStmt", "MergeStmt")
	if !ours {
		return nil
	}
	walk(statement, func(kind string, n node) bool {
		switch names := n.names("funcname"); {
		case kind == "SQLValueFunction":
			faults = append(faults, strings.ToLower(strings.TrimPrefix(n.text("op"), "SVFOP_"))+" is not immutable")
		case kind == "FuncCall":
			name := names[len(names)-1]
			if immutable, known := l.immutable[name]; !known {
				faults = append(faults, name+"() is no function of PostgreSQL's")
			} else if !immutable {
				faults = append(faults, name+"() is not immutable")
			}
		}
		return true
	})
	return faults
}

// selectsInUpserts: a row that is inserted is computed before it is sent.
func selectsInUpserts(_ *linter, statement node) (faults []string) {
	walk(statement, func(kind string, n node) bool {
		values := kind == "InsertStmt" && has(n.child("selectStmt").of("SelectStmt")["valuesLists"], "SubLink")
		if values || kind == "OnConflictClause" && has(n, "SubLink") {
			faults = append(faults, "a sub-select in VALUES or DO UPDATE")
		}
		return true
	})
	return faults
}

// serverCode: triggers are refused, rules are not carried out on the nodes, and functions would have to be on each.
func serverCode(_ *linter, statement node) []string {
	if has(statement, "CreateTrigStmt", "CreateEventTrigStmt", "RuleStmt", "CreateFunctionStmt", "DoStmt", "CallStmt") {
		return []string{"a trigger, a rule or a function: there is no code in the database"}
	}
	return nil
}

// rowSecurity: the settings that policies look at do not reach the nodes.
func rowSecurity(_ *linter, statement node) (faults []string) {
	walk(statement, func(kind string, n node) bool {
		if kind == "CreatePolicyStmt" || kind == "AlterPolicyStmt" || strings.HasSuffix(n.text("subtype"), "RowSecurity") {
			faults = append(faults, "row level security")
		}
		return true
	})
	return faults
}

// sequences: each node counts for itself.
func sequences(_ *linter, statement node) (faults []string) {
	walk(statement, func(kind string, n node) bool {
		switch {
		case kind == "CreateSeqStmt", kind == "AlterSeqStmt", n.text("contype") == "CONSTR_IDENTITY", strings.HasSuffix(n.text("subtype"), "Identity"):
			faults = append(faults, "a sequence or an identity")
		case kind == "ColumnDef":
			names := n.child("typeName").names("names")
			if name := names[len(names)-1]; strings.Contains(name, "serial") {
				faults = append(faults, n.text("colname")+" is of type "+name)
			}
		case kind == "FuncCall" && slices.ContainsFunc(n.names("funcname"), func(name string) bool {
			return slices.Contains([]string{"nextval", "currval", "lastval", "setval"}, name)
		}):
			faults = append(faults, "a value of a sequence")
		}
		return true
	})
	return faults
}
