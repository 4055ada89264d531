package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// Bytes of the pages of a database, and of the caches of an Engine's connections. The writer's keeps the pages that
// random writes come back to, and a reader's the inner pages of the trees, so that a question costs two reads.
const (
	pageSize        = 4 << 10
	writerCache     = 12 << 20
	readerCache     = 5 << 20
	checkpointCache = 256 << 10
	allCaches       = writerCache + readerCount*readerCache + checkpointCache
)

// preparePageCache gives SQLite the memory for the pages that it caches, for all engines of the process. Else each
// page would take 8 KiB of the allocator that the library uses, which rounds up to a power of two: a page goes with a
// few bytes about it. It must come before the first connection of the process (https://sqlite.org/malloc.html,
// section 3.3); else all goes to the allocator, as does what does not fit. It may be called from many goroutines.
var preparePageCache = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	about := libc.Xcalloc(tls, 1, 8)
	defer libc.Xfree(tls, about)
	if err := configure(tls, lib.SQLITE_CONFIG_PCACHE_HDRSZ, about); err != nil {
		return err
	}
	slot := pageSize + int(binary.NativeEndian.Uint32(libc.GoBytes(about, 4)))
	slot = (slot + 7) &^ 7 // SQLite rounds down
	count := allCaches / slot
	memory := libc.Xmalloc(tls, types.Size_t(slot*count)) // for as long as the process lives
	if memory == 0 {
		return fmt.Errorf("there is no memory for the caches of SQLite (%d bytes)", slot*count)
	}
	err := configure(tls, lib.SQLITE_CONFIG_PAGECACHE, memory, int32(slot), int32(count))
	if errors.Is(err, errInUse) {
		libc.Xfree(tls, memory)
		return nil
	}
	return err
})

// errInUse is for a setting that comes after a connection was opened.
var errInUse = errors.New("SQLite is in use already")

func configure(tls *libc.TLS, option int32, args ...any) error {
	list := libc.NewVaList(args...)
	defer libc.Xfree(tls, list)
	switch code := lib.Xsqlite3_config(tls, option, list); code {
	case lib.SQLITE_OK:
		return nil
	case lib.SQLITE_MISUSE:
		return errInUse
	default:
		return fmt.Errorf("configure SQLite: option %d: error code %d", option, code)
	}
}
