package native

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// newImport is the body of POST {org}/imports.
type newImport struct {
	Source      string `json:"source"`
	Project     string `json:"project"`
	Fingerprint string `json:"fingerprint"`
	DryRun      bool   `json:"dryRun"`
	Notify      bool   `json:"notify"`
}

// importState is how far an import has come. Errors is there in the answer to lines alone.
type importState struct {
	ID          string      `json:"id"`
	Source      string      `json:"source"`
	Project     string      `json:"project"`
	Fingerprint string      `json:"fingerprint"`
	DryRun      bool        `json:"dryRun"`
	Notify      bool        `json:"notify"`
	State       string      `json:"state"`
	NextLine    int64       `json:"nextLine"`
	Accepted    int64       `json:"accepted"`
	Duplicates  int64       `json:"duplicates"`
	Rejected    int64       `json:"rejected"`
	ErrorsKept  int64       `json:"errorsKept"`
	CreatedAt   instant     `json:"createdAt"`
	UpdatedAt   instant     `json:"updatedAt"`
	FinishedAt  instant     `json:"finishedAt,omitzero"`
	Would       *would      `json:"would,omitzero"` // of a dry run
	Errors      []lineError `json:"errors,omitzero"`
}

// would is what a dry run says that the import would do.
type would struct {
	SubjectsMade  int64          `json:"subjectsMade"`
	SubjectsKnown int64          `json:"subjectsKnown"`
	Purposes      []wouldPurpose `json:"purposes"`
}

// wouldPurpose counts consents on a purpose, by the state that they would be in.
type wouldPurpose struct {
	Purpose   string `json:"purpose"`
	Project   string `json:"project"`
	State     string `json:"state"`
	Made      int64  `json:"made"`
	Changed   int64  `json:"changed"`
	Unchanged int64  `json:"unchanged"`
}

// lineError is why a line was not taken.
type lineError struct {
	Line    int64  `json:"line"`
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// importList is a page of imports, lineErrorList of what is kept of refused lines; NextCursor is absent on the last.
type importList struct {
	Items      []importState `json:"items"`
	NextCursor string        `json:"nextCursor,omitzero"`
}

type lineErrorList struct {
	Items      []lineError `json:"items"`
	NextCursor string      `json:"nextCursor,omitzero"`
}

// The words for whether an import takes more lines.
const (
	importOpen = "open"
	importDone = "done"
)

func importStateOf(v *consent.ImportView) importState {
	s := importState{ID: v.ID.String(), Source: v.Source, Fingerprint: v.Fingerprint, DryRun: v.DryRun, Notify: v.Notify,
		State: importOpen, NextLine: v.NextLine, Accepted: v.Accepted, Duplicates: v.Duplicates, Rejected: v.Rejected,
		ErrorsKept: v.ErrorsKept, CreatedAt: instant(v.CreatedAt), UpdatedAt: instant(v.UpdatedAt),
		FinishedAt: instant(v.FinishedAt), Would: wouldOf(v)}
	if v.Done() {
		s.State = importDone
	}
	if p := v.Catalog.ProjectNumbered(v.ImportRun.Project); p != nil {
		s.Project = p.ID.String()
	}
	return s
}

// wouldOf gives nil where it is no dry run.
func wouldOf(v *consent.ImportView) *would {
	if v.Would == nil {
		return nil
	}
	out := &would{SubjectsMade: v.Would.SubjectsMade, SubjectsKnown: v.Would.SubjectsKnown,
		Purposes: make([]wouldPurpose, len(v.Would.Consents))}
	for i, c := range v.Would.Consents {
		out.Purposes[i] = wouldPurpose{State: c.State.String(), Made: c.Made, Changed: c.Changed, Unchanged: c.Unchanged}
		if p := v.Catalog.PurposeNumbered(c.Project, c.Purpose); p != nil {
			out.Purposes[i].Purpose = p.Key
		}
		if p := v.Catalog.ProjectNumbered(c.Project); p != nil {
			out.Purposes[i].Project = p.ID.String()
		}
	}
	return out
}

func lineErrorsOf(errors []consent.LineError) []lineError {
	out := make([]lineError, len(errors))
	for i, e := range errors {
		out[i] = lineError{Line: e.Line, Pointer: pointerTo(e.Field), Detail: protocol.Message("", e.Msg)}
	}
	return out
}

// newLine is a line of an import; null counts as absent.
type newLine struct {
	newEvent
	ExternalID *string `json:"externalId"`
}

// Bounds of a call of lines, and of what is decoded of one at a time.
const (
	maxLines   = 20_000
	chunkBytes = 512 << 10
)

// lineReader reads the lines of a call, from the number of the first on.
type lineReader struct {
	lines *protocol.Lines
	from  int64
}

// chunks gives the lines in parts. Those before next are counted alone: they are done. An error comes behind all parts
// before it.
func (r *lineReader) chunks(next int64) iter.Seq2[*consent.ImportChunk, error] {
	return func(yield func(*consent.ImportChunk, error) bool) {
		for number, more := r.from, true; more; {
			var chunk *consent.ImportChunk
			var err error
			chunk, more, err = r.chunk(number, next)
			if chunk.Next > number && !yield(chunk, nil) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			number = chunk.Next
		}
	}
}

// chunk reads a part from a number on; more tells that others may follow.
func (r *lineReader) chunk(from, next int64) (c *consent.ImportChunk, more bool, err error) {
	c = &consent.ImportChunk{From: from, Next: from, Field: eventFields.Of}
	for size := 0; len(c.Lines) < consent.MaxImportChunk && size < chunkBytes; c.Next++ {
		line, long, err := r.lines.Next()
		if errors.Is(err, io.EOF) {
			return c, false, nil
		}
		if err != nil {
			return c, false, err
		}
		if c.Next-r.from == maxLines {
			return c, false, consent.Errorf(consent.Invalid, "",
				"a call takes %d lines at most; those before line %d were taken",
				maxLines, c.Next)
		}
		size += len(line)
		if line = bytes.TrimSpace(line); c.Next < next || len(line) == 0 && !long {
			continue
		}
		read := consent.ImportLine{Fault: errLongLine}
		if !long {
			read = readLine(line)
		}
		read.Number = c.Next
		c.Lines = append(c.Lines, read)
	}
	return c, true, nil
}

var errLongLine = consent.Errorf(consent.Invalid, "", "has more than %d bytes", protocol.MaxLine)

// readLine decodes a line. Its Fault is the first mistake.
func readLine(line []byte) (out consent.ImportLine) {
	var in *newLine
	err := protocol.UnmarshalStrict(line, &in)
	if err == nil && in == nil {
		err = consent.Errorf(consent.Unprocessable, "", "must be an object")
	}
	if err != nil {
		out.Fault = consent.AsError(err)
		return out
	}
	out.Digest = sha256.Sum256(line)
	if in.ExternalID != nil {
		if out.ExternalID = *in.ExternalID; out.ExternalID == "" {
			out.Fault = consent.Errorf(consent.Unprocessable, "externalId", "must not be empty")
			return out
		}
	}
	var found faultList
	out.Item = in.item(0, &found)
	if in.Action == nil {
		out.Item.Decisions[0].Action = consent.Import
	}
	if len(found) > 0 {
		out.Fault = found[0]
		_, out.Fault.Field, _ = strings.Cut(out.Fault.Field, ".") // behind items[0]
	}
	return out
}
