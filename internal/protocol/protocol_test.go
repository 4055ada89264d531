package protocol

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/consentd/consentd/internal/consent"
)

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		field  string
		msg    string
	}{
		{consent.Errorf(consent.Invalid, "items[3].email", "must be %s", "one"), 400, "items[3].email", "must be one"},
		{fmt.Errorf("wrapped: %w", consent.Errorf(consent.Unprocessable, "", "m")), 422, "", "m"},
		{&consent.Error{Kind: consent.Unauthenticated, Msg: "m"}, 401, "", "m"},
		{&consent.Error{Kind: consent.Forbidden, Msg: "m"}, 403, "", "m"},
		{&consent.Error{Kind: consent.NotFound, Msg: "m"}, 404, "", "m"},
		{&consent.Error{Kind: consent.Conflict, Msg: "m"}, 409, "", "m"},
		{&consent.Error{Kind: consent.TooLarge, Msg: "m"}, 413, "", "m"},
		{&consent.Error{Kind: consent.Unavailable, Msg: "m", Err: errors.New("secret cause")}, 503, "", "m"},
		{&consent.Error{Kind: consent.Internal, Field: "f", Msg: "secret"}, 500, "", "Internal Server Error"},
		{errors.New("secret"), 500, "", "Internal Server Error"},
		{fmt.Errorf("wrapped: %w", &StatusError{Status: 405, Msg: "m"}), 405, "", "m"},
	} {
		if status, field, msg := Status(tc.err); status != tc.status || field != tc.field || msg != tc.msg {
			t.Errorf("%v is %d in %q: %q", tc.err, status, field, msg)
		}
	}
	if Message("", "m") != "m" || Message("f", "m") != "f: m" {
		t.Error("a field and a message are joined wrongly")
	}
}

// TestOnce: the header's rules, and what makes two requests the same.
func TestIdempotencyKey(t *testing.T) {
	for _, tc := range []struct {
		values []string
		fine   bool
	}{
		{nil, true}, {[]string{"k"}, true}, {[]string{" ~!"}, true}, {[]string{strings.Repeat("k", 255)}, true},
		{[]string{strings.Repeat("k", 256)}, false}, {[]string{""}, false}, {[]string{"a\tb"}, false},
		{[]string{"é"}, false}, {[]string{"a\x7f"}, false},
		{[]string{"a", "a"}, false}, {[]string{"a", "b"}, false},
	} {
		c := call(nil)
		for _, v := range tc.values {
			c.Request.Header.Add("Idempotency-Key", v)
		}
		idempotency, err := c.idempotency()
		if tc.fine {
			if err != nil || len(tc.values) == 1 && idempotency.Key != tc.values[0] ||
				tc.values == nil && idempotency.Key != "" {
				t.Errorf("%q: %q, %v", tc.values, idempotency.Key, err)
			}
			continue
		}
		if status, field, _ := told(err); err == nil || status != 400 || field != "Idempotency-Key" {
			t.Errorf("%q: %v", tc.values, err)
		}
	}
	print := func(method, target, body string) [32]byte {
		c := call(nil, "Idempotency-Key", "k")
		c.Request = httptest.NewRequest(method, target, nil)
		c.Request.Header.Set("Idempotency-Key", "k")
		c.body = []byte(body)
		idempotency, err := c.idempotency()
		if err != nil {
			t.Fatal(err)
		}
		return idempotency.Fingerprint
	}
	first := print("POST", "/a?x=1", "{}")
	if print("POST", "/a?x=1", "{}") != first {
		t.Error("the same request is another")
	}
	for _, other := range [][3]string{{"PUT", "/a?x=1", "{}"}, {"POST", "/b?x=1", "{}"}, {"POST", "/a?x=2", "{}"},
		{"POST", "/a", "{}"}, {"POST", "/a?x=1", "{} "}, {"POST", "/a?x=1{}", ""}} {
		if print(other[0], other[1], other[2]) == first {
			t.Errorf("%v is the same request", other)
		}
	}
}

// TestReplyAndReplay: a replay is the first answer byte for byte, with the header that says so.
func TestReplyAndReplay(t *testing.T) {
	for _, answer := range []Answer{
		{Status: 201, ContentType: "application/json", Location: "/x/é", Body: []byte("{\"a\":\n1}\n\n")},
		{Status: 200, Body: []byte("x")}, {Status: 204}, {Status: 202, ContentType: "text/plain", Body: []byte{0, 255, '\n'}},
	} {
		var kept []byte
		first := call(nil, "Idempotency-Key", "k")
		err := Reply(first, func(idempotency consent.Idempotency) (string, error) {
			var err error
			kept, err = idempotency.Render("result")
			return "result", err
		}, func(r string) (Answer, error) { return answer, nil })
		if err != nil {
			t.Fatal(err)
		}
		second := call(nil, "Idempotency-Key", "k")
		Handle(second, slog.New(slog.DiscardHandler), func(c *Call) error {
			return Reply(c, func(consent.Idempotency) (string, error) {
				return "", fmt.Errorf("record: %w", &consent.Replayed{Answer: kept})
			},
				func(string) (Answer, error) { t.Error("a replay is rendered anew"); return Answer{}, nil })
		}, func(c *Call, err error) { t.Errorf("a replay fails: %v", err) })
		a, b := first.ResponseWriter.(*httptest.ResponseRecorder), second.ResponseWriter.(*httptest.ResponseRecorder)
		if b.Header().Get("Idempotency-Replayed") != "true" || a.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("%d: the header is %v, then %v", answer.Status, a.Header(), b.Header())
		}
		b.Header().Del("Idempotency-Replayed")
		if a.Code != answer.Status || a.Code != b.Code || a.Body.String() != string(answer.Body) ||
			a.Body.String() != b.Body.String() || fmt.Sprint(a.Header()) != fmt.Sprint(b.Header()) {
			t.Errorf("first %d %v %q, then %d %v %q", a.Code, a.Header(), a.Body, b.Code, b.Header(), b.Body)
		}
		if first.Status != answer.Status || second.Status != answer.Status {
			t.Errorf("the call notes %d and %d", first.Status, second.Status)
		}
	}
}

