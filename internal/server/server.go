// Package server puts the protocols on one listener: it finds whose path it
// is, bounds what a request may cost, and writes one access line each. It
// knows no protocol's shapes: mistakes are answered by the protocol they befall.
package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/openapi"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// system is what /healthz, /readyz, /metrics and the documents go by in place of a protocol.
const system = "system"

// Bounds of a request besides those of the body.
const (
	requestTimeout = 30 * time.Second
	bodyBytes      = 24 << 20 // all large bodies together, see protocol.BodyBudget
	decodedBytes   = 32 << 20 // what is made of them
	answerBytes    = 64 << 20 // all large answers that are being sent
	streamBytes    = 32 << 20 // what all streams hold
)

// Options are what the server is made of.
type Options struct {
	Service        *service.Service
	Places         consent.Places
	Log            *slog.Logger // nil: slog.Default
	Metrics        *Metrics     // nil: none are kept
	PublicURL      string       // the issuer of tokens
	CORSOrigins    []string
	TrustedProxies []netip.Prefix // whose forwarding headers are believed, see client
	Limits         Limits
	LedgerPublic   bool // ledgers are read without a key
}

// Server is an http.Handler for all protocols, for /healthz, /readyz and /metrics, and for the documents of the calls.
type Server struct {
	Options
	protocols []protocol.Protocol
	byRoot    map[string]*mounted
	fallback  *mounted // for paths that nobody owns
	bodies    *protocol.BodyBudget
	answers   *semaphore.Weighted
	streams   *protocol.Streams
	limits    protocol.Limits
	ids       string // what makes request ids differ from those of another start
	last      atomic.Uint64
	lines     sync.Map // protocol, method and route → slog.Handler
	draining  atomic.Bool
	docs      *openapi.Site
}

// mounted is a protocol with its router, which finds patterns, and what handles them.
type mounted struct {
	*protocol.Protocol
	router   chi.Router
	handlers map[matched]func(*protocol.Call) error
}

// matched is what a router finds.
type matched struct{ method, pattern string }

// New makes a server of the protocols in the list.
func New(o Options) *Server { return newServer(o, Protocols(o.Service, o)) }

func newServer(o Options, protocols []protocol.Protocol) *Server {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{Options: o, protocols: protocols, byRoot: map[string]*mounted{},
		bodies:  protocol.NewBodyBudget(bodyBytes, decodedBytes),
		answers: semaphore.NewWeighted(answerBytes), docs: documents(),
		streams: protocol.NewStreams(streamBytes),
		limits:  newLimits(o.Limits, o.Metrics.limited),
		ids:     strconv.FormatInt(time.Now().UnixMilli(), 36) + "-"}
	o.Metrics.streams(s.streams.Running)
	for i := range protocols {
		p := s.mount(&protocols[i])
		for _, root := range p.Roots {
			if s.byRoot[root] != nil {
				panic("server: two protocols own /" + root)
			}
			s.byRoot[root] = p
		}
	}
	plain := protocol.Protocol{Name: "none", Fail: failPlain}
	s.fallback = s.mount(&plain)
	return s
}

// failPlain answers what no protocol owns, the way net/http does.
func failPlain(c *protocol.Call, err error) {
	status, _, msg := protocol.Status(err)
	if status == http.StatusNotFound {
		msg = "404 page not found"
	}
	http.Error(c, msg, status)
}

// mount makes a protocol's router.
func (s *Server) mount(p *protocol.Protocol) *mounted {
	out := &mounted{Protocol: p, router: chi.NewRouter(), handlers: map[matched]func(*protocol.Call) error{}}
	for _, route := range p.Routes {
		out.router.Method(route.Method, route.Pattern, http.NotFoundHandler()) // it is not called, see handle
		out.handlers[matched{route.Method, route.Pattern}] = route.Handle
	}
	return out
}

var errNoPath = &protocol.StatusError{Status: http.StatusNotFound, Msg: "no such path"}

// handle runs the handler of a call's route. An unknown path and a wrong method are answered in the protocol's shape.
// The router is only asked for the pattern: serving by it would note the parameters in the request once more.
func (p *mounted) handle(c *protocol.Call, routing *chi.Context) error {
	path := cmp.Or(c.Request.URL.RawPath, c.Request.URL.Path, "/")
	if pattern := p.router.Find(routing, c.Request.Method, path); pattern != "" {
		c.Route = pattern
		return p.handlers[matched{c.Request.Method, pattern}](c)
	}
	allow := strings.Join(p.allowed(c, path), ", ")
	if allow == "" {
		return errNoPath
	}
	c.Header().Set("Allow", allow)
	return &protocol.StatusError{Status: http.StatusMethodNotAllowed, Msg: "method not allowed; allowed: " + allow}
}

