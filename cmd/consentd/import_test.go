package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/client"
)

// importing is a server with an organization, and what a command needs to import into it.
type importShop struct {
	p   *process
	o   tenant
	env []string
}

func newImportShop(t testing.TB) *importShop {
	t.Helper()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey})
	return &importShop{p: p, o: newTenant(t, p), env: []string{"CONSENTD_URL=" + p.url, "CONSENTD_KEY=" + rootKey}}
}

func (s *importShop) args(file string, more ...string) []string {
	return append([]string{"import", file, "--organization", s.o.organization}, more...)
}

func (s *importShop) run(t testing.TB, file string, more ...string) *process {
	t.Helper()
	return command(t, s.env, s.args(file, more...)...)
}

func (s *importShop) client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: s.p.url, Organization: s.o.organization, Key: rootKey})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// events tells what is on record, in the order of the ledger.
func (s *importShop) events(t testing.TB) (all []string) {
	t.Helper()
	for e, err := range s.client(t).ExportEvents(context.Background(), client.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %s %s %s %s", e.Identifiers.Email, e.Purpose, e.State, e.Action,
			e.OccurredAt.Format(time.RFC3339)))
	}
	return all
}

func writeTemp(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// people makes a table of decisions of a few people.
func people(lines int) string {
	var b strings.Builder
	b.WriteString("externalId,identifiers.email,purpose,state,occurredAt\n")
	for i := range lines {
		state := []string{"accepted", "declined"}[i%2]
		fmt.Fprintf(&b, "r%d,p%d@example.com,marketing,%s,2026-01-%02dT12:00:00Z\n", i, i%97, state, 1+i%28)
	}
	return b.String()
}

const mixed = `externalId,identifiers.email,purpose,state,occurredAt
1,ada@example.com,marketing,accepted,2026-01-31T12:00:00Z
2,grace@example.com,marketing,declined,2026-01-31T12:00:00Z
3,kay@example.com,nothing,accepted,2026-01-31T12:00:00Z
4,kay@example.com,analytics,maybe,2026-01-31T12:00:00Z
5,not an address,analytics,accepted,2026-01-31T12:00:00Z
`

// TestImport: what can be taken is taken, what cannot is told and kept; mended, it is imported too, and nothing twice.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	file, refused := writeTemp(t, "people.csv", mixed), filepath.Join(t.TempDir(), "refused.csv")
	p := s.run(t, file, "--source", "crm", "--errors", refused)
	hold(t, "the output", p.out.String(), "2 taken, 0 duplicates, 2 refused by the server, 1 record not readable",
		"/purpose is not known in this project\n      line 4", "line 5", "line 6")
	if p.code != exitFailed {
		t.Errorf("exit code %d", p.code)
	}
	kept, err := os.ReadFile(refused)
	if err != nil {
		t.Fatal(err)
	}
	hold(t, "the file of refused records", string(kept), "occurredAt,consentd_error\n3,kay@example.com,nothing,accepted,"+
		"2026-01-31T12:00:00Z,/purpose is not known in this project\n4,", "\n5,not an address,")
	if info, err := os.Stat(refused); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of refused records: %v, %v", info.Mode(), err)
	}
	mended := strings.NewReplacer("nothing", "analytics", "maybe", "accepted", "not an address", "joan@example.com").
		Replace(string(kept))
	if err := os.WriteFile(refused, []byte(mended), 0o600); err != nil {
		t.Fatal(err)
	}
	p = s.run(t, refused, "--source", "crm")
	hold(t, "the output", p.out.String(), "3 taken, 0 duplicates, 0 refused by the server, 0 records not readable")
	if p.code != 0 {
		t.Errorf("exit code %d: %s", p.code, p.errOut.String())
	}
	p = s.run(t, refused, "--source", "crm")
	hold(t, "the output", p.out.String(), "0 taken, 3 duplicates")
	p = s.run(t, file, "--source", "crm", "--errors", refused)
	hold(t, "the error", p.errOut.String(), "refused.csv is there already: name another")
	if got, err := os.ReadFile(refused); err != nil || string(got) != mended || p.code != exitUsage {
		t.Errorf("what was mended is written over, or exit code %d: %v", p.code, err)
	}
	if got := s.events(t); len(got) != 5 || got[0] != "ada@example.com marketing accepted import 2026-01-31T12:00:00Z" {
		t.Errorf("on record: %q", got)
	}
}

// TestImportOfAnotherEncoding: nothing is sent of a file that is not in its encoding.
func TestImportOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	file := writeTemp(t, "people.csv", people(9000)+"x,p\xE9@example.com,marketing,accepted,2026-01-01T12:00:00Z\n")
	p := s.run(t, file, "--source", "crm", "--batch", "10")
	hold(t, "the error", p.errOut.String(),
		"line 9002: not valid UTF-8 (byte 0xE9; is the file Windows-1252? give --encoding")
	if p.code != exitFailed || len(s.events(t)) != 0 {
		t.Errorf("exit code %d, %d events", p.code, len(s.events(t)))
	}
}

