package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/migrations"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// sample is how many rows at either end of a table are looked at without --full.
const sample = 500

const notDone = "not looked at to the end: stopped by a signal"

const restoreFolder = "stop the server, keep a copy of the folder as it is, and restore the last backup; then compare"

const againFolder = "run it again, as the user that the server runs as, and see that the disk is sound; if it stays " +
	"so, report this line: it is then a mistake in consentd"

// database checks what is in the data folder.
func (d *doctor) database(ctx context.Context) {
	file, err := sqlite.Inspect(d.cfg.Data)
	if err != nil {
		d.cannot("database", err)
		return
	}
	i := store.Inspect(file)
	defer i.Close()
	d.progress.step("looking whether SQLite finds its file sound")
	found, err := file.Integrity(ctx, d.full)
	if d.ends(ctx, "integrity", notDone) {
		return
	}
	sound := d.faults("integrity", "SQLite finds its file sound", found, err)
	d.progress.step("looking for rows that refer to nothing")
	found, err = file.ForeignKeys(ctx)
	if d.ends(ctx, "references", notDone) {
		return
	}
	d.faults("references", "every row refers to one that is there", found, err)
	if d.schema(ctx, i) && sound {
		d.keys(ctx, i)
		d.journal(ctx, i)
		d.checkpoints(ctx, i)
		d.witnesses(ctx, i)
		d.ledgers(ctx, i)
	} else if !d.stopped {
		d.warn("ledgers", "not looked at", "mend what failed above first")
	}
}

// faults writes a line about a list of faults, which should be empty.
func (d *doctor) faults(check, good string, found []string, err error) bool {
	switch {
	case err != nil:
		d.cannot(check, err)
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
	case err != nil && d.ends(ctx, "schema", notDone):
	case errors.Is(err, migrations.ErrEarlier):
		d.fail("schema", "it is of a consentd from before the first release",
			"start with an empty data folder or database, or go on with the consentd that made it")
	case err != nil:
		d.cannot("schema", err)
	case have > want:
		d.fail("schema", fmt.Sprintf("version %d; this consentd knows up to %d", have, want),
			"use the newer consentd that made it")
	case have < want:
		d.warn("schema", fmt.Sprintf("version %d; this consentd wants %d", have, want),
			"make a backup; the next consentd serve brings it up to date")
	default:
		d.ok("schema", fmt.Sprintf("version %d", have))
		return true
	}
	return false
}

