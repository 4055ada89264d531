package consent

import (
	"slices"
	"strconv"
	"time"
)

// The check, "may we?": whether a consent is in force, and why.

// Limits of one check.
const (
	MaxChecked      = 100    // people
	maxCheckAnswers = 20_000 // people times purposes
)

// CheckQuery asks whether consents are in force.
type CheckQuery struct {
	Project  string         // its id, its slug or "default"; empty: the default one
	People   [][]Identifier // 1 to MaxChecked; of each at least one identifier, one a kind
	Purposes []string       // keys, each once; nil: all of the project's
	Instant                 // for which it is asked
	// Field names the place of a mistake in the caller's words, from the index of the person (-1: of the whole query) and
	// our noun. Nil: ours are used.
	Field func(person int, noun string) string
}

func (q *CheckQuery) field(person int, noun string) string {
	switch {
	case q.Field != nil:
		return q.Field(person, noun)
	case person < 0:
		return noun
	}
	return "people[" + strconv.Itoa(person) + "]." + noun
}

// PreparedCheck is a check that is valid: names are looked up, identifiers normalised and ranked.
type PreparedCheck struct {
	Project  *Project
	Purposes []*Purpose
	People   [][]Identifier
	Instant
}

// PrepareCheck looks up what a check names. Errors: Invalid and Unprocessable, with the field; Forbidden.
func PrepareCheck(a Actor, d *Catalog, q *CheckQuery) (*PreparedCheck, error) {
	p := &PreparedCheck{People: make([][]Identifier, len(q.People)), Instant: q.Instant}
	p.At = micro(q.At)
	if err := p.Instant.Check(); err != nil {
		return nil, err
	}
	var err error
	if p.Project, err = d.checkedProject(q); err != nil {
		return nil, err
	}
	if p.Purposes, err = d.checkedPurposes(p.Project.Number, q); err != nil {
		return nil, err
	}
	if len(q.People) < 1 || len(q.People) > MaxChecked {
		return nil, Errorf(Unprocessable, q.field(-1, "people"), "must name 1 to %d", MaxChecked)
	}
	if len(q.People)*len(p.Purposes) > maxCheckAnswers {
		return nil, Errorf(Unprocessable, q.field(-1, "people"),
			"times purposes must be %d at most; ask about fewer at a time", maxCheckAnswers)
	}
	for i, given := range q.People {
		if len(given) == 0 {
			return nil, Errorf(Unprocessable, q.field(i, "identifiers"), "needs at least one identifier")
		}
		ranked, err := PrepareIdentifiers(given, p.Project.Number, false)
		if err != nil {
			e := AsError(err)
			return nil, Errorf(e.Kind, q.field(i, e.Field), "%s", e.Msg)
		}
		if kind, twice := givenTwice(ranked); twice {
			return nil, Errorf(Invalid, q.field(i, string(kind)), "must be given once")
		}
		if err := a.Confined(ranked); err != nil {
			return nil, err
		}
		p.People[i] = ranked
	}
	return p, nil
}

func (d *Catalog) checkedProject(q *CheckQuery) (*Project, error) {
	if q.Project == "" {
		return d.Project(NoID)
	}
	project, err := d.ProjectNamed(q.Project)
	if err != nil {
		return nil, Errorf(Unprocessable, q.field(-1, "project"), "is not known in this organization")
	}
	return project, nil
}

func (d *Catalog) checkedPurposes(project int, q *CheckQuery) ([]*Purpose, error) {
	of := d.PurposesOf(project)
	if q.Purposes == nil {
		all := make([]*Purpose, len(of))
		for i := range of {
			all[i] = &of[i]
		}
		return all, nil
	}
	if len(q.Purposes) == 0 || len(q.Purposes) > len(of) {
		return nil, Errorf(Unprocessable, q.field(-1, "purposes"), "must name 1 to %d, as many as the project has", len(of))
	}
	out := make([]*Purpose, len(q.Purposes))
	var wrong *Error
	for i, key := range q.Purposes {
		msg := ""
		if out[i] = d.PurposeByKey(project, key); out[i] == nil {
			msg = "is not known in this project"
		} else if slices.Contains(out[:i], out[i]) {
			msg = "must be given once"
		}
		switch e := Errorf(Unprocessable, q.field(-1, "purposes["+strconv.Itoa(i)+"]"), "%s", msg); {
		case msg == "":
		case wrong == nil:
			wrong = e
		default:
			wrong.More = append(wrong.More, e)
		}
	}
	if wrong != nil {
		return nil, wrong
	}
	return out, nil
}

// Meant is everybody whom the identifiers of one person may mean.
type Meant struct {
	Given []Identifier // ranked
	Who   []Who        // by index of Given
	Names []Identifier // of the owner whom Candidate gives, where it asks for them
}

