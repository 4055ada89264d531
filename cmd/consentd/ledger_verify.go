package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

type ledgerVerifyCmd struct {
	Settings
	Organization string `help:"Id or slug of the organization; default: all." placeholder:"ID"`
	Checkpoint   string `help:"A checkpoint of the ledger from earlier, which it has to go on from." placeholder:"FILE"`
}

// Help implements kong.HelpProvider.
func (ledgerVerifyCmd) Help() string {
	return `Is what is on record what was put on record? It reads every entry of the ledgers, makes anew what was committed
when it was recorded, and holds it against the tree and the newest signed checkpoint. Then it replays the decisions and
compares what follows from them with the consents that checks are answered from, and merges, purposes with their
versions and API keys with the entries that tell of them. It changes nothing, and may run beside a server. It needs the
file of keys.

Each organization gets a line, and each difference one of its own, with the entry and, where it can be told, the field.
What somebody changed in decisions and consents is found, unless he also has the file of keys. That the end of a ledger
was cut off, or an older state put back, is found by the newest checkpoint that servers keep beside the file of keys
(--journals), unless he can write that too: keep checkpoints (GET …/ledger/checkpoint) where he cannot reach them, and
give one with --checkpoint. Where that is the one that consentd ledger recover named as lost, it says so.

Who is merged, restricted or erased is held against the entries that tell of it, and each entry of which an erasure
left the leaf alone against what that erasure says it took.

Not looked at, since no entry commits to it yet: who has which identifier, suppressions, subjects' data, names of
organizations, projects and API keys, the hashes of the latter. Whoever changes those changes what is answered about
people. Whether the file itself is sound, consentd doctor tells.

Examples:

	consentd ledger verify
	consentd ledger verify --organization shop --checkpoint shop-2026-01.txt
	consentd ledger verify --data /var/lib/consentd --kek-file /etc/consentd/kek

Where it takes more than a second, progress goes to stderr: every second on a terminal, else every 5 s.

Exit codes: 0 all is as it was committed; 1 something is not; 2 wrong command line, or it could not be looked at to the
end.`
}

// mostFaults is how many differences are told of one ledger.
const mostFaults = 100

// Run verifies the ledgers. That it could not be done is another exit code than that something differs.
func (c *ledgerVerifyCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	differ, err := c.verify(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return &exitError{exitUsage, errors.New("stopped by a signal; what was looked at so far is above")}
	case err != nil:
		return &exitError{exitUsage, err}
	case differ:
		return errSaid
	}
	return nil
}

