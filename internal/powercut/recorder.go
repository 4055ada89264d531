// Package powercut knows what a power cut may leave of SQLite's files: it records what SQLite writes, syncs, cuts off
// and removes, and makes of that record the disks that may be found afterwards. It knows nothing of what is in the
// files, of files that others write, nor of a disk that loses what was synced. Only tests import it.
package powercut

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// Kind is what was done.
type Kind uint8

// What is recorded.
const (
	Create   Kind = iota + 1 // a name for a new file
	Write                    // bytes of a file
	Truncate                 // a file to a size
	Sync                     // a file, and the names too with Folder
	Delete                   // a name, durably with Folder
	Noted                    // the test's own
	Found                    // a file that was there before, durably
)

// Op is one thing that was done.
type Op struct {
	Kind   Kind
	File   int    // which one, by a number that is never used again
	Name   string // in the folder; of Create, Delete and Found
	Offset int64  // of Write
	Data   []byte // of Write and Found
	Size   int64  // of Truncate
	Folder bool   // of Sync and Delete: what was done to names before is durable too
	Note   any    // of Noted
}

// Recorder records what SQLite does to the files of one folder, in the order in which it is done. It is for use at once
// by many goroutines.
type Recorder struct {
	mu     sync.Mutex
	folder string
	ops    []Op
	files  int
	names  map[string]int
	open   map[uintptr]*opened // by the address of SQLite's sqlite3_file
	ended  bool
}

type opened struct {
	file   int
	folder bool // its next sync is one of the folder too, as SQLite's unix VFS does of a new log
}

// Record starts to record what SQLite does in a folder; the files that are there are taken as durable. The folder's
// disk is imaginary: nothing is really synced. The first call makes a VFS of this package SQLite's default one, for the
// whole process and for good: connections that were opened before are not recorded. Errors: those of the file system,
// and that the VFS cannot be registered.
func Record(folder string) (*Recorder, error) {
	if err := register(); err != nil {
		return nil, err
	}
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	r := &Recorder{folder: folder, names: map[string]int{}, open: map[uintptr]*opened{}}
	if err := r.found(); err != nil {
		return nil, err
	}
	recorders.Store(folder, r)
	return r, nil
}

// Continue is Record for a folder in which a process was killed after ops: what it wrote and did not sync is there, and
// is lost still where the power is cut before somebody syncs it.
func Continue(folder string, ops []Op) (*Recorder, error) {
	r, err := Record(folder)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops, r.names = slices.Clone(ops), map[string]int{}
	for i := range ops {
		r.files = max(r.files, ops[i].File)
		switch ops[i].Kind {
		case Create, Delete:
			rename(r.names, &ops[i])
		case Found:
			r.names[ops[i].Name] = ops[i].File
		}
	}
	return r, nil
}

// found records the files that are there.
func (r *Recorder) found() error {
	entries, err := os.ReadDir(r.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(r.folder, entry.Name()))
		if err != nil {
			return err
		}
		r.files++
		r.names[entry.Name()] = r.files
		r.add(&Op{Kind: Found, File: r.files, Name: entry.Name(), Data: content})
	}
	return nil
}

// Note records something that a test has seen, in its place among what was done to the files.
func (r *Recorder) Note(what any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(&Op{Kind: Noted, Note: what})
}

// Stop ends the record and gives it. What is done to the files later is not in it.
func (r *Recorder) Stop() []Op {
	recorders.Delete(r.folder)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.ops
}

// add records; the caller holds mu.
func (r *Recorder) add(op *Op) {
	if !r.ended {
		r.ops = append(r.ops, *op)
	}
}

// recorders has the one of each folder.
var recorders sync.Map

func recorderOf(path string) *Recorder {
	if r, ok := recorders.Load(filepath.Dir(path)); ok {
		return r.(*Recorder)
	}
	return nil
}

// methods are SQLite's own of the files of one kind, by the address of the copy that this package has changed.
var methods = struct {
	sync.RWMutex
	original map[uintptr]*lib.Tsqlite3_io_methods
	changed  map[uintptr]uintptr   // by the address of the original ones
	recorder map[uintptr]*Recorder // by the address of an open file that is recorded
}{original: map[uintptr]*lib.Tsqlite3_io_methods{}, changed: map[uintptr]uintptr{}, recorder: map[uintptr]*Recorder{}}

// unix is SQLite's own VFS. All that is not changed here goes there: locks and the shared memory of the log are not on
// the disk.
var unix lib.Tsqlite3_vfs

// register makes the VFS: a copy of SQLite's own of which a few functions are changed
// (https://sqlite.org/c3ref/vfs.html).
var register = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	own := lib.Xsqlite3_vfs_find(tls, 0)
	if own == 0 {
		return fmt.Errorf("SQLite has no VFS")
	}
	unix = *at[lib.Tsqlite3_vfs](own)
	made := libc.Xcalloc(tls, 1, types.Size_t(unsafe.Sizeof(unix))) // for as long as the process lives
	name, err := libc.CString("powercut")
	if err != nil || made == 0 {
		return fmt.Errorf("no memory for a VFS: %w", err)
	}
	v := at[lib.Tsqlite3_vfs](made)
	*v = unix
	v.FzName, v.FpNext = name, 0
	v.FxOpen, v.FxDelete = address(open), address(remove)
	if code := lib.Xsqlite3_vfs_register(tls, made, 1); code != lib.SQLITE_OK {
		return fmt.Errorf("register a VFS: error code %d", code)
	}
	return nil
})

