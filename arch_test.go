// Package consentd_test knows which package of this module may import which,
// and enforces it. It does not know what the packages do.
//
// The rules are for the code that is built into programs: _test.go files may
// import anything, because a test may bring up as much of the server as it needs.
package consentd_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/consentd/consentd"

// anything stands for every package of ours that the server may hold.
const anything = "**"

// mayImport says what of ours each package may import. Imports run one way:
// cmd → server → protocol/*, console → service → consent, and the store hangs
// below the service. A key or a value may end in /*, which is one folder; an
// exact key goes before it. A row may be there before its package is; a package
// without a row fails the test. Only cmd and tests import the store and its
// engines: no row of another package names them.
var mayImport = map[string][]string{
	"ledger":                   {},
	"evidence":                 {"ledger"},
	"client":                   {},
	"internal/audit":           {"internal/consent", "ledger"},
	"cmd/*":                    {anything},
	"cmd/consentd-bench":       {"internal/bench"},
	"internal/bench":           {"internal/scratchpg"},
	"internal/clitest":         {},
	"internal/config":          {"internal/consent", "internal/witness"},
	"internal/consent":         {"ledger"},
	"internal/console":         {"internal/protocol", "internal/service", "internal/consent"},
	"internal/geo":             {"internal/geo/table", "internal/consent"},
	"internal/geo/gen":         {"internal/geo/table"},
	"internal/geo/table":       {},
	"internal/importing":       {"internal/consent"},
	"internal/importing/*":     {"internal/importing", "internal/consent"},
	"internal/jobs":            {"internal/consent"},
	"internal/journal":         {"internal/consent"},
	"internal/limit":           {"internal/consent"},
	"internal/logtest":         {},
	"internal/openapi":         {},
	"internal/pgtest":          {"internal/scratchpg"},
	"internal/protocol":        {"internal/consent", "internal/service"},
	"internal/protocol/*":      {"internal/protocol", "internal/service", "internal/consent"},
	"internal/protocol/native": {"internal/protocol", "internal/service", "internal/consent", "evidence"},
	"internal/scratchpg":       {},
	"internal/sealing":         {},
	"internal/server": {"internal/protocol", "internal/protocol/*", "internal/console", "internal/limit",
		"internal/openapi", "internal/webhook", "internal/service", "internal/consent"},
	"internal/service": {"internal/service/*", "internal/jobs", "internal/limit", "internal/sealing", "internal/webhook",
		"internal/witness", "internal/consent", "ledger", "evidence"},
	"internal/service/idempotency": {"internal/consent"},
	"internal/service/writer":      {"internal/service/idempotency", "internal/limit", "internal/consent", "ledger"},
	"internal/store": {"internal/store/engine", "internal/store/migrations", "internal/service",
		"internal/consent"},
	"internal/store/engine":     {"internal/consent"},
	"internal/store/migrations": {"internal/consent"},
	"internal/store/move": {"internal/store/engine", "internal/store/postgres", "internal/store/sqlite",
		"internal/consent"},
	"internal/store/postgres": {"internal/store/engine", "internal/store/migrations", "internal/limit",
		"internal/consent"},
	"internal/mutation":            {},
	"internal/powercut":            {},
	"internal/store/sqlite":        {"internal/store/engine", "internal/store/migrations", "internal/consent"},
	"internal/store/storetest":     {"internal/logtest", "internal/service", "internal/consent"},
	"internal/sealing/sealingtest": {"internal/sealing"},
	"internal/webhook":             {},
	"internal/witness":             {"ledger"},
	"internal/webtest": {"internal/server", "internal/sealing/sealingtest", "internal/store", "internal/store/postgres",
		"internal/store/sqlite", "internal/geo", "internal/openapi", "internal/service", "internal/consent",
		"internal/pgtest"},
}

// forTests are the packages that only tests import.
var forTests = []string{"internal/clitest", "internal/importing/importingtest", "internal/logtest", "internal/mutation",
	"internal/pgtest",
	"internal/powercut", "internal/sealing/sealingtest", "internal/store/storetest", "internal/webtest"}

// forBench are the packages of the benchmark's, which the server does not hold.
var forBench = []string{"internal/bench", "internal/scratchpg"}

