package main

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/sealing"
)

// keyed is a store that real servers and commands use, with its key file.
type keyed struct {
	t       *testing.T
	env     []string
	args    []string
	kek     string
	dir     string // "": it is in the database
	url     string
	servers int
}

// onKeyed runs a test with a data folder and with a database.
func onKeyed(t *testing.T, test func(k *keyed)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		test(&keyed{t: t, args: []string{"--data", dir}, dir: dir, kek: filepath.Join(dir, keyFileName), servers: 1})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url, kek := pgtest.Database(t, "", nil), filepath.Join(t.TempDir(), "kek")
		test(&keyed{t: t, env: []string{"CONSENTD_DATABASE_URL=" + url, "CONSENTD_KEK_FILE=" + kek}, url: url, kek: kek,
			servers: 2})
	})
}

func (k *keyed) serve() *process {
	k.t.Helper()
	return serveWith(k.t, append([]string{"CONSENTD_ROOT_KEY=" + rootKey}, k.env...),
		append([]string{"serve", "--listen", "127.0.0.1:0"}, k.args...)...)
}

func (k *keyed) launch(args ...string) *process {
	k.t.Helper()
	return launch(k.t, k.env, append(append([]string{"keys"}, args...), k.args...)...)
}

// place is how messages name the store.
func (k *keyed) place() string { return (&config.Config{Data: k.dir, Database: k.url}).Place() }

// keys runs consentd keys to its end.
func (k *keyed) keys(args ...string) *process {
	k.t.Helper()
	p := k.launch(args...)
	p.wait(k.t, 2*time.Minute)
	return p
}

// must is keys for what has to go well.
func (k *keyed) must(args ...string) *process {
	k.t.Helper()
	p := k.keys(args...)
	if p.code != 0 {
		k.t.Fatalf("keys %v ends with %d:\n%s%s", args, p.code, p.out.String(), p.errOut.String())
	}
	return p
}

func (k *keyed) file() *sealing.File {
	k.t.Helper()
	f, err := sealing.Load(k.kek)
	if err != nil {
		k.t.Fatal(err)
	}
	return f
}

// age makes all keys half an hour older, so that those that have a successor are out of use.
func (k *keyed) age() {
	k.t.Helper()
	text, err := os.ReadFile(k.kek)
	if err != nil {
		k.t.Fatal(err)
	}
	aged := string(text)
	for _, key := range k.file().KEKs() {
		aged = strings.Replace(aged, key.ID.String()+" "+stamp(key.Created), key.ID.String()+" "+
			stamp(key.Created.Add(-30*time.Minute)), 1)
	}
	if err := os.WriteFile(k.kek+".aged", []byte(aged), 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Rename(k.kek+".aged", k.kek); err != nil {
		k.t.Fatal(err)
	}
}

// person is whose a wrapped secret is.
type person struct{ organization, subject [16]byte }

// wrapped reads all secrets as they are stored.
func (k *keyed) wrapped() map[person][]byte {
	k.t.Helper()
	const all = "SELECT organization_id, subject_id, wrapped_key FROM subject_keys"
	found := map[person][]byte{}
	if k.dir != "" {
		db, err := zombiezen.OpenConn(filepath.Join(k.dir, "consentd.db"), zombiezen.OpenReadWrite)
		if err != nil {
			k.t.Fatal(err)
		}
		defer db.Close()
		db.SetBusyTimeout(10 * time.Second)
		err = sqlitex.Execute(db, all, &sqlitex.ExecOptions{ResultFunc: func(s *zombiezen.Stmt) error {
			var p person
			s.ColumnBytes(0, p.organization[:])
			s.ColumnBytes(1, p.subject[:])
			found[p] = make([]byte, s.ColumnLen(2))
			s.ColumnBytes(2, found[p])
			return nil
		}})
		if err != nil {
			k.t.Fatal(err)
		}
		return found
	}
	ctx := context.Background()
	db, err := pgx.Connect(ctx, k.url)
	if err != nil {
		k.t.Fatal(err)
	}
	defer db.Close(ctx)
	rows, err := db.Query(ctx, all)
	if err != nil {
		k.t.Fatal(err)
	}
	var p person
	var wrapped []byte
	if _, err := pgx.ForEachRow(rows, []any{&p.organization, &p.subject, &wrapped}, func() error {
		found[p] = append([]byte(nil), wrapped...)
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
	return found
}

// opened opens wrapped secrets by what the key file holds now; what it cannot open is not in it.
func (k *keyed) opened(wrapped map[person][]byte) map[person][32]byte {
	k.t.Helper()
	ring, found := k.file().Ring(rand.Reader), map[person][32]byte{}
	for p, w := range wrapped {
		if key, err := ring.Unwrap(w, p.organization, p.subject); err == nil {
			found[p] = *key.Secret()
		}
	}
	return found
}

// by counts how many secrets the newest key wraps, of how many.
func (k *keyed) by() (newest, all int) {
	k.t.Helper()
	id := k.file().Newest().ID
	for _, w := range k.wrapped() {
		if by, err := sealing.KEKOf(w); err == nil && by == id {
			newest++
		}
		all++
	}
	return newest, all
}