// at gives what stands at an address of SQLite's memory, which the collector does not move.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// address gives a function of this package's the form that SQLite calls; it must be no closure, which would be
// collected.
func address[F any](function F) uintptr { return *(*uintptr)(unsafe.Pointer(&function)) }

// function is the way back.
func function[F any](address uintptr) F {
	held := &struct{ uintptr }{address}
	return *(*F)(unsafe.Pointer(held))
}

type (
	openFunc     = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, path uintptr, folder int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, data uintptr, length int32, offset int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
)

// open is xOpen: a file of a folder that is recorded gets the changed methods.
func open(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32 {
	code := function[openFunc](unix.FxOpen)(tls, vfs, path, file, flags, out)
	if code != lib.SQLITE_OK || path == 0 { // without a path it is SQLite's own for a while
		return code
	}
	name := libc.GoString(path)
	r := recorderOf(name)
	if r == nil {
		return code
	}
	change(tls, file, r)
	r.opened(file, filepath.Base(name), flags)
	return code
}

// change gives an open file the changed methods.
func change(tls *libc.TLS, file uintptr, r *Recorder) {
	methods.Lock()
	defer methods.Unlock()
	own := *at[uintptr](file) // pMethods is the first member
	if methods.changed[own] == 0 {
		original := *at[lib.Tsqlite3_io_methods](own)
		made := libc.Xcalloc(tls, 1, types.Size_t(unsafe.Sizeof(original)))
		m := at[lib.Tsqlite3_io_methods](made)
		*m = original
		m.FxClose, m.FxWrite = address(closeFile), address(write)
		m.FxTruncate, m.FxSync = address(truncate), address(syncFile)
		methods.changed[own], methods.original[made] = made, &original
	}
	*at[uintptr](file) = methods.changed[own]
	methods.recorder[file] = r
}

// of gives SQLite's own methods of an open file, and who records it.
func of(file uintptr) (*lib.Tsqlite3_io_methods, *Recorder) {
	methods.RLock()
	defer methods.RUnlock()
	return methods.original[*at[uintptr](file)], methods.recorder[file]
}

func (r *Recorder) opened(file uintptr, name string, flags int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, known := r.names[name]
	if !known {
		r.files++
		n = r.files
		r.names[name] = n
		r.add(&Op{Kind: Create, File: n, Name: name})
	}
	logs := flags&(lib.SQLITE_OPEN_WAL|lib.SQLITE_OPEN_MAIN_JOURNAL) != 0 && flags&lib.SQLITE_OPEN_CREATE != 0
	r.open[file] = &opened{n, logs}
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	own, r := of(file)
	r.mu.Lock()
	delete(r.open, file)
	r.mu.Unlock()
	methods.Lock()
	delete(methods.recorder, file) // before another one is opened at the same address
	methods.Unlock()
	return function[closeFunc](own.FxClose)(tls, file)
}

// write is xWrite. The lock is held meanwhile, so that the record has the order of the disk.
func write(tls *libc.TLS, file, data uintptr, length int32, offset int64) int32 {
	own, r := of(file)
	r.mu.Lock()
	defer r.mu.Unlock()
	code := function[writeFunc](own.FxWrite)(tls, file, data, length, offset)
	if code == lib.SQLITE_OK {
		content := bytes.Clone(libc.GoBytes(data, int(length))) // which is SQLite's memory itself
		r.add(&Op{Kind: Write, File: r.open[file].file, Offset: offset, Data: content})
	}
	return code
}

func truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	own, r := of(file)
	r.mu.Lock()
	defer r.mu.Unlock()
	code := function[truncateFunc](own.FxTruncate)(tls, file, size)
	if code == lib.SQLITE_OK {
		r.add(&Op{Kind: Truncate, File: r.open[file].file, Size: size})
	}
	return code
}

// syncFile is xSync.
func syncFile(_ *libc.TLS, file uintptr, _ int32) int32 {
	_, r := of(file)
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.open[file]
	r.add(&Op{Kind: Sync, File: o.file, Folder: o.folder})
	o.folder = false
	return lib.SQLITE_OK
}

// remove is xDelete.
func remove(tls *libc.TLS, vfs, path uintptr, folder int32) int32 {
	name := libc.GoString(path)
	r := recorderOf(name)
	if r == nil {
		return function[deleteFunc](unix.FxDelete)(tls, vfs, path, folder)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	code := function[deleteFunc](unix.FxDelete)(tls, vfs, path, folder)
	name = filepath.Base(name)
	if n, known := r.names[name]; known && code == lib.SQLITE_OK {
		delete(r.names, name)
		r.add(&Op{Kind: Delete, File: n, Name: name, Folder: folder != 0})
	}
	return code
}
