package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite writes each page of the write-ahead log with two system calls, one for the frame's header of 24 bytes and one for
// the page. A commit of a crowd has half a hundred pages. So the writer opens its database by a virtual file system that is
// the system's own in everything, but that what goes into the log is gathered and written in a few large pieces.
// The file always has it before SQLite may rely on it: before it is synced, read, measured or cut, and at the latest
// when the commit's last frame is there, which is before readers learn of it.
// (https://sqlite.org/vfs.html; the log's layout: https://sqlite.org/fileformat2.html#walformat)

const (
	gatheringVFS = "consentd-gathering"
	// gatherMost is how much is written at once. SQLite itself takes no more in one call (seekAndWriteFd in os_unix.c).
	gatherMost  = 0x1ffff
	frameHeader = 24
)

// gathering is the file system, in SQLite's memory.
type gathering struct {
	lib.Tsqlite3_vfs
	system uintptr // the system's own
}

// gatheredLog is an open write-ahead log. It lives in SQLite's memory, and begins with the file's methods, by which SQLite
// knows the file and we find it.
type gatheredLog struct {
	methods  lib.Tsqlite3_io_methods
	original uintptr // the methods of the system's own file
	start    int64   // where in the file the gathered bytes belong
	length   int     // how many there are
	commits  bool    // the last frame ends a transaction
	bytes    [gatherMost]byte
}

// gatheringURI names a database so that its log is gathered. Only a connection that commits durably gains by it.
func gatheringURI(path string) (string, error) {
	if err := registerGathering(); err != nil {
		return "", fmt.Errorf("gather writes of the log: %w", err)
	}
	return fileURI(path) + "?vfs=" + gatheringVFS, nil
}

// fileURI names a file whose path may have any letters (https://sqlite.org/uri.html); parameters may follow.
func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// registerGathering makes the file system known to SQLite, once in the process.
var registerGathering = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if rc := lib.Xsqlite3_initialize(tls); rc != lib.SQLITE_OK {
		return fmt.Errorf("SQLite does not start: code %d", rc)
	}
	system := lib.Xsqlite3_vfs_find(tls, 0)
	if system == 0 {
		return errors.New("SQLite has no file system")
	}
	name, err := libc.CString(gatheringVFS)
	if err != nil {
		return err
	}
	ours := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(gathering{})))
	if ours == 0 {
		return errors.New("out of memory")
	}
	vfs := in[gathering](ours)
	vfs.Tsqlite3_vfs, vfs.system = *in[lib.Tsqlite3_vfs](system), system
	vfs.FpNext, vfs.FzName, vfs.FxOpen = 0, name, address(openGathered)
	if rc := lib.Xsqlite3_vfs_register(tls, ours, 0); rc != lib.SQLITE_OK {
		return fmt.Errorf("SQLite refuses a file system: code %d", rc)
	}
	return nil
})

// in gives what SQLite keeps at an address of its memory.
func in[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// address gives a function the way SQLite keeps it; it must be a function of a package, which is never freed.
func address[F any](function F) uintptr { return *(*uintptr)(unsafe.Pointer(&function)) }

// function is the other way round.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

// What the functions of a file look like.
type (
	openFunc  = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	moveFunc  = func(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 // reads or writes
	truncFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc  = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc  = func(tls *libc.TLS, file, size uintptr) int32
	closeFunc = func(tls *libc.TLS, file uintptr) int32
)

// openGathered opens a file as the system does, and takes over the functions of a write-ahead log.
func openGathered(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	system := in[gathering](vfs).system
	rc := function[openFunc](in[lib.Tsqlite3_vfs](system).FxOpen)(tls, system, name, file, flags, outFlags)
	if rc != lib.SQLITE_OK || flags&lib.SQLITE_OPEN_WAL == 0 {
		return rc
	}
	memory := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(gatheredLog{})))
	if memory == 0 {
		return rc // it works as it is
	}
	f, log := in[lib.Tsqlite3_file](file), in[gatheredLog](memory)
	log.original = f.FpMethods
	log.methods = *in[lib.Tsqlite3_io_methods](log.original)
	m := &log.methods
	m.FxWrite, m.FxRead, m.FxSync = address(gatherWrite), address(readGathered), address(syncGathered)
	m.FxFileSize, m.FxTruncate, m.FxClose = address(sizeOfGathered), address(truncateGathered), address(closeGathered)
	f.FpMethods = memory
	return rc
}

