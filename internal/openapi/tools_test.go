package openapi_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/openapi"
)

// linter is a package of npm without dependencies, so its version pins all of it.
const linter = "@redocly/cli@2.77.0"

// written writes the document into a folder and gives its file.
func written(t *testing.T, dir string) (file string) {
	t.Helper()
	document, err := openapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "openapi.json")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runs runs a program in a folder and gives what it prints; where it fails, the test does.
func runs(t *testing.T, dir string, environment []string, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestLinterPasses gives the document to a linter that others keep; npm fetches it.
func TestLinterPasses(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("npx"); err != nil {
		t.Fatalf("%v: run scripts/need.sh node npm", err)
	}
	rules, err := filepath.Abs("testdata/redocly.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	runs(t, dir, []string{"REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true"}, "npx", "--yes", linter, "lint",
		"--config", rules, written(t, dir))
}