func TestReplyErrors(t *testing.T) {
	refused := consent.Errorf(consent.Conflict, "", "no")
	c := call(nil)
	err := Reply(c, func(consent.Idempotency) (int, error) { return 0, refused },
		func(int) (Answer, error) { return Answer{Status: 200}, nil })
	if !errors.Is(err, refused) || c.Status != 0 {
		t.Errorf("a refusal: %v, answered %d", err, c.Status)
	}
	broken := errors.New("cannot render")
	err = Reply(c, func(consent.Idempotency) (int, error) { return 0, nil },
		func(int) (Answer, error) { return Answer{}, broken })
	if !errors.Is(err, broken) || c.Status != 0 {
		t.Errorf("an answer that cannot be rendered: %v, answered %d", err, c.Status)
	}
	ran := false
	err = Reply(call(nil, "Idempotency-Key", ""), func(consent.Idempotency) (int, error) { ran = true; return 0, nil },
		func(int) (Answer, error) { return Answer{Status: 200}, nil })
	if err == nil || ran {
		t.Errorf("with an empty Idempotency-Key: %v, ran %t", err, ran)
	}
	failed := false
	Handle(call(nil), slog.New(slog.DiscardHandler),
		func(*Call) error { return &consent.Replayed{Answer: []byte("damaged")} },
		func(c *Call, err error) { failed = true })
	if !failed {
		t.Error("a damaged answer is replayed")
	}
}

// TestHandle: an error is answered once by the protocol, and logged where nobody can mend it but us.
func TestHandle(t *testing.T) {
	for _, tc := range []struct {
		err    error
		logged bool
		fails  int
	}{{nil, false, 0}, {consent.Errorf(consent.Invalid, "", "m"), false, 1}, {errors.New("cause"), true, 1}} {
		var log strings.Builder
		fails := 0
		c := call(nil)
		Handle(c, slog.New(slog.NewTextHandler(&log, nil)), func(*Call) error { return tc.err },
			func(*Call, error) { fails++ })
		if fails != tc.fails || (log.Len() > 0) != tc.logged || c.Err != tc.err {
			t.Errorf("%v: failed %d times, logged %q, noted %v", tc.err, fails, log.String(), c.Err)
		}
	}
	c := call(nil)
	Handle(c, slog.New(slog.DiscardHandler),
		func(c *Call) error { _, err := c.Write([]byte("half")); return errors.Join(err, errors.New("then")) },
		func(*Call, error) { t.Error("a half answer is answered again") })
	if c.Status != 200 {
		t.Errorf("the call notes %d", c.Status)
	}
}

// TestParams sends paths through the router as a server does.
func TestParams(t *testing.T) {
	const id = "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"
	for path, want := range map[string]string{
		"/plain": "plain", "/a%20b": "a b", "/100%25": "100%", "/a%252Fb": "a%2Fb", "/a%2Fb": "a/b", "/%C3%A9": "é",
		"/é":   "é",
		"/a+b": "a+b", "/%2525": "%25", "/a%3Fb": "a?b", "/%E2%82%AC%2F%25": "€/%",
	} {
		got, err := "", errors.New("no route")
		router := chi.NewRouter()
		router.Get("/{name}", func(w http.ResponseWriter, r *http.Request) {
			got, err = (&Call{ResponseWriter: w, Request: r}).Param("name")
		})
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if err != nil || got != want {
			t.Errorf("%s gives %q, %v; want %q", path, got, err, want)
		}
	}
	for path, fine := range map[string]bool{"/" + id: true, "/" + strings.ToUpper(id): true, "/x": false,
		"/" + id + "0": false, "/%7B" + id[:34] + "%7D": false, "/" + consent.NoID.String(): false} {
		var err error = errors.New("no route")
		router := chi.NewRouter()
		router.Get("/{organizationId}", func(w http.ResponseWriter, r *http.Request) {
			_, err = (&Call{ResponseWriter: w, Request: r}).IDParam("organizationId")
		})
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if status, _, msg := told(err); fine && err != nil ||
			!fine && (err == nil || status != 404 || msg != "organization not found") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// told is Status, of no error too.
func told(err error) (status int, field, msg string) {
	if err == nil {
		return 0, "", ""
	}
	return Status(err)
}

func statusOf(err error) int {
	status, _, _ := told(err)
	return status
}
