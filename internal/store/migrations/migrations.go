// Package migrations holds the schema of both engines. It does not know how a database is opened.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/consentd/consentd/internal/consent"
)

// Files are the migrations: one folder an engine, with the same numbers and names in both.
//
//go:embed sqlite/*.sql postgres/*.sql
var Files embed.FS

// folders are where the migrations of a dialect are.
var folders = map[goose.Dialect]string{goose.DialectSQLite3: "sqlite", goose.DialectPostgres: "postgres"}

// Provider gives what runs the migrations of a dialect on a database.
func Provider(dialect goose.Dialect, db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(Files, folders[dialect])
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(dialect, db, files)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// ErrEarlier says that the first migration was another one when the schema was made.
var ErrEarlier = errors.New("the data was made by a consentd from before the first release, whose schema is read no " +
	"more: start with an empty data folder or database, or go on with the consentd that made it")

// SelectLatest asks for columns that the first migration made only since shortly before the first release.
const SelectLatest = `/* check_schema */ SELECT weight, protocol FROM events WHERE organization_id = $1`

// Explain tells what it means that SelectLatest failed: ErrEarlier, or an error that wraps err.
func Explain(err error) error {
	var refused interface{ SQLState() string } // PostgreSQL's
	if errors.As(err, &refused) && refused.SQLState() == "42703" || strings.Contains(err.Error(), "no such column") {
		return ErrEarlier
	}
	return fmt.Errorf("read the schema: %w", err)
}

// Check refuses a schema of before the first release (ErrEarlier), and warns of one that a newer version has made:
// during an upgrade the old servers go on with that, else somebody went back.
func Check(ctx context.Context, provider *goose.Provider, db *sql.DB, log *slog.Logger) error {
	rows, err := db.QueryContext(ctx, SelectLatest, consent.NoID.String())
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	if err != nil {
		return Explain(err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	sources := provider.ListSources()
	if known := sources[len(sources)-1].Version; version > known {
		log.Warn("the schema is of a newer consentd; finish the upgrade, or restore the backup from before it",
			"version", version, "known", known)
	}
	return nil
}

// Newest gives the version of the schema that this program wants.
func Newest() (newest int64, err error) {
	files, err := fs.Glob(Files, folders[goose.DialectSQLite3]+"/*.sql")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		n, err := strconv.ParseInt(path.Base(file)[:4], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", file, err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}
