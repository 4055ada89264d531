package powercut_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/powercut"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// What a test notes between what is done to the files: what somebody was told, and what was asked for.
type (
	recorded struct {
		event consent.ID
		of    consent.SubjectKey
	}
	shown struct {
		organization consent.ID
		root         consent.LedgerRoot
	}
	erasing struct {
		of   consent.SubjectKey
		name string
	}
	erased  struct{ of consent.SubjectKey }
	keeping struct{ name string } // one of the files that SQLite does not write is about to change
	kept    struct {              // and is on the disk
		name    string
		content []byte
	}
)

// The files beside the database.
const (
	keyFile         = "kek"
	erasuresFile    = "kek.erasures"
	checkpointsFile = "kek.checkpoints"
)

const (
	rootKey    = "root-key-for-tests-0123456789-abcdefgh"
	ledgerName = "ledger.example/cuts"
)

// place is a folder with a server, as consentd serve starts it.
type place struct {
	t        testing.TB
	folder   string
	note     func(any)
	engine   *sqlite.Engine
	store    service.Store
	keys     *sealing.File
	erasures *journal.File
	signed   *journal.Checkpoints
	svc      *service.Service
	root     consent.Actor
	log      logtest.Buffer // warnings and errors
	taken    atomic.Value   // the newest key that the service has read

	mu       sync.Mutex // of the files beside the database, so that a note has what is durable and no more
	outcomes map[string]int
}

