package writer

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/idempotency"
)

// load reads what the batch touches and settles who is who.
func (b *batch) load(ctx context.Context, tx Tx) error {
	wait, err := b.loadHeads(ctx, tx)
	if err != nil {
		return err
	}
	if err := b.loadCatalogs(ctx, tx); err != nil {
		return err
	}
	if err := b.loadPeople(ctx, tx); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	if err := b.loadSuppressed(ctx, tx); err != nil {
		return err
	}
	for i := range b.requests {
		if b.outcomes[i].err = b.refused(i); b.outcomes[i].err == nil {
			b.identify(i)
		}
	}
	return b.loadConsents(ctx, tx)
}

// loadHeads reads the heads of the ledgers, the idempotency records and how far imports have come, on an engine with
// round trips together with who is who.
func (b *batch) loadHeads(ctx context.Context, tx Tx) (wait func() error, err error) {
	var organizations []consent.ID
	var keys []consent.IdempotencyKey
	for _, r := range b.requests {
		if o := r.Actor.Organization; b.heads[o] == nil {
			b.heads[o] = &consent.Head{Organization: o}
			organizations = append(organizations, o)
		}
		if r.Idempotency.Key != "" {
			keys = append(keys, idempotency.Key(r.Idempotency, r.Actor))
		}
	}
	var heads map[consent.ID]consent.Head
	var kept []*consent.IdempotencyRecord
	var useImports func()
	come, err := tx.Prefetch(func() (err error) {
		if heads, err = tx.Heads(ctx, organizations); err != nil {
			return err
		}
		if useImports, err = b.loadImports(ctx, tx); err != nil || len(keys) == 0 {
			return err
		}
		kept, err = tx.IdempotencyRecords(ctx, keys)
		return err
	})
	return func() error {
		if err := come(); err != nil {
			return err
		}
		for o, head := range heads {
			b.heads[o] = &head
		}
		if err := b.loadTrees(); err != nil {
			return err
		}
		for i := range kept {
			b.records[keys[i]] = kept[i]
		}
		useImports()
		return nil
	}, err
}

// loadCatalogs reads the catalogs anew where a request may make a purpose.
func (b *batch) loadCatalogs(ctx context.Context, tx Tx) error {
	for _, r := range b.requests {
		for i := range r.Items {
			for _, d := range r.Items[i].Decisions {
				o := r.Actor.Organization
				if d.Found != nil || b.catalogs[o] != nil {
					continue
				}
				catalog, err := tx.Catalog(ctx, o)
				if err != nil {
					return err
				}
				if catalog == nil {
					return consent.ErrNoOrganization
				}
				b.catalogs[o] = catalog
			}
		}
	}
	return nil
}

// loadPeople reads who is who. Of whoever is named by one identifier alone it reads the consents too, which saves a
// round trip.
func (b *batch) loadPeople(ctx context.Context, tx Tx) error {
	var names []consent.OwnedName
	var several []bool // the item gives more than one identifier
	var asked []consent.NamedConsent
	for _, r := range b.requests {
		for i := range r.Items {
			item := &r.Items[i]
			if len(item.Identifiers) == 1 && len(item.Decisions) > 0 && !item.MakesPurposes() {
				name := consent.OwnedName{Organization: r.Actor.Organization, Identifier: item.Identifiers[0]}
				for _, d := range item.Decisions {
					asked = append(asked, consent.NamedConsent{Name: name, Project: r.Project.Number, Purpose: d.Found.Number})
				}
				continue
			}
			for _, id := range item.Identifiers {
				names = append(names, consent.OwnedName{Organization: r.Actor.Organization, Identifier: id})
				several = append(several, len(item.Identifiers) > 1 && !item.Known)
			}
		}
	}
	if err := b.loadByName(ctx, tx, asked); err != nil || len(names) == 0 {
		return err
	}
	return addPeople(ctx, tx, b.people, names, func(i int) bool { return several[i] })
}

func (b *batch) loadByName(ctx context.Context, tx Tx, asked []consent.NamedConsent) error {
	if len(asked) == 0 {
		return nil
	}
	found, err := tx.ConsentsByName(ctx, asked)
	for i := range found {
		if h := &found[i]; h.Subject != consent.NoID {
			a := &asked[i]
			b.people.SetOwner(a.Name, h.Subject)
			b.read[consent.ConsentKey{Organization: a.Name.Organization, Subject: h.Subject, Project: a.Project,
				Purpose: a.Purpose}] = h.Consent
			if h.Secret != nil {
				b.wrapped[consent.SubjectKey{Organization: a.Name.Organization, Subject: h.Subject}] = h.Secret
			}
		}
	}
	return err
}

