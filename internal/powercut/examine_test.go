package powercut_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/ledger"
)

// examination looks at a server that was started after a cut.
type examination struct {
	*told
	p      *place
	gone   map[consent.SubjectKey]bool
	faults []string
}

func (e *examination) faultf(format string, args ...any) {
	e.faults = append(e.faults, fmt.Sprintf(format, args...))
}

func (e *examination) run(ctx context.Context) error {
	if err := e.people(ctx); err != nil {
		return err
	}
	organizations, err := e.organizations(ctx)
	if err != nil {
		return err
	}
	for organization := range e.shown {
		if !organizations[organization] {
			e.faultf("organization %s is gone, of which a checkpoint was shown", organization)
		}
	}
	for organization := range organizations {
		if err := e.ledger(ctx, organization); err != nil {
			return err
		}
	}
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	for _, outcome := range []string{service.CheckpointBehind, service.CheckpointRefused} {
		if n := e.p.outcomes[outcome]; n > 0 {
			e.faultf("checkpoints %s: %d", outcome, n)
		}
	}
	return nil
}

// people looks for who and what was acknowledged.
func (e *examination) people(ctx context.Context) error {
	return e.p.store.View(ctx, func(r service.Reader) error {
		list, err := r.ErasedAfter(ctx, consent.ErasedSubject{}, 100_000)
		if err != nil {
			return err
		}
		e.gone = map[consent.SubjectKey]bool{}
		for i := range list {
			e.gone[list[i].SubjectKey] = true
			if _, asked := e.begun[list[i].SubjectKey]; !asked {
				e.faultf("%v is erased, and nobody asked for it", list[i].SubjectKey)
			}
		}
		for of := range e.erased {
			if !e.gone[of] {
				e.faultf("%v is not erased", of)
			}
			if !bytes.Contains(e.files[erasuresFile], []byte(of.Subject.String())) {
				e.faultf("that %v is erased is not in the journal", of)
			}
		}
		for id, of := range e.events {
			found, err := r.Event(ctx, of.Organization, id)
			if err != nil {
				return err
			}
			if (found == nil) != e.gone[of] {
				e.faultf("event %s of %v is there: %t; its person is erased: %t", id, of, found != nil, e.gone[of])
			}
			secrets, err := r.SubjectSecrets(ctx, []consent.SubjectKey{of})
			if err != nil {
				return err
			}
			if (secrets[0] == nil) != e.gone[of] {
				e.faultf("the secret of %v is there: %t; it is erased: %t", of, secrets[0] != nil, e.gone[of])
			}
		}
		return nil
	})
}

func (e *examination) organizations(ctx context.Context) (map[consent.ID]bool, error) {
	found := map[consent.ID]bool{}
	err := e.p.store.View(ctx, func(r service.Reader) error {
		list, _, err := r.Organizations(ctx, consent.NoID, consent.OrganizationFilter{Limit: 100})
		for i := range list {
			found[list[i].ID] = true
		}
		return err
	})
	return found, err
}

// ledger holds one against its checkpoints: those that were shown, the one beside the key file, and the one in the
// store. Then it has the next one signed.
func (e *examination) ledger(ctx context.Context, organization consent.ID) error {
	beside, err := e.p.signed.Newest(organization)
	if err != nil {
		return err
	}
	var head consent.Head
	var stored *consent.Checkpoint
	err = e.p.store.View(ctx, func(r service.Reader) error {
		heads, err := r.Heads(ctx, []consent.ID{organization})
		if err != nil {
			return err
		}
		head = heads[organization]
		stored, err = r.Checkpoint(ctx, organization)
		return err
	})
	if err != nil {
		return err
	}
	roots := []consent.LedgerRoot{beside, e.shown[organization]}
	if stored != nil {
		roots = append(roots, rootOf(e.p.t, stored))
	}
	if shown := e.shown[organization]; shown.Size > 0 && (stored == nil || stored.Size < shown.Size) {
		e.faultf("a checkpoint of %d entries was shown, and is gone", shown.Size)
	}
	if shown := e.shown[organization]; beside.Size < shown.Size {
		e.faultf("a checkpoint of %d entries was shown, and that beside the key file has %d", shown.Size, beside.Size)
	}
	for _, root := range roots {
		if root.Size > head.Sequence {
			e.faultf("a checkpoint covers %d entries, the ledger has %d", root.Size, head.Sequence)
			continue
		}
		if err := e.audit(ctx, organization, root); err != nil {
			return err
		}
	}
	return e.sign(ctx, organization, head.Sequence)
}

