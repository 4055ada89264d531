package importing

import (
	"strconv"
	"strings"
)

const someMembers = "externalId, identifiers.email, purpose, state, occurredAt, evidence.locale, metadata.NAME"

// members are those of a line that are texts, by their names in paths.
var members = map[string]func(*Line) *string{
	"externalId":                func(l *Line) *string { return &l.ExternalID },
	"identifiers.userId":        func(l *Line) *string { return &l.Identifiers.UserID },
	"identifiers.projectUserId": func(l *Line) *string { return &l.Identifiers.ProjectUserID },
	"identifiers.email":         func(l *Line) *string { return &l.Identifiers.Email },
	"identifiers.phone":         func(l *Line) *string { return &l.Identifiers.Phone },
	"identifiers.anonymousId":   func(l *Line) *string { return &l.Identifiers.AnonymousID },
	"purpose":                   func(l *Line) *string { return &l.Purpose },
	"state":                     func(l *Line) *string { return &l.State },
	"action":                    func(l *Line) *string { return &l.Action },
	"occurredAt":                func(l *Line) *string { return &l.OccurredAt },
	"expiresAt":                 func(l *Line) *string { return &l.ExpiresAt },
	"evidence.displayedText":    func(l *Line) *string { return &l.Evidence.DisplayedText },
	"evidence.noticeUrl":        func(l *Line) *string { return &l.Evidence.NoticeURL },
	"evidence.formUrl":          func(l *Line) *string { return &l.Evidence.FormURL },
	"evidence.locale":           func(l *Line) *string { return &l.Evidence.Locale },
	"evidence.country":          func(l *Line) *string { return &l.Evidence.Country },
	"evidence.ip":               func(l *Line) *string { return &l.Evidence.IP },
	"evidence.userAgent":        func(l *Line) *string { return &l.Evidence.UserAgent },
	"evidence.domain":           func(l *Line) *string { return &l.Evidence.Domain },
}

// byFold finds a member by its name in any case: tools change the case of headers.
var byFold = func() map[string]string {
	found := map[string]string{Fold("purposeVersion"): "purposeVersion"}
	for name := range members {
		found[Fold(name)] = name
	}
	return found
}()

// MemberOf gives the member of a line that a column names by itself; empty: none.
func MemberOf(column string) string {
	if name, ok := strings.CutPrefix(Fold(column), "metadata."); ok && name != "" {
		return "metadata." + strings.TrimSpace(column)[len("metadata."):]
	}
	return byFold[Fold(column)]
}

func isMember(name string) bool {
	rest, metadata := strings.CutPrefix(name, "metadata.")
	return metadata && rest != "" || name == "purposeVersion" || members[name] != nil
}

// Set sets a member of a line by its name. A date is read as the options say. It gives a *Refusal.
func (o *Options) Set(l *Line, member, value string) error {
	if name, ok := strings.CutPrefix(member, "metadata."); ok {
		if l.Metadata == nil {
			l.Metadata = map[string]string{}
		}
		l.Metadata[name] = value
		return nil
	}
	switch member {
	case "purposeVersion":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return Refuse(member, "must be a whole number")
		}
		l.PurposeVersion = n
		return nil
	case "occurredAt", "expiresAt":
		at, err := o.At(member, value)
		if err != nil {
			return err
		}
		value = at
	}
	*members[member](l) = value
	return nil
}

// At reads a date as lines have it; where names the column in a *Refusal.
func (o *Options) At(where, text string) (string, error) {
	at, err := o.Parse(text)
	if err != nil {
		return "", Refuse(where, "%s", err.Error())
	}
	return Time(at), nil
}
