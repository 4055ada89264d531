package sqlite

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/store/engine"
)

// reader is a connection that reads. It keeps its snapshot while nothing is
// committed, since taking and leaving one costs locks, which are system calls.
type reader struct {
	conn
	shows int64     // what commits was when its snapshot was taken; 0: it has none
	since time.Time // when the snapshot was taken
}

// snapshotAge is how long a snapshot is used: another process may commit too, and
// the write-ahead log cannot start anew behind a snapshot.
const snapshotAge = 100 * time.Millisecond

// fresh makes sure that the reader's snapshot shows everything up to a commit, and nothing that another reader could
// show is missing in it: while a commit is on its way it may be in a new snapshot.
func (r *reader) fresh(commit int64) error {
	now, committing := time.Now(), commit%2 != 0
	if r.shows == commit && !committing && now.Sub(r.since) < snapshotAge {
		return nil
	}
	if err := r.leave(); err != nil {
		return err
	}
	if err := r.run("BEGIN"); err != nil {
		return err
	}
	r.shows, r.since = commit, now
	return nil
}

// leave gives up the snapshot.
func (r *reader) leave() error {
	if r.shows == 0 {
		return nil
	}
	r.shows = 0
	return r.run("COMMIT")
}

// View implements engine.Engine.
func (e *Engine) View(ctx context.Context, read func(engine.Conn) error) error {
	var r *reader
	select {
	case r = <-e.readers:
	default:
		select {
		case r = <-e.readers:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { e.readers <- r }()
	if err := r.fresh(e.commits.Load()); err != nil {
		return e.classify(err)
	}
	err := read(&r.conn)
	if err != nil {
		_ = r.leave() // the error may have ended the transaction
	}
	return e.classify(err)
}

// leaveIdle makes readers that nobody uses give up snapshots of at least an age.
func (e *Engine) leaveIdle(age time.Duration) {
	for range readerCount {
		select {
		case r := <-e.readers:
			if time.Since(r.since) >= age {
				_ = r.leave()
			}
			e.readers <- r
		default:
			return
		}
	}
}

// ViewOnce implements engine.Engine: a snapshot that is kept costs no more.
func (e *Engine) ViewOnce(ctx context.Context, read func(engine.Conn) error) error {
	return e.View(ctx, read)
}
