package bench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// echoItem is one item of a request, as consentd reads it.
type echoItem struct {
	UserID        string `json:"userId"`
	Category      string `json:"category"`
	Subcategory   string `json:"subcategory"`
	ConsentState  string `json:"consentState"`
	ConsentAction string `json:"consentAction"`
}

// ServeEcho answers every POST with its own JSON, decoded and encoded again, until ctx ends: what a
// handler costs that does nothing.
func ServeEcho(ctx context.Context, listen string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		var v struct {
			Items []echoItem `json:"items"`
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &v)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	})
	return listenUntil(ctx, listen, mux)
}

// listenUntil serves until ctx ends.
func listenUntil(ctx context.Context, listen string, mux http.Handler) error {
	// The timeouts are the server's: they cost a little, and are not what is compared.
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
