package service

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
)

// tryPart does with a part of a dry run all but the writing, and keeps what the next part has to know of it, in the
// transaction that moves the import.
func (s *Service) tryPart(ctx context.Context, part *consent.Prepared) (recorded *consent.Recorded, err error) {
	err = s.commit(ctx, part.Actor.Organization, func(tx Tx) error {
		known, err := s.keys.indexesOf(ctx, tx, part.Actor.Organization)
		if err != nil {
			return err
		}
		trial := &trialTx{Tx: tx, of: part.Import.ImportKey, index: known.imported,
			plain: map[consent.Identifier]consent.Identifier{}}
		hidden := *part
		hidden.Items = trial.hide(part.Items)
		var changes *consent.Changes
		recorded, changes, err = writer.DryRun(ctx, writer.Options{Now: s.now, Random: s.read,
			Suppressed: trial.suppressedBy(s)}, trial, &hidden)
		if err != nil || len(changes.Imports) == 0 { // all of its lines were done before
			return err
		}
		kept, err := trial.keep(ctx, recorded, changes)
		if err != nil {
			return err
		}
		recorded.Import = &kept.Imports[0]
		return tx.Append(ctx, kept)
	})
	return recorded, classify(ctx, err)
}

// hide puts keyed hashes in the places of identifiers: they are all that is kept of a dry run's people, and as good to
// compare.
func (t *trialTx) hide(items []consent.PreparedItem) []consent.PreparedItem {
	hidden := slices.Clone(items)
	for i := range hidden {
		hidden[i].Identifiers = slices.Clone(hidden[i].Identifiers)
		for n, id := range hidden[i].Identifiers {
			hidden[i].Identifiers[n] = t.hidden(id)
			t.plain[hidden[i].Identifiers[n]] = id
		}
	}
	return hidden
}

// hidden gives an identifier with a hash in the place of its value.
func (t *trialTx) hidden(id consent.Identifier) consent.Identifier {
	hash := t.index.Of("identifier "+string(id.Kind), id.Project, id.Value)
	id.Value = string(hash[:])
	return id
}

// suppressedBy tells which hidden identifiers are suppressed.
func (t *trialTx) suppressedBy(s *Service) writer.Suppressed {
	return func(ctx context.Context, r writer.SuppressionReader, organization consent.ID,
		names []consent.Identifier) (map[consent.Identifier]consent.Suppression, error) {
		plain := make([]consent.Identifier, len(names))
		for i, id := range names {
			plain[i] = t.plain[id]
		}
		found, err := s.suppressedOf(ctx, r, organization, plain)
		hidden := make(map[consent.Identifier]consent.Suppression, len(found))
		for id, one := range found {
			hidden[t.hidden(id)] = one
		}
		return hidden, err
	}
}

// keep makes of what a part would append what is kept of it: how far the import is and what it would do so far, the
// errors, and what the next part has to know.
func (t *trialTx) keep(ctx context.Context, recorded *consent.Recorded, c *consent.Changes) (*consent.Changes, error) {
	run := c.Imports[0]
	would := consent.ImportOutcome{}
	if run.Would != nil {
		would = *run.Would
	}
	run.Would = &would
	if err := t.countSubjects(ctx, &would, recorded, c); err != nil {
		return nil, err
	}
	if err := t.countConsents(ctx, &would, c); err != nil {
		return nil, err
	}
	for _, l := range c.ImportedLines {
		t.note(noteLine(l.Key), []byte{})
	}
	for i := range c.Identifiers {
		id := &c.Identifiers[i]
		t.note(noteOwner(id.Identifier), id.Subject[:])
		t.noteJSON(noteName(id.Subject, id.Identifier), id.Identifier)
	}
	for i := range c.Merges {
		m := &c.Merges[i]
		t.note(noteMerged(m.From), m.Into[:])
		t.noteJSON(noteMerge(m), m)
	}
	for i := range c.Events {
		e := &c.Events[i]
		step := e.Step()
		// A timeline that a dry run begins is whole; one that it goes on with has its ends on record.
		step.First = e.Previous == consent.NoID
		step.Last = step.First
		t.noteJSON(noteStep(e), step)
	}
	if len(c.Heads) > 0 {
		t.noteJSON(noteHead, trialHead{c.Heads[0].Sequence, c.Heads[0].LastID})
	}
	return &consent.Changes{Imports: []consent.ImportRun{run}, ImportErrors: c.ImportErrors, ImportNotes: t.notes}, t.err
}

