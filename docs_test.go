package consentd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A document may name in backquotes what is in the source. Names that are followed by others are looked up too:
// every function in a picture.
var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	codeBlock  = regexp.MustCompile("(?ms)^```(\\w*)$(.*?)^```$")
	methodName = regexp.MustCompile(`(?:\b(\w+)\.)?\((\*?)(\w+)\)\.(\w+)`)
	memberName = regexp.MustCompile(`^([a-z]\w*)\.(\w+)(?:\.(\w+))?$`)
	testName   = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w*`)
	fileName   = regexp.MustCompile(`^[\w./*-]+\.(?:go|md|sql|sh|txt|bin|html|ts|mjs)$`)
	testRun    = regexp.MustCompile(`-(?:bench|run) '?(\w\w+)[^\n]* \./([\w/]+)`)
	// serviceTable is a table of which the last column names methods of the service.
	serviceTable = regexp.MustCompile(`(?m)^\|.*\| service(?: method)? \|\n((?:\|.*\n)+)`)
	folderName   = regexp.MustCompile(`(?:^| |\./)((?:cmd|docs|findings|internal|scripts)/[\w./-]*\w)`)
)

// elsewhere are names of documents that are not in this repository.
var elsewhere = []string{"concord.md"}

// source is what the documents may name.
type source struct {
	files    []string
	packages map[string]map[string]bool // by name, what each declares: Func, Type, Type.Member, *Type.Method
	tests    map[string]string          // by name, the folder it is in
}

// TestDocumentsNameWhatIsThere looks up what the documents name: functions, methods, types, tests, files and folders.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	s := readSource(t)
	for _, file := range s.files {
		if path.Ext(file) != ".md" || file == "CHANGELOG.md" { // which speaks of the past
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, missing := range s.missing(path.Dir(file), string(text)) {
			t.Errorf("%s: %s is not there", file, missing)
		}
	}
}

// TestNoMergeIsLeft: a merge that was not finished may compile where it stands in a text, and reach users as help.
func TestNoMergeIsLeft(t *testing.T) {
	marker := regexp.MustCompile(`(?m)^(<{7}|={7}|>{7}|\|{7})( |$)`)
	for _, file := range readSource(t).files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := marker.FindIndex(text); at != nil {
			t.Errorf("%s has %q", file, text[at[0]:min(at[0]+60, len(text))])
		}
	}
}

// TestArchitectureNamesEveryPackage: a map without one of them would mislead.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range readPackages(t) {
		if pkg != "." && !strings.Contains(string(text), "`"+pkg+"`") {
			t.Errorf("ARCHITECTURE.md does not say what `%s` is", pkg)
		}
	}
}

// TestDocumentsAreLookedUp holds the search against texts with one mistake each.
func TestDocumentsAreLookedUp(t *testing.T) {
	s := readSource(t)
	fence := "```"
	for text, want := range map[string]string{
		"`service.(*Service).Record`":                                        "",
		"`service.(*Service).Recrod`":                                        "service.(*Service).Recrod",
		"`service.(Service).Record`":                                         "service.(Service).Record",
		"`servce.(*Service).Record`":                                         "servce.(*Service).Record",
		"`(*batch).load` and `(*batch).lode`":                                "(*batch).lode",
		"`consent.(Actor).Require`":                                          "",
		"`consent.Prepare`, `consent.Changes.Events`":                        "",
		"`consent.Prepared.Nothing`":                                         "consent.Prepared.Nothing",
		"`consent.prepareAll`":                                               "consent.prepareAll",
		"`service.Store.Update`":                                             "",
		"`consents.last_event_id`":                                           "",
		"`fold.go`, `postgres/sets.go`":                                      "",
		"`sqlite/fold.go`":                                                   "sqlite/fold.go",
		"`testdata/*.txt`":                                                   "",
		"`internal/store/sqlite`":                                            "",
		"`go test ./internal/consentt`":                                      "internal/consentt",
		"`go test -bench Record/known ./internal/consent`":                   "Record in internal/consent",
		"`go test -bench Record/known ./internal/service`":                   "",
		"| call | service |\n|---|---|\n| `GET /x` | `Record`, `Recrod` |\n": "Recrod",
		"`TestImports`":                                                      "",
		"`TestNothingOfTheKind`":                                             "TestNothingOfTheKind",
		"service.(*Service).Nothing without quotes":                          "",
		fence + "mermaid\nA->>B: consent.(*People).Idenfy\n" + fence:         "consent.(*People).Idenfy",
		fence + "\ngo test ./internal/store/sqlite internal/x\n" + fence:     "internal/x",
	} {
		if found := strings.Join(s.missing(".", text), ", "); found != want {
			t.Errorf("%s: missing %q, want %q", text, found, want)
		}
	}
	if found := s.missing("internal/protocol/native", "`keys.go`, `fold.go`"); !slices.Equal(found, []string{"fold.go"}) {
		t.Errorf("beside the native API: missing %q", found)
	}
}

// missing lists what a document in a folder names that is not there.
func (s *source) missing(folder, text string) (missing []string) {
	for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
		for _, found := range methodName.FindAllString(block[2], -1) {
			if !s.has(found) {
				missing = append(missing, found)
			}
		}
		missing = append(missing, s.missingIn(block[2])...)
	}
	missing = append(missing, s.missingMethods(text)...)
	for _, span := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := strings.TrimSuffix(span[1], "()")
		switch {
		case slices.Contains(elsewhere, name):
		case fileName.MatchString(name):
			if !s.hasFile(folder, name) {
				missing = append(missing, name)
			}
		case !s.has(name):
			missing = append(missing, name)
		default:
			missing = append(missing, s.missingIn(name)...)
		}
	}
	return missing
}

// missingMethods lists what tables name as a method of the service.
func (s *source) missingMethods(text string) (missing []string) {
	for _, table := range serviceTable.FindAllStringSubmatch(text, -1) {
		for row := range strings.Lines(table[1]) {
			cells := strings.Split(strings.TrimRight(row, "|\n "), "|")
			for _, span := range codeSpan.FindAllStringSubmatch(cells[len(cells)-1], -1) {
				if !s.packages["service"]["*Service."+span[1]] {
					missing = append(missing, span[1])
				}
			}
		}
	}
	return missing
}

// missingIn lists the tests and folders that a command or a picture names and that are not there.
func (s *source) missingIn(text string) (missing []string) {
	for _, name := range testName.FindAllString(text, -1) {
		if s.tests[name] == "" {
			missing = append(missing, name)
		}
	}
	for _, run := range testRun.FindAllStringSubmatch(text, -1) {
		if !s.hasTest(run[1], run[2]) {
			missing = append(missing, run[1]+" in "+run[2])
		}
	}
	for _, found := range folderName.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(found[1]); err != nil {
			missing = append(missing, found[1])
		}
	}
	return missing
}

// hasTest tells whether a folder has a test or a benchmark that a word selects.
func (s *source) hasTest(word, folder string) bool {
	for name, in := range s.tests {
		if in == folder && strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// has tells whether a name is declared. What has not the form of a name of ours is none.
func (s *source) has(name string) bool {
	if m := methodName.FindStringSubmatch(name); m != nil {
		method := m[2] + m[3] + "." + m[4]
		for pkg, declared := range s.packages {
			if (m[1] == "" || m[1] == pkg) && declared[method] {
				return true
			}
		}
		return false
	}
	m := memberName.FindStringSubmatch(name)
	if m == nil || s.packages[m[1]] == nil {
		return true
	}
	declared := s.packages[m[1]]
	return declared[m[2]] && (m[3] == "" || declared[m[2]+"."+m[3]] || declared["*"+m[2]+"."+m[3]])
}

// hasFile tells whether there is a file of a name, or a path's end, that may have a *: beside the document where that
// is not at the root.
func (s *source) hasFile(folder, name string) bool {
	name = strings.TrimPrefix(name, "./")
	return slices.ContainsFunc(s.files, func(file string) bool {
		beside := folder == "." || folder == "docs" || strings.HasPrefix(file, folder+"/")
		if !beside && !strings.HasPrefix(name, "internal/") {
			return false
		}
		parts := strings.Split(file, "/")
		end := max(0, len(parts)-1-strings.Count(name, "/"))
		return matches(name, strings.Join(parts[end:], "/"))
	})
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{packages: map[string]map[string]bool{}, tests: map[string]string{}}
	for _, file := range filesBelow(t, ".") {
		file = filepath.ToSlash(file)
		s.files = append(s.files, file)
		if path.Ext(file) != ".go" || strings.Contains(file, "testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		pkg := parsed.Name.Name
		if s.packages[pkg] == nil {
			s.packages[pkg] = map[string]bool{}
		}
		for _, decl := range parsed.Decls {
			declare(s.packages[pkg], decl)
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasSuffix(file, "_test.go") {
				s.tests[f.Name.Name] = path.Dir(file)
			}
		}
	}
	return s
}

// declare notes what one declaration of a file declares.
func declare(declared map[string]bool, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		name := decl.Name.Name
		if decl.Recv != nil {
			name = receiver(decl.Recv.List[0].Type) + "." + name
		}
		declared[name] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					declared[name.Name] = true
				}
			case *ast.TypeSpec:
				declared[spec.Name.Name] = true
				for _, member := range members(spec.Type) {
					declared[spec.Name.Name+"."+member] = true
				}
			}
		}
	}
}

// receiver gives the type of a method's receiver: T or *T, without type parameters.
func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return "*" + receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.IndexListExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}

// members gives the fields of a struct, or the methods of an interface.
func members(of ast.Expr) (names []string) {
	var fields *ast.FieldList
	switch of := of.(type) {
	case *ast.StructType:
		fields = of.Fields
	case *ast.InterfaceType:
		fields = of.Methods
	default:
		return nil
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}
