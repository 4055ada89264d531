package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// naiveConns is how many connections the handler that does one transaction a request may use, as many as consentd.
const naiveConns = 16

// What one request runs, on consentd's own schema: who is it, or a new person; the event; where the person stands.
const (
	naiveFind = `SELECT subject_id FROM identifiers
WHERE organization_id = $1 AND kind = 'user_id' AND project_no = 0 AND value_index = convert_to($2, 'UTF8')`
	naiveSubject = `INSERT INTO subjects (organization_id, subject_id, type, created_at, version, changed_at,
changed_by, data)
VALUES ($1, $2, 'user', $3, 1, $3, $1, NULL)`
	naiveIdentifier = `INSERT INTO identifiers (organization_id, kind, project_no, value_index, subject_id,
value_sealed)
VALUES ($1, 'user_id', 0, convert_to($2, 'UTF8'), $3, convert_to($2, 'UTF8'))
ON CONFLICT (organization_id, kind, project_no, value_index) DO UPDATE SET subject_id = identifiers.subject_id
RETURNING subject_id`
	naiveEvent = `INSERT INTO events (organization_id, event_id, sequence, subject_id, project_no, purpose_no,
purpose_version, state, action, weight, grants, occurred_at, recorded_at, expires_at, key_id, domain, country,
protocol, body, ident)
VALUES ($1, $2, 0, $3, 1, $4, 1, 1, 1, 4, true, $5, $5, $6, $1, '', 'UNKNOWN', 'naive', $7, $8)`
	naiveConsent = `INSERT INTO consents (organization_id, subject_id, project_no, purpose_no, event_id, last_event_id,
purpose_version, state, weight, grants, active, occurred_at, expires_at, since)
VALUES ($1, $2, 1, $3, $4, $4, 1, 1, 4, true, true, $5, $6, $5)
ON CONFLICT (organization_id, subject_id, project_no, purpose_no) DO UPDATE SET event_id = excluded.event_id,
last_event_id = excluded.last_event_id, purpose_version = excluded.purpose_version, state = excluded.state,
weight = excluded.weight, grants = excluded.grants, active = excluded.active, occurred_at = excluded.occurred_at,
expires_at = excluded.expires_at, since = excluded.since`
)

// naiveBlob stands for what an event keeps as evidence, of about the size that consentd's has.
var naiveBlob = make([]byte, 280)

// ServeNaive answers every POST by one transaction of its own through pgx, until ctx ends: what a straightforward
// server would do. It keeps no sequence, so that its transactions do not wait for each other.
func ServeNaive(ctx context.Context, listen, database string) error {
	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		return err
	}
	cfg.MaxConns = naiveConns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	organization := uuid.New()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /naive", func(w http.ResponseWriter, r *http.Request) {
		var v struct {
			Items []echoItem `json:"items"`
		}
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ids := make([]string, len(v.Items))
		err := pgx.BeginFunc(r.Context(), pool, func(tx pgx.Tx) (err error) {
			for i := range v.Items {
				if ids[i], err = naiveWrite(r.Context(), tx, organization, &v.Items[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"count": len(ids), "items": ids})
	})
	return listenUntil(ctx, listen, mux)
}

func naiveWrite(ctx context.Context, tx pgx.Tx, organization uuid.UUID, item *echoItem) (string, error) {
	now := time.Now()
	event, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	var subject [16]byte
	err = tx.QueryRow(ctx, naiveFind, [16]byte(organization), item.UserID).Scan(&subject)
	if errors.Is(err, pgx.ErrNoRows) {
		fresh, err := uuid.NewV7()
		if err != nil {
			return "", err
		}
		if _, err = tx.Exec(ctx, naiveSubject, [16]byte(organization), [16]byte(fresh), now); err != nil {
			return "", err
		}
		err = tx.QueryRow(ctx, naiveIdentifier, [16]byte(organization), item.UserID, [16]byte(fresh)).Scan(&subject)
		if err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	purpose := map[string]int{"functional": 2, "analytics": 3, "marketing": 4}[item.Subcategory]
	expires := now.AddDate(1, 0, 0)
	_, err = tx.Exec(ctx, naiveEvent, [16]byte(organization), [16]byte(event), subject, purpose, now, expires,
		naiveBlob, naiveBlob)
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, naiveConsent, [16]byte(organization), subject, purpose, [16]byte(event), now, expires)
	return event.String(), err
}
