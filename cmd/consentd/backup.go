package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/store/sqlite"
)

type backupCmd struct {
	Settings
	To string `required:"" help:"File to make; it must not be there yet." placeholder:"FILE" type:"path"`
}

// Help implements kong.HelpProvider.
func (backupCmd) Help() string {
	return `Copies the database of the data folder, as it is at one moment, to a file. It works beside a running server,
which goes on; the copy has everything that was acknowledged before it began. The file holds people's data: it is made
for its owner alone, and should be kept so.

It holds neither the key file, without which it is worth nothing, nor the journals of who was erased and of what was
signed since. To restore:

	mkdir -m 700 /var/lib/consentd.new
	cp /backup/consentd.db /var/lib/consentd.new/consentd.db
	cp /vault/kek /var/lib/consentd.new/           # the key file
	cp /vault/kek.erasures /var/lib/consentd.new/  # the journals, as they are now
	cp /vault/kek.checkpoints /var/lib/consentd.new/
	consentd doctor --full --data /var/lib/consentd.new
	consentd serve --data /var/lib/consentd.new

PostgreSQL has tools of its own: see docs/operating.md, which tells more.

Examples:

	consentd backup --to /backup/consentd-$(date +%F).db
	consentd backup --data /var/lib/consentd --to /backup/consentd.db

Exit codes: 0 the copy is on disk and sound, 1 failed, 2 wrong command line.`
}

// Run makes a copy.
func (b *backupCmd) Run() error {
	cfg, err := b.load()
	if err != nil {
		return err
	}
	if cfg.Database != "" {
		return &exitError{exitUsage, errors.New("the data is in PostgreSQL: back it up with pg_dump or pg_basebackup, as " +
			"docs/operating.md tells")}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	began := time.Now()
	err = sqlite.Backup(ctx, cfg.Data, b.To)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already: name a file that is not, so that no copy is lost", b.To)
	case errors.Is(err, fs.ErrNotExist) && hasDatabase(cfg) != nil:
		return hasDatabase(cfg)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s for the copy: make it (mkdir -p -m 700), or name another by --to",
			filepath.Dir(b.To))
	case err != nil:
		return fmt.Errorf("back up %s to %s: %w", cfg.Data, b.To, err)
	}
	info, err := os.Stat(b.To)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MiB in %s, on disk and sound\n", b.To, float64(info.Size())/(1<<20),
		time.Since(began).Round(time.Millisecond))
	kek, err := keyFilePath(cfg)
	if err == nil {
		fmt.Printf("The key file %s is not in it. Keep a copy of that apart from backups: without it no server starts "+
			"from this one, and it proves nothing.\n", kek)
	}
	return err
}