// audit hashes all entries again, and has the ledger go on from a root.
func (e *examination) audit(ctx context.Context, organization consent.ID, root consent.LedgerRoot) error {
	ring, _, err := e.p.reload(true)
	if err != nil {
		return err
	}
	signing, _ := e.p.keys.SigningKey()
	auditor := &service.Auditor{View: e.p.store.View, Keys: ring, SigningKey: signing,
		Fault:    func(f service.AuditFault) { e.faultf("entry %d, %s: %s", f.Sequence, f.Field, f.What) },
		Progress: func(int64) {}}
	audit, err := auditor.Ledger(ctx, organization)
	if err != nil {
		return err
	}
	var pins []service.Pinned
	if root.Size > 0 {
		pins = []service.Pinned{{LedgerRoot: root, What: "the newest one that was shown"}}
	}
	_, err = audit.Run(ctx, 0, pins)
	return err
}

// sign has what the ledger has now covered by a checkpoint.
func (e *examination) sign(ctx context.Context, organization consent.ID, size int64) error {
	a, err := e.p.root.In(organization)
	if err != nil || size == 0 {
		return err
	}
	if !e.p.svc.AwaitCheckpoint(ctx, a, size, time.Minute) {
		return fmt.Errorf("no further checkpoint was signed: %s", e.p.log.String())
	}
	newest, err := e.p.svc.Checkpoint(ctx, a)
	if err == nil {
		e.p.note(shown{organization, rootOf(e.p.t, newest)})
	}
	return err
}

// file looks at the database when the server has ended, as consentd doctor does.
func (e *examination) file(ctx context.Context) error {
	f, err := sqlite.Inspect(e.p.folder)
	if err != nil {
		return err
	}
	i := store.Inspect(f)
	defer i.Close()
	found, err := f.Integrity(ctx, true)
	if err != nil {
		return err
	}
	dangling, err := f.ForeignKeys(ctx)
	if err != nil {
		return err
	}
	e.faults = append(append(e.faults, found...), dangling...)
	organizations, err := e.organizationsOf(ctx, i)
	if err != nil {
		return err
	}
	for _, organization := range organizations {
		if err := e.rows(ctx, i, organization); err != nil {
			return err
		}
	}
	return e.bytes()
}

func (e *examination) organizationsOf(ctx context.Context, i *store.Inspection) (ids []consent.ID, err error) {
	err = i.View(ctx, func(r service.Reader) error {
		list, _, err := r.Organizations(ctx, consent.NoID, consent.OrganizationFilter{Limit: 100})
		for n := range list {
			ids = append(ids, list[n].ID)
		}
		return err
	})
	return ids, err
}

// rows looks at the ledger of one organization, its events and its consents.
func (e *examination) rows(ctx context.Context, i *store.Inspection, organization consent.ID) error {
	whole, err := i.Ledger(ctx, organization)
	if err != nil {
		return err
	}
	e.faults = append(e.faults, whole.Faults...)
	var catalog *consent.Catalog
	err = i.View(ctx, func(r service.Reader) (err error) {
		catalog, err = r.Catalog(ctx, organization)
		return err
	})
	if err != nil {
		return err
	}
	ring, _, err := e.p.reload(true)
	if err != nil {
		return err
	}
	err = i.Events(ctx, organization, 0, service.NewOpener(ring, nil).Events, func(event *consent.Event) error {
		if fault := consent.CheckEvent(catalog, event); fault != nil {
			e.faultf("event %s: %v", event.ID, fault)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return i.Consents(ctx, organization, 0, func(h *store.History) error {
		if fault := consent.CheckConsent(h.Consent, h.Events, h.Merges); fault != nil {
			e.faultf("consent of %s: %v", h.Consent.Subject, fault)
		}
		return nil
	})
}

// bytes looks for the names of who is erased.
func (e *examination) bytes() error {
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
		content, err := os.ReadFile(e.p.path(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for of := range e.gone {
			if bytes.Contains(content, []byte(e.begun[of])) {
				e.faultf("%s of %v stands in %s", e.begun[of], of, name)
			}
		}
	}
	return nil
}

func rootOf(t testing.TB, c *consent.Checkpoint) consent.LedgerRoot {
	t.Helper()
	text, _, _ := bytes.Cut(c.Note, []byte("\n\n"))
	said, err := ledger.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return consent.LedgerRoot{Size: said.Size, Root: said.Root}
}
