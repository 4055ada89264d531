package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/consentd/consentd/internal/audit"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

type ledgerExportCmd struct {
	Settings
	Organization string `help:"Id or slug of the organization; default: the only one there is." placeholder:"ID"`
	Dir          string `arg:"" help:"Folder to make." placeholder:"DIR"`
}

// Help implements kong.HelpProvider.
func (ledgerExportCmd) Help() string {
	return `Writes the whole ledger of an organization into a folder that an auditor verifies without us: the newest
signed checkpoint, the tiles of the tree (C2SP tlog-tiles), what each leaf commits to, the texts that people were shown,
and the consents that follow. It changes nothing, and may run beside a server. Each entry is held against its leaf on
the way. What was recorded behind the newest checkpoint is left out.

The folder holds personal data, readable by its owner alone. Of people who were erased it holds no more than that there
were entries.

Examples:

	consentd ledger export --organization shop /media/audit/shop
	consentd ledger audit /media/audit/shop

Progress goes to stderr: every second on a terminal, else every 5 s.

Exit codes: 0 exported; 1 failed, and the folder is not whole: delete it; 2 wrong command line.`
}

// Run exports the ledger.
func (c *ledgerExportCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	cfg, err := c.load()
	if err != nil {
		return err
	}
	i, err := inspectStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer i.Close()
	o, err := i.organizations(ctx).only(c.Organization)
	if err != nil {
		return err
	}
	behind, err := isBehind(ctx, cfg, i, o.ID)
	if err != nil {
		return err
	}
	x := &ledgerExporter{inspected: i, organization: o.ID, behind: behind, texts: map[string]bool{}}
	x.progress.start(os.Stderr, terminalWidth(os.Stderr), func() string {
		return fmt.Sprintf("%s, %s written", entries(x.read), plural(x.consents, "consent"))
	})
	err = x.export(ctx, c.Dir)
	x.progress.end()
	if err != nil && ctx.Err() != nil {
		err = errors.New("stopped by a signal")
	}
	if err != nil {
		return fmt.Errorf("export the ledger of %s: %w", o.Slug, err)
	}
	if behind {
		fmt.Println("NOTE  The store is behind the newest checkpoint that was signed of this ledger, and the folder ends " +
			"before it. Servers sign nothing more until the operator has run consentd ledger recover.")
	}
	fmt.Printf("Exported %s and %s of %s to %s.\nVerify it with: consentd ledger audit %s\n", entries(x.read),
		plural(x.consents, "consent"), o.Slug, c.Dir, c.Dir)
	return nil
}

// ledgerExporter writes a ledger into a folder.
type ledgerExporter struct {
	*inspected
	progress       progress
	organization   consent.ID
	behind         bool // the newest checkpoint that was signed
	ledger         *service.LedgerAudit
	out            *audit.Writer
	size           int64               // of the checkpoint
	texts          map[string]bool     // that were written; begins anew where there are many
	waiting        [][]byte            // hashes of texts to be written
	apart          map[consent.ID]bool // from whom somebody was taken apart again behind the checkpoint
	read, consents int64               // guarded by progress.mu
}

func (x *ledgerExporter) export(ctx context.Context, dir string) error {
	dropped, err := x.Dropped(ctx, x.organization)
	if err != nil {
		return err
	}
	auditor := x.auditor()
	auditor.Fault = func(service.AuditFault) {} // the export ends with an error
	if x.ledger, err = auditor.Ledger(ctx, x.organization); err != nil {
		return err
	}
	said, note, keys, err := x.ledger.Checkpoint()
	if err != nil {
		return err
	}
	if x.out, err = audit.Create(dir); err != nil {
		return err
	}
	x.size = said.Size
	if err := x.ledger.Each(ctx, dropped, func(e *service.OpenedEntry) error { return x.entry(ctx, e) }); err != nil {
		return err
	}
	if err := x.writeTexts(ctx); err != nil {
		return err
	}
	if err := x.writeConsents(ctx, dropped); err != nil {
		return err
	}
	if later, err := x.Dropped(ctx, x.organization); err != nil || later != dropped {
		return errors.Join(err, errors.New("retention dropped entries meanwhile: delete the folder, and run it again"))
	}
	erased, err := x.ledger.ErasedSince(ctx)
	if err != nil {
		return err
	}
	if erased && x.behind {
		return errors.New("somebody was erased behind the newest checkpoint, and may be in the folder: delete it. The " +
			"store is behind the newest checkpoint that was signed: run consentd ledger recover, and then this again")
	}
	if erased {
		return errors.New("somebody was erased behind the newest checkpoint, and may be in the folder: delete it, and run " +
			"it again; a running server signs a checkpoint within a second")
	}
	verifiers := make([]audit.Key, len(keys))
	for n, k := range keys {
		verifiers[n] = audit.Key{Key: k.Text, FromSize: k.FromSize, From: k.From}
	}
	return x.out.Close(note, said, verifiers)
}

// knownTexts is how many names of texts are remembered: of more, some are looked for again.
const knownTexts = 50_000

