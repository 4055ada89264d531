package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

// The journals are called by the name of the key file and one of these.
const (
	erasuresSuffix    = ".erasures"
	checkpointsSuffix = ".checkpoints"
)

// journalPath is where a journal is; "": none is wanted.
func journalPath(cfg *config.Config, keyFile, suffix string) string {
	switch cfg.Journals {
	case config.JournalsOff:
		return ""
	case "":
		return keyFile + suffix
	}
	return filepath.Join(cfg.Journals, filepath.Base(keyFile)+suffix)
}

// journals are those of a server; nil: none are wanted.
type journals struct {
	erasures    *journal.File
	fresh       bool // there was no journal of erasures
	checkpoints *journal.Checkpoints
}

// openJournals opens the journals, or makes them.
func openJournals(cfg *config.Config, keyFile string) (*journals, error) {
	path := journalPath(cfg, keyFile, erasuresSuffix)
	if path == "" {
		return nil, nil
	}
	_, none := os.Lstat(path)
	erasures, err := journal.Open(path)
	if err != nil {
		return nil, noJournal(err)
	}
	checkpoints, err := journal.OpenCheckpoints(journalPath(cfg, keyFile, checkpointsSuffix))
	if err != nil {
		_ = erasures.Close()
		return nil, noJournal(err)
	}
	return &journals{erasures, errors.Is(none, fs.ErrNotExist), checkpoints}, nil
}

func noJournal(err error) error {
	return &exitError{exitUsage, fmt.Errorf("%w; say with --journals (CONSENTD_JOURNALS) in which folder this server may "+
		"keep it, on a disk that stays and that backups of the data do not hold, or \"off\"", err)}
}

// put gives the journals to a service. A nil one must not become an interface that holds it.
func (j *journals) put(o *service.Options) {
	if j != nil {
		o.Journal, o.Checkpoints = j.erasures, j.checkpoints
	}
}

// close closes the files, in which every line is on the disk.
func (j *journals) close() {
	if j != nil {
		_ = j.erasures.Close()
		_ = j.checkpoints.Close()
	}
}

// forgetAgain erases whom the journal names and a store that was put back still has. Nothing is answered before.
func (r *running) forgetAgain(ctx context.Context) error {
	if r.journals == nil {
		r.log.Warn("no journals are kept: a backup that is put back brings back who was erased since, and gets a second " +
			"history signed")
		return nil
	}
	if err := r.freshJournal(ctx); err != nil {
		return err
	}
	began, said := time.Now(), time.Time{}
	again, err := r.service.ForgetAgain(ctx, func(done, of int) {
		if now := time.Now(); now.Sub(said) >= progressLines || done == of {
			said = now
			r.log.Warn("the store was put back from before people were erased; they are erased again", "done", done, "of", of)
		}
	})
	var unknown *sealing.UnknownKEKError
	if errors.As(err, &unknown) {
		err = fmt.Errorf("%w; or, where the key was retired, restore a younger backup", err)
	}
	if err != nil {
		return fmt.Errorf("erase again who is in %s: %w", r.journals.erasures.Path(), err)
	}
	if again > 0 {
		r.log.Info("erased again who was erased before the store was put back", "people", again,
			"ms", time.Since(began).Milliseconds())
	}
	return nil
}

// freshJournal warns where there is no journal of erasures to a store that is none of today's.
func (r *running) freshJournal(ctx context.Context) error {
	if !r.journals.fresh {
		return nil
	}
	has, err := service.HasEntries(ctx, r.store)
	if err != nil {
		return fmt.Errorf("look whether anything is on record: %w", err)
	}
	if has {
		r.log.Warn("there was no journal of erasures, and one was made: if the store was put back from a backup, who was "+
			"erased since is back; then stop, put back the journal, and start again", "file", r.journals.erasures.Path())
	}
	return nil
}

// journal tells whether the store has whom the journal of erasures names, as one that was just put back.
func (d *doctor) journal(ctx context.Context, v service.Viewer) {
	const check = "erasures"
	keyFile, err := keyFilePath(d.cfg)
	if err != nil && d.cfg.Journals == "" { // which was said of the keys
		return
	}
	path := journalPath(d.cfg, keyFile, erasuresSuffix)
	if path == "" {
		d.warn(check, "no journal of erasures is kept", "keep the journals (--journals): else a backup that is put back "+
			"brings back who was erased since, and gets a second history signed")
		return
	}
	file, err := journal.OpenToRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.noJournal(ctx, v, check, path)
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

// noJournal says of a journal that is not there whether it is missing.
func (d *doctor) noJournal(ctx context.Context, v service.Viewer, check, path string) {
	has, err := service.HasEntries(ctx, v)
	switch {
	case d.ends(ctx, check, notDone):
	case err != nil:
		d.cannot(check, err)
	case has:
		d.warn(check, "there is no journal of erasures, "+path+", though there are entries on record", "put it back before "+
			"a server starts, which makes an empty one: else whom a backup brings back stays")
	default:
		d.ok(check, "there is no journal of erasures yet; consentd serve makes "+path)
	}
}
