package postgres

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/wasilibs/go-pgquery/parser"
)

// node is a node of PostgreSQL's own parse tree, as its parser gives it in JSON. Names that begin with a capital are
// kinds of nodes: {"SelectStmt": {"fromClause": [{"RangeVar": …}]}}. Where only one kind can stand, it is left out.
// (The generated Go types for the tree come in a package that compiles the parser from C wherever cgo is on.)
type node map[string]any

// parseSQL gives the statements of a text, each wrapped in its kind.
func parseSQL(sql string) ([]node, error) {
	text, err := parser.ParseToJSON(sql)
	if err != nil {
		return nil, err
	}
	var tree node
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return nil, err
	}
	return tree.nodes("stmts.stmt"), nil
}

// at gives what is at a path of names. The path goes on in every item of a list.
func (n node) at(path string) []any {
	found := []any{map[string]any(n)}
	for name := range strings.SplitSeq(path, ".") {
		var next []any
		for _, each := range found {
			fields, _ := each.(map[string]any)
			switch value := fields[name].(type) {
			case nil:
			case []any:
				next = append(next, value...)
			default:
				next = append(next, value)
			}
		}
		found = next
	}
	return found
}

// nodes gives the nodes at a path.
func (n node) nodes(path string) (nodes []node) {
	for _, each := range n.at(path) {
		if fields, ok := each.(map[string]any); ok {
			nodes = append(nodes, fields)
		}
	}
	return nodes
}

// node gives the first node at a path, nil where there is none.
func (n node) node(path string) node {
	return append(n.nodes(path), nil)[0]
}

// texts gives the values at a path: names, numbers, true.
func (n node) texts(path string) (texts []string) {
	for _, each := range n.at(path) {
		texts = append(texts, fmt.Sprint(each))
	}
	return texts
}

// text gives the only value at a path, "" where there is none.
func (n node) text(path string) string { return strings.Join(n.texts(path), " ") }

// walk visits nodes that are named by their kinds, from the outside to the inside, in the order of the names of fields;
// where visit gives false, not what is inside.
func walk(in any, visit func(kind string, n node) bool) {
	switch in := in.(type) {
	case []any:
		for _, each := range in {
			walk(each, visit)
		}
	case []node:
		for _, each := range in {
			walk(each, visit)
		}
	case node:
		walk(map[string]any(in), visit)
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(in)) {
			fields, ok := in[name].(map[string]any)
			if ok && unicode.IsUpper(rune(name[0])) && !visit(name, fields) {
				continue
			}
			walk(in[name], visit)
		}
	}
}

// has tells whether there is a node of some kinds in another.
func has(in any, kinds ...string) (found bool) {
	walk(in, func(kind string, _ node) bool {
		found = found || slices.Contains(kinds, kind)
		return !found
	})
	return found
}