// refused gives what ends a request before it changes anything, and makes the purposes that it needs.
func (b *batch) refused(i int) error {
	r := b.requests[i]
	if r.Import != nil {
		return b.admit(i)
	}
	b.given[i] = r.Items
	if r.Idempotency.Key != "" {
		kept := b.records[idempotency.Key(r.Idempotency, r.Actor)]
		if err := idempotency.Replay(r.Idempotency, r.Actor, kept, b.now); err != nil {
			return err
		}
	}
	err := r.Unknown(func(id consent.Identifier) bool { return b.people.Owner(r.Actor.Organization, id) != consent.NoID })
	if err != nil {
		return err
	}
	return b.makePurposes(i)
}

// makePurposes makes the purposes that a request names by new keys, if there is room for all of them.
func (b *batch) makePurposes(i int) error {
	r := b.requests[i]
	organization, project := r.Actor.Organization, r.Project.Number
	catalog := b.catalogs[organization]
	var made []consent.Purpose
	for n := range r.Items {
		for _, d := range r.Items[n].Decisions {
			if d.Found != nil || catalog.PurposeByKey(project, d.Purpose.Key) != nil {
				continue
			}
			key := d.Purpose.Key
			purpose := consent.NewPurpose{Key: key, Name: key, Taxonomy: catalog.FreeTaxonomy(project, key)}
			if err := catalog.Admits(project, purpose); err != nil {
				return err
			}
			made = append(made, catalog.NewPurpose(project, b.newID(), b.now, purpose))
			catalog = catalog.With(made[len(made)-1])
		}
	}
	if len(made) > 0 {
		b.catalogs[organization] = catalog
		for n := range made {
			b.purposes[i] = append(b.purposes[i], len(b.changes.Purposes)+n)
		}
		b.changes.Purposes = append(b.changes.Purposes, made...)
	}
	return nil
}

// identify settles the person of each item of a request.
func (b *batch) identify(i int) {
	r := b.requests[i]
	o, given := r.Actor.Organization, b.given[i]
	b.items[i] = make([]batchItem, len(given))
	for n := range given {
		item := &b.items[i][n]
		item.PreparedItem = &given[n]
		if item.Known {
			item.person.Subject = b.people.Owner(o, item.Identifiers[0])
			item.person.AnonymousID = b.people.AnonymousID(o, item.person.Subject, item.Identifiers)
			continue
		}
		item.person = b.people.Identify(o, item.Identifiers, b.newID)
		subject := consent.Subject{Organization: o, ID: item.person.Subject}
		if item.person.Created {
			subject = consent.NewSubject(r.Actor, item.person.Subject, consent.DefaultSubjectType, b.now)
			b.created[consent.SubjectKey{Organization: o, Subject: subject.ID}] = true
			b.changes.Subjects = append(b.changes.Subjects, subject)
		}
		for _, id := range item.person.Attach {
			b.changes.AddName(id, &subject)
		}
		b.changes.AddClaims(o, item.person)
		for _, m := range item.person.Merge {
			for _, id := range m.Identifiers {
				b.changes.Identifiers = append(b.changes.Identifiers,
					consent.OwnedIdentifier{OwnedName: consent.OwnedName{Organization: o, Identifier: id}, Subject: subject.ID})
			}
			item.merges = append(item.merges, len(b.changes.Merges)) // After is known when the item is decided
			b.changes.Merges = append(b.changes.Merges, consent.SubjectMerge{Organization: o, Into: subject.ID,
				From: m.Subject, MergedAt: item.DecidedAt(b.now), RecordedAt: b.now})
		}
	}
}

// loadConsents reads the current consents that decisions are about, with the whole timeline where one step of the fold
// is not enough.
func (b *batch) loadConsents(ctx context.Context, tx Tx) error {
	asked, late := b.plan()
	wait, err := b.loadSecrets(ctx, tx)
	if err != nil {
		return err
	}
	if len(asked) > 0 {
		found, err := tx.Consents(ctx, asked)
		if err != nil {
			return err
		}
		for i, key := range asked {
			if found[i].Event != consent.NoID {
				b.consents[key].Load(found[i])
			}
		}
	}
	if err := wait(); err != nil {
		return err
	}
	if err := b.loadMerged(ctx, tx); err != nil {
		return err
	}
	if late {
		b.eachPending(func(p *pending) { p.consent.Expect(p.PreparedDecision, p.purpose, b.now) })
	}
	return b.loadTimelines(ctx, tx)
}

// plan lists every decision that the batch may take, with the consent that it moves. It gives the consents that the
// store may know, and whether any decision may need a whole timeline.
func (b *batch) plan() (asked []consent.ConsentKey, late bool) {
	for i, r := range b.requests {
		for n := range b.items[i] {
			item := &b.items[i][n]
			key := consent.ConsentKey{Organization: r.Actor.Organization, Subject: item.person.Subject,
				Project: r.Project.Number, Purpose: 0}
			item.decisions = make([]pending, len(item.Decisions))
			for at := range item.Decisions {
				d := &item.Decisions[at]
				purpose := d.Found
				if purpose == nil {
					purpose = b.catalogs[key.Organization].PurposeByKey(key.Project, d.Purpose.Key)
				}
				key.Purpose = purpose.Number
				working, ask := b.working(key)
				if ask {
					asked = append(asked, key)
				}
				item.decisions[at] = pending{d, purpose, working}
				late = late || d.MayBeLate(purpose, b.now)
			}
		}
	}
	return asked, late
}

