package main

import (
	"context"
	"fmt"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/service"
)

// journalSuffix ends the name of the journal of erasures beside the key file.
const journalSuffix = ".erasures"

// openJournal opens the journal of erasures, or makes it; nil: none is wanted.
func openJournal(cfg *config.Config, keyFile string) (*journal.File, error) {
	path := cfg.ErasureJournal
	if path == config.JournalOff {
		return nil, nil
	}
	if path == "" {
		path = keyFile + journalSuffix
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
