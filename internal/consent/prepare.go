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

// prepared is a write that is valid: what the batcher decides on. It is not changed while it waits.
type prepared struct {
	actor     Actor
	once      Once
	directory *Directory
	project   *Project
	origin    Origin
	session   ID
	items     []preparedItem
	decisions int          // how many events it can make
	result    chan outcome // has room for one
	expired   func() error // whether the caller still waits
}

type preparedItem struct {
	given     []Identifier // normalised, ranked
	known     bool
	decisions []preparedDecision
	replace   []replaced
	action    Action // of replace
	country   string
	locale    string
	identity  Ident  // without AnonymousID
	ident     []byte // the canonical form of identity behind its first member
}

type preparedDecision struct {
	ref        PurposeRef
	purpose    *Purpose // nil: to be made
	state      State
	action     Action
	occurredAt time.Time // zero: now
	expiresAt  time.Time // zero: by the purpose's duration
	text       *Text
	regime     Regime
}

// replaced is one purpose of a Replacement.
type replaced struct {
	purpose *Purpose
	granted bool
}

// prepare checks a write against the vocabulary of its organization. It is pure but for session and clock.
func (s *Service) prepare(a Actor, d *Directory, w *Write) (*prepared, error) {
	project, err := d.Project(w.Project)
	if err != nil {
		return nil, err
	}
	if len(w.Items) > MaxItems {
		return nil, Errorf(Invalid, "items", "may have %d items at most", MaxItems)
	}
	p := &prepared{actor: a, once: w.Once, directory: d, project: project, origin: w.Origin,
		session: s.newID(), items: make([]preparedItem, len(w.Items))}
	p.origin.UserAgent = clean(w.Origin.UserAgent, maxUserAgent)
	p.origin.Domain = clean(w.Origin.Domain, maxDomain)
	if p.origin.Country == "" {
		p.origin.Country = s.places.Country(w.Origin.Address)
	}
	now := s.now()
	for i := range w.Items {
		if err := s.prepareItem(p, w, i, now); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (s *Service) prepareItem(p *prepared, w *Write, i int, now time.Time) error {
	in, out := &w.Items[i], &p.items[i]
	if len(in.Identifiers) == 0 {
		return Errorf(Unprocessable, w.field(i, "identifiers"), "needs at least one identifier")
	}
	given, err := prepare(in.Identifiers, p.project.Number, in.EmailFirst)
	if err != nil {
		e := AsError(err)
		return Errorf(e.Kind, w.field(i, e.Field), "%s", e.Msg)
	}
	if kind, twice := givenTwice(given); twice {
		return Errorf(Invalid, w.field(i, string(kind)), "must be given once")
	}
	if err := p.actor.confined(given); err != nil {
		return err
	}
	if err := checkEvidence(in.Evidence); err != nil {
		return Errorf(Invalid, w.field(i, err.Field), "%s", err.Msg)
	}
	out.given, out.known, out.country, out.locale = given, in.Known, p.origin.Country, in.Evidence.Locale
	for _, d := range in.Decisions {
		decision, err := s.prepareDecision(p, d, out.country, now)
		if err != nil {
			e := AsError(err)
			return &Error{Kind: e.Kind, Field: w.field(i, e.Field), Msg: e.Msg}
		}
		out.decisions = append(out.decisions, decision)
	}
	if in.Replace != nil {
		if err := p.prepareReplacement(in.Replace, out); err != nil {
			return err
		}
	}
	p.decisions += len(out.decisions) + len(out.replace)
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

func (s *Service) prepareDecision(p *prepared, d Decision, country string, now time.Time) (preparedDecision, error) {
	purpose, err := p.directory.purpose(p.project.Number, d.Purpose)
	if err != nil {
		e := AsError(err)
		return preparedDecision{}, Errorf(e.Kind, "purpose", "%s", e.Msg)
	}
	if purpose == nil {
		if err := checkIdentifier(d.Purpose.Key); err != nil || len(d.Purpose.Key) > 128 {
			return preparedDecision{}, Errorf(Invalid, "purpose", "must be 1 to 128 bytes without control characters")
		}
	} else if err := purpose.admitsState(d.State); err != nil {
		return preparedDecision{}, err
	}
	out := preparedDecision{ref: d.Purpose, purpose: purpose, state: d.State, action: d.Action,
		occurredAt: micro(d.OccurredAt), expiresAt: micro(d.ExpiresAt), regime: s.places.Regime(country)}
	if d.Action == Import { // the address is the importer's, not the person's
		out.regime = s.places.Regime(UnknownCountry)
	}
	if out.occurredAt.After(now.Add(maxAhead)) {
		return out, Errorf(Invalid, "occurred_at", "must not be more than 5 minutes in the future")
	}
	if err := checkYears(out.occurredAt, out.expiresAt); err != nil {
		return out, err
	}
	decided := out.occurredAt
	if decided.IsZero() {
		decided = now
	}
	if !out.expiresAt.IsZero() && !out.expiresAt.After(decided) {
		return out, Errorf(Invalid, "expires_at", "must be later than the decision")
	}
	if len(d.DisplayedText) > maxText || !utf8.ValidString(d.DisplayedText) {
		return out, Errorf(Invalid, "displayed_text", "must be valid UTF-8 of %d KiB at most", maxText>>10)
	}
	if d.DisplayedText != "" {
		text := newText(p.directory.Organization.ID, d.DisplayedText)
		out.text = &text
	}
	return out, nil
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

func (p *prepared) prepareReplacement(r *Replacement, out *preparedItem) error {
	out.action = r.Action
	for _, key := range r.Among {
		purpose := p.directory.PurposeByKey(p.project.Number, key)
		if purpose == nil {
			return Errorf(Unprocessable, "", "the project lacks the purpose %s", key)
		}
		granted := slices.Contains(r.Granted, key)
		if granted && purpose.closed() {
			return Errorf(Unprocessable, "", "the purpose %s is %s and takes no yes", key, purpose.Status)
		}
		out.replace = append(out.replace, replaced{purpose, granted})
	}
	return nil
}

// identify makes the Ident of an item's events, but for the member that identity decides.
func (p *prepared) identify(in *Item, out *preparedItem) {
	id := Ident{Country: out.country, Domain: p.origin.Domain, FormURL: in.Evidence.FormURL,
		Identifiers: make(map[string]string, len(out.given)), IP: keptAddress(p.origin.Address, p.project.WholeAddress),
		Key: p.actor.Key.String(), Protocol: p.origin.Protocol, Session: p.session.String(), UserAgent: p.origin.UserAgent}
	b := make([]byte, 1, 384)
	b[0] = '{'
	b = appendMember(b, "country", id.Country)
	b = appendMember(b, "domain", id.Domain)
	b = appendMember(b, "form_url", id.FormURL)
	b = appendName(b, "identifiers")
	b = append(b, '{')
	byName := out.given
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
	out.identity, out.ident = id, append(b, '}')
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
