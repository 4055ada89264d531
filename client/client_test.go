package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentd/consentd/client"
)

func TestNewRefuses(t *testing.T) {
	good := client.Config{URL: "https://a.example/base/", Organization: "o", Key: "secret-key"}
	if _, err := client.New(good); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*client.Config){
		"no URL":          func(c *client.Config) { c.URL = "" },
		"no scheme":       func(c *client.Config) { c.URL = "a.example" },
		"another scheme":  func(c *client.Config) { c.URL = "ftp://a.example" },
		"a query":         func(c *client.Config) { c.URL = "https://a.example?x" },
		"broken":          func(c *client.Config) { c.URL = "https://u:secret-key@[::1" },
		"the API's path":  func(c *client.Config) { c.URL = "https://a.example/api/v1/" },
		"no organization": func(c *client.Config) { c.Organization = "" },
		"no key":          func(c *client.Config) { c.Key = "" },
		"negative":        func(c *client.Config) { c.Tries = -1 },
	} {
		bad := good
		change(&bad)
		if c, err := client.New(bad); err == nil {
			t.Errorf("%s: taken as %v", what, c)
		} else if strings.Contains(err.Error(), "secret-key") {
			t.Errorf("%s: it shows a secret: %v", what, err)
		}
	}
}

func TestKeyIsNotShown(t *testing.T) {
	c := shopClient(t, nil)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, shop.key) {
			t.Errorf("%s shows the key: %s", verb, text)
		}
	}
}

// TestProblems: what the server refuses is an *Error with all of its problem document.
func TestProblems(t *testing.T) {
	ctx := context.Background()
	_, err := shopClient(t, nil).CreateKey(ctx, client.NewKey{Name: "x", Scopes: []string{"consents:read", "no"}})
	e := (*client.Error)(nil)
	if !errors.As(err, &e) || !client.IsInvalid(err) {
		t.Fatalf("%v", err)
	}
	if e.Status != 422 || e.Type != "/docs/errors/unprocessable" || e.Title != "Unprocessable Entity" || e.Detail == "" ||
		!strings.HasPrefix(e.Instance, "urn:request:") || e.RequestID == "" ||
		len(e.Errors) != 1 || e.Errors[0].Pointer != "/scopes/1" || e.Errors[0].Detail == "" {
		t.Errorf("%+v", e)
	}
	if text := e.Error(); !strings.Contains(text, e.Detail) || !strings.Contains(text, e.RequestID) {
		t.Errorf("it reads %s", text)
	}
	_, err = shopClient(t, func(c *client.Config) { c.Key = "wrong" }).Regime(ctx, client.Place{Country: "DE"})
	if !client.IsUnauthenticated(err) || client.IsUnknown(err) {
		t.Errorf("a wrong key: %v", err)
	}
	_, err = shopClient(t, func(c *client.Config) { c.Organization = "nobody" }).Regime(ctx, client.Place{Country: "DE"})
	if !client.IsNotFound(err) {
		t.Errorf("another organization: %v", err)
	}
	if _, err = shopClient(t, nil).Regime(ctx, client.Place{}); !client.IsInvalid(err) {
		t.Errorf("no place: %v", err)
	}
}

// TestKindsOfErrors holds each Is against every status.
func TestKindsOfErrors(t *testing.T) {
	kinds := map[string]func(error) bool{"invalid": client.IsInvalid, "unauthenticated": client.IsUnauthenticated,
		"forbidden": client.IsForbidden, "not found": client.IsNotFound, "conflict": client.IsConflict,
		"changed": client.IsChanged, "rate limited": client.IsRateLimited, "unavailable": client.IsUnavailable,
		"unknown": client.IsUnknown}
	want := map[int]string{400: "invalid", 401: "unauthenticated", 403: "forbidden", 404: "not found", 409: "conflict",
		412: "changed", 422: "invalid", 429: "rate limited", 500: "unknown", 502: "unknown", 503: "unavailable",
		504: "unknown", 0: "unknown"}
	for status, is := range want {
		err := fmt.Errorf("wrapped: %w", &client.Error{Status: status})
		if status == 0 {
			err = io.ErrUnexpectedEOF
		}
		for kind, of := range kinds {
			if of(err) != (kind == is) || of(nil) {
				t.Errorf("%d: %s is %v", status, kind, of(err))
			}
		}
	}
}

