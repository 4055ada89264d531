package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Import is what is brought in from another system line by line, and how far it has come.
type Import struct {
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Project     string    `json:"project"`
	Fingerprint string    `json:"fingerprint"`
	DryRun      bool      `json:"dryRun"`
	Notify      bool      `json:"notify"`
	State       string    `json:"state"`    // open or done
	NextLine    int64     `json:"nextLine"` // those before it are done
	Accepted    int64     `json:"accepted"`
	Duplicates  int64     `json:"duplicates"`
	Rejected    int64     `json:"rejected"`
	ErrorsKept  int64     `json:"errorsKept"` // how many of the rejected lines ImportErrors tells of
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	FinishedAt  time.Time `json:"finishedAt"` // zero: it is open
	// Would is what a dry run says that the import would do so far; nil: it is none.
	Would *ImportOutcome `json:"would"`
	// Errors are why lines of this call of SendLines were refused, the first 100 of them.
	Errors []LineError `json:"errors"`
}

// ImportOutcome is what an import would do.
type ImportOutcome struct {
	SubjectsMade  int64              `json:"subjectsMade"`
	SubjectsKnown int64              `json:"subjectsKnown"` // who are on record, and are in lines
	Purposes      []ImportedConsents `json:"purposes"`
}

// ImportedConsents counts the consents on a purpose that lines are about, by the state that they would be in.
type ImportedConsents struct {
	Purpose   string `json:"purpose"`
	Project   string `json:"project"`
	State     string `json:"state"`
	Made      int64  `json:"made"`      // nothing is on record
	Changed   int64  `json:"changed"`   // a line would decide in the place of what is on record
	Unchanged int64  `json:"unchanged"` // what is on record would go on deciding
}

// LineError is why a line was refused.
type LineError struct {
	Line    int64  `json:"line"`
	Pointer string `json:"pointer"` // a JSON pointer into the line; empty: all of it
	Detail  string `json:"detail"`
}

// NewImport asks for an import. Source is needed: where the lines are from.
type NewImport struct {
	Source      string `json:"source"`
	Project     string `json:"project,omitempty"`     // empty: the client's
	Fingerprint string `json:"fingerprint,omitempty"` // by which the caller finds it again
	DryRun      bool   `json:"dryRun,omitempty"`      // nothing is recorded; Import.Would tells what would be
	Notify      bool   `json:"notify,omitempty"`      // webhooks are told of what it records
}

// What one call of SendLines takes at most.
const (
	MaxImportLines = 20_000
	MaxImportBytes = 8 << 20
)

func ofImport(id, rest string) string { return "/imports/" + url.PathEscape(id) + rest }

// CreateImport begins an import.
func (c *Client) CreateImport(ctx context.Context, in NewImport) (Import, error) {
	if in.Project == "" {
		in.Project = c.config.Project
	}
	return c.importState(ctx, call{method: http.MethodPost, path: "/imports", body: in, once: true})
}

// Import tells how far an import is.
func (c *Client) Import(ctx context.Context, id string) (Import, error) {
	return c.importState(ctx, call{method: http.MethodGet, path: ofImport(id, "")})
}

// SendLines brings lines from the number from on, the first of all being 1: newline-delimited JSON, MaxImportLines and
// MaxImportBytes at most. Those that are done already are passed over, so it is safe to send them again. Where it
// fails, a part of them may be done: Import tells. IsConflict where line from is not reached yet, or the import is
// done.
func (c *Client) SendLines(ctx context.Context, id string, from int64, lines []byte) (Import, error) {
	return c.importState(ctx, call{method: http.MethodPost, path: ofImport(id, "/lines"), raw: lines,
		contentType: "application/x-ndjson", query: query("from", strconv.FormatInt(from, 10))})
}

// FinishImport ends an import. Again it gives the same.
func (c *Client) FinishImport(ctx context.Context, id string) (Import, error) {
	return c.importState(ctx, call{method: http.MethodPost, path: ofImport(id, "/finish"), once: true})
}

func (c *Client) importState(ctx context.Context, k call) (state Import, err error) {
	err = c.do(ctx, k, &state)
	return state, err
}

// Imports goes through imports in the order in which they were made: those that are open or done, where state says so,
// and those of a source, where it is not empty.
func (c *Client) Imports(ctx context.Context, state, source string) iter.Seq2[Import, error] {
	return list[Import](ctx, c, "/imports", query("state", state, "source", source))
}

// ImportErrors goes through what is kept of the refused lines of an import, in order of lines.
func (c *Client) ImportErrors(ctx context.Context, id string) iter.Seq2[LineError, error] {
	return list[LineError](ctx, c, ofImport(id, "/errors"), nil)
}
