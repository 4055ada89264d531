package consent

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// How much of what a request says of itself is kept.
const (
	maxUserAgent = 512
	maxDomain    = 253
	maxFormURL   = 2048
	maxLocale    = 35 // BCP 47: registered tags stay below
	maxText      = 64 << 10
)

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
	Decisions   int // how many events it can make
}

// PreparedItem is a valid Item.
type PreparedItem struct {
	Identifiers []Identifier // normalised, ranked
	Known       bool
	Decisions   []PreparedDecision // those of Replace included
	Locale      string
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

// Facts are what the rules need to know besides a write and its catalog. They read no clock and draw no lots.
type Facts struct {
	Now     time.Time // UTC, microseconds
	Session ID        // a new one
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
	for i := range w.Items {
		if err := p.prepareItem(w, i, &f); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Prepared) prepareItem(w *Write, i int, f *Facts) error {
	in, out := &w.Items[i], &p.Items[i]
	if len(in.Identifiers) == 0 {
		return Errorf(Unprocessable, w.field(i, "identifiers"), "needs at least one identifier")
	}
	given, err := PrepareIdentifiers(in.Identifiers, p.Project.Number, in.EmailFirst)
	if err != nil {
		e := AsError(err)
		return Errorf(e.Kind, w.field(i, e.Field), "%s", e.Msg)
	}
	if kind, twice := givenTwice(given); twice {
		return Errorf(Invalid, w.field(i, string(kind)), "must be given once")
	}
	if err := p.Actor.Confined(given); err != nil {
		return err
	}
	if err := checkEvidence(in.Evidence); err != nil {
		return Errorf(Invalid, w.field(i, err.Field), "%s", err.Msg)
	}
	out.Identifiers, out.Known, out.Locale = given, in.Known, in.Evidence.Locale
	for _, d := range in.Decisions {
		decision, err := p.prepareDecision(d, f)
		if err != nil {
			e := AsError(err)
			return &Error{Kind: e.Kind, Field: w.field(i, e.Field), Msg: e.Msg}
		}
		out.Decisions = append(out.Decisions, decision)
	}
	if in.Replace != nil {
		if err := p.prepareReplacement(in.Replace, out, f); err != nil {
			return err
		}
	}
	p.Decisions += len(out.Decisions)
	p.identify(in, out)
	return nil
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

func checkEvidence(e Evidence) *Error {
	for _, part := range []struct {
		noun, value string
		most        int
	}{{"form_url", e.FormURL, maxFormURL}, {"locale", e.Locale, maxLocale}} {
		if len(part.value) > part.most || !utf8.ValidString(part.value) {
			return Errorf(Invalid, part.noun, "must be valid UTF-8 of %d bytes at most", part.most)
		}
	}
	return nil
}

func (p *Prepared) prepareDecision(d Decision, f *Facts) (PreparedDecision, error) {
	purpose, err := p.Catalog.purpose(p.Project.Number, d.Purpose)
	if err != nil {
		e := AsError(err)
		return PreparedDecision{}, Errorf(e.Kind, "purpose", "%s", e.Msg)
	}
	if purpose == nil {
		if err := checkIdentifier(d.Purpose.Key); err != nil || len(d.Purpose.Key) > 128 {
			return PreparedDecision{}, Errorf(Invalid, "purpose", "must be 1 to 128 bytes without control characters")
		}
	} else if err := purpose.admitsState(d.State); err != nil {
		return PreparedDecision{}, err
	}
	d.OccurredAt, d.ExpiresAt = micro(d.OccurredAt), micro(d.ExpiresAt)
	if err := d.checkTimes(f.Now); err != nil {
		return PreparedDecision{}, err
	}
	if len(d.DisplayedText) > maxText || !utf8.ValidString(d.DisplayedText) {
		return PreparedDecision{}, Errorf(Invalid, "displayed_text", "must be valid UTF-8 of %d KiB at most", maxText>>10)
	}
	out := PreparedDecision{Decision: d, Found: purpose, Regime: p.regime(d.Action, f)}
	if d.DisplayedText != "" {
		out.Text = &Text{p.Catalog.Organization.ID, f.Hash(d.DisplayedText), d.DisplayedText}
	}
	return out, nil
}

// regime gives the regime under which somebody decides. An import comes from the importer's address, not the person's.
func (p *Prepared) regime(action Action, f *Facts) Regime {
	if action == Import {
		return f.Regime(UnknownCountry)
	}
	return f.Regime(p.Origin.Country)
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
			Found: purpose, Regime: p.regime(r.Action, f), Replaces: true})
	}
	return nil
}

// identify makes the Identity of an item's events, but for the member that identity decides.
func (p *Prepared) identify(in *Item, out *PreparedItem) {
	id := Identity{Country: p.Origin.Country, Domain: p.Origin.Domain, FormURL: in.Evidence.FormURL,
		Identifiers: make(map[string]string, len(out.Identifiers)),
		IP:          keptAddress(p.Origin.Address, p.Project.WholeAddress), Key: p.Actor.Key.String(),
		Protocol: p.Origin.Protocol, Session: p.Session.String(), UserAgent: p.Origin.UserAgent}
	b := make([]byte, 1, 384)
	b[0] = '{'
	b = appendMember(b, "country", id.Country)
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
	b = appendMember(b, "ip", id.IP)
	b = appendMember(b, "key", id.Key)
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

// keptAddress shows an address as it is kept: cut to IPv4 /24, IPv6 /48 unless the project asks for the whole.
func keptAddress(a netip.Addr, whole bool) string {
	if !a.IsValid() {
		return ""
	}
	a = a.Unmap().WithZone("")
	if whole {
		return a.String()
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.Addr().String()
}
