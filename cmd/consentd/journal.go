package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/service"
)

// journalSuffix ends the name of the journal of erasures beside the key file.
const journalSuffix = ".erasures"

// journalPath is where the journal of erasures is; "": none is wanted.
func journalPath(cfg *config.Config, keyFile string) string {
	switch cfg.ErasureJournal {
	case config.JournalOff:
		return ""
	case "":
		return keyFile + journalSuffix
	}
	return cfg.ErasureJournal
}

// openJournal opens the journal of erasures, or makes it; nil: none is wanted.
func openJournal(cfg *config.Config, keyFile string) (*journal.File, error) {
	path := journalPath(cfg, keyFile)
	if path == "" {
		return nil, nil
	}
	file, err := journal.Open(path)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%w; say with --erasure-journal (CONSENTD_ERASURE_JOURNAL) where this "+
			"server may keep it, on a disk that stays and that backups of the data do not hold, or \"off\"", err)}
	}
	return file, nil
}

// serviceJournal gives a journal to a service. A nil one must not become an interface that holds it.
func serviceJournal(f *journal.File) service.Journal {
	if f == nil {
		return nil
	}
	return f
}

// forgetAgain erases whom the journal names and a store that was put back still has. Nothing is answered before.
func (r *running) forgetAgain(ctx context.Context) error {
	if r.journal == nil {
		r.log.Warn("no journal of erasures is kept: a backup that is put back brings back who was erased since")
		return nil
	}
	began, said := time.Now(), time.Time{}
	again, err := r.service.ForgetAgain(ctx, func(done, of int) {
		if now := time.Now(); now.Sub(said) >= progressLines || done == of {
			said = now
			r.log.Warn("the store was put back from before people were erased; they are erased again", "done", done, "of", of)
		}
	})
	if err != nil {
		return fmt.Errorf("erase again who is in %s: %w", r.journal.Path(), err)
	}
	if again > 0 {
		r.log.Info("erased again who was erased before the store was put back", "people", again,
			"ms", time.Since(began).Milliseconds())
	}
	return nil
}

// journal tells whether the store has whom the journal of erasures names, as one that was just put back.
func (d *doctor) journal(ctx context.Context, v service.Viewer) {
	const check = "erasures"
	keyFile, err := keyFilePath(d.cfg)
	if err != nil && d.cfg.ErasureJournal == "" { // which was said of the keys
		return
	}
	path := journalPath(d.cfg, keyFile)
	if path == "" {
		d.warn(check, "no journal of erasures is kept", "keep one (--erasure-journal): else a backup that is put back brings "+
			"back who was erased since")
		return
	}
	file, err := journal.OpenToRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.ok(check, "there is no journal of erasures yet; consentd serve makes "+path)
		return
	}
	var lost int
	if err == nil {
		defer func() { _ = file.Close() }()
		d.progress.step(check)
		lost, err = service.LostErasures(ctx, v, file)
	}
	switch {
	case d.ends(ctx, check, notDone):
	case err != nil:
		d.fail(check, err.Error(), "mend that, or put back a copy of the journal: no server starts without it")
	case lost > 0:
		d.warn(check, fmt.Sprintf("the store has %s whom the journal names as erased: it was put back from before",
			plural(lost, "record")), "start consentd serve, which erases them again before it answers, and use no other "+
			"command for people until then")
	default:
		d.ok(check, "who is in the journal is erased in the store")
	}
}