// TestWritesOnce sends writes through a proxy that loses requests and answers, from many goroutines at once: each is
// done exactly once, and every caller has its own answer.
func TestWritesOnce(t *testing.T) {
	const writers, each = 8, 12
	random := rand.New(rand.NewPCG(1, 2)) // used under the proxy's lock
	p := newFlaky(t, func(int) fate { return fate(random.IntN(5)) })
	c := shopClient(t, func(c *client.Config) { c.URL, c.Tries, c.MaxWait = p.url(), 60, 20*time.Millisecond })
	var mu sync.Mutex
	made := map[string]string{}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				name := fmt.Sprintf("once %d %d", w, i)
				key, err := c.CreateKey(context.Background(), client.NewKey{Name: name, Scopes: []string{"consents:read"}})
				if err != nil || key.Name != name || key.Text == "" {
					t.Errorf("%s: %+v, %v", name, key, err)
				}
				mu.Lock()
				made[key.ID] = name
				mu.Unlock()
			}
		})
	}
	writing.Wait()
	found := map[string]string{}
	for key, err := range shopClient(t, nil).Keys(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(key.Name, "once ") {
			found[key.ID] = key.Name
		}
	}
	if len(found) != writers*each || len(made) != writers*each {
		t.Errorf("%d keys are there, and %d were answered, of %d", len(found), len(made), writers*each)
	}
	for id, name := range made {
		if found[id] != name {
			t.Errorf("%s was answered as %s, and is %q", name, id, found[id])
		}
	}
	if p.requests < 2*writers*each {
		t.Errorf("the proxy saw %d requests only: it lost nothing", p.requests)
	}
}

