// Package csv knows tables whose header names members of native lines, or whose columns a map names. It knows no other
// tool.
//
// A column is named as a member of a native line, with a point between groups: externalId, identifiers.userId, .email,
// .phone, .projectUserId, .anonymousId, purpose, state, action, occurredAt, expiresAt, evidence.displayedText and so
// on, metadata.NAME; in any case. A map names other columns, constants, words and purposes (see importing.Map). A
// column that neither names is passed over where there is a map, and refused where there is none, so that a typo is no
// loss. Where a map has wide columns, each is a purpose, with yes or no in it; an empty cell is no decision.
//
// An export of consentd as CSV is read too: its id is the externalId, what the server gave it is left, and the
// apostrophe before = + - @ that keeps spreadsheets from running it is taken off.
package csv

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "csv",
	Reads: "a table, by its header or by --map",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		m := &mapper{options: o}
		if err := yesNo.Check(o.Map); err != nil {
			return nil, err
		}
		return func(p *importing.Part) (importing.Reader, error) { return importing.NewTable(p, m.begin) }, nil
	},
	Knows: func(h *importing.Head) bool { return h.Columns.Has("purpose") && h.Columns.Has("state", "occurredat") },
	Rank: func(name string) int {
		if strings.HasPrefix(name, "consents.") || strings.HasSuffix(name, ".json") { // of an export's folder
			return -1
		}
		return 0
	},
}

// yesNo are the words of wide columns. States of the map adds others.
var yesNo = importing.Words{
	"yes": {State: importing.Accepted}, "true": {State: importing.Accepted}, "1": {State: importing.Accepted},
	"y": {State: importing.Accepted}, "accepted": {State: importing.Accepted},
	"no": importing.No(importing.Declined), "false": importing.No(importing.Declined),
	"0": importing.No(importing.Declined), "n": importing.No(importing.Declined),
	"declined": importing.No(importing.Declined), "withdrawn": importing.No(importing.Withdrawn),
}

// native are the words of a column named state.
var native = importing.Words{
	importing.Accepted: {State: importing.Accepted}, importing.Implied: {State: importing.Implied},
	importing.Viewed: {State: importing.Viewed}, importing.Declined: importing.No(importing.Declined),
	importing.Withdrawn: importing.No(importing.Withdrawn),
}

// exported are columns of an export that the server gave, or that lines have not.
var exported = []string{"id", "sequence", "subjectid", "project", "identifiers.username", "regime", "recordedat",
	"source.protocol", "source.keyid", "metadata", "purposeversion"}

type mapper struct {
	options   *importing.Options
	members   []string       // by column; empty: none
	wide      map[int]string // purpose by column
	ordered   []int          // columns of wide
	exported  map[string]int // columns of an export; nil: it is none
	project   string         // of the first row of an export
	constants []string       // members
}

func (m *mapper) begin(columns importing.Columns, header []string) (func(*importing.Row) error, error) {
	given := m.options.Map
	m.members, m.wide, m.exported = make([]string, len(columns)), map[int]string{}, nil
	if columns.Has("recordedat") && columns.Has("sequence") && columns.Has("source.protocol") {
		m.exported = map[string]int{}
	}
	mapped := len(given.Columns)+len(given.Wide) > 0
	for i, column := range columns {
		member, named := given.Columns[column]
		switch {
		case named:
			m.members[i] = member
		case given.Wide[column] != "":
			m.wide[i] = given.Wide[column]
		case m.exported != nil && slices.Contains(exported, column):
			m.exported[column] = i
		case importing.MemberOf(column) != "":
			m.members[i] = importing.MemberOf(header[i])
		case !mapped && column != importing.ErrorColumn:
			return nil, importing.Refuse("", "column %d of the header is no member of a line; name it in columns of a map "+
				"(\"\" leaves it out)", i+1)
		}
	}
	m.ordered = slices.Sorted(maps.Keys(m.wide))
	m.constants = slices.Sorted(maps.Keys(given.Constants))
	return m.row, m.check(columns)
}

