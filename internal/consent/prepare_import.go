package consent

import (
	"net/netip"
	"unicode/utf8"
)

// ImportLine is a line of an import as its caller has read it.
type ImportLine struct {
	Number     int64
	ExternalID string   // by which its source knows it; empty: it gives none
	Digest     [32]byte // SHA-256 of the line
	Key        LineKey
	Item       Item   // with one decision
	Fault      *Error // why it cannot be read; nil: it can
}

// MaxImportChunk is the most lines of an import that one transaction takes. Twice as many as other writes have
// decisions: what an index is looked up for is shared by more of them.
const MaxImportChunk = 2 * MaxItems

// ImportChunk is lines of an import that follow each other, MaxImportChunk at most. A number that has no line is a
// blank one.
type ImportChunk struct {
	From, Next int64 // the numbers from From on, before Next
	Lines      []ImportLine
	// Field names the place of a mistake in the caller's words, from our noun.
	Field func(noun string) string
}

// PreparedImport says of which import a write is a part, and of which lines its items are.
type PreparedImport struct {
	ImportKey
	From, Next int64
	Lines      []PreparedLine // by index of Items
	Refused    []LineError    // of other lines, in order
	names      string         // the place of the identifiers
}

// PreparedLine is a line that is valid.
type PreparedLine struct {
	Number int64
	Key    LineKey
}

// PrepareImport checks lines of an import, each for itself. What is refused is in Import.Refused, by the first of its
// mistakes. Errors: Internal, where the catalog lacks the project.
func PrepareImport(a Actor, d *Catalog, run *ImportRun, c *ImportChunk, f Facts) (*Prepared, error) {
	project := d.ProjectNumbered(run.Project)
	if project == nil {
		return nil, Errorf(Internal, "", "the project of the import is not there")
	}
	p := &Prepared{Actor: a, Catalog: d, Project: project, Session: f.Session,
		Origin: Origin{Protocol: ImportProtocol, Country: f.Country(netip.Addr{})},
		Import: &PreparedImport{ImportKey: run.Key(), From: c.From, Next: c.Next, names: c.Field("identifiers"),
			Lines: make([]PreparedLine, 0, len(c.Lines))},
		Items: make([]PreparedItem, 0, len(c.Lines))}
	w := &Write{Items: make([]Item, 1), Field: func(_ int, noun string) string { return c.Field(noun) }}
	for i := range c.Lines {
		p.prepareLine(w, &c.Lines[i], &f)
	}
	p.Decisions = len(p.Items)
	return p, nil
}

// prepareLine takes a line up, or notes why not.
func (p *Prepared) prepareLine(w *Write, l *ImportLine, f *Facts) {
	fault := l.Fault
	if fault == nil {
		fault = l.check(w)
	}
	if fault == nil {
		w.Items[0] = l.Item
		p.Items, p.mistakes = append(p.Items, PreparedItem{}), mistakes{}
		p.prepareItem(w, 0, &p.Items[len(p.Items)-1], f)
		if len(p.mistakes.found) == 0 {
			p.Import.Lines = append(p.Import.Lines, PreparedLine{l.Number, l.Key})
			return
		}
		fault, p.Items = p.mistakes.found[0], p.Items[:len(p.Items)-1]
	}
	p.Import.Refused = append(p.Import.Refused, LineError{Line: l.Number, Field: fault.Field, Msg: fault.Msg})
}

// check refuses what an import asks for besides what any decision is asked for.
func (l *ImportLine) check(w *Write) *Error {
	if len(l.ExternalID) > maxExternalID || !utf8.ValidString(l.ExternalID) {
		return Errorf(Unprocessable, w.field(0, "external_id"), "must have %d bytes of UTF-8 at most", maxExternalID)
	}
	if l.Item.Decisions[0].OccurredAt.IsZero() {
		return Errorf(Unprocessable, w.field(0, "occurred_at"), "is required")
	}
	return nil
}

// Unknown is why a line is refused that names somebody by an id of nobody.
func (i *PreparedImport) Unknown(line int64, item *PreparedItem) LineError {
	return LineError{Line: line, Field: item.unknown.Field, Msg: item.unknown.Msg}
}

// Suppressed is why a line is refused of which an identifier is suppressed.
func (i *PreparedImport) Suppressed(line int64) LineError {
	return LineError{Line: line, Field: i.names, Msg: "one of them is suppressed: its person was erased and wants no more"}
}
