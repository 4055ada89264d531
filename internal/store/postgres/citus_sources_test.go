package postgres

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/store/engine"
)

// written is a statement as it stands in the source of the store, of a move and of this package.
type written struct {
	text  string
	whole bool // else it is the beginning of one that is put together when it is sent
	place string
}

// statementVerb is what the texts begin with that are taken for statements, behind their name.
var statementVerb = regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|CREATE|ALTER|DROP|TRUNCATE|LOCK|COPY)\s`)

// writtenStatements finds the statements in the source: every constant text that begins as one does, computed by Go's
// type checker, so that it does not matter of how many parts it is made, nor whether it has a name. Where a text that
// begins so is only a part, because what follows is not constant or because the statement is built further (search),
// the rest is known when it is sent. What is only for SQLite is left out: its engine, and what a move reads.
func writtenStatements(t *testing.T) (found []written) {
	t.Helper()
	checked := sources{}
	for _, folder := range []string{"../engine", "../migrations", "..", ".", "../move"} { // those that others import first
		found = append(found, statementsIn(t, folder, checked)...)
	}
	return found
}

func statementsIn(t *testing.T, folder string, checked sources) (found []written) {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatal(folder, err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || path == "../move/source.go" {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	// Packages of others are not imported, and so there are errors; the texts depend on nothing of theirs.
	config := types.Config{Importer: checked, Error: func(error) {}}
	name := files[0].Name.Name
	pkg, _ := config.Check(name, fset, files, info)
	checked["github.com/consentd/consentd/internal/store/"+name] = pkg
	for _, file := range files {
		finder := statementFinder{info: info, fset: fset}
		ast.Inspect(file, finder.visit)
		found = append(found, finder.found...)
	}
	return found
}

// sources are packages that were read, by their paths.
type sources map[string]*types.Package

// Import implements types.Importer.
func (s sources) Import(path string) (*types.Package, error) {
	if pkg := s[path]; pkg != nil {
		return pkg, nil
	}
	return nil, errors.New("not needed")
}

type statementFinder struct {
	info  *types.Info
	fset  *token.FileSet
	found []written
}

func (f *statementFinder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.CallExpr:
		if made, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"build", "page", "Sprintf"}, made.Sel.Name) {
			f.add(beginning(n.Args[0]), false)
			return false
		}
	case *ast.BinaryExpr:
		if n.Op == token.ADD && f.text(n) == "" {
			f.add(beginning(n), false)
			return false // what stands behind is no beginning
		}
	}
	switch n.(type) {
	case *ast.Ident, *ast.SelectorExpr:
		return true // what it means was found where it is declared
	}
	if e, ok := n.(ast.Expr); ok && f.text(e) != "" {
		f.add(e, true)
		return false
	}
	return true
}

// beginning is the first part of a sum.
func beginning(e ast.Expr) ast.Expr {
	for {
		sum, ok := e.(*ast.BinaryExpr)
		if !ok {
			return e
		}
		e = sum.X
	}
}

// text is the value of a constant text, "" of anything else.
func (f *statementFinder) text(e ast.Expr) string {
	if value := f.info.Types[e].Value; value != nil && value.Kind() == constant.String {
		return constant.StringVal(value)
	}
	return ""
}

func (f *statementFinder) add(e ast.Expr, whole bool) {
	text := f.text(e)
	rest := strings.TrimPrefix(text, engine.Comment(text))
	if statementVerb.MatchString(rest) || text != "" && rest == "" {
		f.found = append(f.found, written{text, whole && rest != "", f.fset.Position(e.Pos()).String()})
	}
}
