package consent

import (
	"slices"
)

// People is what is known of who is who: the identifiers that the store has, as far as they were loaded, and on top of
// them what was decided since. For one goroutine.
type People struct {
	owners map[OwnedName]ID            // who has an identifier
	known  map[SubjectKey][]Identifier // all identifiers of a subject
	merged map[SubjectKey]ID           // who a subject turned out to be: its own id still names it in owners
}

// NewPeople knows nobody yet.
func NewPeople() *People {
	return &People{owners: map[OwnedName]ID{}, known: map[SubjectKey][]Identifier{}, merged: map[SubjectKey]ID{}}
}

// Identified is what the identity rules say about the identifiers of one write.
type Identified struct {
	Subject     ID
	Created     bool
	AnonymousID string       // the given one where it is the person's, else the subject's own id
	Attach      []Identifier // that nobody had
	Claim       []Identifier // that are somebody else's, or are too many to be the person's
	Merge       []MergedSubject
}

// MergedSubject is an anonymous subject that turned out to be somebody, with the identifiers that it gave away.
type MergedSubject struct {
	Subject     ID
	Identifiers []Identifier
}

// Identify applies the identity rules (contracts, "Identity") to identifiers that
// are ranked, the strongest first, and keeps what follows from it: a weaker
// identifier never overrides a stronger one. create gives the id of a new subject.
func (p *People) Identify(organization ID, given []Identifier, create func() ID) Identified {
	result := Identified{Subject: p.Find(organization, given)}
	if result.Subject == NoID {
		result.Subject, result.Created = create(), true
	}
	for _, id := range given {
		switch owner := p.Owner(organization, id); {
		case owner == result.Subject:
		case owner == NoID:
			if p.Attach(organization, result.Subject, id) {
				result.Attach = append(result.Attach, id)
			} else if !id.Kind.Naming() {
				result.Claim = append(result.Claim, id)
			}
		case p.anonymous(organization, owner):
			result.Merge = append(result.Merge, MergedSubject{Subject: owner, Identifiers: p.merge(organization, owner,
				result.Subject)})
		case !id.Kind.Naming(): // by which an organization names one person and no other
			result.Claim = append(result.Claim, id)
		}
	}
	result.AnonymousID = p.AnonymousID(organization, result.Subject, given)
	return result
}

// Find gives the person whom the identity rules take ranked identifiers for; NoID: nobody who is known.
func (p *People) Find(organization ID, given []Identifier) ID {
	at := slices.IndexFunc(given, func(id Identifier) bool { return p.Owner(organization, id) != NoID })
	if at < 0 || p.contradicts(organization, p.Owner(organization, given[at]), stronger(given, at)) {
		return NoID
	}
	return p.Owner(organization, given[at])
}

// AnonymousID gives the id by which a browser knows a person from now on.
func (p *People) AnonymousID(organization, subject ID, given []Identifier) string {
	for _, id := range given {
		if id.Kind == AnonymousID && p.Owner(organization, id) == subject {
			return id.Value
		}
	}
	return subject.String()
}

// stronger gives those of ranked identifiers that are of a stronger kind than the one at an index.
func stronger(given []Identifier, at int) []Identifier {
	end := at
	for end > 0 && given[end-1].Kind == given[at].Kind {
		end--
	}
	return given[:end]
}

// Owner gives who has an identifier, or whom that one was merged into; NoID: nobody.
func (p *People) Owner(organization ID, id Identifier) ID {
	owner := p.owners[OwnedName{Organization: organization, Identifier: id}]
	for {
		into, ok := p.merged[SubjectKey{organization, owner}]
		if !ok {
			return owner
		}
		owner = into
	}
}

// contradicts tells whether the candidate has another value of any of these kinds, all of which
// are stronger than the one that named it.
func (p *People) contradicts(organization, candidate ID, stronger []Identifier) bool {
	return slices.ContainsFunc(stronger, func(id Identifier) bool {
		return p.hasOther(organization, candidate, id)
	})
}

func (p *People) hasOther(organization, subject ID, id Identifier) bool {
	return hasOther(p.known[SubjectKey{organization, subject}], id)
}

// hasOther tells whether among somebody's identifiers there is one of the same kind with another value.
func hasOther(known []Identifier, id Identifier) bool {
	return slices.ContainsFunc(known, func(has Identifier) bool {
		return has.Kind == id.Kind && has.Project == id.Project && has.Value != id.Value
	})
}

// Attach gives a subject an identifier that nobody has; not a second one of a kind of which it may have one.
func (p *People) Attach(organization, subject ID, id Identifier) bool {
	if id.Kind.single() && p.hasOther(organization, subject, id) || p.count(organization, subject, id.Kind) >= maxOfKind {
		return false
	}
	p.owners[OwnedName{Organization: organization, Identifier: id}] = subject
	key := SubjectKey{organization, subject}
	p.known[key] = append(p.known[key], id)
	return true
}

// maxOfKind is the most identifiers of one kind that a subject gets; past it a further one names nobody.
const maxOfKind = 1000

func (p *People) count(organization, subject ID, kind IdentifierKind) (n int) {
	for _, id := range p.known[SubjectKey{organization, subject}] {
		if id.Kind == kind {
			n++
		}
	}
	return n
}

// anonymous tells whether a subject is known by anonymous ids alone.
func (p *People) anonymous(organization, subject ID) bool {
	known := p.known[SubjectKey{organization, subject}]
	return len(known) > 0 && !slices.ContainsFunc(known, func(id Identifier) bool { return id.Kind != AnonymousID })
}

// merge gives all of an anonymous subject's identifiers to a person, and tells which.
func (p *People) merge(organization, from, into ID) []Identifier {
	fromKey, intoKey := SubjectKey{organization, from}, SubjectKey{organization, into}
	moved := p.known[fromKey]
	for _, id := range moved {
		p.owners[OwnedName{Organization: organization, Identifier: id}] = into
	}
	p.known[intoKey] = append(p.known[intoKey], moved...)
	delete(p.known, fromKey)
	p.merged[fromKey] = into
	return moved
}

// SetOwner notes who has an identifier.
func (p *People) SetOwner(name OwnedName, owner ID) { p.owners[name] = owner }

// SetIdentifiers notes all identifiers of a subject.
func (p *People) SetIdentifiers(subject SubjectKey, identifiers []Identifier) {
	p.known[subject] = identifiers
	for _, id := range identifiers {
		p.owners[OwnedName{Organization: subject.Organization, Identifier: id}] = subject.Subject
	}
}

// IdentifiersOf gives what is known of a subject's identifiers.
func (p *People) IdentifiersOf(subject SubjectKey) []Identifier { return p.known[subject] }

// UserIDOf gives the user_id of a subject.
func (p *People) UserIDOf(organization, subject ID) (string, bool) {
	for _, id := range p.known[SubjectKey{organization, subject}] {
		if id.Kind == UserID {
			return id.Value, true
		}
	}
	return "", false
}
