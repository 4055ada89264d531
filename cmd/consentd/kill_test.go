package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/webtest"
)

// killTarget is one or several servers on some engine that are put through the kill loop.
type killTarget struct {
	env, args []string
	servers   int                                 // over one database
	check     func(t *testing.T, o tenant, n int) // looks at the data itself, after the last start; n entries are expected
}

const (
	leastKills   = 20 // fewer prove nothing
	mostKills    = 40
	killTime     = 20 * time.Second // beyond which no more than the least are made
	leastBetween = 100              // acknowledged writes between two kills
	killWriters  = 12
)

// TestKillLoop kills the server again and again under concurrent writers that
// retry by Idempotency-Key: what was acknowledged is there, once.
func TestKillLoop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	killLoop(t, killTarget{args: []string{"--data", dir, "--log-level", "info"}, servers: 1,
		check: func(t *testing.T, o tenant, n int) { checkSQLite(t, dir, o, n) }})
}

// TestKillLoopPostgres is TestKillLoop over PostgreSQL, which must undo what a killed server had begun.
func TestKillLoopPostgres(t *testing.T) { killLoop(t, onPostgres(pgtest.Database(t, "", nil), 1)) }

// TestKillLoopThree kills any one of three servers over one database; its writers go on with the others.
func TestKillLoopThree(t *testing.T) { killLoop(t, onPostgres(pgtest.Database(t, "", nil), 3)) }

// TestKillLoopCitus is both over Citus, where there is one.
func TestKillLoopCitus(t *testing.T) {
	webtest.TellOfCitus(t)
	if webtest.CitusURL() == "" {
		return
	}
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) { killLoop(t, onPostgres(webtest.CitusDatabase(t), servers)) })
	}
}

func onPostgres(url string, servers int) killTarget {
	env := []string{"CONSENTD_DATABASE_URL=" + url}
	return killTarget{env: env, servers: servers,
		check: func(t *testing.T, o tenant, n int) { checkPostgres(t, url, env, o, n) }}
}

// start starts one of the servers.
func (target *killTarget) start(t *testing.T) *process {
	t.Helper()
	env := append([]string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=warn"}, target.env...)
	return serveWith(t, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "info"},
		target.args...)...)
}

func killLoop(t *testing.T, target killTarget) {
	least, most := leastKills, mostKills
	if testing.Short() {
		least, most = 4, 4
	}
	fleet := make([]*process, target.servers)
	for i := range fleet {
		fleet[i] = target.start(t)
	}
	load := &writers{t: t, tenant: newTenant(t, fleet[0])}
	load.move(fleet...)
	stop := load.start(killWriters)
	began, done := time.Now(), 0
	for ; (done < least || done < most && time.Since(began) < killTime) && !t.Failed(); done++ {
		from := load.acknowledged.Load()
		waitFor(t, fmt.Sprintf("%d acknowledged writes before kill %d: the run is invalid", leastBetween, done+1),
			func() bool { return load.acknowledged.Load() >= from+leastBetween || t.Failed() })
		time.Sleep(time.Duration(rand.IntN(200_000)) * time.Microsecond)
		victim := rand.IntN(len(fleet))
		fleet[victim].signal(t, syscall.SIGKILL)
		fleet[victim].wait(t, 10*time.Second)
		fleet[victim] = target.start(t)
		load.move(fleet...)
	}
	stop()
	logFailed(t, "%d kills in %s, %d writes acknowledged, %d requests had to be sent again, %d answers were replayed",
		done, time.Since(began).Round(time.Second), load.acknowledged.Load(), load.again.Load(), load.replayed.Load())
	for _, p := range fleet {
		load.compare(p)
		load.checkAll(p)
		load.checkErased(p)
	}
	target.check(t, load.tenant, len(load.expected)+2*len(load.erased)) // the leaf of a decision, and the erasure
	for _, p := range fleet {
		p.stop(t)
	}
}

// writers write side by side, and keep what was acknowledged.
type writers struct {
	t                             *testing.T
	tenant                        tenant
	urls                          atomic.Pointer[[]string]
	tries                         atomic.Int64
	acknowledged, again, replayed atomic.Int64
	mu                            sync.Mutex
	ids                           map[string]bool   // of events that an answer named
	erased                        []string          // subjects
	lasting                       bool              // nobody is erased
	granted                       []string          // people who said yes to marketing through the native API
	expected                      map[[2]string]int // events by person and subcategory
}

// move lets the writers know where the servers are now.
func (c *writers) move(servers ...*process) {
	urls := make([]string, len(servers))
	for i, p := range servers {
		urls[i] = p.url
	}
	c.urls.Store(&urls)
}

// next is the server for a try: one after another, so that a retry seldom meets the same.
func (c *writers) next() string {
	urls := *c.urls.Load()
	return urls[int(c.tries.Add(1))%len(urls)]
}

