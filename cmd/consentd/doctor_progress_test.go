package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/pgtest"
)

// withProgress runs a test with a progress line, and gives what it has written since the last time it was asked.
func withProgress(t *testing.T, width int, test func(p *doctorProgress, written func() string)) (rest string) {
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		p := newDoctorProgress(&out, width)
		test(p, func() string {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			defer out.Reset()
			return out.String()
		})
		p.end()
	})
	return out.String()
}

func TestDoctorProgressInLines(t *testing.T) {
	rest := withProgress(t, 0, func(p *doctorProgress, written func() string) {
		p.step("opening")
		time.Sleep(progressFirst - time.Millisecond)
		if got := written(); got != "" {
			t.Errorf("before a second: %q", got)
		}
		p.update(func(s *doctorStatus) {
			*s = doctorStatus{step: "ledgers", organization: "shop", organizations: 3, of: 7, events: 12, consents: 5}
		})
		time.Sleep(time.Millisecond)
		if got := written(); got != "ledgers: 3 of 7 organizations, 12 events and 5 consents checked\n" {
			t.Errorf("after a second: %q", got)
		}
		time.Sleep(progressLines)
		want := "ledgers: 3 of 7 organizations, 12 events and 5 consents checked; still running, 5s at shop\n"
		if got := written(); got != want {
			t.Errorf("where nothing moves: %q", got)
		}
		p.pause(func() {})
		if got := written(); got != "" {
			t.Errorf("lines that stay are taken away: %q", got)
		}
	})
	if rest != "" {
		t.Errorf("at the end: %q", rest)
	}
}

func TestDoctorProgressOnATerminal(t *testing.T) {
	rest := withProgress(t, 30, func(p *doctorProgress, written func() string) {
		p.update(func(s *doctorStatus) { *s = doctorStatus{step: "ledgers", of: 7} })
		time.Sleep(progressFirst)
		if got := written(); got != "\rledgers: 0 of 7 organizations" {
			t.Errorf("a line longer than the terminal is wide: %q", got)
		}
		p.update(func(s *doctorStatus) { *s = doctorStatus{step: "opening"} })
		time.Sleep(progressOnTerminal)
		if got := written(); got != "\ropening"+strings.Repeat(" ", 22) {
			t.Errorf("a shorter line: %q", got)
		}
		p.pause(func() { p.out.Write([]byte("a result\n")) })
		if got := written(); got != "\r       \ra result\n" {
			t.Errorf("a result on the same terminal: %q", got)
		}
		p.step("")
		time.Sleep(5 * progressOnTerminal)
		if got := written(); got != "" {
			t.Errorf("where nothing takes long: %q", got)
		}
		p.step("opening")
		time.Sleep(progressOnTerminal)
		if got := written(); got != "\ropening" {
			t.Errorf("another step: %q", got)
		}
	})
	if rest != "\r       \r" {
		t.Errorf("at the end: %q", rest)
	}
}

// TestDoctorStopped has a signal end a doctor that waits for a lock, in the midst of the second organization's
// consents.
func TestDoctorStopped(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, "", nil)
	env := []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_DATABASE_URL=" + url, "CONSENTD_JOURNALS=" + t.TempDir()}
	server := serveWith(t, env, "serve", "--listen", "127.0.0.1:0")
	newTenant(t, server)
	o := newTenant(t, server)
	if status, answer := call(t, "POST", server.url+o.eventsPath(), map[string]string{"x-api-key": rootKey},
		items("a", "b", "c")); status/100 != 2 {
		t.Fatalf("write events: %d %s", status, answer)
	}
	server.stop(t)
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for _, statement := range []string{"UPDATE counts SET amount = amount + 1 WHERE name LIKE 'events/%'", "BEGIN",
		"LOCK TABLE subject_merges"} {
		if _, err := c.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	p := launch(t, env, "doctor", "--full")
	for waits := 0; waits == 0; time.Sleep(5 * time.Millisecond) {
		if ended(p) {
			t.Fatalf("it ended with %d and waited for no lock:\n%s%s", p.code, p.out.String(), p.errOut.String())
		}
		if err := c.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	p.signal(t, syscall.SIGINT)
	if code := p.wait(t, 10*time.Second); code != exitFailed || time.Since(began) > 2*time.Second {
		t.Errorf("it ends with %d after %s", code, time.Since(began))
	}
	hold(t, "what was found so far", p.out.String(), "warn  ledgers        stopped by a signal after 1 of 2 "+
		"organizations; looked at 3 events and 0 consents. To do: ",
		"1 events by which the kept count is wrong", "1 failed, 1 warning so far; stopped by a signal")
	if strings.Contains(p.out.String(), "ok    ledgers") || strings.Contains(p.out.String(), "cannot be read") {
		t.Errorf("the signal is taken for something else:\n%s", p.out.String())
	}
}

// TestDoctorStoppedAtOnce: the checks of a file end too.
func TestDoctorStoppedAtOnce(t *testing.T) {
	t.Parallel()
	dir, _, _ := filledFolder(t, 1)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	var out bytes.Buffer
	d := &doctor{out: &out, restore: restoreFolder, full: true, cfg: &config.Config{Data: dir}}
	d.database(ctx)
	if err := d.verdict(); !errors.Is(err, errSaid) {
		t.Errorf("the verdict is %v", err)
	}
	hold(t, "the doctor", out.String(), "warn  integrity", "stopped by a signal", "0 failed, 1 warning so far")
}

// TestDoctorFindsDamageFarIn plants damage in the midst of a ledger that is read in pages.
func TestDoctorFindsDamageFarIn(t *testing.T) {
	t.Parallel()
	dir, _, _ := filledFolder(t, 2)
	whole := command(t, nil, "doctor", "--full", "--data", dir)
	hold(t, "the doctor", whole.out.String(), "ok    ledgers        1 organization, 2000 events",
		"ok    events         2000 looked at", "ok    consents       2000 looked at")
	for check, statement := range map[string]string{
		"ledgers": `UPDATE events SET sequence = sequence + 1 WHERE sequence = 1200`,
		"events":  `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), ',"', ', "') AS BLOB) WHERE sequence = 1200`,
		"consents": `UPDATE consents SET occurred_at = occurred_at + 1 WHERE event_id = ` +
			`(SELECT event_id FROM events WHERE sequence = 1200)`,
	} {
		damaged := copyOf(t, dir)
		plant(statement)(t, damaged)
		p := command(t, nil, "doctor", "--full", "--data", damaged)
		if hold(t, check, p.out.String(), "fail  "+check); p.code != exitFailed ||
			strings.Count(p.out.String(), "fail ") != 1 {
			t.Errorf("%s: exit code %d\n%s", check, p.code, p.out.String())
		}
	}
}
