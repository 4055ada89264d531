package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/audit"
)

type ledgerAuditCmd struct {
	Dir        string   `arg:"" help:"Folder that consentd ledger export made." placeholder:"DIR"`
	Vkey       []string `sep:"none" help:"Key of the ledger, as its owner publishes it, repeatable." placeholder:"KEY"`
	Checkpoint string   `help:"An earlier checkpoint of the ledger, which it has to go on from." placeholder:"FILE"`
}

// Help implements kong.HelpProvider.
func (ledgerAuditCmd) Help() string {
	return `Verifies the folder of a ledger: that the checkpoint is signed, that the tree over all leaves is the one that
was signed, that every entry is what its leaf commits to, that the texts are those that people were shown, and that
replaying the decisions gives the consents. It needs no network, no database and no key file, and changes nothing.

Without --vkey the signature is verified by the folder's own keys: that proves that the folder agrees with itself, and
not whose it is. The owner publishes the key, or GET …/ledger/keys gives it. A checkpoint that you kept from before,
given by --checkpoint, proves that nothing of what it covered was changed since.

No leaf commits to whose an entry is (subject), to its id, and to the parts of a millisecond of recordedAt. Who was
merged into whom, and which versions of purposes there were, entries tell, and that is held against the consents.

Examples:

	consentd ledger audit /media/audit/shop --vkey 'shop.example/0192…+1a2b3c4d+AQ…'
	consentd ledger audit /media/audit/shop --checkpoint shop-2026-01.txt

Progress goes to stderr: every second on a terminal, else every 5 s.

Exit codes: 0 all holds; 1 something does not, and is named; 2 the folder is none of a ledger, or could not be read to
the end.`
}

// Run audits the folder.
func (c *ledgerAuditCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	given, err := readPinned(c.Checkpoint)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	var pinned []byte
	if given != nil {
		pinned = given.note
	}
	began := time.Now()
	var p progress
	var faults, shown int64
	var step string
	var done int64
	p.start(os.Stderr, terminalWidth(os.Stderr), func() string {
		if step == "" {
			return ""
		}
		return fmt.Sprintf("%s verified: %d", step, done)
	})
	report, err := audit.Verify(ctx, c.Dir, audit.Options{Keys: c.Vkey, Pinned: pinned,
		Progress: func(what string, n int64) {
			p.mu.Lock()
			defer p.mu.Unlock()
			step, done = what, n
		},
		Fault: func(what string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if faults++; shown < mostFaults {
				shown++
				p.clear()
				fmt.Printf("FAIL  %s\n", graphic(what)) // it may be somebody else's folder
			}
		}})
	p.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return &exitError{exitUsage, errors.New("stopped by a signal; not all was looked at")}
	case err != nil:
		return &exitError{exitUsage, errors.New(graphic(err.Error()))}
	}
	return c.tell(report, faults, shown, time.Since(began))
}

// tell prints what was seen.
func (c *ledgerAuditCmd) tell(r *audit.Report, faults, shown int64, took time.Duration) error {
	if faults > shown {
		fmt.Printf("FAIL  and %d more\n", faults-shown)
	}
	fmt.Printf("The ledger %s has %s: %d as committed, %d about people who were erased since, of which the leaf alone is "+
		"left, and %d that retention dropped.\n", graphic(r.Origin), entries(r.Size), r.Opened, r.Erased, r.Dropped)
	if r.Signed && !r.OwnKey {
		fmt.Println("The checkpoint is signed by a key that was given (--vkey).")
	}
	if r.Pinned > 0 {
		fmt.Printf("It goes on from the checkpoint that was given (--checkpoint), over %s.\n", entries(r.Pinned))
	}
	fmt.Printf("%s follow from them", plural(r.Consents, "consent"))
	if r.Unstated > 0 {
		fmt.Printf(", of which for %d it is not said how they stand, since decisions from behind the checkpoint, or dropped "+
			"ones, belong to them", r.Unstated)
	}
	fmt.Println(".")
	if r.Merged > 0 {
		fmt.Printf("NOTE  %s rest on decisions of others, of whom it is said that they are the same person: retention has "+
			"dropped the entries that told it.\n", plural(r.Merged, "consent"))
	}
	for _, e := range r.Epochs {
		fmt.Printf("NOTE  Entry %d says that the ledger goes on from before a checkpoint of %s that was lost, root %s: %s\n",
			e.Sequence, entries(e.Lost.Size), base64.StdEncoding.EncodeToString(e.Lost.Root[:]), graphic(e.Reason))
	}
	if r.OwnKey {
		fmt.Println("NOTE  The signature was verified by the folder's own key: whoever made the folder may have made the " +
			"key too. Give the owner's with --vkey.")
	}
	took = took.Round(100 * time.Millisecond)
	if faults > 0 {
		fmt.Printf("\nNOT as it was committed: %s, in %s.\n", plural(faults, "difference"), took)
		return errSaid
	}
	fmt.Printf("\nAll holds, in %s.\n", took)
	return nil
}
