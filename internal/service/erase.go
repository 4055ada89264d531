package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

const (
	// erasureTimeout is how long an erasure may take. It goes on when nobody waits for it any longer: who had to wait too
	// long and asks again would have to wait as long again.
	erasureTimeout = 5 * time.Minute
	// erasedAtOnce is how many entries are erased in one step, so that of a person's history no more than the sequences
	// are in memory.
	erasedAtOnce = 500
)

// EraseSubject forgets a person, with all who were merged into them: consents, identifiers, record and archive, answers
// that are kept for retries, what they decided, and what that was committed with. The leaves of their entries stay, so
// that the ledger proves what it did; who has been erased can be told by the id alone. Once it was done it gives the
// same again. The answer to keep is rendered from an *Erased. Errors: Unprocessable, Forbidden, NotFound.
func (s *Service) EraseSubject(ctx context.Context, a consent.Actor, in consent.EraseSubject) (*consent.Erased,
	error) {
	if err := a.Require(consent.SubjectsErase); err != nil {
		return nil, err
	}
	if err := consent.CheckReason(in.Reason); err != nil {
		return nil, err
	}
	return s.erase(ctx, a, in, time.Time{})
}

// erase erases a person; first, where set, is when that was done before in a state of the store that was lost.
func (s *Service) erase(ctx context.Context, a consent.Actor, in consent.EraseSubject,
	first time.Time) (*consent.Erased, error) {
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), erasureTimeout)
	defer cancel()
	select {
	case <-s.ended:
		return nil, consent.Errorf(consent.Unavailable, "", "the server is shutting down; retry")
	default:
	}
	s.erasing.Add(1)
	defer s.erasing.Done()
	go func() { // it does not outlive the store
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	var erased *consent.Erased
	err := s.updateLedger(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		e := &erasure{s: s, tx: tx, actor: a, in: in, first: first}
		var err error
		erased, err = e.run(ctx)
		return erased, err
	})
	return erased, err
}

// erasure is one run of the transaction that erases a person.
type erasure struct {
	s     *Service
	tx    Tx
	actor consent.Actor
	in    consent.EraseSubject
	first time.Time // when it was done before, in a state of the store that was lost; zero: it was not

	all     []consent.SubjectKey // the person, and those who were merged into them
	secrets map[consent.ID]*ledger.Secret
	removed bool    // the record is gone
	by      int64   // the sequence of the erasure's entry
	events  int64   // decisions that were erased
	took    []int64 // sequences of all entries that were
}

func (e *erasure) run(ctx context.Context) (*consent.Erased, error) {
	end, err := e.s.endOf(ctx, e.tx, e.actor.Organization)
	if err != nil {
		return nil, err
	}
	before, err := e.find(ctx)
	if err != nil || !before.At.IsZero() {
		return &consent.Erased{Subject: e.in.Subject, Erasure: before}, err
	}
	e.by = end.head.Sequence + 1
	if err := e.eraseEntries(ctx); err != nil {
		return nil, err
	}
	slices.Sort(e.took)
	var took ledger.ErasedSet
	for _, sequence := range e.took {
		took.Add(sequence)
	}
	var changes consent.Changes
	entry, err := end.add(ctx, e.tx, e.actor.ErasureEntry(&e.in, e.events, &took), &changes)
	if err != nil {
		return nil, err
	}
	done := consent.Erasure{At: entry.RecordedAt, Sequence: entry.Sequence, Events: e.events, Suppress: e.in.Suppress}
	if !e.first.IsZero() {
		done.At = e.first
	}
	names, err := asStored(e.tx).Names(ctx, e.all) // also those that cannot be read
	if err != nil {
		return nil, err
	}
	for _, key := range e.all {
		for _, n := range names[key] {
			changes.CountName(n.Organization, n.Kind, -1)
		}
		changes.ErasedSubjects = append(changes.ErasedSubjects, consent.ErasedSubject{SubjectKey: key, Erasure: done})
	}
	if e.in.Suppress {
		if err := e.suppress(ctx, end.secrets[consent.NoID], &changes); err != nil {
			return nil, err
		}
	}
	if err := e.tx.Append(ctx, &changes); err != nil {
		return nil, err
	}
	if e.first.IsZero() { // before the commit: what was acknowledged is in the journal, whatever comes between
		if err = e.s.journal.add(changes.ErasedSubjects); err != nil { // Unavailable, which no door logs
			e.s.log.Error("nobody is erased, since the journal of erasures cannot be written", "error",
				consent.AsError(err).Err)
		}
	}
	return &consent.Erased{Subject: e.in.Subject, Erasure: done}, err
}

