package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// TestBackupDrill does what docs/operating.md tells, on both engines: a backup while people write, the loss of
// everything, a restore elsewhere, the doctor's word on it. What was acknowledged before the backup began is there.
func TestBackupDrill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		dir, restored := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "restored")
		file, keys := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(t.TempDir(), "keys")
		drill(t, []string{"CONSENTD_DATA=" + dir}, []string{"CONSENTD_DATA=" + restored}, func() {
			p := command(t, nil, "backup", "--data", dir, "--to", file)
			if p.code != 0 {
				t.Fatalf("backup: %d\n%s", p.code, p.errOut.String())
			}
			hold(t, "backup", p.out.String(), filepath.Join(dir, keyFileName)+" is not in it", "no server starts")
			runProgram(t, "cp", filepath.Join(dir, keyFileName), keys)
		}, func() {
			runProgram(t, "mkdir", "-m", "700", restored)
			runProgram(t, "cp", filepath.Join(dir, keyFileName+erasuresSuffix), restored) // of today
			lose(t, dir)
			runProgram(t, "cp", file, filepath.Join(restored, sqlite.FileName))
			runProgram(t, "cp", keys, filepath.Join(restored, keyFileName))
		})
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy: %v, %v", info, err)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Server(t)
		from, to := pgtest.Database(t, "", nil), pgtest.Database(t, "", nil)
		file := filepath.Join(t.TempDir(), "consentd.dump")
		drill(t, []string{"CONSENTD_DATABASE_URL=" + from}, []string{"CONSENTD_DATABASE_URL=" + to},
			func() { runProgram(t, server.Program("pg_dump"), "--format=custom", "--file="+file, from) },
			func() {
				runProgram(t, server.Program("pg_restore"), "--no-owner", "--exit-on-error", "--dbname="+to, file)
			})
	})
}

// drill makes a backup while people write, loses the store, restores it and compares.
func drill(t *testing.T, from, to []string, backup, restore func()) {
	env := []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=info"}
	p := serveWith(t, append(env, from...), "serve", "--listen", "127.0.0.1:0")
	c := &writers{t: t, tenant: newTenant(t, p)}
	c.move(p)
	stop := c.start(4)
	waitFor(t, "writes", func() bool { return c.acknowledged.Load() > 200 || t.Failed() })
	c.mu.Lock()
	before := maps.Clone(c.ids)
	c.mu.Unlock()
	back, stays := c.recorded("comes-back"), c.recorded("stays")
	backup()
	c.eraseAndSuppress(p, back)
	more := c.acknowledged.Load()
	waitFor(t, "writes after the backup", func() bool { return c.acknowledged.Load() > more+20 || t.Failed() })
	stop()
	p.signal(t, syscall.SIGKILL)
	p.wait(t, 10*time.Second)

	restore()
	d := command(t, to, "doctor", "--full")
	hold(t, "the doctor, once it is restored", d.out.String(), "whom the journal names as erased", "consentd serve")
	for line := range strings.Lines(d.out.String()) { // it may be behind what was signed, which servers tell of too
		if strings.HasPrefix(line, "fail ") && !strings.Contains(line, "the ledger is behind the newest checkpoint") {
			t.Fatalf("the doctor finds:\n%s", d.out.String())
		}
	}
	again := serveWith(t, append(env, to...), "serve", "--listen", "127.0.0.1:0")
	hold(t, "the start", again.errOut.String(), "erased again who was erased before the store was put back")
	c.forgotten(again, back, "comes-back")
	if status, _ := c.subject(again, stays); status != http.StatusOK {
		t.Errorf("who was not erased: %d", status)
	}
	for _, id := range c.erased { // or came after the backup
		if status, _ := c.subject(again, id); status != http.StatusGone && status != http.StatusNotFound {
			t.Errorf("who was erased: %d", status)
		}
	}
	for _, e := range allEvents(t, again, c.tenant) {
		delete(before, e.ID)
	}
	if len(before) > 0 {
		t.Errorf("%d events that were acknowledged before the backup are not in it", len(before))
	}
	status, answer := call(t, "POST", again.url+c.tenant.eventsPath(), map[string]string{"x-api-key": rootKey},
		items("after-the-restore"))
	if status != 201 {
		t.Errorf("a write after the restore: %d %s", status, answer)
	}
	again.stop(t)
	once := serveWith(t, append(env, to...), "serve", "--listen", "127.0.0.1:0")
	if strings.Contains(once.errOut.String(), "erased again") {
		t.Errorf("a second start erases again:\n%s", once.errOut.String())
	}
	c.forgotten(once, back, "comes-back")
	once.stop(t)
	hold(t, "the doctor", command(t, to, "doctor").out.String(), "ok    erasures")
}

