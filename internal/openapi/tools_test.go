package openapi_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/openapi"
	"github.com/consentd/consentd/internal/webtest"
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

// TestGeneratedClientChecks has oapi-codegen make a client, which then records a yes and asks whether it is in force.
func TestGeneratedClientChecks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/client")); err != nil {
		t.Fatal(err)
	}
	environment := []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0"}
	runs(t, dir, environment, "go", "tool", "oapi-codegen", "-config", "oapi-codegen.yaml", written(t, dir))
	runs(t, dir, environment, "go", "build", "-o", "client", ".")
	site := webtest.NewSite(t, webtest.Engines()[0].Open(t))
	srv := httptest.NewServer(site.Handler)
	defer srv.Close()
	got := runs(t, dir, nil, filepath.Join(dir, "client"), srv.URL, site.Vars["org"], site.Vars["key"])
	if want := "marketing true accepted\nanalytics false declined\n422 /docs/errors/unprocessable\n"; got != want {
		t.Errorf("the generated client says %q, want %q", got, want)
	}
}