// find tells who is to be erased, and what their entries are committed with; or the erasure that was done before. Whose
// record was removed is known by what is on record for the id. Errors: NotFound.
func (e *erasure) find(ctx context.Context) (before consent.Erasure, err error) {
	person := consent.SubjectKey{Organization: e.actor.Organization, Subject: e.in.Subject}
	if person.Subject == consent.NoID { // by which the organization's own secret is kept
		return before, consent.ErrNoSubject
	}
	subject, err := asStored(e.tx).Subject(ctx, person.Organization, person.Subject)
	for subject == nil && err == nil { // its record was removed: who it had turned out to be is still told
		into, lost := e.tx.MergedInto(ctx, person)
		if err = lost; into == consent.NoID {
			break
		}
		person.Subject = into
		subject, err = asStored(e.tx).Subject(ctx, person.Organization, person.Subject)
	}
	switch {
	case err != nil:
		return before, err
	case subject != nil && !subject.Erasure.At.IsZero():
		return subject.Erasure, nil
	case subject != nil && subject.MergedInto != consent.NoID:
		person.Subject = subject.MergedInto
	}
	merges, err := e.tx.Merges(ctx, []consent.SubjectKey{person})
	if err != nil {
		return before, err
	}
	e.all = []consent.SubjectKey{person}
	for _, m := range merges[person] {
		e.all = append(e.all, consent.SubjectKey{Organization: m.Organization, Subject: m.From})
	}
	wrapped, err := e.tx.SubjectSecrets(ctx, e.all)
	if err != nil {
		return before, err
	}
	e.removed = subject == nil
	if e.removed && !slices.ContainsFunc(wrapped, func(secret []byte) bool { return secret != nil }) {
		return before, consent.ErrNoSubject
	}
	e.secrets = make(map[consent.ID]*ledger.Secret, len(e.all))
	for i, key := range e.all {
		if wrapped[i] == nil {
			continue
		}
		if e.secrets[key.Subject], err = e.s.secrets.Open(key, wrapped[i]); err != nil {
			return before, fmt.Errorf("read what the entries of subject %s are committed with: %w", key.Subject, err)
		}
	}
	return before, nil
}

// eraseEntries leaves the leaves of all that is in the ledger about the person.
func (e *erasure) eraseEntries(ctx context.Context) error {
	consents, err := e.tx.ConsentsOf(ctx, e.all)
	if err != nil {
		return err
	}
	for _, key := range e.all {
		for _, c := range consents[key] {
			if err := e.eraseTimeline(ctx, c.Last); err != nil {
				return err
			}
		}
		for {
			entries, err := e.tx.EntriesOf(ctx, key, consent.NoID, erasedAtOnce)
			if err != nil {
				return err
			}
			if err := e.leaveLeaves(ctx, entries, nil); err != nil {
				return err
			}
			if len(entries) < erasedAtOnce {
				break
			}
		}
	}
	return e.eraseMentions(ctx)
}

