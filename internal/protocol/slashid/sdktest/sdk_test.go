// Package sdktest runs the vendor's published client, unchanged, against the consentd binary. It knows how to
// install the one and start the other, and nothing of what lies between.
package sdktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outcome is one line that client.mjs prints.
type outcome struct {
	Step         string   `json:"step"`
	Person       string   `json:"person"`
	Organization string   `json:"organization"`
	Methods      []string `json:"methods"`
	Levels       []string `json:"levels"`
	Done         bool     `json:"done"`
	Error        string   `json:"error"`
	Status       int      `json:"status"`
	Body         string   `json:"body"`
}

// slashid.md: "The published npm package @slashid/slashid (…) must work unchanged; a test runs it."
func TestVendorClient(t *testing.T) {
	modules := installClient(t)
	s := startServer(t)
	organization := s.createOrganization(t)
	person := s.createPerson(t, organization)
	token := s.mintToken(t, organization, person)

	all := []string{"none", "necessary", "analytics", "marketing", "retargeting", "tracking"}
	want := []outcome{
		{Step: "token", Person: person, Organization: organization, Methods: []string{"api"}},
		{Step: "get, nothing yet", Levels: []string{}},
		{Step: "set", Levels: []string{"necessary", "analytics"}},
		{Step: "get", Levels: []string{"necessary", "analytics"}},
		{Step: "add", Levels: []string{"marketing"}}, // POST overwrites: the API text, not the client's comment
		{Step: "set all", Levels: all},
		{Step: "remove one", Done: true},
		{Step: "remove two", Done: true},
		{Step: "get what is left", Levels: []string{"analytics", "marketing", "retargeting"}},
		{Step: "remove none", Error: "ResponseError", Status: 400,
			Body: `{"errors":[{"httpcode":400,"message":"consent_levels: is required where deleteAll is not true"}]}`},
		{Step: "remove all", Done: true},
		{Step: "get nothing", Levels: []string{}},
		{Step: "set nothing", Levels: []string{}},
		{Step: "set unknown", Error: "ResponseError", Status: 400,
			Body: `{"errors":[{"httpcode":400,"message":"consent_levels[0]: must be one of none, necessary, analytics, marketing, retargeting, tracking"}]}`},
		{Step: "get by a forged token", Error: "ResponseError", Status: 401},
	}
	for _, class := range []string{"User", "SSR.User"} {
		if diff := cmp.Diff(want, runClient(t, modules, s.url, token, class)); diff != "" {
			t.Errorf("what the vendor's %s saw (-want +got):\n%s", class, diff)
		}
	}
}

// runClient runs client.mjs as if it lay beside the installed modules.
func runClient(t *testing.T, folder, url, token, class string) []outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--input-type=module", "-")
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(read(t, "client.mjs"))
	cmd.Env = append(os.Environ(), "CONSENTD_URL="+url, "CONSENTD_TOKEN="+token, "CONSENTD_CLIENT="+class)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("client.mjs: %v\n%s%s", err, printed, complaints.Bytes())
	}
	var got []outcome
	for line := range bytes.Lines(printed) {
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("client.mjs printed %q: %v", line, err)
		}
		got = append(got, o)
	}
	return got
}

// installClient gives a folder with the modules of package-lock.json. They are installed once per lock
// file, outside the repository.
func installClient(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing, and the vendor's client cannot run without it: `make test` installs it, or `scripts/need.sh node npm`", tool)
		}
	}
	manifest, lock := read(t, "package.json"), read(t, "package-lock.json")
	sum := sha256.Sum256(append(manifest, lock...))
	folder := filepath.Join(cacheFolder(t), hex.EncodeToString(sum[:16]))
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	fresh, err := os.MkdirTemp(filepath.Dir(folder), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	npmCI(t, fresh)
	if err := os.Rename(fresh, folder); err != nil {
		if _, missing := os.Stat(folder); missing != nil {
			t.Fatal(err)
		} // else another test run was first
	}
	return folder
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// cacheFolder gives the user's cache folder for tests; a fresh one where the user has none.
func cacheFolder(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	cache = filepath.Join(cache, "consentd-test")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	return cache
}

func npmCI(t *testing.T, folder string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = folder
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci, which installs the vendor's client from the npm registry: %v\n%s", err, said)
	}
}