// check tells what no row could have.
func (m *mapper) check(columns importing.Columns) error {
	for column := range m.options.Map.Columns {
		if !columns.Has(column) {
			return importing.Refuse("", "columns of the map name one that the header has not: %q", column)
		}
	}
	for column := range m.options.Map.Wide {
		if !columns.Has(column) {
			return importing.Refuse("", "wide of the map names a column that the header has not: %q", column)
		}
	}
	has := func(member string) bool {
		return slices.Contains(m.members, member) || slices.Contains(m.constants, member)
	}
	switch {
	case !has("occurredAt"):
		return importing.Refuse("", "no column is occurredAt: name it in the header or in a map")
	case len(m.wide) > 0 && (has("purpose") || has("state")):
		return importing.Refuse("", "wide columns go without a purpose and a state")
	case len(m.wide) == 0 && !has("state"):
		return importing.Refuse("", "no column is state: name it in the header or in a map")
	case len(m.wide) == 0 && !has("purpose") && m.options.Purpose == "":
		return importing.Refuse("", "no column is purpose: name it in the header, in a map or with --purpose")
	}
	return nil
}

func (m *mapper) row(r *importing.Row) (err error) {
	var l importing.Line
	for _, member := range m.constants {
		if err := m.options.Set(&l, member, m.options.Map.Constants[member]); err != nil {
			return err
		}
	}
	for i, member := range m.members {
		if value := plain(r.At(i)); member != "" && value != "" {
			if err := m.options.Set(&l, member, value); err != nil {
				return err
			}
		}
	}
	if m.exported != nil {
		if left, err := m.fromExport(r, &l); left || err != nil {
			return err
		}
	}
	if len(m.wide) > 0 {
		return m.each(r, &l)
	}
	if l.Purpose == "" {
		l.Purpose = m.options.Purpose
	}
	theirs := l.Purpose
	if l.Purpose, err = m.options.PurposeOf(theirs, nil); err != nil {
		return err
	}
	if l.Purpose == "" && theirs != "" {
		r.Out.LeaveOut("the map leaves its purpose out")
		return nil
	}
	return m.add(r.Out, l, l.State, native)
}

// plain takes off what keeps a spreadsheet from running a cell.
func plain(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && strings.IndexByte("=+-@\t\r", cell[1]) >= 0 {
		cell = cell[1:]
	}
	return strings.TrimSpace(cell)
}

// each makes a line of each wide column that is not empty. Such a table says how things stand, so another answer under
// the same externalId is another decision.
func (m *mapper) each(r *importing.Row, l *importing.Line) error {
	id, decided := l.ExternalID, false
	for _, i := range m.ordered {
		word := plain(r.At(i))
		if word == "" {
			continue
		}
		decided = true
		l.Purpose = m.wide[i]
		if id != "" {
			l.ExternalID = strings.Join([]string{id, l.Purpose, importing.Fold(word), l.OccurredAt}, ":")
		}
		if err := m.add(r.Out, *l, word, yesNo); err != nil {
			return err
		}
	}
	if !decided {
		r.Out.LeaveOut("it has no decision: all its purposes are empty")
	}
	return nil
}

func (m *mapper) add(out *importing.Out, l importing.Line, word string, words importing.Words) error {
	means, err := m.options.StateOf(word, words)
	if err != nil {
		return err
	}
	if means.State == "" {
		out.LeaveOut(means.LeftOut)
		return nil
	}
	l.State = means.State
	return out.Add(&l)
}

// fromExport takes over what an event of an export has in columns that lines have not. left: it is of another project.
func (m *mapper) fromExport(r *importing.Row, l *importing.Line) (left bool, err error) {
	cell := func(column string) string {
		if i, ok := m.exported[column]; ok {
			return plain(r.At(i))
		}
		return ""
	}
	project := cell("project")
	if only := m.options.OnlyProject; only != "" && project != only {
		r.Out.LeaveOut("it is of another project")
		return true, nil
	}
	if m.project == "" {
		m.project = project
	}
	if project != m.project {
		return false, importing.Refuse("project", "the file has events of several projects: import each by --only-project")
	}
	l.ExternalID = cell("id")
	if l.Identifiers == (importing.Identifiers{}) {
		l.Identifiers.AnonymousID = cell("subjectid")
	}
	if text := cell("metadata"); text != "" {
		var members map[string]jsontext.Value
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			return false, importing.Refuse("metadata", "is no JSON object")
		}
		l.Metadata = make(map[string]string, len(members))
		for name, value := range members {
			l.Metadata[name] = importing.Unquoted(value)
		}
	}
	return false, nil
}
