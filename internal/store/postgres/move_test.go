package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/move"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

func init() { postgres.SendMove = sendMove }

func sendMove(t *testing.T, url string) {
	ctx, dir := context.Background(), t.TempDir()
	folder, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(folder)
	large := storetest.Fill(t, s, 50).Organizations[1]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := move.Run(ctx, move.Options{From: dir, URL: url, Rows: 97}); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	mark := ""
	err = c.QueryRow(ctx, "SELECT obj_description('goose_db_version'::regclass, 'pg_class')").Scan(&mark)
	err = errors.Join(err, c.Close(ctx))
	if err != nil || !strings.Contains(mark, "a move into this database has begun") {
		t.Errorf("the mark of the move is %q, %v", mark, err)
	}
	e, err := postgres.Inspect(ctx, postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	i := store.Inspect(e)
	_, _, err = i.Schema(ctx)
	_, err2 := i.Ledger(ctx, large)
	_, err6 := i.Facts(ctx, large)
	err3 := i.Events(ctx, large, 0, nil, func(*consent.Event) error { return nil })
	err4 := i.Consents(ctx, large, 0, func(*store.History) error { return nil })
	_, err5 := i.Dropped(ctx, large)
	nothing := func(_ context.Context, _ service.Reader, _ consent.ID, rows []service.SealedRow) ([]error, error) {
		return make([]error, len(rows)), nil
	}
	err7 := i.Sealed(ctx, large, nothing, func(*service.SealedRow, error) {})
	if err := errors.Join(err, err2, err3, err4, err5, err6, err7, i.Close()); err != nil {
		t.Error(err)
	}
}