// mayNotUse names packages of others that a package stays free of, with all below them.
var mayNotUse = map[string][]string{
	"internal/service": {"net/http", "database/sql"},
}

// rulesMayUse are the packages of others that package consent may import: such as give the same for the same
// arguments. Of "time" and of google/uuid, whatever reads a clock or draws lots is refused by TestRulesArePure.
var rulesMayUse = []string{"bytes", "cmp", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "maps",
	"math", "math/big", "net/netip", "regexp", "slices", "strconv", "strings", "time", "unicode", "unicode/utf16",
	"unicode/utf8", "github.com/consentd/consentd/ledger", "github.com/google/uuid", "github.com/nyaruka/phonenumbers",
	"golang.org/x/net/idna", "golang.org/x/text/language", "golang.org/x/text/unicode/norm"}

// ledgerMayUse are those that package ledger may import, which is held to the same.
var ledgerMayUse = []string{"bytes", "cmp", "crypto/ed25519", "crypto/sha256", "encoding/base64", "encoding/binary",
	"encoding/json", "errors", "fmt", "io", "maps", "slices", "strconv", "strings", "time", "unicode", "unicode/utf8",
	"golang.org/x/mod/sumdb/note", "golang.org/x/mod/sumdb/tlog"}

// evidenceMayUse are those that package evidence may import, which is held to the same.
var evidenceMayUse = append([]string{"github.com/consentd/consentd/ledger", "archive/zip", "compress/flate", "embed",
	"encoding/hex", "hash/crc32", "html/template", "text/template"}, ledgerMayUse...)

// impure are names of packages that these may import, by their beginnings.
var impure = map[string][]string{
	"crypto/ed25519":         {"GenerateKey"}, // without a reader it draws by itself
	"time":                   {"Now", "Since", "Until", "After", "Sleep", "Tick", "NewTi", "Local", "LoadLocation"},
	"github.com/google/uuid": {"New", "Must", "SetRand", "SetClock", "GetTime", "NodeID", "SetNode", "EnableRand"},
}

// bannedNames say nothing about what a package knows.
var bannedNames = []string{"pkg", "util", "utils", "common", "models", "types", "helpers", "mocks"}

// vendorWord finds the vendors' names; the core and the store speak of none.
var vendorWord = regexp.MustCompile(`(?i)concord|slashid|atlassian|consent[-_ ]?hub|consentgrid`)

// sharedScope is the one word of a vendor's that is everybody's: the name of a scope of our own keys.
const sharedScope = `"manage:consent-hub-consent"`

// vendorFree are the folders in which no file, tests and SQL included, holds a vendor's word.
var vendorFree = []string{"internal/consent", "internal/service", "internal/store"}

func TestImports(t *testing.T) {
	packages := readPackages(t)
	if len(packages) == 0 {
		t.Fatal("no package found")
	}
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		for _, fault := range faults(pkg, packages[pkg]) {
			t.Error(fault)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for pkg := range readPackages(t) {
		for _, folder := range strings.Split(pkg, "/") {
			if slices.Contains(bannedNames, folder) {
				t.Errorf("%s: %q says nothing; name the package after what it knows", pkg, folder)
			}
		}
	}
}

func TestNoVendorInTheCore(t *testing.T) {
	for _, folder := range vendorFree {
		for _, file := range filesBelow(t, folder) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for line := range strings.Lines(string(content)) {
				n++
				if word := vendorWord.FindString(strings.ReplaceAll(line, sharedScope, "")); word != "" {
					t.Errorf("%s:%d: %q is a vendor's word; it belongs in the vendor's adapter", file, n, word)
				}
			}
			if word := vendorWord.FindString(filepath.Base(file)); word != "" {
				t.Errorf("%s: the name holds a vendor's word", file)
			}
		}
	}
}

// TestRulesArePure: what packages consent, ledger and evidence give depends on their arguments alone. They read no
// clock, draw no lots, start no goroutine, and import only what does neither.
func TestRulesArePure(t *testing.T) {
	for folder, mayUse := range map[string][]string{"internal/consent": rulesMayUse, "ledger": ledgerMayUse,
		"evidence": evidenceMayUse} {
		for _, file := range filesBelow(t, folder) {
			if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range impurities(fset, parsed, mayUse) {
				t.Errorf("%s: %s", file, fault)
			}
		}
	}
}