// Candidate gives the owner of the strongest identifier that has one, NoID where none has, and by which index of Given.
// contested tells whether stronger ones were given: then it takes the owner's Names to tell whether the owner is meant.
func (m *Meant) Candidate() (owner ID, at int, contested bool) {
	for at := range m.Who {
		if m.Who[at].Subject != NoID {
			return m.Who[at].Subject, at, len(stronger(m.Given, at)) > 0
		}
	}
	return NoID, -1, false
}

// person gives who is meant, and the index of the identifier whose owner and claimants decide, -1: nobody does. It is
// whom a write by these identifiers would find: an owner who has another value of a stronger kind is somebody else.
// What nobody has is answered by those who claim it.
func (m *Meant) person() (subject ID, decides int) {
	owner, at, contested := m.Candidate()
	switch {
	case contested && slices.ContainsFunc(stronger(m.Given, at), m.calledOtherwise):
		return NoID, -1
	case owner != NoID:
		return owner, at
	case len(m.Who[0].Claimants) > 0:
		return m.Who[0].Claimants[0], 0
	}
	return NoID, -1
}

// OnlyNo leaves of what claimants of ids by which an organization names one person decided only what they refuse.
func (m *Meant) OnlyNo(at time.Time) {
	for i := range m.Who {
		if m.Given[i].Kind.Naming() {
			m.Who[i] = m.Who[i].OnlyNo(at)
		}
	}
}

// calledOtherwise tells whether the candidate has another value of an identifier's kind.
func (m *Meant) calledOtherwise(id Identifier) bool { return hasOther(m.Names, id) }

// ambiguous tells whether the identifiers are several people's.
func (m *Meant) ambiguous() bool {
	one := NoID
	another := func(id ID) bool {
		if one == NoID {
			one = id
		}
		return id != NoID && id != one
	}
	for i := range m.Who {
		if another(m.Who[i].Subject) || slices.ContainsFunc(m.Who[i].Claimants, another) {
			return true
		}
	}
	return false
}

func (m *Meant) tooMany() bool {
	return slices.ContainsFunc(m.Who, func(w Who) bool { return w.TooMany() })
}

// restricted tells whether one of those who may be meant is restricted at an instant: as with a no, who cannot be told
// apart is heard.
func (m *Meant) restricted(at time.Time) bool {
	return slices.ContainsFunc(m.Who, func(w Who) bool { return Restriction{At: w.RestrictedAt}.holds(at) })
}

// suppressed tells whether one of the identifiers is suppressed at an instant.
func (m *Meant) suppressed(at time.Time) bool {
	return slices.ContainsFunc(m.Who, func(w Who) bool { return !w.SuppressedAt.IsZero() && !at.Before(w.SuppressedAt) })
}

// Reason says why something is granted or not, for programs.
type Reason string

// The reasons.
const (
	ReasonAccepted         Reason = "accepted"             // granted: the person said yes
	ReasonImpliedOptOut    Reason = "implied_opt_out"      // granted: implied where the regime allows that
	ReasonLegalBasis       Reason = "legal_basis"          // granted: the purpose does not rest on consent
	ReasonImpliedNeedsYes  Reason = "implied_needs_opt_in" // implied where the regime asks for a yes
	ReasonDeclined         Reason = "declined"
	ReasonWithdrawn        Reason = "withdrawn"
	ReasonViewedOnly       Reason = "viewed_only" // a notice was seen, and nothing was decided
	ReasonExpired          Reason = "expired"
	ReasonReacceptRequired Reason = "reaccept_required" // a newer text asks for a new yes
	ReasonNeverAsked       Reason = "never_asked"       // nothing is on record
	ReasonObjected         Reason = "objected"          // to legitimate interests, which count else
	ReasonRestricted       Reason = "restricted"        // nothing held of the person is to be used
	ReasonSuppressed       Reason = "suppressed"        // who had the identifier was erased and wants no more
	// ReasonTooManyPeople: more people share an identifier than are read. One of the others may have said no.
	ReasonTooManyPeople Reason = "too_many_people"
)

// What a check says of how a consent stands, where that is none of the names of a State.
const (
	StateExpired = "expired"
	StateUnknown = "unknown" // nothing is on record
)

// Checked answers a check about one person.
type Checked struct {
	Subject   ID   // NoID: nobody is known by these identifiers
	Ambiguous bool // the identifiers are several people's
	At        time.Time
	Results   []CheckResult // one a purpose that was asked about, in order
}

