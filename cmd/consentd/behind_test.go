package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// signedStore is a store that is lost and put back, with the files that stand beside its key file.
type signedStore struct {
	*testing.T
	args []string // by which commands find it
	p    *process
	of   tenant
}

func (s *signedStore) serve() {
	s.Helper()
	s.p = serveWith(s.T, []string{"CONSENTD_ROOT_KEY=" + rootKey}, append([]string{"serve", "--listen", "127.0.0.1:0"},
		s.args...)...)
}

// record puts decisions on record, of somebody each.
func (s *signedStore) record(users ...string) {
	s.Helper()
	header := map[string]string{"x-api-key": rootKey}
	status, answer := call(s.T, "POST", s.p.url+s.of.eventsPath(), header, items(users...))
	if status != 201 {
		s.Fatalf("a write: %d %s", status, answer)
	}
}

// checkpoint waits for one of so many entries behind those that a ledger begins with.
func (s *signedStore) checkpoint(size int) (note string) {
	s.Helper()
	size += firstEntries
	waitFor(s.T, fmt.Sprintf("a checkpoint of %d entries", size), func() bool {
		_, answer := call(s.T, "GET", s.p.url+"/api/v1/organizations/"+s.of.organization+"/ledger/checkpoint",
			map[string]string{"Authorization": "Bearer " + rootKey}, "")
		note = string(answer)
		return strings.HasPrefix(note[strings.IndexByte(note, '\n')+1:], fmt.Sprint(size, "\n"))
	})
	return note
}

func (s *signedStore) ready() string {
	s.Helper()
	status, answer := call(s.T, "GET", s.p.url+"/readyz", nil, "")
	if status != 200 {
		s.Errorf("/readyz: %d %s", status, answer)
	}
	return string(answer)
}

// TestPutBack: a store that is put back from a backup, and written to, gets no second history signed: reads and writes
// go on, and /readyz tells. Once it is recovered the ledger says what was lost, also to an auditor who holds a
// checkpoint of what was.
func TestPutBack(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		dir, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup.db")
		s := &signedStore{T: t, args: []string{"--data", dir}}
		s.putBack(func() {
			if p := command(t, nil, "backup", "--data", dir, "--to", file); p.code != 0 {
				t.Fatal(p.errOut.String())
			}
		}, func() {
			for _, name := range []string{"", "-wal", "-shm"} {
				runProgram(t, "rm", "-f", filepath.Join(dir, sqlite.FileName+name))
			}
			runProgram(t, "cp", file, filepath.Join(dir, sqlite.FileName))
		})
	})
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Server(t)
		from, to := pgtest.Database(t, "", nil), pgtest.Database(t, "", nil)
		dir := t.TempDir()
		dump, keys := filepath.Join(dir, "consentd.dump"), filepath.Join(dir, "kek")
		s := &signedStore{T: t, args: []string{"--database", from, "--kek-file", keys}}
		s.putBack(func() { runProgram(t, server.Program("pg_dump"), "--format=custom", "--file="+dump, from) }, func() {
			runProgram(t, server.Program("pg_restore"), "--no-owner", "--exit-on-error", "--dbname="+to, dump)
			s.args[1] = to
		})
	})
}

func (s *signedStore) putBack(backup, restore func()) {
	s.serve()
	s.of = newTenant(s.T, s.p)
	s.record("ada", "bob", "cem")
	s.checkpoint(3)
	backup()
	s.record("dan", "eve", "fay")
	pinned := filepath.Join(s.TempDir(), "checkpoint")
	writeFile(s.T, pinned, s.checkpoint(6))
	s.p.signal(s.T, syscall.SIGKILL)
	s.p.wait(s.T, 10*time.Second)

	restore()
	s.serve()
	waitFor(s.T, "/readyz tells", func() bool {
		return strings.Contains(s.ready(), "of 1 ledgers no checkpoint is signed")
	})
	s.record("gus", "hal", "ian", "joe", "kim") // as long as that of before, and two more
	s.p.stop(s.T)
	s.serve()
	waitFor(s.T, "/readyz tells again", func() bool { return strings.Contains(s.ready(), "ledger recover") })
	s.checkpoint(3)
	hold(s.T, "the log", s.p.errOut.String(), "no checkpoint was signed: the store is behind", "consentd ledger recover")

	s.told(exitFailed, "consentd ledger recover")
	recovering := append([]string{"ledger", "recover", "--organization", s.of.organization, "--reason", "disk lost"},
		s.args...)
	s.notCovered()
	p := command(s.T, nil, append(recovering[:len(recovering):len(recovering)], "--reason", " ")...)
	if p.code != exitUsage {
		s.Errorf("recover without a reason: %d", p.code)
	}
	p = command(s.T, nil, recovering...)
	if p.code != 0 {
		s.Fatalf("recover: %d %s", p.code, p.errOut.String())
	}
	hold(s.T, "recover", p.out.String(), "goes on with entry 21", "the checkpoint of 18 entries")
	if p = command(s.T, nil, recovering...); p.code != exitFailed {
		s.Errorf("recover again: %d", p.code)
	}
	hold(s.T, "recover again", p.errOut.String(), "nothing of this ledger is lost")
	s.p.stop(s.T)
	s.told(0, "entry 21 names the newest checkpoint that is kept apart as lost")
	s.serve()
	s.checkpoint(9)
	if text := s.ready(); text != "ready\n" {
		s.Errorf("/readyz: %s", text)
	}
	s.record("lea")
	s.checkpoint(10)
	s.p.stop(s.T)
	s.audited(pinned)
}