// start opens a folder as a server does, and is ready to answer.
func start(t testing.TB, folder string, note func(any)) (*place, error) {
	p := &place{t: t, folder: folder, note: note, outcomes: map[string]int{}}
	if err := p.open(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *place) open() (err error) {
	ctx, log := context.Background(), slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if p.engine, err = sqlite.Open(ctx, p.folder, sqlite.Options{Exclusive: true, Log: log}); err != nil {
		return err
	}
	p.store = store.CachePersons(store.New(p.engine), p.engine)
	err = p.changes(keyFile, func() error {
		p.keys, _, err = sealing.Create(p.path(keyFile), rand.Reader, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	if p.erasures, err = journal.Open(p.path(erasuresFile)); err != nil {
		return err
	}
	if p.signed, err = journal.OpenCheckpoints(p.path(checkpointsFile)); err != nil {
		return err
	}
	places, err := geo.New(geo.Options{})
	if err != nil {
		return err
	}
	signing, _ := p.keys.SigningKey()
	p.svc = service.New(service.Options{Store: p.store, Keys: p.keys.Ring(rand.Reader), ReloadKeys: p.reloads,
		SigningKey: signing, LedgerName: ledgerName, Journal: journalOf{p.erasures, p},
		Checkpoints: checkpointsOf{p.signed, p}, Places: places, Log: log, Checkpointed: p.count})
	if _, err = p.svc.ForgetAgain(ctx, nil); err != nil {
		return err
	}
	p.svc.UseRootKey(rootKey)
	p.root, err = p.svc.Authenticate(ctx, rootKey)
	return err
}

func (p *place) close() {
	if p.svc != nil {
		p.svc.Close()
	}
	if p.engine != nil {
		if err := p.engine.Close(); err != nil {
			p.t.Error(err)
		}
	}
	if p.erasures != nil {
		_ = p.erasures.Close()
	}
	if p.signed != nil {
		_ = p.signed.Close()
	}
}

func (p *place) path(name string) string { return filepath.Join(p.folder, name) }

func (p *place) count(outcome string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes[outcome]++
}

func (p *place) reload(bool) (*sealing.Ring, bool, error) {
	f, err := sealing.Load(p.path(keyFile))
	if err != nil {
		return nil, false, err
	}
	return f.Ring(rand.Reader), true, nil
}

// reloads is reload by the service itself.
func (p *place) reloads(always bool) (*sealing.Ring, bool, error) {
	ring, changed, err := p.reload(always)
	if err == nil {
		p.taken.Store(ring.Newest())
	}
	return ring, changed, err
}

// changes notes what becomes of a file that SQLite does not write.
func (p *place) changes(name string, change func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(keeping{name})
	if err := change(); err != nil {
		return err
	}
	content, err := os.ReadFile(p.path(name))
	p.note(kept{name, content})
	return err
}

type journalOf struct {
	*journal.File
	p *place
}

func (j journalOf) Add(some []consent.ErasedSubject) error {
	return j.p.changes(erasuresFile, func() error { return j.File.Add(some) })
}

type checkpointsOf struct {
	*journal.Checkpoints
	p *place
}

func (c checkpointsOf) Put(organization consent.ID, newest, next consent.LedgerRoot) (put bool, err error) {
	err = c.p.changes(checkpointsFile, func() (err error) {
		put, err = c.Checkpoints.Put(organization, newest, next)
		return err
	})
	return put, err
}

// work is what a server does while it is recorded: writers who write and erase at once, somebody who looks at
// checkpoints, SQLite's log that moves into the database and starts anew, and a rotation of keys.
func (p *place) work(writers, each int) {
	ctx, cancel := context.WithCancel(context.Background())
	var busy, beside sync.WaitGroup
	beside.Go(func() { p.moveLog(ctx) })
	for n := range 2 {
		a := p.organization(n)
		beside.Go(func() { p.watch(ctx, a) })
		for w := range writers {
			busy.Go(func() { p.write(ctx, a, w, each) })
		}
	}
	p.rotate(ctx)
	busy.Wait()
	cancel()
	beside.Wait()
}

func (p *place) organization(n int) consent.Actor {
	view, err := p.svc.CreateOrganization(context.Background(), p.root,
		consent.NewOrganization{Name: "Shop", Slug: fmt.Sprintf("shop-%d", n)}, consent.Idempotency{})
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := p.root.In(view.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// nameOf is an address that stands in the files as long as its person is on record.
func nameOf(a consent.Actor, writer, n int) string {
	return fmt.Sprintf("canary-%s-%d-%d@shop.example", a.Organization, writer, n)
}

// write records decisions of people of whom each has a few, and erases every fourth of them.
func (p *place) write(ctx context.Context, a consent.Actor, writer, each int) {
	for n := range each {
		who := nameOf(a, writer, n/3)
		w := consent.Write{Origin: consent.Origin{Protocol: "test"}, Items: []consent.Item{{
			Identifiers: []consent.Identifier{{Kind: consent.Email, Value: who}},
			Decisions: []consent.Decision{
				{Purpose: consent.PurposeRef{Key: consent.Analytics}, State: consent.Accepted, Action: consent.UserClick},
				{Purpose: consent.PurposeRef{Key: consent.Marketing}, State: consent.Declined, Action: consent.UserClick}}}}}
		made, err := p.svc.Record(ctx, a, w)
		if err != nil {
			p.t.Error(err)
			return
		}
		of := consent.SubjectKey{Organization: a.Organization, Subject: made.Items[0].Subject}
		for _, e := range made.Items[0].Events {
			p.note(recorded{e.ID, of})
		}
		if n%12 == 5 {
			p.note(erasing{of, who})
			if _, err := p.svc.EraseSubject(ctx, a, consent.EraseSubject{Subject: of.Subject}); err != nil {
				p.t.Error(err)
				return
			}
			p.note(erased{of})
		}
		time.Sleep(40 * time.Millisecond) // so that checkpoints come between
	}
}

// watch is somebody who asks for checkpoints.
func (p *place) watch(ctx context.Context, a consent.Actor) {
	size := int64(0)
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		newest, err := p.svc.Checkpoint(ctx, a)
		if err == nil && newest.Size > size {
			size = newest.Size
			p.note(shown{a.Organization, rootOf(p.t, newest)})
		}
	}
}

// moveLog has SQLite's log moved into the database and started anew again and again, as by the engine itself when the
// log is long.
func (p *place) moveLog(ctx context.Context) {
	c, err := zombiezen.OpenConn(p.path(sqlite.FileName), zombiezen.OpenReadWrite|zombiezen.OpenWAL)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer c.Close()
	c.SetBusyTimeout(20 * time.Millisecond) // while it waits for readers, nobody can write
	for n := 0; ctx.Err() == nil; n++ {
		mode := []string{"PASSIVE", "RESTART", "PASSIVE", "TRUNCATE"}[n%4]
		// It may find the log in use, and comes again.
		_ = sqlitex.ExecuteTransient(c, "PRAGMA wal_checkpoint("+mode+")", nil)
		time.Sleep(60 * time.Millisecond)
	}
}

// rotate adds a key, wraps all by it, and destroys the one before it, as consentd keys does. From then on whatever is
// wrapped by that one is lost.
func (p *place) rotate(ctx context.Context) {
	time.Sleep(200 * time.Millisecond)
	before := p.keys.Newest().ID
	err := p.changes(keyFile, func() error {
		_, err := sealing.RotateAfter(p.path(keyFile), before, rand.Reader, time.Now())
		return err
	})
	if err != nil {
		p.t.Error(err)
		return
	}
	ring, _, err := p.reload(true)
	if err != nil {
		p.t.Error(err)
		return
	}
	for p.taken.Load() != ring.Newest() {
		time.Sleep(20 * time.Millisecond)
	}
	for none := 0; none < 2; { // what is being written may still be wrapped by the key before
		time.Sleep(400 * time.Millisecond)
		use, err := service.NewRewrapper(p.store, ring, p.reload, slog.New(slog.DiscardHandler)).Pass(ctx,
			func(service.KeyUse) {})
		if err != nil {
			p.t.Error(err)
			return
		}
		if none++; use.Rewrapped > 0 {
			none = 0
		}
	}
	err = p.changes(keyFile, func() error {
		_, err := sealing.Retire(p.path(keyFile), before)
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
}

// record has a server work in a folder of its own, and gives what it did.
func record(t testing.TB, writers, each int) []powercut.Op {
	t.Helper()
	folder := t.TempDir()
	r, err := powercut.Record(folder)
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(t, folder, r.Note)
	if err != nil {
		t.Fatal(err)
	}
	p.work(writers, each)
	p.close()
	return r.Stop()
}
