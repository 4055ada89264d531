package server

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// serveSystem answers what the operator's own tools ask; false: it is none of these.
func (s *Server) serveSystem(c *protocol.Call, r *http.Request) bool {
	var answer func() (int, string)
	switch r.URL.Path {
	case "/healthz":
		answer = func() (int, string) { return http.StatusOK, "ok\n" }
	case "/readyz":
		answer = s.readiness
	case "/metrics":
		if s.Metrics == nil {
			return false
		}
	default:
		return false
	}
	c.Route = r.URL.Path
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		c.Header().Set("Allow", "GET, HEAD")
		http.Error(c, "method not allowed", http.StatusMethodNotAllowed)
		return true
	}
	if answer == nil {
		s.Metrics.ServeHTTP(c, r)
		return true
	}
	status, text := answer()
	c.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.WriteHeader(status)
	_, _ = c.Write([]byte(text))
	return true
}

func (s *Server) readiness() (int, string) {
	if s.draining.Load() {
		return http.StatusServiceUnavailable, "shutting down\n"
	}
	if err := s.Service.Ready(); err != nil {
		return http.StatusServiceUnavailable, consent.AsError(err).Msg + "\n"
	}
	return http.StatusOK, "ready\n"
}
