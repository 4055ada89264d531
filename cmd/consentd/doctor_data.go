package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store"
)

// sample is how many rows at either end of a table are looked at without --full.
const sample = 500

const restoreFolder = "stop the server, keep a copy of the folder as it is, and restore the last backup; then compare"

// database checks what is in the data folder.
func (d *doctor) database(ctx context.Context) {
	i, err := store.InspectSQLite(d.cfg.Data)
	if err != nil {
		d.fail("database", err.Error(), d.restore)
		return
	}
	defer i.Close()
	found, err := i.Integrity(ctx, d.full)
	sound := d.faults("integrity", "SQLite finds its file sound", found, err)
	found, err = i.ForeignKeys(ctx)
	d.faults("references", "every row refers to one that is there", found, err)
	if !d.schema(ctx, i) || !sound {
		d.warn("ledgers", "not looked at", "mend what failed above first")
		return
	}
	d.ledgers(ctx, i)
}

// faults writes a line about a list of faults, which should be empty.
func (d *doctor) faults(check, good string, found []string, err error) bool {
	switch {
	case err != nil:
		d.fail(check, "the database cannot be read: "+err.Error(), d.restore)
	case len(found) > 0:
		d.fail(check, strings.Join(found, "; "), d.restore)
	default:
		d.ok(check, good)
		return true
	}
	return false
}

func (d *doctor) schema(ctx context.Context, i *store.Inspection) bool {
	have, want, err := i.Schema(ctx)
	switch {
	case err != nil:
		d.fail("schema", "it cannot be read: "+err.Error(), d.restore)
	case have > want:
		d.fail("schema", fmt.Sprintf("version %d; this consentd knows up to %d", have, want), "use the newer consentd that made it")
	case have < want:
		d.warn("schema", fmt.Sprintf("version %d; this consentd wants %d", have, want), "make a backup; the next consentd serve brings it up to date")
	default:
		d.ok("schema", fmt.Sprintf("version %d", have))
		return true
	}
	return false
}

// tally is what was looked at in all organizations.
type tally struct {
	organizations, events, blobs, consents int64
	last                                   time.Time
	ledger, blob, fold                     faultList
}

// faultList keeps the first faults and counts the others.
type faultList struct {
	shown []string
	more  int
}

func (l *faultList) add(format string, args ...any) {
	if len(l.shown) >= 5 {
		l.more++
		return
	}
	l.shown = append(l.shown, fmt.Sprintf(format, args...))
}

func (l *faultList) all() []string {
	if l.more > 0 {
		return append(l.shown, fmt.Sprintf("and %d more", l.more))
	}
	return l.shown
}

// ledgers checks the ledger of every organization.
func (d *doctor) ledgers(ctx context.Context, i *store.Inspection) {
	var t tally
	for {
		var page []consent.OrganizationView
		err := i.View(ctx, func(r consent.Reader) (err error) {
			page, _, err = r.Organizations(ctx, consent.NoID, consent.OrganizationFilter{Offset: int(t.organizations), Limit: 100})
			return err
		})
		for n := 0; n < len(page) && err == nil; n++ {
			t.organizations++
			err = d.ledger(ctx, i, &page[n].Organization, &t)
		}
		if err != nil {
			d.fail("ledgers", "they cannot be read: "+err.Error(), d.restore)
			return
		}
		if len(page) < 100 {
			break
		}
	}
	d.faults("ledgers", fmt.Sprintf("%d organizations, %d events, sequences without gaps, every event on one timeline", t.organizations, t.events), t.ledger.all(), nil)
	d.faults("events", fmt.Sprintf("%d looked at, each with the canonical JSON of what its row says", t.blobs), t.blob.all(), nil)
	d.faults("consents", fmt.Sprintf("%d looked at, each the fold of its events", t.consents), t.fold.all(), nil)
	if ahead := time.Until(t.last); ahead > 0 {
		d.fail("clock", fmt.Sprintf("it is %s behind the last event on record", ahead.Round(time.Millisecond)), "set the clock, by NTP if possible; until then new events carry times before older ones")
	} else if !t.last.IsZero() {
		d.ok("clock", "not behind the last event, of "+t.last.UTC().Format(time.RFC3339))
	}
}

// ledger checks one organization. Its error says that the database could not be read.
func (d *doctor) ledger(ctx context.Context, i *store.Inspection, o *consent.Organization, t *tally) error {
	some := sample
	if d.full {
		some = 0
	}
	ledger, err := i.Ledger(ctx, o.ID)
	if err != nil {
		return err
	}
	t.events += ledger.Events
	if ledger.Last.After(t.last) {
		t.last = ledger.Last
	}
	for _, fault := range ledger.Faults {
		t.ledger.add("organization %s: %s", o.Slug, fault)
	}
	var directory *consent.Directory
	err = i.View(ctx, func(r consent.Reader) (err error) {
		directory, err = r.Directory(ctx, o.ID)
		return err
	})
	if err != nil {
		return err
	}
	err = i.Events(ctx, o.ID, some, func(e *consent.Event) error {
		t.blobs++
		if fault := consent.CheckEvent(directory, e); fault != nil {
			t.blob.add("organization %s, event %s: %v", o.Slug, e.ID, fault)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return i.Consents(ctx, o.ID, some, func(c *consent.Consent, events []consent.Event) error {
		t.consents++
		if fault := consent.CheckConsent(c, events); fault != nil {
			t.fold.add("organization %s, subject %s, purpose %d/%d: %v", o.Slug, c.Subject, c.Project, c.Purpose, fault)
		}
		return nil
	})
}