// TestImportOfArchive: of an archive the refused records are a folder, which is imported by the same command.
func TestImportOfArchive(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	refused := filepath.Join(t.TempDir(), "refused")
	args := []string{"--source", "mailchimp", "--timezone", "UTC", "--errors", refused, "--purpose"}
	archive := "../../internal/importing/mailchimp/testdata/audience.zip"
	p := s.run(t, archive, append(args, "newsletter")...)
	hold(t, "the output", p.out.String(), "(mailchimp): 0 taken, 0 duplicates, 3 refused by the server", "1 left out",
		"line 2 of unsubscribed_email_audience_export_1a2b3c.csv")
	for _, taken := range []string{filepath.Dir(refused), refused} {
		p = s.run(t, archive, "--source", "mailchimp", "--timezone", "UTC", "--purpose", "newsletter", "--errors", taken)
		if p.code != exitUsage || !strings.Contains(p.errOut.String(), "is there already") {
			t.Errorf("a folder that is there: exit code %d: %s", p.code, p.errOut.String())
		}
	}
	p = s.run(t, refused, append(args[:4:4], "--purpose", "marketing")...)
	hold(t, "the output", p.out.String(), "(mailchimp): 3 taken")
	if got := strings.Join(s.events(t), "\n"); strings.Count(got, "accepted") != 2 ||
		strings.Count(got, "withdrawn") != 1 {
		t.Errorf("on record:\n%s", got)
	}
}

// TestImportDryRun says what would be made, and makes nothing.
func TestImportDryRun(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	file := writeTemp(t, "people.csv", mixed)
	for range 2 { // the second begins anew
		p := s.run(t, file, "--source", "crm", "--dry-run")
		hold(t, "the output", p.out.String(), "Would import", "2 would be taken", "2 refused by the server",
			"People: 2 would be made, 0 are known.", "marketing accepted: 1 made, 0 changed, 0 unchanged",
			"marketing declined: 1 made, 0 changed, 0 unchanged")
	}
	if got := s.events(t); len(got) != 0 {
		t.Errorf("on record: %q", got)
	}
	s.run(t, file, "--source", "crm")
	hold(t, "the output", s.run(t, file, "--source", "crm", "--dry-run").out.String(), "0 would be taken, 2 duplicates")
}

// TestImportOfAnotherFile: an import that is not finished is not mixed up with another file's.
func TestImportOfAnotherFile(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	c := s.client(t)
	open, err := c.CreateImport(context.Background(), client.NewImport{Source: "crm", Fingerprint: "sha256:other"})
	if err != nil {
		t.Fatal(err)
	}
	file := writeTemp(t, "people.csv", people(10))
	p := s.run(t, file, "--source", "crm")
	hold(t, "the error", p.errOut.String(), "an import of source crm is not finished ("+open.ID, "--new")
	if p.code != exitFailed || len(s.events(t)) != 0 {
		t.Errorf("exit code %d, %d events", p.code, len(s.events(t)))
	}
	if p = s.run(t, file, "--source", "crm", "--new"); p.code != 0 {
		t.Errorf("exit code %d: %s", p.code, p.errOut.String())
	}
	tried, err := c.CreateImport(context.Background(),
		client.NewImport{Source: "crm", Fingerprint: "sha256:other", DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if p = s.run(t, file, "--source", "crm", "--dry-run"); p.code != 0 {
		t.Errorf("exit code %d: %s", p.code, p.errOut.String())
	}
	if tried, err = c.Import(context.Background(), tried.ID); err != nil || tried.State != "done" {
		t.Errorf("the other dry run is %s, %v", tried.State, err)
	}
	if open, err = c.Import(context.Background(), open.ID); err != nil || open.State != "done" {
		t.Errorf("the other one is %s, %v", open.State, err)
	}
}

// TestImportIsStopped: Ctrl-C ends it after the call that runs, and says how to go on.
func TestImportIsStopped(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	file := writeTemp(t, "people.csv", people(20_000))
	p := launch(t, s.env, s.args(file, "--source", "crm", "--batch", "50")...)
	for range 3000 {
		if len(s.events(t)) > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.signal(t, syscall.SIGINT)
	if code := p.wait(t, time.Minute); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	hold(t, "the error", p.errOut.String(), "stopped by a signal; the same command goes on where it was")
	stopped := len(s.events(t))
	p = s.run(t, file, "--source", "crm")
	hold(t, "the notes", p.errOut.String(), fmt.Sprintf("It goes on behind line %d of", stopped))
	if got := len(s.events(t)); got != 20_000 {
		t.Errorf("%d events", got)
	}
}
