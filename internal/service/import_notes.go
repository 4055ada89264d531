package service

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service/writer"
)

// trialTx is a transaction as a dry run sees it: what is on record, and over it what the lines before would have
// changed, which is noted. Identifiers have hashes for values. What it reads is what a real import would read.
type trialTx struct {
	Tx
	of    consent.ImportKey
	index *sealing.BlindIndex
	plain map[consent.Identifier]consent.Identifier // what hidden ones stand for
	notes []consent.ImportNote                      // to be written
	err   error                                     // of a note
}

var _ writer.Tx = (*trialTx)(nil)

// trialHead is where the ledger would end.
type trialHead struct {
	Sequence int64
	LastID   consent.ID
}

// The names of notes: a letter for what it is, and what it is about.
var noteHead = []byte("h")

func noteLine(key consent.LineKey) []byte    { return append([]byte("l"), key[:]...) }
func noteSubject(id consent.ID) []byte       { return append([]byte("s"), id[:]...) }
func noteMerged(from consent.ID) []byte      { return append([]byte("m"), from[:]...) }
func noteOwner(id consent.Identifier) []byte { return append([]byte("o"), id.Value...) }
func notesOfMerges(into consent.ID) []byte   { return append([]byte("M"), into[:]...) }
func notesOfNames(of consent.ID) []byte      { return append([]byte("n"), of[:]...) }
func notesOfConsents(of consent.ID) []byte   { return append([]byte("c"), of[:]...) }

func noteMerge(m *consent.SubjectMerge) []byte {
	return binary.BigEndian.AppendUint64(notesOfMerges(m.Into), uint64(m.After))
}

func noteName(of consent.ID, id consent.Identifier) []byte {
	return append(notesOfNames(of), id.Value[:8]...)
}

func noteConsent(k consent.ConsentKey) []byte {
	b := binary.BigEndian.AppendUint32(notesOfConsents(k.Subject), uint32(k.Project))
	return binary.BigEndian.AppendUint32(b, uint32(k.Purpose))
}

func notesOfSteps(k consent.ConsentKey) []byte {
	b := noteConsent(k)
	b[0] = 'e'
	return b
}

func noteStep(e *consent.Event) []byte {
	return binary.BigEndian.AppendUint64(notesOfSteps(consent.ConsentKey{Subject: e.Subject, Project: e.Project,
		Purpose: e.Purpose}), uint64(e.Sequence))
}

// Prefetch implements writer.Tx: what a dry run reads is put together at once.
func (t *trialTx) Prefetch(read func() error) (wait func() error, err error) {
	return func() error { return nil }, read()
}

// Heads implements writer.Tx.
func (t *trialTx) Heads(ctx context.Context, organizations []consent.ID) (map[consent.ID]consent.Head, error) {
	heads, err := t.Tx.Heads(ctx, organizations)
	if err != nil {
		return nil, err
	}
	noted, err := t.Tx.ImportNotes(ctx, t.of, [][]byte{noteHead})
	if err != nil || noted[0] == nil {
		return heads, err
	}
	var end trialHead
	if err := readNote(noted[0], &end); err != nil {
		return nil, err
	}
	head := heads[t.of.Organization]
	if head.Sequence = max(head.Sequence, end.Sequence); string(end.LastID[:]) > string(head.LastID[:]) {
		head.LastID = end.LastID
	}
	heads[t.of.Organization] = head
	return heads, nil
}

func readNote(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("a note of a dry run: %w", err)
	}
	return nil
}

// ImportedLines implements writer.Tx.
func (t *trialTx) ImportedLines(ctx context.Context, lines []consent.ImportedLine) ([]bool, error) {
	had, err := t.Tx.ImportedLines(ctx, lines)
	if err != nil {
		return nil, err
	}
	names := make([][]byte, len(lines))
	for i := range lines {
		names[i] = noteLine(lines[i].Key)
	}
	noted, err := t.Tx.ImportNotes(ctx, t.of, names)
	for i := range noted {
		had[i] = had[i] || noted[i] != nil
	}
	return had, err
}

