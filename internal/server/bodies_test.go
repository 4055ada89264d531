package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/protocol"
)

// mutation spoils a body; one without a status leaves it as good as it was.
type mutation struct {
	name   string
	status int
	of     func(body string) string
	header map[string]string
}

// with puts members at the front of an object.
func with(members string) func(string) string {
	return func(body string) string {
		if body == "{}" {
			return "{" + members + "}"
		}
		return "{" + members + "," + body[1:]
	}
}

func fixed(body string) func(string) string { return func(string) string { return body } }

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// padded fills a body with white space.
func padded(size int) func(string) string {
	return func(body string) string { return body + strings.Repeat(" ", size-len(body)) }
}

// firstMemberTwice repeats the first member of an object, name and all.
func firstMemberTwice(body string) string {
	if body == "{}" {
		body = `{"x":1}`
	}
	name, _, _ := strings.Cut(body[1:], ":")
	return "{" + name + ":null," + body[1:]
}

func typed(kind string) map[string]string { return map[string]string{"Content-Type": kind} }

var chunked = map[string]string{"Transfer-Encoding": "chunked"}

// strict is the protocol that refuses members which it does not know, and unknownMember what the mutations add.
const strict, unknownMember = "native", `{"x":`

// mutations are the rows of common.md, "Limits", and what stands beside them.
var mutations = []mutation{
	{"as it is", 0, with(`"x":1`), nil},
	{"in chunks", 0, with(`"x":1`), chunked},
	{"without Content-Type", 0, with(`"x":1`), typed("")},
	{"Content-Type with charset", 0, with(`"x":1`), typed("application/json; charset=UTF-8")},
	{"nested 32 deep", 0, with(`"x":` + nested(31)), nil},
	{"escaped characters", 0, with(`"x":"\u0001\\u0000"`), nil},
	{"nothing added, in chunks", 0, func(body string) string { return body }, chunked},
	{"nothing added, without Content-Type", 0, func(body string) string { return body }, typed("")},
	{"of 1 MiB", 0, padded(protocol.MaxBody), nil},

	{"cut short", 400, func(body string) string { return body[:len(body)-1] }, nil},
	{"no value", 400, with(`"x":`), nil},
	{"trailing data", 400, func(body string) string { return body + "{}" }, nil},
	{"trailing comma", 400, func(body string) string { return body[:len(body)-1] + ",}" }, nil},
	{"not JSON", 400, fixed("a=b&c=d"), nil},
	{"a byte order mark", 400, func(body string) string { return "\ufeff" + body }, nil},
	{"only white space", 400, fixed(" \n"), nil},
	{"unknown member twice", 400, with(`"x":1,"x":2`), nil},
	{"known member twice", 400, firstMemberTwice, nil},
	{"deep member twice", 400, with(`"x":{"y":[{"z":1,"z":1}]}`), nil},
	{"member twice by escape", 400, with(`"x":1,"\u0078":2`), nil},
	{"bad UTF-8", 400, with("\"x\":\"\xff\""), nil},
	{"bad UTF-8 in a name", 400, with("\"\xc3\x28\":1"), nil},
	{"overlong UTF-8", 400, with("\"x\":\"\xc0\xaf\""), nil},
	{"a surrogate in UTF-8", 400, with("\"x\":\"\xed\xa0\x80\""), nil},
	{"half a surrogate pair", 400, with(`"x":"\ud800"`), nil},
	{"escaped NUL", 400, with(`"x":"a\u0000b"`), nil},
	{"escaped NUL in a name", 400, with(`"\u0000":1`), nil},
	{"raw NUL in a string", 400, with("\"x\":\"a\x00b\""), nil},
	{"raw NUL outside", 400, func(body string) string { return body + "\x00" }, nil},
	{"nested 33 deep", 400, with(`"x":` + nested(32)), nil},
	{"nested 100,000 deep", 400, with(`"x":` + nested(100_000)), nil},
	{"an array", 400, fixed("[]"), nil},
	{"a string", 400, fixed(`"x"`), nil},
	{"a number", 400, fixed("1"), nil},
	{"true", 400, fixed("true"), nil},
	{"empty", 400, fixed(""), nil},
	{"null", 400, fixed("null"), nil},

	{"over 1 MiB", 413, padded(protocol.MaxBody + 1), nil},
	{"over 1 MiB in chunks", 413, padded(protocol.MaxBody + 1), chunked},
	{"far over 1 MiB", 413, padded(3 * protocol.MaxBody), nil},
	{"text/plain", 415, with(`"x":1`), typed("text/plain")},
	{"a form", 415, with(`"x":1`), typed("application/x-www-form-urlencoded")},
	{"another charset", 415, with(`"x":1`), typed("application/json; charset=latin1")},
	{"a bad Content-Type", 415, with(`"x":1`), typed("json;;")},
	{"compressed", 415, with(`"x":1`), map[string]string{"Content-Encoding": "gzip"}},
}

