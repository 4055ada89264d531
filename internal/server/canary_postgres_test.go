package server_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/scratchpg"
	"github.com/consentd/consentd/internal/webtest"
)

// canary is a database on a PostgreSQL server of its own, of which every byte is read.
type canary struct {
	*testing.T
	pg *scratchpg.Server
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	// What VACUUM does is to be seen when the test has it run.
	pg, err := scratchpg.Start(scratchpg.Options{Settings: map[string]string{"autovacuum": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := pg.Psql("postgres", "CREATE DATABASE canary"); err != nil {
		t.Fatal(err)
	}
	return &canary{t, pg}
}

func (c *canary) run(statements string) string {
	c.Helper()
	rows, err := c.pg.Psql("canary", statements)
	if err != nil {
		c.Fatal(err)
	}
	return rows
}

// found tells which of some values stand where in the server's folder, which has data, write-ahead log and log. Each is
// the first folders of a path and the value's name.
func (c *canary) found(values map[string][]byte) (found []string) {
	c.Helper()
	root := c.pg.Dir()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return notGone(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return notGone(err)
		}
		place, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		place = filepath.ToSlash(place)
		if parts := strings.Split(place, "/"); len(parts) > 2 {
			place = parts[0] + "/" + parts[1]
		}
		for name, value := range values {
			if bytes.Contains(content, value) {
				found = append(found, place+": "+name)
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// notGone leaves out that a file is gone, as the server's own are now and then.
func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// secrets are all wrapped secrets that are on record, by themselves in hex: what is on record of somebody is committed
// with one of them.
func (c *canary) secrets() map[string][]byte {
	c.Helper()
	secrets := map[string][]byte{}
	for line := range strings.Lines(c.run("SELECT encode(wrapped_key, 'hex') FROM subject_keys")) {
		line = strings.TrimSpace(line)
		secret, err := hex.DecodeString(line)
		if err != nil || len(secret) < 40 {
			c.Fatalf("a wrapped secret: %q, %v", line, err)
		}
		secrets[line] = secret
	}
	return secrets
}

// valuesOf are the canaries of a person that are to be gone once they are erased.
func valuesOf(who vars) map[string][]byte {
	values := map[string][]byte{}
	for _, name := range written {
		values[name] = []byte(who[name])
	}
	values["agent"] = []byte(who["word"] + " Browser") // the rest is spelled otherwise in JSON
	values["whole ip"], values["whole client"] = []byte(who["ip"]), []byte(who["client"])
	device := uuid.MustParse(who["device"])
	values["device as bytes"] = device[:]
	values["reason of a restriction"] = []byte(who["word"] + " contests it")
	values["answer's key"] = []byte(who["word"] + "-idempotent")
	return values
}

// forgettingBlock is what docs/privacy.md tells an operator to run.
var forgettingBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

func forgetting(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := forgettingBlock.FindAllSubmatch(page, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/privacy.md has %d blocks of SQL", len(blocks))
	}
	return string(blocks[0][1])
}

// TestErasedLeaveNoBytesInPostgres: what docs/privacy.md says of the disk. An erasure and VACUUM leave bytes of who was
// erased; what is to be run there leaves none, in data, statistics, write-ahead log, logs and metrics.
func TestErasedLeaveNoBytesInPostgres(t *testing.T) {
	c := newCanary(t)
	w := openHarness(t, &postgresDatabase{url: c.pg.URL("canary")})
	w.mine = w.tenant("giraffe")
	ada := canaries("wombat", 113)
	w.writeAll(ada)
	v := w.mine.with(ada)
	retried := map[string]string{"Authorization": bearerKey["Authorization"], "Content-Type": "application/json",
		"Idempotency-Key": "{{word}}-idempotent"}
	w.value(w.do(v, "POST", "/api/v1/organizations/{{org}}/projects/default/events", retried,
		`{"items":[{"identifiers":{"email":"{{email}}"},"purpose":"analytics","state":"accepted"}]}`), 201)
	secrets, values := c.secrets(), valuesOf(ada)
	c.run("ANALYZE; CHECKPOINT")

	w.value(w.do(v, "POST", nativeSubjects+"/{{subjectid}}/erase", bearerKey, `{}`), 200, "erasedAt")
	kept := c.secrets()
	maps.DeleteFunc(secrets, func(name string, _ []byte) bool { return kept[name] != nil })
	if len(secrets) != 2 {
		t.Fatalf("%d secrets went, not that of the person and that of who was merged into them", len(secrets))
	}
	c.run("VACUUM; CHECKPOINT")
	if found := c.found(secrets); len(found) != 4 {
		t.Errorf("after VACUUM secrets are in %q only: docs/privacy.md says that they stay in tables and log", found)
	}

	c.run(forgetting(t))
	for _, gone := range []map[string][]byte{secrets, values} {
		if found := c.found(gone); len(found) > 0 {
			t.Errorf("left of who was erased: %q", found)
		}
	}
	for where, text := range map[string]string{"the log": w.log.String(),
		"the metrics": string(webtest.DoURL(w, w.url, "GET", "/metrics", nil, "").Body)} {
		for name, value := range values {
			if strings.Contains(text, string(value)) {
				t.Errorf("%s has the %s", where, name)
			}
		}
	}
	if found := c.found(kept); len(found) < len(kept) {
		t.Errorf("of %d secrets of others these are found: %q", len(kept), found)
	}
	leaves := c.run("SELECT count(*) FROM ledger_entries WHERE length(leaf) = 105")
	if leaves == "0" {
		t.Error("no leaf is left of who was erased")
	}
}
