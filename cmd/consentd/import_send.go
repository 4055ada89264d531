package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/consentd/consentd/internal/importing"
)

// batchBytes is how much of an import is sent at once: less than the server takes, so that a call is short.
const batchBytes = 4 << 20

// batch is what one call sends.
type batch struct {
	from  int64 // number of its first line, from 1
	lines bytes.Buffer
	count int64
}

// send sends all lines that are not done yet, one call after the other, while the next ones are made, and ends the
// import. A signal ends it after the call that runs.
func (r *importRun) send(ctx context.Context) error {
	reader, err := importing.Read(r.input, r.format, r.options)
	if err != nil {
		return err
	}
	made, stop := make(chan *batch), make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- r.make(ctx, reader, made, stop) }()
	var failed error
	for b := range made {
		if failed = r.sendBatch(ctx, b); failed != nil {
			break
		}
	}
	close(stop)
	if err := errors.Join(failed, <-ended); err != nil {
		return err
	}
	return persist(ctx, r.err, func() error {
		state, err := r.server.FinishImport(ctx, r.state.ID)
		if err == nil {
			r.state = state
		}
		return err
	})
}

// sendBatch sends a batch. Where nobody knows whether it came it is sent again: the server passes over what is done.
func (r *importRun) sendBatch(ctx context.Context, b *batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return persist(ctx, r.err, func() error {
		state, err := r.server.SendLines(context.WithoutCancel(ctx), r.state.ID, b.from, b.lines.Bytes())
		if err != nil {
			return err
		}
		if end := b.from + b.count; state.NextLine < end {
			return fmt.Errorf("the server took lines up to %d, and not up to %d", state.NextLine-1, end-1)
		}
		r.progress.mu.Lock()
		r.state = state
		r.progress.mu.Unlock()
		return nil
	})
}

// make makes batches of the records of the file; those whose lines are done it only counts.
func (r *importRun) make(ctx context.Context, in importing.Reader, made chan<- *batch, stop <-chan struct{}) error {
	defer close(made)
	done := r.state.NextLine - 1
	b := &batch{from: done + 1}
	give := func() bool {
		if b.count == 0 {
			return true
		}
		select {
		case made <- b:
			b = &batch{from: b.from + b.count}
			return true
		case <-stop:
		case <-ctx.Done():
		}
		return false
	}
	var record importing.Record
	for {
		err := in.Next(&record)
		if errors.Is(err, io.EOF) {
			give()
			return ctx.Err()
		}
		if err != nil {
			give() // what is before it is taken
			return err
		}
		r.count(&record)
		for _, line := range record.Lines {
			if r.lines++; r.lines <= done {
				continue
			}
			if b.count >= r.Batch || b.lines.Len()+len(line)+1 > batchBytes && b.count > 0 {
				if !give() {
					return ctx.Err()
				}
			}
			b.lines.Write(line)
			b.lines.WriteByte('\n')
			b.count++
		}
	}
}

// count notes what became of a record.
func (r *importRun) count(record *importing.Record) {
	r.progress.mu.Lock()
	defer r.progress.mu.Unlock()
	r.records++
	switch {
	case record.Err != nil:
		r.unread.note(record.Err.Error(), placeOf(record))
	case record.LeftOut != "":
		r.left.note(record.LeftOut, placeOf(record))
	}
}

// placeOf says where in the file a record is.
func placeOf(record *importing.Record) string {
	place := fmt.Sprintf("line %d", record.Line)
	if record.Part != "" {
		place += " of " + printable(record.Part)
	}
	return place
}
