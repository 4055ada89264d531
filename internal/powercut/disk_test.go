package powercut_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/powercut"
)

// TestMoments: what was synced is on every disk, what was not is on those that it may be on, and names are of the
// folder.
func TestMoments(t *testing.T) {
	created := func(file int, name string) powercut.Op {
		return powercut.Op{Kind: powercut.Create, File: file, Name: name}
	}
	written := func(file int, offset int64, text string) powercut.Op {
		return powercut.Op{Kind: powercut.Write, File: file, Offset: offset, Data: []byte(text)}
	}
	synced := func(file int, folder bool) powercut.Op {
		return powercut.Op{Kind: powercut.Sync, File: file, Folder: folder}
	}
	cut := func(file int, size int64) powercut.Op {
		return powercut.Op{Kind: powercut.Truncate, File: file, Size: size}
	}
	deleted := func(file int, name string, folder bool) powercut.Op {
		return powercut.Op{Kind: powercut.Delete, File: file, Name: name, Folder: folder}
	}
	for _, tc := range []struct {
		what string
		ops  []powercut.Op
		want []string // of every prefix at the last moment
	}{
		{"nothing is synced", []powercut.Op{created(1, "a"), written(1, 0, "xy")}, []string{"map[]", "map[a:]", "map[a:xy]"}},
		{"a file without its name", []powercut.Op{created(1, "a"), written(1, 0, "xy"), synced(1, false)},
			[]string{"map[]", "map[a:xy]"}},
		{"with its name", []powercut.Op{created(1, "a"), written(1, 0, "xy"), synced(1, true), written(1, 1, "zz")},
			[]string{"map[a:xy]", "map[a:xzz]"}},
		{"another file's sync", []powercut.Op{created(1, "a"), created(2, "b"), written(1, 0, "x"), written(2, 0, "y"),
			synced(2, true)}, []string{"map[a: b:y]", "map[a:x b:y]"}},
		{"cut off and longer again", []powercut.Op{created(1, "a"), written(1, 0, "abc"), synced(1, true), cut(1, 1),
			written(1, 2, "z")}, []string{"map[a:abc]", "map[a:a]", "map[a:a\x00z]"}},
		{"a name that is used again", []powercut.Op{created(1, "a"), written(1, 0, "old"), synced(1, true),
			deleted(1, "a", false), created(2, "a"), written(2, 0, "new"), synced(2, false)},
			[]string{"map[a:old]", "map[]", "map[a:new]"}},
		{"a name that is gone for good", []powercut.Op{created(1, "a"), written(1, 0, "old"), synced(1, true),
			deleted(1, "a", true)}, []string{"map[]"}},
	} {
		var last *powercut.Moment
		for m := range powercut.Moments(tc.ops) {
			last = m
		}
		var got []string
		for n := range len(last.Pending) + 1 {
			got = append(got, fmt.Sprintf("%s", map[string][]byte(last.Prefix(n))))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
}

// TestTornWrites: of a write that is under way there may be any of its blocks, of which each is the old or the new one.
func TestTornWrites(t *testing.T) {
	write := func(with byte, from, length int) powercut.Op {
		data := make([]byte, length)
		for i := range data {
			data[i] = with
		}
		return powercut.Op{Kind: powercut.Write, File: 1, Offset: int64(from), Data: data}
	}
	ops := []powercut.Op{{Kind: powercut.Create, File: 1, Name: "a"}, write('o', 0, 3000),
		{Kind: powercut.Sync, File: 1, Folder: true}, write('n', 100, 2000)}
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for m := range powercut.Moments(ops) {
		if m.At != len(ops) {
			continue
		}
		for n := range 400 {
			disk := m.Torn(0, random)
			if n%2 == 0 {
				disk = m.Some(random)
			}
			blocks := ""
			for _, part := range [][2]int{{0, 100}, {100, 512}, {512, 1024}, {1024, 1536}, {1536, 2048}, {2048, 2100},
				{2100, 3000}} {
				first := disk["a"][part[0]]
				for _, b := range disk["a"][part[0]:part[1]] {
					if b != first {
						t.Fatalf("within a block: %c and %c", first, b)
					}
				}
				blocks += string(first)
			}
			if blocks[0] != 'o' || blocks[6] != 'o' {
				t.Fatalf("beside what was written: %s", blocks)
			}
			seen[blocks] = true
		}
	}
	if len(seen) != 32 {
		t.Errorf("%d of 32 disks", len(seen))
	}
}

// TestSettingsOfSQLite: with synchronous=FULL every row is found that was acknowledged, whatever the cut leaves. With
// less than that the disks show what is lost, so they would show it of the server too.
func TestSettingsOfSQLite(t *testing.T) {
	for setting, loses := range map[string]bool{"OFF": true, "NORMAL": true, "FULL": false} {
		folder := t.TempDir()
		r, err := powercut.Record(folder)
		if err != nil {
			t.Fatal(err)
		}
		insert(t, filepath.Join(folder, "rows.db"), setting, r)
		ops := r.Stop()
		lost, disks := 0, 0
		for m := range powercut.Moments(ops) {
			acknowledged := int64(0)
			for _, op := range ops[:m.At] {
				if op.Kind == powercut.Noted {
					acknowledged = op.Note.(int64)
				}
			}
			for n := range len(m.Pending) + 1 {
				disks++
				if rows := count(t, filepath.Join(folder, "cut"), m.Prefix(n)); rows < acknowledged {
					lost++
				}
			}
		}
		if lost > 0 != loses {
			t.Errorf("%s: of %d disks %d lack a row that was acknowledged", setting, disks, lost)
		}
	}
}

// insert writes rows, each in a transaction, and notes how many there are; the log moves into the database meanwhile.
func insert(t *testing.T, path, setting string, r *powercut.Recorder) {
	c, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite|zombiezen.OpenCreate|zombiezen.OpenWAL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := func(statement string) {
		if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
			t.Fatal(err)
		}
	}
	run("PRAGMA synchronous=" + setting)
	run("CREATE TABLE rows (n INTEGER PRIMARY KEY, filling BLOB)")
	for n := range int64(20) {
		run("INSERT INTO rows VALUES (NULL, randomblob(900))")
		r.Note(n + 1)
		if n%6 == 5 {
			run("PRAGMA wal_checkpoint(RESTART)")
		}
	}
}

// count opens a disk and counts the rows; 0 where it cannot be read, or is damaged.
func count(t *testing.T, folder string, disk powercut.Disk) (rows int64) {
	defer os.RemoveAll(folder)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Put(folder); err != nil {
		t.Fatal(err)
	}
	c, err := zombiezen.OpenConn(filepath.Join(folder, "rows.db"), zombiezen.OpenReadWrite|zombiezen.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sound := ""
	err = sqlitex.ExecuteTransient(c, "PRAGMA integrity_check",
		&sqlitex.ExecOptions{ResultFunc: func(s *zombiezen.Stmt) error {
			sound += s.ColumnText(0)
			return nil
		}})
	if err != nil || sound != "ok" {
		return 0
	}
	// Before the table is made there is none.
	_ = sqlitex.ExecuteTransient(c, "SELECT count(*) FROM rows",
		&sqlitex.ExecOptions{ResultFunc: func(s *zombiezen.Stmt) error {
			rows = s.ColumnInt64(0)
			return nil
		}})
	return rows
}