// TestImpuritiesAreSeen holds the search against rules that are none.
func TestImpuritiesAreSeen(t *testing.T) {
	for body, pure := range map[string]bool{
		`import "time"; var x = time.Unix(1, 0)`:                     true,
		`import "github.com/google/uuid"; var x, _ = uuid.Parse("")`: true,
		`import "time"; var x = time.Now()`:                          false,
		`import tt "time"; var x = tt.Now()`:                         false,
		`import . "time"; var x = Now()`:                             false,
		`import "github.com/google/uuid"; var x = uuid.New()`:        false,
		`import "net"; var x net.Conn`:                               false,
		`import "runtime"; var x = runtime.NumGoroutine()`:           false,
		`import "crypto/sha256"; var x = sha256.Size`:                false,
		`func f() { go f() }`:                                        false,
	} {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, "rule.go", "package consent\n"+body, 0)
		if err != nil {
			t.Fatal(err)
		}
		if found := impurities(fset, parsed, rulesMayUse); (len(found) == 0) != pure {
			t.Errorf("%s: found %q", body, found)
		}
	}
}

// impurities lists what makes a file depend on more than its arguments, beside imports that are not in mayUse.
func impurities(fset *token.FileSet, file *ast.File, mayUse []string) (found []string) {
	names := map[string]string{}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has read it
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
		if name == "." || !slices.Contains(mayUse, imported) {
			found = append(found, "imports "+imported+", which is not among what it may")
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, fmt.Sprintf("line %d starts a goroutine", fset.Position(n.Pos()).Line))
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			if ok && slices.ContainsFunc(impure[names[of.Name]],
				func(s string) bool { return strings.HasPrefix(n.Sel.Name, s) }) {
				found = append(found, fmt.Sprintf("line %d uses %s.%s: pass it in", fset.Position(n.Pos()).Line, of.Name,
					n.Sel.Name))
			}
		}
		return true
	})
	return found
}

// TestWhatTheServerHolds follows the imports of the server's binary, which holds nothing of tests or the benchmark.
func TestWhatTheServerHolds(t *testing.T) {
	const server = "cmd/consentd"
	packages := readPackages(t)
	importer := map[string]string{server: ""}
	for queue := []string{server}; len(queue) > 0; queue = queue[1:] {
		for _, imported := range packages[queue[0]] {
			if _, known := importer[imported]; !known && packages[imported] != nil {
				importer[imported] = queue[0]
				queue = append(queue, imported)
			}
		}
	}
	for _, pkg := range slices.Concat(forTests, forBench) {
		if by, held := importer[pkg]; held {
			t.Errorf("%s holds %s, by %s", server, pkg, by)
		}
	}
	if _, held := importer["internal/server"]; !held {
		t.Errorf("%s does not hold the server: it was not followed", server)
	}
}