// working gives the consent of a key as the batch moves it. ask tells that the store may know it, and was not asked.
func (b *batch) working(key consent.ConsentKey) (working *consent.WorkingConsent, ask bool) {
	if working = b.consents[key]; working != nil {
		return working, false
	}
	working = consent.NewWorkingConsent(key)
	b.consents[key] = working
	known, read := b.read[key]
	if known.Event != consent.NoID {
		working.Load(known)
	}
	return working, !read && !b.created[consent.SubjectKey{Organization: key.Organization, Subject: key.Subject}]
}

func (b *batch) eachPending(do func(*pending)) {
	for i := range b.items {
		for n := range b.items[i] {
			for d := range b.items[i][n].decisions {
				do(&b.items[i][n].decisions[d])
			}
		}
	}
}

// loadMerged reads all consents of subjects that merge, and marks those that need their whole timeline.
func (b *batch) loadMerged(ctx context.Context, tx TimelineReader) error {
	merging := map[consent.SubjectKey]bool{}
	var known []consent.SubjectKey
	for _, m := range b.changes.Merges {
		for _, id := range []consent.ID{m.From, m.Into} {
			key := consent.SubjectKey{Organization: m.Organization, Subject: id}
			if !merging[key] && !b.created[key] {
				known = append(known, key)
			}
			merging[key] = true
		}
	}
	if len(merging) == 0 {
		return nil
	}
	all, err := tx.ConsentsOf(ctx, known)
	if err != nil {
		return err
	}
	for _, consents := range all {
		for _, c := range consents {
			key := consent.ConsentKey{Organization: c.Organization, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose}
			if b.consents[key] == nil {
				b.consents[key] = consent.NewWorkingConsent(key)
				b.consents[key].Load(c)
			}
		}
	}
	for key := range b.meeting() {
		if c := b.consents[key]; c != nil {
			c.ExpectMerge()
		}
	}
	return nil
}

// meeting gives the consents that merges bring together: those of whoever is merged, and the person's on the same
// purposes. One that meets nothing stays what it is, and needs no timeline.
func (b *batch) meeting() map[consent.ConsentKey]bool {
	met := map[consent.ConsentKey]bool{}
	for _, m := range b.changes.Merges { // who is merged now may have got consents from one before
		for key := range b.consents {
			if key.Organization == m.Organization && key.Subject == m.From {
				met[key], met[consent.ConsentKey{Organization: m.Organization, Subject: m.Into, Project: key.Project,
					Purpose: key.Purpose}] = true, true
			}
		}
		for key := range met {
			if key.Organization == m.Organization && key.Subject == m.From {
				met[consent.ConsentKey{Organization: m.Organization, Subject: m.Into, Project: key.Project,
					Purpose: key.Purpose}] = true
			}
		}
	}
	return met
}

// timelinesAtOnce is how many timelines are held whole at the same time.
const timelinesAtOnce = 16

// longTimeline is from how many steps on the next timelines are read one by one.
const longTimeline = 1000

// loadTimelines reads the timelines that are needed whole.
func (b *batch) loadTimelines(ctx context.Context, tx TimelineReader) error {
	var keys []consent.ConsentKey
	for key, c := range b.consents {
		if c.NeedsTimeline() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	merges, err := loadMerges(ctx, tx, keys)
	if err != nil {
		return err
	}
	return eachTimeline(ctx, tx, keys, func(key consent.ConsentKey, history []consent.Step) {
		b.consents[key].LoadTimeline(history, merges[consent.SubjectKey{Organization: key.Organization,
			Subject: key.Subject}])
	})
}

// eachTimeline reads whole timelines. Somebody may have taken very many decisions, and keys may be of very many such
// people, so few are held at a time.
func eachTimeline(ctx context.Context, r TimelineReader, keys []consent.ConsentKey,
	use func(key consent.ConsentKey, history []consent.Step)) error {
	for n := 1; len(keys) > 0; {
		some := keys[:min(n, len(keys))]
		histories, err := r.History(ctx, some)
		if err != nil {
			return err
		}
		n = timelinesAtOnce
		for _, key := range some {
			length := len(histories[key])
			use(key, histories[key])
			if length > longTimeline {
				n = 1
			}
		}
		keys = keys[len(some):]
	}
	return nil
}

// loadMerges reads what merges led to the people of keys.
func loadMerges(ctx context.Context, tx TimelineReader,
	keys []consent.ConsentKey) (map[consent.SubjectKey][]consent.SubjectMerge, error) {
	var subjects []consent.SubjectKey
	seen := map[consent.SubjectKey]bool{}
	for _, k := range keys {
		if s := (consent.SubjectKey{Organization: k.Organization, Subject: k.Subject}); !seen[s] {
			seen[s] = true
			subjects = append(subjects, s)
		}
	}
	return tx.Merges(ctx, subjects)
}
