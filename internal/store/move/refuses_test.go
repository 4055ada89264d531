package move

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// TestMoveRefuses: what would mix two stores, or lose one, is refused before anything is written.
func TestMoveRefuses(t *testing.T) {
	ctx := context.Background()
	f, other := fillFolder(t, 50), fillFolder(t, 60)
	filled := emptyURL(t)
	mustMove(t, other, filled)
	_, err := moveTo(ctx, f.dir, filled, nil)
	says(t, "a database with another store", err, "another store")

	for name, statement := range map[string]string{
		"a root key": "INSERT INTO api_keys VALUES ('00000000-0000-0000-0000-000000000000', " +
			"'00000000-0000-0000-0000-000000000001', '', '', '', now(), NULL, NULL)",
		"a secret": "INSERT INTO instance_secrets VALUES ('x', 'x')",
		"one text": "INSERT INTO texts VALUES ('00000000-0000-0000-0000-000000000009', 'x', 'x')",
	} {
		url := postgresURL(t)
		inDatabase(t, url, statement)
		_, err := moveTo(ctx, f.dir, url, nil)
		says(t, name, err, "not empty", strings.Fields(statement)[2])
		if rows := ofDatabase[int](t, url, "SELECT count(*) FROM store_moves"); rows != 0 {
			t.Errorf("%s: the move was begun all the same", name)
		}
	}

	_, err = moveTo(ctx, t.TempDir(), emptyURL(t), nil)
	says(t, "no folder", err, "there is no consentd.db in")

	s, err := openSQLite(ctx, f.dir, sqlite.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = moveTo(ctx, f.dir, emptyURL(t), nil); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("a folder that a server uses: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	url := postgresURL(t)
	served, err := openPostgres(ctx, postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	if err := served.ViewOnce(ctx, func(r service.Reader) error { _, err := r.Secret(ctx, "x"); return err }); err != nil {
		t.Fatal(err)
	}
	_, err = moveTo(ctx, f.dir, url, nil)
	says(t, "a database that a server uses", err, "stop it first")
}

// oneText writes something.
func oneText(tx service.Tx) error {
	text := consent.Text{Hash: []byte("new"), Text: "new"}
	return tx.Append(context.Background(), &consent.Changes{Texts: []consent.Text{text}})
}

// TestMoveGoesOnWithItsOwnFolder: an unfinished move is for the folder that it began with, as it was then.
func TestMoveGoesOnWithItsOwnFolder(t *testing.T) {
	ctx := context.Background()
	f, other := fillFolder(t, 100), fillFolder(t, 110)
	url := postgresURL(t)
	stopped, cancel := context.WithCancel(ctx)
	if _, err := moveTo(stopped, f.dir, url, func(p Progress) {
		if p.Step == Copying && p.Rows > 200 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_, err := moveTo(ctx, other.dir, url, nil)
	says(t, "another folder", err, "another store")
	s, err := openSQLite(ctx, f.dir, sqlite.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, consent.NoID, oneText); err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	_, err = moveTo(ctx, f.dir, url, nil)
	says(t, "a folder that was written to", err, "written to since its move began")

	url = postgresURL(t)
	mustMove(t, other, url)
	if s, err = openSQLite(ctx, other.dir, sqlite.Options{Moving: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, consent.NoID, oneText); err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	_, err = moveTo(ctx, other.dir, url, nil)
	says(t, "a folder that was written to after its move", err, "was written to since", "is not in the database")
}

// TestMoveKeepsToolsOut: what is copied already does not change behind the move's back.
func TestMoveKeepsToolsOut(t *testing.T) {
	f := fillFolder(t, 10)
	tool, err := zombiezen.OpenConn(filepath.Join(f.dir, sqlite.FileName), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	tool.SetBusyTimeout(10 * time.Millisecond)
	write := func() error {
		return sqlitex.ExecuteTransient(tool, "UPDATE texts SET text = text", nil)
	}
	tried := false
	if _, err := moveTo(context.Background(), f.dir, postgresURL(t), func(p Progress) {
		if p.Step == Comparing && !tried {
			tried = true
			if err := write(); zombiezen.ErrCode(err).ToPrimary() != zombiezen.ResultBusy {
				t.Errorf("a tool writes during the move: %v", err)
			}
		}
	}); err != nil || !tried {
		t.Error(err)
	}
	if err := write(); err != nil {
		t.Errorf("after the move: %v", err)
	}
}

// TestMoveNamesWhatCannotBe: a value that PostgreSQL cannot keep is named by its column, and never shown.
func TestMoveNamesWhatCannotBe(t *testing.T) {
	f := fillFolder(t, 10)
	s, err := sqlite.Open(context.Background(), f.dir, sqlite.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for statement, words := range map[string]string{
		"UPDATE texts SET text = CAST(x'6164610061' AS TEXT)": "texts: column text: a text that is not UTF-8, or that " +
			"holds NUL",
		"UPDATE texts SET text = CAST(x'616461ff' AS TEXT)": "texts: column text: a text that is not UTF-8, or that " +
			"holds NUL",
		"INSERT INTO slugs VALUES ('ada', x'11')": "slugs: column organization_id: an id of 1 bytes",
		"UPDATE projects SET whole_address = 2":   "projects: column whole_address: a number that is no bool",
		"UPDATE projects SET whole_address = -1":  "projects: column whole_address: a number that is no bool",
		"UPDATE purposes SET version = 1 << 31":   "purposes: column version: a number that is no int4",
		"UPDATE consents SET state = 1 << 15":     "consents: column state: a number that is no int2",
	} {
		undo := errors.New("undone")
		err := s.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
			if err := c.Query(context.Background(), statement, nil, nil); err != nil {
				return err
			}
			name, fault, _ := strings.Cut(words, ": ")
			says(t, statement, readAll(&source{c, 10_000}), name+": read the data folder: "+fault)
			return undo
		})
		if !errors.Is(err, undo) {
			t.Error(err)
		}
	}
	if err := s.ViewOnce(context.Background(), func(engine.Conn) error { return nil }); err != nil {
		t.Error(err)
	}
}

// readAll reads all that a move would, and gives the first error.
func readAll(source *source) error {
	for _, table := range tables {
		err := source.pages(context.Background(), table, nil, func([][]any) error { return nil })
		if err != nil {
			return fmt.Errorf("%s: %w", table.name, err)
		}
	}
	return nil
}

// TestMoveLeavesNoRowBehind: a damaged folder may have rows of something that is no organization's id.
func TestMoveLeavesNoRowBehind(t *testing.T) {
	f := fillFolder(t, 10)
	s, err := sqlite.Open(context.Background(), f.dir, sqlite.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
		return c.Query(context.Background(), "INSERT INTO texts VALUES (x'111111', x'00', 'ada')", nil, nil)
	})
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	_, err = moveTo(context.Background(), f.dir, postgresURL(t), nil)
	says(t, "a row of nobody", err, "copy texts: ", "column organization_id: an id of 3 bytes")
}
