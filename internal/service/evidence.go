package service

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/consentd/consentd/evidence"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

const (
	// evidenceWait is how long evidence waits for a checkpoint that covers what was decided before it was asked for.
	evidenceWait = 5 * time.Second
	// So many events are read first, of which nearly everybody has fewer, and then at once.
	firstEvidence, evidencePart = 100, 2000
	// What a decision takes in memory until the bundle is written, beside what it says (leaf, proof, names), and how
	// often what is said is there: as it is, and packed.
	evidencePerDecision, evidencePerByte = 2 << 10, 2
	// maxEvidence is how many bytes the bodies, idents and texts of a bundle may take.
	maxEvidence = 24 << 20
)

// Evidence gives all that shows what a person decided, for a bundle that is verified offline: the decisions of a
// subject, or of the person whom it turned out to be, and their proofs under the newest checkpoint, for which it waits
// a little, or under the newest one that a witness has cosigned, where that covers them too. purpose, where set,
// narrows it to the purposes of that key. since, where not 0, adds the proof that the ledger only grew since it had so
// many entries. reserve, where it is not nil, is asked for memory in bytes before it is used; the bundle takes so much
// until it is written. It needs the scopes LedgerRead, ConsentsRead and SubjectsRead. Errors: Forbidden; NotFound (the
// subject, any decision, or what one is committed with); Unprocessable in the field purpose, where it is not known or
// there is too much for a bundle; Invalid in the field since, where the ledger never had so many; Conflict where no
// checkpoint covers it yet, ErrLedgerBehind where none will; Unavailable; Internal where what is stored is not what was
// committed; reserve's.
func (s *Service) Evidence(ctx context.Context, a consent.Actor, subject consent.ID, purpose string, since int64,
	reserve func(bytes int64) error) (*evidence.Bundle, error) {
	if err := a.RequireAll(consent.LedgerRead, consent.ConsentsRead, consent.SubjectsRead); err != nil {
		return nil, err
	}
	if err := a.Confined(nil); err != nil {
		return nil, err
	}
	done, err := s.beginExport(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	defer done()
	e := evidenceReader{s: s, organization: a.Organization, asked: subject, purpose: purpose, since: since,
		reserve: reserve}
	read := func(ctx context.Context, r Reader) error { return e.read(ctx, r) }
	if err = s.exportPart(ctx, read); err == nil && e.uncovered > 0 {
		if s.signer.isBehind(a.Organization) {
			return nil, ErrLedgerBehind
		}
		if !s.AwaitCheckpoint(ctx, a, e.uncovered, evidenceWait) {
			return nil, s.whyNotCovered(a.Organization, errNotCovered)
		}
		e.until, e.uncovered = e.uncovered, 0
		err = s.exportPart(ctx, read)
	}
	if err == nil && e.uncovered > 0 {
		err = errNotCovered
	}
	return e.bundle, s.whyNotCovered(a.Organization, err)
}

// WriteEvidence writes a bundle that Evidence gave, as a zip. Unprocessable in the field purpose: it is too large,
// since decisions repeat what their purposes say; nothing was written then. Safe for use by many at once.
func WriteEvidence(w io.Writer, b *evidence.Bundle) error {
	err := evidence.Write(w, b)
	if errors.Is(err, evidence.ErrTooLarge) {
		return errTooMuchEvidence
	}
	return err
}

// evidenceReader reads what a bundle is made of, in one view.
type evidenceReader struct {
	s            *Service
	organization consent.ID
	asked        consent.ID
	purpose      string
	since        int64
	until        int64 // the last entry that counts; 0: all there are
	uncovered    int64 // an entry that no checkpoint covers yet, where there is one
	catalog      *consent.Catalog
	person       consent.SubjectKey
	events       []consent.Event
	standing     []consent.SubjectMerge  // that led to the person
	merges       []consent.ExportedEvent // the entries of those that are used
	versions     []consent.ExportedEvent // and of versions
	size         int                     // of what was read, in bytes
	bundle       *evidence.Bundle
	reserve      func(bytes int64) error // nil: there is no bound
	held         int64                   // bytes
	reserved     int64                   // the most that was held
}

// hold notes that so many bytes more are held, and asks for what was not asked for before.
func (e *evidenceReader) hold(bytes int) error {
	e.held += int64(bytes)
	if e.reserve == nil || e.held <= e.reserved {
		return nil
	}
	if err := e.reserve(e.held - e.reserved); err != nil {
		return err
	}
	e.reserved = e.held
	return nil
}

// read makes the bundle, or notes what is not covered yet. It may run again.
func (e *evidenceReader) read(ctx context.Context, r Reader) (err error) {
	e.bundle, e.events, e.size, e.uncovered, e.held = nil, nil, 0, 0, 0
	if e.catalog, err = catalogOf(ctx, r, e.organization); err != nil {
		return err
	}
	subject, err := survivor(ctx, r, e.organization, e.asked)
	if err != nil {
		return err
	}
	e.person = consent.SubjectKey{Organization: e.organization, Subject: subject.ID}
	if err := e.readEvents(ctx, r); err != nil {
		return err
	}
	if err := e.readMerges(ctx, r); err != nil {
		return err
	}
	if err := e.readVersionEntries(ctx, r); err != nil {
		return err
	}
	last := e.events[len(e.events)-1].Sequence
	l, err := signedLedgerOf(ctx, r, e.organization)
	if consent.IsKind(err, consent.Conflict) || err == nil && l.Size < last {
		e.uncovered = last
		return nil
	}
	if err != nil {
		return err
	}
	kept, err := r.Cosignatures(ctx, e.organization)
	if err != nil {
		return err
	}
	l = preferCosigned(l, kept, max(last, e.since))
	e.covered(l.Size)
	b := &evidence.Bundle{Organization: evidence.Organization{ID: e.organization.String(),
		Name: e.catalog.Organization.Name}, Purpose: e.purpose, Checkpoint: string(cosigned(l.Note, kept))}
	if b.Earlier, err = e.earlier(ctx, r, l); err != nil {
		return err
	}
	for _, part := range []func(context.Context, Reader, *evidence.Bundle) error{e.readPerson, e.readKeys,
		e.readVersions, e.readTexts, e.openings} {
		if err := part(ctx, r, b); err != nil {
			return err
		}
	}
	if err := e.proofs(l, b); err != nil {
		return err
	}
	if err := e.others(ctx, r, l, b); err != nil {
		return err
	}
	e.bundle = b
	return nil
}

var errTooMuchEvidence = consent.Errorf(consent.Unprocessable, "purpose",
	"must narrow it further: a bundle has %d decisions and %d MiB at most", evidence.MaxDecisions, maxEvidence>>20)

// readEvents reads the decisions that the bundle is about.
func (e *evidenceReader) readEvents(ctx context.Context, r Reader) error {
	q, _, err := e.catalog.Query(consent.EventFilter{Purpose: e.purpose})
	if err != nil {
		return err
	}
	for after, limit := consent.NoID, firstEvidence; ; limit = evidencePart {
		if err := e.hold(limit * evidencePerDecision); err != nil {
			return err
		}
		part, err := r.Timeline(ctx, e.person, after, limit)
		if err != nil {
			return err
		}
		before, size := len(e.events), e.size
		for i := range part {
			of := consent.ProjectPurpose{Project: part[i].Project, Purpose: part[i].Purpose}
			if e.purpose != "" && !slices.Contains(q.Purposes, of) || e.until != 0 && part[i].Sequence > e.until {
				continue
			}
			e.size += len(part[i].BodyJSON) + len(part[i].IdentityJSON)
			e.events = append(e.events, part[i])
		}
		if len(e.events) > evidence.MaxDecisions || e.size > maxEvidence {
			return errTooMuchEvidence
		}
		unused := limit - (len(e.events) - before)
		if err := e.hold((e.size-size)*evidencePerByte - unused*evidencePerDecision); err != nil {
			return err
		}
		if len(part) < limit {
			break
		}
		after = part[len(part)-1].ID
	}
	if len(e.events) == 0 {
		return consent.Errorf(consent.NotFound, "", "no decision of this subject is on record")
	}
	return nil
}

// earlier proves that the ledger only grew since the size that was asked for.
func (e *evidenceReader) earlier(ctx context.Context, r Reader, l *signedLedger) (*evidence.Earlier, error) {
	if e.since == 0 {
		return nil, nil
	}
	if e.since > l.Size {
		return nil, notCovered(ctx, r, e.organization, "since", e.since)
	}
	root, err := rootAt(l, e.since)
	if err != nil {
		return nil, err
	}
	grown, err := ledger.ProveConsistency(l.reader, e.since, l.Size)
	if err != nil {
		return nil, err
	}
	return &evidence.Earlier{Size: e.since, Root: root.Root, Hashes: grown.Hashes}, nil
}

// readPerson reads who the person is.
func (e *evidenceReader) readPerson(ctx context.Context, r Reader, b *evidence.Bundle) error {
	subjects := []consent.SubjectKey{e.person}
	wrapped, err := r.SubjectSecrets(ctx, subjects)
	if err != nil {
		return err
	}
	if wrapped[0] == nil {
		return consent.Errorf(consent.NotFound, "", "what the entries are committed with is gone")
	}
	identifiers, err := identifiersOf(ctx, r, subjects)
	if err != nil {
		return err
	}
	b.Person = evidence.Person{ID: e.person.Subject.String(), Merged: []string{}, Identifiers: []evidence.Identifier{}}
	for _, m := range e.standing {
		b.Person.Merged = append(b.Person.Merged, m.From.String())
	}
	slices.Sort(b.Person.Merged)
	b.Person.Merged = slices.Compact(b.Person.Merged)
	for _, id := range identifiers[e.person] {
		shown := evidence.Identifier{Kind: string(id.Kind), Value: id.Value}
		if p := e.catalog.ProjectNumbered(id.Project); p != nil {
			shown.Project = p.ID.String()
		}
		b.Person.Identifiers = append(b.Person.Identifiers, shown)
	}
	slices.SortFunc(b.Person.Identifiers, func(a, b evidence.Identifier) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Value, b.Value))
	})
	return nil
}

