package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	linesOfCall = 20_000 // that an import sends at a time
	linesOfPart = 2000   // that the server writes in one transaction
)

// imported is what an import of lines has reached.
type imported struct {
	lines, bare float64 // a second
	peak        int64   // bytes
}

// measureImports brings lines into a server of its own for as long as two loads, then inserts its rows bare.
func (r *run) measureImports(ctx context.Context) error {
	const data, empty = "data-of-imports", "bare-of-imports"
	person := newPeople(r.People)
	t, err := startTenant(ctx, r.Consentd, r.folder(data), person)
	if err != nil {
		return err
	}
	defer t.server.stop()
	if r.imports.lines, err = t.bring(ctx, person, 2*r.Phase); err != nil {
		return err
	}
	r.imports.peak = t.server.peakMemory()
	if err := t.server.stop(); err != nil {
		return err
	}
	if err := r.with(ctx, r.folder(empty), newPeople(hot), func(*tenant) error { return nil }); err != nil {
		return err
	}
	r.imports.bare, err = bareInserts(ctx, r.database(data), r.database(empty), r.Phase)
	return err
}

// bring imports lines for a while, and gives how many were taken a second.
func (t *tenant) bring(ctx context.Context, p *people, phase time.Duration) (float64, error) {
	root := http.Header{"Authorization": {"Bearer " + rootKey}}
	var run struct {
		ID       string `json:"id"`
		NextLine int    `json:"nextLine"`
		Accepted int    `json:"accepted"`
	}
	path := t.server.url + t.path + "/imports"
	if err := postJSON(path, root, []byte(`{"source":"bench"}`), &run); err != nil {
		return 0, err
	}
	random := rand.New(rand.NewPCG(7, 47))
	var taken time.Duration
	for taken < phase && ctx.Err() == nil {
		lines := p.lines(random, run.NextLine)
		began := time.Now()
		err := post(path+"/"+run.ID+"/lines?from="+strconv.Itoa(run.NextLine), "application/x-ndjson", root, lines, &run)
		if err != nil {
			return 0, err
		}
		taken += time.Since(began)
	}
	if run.Accepted != run.NextLine-1 {
		return 0, fmt.Errorf("of %d lines %d were accepted", run.NextLine-1, run.Accepted)
	}
	return float64(run.Accepted) / taken.Seconds(), ctx.Err()
}

// lines makes the body of a call of lines from a number on, in the order of time, as a log is.
func (p *people) lines(r *rand.Rand, from int) []byte {
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	b := make([]byte, 0, 180*linesOfCall)
	for n := from; n < from+linesOfCall; n++ {
		b = append(b, `{"externalId":"r-`...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, `","identifiers":{"userId":"`...)
		b = append(b, "user-"+strconv.Itoa(r.IntN(p.count))...)
		b = append(b, `"},"purpose":"`...)
		b = append(b, [...]string{"analytics", "marketing", "functional"}[r.IntN(3)]...)
		b = append(b, `","state":"`...)
		b = append(b, [...]string{"accepted", "declined"}[r.IntN(2)]...)
		b = append(b, `","occurredAt":"`...)
		b = start.Add(time.Duration(n)*time.Second).AppendFormat(b, time.RFC3339)
		b = append(b, "\"}\n"...)
	}
	return b
}