func (c *ledgerVerifyCmd) verify(ctx context.Context) (differ bool, err error) {
	cfg, err := c.load()
	if err != nil {
		return false, err
	}
	pinned, err := readPinned(c.Checkpoint)
	if err != nil {
		return false, err
	}
	kept, err := openKept(cfg)
	if err != nil {
		return false, err
	}
	defer kept.close()
	i, err := inspectStore(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer i.Close()
	again, err := openInspection(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer again.Close()
	v := &ledgerVerifier{inspected: i, timelines: again, out: os.Stdout, pinned: pinned, kept: kept, began: time.Now()}
	v.progress.start(os.Stderr, terminalWidth(os.Stderr), v.line)
	err = i.organizations(ctx).each(c.Organization, func(o *consent.OrganizationView) error {
		return v.organization(ctx, &o.Organization)
	})
	if err == nil && c.Organization == "" {
		v.missing()
	}
	v.progress.end()
	if err != nil {
		return false, err
	}
	if pinned != nil && !v.usedPinned {
		return false, fmt.Errorf("the checkpoint is of %q, which is no ledger in here, or not the one that was named",
			graphic(pinned.Origin))
	}
	fmt.Fprintln(v.out, v.summary())
	if len(v.untold) > 0 && v.differing == 0 {
		return false, fmt.Errorf("nothing can be told of %s: run it again", strings.Join(v.untold, ", "))
	}
	return v.differing > 0, nil
}

// ledgerVerifier verifies one ledger after the other, and writes what it finds.
type ledgerVerifier struct {
	*inspected
	timelines  *store.Inspection // the same store once more, to be read at once
	progress   progress
	out        io.Writer
	pinned     *pinnedNote      // nil: none was given
	kept       *keptCheckpoints // nil: none are kept
	usedPinned bool
	began      time.Time

	ledgers, entries, differing int64    // done; differing is of ledgers
	untold                      []string // ledgers of which nothing can be told

	// Of the ledger that is looked at, guarded by progress.mu.
	slug                      string
	read, consents, decisions int64 // entries that were read; consents that were replayed, and from how many decisions
	faults                    []service.AuditFault
	more                      int64
}

// line is what is shown of the progress.
func (v *ledgerVerifier) line() string {
	if v.slug == "" {
		return ""
	}
	return fmt.Sprintf("%s: %s read, %s replayed", v.slug, entries(v.read), plural(v.consents, "consent"))
}

// missing tells of ledgers that were signed, and of which not even the organization is there: they are lost, or another
// store's, whose servers keep what they signed in the same folder.
func (v *ledgerVerifier) missing() {
	v.update(func() {
		for _, line := range v.kept.missing() {
			v.progress.clear()
			fmt.Fprintf(v.out, "NOTE  %s\n", line)
		}
	})
}

// update changes what is known of the ledger that is looked at.
func (v *ledgerVerifier) update(change func()) {
	v.progress.mu.Lock()
	defer v.progress.mu.Unlock()
	change()
}

func (v *ledgerVerifier) fault(f service.AuditFault) {
	v.update(func() {
		if len(v.faults) < mostFaults {
			v.faults = append(v.faults, f)
			return
		}
		v.more++
	})
}

// organization verifies one ledger: its entries, and at once the consents that follow from them.
func (v *ledgerVerifier) organization(ctx context.Context, o *consent.Organization) error {
	v.update(func() { v.slug, v.read, v.consents, v.decisions, v.faults, v.more = o.Slug, 0, 0, 0, nil, 0 })
	dropped, err := v.Dropped(ctx, o.ID)
	if err != nil {
		return fmt.Errorf("organization %s: %w", o.Slug, err)
	}
	pins, err := v.kept.of(o.ID) // before the ledger, which grows first
	if err != nil {
		return err
	}
	auditor := v.auditor()
	auditor.Fault, auditor.Progress = v.fault, func(n int64) { v.update(func() { v.read = n }) }
	audit, err := auditor.Ledger(ctx, o.ID)
	if err != nil {
		return fmt.Errorf("organization %s: %w", o.Slug, err)
	}
	if v.pinned.isOf(o.ID) {
		v.usedPinned = true
		if err := v.pinned.verify(audit.Verify); err != nil {
			return err
		}
		pins = append(pins, v.pinned.pin())
	}
	var found *service.Audited
	both, within := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		found, err = audit.Run(within, dropped, pins)
		return err
	})
	both.Go(func() error { return v.replay(within, o.ID, dropped, audit.Entries()) })
	if err := both.Wait(); err != nil {
		return fmt.Errorf("organization %s: %w", o.Slug, err)
	}
	facts, err := v.Facts(ctx, o.ID)
	if err != nil {
		return fmt.Errorf("organization %s: %w", o.Slug, err)
	}
	for _, what := range facts {
		v.fault(service.AuditFault{What: what})
	}
	if v.decisions != found.Decisions {
		v.fault(service.AuditFault{What: fmt.Sprintf("%d decisions are on record, and consents follow from %d: one is "+
			"missing, or refers to another decision than its last", found.Decisions, v.decisions)})
	}
	later, err := v.Dropped(ctx, o.ID)
	if err != nil {
		return fmt.Errorf("organization %s: %w", o.Slug, err)
	}
	v.tell(o, found, found.Meanwhile > 0 || later != dropped)
	return nil
}