// eraseMentions leaves the leaves of what is in the ledger about others, with whom the person was merged and taken
// apart again: those entries name the person. Nobody who is left is to be known as who was once taken for the erased.
func (e *erasure) eraseMentions(ctx context.Context) error {
	undone, err := e.tx.UndoneMerges(ctx, e.all)
	if err != nil {
		return err
	}
	erased, others := map[consent.ID]bool{}, map[consent.ID]bool{}
	for _, key := range e.all {
		erased[key.Subject] = true
	}
	for _, m := range undone {
		if !erased[m.Into] && !others[m.Into] {
			others[m.Into] = true
			other := consent.SubjectKey{Organization: m.Organization, Subject: m.Into}
			if err := e.eraseMentionsBy(ctx, other, erased); err != nil {
				return err
			}
		}
	}
	return nil
}

// eraseMentionsBy is eraseMentions of what is in the ledger about one other.
func (e *erasure) eraseMentionsBy(ctx context.Context, other consent.SubjectKey, erased map[consent.ID]bool) error {
	for after, more := consent.NoID, true; more; {
		entries, err := e.tx.EntriesOf(ctx, other, after, erasedAtOnce)
		if err != nil || len(entries) == 0 {
			return err
		}
		after, more = entries[len(entries)-1].ID, len(entries) == erasedAtOnce
		var naming []consent.ExportedEvent
		for i := range entries {
			names, err := consent.MergedAs(&entries[i], erased)
			if err != nil {
				return err
			}
			if names {
				naming = append(naming, entries[i])
			}
		}
		if len(naming) == 0 {
			continue
		}
		if e.secrets[other.Subject], err = e.s.secretOf(ctx, e.tx, other); err != nil {
			return err
		}
		if err := e.leaveLeaves(ctx, naming, nil); err != nil {
			return err
		}
	}
	return nil
}

// eraseTimeline leaves the leaves of the decisions of a subject for a purpose, of which the last one is named, the last
// ones first.
func (e *erasure) eraseTimeline(ctx context.Context, last consent.ID) error {
	for last != consent.NoID {
		events, err := e.tx.EventsBefore(ctx, e.actor.Organization, last, erasedAtOnce)
		if err != nil || len(events) == 0 { // retention has dropped what comes before
			return err
		}
		rows := make([]consent.ExportedEvent, len(events))
		for i := range events {
			if bytes.Compare(events[i].Previous[:], events[i].ID[:]) >= 0 {
				return fmt.Errorf("event %s refers to one that is not before it: restore a backup, and erase again", events[i].ID)
			}
			rows[i] = exported(&events[i])
		}
		count := consent.Count{Organization: e.actor.Organization, Name: consent.EventCount(events[0].Project),
			Add: -int64(len(events))}
		if err := e.leaveLeaves(ctx, rows, []consent.Count{count}); err != nil {
			return err
		}
		e.events += int64(len(events))
		last = events[len(events)-1].Previous
	}
	return nil
}

// leaveLeaves puts the leaves of entries in their places.
func (e *erasure) leaveLeaves(ctx context.Context, entries []consent.ExportedEvent, counts []consent.Count) error {
	changes := consent.Changes{Counts: counts}
	for i := range entries {
		entry := &entries[i]
		leaf, err := leafOf(entry, e.secrets[entry.Subject])
		if err != nil {
			return err
		}
		changes.ErasedEntries = append(changes.ErasedEntries, consent.LedgerEntry{Organization: e.actor.Organization,
			ID: entry.ID, Sequence: entry.Sequence, Kind: consent.ErasedEntry, RecordedAt: entry.RecordedAt,
			Leaf: leaf.Append(nil), ErasedBy: e.by})
		e.took = append(e.took, entry.Sequence)
	}
	return e.tx.Append(ctx, &changes)
}

// exported gives of an event what a leaf is made of.
func exported(e *consent.Event) consent.ExportedEvent {
	return consent.ExportedEvent{ID: e.ID, Subject: e.Subject, Sequence: e.Sequence, RecordedAt: e.RecordedAt,
		BodyJSON: e.BodyJSON, IdentityJSON: e.IdentityJSON}
}
