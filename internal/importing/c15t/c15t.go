// Package c15t knows dumps of the tables that c15t's backend keeps, and nothing of its API.
//
// It follows the schema 2.0.0 of @c15t/backend 2.2.1 (npm, dist-types/db/schema/2.0.0, seen 2026-12-01). A folder or a
// zip archive has a dump of each table, CSV with a header or objects as JSON, named as the table: consent,
// consentPurpose, consentPolicy and domain; others are passed over, subject too: its externalId is what anybody may
// have said. CSV of SQL "COPY … TO … CSV HEADER" is such.
//
// A row of consent names by purposeIds the categories that were accepted, {"json":["pur_…"]} or an array, and none that
// was refused: the backend does not keep a no. So of a cookie_banner each category of consentPurpose that is not among
// them was declined. A row of another policy type (privacy_policy, terms_and_conditions, marketing_communications) is
// accepted. The subject's id is an anonymous id, as in internal/protocol/c15t. validUntil is the expiry.
package c15t

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "c15t", Reads: "a folder or zip with c15t's tables (CSV or JSON)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		t := &tables{options: o, purposes: map[string]string{}, policies: map[string]string{}, domains: map[string]string{}}
		return t.open, nil
	},
	Knows: func(h *importing.Head) bool {
		return slices.Contains(h.Parts, "consent") && slices.Contains(h.Parts, "consentpurpose") ||
			h.Columns.Has("purposeids") || h.Members.Has("purposeids")
	},
	Rank: func(name string) int {
		switch table(name) {
		case "consentpurpose", "consentpolicy", "domain":
			return 0
		case "consent":
			return 1
		}
		return -1
	},
}

func table(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return name
}

// maxKept is how many purposes, policies and domains are kept each.
const maxKept = 100_000

// categories are the purposes of our keys (contracts: as in the adapter).
var categories = map[string]string{"necessary": "strictly_necessary", "functionality": "functional",
	"measurement": "analytics", "marketing": "marketing", "experience": "experience"}

// documents are the purposes of policy types that are no choice of categories.
var documents = map[string]string{"privacy_policy": "privacy_policy", "terms_and_conditions": "terms_of_service",
	"marketing_communications": "general_marketing_opt_in"}

type tables struct {
	options                     *importing.Options
	purposes, policies, domains map[string]string // code, type and name by id
}

func (t *tables) open(p *importing.Part) (importing.Reader, error) {
	each := t.consent
	switch table(p.Name) {
	case "consentpurpose":
		each = t.keep(t.purposes, "code")
	case "consentpolicy":
		each = t.keep(t.policies, "type")
	case "domain":
		each = t.keep(t.domains, "name")
	}
	if p.IsJSON() {
		return importing.NewItems(p, nil, func(i *importing.Item) error { return each(importing.MembersOf(i.JSON), i.Out) })
	}
	return importing.NewTable(p, func(c importing.Columns, _ []string) (func(*importing.Row) error, error) {
		return func(r *importing.Row) error {
			m := importing.Members{}
			for i, column := range c {
				m[importing.Squeeze(column)], _ = jsontext.AppendQuote(nil, r.At(i)) // UTF-8, as all text is here
			}
			return each(m, r.Out)
		}, nil
	})
}

// keep remembers a member of each row by its id. Rows of these tables are no decisions.
func (t *tables) keep(in map[string]string, member string) func(importing.Members, *importing.Out) error {
	return func(m importing.Members, out *importing.Out) error {
		if len(in) >= maxKept {
			return fmt.Errorf("there are more than %d", maxKept)
		}
		in[m.Text("id")] = m.Text(member)
		out.LeaveOut("it is no decision")
		return nil
	}
}

func (t *tables) consent(m importing.Members, out *importing.Out) (err error) {
	l := importing.Line{Identifiers: importing.Identifiers{AnonymousID: m.Text("subjectid")}, Evidence: importing.Evidence{
		IP: m.Text("ipaddress"), UserAgent: m.Text("useragent"), Domain: t.domains[m.Text("domainid")]}}
	if l.OccurredAt, err = t.options.At("givenAt", m.Text("givenat")); err != nil {
		return err
	}
	if until := m.Text("validuntil"); until != "" {
		if l.ExpiresAt, err = t.options.At("validUntil", until); err != nil {
			return err
		}
	}
	if kind := t.policies[m.Text("policyid")]; kind != "" && kind != "cookie_banner" {
		if l.Purpose, err = t.options.PurposeOf(kind, documents); err != nil {
			return err
		}
		if l.Purpose == "" {
			out.LeaveOut("the map leaves its purpose out")
			return nil
		}
		l.State, l.ExternalID = importing.Accepted, importing.IDOf(m.Text("id"), kind)
		return out.Add(&l)
	}
	return t.choice(m, l, out)
}

// choice adds a line for each category: those that were given are accepted, the others declined.
func (t *tables) choice(m importing.Members, l importing.Line, out *importing.Out) error {
	given, err := t.given(m["purposeids"])
	if err != nil {
		return err
	}
	if len(t.purposes) == 0 {
		return errors.New("which categories were refused cannot be told: give a folder with the table consentPurpose too")
	}
	codes := map[string]bool{}
	for _, code := range t.purposes {
		codes[code] = codes[code] || given[code]
	}
	out.LeaveOut("it has no category that the map does not leave out")
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if l.Purpose, err = t.options.PurposeOf(code, categories); err != nil {
			return err
		}
		if l.Purpose == "" {
			continue
		}
		if l.State = importing.Declined; codes[code] {
			l.State = importing.Accepted
		}
		l.ExternalID = importing.IDOf(m.Text("id"), code)
		if err := out.Add(&l); err != nil {
			return err
		}
	}
	return nil
}

// given gives the codes of purposeIds.
func (t *tables) given(value jsontext.Value) (map[string]bool, error) {
	if value.Kind() == '"' {
		value = jsontext.Value(importing.Unquoted(value)) // a cell that holds JSON
	}
	if inner := importing.MembersOf(value)["json"]; inner != nil {
		value = inner
	}
	var ids []string
	if value.Kind() != '[' || json.Unmarshal(value, &ids) != nil {
		return nil, importing.Refuse("purposeIds", "must be an array of ids, or have one as json")
	}
	codes := map[string]bool{}
	for _, id := range ids {
		code := t.purposes[id]
		if code == "" {
			return nil, importing.Refuse("purposeIds", "one is in no table consentPurpose: give a folder with all tables")
		}
		codes[code] = true
	}
	return codes, nil
}
