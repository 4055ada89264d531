package sealing

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func writeFile(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// onlyFile wants a folder to hold nothing but the key file.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}

func ids(f *File) (list []string) {
	for _, k := range f.KEKs() {
		list = append(list, k.ID.String())
	}
	return list
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	f, made, err := Create(path, rand.Reader, testTime)
	if err != nil || !made || len(f.KEKs()) != 1 || !f.KEKs()[0].Created.Equal(testTime) || len(f.Fingerprint()) != 32 {
		t.Fatalf("made %t: %v", made, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %s: %v", info.Mode(), err)
	}
	onlyFile(t, path)
	text := readFile(t, path)
	again, made, err := Create(path, rand.Reader, testTime.Add(time.Hour))
	if err != nil || made || again.Fingerprint() != f.Fingerprint() || readFile(t, path) != text {
		t.Errorf("a second time: made %t: %v", made, err)
	}
	one, _ := f.SigningKey()
	two, _ := again.SigningKey()
	if !one.Public().Equal(two.Public()) {
		t.Error("another signing key")
	}
	other := newFile(t)
	if other.Fingerprint() == f.Fingerprint() || other.KEKs()[0].ID == f.KEKs()[0].ID {
		t.Error("another file is no other")
	}
}

// TestCreateAtOnce: of many, one makes the file, and all have that one.
func TestCreateAtOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "kek")
		const many = 8
		var wait sync.WaitGroup
		files, makes, start := make([]*File, many), make([]bool, many), make(chan struct{})
		for i := range many {
			wait.Go(func() {
				<-start
				var err error
				if files[i], makes[i], err = Create(path, rand.Reader, testTime); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wait.Wait()
		if t.Failed() {
			return
		}
		makers := 0
		for i := range many {
			if makes[i] {
				makers++
			}
			if files[i].Fingerprint() != files[0].Fingerprint() || !cmp.Equal(ids(files[i]), ids(files[0])) {
				t.Error("two have other files")
			}
		}
		if makers != 1 {
			t.Errorf("%d made the file", makers)
		}
		onlyFile(t, path)
	}
}

// TestPublishReplacesNothing: where the lock does not hold, as over some networks, the first name still wins.
func TestPublishReplacesNothing(t *testing.T) {
	path := newPath(t)
	text := readFile(t, path)
	if err := stage(path, []byte(vectorFile), nil); err != nil {
		t.Fatal(err)
	}
	if made, err := publish(path); made || err != nil {
		t.Errorf("made %t: %v", made, err)
	}
	if readFile(t, path) != text {
		t.Error("the key file was replaced")
	}
	onlyFile(t, path)
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("large"), vectorFile+strings.Repeat("#", maxFileSize), 0o600)
	writeFile(t, at("bad"), vectorFile+"x\n", 0o600)
	if err := os.Mkdir(at("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("nothing"), at("dangling")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"nothing":  "no such file",
		"dangling": "no such file",
		"large":    "is larger than 1048576 bytes",
		"bad":      "line 5: must begin with",
		"folder":   "is no regular file",
		"pipe":     "is no regular file",
		"bad/kek":  "not a directory",
	} {
		_, err := Load(at(name))
		if err == nil || !strings.HasPrefix(err.Error(), "key file "+at(name)+": "+want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if missing := errors.Is(err, fs.ErrNotExist); missing != strings.Contains(want, "no such file") {
			t.Errorf("%s: is said to be missing: %t", name, missing)
		}
		if name == "nothing" {
			continue
		}
		if _, made, err := Create(at(name), rand.Reader, testTime); err == nil || made {
			t.Errorf("%s: another file was made: %v", name, err)
		}
	}
	if _, _, err := Create(at("no/kek"), rand.Reader, testTime); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

// TestModes tries every mode: whatever lets others in is refused, by all calls.
func TestModes(t *testing.T) {
	path := newPath(t)
	for mode := range fs.FileMode(0o1000) {
		if mode&0o400 == 0 {
			continue // only root could read it
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if open := mode&0o077 != 0; open != errors.Is(err, ErrOpenToOthers) || !open && err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	text := readFile(t, path)
	_, rotated := RotateAfter(path, KEKID{}, rand.Reader, testTime)
	_, retired := Retire(path)
	_, _, created := Create(path, rand.Reader, testTime)
	for name, err := range map[string]error{"rotate": rotated, "retire": retired, "create": created} {
		if !errors.Is(err, ErrOpenToOthers) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if readFile(t, path) != text {
		t.Error("the file was changed")
	}
}

// rotate adds a key behind whichever is the newest.
func rotate(path string, now time.Time) (*File, error) {
	for {
		f, err := Load(path)
		if err != nil {
			return nil, err
		}
		if f, err = RotateAfter(path, f.Newest().ID, rand.Reader, now); !errors.Is(err, ErrRotated) {
			return f, err
		}
	}
}

func TestRotate(t *testing.T) {
	path := newPath(t)
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	commented := readFile(t, path) + "# mine, without a newline"
	writeFile(t, path, commented, 0o400)
	owner := os.Getuid()
	if owner == 0 { // root keeps another's file another's
		owner = 65534
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	f, err := rotate(path, testTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := commented + "\nkek  " + f.KEKs()[1].ID.String() + " 2026-01-31T13:00:00Z "
	if text := readFile(t, path); !strings.HasPrefix(text, want) {
		t.Error("another text than a line more")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o400 || int(info.Sys().(*syscall.Stat_t).Uid) != owner {
		t.Errorf("mode %s, owner %d, want %d (%v)", info.Mode(), info.Sys().(*syscall.Stat_t).Uid, owner, err)
	}
	loaded, err := Load(path)
	if err != nil || !cmp.Equal(loaded.KEKs(), f.KEKs()) {
		t.Errorf("on the disk: %v, given: %v (%v)", loaded.KEKs(), f.KEKs(), err)
	}
	if len(f.KEKs()) != 2 || f.KEKs()[0] != before.KEKs()[0] || f.KEKs()[0].ID == f.KEKs()[1].ID {
		t.Errorf("before %v, after %v", before.KEKs(), f.KEKs())
	}
	if f.Fingerprint() != before.Fingerprint() {
		t.Error("another fingerprint")
	}
	onlyFile(t, path)
	_, err = RotateAfter(filepath.Join(t.TempDir(), "kek"), KEKID{}, rand.Reader, testTime)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}

// TestRotateByLink: a link stays one, and what it leads to is replaced; both ways to the file share the lock.
func TestRotateByLink(t *testing.T) {
	path, link := newPath(t), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f, err := rotate(link, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %s (%v)", info.Mode(), err)
	}
	for _, at := range []string{path, link} {
		if loaded, err := Load(at); err != nil || !cmp.Equal(ids(loaded), ids(f)) {
			t.Errorf("%s holds %v (%v)", at, ids(loaded), err)
		}
	}
	onlyFile(t, path)
	onlyFile(t, link)
}

func TestRetire(t *testing.T) {
	path := newPath(t)
	for n := range 3 {
		if _, err := rotate(path, testTime.Add(time.Duration(n)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	keks, text := before.KEKs(), readFile(t, path)
	var unknown *UnknownKEKError
	if _, err := Retire(path, keks[0].ID, KEKID{1, 2, 3, 4}); !errors.As(err, &unknown) ||
		unknown.ID.String() != "01020304" {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := Retire(path, keks[0].ID, keks[3].ID); err == nil || !strings.Contains(err.Error(), "rotate first") {
		t.Errorf("the newest: %v", err)
	}
	if readFile(t, path) != text {
		t.Error("a refusal changed the file")
	}
	f, err := Retire(path, keks[0].ID, keks[2].ID)
	if err != nil || !cmp.Equal(f.KEKs(), []KEK{keks[1], keks[3]}) {
		t.Fatalf("holds %v: %v", f.KEKs(), err)
	}
	if loaded, err := Load(path); err != nil || !cmp.Equal(loaded.KEKs(), f.KEKs()) ||
		f.Fingerprint() != before.Fingerprint() {
		t.Errorf("on the disk: %v (%v)", loaded.KEKs(), err)
	}
	onlyFile(t, path)
}

// TestRetireOverwrites looks at the old file by a descriptor from before: its bytes are gone, even of a file that
// nobody may write.
func TestRetireOverwrites(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		path := newPath(t)
		f, err := rotate(path, testTime)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		old, size := openOld(t, path)
		if _, err := Retire(path, f.KEKs()[0].ID); err != nil {
			t.Fatal(err)
		}
		if left := strings.Trim(readOld(t, old, size), "\x00"); left != "" {
			t.Errorf("mode %o: the old file still holds %d bytes", mode, len(left))
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode %s, was %o (%v)", info.Mode(), mode, err)
		}
	}
}

func openOld(t *testing.T, path string) (file *os.File, size int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, len(readFile(t, path))
}

func readOld(t *testing.T, file *os.File, size int) string {
	t.Helper()
	text := make([]byte, size)
	if n, err := file.ReadAt(text, 0); err != nil || n != size {
		t.Fatalf("%d of %d bytes: %v", n, size, err)
	}
	return string(text)
}

// TestRetireSparesCopies: what has another name by a hard link is somebody's copy, and holds the other keys too.
func TestRetireSparesCopies(t *testing.T) {
	path := newPath(t)
	f, err := rotate(path, testTime)
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(filepath.Dir(path), "backup")
	if err := os.Link(path, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := Retire(path, f.KEKs()[0].ID); err != nil {
		t.Fatal(err)
	}
	if kept, err := Load(backup); err != nil || !cmp.Equal(ids(kept), ids(f)) {
		t.Errorf("the copy holds %v: %v", ids(kept), err)
	}
}

// TestLoadWaits: who reads while another changes the file reads what the other leaves.
func TestLoadWaits(t *testing.T) {
	path, link := newPath(t), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{path, link} {
		text := readFile(t, path)
		unlock, err := lockFolder(filepath.Dir(path), syscall.LOCK_EX)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, string(make([]byte, len(text))), 0o600) // as the old file is overwritten
		loaded := make(chan error)
		go func() { loaded <- second(Load(at)) }()
		select {
		case err := <-loaded:
			t.Errorf("did not wait: %v", err)
			unlock()
			continue
		case <-time.After(20 * time.Millisecond):
		}
		writeFile(t, path, text, 0o600)
		unlock()
		if err := <-loaded; err != nil {
			t.Error(err)
		}
	}
}

// TestLoadTogether: readers do not wait for each other, as servers that start at once.
func TestLoadTogether(t *testing.T) {
	path := newPath(t)
	unlock, err := lockFolder(filepath.Dir(path), syscall.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	loaded := make(chan error, 1)
	go func() { loaded <- second(Load(path)) }()
	select {
	case err := <-loaded:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("waits for another reader")
	}
}

// TestRotateAfter: of many who add a key after the same one, one does; the others learn of it.
func TestRotateAfter(t *testing.T) {
	path := newPath(t)
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var added, refused atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch f, err := RotateAfter(path, before.Newest().ID, rand.Reader, testTime.Add(time.Hour)); {
			case err == nil && f.Newest().Created.Equal(testTime.Add(time.Hour)):
				added.Add(1)
			case errors.Is(err, ErrRotated):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	after, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if added.Load() != 1 || refused.Load() != 7 || len(after.KEKs()) != 2 {
		t.Errorf("%d added a key and %d were refused; the file has %d", added.Load(), refused.Load(), len(after.KEKs()))
	}
}