// notCovered holds what is said of what no checkpoint covers, and none will: nobody is to come again in a second.
func (s *signedStore) notCovered() {
	s.Helper()
	native := s.p.url + "/api/v1/organizations/" + s.of.organization
	header := map[string]string{"Authorization": "Bearer " + rootKey}
	_, answer := call(s.T, "POST", native+"/subjects:lookup", header, `{"identifiers":{"userId":"kim"}}`)
	id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(string(answer))
	_, answer = call(s.T, "GET", native+"/subjects/"+id+"/consents", header, "")
	event := regexp.MustCompile(`"eventId":"([0-9a-f-]{36})"`).FindSubmatch(answer)
	if event == nil {
		s.Fatalf("no event: %s", answer)
	}
	for _, path := range []string{"/subjects/" + id + "/evidence", "/ledger/proof?event=" + string(event[1]),
		"/ledger/consistency?from=15&to=20"} {
		req, err := http.NewRequest("GET", native+path, nil)
		must(s.T, err)
		req.Header.Set("Authorization", header["Authorization"])
		res, err := http.DefaultClient.Do(req)
		must(s.T, err)
		text, err := io.ReadAll(res.Body)
		must(s.T, err)
		must(s.T, res.Body.Close())
		if res.StatusCode != http.StatusConflict || res.Header.Get("Retry-After") != "" {
			s.Errorf("%s: %d, Retry-After %q", path, res.StatusCode, res.Header.Get("Retry-After"))
		}
		hold(s.T, path, string(text), "consentd ledger recover")
	}
	folder := filepath.Join(s.TempDir(), "behind")
	p := command(s.T, nil, append([]string{"ledger", "export", "--organization", s.of.organization, folder}, s.args...)...)
	hold(s.T, "ledger export", p.out.String(), "NOTE ", "consentd ledger recover")
}

// told holds what the doctor and ledger verify say of a ledger.
func (s *signedStore) told(code int, verify string) {
	s.Helper()
	p := command(s.T, nil, append([]string{"ledger", "verify"}, s.args...)...)
	if p.code != code {
		s.Errorf("ledger verify: %d %s", p.code, p.errOut.String())
	}
	hold(s.T, "ledger verify", p.out.String(), verify)
	p = command(s.T, nil, append([]string{"doctor"}, s.args...)...)
	word := "ok    checkpoints"
	if code != 0 {
		word = "fail  checkpoints"
	}
	hold(s.T, "the doctor", p.out.String(), word)
}

// audited holds what an auditor is told, with and without a checkpoint of what was lost.
func (s *signedStore) audited(pinned string) {
	s.Helper()
	folder := filepath.Join(s.TempDir(), "ledger")
	p := command(s.T, nil, append([]string{"ledger", "export", "--organization", s.of.organization, folder}, s.args...)...)
	if p.code != 0 {
		s.Fatal(p.errOut.String())
	}
	told := "NOTE .*Entry 21 says that the ledger goes on from before a checkpoint of 18 entries that was lost, " +
		"root .*: disk lost"
	audited(s.T, 0, []string{told, "All holds"}, folder)
	audited(s.T, exitFailed, []string{told, "the one that was given, over 18 entries, is the checkpoint that the epoch " +
		"in entry 21 names as lost"}, folder, "--checkpoint", pinned)
	verify := func(args ...string) *process {
		return command(s.T, nil, append(append([]string{"ledger", "verify"}, s.args...), args...)...)
	}
	p = verify("--checkpoint", pinned)
	hold(s.T, "verify of the lost one", p.out.String(), "the checkpoint that was given, over 18 entries, is the "+
		"checkpoint that the epoch in entry 21 names as lost")
	if p.code != exitFailed {
		s.Errorf("verify of the lost one: %d", p.code)
	}
	p = command(s.T, nil, append([]string{"ledger", "verify"}, s.args...)...)
	if p.code != 0 {
		s.Errorf("ledger verify: %d %s%s", p.code, p.out.String(), p.errOut.String())
	}
}