// tally is what was looked at in all organizations.
type tally struct {
	organizations, of, events, blobs, consents, sealed int64
	at                                                 string // the organization that is being looked at
	last                                               time.Time
	ledger, blob, fold, seal                           faultList
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

// page is how many organizations are listed at once.
const page = 500

// ledgers checks the ledger of every organization.
func (d *doctor) ledgers(ctx context.Context, i *store.Inspection) {
	var t tally
	d.progress.step("ledgers")
	err := d.organizations(ctx, i, &t)
	d.progress.update(func(s *doctorStatus) { *s = doctorStatus{} })
	ended := d.ends(ctx, "ledgers", fmt.Sprintf("stopped by a signal after %d of %s; looked at %s and %s",
		t.organizations, plural(t.of, "organization"), plural(t.blobs, "event"), plural(t.consents, "consent")))
	if err != nil && !ended {
		if t.at != "" {
			err = fmt.Errorf("organization %s: %w", t.at, err)
		}
		d.cannot("ledgers", err)
	}
	if err != nil || ended {
		d.foundSoFar(&t)
		return
	}
	d.faults("ledgers", fmt.Sprintf("%s, %s, sequences without gaps, every event on one timeline",
		plural(t.organizations, "organization"), plural(t.events, "event")), t.ledger.all(), nil)
	if d.opener == nil && t.events > 0 {
		d.warn("events", "not looked at: who they are about is encrypted, and the key file is not at hand or lacks a key",
			"see keys above")
	} else {
		d.faults("events", fmt.Sprintf("%d looked at, each with the canonical JSON of what its row says", t.blobs),
			t.blob.all(), nil)
	}
	d.faults("consents", fmt.Sprintf("%d looked at, each the fold of its events", t.consents), t.fold.all(), nil)
	d.sealedTexts(&t)
	d.last = t.last
}

// foundSoFar writes what was found where not all was looked at.
func (d *doctor) foundSoFar(t *tally) {
	for _, so := range []struct {
		check string
		far   *faultList
	}{{"ledgers", &t.ledger}, {"events", &t.blob}, {"consents", &t.fold}, {sealedCheck, &t.seal}} {
		if found := so.far.all(); len(found) > 0 {
			d.faults(so.check, "", found, nil)
		}
	}
}

// organizations checks one after the other. Its error says that the database could not be read.
func (d *doctor) organizations(ctx context.Context, i *store.Inspection, t *tally) error {
	for {
		var list []consent.OrganizationView
		err := i.View(ctx, func(r service.Reader) (err error) {
			list, t.of, err = r.Organizations(ctx, consent.NoID,
				consent.OrganizationFilter{Offset: int(t.organizations), Limit: page})
			return err
		})
		for n := 0; n < len(list) && err == nil; n++ {
			t.at = list[n].Slug
			d.showProgress(t)
			if err = d.ledger(ctx, i, &list[n].Organization, t); err == nil {
				t.organizations++
			}
		}
		if d.showProgress(t); err != nil || len(list) < page {
			return err
		}
	}
}

// showProgress has shown how much was checked.
func (d *doctor) showProgress(t *tally) {
	d.progress.update(func(p *doctorStatus) {
		p.organization, p.organizations, p.of = t.at, t.organizations, t.of
		p.events, p.consents, p.sealed = t.blobs, t.consents, t.sealed
	})
}

// ledger checks one organization; of one with few events all is looked at in one state, which takes less time.
func (d *doctor) ledger(ctx context.Context, i *store.Inspection, o *consent.Organization, t *tally) error {
	var ledger store.Ledger
	err := i.Together(ctx, func(i *store.Inspection) (err error) {
		if ledger, err = i.Ledger(ctx, o.ID); err != nil {
			return err
		}
		t.events += ledger.Events
		if ledger.Last.After(t.last) {
			t.last = ledger.Last
		}
		for _, fault := range ledger.Faults {
			t.ledger.add("organization %s: %s", o.Slug, fault)
		}
		if ledger.Few {
			err = d.rows(ctx, i, o, &ledger, t)
		}
		return err
	})
	if err == nil && !ledger.Few {
		err = d.rows(ctx, i, o, &ledger, t)
	}
	if err != nil {
		return err
	}
	return d.sealed(ctx, i, o, t)
}

// rows checks the events and the consents of one organization.
func (d *doctor) rows(ctx context.Context, i *store.Inspection, o *consent.Organization, ledger *store.Ledger,
	t *tally) error {
	if ledger.Events == 0 {
		return nil // no consent has a history that is left
	}
	some := sample
	if d.full {
		some = 0
	}
	var catalog *consent.Catalog
	err := i.View(ctx, func(r service.Reader) (err error) {
		catalog, err = r.Catalog(ctx, o.ID)
		return err
	})
	if err != nil {
		return err
	}
	for n := range catalog.Purposes {
		if fault := catalog.Purposes[n].CheckVersions(); fault != nil {
			t.ledger.add("organization %s, purpose %q: %v", o.Slug, catalog.Purposes[n].Key, fault)
		}
	}
	if d.opener != nil {
		if err := d.events(ctx, i, o, catalog, some, t); err != nil {
			return err
		}
	}
	return i.Consents(ctx, o.ID, some, func(h *store.History) error {
		if h.Cut { // by retention; that none is missing otherwise, the ledger's own checks tell
			return nil
		}
		c := h.Consent
		if fault := consent.CheckConsent(c, h.Events, h.Merges); fault != nil {
			t.fold.add("organization %s, subject %s, purpose %d/%d: %v", o.Slug, c.Subject, c.Project, c.Purpose, fault)
		}
		t.consents++
		d.showProgress(t)
		return nil
	})
}

// events holds what events say against their rows.
func (d *doctor) events(ctx context.Context, i *store.Inspection, o *consent.Organization, catalog *consent.Catalog,
	some int, t *tally) error {
	return i.Events(ctx, o.ID, some, d.opener.Events, func(e *consent.Event) error {
		if fault := consent.CheckEvent(catalog, e); fault != nil {
			t.blob.add("organization %s, event %s: %v", o.Slug, e.ID, fault)
		}
		t.blobs++
		d.showProgress(t)
		return nil
	})
}