// TestRetriesKeepTheKey: all tries of a write have one Idempotency-Key, and two writes have two.
func TestRetriesKeepTheKey(t *testing.T) {
	p := newFlaky(t, func(n int) fate { return []fate{unanswered, cut, busy, served}[n%4] })
	c := shopClient(t, func(c *client.Config) { c.URL, c.Tries, c.MaxWait = p.url(), 4, time.Millisecond })
	for range 2 {
		_, err := c.CreateKey(context.Background(), client.NewKey{Name: "kept", Scopes: []string{"consents:read"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(p.keys) != 8 || p.keys[0] == "" || p.keys[0] == p.keys[4] ||
		len(slices.Compact(slices.Clone(p.keys))) != 2 {
		t.Errorf("the keys were %q", p.keys)
	}
}

// answers is a transport that answers by a function; no connection is made.
type answers func(n int) (*http.Response, error)

type scripted struct {
	answer answers
	times  []time.Time
}

func (s *scripted) RoundTrip(*http.Request) (*http.Response, error) {
	s.times = append(s.times, time.Now())
	return s.answer(len(s.times) - 1)
}

func respond(status int, body string, headers ...string) (*http.Response, error) {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(headers); i += 2 {
		res.Header.Set(headers[i], headers[i+1])
	}
	return res, nil
}

func scriptedClient(t *testing.T, s *scripted, change func(*client.Config)) *client.Client {
	t.Helper()
	return shopClient(t, func(c *client.Config) {
		c.HTTP, c.Tries = &http.Client{Transport: s}, 0
		if change != nil {
			change(c)
		}
	})
}

// TestWaits runs on a clock of its own: what is retried, how often, and how long it waits.
func TestWaits(t *testing.T) {
	const problem = `{"type":"/docs/errors/x","title":"T","status":400,"detail":"d"}`
	place := client.Place{Country: "DE"}
	for _, tc := range []struct {
		what        string
		status      int
		headers     []string
		tries       int
		least, most time.Duration // from the first try to the last
	}{
		{"a network error", 0, nil, 4, 0, 1400 * time.Millisecond},
		{"500", 500, nil, 4, 0, 1400 * time.Millisecond},
		{"502", 502, nil, 4, 0, 1400 * time.Millisecond},
		{"503 with Retry-After", 503, []string{"Retry-After", "5"}, 4, 15 * time.Second, 16400 * time.Millisecond},
		{"429 with Retry-After", 429, []string{"Retry-After", "30"}, 4, 90 * time.Second, 91400 * time.Millisecond},
		{"429 that asks for too much", 429, []string{"Retry-After", "31"}, 1, 0, 0},
		{"504", 504, nil, 4, 0, 1400 * time.Millisecond},
		{"400", 400, nil, 1, 0, 0}, {"401", 401, nil, 1, 0, 0}, {"404", 404, nil, 1, 0, 0}, {"409", 409, nil, 1, 0, 0},
		{"422", 422, nil, 1, 0, 0}, {"501", 501, nil, 1, 0, 0}, {"a redirect", 307, nil, 1, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{answer: func(int) (*http.Response, error) {
				if tc.status == 0 {
					return nil, io.ErrUnexpectedEOF
				}
				return respond(tc.status, problem, append(tc.headers, "Content-Type", "application/problem+json")...)
			}}
			_, err := scriptedClient(t, s, nil).Regime(context.Background(), place)
			if client.StatusOf(err) != tc.status || err == nil {
				t.Errorf("%s: %v", tc.what, err)
			}
			took := s.times[len(s.times)-1].Sub(s.times[0])
			if len(s.times) != tc.tries || took < tc.least || took > tc.most {
				t.Errorf("%s: %d tries within %s", tc.what, len(s.times), took)
			}
		})
	}
}

// TestDeadline: a context that ends is honoured while waiting, and where the wait would not fit the last error comes at
// once.
func TestDeadline(t *testing.T) {
	unavailable := func(int) (*http.Response, error) { return respond(503, "", "Retry-After", "10") }
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{answer: unavailable}
		ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
		defer cancel()
		began := time.Now()
		_, err := scriptedClient(t, s, nil).Regime(ctx, client.Place{Country: "DE"})
		if !client.IsUnavailable(err) || time.Since(began) != 0 || len(s.times) != 1 {
			t.Errorf("%v after %s and %d tries", err, time.Since(began), len(s.times))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{answer: unavailable}
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			time.Sleep(3 * time.Second)
			cancel()
		}()
		began := time.Now()
		_, err := scriptedClient(t, s, nil).Regime(ctx, client.Place{Country: "DE"})
		if !errors.Is(err, context.Canceled) || !client.IsUnavailable(err) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// TestAnswersThatAreNone: an answer of success that is no JSON, or too large, was given once and is not asked for
// again; and a proxy's page is told by its beginning.
func TestAnswersThatAreNone(t *testing.T) {
	ctx, place := context.Background(), client.Place{Country: "DE"}
	s := &scripted{answer: func(int) (*http.Response, error) { return respond(200, "<html>") }}
	if _, err := scriptedClient(t, s, nil).Regime(ctx, place); err == nil || client.IsUnknown(err) || len(s.times) != 1 {
		t.Errorf("%v after %d tries", err, len(s.times))
	}
	s = &scripted{answer: func(int) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, nil
	}}
	if _, err := scriptedClient(t, s, nil).Regime(ctx, place); err == nil || len(s.times) != 1 {
		t.Errorf("%v after %d tries", err, len(s.times))
	}
	s = &scripted{answer: func(int) (*http.Response, error) {
		return respond(403, strings.Repeat("blocked \xff", 1000), "Content-Type", "text/html")
	}}
	_, err := scriptedClient(t, s, nil).Regime(ctx, place)
	if !client.IsForbidden(err) || !strings.Contains(err.Error(), "403 Forbidden: blocked") || len(err.Error()) > 1000 {
		t.Errorf("%v", err)
	}
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestRedirects: the key is not taken along to wherever a redirect leads.
func TestRedirects(t *testing.T) {
	seen := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen++ }))
	defer elsewhere.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	c := shopClient(t, func(c *client.Config) { c.URL = redirecting.URL })
	_, err := c.Regime(context.Background(), client.Place{Country: "DE"})
	if client.StatusOf(err) != http.StatusTemporaryRedirect || seen != 0 {
		t.Errorf("%v, and %d requests elsewhere", err, seen)
	}
}

// TestPages goes through more keys than one page has, and stops where the caller does.
func TestPages(t *testing.T) {
	s := &scripted{answer: func(n int) (*http.Response, error) {
		if n == 3 {
			return respond(200, `{"items":[{"id":"last"}]}`)
		}
		return respond(200, fmt.Sprintf(`{"items":[{"id":"a%d"},{"id":"b%d"}],"nextCursor":"c%d"}`, n, n, n))
	}}
	var ids []string
	for key, err := range scriptedClient(t, s, nil).Keys(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, key.ID)
	}
	if got := strings.Join(ids, " "); got != "a0 b0 a1 b1 a2 b2 last" || len(s.times) != 4 {
		t.Errorf("got %s by %d requests", got, len(s.times))
	}
	s.times = nil
	for range scriptedClient(t, s, nil).Keys(context.Background()) {
		break
	}
	if len(s.times) != 1 {
		t.Errorf("%d requests for one key", len(s.times))
	}
}
