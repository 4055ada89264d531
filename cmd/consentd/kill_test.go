package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/store"
)

// killTarget is a server on some engine that is put through the kill loop.
type killTarget struct {
	env, args []string
	reset     func(t *testing.T)                              // empties the data before the first start
	check     func(t *testing.T, p *process, o tenant, n int) // looks at the data itself, after the last start; n events are expected
}

const (
	leastKills   = 20  // fewer prove nothing
	leastBetween = 100 // acknowledged writes between two kills
	killWriters  = 12
)

// TestKillLoop kills the server again and again under concurrent writers that
// retry by Idempotency-Key: what was acknowledged is there, once.
func TestKillLoop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	killLoop(t, killTarget{
		env:   []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=warn"},
		args:  []string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--log-level", "info"},
		reset: func(*testing.T) {}, // the folder is the test's own
		check: func(t *testing.T, p *process, o tenant, n int) { checkSQLite(t, dir, o, n) },
	})
}

func killLoop(t *testing.T, target killTarget) {
	kills := leastKills + 20
	if testing.Short() {
		kills = 4
	}
	target.reset(t)
	p := serveWith(t, target.env, target.args...)
	crowd := &crowd{t: t, tenant: newTenant(t, p)}
	crowd.move(p)
	stop := crowd.start(killWriters)
	done := 0
	for ; done < kills && !t.Failed(); done++ {
		from := crowd.acknowledged.Load()
		waitFor(t, fmt.Sprintf("%d acknowledged writes before kill %d: the run is invalid", leastBetween, done+1),
			func() bool { return crowd.acknowledged.Load() >= from+leastBetween || t.Failed() })
		time.Sleep(time.Duration(rand.IntN(200_000)) * time.Microsecond)
		p.signal(t, syscall.SIGKILL)
		p.wait(t, 10*time.Second)
		p = serveWith(t, target.env, target.args...)
		crowd.move(p)
	}
	stop()
	t.Logf("%d kills, %d writes acknowledged, %d requests had to be sent again, %d answers were replayed",
		done, crowd.acknowledged.Load(), crowd.again.Load(), crowd.replayed.Load())
	crowd.compare(p)
	target.check(t, p, crowd.tenant, len(crowd.expected))
	p.stop(t)
}

// crowd is some writers and what they were told.
type crowd struct {
	t                             *testing.T
	tenant                        tenant
	url                           atomic.Pointer[string]
	acknowledged, again, replayed atomic.Int64
	mu                            sync.Mutex
	ids                           map[string]bool   // of events that an answer named
	expected                      map[[2]string]int // events by person and subcategory
}

// move tells the writers where the server is now.
func (c *crowd) move(p *process) { c.url.Store(&p.url) }

// start lets writers write until stop, which waits until each has the answer to its last write.
func (c *crowd) start(writers int) (stop func()) {
	c.ids, c.expected = map[string]bool{}, map[[2]string]int{}
	var ending atomic.Bool
	var done sync.WaitGroup
	for range writers {
		done.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; !ending.Load() && !c.t.Failed(); n++ {
				c.write(client, n)
			}
		})
	}
	return func() {
		ending.Store(true)
		done.Wait()
	}
}

// write does one thing: mostly a single event, now and then a batch, or an overwrite of a known person's levels.
func (c *crowd) write(client *http.Client, n int) {
	users := []string{uuid.NewString()}
	if n%10 == 0 {
		users = append(users, uuid.NewString(), uuid.NewString(), uuid.NewString())
	}
	var made eventList
	answer := c.until2xx(client, "POST", c.tenant.eventsPath(), items(users...))
	if err := json.Unmarshal(answer, &made); err != nil || len(made.Items) != len(users) {
		c.t.Errorf("%v: %s", err, answer)
		return
	}
	c.note(made.Items...)
	if n%5 != 0 {
		return
	}
	c.until2xx(client, "PUT", "/persons/"+users[0]+"/consent/gdpr", `{"consent_levels":["analytics","marketing"]}`)
	c.note(event{Person: made.Items[0].Person, Subcategory: "analytics"}, event{Person: made.Items[0].Person, Subcategory: "marketing"})
}

func (c *crowd) note(events ...event) {
	c.acknowledged.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		if e.ID != "" {
			c.ids[e.ID] = true
		}
		c.expected[[2]string{e.Person, e.Subcategory}]++
	}
}

// until2xx sends a request with one Idempotency-Key until it is acknowledged.
func (c *crowd) until2xx(client *http.Client, method, path, body string) []byte {
	key := uuid.NewString()
	for began := time.Now(); time.Since(began) < time.Minute; {
		status, answer, replayed := c.try(client, method, path, key, body)
		switch {
		case status/100 == 2:
			if replayed {
				c.replayed.Add(1)
			}
			return answer
		case status != 0 && status < 500:
			c.t.Errorf("%s %s: %d %s", method, path, status, answer)
			return nil
		}
		c.again.Add(1)
		time.Sleep(2 * time.Millisecond)
	}
	c.t.Errorf("%s %s: not acknowledged within a minute", method, path)
	return nil
}

// try sends a request once; status 0 says that no whole answer came.
func (c *crowd) try(client *http.Client, method, path, key, body string) (status int, answer []byte, replayed bool) {
	req, err := http.NewRequestWithContext(context.Background(), method, *c.url.Load()+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, nil, false
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Idempotency-Key": key, "x-api-key": rootKey,
		"SlashID-API-Key": rootKey, "SlashID-OrgID": c.tenant.organization} {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, false
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		return 0, nil, false
	}
	return res.StatusCode, answer, res.Header.Get("Idempotency-Replayed") == "true"
}

// compare holds what the writers were told against what the server lists.
func (c *crowd) compare(p *process) {
	seen, got := map[string]bool{}, map[[2]string]int{}
	for _, e := range allEvents(c.t, p, c.tenant) {
		if seen[e.ID] {
			c.t.Errorf("event %s is listed twice", e.ID)
		}
		seen[e.ID] = true
		got[[2]string{e.Person, e.Subcategory}]++
	}
	lost, wrong := 0, 0
	for id := range c.ids {
		if !seen[id] {
			lost++
		}
	}
	for what, n := range got {
		if c.expected[what] != n {
			wrong++
		}
	}
	for what := range c.expected {
		if got[what] == 0 {
			wrong++
		}
	}
	if lost > 0 || wrong > 0 {
		c.t.Errorf("%d acknowledged events are lost; %d decisions are there more or less than once, of %d", lost, wrong, len(c.expected))
	}
}

// checkSQLite reads the sequence from the file itself and lets the doctor look at the rest.
func checkSQLite(t *testing.T, dir string, o tenant, want int) {
	t.Helper()
	db := openFile(t, dir)
	id := uuid.MustParse(o.organization)
	var got [4]int
	err := sqlitex.Execute(db, `SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence) FROM events WHERE organization_id = ?`,
		&sqlitex.ExecOptions{Args: []any{id[:]}, ResultFunc: func(s *sqlite.Stmt) error {
			for i := range got {
				got[i] = s.ColumnInt(i)
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if got != [4]int{want, want, 1, want} {
		t.Errorf("events, sequences, least and greatest sequence are %v; want %d, %d, 1, %d", got, want, want, want)
	}
	if d := command(t, nil, "doctor", "--full", "--data", dir); d.code != 0 {
		t.Errorf("the doctor finds:\n%s", d.out.String())
	}
}

func openFile(t *testing.T, dir string) *sqlite.Conn {
	t.Helper()
	db, err := sqlite.OpenConn(filepath.Join(dir, store.SQLiteFile), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
