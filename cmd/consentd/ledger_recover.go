package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/journal"
)

type ledgerRecoverCmd struct {
	Settings
	Organization string `help:"Id or slug of the organization; default: the only one there is." placeholder:"ID"`
	Reason       string `help:"Why, such as which backup was put back. It stays for good." required:"" placeholder:"TEXT"`
}

// Help implements kong.HelpProvider.
func (ledgerRecoverCmd) Help() string {
	return `Has a ledger go on that is behind the newest checkpoint that was signed of it, as after a backup was put back:
decisions are missing that an auditor may hold a proof of, so servers sign nothing, and /readyz says so. Reads and
writes go on meanwhile.

First see that nothing better can be had: a younger backup, a standby, the log archive. What was lost can be sent again
by clients, before or after this.

It adds an entry to the ledger that names the lost checkpoint by its size and root, for good; within a minute servers
sign again. What was proved before stays proved by the checkpoints of then. It works beside a running server. Over
PostgreSQL run it with the files of each server that says that it is behind.

Examples:

	consentd ledger recover --organization shop --reason disk-lost-and-backup-of-2026-11-26-put-back

Exit codes: 0 done; 1 failed, or nothing is lost; 2 wrong command line.`
}

// Run adds the epoch.
func (c *ledgerRecoverCmd) Run() error {
	if strings.TrimSpace(c.Reason) == "" {
		return &exitError{exitUsage, errors.New("--reason must say why the ledger goes on: it stays for good")}
	}
	return c.onFolder(true, func(ctx context.Context, f *folder) error {
		if f.noKeys != nil {
			return f.noKeys
		}
		path := journalPath(f.cfg, f.keyFile, checkpointsSuffix)
		if path == "" {
			return &exitError{exitUsage, errors.New("no journals are kept (--journals off), so it is not known what was lost")}
		}
		kept, err := journal.OpenCheckpointsToRead(path)
		if err != nil {
			return fmt.Errorf("it is not known what was lost: %w", err)
		}
		defer func() { _ = kept.Close() }()
		o, err := f.organizations(ctx).only(c.Organization)
		if err != nil {
			return err
		}
		lost, sequence, err := f.service.RecoverLedger(ctx, kept, o.ID, c.Reason)
		if err != nil {
			return fmt.Errorf("ledger of %s: %w", o.Slug, err)
		}
		fmt.Printf("The ledger of %s goes on with entry %d. What it names as lost is the checkpoint of %s with the "+
			"root\n%s.\nServers sign again within a minute.\n", o.Slug, sequence, entries(lost.Size),
			base64.StdEncoding.EncodeToString(lost.Root[:]))
		return nil
	})
}
