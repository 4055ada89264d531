package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// ledgerCmd groups what looks at whole ledgers.
type ledgerCmd struct {
	Verify ledgerVerifyCmd `cmd:"" help:"Hold every entry on record against what was committed."`
	Export ledgerExportCmd `cmd:"" help:"Write an organization's ledger into a folder, for an auditor."`
	Audit  ledgerAuditCmd  `cmd:"" help:"Verify such a folder, with nothing else."`

	Recover ledgerRecoverCmd `cmd:"" help:"Have a ledger go on that is behind the newest checkpoint signed of it."`
}

// Help implements kong.HelpProvider.
func (ledgerCmd) Help() string {
	return `Each organization has a ledger: every decision, in the order in which they were recorded, under a signed tree.
These commands prove that it is what was put on record. They work beside a running server, and but for recover they
change nothing.

verify looks at the data itself, and names what somebody changed in it. export writes a ledger into a folder, and audit
verifies such a folder, which needs nothing of ours. recover is for when a backup was put back. Of one person's
decisions, GET …/subjects/ID/evidence gives a bundle that consentd verify verifies.

Examples:

	consentd ledger verify --data /var/lib/consentd
	consentd ledger export --data /var/lib/consentd --organization shop /media/audit/shop
	consentd ledger audit /media/audit/shop

Exit codes: 0 all is as it was committed, 1 something is not, 2 it could not be looked at.`
}

// inspected is a store that is looked at, with the key file that it goes with.
type inspected struct {
	*store.Inspection
	keys *keyFile
}

// auditor gives what looks at the ledgers, beside who rotates keys.
func (i *inspected) auditor() service.Auditor {
	key, _ := i.keys.file.SigningKey()
	return service.Auditor{View: i.View, Keys: i.keys.file.Ring(rand.Reader), ReloadKeys: i.keys.reload, SigningKey: key}
}

// inspectStore opens the store and the key file of a configuration to be looked at, beside a server or without one.
func inspectStore(ctx context.Context, cfg *config.Config) (*inspected, error) {
	i, err := openInspection(ctx, cfg)
	if err != nil {
		return nil, err
	}
	keys, err := keysOf(ctx, cfg, i)
	if err != nil {
		_ = i.Close()
		return nil, err
	}
	return &inspected{i, keys}, nil
}

func openInspection(ctx context.Context, cfg *config.Config) (*store.Inspection, error) {
	if cfg.Database != "" {
		e, err := postgres.Inspect(ctx, postgresOptions(cfg, slog.New(slog.DiscardHandler), false))
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", cfg.Place(), err)
		}
		return store.Inspect(e), nil
	}
	file, err := sqlite.Inspect(cfg.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data folder %s holds no database: name the folder with --data, or the database with "+
			"--database", cfg.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", cfg.Data, err)
	}
	return store.Inspect(file), nil
}

// keysOf reads the key file that a store goes with.
func keysOf(ctx context.Context, cfg *config.Config, i *store.Inspection) (*keyFile, error) {
	if _, err := keyFilePath(cfg); err != nil {
		return nil, err
	}
	have, want, err := i.Schema(ctx)
	if err == nil && have != want {
		err = fmt.Errorf("the schema is of version %d, and this consentd wants %d: use the one that the server is of", have,
			want)
	}
	if err != nil {
		return nil, err
	}
	keys, err := knownKeys(ctx, cfg, i)
	if errors.Is(err, errNoKeyFileYet) {
		return nil, fmt.Errorf("nothing was ever put on record in here: %w", err)
	}
	return keys, err
}

// organizations lists the organizations of a store.
func (i *inspected) organizations(ctx context.Context) organizationsFrom {
	return func(offset int) (list []consent.OrganizationView, err error) {
		err = i.View(ctx, func(r service.Reader) (err error) {
			list, _, err = r.Organizations(ctx, consent.NoID, consent.OrganizationFilter{Offset: offset, Limit: page})
			return err
		})
		return list, err
	}
}
