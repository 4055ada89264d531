package consent

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxText is the most bytes of what a person was told.
const maxText = 64 << 10

// maxAhead is how far in the future a decision may be dated: clocks differ.
const maxAhead = 5 * time.Minute

// Prepared is a write that is valid: purposes are found, identifiers normalised and ranked. It is shared, and nobody
// changes it.
type Prepared struct {
	Actor       Actor
	Idempotency Idempotency
	Catalog     *Catalog
	Project     *Project
	Origin      Origin
	Session     ID
	Items       []PreparedItem
	Decisions   int             // how many events it can make
	Import      *PreparedImport // nil: it is no part of an import
	mistakes    mistakes
}

// PreparedItem is a valid Item.
type PreparedItem struct {
	Identifiers []Identifier // normalised, ranked
	Known       bool
	Decisions   []PreparedDecision // those of Replace included
	Locale      string
	Metadata    Metadata
	unknown     *Error   // says that who must be known is not
	identity    Identity // without AnonymousID
	rest        []byte   // the canonical form of identity behind its first member
}

// MakesPurposes tells whether a decision is about a purpose that is to be made.
func (p *PreparedItem) MakesPurposes() bool {
	return slices.ContainsFunc(p.Decisions, func(d PreparedDecision) bool { return d.Found == nil })
}

// PreparedDecision is a Decision of which all names are looked up.
type PreparedDecision struct {
	Decision          // times in UTC and microseconds
	Found    *Purpose // nil: to be made
	Regime   Regime
	Text     *Text
	Replaces bool // it is a Replacement's: a withdrawal is recorded only where there is something to take back
}

// Facts are what the rules need to know besides a write and its catalog. They read no clock and draw no lots. Country
// and Regime are those of Places.
type Facts struct {
	Now     time.Time // UTC, microseconds
	Session ID        // a new one
	Country func(netip.Addr) string
	Regime  func(country string) Regime
	Hash    func(text string) []byte // SHA-256
}