// TestBodies proves common.md, "Limits", on every call with a body, and that a refused one leaves nothing behind.
func TestBodies(t *testing.T) { onEngines(t, testBodies) }

func testBodies(t *testing.T, e *engine) {
	for _, c := range calls(t, listed) {
		if !c.takesBody() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newHarness(t, e)
			for _, m := range mutations {
				c.mutated(w, m)
			}
		})
	}
}

func (c *call) mutated(w *harness, m mutation) {
	w.Helper()
	if m.status == 0 {
		w.doomAgain()
	}
	body := m.of(w.mine.expand(c.body))
	if c.spare && (body == "" || body == "null") {
		return
	}
	change := map[string]string{"Idempotency-Key": "m{{n}}"}
	maps.Copy(change, m.header)
	before := w.contents()
	res := c.send(w, w.mine, change, body)
	if m.status == 0 && c.protocol == strict && strings.HasPrefix(body, unknownMember) {
		m.status = http.StatusUnprocessableEntity
	}
	if m.status == 0 {
		if res.Status < 200 || res.Status > 299 {
			w.Errorf("%s: %s: %v", c.name, m.name, res)
		}
		return
	}
	c.refused(w, res, m.status, m.name)
	w.unchanged("", before, c.name+": "+m.name)
}

// TestPaths proves the 404 of each protocol, below each of its roots.
func TestPaths(t *testing.T) { onEngines(t, testPaths) }

func testPaths(t *testing.T, e *engine) {
	w := newHarness(t, e)
	before := w.contents()
	for _, p := range w.protocols {
		for _, root := range p.Roots {
			for _, path := range []string{"/nothing/of/the/kind", "/no/%ff/%00/x", "/no/..%2f..%2fhealthz/x/y",
				"/x/../../healthz", "/a//b/c/d/e/f", "/a/b/c/" + strings.Repeat("x", 4000)} {
				for _, method := range []string{"GET", "POST", "HEAD", "BREW"} {
					res := w.do(w.mine, method, "/"+root+path, nil, "")
					where := fmt.Sprintf("%s /%s%.20s", method, root, path)
					if res.Status != http.StatusNotFound {
						w.Errorf("%s: %v", where, res)
					} else if err := checkShape(p.Name, res); err != nil && method != "HEAD" {
						w.Errorf("%s: %v in %v", where, err, res)
					}
				}
			}
		}
	}
	w.unchanged("", before, "unknown paths")
}

// TestMethods proves the 405 of each protocol: its Allow names exactly the methods that the path has.
func TestMethods(t *testing.T) { onEngines(t, testMethods) }

func testMethods(t *testing.T, e *engine) {
	w := newHarness(t, e)
	before := w.contents()
	allowed := map[string][]string{}
	all := calls(t, w.protocols)
	for _, c := range all {
		if !slices.Contains(allowed[c.route.Pattern], c.route.Method) {
			allowed[c.route.Pattern] = append(allowed[c.route.Pattern], c.route.Method)
		}
	}
	for _, c := range all {
		methods := allowed[c.route.Pattern]
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"} {
			if slices.Contains(methods, method) {
				continue
			}
			res := w.do(w.mine, method, c.target, c.headers, "")
			got := strings.Split(res.Header.Get("Allow"), ", ")
			if slices.Sort(got); res.Status != http.StatusMethodNotAllowed ||
				!slices.Equal(got, slices.Sorted(slices.Values(methods))) {
				w.Errorf("%s %s: want 405 with Allow %v, got %v", method, c.route.Pattern, methods, res)
			} else if err := checkShape(c.protocol, res); err != nil && method != "HEAD" {
				w.Errorf("%s %s: %v in %v", method, c.route.Pattern, err, res)
			}
		}
	}
	w.unchanged("", before, "wrong methods")
}
