package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
)

// The forms of an export that is copied.
const (
	CSV     = "text/csv"
	Parquet = "application/vnd.apache.parquet"
	NDJSON  = "application/x-ndjson"
)

// ExportEventLines is ExportEvents with each event as the server wrote it: one JSON object.
func (c *Client) ExportEventLines(ctx context.Context, f EventFilter) iter.Seq2[json.RawMessage, error] {
	return stream[json.RawMessage](ctx, c, "/events", f.query())
}

// CopyEvents writes an export of events in a form, as it comes. An error after the first byte is ErrCutOff, or the
// writer's: what was written until then is not whole. That the end is there NDJSON says in its last line, and Parquet
// by its footer; of CSV the connection alone tells.
func (c *Client) CopyEvents(ctx context.Context, f EventFilter, form string, to io.Writer) error {
	return c.copyStream(ctx, "/events", f.query(), form, to)
}

// CopyConsents is CopyEvents of the current consents.
func (c *Client) CopyConsents(ctx context.Context, f ConsentFilter, form string, to io.Writer) error {
	return c.copyStream(ctx, "/consents", query("project", f.Project, "purpose", f.Purpose, "state", f.State), form, to)
}

func (c *Client) copyStream(ctx context.Context, path string, filter url.Values, form string, to io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // where the writer fails the server stops too
	var res *http.Response
	k := call{method: http.MethodGet, path: path, query: filter, accept: form, stream: true}
	if err := c.try(ctx, &k, func(r *http.Response) error { res = r; return nil }); err != nil {
		return err
	}
	_, err := io.Copy(to, cutOff{res.Body})
	return errors.Join(err, res.Body.Close())
}
