package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/consentd/consentd/client"
)

// clockBack is how far a server's clock may have been behind an earlier event's, for an event to be found by when it
// was recorded (internal/protocol/native/README.md, "Events").
const clockBack = time.Hour

// lines exports events as they are streamed, a file after so many. Where the stream breaks off it goes on behind the
// last event that came.
func (x *exportRun) lines(ctx context.Context) error {
	for {
		again := false
		err := persist(ctx, x.err, func() error {
			before := x.manifest.LastSequence
			err := x.streamLines(ctx)
			if again = err != nil && x.manifest.LastSequence > before && ctx.Err() == nil && mayPass(err); again {
				return nil
			}
			return err
		})
		if err != nil || !again {
			return err
		}
	}
}

// eventPlace is what an export looks at of an event.
type eventPlace struct {
	Sequence   int64     `json:"sequence"`
	RecordedAt time.Time `json:"recordedAt"`
	Project    string    `json:"project"`
}

// streamLines writes what comes of one stream. What came before it broke off is kept.
func (x *exportRun) streamLines(ctx context.Context) (err error) {
	filter := x.filter()
	if filter.RecordedFrom = x.manifest.Since; !x.manifest.LastRecordedAt.IsZero() {
		filter.RecordedFrom = x.manifest.LastRecordedAt.Add(-clockBack)
	}
	p := &linesPart{run: x}
	defer func() { err = errors.Join(err, p.end()) }()
	for line, failed := range x.server.ExportEventLines(ctx, filter) {
		if failed != nil {
			return failed
		}
		var at eventPlace
		if err := json.Unmarshal(line, &at); err != nil {
			return fmt.Errorf("an event is not what was expected: %w", err)
		}
		if at.Sequence <= x.manifest.LastSequence || at.Sequence <= p.part.LastSequence {
			continue // it came before
		}
		if err := p.add(line, &at); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// linesPart is the file that events are written to.
type linesPart struct {
	run  *exportRun
	file *partFile
	part exportPart
}

func (p *linesPart) add(line json.RawMessage, at *eventPlace) (err error) {
	x := p.run
	if p.file == nil {
		name := fmt.Sprintf("events-%06d.ndjson", x.manifest.files(kindEvents)+1)
		if p.file, err = newPartFile(x.To, name); err != nil {
			return err
		}
		p.part = exportPart{Name: name, Kind: kindEvents, From: at.RecordedAt, FirstSequence: at.Sequence}
	}
	if _, err := p.file.Write(append(slices.Clip(line), '\n')); err != nil {
		return err
	}
	p.part.Count++
	p.part.LastSequence = at.Sequence
	if at.RecordedAt.After(p.part.To) {
		p.part.To = at.RecordedAt
	}
	if !slices.Contains(x.manifest.Projects, at.Project) {
		x.manifest.Projects = append(x.manifest.Projects, at.Project)
	}
	x.progress.mu.Lock()
	x.events++
	x.progress.mu.Unlock()
	if p.part.Count >= x.Part {
		return p.end()
	}
	return nil
}

// end puts the file into the folder, where anything was written to it.
func (p *linesPart) end() error {
	if p.file == nil {
		return nil
	}
	file, part := p.file, p.part
	p.file = nil
	p.run.manifest.LastSequence = part.LastSequence
	if part.To.After(p.run.manifest.LastRecordedAt) {
		p.run.manifest.LastRecordedAt = part.To
	}
	return p.run.keep(file, part)
}

// tables exports events in files by the month in which they were recorded, in forms that are not cut. The month that
// runs is of what was recorded until now.
func (x *exportRun) tables(ctx context.Context) error {
	from := x.manifest.Since
	if at := x.manifest.LastRecordedAt; !at.IsZero() {
		from = at
	}
	if from.IsZero() {
		first, err := x.first(ctx)
		if err != nil || first.IsZero() {
			return err
		}
		from = first
	}
	for now := time.Now().UTC().Truncate(time.Microsecond); from.Before(now); {
		month := time.Date(from.Year(), from.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		to := month
		if now.Before(to) {
			to = now
		}
		filter := x.filter()
		filter.RecordedFrom, filter.RecordedTo = from, to
		x.manifest.LastRecordedAt = to
		name := fmt.Sprintf("events-%06d.%s", x.manifest.files(kindEvents)+1, x.Format)
		err := x.whole(ctx, name, kindEvents, exportPart{From: from, To: to}, func(out io.Writer) error {
			return x.server.CopyEvents(ctx, filter, x.form(), out)
		})
		if err != nil {
			return err
		}
		x.progress.mu.Lock()
		x.events += x.manifest.Parts[len(x.manifest.Parts)-1].Count
		x.progress.mu.Unlock()
		from = to
	}
	return nil
}

// first tells when the first event was recorded; zero: there is none.
func (x *exportRun) first(ctx context.Context) (at time.Time, err error) {
	err = persist(ctx, x.err, func() error {
		for e, err := range x.server.Events(ctx, x.filter()) {
			at = e.RecordedAt.UTC()
			return err
		}
		return nil
	})
	return at, err
}

// purposes exports the purposes of the projects that events are of, and of the default one, with all that they said.
func (x *exportRun) purposes(ctx context.Context) error {
	projects := slices.Clone(x.manifest.Projects)
	if x.Project != "" {
		projects = []string{x.Project}
	} else if x.Format != "ndjson" || len(projects) == 0 {
		projects = append(projects, "default")
	}
	var all exportedPurposes
	err := persist(ctx, x.err, func() error {
		all.Purposes = []exportedPurpose{}
		for _, project := range projects {
			if err := purposesOf(ctx, x.server.ForProject(project), &all); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.whole(ctx, "purposes.json", kindPurposes, exportPart{Count: int64(len(all.Purposes))},
		func(out io.Writer) error {
			text, err := json.MarshalIndent(&all, "", "  ")
			if err == nil {
				_, err = out.Write(append(text, '\n'))
			}
			return err
		})
}

func purposesOf(ctx context.Context, server *client.Client, all *exportedPurposes) error {
	for p, err := range server.Purposes(ctx) {
		if err != nil {
			return err
		}
		purpose := exportedPurpose{Purpose: p}
		for v, err := range server.PurposeVersions(ctx, p.Key) {
			if err != nil {
				return err
			}
			if v, err = server.PurposeVersion(ctx, p.Key, v.Version); err != nil { // a list has no texts
				return err
			}
			purpose.Versions = append(purpose.Versions, v)
		}
		all.Purposes = append(all.Purposes, purpose)
	}
	return nil
}