// TestTheRulesBite holds the rules against imports that they must refuse.
func TestTheRulesBite(t *testing.T) {
	for _, tc := range []struct {
		pkg, imports string
		fine         bool
	}{
		{"internal/consent", "ledger", true},
		{"internal/consent", "internal/store", false},
		{"internal/service", "net/http", false},
		{"internal/service", "net/http/httptest", false},
		{"internal/consent", "net/netip", true},
		{"internal/consent", "internal/service", false},
		{"internal/service", "internal/consent", true},
		{"internal/service", "internal/service/writer", true},
		{"internal/service", "internal/store", false},
		{"internal/service", "internal/sealing", true},
		{"internal/sealing", "internal/consent", false},
		{"internal/consent", "internal/sealing", false},
		{"internal/service/writer", "internal/service", false},
		{"internal/service", "database/sql", false},
		{"internal/store", "internal/consent", true},
		{"internal/store", "database/sql", true},
		{"internal/store", "internal/protocol", false},
		{"internal/store", "internal/store/sqlite", false},
		{"internal/store/sqlite", "internal/store/engine", true},
		{"internal/store/sqlite", "internal/store", false},
		{"internal/store/sqlite", "internal/store/postgres", false},
		{"internal/store/move", "internal/store/postgres", true},
		{"internal/server", "internal/store/postgres", false},
		{"internal/protocol", "internal/consent", true},
		{"internal/protocol", "internal/protocol/native", false},
		{"internal/protocol/native", "internal/protocol", true},
		{"internal/protocol/native", "internal/protocol/fifth", false},
		{"internal/protocol/native", "internal/store", false},
		{"internal/protocol/fifth", "internal/consent", true},
		{"internal/server", "internal/protocol/fifth", true},
		{"internal/server", "internal/store", false},
		{"internal/geo", "internal/consent", true},
		{"internal/geo", "internal/server", false},
		{"internal/config", "internal/geo", false},
		{"internal/bench", "internal/store", false},
		{"cmd/consentd", "internal/store", true},
		{"cmd/consentd", "internal/bench", false},
		{"cmd/consentd", "internal/scratchpg", false},
		{"cmd/consentd-bench", "internal/bench", true},
		{"cmd/consentd-bench", "internal/store", false},
		{"internal/bench", "internal/scratchpg", true},
		{"internal/bench", "internal/pgtest", false},
		{"internal/webtest", "internal/pgtest", true},
		{"internal/scratchpg", "internal/consent", false},
		{"cmd/consentd", "internal/webtest", false},
		{"cmd/consentd", "internal/pgtest", false},
		{"cmd/consentd", "internal/store/storetest", false},
		{"internal/without/row", "fmt", false},
		{"ledger", "internal/consent", false},
		{"ledger", "evidence", false},
		{"evidence", "ledger", true},
		{"evidence", "internal/consent", false},
	} {
		found := faults(tc.pkg, []string{tc.imports})
		if fine := len(found) == 0; fine != tc.fine {
			t.Errorf("%s imports %s: faults %q", tc.pkg, tc.imports, found)
		}
	}
}

// faults holds one package's imports against the rules. Packages of ours are
// named from the module's root.
func faults(pkg string, imports []string) []string {
	allowed, ok := rowOf(pkg)
	if !ok {
		return []string{pkg + " has no row in mayImport: decide what of ours it may import"}
	}
	var found []string
	for _, imported := range imports {
		for _, banned := range mayNotUse[pkg] {
			if imported == banned || strings.HasPrefix(imported, banned+"/") {
				found = append(found, fmt.Sprintf("%s imports %s, which it must stay free of", pkg, imported))
			}
		}
		if _, ours := rowOf(imported); ours && !permits(allowed, imported) {
			found = append(found, fmt.Sprintf("%s imports %s; it may import %q", pkg, imported, allowed))
		}
	}
	return found
}

func rowOf(pkg string) ([]string, bool) {
	if row, ok := mayImport[pkg]; ok {
		return row, true
	}
	for _, pattern := range slices.Sorted(maps.Keys(mayImport)) {
		if matches(pattern, pkg) {
			return mayImport[pattern], true
		}
	}
	return nil, false
}

func permits(allowed []string, imported string) bool {
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		return matches(pattern, imported) ||
			pattern == anything && !slices.Contains(forTests, imported) && !slices.Contains(forBench, imported)
	})
}

func matches(pattern, pkg string) bool {
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

// readPackages gives every package of the module with what its files import, all
// build tags taken together; _test.go files do not count.
func readPackages(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	for _, file := range filesBelow(t, ".") {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") ||
			strings.Contains(file, "testdata"+string(filepath.Separator)) {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkg := filepath.ToSlash(filepath.Dir(file))
		if packages[pkg] == nil {
			packages[pkg] = []string{}
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			packages[pkg] = append(packages[pkg], strings.TrimPrefix(imported, module+"/"))
		}
	}
	return packages
}

// filesBelow lists the files in a folder that may be there or not, without hidden
// folders and those that the go command passes over, testdata excepted.
func filesBelow(t *testing.T, folder string) []string {
	t.Helper()
	if _, err := os.Stat(folder); os.IsNotExist(err) {
		return nil
	}
	var files []string
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != folder && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
			name == "node_modules") {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