// readKeys reads who signed.
func (e *evidenceReader) readKeys(ctx context.Context, r Reader, b *evidence.Bundle) error {
	keys, err := r.LedgerKeys(ctx, e.organization)
	if err != nil {
		return err
	}
	b.Keys = make([]evidence.Key, len(keys))
	for i, k := range keys {
		if b.Keys[i] = (evidence.Key{Key: k.Text, From: microsOf(k.From)}); i > 0 {
			b.Keys[i-1].To = microsOf(k.From)
		}
	}
	return nil
}

// microsOf shows an instant; empty where there is none.
func microsOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// named gives the versions of purposes that the decisions name.
func (e *evidenceReader) named() (names []consent.VersionKey) {
	for i := range e.events {
		v := &e.events[i]
		of := consent.PurposeKey{Organization: e.organization, Project: v.Project, Purpose: v.Purpose}
		if v.PurposeVersion > 0 {
			names = append(names, consent.VersionKey{PurposeKey: of, Version: v.PurposeVersion})
		}
	}
	slices.SortFunc(names, func(a, b consent.VersionKey) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Purpose, b.Purpose),
			cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(names)
}

// readVersions reads what the versions of purposes say that the decisions name.
func (e *evidenceReader) readVersions(ctx context.Context, r Reader, b *evidence.Bundle) error {
	var earlier []consent.VersionKey
	names := e.named()
	for _, name := range names {
		if p := e.catalog.PurposeNumbered(name.Project, name.Purpose); p != nil && name.Version < p.Version {
			earlier = append(earlier, name)
		}
	}
	found, err := r.NamedVersions(ctx, earlier)
	if err != nil {
		return err
	}
	b.Versions = make([]evidence.Version, 0, len(names))
	for _, name := range names {
		p, project := e.catalog.PurposeNumbered(name.Project, name.Purpose), e.catalog.ProjectNumbered(name.Project)
		if p == nil || project == nil {
			return fmt.Errorf("purpose %d of project %d is not there", name.Purpose, name.Project)
		}
		v := p.CurrentVersion()
		if name.Version < p.Version {
			v, found = found[0], found[1:]
		}
		if v.Number != name.Version {
			return fmt.Errorf("version %d of purpose %s is not there", name.Version, p.ID)
		}
		b.Versions = append(b.Versions, evidence.Version{Project: project.ID.String(), Purpose: p.Key, Version: v.Number,
			Name: v.Name, Description: v.Description, URL: v.URL, LegalBasis: string(v.LegalBasis),
			RequireReaccept: v.RequireReaccept, HeldFrom: microsOf(v.HeldFrom), HeldTo: microsOf(p.HeldTo(v.Number)),
			LegalText: textName(v.DocumentHash), Translations: textName(v.TextsHash)})
	}
	return nil
}