// Owners implements writer.Tx.
func (t *trialTx) Owners(ctx context.Context, names []consent.OwnedName) ([]consent.ID, error) {
	plain, noteNames := make([]consent.OwnedName, len(names)), make([][]byte, len(names))
	for i, name := range names {
		noteNames[i] = noteOwner(name.Identifier)
		plain[i] = name
		plain[i].Identifier = t.plain[name.Identifier]
	}
	owners, err := t.Tx.Owners(ctx, plain)
	if err != nil {
		return nil, err
	}
	noted, err := t.Tx.ImportNotes(ctx, t.of, noteNames)
	if err != nil {
		return nil, err
	}
	for i := range noted {
		if noted[i] != nil {
			owners[i] = consent.ID(noted[i])
		}
	}
	return owners, t.survivors(ctx, owners)
}

// survivors puts in the places of subjects whom they would have turned out to be.
func (t *trialTx) survivors(ctx context.Context, subjects []consent.ID) error {
	for {
		names := make([][]byte, len(subjects))
		for i, id := range subjects {
			names[i] = noteMerged(id)
		}
		into, err := t.Tx.ImportNotes(ctx, t.of, names)
		if err != nil {
			return err
		}
		moved := false
		for i := range into {
			if into[i] != nil {
				subjects[i], moved = consent.ID(into[i]), true
			}
		}
		if !moved {
			return nil
		}
	}
}

// Names implements writer.Tx.
func (t *trialTx) Names(ctx context.Context, subjects []consent.SubjectKey) (
	map[consent.SubjectKey][]consent.OwnedIdentifier, error) {
	all, err := t.Tx.Names(ctx, subjects)
	if err != nil {
		return nil, err
	}
	prefixes := make([][]byte, len(subjects))
	for i := range subjects {
		prefixes[i] = notesOfNames(subjects[i].Subject)
		for n := range all[subjects[i]] {
			id := &all[subjects[i]][n]
			id.Identifier = t.hidden(id.Identifier)
		}
	}
	noted, err := t.Tx.ImportNotesUnder(ctx, t.of, prefixes)
	for i := range noted {
		for _, note := range noted[i] {
			id := consent.OwnedIdentifier{Subject: subjects[i].Subject}
			id.Organization = subjects[i].Organization
			if err := readNote(note.Value, &id.Identifier); err != nil {
				return nil, err
			}
			all[subjects[i]] = append(all[subjects[i]], id)
		}
	}
	return all, err
}

// ConsentsByName implements writer.Tx.
func (t *trialTx) ConsentsByName(ctx context.Context, asked []consent.NamedConsent) ([]consent.NamedHolder, error) {
	names := make([]consent.OwnedName, len(asked))
	for i := range asked {
		names[i] = asked[i].Name
	}
	owners, err := t.Owners(ctx, names)
	if err != nil {
		return nil, err
	}
	holders, keys := make([]consent.NamedHolder, len(asked)), make([]consent.ConsentKey, len(asked))
	for i := range asked {
		keys[i] = consent.ConsentKey{Organization: t.of.Organization, Subject: owners[i], Project: asked[i].Project,
			Purpose: asked[i].Purpose}
	}
	consents, err := t.Consents(ctx, keys)
	for i := range consents {
		holders[i] = consent.NamedHolder{Subject: owners[i], Consent: consents[i]}
	}
	return holders, err
}

// Consents implements writer.Tx.
func (t *trialTx) Consents(ctx context.Context, keys []consent.ConsentKey) ([]consent.Consent, error) {
	found, err := t.Tx.Consents(ctx, keys)
	if err != nil {
		return nil, err
	}
	noted, err := t.trialConsents(ctx, keys)
	for i := range noted {
		if noted[i] != nil {
			found[i] = noted[i].Consent
		}
	}
	return found, err
}

// trialConsents gives consents that the lines before would have moved, by index of keys; nil: they would not.
func (t *trialTx) trialConsents(ctx context.Context, keys []consent.ConsentKey) ([]*trialConsent, error) {
	names := make([][]byte, len(keys))
	for i := range keys {
		names[i] = noteConsent(keys[i])
	}
	noted, err := t.Tx.ImportNotes(ctx, t.of, names)
	found := make([]*trialConsent, len(keys))
	for i := 0; i < len(noted) && err == nil; i++ {
		if noted[i] != nil {
			found[i] = &trialConsent{}
			err = readNote(noted[i], found[i])
		}
	}
	return found, err
}