// start lets writers write until stop, which waits until each has the answer to its last write.
func (c *writers) start(count int) (stop func()) {
	c.ids, c.expected = map[string]bool{}, map[[2]string]int{}
	var ending atomic.Bool
	var done sync.WaitGroup
	for range count {
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

// write does one thing: mostly a single event, now and then a batch, or an overwrite of a known person's levels; every
// third time through the native API, and of those every third person is erased.
func (c *writers) write(client *http.Client, n int) {
	if n%3 == 0 {
		c.writeNative(client, n%9 == 0 && !c.lasting)
		return
	}
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
	c.note(event{Person: made.Items[0].Person, Subcategory: "analytics"},
		event{Person: made.Items[0].Person, Subcategory: "marketing"})
}

func (c *writers) writeNative(client *http.Client, erase bool) {
	user := uuid.NewString()
	var made struct {
		Items []struct{ ID, SubjectID string }
	}
	answer := c.until2xx(client, "POST", "/api/v1/organizations/"+c.tenant.organization+"/projects/default/events",
		`{"items":[{"identifiers":{"userId":"`+user+`"},"purpose":"marketing","state":"accepted"}]}`)
	if err := json.Unmarshal(answer, &made); err != nil || len(made.Items) != 1 {
		c.t.Errorf("%v: %s", err, answer)
		return
	}
	if erase {
		id := made.Items[0].SubjectID
		c.until2xx(client, "POST", "/api/v1/organizations/"+c.tenant.organization+"/subjects/"+id+"/erase", `{}`)
		c.acknowledged.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.erased = append(c.erased, id)
		return
	}
	c.note(event{ID: made.Items[0].ID, Person: made.Items[0].SubjectID, Subcategory: "marketing"})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.granted = append(c.granted, user)
}

// checkAll asks the native check about everybody who said yes through the native API.
func (c *writers) checkAll(p *process) {
	c.t.Helper()
	denied := 0
	for people := range slices.Chunk(c.granted, 100) {
		var subjects []string
		for _, user := range people {
			subjects = append(subjects, `{"identifiers":{"userId":"`+user+`"}}`)
		}
		var answer struct {
			Subjects []struct{ Results []struct{ Granted bool } }
		}
		status, body := call(c.t, "POST", p.url+"/api/v1/organizations/"+c.tenant.organization+"/check",
			map[string]string{"Authorization": "Bearer " + rootKey},
			`{"subjects":[`+strings.Join(subjects, ",")+`],"purposes":["marketing"]}`)
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Subjects) != len(people) {
			c.t.Fatalf("a check: %d %v: %s", status, err, body)
		}
		for _, s := range answer.Subjects {
			if !s.Results[0].Granted {
				denied++
			}
		}
	}
	if denied > 0 || len(c.granted) == 0 {
		c.t.Errorf("of %d acknowledged yeses the check denies %d", len(c.granted), denied)
	}
}

// checkErased asks about everybody who was erased: each is gone. What is listed of them, compare has found.
func (c *writers) checkErased(p *process) {
	c.t.Helper()
	known := 0
	for _, id := range c.erased {
		status, _ := call(c.t, "GET", p.url+"/api/v1/organizations/"+c.tenant.organization+"/subjects/"+id,
			map[string]string{"Authorization": "Bearer " + rootKey}, "")
		if status != http.StatusGone {
			known++
		}
	}
	if known > 0 || len(c.erased) == 0 {
		c.t.Errorf("of %d people who were erased %d are not gone", len(c.erased), known)
	}
}

func (c *writers) note(events ...event) {
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
func (c *writers) until2xx(client *http.Client, method, path, body string) []byte {
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
func (c *writers) try(client *http.Client, method, path, key, body string) (status int, answer []byte, replayed bool) {
	req, err := http.NewRequestWithContext(context.Background(), method, c.next()+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, nil, false
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Idempotency-Key": key,
		"x-api-key": rootKey, "Authorization": "Bearer " + rootKey,
		"SlashID-API-Key": rootKey, "SlashID-OrgID": c.tenant.organization} {
		if value != "" {
			req.Header.Set(name, value)
		}
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

// compare holds what was acknowledged against what the server lists.
func (c *writers) compare(p *process) {
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
		c.t.Errorf("%d acknowledged events are lost; %d decisions are there more or less than once, of %d", lost, wrong,
			len(c.expected))
	}
}

const countSequence = "SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence) FROM (" +
	"SELECT organization_id, sequence FROM events UNION ALL SELECT organization_id, sequence FROM ledger_entries) " +
	"AS entries WHERE organization_id = "

// checkSQLite reads the sequence from the file itself and lets the doctor look at the rest.
func checkSQLite(t *testing.T, dir string, o tenant, want int) {
	t.Helper()
	db := openFile(t, dir)
	id := uuid.MustParse(o.organization)
	var got [4]int
	err := sqlitex.Execute(db, countSequence+"?", &sqlitex.ExecOptions{Args: []any{id[:]},
		ResultFunc: func(s *zombiezen.Stmt) error {
			for i := range got {
				got[i] = s.ColumnInt(i)
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	checkSequence(t, got, want)
	healthy(t, nil, "--data", dir)
}

// checkPostgres is checkSQLite for a database.
func checkPostgres(t *testing.T, url string, env []string, o tenant, want int) {
	t.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(ctx) }()
	var got [4]int
	if err := db.QueryRow(ctx, countSequence+"$1", o.organization).Scan(&got[0], &got[1], &got[2], &got[3]); err != nil {
		t.Fatal(err)
	}
	checkSequence(t, got, want)
	healthy(t, env)
}

func checkSequence(t *testing.T, got [4]int, want int) {
	t.Helper()
	want += firstEntries
	if got != [4]int{want, want, 1, want} {
		t.Errorf("entries, sequences, least and greatest sequence are %v; want %d, %d, 1, %d", got, want, want, want)
	}
}

func healthy(t *testing.T, env []string, args ...string) {
	t.Helper()
	if d := command(t, env, append([]string{"doctor", "--full"}, args...)...); d.code != 0 {
		t.Errorf("the doctor finds:\n%s", d.out.String())
	}
}

func openFile(t *testing.T, dir string) *zombiezen.Conn {
	t.Helper()
	db, err := zombiezen.OpenConn(filepath.Join(dir, sqlite.FileName), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