// allowed lists the methods of a path, and notes its route.
func (p *mounted) allowed(c *protocol.Call, path string) (methods []string) {
	for _, route := range p.Routes {
		if slices.Contains(methods, route.Method) {
			continue
		}
		if pattern := p.router.Find(chi.NewRouteContext(), route.Method, path); pattern != "" {
			c.Route = pattern
			methods = append(methods, route.Method)
		}
	}
	return methods
}

// reserve takes memory for a large answer; it does not wait, since the answer is in memory already.
func (s *Server) reserve(size int64) (release func(), ok bool) {
	size = min(size, answerBytes)
	if !s.answers.TryAcquire(size) {
		return nil, false
	}
	return func() { s.answers.Release(size) }, true
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	c := &protocol.Call{ResponseWriter: w, Request: r, Client: s.client(r), Route: "-", Reserve: s.reserve,
		Budget: s.bodies, Limits: s.limits, ID: s.nextID(), Connection: r.Context(), Streams: s.streams}
	c.Header()["X-Request-Id"] = []string{c.ID}
	p := s.find(r.URL.Path)
	name := p.Name
	defer func() {
		cause := recover()
		if cause != nil && cause != http.ErrAbortHandler {
			s.recovered(c, p, cause)
		}
		s.logAccess(c, name, time.Since(started))
		if cause == http.ErrAbortHandler {
			panic(cause)
		}
	}()
	if s.draining.Load() {
		c.Header().Set("Connection", "close")
	}
	if (p == s.fallback || r.URL.Path == openapi.DocumentPath) && s.serveSystem(c, r) {
		name = system
		return
	}
	routing := routings.Get().(*chi.Context)
	routing.Reset()
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	c.Request = r.WithContext(context.WithValue(ctx, chi.RouteCtxKey, routing))
	protocol.Handle(c, s.Log, func(c *protocol.Call) error { return p.handle(c, routing) }, p.Fail)
	routings.Put(routing) // not after a panic: its answer may look at the route
}

// nextID makes the id of a request.
func (s *Server) nextID() string { return s.ids + strconv.FormatUint(s.last.Add(1), 36) }

var routings = sync.Pool{New: func() any { return chi.NewRouteContext() }}

// find says whose path it is, by its first segment.
func (s *Server) find(path string) *mounted {
	root, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if p := s.byRoot[root]; p != nil {
		return p
	}
	return s.fallback
}

// recovered answers a call whose handler panicked.
func (s *Server) recovered(c *protocol.Call, p *mounted, cause any) {
	c.Err = fmt.Errorf("panic: %v", cause)
	s.Log.Error("call panicked", "request", c.ID, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if c.Status == 0 {
		p.Fail(c, c.Err)
	}
}

// logAccess writes the access line, and counts the request in the metrics: no body, no key, no address, and the route
// instead of the path.
func (s *Server) logAccess(c *protocol.Call, name string, took time.Duration) {
	if c.Status == 0 {
		c.Status = http.StatusOK
	}
	if s.Metrics != nil {
		s.Metrics.request(name, c.Request.Method, c.Route, c.Status, took)
	}
	if name == system && c.Status < 400 {
		return // probes come every few seconds
	}
	key := "-"
	if c.Actor.Key != consent.NoID {
		key = c.Actor.Key.String()
	}
	line := s.line(name, methodName(c.Request.Method), c.Route)
	if !line.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0) // a Logger would look for the line of code
	record.AddAttrs(slog.String("id", c.ID), slog.String("key", key), slog.Int("status", c.Status),
		slog.Int64("us", took.Microseconds()))
	_ = line.Handle(context.Background(), record) // where the log cannot be written, nobody can be informed
}

// line gives the log of a route. What every line of a route says is written out once.
func (s *Server) line(protocol, method, route string) slog.Handler {
	of := [...]string{protocol, method, route}
	line, ok := s.lines.Load(of)
	if !ok {
		line, _ = s.lines.LoadOrStore(of, s.Log.With("protocol", protocol, "method", method, "route", route).Handler())
	}
	return line.(slog.Handler)
}

// methodName keeps invented methods out of logs and metrics.
func methodName(method string) string {
	switch method {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		return method
	}
	return "other"
}

// Drain makes every answer close its connection and /readyz red, before the listener closes.
func (s *Server) Drain() { s.draining.Store(true) }

// HurryStreams cuts off the readers of streams who take nothing for a second from now on.
func (s *Server) HurryStreams() { s.streams.Hurry() }

// EndStreams cuts off the streams that are still being sent.
func (s *Server) EndStreams() { s.streams.End() }