// Prepare checks a write against the catalog of its organization. Errors: Invalid, Unprocessable, Forbidden, NotFound.
func Prepare(a Actor, d *Catalog, w *Write, f Facts) (*Prepared, error) {
	project, err := d.Project(w.Project)
	if err != nil {
		return nil, err
	}
	if len(w.Items) > MaxItems {
		return nil, Errorf(Invalid, "items", "may have %d items at most", MaxItems)
	}
	p := &Prepared{Actor: a, Idempotency: w.Idempotency, Catalog: d, Project: project, Origin: w.Origin,
		Session: f.Session, Items: make([]PreparedItem, len(w.Items))}
	p.Origin.UserAgent = clean(w.Origin.UserAgent, maxUserAgent)
	p.Origin.Domain = clean(w.Origin.Domain, maxDomain)
	p.mistakes.all = w.AllMistakes
	for i := range w.Items {
		if p.prepareItem(w, i, &p.Items[i], &f); p.mistakes.enough() {
			break
		}
	}
	if err := p.mistakes.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// prepareItem fills in one item, and notes what is wrong with it.
func (p *Prepared) prepareItem(w *Write, i int, out *PreparedItem, f *Facts) {
	in := &w.Items[i]
	out.Known, out.Locale, out.Metadata = in.Known, in.Evidence.Locale, in.Metadata
	note := func(err error) { p.mistakes.add(err, func(noun string) string { return w.field(i, noun) }) }
	note(p.prepareNames(in, out))
	if err := p.Actor.Confined(out.Identifiers); err != nil && len(out.Identifiers) > 0 {
		p.mistakes.add(err, nil)
	}
	origin := p.Origin
	told, err := origin.replace(&in.Evidence, f)
	note(err)
	note(in.Metadata.check())
	if out.unknown = ErrNoSubject; in.Subject != NoID {
		out.unknown = Errorf(Unprocessable, w.field(i, string(SubjectID)), "names nobody")
	}
	for _, d := range in.Decisions {
		decision, err := p.prepareDecision(d, &origin, told, f)
		note(err)
		out.Decisions = append(out.Decisions, decision)
	}
	if in.Replace != nil {
		p.mistakes.add(p.prepareReplacement(in.Replace, out, f), nil)
	}
	p.Decisions += len(out.Decisions)
	p.identify(in, out, &origin)
}

// prepareNames settles by what an item names its person.
func (p *Prepared) prepareNames(in *Item, out *PreparedItem) error {
	if in.Subject != NoID {
		if len(in.Identifiers) > 0 {
			return Errorf(Unprocessable, string(SubjectID), "must not be given beside identifiers")
		}
		out.Identifiers, out.Known = []Identifier{{Kind: SubjectID, Value: in.Subject.String()}}, true
		return nil
	}
	if len(in.Identifiers) == 0 {
		return Errorf(Unprocessable, "identifiers", "needs at least one identifier")
	}
	given, err := PrepareIdentifiers(in.Identifiers, p.Project.Number, in.EmailFirst)
	if err != nil {
		return err
	}
	if kind, twice := givenTwice(given); twice {
		return Errorf(Invalid, string(kind), "must be given once")
	}
	out.Identifiers = given
	return nil
}

// Clicked tells whether one of the decisions is by the person.
func (i *PreparedItem) Clicked() bool {
	return slices.ContainsFunc(i.Decisions, func(d PreparedDecision) bool { return d.Action == UserClick })
}

// Unknown refuses a write about people who must be known and are not.
func (p *Prepared) Unknown(known func(Identifier) bool) error {
	var found mistakes
	found.all = p.mistakes.all
	for i := range p.Items {
		if item := &p.Items[i]; item.Known && !known(item.Identifiers[0]) {
			found.add(item.unknown, nil)
		}
		if found.enough() {
			break
		}
	}
	return found.err()
}

// givenTwice finds a kind of which there are two among ranked identifiers.
func givenTwice(given []Identifier) (IdentifierKind, bool) {
	for i := 1; i < len(given); i++ {
		if given[i].Kind == given[i-1].Kind {
			return given[i].Kind, true
		}
	}
	return "", false
}

func (p *Prepared) prepareDecision(d Decision, origin *Origin, told bool, f *Facts) (PreparedDecision, error) {
	purpose, err := p.Catalog.purpose(p.Project.Number, d.Purpose)
	if err != nil {
		e := AsError(err)
		return PreparedDecision{}, Errorf(e.Kind, "purpose", "%s", e.Msg)
	}
	if purpose == nil {
		if err := checkIdentifier(d.Purpose.Key); err != nil || len(d.Purpose.Key) > 128 {
			return PreparedDecision{}, Errorf(Invalid, "purpose", "must be 1 to 128 bytes without control characters")
		}
	} else if err := purpose.admits(&d); err != nil {
		return PreparedDecision{}, err
	}
	d.OccurredAt, d.ExpiresAt = micro(d.OccurredAt), micro(d.ExpiresAt)
	if err := d.checkTimes(f.Now); err != nil {
		return PreparedDecision{}, err
	}
	if len(d.DisplayedText) > maxText || !utf8.ValidString(d.DisplayedText) {
		return PreparedDecision{}, Errorf(Invalid, "displayed_text", "must be valid UTF-8 of %d KiB at most", maxText>>10)
	}
	out := PreparedDecision{Decision: d, Found: purpose, Regime: origin.regime(d.Action, told, f)}
	if d.DisplayedText != "" {
		out.Text = &Text{Organization: p.Catalog.Organization.ID, Hash: f.Hash(d.DisplayedText), Text: d.DisplayedText}
	}
	return out, nil
}

// checkTimes checks the dates of a decision that is recorded now.
func (d *Decision) checkTimes(now time.Time) error {
	if d.OccurredAt.After(now.Add(maxAhead)) {
		return Errorf(Invalid, "occurred_at", "must not be more than 5 minutes in the future")
	}
	if err := checkYears(d.OccurredAt, d.ExpiresAt); err != nil {
		return err
	}
	decided := d.OccurredAt
	if decided.IsZero() {
		decided = now
	}
	if !d.ExpiresAt.IsZero() && !d.ExpiresAt.After(decided) {
		return Errorf(Invalid, "expires_at", "must be later than the decision")
	}
	return nil
}

// checkYears refuses instants that no clock shows and RFC 3339 cannot write.
func checkYears(occurredAt, expiresAt time.Time) error {
	for _, t := range []struct {
		noun string
		time.Time
	}{{"occurred_at", occurredAt}, {"expires_at", expiresAt}} {
		if !t.IsZero() && (t.Year() < 1970 || t.Year() > 9999) {
			return Errorf(Invalid, t.noun, "must be in the years 1970 to 9999")
		}
	}
	return nil
}

func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func (p *Prepared) prepareReplacement(r *Replacement, out *PreparedItem, f *Facts) error {
	for _, key := range r.Among {
		purpose := p.Catalog.PurposeByKey(p.Project.Number, key)
		if purpose == nil {
			return Errorf(Unprocessable, "", "the project lacks the purpose %s", key)
		}
		state := Withdrawn
		if slices.Contains(r.Granted, key) {
			state = Accepted
		}
		if state == Accepted && purpose.closed() {
			return Errorf(Unprocessable, "", "the purpose %s is %s and takes no yes", key, purpose.Status)
		}
		out.Decisions = append(out.Decisions, PreparedDecision{Decision: Decision{State: state, Action: r.Action},
			Found: purpose, Regime: p.Origin.regime(r.Action, false, f), Replaces: true})
	}
	return nil
}

// identify makes the Identity of an item's events, but for the member that identity decides.
func (p *Prepared) identify(in *Item, out *PreparedItem, from *Origin) {
	id := Identity{Country: from.Country, Domain: from.Domain, FormURL: in.Evidence.FormURL,
		Identifiers: make(map[string]string, len(out.Identifiers)),
		IP:          keptAddress(from.Address, p.Project.WholeAddress), Key: p.Actor.Key.String(),
		NoticeURL: in.Evidence.NoticeURL, Protocol: from.Protocol, Session: p.Session.String(), UserAgent: from.UserAgent}
	if said := in.Evidence.Country; said != id.Country {
		id.CountrySaid = said
	}
	if p.Import != nil {
		id.Import = p.Import.Import.String()
	}
	b := make([]byte, 1, 384)
	b[0] = '{'
	b = appendMember(b, "country", id.Country)
	b = appendMember(b, "country_said", id.CountrySaid)
	b = appendMember(b, "domain", id.Domain)
	b = appendMember(b, "form_url", id.FormURL)
	b = appendName(b, "identifiers")
	b = append(b, '{')
	byName := out.Identifiers
	if len(byName) > 1 {
		byName = slices.Clone(byName)
		slices.SortFunc(byName, func(a, b Identifier) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
	}
	for _, g := range byName {
		id.Identifiers[string(g.Kind)] = g.Value
		b = appendMember(b, string(g.Kind), g.Value)
	}
	b = append(b, '}')
	b = appendMember(b, "import", id.Import)
	b = appendMember(b, "ip", id.IP)
	b = appendMember(b, "key", id.Key)
	b = appendMember(b, "notice_url", id.NoticeURL)
	b = appendMember(b, "protocol", id.Protocol)
	b = appendMember(b, "session", id.Session)
	b = appendMember(b, "user_agent", id.UserAgent)
	out.identity, out.rest = id, append(b, '}')
}

// IdentityOf gives the Identity of an item's events, decoded and as canonical JSON, for the person who is known to a
// browser by an anonymous id.
func (item *PreparedItem) IdentityOf(anonymousID string) (*Identity, []byte) {
	identity := item.identity
	identity.AnonymousID = anonymousID
	b := make([]byte, 0, len(item.rest)+len(anonymousID)+24)
	b = append(b, `{"anonymous_id":`...)
	b = appendString(b, anonymousID)
	b = append(b, ',')
	return &identity, append(b, item.rest[len("{"):]...)
}

// DecidedAt gives when the first of an item's decisions was taken: whoever it names were one person by then.
func (item *PreparedItem) DecidedAt(now time.Time) time.Time {
	at := now
	for i := range item.Decisions {
		if d := item.Decisions[i].OccurredAt; !d.IsZero() && d.Before(at) {
			at = d
		}
	}
	return at
}
