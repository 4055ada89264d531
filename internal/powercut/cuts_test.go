package powercut_test

import (
	"context"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/powercut"
	"github.com/consentd/consentd/internal/store/sqlite"
)

var (
	everyCut = flag.Bool("every-cut", false, "look at every prefix of what was not synced, not at a sample (half an hour)")
	cutSeed  = flag.Uint64("cut-seed", uint64(time.Now().UnixNano()), "which disks are looked at")
	cutCount = flag.Int("cuts", 40, "how many disks are looked at, without -every-cut")
)

// told is what was known outside by some moment.
type told struct {
	events   map[consent.ID]consent.SubjectKey
	begun    map[consent.SubjectKey]string // erasures that were asked for, and the person's name
	erased   map[consent.SubjectKey]bool   // erasures that were acknowledged
	shown    map[consent.ID]consent.LedgerRoot
	files    map[string][]byte // as they are on the disk
	changing map[string][]byte // as they are about to be
}

// toldBy gathers what was told in the first ops.
func toldBy(ops []powercut.Op, at int) *told {
	w := &told{events: map[consent.ID]consent.SubjectKey{}, begun: map[consent.SubjectKey]string{},
		erased: map[consent.SubjectKey]bool{}, shown: map[consent.ID]consent.LedgerRoot{}, files: map[string][]byte{},
		changing: map[string][]byte{}}
	open := map[string]bool{}
	for n := range ops {
		if n >= at && len(open) == 0 {
			break
		}
		switch note := ops[n].Note.(type) {
		case kept:
			if n < at {
				w.files[note.name] = note.content
			} else if open[note.name] {
				w.changing[note.name] = note.content
			}
			delete(open, note.name)
		case keeping:
			if n < at {
				open[note.name] = true
			}
		default:
			if n < at {
				w.hear(note)
			}
		}
	}
	return w
}

func (w *told) hear(note any) {
	switch note := note.(type) {
	case recorded:
		w.events[note.event] = note.of
	case erasing:
		w.begun[note.of] = note.name
	case erased:
		w.erased[note.of] = true
	case shown:
		w.shown[note.organization] = note.root
	}
}

// put adds the files that SQLite does not write, as they are or are about to be.
func (w *told) put(disk powercut.Disk, random *mathrand.Rand) {
	for name, content := range w.files {
		disk[name] = content
	}
	for name, content := range w.changing {
		if random.IntN(2) == 0 {
			disk[name] = content
		}
	}
}

// TestPowerCuts: whatever a power cut leaves of what was not synced, the server starts on it, and nothing is lost or
// half done that anybody was told of.
func TestPowerCuts(t *testing.T) {
	each := 40
	if *everyCut {
		each = 14 // there are more disks for each write the longer it goes on
	}
	ops := record(t, 2, each)
	random := mathrand.New(mathrand.NewPCG(*cutSeed, 1))
	var moments []*powercut.Moment
	for m := range powercut.Moments(ops) {
		moments = append(moments, m)
	}
	prefixes := 0
	for _, m := range moments {
		prefixes += len(m.Pending) + 1
	}
	began := time.Now()
	var looked atomic.Int64
	defer func() {
		if t.Failed() || *everyCut {
			t.Logf("seed %d; %s; %d moments before a sync, %d prefixes of what was not synced; %d disks in %s", *cutSeed,
				summary(ops), len(moments), prefixes, looked.Load(), time.Since(began).Round(time.Millisecond))
		}
	}()
	var looking errgroup.Group
	looking.SetLimit(16) // most of the time they wait for the disk, and for each other's turn
	look := func(m *powercut.Moment, what string, make func(*mathrand.Rand) powercut.Disk) {
		own := mathrand.New(mathrand.NewPCG(*cutSeed, random.Uint64()))
		looking.Go(func() error {
			looked.Add(1)
			if faults := examine(t, ops, m, make(own), own, own.IntN(3) == 0); len(faults) > 0 {
				t.Errorf("cut at op %d of %d, %s of %d: %q", m.At, len(ops), what, len(m.Pending), faults[:min(len(faults), 5)])
			}
			return nil
		})
	}
	if *everyCut {
		lookAtAll(moments, random, look)
	} else {
		lookAtSome(moments, random, look)
	}
	_ = looking.Wait() // what is wrong was told
}

// looker looks at one disk.
type looker func(m *powercut.Moment, what string, make func(*mathrand.Rand) powercut.Disk)

// lookAtAll looks at every prefix at every moment, and at each moment at a torn write and at a choice.
func lookAtAll(moments []*powercut.Moment, random *mathrand.Rand, look looker) {
	for _, m := range moments {
		for n := range len(m.Pending) + 1 {
			look(m, fmt.Sprintf("the first %d", n), func(*mathrand.Rand) powercut.Disk { return m.Prefix(n) })
		}
		n := random.IntN(len(m.Pending) + 1)
		look(m, fmt.Sprintf("the first %d, the next torn,", n), func(own *mathrand.Rand) powercut.Disk {
			return m.Torn(n, own)
		})
		look(m, "some", m.Some)
	}
}

// lookAtSome looks at so many.
func lookAtSome(moments []*powercut.Moment, random *mathrand.Rand, look looker) {
	for looked := range *cutCount {
		m := moments[random.IntN(len(moments))]
		n := random.IntN(len(m.Pending) + 1)
		switch looked % 3 {
		case 0:
			look(m, fmt.Sprintf("the first %d", n), func(*mathrand.Rand) powercut.Disk { return m.Prefix(n) })
		case 1:
			look(m, fmt.Sprintf("the first %d, the next torn,", n), func(own *mathrand.Rand) powercut.Disk {
				return m.Torn(n, own)
			})
		case 2:
			look(m, "some", m.Some)
		}
	}
}

