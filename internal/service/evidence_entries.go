package service

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/consentd/consentd/evidence"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// The entries of a bundle that are no decisions: the merges by which decisions are the person's, the versions that
// decisions name, and epochs.

const (
	// entriesAtOnce is how many of such entries are read at once, and versionParts how often: where purposes were changed
	// more often than that since, the bundle has no entry of a version.
	entriesAtOnce = 500
	versionParts  = 40
)

// covered leaves the entries that a checkpoint of a size covers: for a merge or a version from behind the decisions
// nobody waits, and who verifies is told that it is not proved.
func (e *evidenceReader) covered(size int64) {
	behind := func(entry consent.ExportedEvent) bool { return entry.Sequence > size }
	e.merges, e.versions = slices.DeleteFunc(e.merges, behind), slices.DeleteFunc(e.versions, behind)
}

// readMerges reads the merges that led to the person, and the entries of those by which decisions are the person's.
func (e *evidenceReader) readMerges(ctx context.Context, r Reader) error {
	merges, err := r.Merges(ctx, []consent.SubjectKey{e.person})
	if err != nil {
		return err
	}
	e.standing, e.merges = merges[e.person], nil
	into := make(map[consent.ID]*consent.SubjectMerge, len(e.standing))
	for i := range e.standing {
		into[e.standing[i].From] = &e.standing[i]
	}
	used, stays := map[int64]bool{}, map[consent.ID]bool{}
	for i := range e.events {
		for m := into[e.events[i].Subject]; m != nil && !used[m.Entry()]; m = into[m.Into] {
			used[m.Entry()], stays[m.Into] = true, true
		}
	}
	for subject := range stays {
		if err := e.mergesInto(ctx, r, subject, used); err != nil {
			return err
		}
	}
	slices.SortFunc(e.merges, bySequence)
	return nil
}

func bySequence(a, b consent.ExportedEvent) int { return cmp.Compare(a.Sequence, b.Sequence) }

// mergesInto reads the entries of merges into a subject, of which there may be none any more.
func (e *evidenceReader) mergesInto(ctx context.Context, r Reader, subject consent.ID, used map[int64]bool) error {
	of := consent.SubjectKey{Organization: e.organization, Subject: subject}
	for after := consent.NoID; ; {
		part, err := r.EntriesOf(ctx, of, after, entriesAtOnce)
		if err != nil {
			return err
		}
		for i := range part {
			if part[i].Kind != consent.MergeEntry || !used[part[i].Sequence] {
				continue
			}
			if err := e.hold(evidencePerDecision); err != nil {
				return err
			}
			e.merges = append(e.merges, part[i])
		}
		if len(part) < entriesAtOnce {
			return nil
		}
		after = part[len(part)-1].ID
	}
}

// readVersionEntries reads the newest entries of the versions that decisions name, and of those after them, which say
// how long they held. There may be none any more.
func (e *evidenceReader) readVersionEntries(ctx context.Context, r Reader) error {
	e.versions = nil
	missing := map[consent.PurposeName]bool{}
	for _, name := range e.named() {
		p, project := e.catalog.PurposeNumbered(name.Project, name.Purpose), e.catalog.ProjectNumbered(name.Project)
		if p == nil || project == nil {
			return fmt.Errorf("purpose %d of project %d is not there", name.Purpose, name.Project)
		}
		for n := name.Version; n <= min(name.Version+1, p.Version); n++ {
			missing[consent.PurposeName{Project: project.ID.String(), Purpose: p.Key, Version: n}] = true
		}
	}
	upTo := int64(math.MaxInt64)
	for n := 0; n < versionParts && len(missing) > 0; n++ {
		part, err := r.OwnEntries(ctx, e.organization, consent.PurposeEntry, upTo, entriesAtOnce)
		if err != nil {
			return err
		}
		for i := range slices.Backward(part) {
			name, err := consent.ReadPurpose(part[i].BodyJSON)
			if err != nil {
				return mismatchf("entry %d of a purpose: %v", part[i].Sequence, err)
			}
			if missing[name] {
				delete(missing, name)
				e.versions = append(e.versions, part[i])
				if err := e.hold(evidencePerDecision + evidencePerByte*len(part[i].BodyJSON)); err != nil {
					return err
				}
			}
		}
		if len(part) < entriesAtOnce {
			break
		}
		upTo = part[0].Sequence - 1
	}
	slices.SortFunc(e.versions, bySequence)
	return nil
}

// others adds the entries that are no decisions, with proofs that hold: what was read, and the last epochs that the
// checkpoint covers.
func (e *evidenceReader) others(ctx context.Context, r Reader, l *signedLedger, b *evidence.Bundle) error {
	epochs, err := r.OwnEntries(ctx, e.organization, consent.EpochEntry, l.Size, evidence.MaxEpochs)
	if err != nil {
		return err
	}
	if b.Epochs, err = e.prove(ctx, r, l, epochs); err != nil {
		return err
	}
	if b.Merges, err = e.prove(ctx, r, l, e.merges); err != nil {
		return err
	}
	b.Entries, err = e.prove(ctx, r, l, e.versions)
	return err
}

// prove opens and proves entries. Of a merge the ident is opened too: it says who is whom.
func (e *evidenceReader) prove(ctx context.Context, r Reader, l *signedLedger, entries []consent.ExportedEvent) (
	[]evidence.Entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	known, err := secretsOf(ctx, r, e.s.keys, e.organization, each(entries))
	if err != nil {
		return nil, err
	}
	indexes := make([]int64, len(entries))
	for i := range entries {
		indexes[i] = entries[i].Sequence - 1
	}
	proofs, err := ledger.ProveAll(l.reader, indexes, l.Size)
	if err != nil {
		return nil, err
	}
	out := make([]evidence.Entry, len(entries))
	for i := range entries {
		entry := &entries[i]
		secret := known[entry.Subject]
		leaf, err := leafOf(entry, secret)
		if err != nil {
			return nil, err
		}
		if err := ledger.VerifyInclusion(l.said, indexes[i], leaf, proofs[i]); err != nil {
			return nil, fmt.Errorf("entry %d: %w", entry.Sequence, err)
		}
		o := secret.Open(uint64(entry.Sequence), entry.BodyJSON, entry.IdentityJSON)
		out[i] = evidence.Entry{Index: indexes[i], Sequence: entry.Sequence, RecordedAt: evidence.RecordedAt(leaf),
			Body: string(entry.BodyJSON), BodySalt: bytes.Clone(o.BodySalt[:]), Leaf: leaf.Append(nil), Hashes: proofs[i]}
		if entry.Kind == consent.MergeEntry {
			out[i].Ident, out[i].IdentSalt = string(entry.IdentityJSON), bytes.Clone(o.IdentSalt[:])
		}
	}
	return out, nil
}
