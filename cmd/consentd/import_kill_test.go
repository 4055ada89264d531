package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/client"
	"github.com/consentd/consentd/internal/pgtest"
)

// importSize is how much TestImportGoesOn imports, how often it kills, and what a call takes. CONSENTD_TEST_IMPORT,
// such as "5000000 lines, 1000000 people, 20 kills, 4000 a call", has it do more than there is time for in each run.
type importSize struct{ lines, people, kills, call int }

func importSizes(t testing.TB) importSize {
	size := importSize{lines: 6000, people: 97, kills: 12, call: 100}
	if given := os.Getenv("CONSENTD_TEST_IMPORT"); given != "" {
		if _, err := fmt.Sscanf(given, "%d lines, %d people, %d kills, %d a call", &size.lines, &size.people, &size.kills,
			&size.call); err != nil {
			t.Fatalf("CONSENTD_TEST_IMPORT: %v", err)
		}
	}
	return size
}

// write makes a table of decisions in no order of time, some lines of it twice, and gives how many are to be taken.
func (size importSize) write(t testing.TB) (file string, taken int) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "people.csv")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	b := bufio.NewWriterSize(out, 1<<20)
	b.WriteString("externalId,identifiers.email,purpose,state,occurredAt\n")
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range size.lines {
		n := i
		if i%100 == 99 {
			n = i - 50
		} else {
			taken++
		}
		who, at := n*7%size.people, from.Add(time.Duration(n*7919%(700*86400))*time.Second)
		fmt.Fprintf(b, "r%d,p%d@example.com,%s,%s,%s\n", n, who, []string{"marketing", "analytics", "functional"}[n%3],
			[]string{"accepted", "declined", "withdrawn"}[n/5%3], at.Format(time.RFC3339))
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return file, taken
}

// TestImportGoesOn kills the program, the server or both at random points until all is imported: on record is what one
// run makes, in the same order.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	importGoesOn(t, func(*testing.T) ([]string, []string) { return nil, []string{"--data", t.TempDir()} })
}

// TestImportGoesOnPostgres is TestImportGoesOn over PostgreSQL.
func TestImportGoesOnPostgres(t *testing.T) {
	t.Parallel()
	importGoesOn(t, func(t *testing.T) ([]string, []string) {
		return []string{"CONSENTD_DATABASE_URL=" + pgtest.Database(t, "", nil)}, nil
	})
}

// importedShop is a server whose organization an import goes into, and the most memory that it and the program had.
type importedShop struct {
	importShop
	serve           func(listen string) *process
	server, program int // KiB
}

func newImportedShop(t *testing.T, store func(*testing.T) (env, args []string)) *importedShop {
	env, args := store(t)
	env = append(env, "CONSENTD_ROOT_KEY="+rootKey)
	r := &importedShop{serve: func(listen string) *process {
		return serveWith(t, env, append([]string{"serve", "--listen", listen}, args...)...)
	}}
	r.p = r.serve("127.0.0.1:0")
	r.o = newTenant(t, r.p)
	r.env = []string{"CONSENTD_URL=" + r.p.url, "CONSENTD_KEY=" + rootKey}
	return r
}

// look notes how much memory a process had at most, while it runs.
func look(p *process, most *int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)) // it may have ended
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			*most = max(*most, kib)
		}
	}
}

// toEnd runs the program until all is imported.
func (r *importedShop) toEnd(t *testing.T, args []string) {
	t.Helper()
	p := launch(t, r.env, args...)
	for ended := false; !ended; {
		select {
		case <-p.ended:
			ended = true
		case <-time.After(200 * time.Millisecond):
			look(p, &r.program)
			look(r.p, &r.server)
		}
	}
	look(r.p, &r.server)
	if p.code != 0 {
		t.Fatalf("exit code %d: %s", p.code, p.errOut.String())
	}
}

func importGoesOn(t *testing.T, store func(*testing.T) (env, args []string)) {
	size := importSizes(t)
	file, taken := size.write(t)
	more := []string{"--source", "crm", "--batch", strconv.Itoa(size.call)}
	whole, killed := newImportedShop(t, store), newImportedShop(t, store)
	began := time.Now()
	whole.toEnd(t, whole.args(file, more...))
	took := time.Since(began)
	seed := rand.Uint64()
	logFailed(t, "seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	listen := strings.TrimPrefix(killed.p.url, "http://")
	for kill := range size.kills {
		p := launch(t, killed.env, killed.args(file, more...)...)
		time.Sleep(time.Duration(random.Int64N(int64(2 * took / time.Duration(size.kills)))))
		look(p, &killed.program)
		look(killed.p, &killed.server)
		server := kill%3 > 0
		if server {
			killed.p.signal(t, syscall.SIGKILL)
			<-killed.p.ended
		}
		if kill%3 < 2 {
			p.signal(t, syscall.SIGKILL)
		}
		if server {
			killed.p = killed.serve(listen)
		}
		if kill%3 == 2 { // the program goes on by itself
			time.Sleep(time.Duration(random.Int64N(int64(took / time.Duration(size.kills)))))
			p.signal(t, syscall.SIGKILL)
		}
		<-p.ended
	}
	killed.toEnd(t, killed.args(file, more...))
	for i, err := range killed.client(t).Imports(context.Background(), "", "crm") {
		if err != nil || i.State != "done" || i.Accepted != int64(taken) || i.Duplicates != int64(size.lines-taken) {
			t.Errorf("the import is %s with %d lines and %d duplicates, %v; %d lines are to be taken", i.State, i.Accepted,
				i.Duplicates, err, taken)
		}
		break // others, if any, found all done
	}
	if n := sameHistory(t, whole.client(t), killed.client(t)); n != taken {
		t.Errorf("%d events, and not %d", n, taken)
	}
	t.Logf("one run took %s; at most %d MiB the server and %d MiB the program, killed %d and %d", took.Round(time.Second),
		whole.server>>10, whole.program>>10, killed.server>>10, killed.program>>10)
	for what, kib := range map[string]int{"the server": max(whole.server, killed.server),
		"the program": max(whole.program, killed.program)} {
		if most := 150; kib>>10 > most && !raceDetector {
			t.Errorf("%s had %d MiB, and not %d at most", what, kib>>10, most)
		}
	}
}

// sameHistory holds two ledgers against each other, event by event, but for ids and when they were recorded.
func sameHistory(t *testing.T, a, b *client.Client) (n int) {
	t.Helper()
	next, stop := iter.Pull2(b.ExportEvents(context.Background(), client.EventFilter{}))
	defer stop()
	said := func(e client.Event) []byte {
		e.ID, e.SubjectID, e.Project, e.RecordedAt, e.Source.KeyID = "", "", "", time.Time{}, ""
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for one, err := range a.ExportEvents(context.Background(), client.EventFilter{}) {
		other, failed, ok := next()
		if err != nil || failed != nil || !ok {
			t.Fatalf("behind %d events: %v, %v, there: %t", n, err, failed, ok)
		}
		if x, y := said(one), said(other); !bytes.Equal(x, y) {
			t.Fatalf("event %d is not the same:\n%s\n%s", n+1, x, y)
		}
		n++
	}
	if _, _, more := next(); more {
		t.Fatalf("there are more than %d events", n)
	}
	return n
}
