package postgres

import (
	"encoding/json"
	"maps"
	"slices"
	"unicode"

	"github.com/wasilibs/go-pgquery/parser"
)

// node is a node of PostgreSQL's own parse tree, as its parser gives it in JSON. Fields have names in lower case. Where
// nodes of several kinds may stand, the node is wrapped in its kind, which begins with a capital. (The generated Go
// types for the tree come in a package that compiles the parser from C wherever cgo is on.)
type node map[string]any

// parseSQL gives the statements of a text, each wrapped in its kind.
func parseSQL(sql string) (statements []node, err error) {
	text, err := parser.ParseToJSON(sql)
	if err != nil {
		return nil, err
	}
	var tree struct{ Stmts []struct{ Stmt node } }
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return nil, err
	}
	for _, s := range tree.Stmts {
		statements = append(statements, s.Stmt)
	}
	return statements, nil
}

// of gives the fields of a wrapped node of a kind, nil where it is of another.
func (n node) of(kind string) node { return n.child(kind) }

// child gives the node in a field, nil where there is none.
func (n node) child(field string) node {
	found, _ := n[field].(map[string]any)
	return found
}

func (n node) text(field string) string {
	found, _ := n[field].(string)
	return found
}

func (n node) list(field string) (nodes []node) {
	found, _ := n[field].([]any)
	for _, each := range found {
		child, _ := each.(map[string]any)
		nodes = append(nodes, child)
	}
	return nodes
}

// names gives a list of strings.
func (n node) names(field string) (names []string) {
	for _, each := range n.list(field) {
		names = append(names, each.of("String").text("sval"))
	}
	return names
}

// unwrapped are the kinds of the nodes that need no wrapping, by the field in which they are.
var unwrapped = map[string]string{"relation": "RangeVar", "pktable": "RangeVar", "typeName": "TypeName",
	"onConflictClause": "OnConflictClause", "larg": "SelectStmt", "rarg": "SelectStmt"}

// walk visits nodes from the outside to the inside, in the order of the names of fields; where visit gives false, not
// what is inside.
func walk(in any, visit func(kind string, n node) bool) {
	switch in := in.(type) {
	case []any:
		for _, each := range in {
			walk(each, visit)
		}
	case node:
		walk(map[string]any(in), visit)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(in)) {
			child, _ := in[key].(map[string]any)
			if kind := kindOf(key, child); child != nil && kind != "" && !visit(kind, child) {
				continue
			}
			walk(in[key], visit)
		}
	}
}

func kindOf(key string, child node) string {
	if unicode.IsUpper(rune(key[0])) {
		return key
	}
	for inner := range child {
		if unicode.IsUpper(rune(inner[0])) {
			return "" // it is wrapped further in
		}
	}
	return unwrapped[key]
}

// has tells whether there is a node of some kinds in another.
func has(in any, kinds ...string) (found bool) {
	walk(in, func(kind string, _ node) bool {
		found = found || slices.Contains(kinds, kind)
		return !found
	})
	return found
}
