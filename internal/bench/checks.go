package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/scratchpg"
)

// perCall is how many people a large check asks about.
const perCall = 100

// checks are measured against a store that has everybody on record who is asked about, by e-mail.
type checks struct {
	people int
	one    result // a person a call
	many   result // perCall people a call
	over   average
	peak   int64 // bytes
}

// mailOf is the address of a person.
func mailOf(b []byte, person int) []byte {
	b = append(b, `user-`...)
	b = strconv.AppendInt(b, int64(person), 10)
	return append(b, `@example.com`...)
}

// seedMails puts people on record, each with a decision, over a few connections.
func (t *tenant) seedMails(ctx context.Context, people int, say func(done int)) error {
	const most = 1000 // items a request
	var next atomic.Int64
	var failed error
	var once sync.Once
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(most)) - most
				if from >= people {
					return
				}
				body := itemsBody(min(most, people-from), func(b []byte, i int) []byte {
					b = mailOf(append(b, `{"email":"`...), from+i)
					b = append(b, `","category":"privacy_setting","subcategory":"marketing","consentState":"`...)
					b = append(b, [...]string{"accepted", "declined"}[(from+i)%2]...)
					return append(b, `","consentAction":"user_click"}`...)
				})
				if err := postJSON(t.events, t.concordHeaders, body, nil); err != nil {
					once.Do(func() { failed = err })
					return
				}
				if done := from + most; done%200_000 == 0 {
					say(done)
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(failed, ctx.Err())
}

// checkOf asks whether so many people may be sent marketing, a call.
func (t *tenant) checkOf(people, count int) generator {
	return func(w *worker) *call {
		var body []byte
		if count == 1 {
			body = append(appendPerson(append(make([]byte, 0, 128), '{'), w.random, people), `,"purposes":["marketing"]}`...)
		} else {
			body = append(make([]byte, 0, 64*count), `{"subjects":[`...)
			for i := range count {
				if i > 0 {
					body = append(body, ',')
				}
				body = append(appendPerson(append(body, '{'), w.random, people), '}')
			}
			body = append(body, `],"purposes":["marketing"]}`...)
		}
		return w.post(t.check, t.nativeHeaders, body)
	}
}

func appendPerson(b []byte, r *rand.Rand, people int) []byte {
	return append(mailOf(append(b, `"identifiers":{"email":"`...), r.IntN(people)), `"}`...)
}

// measure loads a tenant with checks of a person, in turns with base, and then with large ones.
func (k *checks) measure(ctx context.Context, phase time.Duration, t *tenant, base *compared) error {
	one := &compared{next: t.checkOf(k.people, 1)}
	err := inTurns(ctx, turns, 64, 2*phase/turns, base, one)
	if err != nil {
		return err
	}
	k.over = one.over(base)
	if k.one, err = one.all(); err != nil {
		return err
	}
	return k.measureMany(ctx, phase, t)
}

// measureMany loads a tenant with large checks, over as many connections as batches take: what is still on its way at
// the end of a load does not count, which is much of a short one where each call takes long.
func (k *checks) measureMany(ctx context.Context, phase time.Duration, t *tenant) (err error) {
	k.many, err = load(ctx, 8, phase, t.checkOf(k.people, perCall))
	k.peak = t.server.peakMemory()
	return err
}

// manyPeople is how many people a second the large calls tell of.
func (k *checks) manyPeople() float64 { return perCall * k.many.rate }

func (k *checks) figures() []*figure {
	return []*figure{
		{"checks of a person, 64 connections", k.one, ""},
		{fmt.Sprintf("checks of %d people a call, 8 connections", perCall), k.many,
			fmt.Sprintf("%.0f people/s", k.manyPeople())},
	}
}

// measureChecks asks a server over SQLite that has many people on record, in turns with the handler that does nothing.
func (r *run) measureChecks(ctx context.Context) error {
	if r.Checks == 0 {
		return nil
	}
	r.checks.people = r.Checks
	child, err := startChild(ctx, r.Bench, nil, "echo")
	if err != nil {
		return err
	}
	defer child.stop()
	person := newPeople(r.People)
	return r.with(ctx, r.folder("data-of-checks"), newPeople(hot), func(t *tenant) error {
		if err := t.seedMails(ctx, r.Checks, r.onRecord); err != nil {
			return err
		}
		echo := &compared{next: func(w *worker) *call { return w.post(child.url+"/echo", nil, person.events(w.random, 1)) }}
		return r.checks.measure(ctx, r.Phase, t, echo)
	})
}