func (x *ledgerExporter) entry(ctx context.Context, e *service.OpenedEntry) error {
	err := x.out.Add(&audit.Entry{Sequence: e.Sequence, ID: e.ID, Kind: e.Kind, Subject: e.Subject,
		RecordedAt: e.RecordedAt, ErasedBy: e.ErasedBy, Leaf: e.Leaf, Hash: e.Hash, Opening: e.Opening})
	if err != nil {
		return err
	}
	x.progress.mu.Lock()
	x.read++
	x.progress.mu.Unlock()
	name := string(e.TextName())
	if name == "" || x.texts[name] {
		return nil
	}
	hash, err := hex.DecodeString(strings.TrimPrefix(name, "sha256:"))
	if err != nil {
		return fmt.Errorf("entry %d: its text has no name: %w", e.Sequence, service.ErrNotCommitted)
	}
	x.texts[name] = true
	x.waiting = append(x.waiting, hash)
	if len(x.waiting) >= 100 {
		return x.writeTexts(ctx)
	}
	return nil
}

// writeTexts writes the texts that wait.
func (x *ledgerExporter) writeTexts(ctx context.Context) error {
	texts, err := x.ledger.Texts(ctx, x.waiting)
	for _, text := range texts {
		if err == nil {
			err = x.out.AddText(text)
		}
	}
	if x.waiting = x.waiting[:0]; len(x.texts) > knownTexts {
		clear(x.texts)
	}
	return err
}

// writeConsents writes all consents.
func (x *ledgerExporter) writeConsents(ctx context.Context, dropped int64) error {
	var catalog *consent.Catalog
	err := x.View(ctx, func(r service.Reader) (err error) {
		catalog, err = r.Catalog(ctx, x.organization)
		return err
	})
	if err != nil {
		return err
	}
	if x.apart, err = x.takenApart(ctx); err != nil {
		return err
	}
	err = x.Consents(ctx, x.organization, 0, func(h *store.History) error {
		if h.Cut && dropped == 0 {
			return fmt.Errorf("a decision about subject %s is missing: %w", h.Consent.Subject, service.ErrNotCommitted)
		}
		line := x.decisions(h)
		if len(line.Decisions) == 0 {
			return nil // all are from behind the checkpoint, or dropped
		}
		if err := x.standing(catalog, h.Consent, line); err != nil {
			return err
		}
		x.progress.mu.Lock()
		x.consents++
		x.progress.mu.Unlock()
		return x.out.AddConsent(line)
	})
	if err != nil {
		return err
	}
	if apart, err := x.takenApart(ctx); err != nil || !maps.Equal(apart, x.apart) {
		return errors.Join(err, errors.New("a merge was undone meanwhile: delete the folder, and run it again"))
	}
	return nil
}

// takenApart tells from whom somebody was taken apart again behind the checkpoint. By its entries they are still one.
func (x *ledgerExporter) takenApart(ctx context.Context) (map[consent.ID]bool, error) {
	const page = 1000
	apart := map[consent.ID]bool{}
	for after := (consent.SubjectMerge{}); ; {
		var found []consent.SubjectMerge
		err := x.View(ctx, func(r service.Reader) (err error) {
			found, err = r.AllMerges(ctx, x.organization, after, page)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if !m.UndoneAt.IsZero() && m.UndoneAfter >= x.size {
				apart[m.Into] = true
			}
		}
		if len(found) < page {
			return apart, nil
		}
		after = found[len(found)-1]
	}
}

// decisions begins the line of a consent: who it is about, and what it follows from.
func (x *ledgerExporter) decisions(h *store.History) *audit.Consent {
	line := &audit.Consent{Subject: h.Consent.Subject, Dropped: h.Cut}
	for i := range h.Events {
		if sequence := h.Events[i].Sequence; sequence <= x.size {
			line.Decisions = append(line.Decisions, sequence)
		} else {
			line.Later = true
		}
	}
	slices.Sort(line.Decisions)
	line.Later = line.Later || x.apart[line.Subject]
	for _, m := range h.Merges {
		line.Later = line.Later || m.After >= x.size || x.apart[m.Into]
		line.Merges = append(line.Merges, audit.Merge{Into: m.Into, From: m.From, Number: m.Number, MergedAt: m.MergedAt,
			RecordedAt: m.RecordedAt, After: m.After})
	}
	return line
}

// standing ends the line of a consent: what it is about, and how it stands.
func (x *ledgerExporter) standing(catalog *consent.Catalog, c *consent.Consent, line *audit.Consent) error {
	project, purpose := catalog.ProjectNumbered(c.Project), catalog.PurposeNumbered(c.Project, c.Purpose)
	if project == nil || purpose == nil {
		return fmt.Errorf("a consent to a purpose that is not there: %w", service.ErrNotCommitted)
	}
	line.Project, line.Purpose = project.ID, purpose.Key
	if !line.Later && !line.Dropped {
		line.Standing = audit.Standing{DecidedBy: c.Event, PurposeVersion: c.PurposeVersion, State: c.State.String(),
			Weight: int(c.Weight), Grants: c.Grants, Active: c.Active, OccurredAt: c.OccurredAt, ExpiresAt: c.ExpiresAt,
			Since: c.Since}
	}
	return nil
}
