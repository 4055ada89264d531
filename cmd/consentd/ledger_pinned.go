package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/ledger"
)

// pinnedNote is a checkpoint that was given, and the note that it is signed in.
type pinnedNote struct {
	*ledger.Checkpoint
	note []byte
}

// readPinned reads the checkpoint that was given; nil: none was. Its signature is still to be verified.
func readPinned(path string) (*pinnedNote, error) {
	if path == "" {
		return nil, nil
	}
	note, err := readSmall(path, maxCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("--checkpoint: %w", err)
	}
	said, _, _ := bytes.Cut(note, []byte("\n\n"))
	pinned, err := ledger.ParseCheckpoint(string(bytes.TrimSuffix(said, []byte("\n"))) + "\n")
	if err != nil {
		return nil, fmt.Errorf("--checkpoint %s: the checkpoint file is damaged: %w", path, err)
	}
	return &pinnedNote{pinned, note}, nil
}

// isOf tells whether it is of an organization's ledger.
func (p *pinnedNote) isOf(organization consent.ID) bool {
	return p != nil && strings.HasSuffix(p.Origin, "/"+organization.String())
}

// verify verifies the note by the keys of the ledger.
func (p *pinnedNote) verify(by func(note []byte) (*ledger.Checkpoint, error)) error {
	if _, err := by(p.note); err != nil {
		return fmt.Errorf("the checkpoint file is damaged: %w", err)
	}
	return nil
}

func (p *pinnedNote) pin() service.Pinned {
	return service.Pinned{LedgerRoot: consent.LedgerRoot{Size: p.Size, Root: p.Root},
		What: "the checkpoint that was given"}
}

// keptCheckpoints are the newest ones that servers keep apart from the store.
type keptCheckpoints struct {
	path string
	file *journal.Checkpoints // nil: there is no file yet, or any more
	seen map[consent.ID]bool  // organizations that were looked at
	all  map[consent.ID]consent.LedgerRoot
}

// openKept opens the file of newest checkpoints to read it; nil: none is kept.
func openKept(cfg *config.Config) (*keptCheckpoints, error) {
	keyFile, err := keyFilePath(cfg)
	if err != nil {
		return nil, err
	}
	k := &keptCheckpoints{path: journalPath(cfg, keyFile, checkpointsSuffix), seen: map[consent.ID]bool{}}
	if k.path == "" {
		return nil, nil
	}
	k.file, err = journal.OpenCheckpointsToRead(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		k.all, err = k.file.All()
	}
	return k, err
}

func (k *keptCheckpoints) close() {
	if k != nil && k.file != nil {
		_ = k.file.Close()
	}
}

// of gives what an organization's ledger has to go on from.
func (k *keptCheckpoints) of(organization consent.ID) ([]service.Pinned, error) {
	if k == nil || k.file == nil {
		return nil, nil
	}
	k.seen[organization] = true
	newest, err := k.file.Newest(organization)
	if err != nil || newest.Size == 0 {
		return nil, err
	}
	k.all[organization] = newest
	return []service.Pinned{{LedgerRoot: newest, Kept: true, Advice: recoverAdvice,
		What: "the newest checkpoint that was signed, kept in " + k.path}}, nil
}

// good says of a ledger where nothing differs how it stands to what is kept apart.
func (k *keptCheckpoints) good(found *service.Audited) string {
	switch {
	case k == nil || found.Signed == 0:
		return ""
	case k.all[found.Organization].Size == 0:
		return fmt.Sprintf("; %s has no checkpoint of it, so nothing tells whether its end was cut off", k.path)
	case found.Recovered > 0:
		return fmt.Sprintf("; it was recovered: entry %d names the newest checkpoint that is kept apart as lost",
			found.Recovered)
	}
	return "; it goes on from the newest one that is kept apart"
}

// missing gives a line of each ledger of which a checkpoint is kept, and no organization is there.
func (k *keptCheckpoints) missing() (lines []string) {
	if k == nil {
		return nil
	}
	for organization, newest := range k.all {
		if !k.seen[organization] {
			lines = append(lines, fmt.Sprintf("%s: a checkpoint of %s was signed of its ledger, kept in %s, and the "+
				"organization is not in this store. Where no other store keeps its journals there, it was lost", organization,
				entries(newest.Size), k.path))
		}
	}
	return lines
}

// isBehind tells whether a ledger is behind the newest checkpoint that is kept of it; false also where none is kept.
func isBehind(ctx context.Context, cfg *config.Config, i *inspected, organization consent.ID) (bool, error) {
	k, err := openKept(cfg)
	if err != nil {
		return false, err
	}
	defer k.close()
	pins, err := k.of(organization)
	if err != nil || len(pins) == 0 {
		return false, err
	}
	err = service.NewOpener(i.keys.file.Ring(rand.Reader), i.keys.reload).Follows(ctx, i, organization, pins[0].LedgerRoot)
	if errors.Is(err, service.ErrBehind) {
		return true, nil
	}
	return false, err
}
