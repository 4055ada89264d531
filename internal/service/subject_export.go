package service

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/consentd/consentd/internal/consent"
)

// SubjectTaker takes what is held of a person, in the order of these methods: Person once, the others as often as there
// are parts. What it gets is overwritten when the method returns.
type SubjectTaker interface {
	Person(*consent.ExportedSubject) error
	// Versions takes records in all their versions, the subject's first, then those of whoever was merged into it.
	Versions([]consent.Subject) error
	// Events takes decisions in the order of the ledger.
	Events(*consent.ExportedEvents) error
	// Requests takes entries of the ledger of other kinds, in the order of Versions.
	Requests([]consent.SubjectRequest) error
}

// subjectPart is how many versions or requests a part has at most, and of how many subjects the latter are looked for.
const subjectPart = 100

// ExportSubject gives all that is held of a person (GDPR Art. 15 and 20), by the id of a subject or of one who was
// merged into it, as it was when it began. Between parts nothing of the store is held, however long the taker takes.
// Where the person is merged, taken apart or erased meanwhile, it ends with an error: nobody gets half of one person.
// It needs the scopes SubjectsRead and ConsentsRead. Errors: Forbidden, NotFound, Gone, Conflict, Unavailable; the
// taker's.
func (s *Service) ExportSubject(ctx context.Context, a consent.Actor, id consent.ID, to SubjectTaker) error {
	for _, scope := range []consent.Scope{consent.SubjectsRead, consent.ConsentsRead} {
		if err := a.Require(scope); err != nil {
			return err
		}
	}
	if err := a.Confined(nil); err != nil {
		return err
	}
	done, err := s.beginExport(ctx, a.Organization)
	if err != nil {
		return err
	}
	defer done()
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	e := subjectExport{s: s, actor: a, asked: id}
	if err := s.exportPart(ctx, e.begin); err != nil {
		return err
	}
	if err := to.Person(e.person); err != nil {
		return err
	}
	for _, write := range []func(context.Context, SubjectTaker) error{e.versions, e.events, e.requests} {
		if err := write(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// subjectExport is one export of a person.
type subjectExport struct {
	s      *Service
	actor  consent.Actor
	asked  consent.ID
	person *consent.ExportedSubject
	all    []consent.SubjectKey // the subject, and those who were merged into it
	heads  []consent.ID         // their last decisions on each purpose, when it began
	last   consent.ID           // the last entry of the ledger then
}

// begin reads what is not read in parts, in one view. It may run again.
func (e *subjectExport) begin(ctx context.Context, r Reader) error {
	organization, p := e.actor.Organization, &consent.ExportedSubject{At: e.s.now()}
	catalog, err := catalogOf(ctx, r, organization)
	if err != nil {
		return err
	}
	if p.Subject, err = viewOf(ctx, r, organization, e.asked); err != nil {
		return err
	}
	key := consent.SubjectKey{Organization: organization, Subject: p.Subject.ID}
	names, err := r.Names(ctx, []consent.SubjectKey{key})
	if err != nil {
		return err
	}
	p.Names = names[key]
	if p.Merges, err = mergesInto(ctx, r, key); err != nil {
		return err
	}
	all := []consent.SubjectKey{key}
	for _, m := range p.Merges {
		all = append(all, consent.SubjectKey{Organization: organization, Subject: m.From})
	}
	consents, err := r.ConsentsOf(ctx, all)
	if err != nil {
		return err
	}
	p.Consents = catalog.ConsentsOf(&p.Subject.Subject, consents[key], 0, consent.Instant{}, p.At).Items
	if p.By, err = e.exporter(ctx, r); err != nil {
		return err
	}
	head, err := headOf(ctx, r, organization)
	if err != nil {
		return err
	}
	e.person, e.all, e.heads, e.last = p, all, nil, head.LastID
	for _, of := range all {
		for _, c := range consents[of] {
			if c.Last != consent.NoID {
				e.heads = append(e.heads, c.Last)
			}
		}
	}
	return nil
}

// exporter reads the key that asks.
func (e *subjectExport) exporter(ctx context.Context, r Reader) (consent.Key, error) {
	owner := e.actor.Organization
	if e.actor.Root {
		owner = consent.NoID
	}
	key, err := r.Key(ctx, owner, e.actor.Key)
	if err != nil || key == nil || key.ID != e.actor.Key { // the configured root key is not kept
		return consent.Key{ID: e.actor.Key}, err
	}
	return *key, nil
}

// mergesInto gives the merges that stand and led to a subject, in the order of recording.
func mergesInto(ctx context.Context, r Reader, key consent.SubjectKey) ([]consent.SubjectMerge, error) {
	all, err := r.Merges(ctx, []consent.SubjectKey{key})
	slices.SortFunc(all[key], func(a, b consent.SubjectMerge) int { return cmp.Compare(a.Number, b.Number) })
	return all[key], err
}

// same refuses to go on where the person is not who they were when it began. Errors: Gone, NotFound, Conflict.
func (e *subjectExport) same(ctx context.Context, r Reader) error {
	subject, err := survivor(ctx, r, e.actor.Organization, e.all[0].Subject)
	if err != nil {
		return err
	}
	merges, err := mergesInto(ctx, r, e.all[0])
	if err != nil {
		return err
	}
	if subject.ID != e.all[0].Subject || !slices.EqualFunc(merges, e.person.Merges,
		func(a, b consent.SubjectMerge) bool { return a.Number == b.Number }) {
		return consent.Errorf(consent.Conflict, "", "this person was merged or taken apart meanwhile; retry")
	}
	return nil
}

// part reads a part of the export, of the person who it began with.
func (e *subjectExport) part(ctx context.Context, read func(context.Context, Reader) error) error {
	return e.s.exportPart(ctx, func(ctx context.Context, r Reader) error {
		if err := e.same(ctx, r); err != nil {
			return err
		}
		return read(ctx, r)
	})
}

// versionPlace is a place among the versions of all records.
type versionPlace struct {
	subject int // index of subjectExport.all
	version int
}

// versions hands over the records in all their versions.
func (e *subjectExport) versions(ctx context.Context, to SubjectTaker) error {
	for at := (versionPlace{0, 1}); at.subject < len(e.all); {
		var part []consent.Subject
		var next versionPlace
		err := e.part(ctx, func(ctx context.Context, r Reader) (err error) {
			part, next, err = e.readVersions(ctx, r, at)
			return err
		})
		if err != nil {
			return err
		}
		if err := to.Versions(part); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// readVersions reads the versions of records from a place on, and gives where the next part begins.
func (e *subjectExport) readVersions(ctx context.Context, r Reader, at versionPlace) (part []consent.Subject,
	next versionPlace, err error) {
	size, of := 0, -1
	var current consent.Subject
	for at.subject < len(e.all) && len(part) < subjectPart && size < largePart {
		if of != at.subject {
			if current, err = e.recordOf(ctx, r, at.subject); err != nil {
				return nil, at, err
			}
			of = at.subject
		}
		shown := current
		if at.version < current.Record.Version {
			record, err := r.ArchivedRecord(ctx, current.Organization, current.ID, at.version)
			if err == nil && record == nil {
				err = fmt.Errorf("version %d of subject %s is not there", at.version, current.ID)
			}
			if err != nil {
				return nil, at, err
			}
			shown.Record = *record
		}
		part = append(part, shown)
		size += len(shown.Record.Data) + len(shown.Record.Profile)
		if at.version++; at.version > current.Record.Version {
			at = versionPlace{at.subject + 1, 1}
		}
	}
	return part, at, nil
}

// recordOf gives a record: the subject's as it was when it began, since it may have further versions now. Those of who
// was merged into it do not change any more.
func (e *subjectExport) recordOf(ctx context.Context, r Reader, index int) (consent.Subject, error) {
	if index == 0 {
		return e.person.Subject.Subject, nil
	}
	key := e.all[index]
	subject, err := r.Subject(ctx, key.Organization, key.Subject)
	if err == nil && subject == nil {
		err = fmt.Errorf("subject %s, who was merged into %s, is not there", key.Subject, e.all[0].Subject)
	}
	if err != nil {
		return consent.Subject{}, err
	}
	return *subject, nil
}

// requestPlace is a place among the entries about all subjects.
type requestPlace struct {
	subject int        // index of subjectExport.all
	after   consent.ID // the last one of it that was read
}

// requests hands over the entries that are no decisions.
func (e *subjectExport) requests(ctx context.Context, to SubjectTaker) error {
	for at := (requestPlace{}); at.subject < len(e.all); {
		var part []consent.SubjectRequest
		var next requestPlace
		err := e.part(ctx, func(ctx context.Context, r Reader) (err error) {
			part, next, err = e.readRequests(ctx, r, at)
			return err
		})
		if err != nil {
			return err
		}
		if err := to.Requests(part); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// readRequests reads entries from a place on, and gives where the next part begins.
func (e *subjectExport) readRequests(ctx context.Context, r Reader, at requestPlace) (part []consent.SubjectRequest,
	next requestPlace, err error) {
	for range subjectPart {
		if at.subject == len(e.all) || len(part) == subjectPart {
			break
		}
		limit := subjectPart - len(part)
		entries, err := r.EntriesOf(ctx, e.all[at.subject], at.after, limit)
		if err != nil {
			return nil, at, err
		}
		for i := range entries {
			if at.after = entries[i].ID; bytes.Compare(at.after[:], e.last[:]) > 0 {
				continue // it came after this export began
			}
			request, err := consent.RequestOf(&entries[i])
			if err != nil {
				return nil, at, err
			}
			if !slices.ContainsFunc(e.all, func(k consent.SubjectKey) bool { return k.Subject == request.From }) {
				request.Into, request.From = consent.NoID, consent.NoID // somebody else: they were taken apart again
			}
			part = append(part, request)
		}
		if len(entries) < limit {
			at = requestPlace{subject: at.subject + 1}
		}
	}
	return part, at, nil
}
