package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

// linesOf are yeses of so many people, each with an externalId.
func linesOf(prefix string, people int) string {
	var lines strings.Builder
	for i := range people {
		fmt.Fprintf(&lines, `{"externalId":"%s-%d","identifiers":{"userId":"%[1]s-%[2]d"},"purpose":"marketing",`+
			`"state":"accepted","occurredAt":"2026-01-02T03:04:05Z"}`+"\n", prefix, i)
	}
	return lines.String()
}

// TestImport begins an import, brings good lines and bad ones, and finds all of it again.
func TestImport(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	made := must[client.Import](t)(c.CreateImport(ctx, client.NewImport{Source: "one", Fingerprint: "sha256:1"}))
	if made.ID == "" || made.Source != "one" || made.Fingerprint != "sha256:1" || made.Project == "" ||
		made.State != "open" || made.NextLine != 1 || made.CreatedAt.IsZero() {
		t.Errorf("%+v", made)
	}
	lines := linesOf("imp", 3) + "\nnot JSON\n" + linesOf("imp", 1)
	state := must[client.Import](t)(c.SendLines(ctx, made.ID, 1, []byte(lines)))
	if state.NextLine != 7 || state.Accepted != 3 || state.Duplicates != 1 || state.Rejected != 1 ||
		len(state.Errors) != 1 || state.Errors[0].Line != 5 {
		t.Errorf("%+v", state)
	}
	if d := cmp.Diff(state.Errors, collect(t, c.ImportErrors(ctx, made.ID))); d != "" {
		t.Errorf("errors (-of the call +kept):\n%s", d)
	}
	if _, err := c.SendLines(ctx, made.ID, 9, []byte(lines)); !client.IsConflict(err) {
		t.Errorf("a gap: %v", err)
	}
	if open := collect(t, c.Imports(ctx, "open", "one")); len(open) != 1 || open[0].Accepted != 3 {
		t.Errorf("open: %+v", open)
	}
	done := must[client.Import](t)(c.FinishImport(ctx, made.ID))
	if done.State != "done" || done.FinishedAt.IsZero() {
		t.Errorf("%+v", done)
	}
	if d := cmp.Diff(done, must[client.Import](t)(c.Import(ctx, made.ID))); d != "" {
		t.Errorf("read again (-done +read):\n%s", d)
	}
	if open := collect(t, c.Imports(ctx, "open", "one")); len(open) != 0 {
		t.Errorf("open after the end: %+v", open)
	}
	if _, err := c.SendLines(ctx, made.ID, 7, []byte(lines)); !client.IsConflict(err) {
		t.Errorf("after the end: %v", err)
	}
}

// TestImportOverAFlakyProxy: connections that break cost retries, and every line is taken once.
func TestImportOverAFlakyProxy(t *testing.T) {
	const people, each = 300, 20
	random := rand.New(rand.NewPCG(5, 6)) // used under the proxy's lock
	p := newFlaky(t, func(int) fate { return fate(random.IntN(5)) })
	c := shopClient(t, func(c *client.Config) { c.URL, c.Tries, c.MaxWait = p.url(), 60, 20*time.Millisecond })
	ctx := context.Background()
	run := must[client.Import](t)(c.CreateImport(ctx, client.NewImport{Source: "flaky"}))
	lines := strings.SplitAfter(linesOf("fl", people), "\n")
	for from := 0; from < people; from += each {
		part := strings.Join(lines[from:from+each], "")
		run = must[client.Import](t)(c.SendLines(ctx, run.ID, int64(from)+1, []byte(part)))
	}
	if run.Accepted != people || run.Duplicates+run.Rejected != 0 || run.NextLine != people+1 {
		t.Errorf("%+v", run)
	}
}

// TestDryRun asks what lines would do.
func TestDryRun(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	trial := must[client.Import](t)(c.CreateImport(ctx, client.NewImport{Source: "dry", DryRun: true}))
	state := must[client.Import](t)(c.SendLines(ctx, trial.ID, 1, []byte(linesOf("dry", 3))))
	want := &client.ImportOutcome{SubjectsMade: 3, Purposes: []client.ImportedConsents{{Purpose: "marketing",
		Project: trial.Project, State: "accepted", Made: 3}}}
	if d := cmp.Diff(want, state.Would); d != "" || !state.DryRun {
		t.Errorf("%+v (-want +got):\n%s", state, d)
	}
	if _, err := c.LookUp(ctx, client.Identifiers{UserID: "dry-1"}); !client.IsNotFound(err) {
		t.Errorf("somebody of a dry run: %v", err)
	}
}