// CheckResult tells whether a consent is in force.
type CheckResult struct {
	Purpose *Purpose
	Granted bool
	State   string // a State's name, StateExpired or StateUnknown
	Reason  Reason
	// Stale tells that it is a yes, said or implied, to a text before one that asks for a new yes.
	Stale          bool
	Event          ID // the event that decides; NoID: none does, and the rest is zero
	DecidedAt      time.Time
	ExpiresAt      time.Time // zero: never
	PurposeVersion int       // of the event
	CurrentVersion int       // of the purpose, at the instant of the check
}

// Check answers the check about one of its people. Where it is about the past their consents are those of then.
func (p *PreparedCheck) Check(m *Meant, now time.Time) Checked {
	subject, decides := m.person()
	at := p.or(now)
	m.OnlyNo(at)
	out := Checked{Subject: subject, Ambiguous: m.ambiguous(), At: at, Results: make([]CheckResult, len(p.Purposes))}
	tooMany := m.tooMany()
	for i, purpose := range p.Purposes {
		purpose = p.purposeOf(purpose, now)
		c := m.consent(purpose, decides, at)
		out.Results[i] = purpose.result(&c, p.Instant, now, tooMany)
		switch {
		case m.suppressed(at):
			out.Results[i].refuse(ReasonSuppressed)
		case m.restricted(at):
			out.Results[i].refuse(ReasonRestricted)
		}
	}
	return out
}

// consent gives the consent for a purpose of everybody who is meant, as of one: those decide who have or claim the
// identifier that names the person, as Person says; of the others a no counts, and nothing else. An Event of NoID:
// nothing is on record.
func (m *Meant) consent(purpose *Purpose, decides int, at time.Time) (decided Consent) {
	for i := range m.Who {
		for _, c := range m.Who[i].Consents {
			if c.Purpose != purpose.Number {
				continue
			}
			if purpose.objectedBy(&c) {
				c.ExpiresAt = time.Time{} // who objected need not do so again
			}
			switch {
			case i != decides && !c.SaysNo(at):
			case decided.Event == NoID:
				decided = c
			default:
				decided = combine(decided, c, at)
			}
		}
	}
	return decided
}

// objectedBy tells whether a consent is an objection to legitimate interests (GDPR, Article 21), which has no end.
func (p *Purpose) objectedBy(c *Consent) bool {
	return p.LegalBasis == BasisLegitimateInterests && c.State.No()
}

// result says how a consent for the purpose, as it was at an instant, stands then; an Event of NoID: nothing is on
// record. tooMany: not all who may be meant were read.
func (p *Purpose) result(c *Consent, at Instant, now time.Time, tooMany bool) CheckResult {
	r := CheckResult{Purpose: p, Event: c.Event, DecidedAt: c.OccurredAt, ExpiresAt: c.ExpiresAt,
		PurposeVersion: c.PurposeVersion, CurrentVersion: p.Version}
	r.State, r.Reason = c.standing(at.or(now))
	r.Granted = r.Reason == ReasonAccepted || r.Reason == ReasonImpliedOptOut
	yes := c.State == Accepted || c.State == Implied
	if r.Stale = yes && p.Stale(c.PurposeVersion); r.Granted && r.Stale {
		r.Granted, r.Reason = false, ReasonReacceptRequired
	}
	switch {
	case p.onConsent():
	case p.objectedBy(c):
		r.Reason = ReasonObjected
	default:
		r.Granted, r.Reason = true, ReasonLegalBasis
	}
	if tooMany && !c.State.No() && (p.onConsent() || p.LegalBasis == BasisLegitimateInterests) {
		r.Granted, r.Reason = false, ReasonTooManyPeople
	}
	return r
}

// refuse says no for a reason that goes before all others, whatever the purpose rests on.
func (r *CheckResult) refuse(why Reason) { r.Granted, r.Reason = false, why }

// onConsent tells whether the purpose may be served with a consent alone.
func (p *Purpose) onConsent() bool { return p.LegalBasis == BasisConsent || p.LegalBasis == "" }

// standing says how a consent stands at an instant and why it may be acted on or not, whatever it is for. A yes that
// was implied stands as implied.
func (c *Consent) standing(at time.Time) (state string, reason Reason) {
	switch {
	case c.Event == NoID:
		return StateUnknown, ReasonNeverAsked
	case c.Expired(at):
		return StateExpired, ReasonExpired
	case c.State == Declined:
		return c.State.String(), ReasonDeclined
	case c.State == Withdrawn:
		return c.State.String(), ReasonWithdrawn
	case c.Weight == WeightViewed:
		return Viewed.String(), ReasonViewedOnly
	case c.Weight == WeightPassive && c.Grants:
		return Implied.String(), ReasonImpliedOptOut
	case c.Weight == WeightPassive:
		return Implied.String(), ReasonImpliedNeedsYes
	}
	return c.State.String(), ReasonAccepted
}
