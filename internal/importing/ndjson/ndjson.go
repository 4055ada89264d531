// Package ndjson knows lines of the native import as they stand in a file, and events as consentd exports them. It
// knows no other tool.
//
// A line is passed on as it is (internal/protocol/native/README.md, "Imports"): what is wrong with it the server says.
// An exported event (the same, "Events") becomes a line: its id is the externalId, so that it is imported once. What
// the server gave it (sequence, recordedAt, regime, source, project) is left; whom it names by no identifier is named
// by the subject's id, as an anonymous id. So is purposeVersion, which the server finds by occurredAt.
package ndjson

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "ndjson",
	Reads: "lines of the native import, or events that consentd exported",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		m := &mapper{options: o}
		return func(p *importing.Part) (importing.Reader, error) { return importing.NewItems(p, nil, m.item) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Members.Has("purpose") && h.Members.Has("state") && h.Members.Has("identifiers", "subjectid")
	},
	Rank: func(name string) int {
		for _, other := range []string{"consents.", "purposes.json", "manifest.json"} { // of an export's folder
			if strings.HasPrefix(name, other) {
				return -1
			}
		}
		return 0
	},
}

// mapper remembers which project's events an export had first.
type mapper struct {
	options *importing.Options
	project string
}

func (m *mapper) item(item *importing.Item) error {
	switch {
	case bytes.HasPrefix(item.JSON, []byte(`{"end":true`)):
		item.Out.LeaveOut("it ends an export")
		return nil
	case bytes.Contains(item.JSON, []byte(`"recordedAt"`)):
		return m.exported(item)
	}
	line, err := importing.WithoutError(item.JSON)
	if err != nil {
		return importing.Refuse("", "it is no JSON object")
	}
	item.Out.Raw(line)
	return nil
}

// line is a native line that keeps what it does not look into.
type line struct {
	ExternalID  string                    `json:"externalId,omitempty"`
	Identifiers map[string]jsontext.Value `json:"identifiers"`
	Purpose     string                    `json:"purpose"`
	State       string                    `json:"state"`
	Action      string                    `json:"action,omitempty"`
	OccurredAt  string                    `json:"occurredAt"`
	ExpiresAt   string                    `json:"expiresAt,omitempty"`
	Evidence    jsontext.Value            `json:"evidence,omitempty"`
	Metadata    jsontext.Value            `json:"metadata,omitempty"`
}

func (m *mapper) exported(item *importing.Item) error {
	var e struct { // the other members stay as they are
		ID         string `json:"id"`
		Project    string `json:"project"`
		SubjectID  string `json:"subjectId"`
		Unreadable bool   `json:"unreadable"`
		line
	}
	if err := item.Into(&e); err != nil {
		return err
	}
	if e.Unreadable {
		return importing.Refuse("", "its store could not decrypt whom it is about")
	}
	if only := m.options.OnlyProject; only != "" && e.Project != only {
		item.Out.LeaveOut("it is of another project")
		return nil
	}
	if m.project == "" {
		m.project = e.Project
	}
	if e.Project != m.project {
		return importing.Refuse("project", "the file has events of several projects: import each by --only-project")
	}
	l := e.line
	l.ExternalID = e.ID
	delete(l.Identifiers, "username") // which no write takes
	if len(l.Identifiers) == 0 {
		id, err := jsontext.AppendQuote(nil, e.SubjectID)
		if err != nil {
			return importing.Refuse("subjectId", "is no text")
		}
		l.Identifiers = map[string]jsontext.Value{"anonymousId": id}
	}
	text, err := json.Marshal(&l, json.Deterministic(true))
	if err != nil {
		return importing.Refuse("", "it cannot be written as a line")
	}
	item.Out.Raw(text)
	return nil
}