// textName names a text as a body does; empty where there is none.
func textName(hash []byte) string {
	if len(hash) == 0 {
		return ""
	}
	return "sha256:" + hex.EncodeToString(hash)
}

// readTexts reads what people were shown, and what the purposes said, each once.
func (e *evidenceReader) readTexts(ctx context.Context, r Reader, b *evidence.Bundle) error {
	var hashes [][]byte
	add := func(name string) error {
		if name == "" {
			return nil
		}
		hash, err := consent.TextHash(name)
		hashes = append(hashes, hash)
		return err
	}
	for i := range e.events {
		row := consent.ExportedEvent{BodyJSON: e.events[i].BodyJSON}
		if err := add(string(row.TextName())); err != nil {
			return fmt.Errorf("event %s: %w", e.events[i].ID, err)
		}
	}
	for _, v := range b.Versions {
		if err := cmp.Or(add(v.LegalText), add(v.Translations)); err != nil {
			return err
		}
	}
	slices.SortFunc(hashes, bytes.Compare)
	hashes = slices.CompactFunc(hashes, bytes.Equal)
	b.Texts = make(map[string]string, len(hashes))
	for some := range slices.Chunk(hashes, textsAtOnce) {
		texts, err := r.Texts(ctx, e.organization, some)
		if err != nil {
			return err
		}
		for i, hash := range some {
			if sum := sha256.Sum256([]byte(texts[i])); !bytes.Equal(sum[:], hash) {
				return mismatchf("the text %x is gone, or was changed", hash)
			}
			b.Texts[hex.EncodeToString(hash)] = texts[i]
			if e.size += len(texts[i]); e.size > maxEvidence {
				return errTooMuchEvidence
			}
			if err := e.hold(len(texts[i]) * evidencePerByte); err != nil {
				return err
			}
		}
	}
	return nil
}