// ConsentsOf implements writer.Tx.
func (t *trialTx) ConsentsOf(ctx context.Context, subjects []consent.SubjectKey) (
	map[consent.SubjectKey][]consent.Consent, error) {
	all, err := t.Tx.ConsentsOf(ctx, subjects)
	if err != nil {
		return nil, err
	}
	prefixes := make([][]byte, len(subjects))
	for i := range subjects {
		prefixes[i] = notesOfConsents(subjects[i].Subject)
	}
	noted, err := t.Tx.ImportNotesUnder(ctx, t.of, prefixes)
	for i := range noted {
		for _, note := range noted[i] {
			var c trialConsent
			if err := readNote(note.Value, &c); err != nil {
				return nil, err
			}
			all[subjects[i]] = withConsent(all[subjects[i]], c.Consent)
		}
	}
	return all, err
}

// withConsent puts a consent in the place of that on the same purpose.
func withConsent(all []consent.Consent, c consent.Consent) []consent.Consent {
	for i := range all {
		if all[i].Project == c.Project && all[i].Purpose == c.Purpose {
			all[i] = c
			return all
		}
	}
	return append(all, c)
}

// Merges implements writer.Tx.
func (t *trialTx) Merges(ctx context.Context, subjects []consent.SubjectKey) (
	map[consent.SubjectKey][]consent.SubjectMerge, error) {
	all := map[consent.SubjectKey][]consent.SubjectMerge{}
	for _, root := range subjects {
		members := []consent.SubjectKey{root}
		for at := 0; at < len(members); at++ {
			merges, err := t.mergesInto(ctx, members[at])
			if err != nil {
				return nil, err
			}
			for _, m := range merges {
				all[root] = append(all[root], m)
				members = append(members, consent.SubjectKey{Organization: m.Organization, Subject: m.From})
			}
		}
	}
	return all, nil
}

// mergesInto gives the merges into a subject itself.
func (t *trialTx) mergesInto(ctx context.Context, subject consent.SubjectKey) (found []consent.SubjectMerge,
	err error) {
	led, err := t.Tx.Merges(ctx, []consent.SubjectKey{subject})
	if err != nil {
		return nil, err
	}
	for _, m := range led[subject] {
		if m.Into == subject.Subject {
			found = append(found, m)
		}
	}
	noted, err := t.Tx.ImportNotesUnder(ctx, t.of, [][]byte{notesOfMerges(subject.Subject)})
	if err != nil {
		return nil, err
	}
	for _, note := range noted[0] {
		var m consent.SubjectMerge
		if err := readNote(note.Value, &m); err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}

// History implements writer.Tx.
func (t *trialTx) History(ctx context.Context, keys []consent.ConsentKey) (map[consent.ConsentKey][]consent.Step,
	error) {
	all := map[consent.ConsentKey][]consent.Step{}
	for _, key := range keys {
		merges, err := t.Merges(ctx, []consent.SubjectKey{{Organization: key.Organization, Subject: key.Subject}})
		if err != nil {
			return nil, err
		}
		members := []consent.ConsentKey{key}
		for _, ms := range merges {
			for _, m := range ms {
				member := key
				member.Subject = m.From
				members = append(members, member)
			}
		}
		if all[key], err = t.stepsOf(ctx, members); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// stepsOf gives the steps of subjects who are one person, each once.
func (t *trialTx) stepsOf(ctx context.Context, members []consent.ConsentKey) (steps []consent.Step, err error) {
	onRecord, err := t.Tx.History(ctx, members) // of who was merged in the store, more than once
	if err != nil {
		return nil, err
	}
	seen := map[consent.ID]bool{}
	add := func(s consent.Step) {
		if !seen[s.Event] {
			seen[s.Event] = true
			steps = append(steps, s)
		}
	}
	prefixes := make([][]byte, len(members))
	for i, key := range members {
		prefixes[i] = notesOfSteps(key)
		for _, s := range onRecord[key] {
			add(s)
		}
	}
	noted, err := t.Tx.ImportNotesUnder(ctx, t.of, prefixes)
	for i := range noted {
		for _, note := range noted[i] {
			var s consent.Step
			if err := readNote(note.Value, &s); err != nil {
				return nil, err
			}
			add(s)
		}
	}
	return steps, err
}
