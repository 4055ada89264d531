package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/consentd/consentd/client"
)

// TestExportSubject reads out somebody who was merged, by either id, and then whoever is gone.
func TestExportSubject(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	made := must[[]client.Event](t)(c.Record(ctx,
		client.Decision{Identifiers: client.Identifiers{UserID: "export-ada"}, Purpose: "marketing", State: client.Accepted,
			Evidence: client.Evidence{DisplayedText: "May we?"}},
		client.Decision{Identifiers: client.Identifiers{Email: "export-ada@shop.example"}, Purpose: "analytics",
			State: client.Declined}))
	ada, other := made[0].SubjectID, made[1].SubjectID
	must[client.Merge](t)(c.Merge(ctx, ada, other, false, ""))
	for _, id := range []string{ada, other} {
		var out bytes.Buffer
		if err := c.ExportSubject(ctx, id, &out); err != nil {
			t.Fatal(err)
		}
		var held struct {
			Format  string         `json:"format"`
			Subject client.Subject `json:"subject"`
			Events  []client.Event `json:"events"`
		}
		if err := json.Unmarshal(out.Bytes(), &held); err != nil {
			t.Fatal(err)
		}
		if held.Format != "consentd-person/1" || held.Subject.ID != ada || len(held.Events) != 2 ||
			held.Events[0].ID != made[0].ID || held.Events[0].Evidence.DisplayedText != "May we?" ||
			held.Events[1].SubjectID != other {
			t.Errorf("%s", &out)
		}
	}
	must[client.Erased](t)(c.Erase(ctx, ada, ""))
	var out bytes.Buffer
	if err := c.ExportSubject(ctx, other, &out); !client.IsGone(err) || out.Len() > 0 {
		t.Errorf("who was erased: %v, %s", err, &out)
	}
	if err := c.ExportSubject(ctx, "0198c0de-5eed-7000-8000-000000000001", &out); !client.IsNotFound(err) {
		t.Errorf("nobody: %v", err)
	}
}

// full is a writer without room.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestExportThatIsCutOff: whatever a document is cut to, its reader is told, unless all of it came.
func TestExportThatIsCutOff(t *testing.T) {
	const whole = `{"a":["}",{"b\\":"\"]}"}],"c":{}}`
	export := func(body string) (string, error) {
		var out bytes.Buffer
		err := scriptedClient(t, &scripted{answer: scriptedBody(body)}, nil).ExportSubject(context.Background(), "x", &out)
		return out.String(), err
	}
	for n := range len(whole) + 1 {
		out, err := export(whole[:n])
		if out != whole[:n] || (n == len(whole)) != (err == nil) || err != nil && !errors.Is(err, client.ErrCutOff) {
			t.Errorf("of %q came %q, %v", whole[:n], out, err)
		}
	}
	for _, wrong := range []string{whole + "x", whole + `"`, "1", `"{}"`, "[{}"} {
		if _, err := export(wrong); !errors.Is(err, client.ErrCutOff) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := export(whole + "\n"); err != nil {
		t.Errorf("with a line end: %v", err)
	}
	breaks := func(int) (*http.Response, error) {
		res, err := respond(200, "")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader(whole), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return res, err
	}
	err := scriptedClient(t, &scripted{answer: breaks}, nil).ExportSubject(context.Background(), "x", io.Discard)
	if !errors.Is(err, client.ErrCutOff) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a connection that broke: %v", err)
	}
	c := scriptedClient(t, &scripted{answer: scriptedBody(whole)}, nil)
	if err := c.ExportSubject(context.Background(), "x", full{}); !errors.Is(err, errFull) ||
		errors.Is(err, client.ErrCutOff) {
		t.Errorf("a full disk: %v", err)
	}
}
