#!/bin/sh
# Finding: a page cache of 32 MiB takes 64 MiB where SQLite is the translation into Go.
#
# PRAGMA cache_size = -32768 asks for 32 MiB of pages, and SQLite counts them with the bytes that it keeps about each: a
# page of 4096 bytes takes some 4360. One would expect a full cache to take about what was asked for. The allocator of
# modernc.org/libc (modernc.org/memory) rounds up to a power of two, so each page takes 8192 bytes, and the cache twice
# as much. With memory set aside beforehand (SQLITE_CONFIG_PAGECACHE, https://sqlite.org/malloc.html, section 3.3) it
# takes what it says.
#
# Seen with modernc.org/sqlite v1.60.1, modernc.org/libc v1.77.1, modernc.org/memory v1.12.1 on Linux, amd64:
#   asked for 32 MiB, allocator: about 64 MiB
#   asked for 32 MiB, set aside: about 32 MiB
#
# Needs Go, on Linux (it reads /proc/self/status). Ends with 1 where this has changed.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >expected <<'END'
asked for 32 MiB, allocator: about 64 MiB
asked for 32 MiB, set aside: about 32 MiB
END

cat >main.go <<'END'
package main

import (
	"database/sql"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strings"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	_ "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

const asked = 32 << 20

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// memory gives the bytes that the process holds by itself.
func memory() (kib int) {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	_, err = fmt.Sscan(rest, &kib)
	must(err)
	return kib
}

// setAside gives SQLite memory for its pages, in pieces of their size.
func setAside() {
	tls := libc.NewTLS()
	const slot = 4096 + 512
	memory := libc.Xmalloc(tls, types.Size_t(asked/4096*slot))
	list := libc.NewVaList(memory, int32(slot), int32(asked/4096))
	if code := lib.Xsqlite3_config(tls, lib.SQLITE_CONFIG_PAGECACHE, list); code != lib.SQLITE_OK {
		log.Fatal("sqlite3_config: ", code)
	}
}

func main() {
	before := memory()
	if os.Args[1] == "set aside" {
		setAside()
	}
	db, err := sql.Open("sqlite", "file:finding.db")
	must(err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(fmt.Sprintf("PRAGMA cache_size = -%d", asked>>10))
	must(err)
	_, err = db.Exec(`CREATE TABLE IF NOT EXISTS t (x BLOB)`)
	must(err)
	_, err = db.Exec(`INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
SELECT zeroblob(3000) FROM n WHERE NOT EXISTS (SELECT * FROM t)`)
	must(err)
	var sum int
	must(db.QueryRow("SELECT count(*) FROM t WHERE x IS NOT NULL").Scan(&sum))
	grown := (memory() - before) >> 10
	about := 0
	switch {
	case grown > 56 && grown < 80:
		about = 64
	case grown > 28 && grown < 48:
		about = 32
	default:
		fmt.Println("grown by MiB:", grown)
	}
	fmt.Printf("asked for %d MiB, %s: about %d MiB\n", asked>>20, os.Args[1], about)
}
END
cat >go.mod <<'END'
module finding

go 1.25

require (
	modernc.org/libc v1.77.1
	modernc.org/sqlite v1.60.1
)
END
go mod tidy >log 2>&1 || { cat log; exit 1; }
go build -o finding . || exit 1
./finding allocator >out
./finding "set aside" >>out
cat out
diff expected out
echo "as it was"
