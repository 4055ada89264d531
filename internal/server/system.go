package server

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/openapi"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/protocol/native"
)

// documents makes the site of the documents, which is the same for every server of the process.
var documents = sync.OnceValue(func() *openapi.Site { return openapi.New(problems()) })

// problems are the types of problems that have a page.
func problems() (all []openapi.Problem) {
	for _, p := range native.Problems() {
		all = append(all, openapi.Problem(p))
	}
	return all
}

// serveSystem answers what the operator's own tools ask, and for the documents; false: it is none of these.
func (s *Server) serveSystem(c *protocol.Call, r *http.Request) bool {
	handler, route := s.systemHandler(r.URL.Path)
	if handler == nil {
		return false
	}
	c.Route = route
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		c.Header().Set("Allow", "GET, HEAD")
		http.Error(c, "method not allowed", http.StatusMethodNotAllowed)
		return true
	}
	handler.ServeHTTP(c, r)
	return true
}

// systemHandler gives what answers for a path, and the path as the document writes it; nil: nothing does.
func (s *Server) systemHandler(path string) (handler http.Handler, route string) {
	switch path {
	case "/healthz":
		return probe(func() (int, string) { return http.StatusOK, "ok\n" }), path
	case "/readyz":
		return probe(s.readiness), path
	case "/metrics":
		if s.Metrics != nil {
			return s.Metrics, path
		}
	}
	if route = s.docs.Route(path); route != "" {
		return s.docs, route
	}
	return nil, ""
}

// probe answers a status and a text.
type probe func() (status int, text string)

// ServeHTTP implements http.Handler.
func (p probe) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	status, text := p()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func (s *Server) readiness() (int, string) {
	if s.draining.Load() {
		return http.StatusServiceUnavailable, "shutting down\n"
	}
	if err := s.Service.Ready(); err != nil {
		return http.StatusServiceUnavailable, consent.AsError(err).Msg + "\n"
	}
	if n := s.Service.BehindLedgers(); n > 0 {
		return http.StatusOK, fmt.Sprintf("ready; but of %d ledgers no checkpoint is signed, since the store is behind the "+
			"newest one: consentd ledger recover --help\n", n)
	}
	return http.StatusOK, "ready\n"
}
