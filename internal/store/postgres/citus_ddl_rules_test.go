package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// The rules for statements that define tables.

// constraint is one of a table's, wherever it was written.
type constraint struct {
	node
	table   string
	columns []string // that have to be unique, or that refer to another table
}

// constraintsOf gives those that a CREATE TABLE or an ALTER TABLE defines.
func constraintsOf(statement node) (all []constraint) {
	table := ""
	add := func(n node, column ...string) {
		columns := append(n.names("keys"), n.names("fk_attrs")...)
		if len(columns) == 0 {
			columns = column
		}
		all = append(all, constraint{n, table, columns})
	}
	walk(statement, func(kind string, n node) bool {
		switch kind {
		case "CreateStmt", "AlterTableStmt":
			table = n.child("relation").text("relname")
		case "ColumnDef":
			for _, each := range n.list("constraints") {
				add(each.of("Constraint"), n.text("colname"))
			}
			return false
		case "Constraint":
			add(n)
		}
		return true
	})
	return all
}

// keysWithoutColumn: a node can only tell what is unique among the rows that it has.
func keysWithoutColumn(_ *linter, statement node) (faults []string) {
	for _, c := range constraintsOf(statement) {
		switch c.text("contype") {
		case "CONSTR_PRIMARY", "CONSTR_UNIQUE":
			if c.node["indexname"] != nil {
				faults = append(faults, "a key made of an index: its columns are not told")
				continue
			}
			faults = append(faults, uniqueFaults(c.table, c.columns)...)
		case "CONSTR_EXCLUSION":
			faults = append(faults, "an exclusion")
		}
	}
	if index := statement.of("IndexStmt"); index != nil && index["unique"] == true {
		var columns []string
		for _, each := range index.list("indexParams") {
			columns = append(columns, each.of("IndexElem").text("name"))
		}
		faults = append(faults, uniqueFaults(index.child("relation").text("relname"), columns)...)
	}
	return faults
}

func uniqueFaults(name string, columns []string) []string {
	t := tableOf(name)
	if t == nil || !slices.Contains(columns, t.by) {
		return []string{fmt.Sprintf("a key of %s over %s alone", name, strings.Join(columns, ", "))}
	}
	return nil
}

// foreignKeys: both ends have to be on one node, and Citus refuses to set columns to NULL.
func foreignKeys(_ *linter, statement node) (faults []string) {
	for _, c := range constraintsOf(statement) {
		if c.text("contype") != "CONSTR_FOREIGN" {
			continue
		}
		to := c.child("pktable").text("relname")
		at := slices.Index(c.columns, byOrganization)
		if theirs := c.names("pk_attrs"); at < 0 || at >= len(theirs) || theirs[at] != byOrganization {
			faults = append(faults, fmt.Sprintf("a foreign key from %s to %s without organization_id", c.table, to))
		}
		if from, other := tableOf(c.table), tableOf(to); from == nil || other == nil || !from.tenant() || !other.tenant() {
			faults = append(faults, fmt.Sprintf("a foreign key from %s to %s, which are not kept together", c.table, to))
		}
		for _, action := range []string{c.text("fk_del_action"), c.text("fk_upd_action")} {
			if action == "n" || action == "d" {
				faults = append(faults, fmt.Sprintf("a foreign key from %s to %s sets columns", c.table, to))
			}
		}
	}
	return faults
}

// alterations: Citus takes one change at a time, and constraints by name only.
func alterations(_ *linter, statement node) (faults []string) {
	alter := statement.of("AlterTableStmt")
	commands := alter.list("cmds")
	if len(commands) > 1 {
		faults = append(faults, "several changes in one ALTER")
	}
	for _, each := range commands {
		command := each.of("AlterTableCmd")
		def := command.child("def")
		switch command.text("subtype") {
		case "AT_AddColumn":
			for _, c := range def.of("ColumnDef").list("constraints") {
				if kind := c.of("Constraint").text("contype"); !slices.Contains([]string{"CONSTR_NOTNULL", "CONSTR_NULL", "CONSTR_DEFAULT"}, kind) {
					faults = append(faults, "a column is added with a constraint ("+kind+"): add that on its own")
				}
			}
		case "AT_AddConstraint":
			if def.of("Constraint").text("conname") == "" {
				faults = append(faults, "a constraint without a name")
			}
		case "AT_AlterColumnType", "AT_DropColumn":
			if t := tableOf(alter.child("relation").text("relname")); t != nil && command.text("name") == t.by {
				faults = append(faults, t.name+"."+t.by+" is changed")
			}
		case "AT_DetachPartition":
			if def.of("PartitionCmd")["concurrent"] == true {
				faults = append(faults, "DETACH … CONCURRENTLY")
			}
		}
	}
	return faults
}

// partitions: there is none for whatever does not fit, and none of partitions.
func partitions(_ *linter, statement node) (faults []string) {
	create := statement.of("CreateStmt")
	if create.child("partbound")["is_default"] == true {
		faults = append(faults, "a default partition")
	}
	if create["partbound"] != nil && create["partspec"] != nil {
		faults = append(faults, "partitions of a partition")
	}
	return faults
}
