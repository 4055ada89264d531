package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/pgtest"
)

// peakOf gives the most memory that a process has had resident, in MiB.
func peakOf(t testing.TB, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

// largeItems makes the body of a write of 1,000 events about a thousand people: of 0.18 MiB or, with long ids, of 0.93.
func largeItems(body int, long bool) string {
	var b bytes.Buffer
	filler, domain, more := "", "shop.example", ""
	if long {
		filler, domain = strings.Repeat("x", 246), strings.Repeat("y", 60)+"."+strings.Repeat("z",
			60)+"."+strings.Repeat("w", 60)+".example"
	}
	for i := range 1000 {
		if long {
			more = fmt.Sprintf(`"phoneNumber":"+3161%07d","concordId":"0190a1b2-c3d4-7000-8000-%012d",`, body*1000+i,
				body*1000+i)
		}
		fmt.Fprintf(&b, `,{"userId":"u-%d-%d-%s","projectUserId":"p-%d-%d-%s",`, body, i, filler, body, i, filler)
		fmt.Fprintf(&b, `"email":"e%d.%d.%.30s@%s",%s"category":"privacy_setting",`, body, i, filler, domain, more)
		b.WriteString(`"subcategory":"functional","consentState":"accepted","consentAction":"user_click"}`)
	}
	return `{"items":[` + b.String()[1:] + `]}`
}

// peakOfBatches is what a server may have resident while batches of 1,000 events come at once, in MiB: 100 of them over
// SQLite, 60 over PostgreSQL, which takes four times as long for each. Both are many more than are decoded at once.
const peakOfBatches = 200

// TestLargeBatchesAtOnce proves that memory stays bounded by what batches decode to and write, not by their bytes
// alone.
func TestLargeBatchesAtOnce(t *testing.T) {
	for engine, args := range map[string]func(t *testing.T) []string{
		"SQLite": func(t *testing.T) []string { return []string{"--data", t.TempDir()} },
		"PostgreSQL": func(t *testing.T) []string {
			return []string{"--database", pgtest.Database(t, "", nil), "--kek-file", filepath.Join(t.TempDir(), "kek")}
		},
	} {
		for _, long := range []bool{false, true} {
			if engine == "PostgreSQL" && !long { // of which a server holds more, and the database takes as long
				continue
			}
			t.Run(fmt.Sprintf("%s, long ids=%v", engine, long), func(t *testing.T) {
				p := serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey}, append([]string{"serve", "--listen",
					"127.0.0.1:0"}, args(t)...)...)
				sendBatches(t, p, long, map[string]int{"SQLite": 100, "PostgreSQL": 60}[engine])
				peak := peakOf(t, p)
				if peak > peakOfBatches && !raceDetector { // which takes several times as much
					t.Errorf("%d MiB were resident", peak)
				}
				p.stop(t)
			})
		}
	}
}

// sendBatches sends batches at once, each until it is on record.
func sendBatches(t *testing.T, p *process, long bool, batches int) {
	t.Helper()
	url, began := p.url+newTenant(t, p).eventsPath(), time.Now()
	var size int
	var all sync.WaitGroup
	if raceDetector { // under which memory tells nothing, and each takes many times as long
		batches = 4
	}
	for i := range batches {
		body := largeItems(i, long)
		size = len(body)
		all.Go(func() { sendBatch(t, url, body, strconv.Itoa(i)) })
	}
	all.Wait()
	t.Logf("%d bodies of %.2f MiB took %s, peak %d MiB", batches, float64(size)/(1<<20),
		time.Since(began).Round(time.Millisecond), peakOf(t, p))
}

// sendBatch comes again as it is told to, with the same Idempotency-Key.
func sendBatch(t *testing.T, url, body, once string) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 10 {
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header = http.Header{"X-Api-Key": {rootKey}, "Content-Type": {"application/json"}, "Idempotency-Key": {once}}
		res, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
		after, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		switch {
		case res.StatusCode == http.StatusCreated:
			return
		case res.StatusCode != http.StatusServiceUnavailable || after == 0:
			t.Errorf("a batch: %s", res.Status)
			return
		}
		time.Sleep(time.Duration(after) * time.Second)
	}
	t.Error("a batch was told to come again ten times")
}