// gatheredIn gives the log that a file is, and the system's own functions for it.
func gatheredIn(file uintptr) (*gatheredLog, *lib.Tsqlite3_io_methods) {
	log := in[gatheredLog](in[lib.Tsqlite3_file](file).FpMethods)
	return log, in[lib.Tsqlite3_io_methods](log.original)
}

// flush writes what was gathered; what cannot be written is forgotten, as SQLite takes its commit back.
func (l *gatheredLog) flush(tls *libc.TLS, file uintptr) int32 {
	n := l.length
	if n == 0 {
		return lib.SQLITE_OK
	}
	l.length = 0
	write := function[moveFunc](in[lib.Tsqlite3_io_methods](l.original).FxWrite)
	return write(tls, file, uintptr(unsafe.Pointer(&l.bytes)), int32(n), l.start)
}

// gatherWrite implements xWrite. Bytes 4 to 8 of a frame's header are the size of the database where the frame ends a
// transaction, else zero. From such a header on nothing waits, whether a page follows or (where spilt pages had to be
// written again) checksums do.
func gatherWrite(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	l, original := gatheredIn(file)
	if offset != l.start+int64(l.length) || l.length+int(n) > gatherMost {
		if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
			return rc
		}
		l.start = offset
	}
	if n > gatherMost {
		return function[moveFunc](original.FxWrite)(tls, file, data, n, offset)
	}
	written := l.bytes[l.length : l.length+int(n)]
	copy(written, unsafe.Slice(in[byte](data), n))
	l.length += int(n)
	if n == frameHeader {
		l.commits = binary.BigEndian.Uint32(written[4:]) != 0
	}
	if l.commits {
		return l.flush(tls, file)
	}
	return lib.SQLITE_OK
}

// readGathered implements xRead.
func readGathered(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	l, original := gatheredIn(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[moveFunc](original.FxRead)(tls, file, data, n, offset)
}

// syncGathered implements xSync. A log that was made just now is synced the system's way, which makes its name durable too.
func syncGathered(tls *libc.TLS, file uintptr, flags int32) int32 {
	l, original := gatheredIn(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	if f := in[lib.TunixFile](file); f.FctrlFlags&lib.UNIXFILE_DIRSYNC == 0 && canSyncData {
		if syncData(int(f.Fh)) != nil {
			return lib.SQLITE_IOERR_FSYNC
		}
		return lib.SQLITE_OK
	}
	return function[syncFunc](original.FxSync)(tls, file, flags)
}

// sizeOfGathered implements xFileSize.
func sizeOfGathered(tls *libc.TLS, file, size uintptr) int32 {
	l, original := gatheredIn(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[sizeFunc](original.FxFileSize)(tls, file, size)
}

// truncateGathered implements xTruncate.
func truncateGathered(tls *libc.TLS, file uintptr, size int64) int32 {
	l, original := gatheredIn(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[truncFunc](original.FxTruncate)(tls, file, size)
}

// closeGathered implements xClose. What is still gathered then belongs to no transaction that was committed.
func closeGathered(tls *libc.TLS, file uintptr) int32 {
	f := in[lib.Tsqlite3_file](file)
	memory := f.FpMethods
	_, original := gatheredIn(file)
	f.FpMethods = in[gatheredLog](memory).original
	libc.Xfree(tls, memory)
	return function[closeFunc](original.FxClose)(tls, file)
}
