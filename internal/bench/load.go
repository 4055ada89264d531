package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// result is what one load came to.
type result struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	took     []time.Duration // by each request, ascending
	counted  time.Duration
	sent     int // requests, those that are not counted too
}

// errNone is for a load that nothing was answered of.
var errNone = errors.New("no request was answered: the machine is too busy; load longer (--phase, --turn)")

// newResult makes the result of a load that was counted for so long. took becomes the result's.
func newResult(took []time.Duration, counted time.Duration) (result, error) {
	if len(took) == 0 {
		return result{}, errNone
	}
	slices.Sort(took)
	return result{rate: float64(len(took)) / counted.Seconds(), p50: took[len(took)/2], p99: took[len(took)*99/100],
		took: took, counted: counted}, nil
}

// call is one request to make.
type call struct {
	method, url string
	header      http.Header
	body        []byte
}

// generator makes a worker's next request.
type generator func(*worker) *call

// worker is one connection of a load: it sends one request after another.
type worker struct {
	random *rand.Rand
	client *http.Client
	took   []time.Duration
	sent   int
	failed error
	next   call
}

func (w *worker) post(url string, header http.Header, body []byte) *call {
	w.next = call{http.MethodPost, url, header, body}
	return &w.next
}

func (w *worker) get(url string, header http.Header) *call {
	w.next = call{http.MethodGet, url, header, nil}
	return &w.next
}

func newWorker(seed uint64) *worker {
	return &worker{random: rand.New(rand.NewPCG(seed, 42)), client: &http.Client{
		Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}, Timeout: 30 * time.Second}}
}

// load sends requests over so many connections, each as soon as its last one is answered, and fails on the first answer
// that is no 2xx. A fifth of the phase comes first and is not counted.
func load(ctx context.Context, connections int, phase time.Duration, next generator) (result, error) {
	return loadAfter(ctx, connections, phase/5, phase, next)
}

// loadAfter is load with so long before it that is not counted. On a machine so busy that nothing is answered in time
// it takes longer.
func loadAfter(ctx context.Context, connections int, before, phase time.Duration, next generator) (result, error) {
	for {
		r, err := loadOnce(ctx, connections, before, phase, next)
		if !errors.Is(err, errNone) || phase > longestPhase || ctx.Err() != nil {
			return r, err
		}
		phase *= 2
	}
}

// loadWarm runs a load twice, and gives the second result: a fresh store takes more time.
func loadWarm(ctx context.Context, connections int, phase time.Duration, next generator) (result, error) {
	if r, err := load(ctx, connections, phase, next); err != nil {
		return r, err
	}
	return load(ctx, connections, phase, next)
}

// longestPhase is from when on there is no use in trying again.
const longestPhase = 10 * time.Second

func loadOnce(ctx context.Context, connections int, before, phase time.Duration, next generator) (result, error) {
	workers := make([]*worker, connections)
	counting := time.Now().Add(before)
	end := counting.Add(phase)
	var done sync.WaitGroup
	for i := range workers {
		w := newWorker(uint64(i))
		workers[i] = w
		done.Go(func() { w.run(ctx, counting, end, next) })
	}
	done.Wait()
	var all []time.Duration
	sent := 0
	for _, w := range workers {
		w.client.CloseIdleConnections()
		if w.failed != nil {
			return result{}, w.failed
		}
		all = append(all, w.took...)
		sent += w.sent
	}
	r, err := newResult(all, phase)
	r.sent = sent
	return r, err
}

func (w *worker) run(ctx context.Context, counting, end time.Time, next generator) {
	for ctx.Err() == nil {
		started := time.Now()
		if started.After(end) {
			return
		}
		if w.failed = w.send(next(w)); w.failed != nil {
			return
		}
		w.sent++
		if now := time.Now(); started.After(counting) && now.Before(end) {
			w.took = append(w.took, now.Sub(started))
		}
	}
}

func (w *worker) send(c *call) error {
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequest(c.method, c.url, body)
	if err != nil {
		return err
	}
	if c.header != nil {
		req.Header = c.header
	}
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
		return fmt.Errorf("%s answered %s: %s", c.method, res.Status, text)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
