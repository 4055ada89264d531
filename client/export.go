package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ExportSubject writes all that is held of a person (GDPR Art. 15 and 20), by the id of a subject: one JSON document,
// as it comes. Whoever was erased is IsGone. An error after the first byte is ErrCutOff, or the writer's: what was
// written until then is no whole document.
func (c *Client) ExportSubject(ctx context.Context, id string, to io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // where the writer fails the server stops too
	var res *http.Response
	k := call{method: http.MethodGet, path: ofSubject(id, "/export"), accept: "application/json", stream: true}
	if err := c.try(ctx, &k, func(r *http.Response) error { res = r; return nil }); err != nil {
		return err
	}
	defer res.Body.Close()
	var seen nesting
	body := cutOff{io.TeeReader(res.Body, &seen)}
	if _, err := io.Copy(to, body); err != nil {
		return err
	}
	if !seen.whole {
		return fmt.Errorf("%w: it is not a whole JSON document", ErrCutOff)
	}
	return nil
}

// cutOff tells errors of a body from those of who takes it.
type cutOff struct{ body io.Reader }

func (c cutOff) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrCutOff, err)
	}
	return n, err
}

// nesting follows the braces and brackets of a JSON object that is written to it: something between may take a
// connection that broke for the end of the answer.
type nesting struct {
	depth          int
	text, escaping bool
	whole          bool // an object was closed, and nothing is behind it but white space
}

func (n *nesting) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case n.escaping:
			n.escaping = false
		case n.text:
			n.escaping, n.text = b == '\\', b != '"'
		case b == '"':
			n.text, n.whole = true, false
		case b == '{' || b == '[':
			n.depth, n.whole = n.depth+1, false
		case b == '}' || b == ']':
			n.depth--
			n.whole = n.depth == 0
		case b != ' ' && b != '\n':
			n.whole = false
		}
	}
	return len(p), nil
}