// TestKilledThenCut: a server that is started after another one was killed finds what that one wrote and did not sync.
// What it tells of it is there after a power cut too, also where a tool beside keeps the log in use.
func TestKilledThenCut(t *testing.T) {
	ops := record(t, 1, 14)
	random := mathrand.New(mathrand.NewPCG(*cutSeed, 2))
	var moments []*powercut.Moment
	for m := range powercut.Moments(ops) {
		if toldBy(ops, m.At).files[keyFile] != nil && unsyncedCommit(m) {
			moments = append(moments, m)
		}
	}
	var looking errgroup.Group
	looking.SetLimit(8)
	for n := range *cutCount / 5 {
		m := moments[random.IntN(len(moments))]
		own := mathrand.New(mathrand.NewPCG(*cutSeed, random.Uint64()))
		looking.Go(func() error {
			if faults := killed(t, ops, m, own, n%2 == 0); len(faults) > 0 {
				t.Errorf("seed %d, killed at op %d of %d, with a tool beside %t: %q", *cutSeed, m.At, len(ops), n%2 == 0,
					faults[:min(len(faults), 5)])
			}
			return nil
		})
	}
	_ = looking.Wait() // what is wrong was told
}

// unsyncedCommit tells whether it is the log that is about to be synced, with which a commit ends.
func unsyncedCommit(m *powercut.Moment) bool {
	n := len(m.Pending)
	return n > 1 && m.Pending[n-1].Kind == powercut.Write && len(m.Pending[n-1].Data) == 4096 &&
		m.Pending[n-2].Kind == powercut.Write && len(m.Pending[n-2].Data) == 24
}

// killed starts a server where another one was killed, and cuts the power while it runs.
func killed(t *testing.T, ops []powercut.Op, m *powercut.Moment, random *mathrand.Rand, beside bool) []string {
	folder := t.TempDir()
	w := toldBy(ops, m.At)
	disk := m.Prefix(len(m.Pending))
	w.put(disk, random)
	if err := disk.Put(folder); err != nil {
		t.Fatal(err)
	}
	r, err := powercut.Continue(folder, ops[:m.At])
	if err != nil {
		t.Fatal(err)
	}
	if beside {
		defer reads(t, folder)()
	}
	e := &examination{told: w}
	if e.p, err = start(t, folder, r.Note); err != nil {
		return []string{err.Error()}
	}
	if err := e.run(context.Background()); err != nil {
		e.faultf("%v", err)
	}
	e.p.close()
	all := r.Stop()
	if len(e.faults) > 0 {
		return e.faults
	}
	var later []*powercut.Moment
	for next := range powercut.Moments(all) {
		if next.At > m.At {
			later = append(later, next)
		}
	}
	next := later[random.IntN(min(len(later), 12))] // soon, before others sync the log
	return examine(t, all, next, next.Prefix(random.IntN(len(next.Pending)+1)*random.IntN(2)), random, false)
}

// reads is a tool that has the database open.
func reads(t *testing.T, folder string) (done func()) {
	c, err := zombiezen.OpenConn(filepath.Join(folder, sqlite.FileName), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN", "SELECT count(*) FROM sqlite_master"} {
		if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// summary counts what was recorded.
func summary(ops []powercut.Op) string {
	counts := map[powercut.Kind]int{}
	erasures, checkpoints := 0, 0
	for i := range ops {
		counts[ops[i].Kind]++
		switch ops[i].Note.(type) {
		case erased:
			erasures++
		case shown:
			checkpoints++
		}
	}
	return fmt.Sprintf("%d writes, %d syncs, %d truncations, %d deletions, %d erasures, %d checkpoints shown",
		counts[powercut.Write], counts[powercut.Sync], counts[powercut.Truncate], counts[powercut.Delete], erasures,
		checkpoints)
}

// examine starts a server on a disk, and tells what is wrong with it. Where it is to be cut again, it does the same
// with a disk of what the server has done until it ended.
func examine(t *testing.T, ops []powercut.Op, m *powercut.Moment, disk powercut.Disk, random *mathrand.Rand,
	again bool) []string {
	folder, err := os.MkdirTemp(t.TempDir(), "cut")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	w := toldBy(ops, m.At)
	w.put(disk, random)
	if err := disk.Put(folder); err != nil {
		t.Fatal(err)
	}
	r, err := powercut.Record(folder)
	if err != nil {
		t.Fatal(err)
	}
	e := &examination{told: w}
	if e.p, err = start(t, folder, r.Note); err != nil {
		return []string{err.Error()}
	}
	if err := e.run(context.Background()); err != nil {
		e.faultf("%v", err)
	}
	e.p.close()
	since := r.Stop()
	if err := e.file(context.Background()); err != nil {
		e.faultf("%v", err)
	}
	if again && len(e.faults) == 0 {
		return examineAgain(t, ops[:m.At], since, random)
	}
	return e.faults
}

// examineAgain cuts the power while a server starts and works that was started after a cut.
func examineAgain(t *testing.T, before, since []powercut.Op, random *mathrand.Rand) []string {
	var moments []*powercut.Moment
	for m := range powercut.Moments(since) {
		moments = append(moments, m)
	}
	m := moments[random.IntN(len(moments))]
	disk := m.Some(random)
	if random.IntN(2) == 0 {
		disk = m.Torn(random.IntN(len(m.Pending)+1), random)
	}
	var ops []powercut.Op
	for _, op := range before {
		if op.Kind == powercut.Noted {
			ops = append(ops, op)
		}
	}
	m.At += len(ops)
	return examine(t, append(ops, since...), m, disk, random, false)
}