// recorded puts a yes of somebody on record, and gives who that is.
func (c *writers) recorded(user string) (subject string) {
	c.t.Helper()
	var made struct{ Items []struct{ SubjectID string } }
	answer := c.until2xx(http.DefaultClient, "POST", "/api/v1/organizations/"+c.tenant.organization+
		"/projects/default/events",
		`{"items":[{"identifiers":{"userId":"`+user+`"},"purpose":"marketing","state":"accepted"}]}`)
	if err := json.Unmarshal(answer, &made); err != nil || len(made.Items) != 1 {
		c.t.Fatalf("%v: %s", err, answer)
	}
	return made.Items[0].SubjectID
}

func (c *writers) eraseAndSuppress(p *process, subject string) {
	c.t.Helper()
	status, answer := call(c.t, "POST", p.url+"/api/v1/organizations/"+c.tenant.organization+"/subjects/"+subject+"/erase",
		map[string]string{"Authorization": "Bearer " + rootKey}, `{"suppress":true}`)
	if status != http.StatusOK {
		c.t.Fatalf("erase: %d %s", status, answer)
	}
}

func (c *writers) subject(p *process, id string) (status int, answer []byte) {
	return call(c.t, "GET", p.url+"/api/v1/organizations/"+c.tenant.organization+"/subjects/"+id,
		map[string]string{"Authorization": "Bearer " + rootKey}, "")
}

// forgotten asks about somebody who was erased and suppressed.
func (c *writers) forgotten(p *process, subject, user string) {
	c.t.Helper()
	if status, answer := c.subject(p, subject); status != http.StatusGone {
		c.t.Errorf("who was erased after the backup: %d %s", status, answer)
	}
	status, answer := call(c.t, "POST", p.url+"/api/v1/organizations/"+c.tenant.organization+"/check",
		map[string]string{"Authorization": "Bearer " + rootKey},
		`{"identifiers":{"userId":"`+user+`"},"purposes":["marketing"]}`)
	if status != http.StatusOK || !strings.Contains(string(answer), `"reason":"suppressed"`) {
		c.t.Errorf("a check of who was suppressed: %d %s", status, answer)
	}
}

// lose removes a data folder as a broken disk does.
func lose(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// runProgram runs another's program to its end.
func runProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// TestBackupRefuses: a copy never overwrites another, and a folder without data is named.
func TestBackupRefuses(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "there.db")
	if err := os.WriteFile(file, []byte("an earlier copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := command(t, nil, "backup", "--data", dir, "--to", file+".new")
	hold(t, "a folder without data", p.errOut.String(), "there is no consentd.db in "+dir)
	serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey}).stop(t)
	p = command(t, nil, "backup", "--data", dir, "--to", file)
	hold(t, "a file that is there", p.errOut.String(), file, "is there already")
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "an earlier copy" || p.code != 1 {
		t.Errorf("code %d, the earlier copy is %q, %v", p.code, kept, err)
	}
	p = command(t, nil, "backup", "--data", dir, "--to", filepath.Join(dir, "absent", "x.db"))
	hold(t, "a folder that is not there", p.errOut.String(), "there is no folder "+filepath.Join(dir, "absent"),
		"mkdir -p -m 700", "--to")
	p = command(t, []string{"CONSENTD_DATABASE_URL=postgres://x/y"}, "backup", "--to", file+".new")
	hold(t, "PostgreSQL", p.errOut.String(), "pg_dump")
	if p.code != 2 {
		t.Errorf("exit code %d", p.code)
	}
}
