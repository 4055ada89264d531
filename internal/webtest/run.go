package webtest

import (
	"errors"
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
	// documented says that every exchange has to be as the OpenAPI document has it.
	documented bool
}

// Run plays each file that glob matches as a parallel subtest: on each engine against a site over a fresh store, and,
// where several servers may share a database, also against three of them, one request each. Where tests are to be
// short, as under the race detector, SQLite is enough: what servers and engines do at once others test.
func Run(t *testing.T, glob string) {
	t.Helper()
	TellOfCitus(t)
	OnEngines(t, func(t *testing.T, e Engine) {
		if e.Shared && testing.Short() {
			return
		}
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
			exchanges, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range play(exchanges, newSite(t)) {
				t.Error(err)
			}
		})
	}
}

// find refuses a glob without files, which would be a test that tests nothing.
func find(glob string) ([]string, error) {
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no transcript matches %q: %v", glob, err)
	}
	return files, nil
}

func load(file string) ([]*exchange, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, string(data))
}

// play returns what went wrong, so that the runner itself can be tested. It goes on after a failure, but not where a
// variable is unknown, which the failed exchange was to give.
func play(exchanges []*exchange, site *Site) (errs []error) {
	srv := httptest.NewServer(site.Handler)
	defer srv.Close()
	vars := map[string]string{}
	maps.Copy(vars, site.Vars)
	for _, ex := range exchanges {
		err := ex.play(srv.Listener.Addr().String(), vars, site.documented)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s %s: %w", ex.place, ex.method, abbreviate(ex.target), err))
		}
		if errors.Is(err, errUnknown) {
			break
		}
	}
	return errs
}

// play sends the request and compares the answer. Captured variables are added to vars only if all of it is right.
func (ex *exchange) play(addr string, vars map[string]string, documented bool) error {
	x := &expander{vars: vars}
	req := &request{method: ex.method, target: x.text(ex.target), body: x.text(strings.Join(ex.body, "\n"))}
	for _, h := range ex.headers {
		req.headers = append(req.headers, header{h.name, x.text(h.value)})
	}
	want := x.answer(ex.want)
	if x.err != nil {
		return x.err
	}
	res, err := send(addr, req)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	m := &matcher{vars: maps.Clone(vars)}
	m.answer(want, res)
	if len(m.problems) > 0 {
		return fmt.Errorf("\n%s\nanswer:\n%s", indent(strings.Join(m.problems, "\n")), indent(res.String()))
	}
	maps.Copy(vars, m.vars)
	if documented {
		return asDocumented(req, res)
	}
	return nil
}

// answer expands what is expected.
func (x *expander) answer(w answer) *answer {
	expanded := answer{status: w.status, mode: w.mode}
	for _, h := range w.headers {
		expanded.headers = append(expanded.headers, header{h.name, x.pattern(h.value)})
	}
	fill := x.text
	if w.mode == bodyMatch {
		fill = x.pattern
	}
	for _, line := range w.body {
		expanded.body = append(expanded.body, fill(line))
	}
	return &expanded
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