// openings makes the decisions with their leaves and openings.
func (e *evidenceReader) openings(ctx context.Context, r Reader, b *evidence.Bundle) error {
	rows := make([]consent.ExportedEvent, len(e.events))
	for i := range e.events {
		rows[i].Subject = e.events[i].Subject
	}
	known, err := secretsOf(ctx, r, e.s.keys, e.organization, each(rows))
	if err != nil {
		return err
	}
	b.Decisions = make([]evidence.Decision, len(e.events))
	for i := range e.events {
		v := &e.events[i]
		secret := known[v.Subject]
		if secret == nil {
			return consent.Errorf(consent.NotFound, "", "what the entry is committed with is gone")
		}
		at := v.RecordedAt.UnixMilli()
		if at < 0 {
			return mismatchf("entry %d was recorded at an impossible time", v.Sequence)
		}
		leaf := ledger.NewLeaf(at, secret, uint64(v.Sequence), v.BodyJSON, v.IdentityJSON)
		o := secret.Open(uint64(v.Sequence), v.BodyJSON, v.IdentityJSON)
		b.Decisions[i] = evidence.Decision{Event: v.ID.String(), Subject: v.Subject.String(), Index: v.Sequence - 1,
			Sequence: v.Sequence, RecordedAt: evidence.RecordedAt(leaf), Body: string(v.BodyJSON),
			Ident: string(v.IdentityJSON), BodySalt: bytes.Clone(o.BodySalt[:]), IdentSalt: bytes.Clone(o.IdentSalt[:]),
			Leaf: leaf.Append(nil)}
		v.BodyJSON, v.IdentityJSON = nil, nil // they are not there twice
	}
	return nil
}

// proofs adds the proofs of inclusion, which hold: else nothing is given out.
func (e *evidenceReader) proofs(l *signedLedger, b *evidence.Bundle) error {
	indexes := make([]int64, len(b.Decisions))
	for i := range b.Decisions {
		indexes[i] = b.Decisions[i].Index
	}
	all, err := ledger.ProveAll(l.reader, indexes, l.Size)
	if err != nil {
		return err
	}
	for i := range b.Decisions {
		d := &b.Decisions[i]
		leaf, err := ledger.ParseLeaf(d.Leaf)
		if err != nil {
			return err
		}
		if err := ledger.VerifyInclusion(l.said, d.Index, leaf, all[i]); err != nil {
			return fmt.Errorf("entry %d: %w", d.Sequence, err)
		}
		d.Hashes = all[i]
	}
	return nil
}
