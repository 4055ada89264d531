package webtest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Site is what a transcript is played against.
type Site struct {
	Handler http.Handler
	Vars    map[string]string // initial variables; not written to
}

// Run plays each file that glob matches as a parallel subtest: on each engine against a site over a fresh store, and where
// several servers may share a database also against three of them in turn.
func Run(t *testing.T, glob string) {
	t.Helper()
	TellOfCitus(t)
	OnEngines(t, func(t *testing.T, e Engine) {
		run(t, glob, func(t *testing.T) *Site { return NewSite(t, e.Open(t)) })
		if e.Shared {
			t.Run("three servers", func(t *testing.T) {
				run(t, glob, func(t *testing.T) *Site { return NewSite(t, e.OpenAll(t)...) })
			})
		}
	})
}

// run plays the files against sites that know by themselves what they stand on.
func run(t *testing.T, glob string, newSite func(t *testing.T) *Site) {
	t.Helper()
	files, err := find(glob)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			tr, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range play(tr, newSite(t)) {
				t.Error(err)
			}
		})
	}
}

// find refuses a glob without files, which would be a test that tests nothing.
func find(glob string) ([]string, error) {
	files, err := filepath.Glob(glob)
	if err != nil {
		return nil, fmt.Errorf("webtest: glob %q: %w", glob, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("webtest: no transcript matches %q", glob)
	}
	return files, nil
}

func load(file string) (*transcript, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("webtest: read transcript: %w", err)
	}
	return parse(file, string(data))
}

// play returns what went wrong, so that the runner itself can be tested.
func play(tr *transcript, site *Site) []error {
	if errs := undefined(tr, site.Vars); len(errs) > 0 {
		return errs
	}
	srv := httptest.NewServer(site.Handler)
	defer srv.Close()
	vars := map[string]string{}
	maps.Copy(vars, site.Vars)
	var errs []error
	for i, ex := range tr.exchanges {
		err := ex.play(srv.Listener.Addr().String(), vars)
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if name := lost(ex, tr.exchanges[i+1:], vars); name != "" {
			return append(errs, fmt.Errorf("%v: stopped here: later exchanges need {{%s}}", ex.pos, name))
		}
	}
	return errs
}

// undefined reports each variable that is neither the site's nor captured by an exchange before.
func undefined(tr *transcript, vars map[string]string) []error {
	known := map[string]bool{}
	for name := range vars {
		known[name] = true
	}
	var errs []error
	for _, ex := range tr.exchanges {
		for _, r := range ex.refs {
			if !known[r.name] {
				errs = append(errs, fmt.Errorf("%v: unknown variable {{%s}}", r.pos, r.name))
			}
		}
		for _, name := range ex.captures {
			known[name] = true
		}
	}
	return errs
}

// lost names a variable that the failed exchange leaves undefined and that one of the later exchanges uses.
func lost(failed *exchange, later []*exchange, vars map[string]string) string {
	for _, name := range failed.captures {
		if _, ok := vars[name]; ok {
			continue
		}
		for _, ex := range later {
			for _, r := range ex.refs {
				if r.name == name {
					return name
				}
			}
		}
	}
	return ""
}

// play sends the request and compares the answer. Captured variables are added to vars only if all of it is right.
func (ex *exchange) play(addr string, vars map[string]string) error {
	req := ex.request(vars)
	res, err := send(addr, req)
	if err != nil {
		return fmt.Errorf("%v: %s %s: no answer: %w", ex.pos, req.method, abbreviate(req.target), err)
	}
	m := newMatcher(vars)
	ex.compare(m, res)
	if len(m.problems) == 0 {
		maps.Copy(vars, m.vars)
		return nil
	}
	return fmt.Errorf("%v: %s %s\n%s\nanswer:\n%s", ex.pos, req.method, abbreviate(req.target),
		indent(strings.Join(m.problems, "\n")), indent(res.String()))
}

func (ex *exchange) request(vars map[string]string) *request {
	req := &request{method: ex.method, target: ex.target.expand(vars), body: expandLines(ex.body, vars, nil)}
	for _, h := range ex.headers {
		req.headers = append(req.headers, header{h.name, h.value.expand(vars)})
	}
	return req
}

func (ex *exchange) compare(m *matcher, res *Response) {
	want := &ex.want
	m.where = want.pos.String() + ": "
	if res.Status != want.status {
		m.problem("status", fmt.Sprint(want.status), fmt.Sprint(res.Status))
	}
	for _, h := range want.headers {
		m.where = h.pos.String() + ": "
		m.header(h, want.headers, res.Header)
	}
	m.where = want.bodyPos.String() + ": "
	switch want.mode {
	case bodyAny:
	case bodyExact:
		m.exact(expandLines(want.body, m.base, nil), string(res.Body))
	case bodyContains:
		for _, l := range want.body {
			m.where = l.pos.String() + ": "
			m.contains(l.text.expand(m.base), string(res.Body))
		}
	default:
		m.body(expandLines(want.body, m.base, escape), res.Body)
	}
}

// maxShown bounds how much of an answer a failure shows.
const maxShown = 4096

func abbreviate(s string) string {
	if len(s) <= 200 {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:200], len(s))
}

func indent(s string) string {
	return "\t" + strings.ReplaceAll(s, "\n", "\n\t")
}
