package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	exportTurns   = 3 // exports of the whole history, of which the middle one counts
	exportWriters = 4
	exportBatch   = 1000
)

// measureExport puts events on record on a server of its own, starts it anew, and reads the whole history.
func (r *run) measureExport(ctx context.Context) error {
	if r.Events == 0 {
		return nil
	}
	person, folder := newPeople(r.People), r.folder("data-of-exports")
	t, err := startTenant(ctx, r.Consentd, folder, person)
	if err != nil {
		return err
	}
	err = t.fill(ctx, person, r.Events)
	if stopErr := t.server.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	server, err := startChild(ctx, r.Consentd, append([]string{"CONSENTD_ROOT_KEY=" + rootKey}, folder...), "serve")
	if err != nil {
		return err
	}
	defer server.stop()
	for range exportTurns {
		took, rows, err := t.export(ctx, server.url)
		if err != nil {
			return err
		}
		if rows < r.Events {
			return fmt.Errorf("of %d events an export has %d", r.Events, rows)
		}
		r.exports = append(r.exports, float64(rows)/took.Seconds())
	}
	r.exportPeak = server.peakMemory()
	return server.stop()
}

// fill puts events on record, over several connections.
func (t *tenant) fill(ctx context.Context, p *people, events int) error {
	var left atomic.Int64
	left.Store(int64(events))
	var writers sync.WaitGroup
	failed := make(chan error, exportWriters)
	for i := range exportWriters {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 43))
			for left.Add(-exportBatch) > -exportBatch && ctx.Err() == nil {
				if err := postJSON(t.events, t.concordHeaders, p.events(random, exportBatch), nil); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	writers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// export reads the whole history of the tenant from a server, as NDJSON, and counts its events.
func (t *tenant) export(ctx context.Context, url string) (took time.Duration, events int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+t.path+"/events", nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header = http.Header{"Authorization": t.bearer, "Accept": {"application/x-ndjson"}}
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("an export is answered %s", res.Status)
	}
	lines := &lineCounter{}
	_, err = io.CopyBuffer(struct{ io.Writer }{lines}, res.Body, make([]byte, 256<<10))
	return time.Since(began), lines.count - 1, err // the last line says that it is whole
}

// lineCounter counts the lines that are written to it.
type lineCounter struct{ count int }

func (l *lineCounter) Write(p []byte) (int, error) {
	l.count += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// middle gives the median.
func middle(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// exportRatios are the lines about exports, where they were measured.
func (r *run) exportRatios() []fmt.Stringer {
	if len(r.exports) == 0 {
		return nil
	}
	return []fmt.Stringer{
		&least{"events/s of an export as NDJSON", middle(r.exports), 150_000},
		&limit{"peak resident memory of a server that sends exports", float64(r.exportPeak) / (1 << 20), 150, "MiB"},
	}
}
