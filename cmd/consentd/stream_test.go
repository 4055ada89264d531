package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	storesqlite "github.com/consentd/consentd/internal/store/sqlite"
)

// peakOfStreams is what a server may have resident while it sends exports, in MiB.
const peakOfStreams = 150

const ndjsonType, csvType, parquetType = "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"

// streamed is a server with a tenant whose history is long enough for a reader to fall behind.
type streamed struct {
	*process
	tenant tenant
	dir    string
	events int
}

func newStreamed(t *testing.T, batches int) *streamed {
	t.Helper()
	dir := t.TempDir()
	s := &streamed{process: serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey}), dir: dir}
	s.tenant = newTenant(t, s.process)
	s.write(t, 0, batches)
	return s
}

// write records batches of 1,000 events, a few at once.
func (s *streamed) write(t *testing.T, from, batches int) {
	t.Helper()
	numbers := make(chan int)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for i := range numbers {
				sendBatch(t, s.url+s.tenant.eventsPath(), largeItems(i, false), fmt.Sprint("stream-", i))
			}
		})
	}
	for i := range batches {
		numbers <- from + i
	}
	close(numbers)
	writers.Wait()
	s.events += batches * 1000
}

// open asks for a stream, and lets the kernel take little of it ahead: what nobody reads waits at the server, however
// short the history is.
func (s *streamed) open(ctx context.Context, t *testing.T, accept string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		s.url+"/api/v1/organizations/"+s.tenant.organization+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + rootKey}, "Accept": {accept}}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// readLines reads a whole NDJSON export: each event once, in order of sequence, and the last line says so.
func readLines(body io.Reader) (events int, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	before := 0 // entries of other kinds
	for lines.Scan() {
		var row struct {
			Sequence, Count int
			End             bool
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return events, err
		}
		if row.End {
			if row.Count != events {
				return events, fmt.Errorf("it says that it has %d events", row.Count)
			}
			return events, lines.Err()
		}
		if events++; events == 1 {
			before = row.Sequence - 1
		}
		if row.Sequence != before+events {
			return events, fmt.Errorf("number %d has the sequence %d", events, row.Sequence)
		}
	}
	return events, errors.Join(errors.New("it has no end"), lines.Err())
}

var gauges = regexp.MustCompile(`(?m)^(consentd_streams|consentd_goroutines) (\d+)`)

// gauge reads one of the server's metrics.
func (s *streamed) gauge(t *testing.T, name string) int {
	t.Helper()
	_, metrics := call(t, "GET", s.url+"/metrics", nil, "")
	for _, m := range gauges.FindAllSubmatch(metrics, -1) {
		if string(m[1]) == name {
			n, _ := strconv.Atoi(string(m[2]))
			return n
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// TestStreams sends exports while one of their readers takes nothing: that one harms neither other readers nor writers
// nor the log nor the end of the server.
func TestStreams(t *testing.T) {
	batches, portion := 60, int64(4<<20)
	if raceDetector {
		batches, portion = 20, 1<<20
	}
	s := newStreamed(t, batches)
	idle := s.gauge(t, "consentd_goroutines")

	ctx, leave := context.WithCancel(context.Background())
	stalled := s.open(ctx, t, ndjsonType)
	if stalled.StatusCode != 200 {
		t.Fatalf("an export: %s", stalled.Status)
	}
	var taken bytes.Buffer
	take := func() { // now and then a little, so that it is not cut off
		_, _ = io.CopyN(&taken, stalled.Body, portion)
	}
	take()
	s.readsBeside(t)
	take()
	s.checkpoints(t)
	before := s.events
	s.write(t, 1000, 5)
	take()
	if events, err := readLines(s.open(context.Background(), t, ndjsonType).Body); err != nil || events != s.events {
		t.Errorf("after more writes: %d events, %v", events, err)
	}
	if events, err := readLines(io.MultiReader(&taken, stalled.Body)); err != nil || events != before {
		t.Errorf("who was slow got %d of %d events, %v", events, before, err)
	}

	gone := s.open(ctx, t, parquetType)
	_, _ = io.CopyN(io.Discard, gone.Body, 1000)
	leave()
	waitFor(t, "the end of a stream whose client has gone", func() bool {
		return s.gauge(t, "consentd_streams") == 0 && s.gauge(t, "consentd_goroutines") <= idle+3
	})
	peak := peakOf(t, s.process)
	if t.Logf("%d MiB were resident", peak); peak > peakOfStreams && !raceDetector {
		t.Errorf("more than %d MiB", peakOfStreams)
	}
	s.open(context.Background(), t, csvType) // who takes nothing while the server ends
	began := time.Now()
	s.stop(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the server ended after %s", took)
	}
}

// readsBeside reads exports beside the one that stands: one more of the organization goes on at a time.
func (s *streamed) readsBeside(t *testing.T) {
	t.Helper()
	if events, err := readLines(s.open(context.Background(), t, ndjsonType).Body); err != nil || events != s.events {
		t.Errorf("NDJSON: %d of %d events, %v", events, s.events, err)
	}
	text, err := io.ReadAll(s.open(context.Background(), t, csvType).Body)
	if lines := bytes.Count(text, []byte("\r\n")); err != nil || lines != s.events+1 {
		t.Errorf("CSV: %d lines, %v", lines, err)
	}
	file, err := io.ReadAll(s.open(context.Background(), t, parquetType).Body)
	if err != nil || !bytes.HasPrefix(file, []byte("PAR1")) || !bytes.HasSuffix(file, []byte("PAR1")) {
		t.Errorf("Parquet: %d bytes, %v", len(file), err)
	}
	second := s.open(context.Background(), t, csvType)
	third := s.open(context.Background(), t, ndjsonType)
	if third.StatusCode != 503 || third.Header.Get("Retry-After") == "" {
		t.Errorf("a third at a time: %s", third.Status)
	}
	_ = second.Body.Close()
	waitFor(t, "the place of the second", func() bool { return s.gauge(t, "consentd_streams") == 1 })
}

// checkpoints moves all of the write-ahead log into the database, which nobody can while somebody reads.
func (s *streamed) checkpoints(t *testing.T) {
	t.Helper()
	c, err := sqlite.OpenConn(filepath.Join(s.dir, storesqlite.FileName), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetBusyTimeout(10 * time.Second)
	busy := int64(-1)
	err = sqlitex.ExecuteTransient(c, "PRAGMA wal_checkpoint(TRUNCATE)", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error {
			busy = row.ColumnInt64(0)
			return nil
		}})
	if err != nil || busy != 0 {
		t.Errorf("the log cannot start anew while a reader is slow: %d, %v", busy, err)
	}
}

// TestStreamKilled kills the server amid streams: whoever reads them sees that they are not whole.
func TestStreamKilled(t *testing.T) {
	s := newStreamed(t, 60)
	for _, accept := range []string{ndjsonType, csvType, parquetType} {
		res := s.open(context.Background(), t, accept)
		if _, err := io.CopyN(io.Discard, res.Body, 200); err != nil {
			t.Fatal(err)
		}
		s.signal(t, syscall.SIGKILL)
		rest, err := io.ReadAll(res.Body)
		if err == nil {
			t.Errorf("%s ended after %d bytes as if it were whole", accept, len(rest))
		}
		if bytes.HasSuffix(rest, []byte("PAR1")) || bytes.Contains(rest, []byte(`"end":true`)) {
			t.Errorf("%s says itself that it is whole", accept)
		}
		<-s.ended
		s.process = serveOn(t, s.dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	}
}