func (o *Options) onRecord(people int) { fmt.Fprintf(o.Out, "  %d people on record\n", people) }

// ratios of the checks over SQLite.
func (r *run) checkRatios() []fmt.Stringer {
	k := &r.checks
	if r.Checks == 0 {
		return nil
	}
	return []fmt.Stringer{
		&ratio{"checks of a person by e-mail at 64 / echo handler at 64", k.over, 0.80},
		&ratio{fmt.Sprintf("people/s of checks of %d / of single checks", perCall),
			average{mean: k.manyPeople() / k.one.rate}, 8},
		&ratio{fmt.Sprintf("thousand people/s of checks of %d", perCall), average{mean: k.manyPeople() / 1000}, 60},
		&limit{"peak resident memory of the server that is asked", float64(k.peak) / (1 << 20), 150, "MiB"},
	}
}

// pgbench runs the read-only transactions of PostgreSQL's own benchmark, prepared, over 64 connections, and gives how
// many there were a second.
func pgbench(ctx context.Context, server *scratchpg.Server, args ...string) (float64, error) {
	args = append(args, server.URL("pgbench"))
	out, err := exec.CommandContext(ctx, server.Program("pgbench"), args...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	found := tps.FindSubmatch(out)
	if found == nil {
		return 0, nil
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// pgbenchReads runs pgbench for so many seconds, and for longer on a machine so busy that nothing was done by then.
func pgbenchReads(ctx context.Context, server *scratchpg.Server, seconds int) (float64, error) {
	for ; ; seconds *= 2 {
		rate, err := pgbench(ctx, server, "-n", "-S", "-M", "prepared", "-c", "64", "-j", "2", "-T", strconv.Itoa(seconds))
		if err != nil || rate > 0 {
			return rate, err
		}
		if seconds > int(longestPhase.Seconds()) {
			return 0, errNone
		}
	}
}

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbenchRounds is how often checks and pgbench take turns.
const pgbenchRounds = 4

// leastPgbench is how many seconds each of them runs at least: pgbench's connections may take one of them to come, and
// their servers a part of the next to go.
const leastPgbench = 3

// measureChecks asks a server over PostgreSQL that has many people on record, in turns with pgbench on the same server.
func (r *postgresRun) measureChecks(ctx context.Context) error {
	if r.Checks == 0 {
		return nil
	}
	r.checks.people = r.Checks
	if _, err := newDatabase(r.server, "pgbench", r.Dir); err != nil {
		return err
	}
	if _, err := pgbench(ctx, r.server, "-i", "-q", "-s", "10"); err != nil {
		return err
	}
	return r.withDatabase(ctx, "checks", newPeople(hot), func(t *tenant) error {
		if err := t.seedMails(ctx, r.Checks, r.onRecord); err != nil {
			return err
		}
		for _, settle := range []string{"VACUUM ANALYZE", "CHECKPOINT"} { // as it has been done on one that is older
			if _, err := r.server.Psql("checks", settle); err != nil {
				return err
			}
		}
		return r.checksAndPgbench(ctx, t)
	})
}

func (r *postgresRun) checksAndPgbench(ctx context.Context, t *tenant) error {
	seconds := max(int(r.Phase.Seconds()/pgbenchRounds), leastPgbench)
	one := &compared{next: t.checkOf(r.Checks, 1)}
	for range pgbenchRounds {
		rate, err := pgbenchReads(ctx, r.server, seconds)
		if err != nil {
			return err
		}
		r.pgbench.mean += rate / pgbenchRounds
		run, err := load(ctx, 64, time.Duration(seconds)*time.Second, one.next)
		if err != nil {
			return err
		}
		one.runs = append(one.runs, run)
	}
	var err error
	if r.checks.one, err = one.all(); err != nil {
		return err
	}
	return r.checks.measureMany(ctx, r.Phase, t)
}

// nativeOf gives what a tenant needs of the native API.
func (t *tenant) nativeOf(organization, key string) {
	t.check = t.server.url + "/api/v1/organizations/" + organization + "/check"
	t.nativeHeaders = http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
}