// replay holds the consents against the decisions that led to them, and counts those up to an entry.
func (v *ledgerVerifier) replay(ctx context.Context, organization consent.ID, dropped, upTo int64) error {
	return v.timelines.Consents(ctx, organization, 0, func(h *store.History) error {
		c, own := h.Consent, int64(0)
		for i := range h.Events {
			if e := &h.Events[i]; e.Subject == c.Subject && e.Sequence <= upTo {
				own++
			}
		}
		v.update(func() { v.consents, v.decisions = v.consents+1, v.decisions+own })
		var err error
		switch {
		case c.Organization != organization: // SQLite does not see that where only the order of rows would tell
			err = errors.New("it is another organization's")
		case h.Cut && dropped == 0:
			err = errors.New("a decision that it follows from is not there")
		case !h.Cut:
			err = consent.CheckConsent(c, h.Events, h.Merges)
		}
		if err != nil {
			v.fault(service.AuditFault{What: fmt.Sprintf("the consent of subject %s to purpose %d of project %d: %v", c.Subject,
				c.Purpose, c.Project, err)})
		}
		return nil
	})
}

// tell writes what was found in one ledger. Where entries were taken away while it was looked at, by an erasure or by
// retention, what differs may come of that, so that nothing can be told.
func (v *ledgerVerifier) tell(o *consent.Organization, found *service.Audited, taken bool) {
	v.ledgers++
	v.entries += found.Entries
	v.update(func() {
		v.progress.clear()
		slices.SortStableFunc(v.faults, func(a, b service.AuditFault) int { return cmp.Compare(a.Sequence, b.Sequence) })
		if len(v.faults) == 0 {
			fmt.Fprintf(v.out, "ok    %s: %s\n", o.Slug, v.good(found))
			return
		}
		word := "FAIL"
		if taken {
			v.untold = append(v.untold, o.Slug)
			word = "error"
			fmt.Fprintf(v.out, "error %s: entries were taken away meanwhile, by an erasure or by retention, and what differs "+
				"may come of that: run it again\n", o.Slug)
		} else {
			v.differing++
		}
		for _, f := range v.faults {
			fmt.Fprintf(v.out, "%-5s %s: %s\n", word, o.Slug, faultInWords(f))
		}
		if v.more > 0 {
			fmt.Fprintf(v.out, "%-5s %s: and %s more\n", word, o.Slug, plural(v.more, "difference"))
		}
	})
}

// good says what was looked at in a ledger where nothing differs.
func (v *ledgerVerifier) good(found *service.Audited) string {
	if found.Entries == 0 {
		return "nothing is on record"
	}
	line := fmt.Sprintf("%s as committed, %s as they follow from them", entries(found.Opened),
		plural(v.consents, "consent"))
	if found.Erased > 0 {
		line += fmt.Sprintf("; of %s, about people who were erased, the leaf alone is left, as committed",
			entries(found.Erased))
	}
	if found.Dropped > 0 {
		line += fmt.Sprintf("; of %s retention has left the hash alone", entries(found.Dropped))
	}
	switch {
	case found.Signed == 0:
		line += "; no checkpoint was signed yet"
	case found.OtherKey:
		line += fmt.Sprintf("; the checkpoint over %s holds, by an earlier key that the store alone vouches for",
			entries(found.Signed))
	default:
		line += fmt.Sprintf("; the signed checkpoint over %s holds", entries(found.Signed))
	}
	if v.pinned.isOf(found.Organization) {
		line += fmt.Sprintf("; it goes on from the checkpoint that was given, over %s", entries(v.pinned.Size))
	}
	return line + v.kept.good(found)
}

func faultInWords(f service.AuditFault) string {
	switch {
	case f.Sequence == 0:
		return f.What
	case f.Field == "":
		return fmt.Sprintf("entry %d: %s", f.Sequence, f.What)
	}
	return fmt.Sprintf("entry %d, %s: %s", f.Sequence, f.Field, f.What)
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func (v *ledgerVerifier) summary() string {
	took := time.Since(v.began).Round(100 * time.Millisecond)
	if v.differing == 0 && len(v.untold) > 0 {
		return fmt.Sprintf("\nNot all could be told: %s, %s, in %s.", plural(v.ledgers, "ledger"), entries(v.entries), took)
	}
	if v.differing == 0 {
		return fmt.Sprintf("\nAll is as it was committed: %s, %s, in %s.", plural(v.ledgers, "ledger"), entries(v.entries),
			took)
	}
	return fmt.Sprintf("\nNOT as it was committed: %d of %s. Stop the server and keep the database as it is: it is "+
		"evidence. docs/operating.md tells how to go on.", v.differing, plural(v.ledgers, "ledger"))
}