// countSubjects counts those whom a part is about, each once a dry run.
func (t *trialTx) countSubjects(ctx context.Context, would *consent.ImportOutcome, recorded *consent.Recorded,
	c *consent.Changes) error {
	counted := map[consent.ID]bool{}
	for i := range c.Subjects {
		counted[c.Subjects[i].ID] = true
		t.note(noteSubject(c.Subjects[i].ID), []byte{})
	}
	would.SubjectsMade += int64(len(c.Subjects))
	var names [][]byte
	var asked []consent.ID
	for i := range recorded.Items {
		if id := recorded.Items[i].Subject; !counted[id] {
			counted[id] = true
			asked, names = append(asked, id), append(names, noteSubject(id))
		}
	}
	known, err := t.Tx.ImportNotes(ctx, t.of, names)
	for i, id := range asked {
		if err == nil && known[i] == nil {
			would.SubjectsKnown++
			t.note(noteSubject(id), []byte{})
		}
	}
	return err
}

// trialConsent is a consent as a dry run has moved it, and the event that decided before it began; NoID: none did.
type trialConsent struct {
	consent.Consent
	Before consent.ID
}

// countConsents counts the consents that a part moves, by what they are now, and takes back what they counted as.
func (t *trialTx) countConsents(ctx context.Context, would *consent.ImportOutcome, c *consent.Changes) error {
	keys := make([]consent.ConsentKey, len(c.Consents))
	for i := range c.Consents {
		now := &c.Consents[i]
		keys[i] = consent.ConsentKey{Organization: now.Organization, Subject: now.Subject, Project: now.Project,
			Purpose: now.Purpose}
	}
	before, err := t.trialConsents(ctx, keys)
	if err != nil {
		return err
	}
	onRecord, err := t.Tx.Consents(ctx, keys)
	if err != nil {
		return err
	}
	for i := range c.Consents {
		now := trialConsent{Consent: c.Consents[i], Before: onRecord[i].Event}
		if was := before[i]; was != nil {
			now.Before = was.Before
			was.count(would, -1)
		}
		now.count(would, 1)
		t.noteJSON(noteConsent(keys[i]), now)
	}
	would.Consents = slices.DeleteFunc(would.Consents, func(s consent.ImportedState) bool {
		return s.Made == 0 && s.Changed == 0 && s.Unchanged == 0
	})
	return nil
}

// count adds the consent to what the import would do.
func (c *trialConsent) count(would *consent.ImportOutcome, add int64) {
	key := consent.ImportedState{Project: c.Project, Purpose: c.Purpose, State: c.State}
	at, there := slices.BinarySearchFunc(would.Consents, key, func(a, b consent.ImportedState) int {
		return cmp.Or(a.Project-b.Project, a.Purpose-b.Purpose, int(a.State)-int(b.State))
	})
	if !there {
		would.Consents = slices.Insert(would.Consents, at, key)
	}
	switch of := &would.Consents[at]; {
	case c.Before == consent.NoID:
		of.Made += add
	case c.Before != c.Event:
		of.Changed += add
	default:
		of.Unchanged += add
	}
}

func (t *trialTx) note(name, value []byte) {
	t.notes = append(t.notes, consent.ImportNote{ImportKey: t.of, Name: name, Value: value})
}

func (t *trialTx) noteJSON(name []byte, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		t.err = fmt.Errorf("note for a dry run: %w", err)
	}
	t.note(name, text)
}
