package sqlite

import (
	"context"
	"encoding/binary"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/store/engine"
)

// The write-ahead log: it moves into the database while the writer goes on, and the writer keeps its length bounded.

const (
	// checkpointEvery is how often what was committed moves into the database: seldom enough that a page which is written
	// again and again moves once, often enough that little is left when the log must start anew.
	checkpointEvery = 500 * time.Millisecond
	// maxWAL is how far the write-ahead log may grow before the writer waits for a checkpoint.
	maxWAL = 128 << 20
	// restartWait is how long the writer waits for readers who are in the way of a new log; then it goes on,
	// and tries again when the log has grown by restartStep.
	restartWait = 50 * time.Millisecond
	// forgetWaitMost is how long at most it is waited between tries to cut off a log that is read.
	forgetWaitMost = 30 * time.Second
	restartStep    = 16 << 20
)

// checkpointer moves the write-ahead log into the database while the writer goes on, and looks for other processes'
// commits.
func (e *Engine) checkpointer(running context.Context) {
	defer close(e.stopped)
	check := time.NewTicker(engine.CheckEvery)
	defer check.Stop()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-running.Done():
			return
		case <-check.C:
			e.checkDataVersionIdle()
			continue
		case <-tick.C:
		}
		e.leaveIdle(snapshotAge)
		e.probe()
		if e.forget.Load() && !time.Now().Before(e.forgetAt) && e.truncateLog() {
			continue
		}
		select {
		case <-e.dirty:
		default:
			continue
		}
		if _, err := runCheckpoint(e.checkpoint, "PASSIVE"); err != nil {
			e.log.Warn("checkpoint failed; it is tried again", "error", err)
		}
	}
}

// logLength gives the bytes in use of the write-ahead log. The file does not tell, since it never shrinks; the
// index does: its header has the number of the last frame at byte 16, in native order
// (https://sqlite.org/walformat.html, section 2.1).
func (e *Engine) logLength() int64 {
	var frames [4]byte
	if _, err := e.shared.ReadAt(frames[:], 16); err != nil {
		return 0 // a test would see that the log grows
	}
	return int64(binary.NativeEndian.Uint32(frames[:])) * 4096
}

// restartLog lets the log start anew; called by the writer, between transactions. It holds the readers back
// meanwhile: under a steady stream of reads there would never be a moment without a snapshot in the way.
func (e *Engine) restartLog(length int64) {
	defer e.holdReaders(restartWait)()
	e.writer.SetBusyTimeout(restartWait)
	defer e.writer.SetBusyTimeout(busyTimeout)
	busy, err := runCheckpoint(e.writer, "RESTART")
	if err == nil && !busy {
		e.restartAt = maxWAL
		return
	}
	e.restartAt = length + restartStep
	why := "it is read"
	if err != nil {
		why = err.Error()
	}
	e.log.Warn("the write-ahead log could not start anew and grows; it is tried again. Where this goes on, look for a "+
		"reader of the database that does not end, such as a backup that hangs", "bytes", length, "reason", why)
}

// truncateLog moves all of the log into the database and cuts it off, so that nothing is left in it of who was erased;
// false: it is to be tried again. What is deleted in the database is overwritten there (secure_delete).
func (e *Engine) truncateLog() bool {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.forget.Store(false)
	defer e.holdReaders(restartWait)()
	e.writer.SetBusyTimeout(restartWait)
	defer e.writer.SetBusyTimeout(busyTimeout)
	busy, err := runCheckpoint(e.writer, "TRUNCATE")
	if err == nil && !busy {
		e.restartAt, e.forgetWait = maxWAL, 0
		return true
	}
	e.forget.Store(true)
	// Each try holds everybody up a little: where a backup reads for hours, there are few.
	e.forgetWait = min(max(2*e.forgetWait, checkpointEvery), forgetWaitMost)
	e.forgetAt = time.Now().Add(e.forgetWait)
	if err != nil || e.forgetWait == forgetWaitMost {
		e.log.Warn("the write-ahead log could not be cut off after an erasure; it is tried again. Where this goes on, look "+
			"for a reader of the database that does not end, such as a backup that hangs", "error", err)
	}
	return false
}

// holdReaders takes the readers as they become free, at most for a while, and makes them give up their snapshots.
func (e *Engine) holdReaders(wait time.Duration) (release func()) {
	held := make([]*reader, 0, readerCount)
	release = func() {
		for _, r := range held {
			e.readers <- r
		}
	}
	over := time.After(wait)
	for len(held) < readerCount {
		select {
		case r := <-e.readers:
			_ = r.leave()
			held = append(held, r)
		case <-over:
			return release
		}
	}
	return release
}

// runCheckpoint tells whether somebody was in its way.
func runCheckpoint(c *sqlite.Conn, mode string) (busy bool, err error) {
	err = sqlitex.Execute(c, "PRAGMA wal_checkpoint("+mode+")",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			busy = s.ColumnInt64(0) != 0
			return nil
		}})
	return busy, err
}
