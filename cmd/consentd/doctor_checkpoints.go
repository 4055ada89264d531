package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// recoverAdvice is what to do where a ledger is behind what was signed.
const recoverAdvice = "see whether anything younger can be had, a backup, a standby or the log archive; where an " +
	"older backup was put back knowingly, consentd ledger recover has the ledger go on; where none was, somebody " +
	"changed what is stored, and docs/operating.md tells how to go on"

// checkpoints holds every ledger against the newest checkpoint that was signed of it, as it is kept apart.
func (d *doctor) checkpoints(ctx context.Context, i *store.Inspection) {
	const check = "checkpoints"
	keyFile, err := keyFilePath(d.cfg)
	if err != nil && d.cfg.Journals == "" { // which was said of the keys
		return
	}
	path := journalPath(d.cfg, keyFile, checkpointsSuffix)
	if path == "" { // which was said of the erasures
		return
	}
	d.progress.step(check)
	kept, err := journal.OpenCheckpointsToRead(path)
	h := heldCheckpoints{inspection: i, opener: d.opener, file: kept}
	switch {
	case err == nil:
		defer func() { _ = kept.Close() }()
		if h.kept, err = kept.All(); err != nil {
			d.fail(check, err.Error(), damagedAdvice)
			return
		}
	case !errors.Is(err, fs.ErrNotExist):
		d.fail(check, err.Error(), damagedAdvice)
		return
	}
	err = h.all(ctx)
	if !d.ends(ctx, check, notDone) {
		d.tellCheckpoints(check, path, &h, err)
	}
}

const damagedAdvice = "mend that: no server starts without it"

func (d *doctor) tellCheckpoints(check, path string, h *heldCheckpoints, err error) {
	if behind := h.behind.all(); len(behind) > 0 {
		for _, what := range behind {
			d.fail(check, what+" (kept in "+path+")", recoverAdvice)
		}
	}
	if h.lacking > 0 {
		d.warn(check, fmt.Sprintf("%s lacks %s that were signed, such as that of organization %s", path,
			plural(int64(h.lacking), "ledger"), h.lacks), "put it back before a server starts, unless another server signed "+
			"them: else nobody sees that an older backup was put back, and a second history is signed")
	}
	if h.elsewhere > 0 { // stores that share a key file share the folder
		d.warn(check, fmt.Sprintf("%s has %s of organizations that are not in this store, such as %s", path,
			plural(int64(h.elsewhere), "ledger"), h.stranger), "where no other store keeps its journals there, the "+
			"organizations were lost: see whether a younger backup can be had")
	}
	switch {
	case err != nil:
		d.cannot(check, err)
	case h.unknown > 0:
		d.warn(check, fmt.Sprintf("%s not held against the newest checkpoints: the key file is not at hand or lacks a key",
			plural(int64(h.unknown), "ledger")), "see keys above")
	case h.lacking == 0 && len(h.behind.shown) == 0:
		d.ok(check, fmt.Sprintf("%s, each as it was when it was signed last, or longer", plural(int64(len(h.kept)),
			"ledger")))
	}
}

// heldCheckpoints holds ledgers against the newest checkpoints that are kept apart.
type heldCheckpoints struct {
	inspection *store.Inspection
	opener     *service.Opener      // nil: the key file is not at hand
	file       *journal.Checkpoints // nil: there is none
	kept       map[consent.ID]consent.LedgerRoot

	behind  faultList
	lacking int    // ledgers that were signed, and of which none is kept
	lacks   string // one of them
	unknown int    // ledgers of which it cannot be told without the key file

	elsewhere int    // ledgers that are kept, and whose organization is not in this store
	stranger  string // one of these organizations
}

// all looks at all ledgers. The error says that the store could not be read.
func (h *heldCheckpoints) all(ctx context.Context) error {
	seen := map[consent.ID]bool{}
	i := inspected{Inspection: h.inspection}
	err := i.organizations(ctx).each("", func(o *consent.OrganizationView) error {
		seen[o.ID] = true
		return h.ledger(ctx, &o.Organization)
	})
	if err != nil {
		return err
	}
	for organization := range h.kept {
		if !seen[organization] {
			h.elsewhere, h.stranger = h.elsewhere+1, organization.String()
		}
	}
	return nil
}

func (h *heldCheckpoints) ledger(ctx context.Context, o *consent.Organization) error {
	root, is := h.kept[o.ID]
	if !is {
		signed, err := service.Signed(ctx, h.inspection, o.ID)
		if err != nil || !signed {
			return err
		}
		if h.file != nil { // it may be the first one of the ledger, which a server put meanwhile
			if root, err = h.file.Newest(o.ID); err != nil || root.Size > 0 {
				return err
			}
		}
		h.lacking, h.lacks = h.lacking+1, o.Slug
		return nil
	}
	if h.opener == nil {
		h.unknown++
		return nil
	}
	err := h.opener.Follows(ctx, h.inspection, o.ID, root)
	if errors.Is(err, service.ErrBehind) {
		h.behind.add("organization %s: the ledger is behind the newest checkpoint that was signed, of %s", o.Slug,
			entries(root.Size))
		return nil
	}
	return err
}
