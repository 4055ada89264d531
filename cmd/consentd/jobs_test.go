package main

import (
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
)

// TestJobsCommands lists, retries and drops jobs beside a running server.
func TestJobsCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	o := newTenant(t, p)
	jobs := func(args ...string) *process {
		return command(t, nil, append([]string{"jobs", "--data", dir}, args...)...)
	}
	within(t, 5*time.Second, "the recurring job is there", func() bool {
		return strings.Contains(jobs("list").out.String(), "sweep-answers")
	})
	hold(t, "nothing parked", jobs("list", "--parked").out.String(), "no jobs")

	const parked, dropped = "0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13", "0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b14"
	c := openFile(t, dir)
	for _, text := range []string{parked, dropped} {
		id, _ := consent.ParseID(text)
		organization, _ := consent.ParseID(o.organization)
		if err := sqlitex.Execute(c, `INSERT INTO jobs VALUES (?, ?, 'from the future', 1, 3, NULL, ?, 1, 2, x'')`,
			&sqlitex.ExecOptions{Args: []any{organization[:], id[:],
				"it broke \x1b[31m" + strings.Repeat("x", 200)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	list := jobs("list", "--parked")
	hold(t, "a parked job", list.out.String(), parked, "from the future", "parked 1970-01-01", "it broke", o.organization)
	if strings.Contains(list.out.String(), "\x1b") || strings.Contains(list.out.String(), "sweep-answers") {
		t.Errorf("the list of parked jobs: %q", list.out.String())
	}
	for line := range strings.Lines(list.out.String()) {
		if columnsOf(line) > 101 {
			t.Errorf("%d columns: %s", columnsOf(line), line)
		}
	}
	hold(t, "retry", jobs("retry", parked).out.String(), parked, "is due now")
	hold(t, "what is left", jobs("list", "--parked").out.String(), dropped)
	hold(t, "drop", jobs("drop", dropped, parked).out.String(), dropped, parked, "is dropped")
	hold(t, "nothing is left", jobs("list", "--parked").out.String(), "no jobs")
	for _, tc := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"drop", parked}, exitFailed, "consentd jobs list"},
		{[]string{"retry", "sweep-answers"}, exitUsage, "consentd jobs list"},
		{[]string{"list", "--organization", "nobody"}, exitUsage, "there is no organization"},
	} {
		if p := jobs(tc.args...); p.code != tc.code || !strings.Contains(p.errOut.String(), tc.said) {
			t.Errorf("%v: exit code %d: %s", tc.args, p.code, p.errOut.String())
		}
	}
	_, metrics := call(t, "GET", p.url+"/metrics", nil, "")
	hold(t, "metrics", string(metrics), `consentd_jobs_due{kind="sweep-answers"}`,
		`consentd_job_runs_total{kind="sweep-answers",outcome="done"}`)
}
